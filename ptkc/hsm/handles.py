"""Handles: the numbers by which applications name sessions and objects.

One table for both, so that a session's number is never taken for an object's, and so that it can move to C as a whole.
Numbers count up and are not used again: a stale handle is refused, never another's object.
"""

from __future__ import annotations

from itertools import count

__all__ = ["Handles"]


class Handles(dict[int, object]):
    """Handle → what it stands for."""

    def __init__(self) -> None:
        """Begin at 1: 0 is CK_INVALID_HANDLE."""
        super().__init__()
        self._next = count(1).__next__

    def add(self, value: object) -> int:
        """Give `value` a handle."""
        handle = self._next()
        self[handle] = value
        return handle

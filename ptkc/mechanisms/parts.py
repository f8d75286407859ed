"""The parts of an input that are kept until all of it is needed.

They are kept as they came, without a copy, as long as they are not small: many small ones are joined, since each would
take several times its bytes.
"""

from __future__ import annotations

__all__ = ["Parts"]

_MANY = 256
_SMALL = 256  # bytes of a part, on the average, of which a copy takes less than the part beside it


class Parts:
    """Bytes that come in parts; `size` is how many there are."""

    __slots__ = ("_former", "_parts", "size")

    def __init__(self) -> None:
        """Start without any."""
        self._former: list[bytes] = []
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> int:
        """Keep a further part; return how many bytes there are."""
        size = self.size = self.size + len(part)
        parts = self._parts
        parts.append(part)
        if len(parts) == _MANY:
            self._gather()
        return size

    def _gather(self) -> None:
        parts, self._parts = self._parts, []
        size = sum(map(len, parts))
        if size:
            self._former += parts if size >= _MANY * _SMALL else (b"".join(parts),)

    def join(self) -> bytes:
        """Return all parts as one."""
        return b"".join((*self._former, *self._parts))

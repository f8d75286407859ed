"""How much memory a server lends to its clients, together and to each: what limits for one of them do not bound.

A limit on connections times one on the length of a frame is more than a machine has. So what is long is lent out of one
sum, at most half of it to one origin: whoever takes all that he gets leaves as much to the others. Who finds too little
waits, or is refused.
"""

from __future__ import annotations

from collections import Counter
from threading import Condition

__all__ = ["Budget", "Share"]


class Budget:
    """So many bytes, at most half of them for one origin (`admission.origin`)."""

    __slots__ = ("_changed", "_lent", "_most")

    def __init__(self, most: int) -> None:
        """Begin with nothing lent."""
        self._most = most
        self._changed = Condition()
        self._lent: Counter[str] = Counter()

    def share(self, origin: str) -> Share:
        """Return what one connection or application of an origin has of it: nothing yet."""
        return Share(self, origin)

    def lend(self, origin: str, size: int, seconds: float) -> bool:
        """Lend so many bytes more, or take them back where `size` is negative; whether they were there in time."""
        lent = self._lent

        def is_there() -> bool:
            return lent.total() + size <= self._most and lent[origin] + size <= self._most // 2

        with self._changed:
            if size > self._most // 2 or (size > 0 and not self._changed.wait_for(is_there, seconds)):
                return False
            lent[origin] += size
            if not lent[origin]:
                del lent[origin]
            if size < 0:
                self._changed.notify_all()
        return True


class Share:
    """What one connection or application holds of a budget, `held`; used by one thread at a time."""

    __slots__ = ("_budget", "_origin", "held")

    def __init__(self, budget: Budget, origin: str) -> None:
        """Hold nothing."""
        self._budget = budget
        self._origin = origin
        self.held = 0

    def hold(self, size: int, seconds: float = 0.0) -> bool:
        """Hold so many bytes from now on; whether they were there in time, else it holds what it held."""
        if size == self.held:
            return True
        if not self._budget.lend(self._origin, size - self.held, seconds):
            return False
        self.held = size
        return True

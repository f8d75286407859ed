"""How often a server signs for one origin: whoever asks for a statement or begins a handshake costs it a signature.

Nothing that is signed can be given twice, since it is over the client's nonce. So an origin has so many at once, and so
many a second from then on; its further ones wait for their turn, each on its own connection, and others' do not.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace"]

_APART = 1 / 200  # seconds
_AT_ONCE = 2.0  # seconds that an origin may be ahead: 400 signatures
_MOST = 4096  # origins; beyond that the oldest is forgotten


class Pace:
    """When it is an origin's turn."""

    __slots__ = ("_clock", "_due", "_lock", "_wait")

    def __init__(self, clock: Callable[[], float] = monotonic, wait: Callable[[float], object] = sleep) -> None:
        """Begin with nobody; tests replace the clock and the waiting."""
        self._clock, self._wait = clock, wait
        self._lock = allocate_lock()
        self._due: dict[str, float] = {}

    def keep(self, origin: str) -> None:
        """Wait until it is this origin's turn."""
        with self._lock:
            now = self._clock()
            due = self._due[origin] = max(self._due.pop(origin, 0.0), now - _AT_ONCE) + _APART
            if len(self._due) > _MOST:
                del self._due[next(iter(self._due))]
        if due > now:
            self._wait(due - now)

"""PIN guessing slowed per address: what a server adds to the delays that each token has.

A token delays whoever tries its PIN; an address that tries many tokens would meet no delay. So wrong PINs are counted
by address (`admission.origin`), whichever token they were for. After the first few, attempts from there are made one
after the other, and each waits before it is made, longer each time; where many wait, more are refused. A right PIN does
not make up for wrong ones; time does. A try that a token refuses with CKR_PIN_LOCKED says nothing of the PIN and does
not count: else who keeps a token locked would have the addresses of all its users slowed too.
"""

from __future__ import annotations

from _thread import LockType, allocate_lock
from time import monotonic, sleep

from ptkc.hsm.admission import origin
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Attempts"]

_FREE = 5
_FIRST, _LONGEST = 0.25, 8.0  # seconds
_WAITING = 8  # attempts of one address
_FORGOTTEN = 60.0  # seconds, for each wrong PIN
_COUNTED = 64  # wrong PINs: after an hour the worst address is as good as any
_MOST = 4096  # addresses; beyond that the oldest is forgotten


class _Source:
    """What is known of an address: how many wrong PINs, and when the last one was."""

    __slots__ = ("at", "failures", "lock", "waiting")

    def __init__(self) -> None:
        self.failures = 0.0
        self.at = 0.0
        self.waiting = 0
        self.lock: LockType = allocate_lock()

    def age(self, now: float) -> None:
        """Forget what is long ago."""
        self.failures = max(0.0, self.failures - (now - self.at) / _FORGOTTEN)
        self.at = now


class Attempts:
    """Wrong PINs by address."""

    __slots__ = ("_clock", "_lock", "_sources", "_wait")

    def __init__(self, clock: Callable[[], float] = monotonic, wait: Callable[[float], object] = sleep) -> None:
        """Begin with none; tests replace the clock and the waiting."""
        self._clock, self._wait = clock, wait
        self._lock = allocate_lock()
        self._sources: dict[str, _Source] = {}

    def make(self, address: str, attempt: Callable[[], Any]) -> Any:  # noqa: ANN401 - as `attempt`
        """Return what an attempt with a PIN gives, a value or the `CryptokiError` that it is refused with."""
        place = origin(address)
        with self._lock:
            source = self._sources.pop(place, None) or _Source()
            self._sources[place] = source
            if len(self._sources) > _MOST:
                del self._sources[next(iter(self._sources))]
            source.age(self._clock())
            is_free = source.failures < _FREE
            if not is_free and source.waiting >= _WAITING:
                return CryptokiError(CKR.PIN_LOCKED, f"too many wrong PINs from {address}, and attempts that wait")
            source.waiting += not is_free
        if is_free:
            return self._counted(source, attempt)
        try:
            with source.lock:
                self._wait(min(_LONGEST, _FIRST * 2 ** int(source.failures - _FREE)))
                return self._counted(source, attempt)
        finally:
            with self._lock:
                source.waiting -= 1

    def _counted(self, source: _Source, attempt: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        """Make the attempt, and count it if the PIN was wrong."""
        result = attempt()
        if isinstance(result, CryptokiError) and result.code == CKR.PIN_INCORRECT:
            with self._lock:
                source.age(self._clock())
                source.failures = min(source.failures + 1, _COUNTED)
        return result

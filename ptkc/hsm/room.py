"""How much memory a served application may take: its session objects, and what operations keep of their input.

Anybody may have them, without a login. Objects are added up as they come and go, and counted anew only when the sum has
reached a limit: what went meanwhile, and did not say so, is found out then. What operations keep is claimed, and given
back with the last reference to the claim, whatever it was that ended the operation.
"""

from __future__ import annotations

from _thread import RLock

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["Claim", "Room", "weight"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptkc.hsm.budget import Share
    from ptkc.hsm.session import Session
    from ptkc.objects.object import Object

_AROUND = 4096  # bytes that an object takes beside its values, about
_SPARE = 4


def weight(value: object) -> int:
    """Return how many bytes of content there are in bytes, or in all that a tuple or a dictionary has."""
    if isinstance(value, (bytes, memoryview)):
        return len(value)
    if isinstance(value, dict):
        value = tuple(value.values())
    return sum(map(weight, value)) if isinstance(value, tuple) else 0


class Claim:
    """So many bytes of a room, until nothing refers to this any more; used by one thread at a time.

    It must be in no cycle of references: it is to go at once, and not when some other allocation has the cycle found.
    """

    __slots__ = ("_beside", "_held", "_room", "_spare")

    def __init__(self, room: Room, beside: int, *, spare: bool) -> None:
        """Hold nothing yet; `beside` is what is always held together with what is said."""
        self._room = room
        self._beside = beside
        self._spare = spare
        self._held = 0

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on; CKR_DEVICE_MEMORY, and it holds what it held."""
        more = size + self._beside - self._held
        if more:
            self._room.grow(more, spare=self._spare)
            self._held += more

    def __del__(self) -> None:
        """Give them back."""
        if self._held:
            self._room.grow(-self._held, spare=self._spare)


class Room:
    """So many bytes for one application, out of a server's budget; of its objects the caller has the lock.

    What claims have that are `spare`, which can be done without, is never more than a quarter of it.
    """

    __slots__ = ("_claimed", "_lock", "_most", "_objects", "_share", "_spare")

    def __init__(self, most: int, share: Share | None = None) -> None:
        """Begin with nothing taken."""
        self._most = most
        self._share = share
        self._lock = RLock()
        self._objects = self._claimed = self._spare = 0

    def claim(self, *beside: object, spare: bool = False) -> Claim:
        """Return what an operation has of it: nothing yet; `beside` is counted with what it will have."""
        return Claim(self, weight(beside), spare=spare)

    def grow(self, more: int, *, spare: bool) -> None:
        """Take so many bytes more for claims, or give them back where that is negative; CKR_DEVICE_MEMORY."""
        with self._lock:
            is_too_much = spare and more > 0 and self._spare + more > self._most // _SPARE
            if is_too_much or not self._fits(more):
                raise CryptokiError(CKR.DEVICE_MEMORY, f"operations keep {self._claimed} bytes, and {more} more")
            self._claimed += more
            if spare:
                self._spare += more

    def take(self, objects: Iterable[Object], sessions: Iterable[Session], former: Object | None = None) -> None:
        """Take what objects need together, in place of a former one; CKR_DEVICE_MEMORY if that is no longer there.

        `sessions` are those that there are.
        """
        more = sum(map(_size, objects)) - (0 if former is None else _size(former))
        with self._lock:
            if not self._fits(more):
                self._objects = sum(_size(one) for session in sessions for one in list(session.objects.values()))
                if not self._fits(more):
                    raise CryptokiError(CKR.DEVICE_MEMORY, f"objects take {self._objects} bytes, and {more} more")
            self._objects = max(self._objects + more, 0)

    def give(self, objects: Iterable[Object]) -> None:
        """Give back what objects took that are gone."""
        less = sum(map(_size, objects))
        with self._lock:
            self._objects = max(self._objects - less, 0)
            self._fits(0)

    def clear(self) -> None:
        """Give back what all objects took: there are none."""
        with self._lock:
            self._objects = 0
            self._fits(0)

    def _fits(self, more: int) -> bool:
        """Whether there is room, which is held from now on."""
        size = max(self._objects + self._claimed + more, 0)
        return (more <= 0 or size <= self._most) and (self._share is None or self._share.hold(size))


def _size(obj: Object) -> int:
    return _AROUND + sum(map(len, obj.attributes.values()))

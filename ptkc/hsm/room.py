"""How much memory session objects, and operations that keep their parts, may take of a served application.

Anybody may have them, without a login. Their bytes are added up as they come, and counted anew only when the sum has
reached a limit: what went meanwhile, and did not say so, is found out then.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["Room"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptkc.hsm.budget import Share
    from ptkc.hsm.session import Session
    from ptkc.objects.object import Object

_AROUND = 4096  # bytes that an object takes beside its values, about


class Room:
    """So many bytes for the session objects of one application, out of a server's budget; the caller has its lock."""

    __slots__ = ("_most", "_share", "_taken")

    def __init__(self, most: int, share: Share | None = None) -> None:
        """Begin with nothing taken."""
        self._most = most
        self._share = share
        self._taken = 0

    def take(self, obj: Object, sessions: Iterable[Session], former: Object | None = None) -> None:
        """Take what an object needs, in place of a former one; CKR_DEVICE_MEMORY if that is no longer there.

        `sessions` are those that there are.
        """
        self.grow(_size(obj) - (0 if former is None else _size(former)), sessions)

    def grow(self, more: int, sessions: Iterable[Session]) -> None:
        """Take so many bytes more, or give them back where that is negative; CKR_DEVICE_MEMORY as `take`."""
        if not self._fits(more):
            self._taken = sum(_taken_by(session) for session in sessions)
            if not self._fits(more):
                raise CryptokiError(CKR.DEVICE_MEMORY, f"sessions take {self._taken} bytes, and {more} more")
        self._taken = max(self._taken + more, 0)

    def give(self, objects: Iterable[Object]) -> None:
        """Give back what objects took that are gone."""
        self.grow(-sum(map(_size, objects)), ())

    def _fits(self, more: int) -> bool:
        """Whether there is room, which is held from now on."""
        size = max(self._taken + more, 0)
        return (more <= 0 or size <= self._most) and (self._share is None or self._share.hold(size))

    def clear(self) -> None:
        """Give all back: there are no session objects."""
        self._taken = 0
        if self._share is not None:
            self._share.hold(0)


def _taken_by(session: Session) -> int:
    """Return what objects and operations of a session take."""
    kept: int = sum(active.operation.kept for active in list(session.operations.values()))
    return kept + sum(map(_size, list(session.objects.values())))


def _size(obj: Object) -> int:
    return _AROUND + sum(map(len, obj.attributes.values()))

"""How much memory the session objects of a served application may take: anybody may make them, without a login.

Their bytes are added up as they come, and counted anew only when the sum has reached the limit: what went meanwhile is
found out then.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["Room"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptkc.hsm.session import Session
    from ptkc.objects.object import Object

_AROUND = 4096  # bytes that an object takes beside its values, about


class Room:
    """So many bytes for the session objects of one application; the caller has its lock."""

    __slots__ = ("_most", "_taken")

    def __init__(self, most: int) -> None:
        """Begin with nothing taken."""
        self._most = most
        self._taken = 0

    def take(self, obj: Object, sessions: Iterable[Session], former: Object | None = None) -> None:
        """Take what an object needs, in place of a former one; CKR_DEVICE_MEMORY if that is no longer there.

        `sessions` have those that are.
        """
        more = _size(obj) - (0 if former is None else _size(former))
        if more > 0 and self._taken + more > self._most:
            self._taken = sum(_size(other) for session in sessions for other in list(session.objects.values()))
            if self._taken + more > self._most:
                raise CryptokiError(CKR.DEVICE_MEMORY, f"session objects take {self._taken} bytes, and {more} more")
        self._taken += more


def _size(obj: Object) -> int:
    return _AROUND + sum(map(len, obj.attributes.values()))

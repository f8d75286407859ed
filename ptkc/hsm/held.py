"""What an application keeps of logins and behind object handles."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.features import Feature
    from ptkc.hsm.session import Session
    from ptkc.objects.object import Object
    from ptkc.token.tokens import Token

__all__ = ["Held", "Login"]


class Login:
    """Who is logged in to a token: CKU_SO or CKU_USER, and the token key the PIN opened; `over` after the logout."""

    __slots__ = ("key", "over", "role")

    def __init__(self, role: int, key: bytes) -> None:
        """Keep the role and the token key (32 bytes)."""
        self.role = role
        self.key = key
        self.over = False


class Held:
    """What an object handle stands for: a session object, a token object as it was at `stamp`, or a feature."""

    __slots__ = ("feature", "object", "record", "session", "stamp", "token")

    def __init__(
        self,
        token: Token,
        record: int | None,
        obj: Object | None,
        session: Session | None = None,
        feature: Feature | None = None,
    ) -> None:
        """Hold a token object by its record number, a session object with the session that made it, or a feature."""
        self.token = token
        self.feature = feature
        self.record = record
        self.object = obj
        self.session = session
        self.stamp: int | None = None

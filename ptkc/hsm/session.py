"""A session and its operations.

Theory of operation: an operation is begun by its Init call, and is then either finished by one single-part call, or
takes parts until its Final call. `NEXT` is the whole state machine; a pair that is not there is the error. When an
operation ends is written once, in `Session.produce`: a call takes the operation out of the session; only a length
query, CKR_BUFFER_TOO_SMALL and a part that succeeded put it back (specification 5.2 and the text of each function).
"""

from __future__ import annotations

from ptkc.objects.object import Object
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.token.tokens import Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["FINISH", "SINGLE", "UPDATE", "Active", "Session"]

READY, PARTS, END = "ready", "parts", "end"
SINGLE, UPDATE, FINISH = "single", "update", "finish"

NEXT = {
    (READY, SINGLE): END,
    (READY, UPDATE): PARTS,
    (READY, FINISH): END,
    (PARTS, UPDATE): PARTS,
    (PARTS, FINISH): END,
}


class Active:
    """An operation in a session: what the mechanism gave, how far it is, and what it needs before it may go on."""

    __slots__ = ("locked", "login", "mechanism", "operation", "state")

    def __init__(
        self,
        operation: Any,  # noqa: ANN401 - Operation or Verification
        mechanism: int,
        *,
        login: Any = None,  # noqa: ANN401 - an application's Login
        locked: bool = False,
    ) -> None:
        """Keep an operation of a mechanism.

        `login` is the one that a private key was used under: the operation ends with it. `locked` until a
        context-specific login (CKA_ALWAYS_AUTHENTICATE).
        """
        self.operation = operation
        self.mechanism = mechanism
        self.state = READY
        self.login = login
        self.locked = locked


class Session:
    """A session of an application with a token.

    `room` is asked, with the length of a part, by operations that keep their parts, and given back what they kept; it
    raises CKR_DEVICE_MEMORY.
    """

    __slots__ = ("flags", "found", "handle", "objects", "operations", "room", "slot", "token")

    def __init__(self, token: Token, flags: int) -> None:
        """Open it; `flags` are those of C_OpenSession. `slot` stays what it was, should slots be deleted."""
        self.token = token
        self.slot = token.slot
        self.flags = flags
        self.handle = 0
        self.objects: dict[int, Object] = {}
        self.operations: dict[str, Active] = {}
        self.found: list[int] | None = None
        self.room: Callable[[int], None] | None = None

    @property
    def writable(self) -> bool:
        """Whether it is a read/write session."""
        return bool(self.flags & CKF.RW_SESSION)

    def begin(self, kind: str, active: Active) -> None:
        """Begin an operation; CKR_OPERATION_ACTIVE if one of this kind is under way."""
        if self.operations.setdefault(kind, active) is not active:
            raise CryptokiError(CKR.OPERATION_ACTIVE, f"{kind} is under way")

    def _take(self, kind: str, step: str) -> Active:
        """Take the operation out of the session for `step`: it has ended unless it is put back."""
        active = self.operations.pop(kind, None)
        if active is None or (active.login is not None and active.login.over):
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, f"no {kind}")
        if active.locked:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, f"{kind} needs a context-specific login")
        if (active.state, step) not in NEXT:
            raise CryptokiError(CKR.OPERATION_ACTIVE, f"{kind} is under way in parts")
        if step is not SINGLE and not active.operation.multi_part:
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, f"this {kind} has a single part")
        return active

    def produce(self, kind: str, step: str, data: bytes, room: int | None) -> bytes | int:
        """Do a step that gives output into `room` bytes, or answer a length query (`room` None) with an int."""
        active = self._take(kind, step)
        operation = active.operation
        length: int
        result: bytes
        exact = operation.exact
        if step is SINGLE:
            length = operation.length(len(data))
        elif step is UPDATE:
            length, exact = operation.update_length(len(data)), True
        else:
            length = operation.finish_length()
        if room is None:
            self.operations[kind] = active
            # "Nothing" would have callers like PyKCS11 pass NULL again, and the part would never be taken.
            return length or len(data)
        if not exact or room >= length:
            if step is SINGLE:
                result = operation.single(data)
            elif step is UPDATE:
                result = operation.update(data)
                self._go_on(kind, active, len(data))
            else:
                result = operation.finish()
            length = len(result)
            if room >= length:
                if step is FINISH:
                    self._give_back(operation.kept)
                return result
        self.operations[kind] = active
        raise BufferTooSmallError(length)

    def _go_on(self, kind: str, active: Active, size: int) -> None:
        """Let an operation go on after a part; it ends where it keeps its parts and there is no room for this one."""
        active.state = PARTS
        self.operations[kind] = active
        if self.room is not None and active.operation.kept:
            try:
                self.room(size)
            except CryptokiError:
                self.operations.pop(kind, None)
                raise

    def _give_back(self, kept: int) -> None:
        """Give back the room of an operation that is over."""
        if self.room is not None and kept:
            self.room(-kept)

    def absorb(self, kind: str, data: bytes) -> None:
        """Do a part that gives no output (C_DigestUpdate, C_SignUpdate, C_VerifyUpdate)."""
        active = self._take(kind, UPDATE)
        active.operation.update(data)
        self._go_on(kind, active, len(data))

    def check(self, kind: str, step: str, data: bytes, signature: bytes) -> None:
        """Do the step that ends a verification: SINGLE over `data`, or FINISH."""
        operation = self._take(kind, step).operation
        if step is SINGLE:
            operation.single(data, signature)
        else:
            self._give_back(operation.kept)
            operation.finish(signature)

    def waiting(self) -> Active:
        """Return the operation begun last of those that wait for a context-specific login: one login is for one use.

        CKR_OPERATION_NOT_INITIALIZED if none waits.
        """
        for active in reversed(list(self.operations.values())):
            if active.locked:
                return active
        raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no operation waits for a context-specific login")

    def end_private(self) -> None:
        """End what was begun with a private object, as C_Logout does."""
        for kind, active in list(self.operations.items()):
            if active.login is not None:
                self.operations.pop(kind, None)
        self.found = None

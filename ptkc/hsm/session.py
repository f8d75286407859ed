"""A session and its operations.

Theory of operation: an operation is begun by its Init call, and is then either finished by one single-part call, or
takes parts until its Final call. `NEXT` is the whole state machine; a pair that is not there is the error. When an
operation ends is written once, in `Session.produce`: a call takes the operation out of the session; only a length
query, CKR_BUFFER_TOO_SMALL and a part that succeeded put it back (specification 5.2 and the text of each function).

A message-based operation stays until its own Final call: what begins and ends in it are messages, and an error ends the
message that is under way, never the operation. `MESSAGES` is its state machine, `Session.converse` the one rule.
"""

from __future__ import annotations

from ptkc.hsm.active import PARTS, READY, Active, ActiveMessages
from ptkc.objects.object import Object
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.token.tokens import Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.hsm.room import Room

__all__ = ["BEGIN", "FINISH", "LAST", "MESSAGE", "PART", "SINGLE", "UPDATE", "Session"]

END = "end"
SINGLE, UPDATE, FINISH = "single", "update", "finish"

NEXT = {
    (READY, SINGLE): END,
    (READY, UPDATE): PARTS,
    (READY, FINISH): END,
    (PARTS, UPDATE): PARTS,
    (PARTS, FINISH): END,
}

MESSAGE, BEGIN, PART, LAST = "message", "begin", "part", "last"

MESSAGES = {
    (READY, MESSAGE): READY,
    (READY, BEGIN): PARTS,
    (PARTS, PART): PARTS,
    (PARTS, LAST): READY,
    (READY, FINISH): END,
}

class Session:
    """A session of an application with a token.

    Where there is a `room`, operations have what they keep of their input out of it.
    """

    __slots__ = ("flags", "found", "handle", "objects", "operations", "pending", "room", "slot", "token")

    def __init__(self, token: Token, flags: int) -> None:
        """Open it; `flags` are those of C_OpenSession. `slot` stays what it was, should slots be deleted."""
        self.token = token
        self.slot = token.slot
        self.flags = flags
        self.handle = 0
        self.objects: dict[int, Object] = {}
        self.operations: dict[str, Active] = {}
        self.pending: dict[str, Any] = {}  # by function: hsm.asynchronous
        self.found: list[int] | None = None
        self.room: Room | None = None

    @property
    def writable(self) -> bool:
        """Whether it is a read/write session."""
        return bool(self.flags & CKF.RW_SESSION)

    def begin(self, kind: str, active: Active) -> None:
        """Begin an operation; CKR_OPERATION_ACTIVE if one of this kind is under way, CKR_DEVICE_MEMORY."""
        if self.room is not None:
            self.count(active)
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
            # The functions of this kind alone have no CKR_OPERATION_ACTIVE in their lists.
            code = CKR.OPERATION_NOT_INITIALIZED if kind == "verify_signature" else CKR.OPERATION_ACTIVE
            raise CryptokiError(code, f"{kind} is under way in parts")
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
                self._go_on(kind, active, data)
            else:
                result = operation.finish()
            length = len(result)
            if room >= length:
                return result
        self.operations[kind] = active
        raise BufferTooSmallError(length)

    def _go_on(self, kind: str, active: Active, part: bytes) -> None:
        """Let an operation go on after a part; it ends where it keeps its parts and there is no room for this one."""
        active.state = PARTS
        active.remember(part)
        if self.room is not None:
            self.count(active)
        self.operations[kind] = active

    def count(self, active: Active) -> None:
        """Have room for what an operation keeps; CKR_DEVICE_MEMORY. What could only be saved goes before that."""
        room = self.room
        if room is None:
            return
        if active.claim is None:
            active.claim = room.claim((active.parameter, active.signature))
        try:
            active.claim.hold(active.kept)
        except CryptokiError:
            active.forget()
            active.claim.hold(active.kept)
        if active.given is None:
            return
        if active.spare is None:
            active.spare = room.claim(spare=True)
        try:
            active.spare.hold(active.given.size)
        except CryptokiError:
            active.forget()

    def absorb(self, kind: str, data: bytes) -> None:
        """Do a part that gives no output (C_DigestUpdate, C_SignUpdate, C_VerifyUpdate)."""
        active = self._take(kind, UPDATE)
        active.operation.update(data)
        self._go_on(kind, active, data)

    def produce_both(self, kind: str, other: str, data: bytes, room: int | None) -> bytes | int:
        """Do a part of two operations: `kind` gives output, `other` takes what is in clear (specification 5.14).

        Both must be active, else nothing is touched; nothing is passed to `other` unless there is output; whatever
        ends one of them ends both.
        """
        if kind not in self.operations or other not in self.operations:
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, f"no {kind} and {other}")
        active: Any = None
        try:
            active = self._take(other, UPDATE)
            result = self.produce(kind, UPDATE, data, room)
            if not isinstance(result, int):
                clear = data if kind == "encrypt" else result
                active.operation.update(clear)
                self._go_on(other, active, clear)
            else:
                self.operations[other] = active
        except BufferTooSmallError:
            self.operations[other] = active
            raise
        except CryptokiError:
            self.operations.pop(kind, None)
            raise
        return result

    def check(self, kind: str, step: str, data: bytes, signature: bytes | None = None) -> None:
        """Do the step that ends a verification: SINGLE over `data`, or FINISH; None for the signature of the Init."""
        active = self._take(kind, step)
        if signature is None:
            signature = active.signature
        if step is SINGLE:
            active.operation.single(data, signature)
        else:
            active.operation.finish(signature)

    def converse(self, kind: str, step: str, work: Callable[[ActiveMessages], Any]) -> Any:  # noqa: ANN401 - as `work`
        """Do a step of a message-based operation: return what `work` returns; an int of it answers a length query.

        A step that does not fit, a length query and CKR_BUFFER_TOO_SMALL leave the message as it is; any other error
        ends it. CKR_OPERATION_NOT_INITIALIZED, CKR_OPERATION_ACTIVE, CKR_USER_NOT_LOGGED_IN.
        """
        active = self._messages(kind)
        try:
            following = MESSAGES.get((active.state, step))
            if following is None:
                code = CKR.OPERATION_NOT_INITIALIZED if active.state == READY else CKR.OPERATION_ACTIVE
                raise CryptokiError(code, f"{kind}: messages are {active.state}, which allows no {step}")
            if active.locked:
                raise CryptokiError(CKR.USER_NOT_LOGGED_IN, f"{kind} needs a context-specific login for each message")
            try:
                result = work(active)
                self.count(active)
            except BufferTooSmallError:
                raise
            except BaseException:
                active.end_message()
                raise
            if following == READY and not isinstance(result, int):
                active.end_message()
            elif following == PARTS:
                active.state = PARTS
        finally:
            if active.claim is not None:
                active.claim.hold(active.kept)  # what it kept before, or less
            self.operations[kind] = active
        return result

    def conclude(self, kind: str) -> None:
        """End a message-based operation; CKR_OPERATION_ACTIVE, and nothing is changed, in the middle of a message."""
        active = self._messages(kind)
        if (active.state, FINISH) not in MESSAGES:
            self.operations[kind] = active
            raise CryptokiError(CKR.OPERATION_ACTIVE, f"{kind}: a message is under way")

    def _messages(self, kind: str) -> ActiveMessages:
        """Take a message-based operation out of the session; CKR_OPERATION_NOT_INITIALIZED."""
        active = self.operations.pop(kind, None)
        if not isinstance(active, ActiveMessages) or (active.login is not None and active.login.over):
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, f"no {kind}")
        return active

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
        for function, pending in list(self.pending.items()):
            if pending.role is not None:
                self.pending.pop(function, None)
        self.found = None

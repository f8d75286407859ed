"""A session and its operations.

Theory of operation: an operation is begun by its Init call, and is then either finished by one single-part call, or
takes parts until its Final call. `NEXT` is the whole state machine; a pair that is not there is the error. When an
operation ends is written once, in `Session.produce`: a call takes the operation out of the session; only a length
query, CKR_BUFFER_TOO_SMALL and a part that succeeded put it back (specification 5.2 and the text of each function).

A message-based operation stays until its own Final call: what begins and ends in it are messages, and an error ends the
message that is under way, never the operation. `MESSAGES` is its state machine, `Session.converse` the one rule.
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

__all__ = [
    "BEGIN", "FINISH", "LAST", "MESSAGE", "PART", "SINGLE", "UPDATE", "Active", "ActiveMessages", "Session",
]  # fmt: skip

READY, PARTS, END = "ready", "parts", "end"
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

REMEMBERED = 1 << 20
"""How many bytes of what an operation was given are kept for C_GetOperationState; with more it cannot be saved."""


class Active:
    """An operation in a session: what the mechanism gave, how far it is, and what it needs before it may go on.

    `given` are the parts so far, from which C_SetOperationState makes the operation anew; None if they cannot be saved.
    """

    __slots__ = (
        "_room",
        "given",
        "key",
        "locked",
        "login",
        "mechanism",
        "operation",
        "parameter",
        "signature",
        "state",
    )

    def __init__(
        self,
        operation: Any,  # noqa: ANN401 - Operation or Verification
        mechanism: int,
        parameter: object = None,
        key: Object | None = None,
        *,
        login: Any = None,  # noqa: ANN401 - an application's Login
        locked: bool = False,
        signature: bytes = b"",
    ) -> None:
        """Keep an operation of a mechanism.

        `signature` is the one that C_VerifySignatureInit got. `login` is the one that a private key was used under: the
        operation ends with it. `locked` until a context-specific login (CKA_ALWAYS_AUTHENTICATE).
        """
        self.operation = operation
        self.mechanism = mechanism
        self.parameter = parameter
        self.key = key
        self.state = READY
        self.login = login
        self.locked = locked
        self.signature = signature
        self.given: list[bytes] | None = []
        self._room = REMEMBERED

    def remember(self, part: bytes) -> None:
        """Keep a part that the operation has taken, as long as there is room."""
        if self.given is not None:
            self._room -= len(part)
            if self._room < 0:
                self.given = None
            else:
                self.given.append(part)


class ActiveMessages(Active):
    """A message-based operation: `operation` begins messages, `message` is the one that is under way in parts.

    Each message is a use of the key: `guarded` keys want a context-specific login for each, and limited ones count it.
    """

    __slots__ = ("guarded", "message")

    def __init__(self, *arguments: Any, locked: bool = False, **more: Any) -> None:  # noqa: ANN401 - as `Active`
        """Keep what begins messages."""
        super().__init__(*arguments, locked=locked, **more)
        self.guarded = locked
        self.message: Any = None

    def end_message(self) -> None:
        """Be ready for another message, which a guarded key wants another login for."""
        self.state = READY
        self.message = None
        self.locked = self.guarded


class Session:
    """A session of an application with a token.

    `room` is asked, with the length of a part, by operations that keep their parts, and given back what they kept; it
    raises CKR_DEVICE_MEMORY.
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
                if step is FINISH:
                    self._give_back(operation.kept)
                return result
        self.operations[kind] = active
        raise BufferTooSmallError(length)

    def _go_on(self, kind: str, active: Active, part: bytes) -> None:
        """Let an operation go on after a part; it ends where it keeps its parts and there is no room for this one."""
        active.state = PARTS
        active.remember(part)
        self.operations[kind] = active
        if self.room is not None and active.operation.kept:
            try:
                self.room(len(part))
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
                active.state = PARTS
                active.remember(clear)
        except BufferTooSmallError:
            self.operations[other] = active
            raise
        except CryptokiError:
            self.operations.pop(kind, None)
            raise
        self.operations[other] = active
        return result

    def check(self, kind: str, step: str, data: bytes, signature: bytes | None = None) -> None:
        """Do the step that ends a verification: SINGLE over `data`, or FINISH; None for the signature of the Init."""
        active = self._take(kind, step)
        if signature is None:
            signature = active.signature
        if step is SINGLE:
            active.operation.single(data, signature)
        else:
            self._give_back(active.operation.kept)
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

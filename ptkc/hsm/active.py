"""Operations as a session has them: what the mechanism gave, and what goes with it."""

from __future__ import annotations

from ptkc.mechanisms.parts import Parts
from ptkc.objects.object import Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ptkc.hsm.room import Claim

__all__ = ["PARTS", "READY", "REMEMBERED", "Active", "ActiveMessages"]

READY, PARTS = "ready", "parts"

REMEMBERED = 1 << 20
"""How many bytes of what an operation was given are kept for C_GetOperationState; with more it cannot be saved."""


class Active:
    """An operation in a session: what the mechanism gave, how far it is, and what it needs before it may go on.

    `given` is what it took so far, from which C_SetOperationState makes the operation anew: None if nothing yet, or if
    it cannot be saved. Where memory is counted, `claim` is the room that it has, and `spare` that for what is given.
    """

    __slots__ = (
        "claim", "given", "is_savable", "key", "locked", "login", "mechanism", "operation", "parameter", "signature",
        "spare", "state",
    )  # fmt: skip

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
        self.given: Parts | None = None
        self.is_savable = True
        self.claim: Claim | None = None
        self.spare: Claim | None = None

    def remember(self, part: bytes) -> None:
        """Keep a part that the operation has taken, until they are too many bytes."""
        given = self.given
        if given is None:
            if not self.is_savable:
                return
            given = self.given = Parts()
        if given.add(part) > REMEMBERED:
            self.forget()

    def forget(self) -> None:
        """Keep no parts, now and later: the operation cannot be saved."""
        self.is_savable = False
        self.given = self.spare = None

    @property
    def kept(self) -> int:
        """How many bytes of its input the operation itself keeps."""
        kept: int = self.operation.kept
        return kept


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

    @property
    def kept(self) -> int:
        """How many bytes of the message that is under way are kept."""
        kept: int = 0 if self.message is None else self.message.kept
        return kept

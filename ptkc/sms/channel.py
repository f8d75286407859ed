"""A channel: what a handshake gives to each end, for requests and replies that are protected as the policy wants.

What a message needs is decided by the policy, which both ends know, and by whether it is sensitive, which both ask the
same function; so nobody can forget it, and nobody on the wire can take it away. More protection than needed is
accepted. A channel is used by one thread at a time, for one request and its reply after the other.
"""

from __future__ import annotations

from collections import namedtuple

from ptkc.sms.conversation import Conversation
from ptkc.sms.errors import FrameError, LocalError
from ptkc.sms.frames import LARGEST, LARGEST_ASSOCIATED
from ptkc.sms.keys import identifier_of
from ptkc.sms.protection import reply_needs, request_needs
from ptkc.sms.state import CLIENT, ENDED, REPLY, REQUEST
from ptkc.spec.constants import CKR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.sms.bodies import Statement
    from ptkc.spec.errors import CryptokiError

__all__ = ["Channel", "Message"]

Message = namedtuple("Message", "payload associated protection")
"""What was received: the payload, what it is bound to, and which protection the frame had."""


class Channel:
    """One end of a channel.

    `statement` is what the HSM said of itself, `policy` what both ends want together, `outcome` what the HSM said of
    the application, `secret` the application's: a new one, or the one that was proved.
    """

    __slots__ = (
        "_conversation", "_in_needs", "_is_sensitive", "_out_needs", "_receives", "_sends", "outcome", "policy",
        "secret", "statement",
    )  # fmt: skip

    def __init__(
        self, conversation: Conversation, statement: Statement, policy: int, outcome: int, secret: bytes,
        is_sensitive: Callable[[bytes], bool],
    ) -> None:  # fmt: skip
        """Begin after a handshake.

        `is_sensitive` says of any bytes whether they are a sensitive request; of bytes that are no request too, or
        an encrypted one could be passed for one in clear.
        """
        self._conversation = conversation
        self._is_sensitive = is_sensitive
        self.statement = statement
        self.policy = policy
        self.outcome = outcome
        self.secret = secret
        requests = (request_needs(policy, sensitive=False), request_needs(policy, sensitive=True))
        replies = (reply_needs(policy), reply_needs(policy))
        is_client = conversation.end == CLIENT
        self._sends, self._receives = (REQUEST, REPLY) if is_client else (REPLY, REQUEST)
        self._out_needs, self._in_needs = (requests, replies) if is_client else (replies, requests)

    def __repr__(self) -> str:
        return f"<channel {self.number} of HSM {self.statement.serial}, {self._conversation.state}>"

    @property
    def number(self) -> int:
        """The number that the HSM gave to it."""
        return self._conversation.number

    @property
    def application(self) -> bytes:
        """The identifier of the application that it belongs to."""
        return identifier_of(self.secret)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._conversation.state != ENDED

    @property
    def cause(self) -> CryptokiError | None:
        """Why it has ended, None if it has not, or in good order."""
        return self._conversation.cause

    @property
    def farewell(self) -> bytes:
        """The frame that tells the peer of the end; empty if it is not the end, or the peer knows."""
        return self._conversation.farewell

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many frames were sent and received, those of the handshake included, and how often keys rolled over."""
        return self._conversation.counts

    def seal(self, payload: bytes, associated: bytes = b"") -> bytes:
        """Return the frame of a request (client) or a reply (HSM), with at least the protection that it needs.

        `associated` (up to 255 bytes) goes with it readably and is protected with it. CKR_NO_SESSION_KEYS at an end,
        CKR_KEY_ROLLOVER where the channel is used up, CKR_DEVICE_MEMORY for what is too long: it lives on then.
        """
        if len(payload) > LARGEST or len(associated) > LARGEST_ASSOCIATED:
            raise LocalError(CKR.DEVICE_MEMORY, f"{len(payload)} bytes, {len(associated)} associated")
        plain, sensitive = self._out_needs
        if plain != sensitive and self._is_sensitive(payload):
            plain = sensitive
        return self._conversation.send(self._sends, plain, payload, associated)

    def open(self, data: bytes | memoryview) -> Message:
        """Return the request (HSM) or the reply (client) in a frame.

        Any failure is the end, and `farewell` then says so to the peer. `FrameError` and `AuthenticationError` with
        CKR_BAD_PROTECTION, CKR_BAD_REQ_SIGNATURE, CKR_BAD_REPLY_SIGNATURE, CKR_BAD_REPLY, CKR_SMS_ERROR or
        CKR_KEY_ROLLOVER; `TerminatedError` and `RefusedError` if the peer ends it.
        """
        plain, sensitive = self._in_needs
        frame, payload = self._conversation.receive(data, plain)
        if sensitive & ~frame.protection and self._is_sensitive(payload):
            error = FrameError(CKR.BAD_PROTECTION, f"a sensitive request with protection {frame.protection:#x}")
            self._conversation.fail(error)
            raise error
        return Message(payload, frame.associated, frame.protection)

    def terminate(self, code: int = 0) -> bytes:
        """End it, in good order or for the reason that a CK_RV says, and return the frame that tells the peer."""
        return self._conversation.terminate(code)

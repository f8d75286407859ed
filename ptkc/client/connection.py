"""One connection of an application to an HSM: a transport, with a channel on it where there must be one.

A session's requests are protected as the policy wants, all others are plain. What an exchange raises says whether the
HSM can have got the request: `NotSentError` if not, and then it may be sent again on another connection.
"""

from __future__ import annotations

from time import monotonic

from ptkc.client.transport import NotSentError, Transport
from ptkc.sms.errors import AuthenticationError, FrameError, LocalError, TerminatedError
from ptkc.sms.frames import clear, decode
from ptkc.sms.protection import ENCRYPTED, request_needs
from ptkc.sms.state import PLAIN_REPLY, PLAIN_REQUEST, REFUSED, TERMINATE
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire.codec import is_sensitive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptkc.client.protection import Protection
    from ptkc.sms.channel import Channel

__all__ = ["Connection", "EndedError", "Opened"]

# What an HSM says that ends a channel before its next request, for no fault of anybody's.
_RENEWED = (CKR.NO_SESSION_KEYS, CKR.KEY_ROLLOVER)
_HEARTBEAT = clear(PLAIN_REQUEST, b"")


class EndedError(CryptokiError):
    """CKR_DEVICE_RESET: the HSM no longer knows the application that the session is of."""

    def __init__(self) -> None:
        """Give the reason."""
        super().__init__(CKR.DEVICE_RESET, "the HSM or its server was restarted: the sessions of before have ended")


class Opened:
    """A session at the HSM: its number there, what its requests are bound to, and the application that it is of.

    `binding` is None while it is being opened, and `epoch` then becomes that of the connection.
    """

    __slots__ = ("binding", "epoch", "number")

    def __init__(self, number: int, binding: bytes | None, epoch: int) -> None:
        """Keep them."""
        self.number, self.binding, self.epoch = number, binding, epoch


class Connection:
    """A transport and the channel on it; `generation` and `epoch` say of which protection and application it is."""

    __slots__ = ("_used", "channel", "epoch", "generation", "heartbeat", "transport")

    def __init__(self, transport: Transport, heartbeat: float, epoch: int) -> None:
        """Begin without a channel; `heartbeat` is after how many seconds of silence it is tried before it is used."""
        self.transport = transport
        self.heartbeat = heartbeat
        self.epoch = epoch
        self.generation = 0
        self.channel: Channel | None = None
        self._used = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was exchanged yet."""
        return not self._used

    @property
    def is_usable(self) -> bool:
        """Whether another exchange may follow one that was refused."""
        return self.channel is None or self.channel.is_alive

    def exchange(self, message: bytes, opened: Opened | None, protection: Protection) -> bytes:
        """Return the reply to a request: a session's is protected as it must be, all others are plain.

        `NotSentError` if the HSM has not got the request; `EndedError`; the codes of secure messaging.
        """
        if self._used:
            self._try(protection)
        if opened is None:
            return self._plain(message, protection)
        if self.generation != protection.generation:
            self._used = self._used or monotonic()
            protection.prepare(self)
        if opened.binding is None:
            if is_sensitive(message) and request_needs(protection.policy, sensitive=True) & ENCRYPTED:
                raise LocalError(CKR.ACCESS_DENIED, "a PIN without a session, which cannot be encrypted")
            opened.epoch = self.epoch
            return self._plain(message, protection)
        if opened.epoch != self.epoch:
            if opened.epoch != protection.epoch:
                raise EndedError
            raise NotSentError("the connection is of an application that has ended")
        channel = self.channel
        if channel is not None:
            return self._protected(channel, message, opened.binding, protection)
        if protection.policy:
            raise LocalError(CKR.BAD_PROTECTION, "the connection has no channel")
        return self._plain(message, protection)

    def _protected(self, channel: Channel, message: bytes, binding: bytes, protection: Protection) -> bytes:
        try:
            frame = channel.seal(message, binding)
        except LocalError as error:
            if channel.is_alive:
                raise
            raise NotSentError(f"the channel has ended: {error}") from error
        answer = self.transport.exchange(frame)
        self._used = monotonic()
        return self._opened(channel, answer, protection)

    def _opened(self, channel: Channel, answer: bytes | memoryview, protection: Protection) -> bytes:
        """Return the payload of a frame of the channel.

        `NotSentError` if it is the end of the channel, and the HSM proves that it came before the request.
        """
        try:
            return channel.open(answer).payload  # type: ignore[no-any-return]
        except TerminatedError as error:
            if error.code in _RENEWED:
                raise NotSentError(f"the HSM had ended the channel: {error}") from error
            if error.code == CKR.DEVICE_RESET:
                protection.reset(self.epoch)
            raise
        except (FrameError, AuthenticationError):
            self.transport.send(channel.farewell)
            raise

    def _plain(self, message: bytes, protection: Protection) -> bytes:
        answer = self.transport.exchange(clear(PLAIN_REQUEST, message))
        self._used = monotonic()
        if self.epoch == protection.epoch:
            protection.is_begun = True
        return self._body(answer, protection)

    def _body(self, answer: bytes | memoryview, protection: Protection) -> bytes:
        """Return the payload of a plain reply; CKR_BAD_REPLY if it is none, CKR_SMS_ERROR for a refusal.

        The end of the channel may come in its place, as in the place of a protected one.
        """
        frame = decode(answer)
        if frame.kind == PLAIN_REPLY:
            return bytes(frame.body)
        if frame.kind == REFUSED:
            raise CryptokiError(CKR.SMS_ERROR, "the HSM refuses the request")
        if frame.kind == TERMINATE and self.channel is not None:
            try:
                return self._opened(self.channel, answer, protection)
            except TerminatedError as error:
                if error.code != CKR.DEVICE_RESET:
                    raise
                # The sessions of before have ended, but this call needs none of them.
                raise NotSentError("the HSM was restarted") from error
        raise FrameError(CKR.BAD_REPLY, f"a frame of kind {frame.kind} where a plain reply was expected")

    def _try(self, protection: Protection) -> None:
        """See that a connection that was used before still stands; `NotSentError`."""
        unasked = self.transport.pending()
        if unasked:
            if self.channel is not None:
                try:
                    self.channel.open(unasked)
                except CryptokiError as error:
                    raise NotSentError(f"the channel has ended: {error}") from error
            raise NotSentError("the HSM began to speak")
        if monotonic() - self._used > self.heartbeat:
            try:
                self._body(self.transport.exchange(_HEARTBEAT, protection.patience), protection)
            except CryptokiError as error:
                raise NotSentError(f"no heartbeat: {error}") from error

    def say(self, messages: Sequence[bytes], protection: Protection) -> None:
        """Send plain requests, without any other connection in place of this one."""
        for message in messages:
            self._body(self.transport.exchange(clear(PLAIN_REQUEST, message), protection.patience), protection)

    def close(self) -> None:
        """End channel and connection in good order, as far as that needs no waiting."""
        channel = self.channel
        if channel is not None and channel.is_alive:
            self.transport.send(channel.terminate())
        self.transport.close()

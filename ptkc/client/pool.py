"""The connections of one application to one HSM: each a transport, with a channel on it where there must be one.

A connection carries one exchange at a time, and a call takes one for its exchange. They are made when they are needed,
up to a number; others then wait. A connection on which anything went wrong is not used again. A call is sent a second
time only where it is certain that the HSM has not carried it out: nothing whole of it went out, or the HSM proved that
it had ended the channel before. Where an answer is lost the call is CKR_DEVICE_ERROR, and may have been carried out.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic

from ptkc import log
from ptkc.client.transport import NotSentError, Transport
from ptkc.sms.errors import AuthenticationError, FrameError, LocalError, TerminatedError
from ptkc.sms.frames import clear, decode
from ptkc.sms.protection import ENCRYPTED, request_needs
from ptkc.sms.state import PLAIN_REPLY, PLAIN_REQUEST, REFUSED
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.wire.codec import is_sensitive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ptkc.client.protection import Protection
    from ptkc.sms.channel import Channel

__all__ = ["Connection", "EndedError", "Opened", "Pool"]

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
            self._try(protection.patience)
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
        return _body(answer)

    def _try(self, patience: float) -> None:
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
                _body(self.transport.exchange(_HEARTBEAT, patience))
            except CryptokiError as error:
                raise NotSentError(f"no heartbeat: {error}") from error

    def say(self, messages: Sequence[bytes], patience: float) -> None:
        """Send plain requests, without any other connection in place of this one."""
        for message in messages:
            _body(self.transport.exchange(clear(PLAIN_REQUEST, message), patience))

    def close(self) -> None:
        """End channel and connection in good order, as far as that needs no waiting."""
        channel = self.channel
        if channel is not None and channel.is_alive:
            self.transport.send(channel.terminate())
        self.transport.close()


def _body(answer: bytes | memoryview) -> bytes:
    """Return the payload of a plain reply; CKR_BAD_REPLY if it is none, CKR_SMS_ERROR for a refusal."""
    frame = decode(answer)
    if frame.kind == PLAIN_REPLY:
        return bytes(frame.body)
    if frame.kind == REFUSED:
        raise CryptokiError(CKR.SMS_ERROR, "the HSM refuses the request")
    raise FrameError(CKR.BAD_REPLY, f"a frame of kind {frame.kind} where a plain reply was expected")


class Pool:
    """The connections to one HSM."""

    __slots__ = ("_all", "_connect", "_idle", "_is_closed", "_lock", "_made", "_most", "_patience", "_waiting",
                 "protection")  # fmt: skip

    def __init__(
        self, connect: Callable[[], Connection], protection: Protection, most: int, patience: float
    ) -> None:
        """Begin without a connection: `connect` makes one, up to `most`; a call waits `patience` seconds for one."""
        self._connect = connect
        self.protection = protection
        self._most = most
        self._patience = patience
        self._lock = allocate_lock()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._made = 0
        self._waiting: list[Any] = []
        self._is_closed = False

    def exchange(self, message: bytes, opened: Opened | None = None) -> bytes:
        """Return the reply to a request, of a session or of none; see `Connection.exchange`.

        CKR_DEVICE_REMOVED if the HSM cannot be reached; the request has not reached it then.
        """
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._take()
            is_fresh = connection.is_fresh
            try:
                reply = connection.exchange(message, opened, self.protection)
            except NotSentError as error:
                self._discard(connection)
                if is_fresh:
                    raise
                log.note(f"HSM {self.protection.serial}: another connection is made, {error.message}")
                continue
            except (CryptokiError, PeerError) as error:
                if isinstance(error, CryptokiError) and error.__class__ in _HARMLESS and connection.is_usable:
                    self._give(connection)
                else:
                    self._discard(connection)
                raise
            except BaseException:
                self._discard(connection)  # a Ctrl-C: whose answer the next bytes are nobody knows
                raise
            self._give(connection)
            return reply

    def ask(self) -> bool:
        """Ask the HSM for its flags; whether they want more than was known of them."""
        connection = self._take()
        before = self.protection.policy
        try:
            self.protection.inquire(connection)
        finally:
            self._discard(connection)
        return self.protection.policy != before

    # Connections

    def _take(self) -> Connection:
        """Return a connection, a new one if none is idle and there may be one more."""
        deadline = monotonic() + self._patience
        while True:
            with self._lock:
                if self._is_closed:
                    raise NotSentError("the device is closed")
                waiter = None
                if self._made < self._most:
                    self._made += 1
                else:
                    waiter = allocate_lock()
                    waiter.acquire()
                    self._waiting.append(waiter)
            if waiter is None:
                return self._new()
            # What was given back before we were in the list has woken nobody.
            if self._idle or self._made < self._most:
                self._leave(waiter)
            elif not waiter.acquire(timeout=max(deadline - monotonic(), 0)):
                self._leave(waiter)
                if not self._idle:
                    raise CryptokiError(CKR.DEVICE_ERROR, f"all {self._most} connections are in use")
            try:
                return self._idle.pop()
            except IndexError:
                continue

    def _leave(self, waiter: Any) -> None:  # noqa: ANN401 - a lock
        """Wait no more; if we were woken just now, somebody else is."""
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            with self._lock:
                if self._waiting:
                    self._waiting.pop(0).release()

    def _new(self) -> Connection:
        try:
            connection = self._connect()
        except BaseException:
            self._forget(None)
            raise
        with self._lock:
            self._all.add(connection)
            if not self._is_closed:
                return connection
        self._discard(connection)
        raise NotSentError("the device is closed")

    def _give(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._waiting:
            self._wake()
        if self._is_closed:
            self._close_idle()

    def _discard(self, connection: Connection) -> None:
        connection.close()
        self._forget(connection)

    def _forget(self, connection: Connection | None) -> None:
        with self._lock:
            if connection is not None:
                self._all.discard(connection)
            self._made -= 1
        self._wake()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._discard(self._idle.pop())
            except IndexError:
                return

    # The end

    def close(self, messages: Sequence[bytes] = ()) -> None:
        """Send the last plain requests, if a connection is idle, and close all; a call that waits for one is woken."""
        with self._lock:
            self._is_closed = True
        if messages and self._idle:
            try:
                self._idle[-1].say(messages, self.protection.patience)
            except (CryptokiError, PeerError, IndexError) as error:
                log.note(f"HSM {self.protection.serial}: it ends the sessions by itself, {error}")
        self._close_idle()
        for connection in list(self._all):
            connection.transport.close()

    def drop(self) -> None:
        """Close the idle connections, whose other end is not to be believed; there may be new ones."""
        self._close_idle()

    def drop_after_fork(self) -> None:
        """Forget the parent's connections, without a byte."""
        for connection in self._all:
            connection.transport.drop_after_fork()
        self._all = set()
        self._idle = []
        self._is_closed = True


_HARMLESS = (LocalError, EndedError)
"""Errors after which the connection is as good as before."""

"""The HSM's end of a transport: a frame in, the frame that answers it out.

A connection is used by one thread at a time, for one exchange after the other. It has at most one channel; what is sent
beside it, or without one, is plain. Whether a command had the protection that it needs is decided here, for each
request, by the flags in force at that moment and by what the channel was made for. What goes wrong inside is a bug:
logged without values, CKR_GENERAL_ERROR.
"""

from __future__ import annotations

import os
from time import time

from ptkc import log, sms
from ptkc.hsm.calls import encoded, run
from ptkc.sms.bodies import refusal
from ptkc.sms.errors import MALFORMED, FrameError, TerminatedError
from ptkc.sms.frames import HEADER_LENGTH, clear, decode
from ptkc.sms.protection import EVERYTHING, policy_of_flags, reply_needs, request_needs
from ptkc.sms.state import CONFIRM, HELLO, HSM, PLAIN_REPLY, PLAIN_REQUEST, QUESTION, REQUEST, TERMINATE
from ptkc.spec.constants import CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError, PeerError
from ptkc.wire.codec import binding, decode_request, is_sensitive
from ptkc.wire.commands import BY_NAME, COMMANDS

__all__ = ["Connection", "Endpoint"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.hsm.application import Application
    from ptkc.hsm.applications import Applications, OneApplication, Served
    from ptkc.hsm.statement import Presented
    from ptkc.sms.channel import Channel
    from ptkc.sms.handshake import Offer
    from ptkc.token.hsms import Hsm
    from ptkc.wire.commands import Command


def _silent(_event: str, **_facts: object) -> None:
    """Tell nobody."""


def _at_once(_address: str) -> None:
    """Let nobody wait."""


def _grant(size: int) -> bool:  # noqa: ARG001 - as what takes its place
    """Say that there is room."""
    return True


class Endpoint:
    """What connections to one HSM have in common."""

    __slots__ = ("_presented", "applications", "attempts", "hsm", "pace", "tell")

    def __init__(
        self, hsm: Hsm, applications: Applications | OneApplication, tell: Callable[..., None] = _silent
    ) -> None:
        """Serve `hsm`; `tell(event, **facts)` is told what a server's log should have."""
        self.hsm = hsm
        self.applications = applications
        self.tell = tell
        self.attempts: Callable[[str, Callable[[], Any]], Any] | None = None
        self.pace: Callable[[str], None] = _at_once
        self._presented: Presented | None = None

    def connection(self, address: str, group: bytes) -> Connection:
        """Return the end of a new connection; `group` is the client's prelude's, `address` for limits and logs."""
        return Connection(self, address, group)

    def presented(self) -> Presented:
        """Return what speaks for the HSM in handshakes."""
        if self._presented is None:
            sms.load()
            from ptkc.hsm.statement import Presented  # noqa: PLC0415 - behind `load`

            self._presented = Presented(self.hsm)
        return self._presented


class Connection:
    """The HSM's end of one connection.

    `farewell` is what may still be sent when `answer` raised; `is_over` says that nothing will be answered any more.
    `hold` is asked for room for a reply, before it is made: a short request may ask for a very long one.
    """

    __slots__ = (
        "_endpoint", "_ends", "_group", "_offer", "_served", "address", "channel", "farewell", "hold", "is_over",
        "since",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, address: str, group: bytes) -> None:
        """Begin without a channel."""
        self._endpoint = endpoint
        self._group = group
        self._served: Served | None = None
        self._offer: Offer | None = None
        self._ends: int | None = None
        self.address = address
        self.channel: Channel | None = None
        self.since = 0.0
        self.hold = _grant
        self.farewell = b""
        self.is_over = False

    # One exchange

    def answer(self, data: bytes) -> bytes:
        """Return the frame that answers a frame; nothing where the client ended the channel, see `is_over`.

        `PeerError` if the connection must be closed at once.
        """
        if self.is_over:
            raise PeerError("the connection is over")
        try:
            step = _STEPS.get(data[1]) if len(data) >= HEADER_LENGTH else None
            if step is None:
                raise FrameError(MALFORMED[HSM], "no frame of a client")  # noqa: TRY301 - told as any other
            return step(self, data) if self._ends is None else self.end(self._ends)
        except PeerError as error:
            self._fail(error)
            raise
        except TerminatedError as error:
            self._over("ended", channel=self._number, code=error.code)
            return b""
        except CryptokiError as error:
            return self._refuse(error)
        except Exception:  # noqa: BLE001 - the boundary
            log.bug("secure messaging")
            return self._refuse(CryptokiError(CKR.GENERAL_ERROR, "a bug of the HSM, see its log"))

    def _refuse(self, error: CryptokiError) -> bytes:
        """End without an answer to what was asked."""
        self._over("refused", channel=self._number, code=error.code, reason=error.message)
        channel = self.channel
        if channel is None:
            return refusal(CKR.SMS_ERROR)
        return channel.terminate(error.code) if channel.is_alive else channel.farewell

    @property
    def _number(self) -> int:
        return self.channel.number if self.channel is not None else 0

    def _over(self, event: str, **facts: object) -> None:
        """Answer nothing any more."""
        self.is_over = True
        self._endpoint.tell(event, address=self.address, **facts)

    def _fail(self, error: PeerError) -> None:
        """End because of what the peer sent: only the fact goes to it, the reason to the log."""
        code = error.code if isinstance(error, CryptokiError) else CKR.SMS_ERROR
        channel = self.channel
        if channel is None:
            self.farewell = refusal(CKR.NO_SESSION_KEYS)
        else:
            self.farewell = channel.terminate(code) if channel.is_alive else channel.farewell
        self._over("broken", channel=self._number, code=code, reason=str(error))

    def end(self, code: int = 0) -> bytes:
        """End it in good order, or for the reason that a CK_RV says; return the frame that tells the client."""
        frame = b""
        if self.channel is not None and self.channel.is_alive:
            frame = self.channel.terminate(code)
        self._over("ended", channel=self._number, code=code)
        return frame

    def end_soon(self, code: int) -> None:
        """Have the next frame answered with the end of the channel: it is said by another thread than the one here.

        What that frame asked for is not done.
        """
        self._ends = code

    @property
    def has_channel(self) -> bool:
        """Whether there is a channel that will go on."""
        return self.channel is not None and self.channel.is_alive and self._ends is None

    @property
    def application(self) -> Application | None:
        """The application that it takes part in."""
        served = self._served  # once: another thread lists channels than the one that closes this
        return None if served is None else served.application

    def close(self) -> None:
        """Forget channel and application: there is nobody at the other end any more."""
        if self.channel is not None and self.channel.is_alive:
            self.channel.terminate()
        self.is_over = True
        if self._served is not None:
            self._endpoint.applications.leave(self._served, self)
            self._served = None

    # The handshake

    def _greet(self, data: bytes) -> bytes:
        """HELLO: ANSWER."""
        if self.channel is not None or self._offer is not None:
            raise FrameError(CKR.SMS_ERROR, "a second HELLO")
        self._endpoint.pace(self.address)
        presented = self._endpoint.presented()
        from ptkc.sms.handshake import read_greeting  # noqa: PLC0415 - behind `load`

        number = 1 + int.from_bytes(os.urandom(6), "little")
        offer: Offer = read_greeting(data).answer(presented.identity(), number, is_sensitive)
        self._offer = offer
        return offer.frame

    def _confirm(self, data: bytes) -> bytes:
        """CONFIRM: ACCEPT, and the channel."""
        offer, self._offer = self._offer, None
        if offer is None:
            raise FrameError(CKR.SMS_ERROR, "CONFIRM without HELLO")
        applications = self._endpoint.applications
        accepted = offer.confirmed(data, applications.secret_of)
        channel: Channel = accepted.channel
        self._join(applications.of_channel(channel, self._group, self))
        self.channel = channel
        self.since = time()
        self._endpoint.tell(
            "channel", address=self.address, channel=channel.number, policy=channel.policy, outcome=channel.outcome
        )
        frame: bytes = accepted.frame
        return frame

    def _state(self, data: bytes) -> bytes:
        """QUESTION: STATEMENT."""
        self._endpoint.pace(self.address)
        presented = self._endpoint.presented()
        from ptkc.sms.statement import read_inquiry  # noqa: PLC0415 - behind `load`

        frame: bytes = read_inquiry(data).answer(presented.identity())
        return frame

    def _join(self, served: Served) -> Served:
        """Take part in this application, and no more in another one."""
        former, self._served = self._served, served
        if former is not None and former is not served:
            self._endpoint.applications.leave(former, self)
        return served

    # Commands

    def _request(self, data: bytes) -> bytes:
        """REQUEST: REPLY, under the channel. TERMINATE of the client: `TerminatedError`."""
        channel, served = self.channel, self._served
        if channel is None or served is None:
            raise FrameError(CKR.NO_SESSION_KEYS, "there is no channel")
        payload, associated, protection = channel.open(data)
        command, arguments = decode_request(payload)
        try:
            if self._is_of_earlier_boot(channel, served):
                return self.end(CKR.DEVICE_RESET)
            self._check(command, protection, reply_needs(channel.policy), channel.policy)
            _check_binding(served, command, arguments, associated)
        except CryptokiError as error:
            return channel.seal(self._reply(command, error))
        return channel.seal(self._perform(served, command, arguments))

    def _plain(self, data: bytes) -> bytes:
        """PLAIN_REQUEST: PLAIN_REPLY; empty for an empty one."""
        payload = bytes(decode(data, HSM).body)
        if not payload:
            return clear(PLAIN_REPLY, b"")
        command, arguments = decode_request(payload)
        try:
            channel, served = self.channel, self._served
            if channel is not None and served is not None and self._is_of_earlier_boot(channel, served):
                return self.end(CKR.DEVICE_RESET)  # else a session would be opened that the next request ends
            self._check(command, 0, 0, EVERYTHING if channel is not None else 0)
            if served is None or channel is None:
                served = self._join(self._endpoint.applications.of_group(self._group, self))
        except CryptokiError as error:
            return clear(PLAIN_REPLY, self._reply(command, error))
        return clear(PLAIN_REPLY, self._perform(served, command, arguments))

    def _is_of_earlier_boot(self, channel: Channel, served: Served) -> bool:
        """Whether the HSM was restarted since the channel was made; then the sessions of before have ended."""
        if self._endpoint.hsm.boot == channel.statement.boot:
            return False
        # Not `end`: another channel may have said so before, and there may be sessions of after the restart.
        served.application.end_earlier_boot()
        return True

    def _check(self, command: Command, request: int, reply: int, policy: int) -> None:
        """Refuse a command with a session if request or reply lack protection: CKR_BAD_PROTECTION."""
        if not command.has_session:
            return
        wanted = policy | policy_of_flags(self._endpoint.hsm.security_mode)
        if request_needs(wanted, sensitive=command.sensitive) & ~request or reply_needs(wanted) & ~reply:
            raise CryptokiError(CKR.BAD_PROTECTION, f"{command.name} with protection {request:#x}, reply {reply:#x}")

    def _perform(self, served: Served, command: Command, arguments: tuple[Any, ...]) -> bytes:
        """Return the reply to a command that may be done."""
        if command.number in _FILLED and not self.hold(arguments[-1]):
            return self._reply(command, CryptokiError(CKR.DEVICE_MEMORY, f"no room for {arguments[-1]} bytes"))
        if command.number == _SIGNED:
            self._endpoint.pace(self.address)
        attempts = self._endpoint.attempts
        if attempts is not None and command.number in _WITH_PIN:
            return self._reply(command, attempts(self.address, lambda: run(served.device, command, arguments)))
        return self._reply(command, run(served.device, command, arguments))

    def _reply(self, command: Command, result: Any) -> bytes:  # noqa: ANN401 - the command's result
        """Return a reply; CKR_DEVICE_MEMORY in it where there is no memory for it."""

        def told(error: CryptokiError) -> CryptokiError:
            """Return what is said of a refusal: why stays with the HSM if the client is somebody else."""
            endpoint = self._endpoint
            if endpoint.applications.reasons:
                return error
            endpoint.tell("refusal", address=self.address, command=command.name, code=error.code, reason=error.message)
            return CryptokiError(error.code)

        if isinstance(result, CryptokiError) and not isinstance(result, BufferTooSmallError):
            return encoded(command, told(result))
        return encoded(command, result, self.hold, told)


_WITH_PIN = frozenset(
    command.number for command in COMMANDS if any(field.endswith(":secret") for field in command.inputs)
)
# Whose last argument says how long the reply is to be.
_FILLED = frozenset(
    command.number for command in COMMANDS if any(field.rpartition(":")[2] == "fill" for field in command.outputs)
)
_SIGNED = BY_NAME["CT_GetSMC"].number  # it carries HELLO and QUESTION, and so costs a signature as they do

_STEPS: dict[int, Callable[[Connection, bytes], bytes]] = {
    HELLO: Connection._greet,  # noqa: SLF001 - a table of its own steps
    CONFIRM: Connection._confirm,  # noqa: SLF001
    QUESTION: Connection._state,  # noqa: SLF001
    REQUEST: Connection._request,  # noqa: SLF001
    TERMINATE: Connection._request,  # noqa: SLF001
    PLAIN_REQUEST: Connection._plain,  # noqa: SLF001
}


def _check_binding(served: Served, command: Command, arguments: tuple[Any, ...], associated: bytes) -> None:
    """Refuse a request that is meant for another token than its session's: CKR_SMS_ERROR."""
    if not command.has_session:
        return
    session = served.application.sessions.get(arguments[0])
    if session is not None and associated != binding(session.slot, session.token.serial.encode()):
        raise CryptokiError(CKR.SMS_ERROR, "the request is bound to another slot or token than its session")

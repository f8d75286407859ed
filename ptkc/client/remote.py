"""HSMs behind a codec: the `Device`s whose methods encode, exchange and decode.

The methods are made from the command table. A reply is believed only as far as it fits the request: output longer than
the caller's room, or another number of random bytes than asked for, would be written over the application's memory.
A session of a `RemoteDevice` has its number in this process, another one at the HSM, and the slot and token that its
protected requests are bound to.
"""

from __future__ import annotations

from time import monotonic

from ptkc.client.connection import EndedError, Opened
from ptkc.sms.errors import TerminatedError
from ptkc.spec.constants import CKR
from ptkc.spec.errors import SESSION_ENDED, CryptokiError, PeerError
from ptkc.wire.codec import LARGEST, binding, decode_reply, encode_request
from ptkc.wire.commands import BY_NAME, COMMANDS, Device

__all__ = ["EncodedDevice", "NetworkDevice", "RemoteDevice"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.client.pool import Pool
    from ptkc.wire.commands import Command

_SERIAL = 3  # the place of the serial number in what a device answers to C_GetTokenInfo
_OPEN_SESSION = BY_NAME["C_OpenSession"]
_CLOSE_ALL = BY_NAME["C_CloseAllSessions"]


class EncodedDevice(Device):
    """A device that gets every command as bytes and gives every reply as bytes.

    CKR_DEVICE_ERROR where a reply is none, and from then on.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        """Keep what answers a request; it raises `PeerError` for bytes that are none."""
        self._answer = answer

    def call(self, command: Command, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the command's result
        """Return the result of one command."""
        request = encode_request(command, arguments)
        try:
            return _result(command, arguments, self._answer(request))
        except PeerError as error:
            self._answer = _broken
            raise CryptokiError(CKR.DEVICE_ERROR, f"the HSM's reply is none: {error}") from error


def _broken(_: bytes) -> bytes:
    raise CryptokiError(CKR.DEVICE_ERROR, "the HSM has answered with what is no reply")


class RemoteDevice(EncodedDevice):
    """A device that is reached over the connections of a pool, with the protection that the pool's HSM needs.

    `sessions` are those that are open, by their number in this process.
    """

    __slots__ = ("_close", "_name", "pool", "sessions")

    def __init__(
        self, pool: Pool, name: Callable[[object], int] | None = None, close: Callable[[int], object] | None = None
    ) -> None:
        """Keep the pool.

        `name` gives a session its number in this process and `close` takes it back; without them it has the HSM's.
        """
        super().__init__(pool.exchange)
        self.pool = pool
        self.sessions: dict[int, Opened] = {}
        self._name = name
        self._close = close

    def call(self, command: Command, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as above
        """Return the result of one command.

        `CKR_DEVICE_RESET` once, if the session has ended because the HSM or its server was restarted.
        """
        if not command.has_session:
            return self._call(command, arguments, None)
        opened = self.sessions.get(arguments[0])
        if opened is None:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {arguments[0]}")
        return self._call(command, (opened.number, *arguments[1:]), opened)

    def _call(self, command: Command, arguments: tuple[Any, ...], opened: Opened | None) -> Any:  # noqa: ANN401
        request = encode_request(command, arguments)
        policy = self.pool.protection.policy
        for repeated in (False, True):
            try:
                return _result(command, arguments, self.pool.exchange(request, opened))
            except EndedError:
                self._end_before()
                raise
            except PeerError as error:
                if isinstance(error, CryptokiError):
                    raise  # what secure messaging says
                self.pool.drop()
                raise CryptokiError(CKR.DEVICE_ERROR, f"the HSM's reply is none: {error}") from error
            except TerminatedError as error:
                if error.code == CKR.DEVICE_RESET:
                    self._end_before()
                raise
            except CryptokiError as error:
                # The flags want more than before; nothing was done yet.
                if error.code != CKR.BAD_PROTECTION or repeated or not self.pool.ask(policy):
                    raise
        raise AssertionError  # the second time is the last

    def _end_before(self) -> None:
        """Forget the sessions of applications that have ended: of what there is of them, CKR_DEVICE_RESET was all."""
        epoch = self.pool.protection.epoch
        for session, opened in list(self.sessions.items()):
            if opened.epoch != epoch:
                self._forget(session)

    def _forget(self, session: int) -> Opened | None:
        opened = self.sessions.pop(session, None)
        if opened is not None and self._close is not None:
            self._close(session)
        return opened

    # Commands that are about the numbers of sessions

    def open_session(self, slot: int, flags: int) -> int:
        """C_OpenSession: the session is bound to the slot and to the token that is in it now.

        An HSM gives no number twice; somebody on the wire may, since nothing protects this reply: CKR_SMS_ERROR.
        """
        bound = binding(slot, self.get_token_info(slot)[_SERIAL])
        opened = Opened(0, None, 0)
        opened.number = self._call(_OPEN_SESSION, (slot, flags), opened)
        if any((other.number, other.epoch) == (opened.number, opened.epoch) for other in list(self.sessions.values())):
            raise CryptokiError(CKR.SMS_ERROR, "the HSM calls a new session as one that is open")
        opened.binding = bound
        session = opened.number if self._name is None else self._name(opened)
        self.sessions[session] = opened
        return session

    def init_token(self, slot: int, pin: bytes | None, label: bytes) -> None:
        """C_InitToken: no session protects its PIN; CKR_ACCESS_DENIED, before it is sent, if it must be encrypted."""
        self._call(BY_NAME["C_InitToken"], (slot, pin, label), Opened(0, None, 0))

    def close_session(self, session: int) -> None:
        """C_CloseSession; see `Library.close_session`."""
        try:
            self.call(BY_NAME["C_CloseSession"], (session,))
        except CryptokiError as error:
            if error.code in SESSION_ENDED:
                self._forget(session)
            raise
        self._forget(session)

    def ct_reset_token(self, session: int, pin: bytes | None, label: bytes) -> None:
        """CT_ResetToken, which closes the session."""
        self.call(BY_NAME["CT_ResetToken"], (session, pin, label))
        self._forget(session)

    def ct_copy_object(self, session: int, source: int, obj: int, template: Any) -> int:  # noqa: ANN401 - as the table
        """CT_CopyObject, which names two sessions."""
        opened = self.sessions.get(source)
        if opened is None:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {source}")
        new: int = self.call(BY_NAME["CT_CopyObject"], (session, opened.number, obj, template))
        return new

    def ct_get_smc(self, session: int, version: int, frame: bytes, room: int | None) -> bytes | int:
        """CT_GetSMC, which names a session of this process, or none by 0."""
        if session:
            opened = self.sessions.get(session)
            if opened is None:
                raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {session}")
            session = opened.number
        answer: bytes | int = self.call(BY_NAME["CT_GetSMC"], (session, version, frame, room))
        return answer

    def adopt(self, sessions: dict[int, tuple[int, bytes]]) -> None:
        """Take over sessions that were opened by calls: the slot of each, and the serial number of its token."""
        epoch = self.pool.protection.epoch
        for session, (slot, serial) in sessions.items():
            self.sessions.setdefault(session, Opened(session, binding(slot, serial), epoch))

    def close(self) -> None:
        """End the sessions, as far as the HSM can be reached, and the connections."""
        slots = {opened.binding[:8] for opened in list(self.sessions.values()) if opened.binding}
        self.sessions.clear()
        self.pool.close([encode_request(_CLOSE_ALL, (int.from_bytes(slot, "little"),)) for slot in sorted(slots)])


class NetworkDevice(RemoteDevice):
    """A device on the network, which may be away for a time.

    Its slots are known from the last look at it, so that the calls on other HSMs never wait for this one.
    """

    __slots__ = ("_again", "_away", "_slots")

    def __init__(self, pool: Pool, name: Callable[[object], int], close: Callable[[int], object]) -> None:
        """Begin without having looked."""
        super().__init__(pool, name, close)
        self._slots: tuple[int, ...] | None = None
        self._away: tuple[int, str] | None = None  # no exception: raised again and again it would grow its traceback
        self._again = 0.0

    def get_slot_list(self, present: bool) -> tuple[int, ...]:  # noqa: FBT001 - a CK_BBOOL
        """C_GetSlotList: as it is now if `present` is true, as it was at the last look if not.

        One that was away is looked for again only after as long as a look may take.
        """
        if present or self._slots is None:
            away = self._away  # once: another thread may find it there again
            if away is not None and monotonic() < self._again:
                raise CryptokiError(*away)
            try:
                slots = self.call(BY_NAME["C_GetSlotList"], (True,))
            except CryptokiError as error:
                self._away = error.code, error.message
                self._again = monotonic() + self.pool.protection.patience
                raise
            self._away = None
            if slots != self._slots:
                self._slots = slots
        return self._slots or ()


def _result(command: Command, arguments: tuple[Any, ...], reply: bytes) -> Any:  # noqa: ANN401 - as the command's method
    """Return the result in a reply; `PeerError` if it does not fit what was asked for."""
    result = decode_reply(command, reply)
    check = _CHECKS[command.number]
    if check is not None:
        check(arguments, result)
    return result


def _buffer_fits(arguments: tuple[Any, ...], result: Any, place: int = -1) -> None:  # noqa: ANN401
    room = arguments[place]
    value = result[0] if isinstance(result, tuple) else result
    if isinstance(value, int) is not (room is None) or (room is not None and len(value) > room):
        raise PeerError("the output does not fit the request")
    if room is None and value > LARGEST:
        raise PeerError(f"{value} bytes of output, which no message could bring")


def _next_fits(arguments: tuple[Any, ...], result: Any) -> None:  # noqa: ANN401
    _buffer_fits(arguments, result, -2)  # the flags of C_EncryptMessageNext and C_DecryptMessageNext follow the room


def _fill_fits(arguments: tuple[Any, ...], result: Any) -> None:  # noqa: ANN401
    if len(result) != arguments[-1]:
        raise PeerError(f"{len(result)} bytes instead of {arguments[-1]}")


def _found_fits(arguments: tuple[Any, ...], result: Any) -> None:  # noqa: ANN401
    if len(result) > arguments[-1]:
        raise PeerError(f"{len(result)} objects, at most {arguments[-1]} were asked for")


def _values_fit(arguments: tuple[Any, ...], result: Any) -> None:  # noqa: ANN401
    if len(result[1]) != len(arguments[-1]):
        raise PeerError(f"{len(result[1])} values of {len(arguments[-1])} attributes")
    if result[0] == CKR.OK and None in result[1]:
        raise PeerError("CKR_OK, and an attribute without a value")


def _check_of(command: Command) -> Callable[[tuple[Any, ...], Any], None] | None:
    """Return what holds the result of a command against its arguments."""
    kinds = [field.rpartition(":")[2] for field in command.outputs]
    if "buffer" in kinds or "last_buffer" in kinds:
        return _next_fits if "ulong_in" in kinds else _buffer_fits
    return {"fill": _fill_fits, "found": _found_fits, "values": _values_fit}.get(kinds[0]) if kinds else None


_CHECKS = {command.number: _check_of(command) for command in COMMANDS}


def _method(command: Command) -> Callable[..., Any]:
    def method(self: EncodedDevice, *arguments: Any) -> Any:  # noqa: ANN401 - generic over the table
        return self.call(command, arguments)

    method.__name__ = command.method
    method.__doc__ = f"{command.name}, at the other end."
    return method


for _command in COMMANDS:
    if not _command.library:
        setattr(EncodedDevice, _command.method, _method(_command))

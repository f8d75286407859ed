"""Channels as objects of the Admin token, and CT_GetSMC."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ends import Board, Client, code_of, prepared

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.sms.errors import TerminatedError
from ptkc.sms.frames import clear
from ptkc.sms.handshake import Handshake
from ptkc.sms.protection import EVERYTHING, REQUESTS_SIGNED
from ptkc.sms.state import PLAIN_REQUEST, REQUEST
from ptkc.sms.statement import Question
from ptkc.sms.trust import Verifier
from ptkc.spec.constants import CKA, CKF, CKH, CKO, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.values import from_ulong, ulong
from ptkc.wire.codec import is_sensitive

_CHANNELS = ((CKA.CLASS, ulong(CKO.HW_FEATURE)), (CKA.HW_FEATURE_TYPE, ulong(CKH.PTKC_CHANNEL)))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prepared HSM, to be copied."""
    return prepared(tmp_path_factory.mktemp("channels") / "source")


@pytest.fixture
def board(source: Path, tmp_path: Path) -> Board:
    """Return an HSM without any security flag."""
    return Board(source, tmp_path / "board")


def _found(client: Client, session: int) -> list[int]:
    """Return the channels that a session sees."""
    client.call("C_FindObjectsInit", session, _CHANNELS)
    found = client.call("C_FindObjects", session, 100)
    client.call("C_FindObjectsFinal", session)
    return list(found)


def _read(client: Client, session: int, channel: int, *types: int) -> tuple[bytes, ...]:
    code, values = client.call("C_GetAttributeValue", session, channel, types)
    assert CKR.OK == code
    return tuple(values)


def _numbers(client: Client, session: int) -> list[int]:
    return [from_ulong(_read(client, session, each, CKA.PTKC_CHANNEL)[0]) for each in _found(client, session)]


def test_application_sees_its_own_channels(board: Board) -> None:
    """Without a login, in a session with the Admin token: number, whose, protection, age, messages, peer."""
    client, _ = board.client().shake_hands(REQUESTS_SIGNED), board.client().shake_hands()
    session = client.open(1, CKF.SERIAL_SESSION)
    (channel,) = _found(client, session)
    number, application, protection, age, messages, rolled, peer, serial = _read(
        client, session, channel, CKA.PTKC_CHANNEL, CKA.PTKC_APPLICATION, CKA.PTKC_PROTECTION, CKA.PTKC_AGE,
        CKA.PTKC_MESSAGES, CKA.PTKC_ROLLOVERS, CKA.PTKC_PEER, CKA.SERIAL_NUMBER,
    )  # fmt: skip
    assert client.channel is not None
    assert (client.channel.number, client.channel.application) == (from_ulong(number), application)
    assert (REQUESTS_SIGNED, 0) == (from_ulong(protection), from_ulong(rolled))
    assert 60 > from_ulong(age)
    assert sum(client.channel.counts[:2]) - 1 == from_ulong(messages)
    assert (b"192.0.2.1", board.serial.encode()) == (peer, serial)


def test_administrator_sees_all_channels(board: Board) -> None:
    """Those of all applications, oldest first; a client without a channel sees them too when it is logged in."""
    clients = [board.client().shake_hands() for _ in range(3)]
    administrator = board.client()
    before = administrator.open(1)
    assert [] == _found(administrator, before)
    session = administrator.administrator()
    numbers = [client.channel.number for client in clients if client.channel is not None]
    assert numbers == _numbers(administrator, session)
    clients[1].connection.close()
    assert [numbers[0], numbers[2]] == _numbers(administrator, session)


def test_channels_are_found_on_the_admin_token_only_and_by_their_class(board: Board) -> None:
    """A user token has none, and a search for everything finds none."""
    client = board.client().shake_hands()
    assert [] == _found(client, client.user())
    session = client.administrator()
    client.call("C_FindObjectsInit", session, ())
    listed = client.call("C_FindObjects", session, 100)
    client.call("C_FindObjectsFinal", session)
    assert not {*_found(client, session)} & {*listed}


def test_destroyed_channel_ends_at_its_next_request(board: Board) -> None:
    """The end is proved, and what was asked for is not done; a new channel with the secret goes on."""
    client = board.client().shake_hands()
    session = client.user()
    administrator = board.client()
    seat = administrator.administrator()
    (channel,) = _found(administrator, seat)
    administrator.call("C_DestroyObject", seat, channel)
    assert [] == _found(administrator, seat)
    assert CKR.OBJECT_HANDLE_INVALID == code_of(administrator, "C_DestroyObject", seat, channel)
    assert CKR.NO_SESSION_KEYS == code_of(client, "C_Logout", session)
    assert client.channel is not None
    assert isinstance(client.channel.cause, TerminatedError)
    again = board.client().shake_hands(secret=client.channel.secret)
    again.bound = client.bound
    assert 3 == again.call("C_GetSessionInfo", session)[1]


def test_application_ends_its_own_channel(board: Board) -> None:
    """The call itself is answered, the next one is not."""
    client = board.client().shake_hands()
    session = client.open(1, CKF.SERIAL_SESSION)
    (channel,) = _found(client, session)
    client.call("C_DestroyObject", session, channel)
    assert CKR.NO_SESSION_KEYS == code_of(client, "C_GetSessionInfo", session)


def test_channel_is_not_changed(board: Board) -> None:
    """No attribute can be set."""
    client = board.client().shake_hands()
    session = client.administrator()
    (channel,) = _found(client, session)
    change = ((CKA.PTKC_PROTECTION, ulong(0)),)
    assert CKR.ATTRIBUTE_READ_ONLY == code_of(client, "C_SetAttributeValue", session, channel, change)


# CT_GetSMC


def _given(device: LocalDevice, session: int, frame: bytes) -> bytes:
    """Call CT_GetSMC in two calls, as programs do."""
    length = device.ct_get_smc(session, 1, frame, None)
    with pytest.raises(BufferTooSmallError) as short:
        device.ct_get_smc(session, 1, frame, length - 1)
    assert length == short.value.length
    answer = device.ct_get_smc(session, 1, frame, length)
    assert length == len(answer)
    return bytes(answer)


def _device(board: Board) -> LocalDevice:
    return LocalDevice(board.hsm, Application(board.hsm, Handles()))


def _verifier(board: Board) -> Verifier:
    certificate = board.certificate
    return Verifier(lambda _: certificate, None, time.time)


def test_handshake_is_made_by_ct_get_smc(board: Board) -> None:
    """HELLO and CONFIRM in, ANSWER and ACCEPT out; the HSM proves who it is. A session does it again and again."""
    device = _device(board)
    session = device.open_session(0, CKF.SERIAL_SESSION)
    for _ in range(2):
        hello = Handshake(board.serial, EVERYTHING, is_sensitive)
        confirmation = hello.answered(_given(device, session, hello.frame), _verifier(board))
        channel = confirmation.accepted(_given(device, session, confirmation.frame))
        assert (board.serial, EVERYTHING) == (channel.statement.serial, channel.policy)
    assert [] == device.application.served()
    device.close_session(session)
    assert {} == device.application.conversations


def test_statement_is_asked_by_ct_get_smc_without_a_session(board: Board) -> None:
    """Session 0: QUESTION in, STATEMENT out."""
    question = Question(board.serial)
    assert question.answered(_given(_device(board), 0, question.frame), _verifier(board)).proven


def test_ct_get_smc_refuses_what_is_no_handshake(board: Board) -> None:
    """Another version, other frames, frames out of turn: CKR_SMS_ERROR; a closed session is no session."""
    device = _device(board)
    session = device.open_session(0, CKF.SERIAL_SESSION)
    hello = Handshake(board.serial, 0, is_sensitive).frame
    others = (b"", clear(PLAIN_REQUEST, b""), clear(REQUEST, b""), hello[:40])
    for version, frame in ((2, hello), *((1, other) for other in others)):
        with pytest.raises(CryptokiError) as refused:
            device.ct_get_smc(session, version, frame, None)
        assert CKR.SMS_ERROR == refused.value.code
    device.ct_get_smc(session, 1, hello, None)
    with pytest.raises(CryptokiError) as refused:
        device.ct_get_smc(session, 1, Handshake(board.serial, 0, is_sensitive).frame, None)
    assert CKR.SMS_ERROR == refused.value.code
    with pytest.raises(CryptokiError) as refused:
        device.ct_get_smc(99, 1, hello, None)
    assert CKR.SESSION_HANDLE_INVALID == refused.value.code


def test_ct_get_smc_reaches_no_session_of_anybody(board: Board) -> None:
    """Its channel is a new application's: there is no way from it to the sessions of who asked."""
    client = board.client().shake_hands()
    session = client.user()
    other = board.client()
    hello = Handshake(board.serial, 0, is_sensitive)
    answer = other.plain("CT_GetSMC", 0, 1, hello.frame, 16384)
    confirmation = hello.answered(answer, _verifier(board))
    channel = confirmation.accepted(other.plain("CT_GetSMC", 0, 1, confirmation.frame, 16384))
    with pytest.raises(CryptokiError) as refused:
        other.plain("CT_GetSMC", 0, 1, channel.seal(b""), 16384)
    assert CKR.SMS_ERROR == refused.value.code
    assert 3 == client.call("C_GetSessionInfo", session)[1]

"""The HSM's end of a connection: what is answered with which protection, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ends import Board, Client, code_of, prepared
from hsm_directory import USER_PIN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptkc.hsm.application import Application
from ptkc.hsm.applications import OneApplication
from ptkc.hsm.endpoint import Endpoint
from ptkc.hsm.handles import Handles
from ptkc.sms.errors import RefusedError, TerminatedError
from ptkc.sms.frames import clear, decode
from ptkc.sms.handshake import Handshake
from ptkc.sms.protection import (
    EVERYTHING,
    REPLIES_ENCRYPTED,
    REPLIES_SIGNED,
    REQUESTS_ENCRYPTED,
    REQUESTS_SIGNED,
    SENSITIVE_ENCRYPTED,
)
from ptkc.sms.state import CLIENT, PLAIN_REPLY, PLAIN_REQUEST, REFUSED
from ptkc.sms.statement import Question
from ptkc.sms.trust import Verifier
from ptkc.spec.constants import CKA, CKF, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.spec.values import ulong
from ptkc.wire.codec import binding, encode_request, is_sensitive
from ptkc.wire.commands import BY_NAME


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prepared HSM, to be copied."""
    return prepared(tmp_path_factory.mktemp("endpoint") / "source")


@pytest.fixture
def board(source: Path, tmp_path: Path) -> Board:
    """Return an HSM without any security flag."""
    return Board(source, tmp_path / "board")


def _broken(client: Client, frame: bytes) -> bytes:
    """Send a frame after which the connection is to be closed; return what may still be sent."""
    with pytest.raises(PeerError):
        client.connection.answer(frame)
    with pytest.raises(PeerError):
        client.connection.answer(clear(PLAIN_REQUEST, b""))
    return client.connection.farewell


# Without a channel


def test_commands_work_in_clear_without_flags(board: Board) -> None:
    """A session is opened, the user logs in, everything plain."""
    client = board.client()
    session = client.user()
    assert 16 == len(client.call("C_GenerateRandom", session, 16))


def test_empty_request_is_the_heartbeat(board: Board) -> None:
    """It is answered by an empty reply, and makes no application."""
    assert clear(PLAIN_REPLY, b"") == board.client().connection.answer(clear(PLAIN_REQUEST, b""))
    assert [] == board.applications.all()


def test_bug_of_a_device_is_a_general_error(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any exception but a CryptokiError is CKR_GENERAL_ERROR, and the connection lives on."""
    client = board.client()
    session = client.open()
    monkeypatch.setattr("ptkc.hsm.device.LocalDevice.get_session_info", lambda *_: {}[0])
    assert CKR.GENERAL_ERROR == code_of(client, "C_GetSessionInfo", session)
    assert CKR.OK == code_of(client, "C_CloseSession", session)


def test_reasons_do_not_travel(board: Board) -> None:
    """Why a command is refused stands in the server's log, not in the reply."""
    client = board.client()
    session = client.open()
    with pytest.raises(CryptokiError) as refused:
        client.call("C_Login", session, CKU.USER, b"not the PIN")
    assert (CKR.PIN_INCORRECT, "") == (refused.value.code, refused.value.message)
    event, facts = board.events[-1]
    assert ("refusal", "C_Login", CKR.PIN_INCORRECT) == (event, facts["command"], facts["code"])
    assert facts["reason"]
    assert "not the PIN" not in str(board.events)


def test_reasons_are_told_in_the_same_process(board: Board) -> None:
    """There the log is the application's own."""
    endpoint = Endpoint(board.hsm, OneApplication(Application(board.hsm, Handles())))
    with pytest.raises(CryptokiError, match="no slot 9"):
        Client(board, endpoint.connection("", b"")).plain("C_OpenSession", 9, 4)


# What the flags want


@pytest.mark.parametrize(
    ("letters", "ordinary", "sensitive"),
    [
        ("0", CKR.OK, CKR.OK), ("n", CKR.OK, CKR.BAD_PROTECTION), ("u", CKR.BAD_PROTECTION, CKR.BAD_PROTECTION),
        ("N", CKR.BAD_PROTECTION, CKR.BAD_PROTECTION), ("U", CKR.BAD_PROTECTION, CKR.BAD_PROTECTION),
        ("NU", CKR.BAD_PROTECTION, CKR.BAD_PROTECTION), ("nu", CKR.BAD_PROTECTION, CKR.BAD_PROTECTION),
    ],
)  # fmt: skip
def test_plain_requests_under_each_set_of_flags(board: Board, letters: str, ordinary: int, sensitive: int) -> None:
    """CKR_BAD_PROTECTION for what needs protection: asked at each request, so under a running session too."""
    client = board.client()
    session = client.open()
    board.flags(letters)
    assert ordinary == code_of(client, "C_GetSessionInfo", session)
    assert sensitive == code_of(client, "C_Login", session, CKU.USER, USER_PIN)
    assert CKR.OK == code_of(client, "C_GetSlotList", True)  # noqa: FBT003 - a CK_BBOOL


@pytest.mark.parametrize(
    ("letters", "least"),
    [
        ("n", SENSITIVE_ENCRYPTED), ("u", REQUESTS_SIGNED), ("N", REQUESTS_ENCRYPTED | REPLIES_ENCRYPTED),
        ("U", REQUESTS_SIGNED | REPLIES_SIGNED), ("nu", SENSITIVE_ENCRYPTED | REQUESTS_SIGNED),
        ("NU", EVERYTHING & ~SENSITIVE_ENCRYPTED), ("n", REQUESTS_ENCRYPTED),
    ],
)  # fmt: skip
def test_channel_that_was_there_before_the_flags_needs_what_they_want(board: Board, letters: str, least: int) -> None:
    """A channel with just the policy of the flags goes on; one that lacks a part of it is CKR_BAD_PROTECTION."""
    for bit in (0, *(1 << place for place in range(5) if least & 1 << place)):
        board.flags("0")
        client = board.client().shake_hands(policy=least & ~bit)
        session = client.open()
        board.flags(letters)
        codes = {
            code_of(client, "C_GetSessionInfo", session), code_of(client, "C_Login", session, CKU.USER, USER_PIN)
        }  # fmt: skip
        assert bool(bit) is (CKR.BAD_PROTECTION in codes)


def test_new_channel_takes_the_sessions_of_a_weaker_one(board: Board) -> None:
    """After flags were set, an application proves its secret on a new channel, and its sessions and logins go on."""
    client = board.client().shake_hands(policy=0)
    session = client.user()
    board.flags("NU")
    assert CKR.BAD_PROTECTION == code_of(client, "C_GetSessionInfo", session)
    assert client.channel is not None
    second = board.client().shake_hands(0, client.channel.secret)
    second.bound = client.bound
    assert 3 == second.call("C_GetSessionInfo", session)[1]


def test_clear_application_gets_its_channel_when_flags_are_set(board: Board) -> None:
    """The first channel of a group takes over its sessions; the group alone reaches them no more."""
    group = bytes(15) + b"\7"
    client = board.client(group)
    session = client.user()
    board.flags("NU")
    assert CKR.BAD_PROTECTION == code_of(client, "C_GetSessionInfo", session)
    protected = board.client(group).shake_hands(0)
    protected.bound = client.bound
    assert 3 == protected.call("C_GetSessionInfo", session)[1]
    board.flags("0")
    assert CKR.SESSION_HANDLE_INVALID == code_of(client, "C_GetSessionInfo", session)
    again = board.client(group).shake_hands(EVERYTHING)
    assert CKR.SESSION_HANDLE_INVALID == code_of(again, "C_GetSessionInfo", session)


def test_plain_request_beside_a_channel_is_refused(board: Board) -> None:
    """With a session it lacks protection whatever the flags; without one it is the channel's application's."""
    client = board.client().shake_hands(policy=0)
    session = client.plain("C_OpenSession", 0, 6)
    with pytest.raises(CryptokiError) as refused:
        client.plain("C_GetSessionInfo", session)
    assert CKR.BAD_PROTECTION == refused.value.code
    assert CKR.OK == code_of(client, "C_GetSessionInfo", session, associated=binding(0, _serial(board)))


def _serial(board: Board) -> bytes:
    return board.hsm.tokens[0].serial.encode()


@pytest.mark.parametrize(("letters", "code"), [("n", CKR.ACCESS_DENIED), ("N", CKR.ACCESS_DENIED), ("U", CKR.OK)])
def test_tokens_are_not_initialised_in_clear(board: Board, letters: str, code: int) -> None:
    """C_InitToken has no session to protect: CKR_ACCESS_DENIED under `n` and `N`, through a channel too."""
    board.flags(letters)
    for client in (board.client(), board.client().shake_hands()):
        assert code == code_of(client, "C_InitToken", 0, b"so-1234", b"new".ljust(32))


def test_requests_are_bound_to_slot_and_token(board: Board) -> None:
    """Another slot, another serial, none at all: CKR_SMS_ERROR, and nothing is done; the channel lives on."""
    client = board.client().shake_hands()
    session = client.open()
    serial = _serial(board)
    for wrong in (b"", binding(1, serial), binding(0, b"other"), binding(0, serial) + b"\0"):
        assert CKR.SMS_ERROR == code_of(client, "C_CloseSession", session, associated=wrong)
    assert CKR.OK == code_of(client, "C_CloseSession", session, associated=binding(0, serial))


def test_flags_that_became_weaker_end_the_sessions(board: Board) -> None:
    """CKR_DEVICE_RESET once, then CKR_SESSION_HANDLE_INVALID; the channel keeps its protection."""
    board.flags("NU")
    client = board.client().shake_hands(0)
    session = client.user()
    board.flags("U")
    assert CKR.DEVICE_RESET == code_of(client, "C_GetSessionInfo", session)
    assert CKR.SESSION_HANDLE_INVALID == code_of(client, "C_GetSessionInfo", session)
    assert client.channel is not None
    assert EVERYTHING & ~SENSITIVE_ENCRYPTED == client.channel.policy


def test_administrator_who_weakens_the_flags_goes_on(board: Board) -> None:
    """The sessions of the application that changed the flags itself are not ended."""
    board.flags("NU")
    client = board.client().shake_hands(0)
    session = client.administrator()
    client.call("C_FindObjectsInit", session, ((CKA.CLASS, ulong(CKO.ADAPTER)),))
    (adapter,) = client.call("C_FindObjects", session, 1)
    client.call("C_FindObjectsFinal", session)
    client.call("C_SetAttributeValue", session, adapter, ((CKA.SECURITY_MODE, ulong(0)),))
    assert CKR.OK == code_of(client, "C_GetSessionInfo", session)


# What ends a channel


def test_restart_of_the_hsm_ends_the_channel(board: Board) -> None:
    """The next request is answered with the end, CKR_DEVICE_RESET, and not done; the application is gone."""
    board.flags("NU")
    client = board.client().shake_hands(0)
    session = client.open()
    board.hsm.restart()
    assert CKR.DEVICE_RESET == code_of(client, "C_GetSessionInfo", session)
    assert client.connection.is_over
    assert client.channel is not None
    assert isinstance(client.channel.cause, TerminatedError)
    again = board.client().shake_hands(0, client.channel.secret)
    assert again.channel is not None
    assert client.channel.secret != again.channel.secret
    again.bound = client.bound
    assert CKR.SESSION_HANDLE_INVALID == code_of(again, "C_GetSessionInfo", session)


def test_session_is_not_opened_on_a_channel_of_before_a_restart(board: Board) -> None:
    """What is plain beside the channel is answered with its end too, and not done; a heartbeat asks for the wire."""
    client = board.client().shake_hands()
    session = client.open()
    board.hsm.restart()
    heartbeat = clear(PLAIN_REQUEST, b"")
    assert clear(PLAIN_REPLY, b"") == client.connection.answer(heartbeat)
    assert client.channel is not None
    request = encode_request(BY_NAME["C_OpenSession"], (0, CKF.SERIAL_SESSION))
    with pytest.raises(TerminatedError) as ended:
        client.channel.open(client.connection.answer(clear(PLAIN_REQUEST, request)))
    assert (CKR.DEVICE_RESET, True) == (ended.value.code, client.connection.is_over)
    again = board.client().shake_hands(secret=client.channel.secret)
    again.bound = client.bound
    assert CKR.SESSION_HANDLE_INVALID == code_of(again, "C_GetSessionInfo", session)
    assert CKR.OK == code_of(again, "C_GetSessionInfo", again.open())


def test_two_channels_end_by_one_restart_and_nothing_of_after_it(board: Board) -> None:
    """The second one is told too, which closes no session that was opened since: in one process all share them."""
    application = Application(board.hsm, Handles())
    endpoint = Endpoint(board.hsm, OneApplication(application))
    first, second = (Client(board, endpoint.connection("", b"")).shake_hands() for _ in range(2))
    session = first.open()
    second.bound = dict(first.bound)
    board.hsm.restart()
    assert CKR.DEVICE_RESET == code_of(first, "C_GetSessionInfo", session)
    renewed = Client(board, endpoint.connection("", b"")).shake_hands()
    since = renewed.open()
    assert CKR.DEVICE_RESET == code_of(second, "C_GetSessionInfo", session)
    assert CKR.OK == code_of(renewed, "C_GetSessionInfo", since)


def test_client_ends_its_channel(board: Board) -> None:
    """TERMINATE is answered by nothing, and the connection is over."""
    client = board.client().shake_hands()
    assert client.channel is not None
    assert b"" == client.connection.answer(client.channel.terminate())
    assert client.connection.is_over


def test_changed_frame_ends_the_channel_with_proof(board: Board) -> None:
    """The farewell is the end of the channel with the code, which the client believes."""
    client = board.client().shake_hands()
    channel = client.channel
    assert channel is not None
    frame = bytearray(channel.seal(b"anything"))
    frame[-1] ^= 1
    farewell = _broken(client, bytes(frame))
    with pytest.raises(TerminatedError) as ended:
        channel.open(farewell)
    assert CKR.BAD_REQ_SIGNATURE == ended.value.code


def test_protected_bytes_that_are_no_request_end_the_channel(board: Board) -> None:
    """CKR_SMS_ERROR, with proof."""
    client = board.client().shake_hands()
    channel = client.channel
    assert channel is not None
    with pytest.raises(TerminatedError) as ended:
        channel.open(_broken(client, channel.seal(b"anything")))
    assert CKR.SMS_ERROR == ended.value.code


def test_replayed_request_ends_the_channel(board: Board) -> None:
    """A frame that was answered once is not answered again."""
    client = board.client().shake_hands()
    session = client.open()
    sent: list[bytes] = []
    answer = client.connection.answer

    class Recorded:
        def answer(self, frame: bytes) -> bytes:
            sent.append(frame)
            return answer(frame)

    connection, client.connection = client.connection, Recorded()  # type: ignore[assignment]
    client.call("C_GetSessionInfo", session)
    client.connection = connection
    _broken(client, sent[0])


@pytest.mark.parametrize("kind", range(16))
def test_frames_that_nobody_sends_first_end_the_connection(board: Board, kind: int) -> None:
    """A body that cannot be, of each kind of frame: refused without a reason."""
    farewell = _broken(board.client(), clear(kind, b"\xff"))
    frame = decode(farewell, CLIENT)
    assert REFUSED == frame.kind


def test_second_hello_ends_the_connection(board: Board) -> None:
    """A connection has one channel."""
    client = board.client().shake_hands()
    _broken(client, Handshake(board.serial, 0, is_sensitive).frame)


def test_confirm_without_the_keys_ends_the_connection(board: Board) -> None:
    """The HSM accepts only who has agreed with it."""
    client, other = board.client(), board.client()
    for each in (client, other):
        hello = Handshake(board.serial, 0, is_sensitive)
        confirmation = hello.answered(each.connection.answer(hello.frame), client.verifier())
    _broken(client, confirmation.frame)


def test_hsm_without_identity_refuses_a_channel(board: Board, tmp_path: Path) -> None:
    """HELLO is REFUSED without a reason on the wire; what it states of itself is unsigned."""
    bare = Board(_bare(tmp_path), tmp_path / "bare copy")
    client = bare.client()
    hello = Handshake(bare.serial, 0, is_sensitive)
    with pytest.raises(RefusedError):
        hello.answered(client.connection.answer(hello.frame), board.client().verifier())
    assert ("refused", "has no identity certificate") == (
        bare.events[-1][0], str(bare.events[-1][1]["reason"]).split(" ", 2)[2]
    )  # fmt: skip
    question = Question("")
    stated = question.answered(
        bare.client().connection.answer(question.frame), Verifier(lambda _: None, None, lambda: 0)
    )
    assert (bare.serial, (), False) == (stated.serial, stated.chain, stated.proven)


def _bare(tmp_path: Path) -> Path:
    from hsm_directory import Place  # noqa: PLC0415 - for this one

    place = Place(tmp_path / "bare")
    place.initialised()[0].close()
    return tmp_path / "bare"


def test_statement_has_the_flags_of_the_moment(board: Board) -> None:
    """Signed, over the client's question, with serial, flags and boot number; any number of times."""
    client = board.client()
    for letters, mode in (("0", 0), ("NU", 0x180), ("n", 2)):
        board.flags(letters)
        question = Question(board.serial)
        stated = question.answered(client.connection.answer(question.frame), client.verifier())
        assert (board.serial, mode, board.hsm.boot, True) == (
            stated.serial, stated.flags, stated.boot, stated.proven
        )  # fmt: skip


def test_new_identity_is_shown_at_once(board: Board) -> None:
    """After the PIC was replaced, statements are signed by the new key."""
    from ptkc.hsm import identity  # noqa: PLC0415 - behind `load`

    client, before = board.client(), board.certificate
    client.shake_hands()
    identity.generate_identity(board.hsm, self_sign=True)
    assert before != board.certificate
    board.client().shake_hands()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans(), st.integers(0, 15))
def test_any_bytes_are_answered_or_end_the_connection(board: Board, data: bytes, framed: bool, kind: int) -> None:  # noqa: FBT001
    """No matter what a client sends, it gets an answer that is a frame, or the connection is over."""
    client = board.client()
    try:
        answer = client.connection.answer(clear(kind, data) if framed else data)
    except PeerError:
        answer = client.connection.farewell
        assert client.connection.is_over
    decode(answer, CLIENT)


def _closing(client: Client) -> list[Callable[[], Any]]:
    return [client.connection.close, client.connection.close]


def test_closing_twice_does_nothing_more(board: Board) -> None:
    """The application keeps its sessions until its time is over."""
    client = board.client()
    client.open()
    for close in _closing(client):
        close()
    (served,) = board.applications.all()
    assert (1, 0) == (len(served.application.sessions), len(served.connections))

"""Whose sessions a connection works with: groups, secrets, time-outs, limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from ends import Board, Client, code_of, prepared
from hsm_directory import USER_PIN

from ptkc.hsm.application import Application
from ptkc.hsm.applications import Applications, OneApplication
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.endpoint import Endpoint
from ptkc.hsm.handles import Handles
from ptkc.sms.bodies import JOINED, NEW, UNKNOWN
from ptkc.sms.errors import RefusedError
from ptkc.spec.constants import CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError, PeerError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prepared HSM, to be copied."""
    return prepared(tmp_path_factory.mktemp("applications") / "source")


@pytest.fixture
def board(source: Path, tmp_path: Path) -> Board:
    """Return an HSM without any security flag."""
    return Board(source, tmp_path / "board")


def _limited(board: Board, **limits: float) -> list[float]:
    """Have the board serve with other limits, by a clock that is returned."""
    clock = [1000.0]
    board.applications = Applications(board.hsm, clock=lambda: clock[0], **limits)  # type: ignore[arg-type]
    board.endpoint = Endpoint(board.hsm, board.applications, board.tell)
    return clock


def _secret(client: Client) -> bytes:
    assert client.channel is not None
    return client.channel.secret


# Who is who


def test_connections_of_a_group_are_one_application(board: Board) -> None:
    """Without channels: sessions and login states are shared within a group, and with no other one."""
    group = bytes(16)
    client, same, other = board.client(group), board.client(group), board.client()
    session = client.user()
    assert 3 == same.call("C_GetSessionInfo", session)[1]
    assert CKR.SESSION_HANDLE_INVALID == code_of(other, "C_GetSessionInfo", session)


def test_channels_that_prove_the_secret_are_one_application(board: Board) -> None:
    """The first channel makes the application, a second one with its secret joins it."""
    client = board.client().shake_hands()
    session = client.user()
    joined = board.client().shake_hands(secret=_secret(client))
    joined.bound = client.bound
    assert client.channel is not None
    assert joined.channel is not None
    assert (NEW, JOINED) == (client.channel.outcome, joined.channel.outcome)
    assert 3 == joined.call("C_GetSessionInfo", session)[1]


def test_session_handle_of_another_application_gets_nothing(board: Board) -> None:
    """A second client that knows the first one's session handle, and its group, has no session of that number."""
    group = bytes(16)
    client = board.client(group).shake_hands()
    session = client.user()
    for other in (board.client(group).shake_hands(), board.client(group), board.client().shake_hands(secret=bytes(32))):
        other.bound = client.bound
        assert CKR.SESSION_HANDLE_INVALID == code_of(other, "C_GenerateRandom", session, 16)
    own = board.client(group).shake_hands()
    mine = own.open()
    assert (session, 2) == (mine, own.call("C_GetSessionInfo", mine)[1])


def test_unknown_secret_makes_a_new_application(board: Board) -> None:
    """After a restart of the server nobody knows the secret: the outcome says so, and the secret is another."""
    client = board.client().shake_hands()
    _limited(board)
    again = board.client().shake_hands(secret=_secret(client))
    assert again.channel is not None
    assert UNKNOWN == again.channel.outcome
    assert _secret(client) != _secret(again)


def test_handles_of_applications_are_their_own(board: Board) -> None:
    """A private session object of one is no object of another, whatever handle it has."""
    client, other = board.client().shake_hands(), board.client().shake_hands()
    session, others = client.user(), other.user()
    key, _ = client.call("C_GenerateKey", session, (0x1080, None), ((0x161, (32).to_bytes(8, "little")),))
    assert CKR.OBJECT_HANDLE_INVALID == code_of(other, "C_GetObjectSize", others, key)


def test_login_is_an_applications_own(board: Board) -> None:
    """One logs out, the other one stays logged in."""
    client, other = board.client().shake_hands(), board.client().shake_hands()
    session, others = client.user(), other.user()
    client.call("C_Logout", session)
    assert 3 == other.call("C_GetSessionInfo", others)[1]


# Ends


def test_application_without_connections_ends_after_its_time(board: Board) -> None:
    """A connection that comes before finds the sessions, one that comes after does not."""
    clock = _limited(board, linger=60.0)
    client = board.client().shake_hands()
    session = client.user()
    client.connection.close()
    clock[0] += 59
    back = board.client().shake_hands(secret=_secret(client))
    back.bound = client.bound
    assert 3 == back.call("C_GetSessionInfo", session)[1]
    back.connection.close()
    clock[0] += 61
    late = board.client().shake_hands(secret=_secret(client))
    assert late.channel is not None
    assert UNKNOWN == late.channel.outcome
    assert CKR.SESSION_HANDLE_INVALID == code_of(late, "C_GetSessionInfo", session)
    assert 1 == len(board.applications.all())


def test_application_with_a_connection_does_not_end(board: Board) -> None:
    """However long it is silent."""
    clock = _limited(board, linger=60.0)
    client, clear = board.client().shake_hands(), board.client()
    session, other = client.open(), clear.open()
    clock[0] += 100000
    board.client().shake_hands()
    assert [CKR.OK] * 2 == [code_of(client, "C_GetSessionInfo", session), code_of(clear, "C_GetSessionInfo", other)]


def test_restart_of_the_hsm_ends_applications_that_had_channels(board: Board) -> None:
    """Their secret is known no more; those without get CKR_DEVICE_RESET once."""
    client, clear = board.client().shake_hands(), board.client()
    client.open()
    session = clear.open()
    board.hsm.restart()
    again = board.client().shake_hands(secret=_secret(client))
    assert again.channel is not None
    assert UNKNOWN == again.channel.outcome
    assert CKR.DEVICE_RESET == code_of(clear, "C_GetSessionInfo", session)
    assert CKR.SESSION_HANDLE_INVALID == code_of(clear, "C_GetSessionInfo", session)


# Limits


def test_sessions_of_an_application_are_limited(board: Board) -> None:
    """CKR_SESSION_COUNT beyond; other applications and closed sessions do not count."""
    _limited(board, sessions=2)
    client = board.client()
    first, _ = client.open(), client.open()
    assert CKR.SESSION_COUNT == code_of(client, "C_OpenSession", 0, CKF.SERIAL_SESSION)
    board.client().open()
    client.call("C_CloseSession", first)
    client.open()



def test_applications_are_limited(board: Board) -> None:
    """Beyond, clear requests are CKR_DEVICE_MEMORY and channels refused; what ends makes room."""
    clock = _limited(board, most=2, linger=60.0)
    client, protected = board.client(), board.client().shake_hands()
    client.open()
    assert CKR.DEVICE_MEMORY == code_of(board.client(), "C_GetSlotList", True)  # noqa: FBT003 - a CK_BBOOL
    with pytest.raises(RefusedError):
        board.client().shake_hands()
    protected.connection.close()
    clock[0] += 61
    board.client().shake_hands()


def test_applications_that_were_left_keep_nobody_out(board: Board) -> None:
    """Where there is no more room the one that has been without connections for the longest time goes."""
    clock = _limited(board, most=2, linger=60.0)
    longest, later = board.client().shake_hands(), board.client()
    later.open()
    for left in (longest, later):
        clock[0] += 1
        left.connection.close()
    board.client().shake_hands()
    back = board.client().shake_hands(secret=_secret(longest))
    assert back.channel is not None
    assert UNKNOWN == back.channel.outcome
    assert 2 == len(board.applications.all())


def test_newcomer_costs_no_stranger_a_session(board: Board) -> None:
    """Connected or not: it gets the place of who has none, else CKR_DEVICE_MEMORY until one is left for good."""
    clock = _limited(board, most=2, linger=60.0)
    left, empty = board.client(address="192.0.2.1").shake_hands(), board.client(address="192.0.2.2").shake_hands()
    session = left.open()
    for each in (left, empty):
        clock[0] += 1
        each.connection.close()
    newcomer = board.client(address="192.0.2.3")
    newcomer.open()
    late = board.client(address="192.0.2.4")
    assert CKR.DEVICE_MEMORY == code_of(late, "C_GetSlotList", True)  # noqa: FBT003 - a CK_BBOOL
    with pytest.raises(RefusedError):
        board.client(address="192.0.2.4").shake_hands()
    back = board.client(address="192.0.2.9").shake_hands(secret=_secret(left))
    back.bound = left.bound
    assert CKR.OK == code_of(back, "C_GetSessionInfo", session)


def test_one_origin_does_not_fill_the_table(board: Board) -> None:
    """Its share is full before: its own lingering ones go, connected ones stay, and others come in."""
    clock = _limited(board, most=4, most_of_client=2, linger=60.0)
    first, second = board.client(address="2001:db8::1").shake_hands(), board.client(address="2001:db8::2").shake_hands()
    session = first.open()
    with pytest.raises(RefusedError):
        board.client(address="2001:db8::3").shake_hands()
    second.open()
    second.connection.close()
    clock[0] += 1
    board.client(address="2001:db8::3").shake_hands()
    board.client(address="2001:db8:0:1::1").shake_hands()
    assert CKR.OK == code_of(first, "C_GetSessionInfo", session)
    again = board.client(address="2001:db8:0:1::2").shake_hands(secret=_secret(second))
    assert again.channel is not None
    assert UNKNOWN == again.channel.outcome






def test_slots_do_not_change_under_others(board: Board) -> None:
    """CKR_ACTION_PROHIBITED for a new slot while another application is connected."""
    client, other = board.client().shake_hands(), board.client().shake_hands()
    session = client.administrator()
    slot = ((0, (0x8000020B).to_bytes(8, "little")),)
    assert CKR.ACTION_PROHIBITED == code_of(client, "C_CreateObject", session, slot)
    other.connection.close()
    assert CKR.OK == code_of(client, "C_CreateObject", session, slot)


# In the same process


def _direct(board: Board) -> tuple[LocalDevice, Application]:
    application = Application(board.hsm, Handles())
    return LocalDevice(board.hsm, application), application


def test_direct_calls_are_refused_as_soon_as_the_flags_want_protection(board: Board) -> None:
    """CKR_BAD_PROTECTION for each call with a session and for C_OpenSession, every time; not for others."""
    device, _ = _direct(board)
    session = device.open_session(0, CKF.SERIAL_SESSION)
    board.flags("n")
    for call in (
        lambda: device.get_session_info(session), lambda: device.get_session_info(session),
        lambda: device.open_session(0, CKF.SERIAL_SESSION), lambda: device.login(session, CKU.USER, USER_PIN),
    ):  # fmt: skip
        with pytest.raises(CryptokiError) as refused:
            call()
        assert CKR.BAD_PROTECTION == refused.value.code
    assert (0, 1) == device.get_slot_list(True)  # noqa: FBT003 - a CK_BBOOL


def test_application_of_this_process_goes_on_over_channels(board: Board) -> None:
    """Its sessions and logins from direct calls are those of every channel, proved or not."""
    device, application = _direct(board)
    session = device.open_session(0, 6)
    device.login(session, CKU.USER, USER_PIN)
    board.flags("NU")
    endpoint = Endpoint(board.hsm, OneApplication(application))
    first = Client(board, endpoint.connection("", b"")).shake_hands(0)
    second = Client(board, endpoint.connection("", b"")).shake_hands(0, _secret(first))
    assert second.channel is not None
    assert JOINED == second.channel.outcome
    own = first.open()
    for client in (first, second):
        client.bound = {**first.bound, session: first.bound[own]}
        assert 3 == client.call("C_GetSessionInfo", session)[1]
    with pytest.raises(PeerError):
        Client(board, endpoint.connection("", b"")).connection.answer(b"")


def test_flags_that_became_weaker_end_sessions_of_direct_calls_too(board: Board) -> None:
    """An application that was served with protection: CKR_DEVICE_RESET once."""
    device, application = _direct(board)
    board.flags("NU")
    OneApplication(application)
    session = device.open_session(0, CKF.SERIAL_SESSION)
    board.flags("n")
    for code in (CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID):
        with pytest.raises(CryptokiError) as refused:
            device.get_session_info(session)
        assert code == refused.value.code


def test_flags_that_became_stronger_end_nothing(board: Board) -> None:
    """From `n` to `N` sensitive requests stay encrypted: the sessions go on."""
    client = board.client().shake_hands()
    session = client.user()
    for letters in ("n", "nu", "Nu", "NU"):
        board.flags(letters)
        assert 3 == client.call("C_GetSessionInfo", session)[1]

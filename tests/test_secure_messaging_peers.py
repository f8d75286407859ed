"""Clients that do not keep to the library's ways: others' handles, applications and bindings, and no protection.

Everything goes to `ptkc serve` over TCP, by tests/peer.py, which sends what it is told to send.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import Machine
from network import OTHER, SERIAL, USER_PIN, Served, served, set_flags
from peer import Peer, serials

from ptkc.client.certificates import CertificateStore, certificate_file
from ptkc.sms.bodies import UNKNOWN
from ptkc.sms.frames import clear, decode
from ptkc.sms.protection import EVERYTHING
from ptkc.sms.state import CLIENT, PLAIN_REPLY, PLAIN_REQUEST, REPLY, REQUEST
from ptkc.spec.constants import CKA, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.wire.codec import binding, encode_request
from ptkc.wire.commands import BY_NAME

_DATA = ((CKA.CLASS, CKO.DATA.to_bytes(8, "little")), (CKA.VALUE, b"the first one's"))


def _held(machine: Machine, serial: str = SERIAL) -> bytes:
    der = CertificateStore(str(machine.store)).read(certificate_file(serial))
    assert der is not None
    return der


@pytest.fixture(scope="module")
def held(appliance: Machine) -> bytes:
    """Return the PIC of the HSM."""
    return _held(appliance)


@pytest.fixture(scope="module", params=["0", "NU"])
def server(
    appliance: Machine, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Served, str]]:
    """Return a server, without flags and under `NU`, and its flags."""
    machine = appliance.copy(tmp_path_factory.mktemp("peers") / "appliance")
    set_flags(machine, request.param)
    with served(machine) as told:
        yield told, request.param


@pytest.fixture
def port(server: tuple[Served, str]) -> int:
    """Return the server's port."""
    return server[0].port


def _refused(code: int, call: Callable[..., object], *arguments: object, **more: object) -> None:
    """Assert that a call is refused with a code."""
    with pytest.raises(CryptokiError) as refused:
        call(*arguments, **more)
    assert code == refused.value.code, refused.value


def test_the_hsms_are_listed(port: int) -> None:
    """By their serials, to anybody."""
    assert (SERIAL,) == serials(port)


def test_there_is_no_other_hsm(port: int) -> None:
    """A serial that is not there is answered with its status, and the end."""
    with Peer(port, OTHER) as peer:
        assert 1 == peer.status
        with pytest.raises(ConnectionError):
            peer.receive()


def test_a_second_client_does_nothing_with_the_first_ones_handles(port: int, held: bytes) -> None:
    """Sessions, logins and objects belong to their application, whether the second client has a channel or not."""
    with Peer(port, SERIAL) as first, Peer(port, SERIAL) as second, Peer(port, SERIAL) as third:
        first.shake_hands(held, EVERYTHING)
        session = first.open()
        first.log_in(session, USER_PIN)
        obj = first.call("C_CreateObject", session, _DATA)
        second.shake_hands(held, EVERYTHING)
        bound = first.bound[session]
        _refused(CKR.SESSION_HANDLE_INVALID, second.call, "C_GetSessionInfo", session, associated=bound)
        _refused(CKR.SESSION_HANDLE_INVALID, second.call, "C_Logout", session, associated=bound)
        own = second.open()
        _refused(CKR.OBJECT_HANDLE_INVALID, second.call, "C_DestroyObject", own, obj)
        assert CKU.USER != second.call("C_GetSessionInfo", own)[1]
        assert 2 == second.call("C_GetSessionInfo", own)[1], "the second one is not logged in"
        with pytest.raises(CryptokiError) as refused:
            third.plain("C_GetSessionInfo", session)
        assert refused.value.code in (CKR.SESSION_HANDLE_INVALID, CKR.BAD_PROTECTION)
        assert 3 == first.call("C_GetSessionInfo", session)[1]
        second.plain("C_CloseAllSessions", 0)
        assert 3 == first.call("C_GetSessionInfo", session)[1]


def test_the_group_of_an_application_with_a_channel_opens_nothing(port: int, held: bytes) -> None:
    """Who reads the group on the wire and says it too has another application."""
    with Peer(port, SERIAL) as first:
        first.shake_hands(held, EVERYTHING)
        session = first.open()
        first.log_in(session, USER_PIN)
        with Peer(port, SERIAL, first.group) as thief:
            with pytest.raises(CryptokiError) as refused:
                thief.plain("C_GetSessionInfo", session)
            assert refused.value.code in (CKR.SESSION_HANDLE_INVALID, CKR.BAD_PROTECTION)
        with Peer(port, SERIAL, first.group) as thief:
            channel = thief.shake_hands(held, EVERYTHING)
            assert channel.secret != first.channel.secret
            _refused(CKR.SESSION_HANDLE_INVALID, thief.call, "C_GetSessionInfo", session)
        assert 3 == first.call("C_GetSessionInfo", session)[1]


def test_an_application_goes_on_over_a_second_channel_with_its_secret(port: int, held: bytes) -> None:
    """And nobody with another one: that is a new application, and is told so."""
    with Peer(port, SERIAL) as first:
        secret = first.shake_hands(held, EVERYTHING).secret
        session = first.open()
        first.log_in(session, USER_PIN)
        with Peer(port, SERIAL) as again:
            again.shake_hands(held, EVERYTHING, secret)
            again.bound.update(first.bound)
            assert 3 == again.call("C_GetSessionInfo", session)[1]
        with Peer(port, SERIAL) as other:
            assert UNKNOWN == other.shake_hands(held, EVERYTHING, os.urandom(32)).outcome
            _refused(CKR.SESSION_HANDLE_INVALID, other.call, "C_GetSessionInfo", session)


def test_a_request_is_bound_to_slot_and_token(port: int, held: bytes) -> None:
    """CKR_SMS_ERROR for a request whose associated data name another slot or token than its session's."""
    with Peer(port, SERIAL) as peer:
        peer.shake_hands(held, EVERYTHING)
        session = peer.open()
        for wrong in (b"", bytes(24), binding(1, peer.bound[session][8:]), peer.bound[session] + b"\0"):
            _refused(CKR.SMS_ERROR, peer.call, "C_GetSessionInfo", session, associated=wrong)
        assert 2 == peer.call("C_GetSessionInfo", session)[1]


def test_what_the_flags_want_protected_is_refused_in_clear(server: tuple[Served, str], held: bytes) -> None:
    """CKR_BAD_PROTECTION for every command with a session; and without flags beside a channel too."""
    told, flags = server
    with Peer(told.port, SERIAL) as peer:
        if flags == "0":
            peer.shake_hands(held, EVERYTHING)
        session = peer.open()
        for command in BY_NAME.values():
            if command.library or not command.has_session or len(command.inputs) > 1 or command.outputs:
                continue
            with pytest.raises(CryptokiError) as refused:
                peer.plain(command.name, session)
            assert CKR.BAD_PROTECTION == refused.value.code, command.name
        _refused(CKR.BAD_PROTECTION, peer.plain, "C_Login", session, CKU.USER, USER_PIN.encode())


def test_a_channel_without_the_protection_of_the_flags_is_not_enough(
    appliance: Machine, tmp_path: Path, held: bytes
) -> None:
    """A channel from before the flags were set does not go on with what it was made for."""
    machine = appliance.copy(tmp_path / "appliance")
    with served(machine) as told, Peer(told.port, SERIAL) as peer:
        peer.shake_hands(held, 0)
        session = peer.open()
        assert 2 == peer.call("C_GetSessionInfo", session)[1]
        set_flags(machine, "NU")
        _refused(CKR.BAD_PROTECTION, peer.call, "C_GetSessionInfo", session)


def _hears_the_end(peer: Peer) -> None:
    """Take what is said, a refusal at most, until the server closes."""
    for _ in range(2):
        try:
            peer.receive()
        except ConnectionError:
            return
    raise AssertionError("the connection goes on")


def test_frames_out_of_turn_end_the_connection(port: int, held: bytes) -> None:
    """A request without a channel, a second greeting, a reply from a client, an ACCEPT."""
    for kind in (REQUEST, REPLY, PLAIN_REPLY, 4, 10, 0, 255):
        with Peer(port, SERIAL) as peer:
            peer.send(struct.pack("<BBBBIQQ", 1, kind, 0, 0, 0, 0, 0))
            _hears_the_end(peer)
    with Peer(port, SERIAL) as peer:
        peer.shake_hands(held)
        with pytest.raises((ConnectionError, CryptokiError)):
            peer.shake_hands(held)


@pytest.mark.parametrize("length", [2**32 - 1, 2**28 + 25, 2**27])
def test_a_length_is_not_believed(port: int, length: int) -> None:
    """A header that announces too much is refused before any of it is waited for."""
    with Peer(port, SERIAL) as peer:
        peer.send(struct.pack("<BBBBIQQ", 1, PLAIN_REQUEST, 0, 0, length, 0, 0))
        _hears_the_end(peer)


def test_the_reason_of_a_refusal_stays_with_the_hsm(port: int, held: bytes) -> None:
    """Only the code goes over the wire."""
    with Peer(port, SERIAL) as peer:
        peer.shake_hands(held, EVERYTHING)
        session = peer.open()
        with pytest.raises(CryptokiError) as refused:
            peer.call("C_DestroyObject", session, 77)
        assert "" == refused.value.message


def test_the_heartbeat_is_answered(port: int) -> None:
    """An empty plain request by an empty plain reply."""
    with Peer(port, SERIAL) as peer:
        answer = decode(peer.exchange(clear(PLAIN_REQUEST, b"")), CLIENT)
        assert (PLAIN_REPLY, b"") == (answer.kind, bytes(answer.body))


def test_a_request_cut_off_by_a_closed_connection_is_not_done(port: int) -> None:
    """Half of a frame, and the end: the server goes on with the others."""
    with Peer(port, SERIAL) as peer:
        frame = clear(PLAIN_REQUEST, encode_request(BY_NAME["C_OpenSession"], (0, 6)))
        peer.send(frame[:-1])
    with Peer(port, SERIAL) as peer:
        assert peer.open()

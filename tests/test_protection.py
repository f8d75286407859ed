"""Which protection a device's messages have: policy, whom the client believes, renewal, restarts, and no way back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from boards import Board, board, boards, three  # noqa: F401 - fixtures
from machine import Machine
from network import reached

from ptkc.client.certificates import OWNER, CertificateStore, certificate_file
from ptkc.client.connection import Connection, Opened
from ptkc.client.pool import Pool
from ptkc.client.protection import Protection
from ptkc.client.remote import RemoteDevice
from ptkc.client.transport import DirectTransport, NotSentError, Transport
from ptkc.hsm.applications import Applications
from ptkc.hsm.endpoint import Endpoint
from ptkc.hsm.policy import mode_of
from ptkc.sms.frames import HEADER_LENGTH, clear
from ptkc.sms.protection import (
    EVERYTHING,
    REPLIES_SIGNED,
    REQUESTS_ENCRYPTED,
    REQUESTS_SIGNED,
    SENSITIVE_ENCRYPTED,
    policy_of_letters,
)
from ptkc.sms.state import HELLO, KINDS, PLAIN_REPLY, QUESTION, REPLY, REQUEST, STATEMENT, TERMINATE
from ptkc.spec.constants import CKA, CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.wire.commands import BY_NAME

READ_WRITE = CKF.SERIAL_SESSION | CKF.RW_SESSION
USER_PIN = b"user-1234"


class Tapped(Transport):
    """A direct transport whose frames are kept, and changed by a function where there is one."""

    def __init__(self, rig: Rig) -> None:
        """Connect to the rig's HSM."""
        self.end = rig.endpoint.connection("here", b"group")
        self.within = DirectTransport(self.end)
        self.rig = rig

    def exchange(self, frame: bytes, limit: float | None = None) -> bytes:
        """Pass a frame on, and its answer back."""
        rig = self.rig
        if not rig.is_there:
            raise NotSentError("nobody listens")
        rig.frames.append(frame)
        answer = self.within.exchange(rig.change(frame), limit)
        rig.frames.append(answer)
        return rig.change(answer)

    def send(self, frame: bytes) -> None:
        """Pass a last frame on."""
        self.rig.frames.append(frame)
        self.within.send(frame)

    def pending(self) -> bytes:
        """Return nothing."""
        return self.within.pending()

    def close(self) -> None:
        """End."""
        self.within.close()

    def drop_after_fork(self) -> None:
        """End without a word."""
        self.within.drop_after_fork()


class Rig:
    """An HSM as a server has it, a client of it, and the wire between them."""

    def __init__(self, made: Board, directory: Path, wanted: str = "", most: int = 4) -> None:
        """Begin with a client that holds no certificate; `wanted` are the letters of its SMPR."""
        self.board = made
        self.hsm = made.hsm
        self.now = 0.0
        self.served = Applications(self.hsm, linger=60, clock=lambda: self.now)
        self.endpoint = Endpoint(self.hsm, self.served)
        self.store = CertificateStore(str(directory / "store"))
        self.frames: list[bytes] = []
        self.change: Callable[[bytes], bytes] = bytes
        self.is_there = True
        self.protection = Protection(self.hsm.serial, policy_of_letters(wanted), self.store, 5, local=False)
        self.pool = Pool(self.connect, self.protection, most, 5)
        names = count(1000)
        self.device = RemoteDevice(self.pool, lambda _: next(names), lambda _: None)

    def connect(self) -> Connection:
        """Connect as over a network."""
        if not self.is_there:
            raise NotSentError("nobody listens")
        answered = self.protection.answered
        known = self.served.knows(b"group")
        return Connection(Tapped(self), 1000, self.protection.connected(known=known, answered=answered))

    def hold(self) -> Rig:
        """Have the client hold the HSM's PIC."""
        pic = self.board.device.ct_fetch_certificate(CKA.LOCAL_IDENTITY_CERT, 4096)
        self.store.write(certificate_file(self.hsm.serial), pic, replace=True)
        return self

    def set_flags(self, letters: str) -> None:
        """Set the HSM's security flags, as another process does."""
        self.hsm.set_policy(security_mode=mode_of(letters))

    def session(self) -> int:
        """Open a session; the user is logged in."""
        session = self.device.open_session(0, READ_WRITE)
        self.device.login(session, CKU.USER, USER_PIN)
        return session

    def works(self, session: int) -> bool:
        """Whether a session can be used, and its user is logged in."""
        return 3 == self.device.get_session_info(session)[1] and 32 == len(self.device.generate_random(session, 32))

    def kinds(self) -> list[str]:
        """Return the kinds of the frames so far."""
        return [KINDS[frame[1]] for frame in self.frames]

    def protections(self, kind: int) -> set[int]:
        """Return the protections that frames of a kind had."""
        return {frame[2] for frame in self.frames if frame[1] == kind}


@pytest.fixture
def rig(board: Board, tmp_path: Path) -> Rig:  # noqa: F811 - the fixture
    """Return an HSM with an identity and a user token, and a client without a policy that holds nothing."""
    board.generate_identity(self_sign=True)
    board.device.close_session(board.user_session())
    return Rig(board, tmp_path)


def _with(rig: Rig, letters: str, most: int = 4) -> Rig:
    """Return a client with an SMPR, and the PIC, of the same HSM."""
    return Rig(rig.board, Path(rig.store.directory).parent, letters, most).hold()


def _code(call: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(CryptokiError) as caught:
        call(*arguments)
    return caught.value.code


# Policy


def test_nothing_is_protected_where_nobody_wants_it(rig: Rig) -> None:
    """The HSM is asked for its flags, and then there is no channel."""
    assert rig.works(rig.session())
    assert 1 == rig.kinds().count("QUESTION")
    assert {"PLAIN_REQUEST", "PLAIN_REPLY", "QUESTION", "STATEMENT"} == set(rig.kinds())


@pytest.mark.parametrize(
    ("flags", "letters", "request_has", "reply_has"),
    [
        ("u", "", {2}, {0}),
        ("0", "S", {2}, {0}),
        ("0", "SR", {2}, {2}),
        ("n", "", {0, 1}, {0}),
        ("0", "E", {0, 1}, {0}),
        ("N", "", {1}, {1}),
        ("U", "", {2}, {2}),
        ("nu", "R", {2, 3}, {2}),
        ("U", "N", {3}, {3}),
        ("NU", "", {3}, {3}),
    ],
)
def test_policy_is_what_either_side_wants(
    rig: Rig, flags: str, letters: str, request_has: set[int], reply_has: set[int]
) -> None:
    """Flags and SMPR add up; sensitive requests alone are encrypted under No Clear PINs."""
    rig.set_flags(flags)
    client = _with(rig, letters)
    assert client.works(client.session())
    assert (request_has, reply_has) == (client.protections(REQUEST), client.protections(REPLY))
    assert not any(USER_PIN in frame for frame in client.frames if client.protection.policy & 3)


def test_functions_without_a_session_make_no_channel(rig: Rig) -> None:
    """They are never protected."""
    client = _with(rig, "NU")
    assert 2 == len(client.device.get_slot_list(True))  # noqa: FBT003 - a CK_BBOOL
    assert client.device.get_token_info(0)[0].startswith(b"user token")
    assert {"PLAIN_REQUEST", "PLAIN_REPLY"} == set(client.kinds())


@pytest.mark.parametrize("letters", ["n", "N"])
def test_pin_without_a_session_does_not_leave_the_client(rig: Rig, letters: str) -> None:
    """C_InitToken where PINs are encrypted: CKR_ACCESS_DENIED of the client's own, whether it knew the flags or not."""
    rig.hold().set_flags(letters)
    for _ in range(2):
        assert CKR.ACCESS_DENIED == _code(rig.device.init_token, 0, b"pin-of-the-so", b"label".ljust(32))
    assert not [frame for frame in rig.frames if b"pin-of-the-so" in frame]


def test_no_channel_is_made_twice_on_a_connection(rig: Rig) -> None:
    """One handshake serves all calls of a thread."""
    client = _with(rig, "NU")
    sessions = [client.session(), client.device.open_session(0, READ_WRITE)]
    assert all(client.works(session) for session in sessions)
    assert 1 == client.kinds().count("HELLO")


# Whom the client believes


def test_channel_without_any_certificate_is_refused_before_it_is_asked_for(rig: Rig) -> None:
    """CKR_CERT_NOT_VALIDATED from C_OpenSession: there is nothing to know the HSM by."""
    client = Rig(rig.board, Path(rig.store.directory).parent, "S")
    assert CKR.CERT_NOT_VALIDATED == _code(client.device.open_session, 0, READ_WRITE)
    assert "HELLO" not in client.kinds()


def test_flags_that_want_a_channel_need_a_certificate_too(rig: Rig) -> None:
    """What the HSM says without proof can raise the policy, and then it must be proved."""
    rig.set_flags("u")
    assert CKR.CERT_NOT_VALIDATED == _code(rig.device.open_session, 0, READ_WRITE)
    rig.hold()
    assert rig.works(rig.session())


def test_unsigned_statement_is_refused_by_who_holds_a_certificate(rig: Rig) -> None:
    """Somebody on the wire who says that no protection is needed gets nothing: CKR_SMS_ERROR."""
    rig.set_flags("NU")
    rig.hold()
    serial = rig.hsm.serial.encode()
    says_no_flags = clear(STATEMENT, bytes(8) + (1).to_bytes(8, "little") + bytes([len(serial)]) + serial + b"\0\0\0")
    rig.change = lambda frame: says_no_flags if frame[1] == STATEMENT else frame
    assert CKR.SMS_ERROR == _code(rig.device.open_session, 0, READ_WRITE)


def test_statement_of_before_is_refused(rig: Rig) -> None:
    """It does not answer the fresh question: CKR_SMS_ERROR."""
    rig.hold()
    rig.device.open_session(0, READ_WRITE)
    old = next(frame for frame in rig.frames if frame[1] == STATEMENT)
    rig.set_flags("NU")
    client = Rig(rig.board, Path(rig.store.directory).parent).hold()
    client.change = lambda frame: old if frame[1] == STATEMENT else frame
    assert CKR.SMS_ERROR == _code(client.device.open_session, 0, READ_WRITE)


def test_other_certificate_than_the_one_held_is_refused(rig: Rig) -> None:
    """The HSM got a new identity, or is another one: CKR_CERT_NOT_VALIDATED until it is fetched."""
    client = _with(rig, "NU")
    rig.board.generate_identity(self_sign=True)
    assert CKR.CERT_NOT_VALIDATED == _code(client.device.open_session, 0, READ_WRITE)
    client.hold()
    assert client.works(client.session())


def test_file_that_is_no_certificate_is_not_taken_for_none(rig: Rig) -> None:
    """An unreadable store would else mean that nothing need be proved."""
    rig.hold()
    Path(rig.store.path(certificate_file(rig.hsm.serial))).write_bytes(b"-----BEGIN nothing")
    assert CKR.CERT_NOT_VALIDATED == _code(rig.device.open_session, 0, READ_WRITE)


def test_owners_certificate_suffices(three: list[Board], tmp_path: Path) -> None:  # noqa: F811 - the fixture
    """A client that holds the POC alone knows each HSM of the owner, and no other HSM under its serial."""
    store = tmp_path / "store"
    CertificateStore(str(store)).write(OWNER, three[0].value("POC"))
    for made in three[1:]:
        client = Rig(made, tmp_path, "NU")
        session = client.device.open_session(made.slot, READ_WRITE)
        assert made.slot == client.device.get_session_info(session)[0]
        assert {3} == client.protections(REQUEST)
    other = Rig(three[1], tmp_path, "NU")
    other.endpoint = Rig(three[2], tmp_path).endpoint
    assert _code(other.device.open_session, 1, READ_WRITE) in (CKR.CERT_NOT_VALIDATED, CKR.SMS_ERROR)


def test_hsm_without_an_identity_cannot_have_a_channel(board: Board, tmp_path: Path) -> None:  # noqa: F811
    """It refuses the greeting; a client that holds a certificate learns that nothing is proved: CKR_SMS_ERROR."""
    board.generate_identity(self_sign=True)
    pic = board.value("PIC")
    plain = boards(tmp_path / "other", 1)[0]
    for letters in ("NU", ""):
        client = Rig(plain, tmp_path, letters)
        client.store.write(certificate_file(plain.hsm.serial), pic, replace=True)
        assert CKR.SMS_ERROR == _code(client.device.open_session, 1, READ_WRITE)


# A running application


def test_flags_that_are_added_protect_from_the_next_call_on(rig: Rig) -> None:
    """Session and login stay; the call is repeated with its protection, and the application sees nothing."""
    rig.hold()
    session = rig.session()
    rig.set_flags("NU")
    rig.frames.clear()
    assert rig.works(session)
    assert ({3}, {3}) == (rig.protections(REQUEST), rig.protections(REPLY))
    rig.set_flags("0")
    assert CKR.DEVICE_RESET == _code(rig.device.get_session_info, session)


def test_flags_that_another_thread_has_met_first_are_nobodys_error(rig: Rig) -> None:
    """Its question has raised the policy between this thread's call and the refusal: the call is repeated as well."""
    class Overtaken(Pool):
        """A pool in which another thread comes between the first call and its refusal."""

        __slots__ = ("calls",)

        def exchange(self, message: bytes, opened: Opened | None = None) -> bytes:
            self.calls += 1
            reply = super().exchange(message, opened)
            if self.calls == 1:
                assert rig.works(session)
            return reply

    pool = rig.device.pool = Overtaken(rig.connect, rig.protection, 4, 5)
    pool.calls = 1
    rig.hold()
    session = rig.session()
    rig.set_flags("NU")
    pool.calls = 0
    assert 3 == rig.device.get_session_info(session)[1]


def test_flags_that_are_added_to_a_channel_make_another_one(rig: Rig) -> None:
    """The old one protects too little: CKR_BAD_PROTECTION, which the library answers by a handshake."""
    rig.set_flags("u")
    rig.hold()
    session = rig.session()
    rig.set_flags("NU")
    assert rig.works(session)
    assert ({2, 3}, 2) == (rig.protections(REQUEST), rig.kinds().count("HELLO"))
    assert rig.works(session)
    assert 2 == rig.kinds().count("HELLO")


def test_policy_of_a_process_is_never_lowered(rig: Rig) -> None:
    """Flags that are taken away end the sessions, once CKR_DEVICE_RESET; what follows is protected as before."""
    rig.set_flags("NU")
    rig.hold()
    session = rig.session()
    rig.set_flags("0")
    assert CKR.DEVICE_RESET == _code(rig.device.get_session_info, session)
    assert CKR.SESSION_HANDLE_INVALID == _code(rig.device.get_session_info, session)
    rig.frames.clear()
    session = rig.session()
    assert rig.works(session)
    assert ({3}, {3}) == (rig.protections(REQUEST), rig.protections(REPLY))
    rig.pool.drop()
    assert rig.works(session)
    assert ({3}, {3}) == (rig.protections(REQUEST), rig.protections(REPLY))


def test_bad_protection_that_nobody_wants_is_the_callers(rig: Rig) -> None:
    """A forged refusal makes the client ask for the flags, and not repeat the call for ever."""
    session = rig.session()
    rig.hold()
    refused = clear(12, b"\x01\x01\x0a\x00" + CKR.BAD_PROTECTION.to_bytes(8, "little") + bytes(8))
    command = rig.device.get_session_info
    rig.change = lambda frame: refused[: HEADER_LENGTH + 2] + frame[HEADER_LENGTH + 2 : HEADER_LENGTH + 4] + refused[
        HEADER_LENGTH + 4 :
    ] if frame[1] == 12 else frame
    assert CKR.BAD_PROTECTION == _code(command, session)
    rig.change = bytes
    assert rig.works(session)


def test_channel_that_the_hsm_ended_is_renewed(rig: Rig) -> None:
    """The administrator closes it: the next call gets another one of the same application, and is done once."""
    client = _with(rig, "NU")
    session = client.session()
    for served in client.served.all():
        for connection in list(served.connections):
            connection.end_soon(0)
    assert client.works(session)
    assert 2 == client.kinds().count("HELLO")
    assert "TERMINATE" in client.kinds()


def test_restarted_hsm_ends_the_sessions_once(rig: Rig) -> None:
    """CKR_DEVICE_RESET for the first call, CKR_SESSION_HANDLE_INVALID after it, and a new session works."""
    client = _with(rig, "NU")
    session, other = client.session(), client.device.open_session(0, READ_WRITE)
    client.hsm.restart()
    codes = [_code(client.device.get_session_info, each) for each in (session, session, other)]
    assert [CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID, CKR.SESSION_HANDLE_INVALID] == codes
    assert client.works(client.session())


@pytest.mark.parametrize("letters", ["NU", ""])
def test_forgotten_application_ends_the_sessions_once(rig: Rig, letters: str) -> None:
    """The server was restarted: no number of before is used with the new application."""
    client = _with(rig, letters)
    session, other = client.session(), client.device.open_session(0, READ_WRITE)
    client.served = Applications(client.hsm, linger=60, clock=lambda: client.now)
    client.endpoint = Endpoint(client.hsm, client.served)
    client.pool.drop()
    codes = [_code(client.device.get_session_info, each) for each in (session, session, other)]
    assert [CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID, CKR.SESSION_HANDLE_INVALID] == codes
    assert client.works(client.session())


@pytest.mark.parametrize("letters", ["NU", ""])
def test_sessions_outlive_the_connection(rig: Rig, letters: str) -> None:
    """An application is known by its secret, without a channel by its group; unreachable is CKR_DEVICE_REMOVED."""
    client = _with(rig, letters)
    session = client.session()
    client.pool.drop()
    client.is_there = False
    assert CKR.DEVICE_REMOVED == _code(client.device.get_session_info, session)
    client.is_there = True
    assert client.works(session)


def test_threads_of_one_application_share_sessions_and_login(rig: Rig) -> None:
    """Each has a channel of its own; the second ones prove the secret of the first."""
    client = _with(rig, "NU", most=3)
    session = client.session()
    gate, wrong = threading.Barrier(3), []

    def work() -> None:
        gate.wait(10)
        wrong.extend(turn for turn in range(20) if not client.works(session))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ([], [False] * 3) == (wrong, [thread.is_alive() for thread in threads])
    assert 1 == len(client.served.all())


@pytest.mark.parametrize(
    ("kind", "code"), [(REQUEST, CKR.BAD_REQ_SIGNATURE), (REPLY, CKR.BAD_REPLY_SIGNATURE)], ids=["request", "reply"]
)
def test_changed_frame_is_told_and_ends_the_channel(rig: Rig, kind: int, code: int) -> None:
    """The call fails with the vendor's code; the next one has a new channel, and nothing is lost."""
    client = _with(rig, "NU")
    session = client.session()

    def flip(frame: bytes) -> bytes:
        return frame[:-70] + bytes([frame[-70] ^ 1]) + frame[-69:] if frame[1] == kind else frame

    client.change = flip
    assert code == _code(client.device.generate_random, session, 32)
    client.change = bytes
    assert client.works(session)
    assert 2 == client.kinds().count("HELLO")


def test_request_is_bound_to_slot_and_token(rig: Rig) -> None:
    """A session that somebody on the wire gave in place of another one is refused: CKR_SMS_ERROR."""
    client = _with(rig, "NU")
    user = client.session()
    admin = client.device.open_session(rig.board.slot, READ_WRITE)
    sessions = client.device.sessions
    sessions[user].number, sessions[admin].number = sessions[admin].number, sessions[user].number
    assert [CKR.SMS_ERROR] * 2 == [_code(client.device.get_session_info, session) for session in (user, admin)]


def test_new_session_is_none_that_is_open_already(rig: Rig) -> None:
    """C_OpenSession and its reply are not protected: another session's handle in it is CKR_SMS_ERROR."""
    rig.set_flags("NU")
    rig.hold()
    session = rig.session()
    number = rig.device.sessions[session].number
    command = BY_NAME["C_OpenSession"].number.to_bytes(2, "little")

    def change(frame: bytes) -> bytes:
        is_reply = frame[1] == PLAIN_REPLY and frame[HEADER_LENGTH + 2 : HEADER_LENGTH + 4] == command
        return frame[:-8] + number.to_bytes(8, "little") if is_reply else frame

    rig.change = change
    assert CKR.SMS_ERROR == _code(rig.device.open_session, 0, READ_WRITE)
    rig.change = bytes
    assert rig.works(session)


def test_another_client_reaches_none_of_the_sessions(rig: Rig) -> None:
    """Handles are an application's own; a number that was seen elsewhere is CKR_SESSION_HANDLE_INVALID."""
    client = _with(rig, "NU")
    session = client.session()
    other = _with(rig, "NU")
    other.served, other.endpoint = client.served, client.endpoint
    other.connect = lambda: Connection(Tapped(other), 1000, other.protection.epoch)  # type: ignore[method-assign]
    own = other.device.open_session(0, READ_WRITE)
    other.device.sessions[own].number = client.device.sessions[session].number
    assert other.device.sessions[own].number != 0
    if client.device.sessions[session].number != 1:
        assert CKR.SESSION_HANDLE_INVALID == _code(other.device.get_session_info, own)
    else:
        assert 2 == other.device.get_session_info(own)[1]  # its own first session, which nobody has logged in to


def test_end_of_the_client_ends_its_sessions(rig: Rig) -> None:
    """C_Finalize closes the sessions at the HSM, and the channel in good order."""
    client = _with(rig, "NU")
    client.session()
    (served,) = [each for each in client.served.all() if each.application.sessions]
    client.device.close()
    assert {} == served.application.sessions
    assert TERMINATE == client.frames[-1][1]


def test_handshake_begins_with_what_the_policy_is(rig: Rig) -> None:
    """The HELLO says all that the client wants, what it learned of flags included."""
    rig.set_flags("u")
    rig.hold()
    rig.device.open_session(0, READ_WRITE)
    assert [QUESTION, HELLO] == [frame[1] for frame in rig.frames if frame[1] in (QUESTION, HELLO)]
    assert REQUESTS_SIGNED == rig.protection.policy
    assert REQUESTS_SIGNED | REPLIES_SIGNED | REQUESTS_ENCRYPTED | SENSITIVE_ENCRYPTED | 8 == EVERYTHING


# Through the shared object

_SESSIONS = """
import os, sys
import pkcs11, ptkc
from cffi import FFI
from ptkc.hsm.policy import mode_of
from ptkc.spec.constants import CKH
from ptkc.tools.adapter import adapter
from ptkc.vendor import Attribute, ObjectClass, devices, lib

library = lib()
device = devices(library)[0]
token = library.get_token(token_label="Tests")
session = token.open(rw=True, user_pin="user-1234")
key = session.generate_key(pkcs11.KeyType.AES, 256)
encrypt = lambda: key.encrypt(bytes(32), mechanism_param=bytes(16))
expected = encrypt()

def channels():
    with device.admin.open() as admin:
        return len(list(admin.get_objects({Attribute.CLASS: ObjectClass.HW_FEATURE,
                                           Attribute.HW_FEATURE_TYPE: CKH.PTKC_CHANNEL})))

def child():
    try:
        session.generate_random(64)
    except pkcs11.PKCS11Error:
        pass
    else:
        return 1
    ffi = FFI()
    ffi.cdef("unsigned long C_Initialize(void *);")
    if ffi.dlopen(os.path.join(os.path.dirname(ptkc.__file__), "libptkc.so")).C_Initialize(ffi.NULL):
        return 2
    with library.get_token(token_label="Tests").open(rw=True, user_pin="user-1234") as other:
        return 3 if channels() < 1 or len(other.generate_random(64)) != 8 else 0
"""

_FLAGS_ARE_SET = """
before = channels()
with device.admin.open(rw=True, user_pin="admin-" + device.serial) as admin:
    adapter(admin)[Attribute.SECURITY_MODE] = mode_of("NU")
print(encrypt() == expected, before, channels())
library.finalize()
"""

_FORKED = """
pid = os.fork()
if not pid:
    os._exit(child())
print(os.waitpid(pid, 0)[1] >> 8, encrypt() == expected)
library.finalize()
"""


@pytest.mark.parametrize("way", ["in process", "clear network"])
def test_running_operations_go_on_when_flags_are_set(appliance: Machine, tmp_path: Path, way: str) -> None:
    """Keys, sessions and logins of before stay; from then on there is a channel."""
    if way == "in process":
        assert "True 0 1\n" == appliance.copy(tmp_path / "home").script(_SESSIONS + _FLAGS_ARE_SET)
        return
    with reached(way, appliance, tmp_path) as machine:
        assert "True 0 1\n" == machine.script(_SESSIONS + _FLAGS_ARE_SET)


@pytest.mark.parametrize("way", ["protected", "clear network", "network"])
def test_child_of_a_fork_begins_with_its_own_application(appliance: Machine, tmp_path: Path, way: str) -> None:
    """The parent's channels and connections are as they were; the child makes its own after C_Initialize."""
    with reached(way, appliance, tmp_path) as machine:
        script = _SESSIONS.replace("channels() < 1", "False") if way == "clear network" else _SESSIONS
        assert "0 True\n" == machine.script(script + _FORKED)

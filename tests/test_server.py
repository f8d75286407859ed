"""The server: sockets, limits, time-outs, the stop, its log; and PINs that are guessed from one address."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ends import Board, prepared
from hsm_directory import USER_PIN
from peer import Peer, serials
from processes import SEEN, free_port, listening, wait_for

from ptkc.hsm.admission import Admission
from ptkc.hsm.attempts import Attempts
from ptkc.hsm.budget import Budget
from ptkc.hsm.pace import Pace
from ptkc.hsm.server import Limits, Server
from ptkc.sms.errors import RefusedError, TerminatedError
from ptkc.sms.frames import HEADER_LENGTH, clear, decode, header
from ptkc.sms.state import PLAIN_REPLY, PLAIN_REQUEST
from ptkc.sms.statement import Question
from ptkc.spec.constants import CKA, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, ulong
from ptkc.token.hsms import Hsm
from ptkc.wire import prelude
from ptkc.wire.codec import encode_request
from ptkc.wire.commands import BY_NAME

_HEARTBEAT, _ANSWER = clear(PLAIN_REQUEST, b""), clear(PLAIN_REPLY, b"")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prepared HSM, to be copied."""
    return prepared(tmp_path_factory.mktemp("server") / "source")


class _Running:
    """A server in a thread of this process, for one HSM."""

    def __init__(self, source: Path, directory: Path, **limits: float) -> None:
        self.board = Board(source, directory / "board")
        self.events: list[tuple[str, dict[str, object]]] = []
        self.server = Server([self.board.hsm], Limits(**limits), self._tell)  # type: ignore[arg-type]
        _, self.port = self.server.listen("127.0.0.1", 0)
        self.path = str(directory / "socket")
        self.server.listen_at(self.path)
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()

    def _tell(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    def said(self, event: str) -> bool:
        """Whether an event was told."""
        return any(event == one for one, _ in self.events)

    def peer(self, group: bytes | None = None, source: str = "") -> Peer:
        """Return a client."""
        return Peer(self.port, self.board.serial, group, source)

    def stop(self) -> None:
        """Stop it, and wait for the end."""
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def start(source: Path, tmp_path: Path) -> Iterator[Callable[..., _Running]]:
    """Return what starts a server with these limits; it is stopped at the end."""
    running: list[_Running] = []

    def begin(**limits: float) -> _Running:
        running.append(_Running(source, tmp_path, **limits))
        return running[-1]

    yield begin
    for each in running:
        each.stop()
        each.board.hsm.close()


def _ends(peer: Peer) -> bool:
    """Whether the other end closes the connection."""
    try:
        return b"" == peer.socket.recv(1)
    except ConnectionResetError:
        return True


# Who is there


def test_hsms_are_listed_and_found(start: Callable[..., _Running]) -> None:
    """By their serials; one that is not there is said so."""
    server = start()
    assert (server.board.serial,) == serials(server.port)
    with server.peer() as peer:
        assert prelude.OK == peer.status
        assert _ANSWER == peer.exchange(_HEARTBEAT)
    with Peer(server.port, "nobody") as stranger:
        assert prelude.NO_SUCH_HSM == stranger.status
        assert _ends(stranger)


def test_hsm_that_was_taken_away_is_listed_no_more(start: Callable[..., _Running]) -> None:
    """Its clients' next call is CKR_DEVICE_REMOVED."""
    server = start()
    with server.peer() as peer:
        session = peer.open()
        hsm = server.board.place.open()
        hsm.set_policy(transport_mode=2)
        hsm.unplug()
        with pytest.raises(CryptokiError) as refused:
            peer.call("C_GetSessionInfo", session)
        assert CKR.DEVICE_REMOVED == refused.value.code
    assert () == serials(server.port)
    with server.peer() as late:
        assert prelude.NO_SUCH_HSM == late.status


def test_group_that_is_known_is_told_so(start: Callable[..., _Running]) -> None:
    """As long as its application lives: a client learns from it that the server was not restarted meanwhile."""
    server, group = start(), os.urandom(16)
    with server.peer(group) as first:
        first.open()
        with server.peer(group) as second, server.peer() as other:
            assert [prelude.OK, prelude.KNOWN, prelude.OK] == [first.status, second.status, other.status]


def test_protected_work_over_tcp(start: Callable[..., _Running]) -> None:
    """Login and random numbers over a channel; another address of the log is the client's."""
    server = start()
    server.board.flags("NU")
    with server.peer() as peer:
        assert peer.stated(server.board.certificate).proven
    with server.peer() as peer:
        peer.shake_hands(server.board.certificate)
        session = peer.open()
        peer.log_in(session, USER_PIN.decode())
        assert 100000 == len(peer.call("C_GenerateRandom", session, 100000))
    wait_for(lambda: server.said("disconnected"), "the end of the connection")
    assert USER_PIN.decode() not in str(server.events)


def test_unix_socket_is_its_users_alone(start: Callable[..., _Running]) -> None:
    """Mode 0600; it serves as TCP does, and is gone with the server."""
    server = start()
    assert 0o600 == stat.S_IMODE(os.stat(server.path).st_mode)
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(server.path)
        stream.sendall(prelude.write_request(prelude.TALK, server.board.serial, bytes(16)) + _HEARTBEAT)
        assert prelude.write_reply(prelude.OK) == stream.recv(prelude.REPLY_LENGTH)
        assert _ANSWER == stream.recv(HEADER_LENGTH)
    assert f"user {os.geteuid()}" in str(server.events)
    server.stop()
    assert not os.path.exists(server.path)


def test_socket_of_a_dead_server_is_replaced_that_of_a_living_one_is_not(
    start: Callable[..., _Running], tmp_path: Path
) -> None:
    """And neither is a file that is no socket."""
    server = start()
    left, plain = str(tmp_path / "left"), str(tmp_path / "plain")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(left)
    Path(plain).write_text("mine", encoding="utf-8")
    other = Server([], Limits(), lambda *_, **__: None)
    other.listen_at(left)
    for path in (server.path, plain):
        with pytest.raises(OSError):  # noqa: PT011 - whichever the system has for it
            other.listen_at(path)
    assert "mine" == Path(plain).read_text(encoding="utf-8")
    other.stop()
    other.serve()


# Limits


def test_connections_are_limited(start: Callable[..., _Running]) -> None:
    """In all, and of one address; a connection that ends makes room."""
    server = start(connections=2)
    with server.peer() as first, server.peer() as second:
        assert [prelude.OK] * 2 == [first.status, second.status]
        with server.peer() as third:
            assert prelude.BUSY == third.status
            assert _ends(third)
    wait_for(lambda: 2 == sum(event == "disconnected" for event, _ in server.events), "room")
    wait_for(lambda: prelude.OK == _status(server), "room")


def _status(server: _Running) -> int:
    with server.peer() as peer:
        return peer.status


def test_connections_of_one_address_are_limited(start: Callable[..., _Running]) -> None:
    """CKR none: the prelude says it."""
    server = start(client_connections=1)
    with server.peer() as first:
        assert prelude.OK == first.status
        assert prelude.BUSY_FOR_CLIENT == _status(server)


def test_who_is_turned_away_keeps_nobody_out() -> None:
    """An address that asks beyond its limit is told so some times at once, then closed; others come in as before."""
    admission = Admission(8, 4)
    answers = [admission.enter("greedy") for _ in range(20)]
    assert [prelude.OK] * 4 + [prelude.BUSY_FOR_CLIENT] * 8 + [None] * 8 == answers
    assert [prelude.OK] * 4 == [admission.enter(f"other {number}") for number in range(4)]
    assert prelude.BUSY == admission.enter("late")
    admission.leave("late", prelude.BUSY)
    admission.leave("greedy", prelude.BUSY_FOR_CLIENT)
    assert prelude.BUSY_FOR_CLIENT == admission.enter("greedy")
    admission.leave("greedy", prelude.OK)
    assert prelude.OK == admission.enter("late")


def test_address_of_ipv6_counts_with_its_network() -> None:
    """Whoever has a network of 2^64 addresses is one client; an IPv4 address and a user are one each."""
    admission = Admission(8, 1)
    assert prelude.OK == admission.enter("2001:db8:0:1::1")
    assert prelude.BUSY_FOR_CLIENT == admission.enter("2001:db8:0:1:ffff:ffff:ffff:ffff")
    others = ("2001:db8:0:2::1", "fe80::1%eth0", "192.0.2.1", "192.0.2.2", "user 1000")
    assert [prelude.OK] * len(others) == [admission.enter(address) for address in others]
    admission.leave("2001:db8:0:1::2", prelude.OK)
    assert prelude.OK == admission.enter("2001:db8:0:1::3")
    assert prelude.BUSY_FOR_CLIENT == admission.enter("fe80::2%eth1")


def _seeded(peer: Peer) -> bytes:
    """Return a request of 190,000 bytes in clear, in a session of its own."""
    return clear(PLAIN_REQUEST, encode_request(BY_NAME["C_SeedRandom"], (peer.open(), bytes(190000))))


def test_long_frames_of_one_address_wait_for_memory_and_hinder_no_other_one(start: Callable[..., _Running]) -> None:
    """Eight of the longest frames at once are the most that a server takes, four of one address; others wait."""
    server = start(message=200000)
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(server.peer()) for _ in range(5)]
        frames = [_seeded(peer) for peer in peers]
        for peer, frame in zip(peers[:4], frames, strict=False):
            peer.send(frame[:-1])
        wait_for(lambda: 4 * 190000 < server.server._frames._lent.total(), "four frames that have begun")
        last = peers[4]
        last.send(frames[4])
        assert [] == select.select([last.socket], [], [], 0.2)[0]
        stranger = opened.enter_context(server.peer(source="127.0.0.2"))
        assert 12 < len(stranger.exchange(_seeded(stranger)))
        peers[0].send(frames[0][-1:])
        replies = [decode(peer.receive()).kind for peer in (peers[0], last)]
        assert [PLAIN_REPLY] * 2 == replies
        for peer, frame in zip(peers[1:4], frames[1:4], strict=True):
            peer.send(frame[-1:])
            peer.receive()
    wait_for(lambda: not server.server._frames._lent, "all memory given back")


def test_frame_without_memory_ends_its_connection(start: Callable[..., _Running]) -> None:
    """The log says why; short frames are taken all the same."""
    server = start(message=200000)
    with server.peer() as peer:
        frame = _seeded(peer)
        server.server._frames = Budget(0)
        with server.peer() as late:
            late.send(frame[:HEADER_LENGTH])
            assert _ends(late)
            assert server.said("no memory")
        with server.peer() as short:
            assert _ANSWER == short.exchange(_HEARTBEAT)


def test_short_calls_wait_for_no_memory(start: Callable[..., _Running]) -> None:
    """Two addresses that announce eight of the longest frames, and send none, keep only others' long ones waiting."""
    server = start(message=200000)
    with contextlib.ExitStack() as opened:
        victim = opened.enter_context(server.peer(source="127.0.0.3"))
        session = victim.open()
        for source in ("127.0.0.1", "127.0.0.2"):
            for _ in range(4):
                opened.enter_context(server.peer(source=source)).send(header(PLAIN_REQUEST, 0, b"", 200000, 0, 0))
        wait_for(lambda: 8 * 200000 == server.server._frames._lent.total(), "eight frames that were announced")
        assert [16, 100000] == [len(victim.call("C_GenerateRandom", session, size)) for size in (16, 100000)]


def test_replies_are_lent_as_frames_are(start: Callable[..., _Running]) -> None:
    """One value asked for many times: CKR_DEVICE_MEMORY for more than an address may have at once; the log says why."""
    server = start(message=200000)
    with server.peer() as peer:
        session = peer.open()
        template = ((CKA.CLASS, ulong(CKO.DATA)), (CKA.PRIVATE, FALSE), (CKA.VALUE, bytes(100000)))
        made = peer.call("C_CreateObject", session, template)
        code, values = peer.call("C_GetAttributeValue", session, made, (CKA.VALUE,) * 7)
        assert (CKR.OK, (bytes(100000),) * 7) == (code, values)
        with pytest.raises(CryptokiError) as refused:
            peer.call("C_GetAttributeValue", session, made, (CKA.VALUE,) * 9)
        assert (CKR.DEVICE_MEMORY, "") == (refused.value.code, refused.value.message)
        event, facts = server.events[-1]
        assert ("refusal", True) == (event, "no memory" in str(facts["reason"]))
        assert CKR.OK == peer.call("C_GetAttributeValue", session, made, (CKA.VALUE,) * 7)[0]
    wait_for(lambda: not server.server._frames._lent, "all memory given back")


def test_random_numbers_are_lent_as_frames_are(start: Callable[..., _Running]) -> None:
    """Before they are made: CKR_DEVICE_MEMORY for more than an address may have at once."""
    server = start(message=100000)
    with server.peer() as peer:
        session = peer.open()
        assert 400000 == len(peer.call("C_GenerateRandom", session, 400000))
        with pytest.raises(CryptokiError) as refused:
            peer.call("C_GenerateRandom", session, 400001)
        assert CKR.DEVICE_MEMORY == refused.value.code
        assert 4 == len(peer.call("C_GenerateRandom", session, 4))


def test_lent_memory_comes_back_and_wakes_who_waits() -> None:
    """At most half for one; what is not there in time is not lent, and less is always given."""
    budget = Budget(100)
    mine, also_mine, others = budget.share("a"), budget.share("a"), budget.share("b")
    assert [True, False, False] == [mine.hold(40), also_mine.hold(11), others.hold(51)]
    assert [True, True, False] == [also_mine.hold(10), others.hold(50), mine.hold(41, 0.01)]
    waiting = threading.Thread(target=lambda: results.append(mine.hold(50, 20)))
    results: list[bool] = []
    waiting.start()
    assert also_mine.hold(0)
    waiting.join(20)
    assert [True] == results
    assert [True, True] == [mine.hold(0), others.hold(0)]
    assert not budget._lent


def test_applications_of_one_address_leave_room_for_others(start: Callable[..., _Running]) -> None:
    """One has as many as it may have connections; those that it left go for its own new ones, no stranger's do."""
    server = start(client_connections=2, applications=3)
    group = os.urandom(16)
    with server.peer(group, "127.0.0.2") as stranger:
        kept = stranger.open()
    for _ in range(6):
        with server.peer() as peer:
            peer.open()
    wait_for(lambda: 7 == sum(event == "disconnected" for event, _ in server.events), "the end of the connections")
    with server.peer(group, "127.0.0.2") as back:
        assert 0 == back.call("C_GetSessionInfo", kept)[0]
    assert 3 == len(server.server._applications[server.board.serial].all())


def test_length_of_a_frame_is_limited(start: Callable[..., _Running]) -> None:
    """One that is longer than allowed is refused before it comes, and nothing waits for it."""
    server = start(message=1000)
    with server.peer() as peer:
        peer.send(header(PLAIN_REQUEST, 0, b"", 1001, 0, 0))
        with pytest.raises(RefusedError):
            peer.stated()
    with server.peer() as peer:
        assert _ANSWER == peer.exchange(_HEARTBEAT)


_STRANGERS = [b"", *(one.ljust(38) for one in (b"GET / HTTP/1.1\r\n\r\n", b"PTKC\2\1", b"PTKC\1\7"))]


@pytest.mark.parametrize("data", _STRANGERS)
def test_who_does_not_speak_the_protocol_is_sent_away(start: Callable[..., _Running], data: bytes) -> None:
    """Without a word; the log has it."""
    server = start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stream:
        stream.sendall(data)
        if not data:
            stream.shutdown(socket.SHUT_WR)
        assert b"" == stream.recv(1)
    if data:
        wait_for(lambda: server.said("no client"), "a line in the log")


def test_frames_come_in_any_pieces(start: Callable[..., _Running]) -> None:
    """Byte by byte, and two in one."""
    server = start()
    with server.peer() as peer:
        for place in range(len(_HEARTBEAT)):
            peer.send(_HEARTBEAT[place : place + 1])
        assert _ANSWER == peer.receive()
        peer.send(_HEARTBEAT + _HEARTBEAT)
        assert [_ANSWER] * 2 == [peer.receive(), peer.receive()]


def test_frame_that_does_not_come_is_waited_for_in_vain(start: Callable[..., _Running]) -> None:
    """A client that stops in the middle of a frame is dropped after the time for one."""
    server = start(transfer=0.2)
    with server.peer() as peer:
        peer.send(_HEARTBEAT[:10])
        assert _ends(peer)


def test_header_alone_is_no_silence(start: Callable[..., _Running]) -> None:
    """A client with a session that sends a header and not what it announces is dropped too, not taken for idle."""
    server = start(transfer=0.2)
    with server.peer() as peer:
        peer.open()
        peer.send(clear(PLAIN_REQUEST, b"request")[:HEADER_LENGTH])
        assert _ends(peer)


def test_silent_connection_ends_unless_its_application_has_sessions(start: Callable[..., _Running]) -> None:
    """After the time for silence; an application with a session keeps its connection."""
    server = start(idle=0.2)
    with server.peer() as peer, server.peer() as idle:
        session = peer.open()
        assert _ends(idle)
        assert 0 == peer.call("C_GetSessionInfo", session)[0]


def test_broken_frame_gets_a_proved_end(start: Callable[..., _Running]) -> None:
    """The server says why in its log only; the client gets the code, under the channel's keys."""
    server = start()
    with server.peer() as peer:
        channel = peer.shake_hands(server.board.certificate, policy=4)
        frame = bytearray(channel.seal(b"x"))
        frame[-1] ^= 1
        peer.send(bytes(frame))
        with pytest.raises(TerminatedError) as ended:
            channel.open(peer.receive())
        assert CKR.BAD_REQ_SIGNATURE == ended.value.code
        assert _ends(peer)


# The stop


def test_stop_ends_channels_in_good_order(start: Callable[..., _Running]) -> None:
    """Who waits is told with proof, and the port is closed."""
    server = start()
    with server.peer() as peer, server.peer() as clear_one:
        channel = peer.shake_hands(server.board.certificate)
        server.stop()
        with pytest.raises(TerminatedError) as ended:
            channel.open(peer.receive())
        assert CKR.NO_SESSION_KEYS == ended.value.code
        assert [True, True] == [_ends(peer), _ends(clear_one)]
    assert not listening(server.port)
    assert server.said("stopped")


def test_stop_lets_an_exchange_end(start: Callable[..., _Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is at work gets its reply first."""
    server = start()
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: Any) -> bytes:  # noqa: ANN401
        begun.set()
        assert go_on.wait(20)
        return b"done"

    monkeypatch.setattr("ptkc.hsm.device.LocalDevice.generate_random", slow)
    with server.peer() as peer:
        session = peer.open()
        answers: list[bytes] = []
        caller = threading.Thread(target=lambda: answers.append(peer.call("C_GenerateRandom", session, 4)))
        caller.start()
        assert begun.wait(20)
        server.server.stop()
        wait_for(lambda: server.said("stopping"), "the stop")
        assert not server.said("stopped")
        go_on.set()
        caller.join(20)
    assert [b"done"] == answers
    server.thread.join(20)
    assert server.said("stopped")


# Guessing


def test_wrong_pins_are_slowed_by_address() -> None:
    """Five are free; then each waits longer, whatever it is for, and time makes up for them, no right PIN."""
    now, waits = [0.0], []
    attempts = Attempts(lambda: now[0], waits.append)
    wrong, right = CryptokiError(CKR.PIN_INCORRECT), 7
    for _ in range(8):
        assert wrong is attempts.make("here", lambda: wrong)
    assert [0.25, 0.5, 1.0] == waits
    assert right == attempts.make("here", lambda: right)
    assert [0.25, 0.5, 1.0, 2.0] == waits
    for _ in range(20):
        attempts.make("here", lambda: wrong)
    assert 8.0 == waits[-1]
    count = len(waits)
    attempts.make("elsewhere", lambda: wrong)
    now[0] = 60.0 * 28
    attempts.make("here", lambda: wrong)
    assert count == len(waits)


def test_token_that_somebody_else_keeps_locked_slows_no_address() -> None:
    """CKR_PIN_LOCKED counts nothing: no PIN was tried."""
    waits: list[float] = []
    attempts = Attempts(lambda: 0.0, waits.append)
    for _ in range(20):
        attempts.make("here", lambda: CryptokiError(CKR.PIN_LOCKED))
    assert [] == waits


def test_address_that_guesses_for_days_waits_as_long_each_time() -> None:
    """The count has an end: without it the wait was no number any more, and C_Login CKR_GENERAL_ERROR."""
    waits: list[float] = []
    attempts = Attempts(lambda: 0.0, waits.append)
    for _ in range(1100):
        attempts.make("here", lambda: CryptokiError(CKR.PIN_INCORRECT))
    assert 8.0 == waits[-1]


def test_attempts_of_an_address_wait_in_one_line() -> None:
    """Beyond eight that wait, further ones are CKR_PIN_LOCKED at once."""
    go_on, waiting = threading.Event(), []
    attempts = Attempts(lambda: 0.0, lambda _: (waiting.append(1), go_on.wait(20)))
    wrong = CryptokiError(CKR.PIN_INCORRECT)
    for _ in range(5):
        attempts.make("here", lambda: wrong)
    queue = [threading.Thread(target=attempts.make, args=("here", lambda: wrong)) for _ in range(8)]
    for each in queue:
        each.start()
    results: list[int] = []

    def refused() -> bool:
        if len(waiting) == 1:
            results.append(attempts.make("here", lambda: CryptokiError(CKR.OK)).code)
        return CKR.PIN_LOCKED in results

    go_on_later = threading.Timer(10, go_on.set)
    go_on_later.start()
    wait_for(refused, "eight that wait")
    go_on.set()
    go_on_later.cancel()
    for each in queue:
        each.join(20)
    assert 8 == len(waiting)


def test_server_counts_wrong_pins(start: Callable[..., _Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each C_Login of an address passes the count, plain or through a channel; other commands do not."""
    made: list[str] = []
    monkeypatch.setattr(
        "ptkc.hsm.attempts.Attempts.make", lambda _, address, attempt: (made.append(address), attempt())[1]
    )
    server = start()
    with server.peer() as peer, server.peer() as protected:
        peer.call("C_Login", peer.open(), CKU.USER, USER_PIN)
        protected.shake_hands(server.board.certificate)
        protected.log_in(protected.open(), USER_PIN.decode())
    assert ["127.0.0.1"] * 2 == made


def test_signatures_of_one_origin_have_their_pace() -> None:
    """400 at once, then 200 a second; who comes from elsewhere does not wait."""
    now, waits = [100.0], []
    pace = Pace(lambda: now[0], waits.append)
    for _ in range(400):
        pace.keep("here")
    assert [] == waits
    pace.keep("here")
    pace.keep("here")
    pace.keep("elsewhere")
    assert [0.005, 0.01] == [round(wait, 6) for wait in waits]
    now[0] += 10
    pace.keep("here")
    assert 2 == len(waits)


def test_server_counts_signatures(start: Callable[..., _Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question and each handshake, and each CT_GetSMC, which carries them; other commands cost none."""
    made: list[str] = []
    monkeypatch.setattr("ptkc.hsm.pace.Pace.keep", lambda _, origin: made.append(origin))
    server = start()
    with server.peer() as peer:
        peer.stated(server.board.certificate)
        peer.shake_hands(server.board.certificate)
        session = peer.open()
        peer.call("C_GenerateRandom", session, 4)
        for asked in (0, session):
            peer.call("CT_GetSMC", asked, 1, Question(peer.serial).frame, 1 << 14)
    assert ["127.0.0.1"] * 4 == made


# ptkc serve


class _Serving:
    """`ptkc serve` of a prepared HSM."""

    def __init__(self, board: Board, *words: str, **items: str) -> None:
        place = board.place
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ET_", "PTKC_"))}
        environment = {
            **kept, **SEEN, "ET_PTKC_SW_DATAPATH": place.data_path, "ET_PTKC_SW_KEYPATH": place.key_path,
            "HOME": place.directory, **items,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ptkc.tools.ptkc", "serve", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def end(self, *, by: int = signal.SIGTERM) -> tuple[int, list[str]]:
        """Have it end; return its exit code and what it said."""
        self.process.send_signal(by)
        return self.ended()

    def ended(self) -> tuple[int, list[str]]:
        """Return the exit code and what it said, when it has ended."""
        out, said = self.process.communicate(timeout=30)
        assert "" == out
        return self.process.returncode, said.splitlines()


@pytest.fixture
def board(source: Path, tmp_path: Path) -> Board:
    """Return an HSM."""
    return Board(source, tmp_path / "board")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_serve_tells_what_happens_as_json(board: Board, tmp_path: Path, by: int) -> None:
    """One object a line, with time and event; the exit code after a signal is 0."""
    port = free_port()
    serving = _Serving(board, "--listen", f"127.0.0.1:{port}", "--socket", str(tmp_path / "s"), board.serial)
    wait_for(lambda: listening(port), "the port")
    with Peer(port, board.serial) as peer:
        session = peer.open()
        with pytest.raises(CryptokiError):
            peer.log_in(session, "wrong-pin-9")
    code, lines = serving.end(by=by)
    events = [json.loads(line) for line in lines]
    assert 0 == code
    assert {"listening", "serving", "connected", "refusal", "stopping", "stopped"} <= {one["event"] for one in events}
    assert all("Z" == one["time"][-1] for one in events)
    assert "CKR_PIN_INCORRECT" in [one.get("code") for one in events if one["event"] == "refusal"]
    assert "wrong-pin-9" not in str(events)


@pytest.mark.parametrize("takes", [True, False], ids=["replies", "requests"])
def test_connections_that_wait_keep_no_memory(board: Board, *, takes: bool) -> None:
    """Eight, each of which was given or gave 40 MiB, and is still open: the process has not even three of them."""
    port, size = free_port(), 40 << 20
    serving = _Serving(board, "--listen", f"127.0.0.1:{port}")
    wait_for(lambda: listening(port), "the port")
    status = Path(f"/proc/{serving.process.pid}/status")

    def resident() -> int:
        return 1024 * int(status.read_text(encoding="ascii").partition("VmRSS:")[2].split()[0])

    with contextlib.ExitStack() as opened:
        opened.callback(serving.end)
        before = resident()
        for _ in range(8):
            peer = opened.enter_context(Peer(port, board.serial))
            if takes:
                assert size == len(peer.call("C_GenerateRandom", peer.open(), size))
            else:
                peer.call("C_SeedRandom", peer.open(), bytes(size))
        wait_for(lambda: resident() < before + 3 * size, "memory that is given back")


def test_serve_warns_where_pins_would_travel_in_clear(board: Board) -> None:
    """On an address that other machines reach, without `n` or `N`; not with one of them."""
    for letters, warns in (("0", True), ("U", True), ("n", False), ("NU", False)):
        board.flags(letters)
        port = free_port()
        serving = _Serving(board, "--listen", f"0.0.0.0:{port}")
        wait_for(lambda port=port: listening(port), "the port")
        _, lines = serving.end()
        assert warns is any("takes PINs in clear" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "there is no HSM nobody"), (("--listen", "[::1"), "the brackets do not match"),
        (("--listen", "unix:/x"), "that is no address"), (("--socket", "/nowhere/at/all"), "cannot listen"),
        (("--listen", "192.0.2.1:9"), "cannot listen"),
    ],
)  # fmt: skip
def test_serve_says_why_it_cannot(board: Board, words: tuple[str, ...], said: str) -> None:
    """An error message and exit code 1."""
    code, lines = _Serving(board, *words).ended()
    assert (1, True) == (code, any(line.startswith("ptkc: error:") and said in line for line in lines))
    assert "Traceback" not in "".join(lines)


def test_serve_takes_its_limits_from_the_configuration(board: Board) -> None:
    """ET_HSM_NETSERVER_CLIENT_CONNECTIONS, as an example."""
    port = free_port()
    serving = _Serving(board, "--listen", f"127.0.0.1:{port}", ET_HSM_NETSERVER_CLIENT_CONNECTIONS="1")
    wait_for(lambda: listening(port), "the port")
    with contextlib.ExitStack() as opened:
        peers: list[Peer] = []

        def is_there() -> bool:
            peers.append(opened.enter_context(Peer(port, board.serial)))
            return prelude.OK == peers[-1].status

        wait_for(is_there, "room after the look at the port")
        assert not is_there()
        assert prelude.BUSY_FOR_CLIENT == peers[-1].status
    serving.end()


def test_serve_offers_hsms_that_are_added_while_it_runs(board: Board) -> None:
    """To who asks which there are, and to who asks for that one; only those that it was told to offer."""
    place, port, other = board.place, free_port(), free_port()
    serving = _Serving(board, "--listen", f"127.0.0.1:{port}")
    choosy = _Serving(board, "--listen", f"127.0.0.1:{other}", board.serial)
    wait_for(lambda: listening(port) and listening(other), "the ports")
    assert (board.serial,) == serials(port)
    Hsm.add(place.data_path, place.key_path, "1310").close()

    def is_there() -> bool:
        with Peer(port, "1310") as peer:
            return prelude.OK == peer.status and 2 == len(peer.plain("C_GetSlotList", True))  # noqa: FBT003

    wait_for(is_there, "the new HSM")
    assert {board.serial, "1310"} == {*serials(port)}
    assert (board.serial,) == serials(other)
    Hsm.open(place.data_path, place.key_path, "1310").destroy()
    assert (board.serial,) == serials(port)
    Hsm.add(place.data_path, place.key_path, "1310").close()
    wait_for(is_there, "another HSM of the same serial")
    choosy.end()
    _, lines = serving.end()
    assert 2 == sum('"offered"' in line for line in lines)


def test_serve_tells_systemd_that_it_is_ready(board: Board, tmp_path: Path) -> None:
    """READY=1 on the socket that NOTIFY_SOCKET names, when it listens."""
    path, port = str(tmp_path / "notify"), free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(path)
        notified.settimeout(20)
        serving = _Serving(board, "--listen", f"127.0.0.1:{port}", NOTIFY_SOCKET=path)
        assert b"READY=1" == notified.recv(100)
        assert listening(port)
        serving.end()

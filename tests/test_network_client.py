"""The client's end of sockets: preludes, time-outs, servers that break rules, are away, or come later."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ptkc import log
from ptkc.client.connection import Opened
from ptkc.client.network import Server, SocketTransport, Times
from ptkc.client.remote import NetworkDevice
from ptkc.client.servers import Servers
from ptkc.client.transport import NotSentError
from ptkc.configuration import Configuration
from ptkc.sms.frames import clear
from ptkc.sms.state import PLAIN_REPLY, PLAIN_REQUEST, REPLY
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire import prelude
from ptkc.wire.codec import encode_reply
from ptkc.wire.commands import BY_NAME

TIMES = Times(1, 1, 1000)
REQUEST, ANSWER = clear(PLAIN_REQUEST, b"request"), clear(PLAIN_REPLY, b"answer")

Behaviour = Callable[[socket.socket], object]


class Scripted:
    """A server on the loopback interface, or on a UNIX socket, whose connections do what the test says."""

    def __init__(self, path: str = "") -> None:
        """Listen."""
        self.path = path
        self.behaviour: Behaviour = lambda _: None
        self.status = prelude.OK
        self.serials: tuple[str, ...] = ("1197",)
        self.preludes: list[tuple[int, str, bytes]] = []
        self.errors: list[BaseException] = []
        if path:
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(path)
            self._listening.listen()
        else:
            self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = 0 if path else self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def server(self) -> Server:
        """The client's view of it."""
        return Server(self.path or "127.0.0.1", self.port, TIMES)

    def connect(self, behaviour: Behaviour) -> SocketTransport:
        """Return a connection that behaves so."""
        self.behaviour = behaviour
        return self.server.connect("1197", bytes(16))[0]

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                try:
                    self._serve(connection)
                except BaseException as error:  # noqa: BLE001 - told at the end of the test
                    self.errors.append(error)

    def _serve(self, connection: socket.socket) -> None:
        purpose, serial, group = prelude.read_request(_take(connection, prelude.REQUEST_LENGTH))
        self.preludes.append((purpose, serial, group))
        connection.sendall(prelude.write_reply(self.status, self.serials if purpose == prelude.LIST else ()))
        if purpose == prelude.TALK and self.status in (prelude.OK, prelude.KNOWN):
            self.behaviour(connection)

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


def _take(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise OSError
        data += part
    return data


def _answering(*answers: bytes) -> Behaviour:
    """Answer each request with the next of these, and wait for the client to go."""

    def behave(connection: socket.socket) -> None:
        for answer in answers:
            _take(connection, len(REQUEST))
            connection.sendall(answer)
        connection.recv(1)

    return behave


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Return a server on TCP."""
    made = Scripted()
    yield made
    made.close()


def _refused(call: Callable[..., object], *arguments: object) -> CryptokiError:
    with pytest.raises(CryptokiError) as caught:
        call(*arguments)
    return caught.value


# The prelude


def test_server_names_its_hsms(scripted: Scripted) -> None:
    """Purpose 0, without a group."""
    scripted.serials = ("1197", "AB12")
    assert ("1197", "AB12") == scripted.server.serials()
    assert [(prelude.LIST, "", bytes(16))] == scripted.preludes


@pytest.mark.parametrize(("status", "known"), [(prelude.OK, False), (prelude.KNOWN, True)])
def test_connection_says_serial_and_group(scripted: Scripted, status: int, *, known: bool) -> None:
    """And hears whether the group is known."""
    scripted.status = status
    transport, is_known = scripted.server.connect("1197", b"g" * 16)
    assert ([(prelude.TALK, "1197", b"g" * 16)], known) == (scripted.preludes, is_known)
    transport.close()


@pytest.mark.parametrize("status", [prelude.NO_SUCH_HSM, prelude.BUSY, prelude.BUSY_FOR_CLIENT, prelude.CLOSING])
def test_server_that_turns_us_away_is_device_removed_with_its_reason(scripted: Scripted, status: int) -> None:
    """The log has what the server said."""
    scripted.status = status
    error = _refused(scripted.server.connect, "1197", bytes(16))
    assert (NotSentError, CKR.DEVICE_REMOVED) == (error.__class__, error.code)
    assert prelude.STATUSES[status] in error.message


@pytest.mark.parametrize(
    "said",
    [b"", b"PTK", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"PTKC\x02\0\0\0", b"PTKC\x01\xff\0\0", b"PTKC\x01\0\xff\xff",
     b"PTKC\x01\0\x01\0" + b"../../../etc/pwd"],
)  # fmt: skip
def test_prelude_that_is_none_is_device_removed(said: bytes) -> None:
    """Whatever listens there is no server of ours, or will not be believed: neither hang nor crash."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert CKR.DEVICE_REMOVED == _refused(Server("127.0.0.1", listening.getsockname()[1], TIMES).serials).code
        thread.join(10)


def test_nobody_listens() -> None:
    """A refused connection is CKR_DEVICE_REMOVED at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert CKR.DEVICE_REMOVED == _refused(Server("127.0.0.1", port, TIMES).serials).code
    assert CKR.DEVICE_REMOVED == _refused(Server("/nowhere/socket", 0, TIMES).serials).code
    assert CKR.DEVICE_REMOVED == _refused(Server("name.invalid.", 1, TIMES).serials).code


def test_addresses_of_a_name_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never answers leaves the next ones theirs, one that refuses at once its own; the sum stays."""
    now, given = 1000.0, []
    takes = {"silent": 1.0, "refuses": 0.0, "is slow": 0.5, "is silent too": 1.0}

    def opened(_: Server, __: int, address: str, deadline: float) -> socket.socket:
        nonlocal now
        given.append((address, deadline - now))
        now += takes[address] * (deadline - now)
        raise OSError(0, "no answer")

    monkeypatch.setattr("ptkc.client.network.monotonic", lambda: now)
    monkeypatch.setattr(Server, "_addresses", lambda _: [(socket.AF_INET, address) for address in takes])
    monkeypatch.setattr(Server, "_opened", opened)
    assert CKR.DEVICE_REMOVED == _refused(Server("name", 1, Times(12, 1, 1000)).serials).code
    assert [("silent", 3.0), ("refuses", 3.0), ("is slow", 4.5), ("is silent too", 6.75)] == given
    assert 1012.0 == now


def test_server_behind_an_address_that_is_silent_is_reached(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address accepts and says nothing, the second one is the server's."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = [(socket.AF_INET, silent.getsockname()), (socket.AF_INET, ("127.0.0.1", scripted.port))]
        monkeypatch.setattr(Server, "_addresses", lambda _: addresses)
        assert ("1197",) == Server("name", 1, Times(3, 1, 1000)).serials()


def test_server_that_never_answers_is_left_after_the_connect_timeout() -> None:
    """It accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        begun = time.monotonic()
        assert CKR.DEVICE_REMOVED == _refused(Server("127.0.0.1", listening.getsockname()[1], TIMES).serials).code
        assert 0.9 <= time.monotonic() - begun < 5


def test_unix_socket(tmp_path: Path) -> None:
    """A path in the place of an address."""
    scripted = Scripted(str(tmp_path / "socket"))
    assert ("1197",) == scripted.server.serials()
    transport = scripted.connect(_answering(ANSWER))
    assert ANSWER == transport.exchange(REQUEST)
    transport.close()
    scripted.close()


# Frames


def test_answers_are_cut_out_of_the_stream(scripted: Scripted) -> None:
    """One after the other, of any length."""
    large = clear(PLAIN_REPLY, os.urandom(3 << 20))
    transport = scripted.connect(_answering(ANSWER, large, clear(PLAIN_REPLY, b""), ANSWER))
    assert [ANSWER, large, clear(PLAIN_REPLY, b""), ANSWER] == [transport.exchange(REQUEST) for _ in range(4)]
    assert b"" == transport.pending()
    transport.close()


def test_answer_may_come_byte_by_byte(scripted: Scripted) -> None:
    """As networks like it."""

    def drip(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _take(connection, len(REQUEST))
        for place in range(len(ANSWER)):
            connection.sendall(ANSWER[place : place + 1])
        connection.recv(1)

    transport = scripted.connect(drip)
    assert ANSWER == transport.exchange(REQUEST)
    transport.close()


def test_long_request_is_sent_whole(scripted: Scripted) -> None:
    """More than fits into the system's buffers at once."""
    request = clear(PLAIN_REQUEST, os.urandom(16 << 20))
    got = []

    def take_all(connection: socket.socket) -> None:
        got.append(_all(connection, len(request)))
        connection.sendall(ANSWER)
        connection.recv(1)

    transport = scripted.connect(take_all)
    assert ANSWER == transport.exchange(request, 30)
    assert [request] == got
    transport.close()


def _all(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        data += connection.recv(1 << 20)
    return bytes(data)


@pytest.mark.parametrize(
    "answer",
    [
        b"", ANSWER[:10], ANSWER[:-1], bytes(24), b"\xff" * 40, clear(REPLY, b"")[:2] + b"\x04" + clear(REPLY, b"")[3:],
        clear(PLAIN_REPLY, b"")[:4] + b"\xff\xff\xff\xff" + bytes(16),
    ],
    ids=["nothing", "half a header", "cut", "zeros", "ones", "no protection", "absurd length"],
)  # fmt: skip
def test_answer_that_is_none_or_cut_is_device_error(scripted: Scripted, answer: bytes) -> None:
    """The connection is closed; a length is refused before any memory is made of it."""

    def behave(connection: socket.socket) -> None:
        _take(connection, len(REQUEST))
        connection.sendall(answer)

    transport = scripted.connect(behave)
    assert CKR.DEVICE_ERROR == _refused(transport.exchange, REQUEST).code
    assert NotSentError is _refused(transport.exchange, REQUEST).__class__


def test_answer_in_drops_does_not_stretch_the_timeout(scripted: Scripted) -> None:
    """The time counts from the request on, not from the last byte."""
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        for byte in clear(PLAIN_REPLY, bytes(1000)):
            connection.sendall(bytes((byte,)))
            if stop.wait(0.1):
                return

    transport = scripted.connect(drip)
    begun = time.monotonic()
    assert CKR.DEVICE_ERROR == _refused(transport.exchange, REQUEST, 0.5).code
    assert time.monotonic() - begun < 3
    stop.set()


def test_no_answer_is_device_error_after_the_timeout(scripted: Scripted) -> None:
    """Nobody knows whether the request was carried out."""
    transport = scripted.connect(lambda connection: connection.recv(1 << 16) and connection.recv(1))
    begun = time.monotonic()
    error = _refused(transport.exchange, REQUEST)
    assert (CKR.DEVICE_ERROR, False) == (error.code, isinstance(error, NotSentError))
    assert 0.9 <= time.monotonic() - begun < 5


def test_end_of_an_idle_connection_is_seen_before_anything_is_sent(scripted: Scripted) -> None:
    """A server that was stopped meanwhile: the request may go another way."""
    transport = scripted.connect(_answering_and_going(b""))
    transport.exchange(REQUEST)
    _until(lambda: _gone(transport))
    assert NotSentError is _refused(transport.pending).__class__


def test_frame_that_came_unasked_is_found(scripted: Scripted) -> None:
    """With the answer or after it: it is not taken for the next answer."""
    farewell = clear(PLAIN_REPLY, b"farewell")
    transport = scripted.connect(_answering_and_going(farewell))
    assert ANSWER == transport.exchange(REQUEST)
    found: list[bytes] = []
    _until(lambda: bool(found.append(transport.pending()) or found[-1]))
    assert farewell == found[-1]
    transport.close()


def _answering_and_going(more: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        _take(connection, len(REQUEST))
        connection.sendall(ANSWER + more)

    return behave


def _gone(transport: SocketTransport) -> bool:
    try:
        transport.pending()
    except NotSentError:
        return True
    return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline


def test_descriptor_that_a_daemon_closed_is_never_written_to(scripted: Scripted, tmp_path: Path) -> None:
    """It may be somebody else's file by now, which gets neither request nor end."""
    transport = scripted.connect(_answering(ANSWER, ANSWER))
    transport.exchange(REQUEST)
    number = transport._whole().fileno()
    with open(tmp_path / "file", "w+b") as other:
        os.dup2(other.fileno(), number)
        assert NotSentError is _refused(transport.pending).__class__
        transport.close()
        assert b"" == (tmp_path / "file").read_bytes()
        os.fstat(number)
        os.close(number)


def test_child_of_a_fork_leaves_the_parents_connection_alone(scripted: Scripted) -> None:
    """Its descriptor is closed without an end for the parent."""
    transport = scripted.connect(_answering(ANSWER, ANSWER))
    transport.exchange(REQUEST)
    child = os.fork()
    if not child:
        transport.drop_after_fork()
        os._exit(0)
    assert 0 == os.waitpid(child, 0)[1]
    assert b"" == transport.pending()
    assert ANSWER == transport.exchange(REQUEST)
    transport.close()


def test_close_wakes_who_waits_for_an_answer(scripted: Scripted) -> None:
    """C_Finalize in another thread interrupts; the descriptor is closed by the thread that uses it."""
    asked = threading.Event()

    def behave(connection: socket.socket) -> None:
        _take(connection, len(REQUEST))
        asked.set()
        connection.recv(1)

    transport = scripted.connect(behave)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(_refused(transport.exchange, REQUEST, 60).code))
    thread.start()
    assert asked.wait(10)
    transport.interrupt()
    thread.join(10)
    assert [CKR.DEVICE_ERROR] == codes
    transport.interrupt()
    transport.close()


# Servers and devices


def _servers(directory: Path, *scripted: Scripted, **items: str) -> Servers:
    places = " ".join(f"127.0.0.1:{each.port}" for each in scripted)
    environment = {"HOME": str(directory), "ET_HSM_NETCLIENT_SERVERLIST": places, **items}
    configuration = Configuration(environment=environment, system_directory=str(directory))
    return Servers(configuration, None, lambda _: 1, lambda _: None)


def _found(devices: list[NetworkDevice]) -> list[str]:
    return [device.pool.protection.serial for device in devices]


def test_hsms_of_all_servers_are_found_in_their_order_and_once(scripted: Scripted, tmp_path: Path) -> None:
    """An HSM that is local, or was found before, is not taken again."""
    other = Scripted()
    scripted.serials, other.serials = ("3", "1"), ("2", "3", "4")
    servers = _servers(tmp_path, scripted, other)
    assert ["3", "1", "2"] == _found(servers.look({"4"}))
    assert [] == servers.look({"4"})
    other.close()


def test_server_that_was_away_is_looked_for_again_but_not_at_once(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not more often than the connect time-out."""
    now = 1000.0
    monkeypatch.setattr("ptkc.client.servers.monotonic", lambda: now)
    scripted.status = prelude.CLOSING
    servers = _servers(tmp_path, scripted, ET_HSM_NETCLIENT_CONNECT_TIMEOUT="7")
    assert [] == servers.look()
    scripted.status = prelude.OK
    assert ([], 1) == (servers.look(), len(scripted.preludes))
    now += 7
    assert ["1197"] == _found(servers.look())


def test_hsm_whose_register_is_not_understood_is_absent(scripted: Scripted, tmp_path: Path) -> None:
    """The log names the item; the other HSMs are there."""
    scripted.serials = ("1197", "1111")
    path = tmp_path / "log"
    log.configure(str(path))
    try:
        found = _found(_servers(tmp_path, scripted, ET_PTKC_1197_SMPR="SX", ET_PTKC_1111_SMPR="NU").look())
    finally:
        log.configure(None)
    assert ["1111"] == found
    assert "ET_PTKC_1197_SMPR" in path.read_text()


def test_slots_of_an_hsm_are_asked_for_only_where_somebody_looks(scripted: Scripted, tmp_path: Path) -> None:
    """Calls on other HSMs do not wait for this one; while it is away its slots stay known."""
    command = BY_NAME["C_GetSlotList"]
    request = clear(PLAIN_REQUEST, b"\x01\0" + command.number.to_bytes(2, "little") + b"\x01")
    asked = []

    def behave(connection: socket.socket) -> None:
        for slots in ((0, 1), (0, 1, 2)):
            _take(connection, len(request))
            asked.append(slots)
            connection.sendall(clear(PLAIN_REPLY, encode_reply(command, slots)))

    scripted.behaviour = behave
    (device,) = _servers(tmp_path, scripted).look()
    assert (0, 1) == device.get_slot_list(False)  # noqa: FBT003 - a CK_BBOOL
    assert (0, 1) == device.get_slot_list(False)  # noqa: FBT003
    assert (0, 1, 2) == device.get_slot_list(True)  # noqa: FBT003
    assert [(0, 1), (0, 1, 2)] == asked
    scripted.close()
    for _ in range(2):
        assert CKR.DEVICE_REMOVED == _refused(device.get_slot_list, True).code  # noqa: FBT003
    assert (0, 1, 2) == device.get_slot_list(False)  # noqa: FBT003
    device.close()


def _absent(scripted: Scripted, directory: Path) -> NetworkDevice:
    """Return an HSM whose server is gone since it was named."""
    (device,) = _servers(directory, scripted).look()
    scripted.close()
    return device


def test_hsm_that_another_thread_finds_again_just_then_is_no_bug(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of its absence is looked at once."""
    device = _absent(scripted, tmp_path)
    assert CKR.DEVICE_REMOVED == _refused(device.get_slot_list, True).code  # noqa: FBT003 - a CK_BBOOL

    def found_meanwhile() -> float:
        device._away = None
        return 0.0

    monkeypatch.setattr("ptkc.client.remote.monotonic", found_meanwhile)
    assert CKR.DEVICE_REMOVED == _refused(device.get_slot_list, True).code  # noqa: FBT003


def test_sessions_that_another_thread_opens_do_not_disturb_the_end(scripted: Scripted, tmp_path: Path) -> None:
    """C_Finalize goes over those that there were."""
    device = _absent(scripted, tmp_path)

    class Busy(Opened):
        """A session; when it is looked at, another thread opens one."""

        @property
        def binding(self) -> bytes:
            device.sessions[len(device.sessions)] = Opened(1, None, 0)
            return bytes(24)

    device.sessions = {number: Busy.__new__(Busy) for number in range(2)}
    device.close()

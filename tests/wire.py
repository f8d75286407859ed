"""A hostile wire between a client and an HSM's server: it cuts the stream into frames, keeps them, and may change them.

It listens on a port of the loopback interface and has one connection to the server for each of a client. What it does
with a frame is said by a *script*: a function that gets the frame as it passes and returns what is delivered in its
place, none, one or several. Without a script all is delivered as it is. It knows lengths and kinds of frames, no keys.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple, Self

from ptkc.sms.state import KINDS

__all__ = ["NEVER", "REPLIES", "REQUESTS", "Passed", "Wire", "flipped", "kind_of", "once"]

REQUESTS, REPLIES = "requests", "replies"
NEVER = threading.Event()

_HEADER = Struct("<BBBBIQQ")  # version, kind, protection, length of the associated data, of all that follows, …
_CLIENTS_PRELUDE = 4 + 1 + 1 + 16 + 16
_SERVERS_PRELUDE = Struct("<4sBBH")
_SERIAL = 16


class Passed(NamedTuple):
    """A frame on its way: its direction, the number of its connection, its place among all frames, its bytes."""

    direction: str
    connection: int
    number: int
    frame: bytes

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return kind_of(self.frame)

    @property
    def protection(self) -> int:
        """Its protection, as its header says."""
        return self.frame[2]


Script = Callable[[Passed], list[bytes]]


def kind_of(frame: bytes) -> str:
    """Return the name of a frame's kind."""
    return KINDS.get(frame[1], f"kind {frame[1]}")


def flipped(frame: bytes, place: int, bit: int = 0) -> bytes:
    """Return a frame with one bit flipped, in its last byte if it is shorter: signatures have no fixed length."""
    place = min(place, len(frame) - 1)
    return frame[:place] + bytes((frame[place] ^ 1 << bit,)) + frame[place + 1 :]


def once(wanted: Callable[[Passed], bool], instead: Callable[[bytes], list[bytes]]) -> tuple[Script, threading.Event]:
    """Return a script that replaces the first frame that is wanted, and what tells that it came to that."""
    done = threading.Event()

    def script(passed: Passed) -> list[bytes]:
        if done.is_set() or not wanted(passed):
            return [passed.frame]
        done.set()
        return instead(passed.frame)

    return script, done


class Wire:
    """Connections of clients to one server; `frames` are all that came, before the script changed any.

    `raw` has the bytes that were really sent in both directions, preludes included; `preludes` may change a client's.
    """

    def __init__(self, port: int) -> None:
        """Listen, for the server at a port of the loopback interface."""
        self.target = port
        self.frames: list[Passed] = []
        self.raw: dict[str, bytearray] = {REQUESTS: bytearray(), REPLIES: bytearray()}
        self.script: Script | None = None
        self.preludes: Callable[[bytes], bytes] = bytes
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections and threads."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """End the connections that there are; new ones may come."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Begin to keep anew."""
        with self._lock:
            self.frames = []
            self.raw = {REQUESTS: bytearray(), REPLIES: bytearray()}

    @contextlib.contextmanager
    def doing(self, script: Script) -> Iterator[None]:
        """Follow a script in the block."""
        self.script = script
        try:
            yield
        finally:
            self.script = None

    def kinds(self) -> list[str]:
        """Return the kinds of the frames that came, in their order."""
        return [passed.kind for passed in self.frames]

    # The connections

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                with contextlib.suppress(OSError):  # it is gone already
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
            for ends, direction in (((client, server), REQUESTS), ((server, client), REPLIES)):
                thread = threading.Thread(target=self._carry, args=(*ends, direction, number), daemon=True)
                thread.start()
                self._threads.append(thread)
            number += 1

    def _carry(self, source: socket.socket, target: socket.socket, direction: str, connection: int) -> None:
        """Carry one direction of a connection until an end closes it; then the other end learns of it."""
        try:
            self._send(target, direction, self._prelude(source, direction))
            while True:
                frame = self._frame(source)
                with self._lock:
                    passed = Passed(direction, connection, len(self.frames), frame)
                    self.frames.append(passed)
                    script = self.script
                for part in [frame] if script is None else script(passed):
                    self._send(target, direction, part)
        except (OSError, EOFError):
            pass
        finally:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            if direction == REPLIES:
                source.close()
                target.close()

    def _send(self, target: socket.socket, direction: str, data: bytes) -> None:
        with self._lock:
            self.raw[direction] += data
        target.sendall(data, socket.MSG_NOSIGNAL)

    def _prelude(self, source: socket.socket, direction: str) -> bytes:
        if direction == REQUESTS:
            return self.preludes(_take(source, _CLIENTS_PRELUDE))
        start = _take(source, _SERVERS_PRELUDE.size)
        return start + _take(source, _SERVERS_PRELUDE.unpack(start)[3] * _SERIAL)

    @staticmethod
    def _frame(source: socket.socket) -> bytes:
        start = _take(source, _HEADER.size)
        return start + _take(source, _HEADER.unpack(start)[4])


def _take(source: socket.socket, length: int) -> bytes:
    """Return the next bytes; EOFError at the end."""
    parts = bytearray()
    while len(parts) < length:
        part = source.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError(os.fspath("the end"))
        parts += part
    return bytes(parts)

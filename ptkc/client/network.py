"""Connections to servers of HSMs: TCP and UNIX sockets, the prelude, time-outs.

The sockets block, with the system's own time-outs, so that an exchange is two system calls and one that looks whether
the connection still stands. A frame is cut out of the stream by its header, whose length is bounded before anything is
made of it. Nothing raises SIGPIPE, no thread is started, and a descriptor that was closed behind our back, as daemons
do, is never written to: it may be somebody else's now.
"""

from __future__ import annotations

import os
from _socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_PEEK,
    SO_KEEPALIVE,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_NODELAY,
    TCP_USER_TIMEOUT,
    getaddrinfo,
    socket,
)
from collections import namedtuple
from struct import Struct
from time import monotonic

from ptkc.client.transport import NotSentError, Transport
from ptkc.sms.frames import HEADER_LENGTH, length_that_follows
from ptkc.sms.state import CLIENT
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.wire import prelude

__all__ = ["Server", "SocketTransport", "Times"]

Times = namedtuple("Times", "connect read heartbeat")
"""How many seconds connecting and a handshake, an answer, and the silence on a connection may take."""

_TIMEVAL = Struct("@ll")
_PART = 120 << 10  # bytes that are read at once: more would be mapped from the system for each part, and cost more
_KEEPALIVE_COUNT = 3
_KEPT = 2 << 20  # bytes of memory that a connection keeps for answers
_MOST_SERIALS = 256


class Server:
    """A server: host and port, or the path of a UNIX socket and port 0."""

    __slots__ = ("host", "port", "times")

    def __init__(self, host: str, port: int, times: Times) -> None:
        """Keep where it is; nothing is connected yet."""
        self.host, self.port, self.times = host, port, times

    def __str__(self) -> str:
        """Return it as in the server list."""
        if not self.port:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def serials(self) -> tuple[str, ...]:
        """Return the serials of the HSMs there; CKR_DEVICE_REMOVED if it cannot be reached."""
        transport, _ = self._begin(prelude.LIST, "", bytes(prelude.GROUP_LENGTH))
        serials = transport.listed
        transport.close()
        return serials

    def connect(self, serial: str, group: bytes) -> tuple[SocketTransport, bool]:
        """Return a connection to an HSM, and whether the server knows the group; CKR_DEVICE_REMOVED."""
        transport, status = self._begin(prelude.TALK, serial, group)
        return transport, status == prelude.KNOWN

    def _begin(self, purpose: int, serial: str, group: bytes) -> tuple[SocketTransport, int]:
        """Connect and exchange the preludes; `NotSentError` whatever goes wrong.

        The addresses of a name share the time that there is: each has its part of what those before it have left.
        """
        addresses = self._addresses()
        last = monotonic() + self.times.connect
        reason = "no address"
        for place, (family, address) in enumerate(addresses):
            now = monotonic()
            deadline = now + (last - now) / (len(addresses) - place)
            try:
                transport = SocketTransport(self._opened(family, address, deadline), self.times)
            except OSError as error:
                reason = error.strerror or str(error) or "no answer in time"
                continue
            try:
                status = transport.begin(prelude.write_request(purpose, serial, group), deadline)
            except (OSError, PeerError, CryptokiError) as error:
                transport.close()
                reason = str(error) or "no answer in time"
                continue
            if status not in (prelude.OK, prelude.KNOWN):
                transport.close()
                raise NotSentError(f"{self}: {prelude.STATUSES[status]}")
            return transport, status
        raise NotSentError(f"{self}: {reason}")

    def _addresses(self) -> list[tuple[int, object]]:
        """Return families and addresses; `NotSentError` if the name has none."""
        if not self.port:
            return [(AF_UNIX, self.host)]
        try:
            found = getaddrinfo(self.host, self.port, 0, SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotSentError(f"{self}: {error}") from None
        return [(family, address) for family, _, _, _, address in found if family in (AF_INET, AF_INET6)]

    def _opened(self, family: int, address: object, deadline: float) -> socket:
        """Return a connected socket; OSError."""
        made = socket(family, SOCK_STREAM)
        try:
            made.settimeout(max(deadline - monotonic(), 0.001))
            made.connect(address)  # type: ignore[arg-type]
            made.settimeout(None)
            if family != AF_UNIX:
                heartbeat = self.times.heartbeat
                apart = max(heartbeat // _KEEPALIVE_COUNT, 1)
                made.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                made.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
                made.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, heartbeat)
                made.setsockopt(IPPROTO_TCP, TCP_KEEPINTVL, apart)
                made.setsockopt(IPPROTO_TCP, TCP_KEEPCNT, _KEEPALIVE_COUNT)
                # What was sent and is not acknowledged: the other machine is gone, or the way to it.
                made.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, 2 * heartbeat * 1000)
        except OSError:
            made.close()
            raise
        return made


class SocketTransport(Transport):
    """A connected socket; `listed` are the serials that the server's prelude named."""

    __slots__ = ("_buffer", "_file", "_limit", "_rest", "_socket", "_times", "listed")

    def __init__(self, connected: socket, times: Times) -> None:
        """Keep a connected socket."""
        found = os.fstat(connected.fileno())
        self._socket: socket | None = connected
        self._file = (found.st_dev, found.st_ino)
        self._times = times
        self._limit = 0.0
        self._rest = b""
        self._buffer = bytearray()
        self.listed: tuple[str, ...] = ()

    # The prelude

    def begin(self, request: bytes, deadline: float) -> int:
        """Send the prelude and return the status in the server's; OSError, `PeerError`, CKR_DEVICE_ERROR."""
        self._send(request, deadline)
        status, follows = prelude.read_reply(self._receive(prelude.REPLY_LENGTH, deadline))
        if follows > _MOST_SERIALS * prelude.SERIAL_LENGTH:
            raise PeerError(f"{follows} bytes of serials")
        self.listed = prelude.read_serials(self._receive(follows, deadline)) if follows else ()
        return status

    # Frames

    def exchange(self, frame: bytes, limit: float | None = None) -> bytes | memoryview:
        """Send a frame and return the one that comes back."""
        seconds = self._times.read if limit is None else limit
        deadline = monotonic() + seconds
        try:
            self._send(frame, deadline)
        except OSError as error:
            self.close()
            raise NotSentError(f"the request could not be sent: {error.strerror or 'in time'}") from None
        try:
            return self._frame(deadline)
        except OSError as error:
            reason = f"no answer within {seconds:g} seconds" if isinstance(error, BlockingIOError) else error.strerror
        except CryptokiError as error:  # a header that is none, or another thread has closed the connection
            reason = error.message
        self.close()
        raise CryptokiError(CKR.DEVICE_ERROR, f"the answer is lost: {reason}")

    def _frame(self, deadline: float) -> bytes | memoryview:
        """Return the next frame; what came behind it is kept."""
        data, self._rest = self._rest, b""
        while len(data) < HEADER_LENGTH:
            part = self._allow(deadline).recv(_PART)
            if not part:
                raise OSError(0, "the server closed the connection")
            data += part
        end = HEADER_LENGTH + length_that_follows(data, CLIENT)
        if len(data) > end:
            data, self._rest = data[:end], data[end:]
        if len(data) == end:
            return data
        return self._long(end, deadline, data) if end <= _KEPT else self._receive(end, deadline, data)

    def _long(self, length: int, deadline: float, begin: bytes) -> memoryview:
        """Return a frame in memory that is used for the next one too: new memory costs more than what is in it."""
        if len(self._buffer) < length:
            self._buffer = bytearray(length)
        view = memoryview(self._buffer)[:length]
        got = len(begin)
        view[:got] = begin
        while got < length:
            more = self._allow(deadline).recv_into(view[got:])
            if not more:
                raise OSError(0, "the server closed the connection")
            got += more
        return view

    def send(self, frame: bytes) -> None:
        """Send a last frame, as far as there is room for it at once."""
        try:
            self._check_ours()
            self._whole().send(frame, MSG_NOSIGNAL | MSG_DONTWAIT)
        except (OSError, NotSentError):
            self.close()

    def pending(self) -> bytes | memoryview:
        """Return a frame that came unasked."""
        self._check_ours()
        try:
            came = self._rest or self._whole().recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError as error:
            self.close()
            raise NotSentError(f"the connection has ended: {error.strerror}") from None
        try:
            if came:
                return self._frame(monotonic() + self._times.connect)
            reason = "the server closed it"
        except (OSError, CryptokiError) as error:
            reason = str(error)
        self.close()
        raise NotSentError(f"the connection has ended: {reason}")

    # Bytes

    def _whole(self) -> socket:
        """Return the socket; `NotSentError` if it is closed."""
        if self._socket is None:
            raise NotSentError("the connection is closed")
        return self._socket

    def _check_ours(self) -> None:
        """Refuse to go on with a descriptor that a daemon closed: it may be another file's now."""
        connected = self._whole()
        if not self._is_ours(connected):
            self._socket = None
            connected.detach()
            raise NotSentError("the process closed the connection's descriptor")

    def _allow(self, deadline: float) -> socket:
        """Return the socket, which now waits until `deadline` at most, give or take a tenth."""
        connected = self._whole()
        left = deadline - monotonic()
        if left <= 0:
            raise BlockingIOError(0, "not in time")
        # The system's time-out counts from each call on; it is set only if it has become wrong.
        if not 0.9 * self._limit <= left <= 1.1 * self._limit:
            value = _TIMEVAL.pack(int(left), int(left % 1 * 1000000) or 1)
            connected.setsockopt(SOL_SOCKET, SO_RCVTIMEO, value)
            connected.setsockopt(SOL_SOCKET, SO_SNDTIMEO, value)
            self._limit = left
        return connected

    def _send(self, data: bytes, deadline: float) -> None:
        """Send all; OSError, of which the other end has not got the whole."""
        sent = self._allow(deadline).send(data, MSG_NOSIGNAL)
        if sent == len(data):
            return
        view = memoryview(data)
        while sent < len(data):
            sent += self._allow(deadline).send(view[sent:], MSG_NOSIGNAL)

    def _receive(self, length: int, deadline: float, begin: bytes = b"") -> bytes:
        """Return `length` bytes that begin with `begin`; OSError.

        Memory grows with what has come, never with what was announced.
        """
        parts, got = [begin], len(begin)
        while got < length:
            part = self._allow(deadline).recv(min(length - got, _PART))
            if not part:
                raise OSError(0, "the server closed the connection")
            parts.append(part)
            got += len(part)
        return b"".join(parts)

    # The end

    def _is_ours(self, connected: socket) -> bool:
        """Whether the descriptor is still the connection's: a daemon may have closed it, and opened something else."""
        try:
            found = os.fstat(connected.fileno())
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def interrupt(self) -> None:
        """Shut the connection down, which wakes who waits for it.

        The descriptor stays: closed under another thread's feet it might be somebody else's file when that one reads.
        """
        connected = self._socket
        if connected is not None and self._is_ours(connected):
            try:
                connected.shutdown(2)
            except OSError:
                return  # the server has closed it, or the other thread just now

    def close(self) -> None:
        """Close the socket, if it is still ours."""
        self.interrupt()
        self.drop_after_fork()

    def drop_after_fork(self) -> None:
        """Close this process's descriptor of the connection, which is all of it but in a child of a fork."""
        connected, self._socket = self._socket, None
        if connected is not None:
            if self._is_ours(connected):
                connected.close()
            else:
                connected.detach()

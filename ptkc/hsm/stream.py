"""A socket of the server as a stream of bytes, each read and each answer of which must be over in a given time.

Memory grows only with bytes that came, never with what was announced. The socket blocks, with the system's own
time-outs.
"""

from __future__ import annotations

import socket
from struct import Struct
from time import monotonic

__all__ = ["GoneError", "IdleError", "LateError", "Stream"]

_PART = 120 << 10  # bytes that are read at once: more would be mapped from the system for each part, and cost more
_TIMEVAL = Struct("@ll")


class GoneError(Exception):
    """The client has gone, or the server stops."""


class LateError(Exception):
    """The client took too long."""


class IdleError(LateError):
    """The client has sent nothing at all."""


class Stream:
    """A socket that gives so many bytes in so many seconds."""

    __slots__ = ("_rest", "_stream", "_times")

    def __init__(self, stream: socket.socket) -> None:
        """Begin with a connected socket."""
        self._stream = stream
        self._rest = b""
        self._times = {socket.SO_RCVTIMEO: 0.0, socket.SO_SNDTIMEO: 0.0}

    def _within(self, option: int, seconds: float) -> None:
        """Let the system end a call after so many seconds; asked for only when they change."""
        if self._times[option] != seconds:
            seconds_whole = int(seconds)
            rest = max(1000, round((seconds - seconds_whole) * 1e6) % 1_000_000)
            self._stream.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(seconds_whole, rest))
            self._times[option] = seconds

    def look(self, length: int, first: float, others: float) -> bytes:
        """Return what there is, at least so many bytes, and leave it there.

        The first byte is to be there in `first` seconds, the others in `others` from then on.
        """
        if len(self._rest) < length:
            self._rest = self._more(self._rest, length, first, others)
        return self._rest

    def take(self, length: int, seconds: float) -> bytes:
        """Return the next bytes, which are to be there in so many seconds."""
        data = self.look(length, seconds, seconds)
        self._rest = data[length:]
        return data[:length]

    def _more(self, data: bytes, length: int, first: float, others: float) -> bytes:
        """Return at least so many bytes, beginning with those that there are."""
        parts, size = [data] if data else [], len(data)
        deadline = monotonic() + others if data else 0.0
        while size < length:
            left = deadline - monotonic() if deadline else first
            if left <= 0:
                raise LateError
            self._within(socket.SO_RCVTIMEO, left)
            try:
                part = self._stream.recv(_PART)
            except (BlockingIOError, TimeoutError):
                raise (LateError if deadline else IdleError) from None
            if not part:
                raise GoneError
            parts.append(part)
            size += len(part)
            deadline = deadline or monotonic() + others
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def put(self, data: bytes, seconds: float) -> None:
        """Send bytes, all in so many seconds."""
        self._within(socket.SO_SNDTIMEO, seconds)
        try:
            sent = self._stream.send(data, socket.MSG_NOSIGNAL)
            if sent == len(data):
                return
            view, deadline = memoryview(data), monotonic() + seconds
            while sent < len(data):
                left = deadline - monotonic()
                if left <= 0:
                    raise LateError
                self._within(socket.SO_SNDTIMEO, left)
                sent += self._stream.send(view[sent:], socket.MSG_NOSIGNAL)
        except (BlockingIOError, TimeoutError):
            raise LateError from None

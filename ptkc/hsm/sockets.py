"""What a server asks of sockets and tells them: who is at the other end, and that silent deaths are to be noticed."""

from __future__ import annotations

import socket
from struct import Struct

__all__ = ["address_of", "answers", "is_loopback", "prepare"]

_CREDENTIALS = Struct("@iII")  # struct ucred: process, user, group
_SILENCE, _PROBES = 60, 3


def answers(path: str) -> bool:
    """Whether somebody listens on a UNIX socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def prepare(stream: socket.socket) -> None:
    """Have small frames go out at once, and silent deaths be noticed."""
    if stream.family == socket.AF_UNIX:
        return
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENCE)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENCE // _PROBES)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def address_of(stream: socket.socket, peer: tuple[str, int]) -> str:
    """Return a client's address without its port; `user <number>` of one on a UNIX socket."""
    if stream.family != socket.AF_UNIX:
        return str(peer[0])
    raw = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return f"user {_CREDENTIALS.unpack(raw)[1]}"


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine alone."""
    return address == "::1" or address.startswith("127.")

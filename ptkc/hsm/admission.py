"""What a server bears, and who is let in: connections counted in all and by where they come from.

Who is turned away is told so, which takes a connection for a moment too. Those are few, and few of one address, and do
not count among the others: else who asks again and again would keep out everybody by being turned away.
"""

from __future__ import annotations

from _socket import AF_INET6, inet_ntop, inet_pton
from collections import Counter, namedtuple

from ptkc.wire import prelude

__all__ = ["Admission", "Limits", "origin"]

Limits = namedtuple(
    "Limits", "connections client_connections applications sessions message idle transfer linger",
    defaults=(512, 128, 256, 1024, 1 << 26, 600.0, 60.0, 60.0),
)  # fmt: skip
"""What one server bears.

Connections in all and of one origin; applications of an HSM, and sessions of each; bytes in a frame, and of the
session objects of an application; seconds without a request on a connection whose application has no session, for a
frame to come or an answer to go, and that an application without connections lives on.
"""

_TOLD, _TOLD_OF_CLIENT = 64, 8  # connections at once that are told no, in all and of one origin
_NETWORK = 8  # bytes of an IPv6 address; the others are its host's to choose


def origin(address: str) -> str:
    """Return what limits take for one client: a user, an IPv4 address, or the network (/64) of an IPv6 address."""
    host = address.partition("%")[0]
    if ":" not in host:
        return address
    network = inet_pton(AF_INET6, host)[:_NETWORK]
    return f"{inet_ntop(AF_INET6, network.ljust(2 * _NETWORK, bytes(1)))}/64"


class Admission:
    """Connections that there are; the caller has a lock."""

    __slots__ = ("_let_in", "_most", "_most_of_client", "_told")

    def __init__(self, most: int, most_of_client: int) -> None:
        """Let in so many at once, and so many of one origin."""
        self._most, self._most_of_client = most, most_of_client
        self._let_in: Counter[str] = Counter()
        self._told: Counter[str] = Counter()

    def enter(self, address: str) -> int | None:
        """Count one more, and return the status that its prelude is to have; None to close it without a word."""
        address = origin(address)
        if self._let_in[address] >= self._most_of_client:
            status = prelude.BUSY_FOR_CLIENT
        elif self._let_in.total() >= self._most:
            status = prelude.BUSY
        else:
            self._let_in[address] += 1
            return prelude.OK
        if self._told.total() >= _TOLD or self._told[address] >= _TOLD_OF_CLIENT:
            return None
        self._told[address] += 1
        return status

    def leave(self, address: str, status: int) -> None:
        """Count one less of those with this status."""
        counted = self._let_in if status == prelude.OK else self._told
        address = origin(address)
        counted[address] -= 1
        if not counted[address]:
            del counted[address]

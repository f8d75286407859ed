"""What a server bears, and who is let in: connections counted in all and by address.

Who is turned away is told so, which takes a connection for a moment too. Those are few, and few of one address, and do
not count among the others: else who asks again and again would keep out everybody by being turned away.
"""

from __future__ import annotations

from collections import Counter, namedtuple

from ptkc.wire import prelude

__all__ = ["Admission", "Limits"]

Limits = namedtuple(
    "Limits", "connections client_connections applications sessions message idle transfer linger",
    defaults=(512, 128, 256, 1024, 1 << 26, 600.0, 60.0, 60.0),
)  # fmt: skip
"""What one server bears.

Connections in all and of one address; applications of an HSM, and sessions of each; bytes in a frame, and of the
session objects of an application; seconds without a request on a connection whose application has no session, for a
frame to come or an answer to go, and that an application without connections lives on.
"""

_TOLD, _TOLD_OF_CLIENT = 64, 8  # connections at once that are told no, in all and of one address


class Admission:
    """Connections that there are; the caller has a lock."""

    __slots__ = ("_let_in", "_most", "_most_of_client", "_told")

    def __init__(self, most: int, most_of_client: int) -> None:
        """Let in so many at once, and so many of one address."""
        self._most, self._most_of_client = most, most_of_client
        self._let_in: Counter[str] = Counter()
        self._told: Counter[str] = Counter()

    def enter(self, address: str) -> int | None:
        """Count one more, and return the status that its prelude is to have; None to close it without a word."""
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
        counted[address] -= 1
        if not counted[address]:
            del counted[address]

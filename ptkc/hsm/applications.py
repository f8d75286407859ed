"""Whose sessions a connection works with: the applications that an HSM serves at once.

An application is known by its secret: the first channel gives it one, and each further channel proves it inside its
handshake. Connections without a channel have a group, random bytes that the client chose, which is all that they have
in common, and the wire can steal it. An application's first channel takes over what its group had before; from then on
the group alone reaches none of it. Without connections an application ends after a time, and with a restart of the HSM.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.hsm.room import Room
from ptkc.sms.errors import LocalError
from ptkc.sms.protection import EVERYTHING
from ptkc.spec.constants import CKR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.hsm.endpoint import Connection
    from ptkc.sms.channel import Channel
    from ptkc.token.hsms import Hsm

__all__ = ["Applications", "OneApplication", "Served"]


class Served:
    """An application with its device and its connections; `identifier` is empty as long as it had no channel."""

    __slots__ = ("application", "connections", "device", "identifier", "left", "secret")

    def __init__(self, application: Application) -> None:
        """Serve an application; what it may do on which connection is the endpoint's to check."""
        self.application = application
        self.device = LocalDevice(application.hsm, application)
        self.identifier = self.secret = b""
        self.connections: set[Connection] = set()
        self.left = 0.0

    def take(self, channel: Channel) -> None:
        """Belong from now on to those who know the secret of a channel."""
        self.identifier, self.secret = channel.application, channel.secret

    def leave(self, connection: Connection, now: float) -> None:
        """Count a connection no more."""
        self.connections.discard(connection)
        self.left = now


class OneApplication:
    """The application of this process: it is whatever connects, with or without a channel."""

    reasons = True
    """Whether why a command is refused may be told: to this process, whose log it goes to."""

    __slots__ = ("_served",)

    def __init__(self, application: Application) -> None:
        """Serve `application` alone; what a request needs is checked here from now on, and no more for each session."""
        application.accepted = EVERYTHING
        application.served = self.all
        self._served = Served(application)

    def secret_of(self, identifier: bytes) -> bytes | None:
        """Return the secret of its first channel."""
        served = self._served
        return served.secret if served.secret and served.identifier == identifier else None

    def of_group(self, _group: bytes, connection: Connection) -> Served:
        """Return the one, in which the connection takes part."""
        self._served.connections.add(connection)
        return self._served

    def of_channel(self, channel: Channel, _group: bytes, connection: Connection) -> Served:
        """Return the one, in which the connection takes part."""
        if not self._served.secret:
            self._served.take(channel)
        self._served.connections.add(connection)
        return self._served

    def leave(self, served: Served, connection: Connection) -> None:
        """Take part no more."""
        served.leave(connection, 0.0)

    def all(self) -> list[Served]:
        """Return the one."""
        return [self._served]


class Applications:
    """The applications of an HSM that is served to several."""

    reasons = False

    __slots__ = (
        "_boot", "_by_group", "_by_identifier", "_clock", "_hsm", "_linger", "_lock", "_memory", "_most", "_sessions",
    )  # fmt: skip

    def __init__(
        self, hsm: Hsm, *, most: int = 256, sessions: int = 1024, linger: float = 60.0,
        memory: int = 1 << 26, clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Serve at most so many applications with at most so many sessions each.

        Session objects of one take at most `memory` bytes.
        `linger` is how many seconds an application without connections lives on.
        """
        self._hsm = hsm
        self._most, self._sessions, self._linger, self._clock = most, sessions, linger, clock
        self._memory = memory
        self._boot = hsm.boot
        self._lock = allocate_lock()
        self._by_group: dict[bytes, Served] = {}
        self._by_identifier: dict[bytes, Served] = {}

    def secret_of(self, identifier: bytes) -> bytes | None:
        """Return the secret of an application, None if there is none with this identifier."""
        self.sweep()
        with self._lock:
            served = self._by_identifier.get(identifier)
        return None if served is None else served.secret

    def of_group(self, group: bytes, connection: Connection) -> Served:
        """Return the application of the connections without a channel that have this group, and count one more.

        CKR_DEVICE_MEMORY where there are too many applications.
        """
        served = self._by_group.get(group)
        if served is not None and connection in served.connections:
            return served
        self.sweep()
        gone = None
        with self._lock:
            served = self._by_group.get(group)
            if served is None:
                gone = self._make_room()
                served = self._by_group[group] = self._new()
            served.connections.add(connection)
        if gone is not None:
            gone.application.end()
        return served

    def knows(self, group: bytes) -> bool:
        """Whether connections without a channel have had an application of this group."""
        return group in self._by_group

    def of_channel(self, channel: Channel, group: bytes, connection: Connection) -> Served:
        """Return the application of a channel: that whose secret it has, else its group's, which gets this secret.

        CKR_DEVICE_MEMORY where there are too many applications.
        """
        self.sweep()
        gone = None
        with self._lock:
            served = self._by_identifier.get(channel.application)
            if served is None:
                served = self._by_group.pop(group, None)
                if served is None:
                    gone = self._make_room()
                    served = self._new()
                served.take(channel)
                self._by_identifier[served.identifier] = served
            served.connections.add(connection)
        if gone is not None:
            gone.application.end()
        return served

    def _make_room(self) -> Served | None:
        """Have room for one more: where there is none, return the application that goes, which the caller ends.

        It is the one that has been without connections for the longest time: else who begins many applications and
        leaves them would keep all others out. CKR_DEVICE_MEMORY if each has connections.
        """
        everyone = [*self._by_group.items(), *self._by_identifier.items()]
        if len(everyone) < self._most:
            return None
        left = [(name, one) for name, one in everyone if not one.connections]
        if not left:
            raise LocalError(CKR.DEVICE_MEMORY, f"there are {self._most} applications, which are the most")
        name, gone = min(left, key=lambda item: item[1].left)
        (self._by_identifier if gone.identifier else self._by_group).pop(name)
        return gone

    def _new(self) -> Served:
        """Return a new application."""
        application = Application(self._hsm, Handles())
        application.accepted = EVERYTHING
        application.most_sessions = self._sessions
        application.room = Room(self._memory)
        application.served = self.all
        served = Served(application)
        served.left = self._clock()
        return served

    def leave(self, served: Served, connection: Connection) -> None:
        """Take part no more: an application lives as long as somebody does, and for a time after."""
        with self._lock:
            served.leave(connection, self._clock())

    def all(self) -> list[Served]:
        """Return all applications."""
        with self._lock:
            return [*self._by_group.values(), *self._by_identifier.values()]

    def sweep(self) -> None:
        """End the applications whose time is over, and, after a restart of the HSM, those that had channels."""
        boot = self._hsm.boot
        with self._lock:
            restarted, self._boot = boot != self._boot, boot
            since = self._clock() - self._linger
            over = []
            for known, ends in ((self._by_group, False), (self._by_identifier, restarted)):
                gone = [name for name, one in known.items() if ends or (not one.connections and one.left <= since)]
                over += [known.pop(name) for name in gone]
        for served in over:
            served.application.end()

"""Whose sessions a connection works with: the applications that an HSM serves at once.

An application is known by its secret: the first channel gives it one, and each further channel proves it inside its
handshake. Connections without a channel have a group, random bytes that the client chose, which is all that they have
in common, and the wire can steal it. An application's first channel takes over what its group had before; from then on
the group alone reaches none of it. Without connections an application ends after a time, and with a restart of the HSM.
Before that it goes only where there is no room for another one: for one of the same origin, or if it has no session.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic

from ptkc.hsm.admission import origin
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

    from ptkc.hsm.budget import Budget
    from ptkc.hsm.endpoint import Connection
    from ptkc.sms.channel import Channel
    from ptkc.token.hsms import Hsm

__all__ = ["Applications", "OneApplication", "Served"]


class Served:
    """An application with its device and its connections; `identifier` is empty as long as it had no channel.

    `origin` is where its first connection came from (`admission.origin`).
    """

    __slots__ = ("application", "connections", "device", "identifier", "left", "origin", "secret")

    def __init__(self, application: Application, begun: str = "") -> None:
        """Serve an application; what it may do on which connection is the endpoint's to check."""
        self.application = application
        self.origin = begun
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
        "_boot", "_budget", "_by_group", "_by_identifier", "_clock", "_hsm", "_linger", "_lock", "_memory", "_most",
        "_most_of_client", "_sessions",
    )  # fmt: skip

    def __init__(
        self, hsm: Hsm, *, most: int = 256, most_of_client: int = 128, sessions: int = 1024, linger: float = 60.0,
        memory: int = 1 << 26, budget: Budget | None = None, clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Serve at most so many applications, and so many that one origin began, with at most so many sessions each.

        Session objects of one take at most `memory` bytes, those of all what the budget has.
        `linger` is how many seconds an application without connections lives on.
        """
        self._hsm = hsm
        self._most, self._sessions, self._linger, self._clock = most, sessions, linger, clock
        self._most_of_client = most_of_client
        self._memory, self._budget = memory, budget
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
                gone = self._make_room(begun := origin(connection.address))
                served = self._by_group[group] = self._new(begun)
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
                    gone = self._make_room(begun := origin(connection.address))
                    served = self._new(begun)
                served.take(channel)
                self._by_identifier[served.identifier] = served
            served.connections.add(connection)
        if gone is not None:
            gone.application.end()
        return served

    def _make_room(self, begun: str) -> Served | None:
        """Have room for one more of an origin: where there is none, return the application that the caller ends.

        It has no connections, and was begun there too, or has no session: nobody's coming costs a stranger anything.
        Of those it is one without sessions if there is one, then the one that was left first. CKR_DEVICE_MEMORY if
        there is none.
        """
        everyone = [*self._by_group.items(), *self._by_identifier.items()]
        may_begin = sum(one.origin == begun for _, one in everyone) < self._most_of_client
        if may_begin and len(everyone) < self._most:
            return None
        left = [
            (name, one) for name, one in everyone
            if not one.connections and (one.origin == begun or (may_begin and not one.application.sessions))
        ]  # fmt: skip
        if not left:
            raise LocalError(CKR.DEVICE_MEMORY, f"{len(everyone)} applications, and no room for one more of {begun}")
        name, gone = min(left, key=lambda item: (bool(item[1].application.sessions), item[1].left))
        (self._by_identifier if gone.identifier else self._by_group).pop(name)
        return gone

    def _new(self, begun: str) -> Served:
        """Return a new application of an origin."""
        application = Application(self._hsm, Handles())
        application.accepted = EVERYTHING
        application.most_sessions = self._sessions
        application.room = Room(self._memory, None if self._budget is None else self._budget.share(begun))
        application.served = self.all
        served = Served(application, begun)
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

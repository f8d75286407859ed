"""The server: HSMs on TCP and UNIX sockets, a thread a connection.

It knows sockets and the prelude; what a frame means is the endpoint's. Nothing from the wire is believed: a length is
bounded before anything is made of it, and each frame and each answer must be over in a given time. A stop lets
exchanges under way end. What happens is told as events without secrets, and only there is said why something was
refused.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from select import select
from time import monotonic, sleep

from ptkc.hsm.admission import Admission, Limits, origin
from ptkc.hsm.applications import Applications
from ptkc.hsm.attempts import Attempts
from ptkc.hsm.budget import Budget, Share
from ptkc.hsm.endpoint import Connection, Endpoint
from ptkc.hsm.pace import Pace
from ptkc.hsm.sockets import address_of, answers, prepare
from ptkc.hsm.stream import GoneError, IdleError, LateError, Stream
from ptkc.sms.bodies import refusal
from ptkc.sms.frames import HEADER_LENGTH, length_that_follows
from ptkc.sms.state import HSM
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.wire import prelude

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ptkc.token.hsms import Hsm

__all__ = ["Limits", "Server"]

_PRELUDE = 10.0  # seconds
_BACKLOG = 128
_MANY = 4096  # bytes, each of which says to stop
_SWEEP, _PAUSE = 10.0, 0.1  # seconds
_LONG = 120 << 10  # bytes beyond which frames and replies are lent out of a budget: many clients at once may have less
_AT_ONCE = 8  # frames of the greatest length, and session objects of so many applications that take all they may
_AGAIN = 1.0  # seconds until HSMs that came later are looked for again


def _none(_known: Collection[str]) -> list[Hsm]:
    """Find no other HSM."""
    return []


class Server:
    """Offers HSMs; `listen` and `listen_at` before `serve`, which returns after `stop`."""

    def __init__(
        self, hsms: list[Hsm], limits: Limits, tell: Callable[..., None],
        find: Callable[[Collection[str]], list[Hsm]] = _none,
    ) -> None:  # fmt: skip
        """Offer these; `tell(event, **facts)` is the log, `find` opens the HSMs that came beside those known."""
        self.limits = limits
        self._tell = tell
        self._find, self._found = find, 0.0
        self._finding = threading.Lock()
        self._endpoints: dict[str, Endpoint] = {}
        self._applications: dict[str, Applications] = {}
        self._attempts, self._pace = Attempts(), Pace()
        self._frames, self._objects = Budget(_AT_ONCE * limits.message), Budget(_AT_ONCE * limits.message)
        for hsm in hsms:
            self._offer(hsm)
        self._listeners: list[socket.socket] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._admission = Admission(limits.connections, limits.client_connections)
        self._threads: set[threading.Thread] = set()
        self._is_stopping = False
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)  # noqa: FBT003 - socket's own

    def _offer(self, hsm: Hsm) -> None:
        """Offer an HSM."""
        limits = self.limits
        applications = Applications(
            hsm, most=limits.applications, most_of_client=limits.client_connections, sessions=limits.sessions,
            linger=limits.linger, memory=limits.message, budget=self._objects,
        )  # fmt: skip
        endpoint = Endpoint(hsm, applications, self._of(hsm.serial))
        endpoint.attempts = self._attempts.make
        endpoint.pace = lambda address: self._pace.keep(origin(address))
        with contextlib.suppress(CryptokiError):  # each handshake would say so
            endpoint.presented().identity()  # the first client need not wait for what is loaded
        self._applications[hsm.serial] = applications
        self._endpoints[hsm.serial] = endpoint

    def _look(self) -> None:
        """Offer the HSMs that have come; they are not looked for twice in a moment, whoever asks."""
        with self._finding:
            if monotonic() < self._found:
                return
            for hsm in self._find([serial for serial, one in self._endpoints.items() if _is_there(one.hsm)]):
                self._offer(hsm)
                self._tell("offered", hsm=hsm.serial)
            self._found = monotonic() + _AGAIN

    def _of(self, serial: str) -> Callable[..., None]:
        """Return what tells events of one HSM."""
        return lambda event, **facts: self._tell(event, hsm=serial, **facts)

    # Where it listens

    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on TCP at an address, port 0 for any; return the address. OSError if that cannot be."""
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self._listeners.append(listener)
        return listener.getsockname()[:2]  # type: ignore[no-any-return]

    def listen_at(self, path: str) -> None:
        """Listen on a UNIX socket that only this user may use; what a dead server left there is removed. OSError."""
        listener = socket.socket(socket.AF_UNIX)
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.lstat(path).st_mode) and not answers(path):
                    os.unlink(path)
            before = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self._listeners.append(listener)

    # Life

    def serve(self) -> None:
        """Take connections until `stop`, then let what is under way end."""
        takers = [threading.Thread(target=self._take, args=(listener,), daemon=True) for listener in self._listeners]
        for taker in takers:
            taker.start()
        while not self._is_stopping:
            if select([self._ear], [], [], _SWEEP)[0]:
                self._ear.recv(_MANY)
            for applications in list(self._applications.values()):
                with contextlib.suppress(CryptokiError):  # the HSM was taken away
                    applications.sweep()
        self._tell("stopping", connections=len(self._open))
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            if listener.family == socket.AF_UNIX:
                with contextlib.suppress(OSError):
                    os.unlink(listener.getsockname())
            listener.close()
        with self._lock:
            waiting, threads = list(self._open), list(self._threads)
        for each in waiting:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RD)  # wakes who waits for a request; answers still go out
        deadline = monotonic() + self.limits.transfer
        for thread in (*takers, *threads):
            thread.join(max(0.0, deadline - monotonic()))
        self._ear.close()
        self._mouth.close()
        self._tell("stopped")

    @property
    def waker(self) -> int:
        """The descriptor for `signal.set_wakeup_fd`: a signal may come to a thread that runs no handlers."""
        return self._mouth.fileno()

    def stop(self) -> None:
        """Have `serve` end; from any thread, and from a signal handler: no lock is taken."""
        self._is_stopping = True
        with contextlib.suppress(OSError):  # it has ended
            self._mouth.send(b"\0", socket.MSG_NOSIGNAL)

    # Connections

    def _take(self, listener: socket.socket) -> None:
        """Take connections."""
        while not self._is_stopping:
            try:
                connection, peer = listener.accept()
            except OSError as error:
                if self._is_stopping:
                    return
                self._tell("not accepted", reason=error.strerror)  # of descriptors, say, there are too few
                sleep(_PAUSE)
                continue
            address = address_of(connection, peer)
            with self._lock:
                status = None if self._is_stopping else self._admission.enter(address)
                if status is None:
                    connection.close()
                    continue
                self._open.add(connection)
                thread = threading.Thread(target=self._run, args=(connection, address, status), daemon=True)
                self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError:  # no more threads
                self._tell("not accepted", reason="no more threads")
                self._forget(connection, address, status, thread)

    def _run(self, connection: socket.socket, address: str, status: int) -> None:
        """Serve a connection to its end."""
        try:
            prepare(connection)
            self._begin(connection, address, status)
        except (GoneError, LateError, OSError):
            pass
        except PeerError as error:
            self._tell("no client", address=address, reason=str(error))
        finally:
            self._forget(connection, address, status, threading.current_thread())

    def _forget(self, connection: socket.socket, address: str, status: int, thread: threading.Thread) -> None:
        connection.close()
        with self._lock:
            self._open.discard(connection)
            self._admission.leave(address, status)
            self._threads.discard(thread)

    def _begin(self, connection: socket.socket, address: str, status: int) -> None:
        """Read the prelude, and do what it asks for."""
        wire = Stream(connection)
        data = wire.take(prelude.REQUEST_LENGTH, _PRELUDE)
        purpose, serial, group = prelude.read_request(data)
        endpoint = self._endpoints.get(serial)
        if self._is_stopping:
            status = prelude.CLOSING
        elif status == prelude.OK and (endpoint is None or not _is_there(endpoint.hsm)):
            self._look()
            endpoint = self._endpoints.get(serial)
        if status == prelude.OK and purpose == prelude.TALK:
            if endpoint is None or not _is_there(endpoint.hsm):
                status = prelude.NO_SUCH_HSM
            elif self._applications[serial].knows(group):
                status = prelude.KNOWN
        serials: tuple[str, ...] = ()
        if status == prelude.OK and purpose == prelude.LIST:
            serials = tuple(serial for serial, one in list(self._endpoints.items()) if _is_there(one.hsm))
        wire.put(prelude.write_reply(status, serials), _PRELUDE)
        if status not in (prelude.OK, prelude.KNOWN):
            self._tell("turned away", address=address, hsm=serial, status=prelude.STATUSES[status])
        elif purpose == prelude.TALK and endpoint is not None:
            self._tell("connected", address=address, hsm=serial)
            self._talk(wire, endpoint.connection(address, group))
            self._tell("disconnected", address=address, hsm=serial)

    def _talk(self, wire: Stream, connection: Connection) -> None:
        """Answer frames until one side ends it."""
        share = self._frames.share(origin(connection.address))
        connection.hold = lambda size: self._lend(share, size)
        try:
            while not connection.is_over and not self._is_stopping and self._exchange(wire, connection, share):
                share.hold(0)
            if not connection.is_over:
                wire.put(connection.end(), _PRELUDE)
        except GoneError:
            wire.put(connection.end(), _PRELUDE)
        except PeerError:
            wire.put(connection.farewell or connection.end(CKR.SMS_ERROR) or refusal(CKR.SMS_ERROR), _PRELUDE)
            raise
        finally:
            share.hold(0)
            connection.close()

    def _exchange(self, wire: Stream, connection: Connection, share: Share) -> bool:
        """Answer a frame; False if there is none, and no session for whose sake one would come.

        Frame and answer end with this: what is lent for them is given back, and many connections that wait have none.
        """
        try:
            frame = self._frame(wire, connection, share)
        except IdleError:  # it may mean to come back to its sessions; of a dead one the system tells
            return connection.application is not None and bool(connection.application.sessions)
        answer = connection.answer(frame)
        if answer:
            wire.put(answer, self.limits.transfer)
        return True

    def _frame(self, wire: Stream, connection: Connection, share: Share) -> bytes:
        """Return the next frame; `PeerError` if its beginning is none, or it is longer than allowed.

        One that is long is read only when there is memory for it; `LateError` if that takes too long.
        """
        start = wire.look(HEADER_LENGTH, self.limits.idle, self.limits.transfer)
        length = length_that_follows(start, HSM)
        if length > self.limits.message:
            raise PeerError(f"a frame of {length} bytes, {self.limits.message} are the most")
        if not self._lend(share, length):
            self._tell("no memory", address=connection.address, bytes=length)
            raise LateError
        return wire.take(HEADER_LENGTH + length, self.limits.transfer)

    def _lend(self, share: Share, size: int) -> bool:
        """Whether there is memory for a frame or a reply in time; one hardly longer than what is held needs none."""
        return size - share.held <= _LONG or share.hold(size, self.limits.transfer)


def _is_there(hsm: Hsm) -> bool:
    """Whether an HSM was not taken away."""
    try:
        return bool(hsm.tokens)
    except CryptokiError:
        return False

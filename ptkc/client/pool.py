"""The connections of one application to one HSM, and who may use one.

A connection carries one exchange at a time, and a call takes one for its exchange. They are made when they are needed,
up to a number; others then wait. A connection on which anything went wrong is not used again. A call is sent a second
time only where it is certain that the HSM has not carried it out: nothing whole of it went out, or the HSM proved that
it had ended the channel before. For calls without protection that is as the wire says it: they have no counter. Where
an answer is lost the call is CKR_DEVICE_ERROR, and may have been carried out.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic

from ptkc import log
from ptkc.client.connection import EndedError
from ptkc.client.transport import NotSentError
from ptkc.sms.errors import LocalError
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ptkc.client.connection import Connection, Opened
    from ptkc.client.protection import Protection

__all__ = ["Pool"]


class Pool:
    """The connections to one HSM."""

    __slots__ = ("_all", "_connect", "_idle", "_is_closed", "_lock", "_made", "_most", "_patience", "_waiting",
                 "protection")  # fmt: skip

    def __init__(
        self, connect: Callable[[], Connection], protection: Protection, most: int, patience: float
    ) -> None:
        """Begin without a connection: `connect` makes one, up to `most`; a call waits `patience` seconds for one."""
        self._connect = connect
        self.protection = protection
        self._most = most
        self._patience = patience
        self._lock = allocate_lock()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._made = 0
        self._waiting: list[Any] = []
        self._is_closed = False

    def exchange(self, message: bytes, opened: Opened | None = None) -> bytes:
        """Return the reply to a request, of a session or of none; see `Connection.exchange`.

        CKR_DEVICE_REMOVED if the HSM cannot be reached; the request has not reached it then.
        """
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._take()
            is_fresh = connection.is_fresh
            try:
                reply = connection.exchange(message, opened, self.protection)
            except NotSentError as error:
                self._discard(connection)
                if is_fresh:
                    raise
                log.note(f"HSM {self.protection.serial}: another connection is made, {error.message}")
                continue
            except (CryptokiError, PeerError) as error:
                if isinstance(error, CryptokiError) and error.__class__ in _HARMLESS and connection.is_usable:
                    self._give(connection)
                else:
                    self._discard(connection)
                raise
            except BaseException:
                self._discard(connection)  # a Ctrl-C: whose answer the next bytes are nobody knows
                raise
            self._give(connection)
            return reply

    def ask(self, before: int) -> bool:
        """Whether the HSM's flags want more than the policy `before`; it is asked unless that is known already.

        Another thread may have met the new flags first.
        """
        if self.protection.policy != before:
            return True
        connection = self._take()
        try:
            self.protection.inquire(connection)
        finally:
            self._discard(connection)
        return self.protection.policy != before

    # Connections

    def _take(self) -> Connection:
        """Return a connection, a new one if none is idle and there may be one more."""
        deadline = monotonic() + self._patience
        while True:
            with self._lock:
                if self._is_closed:
                    raise NotSentError("the device is closed")
                waiter = None
                if self._made < self._most:
                    self._made += 1
                else:
                    waiter = allocate_lock()
                    waiter.acquire()
                    self._waiting.append(waiter)
            if waiter is None:
                return self._new()
            # What was given back before we were in the list has woken nobody.
            if self._idle or self._made < self._most:
                self._leave(waiter)
            elif not waiter.acquire(timeout=max(deadline - monotonic(), 0)):
                self._leave(waiter)
                if not self._idle:
                    raise CryptokiError(CKR.DEVICE_ERROR, f"all {self._most} connections are in use")
            try:
                return self._idle.pop()
            except IndexError:
                continue

    def _leave(self, waiter: Any) -> None:  # noqa: ANN401 - a lock
        """Wait no more; if we were woken just now, somebody else is."""
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            with self._lock:
                if self._waiting:
                    self._waiting.pop(0).release()

    def _new(self) -> Connection:
        try:
            connection = self._connect()
        except BaseException:
            self._forget(None)
            raise
        with self._lock:
            self._all.add(connection)
            if not self._is_closed:
                return connection
        self._discard(connection)
        raise NotSentError("the device is closed")

    def _give(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._waiting:
            self._wake()
        if self._is_closed:
            self._close_idle()

    def _discard(self, connection: Connection) -> None:
        connection.close()
        self._forget(connection)

    def _forget(self, connection: Connection | None) -> None:
        with self._lock:
            if connection is not None:
                self._all.discard(connection)
            self._made -= 1
        self._wake()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._discard(self._idle.pop())
            except IndexError:
                return

    # The end

    def close(self, messages: Sequence[bytes] = ()) -> None:
        """Send the last plain requests, if a connection is idle, and close all; a call that waits for one is woken."""
        with self._lock:
            self._is_closed = True
        if messages:
            self._say(messages)
        self._close_idle()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.release()
        for connection in list(self._all):  # of the threads that are using them
            connection.transport.interrupt()

    def _say(self, messages: Sequence[bytes]) -> None:
        """Send plain requests, if a connection is idle; it is used by nobody else then, and closed."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return
        try:
            connection.say(messages, self.protection)
        except (CryptokiError, PeerError) as error:
            log.note(f"HSM {self.protection.serial}: it ends the sessions by itself, {error}")
        self._discard(connection)

    def drop(self) -> None:
        """Close the idle connections, whose other end is not to be believed; there may be new ones."""
        self._close_idle()

    def drop_after_fork(self) -> None:
        """Forget the parent's connections, without a byte."""
        for connection in self._all:
            connection.transport.drop_after_fork()
        self._all = set()
        self._idle = []
        self._is_closed = True


_HARMLESS = (LocalError, EndedError)
"""Errors after which the connection is as good as before."""

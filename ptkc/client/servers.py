"""The HSMs of the servers that the configuration names, as devices.

A server is asked for its HSMs at C_Initialize, and again at C_GetSlotList while it is not there, though not more often
than asking may take. An HSM that was found keeps its place for as long as the library lives, whether it is there or
not; one that is of this machine too, or behind two servers, is taken once.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from time import monotonic

from ptkc import log
from ptkc.client.connection import Connection
from ptkc.client.network import Server, Times
from ptkc.client.pool import Pool
from ptkc.client.protection import Protection
from ptkc.client.remote import NetworkDevice
from ptkc.sms.protection import policy_of_letters
from ptkc.spec.errors import CryptokiError
from ptkc.wire.prelude import GROUP_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.client.certificates import CertificateStore
    from ptkc.configuration import Configuration

__all__ = ["Servers"]


class Servers:
    """The servers of one application, and the HSMs found there."""

    def __init__(
        self, configuration: Configuration, certificates: CertificateStore | None, name: Callable[[object], int],
        close: Callable[[int], object],
    ) -> None:  # fmt: skip
        """Keep what the configuration says; `name` and `close` number the sessions of this process."""
        self._configuration = configuration
        self._certificates = certificates
        self._name, self._close = name, close
        self._group = os.urandom(GROUP_LENGTH)
        number = configuration.number
        self._times = Times(*(
            number(f"ET_HSM_NETCLIENT_{item}") for item in ("CONNECT_TIMEOUT", "READ_TIMEOUT", "HEARTBEAT")
        ))
        self._connections = number("ET_HSM_NETCLIENT_CONNECTIONS")
        self._servers = [Server(host, port, self._times) for host, port in configuration.servers]
        self._asked: dict[Server, float] = {}
        self._answered: set[Server] = set()
        self._known: set[str] = set()
        self._looking = allocate_lock()

    def look(self, local: set[str] | None = None) -> list[NetworkDevice]:
        """Return the devices that were not known yet; `local` are the serials of the HSMs of this machine."""
        if not self._looking.acquire(blocking=False):
            return []  # another thread is
        try:
            return self._look(local or set())
        finally:
            self._looking.release()

    def _look(self, local: set[str]) -> list[NetworkDevice]:
        self._known |= local
        new = []
        for server in self._servers:
            if server in self._answered or monotonic() < self._asked.get(server, 0.0):
                continue
            try:
                serials = server.serials()
            except CryptokiError as error:
                self._asked[server] = monotonic() + self._times.connect
                log.note(f"server {server}: its HSMs are absent, {error.message}")
                continue
            self._answered.add(server)
            for serial in serials:
                if serial in self._known:
                    log.note(f"server {server}: HSM {serial} is there already, and not taken twice")
                    continue
                device = self._device(server, serial)
                if device is not None:
                    self._known.add(serial)
                    new.append(device)
        return new

    def _device(self, server: Server, serial: str) -> NetworkDevice | None:
        """Return an HSM as a device; None, and the log has said it, if its SMPR is not understood."""
        letters = self._configuration.smpr(serial)
        if letters is None:
            log.note(f"HSM {serial}: absent, ET_PTKC_{serial}_SMPR is not understood")
            return None
        times = self._times
        protection = Protection(
            serial, policy_of_letters(letters), self._certificates, times.connect, local=False,
            is_new=serial in self._configuration.new_hsms,
        )  # fmt: skip

        def connect() -> Connection:
            answered = protection.answered
            transport, known = server.connect(serial, self._group)
            return Connection(transport, times.heartbeat, protection.connected(known=known, answered=answered))

        return NetworkDevice(Pool(connect, protection, self._connections, times.read), self._name, self._close)

"""A library in this process, a hostile wire, and a network HSM: what the tests of secure messaging are made on.

The client is the shared object, the server `ptkc serve`, and `tests/wire.py` is between them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conformance.cryptoki import Cryptoki, Refused, Session
from machine import Machine
from modules import Module
from network import LABEL, USER_PIN, client, served, set_flags
from wire import Passed, Wire, once

from ptkc.spec.constants import CKF, CKR

__all__ = ["ITEMS", "LOST", "MODES", "NOT_SENT", "WRONG", "Line", "library", "line_under"]

ITEMS = {
    "HSM_NETCLIENT_READ_TIMEOUT": "2", "HSM_NETCLIENT_CONNECT_TIMEOUT": "2", "HSM_NETCLIENT_CONNECTIONS": "1",
}  # fmt: skip
"""Configuration items of a client that does not wait long and has one connection."""

MODES = {
    "0": 0, "n": CKF.NO_CLEAR_PINS, "u": CKF.AUTH_PROTECTION, "N": CKF.FULL_SMS_ENC, "U": CKF.FULL_SMS_SIGN,
    "nu": CKF.NO_CLEAR_PINS | CKF.AUTH_PROTECTION, "NU": CKF.FULL_SMS_ENC | CKF.FULL_SMS_SIGN,
    "F": CKF.NO_CLEAR_PINS | CKF.AUTH_PROTECTION,
}  # fmt: skip
"""The flags that secure messaging knows in sets of letters."""

# The codes of docs/secure-messaging.md for a frame that is not what was sent, and for an answer that does not come.
WRONG = {
    CKR.BAD_REQ_SIGNATURE, CKR.BAD_REPLY_SIGNATURE, CKR.SMS_ERROR, CKR.BAD_PROTECTION, CKR.BAD_REPLY,
    CKR.NO_SESSION_KEYS, CKR.CANNOT_DERIVE_KEYS, CKR.CERT_NOT_VALIDATED,
}  # fmt: skip
LOST = {CKR.DEVICE_ERROR}
NOT_SENT = {CKR.DEVICE_REMOVED}
"""The code where there is no agreement with the HSM, so that it has not got the call."""


class Line(NamedTuple):
    """A library with a wire to an HSM, and a session of the user."""

    wire: Wire
    cryptoki: Cryptoki
    session: Session
    machine: Machine
    server: Machine

    def code(self, call: Callable[[], object] | None = None) -> int:
        """Return the code of a call, C_GenerateRandom if none is given."""
        try:
            (call or self.random)()
        except Refused as refused:
            return refused.rv
        return CKR.OK

    def random(self) -> None:
        """Make one round trip."""
        self.session.call("C_SeedRandom", b"a seed", 6)

    def outcome(
        self, wanted: Callable[[Passed], bool], instead: Callable[[bytes], list[bytes]],
        call: Callable[[], object] | None = None,
    ) -> int:  # fmt: skip
        """Return the code of the call during which a frame was replaced."""
        script, done = once(wanted, instead)
        with self.wire.doing(script):
            for _ in range(5):
                code = self.code(call)
                if done.is_set():
                    return code
        raise AssertionError("there was no such frame")

    def recovered(self) -> bool:
        """Whether the session goes on: at once, or after one call that was lost."""
        return CKR.OK in (self.code(), self.code())


@contextlib.contextmanager
def _environment(machine: Machine) -> Iterator[None]:
    """Have this process be a machine's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("ET_", "XDG_")):
                patch.delenv(name)
        for name, value in machine.environment.items():
            if name.startswith("ET_") or name == "HOME":
                patch.setenv(name, value)
        yield


@contextlib.contextmanager
def library(module: Module, machine: Machine) -> Iterator[Cryptoki]:
    """Return the initialised library of a machine."""
    with _environment(machine):
        cryptoki = Cryptoki(module.path)
        cryptoki.initialize()
        try:
            yield cryptoki
        finally:
            cryptoki.finalize()


@contextlib.contextmanager
def line_under(
    module: Module, appliance: Machine, top: Path, flags: str, *, user: bool = True, **items: str
) -> Iterator[Line]:
    """Return a client's session through a wire with a copy of an HSM, under these flags."""
    server = appliance.copy(top / "appliance")
    if flags != "0":
        set_flags(server, flags)
    with served(server) as told, Wire(told.port) as wire:
        machine = client(top / "client", wire.port, trusts=server, **{**ITEMS, **items})
        with library(module, machine) as cryptoki:
            session = cryptoki.open(cryptoki.find_slot(LABEL))
            if user:
                session.login(USER_PIN)
            yield Line(wire, cryptoki, session, machine, server)

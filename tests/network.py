"""Network HSMs of a test's own: a machine with HSMs, tokens and identities, its server, and clients of it.

Machines are made once and copied, since an identity and six PINs take their time. `served` runs `ptkc serve` beside the
test; a `client` is a machine without HSMs whose server list names it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from machine import Machine
from modules import Module
from processes import beside, free_port, listening
from tokens import Initialised

__all__ = [
    "FLAGS_OF", "LABEL", "OTHER", "SERIAL", "SO_PIN", "USER_PIN", "Served", "client", "initialised", "made", "reached",
    "served", "set_flags",
]  # fmt: skip

SERIAL, OTHER = "1197", "1111"
LABEL, SO_PIN, USER_PIN = "Tests", "so-12345678", "user-1234"

# What is prepared before any flag is set: `C_InitToken` is refused under No Clear PINs.
_TOKENS = f"""
from ptkc.vendor import devices, lib
from ptkc.vendor.calls import call
from ptkc.vendor.devices import padded
pin = {SO_PIN!r}.encode()
for device in devices(lib()):
    slot = device.user_slots[0]
    call("C_InitToken", slot.slot_id, pin, len(pin), padded({LABEL!r} if device.number == 0 else "other"))
    with slot.get_token().open(rw=True, so_pin={SO_PIN!r}) as session:
        session.init_pin({USER_PIN!r})
"""

_FLAGS = """
import sys
from ptkc.hsm.policy import mode_of
from ptkc.tools.adapter import adapter
from ptkc.vendor import Attribute, devices, lib
library = lib()
for device in devices(library):
    if device.serial == sys.argv[1]:
        with device.admin.open(rw=True, user_pin="admin-" + device.serial) as session:
            adapter(session)[Attribute.SECURITY_MODE] = mode_of(sys.argv[2])
        break
else:
    sys.exit("no such HSM")
"""


class Served(NamedTuple):
    """A server that is running: its port, its process, its log."""

    port: int
    process: int
    log: Path


def made(home: Path, *serials: str, owner: bool = False) -> Machine:
    """Make HSMs, each with a user token and an identity: self-signed, or signed by the first one as the owner."""
    machine = Machine(home).add(*(serials or (SERIAL,)))
    machine.script(_TOKENS)
    machine.knowing_pins()
    first = f"sn:{(serials or (SERIAL,))[0]}"
    if owner:
        machine.ctident("gen-owner", first)
        machine.ctident("gen-key", first, "all")
    else:
        machine.ctident("gen-selfsigned", "all")
    return machine


def set_flags(machine: Machine, letters: str, serial: str = SERIAL) -> None:
    """Set the security flags of an HSM on its own machine, or from a client's, `0` for none."""
    machine.script(_FLAGS, serial, letters)


def client(home: Path, *ports: int, trusts: Machine | None = None, **items: str) -> Machine:
    """Return a client of the servers at these ports, with no HSM of its own and with the certificates of a machine.

    `items` are configuration items without `ET_`, as in `PTKC_1197_SMPR="SR"`.
    """
    machine = Machine(home)
    machine.environment["ET_HSM_NETCLIENT_SERVERLIST"] = " ".join([f"127.0.0.1:{port}" for port in ports])
    machine.environment["ET_PTKC_LOGGER_FILE"] = str(home / "ptkc.log")
    machine.environment.update({f"ET_{name}": value for name, value in items.items()})
    if trusts is not None:
        shutil.copytree(trusts.store, machine.store, dirs_exist_ok=True)
    return machine


def initialised(module: Module, machine: Machine) -> Initialised:
    """Return the user token that a machine reaches."""
    return Initialised(module, machine.environment, LABEL, SO_PIN, USER_PIN)


@contextlib.contextmanager
def served(machine: Machine, *words: str, port: int | None = None, **items: str) -> Iterator[Served]:
    """Run the server of a machine's HSMs in the block; `words` are further arguments, `items` as of `client`.

    AssertionError if its log tells of a bug.
    """
    number = free_port() if port is None else port
    log = machine.home / "server.log"
    command = Machine.words("ptkc", "serve", "--listen", f"127.0.0.1:{number}", *words)
    bugs = {"ET_PTKC_LOGGER_FILE": str(machine.home / "bugs.log"), "ET_PTKC_LOGGER_MODE": "bugs"}
    env = {**machine.environment, **bugs, **{f"ET_{name}": value for name, value in items.items()}}
    with beside(*command, env=env, log=log, ready=lambda: listening(number)) as process:
        yield Served(number, process.pid, log)
    found = machine.home / "bugs.log"
    assert not found.exists() or " bug: " not in (text := found.read_text(encoding="utf-8")), text


FLAGS_OF = {"protected": "NU", "clear network": "0", "network": "NU"}
"""The ways in which a user reaches a token that need an identity, and the security flags of each."""


@contextlib.contextmanager
def reached(way: str, prepared: Machine, top: Path) -> Iterator[Machine]:
    """Return a machine that reaches a copy of a prepared one's HSM in one of these ways; a server runs in the block."""
    machine = prepared.copy(top / "appliance")
    if FLAGS_OF[way] != "0":
        set_flags(machine, FLAGS_OF[way])
    if "network" not in way:
        machine.environment["ET_PTKC_LOGGER_FILE"] = str(top / "ptkc.log")
        yield machine
        return
    with served(machine) as server:
        yield client(top / "client", server.port, trusts=machine)

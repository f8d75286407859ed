"""Arbitrary clients against the server, an arbitrary server against the client: neither ends, hangs or grows.

A few seconds each; PTKC_SOAK=1 makes it 30 minutes each. PTKCSEED repeats a run's chances.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lengths import FUZZED, SEED
from machine import Machine
from modules import Module
from network import SERIAL, USER_PIN, client, served
from processes import run

_GROWTH = 8 << 10  # KiB that caches may take after a third of the time
_PROGRAM = Path(__file__).parent / "client_program.py"

pytestmark = pytest.mark.soak


def _resident(process: int) -> int:
    """Return a process's resident memory in KiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _held(machine: Machine) -> bytes:
    from ptkc.client.certificates import CertificateStore, certificate_file  # noqa: PLC0415 - as the library does

    der = CertificateStore(str(machine.store)).read(certificate_file(SERIAL))
    assert der is not None
    return der


def test_no_client_can_end_stop_or_grow_a_server(appliance: Machine, tmp_path: Path) -> None:
    """Noise, frames, handshakes and authenticated requests that are nearly right, and others are served meanwhile."""
    from hostile_client import attack  # noqa: PLC0415 - not found before the line above
    from peer import Peer  # noqa: PLC0415

    machine = appliance.copy(tmp_path / "appliance")
    held, chance, made = _held(machine), Random(SEED), Counter[str]()
    with served(machine) as server:
        begin, early, descriptors = time.monotonic(), 0, 0
        while (spent := time.monotonic() - begin) < FUZZED:
            if not early and spent > FUZZED / 3:
                early = _resident(server.process)
            made[attack(chance, server.port, SERIAL, held)] += 1
            descriptors = max(descriptors, len(os.listdir(f"/proc/{server.process}/fd")))
            if not sum(made.values()) % 50:
                with Peer(server.port, SERIAL) as peer:
                    peer.shake_hands(held)
                    assert 16 == len(peer.call("C_GenerateRandom", peer.open(), 16))
        late = _resident(server.process)
        with Peer(server.port, SERIAL) as peer:
            peer.shake_hands(held)
            peer.log_in(peer.open(), USER_PIN)
    said = server.log.read_text(encoding="utf-8", errors="replace")
    print(f"seed {SEED}: {sum(made.values())} attacks {dict(made)}, {early} to {late} KiB, {descriptors} descriptors")
    assert "Traceback" not in said
    assert [] == [line for line in said.splitlines() if " bug" in line or "GENERAL_ERROR" in line], SEED
    assert late - early < _GROWTH, f"seed {SEED}: {early} to {late} KiB"


@pytest.mark.parametrize("holds", [False, True], ids=["without a certificate", "with the server's certificate"])
def test_no_server_can_end_stop_or_grow_a_client(module: Module, tmp_path: Path, *, holds: bool) -> None:
    """Noise, replies that are nearly right, and an HSM that is believed and lies."""
    if not module.ours:
        pytest.skip("the network is ours")
    from hostile_server import HELD, HostileServer  # noqa: PLC0415 - not found before the line above
    from sms_ends import SERIAL as THEIRS  # noqa: PLC0415

    from ptkc.client.certificates import CertificateStore, certificate_file  # noqa: PLC0415

    with HostileServer(SEED) as server:
        items = {"HSM_NETCLIENT_READ_TIMEOUT": "1", "HSM_NETCLIENT_CONNECT_TIMEOUT": "1"}
        machine = client(tmp_path / "client", server.port, **items)
        machine.environment["ET_PTKC_LOGGER_MODE"] = "bugs"
        if holds:
            CertificateStore(str(machine.store)).write(certificate_file(THEIRS), HELD)
        words = (sys.executable, _PROGRAM, module.path, str(FUZZED), str(SEED))
        told = run(*words, env=machine.environment, timeout=FUZZED + 60)
        told = json.loads(told.strip().splitlines()[-1])
    print(f"seed {SEED}, {server.served} connections, {told}")
    log = Path(machine.environment["ET_PTKC_LOGGER_FILE"])
    said = log.read_text(encoding="utf-8") if log.exists() else ""
    assert [] == [line for line in said.splitlines() if " bug: " in line], SEED
    assert told["rounds"]
    assert server.served
    assert told["late"] - told["early"] < _GROWTH, told

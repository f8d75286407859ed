"""Measure what secure messaging and the network cost, in one run, and write the section of docs/performance.md.

    .venv/bin/python bench/sms.py           two minutes
    .venv/bin/python bench/sms.py -h        more rounds, another module

The same rows of p11bench on one token after the other: in process, in process under `NU`, over loopback TCP without
flags, under `N` and under `NU`. A handshake is timed as its client sees it, over loopback TCP, with the certificate
pinned and with a chain to the owner's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).resolve().parent
_PROJECT = _HERE.parent
sys.path[:0] = [str(_PROJECT), str(_PROJECT / "tests")]

from run import HEADING  # noqa: I001, E402 - beside this file
from machine import Machine  # noqa: E402 - found by the line above
from network import LABEL, SERIAL, USER_PIN, client, made, served, set_flags  # noqa: E402
from peer import Peer  # noqa: E402

from ptkc.client.certificates import OWNER, CertificateStore, certificate_file  # noqa: E402
from ptkc.sms.handshake import Handshake  # noqa: E402
from ptkc.sms.trust import Verifier  # noqa: E402
from ptkc.wire.codec import is_sensitive  # noqa: E402

_PAIR, _TRIP, _LARGE = "ECDSA P-256 sign", "random 32 B", "AES-256-GCM 1 MiB"
_WAYS = {
    "in process": ("0", False), "in process, `NU`": ("NU", False), "TCP": ("0", True), "TCP, `N`": ("N", True),
    "TCP, `NU`": ("NU", True),
}  # fmt: skip
_PROTECTED = "in process, `NU`"
_MIB = 1 << 20


class Times(NamedTuple):
    """Nanoseconds: the median, and of the fastest round, which other work on the machine has disturbed least."""

    median: float
    best: float

    def text(self, unit: float, digits: int) -> str:
        """Return both in a unit."""
        return f"{self.median / unit:.{digits}f} ({self.best / unit:.{digits}f})"


def _environment(machine: Machine) -> list[str]:
    """Return what p11bench is to set for a module: the items, and the directory of the machine."""
    given = {name: value for name, value in machine.environment.items() if name.startswith(("ET_", "HOME"))}
    return [word for name, value in given.items() for word in ("--env", f"{name}={value}")]


def _rows(arguments: argparse.Namespace, machines: dict[str, Machine], place: Path) -> dict[str, dict[str, Times]]:
    """Return what each row takes by way."""
    subprocess.run(["/usr/bin/env", "make", "-s", "-C", str(_HERE)], check=True)
    command = [
        str(_HERE / "p11bench"), "--rounds", str(arguments.rounds), "--ms", str(arguments.ms),
        "--json", str(place / "result.json"),
    ]  # fmt: skip
    for name in (_PAIR, _TRIP, _LARGE):
        command += ["--only", name]
    for way, machine in machines.items():
        command += [f"{way}={arguments.module}", *_environment(machine), "--token", LABEL, "--pin", USER_PIN]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ET_")}
    subprocess.run(command, check=True, env=kept)
    result = json.loads((place / "result.json").read_text())
    return {
        row["name"]: {
            way: Times(cell["ns"], cell["best_ns"]) for way, cell in row["results"].items() if "ns" in cell
        }
        for row in result["operations"]
    }


def _handshakes(port: int, verifier: Verifier, count: int) -> Times:
    """Return what a handshake takes, both ends and two round trips."""
    times = []
    for _ in range(count):
        with Peer(port, SERIAL) as peer:
            begin = time.perf_counter()
            hello = Handshake(SERIAL, 0, is_sensitive)
            confirmation = hello.answered(peer.exchange(hello.frame), verifier)
            confirmation.accepted(peer.exchange(confirmation.frame))
            times.append(time.perf_counter() - begin)
    return Times(statistics.median(times) * 1e9, min(times) * 1e9)


def _measured(arguments: argparse.Namespace, place: Path) -> dict[str, object]:
    """Make the HSMs, run the servers, measure."""
    fresh = made(place / "fresh")
    owned = made(place / "owned", owner=True)
    machines = {}
    with contextlib.ExitStack() as stack:
        for number, (way, (flags, is_remote)) in enumerate(_WAYS.items()):
            machine = fresh.copy(place / f"hsm-{number}")
            set_flags(machine, flags)
            if is_remote:
                server = stack.enter_context(served(machine))
                machine = client(place / f"client-{number}", server.port, trusts=machine)
                port = server.port
            machines[way] = machine
        store = CertificateStore(str(fresh.store))
        pinned = store.read(certificate_file(SERIAL))
        chained = stack.enter_context(served(owned)).port
        owner = CertificateStore(str(owned.store)).read(OWNER)
        pair = {
            "pinned": _handshakes(port, Verifier(lambda _: pinned, None, time.time), arguments.handshakes),
            "chain": _handshakes(chained, Verifier(lambda _: None, owner, time.time), arguments.handshakes),
        }
        return {"rows": _rows(arguments, machines, place), "handshakes": pair}


def _section(measured: dict[str, object], command: str) -> str:
    """Return the section."""
    rows, hands = measured["rows"], measured["handshakes"]
    first = next(iter(_WAYS))
    lines = [
        HEADING,
        "The same calls on the same kind of token, one way beside the other in one run: the median of the rounds, and",
        "in brackets the fastest one, which other work on the machine has disturbed least.",
        "Ratios are those of the fastest rounds to the first line.",
        "`C_Encrypt` is C_EncryptInit and C_Encrypt of 1 MiB with AES-256-GCM.",
        "",
        f"Command: `{command}`. Machine: {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}.",
        "",
        "| way | C_SignInit + C_Sign, P-256, µs | | C_GenerateRandom, 32 B, µs | | C_Encrypt, 1 MiB, ms | | MB/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in _WAYS:
        cells = []
        for name, unit, digits in ((_PAIR, 1e3, 0), (_TRIP, 1e3, 1), (_LARGE, 1e6, 2)):
            times = rows[name][way]
            cells += [times.text(unit, digits), f"x{times.best / rows[name][first].best:.3g}"]
        large = rows[_LARGE][way]
        cells.append(f"{_MIB / large.median * 1e3:.0f} ({_MIB / large.best * 1e3:.0f})")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    pair, direct, trip = rows[_PAIR][_PROTECTED], rows[_PAIR][first], rows[_TRIP]["TCP, `NU`"]
    added = Times(pair.median - direct.median, pair.best - direct.best)
    lines += [
        "",
        f"- `NU` in process adds {added.text(1e3, 0)} µs to a pair of C_SignInit and C_Sign:",
        "  two requests and two replies, each encrypted and signed.",
        f"- One round trip over loopback TCP under `NU` takes {trip.text(1e3, 0)} µs.",
        f"- A handshake over loopback TCP takes {hands['pinned'].text(1e6, 1)} ms with a pinned certificate, "
        f"{hands['chain'].text(1e6, 1)} ms with a chain to the owner's.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", default=str(_PROJECT / "ptkc" / "libptkc.so"), help="the shared object")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ms", type=int, default=200, help="milliseconds a round")
    parser.add_argument("--handshakes", type=int, default=50, help="how many of each kind")
    parser.add_argument("--output", type=Path, default=_PROJECT / "docs" / "performance.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measured = _measured(arguments, Path(directory))
    section = _section(measured, " ".join(["bench/sms.py", *sys.argv[1:]]))
    before, _, after = arguments.output.read_text(encoding="utf-8").partition(HEADING)
    others = "".join(after.partition("\n## ")[1:])
    arguments.output.write_text(before.rstrip("\n") + f"\n\n{section}{others}", encoding="utf-8")
    print(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure the shared object beside SoftHSM2 and libcrypto in one run, and write docs/performance.md with its chart.

    make bench                          all rows, some minutes
    .venv/bin/python bench/run.py -h    fewer rows, more rounds, another place for the results

The tokens are new, in a temporary directory. What is quoted are ratios: absolute times are this machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import timeit
from math import log10
from pathlib import Path

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HERE = Path(__file__).resolve().parent
_PROJECT = _HERE.parent
_COARSE = 0.01
HEADING = "## Secure messaging and the network\n"
_SOFTHSM2 = [
    Path(path)
    for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
]


def _floor() -> dict[str, float]:
    """Return what `cryptography` itself takes for some rows in nanoseconds, called from Python as the HSM calls it."""
    data, digest = b"a" * 32, utils.Prehashed(hashes.SHA256())
    aead, mac = AESGCM(b"k" * 32), hmac.HMAC(b"k" * 32, hashes.SHA256())
    curve, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    key = rsa.generate_private_key(65537, 2048)

    def sign_mac() -> bytes:
        copy = mac.copy()
        copy.update(data)
        return copy.finalize()

    calls = {
        "AES-256-GCM 32 B": lambda: aead.encrypt(b"n" * 12, data, None),
        "HMAC-SHA256 32 B": sign_mac,
        "ECDSA P-256 sign": lambda: curve.sign(data, ec.ECDSA(digest)),
        "Ed25519 sign": lambda: edwards.sign(data),
        "RSA-2048 sign PKCS1 SHA-256": lambda: key.sign(data, padding.PKCS1v15(), hashes.SHA256()),
    }
    floor = {}
    for name, call in calls.items():
        number, _ = timeit.Timer(call).autorange()
        runs = sorted(timeit.repeat(call, number=max(number // 4, 1), repeat=9))
        floor[name] = runs[4] / max(number // 4, 1) * 1e9
    return floor


def _measure(arguments: argparse.Namespace, place: Path) -> dict[str, object]:
    """Run p11bench on new tokens below `place` and return its JSON."""
    subprocess.run(["/usr/bin/env", "make", "-s", "-C", str(_HERE)], check=True)
    (place / "softhsm").mkdir()
    configuration = place / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {place / 'softhsm'}\nobjectstore.backend = file\n")
    softhsm = next((path for path in _SOFTHSM2 if path.exists()), None)
    if softhsm is None:
        sys.exit("SoftHSM2 is not there: install softhsm2")
    command = [
        str(_HERE / "p11bench"), "--init-token", "--rounds", str(arguments.rounds), "--ms", str(arguments.ms),
        "--populate-s", str(arguments.populate), "--json", str(place / "result.json"),
    ]  # fmt: skip
    for option in ("only", "skip"):
        for glob in getattr(arguments, option):
            command += [f"--{option}", glob]
    command += [f"softhsm={softhsm}", "--env", f"SOFTHSM2_CONF={configuration}"]
    command += [f"ptkc={arguments.module}", "--env", f"ET_PTKC_SW_DATAPATH={place / 'ptkc'}"]
    command += [f"limit={_HERE / 'limit.so'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ET_")}
    subprocess.run(command, check=True, env=environment)
    result: dict[str, object] = json.loads((place / "result.json").read_text())
    return result


def _time(nanoseconds: float) -> str:
    """Return a time in the unit that fits."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def _ratio(figures: dict[str, dict[str, float]]) -> float:
    """Return the median of the rounds' ratios; of the medians where p11bench's four decimals do not tell."""
    ratio = figures["ptkc"]["ratio_to_first"]
    return ratio if ratio > _COARSE else figures["ptkc"]["ns"] / figures["softhsm"]["ns"]


def _rows(result: dict[str, object]) -> list[tuple[str, dict[str, dict[str, float]]]]:
    """Return name and figures of each row that both modules did."""
    rows = []
    for operation in result["operations"]:
        figures = {name: cell for name, cell in operation["results"].items() if "ns" in cell}
        if "ptkc" in figures:
            rows.append((operation["name"], figures))
    return rows


def _table(result: dict[str, object], floor: dict[str, float], command: str) -> str:
    """Return docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Measured, not promised: ptkc beside SoftHSM2 and beside libcrypto alone (the limit), in one run.",
        "A ratio is ptkc's time over SoftHSM2's, the median over the rounds: less than 1 is faster.",
        "Absolute times are of the machine below and say little about another.",
        "",
        f"Command: `{command}`",
        "",
        f"Machine: {platform.machine()}, {os.cpu_count()} processors, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}.",
        "",
        "![Time of each operation as a multiple of SoftHSM2's](performance.svg)",
        "",
        "| operation | ptkc / SoftHSM2 | ptkc / limit | ptkc | above `cryptography` |",
        "|---|---|---|---|---|",
    ]
    for name, figures in _rows(result):
        ours = figures["ptkc"]["ns"]
        ratio = f"x{_ratio(figures):.3g}" if "softhsm" in figures else "SoftHSM2 lacks it"
        limit = f"x{ours / figures['limit']['ns']:.3g}" if "limit" in figures else ""
        above = _time(ours - floor[name]) if name in floor else ""
        lines.append(f"| {name} | {ratio} | {limit} | {_time(ours)} | {above} |")
    lines += [
        "",
        "`above cryptography` is the row's time less that of the same call of `cryptography` from Python:",
        "what marshalling, checks, sessions and handles cost.",
        "",
        "Rows with threads show elapsed time divided by the operations of all threads.",
    ]
    return "\n".join(lines) + "\n"


def _chart(result: dict[str, object]) -> str:
    """Return the chart: one bar a row on a logarithmic scale around SoftHSM2's time."""
    rows = [(name, _ratio(figures)) for name, figures in _rows(result) if "softhsm" in figures]
    height, left, middle, unit = 18, 300, 560, 55
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{len(rows) * height + 50}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{middle}" y="16" text-anchor="middle">time as a multiple of SoftHSM2\'s (logarithmic)</text>',
    ]
    for place, (name, ratio) in enumerate(rows):
        top = 28 + place * height
        length = max(-(middle - left - 5), min(log10(max(ratio, 1e-6)) * unit, 120))
        colour = "#2a7f62" if ratio < 1 else "#c0653a"
        parts.append(f'<text x="{left - 6}" y="{top + 12}" text-anchor="end">{name}</text>')
        parts.append(
            f'<rect x="{min(middle, middle + length):.1f}" y="{top + 2}" width="{abs(length):.1f}" '
            f'height="{height - 5}" fill="{colour}"/>'
        )
        beside = middle + (6 if ratio < 1 else length + 6)
        parts.append(f'<text x="{beside:.1f}" y="{top + 12}">x{ratio:.3g}</text>')
    parts.append(f'<line x1="{middle}" x2="{middle}" y1="24" y2="{30 + len(rows) * height}" stroke="black"/></svg>')
    return "\n".join(parts) + "\n"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", default=str(_PROJECT / "ptkc" / "libptkc.so"), help="the shared object")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ms", type=int, default=200, help="milliseconds a round")
    parser.add_argument("--populate", type=int, default=900, help="most seconds to fill a token for the large rows")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB")
    parser.add_argument("--skip", action="append", default=[], metavar="GLOB")
    parser.add_argument("--output", type=Path, default=_PROJECT / "docs", help="directory of performance.md and .svg")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = _measure(arguments, Path(directory))
    words = ["make bench"] if len(sys.argv) == 1 else ["bench/run.py", *sys.argv[1:]]
    arguments.output.mkdir(exist_ok=True)
    page = arguments.output / "performance.md"
    known = page.read_text(encoding="utf-8") if page.exists() else ""
    further = "".join(known.partition("\n" + HEADING)[1:])  # bench/sms.py writes it
    page.write_text(_table(result, _floor(), " ".join(words)) + further, encoding="utf-8")
    (arguments.output / "performance.svg").write_text(_chart(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

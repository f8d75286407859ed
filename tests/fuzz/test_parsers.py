"""Every parser is fed with arbitrary bytes: each is read, or refused with an error that says so.

Seconds in all by chance, from seeds that are right; `make soak` goes on guided by coverage, half a minute each. What
once did what it must not is in `found`, a directory for each parser, and is tried first ever after.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from lengths import PARSED, SEED, SOAK
from processes import SEEN

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutated
from parsers import TARGETS, play

pytestmark = pytest.mark.usefixtures("module_driver")  # libcrypto is reached through the shared object

_FOUND = Path(__file__).parent / "found"
_PROGRAM = Path(__file__).parent / "guided.py"


def _kept(name: str) -> list[Path]:
    """Return the inputs that found something in a parser."""
    directory = _FOUND / name.replace(" ", "-")
    return sorted(directory.iterdir()) if directory.exists() else []


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_was_found_are_read_or_refused(name: str) -> None:
    """No input that once broke a parser breaks it again."""
    for data in (*TARGETS[name].seeds, *(path.read_bytes() for path in _kept(name))):
        play(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
def test_arbitrary_bytes_are_read_or_refused(name: str) -> None:
    """Seeds changed by chance are read, or refused with the parser's own errors."""
    chance, end = Random(f"{SEED} {name}"), time.monotonic() + PARSED
    seeds = [*TARGETS[name].seeds, *(path.read_bytes() for path in _kept(name)), b"\0"]
    while time.monotonic() < end:
        data = mutated(chance, seeds)
        try:
            play(TARGETS[name], data)
        except Exception as error:
            error.add_note(f"seed {SEED}, input {data.hex()}")
            raise


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="the long form")
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_leads_to_no_bug(name: str, tmp_path: Path) -> None:
    """A fuzzer that follows the coverage of a parser finds nothing that it does not expect."""
    words = [sys.executable, str(_PROGRAM), name, "30", str(SEED % 2**31), str(tmp_path / "corpus")]
    path = os.pathsep.join([str(Path(__file__).parent), SEEN["PYTHONPATH"]])
    settings = {"PYTHONPATH": path, "ET_PTKC_SW_DATAPATH": str(tmp_path / "data")}
    done = subprocess.run(
        words, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr

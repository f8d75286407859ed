"""Calls that nobody in their right mind makes: the module answers each with a code of the specification's list.

Sequences of calls over all functions, the vendor's too, run in a process of their own, so that a crash is reported
with the calls that led to it. Whatever is asked, the process lives, no call takes long, no bug is logged, nothing is
written to standard error, and a new session can digest afterwards.
"""

from __future__ import annotations

import pickle
import pprint
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from codes import ALLOWED, NAMES, unlisted
from hostility import sequences
from lengths import CROWDED, HOSTILE, SEED
from modules import Module, clean_environment
from processes import SEEN, run
from programs.hostile import Report

from ptkc.wire.commands import BY_NAME

Sequence = tuple[int | None, list[tuple[str, tuple[Any, ...]]]]

_PROGRAM = Path(__file__).parent / "programs" / "hostile.py"
_CROWD = Path(__file__).parent / "programs" / "hostile_threads.py"

_HANGS = 60
"""After how many seconds a sequence hangs."""
_LONGEST = 10
"""How many seconds of this machine a call may take; the longest is the generation of an RSA key."""

class Victim:
    """The process that makes the calls; a new one is started when the last one died."""

    def __init__(self, module: Module, directory: Path, environment: dict[str, str]) -> None:
        """Start nothing yet."""
        self._command = [sys.executable, _PROGRAM, module.path]
        self._directory = directory
        self._environment = {**environment, **SEEN}
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the process on a token of its own."""
        self._count += 1
        directory = self._directory / str(self._count)
        directory.mkdir()
        settings = {"ET_PTKC_SW_DATAPATH": str(directory / "data"), "ET_PTKC_LOGGER_FILE": str(directory / "ptkc.log")}
        with (directory / "errors").open("wb") as errors:
            return subprocess.Popen(
                [*self._command, directory],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env={**self._environment, **settings},
            )  # fmt: skip

    @property
    def errors(self) -> str:
        """What the process has written to standard error."""
        return (self._directory / str(self._count) / "errors").read_text(errors="replace")

    def play(self, sequence: Sequence) -> Report | str:
        """Return what came of a sequence, or what became of the process."""
        process = self._process = self._process or self._start()
        request = pickle.dumps(sequence)
        process.stdin.write(len(request).to_bytes(8, "little") + request)
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(_HANGS):
                self.end()
                return f"no answer after {_HANGS} seconds"
        head = process.stdout.read(8)
        if not head:
            self.end()
            return f"the process ended with {process.returncode}\n{self.errors}"
        return Report(*pickle.loads(process.stdout.read(int.from_bytes(head, "little"))))  # noqa: S301 - our own process

    def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()  # closes the pipes


@pytest.fixture(scope="module", params=["direct", "encoded"])
def victim(
    request: pytest.FixtureRequest, module: Module, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Victim]:
    """Return the process that makes the calls."""
    if not module.ours:
        pytest.skip("the lists of codes are what ours is held to")
    directory = tmp_path_factory.mktemp("hostile")
    environment = {**clean_environment(directory), "ET_PTKC_SW_TRANSPORT": request.param}
    made = Victim(module, directory, environment)
    yield made
    made.end()


def _wrong(name: str, code: int, seconds: float) -> str | None:
    """Return what is wrong with an answer."""
    if found := unlisted(name, code):
        return f"{name} answered {found}, which is not in its list"
    return f"{name} took {seconds:.1f} seconds" if seconds > _LONGEST else None


def _trouble(victim: Victim, sequence: Sequence) -> str | None:
    """Return what is wrong with the answers to a sequence."""
    role, calls = sequence
    report = victim.play(sequence)
    if isinstance(report, str):
        return report
    answers = [(name, code, seconds) for (name, _), (code, seconds) in zip(calls, report.codes, strict=True)]
    wrong = [found for answer in answers if (found := _wrong(*answer))] + report.bugs
    if errors := victim.errors:
        wrong.append(errors)
        victim.end()
    return "\n".join(wrong) or (None if report.healthy else f"the token does not work afterwards (role {role})")


def _shortest(victim: Victim, sequence: Sequence) -> Sequence:
    """Return what is left of a sequence when all calls that are not needed for the trouble are left out."""
    role, calls = sequence
    place = 0
    while place < len(calls):
        shorter = calls[:place] + calls[place + 1 :]
        if _trouble(victim, (role, shorter)):
            calls = shorter
        else:
            place += 1
    return role, calls


@pytest.mark.soak
def test_whatever_is_called_gets_a_code_of_the_list(victim: Victim) -> None:
    """No sequence of calls crashes, hangs or breaks the module, and each answer is one the specification lists."""
    chance = Random(SEED)
    end = time.monotonic() + HOSTILE
    while time.monotonic() < end:
        sequence = sequences.draw(chance)
        if trouble := _trouble(victim, sequence):
            role, calls = _shortest(victim, sequence)
            pytest.fail(f"seed {SEED}, role {role}: {trouble}\n{pprint.pformat(calls)}")


@pytest.mark.soak
@pytest.mark.parametrize("transport", ["direct", "encoded"])
def test_threads_that_share_sessions_meet_no_bug(
    module: Module, env: dict[str, str], tmp_path: Path, transport: str
) -> None:
    """Threads use, close, log in and out the same sessions, and end the library: no crash, hang or unlisted answer."""
    if not module.ours:
        pytest.skip("the lists of codes are what ours is held to")
    environment = {**env, **SEEN, "ET_PTKC_SW_TRANSPORT": transport}
    command = (sys.executable, _CROWD, module.path, tmp_path, str(CROWDED), str(SEED))
    said = run(*command, env=environment, timeout=CROWDED + _HANGS)
    assert said == ""


def test_the_table_has_every_function() -> None:
    """All functions are in the table of codes, and all names in it are codes."""
    assert set(BY_NAME) == set(ALLOWED)
    assert set() == set().union(*ALLOWED.values()) - set(NAMES.values())

"""Several processes on one token: writing and reading, killed while writing, logging in at once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lengths import KILLS, LOGINS, SECONDS
from processes import run, wait_for
from tokens import Initialised

_WRITER = Path(__file__).parent / "programs" / "writer.py"
_WRONG = "wrong-pin-1"


@contextlib.contextmanager
def _started(token: Initialised, *words: str, pin: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a writer; at the block's end it is killed if it still runs."""
    command = [sys.executable, _WRITER, token.path, token.label, pin or token.pin, *words]
    with subprocess.Popen(
        command, env=token.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _audit(token: Initialised) -> list[str]:
    """Return the labels that a new process finds, having checked that each object is whole."""
    return run(sys.executable, _WRITER, token.path, token.label, token.pin, "audit", env=token.env).split()


@pytest.mark.soak
def test_two_processes_see_each_others_objects(token: Initialised, tmp_path: Path) -> None:
    """Both write, destroy and read for a time: no error, nothing lost, the other's newest object is found at once."""
    seconds = str(SECONDS)
    with (
        _started(token, "trade", "left", "right", str(tmp_path), seconds) as left,
        _started(token, "trade", "right", "left", str(tmp_path), seconds) as right,
    ):
        answers = [process.communicate(timeout=SECONDS + 120) for process in (left, right)]
    assert [0, 0] == [left.returncode, right.returncode], [errors for _, errors in answers]
    said = [label for out, _ in answers for label in out.split()]
    assert sorted(said) == sorted(_audit(token))


@pytest.mark.soak
def test_no_acknowledged_object_is_lost_when_a_writer_is_killed(token: Initialised) -> None:
    """At random moments: what was answered CKR_OK is there and whole, the store opens, no pair is half there."""
    chance = random.Random(20)
    acknowledged: set[str] = set()
    for number in range(KILLS):
        with _started(token, "pour", f"writer{number}") as writer:
            first = writer.stdout.readline()
            assert first, writer.stderr.read()
            time.sleep(chance.random() * 0.1)  # the moment of death, nothing waits for it
            writer.send_signal(signal.SIGKILL)
            rest, _ = writer.communicate()
            assert -signal.SIGKILL == writer.returncode
        # A last line without its end was cut off while it was written.
        acknowledged |= {label.strip() for label in (first + rest).splitlines(keepends=True) if label.endswith("\n")}
        if number % 10 == 9 or number == KILLS - 1:
            assert set() == acknowledged - set(_audit(token))


def _log_in_at_once(token: Initialised, pins: list[str]) -> list[str]:
    """Have one process for each PIN log in, all at the same word; return how each login ended."""
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_started(token, "login", pin=pin)) for pin in pins]
        for process in started:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=120)[0].strip() for process in started]


def test_many_processes_log_in_at_once(token: Initialised) -> None:
    """A right PIN is never refused because another right PIN is being tried."""
    assert ["OK"] * LOGINS == _log_in_at_once(token, [token.pin] * LOGINS)


def test_wrong_pins_of_several_processes_are_one_series(token: Initialised) -> None:
    """Three wrong PINs from three processes delay a fourth process's right one; after the delay it is accepted."""
    if not token.module.ours:
        pytest.skip("SoftHSM2 delays nothing")
    began = time.monotonic()
    assert ["PinIncorrect"] * 3 == sorted(_log_in_at_once(token, [_WRONG] * 3))
    assert ["PinLocked"] == _log_in_at_once(token, [token.pin])
    wait_for(lambda: _log_in_at_once(token, [token.pin]) == ["OK"], "the delay of 5 s is over", seconds=30)
    assert time.monotonic() - began > 5


def test_a_right_pin_ends_the_series(token: Initialised) -> None:
    """Two wrong PINs, a right one, two wrong ones: no delay."""
    for pins in ([_WRONG], [_WRONG], [token.pin], [_WRONG], [_WRONG]):
        expected = "OK" if pins == [token.pin] else "PinIncorrect"
        assert [expected] == _log_in_at_once(token, pins)
    assert ["OK"] == _log_in_at_once(token, [token.pin])

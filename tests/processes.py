"""Running other programs in tests: to their end, or beside the test until it is done with them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from modules import CI

__all__ = ["SEEN", "beside", "free_port", "listening", "program", "run", "wait_for"]

_PACKAGE = importlib.util.find_spec("ptkc")
_TOP = Path(_PACKAGE.origin).parents[1] if _PACKAGE and _PACKAGE.origin else Path(__file__).parents[1]
SEEN = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(_TOP)])}
"""The variable with which a Python program finds the modules of the tests, and the `ptkc` that they test."""

_SYSTEM = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def program(name: str) -> str:
    """Return the path of a program that this test needs; without it the test is skipped, in CI it fails."""
    path = shutil.which(name, path=_SYSTEM)
    if path is None:
        (pytest.fail if CI else pytest.skip)(f"{name} is not installed")
    return path


def run(
    *command: str | Path,
    env: Mapping[str, str],
    data: bytes | None = None,
    expect: int | None = 0,
    timeout: float = 120,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return what it wrote on both outputs.

    Fails the test, with all that the program said, unless it ends with the status `expect` (None: with any).
    """
    words = [program(str(command[0])), *map(str, command[1:])]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=cwd,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, _ = process.communicate(data or b"", timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            pytest.fail(f"no end after {timeout} s: {' '.join(words)}\n{out.decode(errors='replace')}")
    text = out.decode(errors="replace")
    if expect is not None and process.returncode != expect:
        pytest.fail(f"status {process.returncode}, expected {expect}: {' '.join(words)}\n{text}")
    return text


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Return when the condition holds; fail the test if it does not within the given time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s still not: {what}")
        time.sleep(0.01)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Tell whether somebody accepts connections on the loopback interface's port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def beside(
    *command: str | Path, env: Mapping[str, str], log: Path, ready: Callable[[], object]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside the test, from when it is ready until the block ends; then its whole group is ended."""
    words = [program(str(command[0])), *map(str, command[1:])]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    try:
        try:
            wait_for(lambda: process.poll() is not None or ready(), f"ready: {words[0]}")
        finally:
            said = log.read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode} before it was ready: {' '.join(words)}\n{said}")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdin:
            process.stdin.close()

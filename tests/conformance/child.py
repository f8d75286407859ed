"""Run a function of a test module in a new Python process, which may load, fork, finalize or crash the module.

`run(function, …)` starts the process with this one's module path and environment, and returns the function's value
(which goes through JSON). A child that dies of a signal or raises fails the test with what it wrote.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["module_path", "run", "start"]

_PROGRAM = """
import importlib, json, os, sys
sys.path[:0] = json.loads(sys.argv[1])
function = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
answer = json.dumps(function(*json.loads(sys.argv[4])))
os.write(int(sys.argv[5]), answer.encode())
os.close(int(sys.argv[5]))
"""


def module_path() -> str:
    """Return the path of the module under test."""
    default = Path(__file__).resolve().parents[2] / "ptkc" / "libptkc.so"
    return os.environ.get("PTKC_TEST_MODULE") or str(default)


class Child:
    """A started child; `result` waits for it."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], environment: dict[str, str]) -> None:
        """Start the process."""
        reader, writer = os.pipe()
        package = Path(__file__).resolve().parents[len(__package__.split("."))]
        path = json.dumps([str(package), *sys.path])
        command = [sys.executable, "-c", _PROGRAM, path, function.__module__, function.__name__]
        command += [json.dumps(arguments), str(writer)]
        # Standard error goes to a pipe that is read only at the end: children write at most one traceback.
        self._process = subprocess.Popen(
            command, pass_fds=[writer], stderr=subprocess.PIPE, env={**os.environ, **environment}
        )
        os.close(writer)
        self._reader = reader
        self._name = function.__name__

    def result(self, timeout: float = 60) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the function's value; fail the test if the child died, raised or hung."""
        try:
            _, errors = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            os.close(self._reader)
            pytest.fail(f"{self._name} hung for {timeout} s in its process")
        with os.fdopen(self._reader, "rb") as stream:
            answer = stream.read()
        code = self._process.returncode
        if code < 0:
            pytest.fail(f"{self._name} died of {signal.Signals(-code).name}\n{errors.decode()}")
        if code or not answer:
            pytest.fail(f"{self._name} failed with exit code {code} in its process\n{errors.decode()}")
        return json.loads(answer)


def start(function: Callable[..., Any], *arguments: Any, environment: dict[str, str] | None = None) -> Child:  # noqa: ANN401
    """Start `function(*arguments)` in a new process."""
    return Child(function, arguments, environment or {})


def run(function: Callable[..., Any], *arguments: Any, environment: dict[str, str] | None = None) -> Any:  # noqa: ANN401
    """Run `function(*arguments)` in a new process and return its value."""
    return start(function, *arguments, environment=environment).result()

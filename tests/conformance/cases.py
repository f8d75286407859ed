"""Cases that may crash a module: all run in one child process, which is started anew behind the case that killed it.

A test module has a dict of cases, `{name: function(session)}`. `outcomes` gives for each name None if it held, else
what went wrong. After each case the session must still work.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from .child import module_path
from .cryptoki import Session
from .fresh_token import USER_PIN, loaded

__all__ = ["Case", "outcomes"]

Case = Callable[[Session], None]

_PROGRAM = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
importlib.import_module(sys.argv[2])._serve(*json.loads(sys.argv[3]))
"""
_RANDOM = 16


def _serve(path: str, module: str, names: list[str], report: str) -> None:
    """In the child: run these cases of a module, writing a line before and after each."""
    cases: dict[str, Case] = importlib.import_module(module).CASES
    cryptoki, slot = loaded(path)
    anchor = cryptoki.open(slot)
    anchor.login(USER_PIN)
    with Path(report).open("a", encoding="utf-8") as stream:
        for name in names:
            print(json.dumps([name, "began"]), file=stream, flush=True)
            session = cryptoki.open(slot)
            try:
                cases[name](session)
                assert len(session.random(_RANDOM)) == _RANDOM, "the session cannot be used any more"
            except Exception:  # noqa: BLE001 (it is reported, and raised by the test)
                print(json.dumps([name, traceback.format_exc()]), file=stream, flush=True)
            else:
                print(json.dumps([name, None]), file=stream, flush=True)
            session.close()
    cryptoki.finalize()


def _answers(report: Path) -> Iterator[tuple[str, str | None]]:
    """Read the child's lines."""
    if report.exists():
        for line in report.read_text(encoding="utf-8").splitlines():
            name, answer = json.loads(line)
            yield name, answer


def outcomes(module: str, names: list[str], directory: Path) -> dict[str, str | None]:
    """Run the cases of `module` (its `CASES`) in child processes; return None or the trouble for each name."""
    report = directory / "report"
    package = Path(__file__).resolve().parents[len(__package__.split("."))]
    path = json.dumps([str(package), *sys.path])
    found: dict[str, str | None] = {}
    while left := [name for name in names if name not in found]:
        command = [
            sys.executable,
            "-c",
            _PROGRAM,
            path,
            __name__,
            json.dumps([module_path(), module, left, str(report)]),
        ]
        process = subprocess.run(command, stderr=subprocess.PIPE, timeout=120, check=False, env=os.environ)
        began: str | None = None
        for name, answer in _answers(report):
            began = name if answer == "began" else None
            if answer != "began":
                found[name] = answer
        code = process.returncode
        if code and began is None:
            text = f"the cases' process failed with exit code {code}\n{process.stderr.decode()}"
            raise RuntimeError(text)
        if began is not None:
            died = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            found[began] = f"{died}\n{process.stderr.decode()}"
    return found

"""Kills a process at each step of what it does: before each call that changes a file, or that the store makes.

`killed_at(step, action)` forks; the child does `action` and is killed, as by `kill -9`, when it comes to that step. A
test counts upwards until the child gets through.
"""

from __future__ import annotations

import fcntl
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ptkc.token.generation import Generation
from ptkc.token.sqlite import SqliteStore

__all__ = ["each_step", "killed_at", "names"]

_WATCHED: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (os, ("open", "write", "pwrite", "fsync", "rename", "link", "unlink", "mkdir", "rmdir")),
    (fcntl, ("flock",)),
    (SqliteStore, ("_run", "end")),
    (Generation, ("start", "finish", "unlock")),
)
_MOST = 400


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Do `action` in a child that is killed at a step; whether it was. AssertionError if it fails otherwise."""
    child = os.fork()
    if child == 0:
        try:
            _count(step)
            action()
        except BaseException:  # noqa: BLE001 - a child of a test must never go on as the test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert 0 == os.waitstatus_to_exitcode(status)
    return False


def each_step(action: Callable[[], object], before: Callable[[int], None]) -> Iterator[int]:
    """Yield after each child that was killed, one step later each time; `before` prepares each time."""
    for step in range(1, _MOST):
        before(step)
        if not killed_at(step, action):
            return
        yield step
    raise AssertionError(f"still not done after {_MOST} steps")


def _count(left: int) -> None:
    """Replace the watched functions by such as count, and kill this process when the count is reached."""

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: object, **keywords: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)

        return counted

    for owner, names in _WATCHED:
        for name in names:
            setattr(owner, name, counting(getattr(owner, name)))


def names(directory: str | Path) -> list[str]:
    """Return what a directory lists, nothing if there is none."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []

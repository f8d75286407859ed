"""Many at once on one network HSM whose server is killed and started again: no wrong answer, no hang, no leak.

20 seconds with two kills; PTKC_SOAK=1 makes it 10 minutes with ten.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.cryptoki import Refused
from lines import library
from machine import Machine
from modules import Module
from network import LABEL, SERIAL, USER_PIN, Served, client, served, set_flags
from peer import Peer
from processes import free_port, wait_for

_LONG = bool(os.environ.get("PTKC_SOAK"))
_SECONDS = 600 if _LONG else 20
_KILLS = 10 if _LONG else 2
_READ_TIMEOUT, _CONNECT_TIMEOUT = 10, 5
_LONGEST = 2 * (_READ_TIMEOUT + _CONNECT_TIMEOUT) + 5  # seconds, of a call: two tries, and a slow machine
_GROWTH = 6 << 10  # KiB
_PROGRAM = Path(__file__).parent / "programs" / "network_user.py"

pytestmark = pytest.mark.soak


def _resident(process: int) -> int:
    """Return a process's resident memory in KiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _descriptors(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


@contextlib.contextmanager
def _users(module: Module, machine: Machine, threads: int, count: int, seconds: float) -> Iterator[list[Any]]:
    """Run applications with so many threads each."""
    words = [sys.executable, str(_PROGRAM), module.path, str(threads), str(seconds), LABEL, USER_PIN, str(_LONGEST)]
    users = [
        subprocess.Popen(words, env=machine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        yield users
    finally:
        for user in users:
            user.kill()
            user.communicate()


def _told(user: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what an application says at its end."""
    out, err = user.communicate(timeout=_LONGEST + 30)
    assert 0 == user.returncode, out + err
    return json.loads(out)


@pytest.fixture
def protected(appliance: Machine, tmp_path: Path) -> Machine:
    """Return a machine whose HSM has the flags `NU`."""
    machine = appliance.copy(tmp_path / "appliance")
    set_flags(machine, "NU")
    return machine


def _client(machine: Machine, top: Path, port: int) -> Machine:
    items = {
        "HSM_NETCLIENT_READ_TIMEOUT": str(_READ_TIMEOUT), "HSM_NETCLIENT_CONNECT_TIMEOUT": str(_CONNECT_TIMEOUT),
        "PTKC_LOGGER_MODE": "bugs",
    }  # fmt: skip
    return client(top / "client", port, trusts=machine, **items)


def _is_at_rest(server: Served, descriptors: int) -> bool:
    return _descriptors(server.process) <= descriptors


@pytest.mark.parametrize(("threads", "count"), [(8, 1), (1, 8)], ids=["8 threads", "8 applications"])
def test_the_server_is_killed_and_started_again_under_load(
    module: Module, protected: Machine, tmp_path: Path, threads: int, count: int
) -> None:
    """Each answer is right or the code of a lost HSM, none takes longer than the time-outs, and all go on."""
    port = free_port()
    machine = _client(protected, tmp_path, port)
    share = _SECONDS / (_KILLS + 1)
    begin = time.monotonic()
    with contextlib.ExitStack() as last:
        for turn in range(_KILLS + 1):
            with contextlib.ExitStack() as stack:
                server = stack.enter_context(served(protected, port=port))
                if not turn:
                    users = last.enter_context(_users(module, machine, threads, count, _SECONDS))
                while time.monotonic() - begin < share * (turn + 1) and any(user.poll() is None for user in users):
                    time.sleep(0.1)
                if turn < _KILLS:
                    os.kill(server.process, signal.SIGKILL)
                else:
                    told = [_told(user) for user in users]
    print(json.dumps(told))
    assert [[]] * count == [each["wrong"] for each in told]
    for each in told:
        assert each["answered"] > 10 * threads * _SECONDS / 8
        assert each["opened"] >= threads * (_KILLS + 1) / 2, "it went on after each kill"
        assert each["late"] - each["early"] < _GROWTH, each
        assert 0 == each["threads"]
    log = Path(machine.environment["ET_PTKC_LOGGER_FILE"])
    assert not log.exists() or " bug: " not in log.read_text(encoding="utf-8")


def test_a_server_at_rest_holds_nothing_of_those_that_left(module: Module, protected: Machine, tmp_path: Path) -> None:
    """Connections, channels, threads and memory of clients that ended, in good order or by a kill, are given back."""
    with served(protected) as server:
        machine = _client(protected, tmp_path, server.port)
        seconds = 30 if _LONG else 2
        sizes, descriptors = [], _descriptors(server.process)
        for turn in range(4):
            with _users(module, machine, 4, 2, seconds) as users:
                if turn % 2:
                    for user in users:
                        wait_for(lambda: _descriptors(server.process) > descriptors + 2, "connections")
                        user.kill()
                else:
                    for user in users:
                        _told(user)
            wait_for(lambda: _is_at_rest(server, descriptors), "connections are closed")
            sizes.append(_resident(server.process))
        print(sizes, descriptors, _descriptors(server.process))
        assert sizes[-1] - sizes[0] < _GROWTH
        assert "Traceback" not in server.log.read_text(encoding="utf-8")
        machine.environment[f"PTKC_ADMIN_PIN_{SERIAL}"] = f"admin-{SERIAL}"
        channels = json.loads(machine.tool("ptkc", "channel", "list", "--json").out)
        assert 1 == len(channels), "the command's own"
        with Peer(server.port, SERIAL) as peer:
            assert peer.stated().serial == SERIAL


def test_an_hsm_that_is_away_costs_no_memory(module: Module, protected: Machine, tmp_path: Path) -> None:
    """An application that looks for it again and again does not grow."""
    with served(protected) as server:
        machine = _client(protected, tmp_path, server.port)
        with library(module, machine) as cryptoki:
            cryptoki.open(cryptoki.find_slot(LABEL))
            os.kill(server.process, signal.SIGKILL)
            counts = []
            for _ in range(3):
                for _ in range(200):
                    with contextlib.suppress(Refused, LookupError):
                        cryptoki.find_slot(LABEL)
                gc.collect()
                counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 100, counts

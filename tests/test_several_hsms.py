"""Several HSMs behind one library: the vendor's functions, forks, and HSMs that are taken away or broken meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from compiled import programs
from conformance.fresh_token import SO_PIN, USER_PIN
from lengths import SOAK
from modules import Module
from processes import SEEN, run

from ptkc.spec.constants import CKU
from ptkc.token.hsms import Hsm

_PROGRAM = Path(__file__).parent / "programs" / "several.py"
_SERIALS = ("1000", "1001", "1002")
_OK, _REMOVED = "CKR_OK", "CKR_DEVICE_REMOVED"

Ask = Callable[[str], str]


class Rack(NamedTuple):
    """Where several HSMs are, and the environment that names the place."""

    data: str
    keys: str
    env: dict[str, str]

    def add(self, serial: str, *, user: bool = False) -> None:
        """Make an HSM; with `user`, its user token has both PINs."""
        hsm = Hsm.add(self.data, self.keys, serial)
        if user:
            token = hsm.tokens[0]
            token.initialise(SO_PIN.encode(), serial.encode().ljust(32))
            token.init_user_pin(token.login(CKU.SO, SO_PIN.encode()), USER_PIN.encode())
        hsm.close()

    def open(self, serial: str) -> Hsm:
        """Open an HSM beside the library."""
        return Hsm.open(self.data, self.keys, serial)

    @contextlib.contextmanager
    def watched(self, module: Module) -> Iterator[Ask]:
        """Start a process with a session on every HSM's user token; give what asks it."""
        command = [sys.executable, _PROGRAM, module.path, "watch"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**self.env, **SEEN}
        ) as process:

            def ask(line: str) -> str:
                process.stdin.write(line + "\n")
                process.stdin.flush()
                return process.stdout.readline().strip()

            try:
                yield ask
                process.communicate(timeout=60)
                assert 0 == process.returncode
            finally:
                process.kill()


@pytest.fixture
def rack(module: Module, env: dict[str, str], tmp_path: Path) -> Rack:
    """Return a place for HSMs; these tests are skipped for another module, which has none."""
    if not module.ours:
        pytest.skip("the module under test is not ours")
    data, keys = str(tmp_path / "several"), str(tmp_path / "keys")
    return Rack(data, keys, {**env, "ET_PTKC_SW_DATAPATH": data, "ET_PTKC_SW_KEYPATH": keys})


@pytest.fixture
def three(rack: Rack) -> Rack:
    """Return three HSMs whose user tokens have both PINs: slots 0, 2 and 4."""
    for serial in _SERIALS:
        rack.add(serial, user=True)
    return rack


@pytest.fixture(autouse=True)
def no_bug(rack: Rack) -> Iterator[None]:
    """Fail if the library has logged a bug."""
    yield
    log = Path(rack.env["ET_PTKC_LOGGER_FILE"])
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    assert [] == [line for line in text.splitlines() if " bug: " in line]


@pytest.mark.parametrize("transport", ["direct", "encoded"])
@pytest.mark.parametrize("number", [1, 3])
def test_vendor_functions_do_what_they_say(module: Module, rack: Rack, number: int, transport: str) -> None:
    """Device numbers, initialisation, reset, copies, tickets, certificates: results, refusals, NULL pointers."""
    for serial in _SERIALS[:number]:
        rack.add(serial)
    environment = {**rack.env, "ET_PTKC_SW_TRANSPORT": transport}
    run(programs() / "vendor", module.path, str(number), env=environment)


def test_python_host_forks_while_threads_write_to_several_hsms(module: Module, three: Rack) -> None:
    """No fork waits for ever, and parent and children can use every HSM afterwards."""
    command = (sys.executable, _PROGRAM, module.path, "fork", "100" if SOAK else "20")
    assert not run(*command, env={**three.env, **SEEN}, timeout=300)


def test_c_host_forks_while_threads_sign_beside_other_hsms(module: Module, rack: Rack) -> None:
    """The same in an interpreter of our own."""
    for serial in _SERIALS:
        rack.add(serial)
    run(programs() / "host", module.path, "fork", "100" if SOAK else "20", env=rack.env, timeout=300)


@pytest.mark.parametrize("transport", ["direct", "encoded"])
def test_hsm_that_is_taken_away_under_a_process_leaves_the_others_alone(
    module: Module, three: Rack, transport: str
) -> None:
    """Its slots go at the next count, its sessions say why; the others keep theirs; put back, it works."""
    rack = three._replace(env={**three.env, "ET_PTKC_SW_TRANSPORT": transport})
    with rack.watched(module) as ask:
        assert ["0 1 2 3 4 5", _OK, _OK, _OK] == [ask("list"), *(ask(f"use {slot}") for slot in (0, 2, 4))]
        hsm = rack.open("1001")
        hsm.set_policy(transport_mode=2)  # so that it keeps its tokens
        hsm.unplug()
        assert ["0 1 2 3 4 5", "0 1 4 5", "0 1 4 5"] == [ask("fill"), ask("list"), ask("fill")]
        assert [_OK, _OK] == [ask("use 0"), ask("use 4")]
        assert {_REMOVED} == {ask(line) for line in ("look 2", "look 3", "open 2", "open 3")}
        assert [_REMOVED, _REMOVED] == [ask("use 2"), ask("use 2")]
        Hsm.plug(rack.data, rack.keys, "1001").close()
        assert ["0 1 2 3 4 5", "CKR_DEVICE_RESET"] == [ask("list"), ask("use 2")]
        assert [_OK, _OK, _OK] == [ask("open 2"), ask("use 2"), ask("use 0")]


def test_hsm_that_breaks_under_a_process_leaves_the_others_alone(module: Module, three: Rack) -> None:
    """Its database is overwritten: what is asked of it is refused, and the others are as before."""
    with three.watched(module) as ask:
        assert _OK == ask("use 2")
        directory = Path(three.data, "1001")
        for path in (*directory.glob("store.db"), *directory.glob("store.db-wal")):
            path.write_bytes(os.urandom(path.stat().st_size))
        assert "CKR_GENERAL_ERROR" != ask("use 2")
        assert "CKR_GENERAL_ERROR" not in {ask("look 2"), ask("open 2"), ask("use 2")}
        assert [_OK, _OK, _OK, _OK] == [ask(line) for line in ("use 0", "use 4", "look 1", "look 4")]
        assert {"0", "1", "4", "5"} <= set(ask("list").split())


@pytest.mark.parametrize("broken", ["database", "key", "directory"])
def test_hsm_that_is_broken_at_the_start_is_absent(module: Module, three: Rack, broken: str) -> None:
    """The others are numbered through as if it were not there."""
    if broken == "database":
        Path(three.data, "1000", "store.db").write_bytes(b"no database" * 1000)
    elif broken == "key":
        Path(three.keys, "1000").unlink()
    else:
        Path(three.data, "1000", "store.db").unlink()
    with three.watched(module) as ask:
        assert ["0 1 2 3", _OK, _OK] == [ask("list"), ask("use 0"), ask("use 2")]

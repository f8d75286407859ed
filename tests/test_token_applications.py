"""Applications that have HSMs open through the shared object while these are tampered, restarted, taken away."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lengths import SECONDS
from modules import Module

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.token.hsms import Hsm

_PROGRAM = Path(__file__).parent / "programs" / "board_user.py"
_SERIALS = ("1197", "1111")
# What a call may be answered with while boards come and go and tokens are emptied by others.
_EXPECTED = {
    CKR.DEVICE_RESET, CKR.DEVICE_REMOVED, CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED, CKR.SESSION_EXISTS,
    CKR.SLOT_ID_INVALID, CKR.TOKEN_NOT_RECOGNIZED, CKR.OBJECT_HANDLE_INVALID, CKR.USER_NOT_LOGGED_IN,
    CKR.TOKEN_NOT_INITIALIZED, CKR.PIN_LOCKED, CKR.FUNCTION_FAILED, CKR.ACTION_PROHIBITED,
    CKR.USER_ANOTHER_ALREADY_LOGGED_IN, CKR.USER_ALREADY_LOGGED_IN, CKR.OPERATION_ACTIVE,
    CKR.OPERATION_NOT_INITIALIZED, CKR.TEMPLATE_INCONSISTENT, CKR.BUFFER_TOO_SMALL,
}  # fmt: skip


class Boards:
    """Two HSMs of the environment."""

    def __init__(self, env: dict[str, str]) -> None:
        """Add them."""
        data = env["ET_PTKC_SW_DATAPATH"]
        self.paths = (data, data + ".keys")
        for serial in _SERIALS:
            Hsm.add(*self.paths, serial).close()

    def do(self, serial: str, action: Callable[[Hsm], object]) -> None:
        """Do something to an HSM, as another process."""
        hsm = Hsm.open(*self.paths, serial)
        action(hsm)
        hsm.close()

    def plug(self, serial: str) -> None:
        """Put an HSM back."""
        Hsm.plug(*self.paths, serial).close()


@pytest.fixture
def boards(module: Module, env: dict[str, str]) -> Boards:
    """Return two HSMs."""
    if not module.ours:
        pytest.skip("the boards are ours")
    return Boards(env)


class Application:
    """The program, to be told what to do."""

    def __init__(self, module: Module, env: dict[str, str], *words: str) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, _PROGRAM, module.path, *words], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, line: str) -> str:
        """Say a line and return the answer, a return code by its name."""
        self.process.stdin.write(line + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        answer = self.process.stdout.readline().strip()  # type: ignore[union-attr]
        return name_of(CKR, int(answer)) if " " not in answer and not line.startswith("slots") else answer


@pytest.fixture
def application(module: Module, env: dict[str, str], boards: Boards) -> Iterator[Application]:
    """Return an application with a logged-in session with each HSM's first slot: slots 0 and 2."""
    application = Application(module, env, "ask")
    assert "CKR_OK" == application("prepare 0") == application("prepare 2")
    yield application
    application.process.communicate(timeout=60)
    assert 0 == application.process.returncode


def test_a_tamper_ends_the_sessions_with_that_hsm(application: Application, boards: Boards) -> None:
    """Once CKR_DEVICE_RESET, then CKR_SESSION_HANDLE_INVALID; the other HSM's go on; the token can be made anew."""
    boards.do("1197", lambda hsm: hsm.tamper("test"))
    assert "CKR_DEVICE_RESET" == application("create 0")
    assert "CKR_SESSION_HANDLE_INVALID" == application("info 0")
    assert "CKR_OK" == application("create 2")
    assert "CKR_OK" == application("prepare 0") == application("create 0") == application("find 0")


def test_a_restart_ends_the_sessions_and_keeps_the_tokens(application: Application, boards: Boards) -> None:
    """As for a tamper, but the objects are there."""
    boards.do("1111", lambda hsm: hsm.restart())
    assert "CKR_DEVICE_RESET" == application("find 2")
    assert "CKR_SESSION_HANDLE_INVALID" == application("find 2")
    assert "CKR_OK" == application("info 0")


def test_an_hsm_that_is_taken_away_is_gone_and_comes_back(application: Application, boards: Boards) -> None:
    """CKR_DEVICE_REMOVED for all that concerns it, meanwhile; the other HSM's slots keep their numbers."""
    assert "0 1 2 3" == application("slots")
    boards.do("1197", lambda hsm: hsm.unplug())
    for line in ("info 0", "find 0", "create 0", "token 0", "token 1", "info 0"):
        assert "CKR_DEVICE_REMOVED" == application(line)
    assert "2 3" == application("slots")
    assert "CKR_OK" == application("create 2") == application("token 2")
    boards.plug("1197")
    assert "0 1 2 3" == application("slots")
    assert "CKR_DEVICE_RESET" == application("find 0")
    assert "CKR_OK" == application("prepare 0") == application("create 0")


def test_an_hsm_that_is_destroyed_is_gone(application: Application, boards: Boards) -> None:
    """Also if one of its name is made: that is not the one which the application has open."""
    boards.do("1197", lambda hsm: hsm.destroy())
    assert "CKR_DEVICE_REMOVED" == application("find 0")
    Hsm.add(*boards.paths, "1197").close()
    assert "CKR_DEVICE_REMOVED" == application("create 0") == application("token 0")
    assert "2 3" == application("slots")
    assert "CKR_OK" == application("create 2")


def test_a_deleted_slot_s_session_is_over(application: Application, boards: Boards) -> None:
    """Whoever deleted it; the other slots go on, and the other HSM's keep their numbers."""
    boards.do("1197", lambda hsm: hsm.remove_slot(hsm.tokens[0]))
    assert "CKR_OK" != application("create 0")
    assert "CKR_OK" != application("find 0")
    assert "0 2 3" == application("slots")
    assert "CKR_OK" == application("create 2")


@pytest.mark.soak
def test_nothing_but_refusals_while_boards_come_and_go(module: Module, env: dict[str, str], boards: Boards) -> None:
    """Two applications of four threads each: no crash, no hang, no bug in the log, no code that means nothing."""
    applications = [Application(module, env, "work", "4") for _ in range(2)]
    for application in applications:
        assert "ready" == application.process.stdout.readline().strip()  # type: ignore[union-attr]
    chance = random.Random(7)
    actions: list[Callable[[Hsm], object]] = [
        lambda hsm: hsm.tamper("test"), lambda hsm: hsm.restart(), lambda hsm: hsm.add_slot(),
        lambda hsm: hsm.remove_slot(hsm.tokens[0]), lambda hsm: hsm.unplug(), lambda hsm: hsm.next_count(),
        lambda hsm: hsm.set_clock_offset(5),
    ]  # fmt: skip
    for _ in range(SECONDS * 10):
        serial = chance.choice(_SERIALS)
        try:
            boards.do(serial, chance.choice(actions))
        except CryptokiError as error:
            assert error.code in {*_EXPECTED, CKR.FUNCTION_REJECTED}  # noqa: PT017 - it may be away
            if serial in Hsm.removed(boards.paths[0]):
                boards.plug(serial)
    for application in applications:
        said, _ = application.process.communicate(timeout=120)
        assert 0 == application.process.returncode
        codes = {int(code) for code in said.split()}
        assert set() == {name_of(CKR, code) for code in codes - _EXPECTED}
    log = Path(env["ET_PTKC_LOGGER_FILE"])
    assert "" == "\n".join(line for line in log.read_text().splitlines() if " bug: " in line)

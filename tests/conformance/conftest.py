"""The module under test, its token, and sessions in the states that tests begin with.

Options are environment variables, so that they reach the child processes too: `PTKC_TEST_MODULE` (path of the shared
object), `PTKC_TEST_NO_SKIPS=1` (a skip is a failure). The store is a new temporary directory; the token is initialised
once and put back when a test changed its PINs or objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ptkc.spec.constants import CKA, CKM, CKR, CKS, CKU

from . import deviations
from .child import module_path
from .cryptoki import Cryptoki, Refused, Session
from .fresh_token import LABEL, SO_PIN, USER_PIN, prepare, store_environment
from .return_codes import LISTED, reason
from .skips import unavailable

_MECHANISMS = {number: f"CKM_{name}" for name, number in vars(CKM).items() if not name.startswith("_")}


class _State:
    """What the run shares: the loaded module, the token's slot and mechanisms, the session that keeps the login."""

    def __init__(self) -> None:
        """Load the module on the empty store that the environment names and initialise the token."""
        self.cryptoki = Cryptoki(module_path())
        self.cryptoki.initialize()
        info = self.cryptoki.info("C_GetInfo", "CK_INFO")
        self.description = (bytes(info.manufacturerID) + bytes(info.libraryDescription)).decode()
        self.slot = prepare(self.cryptoki)
        self.mechanisms = {
            mechanism: int(self.cryptoki.info("C_GetMechanismInfo", "CK_MECHANISM_INFO", self.slot, mechanism).flags)
            for mechanism in self.cryptoki.items("C_GetMechanismList", self.slot)
        }
        self._anchor: Session | None = None

    def log_in(self) -> None:
        """Have the user logged in: an open session keeps the login from one test to the next, since PINs are slow."""
        try:
            state = self._anchor.state if self._anchor else None
        except Refused:
            state = None
        if state is None:
            self._anchor = self.cryptoki.open(self.slot)
            state = self._anchor.state
        if state == CKS.RW_SO_FUNCTIONS:
            self._anchor.logout()
        if state != CKS.RW_USER_FUNCTIONS:
            self._anchor.login(USER_PIN)

    def restore(self) -> None:
        """Put the token back as it was: no sessions, no objects, label and PINs as `prepare` made them."""
        self.cryptoki.close_all(self.slot)
        prepare(self.cryptoki, self.slot)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "needs(*mechanisms): skipped where the module does not list these mechanisms")
    config.addinivalue_line("markers", "needs_function(name): skipped where no function list of the module has it")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many return codes were proven."""
    pairs = [
        report.nodeid.partition("[")[2].rstrip("]").split("-")
        for report in terminalreporter.stats.get("passed", [])
        if "test_return_codes.py" in report.nodeid and "[C_" in report.nodeid
    ]
    if pairs:
        functions = len({function for function, _ in pairs})
        never = sum(reason(*pair) is not None for pair in LISTED)
        terminalreporter.write_line(
            f"return codes: {len(pairs)} (function, code) pairs of {functions} functions proven; "
            f"{never} of {len(LISTED)} are none that a soft token answers"
        )


@pytest.fixture(scope="package")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_State]:
    """Load and initialise the module for all tests of this folder; others may then use it in this process."""
    if not Path(module_path()).exists():
        pytest.fail(f"there is no module at {module_path()}: build it, or name one in PTKC_TEST_MODULE")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store_environment(tmp_path_factory.mktemp("store")).items():
            patch.setenv(name, value)
        state = _State()
        yield state
        state.cryptoki.finalize()


@pytest.fixture(autouse=True)
def _deviation(request: pytest.FixtureRequest, _state: _State) -> None:
    """Mark the listed deviations as strict expected failures, if the module's info says that it is SoftHSM."""
    if "SoftHSM" in _state.description and (reason := deviations.reason(request.node)):
        strict = reason not in deviations.UNSTABLE.values()
        request.node.add_marker(pytest.mark.xfail(strict=strict, reason=reason))


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest, _state: _State) -> None:
    """Skip what the module does not offer; fail instead with PTKC_TEST_NO_SKIPS=1."""
    missing = [
        _MECHANISMS.get(kind, hex(kind))
        for marker in request.node.iter_markers("needs")
        for kind in marker.args
        if kind not in _state.mechanisms
    ]
    missing += [
        name
        for marker in request.node.iter_markers("needs_function")
        for name in marker.args
        if name not in _state.cryptoki.functions
    ]
    if missing:
        unavailable(*missing)


@pytest.fixture
def cryptoki(_state: _State) -> Cryptoki:
    """Give the loaded and initialised module."""
    return _state.cryptoki


@pytest.fixture
def slot(_state: _State) -> int:
    """Give the slot with the initialised token."""
    return _state.slot


@pytest.fixture
def mechanisms(_state: _State) -> dict[int, int]:
    """Give the token's mechanisms and their CKF flags."""
    return _state.mechanisms


@pytest.fixture
def session(_state: _State) -> Iterator[Session]:
    """Give a read-write session, the user logged in; at the end it is closed and the token holds no object."""
    _state.log_in()
    session = _state.cryptoki.open(_state.slot)
    yield session
    _state.log_in()
    try:
        session.close()
    except Refused as refused:
        assert refused.rv == CKR.SESSION_HANDLE_INVALID  # noqa: PT017 (a test may have closed it)
    sweeper = _state.cryptoki.open(_state.slot)
    sweeper.destroy(*sweeper.find({CKA.TOKEN: True}))
    sweeper.close()


@pytest.fixture
def alone(_state: _State) -> Iterator[int]:
    """Give the slot, when no session is open and nobody is logged in; the same again at the end."""
    _state.cryptoki.close_all(_state.slot)
    yield _state.slot
    _state.cryptoki.close_all(_state.slot)


@pytest.fixture
def public(alone: int, cryptoki: Cryptoki) -> Session:
    """Give a read-write session with nobody logged in."""
    return cryptoki.open(alone)


@pytest.fixture
def security_officer(public: Session) -> Session:
    """Give a read-write session with the SO logged in."""
    public.login(SO_PIN, CKU.SO)
    return public


@pytest.fixture
def changeable(_state: _State, alone: int) -> Iterator[int]:
    """Give the slot of a token whose PINs, label and objects the test may change: it is initialised anew afterwards."""
    yield alone
    _state.restore()


@pytest.fixture
def label() -> str:
    """Give the token's label."""
    return LABEL

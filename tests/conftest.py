"""Fixtures that all tests share: the module under test, a data path of the test's own, a token in it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests in any folder find lengths, modules, processes, tokens

from drivers import Driver, MechanismDriver
from machine import Machine
from module_driver import ModuleDriver, logged_in
from modules import Module, clean_environment, module_under_test
from network import made
from tokens import Initialised, initialise


def pytest_configure(config: pytest.Config) -> None:
    """Declare our markers. Interrupt as usual where a shell began the run in the background, with SIGINT ignored.

    Programs that tests start would ignore it too, and one test waits for the end of one that it interrupts.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "soak: has a long form, which `make soak` runs")
    config.addinivalue_line("markers", "vectors(*mechanisms): holds these mechanisms to published vectors")


@pytest.fixture(scope="session")
def module() -> Module:
    """Return the module under test."""
    found = module_under_test()
    if not Path(found.path).exists():
        pytest.fail(f"{found.path} is not there: run `make build`")
    return found


@pytest.fixture
def env(module: Module, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the module finds an empty data path."""
    return {**clean_environment(tmp_path), **module.settings(tmp_path)}


@pytest.fixture
def token(module: Module, env: dict[str, str]) -> Initialised:
    """Return a token that pkcs11-tool initialised in the first slot."""
    return initialise(module, env)


@pytest.fixture(scope="session")
def appliance(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Return a machine with an HSM that has a user token and an identity, and no security flag; to be copied."""
    if not module.ours:
        pytest.skip("secure messaging is ours")
    return made(tmp_path_factory.mktemp("appliance") / "home")


@pytest.fixture
def in_process(module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Have our module find an empty data path when it is initialised in this process; return the variables."""
    if not module.ours:
        pytest.skip("the vendor's extensions are ours")
    for name in list(os.environ):
        if name.startswith(("ET_", "PTKC_")):
            monkeypatch.delenv(name)
    made = module.settings(tmp_path)
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def load(module: Module, in_process: dict[str, str]) -> Iterator[Callable[[], Any]]:
    """Return what loads our module with `ptkc.vendor.lib`; it is finalised at the end."""
    from ptkc.vendor import lib  # noqa: PLC0415 - other modules are tested without python-pkcs11

    loaded: list[Any] = []

    def load_it() -> Any:  # noqa: ANN401 - python-pkcs11's library
        loaded.append(lib(module.path))
        return loaded[-1]

    yield load_it
    if loaded:
        loaded[-1].finalize()


@pytest.fixture(scope="module")
def module_driver(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleDriver]:
    """Load the shared object into this process: one token, one session with the user logged in."""
    if not module.ours:
        pytest.skip("the vectors are for our own mechanisms")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in module.settings(tmp_path_factory.mktemp("vectors")).items():
            patch.setenv(name, value)
        with logged_in(module.path) as session:
            yield ModuleDriver(session)


@pytest.fixture(params=["mechanism", "module"])
def driver(request: pytest.FixtureRequest, module_driver: ModuleDriver) -> Driver:
    """Return each way to run a mechanism in turn; what `cryptography` lacks needs the shared object loaded for both."""
    return MechanismDriver() if request.param == "mechanism" else module_driver

"""Fixtures that all tests share: the module under test, a data path of the test's own, a token in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests in any folder find lengths, modules and processes

from modules import Module, clean_environment, module_under_test
from processes import run


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of the tests that `make soak` repeats in their long form."""
    config.addinivalue_line("markers", "soak: has a long form, which `make soak` runs")


class TestToken(NamedTuple):
    """An initialised token with both PINs set, and the environment in which a process finds it."""

    __test__ = False

    module: Module
    env: dict[str, str]
    label: str
    so_pin: str
    pin: str

    @property
    def path(self) -> str:
        """The module's path."""
        return self.module.path

    def tool(self, *words: str | Path, data: bytes | None = None, expect: int = 0) -> str:
        """Run pkcs11-tool on this token, logged in as the user."""
        chosen = ("--module", self.path, "--token-label", self.label, "--login", "--pin", self.pin)
        return run("pkcs11-tool", *chosen, *words, env=self.env, data=data, expect=expect)


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
def token(module: Module, env: dict[str, str]) -> TestToken:
    """Return a token that pkcs11-tool initialised in the first slot."""
    made = TestToken(module, env, "Tests", "so-12345678", "user-1234")
    run(
        "pkcs11-tool", "--module", module.path, "--slot-index", "0", "--init-token",
        "--label", made.label, "--so-pin", made.so_pin, env=env,
    )  # fmt: skip
    run(
        "pkcs11-tool", "--module", module.path, "--token-label", made.label, "--login", "--login-type", "so",
        "--so-pin", made.so_pin, "--init-pin", "--pin", made.pin, env=env,
    )  # fmt: skip
    return made

"""The module under test, and an environment in which a process uses it on a data path of its own.

`PTKC_TEST_MODULE` names another module than ours: the client tests are themselves checked against SoftHSM2.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["CI", "Module", "clean_environment", "module_under_test"]

CI = os.environ.get("CI") == "true"
"""In CI a client that is not installed is a failure; elsewhere its tests are skipped."""

_DROPPED = ("ET_", "PTKC_", "SOFTHSM2_", "OPENSSL_", "PKCS11", "PYKCS11", "SSH_", "PYTHON", "XDG_", "COV_")


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment without what would change a client's or the module's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"}


class Module(NamedTuple):
    """A PKCS#11 module: its path, and whether it is ours."""

    path: str
    ours: bool

    def settings(self, directory: Path) -> dict[str, str]:
        """Return the variables that have this module keep its tokens, and ours its log, below `directory`."""
        if self.ours:
            data = directory / "data"
            return {"ET_PTKC_SW_DATAPATH": str(data), "ET_PTKC_LOGGER_FILE": str(directory / "ptkc.log")}
        tokens = directory / "tokens"
        tokens.mkdir()
        configuration = directory / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n", encoding="utf-8")
        return {"SOFTHSM2_CONF": str(configuration)}


def module_under_test() -> Module:
    """Return the module that `PTKC_TEST_MODULE` names, else the one in the installed package `ptkc`."""
    found = importlib.util.find_spec("ptkc")
    package = Path(found.origin).parent if found and found.origin else Path(__file__).parents[1] / "ptkc"
    named = os.environ.get("PTKC_TEST_MODULE")
    if named:
        return Module(named, ours=Path(named).name == "libptkc.so")
    return Module(str((package / "libptkc.so").absolute()), ours=True)

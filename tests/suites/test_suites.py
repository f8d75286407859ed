"""The client libraries' own test suites: what passes on SoftHSM2 passes on ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from modules import CI, Module
from suites.run_suite import SOFTHSM2, SUITES, regressions, run_suite


@pytest.mark.parametrize("name", sorted(SUITES))
def test_what_passes_on_softhsm2_passes_on_ours(name: str, module: Module, tmp_path: Path) -> None:
    """No test of the library's own suite fails on the module under test that passes on SoftHSM2."""
    suite = SUITES[name]
    for needed in (suite.tests, Path(SOFTHSM2.path)):
        if not needed.exists():
            (pytest.fail if CI else pytest.skip)(f"{needed} is not there: run `make test`")
    reference = run_suite(suite, SOFTHSM2, tmp_path / "softhsm2")
    assert "passed" in reference.values()
    ours = run_suite(suite, module, tmp_path / "ours")
    log = tmp_path / "ours" / "suite.log"
    assert [] == regressions(ours, reference), log.read_text(encoding="utf-8", errors="replace")[-8000:]

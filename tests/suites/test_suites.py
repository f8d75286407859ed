"""The client libraries' own test suites: what passes on SoftHSM2 passes on ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from modules import CI, Module
from suites.run_suite import SOFTHSM2, SUITES, regressions, run_suite

_NAME = "asserts that the manufacturer is SoftHSM"
_COPY = "loads a copy of the shared object from another folder, which ours refuses: its package is not beside it"
EXCEPTIONS = {
    "test.test_LowLevel.TestUtil.test_LowLevel": _NAME,
    "test.test_info.TestUtil.test_getInfo": _NAME,
    "test.test_info.TestUtil.test_getSlotInfo": _NAME,
    "test.test_info.TestUtil.test_getTokenInfo": _NAME,
    "test.test_load.TestUtil.test_multiple_load": _COPY,
    "test.test_load.TestUtil.test_specific_load": _COPY,
    "test.test_asymetric_ECC.TestEDDSA.test_sign_text":
        "asks for Ed25519ctx and ph, whose parameter SoftHSM2 ignores and signs plain Ed25519; ours says it cannot",
    "test.test_gc.TestUtil.test_gc":
        "wants CKR_OK of C_Logout where nobody is logged in; the specification has CKR_USER_NOT_LOGGED_IN for it",
}  # fmt: skip
"""Tests that pass on SoftHSM2 and rightly do not on ours, each with the reason."""


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
    lost = [test for test in regressions(ours, reference) if test not in EXCEPTIONS]
    assert [] == lost, log.read_text(encoding="utf-8", errors="replace")[-8000:]

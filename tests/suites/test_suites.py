"""The client libraries' own test suites: nothing fails and nothing is skipped on ours but what is listed here."""

from __future__ import annotations

from pathlib import Path

import pytest
from modules import CI, Module
from suites.run_suite import SOFTHSM2, SUITES, run_suite

_TOO_SHORT = (
    "wants CKR_FUNCTION_FAILED or CKR_MECHANISM_PARAM_INVALID where the data are too short for the key; the "
    "specification has CKR_DATA_LEN_RANGE for it (6.44)"
)
_COPY = "loads a copy of the shared object from another folder, which ours refuses: its package is not beside it"
FAILURES = {
    "tests.test_aes.AESTests.test_derive_using_ecb_encrypt_4_NEGATIVE_256_BIT_SHORT_IV": _TOO_SHORT,
    "tests.test_aes.AESTests.test_derive_using_cbc_encrypt_8_NEGATIVE_256_BIT_SHORT_DATA": _TOO_SHORT,
    "test.test_load.TestUtil.test_multiple_load": _COPY,
    "test.test_load.TestUtil.test_specific_load": _COPY,
    "test.test_gc.TestUtil.test_gc":
        "wants CKR_OK of C_Logout where nobody is logged in; the specification has CKR_USER_NOT_LOGGED_IN for it",
}  # fmt: skip
"""Tests that fail, each with the reason."""

SKIPS = {"test.test_asymetric_gost.TestUtil.test_gost": "no library that we use has GOST R 34.10-2001"}
"""Tests that are skipped, each with the reason."""

_PASSES = {"python-pkcs11": 161, "pykcs11": 84}


@pytest.mark.parametrize("name", sorted(SUITES))
def test_all_of_the_suite_passes(name: str, module: Module, tmp_path: Path) -> None:
    """No test fails but those that contradict the specification or copy the module; none is skipped but GOST's."""
    suite = SUITES[name]
    if not module.ours:
        pytest.skip("the lists above are of our module")
    for needed in (suite.tests, Path(SOFTHSM2.path)):
        if not needed.exists():
            (pytest.fail if CI else pytest.skip)(f"{needed} is not there: run `make test`")
    outcomes = run_suite(suite, module, tmp_path / "ours")
    log = (tmp_path / "ours" / "suite.log").read_text(encoding="utf-8", errors="replace")[-8000:]
    found = {
        what: {test for test, outcome in outcomes.items() if outcome.what == what}
        for what in ("failed", "skipped", "passed")
    }
    prefix = f"{suite.folder}."
    assert {test for test in FAILURES if test.startswith(prefix)} == found["failed"], log
    assert {test for test in SKIPS if test.startswith(prefix)} == found["skipped"], log
    assert _PASSES[name] == len(found["passed"]), log

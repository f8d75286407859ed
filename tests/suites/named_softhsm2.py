"""Has PyKCS11's suite run all its tests on our module too: it skips some by SoftHSM2's version, and asserts its name.

`run_suite.py` copies this file beside the suites as their conftest.py.
"""

from __future__ import annotations

import pytest

try:
    from PyKCS11 import LowLevel, PyKCS11
except ImportError:
    PyKCS11 = None

_NAME = "SoftHSM".ljust(32)


def _overridden(original, **values):
    """Return the function, with these attributes of what it returns."""

    def call(*arguments):
        found = original(*arguments)
        for name, value in values.items():
            setattr(found, name, value)
        return found

    return call


@pytest.fixture(autouse=True)
def softhsm2(request, monkeypatch):
    """Say version 3 of a library, of which PyKCS11 believes that it has all; SoftHSM2's name where it is asserted."""
    if PyKCS11 is None:
        return
    library = PyKCS11.PyKCS11Lib
    named = request.module.__name__.rsplit(".", 1)[-1] in ("test_info", "test_LowLevel")
    name = {"manufacturerID": _NAME} if named else {}
    description = {"libraryDescription": "Implementation of PKCS11".ljust(32)} if named else {}
    monkeypatch.setattr(library, "getInfo", _overridden(library.getInfo, libraryVersion=(3, 0), **name, **description))
    if named:
        for function in ("getSlotInfo", "getTokenInfo"):
            monkeypatch.setattr(library, function, _overridden(getattr(library, function), **name))
        monkeypatch.setattr(LowLevel.CK_INFO, "GetManufacturerID", lambda _info: _NAME)

"""What happens to a test of something the module does not offer."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["unavailable"]


def unavailable(*what: str) -> NoReturn:
    """Skip the test; with PTKC_TEST_NO_SKIPS=1 fail it."""
    message = f"the module has no {', '.join(what)}"
    if os.environ.get("PTKC_TEST_NO_SKIPS") == "1":
        pytest.fail(message)
    pytest.skip(message)

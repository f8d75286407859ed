"""Data for the vector tests in one part and in several, and what a refusal is expected to be."""

from __future__ import annotations

import pytest
from drivers import Data

from ptkc.spec.errors import CryptokiError

__all__ = ["both", "refusal"]


def both(data: bytes) -> tuple[Data, Data]:
    """Return the data in one part, and in parts of 1, 2, 3 … bytes, the first of them empty."""
    parts, place, size = [b""], 0, 1
    while place < len(data):
        parts.append(data[place : place + size])
        place += size
        size += 1
    return data, parts


def refusal(code: int) -> pytest.RaisesExc[CryptokiError]:
    """Expect this code."""
    return pytest.raises(CryptokiError, check=lambda error: error.code == code)

"""The list of known deviations is itself checked: each name is a test of this suite."""

from __future__ import annotations

import importlib

import pytest

from .deviations import SOFTHSM, UNSTABLE


@pytest.mark.parametrize("name", [*SOFTHSM, *UNSTABLE])
def test_listed_deviation_names_a_test(name: str) -> None:
    """A name that fits no test would never be noticed otherwise."""
    module, _, test = name.partition(".")
    found = importlib.import_module(f".test_{module}", __package__)
    assert callable(getattr(found, f"test_{test.partition('[')[0]}"))

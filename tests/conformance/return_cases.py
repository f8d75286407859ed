"""The (function, code) pairs that need more than one argument of a right call changed: each a small story."""

from __future__ import annotations

from . import return_cases_data, return_cases_keys, return_cases_sessions, return_cases_states
from .return_bench import CASES, Bench

__all__ = ["CASES", "PARTS", "Bench"]

PARTS = (return_cases_data, return_cases_keys, return_cases_sessions, return_cases_states)
"""The modules that fill the table."""

"""Attacks on the rules: what is protected from the application, or from whoever lacks the PIN, stays protected."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from modules import Module
from processes import SEEN, run
from programs.attacks import ATTACKS

_PROGRAM = Path(__file__).parent / "programs" / "attacks.py"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_the_attack_fails(module: Module, env: dict[str, str], attack: Callable[..., None]) -> None:
    """The attack's own description says what must not work."""
    if not module.ours:
        pytest.skip("some of these rules are ours")
    run(sys.executable, _PROGRAM, module.path, attack.__name__, env={**env, **SEEN}, timeout=60)

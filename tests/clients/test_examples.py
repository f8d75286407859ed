"""What the repository shows its users works as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from modules import Module
from processes import program, run

_EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_demo_ends_with_six_verified_signatures(module: Module, env: dict[str, str], tmp_path: Path) -> None:
    """`make demo` without a terminal: three keys, two applications, and openssl verifies each signature."""
    if not module.ours:
        pytest.skip("the demo shows ours")
    program("pkcs11-tool")
    said = run(sys.executable, _EXAMPLES / "demo.py", env=env, cwd=tmp_path)
    assert (4, 2) == (said.count("Verified OK"), said.count("Signature Verified Successfully"))
    assert "never extractable: yes" in said
    (folder,) = tmp_path.glob("demo-*")
    assert str(folder / "data") in said
    assert 6 == len(list(folder.glob("*.sig")))

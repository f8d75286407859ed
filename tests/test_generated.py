"""What is generated is what its generator makes of its sources now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("generator", ["native/constants.py", "docs/generate.py", "docs/procedures.py"])
def test_generated_files_are_up_to_date(generator: str) -> None:
    """`--check` of each generator finds no difference."""
    command = [sys.executable, _ROOT / generator, "--check"]
    checked = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (0, "") == (checked.returncode, checked.stderr)

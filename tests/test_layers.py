"""The import check itself, and what it says of ptkc."""

from __future__ import annotations

from pathlib import Path

import pytest
from layers import violations


def test_imports_in_ptkc_go_downward_only() -> None:
    """No module imports from its own level or above, and the refused pairs do not occur."""
    assert [] == violations()


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("spec", "from ptkc.objects import template"),
        ("client", "from ptkc.token.store import Store"),
        ("hsm", "import ptkc.client.bridge"),
        ("sms", "from ptkc import wire"),
        ("wire", "def later():\n    from ptkc.mechanisms import mechanism"),
        ("objects", "from ..hsm import device"),
        ("cellar", "import os"),
    ],
)
def test_an_import_that_does_not_go_downward_is_named(tmp_path: Path, room: str, line: str) -> None:
    """Absolute, relative, late and whole-module imports are all seen, and so is a room without a layer."""
    folder = tmp_path / "ptkc" / room
    folder.mkdir(parents=True)
    (folder / "module.py").write_text(line + "\n", encoding="utf-8")
    (said,) = violations(tmp_path)
    assert room in said


@pytest.mark.parametrize(
    "line", ["from ptkc.spec.errors import CryptokiError", "from ptkc.hsm import session", "import os"]
)
def test_an_import_that_goes_downward_is_not_named(tmp_path: Path, line: str) -> None:
    """From a lower layer, from the same room, and from elsewhere."""
    folder = tmp_path / "ptkc" / "hsm"
    folder.mkdir(parents=True)
    (folder / "module.py").write_text(line + "\n", encoding="utf-8")
    assert [] == violations(tmp_path)

"""What checks find: fine, a note (nothing is wrong, but know it), a warning, or an error."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["ERROR", "FINE", "NOTE", "WARNING", "Finding", "rights"]

FINE, NOTE, WARNING, ERROR = "fine", "note", "warning", "error"


class Finding(NamedTuple):
    """One thing that was looked at: how it stands, what there is to say, and what to do."""

    state: str
    check: str
    text: str
    hint: str = ""


def rights(path: str) -> str:
    """Return a hint that says whose a path is."""
    found = os.stat(path)
    return f"it belongs to user {found.st_uid}, group {found.st_gid}, mode {found.st_mode & 0o777:04o}"

"""Check that imports in `ptkc/` go downward only: `python tests/layers.py` names each one that does not.

A room may import from itself and from rooms of a lower level; some pairs are refused all the same.
Imports inside functions and under TYPE_CHECKING count like any other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["LEVELS", "REFUSED", "violations"]

LEVELS = {
    "spec": 0, "items": 0,
    "configuration": 1, "log": 1, "objects": 1,
    "mechanisms": 2, "wire": 2,
    "token": 3, "sms": 3,
    "hsm": 4, "client": 4,
    "provider": 5, "vendor": 5,
    "tools": 6,  # they go through `vendor`
}  # fmt: skip

REFUSED = {
    ("client", "token"): "the library side knows no token",
    ("client", "mechanisms"): "the library side does no cryptography of tokens",
    ("sms", "wire"): "secure messaging knows no commands",
    ("sms", "objects"): "secure messaging knows no objects",
    ("sms", "mechanisms"): "secure messaging knows no mechanisms",
}
_ROOT = Path(__file__).resolve().parents[1]


def _imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of each import of our own modules in a file of the given package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def violations(root: Path = _ROOT) -> list[str]:
    """Return one line for each import below `root`/ptkc that does not go downward."""
    found = []
    for path in sorted((root / "ptkc").rglob("*.py")):
        place = path.relative_to(root).with_suffix("")
        package = ".".join(place.parts[:-1])
        room = place.parts[1]
        if room == "__init__":
            continue
        if room not in LEVELS:
            found.append(f"{path}: {room} is in no layer")
            continue
        for line, name in _imports(path, package):
            parts = name.split(".")
            if parts[0] != "ptkc" or len(parts) == 1 or parts[1] in (room, "__version__"):
                continue
            target = parts[1]
            if target not in LEVELS:
                found.append(f"{path}:{line}: {name} is in no layer")
            elif (room, target) in REFUSED:
                found.append(f"{path}:{line}: {room} imports {target}: {REFUSED[room, target]}")
            elif LEVELS[target] >= LEVELS[room]:
                found.append(f"{path}:{line}: {room} (layer {LEVELS[room]}) imports {target} (layer {LEVELS[target]})")
    return found


if __name__ == "__main__":
    wrong = violations()
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))

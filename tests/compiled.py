"""The C programs of the tests, compiled once in a test run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sysconfig
import tempfile
from functools import cache
from os import environ
from pathlib import Path

__all__ = ["compiler", "programs"]

_NATIVE = Path(__file__).parent / "native"
_INCLUDE = Path(__file__).parents[1] / "native" / "include"
_PROTOTYPE = re.compile(r"^CK_RV (CT?_\w+)\((.*)\);$", re.MULTILINE)
_LETTERS = {"CK_SESSION_HANDLE": "s", "CK_MECHANISM_PTR": "m", "CK_ATTRIBUTE_PTR": "a", "CK_NOTIFY": "n"}
_NUMBERS = re.compile(r"CK_(UINT|ULONG|FLAGS|SLOT_ID|SESSION_HANDLE|OBJECT_HANDLE|MECHANISM_TYPE)_PTR$")
_directories: list[tempfile.TemporaryDirectory[str]] = []


def compiler() -> list[str]:
    """Return the C compiler's command."""
    return shlex.split(environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def _letter(parameter: str) -> str:
    """Return what kind of parameter this is, as bad.c names the kinds."""
    kind = parameter.rsplit(" ", 1)[0]
    if _NUMBERS.match(kind):
        return "l"
    return _LETTERS.get(kind) or ("p" if kind.endswith("_PTR") else "u")


@cache
def programs() -> Path:
    """Compile tests/native/*.c and return the directory of the programs."""
    _directories.append(tempfile.TemporaryDirectory(prefix="ptkc-programs-"))
    made = Path(_directories[-1].name)
    made.chmod(0o755)
    signatures = []
    for header, listed in (("pkcs11.h", "names.inc"), ("vendor.h", "vendor_names.inc")):
        prototypes = _PROTOTYPE.findall((_INCLUDE / header).read_text(encoding="ascii"))
        names = [f"NAME({name})\n" for name, _ in prototypes]
        (made / listed).write_text("".join(names), encoding="ascii")
        signatures += [f'SIGNATURE({name}, "{"".join(map(_letter, rest.split(", ")))}")\n' for name, rest in prototypes]
    (made / "signatures.inc").write_text("".join(signatures), encoding="ascii")
    flags = ["-std=gnu11", "-O1", "-g", "-pthread", "-rdynamic", f"-I{_INCLUDE}", f"-I{made}"]
    warnings = ["-Wall", "-Wextra", "-Wno-cast-function-type", "-Werror"]
    for source in sorted(_NATIVE.glob("*.c")):
        shared = ["-shared", "-fPIC"] if source.stem == "reenter" else []
        command = [*compiler(), *flags, *warnings, *shared, str(source), "-o", str(made / source.stem), "-ldl"]
        subprocess.run(command, check=True)
    return made

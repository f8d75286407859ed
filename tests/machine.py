"""A client machine with HSMs of its own, on which tests run the tools as a user does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from modules import clean_environment
from processes import SEEN

__all__ = ["Machine", "Said"]

_INITIALISE = """
from ptkc.vendor import devices, init_admin, lib
for device in devices(lib()):
    init_admin(device.admin_slot, f"aso-{device.serial}", f"admin-{device.serial}")
"""
_SIGN = """
import sys
from pkcs11 import Attribute
from ptkc.client.certificates import from_pem, to_pem
from ptkc.vendor import Mechanism, ObjectClass, devices, encode, lib
with devices(lib())[0].admin.open(rw=True, user_pin=sys.argv[3]) as session:
    with open(sys.argv[1], "rb") as file:
        value = {Attribute.CLASS: ObjectClass.CERTIFICATE_REQUEST, Attribute.VALUE: from_pem(file.read())}
    request = session.create_object(value)
    (key,) = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: "POK"}))
    certificate = encode(session, Mechanism.ENCODE_X_509, request, key)
    with open(sys.argv[2], "wb") as file:
        file.write(to_pem(certificate[Attribute.VALUE]))
"""


class Said(NamedTuple):
    """What a command wrote: results, and everything else."""

    out: str
    err: str


class Machine:
    """A home directory, and the HSMs and certificate store in it."""

    def __init__(self, home: Path) -> None:
        """Use a directory, which is made if it is not there."""
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.store = home / ".config" / "ptkc" / "certs"
        self.environment = {**clean_environment(home), **SEEN}

    def copy(self, home: Path) -> Machine:
        """Return another machine like this one; none of its HSMs may be at work."""
        shutil.copytree(self.home, home, symlinks=True)
        return Machine(home)

    def tool(self, name: str, *arguments: str | Path, typed: str = "", code: int = 0, **variables: str) -> Said:
        """Run a command, in the home directory, with words as lines of its standard input, to this exit code."""
        done = subprocess.run(
            self.words(name, *arguments), cwd=self.home, env={**self.environment, **variables},
            input="".join(line + "\n" for line in typed.split()), capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        said = f"{name} {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert code == done.returncode, said
        assert "Traceback" not in said, said
        return Said(done.stdout, done.stderr)

    @staticmethod
    def words(name: str, *arguments: str | Path) -> list[str]:
        """Return the command line of a command, of the `ptkc` that is tested wherever it is called."""
        return [sys.executable, "-P", "-m", f"ptkc.tools.{name}", *map(str, arguments)]

    def ctident(self, *arguments: str | Path, typed: str = "", code: int = 0, **variables: str) -> Said:
        """Run ctident."""
        return self.tool("ctident", *arguments, typed=typed, code=code, **variables)

    def script(self, text: str, *arguments: str | Path) -> str:
        """Run a Python program on this machine."""
        words = [sys.executable, "-c", text, *map(str, arguments)]
        return subprocess.run(
            words, cwd=self.home, env=self.environment, stdout=subprocess.PIPE, text=True, timeout=120, check=True
        ).stdout

    def add(self, *serials: str, initialise: bool = True) -> Machine:
        """Put HSMs in, with the Admin PINs `admin-<serial>`."""
        self.tool("ptkc", "hsm", "add", *serials)
        if initialise:
            self.script(_INITIALISE)
        return self

    def knowing_pins(self) -> Machine:
        """Have commands find the Admin PINs in the environment."""
        for hsm in self.listed():
            self.environment[f"PTKC_ADMIN_PIN_{hsm['serial']}"] = f"admin-{hsm['serial']}"
        return self

    def listed(self) -> list[dict[str, Any]]:
        """Return what `ctident list --json` says of each HSM."""
        return json.loads(self.ctident("list", "--json").out)

    def hsm(self, serial: str) -> dict[str, Any]:
        """Return what `ctident list --json` says of one HSM."""
        return next(hsm for hsm in self.listed() if hsm["serial"] == serial)

    def trusts(self) -> dict[str, list[str]]:
        """Return whom each HSM trusts."""
        return {hsm["serial"]: [peer["serial"] for peer in hsm["trusts"] if peer["in_use"]] for hsm in self.listed()}

    def sign(self, request: Path, certificate: Path) -> None:
        """Have the POK of device 0 sign a request."""
        self.script(_SIGN, request, certificate, f"admin-{self.listed()[0]['serial']}")

    def openssl_accepts(self, authority: Path, certificate: Path) -> bool:
        """Whether `openssl verify` accepts a certificate under another."""
        words = ["openssl", "verify", "-CAfile", str(authority), str(certificate)]
        done = subprocess.run(words, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)
        return (0, f"{certificate}: OK\n") == (done.returncode, done.stdout)

"""HSM directories for the tests of the token layer: a data path of the test's own, objects, other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptkc.spec.constants import CKA, CKK, CKO, CKU
from ptkc.spec.values import FALSE, TRUE, Attributes, ulong
from ptkc.token import pins
from ptkc.token.hsms import Hsm
from ptkc.token.tokens import Token

__all__ = ["OTHER_USER", "SO_PIN", "USER_PIN", "Place", "aes_key", "data_object", "quick_pins", "share"]

SO_PIN = b"so-1234"
USER_PIN = b"user-1234"
OTHER_USER = 65534

_ROOT = Path(__file__).parent.parent
_HEAD = """
import os, sys
from hsm_directory import SO_PIN, USER_PIN, Place, aes_key, data_object
from ptkc.spec.constants import CKA, CKR, CKU
from ptkc.spec.errors import CryptokiError
place = Place(sys.argv[1])
"""


class Place:
    """A data path and a key path below one directory."""

    def __init__(self, directory: str | Path) -> None:
        """Use `directory`, in which nothing need be."""
        self.directory = str(directory)
        self.data_path = os.path.join(directory, "data")
        self.key_path = os.path.join(directory, "keys")

    def open(self) -> Hsm:
        """Open the HSM as a process does."""
        return Hsm.open(self.data_path, self.key_path)

    def initialised(self) -> tuple[Hsm, Token, bytes]:
        """Return an HSM whose first token has both PINs, that token, and its key."""
        hsm = self.open()
        token = hsm.tokens[0]
        token.initialise(SO_PIN, b"test".ljust(32))
        key = token.login(CKU.SO, SO_PIN)
        token.init_user_pin(key, USER_PIN)
        return hsm, token, key

    def process(self, script: str) -> subprocess.Popen[str]:
        """Start another process that runs `script` with `place` at hand; it talks over its standard streams."""
        path = os.pathsep.join((str(_ROOT), str(Path(__file__).parent)))
        return subprocess.Popen(
            [sys.executable, "-c", _HEAD + script, self.directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    def say(self, script: str, *, lines: str = "") -> str:
        """Run a script in another process to its end and return what it printed."""
        with self.process(script) as process:
            printed, _ = process.communicate(lines, timeout=120)
        assert 0 == process.returncode, printed
        return printed.strip()


def aes_key(label: bytes, **changed: bytes) -> Attributes:
    """Return the attributes of a private AES key, about as many as the template algorithm gives it."""
    flags = (
        CKA.SENSITIVE, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.LOCAL, CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN,
        CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE,
    )  # fmt: skip
    attributes = {
        CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.TOKEN: TRUE, CKA.PRIVATE: TRUE, CKA.LABEL: label, CKA.ID: b"",
        CKA.KEY_TYPE: ulong(CKK.AES), CKA.VALUE: os.urandom(32), CKA.VALUE_LEN: ulong(32), CKA.EXTRACTABLE: FALSE,
        CKA.UNIQUE_ID: os.urandom(16).hex().encode(), **dict.fromkeys(flags, TRUE),
    }  # fmt: skip
    return {**attributes, **{getattr(CKA, name.upper()): value for name, value in changed.items()}}


def data_object(label: bytes, value: bytes = b"") -> Attributes:
    """Return the attributes of a public data object."""
    return {
        CKA.CLASS: ulong(CKO.DATA), CKA.TOKEN: TRUE, CKA.PRIVATE: FALSE, CKA.LABEL: label, CKA.VALUE: value,
        CKA.MODIFIABLE: TRUE, CKA.COPYABLE: TRUE, CKA.DESTROYABLE: TRUE,
    }  # fmt: skip


def share(place: Place, tmp_path: Path) -> None:
    """Let another user read everything; the key files become that user's own."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    above = tmp_path
    while above != above.parent and above.stat().st_uid == 0 and above != Path("/tmp"):
        above.chmod(0o755)
        above = above.parent
    for path in [Path(place.data_path), *Path(place.data_path).rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in [Path(place.key_path), *Path(place.key_path).rglob("*")]:
        os.chown(path, OTHER_USER, -1)


def quick_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have PINs stretched as little as Argon2id allows: not for tests in which guesses are to be slow."""
    monkeypatch.setattr(pins, "_MEMORY_KIB", 8)
    monkeypatch.setattr(pins, "_PASSES", 1)

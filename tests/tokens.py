"""An initialised token for tests, and how client processes reach it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from modules import Module
from processes import run

__all__ = ["Initialised", "initialise", "openssl", "public_key"]


class Initialised(NamedTuple):
    """A token with both PINs set, and the environment in which a process finds it."""

    module: Module
    env: dict[str, str]
    label: str
    so_pin: str
    pin: str

    @property
    def path(self) -> str:
        """The module's path."""
        return self.module.path

    def tool(self, *words: str | Path, expect: int = 0) -> str:
        """Run pkcs11-tool on this token, logged in as the user."""
        chosen = ("--module", self.path, "--token-label", self.label, "--login", "--pin", self.pin)
        return run("pkcs11-tool", *chosen, *words, env=self.env, expect=expect)


def initialise(module: Module, env: dict[str, str]) -> Initialised:
    """Initialise the token in the first slot with pkcs11-tool."""
    made = Initialised(module, env, "Tests", "so-12345678", "user-1234")
    run(
        "pkcs11-tool", "--module", module.path, "--slot-index", "0", "--init-token",
        "--label", made.label, "--so-pin", made.so_pin, env=env,
    )  # fmt: skip
    run(
        "pkcs11-tool", "--module", module.path, "--token-label", made.label, "--login", "--login-type", "so",
        "--so-pin", made.so_pin, "--init-pin", "--pin", made.pin, env=env,
    )  # fmt: skip
    return made


def openssl(token: Initialised, *words: str | Path) -> str:
    """Run the openssl command on its own: it knows nothing of the module."""
    return run("openssl", *words, env={**token.env, "OPENSSL_CONF": "/dev/null"})


def public_key(token: Initialised, key_id: str, directory: Path) -> Path:
    """Have p11tool write the public key with this id, two hexadecimal digits, as PEM; return the file.

    With any module, pkcs11-tool 0.23 reads EC keys out of memory that it has freed: `cannot create EVP_PKEY` for P-384,
    and now and then for other curves.
    """
    path = directory / f"{key_id}.pem"
    uri = f"pkcs11:token={token.label};id=%{key_id};type=public"
    env = {**token.env, "GNUTLS_PIN": token.pin}
    run("p11tool", "--provider", token.path, "--batch", "--login", "--export-pubkey", "--outfile", path, uri, env=env)
    return path

"""What the client tests share: variables for one client process, and keys made with pkcs11-tool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from modules import Module
from network import FLAGS_OF, initialised, reached
from tokens import Initialised, initialise

WAYS = ("direct", "protected", "network")


@pytest.fixture(params=WAYS)
def token(
    module: Module, env: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Initialised]:
    """Return a token with both PINs in process, in process under the flags `NU`, and over TCP under `NU`."""
    if request.param in FLAGS_OF:
        with reached(request.param, request.getfixturevalue("appliance"), tmp_path) as machine:
            machine.environment["ET_PTKC_GENERAL_HIDE_ADMIN_SLOT"] = "YES"  # its identity is a key that ssh would offer
            del machine.environment["PYTHONPATH"]  # a client finds its own packages, and the module those of ptkc
            yield initialised(module, machine)
    else:
        yield initialise(module, env)


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """Return a file to sign."""
    path = tmp_path / "message"
    path.write_bytes(b"Signed with a key that never left its token.\n" * 3)
    return path


@pytest.fixture
def rsa_key(token: Initialised) -> str:
    """Return the label of an RSA key pair (id 01) that signs, decrypts and unwraps."""
    usage = ("--usage-sign", "--usage-decrypt", "--usage-wrap")
    token.tool("--keypairgen", "--key-type", "rsa:2048", "--label", "rsa", "--id", "01", *usage)
    return "rsa"


@pytest.fixture
def ec_key(token: Initialised) -> str:
    """Return the label of a P-256 key pair (id 02) that signs and derives."""
    usage = ("--usage-sign", "--usage-derive")
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "ec", "--id", "02", *usage)
    return "ec"


@pytest.fixture
def ed_key(token: Initialised) -> str:
    """Return the label of an Ed25519 key pair (id 03)."""
    token.tool("--keypairgen", "--key-type", "EC:edwards25519", "--label", "ed", "--id", "03", "--usage-sign")
    return "ed"

"""GnuTLS's p11tool, and p11-kit: they find the module by a module file and everything else by PKCS#11 URIs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import run
from tokens import Initialised, openssl


def _p11tool(token: Initialised, *words: str | Path) -> str:
    """Run p11tool on the module, with the user's PIN."""
    env = {**token.env, "GNUTLS_PIN": token.pin, "GNUTLS_SO_PIN": token.so_pin}
    return run("p11tool", "--provider", token.path, "--batch", *words, env=env)


def test_tokens_are_listed(token: Initialised) -> None:
    """The token's URI has its label, its model and its serial."""
    listed = _p11tool(token, "--list-tokens")
    assert "token=Tests" in listed
    assert "serial=" in listed


def test_mechanisms_are_listed(token: Initialised) -> None:
    """GnuTLS knows the names of what is advertised."""
    listed = _p11tool(token, "--list-mechanisms", "pkcs11:token=Tests")
    assert "CKM_RSA_PKCS_PSS" in listed
    assert "CKM_ECDSA" in listed


def test_keys_are_listed_and_what_is_no_key_is_not(token: Initialised, rsa_key: str, ec_key: str) -> None:
    """Every object shown is a key: profiles, mechanisms, clock and counter do not disturb."""
    listed = _p11tool(token, "--login", "--list-all", "pkcs11:token=Tests")
    types = [line.split(":")[1].strip() for line in listed.splitlines() if line.strip().startswith("Type:")]
    assert len(types) == 4
    assert all("key" in kind for kind in types), types


@pytest.mark.parametrize("kind", [("rsa", "--bits", "2048"), ("ecdsa", "--curve", "secp256r1")])
def test_a_generated_key_is_found_and_signs(token: Initialised, kind: tuple[str, ...], tmp_path: Path) -> None:
    """`--generate-privkey` makes a pair, `--test-sign` signs with it and verifies with GnuTLS itself."""
    public = tmp_path / "public.pem"
    _p11tool(
        token, f"--generate-privkey={kind[0]}", *kind[1:], "--label", "made", "--id", "21", "--login",
        "--outfile", public, "pkcs11:token=Tests",
    )  # fmt: skip
    assert "object=made" in _p11tool(token, "--login", "--list-all", "pkcs11:token=Tests")
    said = _p11tool(token, "--login", "--test-sign", "pkcs11:token=Tests;object=made;type=private")
    assert "ok" in said
    assert "Public-Key" in openssl(token, "pkey", "-pubin", "-in", public, "-noout", "-text")


def test_a_certificate_is_written_and_exported(token: Initialised, tmp_path: Path) -> None:
    """A trusted-by-nobody certificate goes in and comes out as it was."""
    key, certificate, config = tmp_path / "key", tmp_path / "certificate.pem", tmp_path / "req.cnf"
    config.write_text("[req]\ndistinguished_name = subject\n[subject]\n", encoding="ascii")
    openssl(
        token, "req", "-config", config, "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=p11tool test",
        "-keyout", key, "-out", certificate,
    )  # fmt: skip
    _p11tool(
        token, "--login", "--write", "--load-certificate", certificate, "--label", "the certificate", "--id", "22",
        "pkcs11:token=Tests",
    )  # fmt: skip
    exported = _p11tool(token, "--login", "--export", "pkcs11:token=Tests;object=the%20certificate;type=cert")
    assert _body(certificate.read_text(encoding="ascii")) == _body(exported)


def _body(text: str) -> str:
    """Return the base64 text of the first PEM block."""
    return "".join(text.split("-----BEGIN CERTIFICATE-----")[1].split("-----END", maxsplit=1)[0].split())


def test_random_bytes_are_generated(token: Initialised, tmp_path: Path) -> None:
    """`--generate-random` gives as many bytes as asked for."""
    out = tmp_path / "random"
    _p11tool(token, "--generate-random", "48", "--outfile", out, "pkcs11:token=Tests")
    assert 48 == len(out.read_bytes())


@pytest.fixture
def module_file(token: Initialised, tmp_path: Path) -> Iterator[str]:
    """Tell p11-kit of the module by a module file, and return the name under which it knows it.

    p11-kit reads no user's files for root, so root's goes to the system's folder, under a name of its own, for the time
    of the test.
    """
    name = f"ptkc-test-{os.getpid()}"
    home = tmp_path / ".config" / "pkcs11" / "modules"
    folder = Path("/etc/pkcs11/modules") if os.geteuid() == 0 else home
    made = [path for path in (folder, folder.parent) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.module"
    file.write_text(f"module: {token.path}\n", encoding="utf-8")
    try:
        yield name
    finally:
        file.unlink()
        for path in made:
            path.rmdir()


def test_p11_kit_lists_the_module_of_a_module_file(token: Initialised, module_file: str) -> None:
    """A module file of one line is all that p11-kit needs."""
    listed = run("p11-kit", "list-modules", env=token.env)
    ours = listed.partition(f"{module_file}: ")[2]
    assert "token: Tests" in ours, listed

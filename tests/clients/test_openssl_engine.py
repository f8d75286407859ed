"""OpenSSL with libengine-pkcs11-openssl: requests, a TLS server, an OPENSSL_CONF that names the module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from modules import CI
from processes import beside, free_port, listening, run
from tokens import Initialised, openssl, public_key

_EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def engine() -> str:
    """Return the path of the pkcs11 engine; without it the tests are skipped, in CI they fail."""
    found = sorted(Path("/usr").glob("lib*/*/engines*/pkcs11.so"))
    if not found:
        (pytest.fail if CI else pytest.skip)("libengine-pkcs11-openssl is not installed")
    return str(found[-1])


@pytest.fixture
def configured(token: Initialised) -> dict[str, str]:
    """Return an environment with the example's OpenSSL configuration, which names the module."""
    return {**token.env, "OPENSSL_CONF": str(_EXAMPLES / "openssl.cnf"), "PKCS11_MODULE": token.path}


@pytest.fixture
def loaded_at_once(token: Initialised, engine: str, tmp_path: Path) -> dict[str, str]:
    """Return an environment whose OPENSSL_CONF loads engine and module in every program that starts OpenSSL."""
    text = (_EXAMPLES / "openssl.cnf").read_text(encoding="ascii")
    text = text.replace("init = 0", f"dynamic_path = {engine}\ninit = 1")
    config = tmp_path / "everywhere.cnf"
    config.write_text(text, encoding="utf-8")
    return {**token.env, "OPENSSL_CONF": str(config), "PKCS11_MODULE": token.path}


def _key(token: Initialised, label: str) -> tuple[str, ...]:
    """Return the options by which openssl uses a private key of the token."""
    uri = f"pkcs11:token={token.label};object={label};type=private?pin-value={token.pin}"
    return ("-engine", "pkcs11", "-keyform", "engine", "-key", uri)


@pytest.mark.parametrize("kind", ["rsa_key", "ec_key"])
def test_a_certificate_request_is_signed(
    token: Initialised, configured: dict[str, str], kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """`openssl req -new` with a token key gives a request whose signature openssl verifies without the token."""
    label, made = request.getfixturevalue(kind), tmp_path / "request.pem"
    run("openssl", "req", "-new", *_key(token, label), "-subj", "/CN=localhost", "-out", made, env=configured)
    assert "verify OK" in openssl(token, "req", "-verify", "-noout", "-in", made)


@pytest.fixture(params=["rsa_key", "ec_key"])
def tls_server(
    token: Initialised, configured: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[int, Path]]:
    """Run `openssl s_server` with a key of the token; yield its port and its certificate."""
    label, certificate, port = request.getfixturevalue(request.param), tmp_path / "server.pem", free_port()
    run(
        "openssl", "req", "-new", "-x509", "-days", "2", *_key(token, label), "-subj", "/CN=localhost",
        "-out", certificate, env=configured,
    )  # fmt: skip
    command = ("openssl", "s_server", *_key(token, label), "-cert", certificate, "-accept", f"127.0.0.1:{port}", "-www")
    with beside(*command, env=configured, log=tmp_path / "s_server.log", ready=lambda: listening(port)):
        yield port, certificate


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_tls_server_serves_with_a_token_key(
    token: Initialised, tls_server: tuple[int, Path], version: str
) -> None:
    """A client that trusts the certificate completes several handshakes, each signed in the token."""
    port, certificate = tls_server
    for _ in range(3):
        said = openssl(
            token, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", version, "-brief",
            "-CAfile", certificate, "-verify_return_error", "-verify_hostname", "localhost",
        )  # fmt: skip
        assert "Verification: OK" in said


def test_a_program_whose_openssl_loads_the_module_works(
    token: Initialised, loaded_at_once: dict[str, str], ec_key: str, message: Path, tmp_path: Path
) -> None:
    """With OPENSSL_CONF naming the module (init = 1) openssl itself signs with a token key."""
    signature = tmp_path / "signature"
    uri = f"pkcs11:token={token.label};object={ec_key};type=private?pin-value={token.pin}"
    words = ("dgst", "-sha256", "-engine", "pkcs11", "-keyform", "engine", "-sign", uri, "-out", signature, message)
    run("openssl", *words, env=loaded_at_once)
    public = public_key(token, "02", tmp_path)
    assert "Verified OK" in openssl(token, "dgst", "-sha256", "-verify", public, "-signature", signature, message)


def test_pkcs11_tool_works_where_openssl_loads_the_module(
    token: Initialised, loaded_at_once: dict[str, str], message: Path, tmp_path: Path
) -> None:
    """OPENSSL_CONF that names the module re-enters it from its own start-up: no hang, and the work is done."""
    here = token._replace(env=loaded_at_once)
    here.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "re-entered", "--id", "31", "--usage-sign")
    signature = tmp_path / "signature"
    chosen = ("--mechanism", "ECDSA", "--id", "31", "--signature-format", "openssl")
    digest = tmp_path / "digest"
    openssl(token, "dgst", "-sha256", "-binary", "-out", digest, message)
    here.tool("--sign", *chosen, "--input-file", digest, "--output-file", signature)
    public = public_key(token, "31", tmp_path)
    assert "Verified OK" in openssl(token, "dgst", "-sha256", "-verify", public, "-signature", signature, message)


def test_a_python_host_works_where_openssl_loads_the_module(
    token: Initialised, loaded_at_once: dict[str, str], message: Path
) -> None:
    """The same in a Python host, whose hashlib reads OPENSSL_CONF too."""
    script = _EXAMPLES / "python_pkcs11_sign.py"
    env = {**loaded_at_once, "PKCS11_PIN": token.pin}
    command = run(sys.executable, script, token.path, token.label, message, env=env).strip().splitlines()[-1]
    assert "Verified OK" in openssl(token, *command.split()[1:])

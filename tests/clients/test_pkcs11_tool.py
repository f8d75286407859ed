"""OpenSC's pkcs11-tool: a C host that loads the module anew for every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import run
from tokens import Initialised, openssl, public_key


def _read_out(token: Initialised, key_id: str, directory: Path) -> Path:
    """Read an RSA or Ed25519 public key out of the token, and return it as a file that openssl takes."""
    path = directory / f"{key_id}.public"
    token.tool("--read-object", "--type", "pubkey", "--id", key_id, "--output-file", path)
    return path


def test_a_token_is_initialised_and_listed(token: Initialised) -> None:
    """Init-token and init-pin leave a token that any process lists with its label and state."""
    listed = run("pkcs11-tool", "--module", token.path, "--list-token-slots", env=token.env)
    assert "Tests" in listed
    assert "login required" in listed
    assert "token initialized, PIN initialized" in listed


def test_mechanisms_are_listed(token: Initialised) -> None:
    """The mechanism list has the mechanisms nearly every application uses, by names that pkcs11-tool knows."""
    listed = token.tool("--list-mechanisms")
    for name in ("SHA256-RSA-PKCS,", "ECDSA,", "EDDSA,", "AES-GCM,", "AES-CBC-PAD,", "ECDH1-DERIVE,"):
        assert name in listed, listed


def test_its_own_tests_find_no_error(token: Initialised, rsa_key: str, ec_key: str) -> None:
    """`pkcs11-tool --test` tries random numbers, digests, signatures, decryption and wrapping."""
    if not token.module.ours:
        pytest.skip("SoftHSM2 has RSA-OAEP with SHA-1 only, which pkcs11-tool counts as an error")
    said = token.tool("--test")
    assert "No errors" in said
    assert 5 <= sum(line.startswith("    ") and line.endswith(": OK") for line in said.splitlines())


def test_its_own_tests_find_no_error_without_a_login(token: Initialised) -> None:
    """The part that needs no key: random numbers and digests."""
    said = run("pkcs11-tool", "--module", token.path, "--token-label", token.label, "--test", env=token.env)
    assert "all 4 digest functions seem to work" in said
    assert "No errors" in said


def test_its_own_elliptic_curve_tests_find_no_error(token: Initialised) -> None:
    """`pkcs11-tool --test-ec` makes a key pair and signs with it."""
    if not token.module.ours:
        pytest.skip("SoftHSM2 lacks CKM_ECDSA_SHA1")
    token.tool("--session-rw", "--test-ec", "--id", "11", "--label", "test-ec", "--key-type", "EC:secp384r1")


def test_a_forked_child_initialises_the_module_anew(token: Initialised) -> None:
    """`pkcs11-tool --test-fork` calls C_Initialize in a child of the initialised process."""
    if not token.module.ours:
        pytest.skip("SoftHSM2 answers CKR_CRYPTOKI_ALREADY_INITIALIZED in the child")
    token.tool("--test-fork")


def test_the_user_pin_is_changed(token: Initialised) -> None:
    """After a change the old PIN is refused and the new one accepted."""
    token.tool("--change-pin", "--new-pin", "another-5678")
    assert "CKR_PIN_INCORRECT" in token.tool("--list-objects", expect=1)
    token._replace(pin="another-5678").tool("--list-objects")


def test_an_rsa_signature_verifies_with_openssl(
    token: Initialised, rsa_key: str, message: Path, tmp_path: Path
) -> None:
    """RSA PKCS #1 v1.5 with the hash in the token; also what pkcs11-tool itself verifies."""
    signature = tmp_path / "signature"
    chosen = ("--mechanism", "SHA256-RSA-PKCS", "--id", "01", "--input-file", message)
    token.tool("--sign", *chosen, "--output-file", signature)
    assert "Signature is valid" in token.tool("--verify", *chosen, "--signature-file", signature)
    public = _read_out(token, "01", tmp_path)
    verified = openssl(token, "dgst", "-sha256", "-verify", public, "-signature", signature, message)
    assert "Verified OK" in verified


def test_a_pss_signature_verifies_with_openssl(token: Initialised, rsa_key: str, message: Path, tmp_path: Path) -> None:
    """RSA-PSS with SHA-256 and a salt as long as the hash."""
    signature = tmp_path / "signature"
    token.tool(
        "--sign", "--mechanism", "SHA256-RSA-PKCS-PSS", "--id", "01",
        "--input-file", message, "--output-file", signature,
    )  # fmt: skip
    public = _read_out(token, "01", tmp_path)
    padding = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
    assert "Verified OK" in openssl(
        token, "dgst", "-sha256", *padding, "-verify", public, "-signature", signature, message
    )


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_an_ecdsa_signature_verifies_with_openssl(
    token: Initialised, curve: str, message: Path, tmp_path: Path
) -> None:
    """ECDSA over a hash made outside, written as OpenSSL's sequence."""
    token.tool("--keypairgen", "--key-type", f"EC:{curve}", "--label", "ec", "--id", "02", "--usage-sign")
    digest, signature = tmp_path / "digest", tmp_path / "signature"
    openssl(token, "dgst", "-sha256", "-binary", "-out", digest, message)
    token.tool(
        "--sign", "--mechanism", "ECDSA", "--id", "02", "--signature-format", "openssl",
        "--input-file", digest, "--output-file", signature,
    )  # fmt: skip
    public = public_key(token, "02", tmp_path)
    assert "Verified OK" in openssl(token, "dgst", "-sha256", "-verify", public, "-signature", signature, message)


def test_ecdsa_with_the_hash_in_the_token_verifies_with_openssl(
    token: Initialised, ec_key: str, message: Path, tmp_path: Path
) -> None:
    """ECDSA_SHA256."""
    if not token.module.ours:
        pytest.skip("SoftHSM2 lacks CKM_ECDSA_SHA256")
    signature = tmp_path / "signature"
    token.tool(
        "--sign", "--mechanism", "ECDSA-SHA256", "--id", "02", "--signature-format", "openssl",
        "--input-file", message, "--output-file", signature,
    )  # fmt: skip
    public = public_key(token, "02", tmp_path)
    assert "Verified OK" in openssl(token, "dgst", "-sha256", "-verify", public, "-signature", signature, message)


def test_an_ed25519_signature_verifies(token: Initialised, ed_key: str, message: Path, tmp_path: Path) -> None:
    """Ed25519, verified by pkcs11-tool through the module and by openssl outside of it."""
    signature = tmp_path / "signature"
    chosen = ("--mechanism", "EDDSA", "--id", "03", "--input-file", message)
    token.tool("--sign", *chosen, "--output-file", signature)
    assert "Signature is valid" in token.tool("--verify", *chosen, "--signature-file", signature)
    public = _read_out(token, "03", tmp_path)
    verified = openssl(
        token, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", message, "-sigfile", signature
    )
    assert "Signature Verified Successfully" in verified


def test_what_openssl_encrypted_is_decrypted(token: Initialised, rsa_key: str, tmp_path: Path) -> None:
    """RSA PKCS #1 v1.5 and OAEP with SHA-1; with SHA-256 on ours."""
    public = _read_out(token, "01", tmp_path)
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    plain.write_bytes(b"a secret of 24 bytes ...")
    ways = [("RSA-PKCS", (), ()), _oaep("SHA-1", "sha1")]
    if token.module.ours:
        ways.append(_oaep("SHA256", "sha256"))
    for mechanism, options, padding in ways:
        openssl(token, "pkeyutl", "-encrypt", "-pubin", "-inkey", public, *padding, "-in", plain, "-out", sealed)
        token.tool(
            "--decrypt", "--mechanism", mechanism, *options, "--id", "01",
            "--input-file", sealed, "--output-file", opened,
        )  # fmt: skip
        assert plain.read_bytes() == opened.read_bytes()


def _oaep(name: str, openssl_name: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return mechanism, pkcs11-tool's options and openssl's options of OAEP with a hash."""
    padding = ("rsa_padding_mode:oaep", f"rsa_oaep_md:{openssl_name}", f"rsa_mgf1_md:{openssl_name}")
    return "RSA-PKCS-OAEP", ("--hash-algorithm", name), tuple(word for item in padding for word in ("-pkeyopt", item))


@pytest.mark.parametrize("mechanism", ["ECDH1-DERIVE", "ECDH1-COFACTOR-DERIVE"])
def test_ecdh_gives_the_secret_that_openssl_derives(
    token: Initialised, ec_key: str, mechanism: str, tmp_path: Path
) -> None:
    """ECDH with a peer's public key; P-256 has the cofactor 1."""
    if not token.module.ours and mechanism != "ECDH1-DERIVE":
        pytest.skip("SoftHSM2 lacks CKM_ECDH1_COFACTOR_DERIVE")
    peer, peer_public, ours, theirs = (tmp_path / name for name in ("peer", "peer.der", "ours", "theirs"))
    openssl(token, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", peer)
    openssl(token, "pkey", "-in", peer, "-pubout", "-outform", "DER", "-out", peer_public)
    token.tool("--derive", "--mechanism", mechanism, "--id", "02", "--input-file", peer_public, "--output-file", ours)
    public = public_key(token, "02", tmp_path)
    openssl(token, "pkeyutl", "-derive", "-inkey", peer, "-peerkey", public, "-out", theirs)
    assert theirs.read_bytes() == ours.read_bytes()


@pytest.mark.parametrize("mechanism", ["AES-ECB", "AES-CBC", "AES-CBC-PAD"])
def test_what_is_encrypted_is_decrypted_by_openssl(token: Initialised, mechanism: str, tmp_path: Path) -> None:
    """The modes that this pkcs11-tool has, with a key whose value openssl is told."""
    made = token.tool("--keygen", "--key-type", "AES:32", "--label", "encrypts", "--id", "04", "--extractable")
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    plain.write_bytes(bytes(range(64)))
    initial = () if mechanism == "AES-ECB" else ("--iv", "0f" * 16)
    chosen = ("--mechanism", mechanism, "--id", "04", *initial)
    token.tool("--encrypt", *chosen, "--input-file", plain, "--output-file", sealed)
    token.tool("--decrypt", *chosen, "--input-file", sealed, "--output-file", opened)
    assert plain.read_bytes() == opened.read_bytes()
    cipher = "-aes-256-ecb" if mechanism == "AES-ECB" else "-aes-256-cbc"
    padding = () if mechanism.endswith("PAD") else ("-nopad",)
    with_iv = ("-iv", "0f" * 16) if initial else ()
    openssl(token, "enc", "-d", cipher, *padding, "-K", _value(made), *with_iv, "-in", sealed, "-out", opened)
    assert plain.read_bytes() == opened.read_bytes()


@pytest.mark.parametrize("hashed", ["SHA256", "SHA512", "SHA3-256"])
def test_an_hmac_is_that_of_openssl(token: Initialised, hashed: str, message: Path, tmp_path: Path) -> None:
    """A generic secret signs and verifies; openssl knows its value."""
    if not token.module.ours:
        pytest.skip("SoftHSM2 shows no value of a generic secret")
    key = ("--keygen", "--key-type", "GENERIC:32", "--label", "mac", "--id", "08", "--usage-sign", "--extractable")
    made = token.tool(*key)
    signature = tmp_path / "signature"
    chosen = ("--mechanism", f"{hashed}-HMAC", "--id", "08", "--input-file", message)
    token.tool("--sign", *chosen, "--output-file", signature)
    assert "Signature is valid" in token.tool("--verify", *chosen, "--signature-file", signature)
    said = openssl(token, "dgst", f"-{hashed.lower()}", "-mac", "HMAC", "-macopt", f"hexkey:{_value(made)}", message)
    assert signature.read_bytes().hex() == said.split()[-1]


@pytest.mark.parametrize("mechanism", ["RSA-PKCS", "AES-KEY-WRAP"])
def test_a_wrapped_key_unwraps_to_the_same_key(
    token: Initialised, rsa_key: str, mechanism: str, tmp_path: Path
) -> None:
    """What was wrapped with a token key and unwrapped again has the value it had."""
    token.tool("--keygen", "--key-type", "AES:32", "--label", "wrapping", "--id", "05", "--usage-wrap")
    made = token.tool("--keygen", "--key-type", "AES:32", "--label", "travels", "--id", "06", "--extractable")
    wrapped = tmp_path / "wrapped"
    chosen = ("--mechanism", mechanism, "--id", "01" if mechanism == "RSA-PKCS" else "05")
    token.tool("--wrap", *chosen, "--application-id", "06", "--output-file", wrapped)
    unwrapped = token.tool(
        "--unwrap", *chosen, "--application-id", "07", "--key-type", "AES:", "--extractable", "--input-file", wrapped
    )
    assert _value(made) == _value(unwrapped)


def _value(said: str) -> str:
    """Return the key value that pkcs11-tool shows of an extractable secret key."""
    return next(line.split()[1] for line in said.splitlines() if "VALUE:" in line)


def test_a_certificate_is_written_listed_read_and_deleted(token: Initialised, tmp_path: Path) -> None:
    """An X.509 certificate object keeps its bytes, subject, label and id."""
    key, certificate, read = tmp_path / "key", tmp_path / "certificate", tmp_path / "read"
    config = tmp_path / "req.cnf"
    config.write_text("[req]\ndistinguished_name = subject\n[subject]\n", encoding="ascii")
    openssl(
        token, "req", "-config", config, "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=certificate test",
        "-keyout", key, "-outform", "DER", "-out", certificate,
    )  # fmt: skip
    token.tool("--write-object", certificate, "--type", "cert", "--label", "the certificate", "--id", "0a")
    listed = token.tool("--list-objects", "--type", "cert")
    assert "the certificate" in listed
    assert "CN=certificate test" in listed
    token.tool("--read-object", "--type", "cert", "--id", "0a", "--output-file", read)
    assert certificate.read_bytes() == read.read_bytes()
    token.tool("--delete-object", "--type", "cert", "--id", "0a")
    assert "the certificate" not in token.tool("--list-objects", "--type", "cert")


def test_a_private_key_is_written_and_signs(token: Initialised, message: Path, tmp_path: Path) -> None:
    """A key pair made by openssl and imported gives signatures that openssl verifies."""
    key, der, public, signature = (tmp_path / name for name in ("key", "der", "public", "signature"))
    openssl(token, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    openssl(token, "pkey", "-in", key, "-outform", "DER", "-out", der)
    openssl(token, "pkey", "-in", key, "-pubout", "-out", public)
    token.tool("--write-object", der, "--type", "privkey", "--label", "imported", "--id", "0b", "--usage-sign")
    token.tool(
        "--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", "0b", "--input-file", message, "--output-file", signature
    )
    assert "Verified OK" in openssl(token, "dgst", "-sha256", "-verify", public, "-signature", signature, message)


def test_a_data_object_is_written_and_read(token: Initialised, message: Path, tmp_path: Path) -> None:
    """A private data object keeps its bytes."""
    read = tmp_path / "read"
    token.tool("--write-object", message, "--type", "data", "--label", "note", "--private")
    token.tool("--read-object", "--type", "data", "--label", "note", "--output-file", read)
    assert message.read_bytes() == read.read_bytes()


def test_random_bytes_are_generated(token: Initialised, tmp_path: Path) -> None:
    """C_GenerateRandom gives as many bytes as asked for, and others the next time."""
    first, second = tmp_path / "first", tmp_path / "second"
    token.tool("--generate-random", "64", "--output-file", first)
    token.tool("--generate-random", "64", "--output-file", second)
    assert 64 == len(first.read_bytes()) == len(second.read_bytes())
    assert first.read_bytes() != second.read_bytes()

"""RSA signatures and encryption against the published vectors, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asymmetric import HASHES, blocks, dumps, integer, refusal, rsa_private, rsa_public
from cryptography.hazmat.primitives.asymmetric import rsa
from drivers import Driver, MechanismDriver, secret

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKR, CKZ
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Oaep, Pss
from ptkc.spec.values import Attributes, ulong

_RSA = "asymmetric/RSA"
_PKCS1 = {name: getattr(CKM, f"{name}_RSA_PKCS") for name in HASHES}
_PSS = {name: getattr(CKM, f"{name}_RSA_PKCS_PSS") for name in HASHES}
_MASKS = {name: getattr(CKG, f"MGF1_{name}") for name in HASHES}
_SHA3 = {f"SHA3_{bits}": getattr(CKM, f"SHA3_{bits}") for bits in (224, 256, 384, 512)}
_SHA3_MASKS = {name: getattr(CKG, f"MGF1_{name}") for name in _SHA3}
_OAEP_FILES = [(a.lower(), b.lower()) for a in HASHES for b in HASHES if (a, b) != ("SHA1", "SHA1")]

Pair = tuple[Attributes, Attributes]


def rsa_examples(path: str, result: str) -> Iterator[tuple[Pair, bytes, bytes]]:
    """Yield key pair, message and result of the files that RSA Laboratories published."""
    key: list[bytes] = []
    message = b""
    for name, value in dumps(f"{_RSA}/{path}"):
        if name == "modulus":
            key = [value]
        elif "exponent" in name or name.startswith(("prime", "coefficient")):
            key.append(value)
        elif name.startswith("message"):
            message = value
        elif name == result:
            yield (rsa_public(key[0], key[1]), rsa_private(key)), message, value


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Return a key pair of 2048 bits, the last of RSA Laboratories'."""
    return list(rsa_examples("pkcs-1v2-1d2-vec/oaep-vect.txt", "encryption"))[-1][0]


@pytest.mark.vectors(CKM.SHA1_RSA_PKCS)
def test_pkcs1_signatures_are_those_of_the_examples(driver: Driver) -> None:
    """CKM_SHA1_RSA_PKCS gives RSA Laboratories' signatures for moduli of many lengths, in one part and in several."""
    for (public, private), message, signature in rsa_examples("pkcs1v15sign-vectors.txt", "signature"):
        assert signature == driver.sign(CKM.SHA1_RSA_PKCS, None, private, message)
        assert signature == driver.sign(CKM.SHA1_RSA_PKCS, None, private, [b"", message[:1], message[1:]])
        driver.verify(CKM.SHA1_RSA_PKCS, None, public, message, signature)
        driver.verify(CKM.SHA1_RSA_PKCS, None, public, [message], signature)


@pytest.mark.vectors(*_PKCS1.values())
def test_pkcs1_signatures_are_checked_as_nist_does(driver: Driver) -> None:
    """Signatures with every hash are accepted and refused as in NIST's vectors, with public exponents of any size."""
    shared: dict[str, str] = {}
    for _, block in blocks(f"{_RSA}/FIPS_186-2/SigVer15_186-3.rsp"):
        if "Result" not in block:
            shared |= block
            continue
        mechanism = _PKCS1[block["SHAAlg"]]
        public = rsa_public(integer(shared["n"]), integer(block["e"]))
        message, signature = bytes.fromhex(block["Msg"]), bytes.fromhex(block["S"])
        if block["Result"].startswith("P"):
            driver.verify(mechanism, None, public, message, signature)
        else:
            with refusal(CKR.SIGNATURE_INVALID):
                driver.verify(mechanism, None, public, message, signature)


@pytest.mark.vectors(*_PSS.values())
def test_pss_signatures_are_checked_as_nist_does(driver: Driver) -> None:
    """PSS signatures with every hash and a salt of 10 bytes are accepted and refused as in NIST's vectors."""
    shared: dict[str, str] = {}
    for _, block in blocks(f"{_RSA}/FIPS_186-2/SigVerPSS_186-3.rsp"):
        if "Result" not in block:
            shared |= block
            continue
        name = block["SHAAlg"]
        parameter = Pss(HASHES[name], _MASKS[name], len(bytes.fromhex(block["SaltVal"])))
        public = rsa_public(integer(shared["n"]), integer(block["e"]))
        message, signature = bytes.fromhex(block["Msg"]), bytes.fromhex(block["S"])
        if block["Result"].startswith("P"):
            driver.verify(_PSS[name], parameter, public, message, signature)
        else:
            with refusal(CKR.SIGNATURE_INVALID):
                driver.verify(_PSS[name], parameter, public, message, signature)


@pytest.mark.vectors(CKM.SHA1_RSA_PKCS_PSS, CKM.RSA_PKCS_PSS)
def test_pss_signatures_of_the_examples_verify(driver: Driver) -> None:
    """RSA Laboratories' PSS signatures verify, by message and by digest; ours over the same messages do too."""
    parameter = Pss(CKM.SHA_1, CKG.MGF1_SHA1, 20)
    for (public, private), message, signature in rsa_examples("pkcs-1v2-1d2-vec/pss-vect.txt", "signature"):
        driver.verify(CKM.SHA1_RSA_PKCS_PSS, parameter, public, message, signature)
        digest = driver.digest(CKM.SHA_1, message)
        driver.verify(CKM.RSA_PKCS_PSS, parameter, public, digest, signature)
        ours = driver.sign(CKM.RSA_PKCS_PSS, parameter, private, digest)
        driver.verify(CKM.SHA1_RSA_PKCS_PSS, parameter, public, [message], ours)


@pytest.mark.parametrize("mask", _MASKS | _SHA3_MASKS)
@pytest.mark.parametrize("name", HASHES | _SHA3)
def test_pss_goes_with_every_hash_and_mask(driver: Driver, pair: Pair, name: str, mask: str) -> None:
    """What PSS with one hash function signs verifies with the same parameter, and not with another salt length.

    It also verifies over the digest, which stands for vectors with SHA-3: nobody has published any.
    """
    public, private = pair
    mechanism = getattr(CKM, f"{name}_RSA_PKCS_PSS")
    parameter = Pss((HASHES | _SHA3)[name], (_MASKS | _SHA3_MASKS)[mask], 32)
    signature = driver.sign(mechanism, parameter, private, b"data")
    driver.verify(mechanism, parameter, public, b"data", signature)
    driver.verify(CKM.RSA_PKCS_PSS, parameter, public, driver.digest(parameter.hash, b"data"), signature)
    with refusal(CKR.SIGNATURE_INVALID):
        driver.verify(mechanism, parameter._replace(salt_len=31), public, b"data", signature)


def test_pss_parameters_are_checked(driver: Driver, pair: Pair) -> None:
    """Unknown hashes and masks, a salt that does not fit, and another hash than the mechanism's are refused."""
    private = pair[1]
    good = Pss(CKM.SHA256, CKG.MGF1_SHA256, 222)
    assert len(driver.sign(CKM.SHA256_RSA_PKCS_PSS, good, private, b"")) == 256
    for bad in ({"salt_len": 223}, {"salt_len": 2**64 - 1}, {"hash": CKM.MD5}, {"mgf": 0}, {"hash": CKM.SHA512}):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.sign(CKM.SHA256_RSA_PKCS_PSS, good._replace(**bad), private, b"")


def test_pss_takes_a_digest_of_its_hash_only(driver: Driver, pair: Pair) -> None:
    """CKM_RSA_PKCS_PSS refuses input that is not as long as the hash."""
    parameter = Pss(CKM.SHA256, CKG.MGF1_SHA256, 32)
    for size in (0, 31, 33):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.sign(CKM.RSA_PKCS_PSS, parameter, pair[1], bytes(size))
        with refusal(CKR.DATA_LEN_RANGE):
            driver.verify(CKM.RSA_PKCS_PSS, parameter, pair[0], bytes(size), bytes(256))


@pytest.mark.parametrize("name", _SHA3)
def test_pkcs1_with_sha3_verifies(driver: Driver, pair: Pair, name: str) -> None:
    """CKM_SHA3_*_RSA_PKCS verifies what it signed, and nothing else."""
    mechanism = getattr(CKM, f"{name}_RSA_PKCS")
    signature = driver.sign(mechanism, None, pair[1], b"data")
    driver.verify(mechanism, None, pair[0], [b"da", b"ta"], signature)
    with refusal(CKR.SIGNATURE_INVALID):
        driver.verify(mechanism, None, pair[0], b"date", signature)


def test_pkcs1_signs_any_bytes_that_fit(driver: Driver, pair: Pair) -> None:
    """CKM_RSA_PKCS signs 0 to k-11 bytes as they are; a DigestInfo gives what CKM_SHA256_RSA_PKCS gives."""
    public, private = pair
    for size in (0, 1, 20, 36, 245):
        signature = driver.sign(CKM.RSA_PKCS, None, private, b"x" * size)
        driver.verify(CKM.RSA_PKCS, None, public, b"x" * size, signature)
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.RSA_PKCS, None, public, b"y" * (size or 1), signature)
    with refusal(CKR.DATA_LEN_RANGE):
        driver.sign(CKM.RSA_PKCS, None, private, b"x" * 246)
    info = bytes.fromhex("3031300d060960864801650304020105000420") + driver.digest(CKM.SHA256, b"data")
    expected = driver.sign(CKM.SHA256_RSA_PKCS, None, private, b"data")
    assert expected == driver.sign(CKM.RSA_PKCS, None, private, info)


def test_signatures_of_another_length_are_refused_as_such(driver: Driver, pair: Pair) -> None:
    """A signature that is not as long as the modulus is CKR_SIGNATURE_LEN_RANGE."""
    parameter = Pss(CKM.SHA256, CKG.MGF1_SHA256, 32)
    for size in (0, 255, 257):
        for mechanism, given in ((CKM.RSA_PKCS, None), (CKM.SHA256_RSA_PKCS, None), (CKM.RSA_PKCS_PSS, parameter)):
            with refusal(CKR.SIGNATURE_LEN_RANGE):
                driver.verify(mechanism, given, pair[0], bytes(32), bytes(size))


@pytest.mark.vectors(CKM.RSA_PKCS)
def test_pkcs1_decrypts_the_examples(driver: Driver) -> None:
    """CKM_RSA_PKCS decrypts RSA Laboratories' ciphertexts, and its own."""
    for (public, private), message, encrypted in rsa_examples("pkcs1v15crypt-vectors.txt", "encryption"):
        assert message == driver.decrypt(CKM.RSA_PKCS, None, private, encrypted)
        assert message == driver.decrypt(
            CKM.RSA_PKCS, None, private, driver.encrypt(CKM.RSA_PKCS, None, public, message)
        )


@pytest.mark.vectors(CKM.RSA_PKCS_OAEP)
def test_oaep_decrypts_the_examples(driver: Driver) -> None:
    """OAEP with SHA-1 decrypts RSA Laboratories' ciphertexts, for moduli of many lengths."""
    parameter = Oaep(CKM.SHA_1, CKG.MGF1_SHA1, CKZ.DATA_SPECIFIED, b"")
    for (_, private), message, encrypted in rsa_examples("pkcs-1v2-1d2-vec/oaep-vect.txt", "encryption"):
        assert message == driver.decrypt(CKM.RSA_PKCS_OAEP, parameter, private, encrypted)


@pytest.mark.vectors(CKM.RSA_PKCS_OAEP)
@pytest.mark.parametrize(("mask", "name"), _OAEP_FILES)
def test_oaep_decrypts_the_examples_with_two_hashes(driver: Driver, name: str, mask: str) -> None:
    """OAEP with another hash function for the mask decrypts the vectors that `cryptography` publishes."""
    parameter = Oaep(HASHES[name.upper()], _MASKS[mask.upper()], CKZ.DATA_SPECIFIED, b"")
    for (_, private), message, encrypted in rsa_examples(f"oaep-custom/oaep-{mask}-{name}.txt", "encryption"):
        assert message == driver.decrypt(CKM.RSA_PKCS_OAEP, parameter, private, encrypted)


@pytest.mark.parametrize("label", [b"", b"label"])
@pytest.mark.parametrize("mask", _MASKS | _SHA3_MASKS)
@pytest.mark.parametrize("name", _SHA3)
def test_oaep_with_sha3_opens_what_it_seals(driver: Driver, pair: Pair, name: str, mask: str, label: bytes) -> None:
    """OAEP with SHA-3, which libcrypto does, opens its own ciphertexts and no others."""
    parameter = Oaep(_SHA3[name], (_MASKS | _SHA3_MASKS)[mask], CKZ.DATA_SPECIFIED, label)
    for message in (b"", b"x", b"x" * (254 - 2 * int(name[-3:]) // 8)):
        encrypted = driver.encrypt(CKM.RSA_PKCS_OAEP, parameter, pair[0], message)
        assert message == driver.decrypt(CKM.RSA_PKCS_OAEP, parameter, pair[1], encrypted)
        with refusal(CKR.ENCRYPTED_DATA_INVALID):
            driver.decrypt(CKM.RSA_PKCS_OAEP, parameter._replace(label=b"other"), pair[1], encrypted)


def test_encryption_refuses_what_does_not_fit(driver: Driver, pair: Pair) -> None:
    """Plaintexts that are too long, and ciphertexts of another length than the modulus, are refused as such."""
    public, private = pair
    parameter = Oaep(CKM.SHA256, CKG.MGF1_SHA256, CKZ.DATA_SPECIFIED, b"")
    for mechanism, given, longest in ((CKM.RSA_PKCS, None, 245), (CKM.RSA_PKCS_OAEP, parameter, 190)):
        encrypted = driver.encrypt(mechanism, given, public, bytes(longest))
        assert bytes(longest) == driver.decrypt(mechanism, given, private, encrypted)
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(mechanism, given, public, bytes(longest + 1))
        for size in (0, 255, 257):
            with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
                driver.decrypt(mechanism, given, private, bytes(size))
        with refusal(CKR.ENCRYPTED_DATA_INVALID):
            driver.decrypt(mechanism, given, private, b"\xff" * 256)


def test_bad_pkcs1_padding_is_not_told(driver: Driver, pair: Pair) -> None:
    """A ciphertext without PKCS #1 padding decrypts to the same random bytes each time, and is no error."""
    once = driver.decrypt(CKM.RSA_PKCS, None, pair[1], bytes(255) + b"\2")
    assert once == driver.decrypt(CKM.RSA_PKCS, None, pair[1], bytes(255) + b"\2")


def test_oaep_parameters_are_checked(driver: Driver, pair: Pair) -> None:
    """Unknown hashes, masks and sources are refused."""
    good = Oaep(CKM.SHA256, CKG.MGF1_SHA256, CKZ.DATA_SPECIFIED, b"")
    for bad in ({"hash": CKM.MD5}, {"mgf": 99}, {"source": 2}, {"source": 0, "label": b"label"}):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.encrypt(CKM.RSA_PKCS_OAEP, good._replace(**bad), pair[0], b"")


@pytest.mark.vectors(CKM.RSA_X_509)
def test_raw_rsa_is_the_operation_itself(driver: Driver) -> None:
    """CKM_RSA_X_509 of a padded block gives RSA Laboratories' signature, and takes it back."""
    (public, private), message, signature = next(rsa_examples("pkcs1v15sign-vectors.txt", "signature"))
    info = bytes.fromhex("3021300906052b0e03021a05000414") + driver.digest(CKM.SHA_1, message)
    block = b"\0\1" + b"\xff" * (128 - 3 - len(info)) + b"\0" + info
    assert signature == driver.sign(CKM.RSA_X_509, None, private, block)
    assert signature == driver.sign(CKM.RSA_X_509, None, private, block[1:])
    assert block == driver.encrypt(CKM.RSA_X_509, None, public, signature)
    driver.verify(CKM.RSA_X_509, None, public, block, signature)
    with refusal(CKR.SIGNATURE_INVALID):
        driver.verify(CKM.RSA_X_509, None, public, block[:-1], signature)
    encrypted = driver.encrypt(CKM.RSA_X_509, None, public, b"data")
    assert b"data".rjust(128, b"\0") == driver.decrypt(CKM.RSA_X_509, None, private, encrypted)


def test_raw_rsa_refuses_numbers_that_are_too_large(driver: Driver, pair: Pair) -> None:
    """What is longer than the modulus, or not below it, has its own codes."""
    public, private = pair
    with refusal(CKR.DATA_LEN_RANGE):
        driver.sign(CKM.RSA_X_509, None, private, bytes(257))
    with refusal(CKR.DATA_INVALID):
        driver.sign(CKM.RSA_X_509, None, private, b"\xff" * 256)
    with refusal(CKR.DATA_INVALID):
        driver.encrypt(CKM.RSA_X_509, None, public, public[CKA.MODULUS])
    with refusal(CKR.ENCRYPTED_DATA_INVALID):
        driver.decrypt(CKM.RSA_X_509, None, private, b"\xff" * 256)
    with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
        driver.decrypt(CKM.RSA_X_509, None, private, bytes(255))
    with refusal(CKR.SIGNATURE_INVALID):
        driver.verify(CKM.RSA_X_509, None, public, b"data", b"\xff" * 256)


@pytest.mark.parametrize("value", [bytes(range(16)), bytes(range(1, 33))])
def test_keys_are_wrapped(driver: Driver, pair: Pair, value: bytes) -> None:
    """An AES key comes back from under CKM_RSA_PKCS and OAEP, with zeros in its front too."""
    template = {CKA.KEY_TYPE: ulong(CKK.AES), CKA.VALUE_LEN: ulong(len(value))}
    oaep = Oaep(CKM.SHA256, CKG.MGF1_SHA1, CKZ.DATA_SPECIFIED, b"label")
    for mechanism, parameter in ((CKM.RSA_PKCS, None), (CKM.RSA_PKCS_OAEP, oaep)):
        wrapped = driver.wrap(mechanism, parameter, pair[0], secret(CKK.AES, value))
        assert value == driver.unwrap(mechanism, parameter, pair[1], wrapped, template)[CKA.VALUE]


def test_raw_rsa_unwraps_to_the_length_in_the_template(driver: Driver, pair: Pair) -> None:
    """CKM_RSA_X_509 gives CKA_VALUE_LEN bytes from the end, and refuses to shorten what was wrapped."""
    value = bytes(range(16))
    wrapped = driver.wrap(CKM.RSA_X_509, None, pair[0], secret(CKK.AES, value))

    def unwrap(length: int | None) -> bytes:
        template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
        if length is not None:
            template[CKA.VALUE_LEN] = ulong(length)
        return driver.unwrap(CKM.RSA_X_509, None, pair[1], wrapped, template)[CKA.VALUE]

    assert value == unwrap(16)
    assert value.rjust(256, b"\0") == unwrap(None)
    with refusal(CKR.WRAPPED_KEY_INVALID):
        unwrap(8)
    with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
        unwrap(257)


def test_wrapping_has_codes_of_its_own(driver: Driver, pair: Pair) -> None:
    """A key that is too long is CKR_KEY_SIZE_RANGE; a wrapped key that is none has C_UnwrapKey's codes."""
    oaep = Oaep(CKM.SHA256, CKG.MGF1_SHA256, CKZ.DATA_SPECIFIED, b"")
    for mechanism, parameter in ((CKM.RSA_PKCS, None), (CKM.RSA_PKCS_OAEP, oaep)):
        with refusal(CKR.KEY_SIZE_RANGE):
            driver.wrap(mechanism, parameter, pair[0], secret(CKK.GENERIC_SECRET, bytes(246)))
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            driver.unwrap(mechanism, parameter, pair[1], bytes(255), {CKA.KEY_TYPE: ulong(CKK.AES)})
        with refusal(CKR.WRAPPED_KEY_INVALID):
            driver.unwrap(mechanism, parameter, pair[1], b"\xff" * 256, {CKA.KEY_TYPE: ulong(CKK.AES)})


def test_a_modulus_too_short_for_the_digest_is_refused(driver: Driver) -> None:
    """A key of 512 bits cannot sign SHA-512 with PKCS #1 or PSS, nor encrypt with OAEP and SHA-256."""
    numbers = rsa.RSAPublicNumbers(65537, 2**511 + 1)
    public = rsa_public(numbers.n.to_bytes(64, "big"), b"\1\0\1")
    with refusal(CKR.KEY_SIZE_RANGE):
        driver.verify(CKM.SHA512_RSA_PKCS, None, public, b"", bytes(64))
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.verify(CKM.SHA512_RSA_PKCS_PSS, Pss(CKM.SHA512, CKG.MGF1_SHA512, 0), public, b"", bytes(64))
    with refusal(CKR.KEY_SIZE_RANGE):
        driver.encrypt(CKM.RSA_PKCS_OAEP, Oaep(CKM.SHA256, CKG.MGF1_SHA256, 1, b""), public, b"")


def test_refusals_never_hold_data(pair: Pair) -> None:
    """The message of a refused plaintext says how long it is, and nothing of what it is."""
    with pytest.raises(CryptokiError) as caught:
        MechanismDriver().encrypt(CKM.RSA_PKCS, None, pair[0], b"secret" * 50)
    assert caught.value.message == "300 bytes, want 0 to 245"

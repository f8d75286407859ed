"""BLAKE2b: the published vectors of the digests, and HMAC by its definition."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from drivers import Driver, secret
from parts import both, refusal
from published import vectors

from ptkc.mechanisms import MECHANISMS, load
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.layouts import MacGeneral
from ptkc.spec.values import ulong

load()

_BITS = (160, 256, 384, 512)
_DIGESTS = {bits: getattr(CKM, f"BLAKE2B_{bits}") for bits in _BITS}
_MACS = {bits: (getattr(CKM, f"BLAKE2B_{bits}_HMAC"), getattr(CKM, f"BLAKE2B_{bits}_HMAC_GENERAL")) for bits in _BITS}
_BLOCK = 128


def sequence(size: int, seed: int) -> bytes:
    """Return the bytes of RFC 7693, appendix E: a Fibonacci generator's."""
    one, other, made = 0xDEAD4BAD * seed % 2**32, 1, bytearray()
    for _ in range(size):
        one, other = other, (one + other) % 2**32
        made.append(other >> 24)
    return bytes(made)


@pytest.mark.vectors(*_DIGESTS.values())
def test_all_digests_pass_the_self_test_of_rfc_7693(driver: Driver) -> None:
    """The digest of digests of 160, 256, 384 and 512 bits is the RFC's; the keyed ones in it are the library's."""
    total = blake2b(digest_size=32)
    for bits, mechanism in _DIGESTS.items():
        size = bits // 8
        for length in (0, 3, 128, 129, 255, 1024):
            data = sequence(length, length)
            single, parted = (driver.digest(mechanism, given) for given in both(data))
            assert single == parted
            total.update(single)
            total.update(blake2b(data, digest_size=size, key=sequence(size, size)).digest())
    assert "c23a7800d98123bd10f506c61e29da5603d763b8bbad2e737f5e765a7bccd475" == total.hexdigest()


@pytest.mark.vectors(CKM.BLAKE2B_512)
def test_the_longest_digest_is_that_of_the_authors(driver: Driver) -> None:
    """BLAKE2b-512 equals the vectors of `cryptography_vectors`."""
    for vector in vectors("hashes/blake2/blake2b.txt"):
        message = bytes.fromhex(vector["msg"])[: int(vector["len"]) // 8]
        for data in both(message):
            assert vector["md"] == driver.digest(CKM.BLAKE2B_512, data).hex()


@pytest.mark.vectors(*(number for numbers in _MACS.values() for number in numbers))
@pytest.mark.parametrize("length", [1, 64, 127, 128, 129, 200])
@pytest.mark.parametrize("bits", _BITS)
def test_hmac_is_made_of_the_digest_as_rfc_2104_says(driver: Driver, bits: int, length: int) -> None:
    """HMAC is the digest of the outer key and the digest of the inner key and the data; nobody published vectors."""
    mechanism, general = _MACS[bits]
    digest, value = _DIGESTS[bits], bytes(range(length))
    short = (driver.digest(digest, value) if length > _BLOCK else value).ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ mask for byte in short) for mask in (0x36, 0x5C))
    message = bytes(range(100))
    expected = driver.digest(digest, outer + driver.digest(digest, inner + message))
    for kind in (CKK.GENERIC_SECRET, getattr(CKK, f"BLAKE2B_{bits}_HMAC")):
        key = secret(kind, value)
        for data in both(message):
            assert expected == driver.sign(mechanism, None, key, data)
            assert expected[:10] == driver.sign(general, MacGeneral(10), key, data)
            driver.verify(mechanism, None, key, data, expected)
            driver.verify(general, MacGeneral(10), key, data, expected[:10])
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(mechanism, None, key, message + b"1", expected)
        for wanted in (0, bits // 8 + 1):
            with refusal(CKR.MECHANISM_PARAM_INVALID):
                driver.sign(general, MacGeneral(wanted), key, message)


@pytest.mark.vectors(*(getattr(CKM, f"BLAKE2B_{bits}_KEY_DERIVE") for bits in _BITS))
@pytest.mark.parametrize("bits", _BITS)
def test_a_derived_key_is_the_digest_of_its_base(driver: Driver, bits: int) -> None:
    """KEY_DERIVE gives the digest of the base key's value, which has vectors, or its beginning."""
    mechanism = getattr(CKM, f"BLAKE2B_{bits}_KEY_DERIVE")
    for value in (b"abc", bytes(range(200))):
        expected = driver.digest(_DIGESTS[bits], value)
        for template in ({}, {CKA.VALUE_LEN: ulong(16)}):
            kind = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
            made = driver.derive(mechanism, None, secret(CKK.GENERIC_SECRET, value), {**kind, **template})
            assert expected[: 16 if template else None] == made[CKA.VALUE]
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        too_long = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET), CKA.VALUE_LEN: ulong(bits // 8 + 1)}
        driver.derive(mechanism, None, secret(CKK.GENERIC_SECRET, b"abc"), too_long)


@pytest.mark.parametrize("bits", _BITS)
def test_another_hash_has_another_key_type(driver: Driver, bits: int) -> None:
    """CKR_KEY_TYPE_INCONSISTENT for the key of another hash function."""
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        driver.sign(_MACS[bits][0], None, secret(CKK.SHA256_HMAC, b"key"), b"data")


@pytest.mark.parametrize("bits", _BITS)
def test_a_generated_key_has_the_length_asked_for(bits: int) -> None:
    """CKA_VALUE_LEN says how long; without it the template is incomplete."""
    generation = MECHANISMS[getattr(CKM, f"BLAKE2B_{bits}_KEY_GEN")]
    assert getattr(CKK, f"BLAKE2B_{bits}_HMAC") == generation.generates
    assert 7 == len(generation.generate(None, {CKA.VALUE_LEN: ulong(7)})[CKA.VALUE])
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        generation.generate(None, {})

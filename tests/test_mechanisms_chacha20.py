"""ChaCha20, ChaCha20-Poly1305 and Poly1305 against the published vectors, and what is refused with which code.

Wycheproof's vectors of the AEAD are run by `conformance.test_wycheproof`.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from conformance.cryptoki import Refused
from conformance.parameters import chacha20_poly1305
from drivers import Driver, secret
from module_driver import ModuleDriver
from parts import both, refusal
from published import Vector, vectors

from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.generic import hash_check_value
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.layouts import ChaCha20, ChaCha20Poly1305
from ptkc.spec.values import ulong

load()

KEY = secret(CKK.CHACHA20, bytes(range(32)))
_WYCHEPROOF = Path(__file__).parent / "vectors" / "wycheproof"

# draft-agl-tls-chacha20poly1305-04, 7: the AEAD with a nonce of 8 bytes.
_ORIGINAL = {
    "key": "4290bcb154173531f314af57f3be3b5006da371ece272afa1b5dbdd1100a1007",
    "nonce": "cd7cf67be39c794a",
    "aad": "87e229d4500845a079c0",
    "plain": "86d09974840bded2a5ca",
    "sealed": "e3e446f7ede9a19b62a4677dabf4e3d24b876bb284753896e1d6",
}


def chacha20(vector: Vector) -> dict[int, bytes]:
    """Return the vector's key."""
    return secret(CKK.CHACHA20, bytes.fromhex(vector["key"]))


# The stream


@pytest.mark.vectors(CKM.CHACHA20)
@pytest.mark.parametrize("original", [False, True])
def test_the_stream_is_that_of_the_rfc(driver: Driver, original: bool) -> None:  # noqa: FBT001 - a parameter
    """ChaCha20 equals RFC 8439's vectors; with a counter of 64 bits the nonce's first half is in the counter."""
    for vector in vectors("ciphers/ChaCha20/rfc7539.txt"):
        nonce = bytes.fromhex(vector["nonce"])
        counter = int(vector["initial_block_counter"]).to_bytes(4, "little")
        parameter = ChaCha20(counter + nonce[:4], nonce[4:]) if original else ChaCha20(counter, nonce)
        plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
        for data in both(plain):
            assert encrypted == driver.encrypt(CKM.CHACHA20, parameter, chacha20(vector), data)
        for data in both(encrypted):
            assert plain == driver.decrypt(CKM.CHACHA20, parameter, chacha20(vector), data)


@pytest.mark.vectors(CKM.CHACHA20)
def test_the_extended_stream_is_in_the_aead_of_wycheproof(driver: Driver) -> None:
    """XChaCha20 from the second block on is what Wycheproof's valid vectors of XChaCha20-Poly1305 encrypt with."""
    tested = 0
    groups = json.loads(lzma.decompress((_WYCHEPROOF / "xchacha20_poly1305_test.json.xz").read_bytes()))["testGroups"]
    for vector in (test for group in groups for test in group["tests"] if test["result"] == "valid"):
        parameter = ChaCha20((1).to_bytes(8, "little"), bytes.fromhex(vector["iv"]))
        encrypted = driver.encrypt(CKM.CHACHA20, parameter, chacha20(vector), bytes.fromhex(vector["msg"]))
        assert vector["ct"] == encrypted.hex()
        tested += 1
    assert tested


def test_a_counter_of_64_bits_goes_on_behind_32(driver: Driver) -> None:
    """Two blocks are those that the counters before and behind the carry give."""
    one, two = (2**32 - 1).to_bytes(8, "little"), (2**32).to_bytes(8, "little")
    single = [driver.encrypt(CKM.CHACHA20, ChaCha20(counter, bytes(8)), KEY, bytes(64)) for counter in (one, two)]
    assert b"".join(single) == driver.encrypt(CKM.CHACHA20, ChaCha20(one, bytes(8)), KEY, bytes(128))


@pytest.mark.parametrize(("bits", "nonce"), [(32, bytes(12)), (64, bytes(8)), (64, bytes(24))])
def test_a_counter_that_would_run_over_is_refused(driver: Driver, bits: int, nonce: bytes) -> None:
    """The last block can be used, and nothing behind it: CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE."""
    last = ChaCha20(b"\xff" * (bits // 8), nonce)
    for data in both(bytes(64)):
        assert 64 == len(driver.encrypt(CKM.CHACHA20, last, KEY, data))
    for data in both(bytes(65)):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(CKM.CHACHA20, last, KEY, data)
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            driver.decrypt(CKM.CHACHA20, last, KEY, data)


@pytest.mark.parametrize(
    ("counter", "nonce"),
    [(0, 0), (0, 12), (4, 0), (4, 8), (4, 24), (8, 12), (4, 16), (8, 16), (16, 0), (5, 12), (8, 25), (4, 11)],
)
def test_other_lengths_of_counter_and_nonce_are_refused(driver: Driver, counter: int, nonce: int) -> None:
    """CKR_MECHANISM_PARAM_INVALID for what is none of the three variants."""
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.encrypt(CKM.CHACHA20, ChaCha20(bytes(counter), bytes(nonce)), KEY, b"")


@pytest.mark.parametrize("size", [1, 16, 32, 100])
def test_a_wrapped_key_comes_back(driver: Driver, size: int) -> None:
    """CKM_CHACHA20 wraps as it encrypts."""
    parameter, value = ChaCha20(bytes(4), bytes(12)), bytes(range(size))
    wrapped = driver.wrap(CKM.CHACHA20, parameter, KEY, secret(CKK.GENERIC_SECRET, value))
    unwrapped = driver.unwrap(CKM.CHACHA20, parameter, KEY, wrapped, {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)})
    assert value == unwrapped[CKA.VALUE]


# The AEAD


@pytest.mark.vectors(CKM.CHACHA20_POLY1305)
def test_the_aead_is_that_of_the_rfc(driver: Driver) -> None:
    """ChaCha20-Poly1305 seals and opens OpenSSL's vectors, which begin with RFC 8439's, and refuses a wrong one."""
    results = set()
    for vector in vectors("ciphers/ChaCha20Poly1305/openssl.txt"):
        parameter = ChaCha20Poly1305(bytes.fromhex(vector["iv"]), bytes.fromhex(vector["aad"]))
        plain, sealed = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"] + vector["tag"])
        results.add("result" in vector)
        if "result" in vector:
            with refusal(CKR.ENCRYPTED_DATA_INVALID):
                driver.decrypt(CKM.CHACHA20_POLY1305, parameter, chacha20(vector), sealed)
            continue
        for data in both(plain):
            assert sealed == driver.encrypt(CKM.CHACHA20_POLY1305, parameter, chacha20(vector), data)
        for data in both(sealed):
            assert plain == driver.decrypt(CKM.CHACHA20_POLY1305, parameter, chacha20(vector), data)
    assert {False, True} == results


@pytest.mark.vectors(CKM.CHACHA20_POLY1305)
def test_the_aead_of_the_draft_is_the_one_with_a_short_nonce(driver: Driver) -> None:
    """With a nonce of 8 bytes it seals and opens the draft's vector."""
    value = {name: bytes.fromhex(given) for name, given in _ORIGINAL.items()}
    key, parameter = secret(CKK.CHACHA20, value["key"]), ChaCha20Poly1305(value["nonce"], value["aad"])
    for data in both(value["plain"]):
        assert value["sealed"] == driver.encrypt(CKM.CHACHA20_POLY1305, parameter, key, data)
    for data in both(value["sealed"]):
        assert value["plain"] == driver.decrypt(CKM.CHACHA20_POLY1305, parameter, key, data)


@pytest.mark.parametrize("nonce", [8, 12, 24])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_whatever_is_changed_is_noticed(driver: Driver, size: int, nonce: int) -> None:
    """CKR_ENCRYPTED_DATA_INVALID for other data, tags, associated data and nonces."""
    parameter = ChaCha20Poly1305(bytes(nonce), b"associated")
    sealed = driver.encrypt(CKM.CHACHA20_POLY1305, parameter, KEY, bytes(size))
    assert bytes(size) == driver.decrypt(CKM.CHACHA20_POLY1305, parameter, KEY, sealed)
    for place in (0, -1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        for data in both(bytes(changed)):
            with refusal(CKR.ENCRYPTED_DATA_INVALID):
                driver.decrypt(CKM.CHACHA20_POLY1305, parameter, KEY, data)
    for other in (parameter._replace(aad=b""), parameter._replace(nonce=b"\1" * nonce)):
        with refusal(CKR.ENCRYPTED_DATA_INVALID):
            driver.decrypt(CKM.CHACHA20_POLY1305, other, KEY, sealed)


@pytest.mark.parametrize("size", [0, 1, 15])
def test_less_than_a_tag_is_refused(driver: Driver, size: int) -> None:
    """CKR_ENCRYPTED_DATA_LEN_RANGE."""
    for data in both(bytes(size)):
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            driver.decrypt(CKM.CHACHA20_POLY1305, ChaCha20Poly1305(bytes(12), b""), KEY, data)


@pytest.mark.parametrize("size", [0, 7, 9, 11, 13, 16, 23, 25, 32])
def test_other_lengths_of_nonce_are_refused(driver: Driver, size: int) -> None:
    """CKR_MECHANISM_PARAM_INVALID when it begins."""
    for run in (driver.encrypt, driver.decrypt):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            run(CKM.CHACHA20_POLY1305, ChaCha20Poly1305(bytes(size), b""), KEY, bytes(16))


@pytest.mark.parametrize("nonce", [8, 12, 24])
def test_the_length_of_a_nonce_is_in_bits_or_bytes(module_driver: ModuleDriver, nonce: int) -> None:
    """`ulNonceLen` counts bits; applications that count bytes say so by a number that no nonce has in bits."""
    session = module_driver.session
    key = session.create({CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.CHACHA20, CKA.VALUE: bytes(32)})
    sealed = [
        session.encrypt(chacha20_poly1305(bytes(nonce), length=length), key, b"data") for length in (8 * nonce, nonce)
    ]
    assert sealed[0] == sealed[1]
    with pytest.raises(Refused) as refused:
        session.encrypt(chacha20_poly1305(bytes(nonce), length=8 * nonce - 1), key, b"data")
    assert CKR.MECHANISM_PARAM_INVALID == refused.value.rv


# The MAC


@pytest.mark.vectors(CKM.POLY1305)
def test_poly1305_is_that_of_the_rfc(driver: Driver) -> None:
    """Poly1305 equals RFC 8439's vectors."""
    tested = 0
    for vector in vectors("poly1305/rfc7539.txt"):
        key, tag = secret(CKK.POLY1305, bytes.fromhex(vector["key"])), bytes.fromhex(vector["tag"])
        for data in both(bytes.fromhex(vector["msg"])):
            assert tag == driver.sign(CKM.POLY1305, None, key, data)
            driver.verify(CKM.POLY1305, None, key, data, tag)
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.POLY1305, None, key, b"x" + bytes.fromhex(vector["msg"]), b"y" * 16)
        with refusal(CKR.SIGNATURE_LEN_RANGE):
            driver.verify(CKM.POLY1305, None, key, b"", tag[:15])
        tested += 1
    assert tested


# Keys


@pytest.mark.parametrize(
    ("kind", "generation"), [(CKK.CHACHA20, CKM.CHACHA20_KEY_GEN), (CKK.POLY1305, CKM.POLY1305_KEY_GEN)]
)
def test_keys_have_256_bits(kind: int, generation: int) -> None:
    """Generated ones need no CKA_VALUE_LEN, and take no other; CKR_ATTRIBUTE_VALUE_INVALID to create others."""
    for template in ({}, {CKA.VALUE_LEN: ulong(32)}):
        made = MECHANISMS[generation].generate(None, template)
        assert (32, ulong(32), hash_check_value(made[CKA.VALUE])) == (
            len(made[CKA.VALUE]), made[CKA.VALUE_LEN], made[CKA.CHECK_VALUE],
        )  # fmt: skip
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        MECHANISMS[generation].generate(None, {CKA.VALUE_LEN: ulong(16)})
    for size in (0, 16, 31, 33):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            KEY_TYPES[kind].check(CKO.SECRET_KEY, secret(kind, bytes(size)))

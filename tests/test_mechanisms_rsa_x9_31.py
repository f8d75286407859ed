"""RSA signatures of X9.31 against NIST's vectors, their key pairs, and what is refused."""

from __future__ import annotations

import hashlib

import pytest
from asymmetric import blocks, imported, integer, refusal, rsa_public
from drivers import Driver

from ptkc.mechanisms import MECHANISMS, load
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.values import Attributes, ulong

load()
pytestmark = pytest.mark.usefixtures("module_driver")

_TRAILERS = {"SHA1": "33cc", "SHA256": "34cc", "SHA384": "36cc", "SHA512": "35cc"}


def _data(name: str, message: bytes) -> bytes:
    """Return the digest with its trailer, as CKM_RSA_X9_31 wants it."""
    return hashlib.new(name.lower(), message).digest() + bytes.fromhex(_TRAILERS[name])


def _pair() -> tuple[Attributes, Attributes]:
    """Return the first key pair of the vectors whose private part they tell."""
    number: dict[str, str] = {}
    for _, block in blocks("asymmetric/RSA/FIPS_186-2/SigVerRSA.rsp"):
        number |= block
        if "p" in number and block.get("Result", "").startswith("P"):
            material = {
                CKA.MODULUS: integer(number["n"]), CKA.PUBLIC_EXPONENT: integer(number["e"]),
                CKA.PRIVATE_EXPONENT: integer(number["d"]),
            }  # fmt: skip
            return (
                rsa_public(material[CKA.MODULUS], material[CKA.PUBLIC_EXPONENT]),
                imported(CKO.PRIVATE_KEY, CKK.RSA, material),
            )
    raise AssertionError


@pytest.mark.vectors(CKM.RSA_X9_31, CKM.SHA1_RSA_X9_31)
@pytest.mark.parametrize("file", ["SigGenRSA.rsp", "SigVerRSA.rsp"])
def test_x9_31_signatures_are_checked_as_nist_does(driver: Driver, file: str) -> None:
    """Signatures with every hash function are accepted and refused as in NIST's vectors."""
    number: dict[str, str] = {}
    seen = 0
    for _, block in blocks(f"asymmetric/RSA/FIPS_186-2/{file}"):
        number |= block
        if "Msg" not in block:
            continue
        good = block.get("Result", "P").startswith("P")
        public = rsa_public(integer(number["n"]), integer(number["e"]))
        name, message, signature = block["SHAAlg"], bytes.fromhex(block["Msg"]), bytes.fromhex(block["S"])
        checks = [(CKM.RSA_X9_31, _data(name, message))]
        checks += [(CKM.SHA1_RSA_X9_31, message), (CKM.SHA1_RSA_X9_31, [message[:3], message[3:]])] * (name == "SHA1")
        for mechanism, data in checks:
            if good:
                driver.verify(mechanism, None, public, data, signature)
            else:
                with refusal(CKR.SIGNATURE_INVALID):
                    driver.verify(mechanism, None, public, data, signature)
        seen += good
    assert seen >= 10


@pytest.mark.vectors(CKM.RSA_X9_31, CKM.SHA1_RSA_X9_31)
def test_x9_31_signs_as_nist_does(driver: Driver) -> None:
    """With the private keys that the vectors tell, the good signatures come out."""
    number: dict[str, str] = {}
    seen = 0
    for _, block in blocks("asymmetric/RSA/FIPS_186-2/SigVerRSA.rsp"):
        number |= block
        if not block.get("Result", "").startswith("P"):
            continue
        material = {
            CKA.MODULUS: integer(number["n"]), CKA.PUBLIC_EXPONENT: integer(number["e"]),
            CKA.PRIVATE_EXPONENT: integer(number["d"]),
        }  # fmt: skip
        private = imported(CKO.PRIVATE_KEY, CKK.RSA, material)
        message, signature = bytes.fromhex(block["Msg"]), bytes.fromhex(block["S"])
        assert signature == driver.sign(CKM.RSA_X9_31, None, private, _data(block["SHAAlg"], message))
        if block["SHAAlg"] == "SHA1":
            assert signature == driver.sign(CKM.SHA1_RSA_X9_31, None, private, message)
            assert signature == driver.sign(CKM.SHA1_RSA_X9_31, None, private, [b"", message])
        seen += 1
    assert seen >= 10


def test_x9_31_gives_the_smaller_signature_and_takes_both(driver: Driver) -> None:
    """The complement to the modulus verifies too, nothing else does."""
    public, private = _pair()
    data = _data("SHA256", b"message")
    signature = driver.sign(CKM.RSA_X9_31, None, private, data)
    size, modulus = len(signature), int.from_bytes(public[CKA.MODULUS], "big")
    smaller = int.from_bytes(signature, "big")
    assert 2 * smaller < modulus
    driver.verify(CKM.RSA_X9_31, None, public, data, (modulus - smaller).to_bytes(size, "big"))
    for number in (smaller + 1, modulus, 0, 1, 256**size - 1):
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(CKM.RSA_X9_31, None, public, data, number.to_bytes(size, "big"))
    for wrong in (signature[1:], signature + b"\0", b""):
        with refusal(CKR.SIGNATURE_LEN_RANGE):
            driver.verify(CKM.RSA_X9_31, None, public, data, wrong)


def test_x9_31_takes_data_with_a_trailer_only(driver: Driver) -> None:
    """The last digit must be C; two bytes less than the modulus fit."""
    public, private = _pair()
    size = len(public[CKA.MODULUS])
    for data in (b"\xcc", bytes(size - 3) + b"\xcc", b"\x0c"):
        driver.verify(CKM.RSA_X9_31, None, public, data, driver.sign(CKM.RSA_X9_31, None, private, data))
    for data in (b"", b"\xcd", bytes(20)):
        with refusal(CKR.DATA_INVALID):
            driver.sign(CKM.RSA_X9_31, None, private, data)
        with refusal(CKR.DATA_INVALID):
            driver.verify(CKM.RSA_X9_31, None, public, data, bytes(size))
    with refusal(CKR.DATA_LEN_RANGE):
        driver.sign(CKM.RSA_X9_31, None, private, bytes(size - 2) + b"\xcc")


@pytest.mark.parametrize("mechanism", [CKM.RSA_X9_31_KEY_PAIR_GEN, CKM.RSA_FIPS_186_4_PRIME_KEY_PAIR_GEN])
def test_strong_key_pairs_are_made(driver: Driver, mechanism: int) -> None:
    """The primes are far apart (FIPS 186-4 B.3.3), and the pair signs."""
    public, private = MECHANISMS[mechanism].generate_pair(None, {CKA.MODULUS_BITS: ulong(2048)}, {})
    p, q = (int.from_bytes(private[kind], "big") for kind in (CKA.PRIME_1, CKA.PRIME_2))
    assert abs(p - q) > 1 << (1024 - 100)
    first = rsa_public(public[CKA.MODULUS], public[CKA.PUBLIC_EXPONENT])
    second = imported(CKO.PRIVATE_KEY, CKK.RSA, private)
    signature = driver.sign(CKM.SHA1_RSA_X9_31, None, second, b"message")
    driver.verify(CKM.SHA1_RSA_X9_31, None, first, b"message", signature)


@pytest.mark.parametrize(("bits", "exponent", "code"), [
    (1024, 65537, CKR.ATTRIBUTE_VALUE_INVALID), (2056, 65537, CKR.ATTRIBUTE_VALUE_INVALID),
    (8448, 65537, CKR.ATTRIBUTE_VALUE_INVALID), (2048, 3, CKR.TEMPLATE_INCONSISTENT),
    (2048, 65536, CKR.TEMPLATE_INCONSISTENT), (2048, 65535, CKR.TEMPLATE_INCONSISTENT),
])  # fmt: skip
def test_strong_key_pairs_of_other_sizes_are_refused(bits: int, exponent: int, code: int) -> None:
    """What libcrypto makes otherwise than FIPS 186-4 is not made."""
    template = {CKA.MODULUS_BITS: ulong(bits), CKA.PUBLIC_EXPONENT: exponent.to_bytes(3, "big")}
    with refusal(code):
        MECHANISMS[CKM.RSA_X9_31_KEY_PAIR_GEN].generate_pair(None, template, {})

"""Keys and published vectors for the tests of RSA and elliptic curve mechanisms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest
from cffi import FFI
from modules import Module

from ptkc.mechanisms import KEY_TYPES, load
from ptkc.mechanisms.curves import CURVES, Curve
from ptkc.mechanisms.rsa import PRIVATE_PARTS
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import TRUE, Attributes, ulong

__all__ = [
    "BY_NAME", "HASHES", "blocks", "dumps", "ec_private", "ec_public", "imported", "integer", "native", "refusal",
    "rsa_private", "rsa_public",
]  # fmt: skip

BY_NAME = {params[2:].decode("latin-1"): curve for curve in CURVES for params in curve.params}

HASHES = {
    "SHA1": CKM.SHA_1, "SHA224": CKM.SHA224, "SHA256": CKM.SHA256, "SHA384": CKM.SHA384, "SHA512": CKM.SHA512,
}  # fmt: skip

_USES = (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE)


@pytest.fixture
def native(module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Load the shared object into this process: mechanisms find libcrypto in it."""
    monkeypatch.setenv("ET_PTKC_SW_DATAPATH", str(tmp_path))
    ffi = FFI()
    ffi.cdef("unsigned long C_Initialize(void *); unsigned long C_Finalize(void *);")
    library = ffi.dlopen(module.path)
    assert CKR.OK == library.C_Initialize(ffi.NULL)
    yield
    library.C_Finalize(ffi.NULL)


def refusal(code: int) -> pytest.RaisesExc[CryptokiError]:
    """Expect this code."""
    return pytest.raises(CryptokiError, check=lambda error: error.code == code)


def integer(text: str) -> bytes:
    """Return a hexadecimal number without leading zeros."""
    number = int(text, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def imported(object_class: int, key_type: int, material: Attributes) -> Attributes:
    """Return the attributes of a key that was created from `material` and may do everything."""
    load()
    attributes = {CKA.CLASS: ulong(object_class), CKA.KEY_TYPE: ulong(key_type), **material}
    return attributes | KEY_TYPES[key_type].check(object_class, attributes) | dict.fromkeys(_USES, TRUE)


@cache
def rsa_public(modulus: bytes, exponent: bytes) -> Attributes:
    """Return a public key."""
    return imported(CKO.PUBLIC_KEY, CKK.RSA, {CKA.MODULUS: modulus, CKA.PUBLIC_EXPONENT: exponent})


def rsa_private(parts: list[bytes]) -> Attributes:
    """Return a private key of n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p, as generation leaves it: unchecked."""
    attributes = {CKA.CLASS: ulong(CKO.PRIVATE_KEY), CKA.KEY_TYPE: ulong(CKK.RSA)}
    return attributes | dict(zip(PRIVATE_PARTS, parts, strict=True)) | dict.fromkeys(_USES, TRUE)


def ec_public(curve: Curve, point: bytes) -> Attributes:
    """Return a public key on any curve."""
    return imported(CKO.PUBLIC_KEY, curve.key_type, {CKA.EC_PARAMS: curve.oid, CKA.EC_POINT: point})


def ec_private(curve: Curve, value: bytes) -> Attributes:
    """Return a private key on any curve."""
    return imported(CKO.PRIVATE_KEY, curve.key_type, {CKA.EC_PARAMS: curve.oid, CKA.VALUE: value})


def blocks(path: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield what stands between blank lines of a file in NIST's format, with the parts of the last line in brackets."""
    heading: list[str] = []
    block: dict[str, str] = {}
    with cryptography_vectors.open_vector_file(path, "r") as file:
        for line in (*file, ""):
            text = line.strip()
            if text.startswith("["):
                heading = [part.strip() for part in text.strip("[]").replace(" - ", ",").split(",")]
            elif text and not text.startswith("#"):
                name, _, value = text.partition("=")
                block[name.strip()] = value.strip()
            elif not text and block:
                yield heading, block
                block = {}


def dumps(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the named values of a file in RSA Laboratories' format: `# Name:`, then lines of bytes."""
    name, value = "", b""
    with cryptography_vectors.open_vector_file(path, "r") as file:
        for line in (*file, "#"):
            text = line.strip()
            if text.startswith("#"):
                if value:
                    yield name, value
                name, value = text.strip("# :").lower(), b""
            elif text and name and not text.startswith("="):
                digits = text.replace(" ", "")
                value += bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))

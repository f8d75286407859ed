"""Mechanisms with their parameters, as a C caller would lay them out."""

from __future__ import annotations

from typing import Any

import pytest

from ptkc.spec.constants import CKD, CKG, CKM, CKZ

from .binding import ffi

__all__ = [
    "Mechanism", "ccm", "chacha20", "chacha20_poly1305", "context", "ctr", "ecdh", "ecdh_aes", "eddsa", "gcm",
    "hash_context", "needs", "oaep", "pss", "rsa_aes", "ulong",
]  # fmt: skip


class Mechanism:
    """A CK_MECHANISM with everything its parameter points to kept alive; `parameter` is bytes, a structure or None."""

    def __init__(self, kind: int, parameter: Any = None, *buffers: Any, length: int | None = None) -> None:  # noqa: ANN401
        """Lay out mechanism `kind`; `length` replaces the true parameter length, to lie about it."""
        self.kind = kind
        if isinstance(parameter, (bytes, bytearray)):
            size = len(parameter)
            parameter = ffi.new("CK_BYTE[]", bytes(parameter))
        elif parameter is None:
            parameter, size = ffi.NULL, 0
        else:
            size = ffi.sizeof(ffi.typeof(parameter).item)
        self._kept = (parameter, buffers)
        size = size if length is None else length
        self.pointer = ffi.new("CK_MECHANISM *", (kind, ffi.cast("void *", parameter), size))


def needs(name: str, *more: Any) -> Any:  # noqa: ANN401 (a pytest parameter set)
    """Return test parameters `(name, *more)` that are skipped where the module lacks mechanism CKM_`name`."""
    return pytest.param(name, *more, id=name, marks=pytest.mark.needs(getattr(CKM, name)))


def _bytes(data: bytes) -> Any:  # noqa: ANN401 (cffi memory)
    """Return a C array of `data`, NULL if it is empty."""
    return ffi.new("CK_BYTE[]", data) if data else ffi.NULL


def ulong(kind: int, value: int) -> Mechanism:
    """Return a mechanism whose parameter is one CK_ULONG (the `_GENERAL` ones)."""
    return Mechanism(kind, ffi.new("CK_ULONG *", value))


def gcm(
    iv: bytes, aad: bytes = b"", tag_bits: int = 128, kind: int = CKM.AES_GCM, *, iv_bits: int | None = None
) -> Mechanism:
    """Return CKM_AES_GCM with CK_GCM_PARAMS."""
    vector, associated = _bytes(iv), _bytes(aad)
    bits = len(iv) * 8 if iv_bits is None else iv_bits
    parameter = ffi.new("CK_GCM_PARAMS *", (vector, len(iv), bits, associated, len(aad), tag_bits))
    return Mechanism(kind, parameter, vector, associated)


def ccm(length: int, nonce: bytes, aad: bytes = b"", mac: int = 16) -> Mechanism:
    """Return CKM_AES_CCM for `length` bytes of plaintext."""
    first, associated = _bytes(nonce), _bytes(aad)
    parameter = ffi.new("CK_CCM_PARAMS *", (length, first, len(nonce), associated, len(aad), mac))
    return Mechanism(CKM.AES_CCM, parameter, first, associated)


def ctr(block: bytes, bits: int = 128, kind: int = CKM.AES_CTR) -> Mechanism:
    """Return a counter mode with the first counter block; its last `bits` bits count."""
    return Mechanism(kind, ffi.new("CK_AES_CTR_PARAMS *", (bits, list(block))))


def chacha20(counter: bytes, nonce: bytes) -> Mechanism:
    """Return CKM_CHACHA20 with CK_CHACHA20_PARAMS."""
    first, second = _bytes(counter), _bytes(nonce)
    parameter = ffi.new("CK_CHACHA20_PARAMS *", (first, 8 * len(counter), second, 8 * len(nonce)))
    return Mechanism(CKM.CHACHA20, parameter, first, second)


def chacha20_poly1305(nonce: bytes, aad: bytes = b"", *, length: int | None = None) -> Mechanism:
    """Return CKM_CHACHA20_POLY1305; `length` replaces the length of the nonce in bits."""
    first, associated = _bytes(nonce), _bytes(aad)
    bits = 8 * len(nonce) if length is None else length
    parameter = ffi.new("CK_SALSA20_CHACHA20_POLY1305_PARAMS *", (first, bits, associated, len(aad)))
    return Mechanism(CKM.CHACHA20_POLY1305, parameter, first, associated)


def context(kind: int, value: bytes = b"", hedge: int = 0) -> Mechanism:
    """Return a mechanism with CK_SIGN_ADDITIONAL_CONTEXT."""
    data = _bytes(value)
    return Mechanism(kind, ffi.new("CK_SIGN_ADDITIONAL_CONTEXT *", (hedge, data, len(value))), data)


def hash_context(kind: int, digest: int, value: bytes = b"", hedge: int = 0) -> Mechanism:
    """Return a mechanism with CK_HASH_SIGN_ADDITIONAL_CONTEXT; `digest` is the hash function, a CKM."""
    data = _bytes(value)
    return Mechanism(kind, ffi.new("CK_HASH_SIGN_ADDITIONAL_CONTEXT *", (hedge, data, len(value), digest)), data)


def pss(kind: int, digest: int, mask: int, salt: int) -> Mechanism:
    """Return a PSS mechanism: hash CKM, mask CKG and salt length in bytes."""
    return Mechanism(kind, ffi.new("CK_RSA_PKCS_PSS_PARAMS *", (digest, mask, salt)))


def oaep(
    digest: int = CKM.SHA_1, mask: int = CKG.MGF1_SHA1, label: bytes = b"", *, source: int = CKZ.DATA_SPECIFIED
) -> Mechanism:
    """Return CKM_RSA_PKCS_OAEP with the hash, the mask function and a label."""
    data = _bytes(label)
    fields = (digest, mask, source, ffi.cast("void *", data), len(label))
    return Mechanism(CKM.RSA_PKCS_OAEP, ffi.new("CK_RSA_PKCS_OAEP_PARAMS *", fields), data)


def ecdh(public: bytes, kdf: int = CKD.NULL, shared: bytes = b"", kind: int = CKM.ECDH1_DERIVE) -> Mechanism:
    """Return an ECDH mechanism with the other side's point."""
    point, data = _bytes(public), _bytes(shared)
    parameter = ffi.new("CK_ECDH1_DERIVE_PARAMS *", (kdf, len(shared), data, len(public), point))
    return Mechanism(kind, parameter, point, data)


def rsa_aes(bits: int, carrier: Mechanism | None) -> Mechanism:
    """Return CKM_RSA_AES_KEY_WRAP with an AES key of `bits`, carried by the OAEP mechanism `carrier`."""
    pointer = ffi.NULL if carrier is None else ffi.cast("CK_RSA_PKCS_OAEP_PARAMS *", carrier.pointer.pParameter)
    return Mechanism(CKM.RSA_AES_KEY_WRAP, ffi.new("CK_RSA_AES_KEY_WRAP_PARAMS *", (bits, pointer)), carrier)


def ecdh_aes(kind: int, bits: int, kdf: int = CKD.NULL, shared: bytes = b"") -> Mechanism:
    """Return a CKM_ECDH_*_AES_KEY_WRAP with an AES key of `bits`."""
    data = _bytes(shared)
    return Mechanism(kind, ffi.new("CK_ECDH_AES_KEY_WRAP_PARAMS *", (bits, kdf, len(shared), data)), data)


def eddsa(kind: int, context: bytes = b"", *, prehashed: bool = False) -> Mechanism:
    """Return CKM_EDDSA with CK_EDDSA_PARAMS."""
    data = _bytes(context)
    return Mechanism(kind, ffi.new("CK_EDDSA_PARAMS *", (prehashed, len(context), data)), data)

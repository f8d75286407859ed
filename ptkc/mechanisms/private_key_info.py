"""PKCS#8 PrivateKeyInfo: the form in which a private key is wrapped (specification 6.7), and CKA_PUBLIC_KEY_INFO."""

from __future__ import annotations

from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes

__all__ = ["check_public_key_info", "parse", "trimmed"]

Key = TypeVar("Key")

_SEQUENCE = 0x30
_LONGEST_BLOCK = 16


def parse(payload: bytes, *kinds: type[Key]) -> Key:
    """Return the private key, of one of these classes, in a PrivateKeyInfo (DER); CKR_WRAPPED_KEY_INVALID.

    Zeros behind it are what a block cipher without padding filled the last block with.
    """
    try:
        private = load_der_private_key(trimmed(payload), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the unwrapped bytes are no PrivateKeyInfo of a key") from None
    if not isinstance(private, kinds):
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key is of another type than the template says")
    return private


def trimmed(payload: bytes) -> bytes:
    """Return the PrivateKeyInfo that `payload` begins with; CKR_WRAPPED_KEY_INVALID if it is not all there is.

    Zeros behind it are what a block cipher without padding filled the last block with.
    """
    info = payload[: _length(payload)]
    rest = payload[len(info) :]
    if len(rest) >= _LONGEST_BLOCK or any(rest):
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the unwrapped bytes are no PrivateKeyInfo")
    return info


def _length(payload: bytes) -> int:
    """Return the length of the DER SEQUENCE that `payload` begins with, 0 if it begins with something else."""
    if len(payload) < 2 or payload[0] != _SEQUENCE:  # noqa: PLR2004 - tag and length
        return 0
    if payload[1] < 0x80:  # noqa: PLR2004 - DER's short form
        return 2 + payload[1]
    size = payload[1] & 0x7F
    return 2 + size + int.from_bytes(payload[2 : 2 + size], "big")


def check_public_key_info(attributes: Attributes, info: bytes) -> None:
    """Refuse a CKA_PUBLIC_KEY_INFO in a template that is not `info` (specification 4.9, private key objects)."""
    given = attributes.get(CKA.PUBLIC_KEY_INFO)
    if given and given != info:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_KEY_INFO does not belong to the key")

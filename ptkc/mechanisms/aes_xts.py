"""AES-XTS for data on disks (specification, "AES XTS"; SP 800-38E, IEEE 1619).

The parameter is the number of the data unit, which the whole input is: from one block to 2^20 of them, kept until the
end. A key is two keys, and both must differ (SP 800-38E refers to FIPS 140's rule); nothing is authenticated.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.constant_time import bytes_eq

from ptkc.mechanisms.blocks import Kept, PayloadCipher
from ptkc.mechanisms.generic import KeyGeneration, SecretKeyType, hash_check_value, random_bytes
from ptkc.mechanisms.mechanism import Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.parameters import IV16
from ptkc.spec.values import Attributes

__all__: list[str] = []

_LENGTHS = (32, 64)
_BLOCK = 16
_LONGEST = _BLOCK << 20


def _doubled(value: bytes) -> bool:
    """Whether both halves of a key are the same."""
    half = len(value) // 2
    return bytes_eq(value[:half], value[half:])


class _XtsKeyType(SecretKeyType):
    """CKK_AES_XTS."""

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Return what follows from CKA_VALUE; CKR_ATTRIBUTE_VALUE_INVALID for a wrong length or two equal halves."""
        found = super().check(object_class, attributes)
        if _doubled(attributes[CKA.VALUE]):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_VALUE: both halves of the key are the same")
        return found

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return CKA_VALUE and what follows from it; CKR_WRAPPED_KEY_INVALID for two equal halves."""
        found = super().decode(payload, attributes)
        if _doubled(found[CKA.VALUE]):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "both halves of the key are the same")
        return found


class _XtsKeyGeneration(KeyGeneration):
    """CKM_AES_XTS_KEY_GEN."""

    def _value(self, length: int) -> bytes:
        """Return two different halves."""
        value = random_bytes(length)
        while _doubled(value):
            value = random_bytes(length)
        return value


class _Xts(PayloadCipher):
    """CKM_AES_XTS. What is less than a block cannot be wrapped."""

    type = CKM.AES_XTS
    key_types = (CKK.AES_XTS,)
    sizes = (_LENGTHS[0], _LENGTHS[-1])
    parameters = IV16
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/XTS), Wycheproof"

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""

        def run(data: bytes) -> bytes:
            _check(data, CKR.DATA_LEN_RANGE)
            return _cipher(key, parameter).encryptor().update(data)

        return Kept(run, 0, _LONGEST, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""

        def run(data: bytes) -> bytes:
            _check(data, CKR.ENCRYPTED_DATA_LEN_RANGE)
            return _cipher(key, parameter).decryptor().update(data)

        return Kept(run, 0, _LONGEST, CKR.ENCRYPTED_DATA_LEN_RANGE)


def _cipher(key: Object, tweak: bytes) -> Cipher[Any]:
    """Return the cipher for a data unit."""
    return Cipher(algorithms.AES(key.attributes[CKA.VALUE]), modes.XTS(tweak))


def _check(data: bytes, error: int) -> None:
    """Refuse less than a block."""
    if len(data) < _BLOCK:
        raise CryptokiError(error, f"got {len(data)} bytes, want 16 or more")


_KEYS = _XtsKeyType(CKK.AES_XTS, _LENGTHS, hash_check_value)

register(_KEYS, _XtsKeyGeneration(CKM.AES_XTS_KEY_GEN, _KEYS, (_LENGTHS[0], _LENGTHS[-1]), _LENGTHS), _Xts())

"""DES2 and DES3: keys, their generation, and the modes ECB, CBC and CBC_PAD (specification 6.19, 6.20; SP 800-67).

For data that others encrypted, and for hosts that know nothing else: nothing new should use it. Keys are made with odd
parity; whether one of even parity may come from outside is for the security flags to say, not for the key type.
A DES2 key is the DES3 key whose third part is its first.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from ptkc.mechanisms.blocks import Blocks, PaddedDecryption, PaddedEncryption, PayloadCipher
from ptkc.mechanisms.generic import FixedKeyGeneration, FixedKeyType, random_bytes
from ptkc.mechanisms.mechanism import Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.parameters import IV8

__all__ = ["algorithm", "cipher", "odd_parity"]

_BLOCK, _PART = 8, 8
_LENGTHS = {CKK.DES2: 2 * _PART, CKK.DES3: 3 * _PART}
_ECB = modes.ECB()  # noqa: S305 - the standard's mechanism


def algorithm(value: bytes) -> TripleDES:
    """Return DES3 under the bytes of a DES2 or DES3 key."""
    return TripleDES((value + value[:_PART])[: 3 * _PART])


def cipher(value: bytes, mode: modes.Mode) -> Cipher[Any]:
    """Return DES3 under the bytes of a DES2 or DES3 key, in a mode."""
    return Cipher(algorithm(value), mode)


def odd_parity(value: bytes) -> bytes:
    """Return the bytes with the last bit of each such that all have odd parity."""
    return bytes(byte ^ (byte.bit_count() & 1 ^ 1) for byte in value)


def _check_value(value: bytes) -> bytes:
    """Return the first three bytes of an encrypted block of zeros (specification 4.10.2)."""
    return cipher(value, _ECB).encryptor().update(bytes(_BLOCK))[:3]


class _DesKeyType(FixedKeyType):
    """CKK_DES2 or CKK_DES3."""

    def shape(self, payload: bytes) -> bytes:
        """Return derived or agreed bytes with odd parity."""
        return odd_parity(payload)


class _DesKeyGeneration(FixedKeyGeneration):
    """CKM_DES2_KEY_GEN, CKM_DES3_KEY_GEN: keys of odd parity."""

    def _value(self, length: int) -> bytes:
        """Return a value of odd parity."""
        return odd_parity(random_bytes(length))


class _Des3Cipher(PayloadCipher):
    """A mechanism with a DES2 or DES3 key."""

    key_types = (CKK.DES2, CKK.DES3)
    sizes = (2 * _PART, 3 * _PART)

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number

    def mode(self, parameter: bytes | None) -> modes.Mode:
        """Return the mode of operation; an IV makes it CBC."""
        return _ECB if parameter is None else modes.CBC(parameter)

    def cipher(self, key: Object, parameter: bytes | None) -> Cipher[Any]:
        """Return the cipher."""
        return cipher(key.attributes[CKA.VALUE], self.mode(parameter))


class _Ecb(_Des3Cipher):
    """CKM_DES3_ECB."""

    zero_padding = _BLOCK
    source = "NIST CAVP (cryptography_vectors: ciphers/3DES/ECB)"

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return Blocks(self.cipher(key, parameter).encryptor(), _BLOCK, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return Blocks(self.cipher(key, parameter).decryptor(), _BLOCK, CKR.ENCRYPTED_DATA_LEN_RANGE)


class _Cbc(_Ecb):
    """CKM_DES3_CBC: the parameter is the IV."""

    parameters = IV8
    source = "NIST CAVP (cryptography_vectors: ciphers/3DES/CBC)"


class _CbcPad(_Des3Cipher):
    """CKM_DES3_CBC_PAD: CBC with the padding of PKCS #7; the parameter is the IV."""

    parameters = IV8
    source = "NIST CAVP (cryptography_vectors: ciphers/3DES/CBC), padded"

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return PaddedEncryption(self.cipher(key, parameter).encryptor(), _BLOCK, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        return PaddedDecryption(self.cipher(key, parameter), _BLOCK)


_DES2, _DES3 = (_DesKeyType(number, length, _check_value) for number, length in _LENGTHS.items())

register(
    _DES2,
    _DES3,
    _DesKeyGeneration(CKM.DES2_KEY_GEN, _DES2, _DES2.length),
    _DesKeyGeneration(CKM.DES3_KEY_GEN, _DES3, _DES3.length),
    _Ecb(CKM.DES3_ECB),
    _Cbc(CKM.DES3_CBC),
    _CbcPad(CKM.DES3_CBC_PAD),
)

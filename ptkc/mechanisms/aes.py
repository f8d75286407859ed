"""AES: keys, their generation, and the modes ECB, CBC, CBC_PAD and CTR (specification 6.13, 6.15; SP 800-38A).

ECB and CBC fill a payload up with zero bytes, which `KeyType.decode` cuts off again. A counter that would run over
its bits is refused, as the specification has it.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ptkc.mechanisms.blocks import Blocks, Counting, PaddedDecryption, PaddedEncryption, PayloadCipher, counter_room
from ptkc.mechanisms.generic import KeyGeneration, SecretKeyType
from ptkc.mechanisms.mechanism import Mechanism, Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.layouts import CTR, Ctr
from ptkc.spec.parameters import IV16

__all__ = ["AesMechanism", "WrappingCipher", "cipher"]

_BLOCK = 16
_ECB = modes.ECB()  # noqa: S305 - the standard's mechanism, and what the others are built of
_LENGTHS = (16, 24, 32)


def cipher(key: Object, mode: modes.Mode) -> Cipher[Any]:
    """Return AES under the key, whose cache holds the algorithm object, in a mode."""
    try:
        algorithm = key.cache["aes"]
    except KeyError:
        algorithm = key.cache["aes"] = algorithms.AES(key.attributes[CKA.VALUE])
    return Cipher(algorithm, mode)  # type: ignore[arg-type]


def _check_value(value: bytes) -> bytes:
    """Return the first three bytes of an encrypted block of zeros (specification 6.13.2)."""
    return Cipher(algorithms.AES(value), _ECB).encryptor().update(bytes(_BLOCK))[:3]


class AesMechanism(Mechanism):
    """A mechanism with an AES key."""

    key_types = (CKK.AES,)
    sizes = (16, 32)

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number


class WrappingCipher(PayloadCipher, AesMechanism):
    """A cipher with an AES key that also wraps."""


class _Ecb(WrappingCipher):
    """CKM_AES_ECB."""

    zero_padding = _BLOCK
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/ECB)"

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return Blocks(cipher(key, self.mode(parameter)).encryptor(), _BLOCK, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return Blocks(cipher(key, self.mode(parameter)).decryptor(), _BLOCK, CKR.ENCRYPTED_DATA_LEN_RANGE)

    def mode(self, parameter: bytes | None) -> modes.Mode:  # noqa: ARG002 - there is none
        """Return the mode of operation."""
        return _ECB


class _Cbc(_Ecb):
    """CKM_AES_CBC: the parameter is the IV."""

    parameters = IV16
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/CBC)"

    def mode(self, parameter: bytes | None) -> modes.Mode:
        """Return the mode of operation."""
        return modes.CBC(parameter or b"")


class _CbcPad(WrappingCipher):
    """CKM_AES_CBC_PAD: CBC with the padding of PKCS #7; the parameter is the IV."""

    parameters = IV16
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/CBC), padded, Wycheproof"

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return PaddedEncryption(cipher(key, modes.CBC(parameter)).encryptor(), _BLOCK, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        return PaddedDecryption(cipher(key, modes.CBC(parameter)), _BLOCK)


class _Ctr(WrappingCipher):
    """CKM_AES_CTR: the parameter is the counter block, and how many of its bits count."""

    parameters = CTR
    streams = True
    source = "RFC 3686 (cryptography_vectors: ciphers/AES/CTR)"

    def encrypt(self, key: Object, parameter: Ctr) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: Ctr) -> Operation:
        """Start a decryption, which is the same; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.ENCRYPTED_DATA_LEN_RANGE)

    @staticmethod
    def _start(key: Object, parameter: Ctr, error: int) -> Operation:
        """Return the stream."""
        room = counter_room(parameter, _BLOCK)
        return Counting(cipher(key, modes.CTR(parameter.block)).encryptor(), room, error)


_AES = SecretKeyType(CKK.AES, _LENGTHS, _check_value)

register(
    _AES,
    KeyGeneration(CKM.AES_KEY_GEN, _AES, (16, 32), _LENGTHS),
    _Ecb(CKM.AES_ECB),
    _Cbc(CKM.AES_CBC),
    _CbcPad(CKM.AES_CBC_PAD),
    _Ctr(CKM.AES_CTR),
)

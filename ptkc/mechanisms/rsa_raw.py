"""CKM_RSA_X_509: RSA without padding (specification 6.1.14).

`cryptography` has no such operation: libcrypto does it. Data shorter than the modulus get zeros in front. A key is
unwrapped to CKA_VALUE_LEN bytes from the end; what stands before them must be zeros, as wrapping leaves it: so no fewer
bytes than there are come out. It still tells how long any multiple of a wrapped number is, OAEP's as well (Manger's
attack of 2001), and with a small exponent a root opens it: `hsm.wrapping` keeps it away from keys that wrap alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature

from ptkc.mechanisms.generic import derived_length, random_bytes
from ptkc.mechanisms.libcrypto import rsa_key, rsa_raw
from ptkc.mechanisms.mechanism import Operation, Verification, register
from ptkc.mechanisms.rsa import PRIVATE_PARTS, SIZES
from ptkc.mechanisms.rsa_operations import (
    RsaCipher,
    RsaDecryption,
    RsaEncryption,
    RsaRecovery,
    RsaSignature,
    RsaVerification,
)
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong

__all__ = ["libcrypto_key"]


def libcrypto_key(key: Object) -> tuple[Any, int]:
    """Return libcrypto's form of a key object, made once, and the length of its modulus in bytes."""
    made: Any = key.cache.get("libcrypto")
    if made is None:
        attributes = key.attributes
        kinds = PRIVATE_PARTS if key.object_class == CKO.PRIVATE_KEY else PRIVATE_PARTS[:2]
        parts = [attributes[kind] for kind in kinds]
        made = key.cache["libcrypto"] = rsa_key(parts), len(parts[0].lstrip(b"\0"))
    return made  # type: ignore[no-any-return]


class RsaX509(RsaCipher):
    """CKM_RSA_X_509."""

    type = CKM.RSA_X_509
    key_types = (CKK.RSA,)
    sizes = SIZES
    source = "RFC 8017 examples (cryptography_vectors: asymmetric/RSA/pkcs1v15sign-vectors)"

    def sign(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_SignInit; `single` refuses a number not below the modulus with CKR_DATA_INVALID."""
        return _operation(key, private=True)

    def verify(self, key: Object, parameter: None) -> Verification:  # noqa: ARG002 - there is none
        """C_VerifyInit."""
        recover, size = _recovery(key)

        def check(signature: bytes, data: bytes) -> None:
            if recover(signature) != data.rjust(size, b"\0"):
                raise InvalidSignature

        return RsaVerification(check, size, size)

    sign_recover = sign
    """C_SignRecoverInit: a signature is its data, to the private exponent."""

    def verify_recover(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_VerifyRecoverInit: as many bytes as the modulus has, the zeros in front included."""
        recover, size = _recovery(key)
        return RsaRecovery(recover, size, size)

    def encrypt(self, key: Object, parameter: None) -> RsaEncryption:  # noqa: ARG002 - there is none
        """C_EncryptInit; `single` refuses a number not below the modulus with CKR_DATA_INVALID."""
        return _operation(key, private=False)

    def decrypt(self, key: Object, parameter: None) -> RsaDecryption:  # noqa: ARG002 - there is none
        """C_DecryptInit."""
        private, size = libcrypto_key(key)
        return RsaDecryption(lambda data: rsa_raw(private, data, private=True), size, size)

    def unwrap(self, key: Object, parameter: None, wrapped: bytes, attributes: Attributes) -> bytes:
        """Return the last CKA_VALUE_LEN bytes, all without it; CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID."""
        payload = super().unwrap(key, parameter, wrapped, attributes)
        given = attributes.get(CKA.VALUE_LEN)
        if given is None:
            return payload
        length = from_ulong(given)
        if length > len(payload):
            raise CryptokiError(CKR.WRAPPED_KEY_LEN_RANGE, f"CKA_VALUE_LEN {length}, at most {len(payload)}")
        front = len(payload) - length
        if any(payload[:front]):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key is longer than CKA_VALUE_LEN")
        return payload[front:]

    def encapsulate(self, key: Object, parameter: None, attributes: Attributes) -> tuple[bytes, bytes]:  # noqa: ARG002
        """Return RSASVE's ciphertext and secret, a number below the modulus (SP 800-56B 7.2.1.2).

        CKR_ATTRIBUTE_VALUE_INVALID for a key of another length than the modulus.
        """
        public, size = libcrypto_key(key)
        _check_length(attributes, size)
        secret = _drawn(key.attributes[CKA.MODULUS].lstrip(b"\0"))
        return rsa_raw(public, secret, private=False), secret

    def decapsulate(self, key: Object, parameter: None, ciphertext: bytes, attributes: Attributes) -> bytes:
        """Return the secret, as long as the modulus (SP 800-56B 7.2.1.3); the codes of C_UnwrapKey.

        CKR_WRAPPED_KEY_INVALID also for 0, 1 and n-1, whose secret anybody knows.
        """
        _check_length(attributes, libcrypto_key(key)[1])
        least, beyond = _bounds(key.attributes[CKA.MODULUS].lstrip(b"\0"))
        if len(ciphertext) == len(least) and not least <= ciphertext < beyond:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "a ciphertext that is not from 2 to n-2")
        return RsaCipher.unwrap(self, key, parameter, ciphertext, attributes)


def _bounds(modulus: bytes) -> tuple[bytes, bytes]:
    """Return 2 and n-1, as long as n: between them is what RSASVE takes."""
    size = len(modulus)
    return (2).to_bytes(size, "big"), (int.from_bytes(modulus, "big") - 1).to_bytes(size, "big")


def _drawn(modulus: bytes) -> bytes:
    """Return a random number from 2 to n-2, as long as n: numbers are drawn until one is, and compared as bytes."""
    least, beyond = _bounds(modulus)
    mask = (1 << modulus[0].bit_length()) - 1
    while True:
        first, *rest = random_bytes(len(modulus))
        number = bytes((first & mask, *rest))
        if least <= number < beyond:
            return number


def _check_length(attributes: Attributes, size: int) -> None:
    """Refuse a new key that is not as long as the modulus: CKR_ATTRIBUTE_VALUE_INVALID."""
    if derived_length(attributes, size) != size:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"the secret has {size} bytes, the key is another")


def _recovery(key: Object) -> tuple[Callable[[bytes], bytes], int]:
    """Return what takes a signature, as long as the modulus, back to its data; `InvalidSignature`. And that length."""
    public, size = libcrypto_key(key)

    def recover(signature: bytes) -> bytes:
        try:
            return rsa_raw(public, signature, private=False)
        except ValueError:
            raise InvalidSignature from None

    return recover, size


def _operation(key: Object, *, private: bool) -> RsaEncryption:
    """Return the signature or encryption of up to as many bytes as the modulus has."""
    pointer, size = libcrypto_key(key)

    def run(data: bytes) -> bytes:
        try:
            return rsa_raw(pointer, data.rjust(size, b"\0"), private=private)
        except ValueError as error:
            raise CryptokiError(CKR.DATA_INVALID, str(error)) from None

    return RsaSignature(run, size, size)


register(RsaX509())

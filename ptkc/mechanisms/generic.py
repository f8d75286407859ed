"""Secret keys: what a secret key's bytes must look like, their generation, and generic secrets (specification 6.8).

Key types that are nothing but bytes of certain lengths are one class. Their check value is the first three bytes of
SHA-1 over the value, unless the key type has a cipher. A check value in the template must be the right one; an empty
one asks for none (specification 4.10.2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container

from cryptography.hazmat.primitives import hashes

from ptkc.mechanisms.digests import HASHES
from ptkc.mechanisms.mechanism import KEY_TYPES, KeyType, Mechanism, register
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong, ulong

__all__ = [
    "FixedKeyGeneration", "FixedKeyType", "KeyGeneration", "SecretKeyType", "derived_length", "hash_check_value",
    "random_bytes", "secret_key_types",
]  # fmt: skip

_LONGEST = 65536
_PADDING = 16
_SHA1 = hashes.Hash(hashes.SHA1())  # noqa: S303 - the standard's check value


def random_bytes(count: int) -> bytes:
    """Return `count` random bytes for a key; the one place where keys' randomness enters."""
    return os.urandom(count)


def hash_check_value(value: bytes) -> bytes:
    """Return the first three bytes of SHA-1 over a key's value (specification 6.8.2)."""
    digest = _SHA1.copy()
    digest.update(value)
    return digest.finalize()[:3]


def derived_length(attributes: Attributes, available: int, too_long: int = CKR.ATTRIBUTE_VALUE_INVALID) -> int:
    """Return how many bytes a key that is to be derived has; `available` is how many there are, 0 for any number.

    CKR_TEMPLATE_INCONSISTENT if it is no secret key; CKR_TEMPLATE_INCOMPLETE if nothing says how long it is;
    CKR_ATTRIBUTE_VALUE_INVALID if no key of its type is so long, `too_long` if there are not so many bytes.
    """
    key_type = KEY_TYPES.get(from_ulong(attributes[CKA.KEY_TYPE]))
    if not isinstance(key_type, SecretKeyType):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the derived key is a secret key, CKA_KEY_TYPE is none's")
    given = attributes.get(CKA.VALUE_LEN)
    if given is not None:
        length = from_ulong(given)
    elif isinstance(key_type.lengths, tuple) and len(key_type.lengths) == 1:
        (length,) = key_type.lengths
    else:
        length = available
        if length not in key_type.lengths:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN is missing")
    if length not in key_type.lengths:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"no key of this type has {length} bytes")
    if length > (available or _LONGEST):
        raise CryptokiError(too_long, f"a key of {length} bytes, there are {available or _LONGEST}")
    return length


def secret_key_types() -> tuple[int, ...]:
    """Return the numbers of all types of secret keys."""
    return tuple(number for number, key_type in KEY_TYPES.items() if isinstance(key_type, SecretKeyType))


class SecretKeyType(KeyType):
    """A key type whose material is CKA_VALUE, of one of `lengths` bytes."""

    def __init__(self, number: int, lengths: Container[int], check_value: Callable[[bytes], bytes]) -> None:
        """Keep the lengths there are and the function that makes CKA_CHECK_VALUE."""
        self.type = number
        self.lengths = lengths
        self._check_value = check_value

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Return CKA_VALUE_LEN and CKA_CHECK_VALUE; CKR_ATTRIBUTE_VALUE_INVALID for a wrong length."""
        if object_class != CKO.SECRET_KEY:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_KEY_TYPE is a secret key's, CKA_CLASS is not")
        value = attributes.get(CKA.VALUE)
        if value is None:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE is missing")
        if len(value) not in self.lengths:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE: {len(value)} bytes are no key of this type")
        return self._consequences(value, attributes)

    def size(self, attributes: Attributes) -> int:
        """Return the length of CKA_VALUE in bytes."""
        return len(attributes[CKA.VALUE])

    def material(self, value: bytes, attributes: Attributes) -> Attributes:
        """Return CKA_VALUE and what follows from it, for a new key of a fitting length."""
        return {CKA.VALUE: value, **self._consequences(value, attributes)}

    def encode(self, attributes: Attributes) -> bytes:
        """Return CKA_VALUE."""
        return attributes[CKA.VALUE]

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return CKA_VALUE and what follows from it.

        CKA_VALUE_LEN in the template cuts off padding: zero bytes that fill up to a block, and nothing else, since
        whoever could shorten a key by unwrapping it would find it byte by byte.
        """
        length = from_ulong(attributes[CKA.VALUE_LEN]) if CKA.VALUE_LEN in attributes else len(payload)
        if length not in self.lengths or not length <= len(payload) < length + _PADDING:
            raise CryptokiError(
                CKR.WRAPPED_KEY_LEN_RANGE, f"{len(payload)} bytes unwrapped are no key of this type of {length} bytes"
            )
        if any(payload[length:]):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "what lies behind CKA_VALUE_LEN is no padding")
        return self.material(payload[:length], attributes)

    def _consequences(self, value: bytes, attributes: Attributes) -> Attributes:
        """Return CKA_VALUE_LEN and CKA_CHECK_VALUE; CKR_ATTRIBUTE_VALUE_INVALID for a wrong check value."""
        given = attributes.get(CKA.CHECK_VALUE)
        if given == b"":
            return {CKA.VALUE_LEN: ulong(len(value))}
        check_value = self._check_value(value)
        if given is not None and given != check_value:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_CHECK_VALUE is another key's")
        return {CKA.VALUE_LEN: ulong(len(value)), CKA.CHECK_VALUE: check_value}


class KeyGeneration(Mechanism):
    """A mechanism that makes a secret key of CKA_VALUE_LEN random bytes."""

    source = "none: the value is random"

    def __init__(self, number: int, key_type: SecretKeyType, sizes: tuple[int, int], lengths: Container[int]) -> None:
        """Keep the key type, `sizes` in the unit that CK_MECHANISM_INFO has, and the lengths in bytes."""
        self.type = number
        self.generates = key_type.type
        self.sizes = sizes
        self._key_type = key_type
        self._lengths = lengths

    def generate(self, parameter: None, attributes: Attributes) -> Attributes:  # noqa: ARG002 - there is none
        """Return a new key; CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_VALUE_INVALID."""
        if CKA.VALUE_LEN not in attributes:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN is missing")
        length = from_ulong(attributes[CKA.VALUE_LEN])
        if length not in self._lengths:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE_LEN: {length} bytes are no key of this type")
        return self._key_type.material(self._value(length), attributes)

    def _value(self, length: int) -> bytes:
        """Return a value of `length` bytes."""
        return random_bytes(length)


class FixedKeyType(SecretKeyType):
    """A key type of one length, which no attribute says (DES2, DES3, SEED)."""

    def __init__(self, number: int, length: int, check_value: Callable[[bytes], bytes]) -> None:
        """Keep the length in bytes and the function that makes CKA_CHECK_VALUE."""
        super().__init__(number, (length,), check_value)
        self.length = length

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return CKA_VALUE and what follows from it; zero bytes that fill up to a block are cut off."""
        return super().decode(payload, {**attributes, CKA.VALUE_LEN: ulong(self.length)})

    def _consequences(self, value: bytes, attributes: Attributes) -> Attributes:
        """Return CKA_CHECK_VALUE: there is no CKA_VALUE_LEN."""
        produced = super()._consequences(value, attributes)
        del produced[CKA.VALUE_LEN]
        return produced


class FixedKeyGeneration(Mechanism):
    """A mechanism that makes a secret key of the one length that its type has."""

    source = "none: the value is random"

    def __init__(self, number: int, key_type: SecretKeyType, length: int) -> None:
        """Keep the key type and the length in bytes."""
        self.type = number
        self.generates = key_type.type
        self.sizes = (length, length)
        self._key_type = key_type

    def generate(self, parameter: None, attributes: Attributes) -> Attributes:  # noqa: ARG002 - there is none
        """Return a new key; CKR_ATTRIBUTE_VALUE_INVALID for a CKA_VALUE_LEN that says another length."""
        length = self.sizes[0]
        if attributes.get(CKA.VALUE_LEN, ulong(length)) != ulong(length):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE_LEN: a key of this type has {length} bytes")
        return self._key_type.material(self._value(length), attributes)

    def _value(self, length: int) -> bytes:
        """Return a value of `length` bytes."""
        return random_bytes(length)


_ANY = range(1, 2**63)
_GENERATED = range(1, _LONGEST + 1)
_GENERIC = SecretKeyType(CKK.GENERIC_SECRET, _ANY, hash_check_value)
_HKDF = SecretKeyType(CKK.HKDF, _ANY, hash_check_value)
_HMAC = {name: SecretKeyType(getattr(CKK, f"{name}_HMAC"), _ANY, hash_check_value) for name in HASHES}

register(
    _GENERIC,
    _HKDF,
    *_HMAC.values(),
    # The specification counts this one in bits, those for HMAC in bytes.
    KeyGeneration(CKM.GENERIC_SECRET_KEY_GEN, _GENERIC, (8, 8 * _LONGEST), _GENERATED),
    KeyGeneration(CKM.HKDF_KEY_GEN, _HKDF, (1, _LONGEST), _GENERATED),
    *(
        KeyGeneration(getattr(CKM, f"{name}_KEY_GEN"), key_type, (1, _LONGEST), _GENERATED)
        for name, key_type in _HMAC.items()
    ),
)

"""Secrets split into shares: CKM_SECRET_SHARE_WITH_ATTRIBUTES, CKM_SECRET_RECOVER_WITH_ATTRIBUTES (formats: ours).

C_WrapKey, without a wrapping key (handle 0), splits a key with its attributes into m shares; C_UnwrapKey, without an
unwrapping key, makes it again of any n of them or more. Fewer say nothing: this is Shamir's scheme ("How to share a
secret", 1979) on each byte, over GF(2^8) with the polynomial of AES.

What is shared is 32 random bytes r, HMAC-SHA-256 of the rest with the key r, the attributes and the key. A share is

    01, index (1 byte, from 1), threshold n (1 byte), number of the set (16 random bytes), data

and both functions' bytes are shares, each behind its length in four bytes, big-endian. All shares that are given are
used: a wrong one among them, one of another set or the same one twice is CKR_WRAPPED_KEY_INVALID, as too few are.

Secret bytes meet no table and no branch: they are added and multiplied by public numbers, all bytes of a share at once.
"""

from __future__ import annotations

import hmac

from ptkc.mechanisms.generic import random_bytes
from ptkc.mechanisms.mechanism import register
from ptkc.mechanisms.portable import Portable, PortableMechanism, Reader, field, pack_attributes, unpack_attributes
from ptkc.spec.constants import CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import SECRET_SHARE, Share

__all__ = ["join", "split"]

_VERSION, _SET, _SALT, _DIGEST = 1, 16, 32, 32
_MOST = 64
_REDUCTION = 0x1B  # x^8 = x^4 + x^3 + x + 1


def _times(vector: int, factor: int, size: int) -> int:
    """Return each of the `size` bytes of `vector` multiplied in GF(2^8) by `factor`, which is public."""
    ones = int.from_bytes(b"\1" * size, "big")
    product = 0
    while factor:
        if factor & 1:
            product ^= vector
        factor >>= 1
        high = (vector >> 7) & ones
        vector = ((vector ^ (high << 7)) << 1) ^ (high * _REDUCTION)
    return product


def _inverse(number: int) -> int:
    """Return the inverse of a public number other than 0: its 254th power."""
    power = number
    for _ in range(6):
        power = _times(_times(power, power, 1), number, 1)
    return _times(power, power, 1)


def split(secret: bytes, threshold: int, count: int) -> list[bytes]:
    """Return `count` shares of the secret, the values at 1, 2, 3 … of random polynomials of degree threshold - 1."""
    size = len(secret)
    coefficients = [int.from_bytes(random_bytes(size), "big") for _ in range(threshold - 1)]
    shares = []
    for index in range(1, count + 1):
        value = 0
        for coefficient in coefficients:
            value = _times(value ^ coefficient, index, size)
        shares.append((value ^ int.from_bytes(secret, "big")).to_bytes(size, "big"))
    return shares


def join(shares: dict[int, bytes]) -> bytes:
    """Return the secret of shares, {index: share}, all of one length: the polynomials' values at 0 (Lagrange)."""
    size = len(next(iter(shares.values())))
    secret = 0
    for index, share in shares.items():
        numerator = denominator = 1
        for other in shares:
            if other != index:
                numerator = _times(numerator, other, 1)
                denominator = _times(denominator, other ^ index, 1)
        factor = _times(numerator, _inverse(denominator), 1)
        secret ^= _times(int.from_bytes(share, "big"), factor, size)
    return secret.to_bytes(size, "big")


class SecretShare(PortableMechanism):
    """CKM_SECRET_SHARE_WITH_ATTRIBUTES: n of m."""

    type = CKM.SECRET_SHARE_WITH_ATTRIBUTES
    parameters = SECRET_SHARE
    keyless = True
    source = "none: shares are random"

    def wrap(self, key: None, parameter: Share, keys: list[Portable]) -> bytes:  # noqa: ARG002 - there is none
        """Return the shares; CKR_MECHANISM_PARAM_INVALID unless 2 <= n <= m <= 64."""
        threshold, most = parameter
        if not 2 <= threshold <= most <= _MOST:  # noqa: PLR2004 - the least that is a secret
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"got {threshold} of {most}, want 2 <= n <= m <= {_MOST}")
        payload, attributes = keys[0]
        salt = random_bytes(_SALT)
        content = field(pack_attributes(attributes)) + field(payload)
        head = bytes((_VERSION, threshold)) + random_bytes(_SET)
        secret = salt + hmac.digest(salt, head + content, "sha256") + content
        return b"".join(
            field(head[:1] + bytes((index,)) + head[1:] + share)
            for index, share in enumerate(split(secret, threshold, most), 1)
        )


class SecretRecover(PortableMechanism):
    """CKM_SECRET_RECOVER_WITH_ATTRIBUTES."""

    type = CKM.SECRET_RECOVER_WITH_ATTRIBUTES
    keyless = True
    source = "none: shares are random"

    def unwrap(self, key: None, parameter: None, wrapped: bytes) -> Portable:  # noqa: ARG002 - there is none
        """Return the key; CKR_WRAPPED_KEY_INVALID for what are not enough shares, or not of one key."""
        head, shares = _collect(wrapped)
        secret = join(shares)
        salt, digest, content = secret[:_SALT], secret[_SALT : _SALT + _DIGEST], secret[_SALT + _DIGEST :]
        if not hmac.compare_digest(digest, hmac.digest(salt, head + content, "sha256")):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "a share is wrong")
        reader = Reader(content)
        attributes, payload = unpack_attributes(reader.field()), reader.field()
        reader.end()
        return Portable(payload, attributes)


def _collect(wrapped: bytes) -> tuple[bytes, dict[int, bytes]]:
    """Return what the shares have in common (version, threshold, set), and {index: data}; CKR_WRAPPED_KEY_INVALID."""
    reader = Reader(wrapped)
    heads, shares = set(), {}
    given = 0
    while reader.more:
        share = Reader(reader.field())
        version, index, threshold = share.take(3)
        heads.add(bytes((version, threshold)) + share.take(_SET))
        shares[index] = share.rest()
        given += 1
        if version != _VERSION or not 1 <= index <= _MOST:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "what was given is no share")
    if len(heads) != 1 or len({len(data) for data in shares.values()}) != 1:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the shares are not of one key")
    head: bytes = heads.pop()
    if not head[1] <= len(shares) == given:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, f"{len(shares)} different shares of {given}, {head[1]} are needed")
    return head, shares


register(SecretShare(), SecretRecover())

"""CKA_PUBLIC_CRC64_VALUE: the CRC-64 of ECMA-182 over a public key, equal on both keys of a pair.

It is taken over CKA_MODULUS of an RSA key (specification 6.1) and over CKA_VALUE of other public keys (4.8); where the
public key has a point instead (ours), over the point as SubjectPublicKeyInfo has it. Big integers count without zeros
in front. The result is eight bytes, the highest first (ours: the specification does not say).
"""

from __future__ import annotations

from ptkc.spec.constants import CKA, CKK
from ptkc.spec.values import Attributes, ulong

__all__ = ["crc64", "public_checksum"]

_POLYNOMIAL = 0x42F0E1EBA9EA3693
_TOP, _MASK = 1 << 63, (1 << 64) - 1
_NUMBERS = frozenset(map(ulong, (CKK.DSA, CKK.DH, CKK.X9_42_DH)))
_TABLE: list[int] = []


def _row(byte: int) -> int:
    """Return what one byte at the top makes of the rest."""
    value = byte << 56
    for _ in range(8):
        value = (value << 1 & _MASK) ^ (_POLYNOMIAL if value & _TOP else 0)
    return value


def crc64(data: bytes) -> bytes:
    """Return the checksum of data."""
    if not _TABLE:
        _TABLE.extend(map(_row, range(256)))
    value = 0
    for byte in data:
        value = (value << 8 & _MASK) ^ _TABLE[value >> 56 ^ byte]
    return value.to_bytes(8, "big")


def public_checksum(attributes: Attributes) -> bytes | None:
    """Return the checksum of a complete public or private key, None if the key does not tell its public part."""
    modulus = attributes.get(CKA.MODULUS)
    if modulus is not None:
        return crc64(modulus.lstrip(b"\0"))
    info = attributes.get(CKA.PUBLIC_KEY_INFO)
    if not info:
        return None
    # SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE, subjectPublicKey BIT STRING }
    inner, _ = _content(info, 0)
    _, after = _content(info, inner)
    key, end = _content(info, after)
    key += 1  # the number of unused bits, which is 0
    if attributes.get(CKA.KEY_TYPE) in _NUMBERS:
        key, end = _content(info, key)
        return crc64(info[key:end].lstrip(b"\0"))
    return crc64(info[key:end])


def _content(der: bytes, place: int) -> tuple[int, int]:
    """Return where the content of the element at a place begins and ends; the token made it, so it is well-formed."""
    length = der[place + 1]
    start = place + 2
    if length > 0x7F:  # noqa: PLR2004 - the long form of a length
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    return start, start + length

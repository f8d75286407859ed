"""The few DER values that keys are written with, made of bytes: no number leaves its form, least of all a secret one.

Whatever comes from outside is read by the libraries (`mechanisms.asn1`, `cryptography`, libcrypto), never here.
"""

from __future__ import annotations

__all__ = ["BIT_STRING", "INTEGER", "OCTET_STRING", "OID", "SEQUENCE", "der", "integer", "oid", "start"]

SEQUENCE, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x30, 0x02, 0x03, 0x04, 0x06


def start(tag: int, length: int) -> bytes:
    """Return tag and length of a DER value of `length` bytes."""
    if length < 0x80:  # noqa: PLR2004 - DER's short form
        return bytes((tag, length))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size


def der(tag: int, content: bytes) -> bytes:
    """Return a DER value."""
    return start(tag, len(content)) + content


def integer(number: bytes) -> bytes:
    """Return the DER INTEGER of a big-endian number that is not negative."""
    number = number.lstrip(b"\0") or b"\0"
    return der(INTEGER, b"\0" + number if number[0] & 0x80 else number)


def oid(dotted: str) -> bytes:
    """Return the DER OBJECT IDENTIFIER of a dotted one."""
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.insert(0, arc & 0x7F | 0x80)
        content += bytes(groups)
    return der(OID, bytes(content))

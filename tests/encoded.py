"""DER that the libraries would not write, or not so shortly, for the tests of certificates."""

from __future__ import annotations

from asn1crypto import core, parser

__all__ = ["extension", "oid", "sequence", "tlv"]


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return a DER value with a tag byte, as 0x30, of which `parts` are the content."""
    made: bytes = parser.emit(tag >> 6, tag >> 5 & 1, tag & 0x1F, b"".join(parts))
    return made


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tlv(0x30, *parts)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    made: bytes = core.ObjectIdentifier(dotted).dump()
    return made


def extension(dotted: str, content: bytes, *, critical: bool = False) -> bytes:
    """Return an Extension with this content."""
    flag = core.Boolean(value=True).dump() if critical else b""
    return sequence(oid(dotted), flag, tlv(0x04, content))

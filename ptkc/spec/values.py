"""Attribute values in canonical form: the bytes that the store keeps, the wire carries and Python compares.

Numbers are 64-bit little-endian whatever the machine's CK_ULONG is; booleans are one byte, 0 or 1; big integers are
big-endian without leading zeros as the caller gave them; an attribute array is a run of (type, length, value) with
64-bit little-endian type and length. A `Template` is a tuple of (type, value), in the caller's order; a value is None
where the caller passed a NULL pointer. `Written` is what a command writes back into the memory that a parameter names.
"""

from struct import Struct

from ptkc.spec.constants import CK, CKR
from ptkc.spec.errors import CryptokiError

__all__ = [
    "FALSE", "MOST_ATTRIBUTES", "TRUE", "UNAVAILABLE", "Attributes", "Template", "Written", "boolean", "from_ulong",
    "pack_template", "pack_ulongs", "ulong", "unpack_template", "unpack_ulongs",
]  # fmt: skip

Template = tuple[tuple[int, bytes | None], ...]
Attributes = dict[int, bytes]
Written = tuple[bytes | int, ...]

TRUE = b"\x01"
FALSE = b"\x00"
UNAVAILABLE = CK.UNAVAILABLE_INFORMATION

MOST_ATTRIBUTES = 1 << 16
"""In a template from elsewhere: each takes many times its bytes in memory."""

_ULONG = Struct("<Q")
_ENTRY = Struct("<QQ")
_SMALL = tuple(_ULONG.pack(number) for number in range(256))


def ulong(number: int) -> bytes:
    """Return the canonical 8 bytes of a CK_ULONG."""
    return _SMALL[number] if 0 <= number < 256 else _ULONG.pack(number)  # noqa: PLR2004 - the size of the table


def from_ulong(value: bytes) -> int:
    """Return the number in 8 canonical bytes."""
    return int.from_bytes(value, "little")


def boolean(value: bool) -> bytes:  # noqa: FBT001 - the value itself
    """Return CK_TRUE or CK_FALSE."""
    return TRUE if value else FALSE


def pack_ulongs(numbers: tuple[int, ...] | list[int]) -> bytes:
    """Return an array of CK_ULONG (as CKA_ALLOWED_MECHANISMS) in canonical form."""
    return b"".join(map(ulong, numbers))


def unpack_ulongs(value: bytes) -> tuple[int, ...]:
    """Return the numbers of a canonical CK_ULONG array."""
    return tuple(number for (number,) in _ULONG.iter_unpack(value))


def pack_template(template: Template) -> bytes:
    """Return an attribute array (as CKA_WRAP_TEMPLATE) in canonical form; None becomes an empty value."""
    return b"".join(_ENTRY.pack(kind, len(value or b"")) + (value or b"") for kind, value in template)


def unpack_template(value: bytes) -> Template:
    """Return the template in a canonical attribute array; CKR_ATTRIBUTE_VALUE_INVALID if it is cut short or absurd."""
    entries: list[tuple[int, bytes]] = []
    position = 0
    while position < len(value):
        if len(value) - position < _ENTRY.size:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "attribute array is cut short")
        if len(entries) == MOST_ATTRIBUTES:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"more than {MOST_ATTRIBUTES} attributes in an array")
        kind, length = _ENTRY.unpack_from(value, position)
        position += _ENTRY.size
        if length > len(value) - position:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "attribute array is cut short")
        entries.append((kind, value[position : position + length]))
        position += length
    return tuple(entries)

"""Mechanism parameters: what the C structures hold, as values.

A parameter is None (absent), bytes (an IV, or what no row below knows), a namedtuple (a structure, with what its
pointers name copied), or `MALFORMED` where the C side's length or pointers cannot be right; which of them fits is
for the mechanism to say. A structure is one row: its members in the order of the C declaration, with the native
alignment and sizes of the machine's CK_ULONG. Two or three forms of one structure are told apart by their length.
Between processes a value travels without pointers: numbers as 8 bytes little-endian, byte strings behind their length.
"""

from __future__ import annotations

from operator import itemgetter
from struct import Struct

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]

__all__ = ["IV4", "IV8", "IV16", "MALFORMED", "MAXIMUM", "Bytes", "Layout"]

MAXIMUM = 2**31 - 1
"""The longest parameter, or part of one, that is read from the application's memory, in bytes."""


class _Malformed:
    """The type of `MALFORMED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name."""
        return "MALFORMED"


MALFORMED = _Malformed()
"""The value of a parameter whose length or pointers do not fit its structure; no mechanism accepts it."""

_NUMBER = Struct("<Q")
# Member kinds: their format in `struct`. A pointer and its length carry the same name, `bits` is a length in bits;
# `unused` members are skipped, and `zero` ones make the structure malformed unless they are 0.
_FORMATS = {
    "ulong": "L", "length": "L", "bits": "L", "pointer": "P", "boolean": "?", "block": "16s", "unused": "L",
    "zero": "L",
}  # fmt: skip
_SILENT = ("length", "bits", "unused", "zero")
_FEWEST_BITS = 32


def _of_bits(bits: int) -> int:
    """Return a length in bytes of one in bits; MAXIMUM + 1 for what is no whole number of bytes.

    What would be less than 4 bytes is one in bytes already, as several applications have it: there are no such nonces.
    """
    if bits < _FEWEST_BITS:
        return bits
    return bits >> 3 if bits % 8 == 0 else MAXIMUM + 1


class _Form:
    """One C declaration of a structure: how its members become the fields of the value."""

    __slots__ = ("bits", "pick", "pointers", "size", "unpack", "zeros")

    def __init__(self, fields: tuple[str, ...], members: str) -> None:
        """Read `members`, a run of `name:kind`; a field that no member gives is 0."""
        rows = [tuple(member.split(":")) for member in members.split()]
        # The widest member, no times, closes the structure with the padding that an array of it would have.
        formats = [_FORMATS[kind] for _, kind in rows]
        struct = Struct("@" + "".join(formats) + ("0?" if set(formats) == {"?"} else "0L"))
        self.size = struct.size
        self.unpack = struct.unpack
        places = {row: place for place, row in enumerate(rows)}
        lengths = {name: place for (name, kind), place in places.items() if kind in ("length", "bits")}
        self.pointers = tuple((places[row], lengths[row[0]]) for row in rows if row[1] == "pointer")
        self.bits = tuple(places[row] for row in rows if row[1] == "bits")
        self.zeros = tuple(places[row] for row in rows if row[1] == "zero")
        values = {name: place for (name, kind), place in places.items() if kind not in _SILENT}
        self.pick = itemgetter(*(values.get(field, -1) for field in fields))


class Layout:
    """A parameter structure: `name` as in C, the namedtuple `value` it becomes, and its members."""

    __slots__ = ("_forms", "_kinds", "name", "value")

    def __init__(self, name: str, value: type, *forms: str) -> None:
        """Keep the structure's `forms`, each a run of `name:kind` members (see `_FORMATS`); the first is complete."""
        fields: tuple[str, ...] = value._fields  # type: ignore[attr-defined]
        self.name = name
        self.value = value
        # itemgetter with one index does not give a tuple: a second, unused field evens that out.
        padded = fields if len(fields) > 1 else (*fields, "")
        self._forms = {form.size: form for form in (_Form(padded, members) for members in forms)}
        kinds = [member.split(":") for member in forms[0].split()]
        self._kinds = tuple(kind for name, kind in kinds if kind not in _SILENT)

    def __repr__(self) -> str:
        """Return the structure's name."""
        return self.name

    def accepts(self, value: object) -> bool:
        """Whether `value` is this structure."""
        return type(value) is self.value

    def parse(self, raw: bytes, read: Read) -> object:
        """Return the value of the structure `raw`; `read(address, length)` copies what a pointer names."""
        form = self._forms.get(len(raw))
        if form is None:
            return MALFORMED
        members = [*form.unpack(raw), 0]
        for place in form.bits:
            members[place] = _of_bits(members[place])
        for pointer, size in form.pointers:
            length = members[size]
            if length:
                address = members[pointer]
                if not address or length > MAXIMUM:
                    return MALFORMED
                members[pointer] = read(address, length)
            else:
                members[pointer] = b""
        for place in form.zeros:
            if members[place]:
                return MALFORMED
        return tuple.__new__(self.value, form.pick(members)[: len(self._kinds)])

    def pack(self, value: tuple[object, ...]) -> bytes:
        """Return the value without pointers."""
        parts: list[bytes] = []
        for field, kind in zip(value, self._kinds, strict=True):
            if isinstance(field, bytes):
                parts += (_NUMBER.pack(len(field)), field) if kind == "pointer" else (field,)
            else:
                parts.append(_NUMBER.pack(field))
        return b"".join(parts)

    def unpack(self, data: bytes) -> object:
        """Return the value that `pack` made; CKR_MECHANISM_PARAM_INVALID for any other bytes."""
        fields: list[object] = []
        position = 0
        for kind in self._kinds:
            size = 16 if kind == "block" else 8
            part = data[position : position + size]
            position += size
            if kind == "block":
                fields.append(part)
                continue
            number = int.from_bytes(part, "little")
            if kind == "pointer":
                fields.append(data[position : position + number])
                position += number
            elif kind == "boolean" and number > 1:
                raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{self.name}: {number} is not a boolean")
            else:
                fields.append(number == 1 if kind == "boolean" else number)
        # Slices never fail: whatever was cut short left the position behind the end.
        if position != len(data):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{self.name}: {len(data)} bytes do not fit")
        return tuple.__new__(self.value, fields)


class Bytes:
    """A parameter that is a byte string, as an IV; `lengths` are the lengths it may have."""

    __slots__ = ("lengths", "name")

    def __init__(self, name: str, *lengths: int) -> None:
        """Keep the name for messages and the lengths."""
        self.name = name
        self.lengths = lengths

    def __repr__(self) -> str:
        """Return the name."""
        return self.name

    def accepts(self, value: object) -> bool:
        """Whether `value` is a byte string of a fitting length."""
        return type(value) is bytes and len(value) in self.lengths


IV4 = Bytes("4 bytes of IV", 4)
IV8 = Bytes("8 bytes of IV", 8)
IV16 = Bytes("16 bytes of IV", 16)

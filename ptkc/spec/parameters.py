"""Mechanism parameters: what the C structures hold, as values.

A parameter is None (absent), bytes (an IV, or what no row of `spec.layouts` knows), a namedtuple (a structure, with
what its pointers name copied), or `MALFORMED` where the C side's length or pointers cannot be right; which of them fits
is for the mechanism to say. A structure is one row: its members in the order of the C declaration (`spec.members` says
what they may be), with the native alignment and sizes of the machine's CK_ULONG. Two or three forms of one structure
are told apart by their length. Between processes a value travels without pointers.
"""

from __future__ import annotations

from operator import itemgetter
from struct import Struct, calcsize

from ptkc.spec.members import FORMATS, LOWEST_ADDRESS, MALFORMED, MAXIMUM, SILENT, Cursor, Member, crossing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ptkc.spec.members import Memory

__all__ = ["IV4", "IV8", "IV16", "MALFORMED", "MAXIMUM", "Bytes", "Layout"]


class _Form:
    """One C declaration of a structure: how its members become the fields of the value."""

    __slots__ = ("members", "numbers", "odd", "pick", "plain", "pointers", "size", "unpack")

    def __init__(self, fields: tuple[str, ...], members: str, parts: dict[str, Layout]) -> None:
        """Read `members`, a run of `name:kind`; a field that no member gives is 0."""
        rows = [(*member.split(":"), "")[:3] for member in members.split()]
        # A structure inside is aligned as its pointers are.
        formats = [f"0P{parts[name].size}s" if kind == "part" else _format(kind) for name, kind, _ in rows]
        # The widest member, no times, closes the structure with the padding that an array of it would have.
        struct = Struct("@" + "".join(formats) + ("0?" if set(formats) == {"?"} else "0L"))
        self.size = struct.size
        self.unpack = struct.unpack
        places = {(name, kind): place for place, (name, kind, _) in enumerate(rows)}
        self.numbers = {
            name: place for (name, kind), place in places.items() if _format(kind) == "L" and kind != "handle"
        }
        self.pointers = tuple(
            (place, self.numbers[name]) for (name, kind), place in places.items() if kind == "pointer"
        )
        self.odd = tuple((place, kind) for (_, kind), place in places.items() if kind in ("bits", "length_at"))
        self.members = tuple(
            Member(kind, number or name, place, _offset(formats, place), parts.get(name))
            for place, (name, kind, number) in enumerate(rows)
            if _plain(kind) not in _NUMBERS_AND_POINTERS
        )
        self.plain = not self.members
        values = {name: place for (name, kind), place in places.items() if kind not in SILENT}
        self.pick = itemgetter(*(values.get(field, -1) for field in fields))

    def even_out(self, members: list[Any], memory: Memory) -> None:
        """Make lengths in bytes of those in bits, and of those that are elsewhere."""
        for place, kind in self.odd:
            if kind == "bits":
                members[place] = _of_bits(members[place])
            elif members[place] >= LOWEST_ADDRESS:
                members[place] = memory.number(members[place])

    def finish(self, members: list[Any], memory: Memory, base: int, outer: dict[str, int]) -> bool:
        """Replace the members that are more than numbers and plain pointers; False if the structure is malformed."""
        numbers = {**outer, **{name: members[place] for name, place in self.numbers.items()}}
        for member in self.members:
            field = member.read(members[member.place], numbers, memory, base)
            if field is MALFORMED:
                return False
            members[member.place] = field
        return True


_FEWEST_BITS = 32
_NUMBERS_AND_POINTERS = ("ulong", "boolean", "byte", "block", "half", "pointer", *SILENT)


def _plain(kind: str) -> str:
    """Return the kind without the number of bytes at its end."""
    return kind.rstrip("0123456789")


def _format(kind: str) -> str:
    return FORMATS.get(_plain(kind), "")


def _offset(formats: list[str], place: int) -> int:
    """Return where a member begins: behind those before it, and aligned as itself."""
    return calcsize("@" + "".join(formats[:place]) + "0P")


def _of_bits(bits: int) -> int:
    """Return a length in bytes of one in bits; MAXIMUM + 1 for what is no whole number of bytes.

    What would be less than 4 bytes is one in bytes already, as several applications have it: there are no such nonces.
    """
    if bits < _FEWEST_BITS:
        return bits
    return bits >> 3 if bits % 8 == 0 else MAXIMUM + 1


class Layout:
    """A parameter structure: `name` as in C, the namedtuple `value` it becomes, and its members.

    `size` is that of its first form in bytes.
    """

    __slots__ = ("_fields", "_forms", "name", "size", "value")

    def __init__(self, name: str, value: type, *forms: str, **parts: Layout) -> None:
        """Keep the structure's `forms`, each a run of members (see `spec.members`); the first is complete.

        `parts` are the layouts of the members that are structures themselves.
        """
        fields: tuple[str, ...] = value._fields  # type: ignore[attr-defined]
        self.name = name
        self.value = value
        # itemgetter with one index does not give a tuple: a second, unused field evens that out.
        padded = fields if len(fields) > 1 else (*fields, "")
        made = [_Form(padded, members, parts) for members in forms]
        self.size: int = made[0].size
        self._forms = {form.size: form for form in made}
        rows = [member.split(":") for member in forms[0].split()]
        kinds = {row[0]: row[1] for row in rows if row[1] not in SILENT}
        self._fields = tuple((*crossing(kinds[field]), parts.get(field)) for field in fields)

    def __repr__(self) -> str:
        """Return the structure's name."""
        return self.name

    def accepts(self, value: object) -> bool:
        """Whether `value` is this structure."""
        return type(value) is self.value

    def parse(self, raw: bytes, memory: Memory, base: int = 0, outer: dict[str, int] | None = None) -> object:
        """Return the value of the structure `raw`, or MALFORMED; what its pointers name is in `memory`.

        As part of another structure it is at the address `base`, and the other's numbers are `outer`.
        """
        form = self._forms.get(len(raw))
        if form is None:
            return MALFORMED
        members = [*form.unpack(raw), 0]
        if form.odd:
            form.even_out(members, memory)
        for pointer, size in form.pointers:
            length = members[size]
            if length:
                address = members[pointer]
                if not address or length > MAXIMUM:
                    return MALFORMED
                members[pointer] = memory.read(address, length)
            else:
                members[pointer] = b""
        if not form.plain and not form.finish(members, memory, base, outer or {}):
            return MALFORMED
        return tuple.__new__(self.value, form.pick(members)[: len(self._fields)])

    def pack(self, value: tuple[object, ...]) -> bytes:
        """Return the value without pointers."""
        return b"".join([write(part, field) for (write, _, part), field in zip(self._fields, value, strict=True)])

    def unpack(self, data: bytes) -> object:
        """Return the value that `pack` made; CKR_MECHANISM_PARAM_INVALID for any other bytes."""
        cursor = Cursor(self.name, data)
        value = self.take(cursor)
        if cursor.position != len(data):
            raise cursor.refuse()
        return value

    def take(self, cursor: Cursor) -> object:
        """Return the value that the next bytes are."""
        return tuple.__new__(self.value, [take(part, cursor) for _, take, part in self._fields])


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

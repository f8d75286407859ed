"""The members of parameter structures: how each kind is read from memory, and how it crosses between processes.

A structure's row (`spec.layouts`) is a run of `name:kind`. A pointer and its `length` or `count` carry the same name,
or the pointer says which number it goes by (`name:kind:number`, which may be the enclosing structure's); a number whose
name ends in `_bits` counts bits. No fields of the value are `length`, `bits` (a length in bits), `length_at` (a length,
or the address of one) and `count`. The others, and the values they become:

    ulong boolean byte     int, bool, int
    block, half            16 or 8 bytes, inside
    pointer                bytes behind a pointer; of `optional`, NULL with a length is no bytes, not malformed
    part, part_at          the value of another layout (the row's keyword of this name), inside, or behind a pointer
                           (None for NULL); `array`: a tuple of them
    template               spec.values.Template
    output                 memory that is written back: int, the room in bytes, 0 for NULL; `outputN` has N bytes
    in_out                 memory that is read and written back: bytes; `in_outN` has N bytes
    handle_at, handle      a CK_OBJECT_HANDLE that is written back, behind a pointer, or inside a `part_at`: 1, or 0
                           for NULL
"""

from __future__ import annotations

from struct import Struct

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ptkc.spec.parameters import Layout
    from ptkc.spec.values import Template

    class Memory(Protocol):
        """The application's memory; what cannot be right in it is CKR_MECHANISM_PARAM_INVALID."""

        def read(self, address: int, length: int) -> bytes:
            """Return a copy of `length` bytes."""

        def template(self, address: int, count: int) -> Template:
            """Return the template of `count` attributes."""

        def number(self, address: int) -> int:
            """Return a CK_ULONG."""

        def expect(self, address: int, room: int) -> None:
            """Take note of memory that may be written back: `room` bytes, or `HANDLE`; in the order of `written`."""


__all__ = ["FORMATS", "HANDLE", "LOWEST_ADDRESS", "MALFORMED", "MAXIMUM", "SILENT", "Cursor", "Member", "crossing"]

MAXIMUM = 2**31 - 1
"""The longest parameter, or part of one, that is read from the application's memory, in bytes."""
HANDLE = -1
"""The room of a CK_OBJECT_HANDLE that is written back."""
LOWEST_ADDRESS = 1 << 16
"""Nothing is mapped below this address; a `length_at` that is smaller is a length."""
_MOST_ITEMS = 1024  # in an array or a template of a parameter


class _Malformed:
    """The type of `MALFORMED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name."""
        return "MALFORMED"


MALFORMED = _Malformed()
"""The value of a parameter whose length or pointers do not fit its structure; no mechanism accepts it."""

FORMATS = {
    **dict.fromkeys(("ulong", "length", "bits", "length_at", "count", "handle"), "L"),
    **dict.fromkeys(("pointer", "optional", "part_at", "array", "template", "output", "in_out", "handle_at"), "P"),
    "boolean": "?",
    "byte": "B",
    "block": "16s",
    "half": "8s",
}
"""The format of each kind in `struct`, but for `part`."""
SILENT = ("length", "bits", "length_at", "count")
"""Kinds that are no fields of the value."""


class Member:
    """A member that is more than a number or a plain pointer with its length."""

    __slots__ = ("fixed", "kind", "number", "offset", "part", "place")

    def __init__(self, kind: str, number: str, place: int, offset: int, part: Layout | None) -> None:
        """Keep its kind, the number that it goes by, its place among the members and in memory, and its layout."""
        self.kind = kind.rstrip("0123456789")
        self.fixed = int(kind[len(self.kind) :] or 0)
        self.number = number
        self.place = place
        self.offset = offset
        self.part = part

    def length(self, numbers: dict[str, int]) -> int:
        """Return how many bytes or items there are, by the structure's and its parents' `numbers`."""
        if self.fixed:
            return self.fixed
        number = numbers[self.number]
        return -(-number // 8) if self.number.endswith("_bits") else number

    def read(self, content: Any, numbers: dict[str, int], memory: Memory, base: int) -> object:  # noqa: ANN401
        """Return the field, or MALFORMED; `content` is the number, address or bytes in the structure at `base`."""
        return _READ[self.kind](self, content, numbers, memory, base)


def _read_optional(member: Member, address: int, numbers: dict[str, int], memory: Memory, _: int) -> object:
    length = member.length(numbers) if address else 0
    if length > MAXIMUM:
        return MALFORMED
    return memory.read(address, length) if length else b""


def _read_output(member: Member, address: int, numbers: dict[str, int], memory: Memory, _: int) -> object:
    room = member.length(numbers) if address else 0
    memory.expect(address, room)
    return room


def _read_in_out(member: Member, address: int, numbers: dict[str, int], memory: Memory, _: int) -> object:
    length = member.length(numbers)
    if length and (not address or length > MAXIMUM):
        return MALFORMED
    memory.expect(address, length)
    return memory.read(address, length) if length else b""


def _read_handle(member: Member, _: int, __: dict[str, int], memory: Memory, base: int) -> object:
    memory.expect(base + member.offset, HANDLE)
    return 1


def _read_handle_at(_: Member, address: int, __: dict[str, int], memory: Memory, ___: int) -> object:
    memory.expect(address, HANDLE)
    return int(address != 0)


def _read_template(member: Member, address: int, numbers: dict[str, int], memory: Memory, _: int) -> object:
    count = member.length(numbers)
    if count and (not address or count > _MOST_ITEMS):
        return MALFORMED
    return memory.template(address, count) if count else ()


def _read_part(member: Member, raw: bytes, numbers: dict[str, int], memory: Memory, base: int) -> object:
    return _layout(member).parse(raw, memory, base + member.offset, numbers)


def _read_part_at(member: Member, address: int, numbers: dict[str, int], memory: Memory, _: int) -> object:
    layout = _layout(member)
    return layout.parse(memory.read(address, layout.size), memory, address, numbers) if address else None


def _read_array(member: Member, address: int, numbers: dict[str, int], memory: Memory, _: int) -> object:
    count = member.length(numbers)
    if not count:
        return ()
    if not address or count > _MOST_ITEMS:
        return MALFORMED
    layout = _layout(member)
    size = layout.size
    raw = memory.read(address, count * size)
    places = range(0, count * size, size)
    items = tuple(layout.parse(raw[at : at + size], memory, address + at, numbers) for at in places)
    return MALFORMED if MALFORMED in items else items


def _layout(member: Member) -> Layout:
    assert member.part is not None  # noqa: S101 - rows that name a part have one
    return member.part


_READ: dict[str, Any] = {
    "optional": _read_optional,
    "output": _read_output,
    "in_out": _read_in_out,
    "handle": _read_handle,
    "handle_at": _read_handle_at,
    "template": _read_template,
    "part": _read_part,
    "part_at": _read_part_at,
    "array": _read_array,
}

# Between processes: numbers as 8 bytes little-endian, byte strings and arrays behind their length or count, what may be
# absent behind a number 0 or 1.

_NUMBER = Struct("<Q")


class Cursor:
    """The bytes of a value and how far they are read; CKR_MECHANISM_PARAM_INVALID for any that are not one."""

    __slots__ = ("data", "name", "position")

    def __init__(self, name: str, data: bytes) -> None:
        """Begin with the first of `data`; `name` is for messages."""
        self.name = name
        self.data = data
        self.position = 0

    def take(self, length: int) -> bytes:
        """Return the next `length` bytes."""
        end = self.position + length
        if end > len(self.data):
            raise self.refuse()
        value = self.data[self.position : end]
        self.position = end
        return value

    def number(self, most: int = 2**64) -> int:
        """Return the next number, which is at most `most`."""
        position = self.position
        self.position = position + 8
        if self.position > len(self.data):
            raise self.refuse()
        number: int = _NUMBER.unpack_from(self.data, position)[0]
        if number > most:
            raise self.refuse()
        return number

    def refuse(self) -> CryptokiError:
        """Return the error that says that the bytes are no value."""
        return CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{self.name}: {len(self.data)} bytes do not fit")


def _write_number(_: object, value: int) -> bytes:
    return _NUMBER.pack(value)


def _write_bytes(_: object, value: bytes) -> bytes:
    return _NUMBER.pack(len(value)) + value


def _write_array(part: Layout, value: tuple[Any, ...]) -> bytes:
    return _NUMBER.pack(len(value)) + b"".join(map(part.pack, value))


def _write_template(_: object, value: Template) -> bytes:
    entries = [
        _NUMBER.pack(kind) + (_NUMBER.pack(0) if content is None else _NUMBER.pack(1) + _write_bytes(None, content))
        for kind, content in value
    ]
    return _NUMBER.pack(len(value)) + b"".join(entries)


def _take_array(part: Any, cursor: Cursor) -> object:  # noqa: ANN401 - a layout
    return tuple(part.take(cursor) for _ in range(cursor.number(_MOST_ITEMS)))


def _take_template(_: object, cursor: Cursor) -> object:
    count = cursor.number(_MOST_ITEMS)
    return tuple(
        (cursor.number(), cursor.take(cursor.number()) if cursor.number(1) else None) for _ in range(count)
    )


_CROSSING: dict[str, tuple[Any, Any]] = {
    **dict.fromkeys(("ulong", "output"), (_write_number, lambda _, cursor: cursor.number())),
    **dict.fromkeys(("handle", "handle_at"), (_write_number, lambda _, cursor: cursor.number(1))),
    "boolean": (_write_number, lambda _, cursor: cursor.number(1) == 1),
    "byte": (_write_number, lambda _, cursor: cursor.number(255)),
    "half": (lambda _, value: value, lambda _, cursor: cursor.take(8)),
    "block": (lambda _, value: value, lambda _, cursor: cursor.take(16)),
    **dict.fromkeys(
        ("pointer", "optional", "in_out"), (_write_bytes, lambda _, cursor: cursor.take(cursor.number()))
    ),
    "part": (lambda part, value: part.pack(value), lambda part, cursor: part.take(cursor)),
    "part_at": (
        lambda part, value: _NUMBER.pack(0) if value is None else _NUMBER.pack(1) + part.pack(value),
        lambda part, cursor: part.take(cursor) if cursor.number(1) else None,
    ),
    "array": (_write_array, _take_array),
    "template": (_write_template, _take_template),
}


def crossing(kind: str) -> tuple[Any, Any]:
    """Return what makes bytes of a field of this kind (layout, value), and what takes it back (layout, cursor)."""
    return _CROSSING[kind.rstrip("0123456789")]

"""Structures of the application's memory: how arrays, templates and parameters are read there and written back.

Used by the functions that `client.bridge` compiles; with it, the only code that touches pointers. Lengths and counts
are the caller's and are refused where they cannot be right; that a pointer names as much memory as the caller said is
something that no library can check.
"""

# ruff: noqa: ANN401 - pointers of cffi have no types
from __future__ import annotations

from struct import Struct

from _libptkc import ffi, lib

from ptkc.spec import layouts, parameters
from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.members import HANDLE, LOWEST_ADDRESS
from ptkc.spec.values import UNAVAILABLE, Template, pack_template, unpack_template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "LARGE", "is_absurd", "memmove", "read_entries", "read_mechanism", "read_message", "read_message_mechanism",
    "read_template", "string",
    "unpack", "write_back", "write_list", "write_numbers", "write_structure", "write_values",
]  # fmt: skip

LARGE = 1 << 20
"""Lengths above this many bytes are looked at more closely before anything is read."""
_MOST_ATTRIBUTES = 4096

unpack, memmove, string = ffi.unpack, ffi.memmove, ffi.string
_cast, _buffer = ffi.cast, ffi.buffer
_BYTES = ffi.typeof("char *")
_ATTRIBUTES = ffi.typeof("CK_ATTRIBUTE *")

_ATTRIBUTE = Struct("@LPL")
_NUMBER = Struct("@L")
_STRUCTURES = {
    "slot_info": Struct("@64s32sL2s2s0L"),
    "token_info": Struct("@32s32s16s16s" + "L" * 11 + "2s2s16s0L"),
    "session_info": Struct("@LLLL"),
    "mechanism_info": Struct("@LLL"),
    "async_data": Struct("@LPLLL"),
}
# Members of a structure before those that the device gives: CK_ASYNC_DATA has its version, and memory that the
# application gave the function for its output, which none of the functions that can be pending has.
_BEFORE = {"async_data": (0, 0, 0)}
# Attributes whose value is itself an array of CK_ATTRIBUTE.
_TEMPLATES = frozenset(number for name, number in vars(CKA).items() if name.endswith("_TEMPLATE"))


def is_absurd(pointer: Any, length: int) -> bool:
    """Whether a large length cannot be right: too long for any call, or not all of it is mapped memory."""
    return length > parameters.MAXIMUM or not lib.ptkc_is_mapped(pointer, length)


def read_entries(pointer: Any, count: int) -> list[tuple[int, int, int]]:
    """Return (type, address, length) of each CK_ATTRIBUTE; CKR_ARGUMENTS_BAD for NULL or an absurd count."""
    if not count:
        return []
    if not pointer or count > _MOST_ATTRIBUTES:
        raise CryptokiError(CKR.ARGUMENTS_BAD, f"a template of {count} at {'some' if pointer else 'no'} address")
    return list(_ATTRIBUTE.iter_unpack(_buffer(pointer, count * _ATTRIBUTE.size)))


def read_template(pointer: Any, count: int) -> Template:
    """Return a template; a NULL value with a length is kept as None, which no attribute accepts."""
    template = []
    for kind, address, length in read_entries(pointer, count):
        if length > LARGE and is_absurd(_cast(_BYTES, address), length):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"attribute {kind:#x} of {length} bytes")
        if not address:
            template.append((kind, None if length else b""))
        elif kind in _TEMPLATES:
            template.append((kind, _read_nested(kind, address, length)))
        else:
            template.append((kind, unpack(_cast(_BYTES, address), length)))
    return tuple(template)


def _read_nested(kind: int, address: int, length: int) -> bytes:
    """Return the canonical form of an attribute whose value is a template."""
    count, rest = divmod(length, _ATTRIBUTE.size)
    inner = read_entries(_cast(_ATTRIBUTES, address), count)
    if rest or any(entry[0] in _TEMPLATES for entry in inner):
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"attribute {kind:#x} is no array of simple attributes")
    return pack_template(read_template(_cast(_ATTRIBUTES, address), count))


def read_mechanism(pointer: Any, outputs: list[tuple[int, int]] | None = None) -> tuple[int, object]:
    """Return (type, parameter) of a CK_MECHANISM; `outputs` gets what of the parameter may be written back."""
    kind, length = pointer.mechanism, pointer.ulParameterLen
    if not length:
        return kind, None
    address = pointer.pParameter
    if not address or (length > LARGE and is_absurd(address, length)):
        return kind, parameters.MALFORMED
    return kind, layouts.parse(kind, unpack(address, length), _NOTHING_BACK if outputs is None else _Memory(outputs))


class _Memory:
    """The application's memory, for the structures of parameters (`spec.members.Memory`)."""

    __slots__ = ("expect",)

    def __init__(self, outputs: list[tuple[int, int]]) -> None:
        """Begin with the list that what may be written back is added to."""

        def expect(address: int, room: int) -> None:
            # A number stands where a pointer belongs: it is another structure of the same size.
            if 0 < address < LOWEST_ADDRESS:
                raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "a pointer in the parameter is none")
            outputs.append((address, room))

        self.expect = expect

    @staticmethod
    def read(address: int, length: int) -> bytes:
        """Return `length` bytes at `address`; CKR_MECHANISM_PARAM_INVALID for a length that cannot be right."""
        pointer = _cast(_BYTES, address)
        if address < LOWEST_ADDRESS or (length > LARGE and is_absurd(pointer, length)):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a pointer in the parameter, {length} bytes")
        value: bytes = unpack(pointer, length)
        return value

    @staticmethod
    def template(address: int, count: int) -> Template:
        """Return a template in the parameter."""
        return read_template(_cast(_ATTRIBUTES, address), count)

    @staticmethod
    def number(address: int) -> int:
        """Return a CK_ULONG of which it is not certain that it is there."""
        pointer = _cast(_BYTES, address)
        if not lib.ptkc_is_mapped(pointer, _NUMBER.size):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "a length in the parameter is no address of one")
        number: int = _NUMBER.unpack(unpack(pointer, _NUMBER.size))[0]
        return number


class _Unwritten(_Memory):
    """The same for functions that write nothing back."""

    __slots__ = ()

    def __init__(self) -> None:
        """Keep nothing."""
        self.expect = lambda address, room: None  # noqa: ARG005 - nothing is kept


_NOTHING_BACK = _Unwritten()


def read_message(pointer: Any, length: int, outputs: list[tuple[int, int]] | None = None) -> object:
    """Return a per-message parameter; `outputs` gets what of it is written back, None where all of it is given."""
    if not length:
        return None
    if not pointer or (length > LARGE and is_absurd(pointer, length)):
        return parameters.MALFORMED
    raw = unpack(_cast(_BYTES, pointer), length)
    if outputs is None:
        return layouts.parse_message(layouts.GIVEN, raw, _NOTHING_BACK)
    return layouts.parse_message(layouts.MADE, raw, _Memory(outputs))


def read_message_mechanism(pointer: Any, outputs: list[tuple[int, int]] | None = None) -> tuple[int, object]:
    """Return (type, parameter) of a CK_MECHANISM whose parameter is that of a message, as `read_message` does.

    What is no structure of the mechanism's is MALFORMED, and nothing that it may point to is looked at.
    """
    number, address, length = pointer.mechanism, pointer.pParameter, pointer.ulParameterLen
    wanted = layouts.OF_MECHANISM.get(number)
    if length and not any(each.value is wanted and each.size == length for each in layouts.MADE):
        return number, parameters.MALFORMED
    return number, read_message(address, length, outputs)


def write_back(outputs: list[tuple[int, int]], written: tuple[bytes | int, ...]) -> None:
    """Write into the application's memory what a call gave for its parameter: all of it or nothing.

    CKR_DEVICE_ERROR if that does not fit the `outputs` there are: nothing else holds it against them.
    """
    if not written:
        return
    if len(written) != len(outputs):
        raise CryptokiError(CKR.DEVICE_ERROR, f"{len(written)} outputs of a parameter that has {len(outputs)}")
    for (address, room), content in zip(outputs, written, strict=True):
        length = HANDLE if isinstance(content, int) else len(content)
        if (length == HANDLE) is not (room == HANDLE) or length > room or (content and not address):
            raise CryptokiError(CKR.DEVICE_ERROR, "an output of the parameter does not fit the application's memory")
    for (address, _), content in zip(outputs, written, strict=True):
        if content or (address and isinstance(content, int)):
            data = _NUMBER.pack(content) if isinstance(content, int) else content
            memmove(_cast(_BYTES, address), data, len(data))


def write_numbers(pointer: Any, numbers: tuple[int, ...]) -> None:
    """Write CK_ULONGs; there is room."""
    if len(numbers) == 1:
        pointer[0] = numbers[0]
    else:
        for place, number in enumerate(numbers):
            pointer[place] = number


def write_list(pointer: Any, count: Any, numbers: tuple[int, ...]) -> None:
    """Write a list by the two-call convention (specification 5.2)."""
    size = len(numbers)
    if pointer:
        if count[0] < size:
            raise BufferTooSmallError(size)
        write_numbers(pointer, numbers)
    count[0] = size


def write_structure(pointer: Any, kind: str, values: tuple[object, ...]) -> None:
    """Write one of the info structures."""
    structure = _STRUCTURES[kind]
    memmove(pointer, structure.pack(*_BEFORE.get(kind, ()), *values), structure.size)


def write_values(pointer: Any, entries: list[tuple[int, int, int]], code: int, values: list[bytes | None]) -> int:
    """Write the answer of C_GetAttributeValue, return its CK_RV (specification 5.7.5)."""
    for place, ((kind, address, room), value) in enumerate(zip(entries, values, strict=True)):
        if value is None:
            pointer[place].ulValueLen = UNAVAILABLE
            continue
        if kind in _TEMPLATES:
            code = _write_nested(pointer[place], value) or code
            continue
        size = len(value)
        if address:
            if room < size:
                pointer[place].ulValueLen = UNAVAILABLE
                code = CKR.BUFFER_TOO_SMALL
                continue
            memmove(_cast(_BYTES, address), value, size)
        if room != size:
            pointer[place].ulValueLen = size
    return code


def _write_nested(entry: Any, value: bytes) -> int:
    """Write a template-valued attribute into the caller's array; return the CK_RV, or 0."""
    template = unpack_template(value)
    room, entry.ulValueLen = entry.ulValueLen, len(template) * _ATTRIBUTE.size
    if not entry.pValue:
        return 0
    if room < entry.ulValueLen:
        entry.ulValueLen = UNAVAILABLE
        return CKR.BUFFER_TOO_SMALL
    array = _cast(_ATTRIBUTES, entry.pValue)
    inner = read_entries(array, len(template))
    for place, (kind, _) in enumerate(template):
        array[place].type = kind
    plain = [(0, address, length) for _, address, length in inner]
    return write_values(array, plain, 0, [part for _, part in template])

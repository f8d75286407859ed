"""Commands and replies as bytes, made from the command table.

Theory of operation: a message is version, kind, command number and the fields of the table's row in their order.
Numbers are 64-bit little-endian; what may be absent has a byte 0 or 1 before it; bytes have their length before them;
arrays their count. There is one encoding of each message, and nothing may follow it. Decoding trusts nothing: a length
is compared with the bytes there are before anything is made of it, and every failure is a `PeerError`.

A request has the fields that go in, then for each that comes out what the call says about it: the room for a `buffer`,
the length of a `fill`, the most of a `found`. A reply has the CK_RV; after CKR_OK the fields that come out, after
CKR_BUFFER_TOO_SMALL the length needed, after any other code the reason.
"""

from __future__ import annotations

from struct import Struct, pack, unpack

from ptkc.spec import layouts
from ptkc.spec.constants import CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError, PeerError
from ptkc.spec.values import MOST_ATTRIBUTES
from ptkc.wire.commands import COMMANDS
from ptkc.wire.reader import HEAD, IS_LONG, LARGEST, VERSION, Reader

__all__ = [
    "LARGEST", "VERSION", "binding", "decode_reply", "decode_request", "encode_reply", "encode_request", "is_sensitive",
]  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.wire.commands import Command

    Hold = Callable[[int], bool]
    """Asked for memory of so many bytes: whether there is."""

_LONGEST_REASON = 1024
_MOST_NUMBERS = 1 << 20  # in a list, as of handles: each takes many times its bytes in memory

_REQUEST = 0
_REPLY = 1
_ULONG = Struct("<Q")
_LIMIT = 1 << 64

_INFO = {
    "slot_info": Struct("<64s32sQ2s2s"),
    "token_info": Struct("<32s32s16s16s11Q2s2s16s"),
    "session_info": Struct("<4Q"),
    "mechanism_info": Struct("<3Q"),
    "async_data": Struct("<2Q"),
}


# Values: a writer returns bytes (`_values` parts of them), a reader takes them from a `Reader`.


def _blob(value: bytes) -> bytes:
    return _ULONG.pack(len(value)) + value


def _flag(value: bool) -> bytes:  # noqa: FBT001 - the value itself
    return b"\x01" if value else b"\x00"


def _optional(value: bytes | None) -> bytes:
    return b"\x00" if value is None else b"\x01" + _blob(value)


def _check_count(value: tuple[object, ...]) -> None:
    if len(value) > MOST_ATTRIBUTES:
        raise CryptokiError(CKR.ARGUMENTS_BAD, f"{len(value)} attributes, {MOST_ATTRIBUTES} are the most")


def _template(value: tuple[tuple[int, bytes | None], ...]) -> bytes:
    _check_count(value)
    return _ULONG.pack(len(value)) + b"".join(_ULONG.pack(kind) + _optional(content) for kind, content in value)


def _read_template(reader: Reader) -> tuple[tuple[int, bytes | None], ...]:
    return tuple((reader.ulong(), reader.optional_blob()) for _ in range(reader.count(9, MOST_ATTRIBUTES)))


def _ulongs(value: tuple[int, ...]) -> bytes:
    if len(value) > _MOST_NUMBERS:
        raise CryptokiError(CKR.DEVICE_MEMORY, f"{len(value)} numbers, {_MOST_NUMBERS} are the most at once")
    return pack(f"<{1 + len(value)}Q", len(value), *value)


def _read_ulongs(reader: Reader, most: int = _MOST_NUMBERS) -> tuple[int, ...]:
    count = reader.count(8, most)
    return unpack(f"<{count}Q", reader.take(8 * count))


def _types(value: tuple[int, ...]) -> bytes:
    _check_count(value)
    return _ulongs(value)


def _read_types(reader: Reader) -> tuple[int, ...]:
    return _read_ulongs(reader, MOST_ATTRIBUTES)


def _room(value: int | None) -> bytes:
    return b"\x00" if value is None else b"\x01" + _ULONG.pack(value)


def _read_room(reader: Reader) -> int | None:
    return reader.ulong() if reader.flag() else None


def _last_room(value: int | bool | None) -> bytes:  # noqa: FBT001 - the value itself
    return b"\x02" if value is False else _room(value)


def _read_last_room(reader: Reader) -> int | bool | None:
    if reader.data[reader.position : reader.position + 1] == b"\x02":
        reader.position += 1
        return False
    return _read_room(reader)


def _read_size(reader: Reader) -> int:
    size = reader.ulong()
    if size > LARGEST:
        raise PeerError(f"{size} bytes, more than a message brings")
    return size


def _buffer(value: bytes | int) -> bytes:
    return b"\x00" + _ULONG.pack(value) if isinstance(value, int) else b"\x01" + _blob(value)


def _read_buffer(reader: Reader) -> bytes | memoryview | int:
    return reader.view() if reader.flag() else reader.ulong()


def _values(value: tuple[int, tuple[bytes | None, ...]]) -> list[bytes]:
    """Return parts, not copied: one value asked for many times may be much more than a message brings."""
    code, contents = value
    parts = [_ULONG.pack(code), _ULONG.pack(len(contents))]
    for content in contents:
        parts += (b"\x00",) if content is None else (b"\x01", _ULONG.pack(len(content)), content)
    return parts


def _read_values(reader: Reader) -> tuple[int, tuple[bytes | None, ...]]:
    return reader.ulong(), tuple(reader.optional_blob() for _ in range(reader.count(1, MOST_ATTRIBUTES)))


def _info(kind: str) -> tuple[Callable[..., bytes], Callable[[Reader], Any]]:
    structure = _INFO[kind]
    return lambda value: structure.pack(*value), lambda reader: structure.unpack(reader.take(structure.size))


def _mechanism(value: tuple[int, object] | None) -> bytes:
    if value is None:
        return b"\x00"
    kind, parameter = value
    return b"\x01" + _ULONG.pack(kind) + _blob(layouts.pack(kind, parameter))


def _read_mechanism(reader: Reader) -> tuple[int, object] | None:
    if not reader.flag():
        return None
    kind = reader.ulong()
    try:
        return kind, layouts.unpack(kind, reader.blob())
    except CryptokiError as error:
        raise PeerError(error.message) from error


def _message_parameter(forms: tuple[Any, ...]) -> tuple[Callable[..., bytes], Callable[[Reader], Any]]:
    def read(reader: Reader) -> object:
        try:
            return layouts.unpack_message(forms, reader.blob())
        except CryptokiError as error:
            raise PeerError(error.message) from error

    return lambda value: _blob(layouts.pack_message(forms, value)), read


def _message_mechanism(forms: tuple[Any, ...]) -> tuple[Callable[..., bytes], Callable[[Reader], Any]]:
    write_parameter, read_parameter = _message_parameter(forms)

    def write(value: tuple[int, object] | None) -> bytes:
        return b"\x00" if value is None else b"\x01" + _ULONG.pack(value[0]) + write_parameter(value[1])

    return write, lambda reader: (reader.ulong(), read_parameter(reader)) if reader.flag() else None


def _written(value: tuple[bytes | int, ...]) -> bytes:
    return _ULONG.pack(len(value)) + b"".join(map(_buffer, value))


def _read_written(reader: Reader) -> tuple[bytes | memoryview | int, ...]:
    return tuple(_read_buffer(reader) for _ in range(reader.count(9, MOST_ATTRIBUTES)))


# Writers of bytes that may be many: what stands before the length. They are copied once only, into the message.
_LONG: dict[Callable[..., Any], bytes] = {_blob: b"", _buffer: b"\x01"}


def _parts(fields: list[tuple[Callable[..., Any], Any]], values: tuple[Any, ...]) -> list[bytes]:
    """Return the fields of a message."""
    parts: list[bytes] = []
    for (write, _), value in zip(fields, values, strict=True):
        if write is _values:
            parts += _values(value)
        elif value.__class__ is bytes and len(value) > IS_LONG and write in _LONG:
            parts += (_LONG[write], _ULONG.pack(len(value)), value)
        else:
            parts.append(write(value))
    return parts


# Kind of the table: its writer and its reader, for what goes in …
_IN: dict[str, tuple[Callable[..., bytes], Callable[[Reader], Any]]] = {
    "session": (_ULONG.pack, Reader.ulong),
    "handle": (_ULONG.pack, Reader.ulong),
    "ulong": (_ULONG.pack, Reader.ulong),
    "ulong_in": (_ULONG.pack, Reader.ulong),
    "boolean": (_flag, Reader.flag),
    "bytes": (_blob, Reader.blob),
    "label": (_blob, Reader.blob),
    "name": (_blob, Reader.blob),
    "made": _message_parameter(layouts.MADE),
    "given": _message_parameter(layouts.GIVEN),
    "sealing": _message_mechanism(layouts.MADE),
    "opening": _message_mechanism(layouts.GIVEN),
    "secret": (_optional, Reader.optional_blob),
    "last": (_optional, Reader.optional_blob),
    "mechanism": (_mechanism, _read_mechanism),
    "template": (_template, _read_template),
    "types": (_types, _read_types),
    "buffer": (_room, _read_room),
    "last_buffer": (_last_room, _read_last_room),
    "fill": (_ULONG.pack, _read_size),
    "found": (_ULONG.pack, Reader.ulong),
}
# … and for what comes out. A kind that is in neither does not cross in that direction.
_OUT: dict[str, tuple[Callable[..., Any], Callable[[Reader], Any]]] = {
    "ulong": (_ULONG.pack, Reader.ulong),
    "buffer": (_buffer, _read_buffer),
    "last_buffer": (_buffer, _read_buffer),
    "fill": (_blob, Reader.blob),
    "list": (_ulongs, _read_ulongs),
    "slots": (_ulongs, _read_ulongs),
    "found": (_ulongs, _read_ulongs),
    "values": (_values, _read_values),
    "written": (_written, _read_written),
    **{kind: _info(kind) for kind in _INFO},
}
_ASKED = ("buffer", "last_buffer", "fill", "found", "ulong_in")  # outputs that the request speaks of


def _kinds(fields: list[str]) -> list[str]:
    """Return the kinds in a row's `name:kind` fields."""
    return [field.rpartition(":")[2] for field in fields]


_BINDING = Struct("<Q16s")


def binding(slot: int, serial: bytes) -> bytes:
    """Return what a protected request with a session is bound to: the slot's number on the HSM, the token's serial.

    Both as when the session was opened; the serial as C_GetTokenInfo has it, blanks at its end or not.
    """
    return _BINDING.pack(slot, serial[:16].ljust(16))


_REQUESTS = {}
_REPLIES = {}
for _command in COMMANDS:
    if not _command.library:
        _inputs = _kinds(_command.inputs) + [kind for kind in _kinds(_command.outputs) if kind in _ASKED]
        _REQUESTS[_command.number] = (_command, [_IN[kind] for kind in _inputs if kind in _IN])
        _REPLIES[_command.number] = [_OUT[kind] for kind in _kinds(_command.outputs) if kind in _OUT]
_CLEAR = frozenset(
    HEAD.pack(VERSION, _REQUEST, number) for number, (command, _) in _REQUESTS.items() if not command.sensitive
)


def is_sensitive(payload: bytes) -> bool:
    """Whether a request may carry a PIN or the value of a key; of bytes that are no request, True."""
    return payload[: HEAD.size] not in _CLEAR


def encode_request(command: Command, arguments: tuple[Any, ...]) -> bytes:
    """Return a request; CKR_DEVICE_MEMORY if it is longer than `LARGEST` or asks for more."""
    return _message(_REQUEST, command, _parts(_REQUESTS[command.number][1], arguments))


def decode_request(request: bytes) -> tuple[Command, tuple[Any, ...]]:
    """Return the command and its arguments; `PeerError` for bytes that are none."""
    reader = Reader(request, _REQUEST)
    if reader.number not in _REQUESTS:
        raise PeerError(f"command {reader.number}")
    command, fields = _REQUESTS[reader.number]
    arguments = tuple(read(reader) for _, read in fields)
    reader.end()
    return command, arguments


def encode_reply(command: Command, result: Any, hold: Hold | None = None) -> bytes:  # noqa: ANN401 - as below
    """Return a reply; `result` is what the command's method returned, or the `CryptokiError` it raised.

    CKR_DEVICE_MEMORY if it is longer than `LARGEST`, or than `hold`, which is asked for its length, has memory for.
    """
    if isinstance(result, BufferTooSmallError):
        return _message(_REPLY, command, [_ULONG.pack(result.code), _ULONG.pack(result.length)])
    if isinstance(result, CryptokiError):
        reason = result.message.encode("utf-8", "backslashreplace")[:_LONGEST_REASON]
        return _message(_REPLY, command, [_ULONG.pack(result.code), _blob(reason)])
    fields = _REPLIES[command.number]
    results = (result,) if len(fields) == 1 else result or ()
    return _message(_REPLY, command, [_ULONG.pack(CKR.OK), *_parts(fields, results)], hold)


def decode_reply(command: Command, reply: bytes) -> Any:  # noqa: ANN401 - as the command's method returns it
    """Return the result in a reply to `command`, or raise the `CryptokiError` in it; `PeerError` if it is neither."""
    reader = Reader(reply, _REPLY)
    if reader.number != command.number:
        raise PeerError(f"reply to command {reader.number}, not {command.number}")
    code = reader.ulong()
    if code == CKR.OK:
        results = tuple(read(reader) for _, read in _REPLIES[command.number])
        reader.end()
        return results[0] if len(results) == 1 else results or None
    if code == CKR.BUFFER_TOO_SMALL:
        length = _read_size(reader)
        reader.end()
        raise BufferTooSmallError(length)
    reason = reader.blob()
    reader.end()
    raise CryptokiError(code, reason.decode("utf-8", "replace")[:_LONGEST_REASON])


def _message(kind: int, command: Command, parts: list[bytes], hold: Hold | None = None) -> bytes:
    """Return a message; CKR_DEVICE_MEMORY if it is too long, before any of it is copied."""
    length = HEAD.size + sum(map(len, parts))
    if length > LARGEST:
        raise CryptokiError(CKR.DEVICE_MEMORY, f"message of {length} bytes, {LARGEST} are the most")
    if hold is not None and not hold(length):
        raise CryptokiError(CKR.DEVICE_MEMORY, f"no memory for a message of {length} bytes")
    return b"".join((HEAD.pack(VERSION, kind, command.number), *parts))

"""DER, as far as certificates and requests need it (ITU-T X.690): values are written as bytes and read strictly.

Reading never goes deeper by itself: a caller opens one level at a time, so neither nesting nor length costs more than
what is there. Lengths must be definite and as short as they can be, tags have one byte; anything else is a
`ValueError`, which the caller turns into the code that fits the place.
"""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = [
    "BIT_STRING", "BOOLEAN", "INTEGER", "OCTET_STRING", "OID", "SEQUENCE", "SET", "Value", "bit_string", "integer",
    "oid", "open_integer", "open_oid", "open_sequence", "open_time", "read", "read_all", "sequence", "time", "write",
]  # fmt: skip

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31

_LONG, _MORE_TAG, _FEW_LENGTH_BYTES = 0x80, 0x1F, 4
_LAST_OF_UTC_TIME = 2049
_MOST_VALUES = 4096
_LONGEST_OID = 64


class Value:
    """One DER value: its tag byte, its content, and the whole of it as it stood."""

    __slots__ = ("content", "tag", "whole")

    def __init__(self, tag: int, content: bytes, whole: bytes) -> None:
        """Keep the parts."""
        self.tag = tag
        self.content = content
        self.whole = whole


# Writing


def write(tag: int, *parts: bytes) -> bytes:
    """Return a value of which `parts` are the content."""
    content = b"".join(parts)
    length = len(content)
    if length < _LONG:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(size))) + size + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return write(SEQUENCE, *parts)


def integer(number: int) -> bytes:
    """Return an INTEGER that is not negative."""
    return write(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def bit_string(content: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return write(BIT_STRING, b"\0", content)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER; ValueError if `dotted` is none."""
    arcs = [_arc(arc) for arc in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39):  # noqa: PLR2004 - X.660
        raise ValueError(f"{dotted} is no object identifier")
    content = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        groups = [arc & 0x7F]
        rest = arc >> 7
        while rest:
            groups.insert(0, rest & 0x7F | _LONG)
            rest >>= 7
        content += bytes(groups)
    return write(OID, bytes(content))


def _arc(arc: str) -> int:
    """Return a number of an object identifier."""
    if not (arc.isascii() and arc.isdigit()) or len(arc) > 20 or (arc[0] == "0" and len(arc) > 1):  # noqa: PLR2004
        raise ValueError(f"{arc!r} is no arc of an object identifier")
    return int(arc)


def time(moment: datetime) -> bytes:
    """Return a Time (RFC 5280 4.1.2.5): UTCTime from 1950 to 2049, else GeneralizedTime."""
    if 1950 <= moment.year <= _LAST_OF_UTC_TIME:  # noqa: PLR2004 - RFC 5280
        return write(UTC_TIME, f"{moment:%y%m%d%H%M%SZ}".encode())
    return write(GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%SZ}".encode())


# Reading


def _next(data: bytes, position: int) -> tuple[Value, int]:
    """Return the value at `position`, and the position behind it."""
    start = position + 2
    if len(data) < start or data[position] & _MORE_TAG == _MORE_TAG:
        raise ValueError("cut short, or a tag of several bytes")
    length = data[position + 1]
    if length >= _LONG:
        count = length - _LONG
        size = data[start : start + count]
        if not 0 < count <= _FEW_LENGTH_BYTES or len(size) < count or size[0] == 0:
            raise ValueError("a length that DER does not have")
        length = int.from_bytes(size, "big")
        if length < _LONG:
            raise ValueError("a length that DER writes shorter")
        start += count
    end = start + length
    if end > len(data):
        raise ValueError("cut short")
    return Value(data[position], data[start:end], data[position:end]), end


def read_all(data: bytes) -> list[Value]:
    """Return the values that `data` is a run of."""
    values = []
    position = 0
    while position < len(data):
        value, position = _next(data, position)
        values.append(value)
        if len(values) > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values side by side")
    return values


def read(data: bytes, tag: int) -> Value:
    """Return the one value that `data` is, which has this tag."""
    value, end = _next(data, 0)
    if end != len(data) or value.tag != tag:
        raise ValueError(f"not one value with the tag {tag:#x}")
    return value


def open_sequence(data: bytes) -> list[Value]:
    """Return what is in the SEQUENCE that `data` is."""
    return read_all(read(data, SEQUENCE).content)


def open_integer(data: bytes) -> int:
    """Return the number that the INTEGER `data` is."""
    content = read(data, INTEGER).content
    if not content or (len(content) > 1 and (content[0], content[1] >> 7) in ((0, 0), (0xFF, 1))):
        raise ValueError("an INTEGER that DER writes otherwise")
    return int.from_bytes(content, "big", signed=True)


def open_oid(data: bytes) -> str:
    """Return the dotted form of the OBJECT IDENTIFIER that `data` is."""
    content = read(data, OID).content
    if not content or len(content) > _LONGEST_OID or content[-1] & _LONG:
        raise ValueError("an object identifier that is cut short or too long")
    arcs = []
    arc, begun = 0, False
    for byte in content:
        if byte == _LONG and not begun:
            raise ValueError("an object identifier that DER writes shorter")
        arc, begun = arc << 7 | byte & 0x7F, True
        if not byte & _LONG:
            arcs.append(arc)
            arc, begun = 0, False
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def open_time(value: Value) -> datetime:
    """Return the moment that a Time is, in the one form that RFC 5280 allows."""
    try:
        text = value.content.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if value.tag == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif value.tag != GENERALIZED_TIME:
        raise ValueError("neither UTCTime nor GeneralizedTime")
    digits, end = text[:-1], text[-1:]
    if len(digits) != 14 or end != "Z" or not digits.isdigit():  # noqa: PLR2004 - YYYYMMDDhhmmss
        raise ValueError("a time that is not in full seconds UTC")
    fields = [int(digits[place : place + 2]) for place in range(4, 14, 2)]
    return datetime(int(digits[:4]), *fields, tzinfo=UTC)  # type: ignore[arg-type,misc]

"""The one frame format: a header, associated data, a body, and two optional parts that are independent of each other.

    header (24 bytes) | associated data | body, or ciphertext and its tag (16) if encrypted | MAC (64) if signed

Numbers are little-endian, as in the messages inside. The header says what protection the frame has and how many bytes
follow, so that a stream can be cut into frames; both are compared with the limits of the kind before anything is made
of them. Whether the protection is enough is the channel's to decide. Any bytes are a frame or a `FrameError`.
"""

from __future__ import annotations

from collections import namedtuple
from struct import Struct

from ptkc.sms.errors import MALFORMED, FrameError
from ptkc.sms.protection import BOTH, SIGNED
from ptkc.sms.state import (
    ACCEPT,
    ANSWER,
    CLIENT,
    CONFIRM,
    HELLO,
    KINDS,
    PLAIN_REPLY,
    PLAIN_REQUEST,
    QUESTION,
    REFUSED,
    REPLY,
    REQUEST,
    STATEMENT,
    TERMINATE,
)
from ptkc.spec.constants import CKR

__all__ = [
    "HEADER_LENGTH", "LARGEST", "LARGEST_ASSOCIATED", "MAC_LENGTH", "SHAPES", "TAG_LENGTH", "VERSION", "Frame", "clear",
    "decode", "header", "length_that_follows",
]  # fmt: skip

VERSION = 1
LARGEST = 1 << 28
"""Bytes in the body of a request or reply, as in the messages that it carries."""

LARGEST_ASSOCIATED = 255
TAG_LENGTH, MAC_LENGTH = 16, 64

# Version, kind, protection, length of the associated data; length of all that follows; channel, counter.
_HEADER = Struct("<BBBBIQQ")
HEADER_LENGTH = _HEADER.size
_EXTRA = (0, TAG_LENGTH, MAC_LENGTH, TAG_LENGTH + MAC_LENGTH)  # by protection: none, ENCRYPTED, SIGNED, BOTH

Shape = namedtuple("Shape", "least most body")

_HANDSHAKE = 16384
SHAPES = {
    HELLO: Shape(0, 0, 1024),
    ANSWER: Shape(0, 0, _HANDSHAKE),
    CONFIRM: Shape(BOTH, BOTH, 1024),
    ACCEPT: Shape(BOTH, BOTH, 1024),
    REQUEST: Shape(0, BOTH, LARGEST),
    REPLY: Shape(0, BOTH, LARGEST),
    TERMINATE: Shape(BOTH, BOTH, 8),
    REFUSED: Shape(0, 0, 8),
    QUESTION: Shape(0, 0, 1024),
    STATEMENT: Shape(0, 0, _HANDSHAKE),
    PLAIN_REQUEST: Shape(0, 0, LARGEST),
    PLAIN_REPLY: Shape(0, 0, LARGEST),
}
"""The least and the most protection of each kind of frame, and the most bytes in its body."""

# Frames of a channel have its number and a counter, and may have associated data; in all others these are 0.
_OF_A_CHANNEL = frozenset((CONFIRM, ACCEPT, REQUEST, REPLY, TERMINATE))

Frame = namedtuple("Frame", "kind protection channel counter associated start body signed mac")
"""A frame taken apart, as views on its bytes.

`start` is header and associated data, `body` has the tag at its end if the frame is encrypted, `signed` is all that the
MAC is over, `mac` is empty if the frame is not signed.
"""


def header(kind: int, protection: int, associated: bytes, body: int, channel: int, counter: int) -> bytes:
    """Return header and associated data of a frame whose body has `body` bytes before it is protected."""
    size = len(associated)
    length = size + body + _EXTRA[protection]
    return _HEADER.pack(VERSION, kind, protection, size, length, channel, counter) + associated


def clear(kind: int, body: bytes) -> bytes:
    """Return a frame that belongs to no channel and has no protection."""
    return header(kind, 0, b"", len(body), 0, 0) + body


def length_that_follows(start: bytes, reader: int) -> int:
    """Return how many bytes follow these 24, the header of a frame; `FrameError` if they are none."""
    return _open_header(start, reader)[4]


def _open_header(data: bytes | memoryview, reader: int) -> tuple[int, int, int, int, int, int, int]:
    """Return the fields of a header that may be one; `FrameError`."""
    if len(data) < HEADER_LENGTH:
        raise FrameError(MALFORMED[reader], f"{len(data)} bytes, a header has {HEADER_LENGTH}")
    fields = _HEADER.unpack_from(data)
    version, kind, protection, size, length, channel, counter = fields
    shape = SHAPES.get(kind)
    if version != VERSION or shape is None or protection & ~shape.most:
        raise FrameError(MALFORMED[reader], f"version {version}, kind {kind}, protection {protection:#x}")
    if shape.least & ~protection:
        raise FrameError(CKR.BAD_PROTECTION, f"{KINDS[kind]} with protection {protection:#x}")
    if not 0 <= length - size - _EXTRA[protection] <= shape.body:
        raise FrameError(MALFORMED[reader], f"{KINDS[kind]} of {length} bytes")
    if kind not in _OF_A_CHANNEL and (channel or counter or size):
        raise FrameError(MALFORMED[reader], f"{KINDS[kind]} with a channel, a counter or associated data")
    return fields


def decode(data: bytes | memoryview, reader: int = CLIENT) -> Frame:
    """Return the frame that these bytes are, which must not change as long as it is used.

    `FrameError` if they are none, with the code of the end that reads.
    """
    _, kind, protection, size, length, channel, counter = _open_header(data, reader)
    end = HEADER_LENGTH + length
    if len(data) != end:
        raise FrameError(MALFORMED[reader], f"{KINDS[kind]} of {len(data)} bytes, its header says {end}")
    view = memoryview(data)
    middle = HEADER_LENGTH + size
    if protection & SIGNED:
        end -= MAC_LENGTH
    return Frame(
        kind, protection, channel, counter, bytes(view[HEADER_LENGTH:middle]), view[:middle], view[middle:end],
        view[:end], bytes(view[end:]),
    )  # fmt: skip

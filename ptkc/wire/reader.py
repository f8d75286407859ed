"""The bytes of a message, taken apart from the front: numbers, flags, bytes with their length, counts.

It trusts nothing: a length is compared with the bytes there are before anything is made of it, and every failure is a
`PeerError`.
"""

from __future__ import annotations

from struct import Struct

from ptkc.spec.errors import PeerError

__all__ = ["HEAD", "IS_LONG", "LARGEST", "VERSION", "Reader"]

VERSION = 1
LARGEST = 1 << 28
"""Bytes in a message, and in what a request may ask for."""

IS_LONG = 1 << 12
"""Bytes of which each copy is worth avoiding."""

HEAD = Struct("<BBH")
"""Version, kind, command number."""

_ULONG = Struct("<Q")


class Reader:
    """The bytes of a message and how far they are read."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, kind: int) -> None:
        """Keep them, past the head."""
        if not HEAD.size <= len(data) <= LARGEST:
            raise PeerError(f"message of {len(data)} bytes")
        version, found, _ = HEAD.unpack_from(data)
        if (version, found) != (VERSION, kind):
            raise PeerError(f"message of version {version}, kind {found}")
        self.data = data
        self.position = HEAD.size

    @property
    def number(self) -> int:
        """The command number in the head."""
        return int.from_bytes(self.data[2:4], "little")

    def take(self, length: int) -> bytes:
        """Return the next `length` bytes."""
        end = self.position + length
        if end > len(self.data):
            raise PeerError("message is cut short")
        value = self.data[self.position : end]
        self.position = end
        return value

    def ulong(self) -> int:
        """Return the next number."""
        position = self.position
        if position + 8 > len(self.data):
            raise PeerError("message is cut short")
        self.position = position + 8
        return _ULONG.unpack_from(self.data, position)[0]  # type: ignore[no-any-return]

    def flag(self) -> bool:
        """Return the next boolean."""
        value = self.take(1)
        if value > b"\x01":
            raise PeerError(f"boolean {value[0]}")
        return value == b"\x01"

    def blob(self) -> bytes:
        """Return the next bytes with their length."""
        return self.take(self.ulong())

    def view(self) -> bytes | memoryview:
        """Return the next bytes with their length; of many, a view on the message, since they are copied once more."""
        length = self.ulong()
        start = self.position
        value = self.take(length) if length <= IS_LONG else memoryview(self.data)[start : start + length]
        if len(value) < length:
            raise PeerError("message is cut short")
        self.position = start + length
        return value

    def optional_blob(self) -> bytes | None:
        """Return the next bytes that may be absent."""
        return self.blob() if self.flag() else None

    def count(self, smallest: int, most: int = LARGEST) -> int:
        """Return the count of items, at most `most`, of at least `smallest` bytes each; all of them must be there."""
        count = self.ulong()
        if count > most:
            raise PeerError(f"{count} items, {most} are the most")
        if count * smallest > len(self.data) - self.position:
            raise PeerError("message is cut short")
        return count

    def end(self) -> None:
        """Refuse what is left."""
        if self.position != len(self.data):
            raise PeerError("message is too long")

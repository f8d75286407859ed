"""Keys that leave the HSM with their attributes, and what the mechanisms have in common that carry them.

Such a mechanism is one of C_WrapKey and C_UnwrapKey, with two methods that take and give `Portable` keys instead of
payloads. Which attributes travel is for `objects.template.portable` to say. Everything is written big-endian; attribute
values are in the canonical form of `spec.values`.
"""

from __future__ import annotations

from collections import namedtuple
from struct import Struct

from ptkc.mechanisms.mechanism import Mechanism
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes

__all__ = ["Portable", "PortableMechanism", "Reader", "field", "number", "pack_attributes", "unpack_attributes"]

Portable = namedtuple("Portable", "payload attributes")
"""A key: `payload` is CKA_VALUE of a secret key, PrivateKeyInfo of a private and SubjectPublicKeyInfo of a public key
(DER); `attributes` are those that travel with it, CKA_CLASS and CKA_KEY_TYPE among them."""

_NUMBER = Struct(">I")
_ENTRY = Struct(">II?")


class PortableMechanism(Mechanism):
    """A mechanism that wraps and unwraps keys with their attributes.

    `keyless` says that it does so without a wrapping key: the handle of one must then be 0, and `key` is None. In place
    of those of `Mechanism` the methods are, either of them:
        wrap(key, parameter, keys: list[Portable]) -> bytes
        unwrap(key, parameter, wrapped) -> Portable
    `several(parameter)` are the handles of further keys that are wrapped behind that of C_WrapKey.
    """

    keyless = False

    def several(self, parameter: object) -> tuple[int, ...]:  # noqa: ARG002 - most carry one key
        """Return the handles of further keys."""
        return ()


class Reader:
    """Reads what was written big-endian, field by field; what is cut short or left over is CKR_WRAPPED_KEY_INVALID."""

    __slots__ = ("_data", "_place")

    def __init__(self, data: bytes) -> None:
        """Begin at the beginning."""
        self._data = data
        self._place = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        part = self._data[self._place : self._place + size]
        if len(part) != size:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "what was wrapped is cut short")
        self._place += size
        return part

    def number(self) -> int:
        """Return the next four bytes as a number."""
        return int.from_bytes(self.take(4), "big")

    def field(self) -> bytes:
        """Return the bytes behind the next length."""
        return self.take(self.number())

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self._place)

    def read(self) -> bytes:
        """Return what was read so far."""
        return self._data[: self._place]

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._place < len(self._data)

    def end(self) -> None:
        """Refuse what is left over."""
        if self.more:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "what was wrapped goes on behind its end")


def number(value: int) -> bytes:
    """Return a number in four bytes."""
    return _NUMBER.pack(value)


def field(data: bytes) -> bytes:
    """Return bytes behind their length."""
    return _NUMBER.pack(len(data)) + data


def pack_attributes(attributes: Attributes) -> bytes:
    """Return a block of attributes: their count, and of each type, length, a byte that says it has a value, and it."""
    entries = (_ENTRY.pack(kind, len(value), True) + value for kind, value in attributes.items())  # noqa: FBT003
    return _NUMBER.pack(len(attributes)) + b"".join(entries)


def unpack_attributes(block: bytes) -> Attributes:
    """Return the attributes of a block that is known to be ours; CKR_WRAPPED_KEY_INVALID for any other bytes."""
    reader = Reader(block)
    attributes: Attributes = {}
    for _ in range(reader.number()):
        kind, length, present = _ENTRY.unpack(reader.take(_ENTRY.size))
        if kind in attributes or not present:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "an attribute is there twice, or without a value")
        attributes[kind] = reader.take(length)
    reader.end()
    return attributes

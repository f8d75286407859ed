"""Per-message parameters as a C caller lays them out, and the message functions as values in, values out.

A parameter owns the memory for IV and tag, which the module reads and writes: `iv` and `tag` are what stands there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from ptkc.spec.constants import CKF, CKG

from .binding import ffi
from .cryptoki import NULL, Session

__all__ = ["NONE", "Ccm", "ChaCha", "Gcm", "MessageParameter", "decrypt_parts", "encrypt_parts", "message"]

# A cast pointer keeps nothing alive: parameters of which a test has kept only the pair.
_USED: deque[MessageParameter] = deque(maxlen=64)


class MessageParameter:
    """Memory for IV and tag, and the structure that names them."""

    def __init__(self, iv: bytes, tag: bytes | int) -> None:
        """Lay out the IV and the tag, or room for it."""
        self.size = tag if isinstance(tag, int) else len(tag)
        self.iv_memory = ffi.new("CK_BYTE[]", iv or b"\0")
        self.iv_length = len(iv)
        # A byte behind the tag shows whether more is written than there is room for.
        self.tag_memory = ffi.new("CK_BYTE[]", (b"" if isinstance(tag, int) else tag).ljust(self.size, b"\0") + b"\xa5")
        self.structure: Any = None

    @property
    def pair(self) -> tuple[Any, int]:
        """The arguments pParameter and ulParameterLen."""
        _USED.append(self)
        return ffi.cast("void *", self.structure), ffi.sizeof(ffi.typeof(self.structure).item)

    @property
    def iv(self) -> bytes:
        """What stands in the memory of the IV."""
        return bytes(self.iv_memory[0 : self.iv_length])

    @property
    def tag(self) -> bytes:
        """What stands in the memory of the tag; nothing was written behind it."""
        assert 0xA5 == self.tag_memory[self.size]
        return bytes(self.tag_memory[0 : self.size])


class Gcm(MessageParameter):
    """CK_GCM_MESSAGE_PARAMS."""

    def __init__(
        self,
        iv: bytes,
        tag: bytes | int = 16,
        *,
        fixed: int = 0,
        generator: int = CKG.NO_GENERATE,
        bits: int | None = None,
    ) -> None:
        """Lay it out; `fixed` is ulIvFixedBits, `bits` replaces the length of the tag in bits."""
        super().__init__(iv, tag)
        length = 8 * self.size if bits is None else bits
        fields = (self.iv_memory, len(iv), fixed, generator, self.tag_memory, length)
        self.structure = ffi.new("CK_GCM_MESSAGE_PARAMS *", fields)


class Ccm(MessageParameter):
    """CK_CCM_MESSAGE_PARAMS."""

    def __init__(
        self, length: int, nonce: bytes, mac: bytes | int = 16, *, fixed: int = 0, generator: int = CKG.NO_GENERATE
    ) -> None:
        """Lay it out for `length` bytes of data."""
        super().__init__(nonce, mac)
        fields = (length, self.iv_memory, len(nonce), fixed, generator, self.tag_memory, self.size)
        self.structure = ffi.new("CK_CCM_MESSAGE_PARAMS *", fields)


class ChaCha(MessageParameter):
    """CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS."""

    def __init__(self, nonce: bytes, tag: bytes | int = 16) -> None:
        """Lay it out; the length of the nonce is in bits."""
        super().__init__(nonce, tag)
        fields = (self.iv_memory, 8 * len(nonce), self.tag_memory)
        self.structure = ffi.new("CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS *", fields)


NONE = (NULL, 0)
"""pParameter and ulParameterLen where a message has none."""


def message(session: Session, name: str, parameter: MessageParameter, data: bytes, aad: bytes = b"") -> bytes:
    """Call C_EncryptMessage or C_DecryptMessage (`name` Encrypt or Decrypt) once, with as much room as is needed."""
    length = ffi.new("CK_ULONG *", len(data))
    buffer = ffi.new("CK_BYTE[]", max(1, len(data)))
    session.call(f"C_{name}Message", *parameter.pair, aad or NULL, len(aad), data or NULL, len(data), buffer, length)
    return bytes(buffer[0 : length[0]])


def _parts(session: Session, name: str, parameter: MessageParameter, parts: Iterable[bytes], aad: bytes) -> bytes:
    """Do a message in parts: the last one ends it."""
    session.call(f"C_{name}MessageBegin", *parameter.pair, aad or NULL, len(aad))
    result = b""
    pieces = list(parts)
    for place, part in enumerate(pieces):
        last = place == len(pieces) - 1
        result += next_part(session, name, parameter, part, last=last)
    return result


def next_part(session: Session, name: str, parameter: MessageParameter, part: bytes, *, last: bool) -> bytes:
    """Call C_EncryptMessageNext or C_DecryptMessageNext with room for whatever may come."""
    room = 4096
    length = ffi.new("CK_ULONG *", room)
    buffer = ffi.new("CK_BYTE[]", room)
    flags = CKF.END_OF_MESSAGE if last else 0
    session.call(f"C_{name}MessageNext", *parameter.pair, part or NULL, len(part), buffer, length, flags)
    return bytes(buffer[0 : length[0]])


def encrypt_parts(session: Session, parameter: MessageParameter, parts: Iterable[bytes], aad: bytes = b"") -> bytes:
    """Encrypt a message in parts."""
    return _parts(session, "Encrypt", parameter, parts, aad)


def decrypt_parts(session: Session, parameter: MessageParameter, parts: Iterable[bytes], aad: bytes = b"") -> bytes:
    """Decrypt a message in parts."""
    return _parts(session, "Decrypt", parameter, parts, aad)

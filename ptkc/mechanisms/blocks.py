"""The operations of ciphers, and what makes a cipher wrap keys.

`Blocks`, `PaddedEncryption` and `PaddedDecryption` are the operations of ECB, CBC and CBC_PAD for any block size;
`Stream` and `Counting` those of stream ciphers, without and with a counter; `Kept` is for what needs the whole input.
Wrapping is encryption of the payload, unwrapping decryption: `PayloadCipher` says so once for all ciphers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.padding import PKCS7

from ptkc.mechanisms.mechanism import Mechanism, Operation
from ptkc.mechanisms.parts import Parts
from ptkc.objects.object import Object
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ctr
from ptkc.spec.values import Attributes

__all__ = [
    "Blocks", "Counting", "Kept", "PaddedDecryption", "PaddedEncryption", "PayloadCipher", "Stream", "counter_room",
    "unpadded",
]  # fmt: skip

_PADDINGS = {size: PKCS7(8 * size) for size in (8, 16)}


class Blocks(Operation):
    """A cipher over whole blocks, without padding; `error` is the code for what is no whole number of them."""

    __slots__ = ("_block", "_context", "_error", "_pending")

    def __init__(self, context: CipherContext, block: int, error: int) -> None:
        """Take a fresh cipher with blocks of `block` bytes, which keeps back what is no whole one."""
        self._context = context
        self._block = block
        self._error = error
        self._pending = 0

    def length(self, size: int) -> int:
        """Return as many bytes as go in."""
        return size

    def single(self, data: bytes) -> bytes:
        """Return the result for `data`; CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE."""
        self._check(len(data))
        return self._context.update(data)

    def update_length(self, size: int) -> int:
        """Return how many bytes of whole blocks there are now."""
        return (self._pending + size) & -self._block

    def update(self, data: bytes) -> bytes:
        """Return the blocks that are now whole."""
        self._pending = (self._pending + len(data)) % self._block
        return self._context.update(data)

    def finish_length(self) -> int:
        """Return 0: whole blocks have all been given out."""
        return 0

    def finish(self) -> bytes:
        """Return nothing; CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE if a block is not whole."""
        self._check(self._pending)
        return b""

    def _check(self, size: int) -> None:
        """Refuse a length that is no whole number of blocks."""
        if size % self._block:
            raise CryptokiError(self._error, f"{size % self._block} bytes more than whole blocks")


class PaddedEncryption(Blocks):
    """Encryption that fills the last block up, or adds one (PKCS #7)."""

    __slots__ = ()

    def length(self, size: int) -> int:
        """Return the next multiple of the block size that is greater."""
        return (size & -self._block) + self._block

    def single(self, data: bytes) -> bytes:
        """Return the encrypted data."""
        return self._context.update(data + self._padding(len(data)))

    def finish_length(self) -> int:
        """Return the length of the last block."""
        return self._block

    def finish(self) -> bytes:
        """Return the last block."""
        return self._context.update(self._padding(self._pending))

    def _padding(self, size: int) -> bytes:
        """Return the padding behind `size` bytes (PKCS #7)."""
        count = self._block - size % self._block
        return bytes((count,)) * count


class PaddedDecryption(Operation):
    """Decryption that takes the padding away: whatever is wrong with it is CKR_ENCRYPTED_DATA_INVALID.

    The last block read is kept back, encrypted, since only the end tells which one carries the padding.
    """

    __slots__ = ("_block", "_cipher", "_context", "_kept", "_last")
    exact = False

    def __init__(self, cipher: Cipher[Any], block: int) -> None:
        """Keep the cipher, of which `single` takes a fresh decryption each time it is repeated."""
        self._block = block
        self._cipher = cipher
        self._context: CipherContext = cipher.decryptor()
        self._kept = b""
        self._last: bytes | None = None

    def length(self, size: int) -> int:
        """Return a bound: at least one byte is padding."""
        return max(size - 1, 0)

    def single(self, data: bytes) -> bytes:
        """Return the data; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        self._check(data)
        return unpadded(self._cipher.decryptor().update(data), self._block)

    def update_length(self, size: int) -> int:
        """Return how many bytes lie before the last block, which may not be whole."""
        return max(len(self._kept) + size - 1, 0) & -self._block

    def update(self, data: bytes) -> bytes:
        """Return what lies before the last block."""
        encrypted = self._kept + data
        whole = max(len(encrypted) - 1, 0) & -self._block
        self._kept = encrypted[whole:]
        return self._context.update(memoryview(encrypted)[:whole])

    def finish_length(self) -> int:
        """Return a bound: at least one byte is padding."""
        return self._block - 1

    def finish(self) -> bytes:
        """Return the last block without padding; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        if self._last is None:
            self._check(self._kept)
            self._last = self._context.update(self._kept)
        return unpadded(self._last, self._block)

    def _check(self, data: bytes) -> None:
        """Refuse what is no whole number of blocks, or nothing."""
        if not data or len(data) % self._block:
            raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes are not one or more whole blocks")


def unpadded(data: bytes, block: int) -> bytes:
    """Return the data without PKCS #7 padding, looked at in constant time; CKR_ENCRYPTED_DATA_INVALID."""
    unpadder = _PADDINGS[block].unpadder()
    try:
        last = unpadder.update(data[-block:]) + unpadder.finalize()
    except ValueError:
        raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the padding is wrong") from None
    return data[: len(data) - block + len(last)]


class Stream(Operation):
    """A cipher that gives as many bytes as go in, of any number (OFB, CFB)."""

    __slots__ = ("_context",)

    def __init__(self, context: Any) -> None:  # noqa: ANN401 - a CipherContext, or what has its `update`
        """Take a fresh cipher."""
        self._context = context

    def length(self, size: int) -> int:
        """Return as many bytes as go in."""
        return size

    update_length = length

    def update(self, data: bytes) -> bytes:
        """Return as many bytes."""
        return self._context.update(data)  # type: ignore[no-any-return]

    single = update

    def finish_length(self) -> int:
        """Return 0."""
        return 0

    def finish(self) -> bytes:
        """Return nothing."""
        return b""


class Counting(Stream):
    """A stream whose counter must not run over: `room` is how many bytes it is good for, `error` the code for more."""

    __slots__ = ("_error", "_room")

    def __init__(self, context: Any, room: int, error: int) -> None:  # noqa: ANN401 - as in `Stream`
        """Take a fresh cipher."""
        super().__init__(context)
        self._room = room
        self._error = error

    def update(self, data: bytes) -> bytes:
        """Return as many bytes; CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE if the counter would run over.

        Specification 6.15.3.
        """
        self._room -= len(data)
        if self._room < 0:
            raise CryptokiError(self._error, "the counter bits would overflow")
        return self._context.update(data)  # type: ignore[no-any-return]

    single = update


class Kept(Operation):
    """An operation that needs the whole input: parts are kept until the end.

    `run` makes the output of the whole input; it is longer than the input by `growth` bytes, or shorter. More than
    `limit` bytes of input are refused with `error`.
    """

    __slots__ = ("_error", "_growth", "_limit", "_parts", "_run")

    def __init__(self, run: Callable[[bytes], bytes], growth: int, limit: int, error: int) -> None:
        """Start with no parts."""
        self._run = run
        self._growth = growth
        self._limit = limit
        self._error = error
        self._parts = Parts()

    def length(self, size: int) -> int:
        """Return the length of the output; 0 for an input that is too short, which `single` refuses."""
        return max(size + self._growth, 0)

    def single(self, data: bytes) -> bytes:
        """Return the output; CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE and what `run` raises."""
        if len(data) > self._limit:
            raise CryptokiError(self._error, f"got {len(data)} bytes, want no more than {self._limit}")
        return self._run(data)

    def update(self, data: bytes) -> bytes:
        """Keep a part; CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE."""
        size = self._parts.size + len(data)
        if size > self._limit:
            raise CryptokiError(self._error, f"got {size} bytes, want no more than {self._limit}")
        self._parts.add(data)
        return b""

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def finish_length(self) -> int:
        """Return the length of the whole output."""
        return self.length(self._parts.size)

    def finish(self) -> bytes:
        """Return the whole output."""
        return self._run(self._parts.join())


def counter_room(parameter: Ctr, block: int) -> int:
    """Return for how many bytes the counter bits last; CKR_MECHANISM_PARAM_INVALID.

    As long as these bits do not run over, a library's counter of the whole block is the same.
    """
    bits, start = parameter
    if not 1 <= bits <= 8 * block:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"got {bits} counter bits, want 1 to {8 * block}")
    counter = int.from_bytes(start, "big") % (1 << bits)
    return block * ((1 << bits) - counter)  # type: ignore[no-any-return]


class PayloadCipher(Mechanism):
    """A cipher that also wraps: subclasses define `encrypt` and `decrypt`."""

    zero_padding = 1
    """Payloads are filled up with zero bytes to a multiple of this."""

    def encrypt(self, key: Object, parameter: Any) -> Operation:  # noqa: ANN401 - each mechanism's own
        """Start an encryption."""
        raise NotImplementedError

    def decrypt(self, key: Object, parameter: Any) -> Operation:  # noqa: ANN401 - each mechanism's own
        """Start a decryption."""
        raise NotImplementedError

    def wrap(self, key: Object, parameter: Any, payload: bytes) -> bytes:  # noqa: ANN401 - each mechanism's own
        """Return the encrypted payload; CKR_KEY_SIZE_RANGE."""
        padded = payload + bytes(-len(payload) % self.zero_padding)
        try:
            return self.encrypt(key, parameter).single(padded)
        except CryptokiError as error:
            raise CryptokiError(_WRAP_CODES.get(error.code, error.code), error.message) from None

    def unwrap(
        self,
        key: Object,
        parameter: Any,  # noqa: ANN401 - each mechanism's own
        wrapped: bytes,
        attributes: Attributes,  # noqa: ARG002 - the payload's length is known
    ) -> bytes:
        """Return the payload; CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID."""
        try:
            return self.decrypt(key, parameter).single(wrapped)
        except CryptokiError as error:
            raise CryptokiError(_UNWRAP_CODES.get(error.code, error.code), error.message) from None


# What C_WrapKey and C_UnwrapKey say instead of the codes of C_Encrypt and C_Decrypt.
_WRAP_CODES = {CKR.DATA_LEN_RANGE: CKR.KEY_SIZE_RANGE}
_UNWRAP_CODES = {
    CKR.ENCRYPTED_DATA_LEN_RANGE: CKR.WRAPPED_KEY_LEN_RANGE,
    CKR.ENCRYPTED_DATA_INVALID: CKR.WRAPPED_KEY_INVALID,
}

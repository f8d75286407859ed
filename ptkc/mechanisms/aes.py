"""AES: keys, their generation, and the modes ECB, CBC, CBC_PAD and CTR (specification 6.13, 6.15; SP 800-38A).

Wrapping is encryption of the payload, unwrapping decryption: `WrappingCipher` says so once for all AES mechanisms.
ECB and CBC fill a payload up with zero bytes, which `KeyType.decode` cuts off again. A counter that would run over
its bits is refused, as the specification has it.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from ptkc.mechanisms.generic import KeyGeneration, SecretKeyType
from ptkc.mechanisms.mechanism import Mechanism, Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.parameters import CTR, IV16, Ctr
from ptkc.spec.values import Attributes

__all__ = ["AesMechanism", "WrappingCipher", "cipher"]

_BLOCK = 16
_PADDING = PKCS7(128)
_ECB = modes.ECB()  # noqa: S305 - the standard's mechanism, and what the others are built of
_LENGTHS = (16, 24, 32)


def cipher(key: Object, mode: modes.Mode) -> Cipher[Any]:
    """Return AES under the key, whose cache holds the algorithm object, in a mode."""
    try:
        algorithm = key.cache["aes"]
    except KeyError:
        algorithm = key.cache["aes"] = algorithms.AES(key.attributes[CKA.VALUE])
    return Cipher(algorithm, mode)  # type: ignore[arg-type]


def _check_value(value: bytes) -> bytes:
    """Return the first three bytes of an encrypted block of zeros (specification 6.13.2)."""
    return Cipher(algorithms.AES(value), _ECB).encryptor().update(bytes(_BLOCK))[:3]


class _Blocks(Operation):
    """A cipher over whole blocks, without padding; `error` is the code for what is no whole number of them."""

    __slots__ = ("_context", "_error", "_pending")

    def __init__(self, context: CipherContext, error: int) -> None:
        """Take a fresh cipher, which keeps back what is no whole block."""
        self._context = context
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
        return (self._pending + size) & -_BLOCK

    def update(self, data: bytes) -> bytes:
        """Return the blocks that are now whole."""
        self._pending = (self._pending + len(data)) % _BLOCK
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
        if size % _BLOCK:
            raise CryptokiError(self._error, f"{size % _BLOCK} bytes more than whole blocks")


class _PaddedEncryption(_Blocks):
    """Encryption that fills the last block up, or adds one (PKCS #7)."""

    __slots__ = ()

    def length(self, size: int) -> int:
        """Return the next multiple of the block size that is greater."""
        return (size & -_BLOCK) + _BLOCK

    def single(self, data: bytes) -> bytes:
        """Return the encrypted data."""
        return self._context.update(data + _padding(len(data)))

    def finish_length(self) -> int:
        """Return the length of the last block."""
        return _BLOCK

    def finish(self) -> bytes:
        """Return the last block."""
        return self._context.update(_padding(self._pending))


def _padding(size: int) -> bytes:
    """Return the padding behind `size` bytes (PKCS #7)."""
    count = _BLOCK - size % _BLOCK
    return bytes((count,)) * count


class _PaddedDecryption(Operation):
    """Decryption that takes the padding away: whatever is wrong with it is CKR_ENCRYPTED_DATA_INVALID.

    The last block read is kept back, encrypted, since only the end tells which one carries the padding.
    """

    __slots__ = ("_cipher", "_context", "_kept", "_last")
    exact = False

    def __init__(self, aes: Cipher[Any]) -> None:
        """Keep the cipher, of which `single` takes a fresh decryption each time it is repeated."""
        self._cipher = aes
        self._context: CipherContext = aes.decryptor()
        self._kept = b""
        self._last: bytes | None = None

    def length(self, size: int) -> int:
        """Return a bound: at least one byte is padding."""
        return max(size - 1, 0)

    def single(self, data: bytes) -> bytes:
        """Return the data; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        self._check(data)
        return _unpadded(self._cipher.decryptor().update(data))

    def update_length(self, size: int) -> int:
        """Return how many bytes lie before the last block, which may not be whole."""
        return max(len(self._kept) + size - 1, 0) & -_BLOCK

    def update(self, data: bytes) -> bytes:
        """Return what lies before the last block."""
        encrypted = self._kept + data
        whole = max(len(encrypted) - 1, 0) & -_BLOCK
        self._kept = encrypted[whole:]
        return self._context.update(memoryview(encrypted)[:whole])

    def finish_length(self) -> int:
        """Return a bound: at least one byte is padding."""
        return _BLOCK - 1

    def finish(self) -> bytes:
        """Return the last block without padding; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        if self._last is None:
            self._check(self._kept)
            self._last = self._context.update(self._kept)
        return _unpadded(self._last)

    def _check(self, data: bytes) -> None:
        """Refuse what is no whole number of blocks, or nothing."""
        if not data or len(data) % _BLOCK:
            raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes are not one or more whole blocks")


def _unpadded(data: bytes) -> bytes:
    """Return the data without PKCS #7 padding, looked at in constant time; CKR_ENCRYPTED_DATA_INVALID."""
    unpadder = _PADDING.unpadder()
    try:
        last = unpadder.update(data[-_BLOCK:]) + unpadder.finalize()
    except ValueError:
        raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the padding is wrong") from None
    return data[: len(data) - _BLOCK + len(last)]


class _Counting(Operation):
    """A stream whose counter must not run over: `room` is how many bytes it is good for, `error` the code for more."""

    __slots__ = ("_context", "_error", "_room")

    def __init__(self, context: CipherContext, room: int, error: int) -> None:
        """Take a fresh cipher."""
        self._context = context
        self._room = room
        self._error = error

    def length(self, size: int) -> int:
        """Return as many bytes as go in."""
        return size

    update_length = length

    def update(self, data: bytes) -> bytes:
        """Return as many bytes; CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE if the counter would run over.

        Specification 6.15.3.
        """
        self._room -= len(data)
        if self._room < 0:
            raise CryptokiError(self._error, "the counter bits would overflow")
        return self._context.update(data)

    single = update

    def finish(self) -> bytes:
        """Return nothing."""
        return b""


class AesMechanism(Mechanism):
    """A mechanism with an AES key."""

    key_types = (CKK.AES,)
    sizes = (16, 32)

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number


class WrappingCipher(AesMechanism):
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


class _Ecb(WrappingCipher):
    """CKM_AES_ECB."""

    zero_padding = _BLOCK
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/ECB)"

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return _Blocks(cipher(key, self.mode(parameter)).encryptor(), CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return _Blocks(cipher(key, self.mode(parameter)).decryptor(), CKR.ENCRYPTED_DATA_LEN_RANGE)

    def mode(self, parameter: bytes | None) -> modes.Mode:  # noqa: ARG002 - there is none
        """Return the mode of operation."""
        return _ECB


class _Cbc(_Ecb):
    """CKM_AES_CBC: the parameter is the IV."""

    parameters = IV16
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/CBC)"

    def mode(self, parameter: bytes | None) -> modes.Mode:
        """Return the mode of operation."""
        return modes.CBC(parameter or b"")


class _CbcPad(WrappingCipher):
    """CKM_AES_CBC_PAD: CBC with the padding of PKCS #7; the parameter is the IV."""

    parameters = IV16
    source = "NIST CAVP (cryptography_vectors: ciphers/AES/CBC), padded, Wycheproof"

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return _PaddedEncryption(cipher(key, modes.CBC(parameter)).encryptor(), CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        return _PaddedDecryption(cipher(key, modes.CBC(parameter)))


class _Ctr(WrappingCipher):
    """CKM_AES_CTR: the parameter is the counter block, and how many of its bits count."""

    parameters = CTR
    source = "RFC 3686 (cryptography_vectors: ciphers/AES/CTR)"

    def encrypt(self, key: Object, parameter: Ctr) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: Ctr) -> Operation:
        """Start a decryption, which is the same; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.ENCRYPTED_DATA_LEN_RANGE)

    @staticmethod
    def _start(key: Object, parameter: Ctr, error: int) -> Operation:
        """Return the stream."""
        bits, block = parameter
        if not 1 <= bits <= 8 * _BLOCK:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"got {bits} counter bits, want 1 to 128")
        counter = int.from_bytes(block, "big") % (1 << bits)
        # As long as these bits do not run over, the library's counter of 128 bits is the same.
        return _Counting(cipher(key, modes.CTR(block)).encryptor(), _BLOCK * ((1 << bits) - counter), error)


_AES = SecretKeyType(CKK.AES, _LENGTHS, _check_value)

register(
    _AES,
    KeyGeneration(CKM.AES_KEY_GEN, _AES, (16, 32), _LENGTHS),
    _Ecb(CKM.AES_ECB),
    _Cbc(CKM.AES_CBC),
    _CbcPad(CKM.AES_CBC_PAD),
    _Ctr(CKM.AES_CTR),
)

"""ChaCha20 and ChaCha20-Poly1305 (specification, "ChaCha20" and "ChaCha20/Poly1305"; RFC 8439).

The nonce's length says which variant it is: 8 bytes the original one with a counter of 64 bits, 12 bytes that of
RFC 8439 with one of 32, 24 bytes XChaCha20, which is the original one under a key that HChaCha20 makes of the nonce's
first 16 bytes (draft-irtf-cfrg-xchacha-03). A counter that would run over is refused. The AEAD with a nonce of 8 bytes
is the one of draft-agl-tls-chacha20poly1305-04. Nothing decrypted comes out before the tag was checked.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as Aead
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.poly1305 import Poly1305

from ptkc.mechanisms.blocks import Counting, Kept, PayloadCipher
from ptkc.mechanisms.generic import FixedKeyGeneration, SecretKeyType, hash_check_value
from ptkc.mechanisms.mechanism import Operation, register
from ptkc.mechanisms.messages import CHACHA_MESSAGES, MessagesCipher
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import CHACHA20, CHACHA20_POLY1305, ChaCha20, ChaCha20Poly1305
from ptkc.spec.parameters import MAXIMUM

__all__ = ["TAG", "opened", "sealed"]

TAG = 16
"""The length of a tag in bytes."""
_KEY = 32
_BLOCK = 64
_ORIGINAL, _IETF, _EXTENDED = 8, 12, 24
_COUNTER_OF = {_ORIGINAL: 8, _IETF: 4, _EXTENDED: 8}
"""How many bytes the counter has, by those of the nonce ("ChaCha20: Nonce and block counter lengths")."""


def _chacha20(key: bytes, start: bytes) -> CipherContext:
    """Return the stream that begins with this counter and nonce, 16 bytes together."""
    return Cipher(algorithms.ChaCha20(key, start), None).encryptor()


def _hchacha20(key: bytes, start: bytes) -> bytes:
    """Return the key that HChaCha20 makes of a key and 16 bytes.

    It is the first and the last four words of a block before the initial state is added to it, which a library's
    block has in it: so that is taken away again.
    """
    block = _chacha20(key, start).update(bytes(_BLOCK))
    words = [int.from_bytes(block[place : place + 4], "little") for place in range(0, _BLOCK, 4)]
    initial = b"expand 32-byte k" + start
    added = [int.from_bytes(initial[place : place + 4], "little") for place in range(0, len(initial), 4)]
    found = ((one - other) % 2**32 for one, other in zip(words[:4] + words[12:], added, strict=True))
    return b"".join(word.to_bytes(4, "little") for word in found)


def _refusal(what: str) -> CryptokiError:
    """Return the refusal of a parameter."""
    return CryptokiError(CKR.MECHANISM_PARAM_INVALID, what)


class _Stretches:
    """A stream whose counter may be longer than the 32 bits that the library counts: then it is begun anew."""

    __slots__ = ("_context", "_key", "_left", "_next", "_rest")

    def __init__(self, key: bytes, counter: bytes, nonce: bytes) -> None:
        """Start; counter and nonce have 16 bytes together, `_rest` are those behind the library's counter."""
        self._key = key
        low = int.from_bytes(counter[:4], "little")
        self._context = _chacha20(key, counter + nonce)
        self._left = _BLOCK * (2**32 - low)
        self._next = int.from_bytes(counter[4:], "little") + 1
        self._rest = nonce

    def update(self, data: bytes) -> bytes:
        """Return as many bytes."""
        parts = []
        while len(data) > self._left:
            parts.append(self._context.update(data[: self._left]))
            data = data[self._left :]
            self._context = _chacha20(self._key, bytes(4) + self._next.to_bytes(4, "little") + self._rest)
            self._left = _BLOCK << 32
            self._next += 1
        self._left -= len(data)
        return b"".join((*parts, self._context.update(data))) if parts else self._context.update(data)


class _ChaCha20(PayloadCipher):
    """CKM_CHACHA20."""

    type = CKM.CHACHA20
    key_types = (CKK.CHACHA20,)
    sizes = (_KEY, _KEY)
    parameters = CHACHA20
    streams = True
    source = "RFC 8439 (cryptography_vectors: ciphers/ChaCha20), draft-irtf-cfrg-xchacha-03"

    def encrypt(self, key: Object, parameter: ChaCha20) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: ChaCha20) -> Operation:
        """Start a decryption, which is the same; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.ENCRYPTED_DATA_LEN_RANGE)

    @staticmethod
    def _start(key: Object, parameter: ChaCha20, error: int) -> Operation:
        """Return the stream."""
        counter, nonce = parameter
        size = _COUNTER_OF.get(len(nonce))
        if size is None or size != len(counter):
            raise _refusal(f"a nonce of {len(nonce)} bytes with a counter of {len(counter)}")
        room = _BLOCK * (2 ** (8 * size) - int.from_bytes(counter, "little"))
        value = key.attributes[CKA.VALUE]
        if len(nonce) == _EXTENDED:
            value, nonce = _hchacha20(value, nonce[:16]), nonce[16:]
        return Counting(_Stretches(value, counter, nonce), room, error)


class _Original:
    """The AEAD with a nonce of 8 bytes, with the methods that `cryptography` gives the one of RFC 8439."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Keep the key."""
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
        """Return the encrypted data and the tag."""
        stream, authenticator = self._start(nonce, aad)
        encrypted = stream.update(data)
        return encrypted + self._tag(authenticator, encrypted)

    def decrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
        """Return the data; InvalidTag."""
        stream, authenticator = self._start(nonce, aad)
        encrypted, tag = data[:-TAG], data[-TAG:]
        if not bytes_eq(self._tag(authenticator, encrypted), tag):
            raise InvalidTag
        return stream.update(encrypted)

    def _start(self, nonce: bytes, aad: bytes) -> tuple[CipherContext, Poly1305]:
        """Return the stream from its second block on, and the authenticator, whose key is of the first one."""
        stream = _chacha20(self._key, bytes(8) + nonce)
        authenticator = Poly1305(stream.update(bytes(_BLOCK))[:_KEY])
        authenticator.update(aad + len(aad).to_bytes(8, "little"))
        return stream, authenticator

    @staticmethod
    def _tag(authenticator: Poly1305, encrypted: bytes) -> bytes:
        """Return the tag."""
        authenticator.update(encrypted)
        authenticator.update(len(encrypted).to_bytes(8, "little"))
        return authenticator.finalize()


def _aead(key: Object, nonce: bytes) -> tuple[Any, bytes]:
    """Return the AEAD that fits the nonce, and the nonce that it takes; CKR_MECHANISM_PARAM_INVALID."""
    value = key.attributes[CKA.VALUE]
    if len(nonce) == _IETF:
        return Aead(value), nonce
    if len(nonce) == _EXTENDED:
        return Aead(_hchacha20(value, nonce[:16])), bytes(4) + nonce[16:]
    if len(nonce) == _ORIGINAL:
        return _Original(value), nonce
    raise _refusal(f"a nonce of {len(nonce)} bytes, want 8, 12 or 24")


def sealed(key: Object, nonce: bytes, aad: bytes, data: bytes) -> bytes:
    """Return the encrypted data, with the tag behind it; CKR_MECHANISM_PARAM_INVALID, CKR_DATA_LEN_RANGE."""
    aead, short = _aead(key, nonce)
    try:
        return aead.encrypt(short, data, aad)  # type: ignore[no-any-return]
    except OverflowError:
        raise CryptokiError(CKR.DATA_LEN_RANGE, "more data than one part can have") from None


def opened(key: Object, nonce: bytes, aad: bytes, data: bytes) -> bytes:
    """Return what `sealed` made `data` of.

    CKR_MECHANISM_PARAM_INVALID; CKR_ENCRYPTED_DATA_LEN_RANGE for less than a tag; CKR_ENCRYPTED_DATA_INVALID.
    """
    aead, short = _aead(key, nonce)
    if len(data) < TAG:
        raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes are less than the tag")
    try:
        return aead.decrypt(short, data, aad)  # type: ignore[no-any-return]
    except InvalidTag:
        raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the tag is another one") from None


class _ChaCha20Poly1305(MessagesCipher, PayloadCipher):
    """CKM_CHACHA20_POLY1305: the tag stands behind the encrypted data, and in the parameter of a message."""

    form = CHACHA_MESSAGES
    type = CKM.CHACHA20_POLY1305
    key_types = (CKK.CHACHA20,)
    sizes = (_KEY, _KEY)
    parameters = CHACHA20_POLY1305
    streams = True
    source = "RFC 8439 (cryptography_vectors: ciphers/ChaCha20Poly1305), Wycheproof"

    def encrypt(self, key: Object, parameter: ChaCha20Poly1305) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        _aead(key, parameter.nonce)

        def run(data: bytes) -> bytes:
            return sealed(key, parameter.nonce, parameter.aad, data)

        return Kept(run, TAG, MAXIMUM - TAG, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: ChaCha20Poly1305) -> Operation:
        """Start a decryption; CKR_MECHANISM_PARAM_INVALID."""
        _aead(key, parameter.nonce)

        def run(data: bytes) -> bytes:
            return opened(key, parameter.nonce, parameter.aad, data)

        return Kept(run, -TAG, MAXIMUM, CKR.ENCRYPTED_DATA_LEN_RANGE)


_KEYS = SecretKeyType(CKK.CHACHA20, (_KEY,), hash_check_value)

register(
    _KEYS,
    FixedKeyGeneration(CKM.CHACHA20_KEY_GEN, _KEYS, _KEY),
    _ChaCha20(),
    _ChaCha20Poly1305(),
)

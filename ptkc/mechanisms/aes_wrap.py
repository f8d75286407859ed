"""AES key wrap (specification 6.17; NIST SP 800-38F, RFC 3394, RFC 5649).

All wrap keys and encrypt data, in a single part. The parameter is another initial value than the default one, which
`cryptography` does not take; so the wrapping function W of SP 800-38F stands here, on its AES. What the deprecated
CKM_AES_KEY_WRAP_PAD is, versions of the specification and modules do not agree on; here it is KWP (RFC 5649), as in
SoftHSM and with the vendor. CKM_AES_KEY_WRAP_PKCS7 needs 8 bytes or more: W is not defined for less.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.constant_time import bytes_eq

from ptkc.mechanisms.aes import WrappingCipher, cipher
from ptkc.mechanisms.blocks import unpadded
from ptkc.mechanisms.mechanism import Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.parameters import IV4, IV8

__all__: list[str] = []

_SEMIBLOCK = 8
_ICV1 = bytes.fromhex("a6a6a6a6a6a6a6a6")  # SP 800-38F, 6.2
_ICV2 = bytes.fromhex("a65959a6")  # SP 800-38F, 6.3
_LONGEST = 2**16
"""The most bytes that are wrapped at once: W is made for keys, and takes its time."""
_ECB = modes.ECB()  # noqa: S305 - W is built of single blocks


def _w(key: Object, text: bytes) -> bytes:
    """Return W(text), `text` being at least three semiblocks (SP 800-38F, algorithm 1)."""
    encrypt = cipher(key, _ECB).encryptor().update
    first, rest = text[:8], [text[place : place + 8] for place in range(8, len(text), 8)]
    step = 0
    for _ in range(6):
        for place, semiblock in enumerate(rest):
            step += 1
            block = encrypt(first + semiblock)
            # A = MSB64(CIPH_K(A || R)) xor [t]64, R = LSB64(CIPH_K(A || R))
            first = (int.from_bytes(block[:8], "big") ^ step).to_bytes(8, "big")
            rest[place] = block[8:]
    return first + b"".join(rest)


def _w_inverse(key: Object, text: bytes) -> bytes:
    """Return the text whose W is `text`, at least three semiblocks (SP 800-38F, algorithm 2)."""
    decrypt = cipher(key, _ECB).decryptor().update
    first, rest = text[:8], [text[place : place + 8] for place in range(8, len(text), 8)]
    for step in range(6 * len(rest), 0, -1):
        place = (step - 1) % len(rest)
        # A || R = CIPH^-1_K((A xor [t]64) || R)
        block = decrypt((int.from_bytes(first, "big") ^ step).to_bytes(8, "big") + rest[place])
        first, rest[place] = block[:8], block[8:]
    return first + b"".join(rest)


class _Wrapping(Operation):
    """KW-AE of SP 800-38F: data of two or more whole semiblocks, one semiblock more out."""

    __slots__ = ("_initial", "_key")
    multi_part = False

    def __init__(self, key: Object, initial: bytes) -> None:
        """Keep the key and the initial value."""
        self._key = key
        self._initial = initial

    def length(self, size: int) -> int:
        """Return the length with the check value."""
        return size + _SEMIBLOCK

    def single(self, data: bytes) -> bytes:
        """Return the wrapped data; CKR_DATA_LEN_RANGE."""
        if len(data) % _SEMIBLOCK or not 2 * _SEMIBLOCK <= len(data) <= _LONGEST:
            raise CryptokiError(CKR.DATA_LEN_RANGE, f"got {len(data)} bytes, want two or more whole semiblocks")
        return _w(self._key, self._initial + data)


class _Unwrapping(_Wrapping):
    """KW-AD of SP 800-38F."""

    __slots__ = ()

    def length(self, size: int) -> int:
        """Return the length without the check value."""
        return max(size - _SEMIBLOCK, 0)

    def single(self, data: bytes) -> bytes:
        """Return the data; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        if len(data) % _SEMIBLOCK or not 3 * _SEMIBLOCK <= len(data) <= _LONGEST + _SEMIBLOCK:
            raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes are no wrapped data")
        text = _w_inverse(self._key, data)
        if not bytes_eq(text[:8], self._initial):
            raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the check value is wrong")
        return text[8:]


class _PaddedWrapping(_Wrapping):
    """KWP-AE of SP 800-38F: data of any length from one byte."""

    __slots__ = ()

    def length(self, size: int) -> int:
        """Return the length in whole semiblocks, with the check value."""
        return size + -size % _SEMIBLOCK + _SEMIBLOCK

    def single(self, data: bytes) -> bytes:
        """Return the wrapped data; CKR_DATA_LEN_RANGE."""
        if not 1 <= len(data) <= _LONGEST:
            raise CryptokiError(CKR.DATA_LEN_RANGE, f"got {len(data)} bytes, want 1 to {_LONGEST}")
        text = self._initial + len(data).to_bytes(4, "big") + data + bytes(-len(data) % _SEMIBLOCK)
        if len(text) == 2 * _SEMIBLOCK:
            return cipher(self._key, _ECB).encryptor().update(text)
        return _w(self._key, text)


class _PaddedUnwrapping(_Wrapping):
    """KWP-AD of SP 800-38F."""

    __slots__ = ()
    exact = False

    def length(self, size: int) -> int:
        """Return a bound: the length without the check value."""
        return max(size - _SEMIBLOCK, 0)

    def single(self, data: bytes) -> bytes:
        """Return the data; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        if len(data) % _SEMIBLOCK or not 2 * _SEMIBLOCK <= len(data) <= _LONGEST + _SEMIBLOCK:
            raise CryptokiError(CKR.ENCRYPTED_DATA_LEN_RANGE, f"{len(data)} bytes are no wrapped data")
        if len(data) == 2 * _SEMIBLOCK:
            text = cipher(self._key, _ECB).decryptor().update(data)
        else:
            text = _w_inverse(self._key, data)
        length = int.from_bytes(text[4:8], "big")
        size = len(text) - _SEMIBLOCK
        # One answer for whatever is wrong: the initial value, the length, or the padding.
        right = bytes_eq(text[:4], self._initial) & (0 <= size - length < _SEMIBLOCK)
        if not right or not bytes_eq(text[8 + length :], bytes(size - length)):
            raise CryptokiError(CKR.ENCRYPTED_DATA_INVALID, "the check value is wrong")
        return text[8 : 8 + length]


class _KeyWrap(WrappingCipher):
    """CKM_AES_KEY_WRAP: payloads are filled up with zero bytes to whole semiblocks, at least two."""

    parameters = IV8
    optional = True
    source = "NIST SP 800-38F test vectors (cryptography_vectors: keywrap/kwtestvectors), Wycheproof"

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return _Wrapping(key, parameter or _ICV1)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return _Unwrapping(key, parameter or _ICV1)

    def wrap(self, key: Object, parameter: bytes | None, payload: bytes) -> bytes:
        """Return the wrapped payload; CKR_KEY_SIZE_RANGE."""
        length = max(2 * _SEMIBLOCK, len(payload) + -len(payload) % _SEMIBLOCK)
        return super().wrap(key, parameter, payload.ljust(length, b"\0"))


class _FilledWrapping(_Wrapping):
    """KW-AE of data that is filled up to whole semiblocks, or by one (PKCS #7)."""

    __slots__ = ()

    def length(self, size: int) -> int:
        """Return the length in whole semiblocks, with padding and check value."""
        return size - size % _SEMIBLOCK + 2 * _SEMIBLOCK

    def single(self, data: bytes) -> bytes:
        """Return the wrapped data; CKR_DATA_LEN_RANGE."""
        count = _SEMIBLOCK - len(data) % _SEMIBLOCK
        return super().single(data + bytes((count,)) * count)


class _FilledUnwrapping(_Unwrapping):
    """KW-AD, and the padding of PKCS #7 taken away."""

    __slots__ = ()
    exact = False

    def single(self, data: bytes) -> bytes:
        """Return the data; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID."""
        return unpadded(super().single(data), _SEMIBLOCK)


class _KeyWrapFilled(WrappingCipher):
    """CKM_AES_KEY_WRAP_PKCS7: payloads of 8 bytes or more."""

    parameters = IV8
    optional = True
    source = "NIST SP 800-38F test vectors (cryptography_vectors: keywrap/kwtestvectors), padded"

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return _FilledWrapping(key, parameter or _ICV1)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return _FilledUnwrapping(key, parameter or _ICV1)


class _KeyWrapPadded(WrappingCipher):
    """CKM_AES_KEY_WRAP_KWP and CKM_AES_KEY_WRAP_PAD: payloads of any length."""

    parameters = IV4
    optional = True
    source = "NIST SP 800-38F test vectors (cryptography_vectors: keywrap/kwtestvectors), Wycheproof"

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return _PaddedWrapping(key, parameter or _ICV2)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return _PaddedUnwrapping(key, parameter or _ICV2)


register(
    _KeyWrap(CKM.AES_KEY_WRAP),
    _KeyWrapPadded(CKM.AES_KEY_WRAP_KWP),
    _KeyWrapPadded(CKM.AES_KEY_WRAP_PAD),
    _KeyWrapFilled(CKM.AES_KEY_WRAP_PKCS7),
)

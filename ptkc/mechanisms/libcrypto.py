"""What `cryptography` does not offer, from the system's libcrypto through native/operations.c.

Raw RSA, RSA key pairs with unusual public exponents, OAEP with hash functions that `cryptography` refuses, AES-GCM with
short IVs, further ciphers and modes. Bytes go in and come out. The shared object is there wherever a mechanism runs,
but not where its module is only imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["SystemCipher", "gcm", "rsa_generate", "rsa_key", "rsa_oaep", "rsa_raw"]

_RSA_PARTS = 8
_LONGEST_IV = 128
_LONGEST_BLOCK = 32


def rsa_key(parts: Sequence[bytes]) -> Any:  # noqa: ANN401 - a pointer of cffi's
    """Return the key of (n, e) or (n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p), freed with its last reference."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    held = [ffi.from_buffer(part) for part in parts]
    numbers = ffi.new("ptkc_number[]", [(part, len(part)) for part in held])
    key = lib.ptkc_rsa_key(numbers, len(held))
    if key == ffi.NULL:
        raise CryptokiError(CKR.FUNCTION_FAILED, "libcrypto refuses the RSA key")
    return ffi.gc(key, lib.ptkc_key_free)


def rsa_generate(bits: int, exponent: int) -> rsa.RSAPrivateNumbers:
    """Return a new RSA key with any odd public exponent; CKR_TEMPLATE_INCONSISTENT if libcrypto refuses it."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    held = ffi.from_buffer(exponent.to_bytes((exponent.bit_length() + 7) // 8, "big"))
    made = lib.ptkc_rsa_generate(bits, ffi.new("ptkc_number *", (held, len(held))))
    if made == ffi.NULL:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"no key of {bits} bits with CKA_PUBLIC_EXPONENT {exponent}")
    key = ffi.gc(made, lib.ptkc_key_free)
    room = ffi.new("unsigned char[]", (bits + 7) // 8)
    parts = [
        int.from_bytes(ffi.buffer(room, lib.ptkc_rsa_number(key, index, room, len(room))), "big")
        for index in range(_RSA_PARTS)
    ]
    ffi.buffer(room)[:] = bytes(len(room))
    n, e, d, p, q, dp, dq, qi = parts
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n))


def rsa_raw(key: Any, data: bytes, *, private: bool) -> bytes:  # noqa: ANN401 - from rsa_key
    """Return data^e or data^d modulo n; `data` and the result are as long as n. ValueError if data is not below n."""
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    output = ffi.new("unsigned char[]", len(data))
    if not lib.ptkc_rsa_raw(key, private, ffi.from_buffer(data), output, len(data)):
        message = "the number is not below the modulus"
        raise ValueError(message)
    return ffi.buffer(output)[:]  # type: ignore[no-any-return]


def rsa_oaep(key: Any, data: bytes, names: tuple[str, str], label: bytes, *, size: int, encrypt: bool) -> bytes:  # noqa: ANN401 - from rsa_key
    """Return data encrypted or decrypted with OAEP; ValueError for what does not decrypt.

    `names` are libcrypto's names of the hash function and of that of the mask; `size` is the length of n in bytes.
    """
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    output, length = ffi.new("unsigned char[]", size), ffi.new("size_t *")
    hash_name, mask_name = (name.encode() for name in names)
    if not lib.ptkc_rsa_oaep(
        key, encrypt, hash_name, mask_name, ffi.from_buffer(label), len(label), ffi.from_buffer(data), len(data),
        output, length,
    ):  # fmt: skip
        message = "libcrypto's OAEP refuses the data"
        raise ValueError(message)
    return ffi.buffer(output, length[0])[:]  # type: ignore[no-any-return]


def gcm(key: bytes, iv: bytes, aad: bytes, data: bytes, tag_bits: int, *, encrypt: bool) -> bytes:
    """Return data encrypted, with the tag behind it, or decrypted, when its tag is right; InvalidTag.

    CKR_MECHANISM_PARAM_INVALID for an IV longer than libcrypto takes.
    """
    from _libptkc import ffi, lib  # noqa: PLC0415 - see above

    if len(iv) > _LONGEST_IV:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"an IV of {len(iv)} bytes, at most {_LONGEST_IV}")
    tag_size = tag_bits >> 3
    tag = ffi.new("unsigned char[]", tag_size)
    if not encrypt:
        data, given = data[: len(data) - tag_size], data[len(data) - tag_size :]
        ffi.memmove(tag, given, tag_size)
    output = ffi.new("unsigned char[]", len(data) or 1)
    if not lib.ptkc_gcm(
        encrypt, ffi.from_buffer(key), len(key), ffi.from_buffer(iv), len(iv), ffi.from_buffer(aad), len(aad),
        ffi.from_buffer(data), len(data), output, tag, tag_size,
    ):  # fmt: skip
        raise InvalidTag
    result: bytes = ffi.buffer(output, len(data))[:]
    return result + ffi.buffer(tag)[:] if encrypt else result


class SystemCipher:
    """A cipher in a mode by libcrypto's name ("ARIA-128-CBC"), with what `Cipher` of `cryptography` offers."""

    __slots__ = ("_iv", "_key", "_name")

    def __init__(self, name: str, key: bytes, iv: bytes = b"") -> None:
        """Keep name, key and IV, which have the lengths that the cipher wants."""
        self._name = name.encode()
        self._key = key
        self._iv = iv

    def encryptor(self) -> _SystemCipherRun:
        """Return a fresh encryption."""
        return _SystemCipherRun(self._name, self._key, self._iv, encrypt=True)

    def decryptor(self) -> _SystemCipherRun:
        """Return a fresh decryption."""
        return _SystemCipherRun(self._name, self._key, self._iv, encrypt=False)


class _SystemCipherRun:
    """One encryption or decryption: whole blocks come out as soon as they are there."""

    __slots__ = ("_cipher", "_ffi", "_lib")

    def __init__(self, name: bytes, key: bytes, iv: bytes, *, encrypt: bool) -> None:
        """Start it; CKR_FUNCTION_FAILED if libcrypto has no such cipher."""
        from _libptkc import ffi, lib  # noqa: PLC0415 - see above

        self._ffi, self._lib = ffi, lib
        made = lib.ptkc_cipher(name, encrypt, ffi.from_buffer(key), len(key), ffi.from_buffer(iv), len(iv))
        if made == ffi.NULL:
            raise CryptokiError(CKR.FUNCTION_FAILED, f"libcrypto has no {name.decode()}")
        self._cipher = ffi.gc(made, lib.ptkc_cipher_free)

    def update(self, data: bytes) -> bytes:
        """Return what the data makes available."""
        ffi = self._ffi
        output, size = ffi.new("unsigned char[]", len(data) + _LONGEST_BLOCK), ffi.new("size_t *")
        if not self._lib.ptkc_cipher_update(self._cipher, ffi.from_buffer(data), len(data), output, size):
            raise CryptokiError(CKR.FUNCTION_FAILED, "libcrypto's cipher failed")
        return ffi.buffer(output, size[0])[:]  # type: ignore[no-any-return]

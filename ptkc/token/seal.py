"""Sealing at rest: what protects objects, PIN records and the search index in the store.

Two roots come in, both 32 random bytes: a token key (private objects) and the device key (public objects, the outer
layer of PIN records). Every use has its own key, made with HKDF-Expand (RFC 5869, 2.3: the roots are uniform already,
so nothing is extracted). Private content is AES-256-GCM with the record's identity and version as associated data;
public content carries HMAC-SHA-256 and is readable, but for keys, which are sealed under the device key. Whether a
record, or the whole database, is the newest one is not detected.
`cryptography` is imported at the first private object, never when a session is opened.
"""

from __future__ import annotations

import os
from _operator import _compare_digest as compare_digest
from struct import Struct

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.loading import bring_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _hashlib

__all__ = [
    "KEY_LENGTH", "Keys", "PrivateKeys", "PublicKeys", "expand", "random_bytes", "seal", "sha256", "sign", "unseal",
    "verified",
]  # fmt: skip

KEY_LENGTH = 32

_NONCE = 12
_TAG = 32
_BLOCK = 64
_READABLE, _SEALED = b"\0", b"\1"
_TERM = Struct("<q")
_ATTRIBUTE = Struct("<Q")
_REMEMBERED = 4096


def random_bytes(length: int) -> bytes:
    """Return fresh random bytes; the one place where the token layer's randomness enters."""
    return os.urandom(length)


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of something short, without libcrypto, which hashlib would load at C_OpenSession."""
    try:
        from _sha2 import sha256 as begin  # type: ignore[import-not-found] # noqa: PLC0415 - see above
    except ImportError:
        from _sha256 import sha256 as begin  # type: ignore[import-not-found] # noqa: PLC0415 - before Python 3.12

    digest: bytes = begin(data).digest()
    return digest


def sign(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA-256 (RFC 2104) of something short under a 32-byte key, and behind it the data; no libcrypto."""
    inner = sha256(bytes(byte ^ 0x36 for byte in key.ljust(_BLOCK, b"\0")) + data)
    return sha256(bytes(byte ^ 0x5C for byte in key.ljust(_BLOCK, b"\0")) + inner) + data


def verified(key: bytes, signed: bytes) -> bytes | None:
    """Return the data of what `sign` made; None if key or data is another."""
    data = signed[_TAG:]
    return data if compare_digest(signed, sign(key, data)) else None


def expand(root: bytes, purpose: bytes) -> bytes:
    """Return the 32-byte key of `root` for one purpose.

    RFC 5869, 2.3 with SHA-256 and one block: T(1) = HMAC-Hash(PRK, info | 0x01).
    """
    keyed = _keyed(root)
    keyed.update(purpose + b"\x01")
    return keyed.digest()


def _keyed(key: bytes) -> _hashlib.HMAC:
    """Return HMAC-SHA-256 under a key, to be copied: half the time of starting with the key each time."""
    bring_in()
    from _hashlib import hmac_new  # noqa: PLC0415 - not at C_OpenSession

    return hmac_new(key, digestmod="sha256")


def seal(key: bytes, content: bytes, associated: bytes) -> bytes:
    """Return nonce, ciphertext and tag of AES-256-GCM."""
    bring_in()
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - not at C_OpenSession

    nonce = random_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes | None:
    """Return what `seal` protected; None if key, content or associated data is another."""
    bring_in()
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - not at C_OpenSession
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], associated)
    except (InvalidTag, ValueError):
        return None


class Keys:
    """The keys made of one root, for one token's private or public objects."""

    __slots__ = ("_index", "_terms")

    def __init__(self, root: bytes, purpose: bytes) -> None:
        """Make the index key; `purpose` separates tokens and private from public."""
        self._index = _keyed(expand(root, b"index " + purpose))
        self._terms: dict[tuple[int, bytes], int] = {}

    def term(self, attribute: int, value: bytes) -> int:
        """Return the search term of an attribute value: 64 bits of HMAC(index key, attribute | value), signed.

        64 bits keep the index small; that two of a million values of one token share a term has a chance of 1 in 10^7,
        and then a search finds one object too many.
        """
        known = self._terms.get((attribute, value))
        if known is not None:
            return known
        keyed = self._index.copy()
        keyed.update(_ATTRIBUTE.pack(attribute) + value)
        term: int = _TERM.unpack_from(keyed.digest())[0]
        if len(self._terms) >= _REMEMBERED:
            self._terms.clear()
        self._terms[attribute, value] = term
        return term

    def protect(self, content: bytes, associated: bytes, *, secret: bool) -> bytes:
        """Return the content as it is stored, bound to `associated`; `secret` if nobody is to read it in the store."""
        raise NotImplementedError

    def recover(self, stored: bytes, associated: bytes) -> bytes:
        """Return the content; CKR_DEVICE_ERROR if the record was changed or moved."""
        raise NotImplementedError


class PrivateKeys(Keys):
    """Private objects: sealed whole under keys from the token key."""

    __slots__ = ("_cipher", "_invalid")

    def __init__(self, token_key: bytes) -> None:
        """Make the index and sealing keys of a token key."""
        bring_in()
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - not at C_OpenSession
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        super().__init__(token_key, b"private")
        self._cipher = AESGCM(expand(token_key, b"seal private"))
        self._invalid = InvalidTag

    def protect(self, content: bytes, associated: bytes, *, secret: bool) -> bytes:  # noqa: ARG002 - all is
        """Return the sealed content."""
        nonce = random_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, associated)

    def recover(self, stored: bytes, associated: bytes) -> bytes:
        """Return the content; CKR_DEVICE_ERROR if the record was changed or moved."""
        try:
            return self._cipher.decrypt(stored[:_NONCE], stored[_NONCE:], associated)
        except (self._invalid, ValueError):
            raise CryptokiError(CKR.DEVICE_ERROR, "a private object's record does not open: it was changed") from None


class PublicKeys(Keys):
    """Public objects: with a MAC under a key from the device key, so that nobody need be logged in.

    They are readable, but for secret and private keys that the application made public: those are sealed under the
    device key. A byte between MAC and content says which.
    """

    __slots__ = ("_mac", "_sealing")

    def __init__(self, device_key: bytes, token_serial: bytes) -> None:
        """Make the index, MAC and sealing keys of one token."""
        super().__init__(device_key, b"public " + token_serial)
        self._mac = _keyed(expand(device_key, b"mac public " + token_serial))
        self._sealing = expand(device_key, b"seal public " + token_serial)

    def protect(self, content: bytes, associated: bytes, *, secret: bool) -> bytes:
        """Return MAC, what the content is, and the content."""
        content = _SEALED + seal(self._sealing, content, associated) if secret else _READABLE + content
        return self._authenticate(associated + content) + content

    def recover(self, stored: bytes, associated: bytes) -> bytes:
        """Return the content; CKR_DEVICE_ERROR if the record was changed or moved."""
        content = stored[_TAG:]
        if not compare_digest(stored[:_TAG], self._authenticate(associated + content)):
            raise CryptokiError(CKR.DEVICE_ERROR, "a public object's MAC is wrong: its record was changed")
        if content[:1] == _READABLE:
            return content[1:]
        opened = unseal(self._sealing, content[1:], associated)
        if opened is None:
            raise CryptokiError(CKR.DEVICE_ERROR, "a public key's record does not open: it was changed")
        return opened

    def _authenticate(self, data: bytes) -> bytes:
        """Return the MAC."""
        keyed = self._mac.copy()
        keyed.update(data)
        return keyed.digest()

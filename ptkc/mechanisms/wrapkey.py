"""CKM_WRAPKEY_AES_KWP: keys with their attributes under an AES key, which is a backup file of ctkmu as a whole.

C_WrapKey's result is what `ctkmu x` writes to its file, and C_UnwrapKey takes the whole file: the tool adds nothing.

* C_WrapKey: no parameter, or further keys: an array of CK_OBJECT_HANDLE. The file has the key of the call first.
* C_UnwrapKey: no parameter for the first key, or a CK_ULONG that says which, counted from 0. `count` says how many.
* A template may say where the key goes and what it is called (CKA_TOKEN, CKA_LABEL, CKA_ID); for the rest it may only
  agree with the file. Public keys go too. CKA_TRUSTED, CKA_EXPORT and CKA_IMPORT do not travel: the SO sets them anew.

# The file

All numbers are big-endian, of four bytes; {x} is x behind its length.

    version 8000020D, {number of keys, {key 1}, {key 2} … }, MAC (4 bytes), {MAC key}, {transport key}
    key: {encrypted key}, {number of attributes, of each: type, length, 01, value}, tag (8 bytes)

Encrypted keys and the MAC key are under the transport key, that one is under a key made from the caller's, all by
AES-KWP (SP 800-38F). Transport and MAC key are 32 random bytes each, for this file alone. The layout is the vendor's as
far as it is known, 20D its version, where the first bit says that this is ours.

* The key from the caller's: 32 bytes of HKDF-SHA-256, no salt, `ptkc CKM_WRAPKEY_AES_KWP` as info. Were the transport
  key under the caller's key itself, CKM_AES_KEY_WRAP_KWP would unwrap it, as one that decrypts the others.
* The MAC is HMAC-SHA-256 over all before it; the eight bytes of each key are HMAC-SHA-256 over "key" and what stands
  before them in the key, cut off, since four bytes alone are little. Both are made under HMAC-SHA-256(transport key,
  "mac" and MAC key): a wrapped key whose value somebody knows must not do for the MAC key.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ptkc.mechanisms.generic import random_bytes
from ptkc.mechanisms.mechanism import MECHANISMS, Mechanism, register
from ptkc.mechanisms.portable import (
    Portable,
    PortableMechanism,
    Reader,
    field,
    number,
    pack_attributes,
    unpack_attributes,
)
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.parameters import Bytes
from ptkc.spec.values import unpack_ulongs

__all__ = ["WrapKey", "count"]

_VERSION = bytes.fromhex("8000020d")
_LABEL = b"ptkc CKM_WRAPKEY_AES_KWP"
_MAC, _TAG, _KEY_LENGTH, _ULONG = 4, 8, 32, 8


class _Ulongs(Bytes):
    """A parameter that is an array of CK_ULONG."""

    __slots__ = ()

    def accepts(self, value: object) -> bool:
        """Whether `value` is such an array, and not empty."""
        return isinstance(value, bytes) and bool(value) and len(value) % _ULONG == 0


class WrapKey(PortableMechanism):
    """CKM_WRAPKEY_AES_KWP."""

    type = CKM.WRAPKEY_AES_KWP
    key_types = (CKK.AES,)
    sizes = (16, 32)
    parameters = _Ulongs("an array of CK_OBJECT_HANDLE, or a CK_ULONG")
    optional = True
    source = "none: the keys are random, the cipher is that of CKM_AES_KEY_WRAP_KWP"

    def several(self, parameter: object) -> tuple[int, ...]:
        """Return the handles in the parameter of C_WrapKey."""
        return unpack_ulongs(parameter) if isinstance(parameter, bytes) else ()

    def wrap(self, key: Object, parameter: bytes | None, keys: list[Portable]) -> bytes:  # noqa: ARG002 - `several`
        """Return a file with the keys; CKR_KEY_SIZE_RANGE for one that is too long to be wrapped."""
        transport, mac_key = random_bytes(_KEY_LENGTH), random_bytes(_KEY_LENGTH)
        secret = _secret(transport, mac_key)
        records = []
        for payload, attributes in keys:
            record = field(_wrap(transport, payload)) + field(pack_attributes(attributes))
            records.append(field(record + _tag(secret, record)))
        file = _VERSION + field(number(len(keys)) + b"".join(records))
        return b"".join(
            (file, _digest(secret, file)[:_MAC], field(_wrap(transport, mac_key)), field(_wrap(_own(key), transport)))
        )

    def unwrap(self, key: Object, parameter: bytes | None, wrapped: bytes) -> Portable:
        """Return one of the keys in a file.

        CKR_WRAPPED_KEY_INVALID for what is no file of this key's, in whole and unchanged; CKR_MECHANISM_PARAM_INVALID
        if it has no key of that number.
        """
        wanted = unpack_ulongs(parameter) if parameter else (0,)
        signed, keys, mac, mac_key, transport = _read(wrapped)
        transport = _unwrap(_own(key), transport)
        if len(transport) != _KEY_LENGTH:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the transport key has another length")
        secret = _secret(transport, _unwrap(transport, mac_key))
        if not hmac.compare_digest(mac, _digest(secret, signed)[:_MAC]):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the file was changed")
        if len(wanted) != 1 or wanted[0] >= len(keys):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"got {wanted}, the file has {len(keys)} keys")
        record = keys[wanted[0]]
        content, tag = record[:-_TAG], record[-_TAG:]
        if not hmac.compare_digest(tag, _tag(secret, content)):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the key in the file was changed")
        reader = Reader(content)
        encrypted, attributes = reader.field(), unpack_attributes(reader.field())
        reader.end()
        return Portable(_unwrap(transport, encrypted), attributes)


def count(file: bytes) -> int:
    """Return how many keys a file says it has; CKR_WRAPPED_KEY_INVALID for what is no file."""
    return len(_read(file)[1])


def _read(file: bytes) -> tuple[bytes, list[bytes], bytes, bytes, bytes]:
    """Return what the MAC is over, the keys, the MAC, the MAC key and the transport key, the last two encrypted."""
    reader = Reader(file)
    if reader.take(len(_VERSION)) != _VERSION:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "no backup file, or one of another version")
    payload = Reader(reader.field())
    signed = reader.read()
    keys = [payload.field() for _ in range(payload.number())]
    payload.end()
    parts = signed, keys, reader.take(_MAC), reader.field(), reader.field()
    reader.end()
    return parts


def _secret(transport: bytes, mac_key: bytes) -> bytes:
    """Return what MAC and tags are made under."""
    return _digest(transport, b"mac" + mac_key)


def _digest(secret: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA-256."""
    return hmac.digest(secret, data, "sha256")


def _tag(secret: bytes, record: bytes) -> bytes:
    """Return what holds a key and its attributes together."""
    return _digest(secret, b"key" + record)[:_TAG]


def _kwp() -> Mechanism:
    """Return AES-KWP."""
    return MECHANISMS[CKM.AES_KEY_WRAP_KWP]


def _own(key: Object) -> bytes:
    """Return what transport keys are under: made from the caller's key, for this mechanism alone."""
    return HKDF(SHA256(), _KEY_LENGTH, None, _LABEL).derive(key.attributes[CKA.VALUE])


def _wrap(secret: bytes, payload: bytes) -> bytes:
    """Return the payload under the bytes of an AES key."""
    return _kwp().wrap(Object({CKA.VALUE: secret}), None, payload)  # type: ignore[no-any-return]


def _unwrap(secret: bytes, wrapped: bytes) -> bytes:
    """Return what is wrapped under the bytes of an AES key; every refusal is CKR_WRAPPED_KEY_INVALID."""
    try:
        return _kwp().unwrap(Object({CKA.VALUE: secret}), None, wrapped, {})  # type: ignore[no-any-return]
    except CryptokiError as refusal:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, refusal.message) from None


register(WrapKey())

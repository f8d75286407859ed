"""BLAKE2b with 160, 256, 384 and 512 bits: digests, HMAC, keys (specification 6.21, 6.22, 6.42; RFC 7693).

`cryptography` has the last of them only; Python's own has all. HMAC is the construction around the unkeyed hash, as the
specification says, and not the keyed hash that BLAKE2 has itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any

from ptkc.mechanisms.digests import Accumulation
from ptkc.mechanisms.generic import KeyGeneration, SecretKeyType, derived_length, hash_check_value
from ptkc.mechanisms.hashing_derivation import HashDerivation
from ptkc.mechanisms.macs import Mac
from ptkc.mechanisms.mechanism import Mechanism, Operation, register
from ptkc.objects.object import Object
from ptkc.spec import parameters
from ptkc.spec.constants import CKA, CKK, CKM
from ptkc.spec.layouts import MAC_GENERAL
from ptkc.spec.values import Attributes

__all__ = ["BLAKE2"]

BLAKE2: dict[str, Callable[..., Any]] = {
    f"BLAKE2B_{bits}": partial(blake2b, digest_size=bits // 8) for bits in (160, 256, 384, 512)
}
"""The hash functions by the name that stands in CKM_<name>, CKM_<name>_HMAC, CKK_<name>_HMAC …"""

_LENGTHS = range(1, 65536 + 1)
_ANY = range(1, 2**63)


class _Running:
    """A hash or an HMAC of Python's with the methods that those of `cryptography` have."""

    __slots__ = ("_hash", "update")

    def __init__(self, hash_: Any) -> None:  # noqa: ANN401 - of hashlib or hmac
        """Take a fresh one."""
        self._hash = hash_
        self.update = hash_.update

    def finalize(self) -> bytes:
        """Return the result."""
        return self._hash.digest()  # type: ignore[no-any-return]


class _Digest(Mechanism):
    """CKM_BLAKE2B_<bits>."""

    source = "RFC 7693 (cryptography_vectors: hashes/blake2)"

    def __init__(self, number: int, new: Callable[..., Any]) -> None:
        """Keep what makes the hash."""
        self.type = number
        self._new = new
        self._size = new().digest_size

    def digest(self, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """Start a digest."""
        return Accumulation(_Running(self._new()), self._size)


class _Hmac(Mac):
    """CKM_BLAKE2B_<bits>_HMAC and CKM_BLAKE2B_<bits>_HMAC_GENERAL."""

    sizes = (1, parameters.MAXIMUM)
    source = "RFC 2104 (no published vectors): held to the digest, which has some"

    def __init__(self, name: str, new: Callable[..., Any], *, general: bool) -> None:
        """Keep the hash function; `general` for the mechanism that truncates."""
        self.type = getattr(CKM, f"{name}_HMAC_GENERAL" if general else f"{name}_HMAC")
        self.key_types = (CKK.GENERIC_SECRET, getattr(CKK, f"{name}_HMAC"))
        self.parameters = MAC_GENERAL if general else None
        self.size = new().digest_size
        self._new = new

    def start(self, key: Object, parameter: object) -> _Running:  # noqa: ARG002 - concerns the length only
        """Return a fresh HMAC."""
        return _Running(hmac.new(key.attributes[CKA.VALUE], digestmod=self._new))


class _Derivation(HashDerivation):
    """CKM_BLAKE2B_<bits>_KEY_DERIVE: the new key is the beginning of the digest of the base key's value."""

    def __init__(self, number: int, new: Callable[..., Any]) -> None:
        """Keep what makes the hash."""
        self.type = number
        self.source = _Digest.source
        self._new = new

    def derive(self, key: Object, parameter: None, attributes: Attributes) -> bytes:  # noqa: ARG002 - there is none
        """Return the first CKA_VALUE_LEN bytes of the digest; the codes of `derived_length`."""
        digest: bytes = self._new(key.attributes[CKA.VALUE]).digest()
        return digest[: derived_length(attributes, len(digest))]


_KEYS = {name: SecretKeyType(getattr(CKK, f"{name}_HMAC"), _ANY, hash_check_value) for name in BLAKE2}

register(
    *_KEYS.values(),
    *(_Digest(getattr(CKM, name), new) for name, new in BLAKE2.items()),
    *(_Hmac(name, new, general=general) for name, new in BLAKE2.items() for general in (False, True)),
    *(_Derivation(getattr(CKM, f"{name}_KEY_DERIVE"), new) for name, new in BLAKE2.items()),
    *(
        KeyGeneration(getattr(CKM, f"{name}_KEY_GEN"), key_type, (1, _LENGTHS[-1]), _LENGTHS)
        for name, key_type in _KEYS.items()
    ),
)

"""Hash-then-sign: CKM_<hash>_<X> is the digest of the data, given to the raw signature mechanism X.

X is single-part and takes a digest; what is made here is single- and multi-part (specification 6.1.16, 6.1.17, 6.3.17).
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives import hashes

from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.mechanism import Mechanism, Operation, Verification
from ptkc.objects.object import Object

__all__ = ["DigestThen"]

class _TakesDigest(Protocol):
    """What a raw signature mechanism has to offer: operations whose `single` takes a digest."""

    key_types: tuple[int, ...]
    sizes: tuple[int, int]
    parameters: object | None
    extra_flags: int

    def sign_digest(self, key: Object, parameter: object, hash_type: int) -> Operation:
        """Return the signature of a digest of the hash `hash_type` (CKM_SHA256 …)."""

    def verify_digest(self, key: Object, parameter: object, hash_type: int) -> Verification:
        """Return the verification over a digest of the hash `hash_type`."""


class DigestThen(Mechanism):
    """One CKM_<hash>_<X>."""

    def __init__(self, number: int, raw: _TakesDigest, hash_type: int) -> None:
        """Combine the hash function with the signature mechanism `raw`, whose keys and parameters it has."""
        self.type = number
        self.key_types = raw.key_types
        self.sizes = raw.sizes
        self.parameters = raw.parameters  # type: ignore[assignment]
        self.extra_flags = raw.extra_flags
        self._raw = raw
        self._hash_type = hash_type
        self._algorithm = ALGORITHMS[hash_type]

    def sign(self, key: Object, parameter: object) -> Operation:
        """C_SignInit."""
        return _DigestSignature(self._raw.sign_digest(key, parameter, self._hash_type), self._algorithm)

    def verify(self, key: Object, parameter: object) -> Verification:
        """C_VerifyInit."""
        return _DigestVerification(self._raw.verify_digest(key, parameter, self._hash_type), self._algorithm)


_digest = hashes.Hash.hash


class _DigestSignature(Operation):
    """The signature `inner` over the digest of all parts."""

    __slots__ = ("_algorithm", "_hash", "_inner")

    def __init__(self, inner: Operation, algorithm: hashes.HashAlgorithm) -> None:
        """Start without any data."""
        self._inner = inner
        self._algorithm = algorithm
        self._hash: hashes.Hash | None = None

    def length(self, size: int) -> int:
        """Return the length of the signature."""
        return self._inner.length(size)

    def single(self, data: bytes) -> bytes:
        """Return the signature over `data`."""
        return self._inner.single(_digest(self._algorithm, data))

    def update(self, data: bytes) -> bytes:
        """Digest a further part."""
        if self._hash is None:
            self._hash = hashes.Hash(self._algorithm)
        self._hash.update(data)
        return b""

    def finish(self) -> bytes:
        """Return the signature over all parts."""
        return self._inner.single(_finish(self._hash, self._algorithm))


class _DigestVerification(Verification):
    """The verification `inner` over the digest of all parts."""

    __slots__ = ("_algorithm", "_hash", "_inner")

    def __init__(self, inner: Verification, algorithm: hashes.HashAlgorithm) -> None:
        """Start without any data."""
        self._inner = inner
        self._algorithm = algorithm
        self._hash: hashes.Hash | None = None

    def single(self, data: bytes, signature: bytes) -> None:
        """Check the signature over `data`."""
        self._inner.single(_digest(self._algorithm, data), signature)

    def update(self, data: bytes) -> None:
        """Digest a further part."""
        if self._hash is None:
            self._hash = hashes.Hash(self._algorithm)
        self._hash.update(data)

    def finish(self, signature: bytes) -> None:
        """Check the signature over all parts."""
        self._inner.single(_finish(self._hash, self._algorithm), signature)


def _finish(digest: hashes.Hash | None, algorithm: hashes.HashAlgorithm) -> bytes:
    """Return the digest of what was given, which may have been nothing."""
    return _digest(algorithm, b"") if digest is None else digest.finalize()

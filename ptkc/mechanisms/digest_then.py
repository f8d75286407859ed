"""Hash-then-sign: CKM_<hash>_<X> is the digest of the data, given to the raw signature mechanism X.

X is single-part and takes a digest; what is made here is single- and multi-part (specification 6.1.16, 6.1.17, 6.3.17).
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes

from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.mechanism import Mechanism, Operation, Verification
from ptkc.objects.object import Object

__all__ = ["DigestThen", "RawSignature"]


class RawSignature(Mechanism):
    """A signature mechanism that takes a digest: what `DigestThen` needs of it."""

    def sign_digest(self, key: Object, parameter: Any, hash_type: int) -> Operation:  # noqa: ANN401 - each its own
        """Return the operation whose `single` signs a digest of the hash function `hash_type` (CKM_SHA256 …)."""
        raise NotImplementedError

    def verify_digest(self, key: Object, parameter: Any, hash_type: int) -> Verification:  # noqa: ANN401 - each its own
        """Return the verification whose `single` takes a digest of the hash function `hash_type`."""
        raise NotImplementedError


class DigestThen(Mechanism):
    """One CKM_<hash>_<X>."""

    def __init__(self, number: int, raw: RawSignature, hash_type: int) -> None:
        """Combine the hash function with the signature mechanism `raw`, whose keys and parameters it has."""
        self.type = number
        self.key_types = raw.key_types
        self.sizes = raw.sizes
        self.parameters = raw.parameters
        self.extra_flags = raw.extra_flags
        self.source = raw.source
        self._raw = raw
        self._hash_type = hash_type
        self._algorithm = ALGORITHMS[hash_type]

    def sign(self, key: Object, parameter: Any) -> Operation:  # noqa: ANN401 - each its own
        """C_SignInit."""
        return _DigestSignature(self._raw.sign_digest(key, parameter, self._hash_type), self._algorithm)

    def verify(self, key: Object, parameter: Any) -> Verification:  # noqa: ANN401 - each its own
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

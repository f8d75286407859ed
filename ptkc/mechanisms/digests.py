"""Digests: SHA-1, SHA-2 and SHA-3 (specification 6.21; FIPS 180-4, FIPS 202).

`HASHES` is the one list of hash functions; HMAC, key generation and the signature families take theirs from it.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes

from ptkc.mechanisms.mechanism import Mechanism, Operation, register
from ptkc.spec.constants import CKM

__all__ = ["ALGORITHMS", "HASHES", "Accumulation", "Digest"]

HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA_1": hashes.SHA1(),  # noqa: S303 - the standard's mechanism; what it is good for is the caller's question
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA512_224": hashes.SHA512_224(),
    "SHA512_256": hashes.SHA512_256(),
    "SHA3_224": hashes.SHA3_224(),
    "SHA3_256": hashes.SHA3_256(),
    "SHA3_384": hashes.SHA3_384(),
    "SHA3_512": hashes.SHA3_512(),
}
"""The hash functions by the name that stands in CKM_<name>, CKM_<name>_HMAC, CKK_<name>_HMAC …"""

ALGORITHMS: dict[int, hashes.HashAlgorithm] = {getattr(CKM, name): algorithm for name, algorithm in HASHES.items()}
"""The hash functions by their CKM_ number, as parameters name them."""


class Accumulation(Operation):
    """Input goes in, the first `size` bytes of one result come out at the end: digests and MACs.

    `accumulator` has `update(data)` and `finalize()`, as the hash, HMAC and CMAC objects of `cryptography` have.
    """

    __slots__ = ("_accumulator", "_size")

    def __init__(self, accumulator: Any, size: int) -> None:  # noqa: ANN401 - three unrelated classes
        """Take a fresh accumulator."""
        self._accumulator = accumulator
        self._size = size

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return getattr(self._accumulator, "kept", 0)

    def length(self, size: int) -> int:  # noqa: ARG002 - whatever goes in
        """Return the length of the result."""
        return self._size

    def single(self, data: bytes) -> bytes:
        """Return the result for `data`."""
        self._accumulator.update(data)
        return self._accumulator.finalize()[: self._size]  # type: ignore[no-any-return]

    def update(self, data: bytes) -> bytes:
        """Take a further part."""
        self._accumulator.update(data)
        return b""

    def finish(self) -> bytes:
        """Return the result for all parts."""
        return self._accumulator.finalize()[: self._size]  # type: ignore[no-any-return]


class Digest(Mechanism):
    """CKM_<hash>: a digest without a key."""

    def __init__(self, number: int, algorithm: hashes.HashAlgorithm) -> None:
        """Keep a fresh hash object: copying it is faster than making one."""
        self.type = number
        self.source = f"NIST CAVP (cryptography_vectors: hashes/{_FOLDERS.get(algorithm.name[:5], 'SHA2')})"
        self._size = algorithm.digest_size
        self._fresh = hashes.Hash(algorithm)

    def digest(self, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """Start a digest."""
        return Accumulation(self._fresh.copy(), self._size)


_FOLDERS = {"sha1": "SHA1", "sha3-": "SHA3"}

register(*(Digest(number, algorithm) for number, algorithm in ALGORITHMS.items()))

"""Hash-based key derivation (specification 6.42): CKM_<hash>_KEY_DERIVATION digests the value of any secret key.

SHAKE128 gives 32 bytes and SHAKE256 64, as the specification's table has it.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from ptkc.mechanisms.digests import HASHES
from ptkc.mechanisms.generic import derived_length, secret_key_types
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM
from ptkc.spec.values import Attributes

__all__ = ["HashDerivation"]

_FOLDERS = {"sha1": "SHA1", "sha3-": "SHA3", "shake": "SHAKE"}


class HashDerivation(Mechanism):
    """CKM_<hash>_KEY_DERIVATION: the new key is the beginning of the digest."""

    sizes = (1, 65536)

    def __init__(self, number: int, algorithm: hashes.HashAlgorithm) -> None:
        """Keep a fresh hash object."""
        self.type = number
        self.source = f"NIST CAVP (cryptography_vectors: hashes/{_FOLDERS.get(algorithm.name[:5], 'SHA2')})"
        self._size = algorithm.digest_size
        self._fresh = hashes.Hash(algorithm)

    @property
    def key_types(self) -> tuple[int, ...]:  # type: ignore[override]
        """All secret keys."""
        return secret_key_types()

    def derive(self, key: Object, parameter: None, attributes: Attributes) -> bytes:  # noqa: ARG002 - there is none
        """Return the first CKA_VALUE_LEN bytes of the digest; the codes of `derived_length`."""
        length = derived_length(attributes, self._size)
        digest = self._fresh.copy()
        digest.update(key.attributes[CKA.VALUE])
        return digest.finalize()[:length]


_SHAKE = {
    CKM.SHAKE_128_KEY_DERIVATION: hashes.SHAKE128(digest_size=32),
    CKM.SHAKE_256_KEY_DERIVATION: hashes.SHAKE256(digest_size=64),
}

register(
    *(
        HashDerivation(getattr(CKM, f"{name.replace('SHA_1', 'SHA1')}_KEY_DERIVATION"), algorithm)
        for name, algorithm in HASHES.items()
        if hasattr(CKM, f"{name.replace('SHA_1', 'SHA1')}_KEY_DERIVATION")
    ),
    *(HashDerivation(number, algorithm) for number, algorithm in _SHAKE.items()),
)

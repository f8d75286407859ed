"""What signing with ML-DSA and SLH-DSA has in common: the context, hedging, and the hash functions of pre-hashing.

The libraries sign hedged only: whoever asks for a deterministic signature (CKH_DETERMINISTIC_REQUIRED) is refused with
CKR_MECHANISM_PARAM_INVALID, as the specification asks of a token that cannot make one. Verification ignores the field.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from ptkc.spec.constants import CKH, CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["PREHASHES", "Prehash", "context_of"]

_LONGEST_CONTEXT = 255
_HEDGED = (CKH.HEDGE_PREFERRED, CKH.HEDGE_REQUIRED)


class Prehash:
    """A hash function of FIPS 204 5.4.1 and FIPS 205 10.2.2: `algorithm`, and the DER of its object identifier."""

    __slots__ = ("algorithm", "oid")

    def __init__(self, algorithm: hashes.HashAlgorithm, arc: int) -> None:
        """Keep the function; `arc` ends its identifier in 2.16.840.1.101.3.4.2."""
        self.algorithm = algorithm
        self.oid = bytes.fromhex("06096086480165030402") + bytes((arc,))


# The extendable functions give twice their strength in bits.
PREHASHES = {
    "SHA256": Prehash(hashes.SHA256(), 1),
    "SHA384": Prehash(hashes.SHA384(), 2),
    "SHA512": Prehash(hashes.SHA512(), 3),
    "SHA224": Prehash(hashes.SHA224(), 4),
    "SHA512_224": Prehash(hashes.SHA512_224(), 5),
    "SHA512_256": Prehash(hashes.SHA512_256(), 6),
    "SHA3_224": Prehash(hashes.SHA3_224(), 7),
    "SHA3_256": Prehash(hashes.SHA3_256(), 8),
    "SHA3_384": Prehash(hashes.SHA3_384(), 9),
    "SHA3_512": Prehash(hashes.SHA3_512(), 10),
    "SHAKE128": Prehash(hashes.SHAKE128(32), 11),
    "SHAKE256": Prehash(hashes.SHAKE256(64), 12),
}
"""The hash functions by the name that stands in CKM_HASH_ML_DSA_<name>."""


def context_of(hedge: int, context: bytes, *, signing: bool) -> bytes:
    """Return the context; CKR_MECHANISM_PARAM_INVALID if it is too long, or for hedging that cannot be had."""
    if signing and hedge not in _HEDGED:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"hedgeVariant {hedge:#x}: signatures are hedged")
    if len(context) > _LONGEST_CONTEXT:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a context of {len(context)} bytes, at most 255")
    return context

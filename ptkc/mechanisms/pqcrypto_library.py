"""What `cryptography` lacks of post-quantum cryptography, from the package `pqcrypto`: ML-KEM-512 and SLH-DSA.

Its ML-KEM decapsulates with expanded keys too, which `cryptography` does not load. Its ML-DSA is not used: of NIST's
valid ACVP signatures its release 1.0.0 refuses some. Where the package is not installed, or does not load, what needs
it is not offered.
"""

from __future__ import annotations

from typing import Any

__all__ = ["InvalidSignatureError", "find", "hash_algorithm"]

try:
    import pqcrypto.pqcrypto as _library
except ImportError:
    _library = None

InvalidSignatureError: type[Exception] = getattr(_library, "InvalidSignatureError", ValueError)
"""What `verify` raises."""


def find(name: str) -> Any:  # noqa: ANN401 - a class of static functions
    """Return the algorithm of this name (MlKem512, SlhDsaSha2_128s …), None where the package is not there."""
    return getattr(_library, name, None)


def hash_algorithm(name: str) -> Any:  # noqa: ANN401 - of the package's enumeration
    """Return the hash function for pre-hashing; `name` is as in CKM_HASH_SLH_DSA_<name>."""
    return getattr(_library.HashAlgorithm, name.capitalize())

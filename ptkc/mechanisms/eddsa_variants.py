"""EdDSA with a context or with pre-hashing (RFC 8032: Ed25519ctx, Ed25519ph, Ed448 with a context, Ed448ph).

`cryptography` has the pure schemes alone; these are the package PyCryptodome's, whose arithmetic takes the same time
for all secrets. It is loaded at the first use; where it is not installed the parameter is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Eddsa

__all__ = ["signing", "verifying"]

_LONGEST_CONTEXT = 255


def _library(parameter: Eddsa) -> tuple[Any, Any, Any]:
    """Return eddsa, SHA512 and SHAKE256; CKR_MECHANISM_PARAM_INVALID without them, and for too long a context."""
    if len(parameter.context) > _LONGEST_CONTEXT:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a context has at most {_LONGEST_CONTEXT} bytes")
    try:
        from Crypto.Hash import SHA512, SHAKE256  # noqa: PLC0415 - see above
        from Crypto.Signature import eddsa  # noqa: PLC0415
    except (ImportError, OSError):
        reason = "neither pre-hashing nor a context can be had without PyCryptodome"
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, reason) from None
    return eddsa, SHA512, SHAKE256


def _prepared(library: tuple[Any, Any, Any], size: int, parameter: Eddsa) -> Callable[[bytes], Any]:
    """Return what makes the scheme's input of the data, for keys of `size` bytes: the hash object where it hashes."""
    if not parameter.ph:
        return bytes
    hashing = library[1] if size == 32 else library[2]  # noqa: PLR2004 - Ed25519, else Ed448
    return hashing.new  # type: ignore[no-any-return]


def signing(private: bytes, parameter: Eddsa) -> Callable[[bytes], bytes]:
    """Return the function that signs with the private key of RFC 8032, as `sign` of the library's private keys does."""
    library = _library(parameter)
    scheme = library[0].new(library[0].import_private_key(private), "rfc8032", parameter.context)
    prepared = _prepared(library, len(private), parameter)
    return lambda data: scheme.sign(prepared(data))


def verifying(public: bytes, parameter: Eddsa) -> Callable[[bytes, bytes], None]:
    """Return the function that verifies, and raises InvalidSignature as `verify` of the library's public keys does."""
    library = _library(parameter)
    prepared = _prepared(library, len(public), parameter)

    def verify(signature: bytes, data: bytes) -> None:
        """Check R and S."""
        try:
            key = library[0].import_public_key(public)
            library[0].new(key, "rfc8032", parameter.context).verify(prepared(data), signature)
        except ValueError:
            raise InvalidSignature from None

    return verify

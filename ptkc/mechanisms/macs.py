"""Message authentication codes: HMAC with every hash function (specification 6.22), AES-CMAC (6.16).

The _GENERAL mechanisms truncate: their parameter is the length in bytes, from 1 to the full one. HMAC keys are
generic secrets or of the hash's own key type, of any length from 1 byte.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import cmac, hashes, hmac
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.constant_time import bytes_eq

from ptkc.mechanisms.digests import HASHES, Accumulation
from ptkc.mechanisms.mechanism import Mechanism, Operation, Verification, register
from ptkc.objects.object import Object
from ptkc.spec import layouts, parameters
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["Cmac", "Hmac", "Mac"]


class _MacVerification(Verification):
    """Compare the first `size` bytes of a MAC with what the caller has; in constant time."""

    __slots__ = ("_accumulator", "_size")

    def __init__(self, accumulator: Any, size: int) -> None:  # noqa: ANN401 - as in `Accumulation`
        """Take a fresh accumulator."""
        self._accumulator = accumulator
        self._size = size

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return getattr(self._accumulator, "kept", 0)

    def update(self, data: bytes) -> None:
        """Take a further part."""
        self._accumulator.update(data)

    def finish(self, signature: bytes) -> None:
        """Check; CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID."""
        if len(signature) != self._size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"got {len(signature)} bytes, want {self._size}")
        if not bytes_eq(self._accumulator.finalize()[: self._size], signature):
            raise CryptokiError(CKR.SIGNATURE_INVALID, "the MAC is another one")


class Mac(Mechanism):
    """A MAC: `start` gives an accumulator, `size` the length of the result in bytes."""

    size = 0

    def start(self, key: Object, parameter: Any) -> Any:  # noqa: ANN401 - as in `Accumulation`
        """Return a fresh accumulator for the key."""
        raise NotImplementedError

    def length(self, parameter: Any) -> int:  # noqa: ANN401 - each family's own structure
        """Return how many bytes of the MAC are wanted; CKR_MECHANISM_PARAM_INVALID if there are not so many."""
        if parameter is None:
            return self.size
        wanted: int = parameter.length
        if not 1 <= wanted <= self.size:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"got a MAC length of {wanted}, want 1 to {self.size}")
        return wanted

    def sign(self, key: Object, parameter: Any) -> Operation:  # noqa: ANN401 - each family's own structure
        """Start a MAC."""
        return Accumulation(self.start(key, parameter), self.length(parameter))

    def verify(self, key: Object, parameter: Any) -> Verification:  # noqa: ANN401 - each family's own structure
        """Start the check of a MAC."""
        return _MacVerification(self.start(key, parameter), self.length(parameter))


class Hmac(Mac):
    """CKM_<hash>_HMAC and CKM_<hash>_HMAC_GENERAL (RFC 2104, FIPS 198)."""

    sizes = (1, parameters.MAXIMUM)

    def __init__(self, number: int, name: str, algorithm: hashes.HashAlgorithm, *, general: bool) -> None:
        """Keep the hash function; `general` for the mechanism that truncates."""
        self.type = number
        self.key_types = (CKK.GENERIC_SECRET, getattr(CKK, f"{name}_HMAC"))
        self.parameters = layouts.MAC_GENERAL if general else None
        self.source = "RFC 2202, RFC 4231 (cryptography_vectors: HMAC), NIST, Wycheproof"
        self.size = algorithm.digest_size
        self._algorithm = algorithm
        self._cached = f"{name}_HMAC"

    def start(self, key: Object, parameter: object) -> hmac.HMAC:  # noqa: ARG002 - concerns the length only
        """Return a copy of the keyed HMAC object that the key's cache holds."""
        try:
            return key.cache[self._cached].copy()  # type: ignore[attr-defined, no-any-return]
        except KeyError:
            keyed = key.cache[self._cached] = hmac.HMAC(key.attributes[CKA.VALUE], self._algorithm)
            return keyed.copy()


class Cmac(Mac):
    """CKM_AES_CMAC and CKM_AES_CMAC_GENERAL (NIST SP 800-38B, RFC 4493)."""

    key_types = (CKK.AES,)
    sizes = (16, 32)
    size = 16
    source = "NIST SP 800-38B (cryptography_vectors: CMAC), Wycheproof"

    def __init__(self, number: int, layout: parameters.Layout | None) -> None:
        """Keep the parameter's layout."""
        self.type = number
        self.parameters = layout

    def start(self, key: Object, parameter: object) -> cmac.CMAC:  # noqa: ARG002 - concerns the length only
        """Return a copy of the keyed CMAC object that the key's cache holds."""
        try:
            return key.cache["cmac"].copy()  # type: ignore[attr-defined, no-any-return]
        except KeyError:
            keyed = key.cache["cmac"] = cmac.CMAC(algorithms.AES(key.attributes[CKA.VALUE]))
            return keyed.copy()


register(
    *(Hmac(getattr(CKM, f"{name}_HMAC"), name, hash_, general=False) for name, hash_ in HASHES.items()),
    *(Hmac(getattr(CKM, f"{name}_HMAC_GENERAL"), name, hash_, general=True) for name, hash_ in HASHES.items()),
    Cmac(CKM.AES_CMAC, None),
    Cmac(CKM.AES_CMAC_GENERAL, layouts.MAC_GENERAL),
)

"""DSA: CKM_DSA and CKM_DSA_<hash> (specification 6.2.11, 6.2.12; FIPS 186-4).

Signatures are r and s side by side, each as long as CKA_SUBPRIME. A digest longer than that is shortened to its
leftmost bits, as FIPS 186-4 says.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from ptkc.mechanisms import evp
from ptkc.mechanisms.digest_then import DigestThen, RawSignature
from ptkc.mechanisms.finite_fields import DSA, load_private, public_value, stripped
from ptkc.mechanisms.mechanism import Operation, Verification, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError

__all__: list[str] = []

_DIGESTS = (20, 28, 32, 48, 64)
"""The lengths of CKM_DSA's input: those of the digests there are."""
_OVERHEAD = 16
"""A SEQUENCE of two INTEGERs is at most so much longer than they are."""


class Dsa(RawSignature):
    """CKM_DSA: the input is a digest."""

    type = CKM.DSA
    key_types = (CKK.DSA,)
    sizes = DSA.sizes
    source = "NIST CAVP (cryptography_vectors: asymmetric/DSA), Wycheproof; with SHA-3 none is published"

    def sign(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_SignInit: the operation has no state and is made once for a key."""
        operation = key.cache.get("dsa")
        if operation is None:
            operation = key.cache["dsa"] = _Signature(load_private(key), _size(key))
        return operation  # type: ignore[return-value]

    def verify(self, key: Object, parameter: None) -> Verification:  # noqa: ARG002 - there is none
        """C_VerifyInit: the operation has no state and is made once for a key."""
        operation = key.cache.get("dsa")
        if operation is None:
            public = public_value(DSA, DSA.numbers(key.attributes), key.attributes[CKA.VALUE])
            operation = key.cache["dsa"] = _Verification(public, _size(key))
        return operation  # type: ignore[return-value]

    def sign_digest(self, key: Object, parameter: None, hash_type: int) -> Operation:  # noqa: ARG002 - any hash
        """Return the signature of a digest."""
        return self.sign(key, parameter)

    def verify_digest(self, key: Object, parameter: None, hash_type: int) -> Verification:  # noqa: ARG002 - any hash
        """Return the verification over a digest."""
        return self.verify(key, parameter)


def _size(key: Object) -> int:
    """Return the length of the subprime in bytes."""
    return len(stripped(key.attributes[CKA.SUBPRIME]))


def _check_digest(data: bytes) -> None:
    """Refuse what is no digest: CKR_DATA_LEN_RANGE."""
    if len(data) not in _DIGESTS:
        raise CryptokiError(CKR.DATA_LEN_RANGE, f"{len(data)} bytes, want one of {_DIGESTS}")


class _Signature(Operation):
    """DSA with a private key."""

    __slots__ = ("_private", "_size")
    multi_part = False

    def __init__(self, private: Any, size: int) -> None:  # noqa: ANN401 - a pointer of cffi's
        """Keep the key; r and s are as long as the subprime."""
        self._private = private
        self._size = size

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return twice the length of the subprime."""
        return 2 * self._size

    def single(self, data: bytes) -> bytes:
        """Return r and s; CKR_DATA_LEN_RANGE."""
        _check_digest(data)
        try:
            signature = evp.sign(self._private, data, {}, 2 * self._size + _OVERHEAD)
        except ValueError as error:
            raise CryptokiError(CKR.FUNCTION_FAILED, str(error)) from None
        return b"".join(number.to_bytes(self._size, "big") for number in decode_dss_signature(signature))


class _Verification(Verification):
    """DSA with a public key."""

    __slots__ = ("_public", "_size")
    multi_part = False

    def __init__(self, public: Any, size: int) -> None:  # noqa: ANN401 - a pointer of cffi's
        """Keep the key; r and s are as long as the subprime."""
        self._public = public
        self._size = size

    def single(self, data: bytes, signature: bytes) -> None:
        """Check r and s; CKR_DATA_LEN_RANGE, CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID."""
        _check_digest(data)
        size = self._size
        if len(signature) != 2 * size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(signature)} bytes, want {2 * size}")
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        if not evp.verify(self._public, data, encode_dss_signature(r, s), {}):
            raise CryptokiError(CKR.SIGNATURE_INVALID)


_DSA = Dsa()
_HASHES = (
    "SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512",
)  # fmt: skip

register(
    _DSA,
    *(
        DigestThen(getattr(CKM, f"DSA_{name}"), _DSA, CKM.SHA_1 if name == "SHA1" else getattr(CKM, name))
        for name in _HASHES
    ),
)

"""CKM_ECDH1_DERIVE and CKM_ECDH1_COFACTOR_DERIVE (specification 6.3.20 to 6.3.22).

All our curves have the cofactor 1, or multiply by it as RFC 7748 says, so the two give the same. Without a key
derivation function the secret is the x coordinate, shortened at its front to CKA_VALUE_LEN; with one, it makes as many
bytes as CKA_VALUE_LEN says. CKD_<hash>_KDF is that of ANSI X9.63, CKD_<hash>_KDF_SP800 that of NIST SP 800-56A 5.8.1.1,
and so is CKD_BLAKE2B_<bits>_KDF.
The other party's public key may be raw or a DER OCTET STRING.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.mechanisms import ec as weierstrass
from ptkc.mechanisms import edwards
from ptkc.mechanisms.agreement import Agreement
from ptkc.mechanisms.blake2 import BLAKE2
from ptkc.mechanisms.curves import Curve, find
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import register
from ptkc.mechanisms.prf import check_work
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ecdh
from ptkc.spec.values import Attributes

__all__ = ["Ecdh1Derivation", "agree", "agree_with", "check_kdf", "ephemeral", "key_from_secret"]

_HASHED = {
    "SHA1": CKM.SHA_1, "SHA224": CKM.SHA224, "SHA256": CKM.SHA256, "SHA384": CKM.SHA384, "SHA512": CKM.SHA512,
    "SHA3_224": CKM.SHA3_224, "SHA3_256": CKM.SHA3_256, "SHA3_384": CKM.SHA3_384, "SHA3_512": CKM.SHA3_512,
}  # fmt: skip


class _Blake2Concatenation:
    """The function of NIST SP 800-56A 5.8.1.1 with BLAKE2b of any size, which the library's does not take."""

    def __init__(self, new: Callable[..., Any], length: int, shared: bytes) -> None:
        self._new = new
        self._length = length
        self._shared = shared

    def derive(self, secret: bytes) -> bytes:
        """Return the bytes."""
        made = b""
        while len(made) < self._length:
            counter = len(made) // self._new().digest_size + 1
            made += self._new(counter.to_bytes(4, "big") + secret + self._shared).digest()
        return made[: self._length]


_KDFS: dict[int, tuple[Callable[..., Any], HashAlgorithm | Callable[..., Any]]] = {
    **{
        getattr(CKD, f"{name}_KDF{suffix}"): (kdf, ALGORITHMS[number])
        for name, number in _HASHED.items()
        for suffix, kdf in (("", X963KDF), ("_SP800", ConcatKDFHash))
    },
    **{getattr(CKD, f"{name}_KDF"): (_Blake2Concatenation, new) for name, new in BLAKE2.items()},
}

_ECDH = ec.ECDH()


class Ecdh1Derivation(Agreement):
    """CKM_ECDH1_DERIVE, with short Weierstrass and Montgomery keys, or CKM_ECDH1_COFACTOR_DERIVE."""

    parameters = layouts.ECDH
    pairs = {CKK.EC: CKM.EC_KEY_PAIR_GEN, CKK.EC_MONTGOMERY: CKM.EC_MONTGOMERY_KEY_PAIR_GEN}  # noqa: RUF012 - fixed
    domain = (CKA.EC_PARAMS,)
    source = "NIST CAVP, RFC 7748 (cryptography_vectors: asymmetric/ECDH, X25519, X448), Wycheproof"

    def __init__(self, number: int, *key_types: int) -> None:
        """Keep the mechanism's number and the key types it takes."""
        self.type = number
        self.key_types = key_types
        self.sizes = (weierstrass.SIZES[0], max(weierstrass.SIZES[1], edwards.SIZES[1]))
        self.extra_flags = weierstrass.FLAGS

    def derive(self, key: Object, parameter: Ecdh, attributes: Attributes) -> bytes:
        """Return the value of the new key.

        CKR_MECHANISM_PARAM_INVALID for a key derivation function that we do not have, shared data without one, or a
        public key that is none on the curve; CKR_TEMPLATE_INCOMPLETE if nothing says how long the key is;
        CKR_ATTRIBUTE_VALUE_INVALID if it cannot be so long.
        """
        check_kdf(parameter.kdf, parameter.shared)
        try:
            secret = agree(key, parameter.public)
        except ValueError as error:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"pPublicData: {error}") from None
        length = derived_length(attributes, len(secret) if parameter.kdf == CKD.NULL else 0)
        if parameter.kdf == CKD.NULL:
            return secret[-length:]
        return key_from_secret(parameter.kdf, parameter.shared, secret, length)

    def check_encapsulation(self, parameter: Ecdh) -> None:
        """Refuse a public key in the parameter, and what C_DeriveKey refuses: CKR_MECHANISM_PARAM_INVALID."""
        check_kdf(parameter.kdf, parameter.shared)
        if parameter.public:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "encapsulation takes no public key in its parameter")

    def with_public(self, parameter: Ecdh, public: bytes) -> Ecdh:
        """Return the parameter of C_DeriveKey with this public key."""
        return parameter._replace(public=public)

    def public_value(self, key_type: int, attributes: Attributes) -> bytes:
        """Return the point as CKA_PUBLIC_KEY_INFO ends with it: uncompressed where it has two coordinates."""
        return attributes[CKA.PUBLIC_KEY_INFO][-find(key_type, attributes[CKA.EC_PARAMS]).point_size :]


def check_kdf(kdf: int, shared: bytes) -> None:
    """Refuse a key derivation function that we do not have, or shared data without one: CKR_MECHANISM_PARAM_INVALID."""
    if kdf != CKD.NULL and kdf not in _KDFS:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"kdf {kdf:#x}")
    if kdf == CKD.NULL and shared:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "CKD_NULL takes no shared data")


def key_from_secret(kdf: int, shared: bytes, secret: bytes, length: int) -> bytes:
    """Return `length` bytes that a key derivation function, not CKD_NULL, makes of a shared secret.

    CKR_MECHANISM_PARAM_INVALID for shared data that are too long for so many bytes.
    """
    function, algorithm = _KDFS[kdf]
    size = algorithm.digest_size if isinstance(algorithm, HashAlgorithm) else algorithm().digest_size
    check_work(-(-length // size), len(secret) + len(shared))
    return function(algorithm, length, shared).derive(secret)  # type: ignore[no-any-return]


def agree(key: Object, public: bytes) -> bytes:
    """Return the shared secret; ValueError for an impossible public key, which includes those of small order."""
    curve = find(key.key_type, key.attributes[CKA.EC_PARAMS])
    private = weierstrass.load_private(key) if key.key_type == CKK.EC else edwards.load_private(key)
    return agree_with(private, curve, public)


def agree_with(private: Any, curve: Curve, public: bytes) -> bytes:  # noqa: ANN401 - one of the libraries' classes
    """Return the secret of a library's private key on a curve and a point as CKA_EC_POINT has it; ValueError."""
    point = curve.point(public)
    if curve.key_type == CKK.EC:
        return private.exchange(_ECDH, weierstrass.public_on(curve, point))  # type: ignore[no-any-return]
    return private.exchange(curve.public_class.from_public_bytes(point))  # type: ignore[no-any-return]


def ephemeral(curve: Curve) -> tuple[Any, bytes]:
    """Return a library's new private key on a curve, for one agreement, and its point, uncompressed and raw."""
    if curve.key_type == CKK.EC:
        private = weierstrass.new_private(curve)
        return private, private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    made = curve.private_class.generate()
    return made, made.public_key().public_bytes_raw()


register(
    Ecdh1Derivation(CKM.ECDH1_DERIVE, CKK.EC, CKK.EC_MONTGOMERY),
    Ecdh1Derivation(CKM.ECDH1_COFACTOR_DERIVE, CKK.EC),
)

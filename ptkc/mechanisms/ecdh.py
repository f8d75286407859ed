"""CKM_ECDH1_DERIVE and CKM_ECDH1_COFACTOR_DERIVE (specification 6.3.20 to 6.3.22).

All our curves have the cofactor 1, or multiply by it as RFC 7748 says, so the two give the same. Without a key
derivation function the secret is the x coordinate, shortened at its front to CKA_VALUE_LEN; with one, it makes as many
bytes as CKA_VALUE_LEN says. CKD_<hash>_KDF is that of ANSI X9.63, CKD_<hash>_KDF_SP800 that of NIST SP 800-56A 5.8.1.1.
The other party's public key may be raw or a DER OCTET STRING.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from ptkc.mechanisms import ec as weierstrass
from ptkc.mechanisms import edwards
from ptkc.mechanisms.curves import find
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ecdh
from ptkc.spec.values import Attributes

__all__ = ["Ecdh1Derivation"]

_HASHED = {
    "SHA1": CKM.SHA_1, "SHA224": CKM.SHA224, "SHA256": CKM.SHA256, "SHA384": CKM.SHA384, "SHA512": CKM.SHA512,
    "SHA3_224": CKM.SHA3_224, "SHA3_256": CKM.SHA3_256, "SHA3_384": CKM.SHA3_384, "SHA3_512": CKM.SHA3_512,
}  # fmt: skip
_KDFS: dict[int, tuple[type[X963KDF | ConcatKDFHash], HashAlgorithm]] = {
    getattr(CKD, f"{name}_KDF{suffix}"): (kdf, ALGORITHMS[number])
    for name, number in _HASHED.items()
    for suffix, kdf in (("", X963KDF), ("_SP800", ConcatKDFHash))
}

_ECDH = ec.ECDH()


class Ecdh1Derivation(Mechanism):
    """CKM_ECDH1_DERIVE, with short Weierstrass and Montgomery keys, or CKM_ECDH1_COFACTOR_DERIVE."""

    parameters = layouts.ECDH
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
        if parameter.kdf != CKD.NULL and parameter.kdf not in _KDFS:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"kdf {parameter.kdf:#x}")
        if parameter.kdf == CKD.NULL and parameter.shared:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "CKD_NULL takes no shared data")
        try:
            secret = _agree(key, parameter.public)
        except ValueError as error:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"pPublicData: {error}") from None
        length = derived_length(attributes, len(secret) if parameter.kdf == CKD.NULL else 0)
        if parameter.kdf == CKD.NULL:
            return secret[-length:]
        kdf, algorithm = _KDFS[parameter.kdf]
        return kdf(algorithm, length, parameter.shared).derive(secret)


def _agree(key: Object, public: bytes) -> bytes:
    """Return the shared secret; ValueError for an impossible public key, which includes those of small order."""
    curve = find(key.key_type, key.attributes[CKA.EC_PARAMS])
    point = curve.point(public)
    if key.key_type == CKK.EC:
        return weierstrass.load_private(key).exchange(
            _ECDH, ec.EllipticCurvePublicKey.from_encoded_point(curve.algorithm, point)
        )
    secret: bytes = edwards.load_private(key).exchange(curve.public_class.from_public_bytes(point))
    return secret


register(
    Ecdh1Derivation(CKM.ECDH1_DERIVE, CKK.EC, CKK.EC_MONTGOMERY),
    Ecdh1Derivation(CKM.ECDH1_COFACTOR_DERIVE, CKK.EC),
)

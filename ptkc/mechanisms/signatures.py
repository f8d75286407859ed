"""How certificates and requests are signed: mechanism, AlgorithmIdentifier, and the check of a signature.

One row a scheme (RFC 4055, 5758, 8410). A row says what CKM_ENCODE_X_509 and CKM_ENCODE_PKCS_10 write, and what is
accepted where a certificate is verified: the same bytes, no other spelling of them.
"""

from __future__ import annotations

from typing import Any

from asn1crypto.algos import SignedDigestAlgorithm
from asn1crypto.core import Null
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.spec.constants import CKG, CKM, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import Pss

__all__ = ["SCHEMES", "Scheme", "check_signature", "encode_ecdsa", "scheme_of"]

_LIBRARY = {"rsa": rsa.RSAPublicKey, "pss": rsa.RSAPublicKey, "ecdsa": ec.EllipticCurvePublicKey}


class Scheme:
    """A row: `kind` (rsa, pss, ecdsa or eddsa), hash function (CKM_), AlgorithmIdentifier (DER), and the parameter.

    `parameter` is the mechanism's own, which CK_MECH_TYPE_AND_OBJECT has no place for.
    """

    __slots__ = ("algorithm", "hash_type", "kind", "parameter")

    def __init__(self, kind: str, hash_type: int | None, algorithm: bytes, parameter: object = None) -> None:
        """Keep the row."""
        self.kind = kind
        self.hash_type = hash_type
        self.algorithm = algorithm
        self.parameter = parameter

    def encode(self, signature: bytes) -> bytes:
        """Return a signature, as the mechanism gives it, in the form that certificates have."""
        return encode_ecdsa(signature) if self.kind == "ecdsa" else signature


def encode_ecdsa(signature: bytes) -> bytes:
    """Return the DER of r and s that stand side by side."""
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return utils.encode_dss_signature(r, s)


def _row(number: int, hash_type: int, name: str) -> tuple[int, Scheme]:
    """Return a row of RSASSA-PKCS1-v1_5 (RFC 4055 5) or ECDSA (RFC 5758 3.2)."""
    kind = name.partition("_")[2]
    parameters = {"parameters": Null()} if kind == "rsa" else {}
    return number, Scheme(kind, hash_type, SignedDigestAlgorithm({"algorithm": name, **parameters}).dump())


def _pss(number: int, hash_type: int, name: str, mask: int) -> tuple[int, Scheme]:
    """Return a row of RSASSA-PSS with the mask and the salt length that the hash function has (RFC 4055 3.1)."""
    size = ALGORITHMS[hash_type].digest_size
    hashed = {"algorithm": name, "parameters": Null()}
    options = {
        "hash_algorithm": hashed,
        "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
        "salt_length": size,
    }
    algorithm = SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": options})
    return number, Scheme("pss", hash_type, algorithm.dump(), Pss(hash_type, mask, size))


_ED25519, _ED448 = (
    Scheme("eddsa", None, SignedDigestAlgorithm({"algorithm": name}).dump()) for name in ("ed25519", "ed448")
)

SCHEMES: dict[int, Scheme] = dict((
    _row(CKM.SHA1_RSA_PKCS, CKM.SHA_1, "sha1_rsa"),
    _row(CKM.SHA224_RSA_PKCS, CKM.SHA224, "sha224_rsa"),
    _row(CKM.SHA256_RSA_PKCS, CKM.SHA256, "sha256_rsa"),
    _row(CKM.SHA384_RSA_PKCS, CKM.SHA384, "sha384_rsa"),
    _row(CKM.SHA512_RSA_PKCS, CKM.SHA512, "sha512_rsa"),
    _pss(CKM.SHA1_RSA_PKCS_PSS, CKM.SHA_1, "sha1", CKG.MGF1_SHA1),
    _pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, "sha256", CKG.MGF1_SHA256),
    _pss(CKM.SHA384_RSA_PKCS_PSS, CKM.SHA384, "sha384", CKG.MGF1_SHA384),
    _pss(CKM.SHA512_RSA_PKCS_PSS, CKM.SHA512, "sha512", CKG.MGF1_SHA512),
    _row(CKM.ECDSA_SHA1, CKM.SHA_1, "sha1_ecdsa"),
    _row(CKM.ECDSA_SHA224, CKM.SHA224, "sha224_ecdsa"),
    _row(CKM.ECDSA_SHA256, CKM.SHA256, "sha256_ecdsa"),
    _row(CKM.ECDSA_SHA384, CKM.SHA384, "sha384_ecdsa"),
    _row(CKM.ECDSA_SHA512, CKM.SHA512, "sha512_ecdsa"),
    (CKM.EDDSA, _ED25519),
))  # fmt: skip
"""The schemes by the mechanism that CK_MECH_TYPE_AND_OBJECT names."""

_BY_ALGORITHM = {scheme.algorithm: scheme for scheme in (*SCHEMES.values(), _ED448)}


def scheme_of(number: int, public_key_info: bytes) -> Scheme:
    """Return the scheme of a signature mechanism with this key; CKR_MECHANISM_PARAM_INVALID if there is none."""
    scheme = SCHEMES.get(number)
    if scheme is None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{name_of(CKM, number)} does not sign certificates")
    if scheme is _ED25519 and _ED448.algorithm in public_key_info:
        return _ED448
    return scheme


def check_signature(public_key_info: bytes, algorithm: bytes, message: bytes, signature: bytes) -> None:
    """Refuse a signature that is not the key's over `message`, or of an unknown scheme: CKR_SIGNATURE_INVALID."""
    scheme = _BY_ALGORITHM.get(algorithm)
    if scheme is None:
        raise CryptokiError(CKR.SIGNATURE_INVALID, f"signed by the unknown algorithm {algorithm[:32].hex()}")
    try:
        public: Any = load_der_public_key(public_key_info)
        if not isinstance(public, _LIBRARY.get(scheme.kind, _edwards(scheme))):
            raise CryptokiError(CKR.SIGNATURE_INVALID, "the signature's algorithm is another than the key's")
        _verify(public, scheme, message, signature)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CryptokiError(CKR.SIGNATURE_INVALID, f"a key that cannot verify: {error}") from None
    except InvalidSignature:
        raise CryptokiError(CKR.SIGNATURE_INVALID, "the signature is not the key's") from None


def _edwards(scheme: Scheme) -> type:
    """Return the library's class of keys of an EdDSA scheme."""
    return ed448.Ed448PublicKey if scheme is _ED448 else ed25519.Ed25519PublicKey


def _verify(public: Any, scheme: Scheme, message: bytes, signature: bytes) -> None:  # noqa: ANN401 - four classes
    """Verify with a key of the scheme's kind."""
    if scheme.hash_type is None:
        public.verify(signature, message)
        return
    hashed: hashes.HashAlgorithm = ALGORITHMS[scheme.hash_type]
    if scheme.kind == "ecdsa":
        public.verify(signature, message, ec.ECDSA(hashed))
        return
    padded: padding.AsymmetricPadding = padding.PKCS1v15()
    if scheme.kind == "pss":
        padded = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
    public.verify(signature, message, padded, hashed)

"""How certificates and requests are signed: mechanism, AlgorithmIdentifier, and the check of a signature.

One row a scheme (RFC 4055, 5758, 8410). A row says what CKM_ENCODE_X_509 and CKM_ENCODE_PKCS_10 write, and what is
accepted where a certificate is verified: the same bytes, no other spelling of them.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ptkc.mechanisms import der
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.spec.constants import CKG, CKM, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.parameters import Pss

__all__ = ["SCHEMES", "Scheme", "check_signature", "encode_ecdsa", "scheme_of"]

_NULL = b"\x05\x00"
_MGF1, _PSS = der.oid("1.2.840.113549.1.1.8"), der.oid("1.2.840.113549.1.1.10")
_PSS_OPTIONS = (0xA0, 0xA1, 0xA2)
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


def _pkcs1(number: int, hash_type: int, last: int) -> tuple[int, Scheme]:
    """Return a row of RSASSA-PKCS1-v1_5 (RFC 4055 5)."""
    return number, Scheme("rsa", hash_type, der.sequence(der.oid(f"1.2.840.113549.1.1.{last}"), _NULL))


def _pss(number: int, hash_type: int, dotted: str, mask: int) -> tuple[int, Scheme]:
    """Return a row of RSASSA-PSS with the mask and the salt length that the hash function has (RFC 4055 3.1)."""
    size = ALGORITHMS[hash_type].digest_size
    hashed = der.sequence(der.oid(dotted), _NULL)
    options = (hashed, der.sequence(_MGF1, hashed), der.integer(size))
    if hash_type == CKM.SHA_1:  # all of them are the defaults
        options = ()  # type: ignore[assignment]
    tagged = (der.write(tag, option) for tag, option in zip(_PSS_OPTIONS, options, strict=False))
    return number, Scheme("pss", hash_type, der.sequence(_PSS, der.sequence(*tagged)), Pss(hash_type, mask, size))


def _ecdsa(number: int, hash_type: int, end: str) -> tuple[int, Scheme]:
    """Return a row of ECDSA (RFC 5758 3.2)."""
    return number, Scheme("ecdsa", hash_type, der.sequence(der.oid(f"1.2.840.10045.4.{end}")))


_ED25519 = Scheme("eddsa", None, der.sequence(der.oid("1.3.101.112")))
_ED448 = Scheme("eddsa", None, der.sequence(der.oid("1.3.101.113")))

SCHEMES: dict[int, Scheme] = dict((
    _pkcs1(CKM.SHA1_RSA_PKCS, CKM.SHA_1, 5),
    _pkcs1(CKM.SHA224_RSA_PKCS, CKM.SHA224, 14),
    _pkcs1(CKM.SHA256_RSA_PKCS, CKM.SHA256, 11),
    _pkcs1(CKM.SHA384_RSA_PKCS, CKM.SHA384, 12),
    _pkcs1(CKM.SHA512_RSA_PKCS, CKM.SHA512, 13),
    _pss(CKM.SHA1_RSA_PKCS_PSS, CKM.SHA_1, "1.3.14.3.2.26", CKG.MGF1_SHA1),
    _pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, "2.16.840.1.101.3.4.2.1", CKG.MGF1_SHA256),
    _pss(CKM.SHA384_RSA_PKCS_PSS, CKM.SHA384, "2.16.840.1.101.3.4.2.2", CKG.MGF1_SHA384),
    _pss(CKM.SHA512_RSA_PKCS_PSS, CKM.SHA512, "2.16.840.1.101.3.4.2.3", CKG.MGF1_SHA512),
    _ecdsa(CKM.ECDSA_SHA1, CKM.SHA_1, "1"),
    _ecdsa(CKM.ECDSA_SHA224, CKM.SHA224, "3.1"),
    _ecdsa(CKM.ECDSA_SHA256, CKM.SHA256, "3.2"),
    _ecdsa(CKM.ECDSA_SHA384, CKM.SHA384, "3.3"),
    _ecdsa(CKM.ECDSA_SHA512, CKM.SHA512, "3.4"),
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

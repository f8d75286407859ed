"""Short Weierstrass elliptic curve keys and ECDSA (specification 6.3).

Signatures are r and s side by side, each as long as the order. Every length of CKM_ECDSA's input works: the library
reads a digest of n bytes as FIPS 186 says, with leading zeros where it is shorter than the order and its leftmost bits
where it is longer, so n only has to be announced, which a hash function of variable length does.
CKA_EC_POINT may come as a DER OCTET STRING or raw, compressed or not; it is kept as a DER OCTET STRING.
"""

from __future__ import annotations

from contextlib import suppress

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from ptkc.mechanisms import evp
from ptkc.mechanisms.curves import CURVES, Curve, find
from ptkc.mechanisms.digest_then import DigestThen, RawSignature
from ptkc.mechanisms.mechanism import KeyType, Mechanism, Operation, Verification, register
from ptkc.mechanisms.private_key_info import check_public_key_info, parse, trimmed
from ptkc.mechanisms.system_curves import SystemPrivateKey, SystemPublicKey
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes

__all__ = ["FLAGS", "SIZES", "load_private", "load_public", "new_private", "public_on"]

SIZES = (192, 521)
FLAGS = CKF.EC_F_P | CKF.EC_OID | CKF.EC_CURVENAME | CKF.EC_UNCOMPRESS | CKF.EC_COMPRESS

_DER, _PKCS8, _PLAIN = Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
_CURVES = [curve for curve in CURVES if curve.key_type == CKK.EC]
_BY_NAME = {curve.algorithm.name: curve for curve in _CURVES if curve.algorithm}
_OF_SYSTEM = [curve for curve in _CURVES if curve.algorithm is None]
# The library's keys, or those that do as if they were.
PrivateKey = ec.EllipticCurvePrivateKey | SystemPrivateKey
PublicKey = ec.EllipticCurvePublicKey | SystemPublicKey


def public_on(curve: Curve, point: bytes) -> PublicKey:
    """Return the public key of a point, compressed or not; ValueError if it is none on the curve."""
    if curve.algorithm is None:
        return SystemPublicKey(curve, point)
    return ec.EllipticCurvePublicKey.from_encoded_point(curve.algorithm, point)


def new_private(curve: Curve) -> PrivateKey:
    """Return a new key pair."""
    if curve.algorithm is None:
        return SystemPrivateKey.generate(curve)
    return ec.generate_private_key(curve.algorithm)


def _derived_private(curve: Curve, value: bytes) -> PrivateKey:
    """Return the key of a private value; ValueError if it is 0, or not below the order."""
    if curve.algorithm is None:
        return SystemPrivateKey.derive(curve, value)
    return ec.derive_private_key(int.from_bytes(value, "big"), curve.algorithm)


def _library_private(attributes: Attributes) -> PrivateKey:
    """Return the library's form of private key material."""
    curve = find(CKK.EC, attributes.get(CKA.EC_PARAMS))
    value = attributes[CKA.VALUE]
    info = attributes.get(CKA.PUBLIC_KEY_INFO, b"")
    if curve.algorithm is not None and len(value) == curve.size and info.startswith(curve.public_start):
        # With its point the key loads faster; the library refuses a point that is not the key's.
        encoded = curve.private_key_info(value, info[len(curve.public_start) :])
        with suppress(ValueError):
            return load_der_private_key(encoded, None)  # type: ignore[return-value]
    return _derived_private(curve, value)


def load_private(key: Object) -> PrivateKey:
    """Return the library's form of a private key object, made once."""
    private = key.cache.get("private")
    if private is None:
        private = key.cache["private"] = _library_private(key.attributes)
    return private  # type: ignore[return-value]


def load_public(key: Object) -> PublicKey:
    """Return the library's form of a public key object, made once."""
    public = key.cache.get("public")
    if public is None:
        curve = find(CKK.EC, key.attributes[CKA.EC_PARAMS])
        point = curve.point(key.attributes[CKA.EC_POINT])
        public = key.cache["public"] = public_on(curve, point)
    return public  # type: ignore[return-value]


class EcKey(KeyType):
    """CKK_EC (specification 6.3.3, 6.3.4)."""

    type = CKK.EC

    def size(self, attributes: Attributes) -> int:
        """Return the size of the field in bits."""
        return find(CKK.EC, attributes.get(CKA.EC_PARAMS)).bits

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Check that the point is on the curve, or that the private value is in the range of the order.

        What follows: CKA_EC_POINT in the form in which we keep it, CKA_PUBLIC_KEY_INFO, CKA_KEY_SIZE.
        """
        curve = find(CKK.EC, attributes.get(CKA.EC_PARAMS))
        try:
            if object_class == CKO.PUBLIC_KEY:
                point = curve.point(attributes[CKA.EC_POINT])
                public = public_on(curve, point)
                produced = {CKA.EC_POINT: curve.ec_point(point)}
            else:
                public = _derived_private(curve, attributes[CKA.VALUE]).public_key()
                produced = {}
        except ValueError as error:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"not a key of {curve.name}: {error}") from None
        info = curve.public_key_info(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        check_public_key_info(attributes, info)
        return {**produced, **curve.follows(info)}

    def encode(self, attributes: Attributes) -> bytes:
        """Return PrivateKeyInfo with an ECPrivateKey (RFC 5915)."""
        return _library_private(attributes).private_bytes(_DER, _PKCS8, _PLAIN)

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return the material in a PrivateKeyInfo."""
        curve, private = _parsed(payload)
        value, info = _split(curve, private)
        check_public_key_info(attributes, info)
        return {CKA.EC_PARAMS: curve.oid, CKA.VALUE: value, **curve.follows(info)}


def _parsed(payload: bytes) -> tuple[Curve, PrivateKey]:
    """Return the private key in a PrivateKeyInfo, and its curve; CKR_WRAPPED_KEY_INVALID, CKR_CURVE_NOT_SUPPORTED."""
    for curve in _OF_SYSTEM:
        if curve.scheme in payload[: len(curve.scheme) + _HEAD]:
            try:
                return curve, SystemPrivateKey.load(curve, trimmed(payload))
            except ValueError as error:
                raise CryptokiError(CKR.WRAPPED_KEY_INVALID, f"no key of {curve.name}: {error}") from None
    private: ec.EllipticCurvePrivateKey = parse(payload, ec.EllipticCurvePrivateKey)  # type: ignore[type-abstract]
    known = _BY_NAME.get(private.curve.name)
    if known is None:
        raise CryptokiError(CKR.CURVE_NOT_SUPPORTED, f"the wrapped key is on {private.curve.name}")
    return known, private


_HEAD = 8
"""More than what stands before the AlgorithmIdentifier in a PrivateKeyInfo: tag, length, version."""


def _split(curve: Curve, private: PrivateKey) -> tuple[bytes, bytes]:
    """Return CKA_VALUE and CKA_PUBLIC_KEY_INFO of a private key; one call of the serialiser has both."""
    encoded = private.private_bytes(_DER, _PKCS8, _PLAIN)
    return curve.private_value(encoded), curve.public_key_info(encoded[-curve.point_size :])


class EcKeyPairGeneration(Mechanism):
    """CKM_EC_KEY_PAIR_GEN (specification 6.3.9): the library draws the private value."""

    type = CKM.EC_KEY_PAIR_GEN
    sizes = SIZES
    generates = CKK.EC
    source = "none: the key is random"
    extra_flags = FLAGS
    _draw = staticmethod(new_private)

    def generate_pair(
        self,
        parameter: None,  # noqa: ARG002 - there is none
        public: Attributes,
        private: Attributes,  # noqa: ARG002 - has nothing to say
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair on the curve that CKA_EC_PARAMS of the public template names."""
        curve = find(CKK.EC, public.get(CKA.EC_PARAMS))
        value, info = _split(curve, self._draw(curve))
        point = curve.ec_point(info[-curve.point_size :])
        follows = curve.follows(info)
        return (
            {CKA.EC_POINT: point, **follows},
            {CKA.EC_PARAMS: public[CKA.EC_PARAMS], CKA.VALUE: value, **follows},
        )


def _drawn_with_extra_bits(curve: Curve) -> PrivateKey:
    """Return a new key pair, the private value drawn with 64 extra bits and reduced (FIPS 186-4 B.4.1)."""
    group = evp.key_from("EC", "d", {"group": curve.group})
    return _derived_private(curve, evp.extra_bits(evp.number(group, "order")))


class EcKeyPairGenerationWithExtraBits(EcKeyPairGeneration):
    """CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS (specification 6.3.9)."""

    type = CKM.EC_KEY_PAIR_GEN_W_EXTRA_BITS
    _draw = staticmethod(_drawn_with_extra_bits)


class Ecdsa(RawSignature):
    """CKM_ECDSA (specification 6.3.1, 6.3.16)."""

    type = CKM.ECDSA
    key_types = (CKK.EC,)
    sizes = SIZES
    extra_flags = FLAGS
    source = "NIST CAVP (cryptography_vectors: asymmetric/ECDSA), Wycheproof"

    def sign(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_SignInit: the operation has no state and is made once for a key."""
        operation = key.cache.get("ecdsa")
        if operation is None:
            curve = find(CKK.EC, key.attributes[CKA.EC_PARAMS])
            operation = key.cache["ecdsa"] = _Signature(load_private(key), curve)
        return operation  # type: ignore[return-value]

    def verify(self, key: Object, parameter: None) -> Verification:  # noqa: ARG002 - there is none
        """C_VerifyInit: the operation has no state and is made once for a key."""
        operation = key.cache.get("ecdsa")
        if operation is None:
            curve = find(CKK.EC, key.attributes[CKA.EC_PARAMS])
            operation = key.cache["ecdsa"] = _Verification(load_public(key), curve)
        return operation  # type: ignore[return-value]

    def sign_digest(self, key: Object, parameter: None, hash_type: int) -> Operation:  # noqa: ARG002 - any hash
        """Return the signature of a digest."""
        return self.sign(key, parameter)

    def verify_digest(self, key: Object, parameter: None, hash_type: int) -> Verification:  # noqa: ARG002 - any hash
        """Return the verification over a digest."""
        return self.verify(key, parameter)


# By the length of the digest, up to that of the longest order; an empty one is zero, as a zero byte is.
_LENGTHS = range(1, max(curve.size for curve in _CURVES) + 1)
_ALGORITHMS = {size: ec.ECDSA(Prehashed(hashes.SHAKE128(size))) for size in _LENGTHS}
_LONG_FORM = 0x80


class _Signature(Operation):
    """ECDSA with a private key."""

    __slots__ = ("_sign", "_size")
    multi_part = False

    def __init__(self, private: PrivateKey, curve: Curve) -> None:
        """Keep the key; all numbers are as long as the order."""
        self._sign = private.sign
        self._size = curve.size

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return twice the length of the order."""
        return 2 * self._size

    def single(self, data: bytes) -> bytes:
        """Return r and s."""
        size = self._size
        digest = data[:size] or b"\0"
        signature = self._sign(digest, _ALGORITHMS[len(digest)])
        # SEQUENCE { r INTEGER, s INTEGER }; with the longest orders the SEQUENCE's length takes a second byte.
        start = 4 if signature[1] < _LONG_FORM else 5
        end = start + signature[start - 1]
        r, s = signature[start:end], signature[end + 2 :]
        if len(r) == size == len(s):
            return r + s
        return r[-size:].rjust(size, b"\0") + s[-size:].rjust(size, b"\0")


class _Verification(Verification):
    """ECDSA with a public key."""

    __slots__ = ("_size", "_verify")
    multi_part = False

    def __init__(self, public: PublicKey, curve: Curve) -> None:
        """Keep the key; r and s are at most as long as the order."""
        self._verify = public.verify
        self._size = curve.size

    def single(self, data: bytes, signature: bytes) -> None:
        """Check r and s, which may be shorter than the order if they are equally long."""
        size = self._size
        half, odd = divmod(len(signature), 2)
        if odd or not 0 < half <= size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(signature)} bytes, at most {2 * size} and even")
        digest = data[:size] or b"\0"
        r, s = _integer(signature[:half]), _integer(signature[half:])
        length = len(r) + len(s)
        start = b"0%c" % length if length < _LONG_FORM else b"0\x81%c" % length
        try:
            self._verify(start + r + s, digest, _ALGORITHMS[len(digest)])
        except InvalidSignature:
            raise CryptokiError(CKR.SIGNATURE_INVALID) from None


def _integer(number: bytes) -> bytes:
    """Return the DER INTEGER of a big-endian number."""
    if number[0] == 0:
        number = number.lstrip(b"\0") or b"\0"
    if number[0] & 0x80:
        return b"\2%c\0%b" % (len(number) + 1, number)
    return b"\2%c%b" % (len(number), number)


_ECDSA = Ecdsa()

register(
    EcKey(),
    EcKeyPairGeneration(),
    EcKeyPairGenerationWithExtraBits(),
    _ECDSA,
    DigestThen(CKM.ECDSA_SHA1, _ECDSA, CKM.SHA_1),
    DigestThen(CKM.ECDSA_SHA224, _ECDSA, CKM.SHA224),
    DigestThen(CKM.ECDSA_SHA256, _ECDSA, CKM.SHA256),
    DigestThen(CKM.ECDSA_SHA384, _ECDSA, CKM.SHA384),
    DigestThen(CKM.ECDSA_SHA512, _ECDSA, CKM.SHA512),
    DigestThen(CKM.ECDSA_SHA3_224, _ECDSA, CKM.SHA3_224),
    DigestThen(CKM.ECDSA_SHA3_256, _ECDSA, CKM.SHA3_256),
    DigestThen(CKM.ECDSA_SHA3_384, _ECDSA, CKM.SHA3_384),
    DigestThen(CKM.ECDSA_SHA3_512, _ECDSA, CKM.SHA3_512),
)

"""The curves of RFC 8410: Edwards keys with EdDSA, Montgomery keys (specification 6.3.5 to 6.3.8, 6.3.10, 6.3.18).

CKA_VALUE is the private key of RFC 8032 or 7748. CKA_EC_POINT may come raw or as a DER OCTET STRING; it is kept as
the latter, as most tokens do. EdDSA is pure Ed25519 and Ed448 unless its parameter has a context or asks for
pre-hashing (`eddsa_variants`).
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature

from ptkc.mechanisms.curves import CURVES, Curve, find
from ptkc.mechanisms.eddsa_variants import signing, verifying
from ptkc.mechanisms.mechanism import KeyType, Mechanism, Operation, Verification, register
from ptkc.mechanisms.parts import Parts
from ptkc.mechanisms.private_key_info import check_public_key_info, parse
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Eddsa
from ptkc.spec.values import Attributes

__all__ = ["FLAGS", "SIZES", "load_private"]

SIZES = (255, 448)
FLAGS = CKF.EC_F_P | CKF.EC_OID | CKF.EC_CURVENAME


def _curve(key: Object) -> Curve:
    """Return the curve of a key object."""
    return find(key.key_type, key.attributes[CKA.EC_PARAMS])


def load_private(key: Object) -> Any:  # noqa: ANN401 - one of the library's four classes
    """Return the library's form of a private key object, made once."""
    private = key.cache.get("private")
    if private is None:
        private = key.cache["private"] = _curve(key).private_class.from_private_bytes(key.attributes[CKA.VALUE])
    return private


class Rfc8410Key(KeyType):
    """CKK_EC_EDWARDS or CKK_EC_MONTGOMERY."""

    def __init__(self, number: int) -> None:
        """Keep the CKK_ number."""
        self.type = number

    def size(self, attributes: Attributes) -> int:
        """Return the size of the field in bits."""
        return find(self.type, attributes.get(CKA.EC_PARAMS)).bits

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Check the length; bytes that are no point of the curve never verify and agree on nothing.

        What follows: CKA_EC_POINT in the form in which we keep it, CKA_PUBLIC_KEY_INFO, CKA_KEY_SIZE.
        """
        curve = find(self.type, attributes.get(CKA.EC_PARAMS))
        produced = {}
        try:
            if object_class == CKO.PUBLIC_KEY:
                point = curve.point(attributes[CKA.EC_POINT])
                produced[CKA.EC_POINT] = curve.ec_point(point)
            else:
                point = curve.private_class.from_private_bytes(attributes[CKA.VALUE]).public_key().public_bytes_raw()
        except ValueError as error:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"not a key of {curve.name}: {error}") from None
        info = curve.public_key_info(point)
        check_public_key_info(attributes, info)
        return {**produced, **curve.follows(info)}

    def encode(self, attributes: Attributes) -> bytes:
        """Return PrivateKeyInfo (RFC 8410 7)."""
        return find(self.type, attributes[CKA.EC_PARAMS]).private_key_info(attributes[CKA.VALUE], b"")

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return the material in a PrivateKeyInfo."""
        classes = {curve.private_class: curve for curve in CURVES if curve.key_type == self.type}
        private = parse(payload, *classes)
        curve = next(curve for kind, curve in classes.items() if isinstance(private, kind))
        info = curve.public_key_info(private.public_key().public_bytes_raw())
        check_public_key_info(attributes, info)
        return {CKA.EC_PARAMS: curve.oid, CKA.VALUE: private.private_bytes_raw(), **curve.follows(info)}


class KeyPairGeneration(Mechanism):
    """CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EC_MONTGOMERY_KEY_PAIR_GEN (specification 6.3.10, 6.3.11)."""

    sizes = SIZES
    extra_flags = FLAGS
    source = "none: the key is random"

    def __init__(self, number: int, key_type: int) -> None:
        """Keep the mechanism's number and the key type that it makes."""
        self.type = number
        self.generates = key_type

    def generate_pair(
        self,
        parameter: None,  # noqa: ARG002 - there is none
        public: Attributes,
        private: Attributes,  # noqa: ARG002 - has nothing to say
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair on the curve that CKA_EC_PARAMS of the public template names."""
        curve = find(self.generates, public.get(CKA.EC_PARAMS))
        made = curve.private_class.generate()
        point = made.public_key().public_bytes_raw()
        info = curve.public_key_info(point)
        follows = curve.follows(info)
        return (
            {CKA.EC_POINT: curve.ec_point(point), **follows},
            {CKA.EC_PARAMS: public[CKA.EC_PARAMS], CKA.VALUE: made.private_bytes_raw(), **follows},
        )


class EdDsa(Mechanism):
    """CKM_EDDSA (specification 6.3.18; RFC 8032)."""

    type = CKM.EDDSA
    key_types = (CKK.EC_EDWARDS,)
    sizes = SIZES
    parameters = layouts.EDDSA
    optional = True
    extra_flags = FLAGS
    source = "RFC 8032 (cryptography_vectors: asymmetric/Ed25519, Ed448; with context and pre-hashing), Wycheproof"

    def sign(self, key: Object, parameter: Eddsa | None) -> Operation:
        """C_SignInit; CKR_MECHANISM_PARAM_INVALID for a context that is too long, or that cannot be had."""
        variant = _variant(parameter)
        sign = load_private(key).sign if variant is None else signing(key.attributes[CKA.VALUE], variant)
        return _Signature(sign, 2 * _curve(key).size)

    def verify(self, key: Object, parameter: Eddsa | None) -> Verification:
        """C_VerifyInit; the codes of `sign`."""
        curve = _curve(key)
        variant = _variant(parameter)
        if variant is not None:
            return _Verification(verifying(curve.point(key.attributes[CKA.EC_POINT]), variant), 2 * curve.size)
        public: Any = key.cache.get("public")
        if public is None:
            point = curve.point(key.attributes[CKA.EC_POINT])
            public = key.cache["public"] = curve.public_class.from_public_bytes(point)
        return _Verification(public.verify, 2 * curve.size)


def _variant(parameter: Eddsa | None) -> Eddsa | None:
    """Return a parameter that asks for more than Ed25519 or Ed448 as such, else None."""
    return parameter if parameter is not None and (parameter.ph or parameter.context) else None


class _Signature(Operation):
    """EdDSA with a private key; all parts are kept, since the data are read twice."""

    __slots__ = ("_parts", "_sign", "_size")

    def __init__(self, sign: Any, size: int) -> None:  # noqa: ANN401 - the library's function
        """Start without any data."""
        self._sign = sign
        self._size = size
        self._parts = Parts()

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return the length of R and S."""
        return self._size

    def single(self, data: bytes) -> bytes:
        """Return R and S."""
        return self._sign(data)  # type: ignore[no-any-return]

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def update(self, data: bytes) -> bytes:
        """Keep a further part."""
        self._parts.add(data)
        return b""

    def finish(self) -> bytes:
        """Return R and S over all parts."""
        return self._sign(self._parts.join())  # type: ignore[no-any-return]


class _Verification(Verification):
    """EdDSA with a public key; all parts are kept."""

    __slots__ = ("_parts", "_size", "_verify")

    def __init__(self, verify: Any, size: int) -> None:  # noqa: ANN401 - the library's function
        """Start without any data."""
        self._verify = verify
        self._size = size
        self._parts = Parts()

    def single(self, data: bytes, signature: bytes) -> None:
        """Check R and S."""
        if len(signature) != self._size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(signature)} bytes, want {self._size}")
        try:
            self._verify(signature, data)
        except InvalidSignature:
            raise CryptokiError(CKR.SIGNATURE_INVALID) from None

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def update(self, data: bytes) -> None:
        """Keep a further part."""
        self._parts.add(data)

    def finish(self, signature: bytes) -> None:
        """Check R and S over all parts."""
        self.single(self._parts.join(), signature)


register(
    Rfc8410Key(CKK.EC_EDWARDS),
    Rfc8410Key(CKK.EC_MONTGOMERY),
    KeyPairGeneration(CKM.EC_EDWARDS_KEY_PAIR_GEN, CKK.EC_EDWARDS),
    KeyPairGeneration(CKM.EC_MONTGOMERY_KEY_PAIR_GEN, CKK.EC_MONTGOMERY),
    EdDsa(),
)

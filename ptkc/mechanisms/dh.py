"""Diffie-Hellman over finite fields: CKM_DH_PKCS_DERIVE and CKM_X9_42_DH_DERIVE (specification 6.4.8, 6.4.12).

The other party's value is checked by libcrypto before it is used: 0, 1, p-1, what is not below p, and what lies outside
the subgroup is CKR_MECHANISM_PARAM_INVALID. The secret is as long as the prime, with zeros in front, and is shortened
at its front to CKA_VALUE_LEN. The key derivation functions of X9.42 are those over SHA-1 that Cryptoki names.
"""

from __future__ import annotations

from hashlib import sha1

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from ptkc.mechanisms import evp
from ptkc.mechanisms.agreement import Agreement
from ptkc.mechanisms.finite_fields import DH, X9_42_DH, Field, load_private, public_value, stripped
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import register
from ptkc.mechanisms.prf import check_work
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import X942Dh
from ptkc.spec.parameters import Bytes
from ptkc.spec.values import Attributes

__all__ = ["DhDerivation", "X942Derivation", "agree", "kdf_x9_42"]

_SOURCE = "RFC 5114, NIST CAVP (cryptography_vectors: asymmetric/DH)"
_SHA1 = 20  # bytes of a digest
_COUNTER = b"\4\4"
"""Tag and length of the counter in X9.42's KeySpecificInfo."""


class _Value(Bytes):
    """A parameter that is a big integer."""

    __slots__ = ()

    def accepts(self, value: object) -> bool:
        """Whether `value` is a number, of any length: what it must be is found when it is used."""
        return isinstance(value, bytes) and bool(value)


_PUBLIC_VALUE = _Value("the other party's public value")


def agree(field: Field, key: Object, public: bytes) -> bytes:
    """Return the shared secret, as long as the prime; CKR_MECHANISM_PARAM_INVALID for an impossible public value."""
    numbers = field.numbers(key.attributes)
    size = len(stripped(key.attributes[CKA.PRIME]))
    try:
        return evp.agree(load_private(key), public_value(field, numbers, public), {"pad": 1}, size)
    except ValueError as error:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"the other party's public value: {error}") from None


class FieldAgreement(Agreement):
    """What both kinds of Diffie-Hellman over finite fields have in common."""

    def public_value(self, key_type: int, attributes: Attributes) -> bytes:  # noqa: ARG002 - in both the same
        """Return the public value, as long as the prime."""
        return stripped(attributes[CKA.VALUE]).rjust(len(stripped(attributes[CKA.PRIME])), b"\0")


class DhDerivation(FieldAgreement):
    """CKM_DH_PKCS_DERIVE: the parameter is the other party's public value, and absent in encapsulation."""

    type = CKM.DH_PKCS_DERIVE
    key_types = (CKK.DH,)
    sizes = DH.sizes
    parameters = _PUBLIC_VALUE
    optional = True
    source = _SOURCE
    pairs = {CKK.DH: CKM.DH_PKCS_KEY_PAIR_GEN}  # noqa: RUF012 - fixed
    domain = DH.parts

    def check_encapsulation(self, parameter: bytes | None) -> None:
        """Refuse a parameter: CKR_MECHANISM_PARAM_INVALID."""
        if parameter is not None:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "encapsulation takes no public value")

    def with_public(self, parameter: None, public: bytes) -> bytes:  # noqa: ARG002 - there is none
        """Return the parameter of C_DeriveKey."""
        return public

    def derive(self, key: Object, parameter: bytes | None, attributes: Attributes) -> bytes:
        """Return the value of the new key; the codes of `agree` and `derived_length`."""
        if parameter is None:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the other party's public value is missing")
        secret = agree(DH, key, parameter)
        return secret[-derived_length(attributes, len(secret)) :]


class X942Derivation(FieldAgreement):
    """CKM_X9_42_DH_DERIVE."""

    type = CKM.X9_42_DH_DERIVE
    key_types = (CKK.X9_42_DH,)
    sizes = X9_42_DH.sizes
    parameters = layouts.X9_42_DH
    source = f"{_SOURCE}, RFC 2631"
    pairs = {CKK.X9_42_DH: CKM.X9_42_DH_KEY_PAIR_GEN}  # noqa: RUF012 - fixed
    domain = X9_42_DH.parts

    def check_encapsulation(self, parameter: X942Dh) -> None:
        """Refuse a public value in the parameter, and what C_DeriveKey refuses: CKR_MECHANISM_PARAM_INVALID."""
        check_kdf(parameter.kdf, parameter.other)
        if parameter.kdf == CKD.SHA1_KDF_ASN1:
            _around_counter(parameter.other)
        if parameter.public:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "encapsulation takes no public value in its parameter")

    def with_public(self, parameter: X942Dh, public: bytes) -> X942Dh:
        """Return the parameter of C_DeriveKey with this public value."""
        return parameter._replace(public=public)

    def derive(self, key: Object, parameter: X942Dh, attributes: Attributes) -> bytes:
        """Return the value of the new key; the codes of `agree`, `derived_length` and `kdf_x9_42`."""
        check_kdf(parameter.kdf, parameter.other)
        secret = agree(X9_42_DH, key, parameter.public)
        return kdf_x9_42(parameter.kdf, parameter.other, secret, attributes)


def check_kdf(kdf: int, other: bytes) -> None:
    """Refuse a key derivation function that we do not have, or other info where none can be."""
    if kdf not in (CKD.NULL, CKD.SHA1_KDF_ASN1, CKD.SHA1_KDF_CONCATENATE):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"kdf {kdf:#x}")
    if kdf == CKD.NULL and other:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "CKD_NULL takes no other info")


def kdf_x9_42(kdf: int, other: bytes, secret: bytes, attributes: Attributes) -> bytes:
    """Return the value of the new key that is derived from a shared secret.

    CKR_MECHANISM_PARAM_INVALID if CKD_SHA1_KDF_ASN1 gets no OtherInfo, or it is too long for a key of such a length.
    """
    length = derived_length(attributes, len(secret) if kdf == CKD.NULL else 0)
    if kdf == CKD.NULL:
        return secret[-length:]
    check_work(-(-length // _SHA1), len(secret) + len(other))
    if kdf == CKD.SHA1_KDF_CONCATENATE:
        # H(ZZ || counter || OtherInfo), which is X9.63's function as well.
        return X963KDF(hashes.SHA1(), length, other).derive(secret)  # noqa: S303 - what the name says
    before, after = _around_counter(other)
    derived, counter = b"", 0
    while len(derived) < length:
        counter += 1
        # KM = H(ZZ || OtherInfo), the counter standing inside (RFC 2631 2.1.2).
        info = before + counter.to_bytes(4, "big") + after
        derived += sha1(secret + info, usedforsecurity=False).digest()
    return derived[:length]


def _around_counter(other: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and after the counter in OtherInfo (DER, RFC 2631 2.1.2)."""
    from asn1crypto import parser  # noqa: PLC0415 - at the first need

    try:
        whole = parser.parse(other, strict=True)
        key_info = parser.parse(whole[4])
        algorithm = parser.parse(key_info[4])
        counter = parser.parse(key_info[4][len(algorithm[3]) + len(algorithm[4]) :], strict=True)
        start = len(whole[3]) + len(key_info[3]) + len(algorithm[3]) + len(algorithm[4])
    except ValueError:
        start, counter = 0, ()
    if not counter or counter[3] != _COUNTER or len(counter[4]) != 4:  # noqa: PLR2004 - SIZE(4)
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "pOtherInfo is no OtherInfo of X9.42")
    start += len(counter[3])
    return other[:start], other[start + 4 :]


register(DhDerivation(), X942Derivation())

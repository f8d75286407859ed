"""HKDF (specification 6.62; RFC 5869): CKM_HKDF_DERIVE makes a key, CKM_HKDF_DATA a data object.

The base key may have any length, as RFC 5869 has it; instead of a key it may be a data object as long as the hash,
which is then extracted with a salt (TLS 1.3 begins that way). A key that gives the salt must be one to derive from. How
long the result is says CKA_VALUE_LEN in the template, for a data object too.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hmac
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ptkc.mechanisms.deriving import ALONE, Beside, Derivation
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import register
from ptkc.mechanisms.prf import check_work
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import Hkdf
from ptkc.spec.values import Attributes, ulong

__all__ = ["HkdfData", "HkdfDerivation"]

_SALTS = (CKF.HKDF_SALT_NULL, CKF.HKDF_SALT_DATA, CKF.HKDF_SALT_KEY)
_MOST_BLOCKS = 255


class HkdfDerivation(Derivation):
    """CKM_HKDF_DERIVE."""

    type = CKM.HKDF_DERIVE
    key_types = (CKK.HKDF, CKK.GENERIC_SECRET)
    sizes = (1, 65536)
    parameters = layouts.HKDF
    bases = (CKO.SECRET_KEY, CKO.DATA)
    makes = (CKO.SECRET_KEY,)
    joins = True
    source = "RFC 5869 (cryptography_vectors: KDF/rfc-5869-HKDF), Wycheproof"

    def named(self, parameter: Hkdf) -> tuple[int, ...]:
        """Return the handle of the key that is the salt."""
        return (parameter.salt_key,) if parameter.extract and parameter.salt_type == CKF.HKDF_SALT_KEY else ()

    def implied(self, key: Object, parameter: Hkdf) -> Attributes:  # noqa: ARG002 - always the same
        """Return the class."""
        return {CKA.CLASS: ulong(self.makes[0])}

    def lineage(self, flags: tuple[bool, ...]) -> bool:
        """Return what is true of the base key: the salt need not be secret."""
        return flags[0]

    def derive(self, key: Object, parameter: Hkdf, attributes: Attributes, beside: Beside = ALONE) -> bytes:
        """Return the value of the new key.

        CKR_MECHANISM_PARAM_INVALID for a hash that we do not have, neither step, or a salt of no known type;
        CKR_KEY_SIZE_RANGE for a data object of another length than the hash has; the codes of `derived_length`.
        """
        algorithm = _algorithm(parameter)
        length = _length(parameter, algorithm, attributes)
        check_work(-(-length // algorithm.digest_size), len(parameter.info))
        secret = key.attributes[CKA.VALUE]
        if key.object_class == CKO.DATA:
            _check_data(secret, parameter, algorithm)
        if parameter.extract:
            salt = beside.keys[0].attributes[CKA.VALUE] if beside.keys else _salt(parameter)
            extraction = hmac.HMAC(salt or bytes(algorithm.digest_size), algorithm)
            extraction.update(secret)
            secret = extraction.finalize()
        return HKDFExpand(algorithm, length, parameter.info).derive(secret) if parameter.expand else secret


class HkdfData(HkdfDerivation):
    """CKM_HKDF_DATA: the same, readable."""

    type = CKM.HKDF_DATA
    makes = (CKO.DATA,)
    loans = (CKA.VALUE_LEN,)

    def derive(  # type: ignore[override]
        self, key: Object, parameter: Hkdf, attributes: Attributes, beside: Beside = ALONE
    ) -> Attributes:
        """Return CKA_VALUE; CKR_TEMPLATE_INCONSISTENT if the template has one."""
        if attributes.get(CKA.VALUE):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_VALUE is what is derived")
        like_a_key = {**attributes, CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
        return {CKA.VALUE: super().derive(key, parameter, like_a_key, beside)}


def _algorithm(parameter: Hkdf) -> HashAlgorithm:
    """Return the hash of a parameter that is right in itself."""
    algorithm = ALGORITHMS.get(parameter.hash)
    if algorithm is None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{name_of(CKM, parameter.hash)} is no hash function of ours")
    if not parameter.extract and not parameter.expand:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "neither bExtract nor bExpand is true")
    if parameter.extract and parameter.salt_type not in _SALTS:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"ulSaltType {parameter.salt_type}")
    return algorithm


def _salt(parameter: Hkdf) -> bytes:
    """Return the salt in the parameter, empty where there is none."""
    salt: bytes = parameter.salt if parameter.salt_type == CKF.HKDF_SALT_DATA else b""
    return salt


def _length(parameter: Hkdf, algorithm: HashAlgorithm, attributes: Attributes) -> int:
    """Return how long the new key is: of an extraction alone, as the hash."""
    if parameter.expand:
        length = derived_length(attributes, 0)
        if length <= _MOST_BLOCKS * algorithm.digest_size:
            return length
    else:
        length = derived_length(attributes, algorithm.digest_size)
        if length == algorithm.digest_size:
            return length
    raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"HKDF with {algorithm.name} gives no {length} bytes")


def _check_data(value: bytes, parameter: Hkdf, algorithm: HashAlgorithm) -> None:
    """Refuse a data object as a base key unless it is as long as the hash and extracted with a salt."""
    if len(value) != algorithm.digest_size:
        raise CryptokiError(CKR.KEY_SIZE_RANGE, f"a data object of {len(value)} bytes, the hash has others")
    if not parameter.extract or parameter.salt_type == CKF.HKDF_SALT_NULL:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "a data object is extracted with a salt")


register(HkdfDerivation(), HkdfData())

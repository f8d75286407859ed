"""Simple key derivation by joining and cutting (specification 6.43): the mechanisms that the security flags hide.

CKM_CONCATENATE_BASE_AND_KEY, _BASE_AND_DATA, _DATA_AND_BASE, CKM_XOR_BASE_AND_DATA and CKM_EXTRACT_KEY_FROM_KEY make
keys of which the caller knows or chooses a part, or which are a part of the base key, so that a key that cannot be
extracted is found piece by piece. What a base key protects, the key made of it protects too, whatever the template
says: a sensitive key gives sensitive ones, one that cannot be extracted such as cannot be either.
"""

from __future__ import annotations

from ptkc.mechanisms.deriving import ALONE, Beside, Derivation
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import register
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Extract, Handle, KeyData
from ptkc.spec.values import Attributes

__all__ = ["ConcatenationWithData", "ConcatenationWithKey", "ExclusiveOr", "Extraction"]


class _Simple(Derivation):
    """A mechanism that gives away what its base key is."""

    key_types = (CKK.GENERIC_SECRET, CKK.HKDF, CKK.AES, CKK.DES2, CKK.DES3)
    sizes = (1, 65536)
    reveals = True
    source = "the specification's example"


class ConcatenationWithData(_Simple):
    """CKM_CONCATENATE_BASE_AND_DATA or CKM_CONCATENATE_DATA_AND_BASE."""

    parameters = layouts.KEY_DATA

    def __init__(self, number: int, *, data_first: bool) -> None:
        """Keep the number, and which of the two comes first."""
        self.type = number
        self._data_first = data_first

    def derive(self, key: Object, parameter: KeyData, attributes: Attributes) -> bytes:
        """Return the first CKA_VALUE_LEN bytes of both; the codes of `derived_length`."""
        value = key.attributes[CKA.VALUE]
        joined: bytes = parameter.data + value if self._data_first else value + parameter.data
        return joined[: derived_length(attributes, len(joined))]


class ConcatenationWithKey(_Simple):
    """CKM_CONCATENATE_BASE_AND_KEY."""

    type = CKM.CONCATENATE_BASE_AND_KEY
    parameters = layouts.HANDLE
    joins = True

    def derive(
        self,
        key: Object,
        parameter: Handle,  # noqa: ARG002 - the key that it names is beside
        attributes: Attributes,
        beside: Beside = ALONE,
    ) -> bytes:
        """Return the first CKA_VALUE_LEN bytes of both keys; the codes of `derived_length`."""
        (other,) = beside.keys
        joined: bytes = key.attributes[CKA.VALUE] + other.attributes[CKA.VALUE]
        return joined[: derived_length(attributes, len(joined))]

    def named(self, parameter: Handle) -> tuple[int, ...]:
        """Return the handle of the other key."""
        return (parameter.handle,)


class Extraction(_Simple):
    """CKM_EXTRACT_KEY_FROM_KEY: bits of the base key from a given one on, round its end to its beginning."""

    type = CKM.EXTRACT_KEY_FROM_KEY
    parameters = layouts.EXTRACT

    def derive(self, key: Object, parameter: Extract, attributes: Attributes) -> bytes:
        """Return CKA_VALUE_LEN bytes; CKR_MECHANISM_PARAM_INVALID for a bit that the key does not have."""
        value = key.attributes[CKA.VALUE]
        bits = 8 * len(value)
        if parameter.bit >= bits:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"bit {parameter.bit} of a key of {bits}")
        if CKA.VALUE_LEN not in attributes and attributes[CKA.KEY_TYPE] == _GENERIC:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN is missing")
        number = int.from_bytes(value, "big")
        turned: int = (number << parameter.bit | number >> bits - parameter.bit) & (1 << bits) - 1
        return turned.to_bytes(len(value), "big")[: derived_length(attributes, len(value))]


_GENERIC = CKK.GENERIC_SECRET.to_bytes(8, "little")


class ExclusiveOr(_Simple):
    """CKM_XOR_BASE_AND_DATA."""

    type = CKM.XOR_BASE_AND_DATA
    parameters = layouts.KEY_DATA

    def derive(self, key: Object, parameter: KeyData, attributes: Attributes) -> bytes:
        """Return CKA_VALUE_LEN bytes, at most as many as the shorter of both has; the codes of `derived_length`."""
        value = key.attributes[CKA.VALUE]
        mixed = bytes(one ^ other for one, other in zip(value, parameter.data, strict=False))
        if not mixed:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "there are no data")
        return mixed[: derived_length(attributes, len(mixed))]


register(
    ConcatenationWithKey(),
    ConcatenationWithData(CKM.CONCATENATE_BASE_AND_DATA, data_first=False),
    ConcatenationWithData(CKM.CONCATENATE_DATA_AND_BASE, data_first=True),
    ExclusiveOr(),
    Extraction(),
)

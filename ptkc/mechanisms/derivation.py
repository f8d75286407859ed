"""Simple key derivation by joining and cutting (specification 6.43): the mechanisms that the security flags hide.

CKM_CONCATENATE_BASE_AND_KEY, _BASE_AND_DATA, _DATA_AND_BASE and CKM_EXTRACT_KEY_FROM_KEY make keys of which the caller
knows or chooses a part, so that a key that cannot be extracted is found piece by piece. What a base key protects, the
key made of it protects too, whatever the template says: a sensitive key gives sensitive ones, one that cannot be
extracted such as cannot be either.
"""

from __future__ import annotations

from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.objects.limits import is_tied
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Extract, Handle, KeyData
from ptkc.spec.values import FALSE, TRUE, Attributes

__all__ = ["ConcatenationWithData", "ConcatenationWithKey", "Extraction"]

_KEY_TYPES = (CKK.GENERIC_SECRET, CKK.AES)
_SIZES = (1, 65536)
_SOURCE = "the specification's example"


class ConcatenationWithData(Mechanism):
    """CKM_CONCATENATE_BASE_AND_DATA or CKM_CONCATENATE_DATA_AND_BASE."""

    key_types = _KEY_TYPES
    sizes = _SIZES
    parameters = layouts.KEY_DATA
    source = _SOURCE

    def __init__(self, number: int, *, data_first: bool) -> None:
        """Keep the number, and which of the two comes first."""
        self.type = number
        self._data_first = data_first

    def derive(self, key: Object, parameter: KeyData, attributes: Attributes) -> bytes:
        """Return the first CKA_VALUE_LEN bytes of both; the codes of `derived_length`."""
        value = key.attributes[CKA.VALUE]
        joined = parameter.data + value if self._data_first else value + parameter.data
        return _first(joined, attributes, key)


class ConcatenationWithKey(Mechanism):
    """CKM_CONCATENATE_BASE_AND_KEY."""

    type = CKM.CONCATENATE_BASE_AND_KEY
    key_types = _KEY_TYPES
    sizes = _SIZES
    parameters = layouts.HANDLE
    source = _SOURCE

    def derive(self, key: Object, parameter: Handle, attributes: Attributes) -> bytes:
        """Return the first CKA_VALUE_LEN bytes of both keys; `parameter` has the other key itself in its field."""
        other: Object = parameter.handle
        return _first(key.attributes[CKA.VALUE] + other.attributes[CKA.VALUE], attributes, key, other)


class Extraction(Mechanism):
    """CKM_EXTRACT_KEY_FROM_KEY: bits of the base key from a given one on, round its end to its beginning."""

    type = CKM.EXTRACT_KEY_FROM_KEY
    key_types = _KEY_TYPES
    sizes = _SIZES
    parameters = layouts.EXTRACT
    source = _SOURCE

    def derive(self, key: Object, parameter: Extract, attributes: Attributes) -> bytes:
        """Return CKA_VALUE_LEN bytes; CKR_MECHANISM_PARAM_INVALID for a bit that the key does not have."""
        value = key.attributes[CKA.VALUE]
        bits = 8 * len(value)
        if parameter.bit >= bits:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"bit {parameter.bit} of a key of {bits}")
        if CKA.VALUE_LEN not in attributes and attributes[CKA.KEY_TYPE] == _GENERIC:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN is missing")
        number = int.from_bytes(value, "big")
        turned = (number << parameter.bit | number >> bits - parameter.bit) & (1 << bits) - 1
        return _first(turned.to_bytes(len(value), "big"), attributes, key)


_GENERIC = CKK.GENERIC_SECRET.to_bytes(8, "little")


def _first(joined: bytes, attributes: Attributes, *keys: Object) -> bytes:
    """Return the beginning that the template asks for, and have the new key protected as its base keys are.

    CKR_KEY_FUNCTION_NOT_PERMITTED for keys whose uses are limited.
    """
    length = derived_length(attributes, len(joined))
    for key in keys:
        if is_tied(key.attributes):
            raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "what is made of a key with a limit would have none")
        if key.is_true(CKA.SENSITIVE):
            attributes[CKA.SENSITIVE] = TRUE
        if not key.is_true(CKA.EXTRACTABLE):
            attributes[CKA.EXTRACTABLE] = FALSE
        if key.is_true(CKA.WRAP_WITH_TRUSTED):
            attributes[CKA.WRAP_WITH_TRUSTED] = TRUE
    return joined[:length]


register(
    ConcatenationWithKey(),
    ConcatenationWithData(CKM.CONCATENATE_BASE_AND_DATA, data_first=False),
    ConcatenationWithData(CKM.CONCATENATE_DATA_AND_BASE, data_first=True),
    Extraction(),
)

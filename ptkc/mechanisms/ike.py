"""Key derivation of IKE, versions 1 and 2 (specification 6.63; RFC 2409, RFC 7296).

Keys that a parameter names must be ones to derive from. A key that is the beginning of its base key, as RFC 2409
appendix B has it, is protected as that one is, and has at least 112 bits: shorter ones would tell the base key piece by
piece. The functions of AES are no hash functions: under a key that somebody knows they tell what they were given, so
what they make of a key is protected as that key is.
"""

from __future__ import annotations

from typing import Any

from ptkc.mechanisms.deriving import ALONE, Beside, Derivation
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import register
from ptkc.mechanisms.prf import HMACS, IKE_FUNCTIONS, Keyed, check_work, find_prf
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import Ike1Extended, Ike1Prf, Ike2PrfPlus, IkePrf
from ptkc.spec.values import Attributes, ulong

__all__ = ["Ike1Derivation", "Ike1ExtendedDerivation", "Ike2PlusDerivation", "IkeDerivation"]

_MOST_ROUNDS = 255
_SHORTEST = 14
_GENERIC = CKK.GENERIC_SECRET


class _Ike(Derivation):
    """A derivation whose parameter names the function and up to two further keys."""

    key_types = (_GENERIC, CKK.HKDF, CKK.AES, *(key_type for prf in HMACS.values() for key_type in prf.key_types[1:2]))
    sizes = (1, 65536)
    makes = (CKO.SECRET_KEY,)
    joins = True
    source = "NIST CAVP, SP 800-135 (IKEv1, IKEv2), RFC 4434"

    def implied(self, key: Object, parameter: object) -> Attributes:  # noqa: ARG002 - always the same
        """Return the class."""
        return {CKA.CLASS: ulong(CKO.SECRET_KEY)}

    def uncovered(self, parameter: Any, keys: tuple[Object, ...]) -> tuple[Object, ...]:  # noqa: ANN401 - each its own
        """Return the keys whose values are data: whoever knows the function's key turns those of AES back."""
        if self.reveals:
            return keys
        return () if parameter.prf in HMACS else keys[1:]


class IkeDerivation(_Ike):
    """CKM_IKE_PRF_DERIVE: SKEYID of version 1, SKEYSEED of version 2, also of a new exchange under an old one."""

    type = CKM.IKE_PRF_DERIVE
    parameters = layouts.IKE_PRF

    def named(self, parameter: IkePrf) -> tuple[int, ...]:
        """Return the handle of the new key; CKR_ARGUMENTS_BAD for a parameter that says both."""
        if parameter.data_as_key and parameter.rekey:
            raise CryptokiError(CKR.ARGUMENTS_BAD, "bDataAsKey and bRekey are both true")
        return (parameter.new_key,) if parameter.rekey else ()

    def uncovered(self, parameter: IkePrf, keys: tuple[Object, ...]) -> tuple[Object, ...]:
        """Return the keys whose values are data: the base key is one if the nonces are the function's key."""
        return keys if parameter.data_as_key and parameter.prf not in HMACS else super().uncovered(parameter, keys)

    def suggested(self, key: Object, parameter: IkePrf) -> Attributes:  # noqa: ARG002 - whatever the key is
        """Return the type of the function's keys."""
        return {CKA.KEY_TYPE: ulong(find_prf(IKE_FUNCTIONS, parameter.prf).key_types[0])}

    def derive(self, key: Object, parameter: IkePrf, attributes: Attributes, beside: Beside = ALONE) -> bytes:
        """Return the function's output; CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE."""
        prf = find_prf(IKE_FUNCTIONS, parameter.prf)
        if derived_length(attributes, prf.size, CKR.KEY_SIZE_RANGE) != prf.size:
            raise CryptokiError(CKR.KEY_SIZE_RANGE, f"the key has {prf.size} bytes")
        nonces: bytes = parameter.ni + parameter.nr
        if not parameter.data_as_key:
            return prf.under(key)(b"".join(map(_generic, beside.keys)) + nonces)
        return prf.keyed(nonces)(_generic(key))


class Ike1Derivation(_Ike):
    """CKM_IKE1_PRF_DERIVE: SKEYID_d, SKEYID_a, SKEYID_e."""

    type = CKM.IKE1_PRF_DERIVE
    parameters = layouts.IKE1_PRF
    required = (CKA.KEY_TYPE,)

    def named(self, parameter: Ike1Prf) -> tuple[int, ...]:
        """Return the handles of g^xy and of the key before, if there is one."""
        return (parameter.gxy, parameter.previous) if parameter.has_previous else (parameter.gxy,)

    def derive(self, key: Object, parameter: Ike1Prf, attributes: Attributes, beside: Beside = ALONE) -> bytes:
        """Return the function's output, or its beginning; CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE."""
        prf = find_prf(IKE_FUNCTIONS, parameter.prf)
        length = derived_length(attributes, prf.size, CKR.KEY_SIZE_RANGE)
        gxy, *previous = beside.keys
        before = b"".join(other.attributes[CKA.VALUE] for other in previous)
        cookies: bytes = parameter.cky_i + parameter.cky_r + bytes((parameter.number,))
        return prf.under(key)(before + _generic(gxy) + cookies)[:length]


class Ike1ExtendedDerivation(_Ike):
    """CKM_IKE1_EXTENDED_DERIVE: keys longer than the function's output, and those of Quick Mode."""

    type = CKM.IKE1_EXTENDED_DERIVE
    parameters = layouts.IKE1_EXTENDED
    reveals = True
    source = "RFC 2409 (no published vectors): a value of Network Security Services"

    def named(self, parameter: Ike1Extended) -> tuple[int, ...]:
        """Return the handle of g^xy, if there is one."""
        return (parameter.gxy,) if parameter.has_gxy else ()

    def derive(self, key: Object, parameter: Ike1Extended, attributes: Attributes, beside: Beside = ALONE) -> bytes:
        """Return the beginning of the base key, or of as many outputs of the function as are needed.

        CKR_KEY_TYPE_INCONSISTENT; CKR_KEY_SIZE_RANGE for more than 255 outputs, and for less than 112 bits of the key.
        """
        prf = find_prf(IKE_FUNCTIONS, parameter.prf)
        function = prf.under(key)
        length = _required_length(attributes, prf.size)
        if length <= prf.size and not parameter.has_gxy and not parameter.extra:
            value: bytes = key.attributes[CKA.VALUE]
            if not _SHORTEST <= length <= len(value):
                raise CryptokiError(CKR.KEY_SIZE_RANGE, f"{length} bytes of a base key of {len(value)}")
            return value[:length]
        seed = b"".join(map(_generic, beside.keys)) + parameter.extra
        check_work(-(-length // prf.size), len(seed))
        output = function(seed or b"\0")
        made = [output]
        for _ in range(1, -(-length // prf.size)):
            output = function(output + seed)
            made.append(output)
        return b"".join(made)[:length]


class Ike2PlusDerivation(_Ike):
    """CKM_IKE2_PRF_PLUS_DERIVE: prf+ of RFC 7296 2.13."""

    type = CKM.IKE2_PRF_PLUS_DERIVE
    parameters = layouts.IKE2_PRF_PLUS

    def named(self, parameter: Ike2PrfPlus) -> tuple[int, ...]:
        """Return the handle of the key that the seed begins with, if there is one."""
        return (parameter.seed_key,) if parameter.has_seed_key else ()

    def derive(self, key: Object, parameter: Ike2PrfPlus, attributes: Attributes, beside: Beside = ALONE) -> bytes:
        """Return as many outputs of the function as are needed; CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE."""
        prf = find_prf(IKE_FUNCTIONS, parameter.prf)
        length = _required_length(attributes, prf.size)
        seed = b"".join(other.attributes[CKA.VALUE] for other in beside.keys) + parameter.seed
        return _plus(prf.under(key), seed, -(-length // prf.size))[:length]


def _plus(function: Keyed, seed: bytes, rounds: int) -> bytes:
    """Return T1 | T2 | …: each is made of the one before, the seed and its number."""
    check_work(rounds, len(seed))
    output, made = b"", []
    for number in range(1, rounds + 1):
        output = function(output + seed + bytes((number,)))
        made.append(output)
    return b"".join(made)


def _generic(key: Object) -> bytes:
    """Return the value of a key that must be a generic secret; CKR_KEY_TYPE_INCONSISTENT."""
    if key.key_type != _GENERIC:
        raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"{name_of(CKK, key.key_type)}, not a generic secret")
    return key.attributes[CKA.VALUE]


def _required_length(attributes: Attributes, size: int) -> int:
    """Return CKA_VALUE_LEN, which must be there and at most 255 outputs; CKR_KEY_SIZE_RANGE."""
    length = derived_length(attributes, 0)
    if length > _MOST_ROUNDS * size:
        raise CryptokiError(CKR.KEY_SIZE_RANGE, f"{length} bytes are more than 255 outputs of {size}")
    return length


register(IkeDerivation(), Ike1Derivation(), Ike1ExtendedDerivation(), Ike2PlusDerivation())

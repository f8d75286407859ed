"""New domain parameters of DH, X9.42 DH and DSA (specification 6.2, 6.4): libcrypto makes them."""

from __future__ import annotations

from typing import Any

from ptkc.mechanisms import evp
from ptkc.mechanisms.evp import Setting
from ptkc.mechanisms.finite_fields import DH, DSA, NAMES, X9_42_DH, Field, bits_of
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong, ulong

__all__ = ["subgroup_sizes"]

_LARGEST_FRESH = 2048
"""The longest safe prime that is searched for, in bits: longer ones take minutes."""


class DhParameterGeneration(Mechanism):
    """CKM_DH_PKCS_PARAMETER_GEN: the group of RFC 7919 where there is one of the size, else a fresh safe prime.

    A fresh one is worth nothing more, and is searched for minutes.
    """

    type = CKM.DH_PKCS_PARAMETER_GEN
    generates = CKK.DH
    generates_class = CKO.DOMAIN_PARAMETERS
    slow = True
    sizes = DH.sizes
    source = "none: the prime is random, or of RFC 7919"

    def generate(self, parameter: None, attributes: Attributes) -> Attributes:  # noqa: ARG002 - there is none
        """Return CKA_PRIME and CKA_BASE; CKR_ATTRIBUTE_VALUE_INVALID for another CKA_PRIME_BITS."""
        bits = from_ulong(attributes[CKA.PRIME_BITS])
        if bits not in _GROUPS and not self.sizes[0] <= bits <= _LARGEST_FRESH:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_PRIME_BITS: no group of {bits} bits")
        try:
            if bits in _GROUPS:
                made = evp.key_from("DH", "d", {"group": f"ffdhe{bits}"})
            else:
                made = evp.generate_parameters("DH", {"type": "generator", "pbits": bits, "safeprime-generator": 2})
        except ValueError as error:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_PRIME_BITS: {error}") from None
        return {kind: evp.number(made, NAMES[kind]) for kind in DH.parts}


_GROUPS = (2048, 3072, 4096, 6144, 8192)
# FIPS 186-4, 4.2: which subprimes go with which primes. Other primes are made as FIPS 186-2 says.
_PAIRS = {1024: (160,), 2048: (224, 256), 3072: (256,)}


class SubgroupParameterGeneration(Mechanism):
    """CKM_X9_42_DH_PARAMETER_GEN or CKM_DSA_PARAMETER_GEN: primes as FIPS 186-4 makes them."""

    generates_class = CKO.DOMAIN_PARAMETERS
    slow = True
    sizes = (1024, 3072)
    source = "none: the primes are random"

    def __init__(self, number: int, field: Field) -> None:
        """Keep the mechanism's number and the row."""
        self.type = number
        self.generates = field.key_type
        self._field = field

    def generate(self, parameter: None, attributes: Attributes) -> Attributes:  # noqa: ARG002 - there is none
        """Return CKA_PRIME, CKA_SUBPRIME and CKA_BASE; CKR_ATTRIBUTE_VALUE_INVALID for sizes that do not go together.

        Without CKA_SUBPRIME_BITS it is the least that goes with CKA_PRIME_BITS (specification, DSA domain parameters).
        """
        made = _generated(self._field, *subgroup_sizes(attributes), "")
        return {
            **{kind: evp.number(made, NAMES[kind]) for kind in self._field.parts},
            CKA.SUBPRIME_BITS: ulong(bits_of(evp.number(made, "q"))),
        }


def subgroup_sizes(attributes: Attributes) -> tuple[int, int]:
    """Return CKA_PRIME_BITS and CKA_SUBPRIME_BITS, which go together; CKR_ATTRIBUTE_VALUE_INVALID."""
    bits = from_ulong(attributes[CKA.PRIME_BITS])
    fitting = _PAIRS.get(bits, ())
    sub = from_ulong(attributes[CKA.SUBPRIME_BITS]) if CKA.SUBPRIME_BITS in attributes else fitting[0] if fitting else 0
    if sub not in fitting:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_PRIME_BITS {bits}, CKA_SUBPRIME_BITS {sub}")
    return bits, sub


def _generated(field: Field, bits: int, sub: int, digest: str) -> Any:  # noqa: ANN401 - a pointer of cffi's
    """Return new domain parameters made with the hash function `digest`, libcrypto's choice if it is empty."""
    settings: dict[str, Setting] = {"pbits": bits, "qbits": sub, "type": "fips186_4"}
    if digest:
        settings["digest"] = digest
    try:
        return evp.generate_parameters(field.library, settings)
    except ValueError as error:
        raise CryptokiError(CKR.FUNCTION_FAILED, str(error)) from None


register(
    DhParameterGeneration(),
    SubgroupParameterGeneration(CKM.X9_42_DH_PARAMETER_GEN, X9_42_DH),
    SubgroupParameterGeneration(CKM.DSA_PARAMETER_GEN, DSA),
)

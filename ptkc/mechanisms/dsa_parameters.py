"""DSA domain parameters of FIPS 186-4 with their seed: CKM_DSA_PROBABILISTIC_PARAMETER_GEN and CKM_DSA_FIPS_G_GEN.

Specification 6.2.8 and 6.2.10; FIPS 186-4 A.1.1.2 and A.2.3. The first makes primes of a seed, which it writes back,
and no base; the second makes the base of primes, seed and index. ulSeedLen says how long the seed is to be, and is not
changed. The second takes CKA_PRIME and CKA_SUBPRIME from the template, as its text says and the table forbids.
"""

from __future__ import annotations

from typing import Any

from ptkc.mechanisms import evp
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.domain_parameters import subgroup_sizes
from ptkc.mechanisms.evp import Octets
from ptkc.mechanisms.finite_fields import DSA, bits_of, stripped
from ptkc.mechanisms.generic import random_bytes
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import DsaGeneration
from ptkc.spec.values import Attributes, Written, ulong

__all__ = ["DsaBaseGeneration", "DsaPrimeGeneration"]

_DIGESTS = {
    number: ALGORITHMS[number].name for number in (CKM.SHA_1, CKM.SHA224, CKM.SHA256, CKM.SHA384, CKM.SHA512)
}
_LONGEST_SEED = 64
_LAST_INDEX = 255
_TRIES = 1 << 16
_FORGED = "libcrypto's search for primes found none"


def _digest(parameter: DsaGeneration, bits: int) -> str:
    """Return libcrypto's name of the hash function, which has at least `bits`; CKR_MECHANISM_PARAM_INVALID."""
    name = _DIGESTS.get(parameter.hash)
    if name is None or 8 * ALGORITHMS[parameter.hash].digest_size < bits:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"hash {parameter.hash:#x} for a subprime of {bits} bits")
    return name


def _check_seed(length: int, bits: int) -> None:
    """Refuse a seed that is shorter than the subprime, or absurd: CKR_MECHANISM_PARAM_INVALID."""
    if not bits <= 8 * length <= 8 * _LONGEST_SEED:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"ulSeedLen {length}, want {bits // 8} to {_LONGEST_SEED}")


class DsaPrimeGeneration(Mechanism):
    """CKM_DSA_PROBABILISTIC_PARAMETER_GEN."""

    type = CKM.DSA_PROBABILISTIC_PARAMETER_GEN
    generates = CKK.DSA
    generates_class = CKO.DOMAIN_PARAMETERS
    sizes = (1024, 3072)
    parameters = layouts.DSA_SEED_MADE
    source = "NIST CAVP (cryptography_vectors: asymmetric/DSA/FIPS_186-3/PQGGen.rsp)"

    def generate(self, parameter: DsaGeneration, attributes: Attributes) -> tuple[Attributes, Written]:
        """Return CKA_PRIME and CKA_SUBPRIME, and the seed for the caller.

        CKR_ATTRIBUTE_VALUE_INVALID for sizes that do not go together, CKR_MECHANISM_PARAM_INVALID.
        """
        bits, sub = subgroup_sizes(attributes)
        digest = _digest(parameter, sub)
        _check_seed(parameter.seed, sub)
        for _ in range(_TRIES):
            seed = random_bytes(parameter.seed)
            made = primes(bits, sub, digest, seed)
            if made is not None:
                material = {CKA.PRIME: evp.number(made, "p"), CKA.SUBPRIME: evp.number(made, "q")}
                return {**material, CKA.SUBPRIME_BITS: ulong(sub)}, (seed,)
        raise CryptokiError(CKR.FUNCTION_FAILED, _FORGED)


def primes(bits: int, sub: int, digest: str, seed: bytes) -> Any:  # noqa: ANN401 - a pointer of cffi's
    """Return the parameters that FIPS 186-4 A.1.1.2 makes of a seed, None if it makes none."""
    settings: dict[str, evp.Setting] = {
        "pbits": bits, "qbits": sub, "type": "fips186_4", "digest": digest, "seed": Octets(seed),
    }  # fmt: skip
    try:
        return evp.generate_parameters("DSA", settings)
    except ValueError:
        return None


class DsaBaseGeneration(Mechanism):
    """CKM_DSA_FIPS_G_GEN."""

    type = CKM.DSA_FIPS_G_GEN
    generates = CKK.DSA
    generates_class = CKO.DOMAIN_PARAMETERS
    lent = (CKA.PRIME, CKA.SUBPRIME)
    sizes = (1024, 3072)
    parameters = layouts.DSA_SEED_GIVEN
    source = "NIST CAVP (cryptography_vectors: asymmetric/DSA/FIPS_186-3/PQGGen.rsp)"

    def implied(self, lent: Attributes) -> Attributes:
        """Return what follows from the attributes that the template lends."""
        return {CKA.PRIME_BITS: ulong(bits_of(lent[CKA.PRIME])), CKA.SUBPRIME_BITS: ulong(bits_of(lent[CKA.SUBPRIME]))}

    def generate(self, parameter: DsaGeneration, attributes: Attributes) -> Attributes:
        """Return CKA_BASE; CKR_DOMAIN_PARAMS_INVALID for primes that are none, CKR_MECHANISM_PARAM_INVALID."""
        sub = bits_of(attributes[CKA.SUBPRIME])
        digest = _digest(parameter, sub)
        _check_seed(len(parameter.seed), sub)
        if not 0 <= parameter.index <= _LAST_INDEX:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"ulIndex {parameter.index}, want 0 to {_LAST_INDEX}")
        parts: dict[str, evp.Setting] = {
            "p": stripped(attributes[CKA.PRIME]), "q": stripped(attributes[CKA.SUBPRIME]),
        }  # fmt: skip
        settings: dict[str, evp.Setting] = {
            "gindex": parameter.index, "seed": Octets(parameter.seed), "digest": digest, "type": "fips186_4",
            "pbits": bits_of(attributes[CKA.PRIME]), "qbits": sub,
        }  # fmt: skip
        try:
            DSA.check_sizes(attributes)
            base = evp.number(evp.generate_parameters("DSA", settings, evp.key_from("DSA", "d", parts)), "g")
        except ValueError as error:
            raise CryptokiError(CKR.DOMAIN_PARAMS_INVALID, str(error)) from None
        # Of the primes nothing but the size was looked at until now.
        DSA.checked({**attributes, CKA.BASE: base})
        return {CKA.BASE: base}


register(DsaPrimeGeneration(), DsaBaseGeneration())

"""DSA domain parameters with a seed, against NIST's vectors and through the C interface."""

from __future__ import annotations

from typing import Any

import pytest
from asymmetric import blocks, integer, refusal
from conformance.binding import ffi
from conformance.cryptoki import expect
from conformance.parameters import Mechanism
from module_driver import ModuleDriver

from ptkc.mechanisms import MECHANISMS, load
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.dsa_parameters import primes
from ptkc.mechanisms.evp import number
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.layouts import DsaGeneration
from ptkc.spec.values import ulong

load()
pytestmark = pytest.mark.usefixtures("module_driver")

_VECTORS = "asymmetric/DSA/FIPS_186-3/PQGGen.rsp"
_HASHES = {
    "SHA-1": CKM.SHA_1, "SHA-224": CKM.SHA224, "SHA-256": CKM.SHA256, "SHA-384": CKM.SHA384, "SHA-512": CKM.SHA512,
}  # fmt: skip


def parameter(hash_type: int, seed: bytes, index: int = 0) -> tuple[Any, Any]:
    """Return a CK_DSA_PARAMETER_GEN_PARAM and its seed in memory."""
    memory = ffi.new("CK_BYTE[]", seed or b"\0")
    structure = ffi.new("struct { CK_ULONG hash; CK_BYTE *seed; CK_ULONG length; CK_ULONG index; } *")
    structure.hash, structure.seed, structure.length, structure.index = hash_type, memory, len(seed), index
    return structure, memory


@pytest.mark.vectors(CKM.DSA_PROBABILISTIC_PARAMETER_GEN)
def test_a_seed_makes_the_primes_of_nists_vectors() -> None:
    """Each seed gives p and q of FIPS 186-3 A.1.1.2, with every hash function; the first vector of each kind is run."""
    seen: set[tuple[str, ...]] = set()
    for heading, block in blocks(_VECTORS):
        if "counter" not in block or tuple(heading) in seen:
            continue
        sizes = [int(part.rpartition("=")[2]) for part in heading[:2]]
        made = primes(*sizes, heading[2].replace("-", ""), bytes.fromhex(block["domain_parameter_seed"]))
        assert [integer(block["P"]), integer(block["Q"])] == [number(made, "p"), number(made, "q")]
        seen.add(tuple(heading))
    assert len(seen) == 15


@pytest.mark.vectors(CKM.DSA_FIPS_G_GEN)
def test_seed_and_index_make_the_base_of_nists_vectors() -> None:
    """The base is that of FIPS 186-3 A.2.3."""
    maker, seen = MECHANISMS[CKM.DSA_FIPS_G_GEN], set()
    for heading, block in blocks(_VECTORS):
        if "index" in block and "domain_parameter_seed" in block and tuple(heading) not in seen:
            lent = {CKA.PRIME: integer(block["P"]), CKA.SUBPRIME: integer(block["Q"])}
            seed, index = bytes.fromhex(block["domain_parameter_seed"]), int(block["index"], 16)
            value = DsaGeneration(_HASHES[heading[2]], seed, index)
            assert {CKA.BASE: integer(block["G"])} == maker.generate(value, lent)
            seen.add(tuple(heading))
    assert len(seen) == 15


@pytest.mark.parametrize(("hash_type", "bits", "sub", "length"), [
    (CKM.SHA_1, 1024, 160, 20), (CKM.SHA256, 1024, 160, 33), (CKM.SHA224, 2048, 224, 28), (CKM.SHA512, 2048, 256, 64),
])  # fmt: skip
def test_primes_and_base_can_be_made_again_from_the_seed(
    module_driver: ModuleDriver, hash_type: int, bits: int, sub: int, length: int
) -> None:
    """The seed is written back; it gives the same primes, the base goes with them, and a pair is made."""
    session = module_driver.session
    structure, memory = parameter(hash_type, bytes(length))
    template = {CKA.PRIME_BITS: bits, CKA.SUBPRIME_BITS: sub}
    made = session.generate(Mechanism(CKM.DSA_PROBABILISTIC_PARAMETER_GEN, structure, memory), template)
    seed = bytes(memory[0:length])
    assert bytes(length) != seed
    group = {kind: session.get(made, kind) for kind in (CKA.PRIME, CKA.SUBPRIME)}
    expect(CKR.ATTRIBUTE_TYPE_INVALID, session.get, made, CKA.BASE)
    again = primes(bits, sub, ALGORITHMS[hash_type].name, seed)
    assert group == {CKA.PRIME: number(again, "p"), CKA.SUBPRIME: number(again, "q")}
    structure, memory = parameter(hash_type, seed, 1)
    whole = session.generate(Mechanism(CKM.DSA_FIPS_G_GEN, structure, memory), group)
    assert (CKO.DOMAIN_PARAMETERS, CKK.DSA) == (session.number(whole, CKA.CLASS), session.number(whole, CKA.KEY_TYPE))
    assert [bits, sub] == [session.number(whole, kind) for kind in (CKA.PRIME_BITS, CKA.SUBPRIME_BITS)]
    assert group == {kind: session.get(whole, kind) for kind in group}
    session.generate_pair(
        Mechanism(CKM.DSA_KEY_PAIR_GEN), {**group, CKA.BASE: session.get(whole, CKA.BASE)}, {CKA.SIGN: True}
    )
    session.destroy(made, whole)


@pytest.mark.parametrize("value", [
    DsaGeneration(CKM.MD5, 32, 0), DsaGeneration(0, 32, 0), DsaGeneration(CKM.SHA224, 32, 0),
    DsaGeneration(CKM.SHA256, 0, 0), DsaGeneration(CKM.SHA256, 31, 0), DsaGeneration(CKM.SHA256, 65, 0),
    DsaGeneration(CKM.SHA256, 2**40, 0), DsaGeneration(CKM.SHA3_256, 32, 0),
])  # fmt: skip
def test_unfit_hashes_and_seeds_are_refused(value: DsaGeneration) -> None:
    """The hash is at least as long as the subprime, and so is the seed."""
    template = {CKA.PRIME_BITS: ulong(2048), CKA.SUBPRIME_BITS: ulong(256)}
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        MECHANISMS[CKM.DSA_PROBABILISTIC_PARAMETER_GEN].generate(value, template)


def test_base_is_not_made_of_anything(module_driver: ModuleDriver) -> None:
    """Missing, doubled, composite numbers and impossible indexes are refused."""
    session = module_driver.session
    block = next(block for _, block in blocks(_VECTORS) if "index" in block)
    group = {CKA.PRIME: integer(block["P"]), CKA.SUBPRIME: integer(block["Q"])}
    seed = bytes.fromhex(block["domain_parameter_seed"])

    def make(template: dict[int, Any], index: int = 1, given: bytes = seed) -> int:
        structure, memory = parameter(CKM.SHA_1, given, index)
        return session.generate(Mechanism(CKM.DSA_FIPS_G_GEN, structure, memory), template)

    for missing in group:
        expect(CKR.TEMPLATE_INCOMPLETE, make, {kind: value for kind, value in group.items() if kind != missing})
    expect(CKR.TEMPLATE_INCONSISTENT, make, group | {CKA.PRIME_BITS: 2048})
    expect(CKR.MECHANISM_PARAM_INVALID, make, group, 256)
    expect(CKR.MECHANISM_PARAM_INVALID, make, group, 1, seed[:-1])
    for change in ({CKA.PRIME: group[CKA.PRIME][:-1] + b"\1"}, {CKA.SUBPRIME: b"\xff" * 20}, {CKA.PRIME: b"\7"}):
        expect((CKR.DOMAIN_PARAMS_INVALID, CKR.MECHANISM_PARAM_INVALID), make, group | change)

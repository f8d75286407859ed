"""Seeds and expanded keys of ML-KEM and ML-DSA: what of both is kept, comes back, and is used without a library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_mechanisms_pqc import kat, private, set_of

from ptkc.mechanisms import KEY_TYPES, load
from ptkc.mechanisms.der import OCTET_STRING, SEQUENCE, der
from ptkc.mechanisms.parameter_sets import ParameterSet
from ptkc.spec.constants import CKA, CKK, CKO
from ptkc.spec.values import Attributes

load()

_BOTH = (CKA.SEED, CKA.VALUE)
_KEPT = pytest.mark.parametrize(
    ("name", "file", "keeps"),
    [
        ("ML-KEM-512", "MLKEM/kat_MLKEM_512.rsp", {CKA.VALUE}),
        ("ML-KEM-768", "MLKEM/kat_MLKEM_768.rsp", {CKA.SEED, CKA.VALUE}),
        ("ML-DSA-44", "MLDSA/kat_MLDSA_44_det_pure.rsp", {CKA.SEED}),
    ],
)


def _given(name: str, file: str) -> Attributes:
    """Return a published private key with its seed, both with the public key's parts in them."""
    vector = next(kat(f"asymmetric/{file}"))
    seed = vector["xi"] if name.startswith("ML-DSA") else vector["d"] + vector["z"]
    return {CKA.SEED: seed, CKA.VALUE: vector["sk"]}


def _created(name: str, given: Attributes) -> Attributes:
    """Return the attributes of a private key that was created."""
    attributes = private(name) | given
    return attributes | KEY_TYPES[set_of(name)[0]].check(CKO.PRIVATE_KEY, attributes)


@_KEPT
def test_what_no_library_can_tell_to_belong_to_a_key_is_not_kept(name: str, file: str, keeps: set[int]) -> None:
    """The attribute is empty, and what is kept is what was given, in objects that are created or unwrapped."""
    given = _given(name, file)
    created = _created(name, given)
    assert {kind: given[kind] if kind in keeps else b"" for kind in _BOTH} == {kind: created[kind] for kind in _BOTH}
    kind, number = set_of(name)
    row: ParameterSet = KEY_TYPES[kind].sets[number]  # type: ignore[attr-defined]
    info = row.private_key_info(der(SEQUENCE, b"".join(der(OCTET_STRING, given[one]) for one in _BOTH)))
    decoded = KEY_TYPES[kind].decode(info, {})
    assert {one: given[one] for one in keeps} == {one: decoded[one] for one in _BOTH if one in decoded}


@_KEPT
def test_a_key_with_seed_and_value_comes_back(name: str, file: str, keeps: set[int]) -> None:
    """What is wrapped of it can be unwrapped, and an empty attribute is as good as none."""
    key_type = KEY_TYPES[set_of(name)[0]]
    created = _created(name, _given(name, file))
    back = key_type.decode(key_type.encode(created), {})
    assert created[CKA.PUBLIC_KEY_INFO] == back[CKA.PUBLIC_KEY_INFO]
    assert _BOTH[0 if CKA.SEED in keeps else 1] in back
    assert created[CKA.PUBLIC_KEY_INFO] == key_type.check(CKO.PRIVATE_KEY, created)[CKA.PUBLIC_KEY_INFO]


def test_an_expanded_key_is_refused_where_no_library_decapsulates_with_it() -> None:
    """In a process that has no `pqcrypto` a key of ML-KEM-768 that was kept expanded is refused; its seed is used."""
    given = _given("ML-KEM-768", "MLKEM/kat_MLKEM_768.rsp")
    assert CKK.ML_KEM == set_of("ML-KEM-768")[0]
    program = f"""
import sys
sys.modules["pqcrypto"] = None
from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKP, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import ulong
load()
given = {{CKA.SEED: bytes.fromhex("{given[CKA.SEED].hex()}"), CKA.VALUE: bytes.fromhex("{given[CKA.VALUE].hex()}")}}
kind = {{CKA.CLASS: ulong(CKO.PRIVATE_KEY), CKA.KEY_TYPE: ulong(CKK.ML_KEM), CKA.PARAMETER_SET: ulong(CKP.ML_KEM_768)}}
aes = {{CKA.KEY_TYPE: ulong(CKK.AES), CKA.VALUE_LEN: ulong(32)}}
checked = {{**kind, **given, **KEY_TYPES[CKK.ML_KEM].check(CKO.PRIVATE_KEY, {{**kind, **given}})}}
assert (given[CKA.SEED], b"") == (checked[CKA.SEED], checked[CKA.VALUE])
assert 32 == len(MECHANISMS[CKM.ML_KEM].decapsulate(Object(checked), None, bytes(1088), aes))
try:
    MECHANISMS[CKM.ML_KEM].decapsulate(Object({{**kind, CKA.VALUE: given[CKA.VALUE]}}), None, bytes(1088), aes)
except CryptokiError as error:
    assert CKR.PARAMETER_SET_NOT_SUPPORTED == error.code
else:
    raise AssertionError("decapsulated by nothing")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

"""Post-quantum keys, encapsulation and authenticated wrapping, the same over every transport."""

from __future__ import annotations

from typing import Any

import pytest
from conformance.cryptoki import Session, expect
from conformance.messages import Gcm
from conformance.parameters import Mechanism, context, ecdh

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKO, CKP, CKR

_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
}  # fmt: skip
_P256 = bytes.fromhex("06082a8648ce3d030107")
_AAD = b"goes with the key"


def test_ml_kem_and_ecdh_encapsulate(functions: Session) -> None:
    """Both sides have the same key, and a length query makes none."""
    kem = functions.generate_pair(Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), {CKA.PARAMETER_SET: CKP.ML_KEM_768}, {})
    curve = functions.generate_pair(Mechanism(CKM.EC_KEY_PAIR_GEN), {CKA.EC_PARAMS: _P256}, {CKA.DECAPSULATE: True})
    for mechanism, (public, private) in ((Mechanism(CKM.ML_KEM), kem), (ecdh(b""), curve)):
        ciphertext, key = functions.encapsulate(mechanism, public, _NEW)
        other = functions.decapsulate(mechanism, private, _NEW, ciphertext)
        assert functions.get(key, CKA.VALUE) == functions.get(other, CKA.VALUE)
        expect(CKR.WRAPPED_KEY_LEN_RANGE, functions.decapsulate, Mechanism(CKM.ML_KEM), kem[1], _NEW, b"short")


def test_a_key_is_wrapped_with_a_generated_iv(functions: Session) -> None:
    """IV and tag come back into the caller's memory; other associated data are refused."""
    uses = {CKA.WRAP: True, CKA.UNWRAP: True, CKA.DECRYPT: True}  # to unwrap something readable is to decrypt
    wrapping = functions.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, **uses})
    target = functions.generate(Mechanism(CKM.AES_KEY_GEN), {**_NEW, CKA.VALUE_LEN: 32})
    given = Gcm(bytes(12), generator=CKG.GENERATE_RANDOM)
    wrapped = functions.wrap_authenticated(Mechanism(CKM.AES_GCM, given.structure, given), wrapping, target, _AAD)
    assert bytes(12) != given.iv
    assert bytes(16) != given.tag
    back = Gcm(given.iv, given.tag)
    mechanism = Mechanism(CKM.AES_GCM, back.structure, back)
    unwrapped = functions.unwrap_authenticated(mechanism, wrapping, wrapped, _NEW, _AAD)
    assert functions.get(target, CKA.VALUE) == functions.get(unwrapped, CKA.VALUE)
    expect(CKR.WRAPPED_KEY_INVALID, functions.unwrap_authenticated, mechanism, wrapping, wrapped, _NEW, b"other")


@pytest.mark.parametrize(
    ("generation", "number", "mechanism"),
    [
        (CKM.ML_DSA_KEY_PAIR_GEN, CKP.ML_DSA_65, CKM.HASH_ML_DSA_SHA512),
        (CKM.SLH_DSA_KEY_PAIR_GEN, CKP.SLH_DSA_SHA2_128F, CKM.SLH_DSA),
    ],
)
def test_signatures_with_a_context_verify(functions: Session, generation: int, number: int, mechanism: int) -> None:
    """With the same context, and with no other."""
    public, private = functions.generate_pair(
        Mechanism(generation), {CKA.PARAMETER_SET: number, CKA.VERIFY: True}, {CKA.SIGN: True}
    )
    signature = functions.sign_parts(context(mechanism, b"here"), private, [b"a ", b"message"])
    functions.verify(context(mechanism, b"here"), public, b"a message", signature)
    expect(CKR.SIGNATURE_INVALID, functions.verify, context(mechanism, b"there"), public, b"a message", signature)


def test_a_seed_is_wrapped_and_comes_back(functions: Session) -> None:
    """A private key of ML-DSA travels as its seed and signs the same afterwards; on the token too."""
    wrapping = functions.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.WRAP: True, CKA.UNWRAP: True})
    public, private = functions.generate_pair(
        Mechanism(CKM.ML_DSA_KEY_PAIR_GEN), {CKA.PARAMETER_SET: CKP.ML_DSA_44}, {CKA.EXTRACTABLE: True}
    )
    kwp = Mechanism(CKM.AES_KEY_WRAP_KWP)
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.ML_DSA, CKA.TOKEN: True, CKA.SIGN: True}
    back = functions.unwrap(kwp, wrapping, functions.wrap(kwp, wrapping, private), template)
    try:
        assert CKP.ML_DSA_44 == functions.number(back, CKA.PARAMETER_SET)
        assert functions.get(public, CKA.PUBLIC_KEY_INFO) == functions.get(back, CKA.PUBLIC_KEY_INFO)
        expect(CKR.ATTRIBUTE_SENSITIVE, functions.get, back, CKA.SEED)
        signature = functions.sign(Mechanism(CKM.ML_DSA), back, b"data")
        functions.verify(Mechanism(CKM.ML_DSA), public, b"data", signature)
    finally:
        functions.destroy(back)


def test_a_key_of_which_no_library_knows_the_seed_comes_back(functions: Session) -> None:
    """A private key of ML-KEM-512 that was created with a seed is wrapped and backed up as its value."""
    wrapping = functions.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.WRAP: True, CKA.UNWRAP: True})
    public, private = functions.generate_pair(
        Mechanism(CKM.ML_KEM_KEY_PAIR_GEN),
        {CKA.PARAMETER_SET: CKP.ML_KEM_512},
        {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True},
    )
    value = functions.get(private, CKA.VALUE)
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.ML_KEM, CKA.DECAPSULATE: True}
    both = {CKA.PARAMETER_SET: CKP.ML_KEM_512, CKA.VALUE: value, CKA.SEED: bytes(32) + value[-32:]}
    created = functions.create({**template, **both, CKA.EXTRACTABLE: True})
    ciphertext, key = functions.encapsulate(Mechanism(CKM.ML_KEM), public, _NEW)
    for mechanism, said in ((Mechanism(CKM.AES_KEY_WRAP_KWP), template), (Mechanism(CKM.WRAPKEY_AES_KWP), {})):
        back = functions.unwrap(mechanism, wrapping, functions.wrap(mechanism, wrapping, created), said)
        other = functions.decapsulate(Mechanism(CKM.ML_KEM), back, _NEW, ciphertext)
        assert functions.get(key, CKA.VALUE) == functions.get(other, CKA.VALUE)

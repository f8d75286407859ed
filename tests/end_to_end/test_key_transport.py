"""Sensitive keys that go to another HSM and come from there, the same over every transport: the ordinary way."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import keys
from conformance.cryptoki import Session
from conformance.parameters import Mechanism, oaep, rsa_aes
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from ptkc.spec.constants import CKA, CKK, CKM, CKO

_SCHEME = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_OAEP = oaep(CKM.SHA256, 2)
_RSA_AES = rsa_aes(256, _OAEP)
_AES: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
_IV = bytes(16)


def test_a_private_key_leaves_under_a_public_key_from_elsewhere(functions: Session) -> None:
    """By CKM_RSA_AES_KEY_WRAP, as PKCS#8: who has the private half has the key, which is sensitive here."""
    public, private = keys.generate_ec(functions, {}, {CKA.EXTRACTABLE: True})
    assert functions.flag(private, CKA.SENSITIVE)
    numbers = keys.private_rsa().public_key().public_numbers()
    there = functions.create({
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.WRAP: True, CKA.MODULUS: numbers.n.to_bytes(256, "big"),
        CKA.PUBLIC_EXPONENT: numbers.e.to_bytes(3, "big"),
    })  # fmt: skip
    wrapped = functions.wrap(_RSA_AES, there, private)
    key = load_der_private_key(
        aes_key_unwrap_with_padding(keys.private_rsa().decrypt(wrapped[:256], _SCHEME), wrapped[256:]), None
    )
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert keys.octets(point) == functions.get(public, CKA.EC_POINT)


@pytest.mark.parametrize("mechanism", [_OAEP, _RSA_AES], ids=["oaep", "rsa-aes"])
@pytest.mark.parametrize("names", [False, True], ids=["any mechanism", "the mechanism alone"])
def test_a_key_comes_from_elsewhere(functions: Session, mechanism: Mechanism, names: bool) -> None:  # noqa: FBT001
    """What was wrapped there for a pair that only wraps is here the same key, whichever mechanisms the pair names."""
    allowed = {CKA.ALLOWED_MECHANISMS: [mechanism.kind]} if names else {}
    _, private = keys.import_rsa(functions, keys.private_rsa(), {}, {CKA.UNWRAP: True, **allowed})
    there = keys.private_rsa().public_key()
    if mechanism is _OAEP:
        wrapped = there.encrypt(keys.AES_KEY, _SCHEME)
    else:
        wrapped = there.encrypt(_IV, _SCHEME) + aes_key_wrap_with_padding(_IV, keys.AES_KEY)
        mechanism = rsa_aes(128, _OAEP)
    key = functions.unwrap(mechanism, private, wrapped, {**_AES, CKA.ENCRYPT: True})
    assert functions.flag(key, CKA.SENSITIVE)
    same = keys.aes(functions, ENCRYPT=True)
    ecb = Mechanism(CKM.AES_ECB)
    assert functions.encrypt(ecb, same, _IV) == functions.encrypt(ecb, key, _IV)


@pytest.mark.parametrize("mechanism", [_OAEP, _RSA_AES], ids=["oaep", "rsa-aes"])
def test_a_key_leaves_and_comes_back(functions: Session, mechanism: Mechanism) -> None:
    """Under a pair of the same token, whose private half unwraps by this mechanism and no other."""
    public, private = keys.import_rsa(
        functions, keys.private_rsa(), {}, {CKA.UNWRAP: True, CKA.ALLOWED_MECHANISMS: [mechanism.kind]}
    )
    key = keys.generate_aes(functions, EXTRACTABLE=True)
    back = functions.unwrap(mechanism, private, functions.wrap(mechanism, public, key), _AES)
    assert functions.flag(back, CKA.SENSITIVE)
    assert functions.get(key, CKA.CHECK_VALUE) == functions.get(back, CKA.CHECK_VALUE)

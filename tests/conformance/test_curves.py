"""Elliptic curves: each one generates, signs or agrees; its parameters may be an OID or a name."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import keywrap

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Refused, Session, expect
from .keys import AES_KEY, aes, point_bytes
from .parameters import Mechanism, ecdh
from .skips import unavailable

_DATA = bytes(range(28))
_ECDSA = Mechanism(CKM.ECDSA)
_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
}  # fmt: skip
_CURVES: dict[str, tuple[str, int]] = {
    "secp192r1": ("06082a8648ce3d030101", 24),
    "secp224r1": ("06052b81040021", 28),
    "secp256r1": ("06082a8648ce3d030107", 32),
    "secp384r1": ("06052b81040022", 48),
    "secp521r1": ("06052b81040023", 66),
    "secp256k1": ("06052b8104000a", 32),
    "brainpoolP256r1": ("06092b2403030208010107", 32),
    "brainpoolP384r1": ("06092b240303020801010b", 48),
    "brainpoolP512r1": ("06092b240303020801010d", 64),
    "secp192k1": ("06052b8104001f", 24),
    "secp224k1": ("06052b81040020", 28),
    "brainpoolP224r1": ("06092b2403030208010105", 28),
    "brainpoolP224t1": ("06092b2403030208010106", 28),
    "brainpoolP256t1": ("06092b2403030208010108", 32),
    "brainpoolP320r1": ("06092b2403030208010109", 40),
    "brainpoolP320t1": ("06092b240303020801010a", 40),
    "brainpoolP384t1": ("06092b240303020801010c", 48),
    "brainpoolP512t1": ("06092b240303020801010e", 64),
}
_ORDER = {"secp224k1": 29}  # the order is longer than the field
_EDWARDS = {"edwards25519": ("06032b6570", 32), "edwards448": ("06032b6571", 57)}
_MONTGOMERY = {"curve25519": ("06032b656e", 32), "curve448": ("06032b656f", 56)}
_UNKNOWN = {CKR.CURVE_NOT_SUPPORTED, CKR.DOMAIN_PARAMS_INVALID, CKR.ATTRIBUTE_VALUE_INVALID, CKR.GENERAL_ERROR}
_SIZE_25519 = 32
# CK_EDDSA_PARAMS: not prehashed, no context. Ed448 has no form without a parameter.
_NO_CONTEXT = bytes(24)
_each_way = pytest.mark.parametrize("encode", ["oid", "name"])


def _pair(session: Session, kind: int, parameters: bytes, name: str) -> tuple[int, int]:
    """Generate a pair that signs or derives; skip the test if this curve is not among those of the token."""
    private = {CKA.DERIVE: True} if kind == CKM.EC_MONTGOMERY_KEY_PAIR_GEN else {CKA.SIGN: True, CKA.DERIVE: True}
    try:
        return session.generate_pair(Mechanism(kind), {CKA.EC_PARAMS: parameters, CKA.VERIFY: True}, private)
    except Refused as refused:
        if refused.rv not in _UNKNOWN:
            raise
    return unavailable(f"curve {name}")


def _parameters(oid: str, name: str, encode: str) -> bytes:
    """Return CKA_EC_PARAMS as an OID or as a name."""
    return bytes.fromhex(oid) if encode == "oid" else bytes([0x13, len(name)]) + name.encode()


@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN, CKM.ECDSA)
@_each_way
@pytest.mark.parametrize("name", _CURVES)
def test_curve_generates_signs_and_verifies(session: Session, name: str, encode: str) -> None:
    """A pair signs with r and s of the order's size; CKA_EC_PARAMS stays as it was given."""
    oid, size = _CURVES[name]
    parameters = _parameters(oid, name, encode)
    public, private = _pair(session, CKM.EC_KEY_PAIR_GEN, parameters, name)
    signature = session.sign(_ECDSA, private, _DATA)
    assert 2 * _ORDER.get(name, size) == len(signature)
    session.verify(_ECDSA, public, _DATA, signature)
    assert b"\4" == point_bytes(session.get(public, CKA.EC_POINT), 2 * size + 1)[:1]
    assert parameters == session.get(private, CKA.EC_PARAMS)


@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN, CKM.ECDH1_DERIVE)
@pytest.mark.parametrize("name", _CURVES)
def test_curve_agrees(session: Session, name: str) -> None:
    """Two pairs of one curve derive the same secret, of the field's size."""
    oid, size = _CURVES[name]
    _agree(session, CKM.EC_KEY_PAIR_GEN, bytes.fromhex(oid), name, (2 * size + 1, size))


@pytest.mark.needs(CKM.EC_EDWARDS_KEY_PAIR_GEN, CKM.EDDSA)
@_each_way
@pytest.mark.parametrize("name", _EDWARDS)
def test_edwards_curve_generates_signs_and_verifies(session: Session, name: str, encode: str) -> None:
    """A pair signs with twice the point's size."""
    oid, size = _EDWARDS[name]
    public, private = _pair(session, CKM.EC_EDWARDS_KEY_PAIR_GEN, _parameters(oid, name, encode), name)
    mechanism = Mechanism(CKM.EDDSA) if size == _SIZE_25519 else Mechanism(CKM.EDDSA, _NO_CONTEXT)
    signature = session.sign(mechanism, private, _DATA)
    assert 2 * size == len(signature)
    session.verify(mechanism, public, _DATA, signature)


@pytest.mark.needs(CKM.EC_MONTGOMERY_KEY_PAIR_GEN, CKM.ECDH1_DERIVE)
@_each_way
@pytest.mark.parametrize("name", _MONTGOMERY)
def test_montgomery_curve_agrees(session: Session, name: str, encode: str) -> None:
    """Two pairs of one curve derive the same secret."""
    oid, size = _MONTGOMERY[name]
    _agree(session, CKM.EC_MONTGOMERY_KEY_PAIR_GEN, _parameters(oid, name, encode), name, (size, size))


def _agree(session: Session, kind: int, parameters: bytes, name: str, sizes: tuple[int, int]) -> None:
    """Derive on both sides, and compare; `sizes` are those of a point and of the secret."""
    pairs = [_pair(session, kind, parameters, name) for _ in range(2)]
    points = [point_bytes(session.get(public, CKA.EC_POINT), sizes[0]) for public, _ in pairs]
    values = [
        session.get(session.derive(ecdh(point), private, _NEW | {CKA.VALUE_LEN: sizes[1]}), CKA.VALUE)
        for point, (_, private) in zip(points, reversed(pairs), strict=True)
    ]
    assert values[0] == values[1]


@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN, CKM.AES_KEY_WRAP_KWP)
@pytest.mark.parametrize("name", ["secp256r1", "secp224k1", "brainpoolP320t1"])
def test_wrapped_key_with_the_public_key_of_another_is_refused(session: Session, name: str) -> None:
    """Attack: a private key comes in beside a public key that somebody else has the private one of (RFC 5915)."""
    oid, size = _CURVES[name]
    given = {CKA.EC_PARAMS: bytes.fromhex(oid)}
    if name != "secp256r1":
        _pair(session, CKM.EC_KEY_PAIR_GEN, given[CKA.EC_PARAMS], name)
    private = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    pairs = [session.generate_pair(Mechanism(CKM.EC_KEY_PAIR_GEN), given, private) for _ in range(2)]
    one, two = (point_bytes(session.get(pair[0], CKA.EC_POINT), 2 * size + 1) for pair in pairs)
    wrapping, kwp = aes(session, WRAP=True, UNWRAP=True), Mechanism(CKM.AES_KEY_WRAP_KWP)
    info = keywrap.aes_key_unwrap_with_padding(AES_KEY, session.wrap(kwp, wrapping, pairs[0][1]))
    if one not in info:
        return
    wrapped = keywrap.aes_key_wrap_with_padding(AES_KEY, info.replace(one, two))
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, **private}
    expect(CKR.WRAPPED_KEY_INVALID, session.unwrap, kwp, wrapping, wrapped, template)

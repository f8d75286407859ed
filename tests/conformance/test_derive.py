"""C_DeriveKey: ECDH on P-256 and X25519, histories and templates of derived keys."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKO, CKR

from .cryptoki import Session, expect
from .keys import X25519, aes, generate_ec, import_ec, import_x25519, octets, point_bytes, private_ec, private_x25519
from .parameters import Mechanism, ecdh

_DERIVES = {CKA.DERIVE: True}
_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE_LEN: 32, CKA.SENSITIVE: False,
    CKA.EXTRACTABLE: True,
}  # fmt: skip
_needs_ecdh = pytest.mark.needs(CKM.ECDH1_DERIVE)
_needs_x25519 = pytest.mark.needs(CKM.ECDH1_DERIVE, CKM.EC_MONTGOMERY_KEY_PAIR_GEN)
_PARAMETER = (CKR.MECHANISM_PARAM_INVALID, CKR.DOMAIN_PARAMS_INVALID)


def _peer() -> tuple[bytes, bytes]:
    """Return the point of another P-256 key, and what both have in common."""
    peer = ec.generate_private_key(ec.SECP256R1())
    point = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point, peer.exchange(ec.ECDH(), private_ec().public_key())


@pytest.fixture
def base(session: Session) -> int:
    """Give a P-256 private key that derives."""
    return import_ec(session, private_ec(), None, _DERIVES)[1]


@_needs_ecdh
@pytest.mark.parametrize("encode", [bytes, octets], ids=["raw", "der"])
def test_ecdh_gives_the_shared_secret(session: Session, base: int, encode: Any) -> None:  # noqa: ANN401
    """The point may be given raw or as an OCTET STRING (6.3.18); the value is the shared x."""
    point, shared = _peer()
    assert shared == session.get(session.derive(ecdh(encode(point)), base, _NEW), CKA.VALUE)


@_needs_ecdh
@pytest.mark.parametrize("length", [1, 16, 31])
def test_ecdh_key_may_be_shorter(session: Session, base: int, length: int) -> None:
    """A shorter key is the end of the shared secret: leading bytes are taken away (6.3.18)."""
    point, shared = _peer()
    new = session.derive(ecdh(point), base, _NEW | {CKA.VALUE_LEN: length})
    assert shared[-length:] == session.get(new, CKA.VALUE)


@_needs_ecdh
def test_ecdh_makes_a_usable_aes_key(session: Session, base: int) -> None:
    """The derived key has the type of the template and a length."""
    point, shared = _peer()
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 32, CKA.ENCRYPT: True}
    new = session.derive(ecdh(point), base, template)
    assert (CKK.AES, 32) == (session.number(new, CKA.KEY_TYPE), session.number(new, CKA.VALUE_LEN))
    known = aes(session, shared, ENCRYPT=True)
    mechanism = Mechanism(CKM.AES_ECB)
    assert session.encrypt(mechanism, known, bytes(16)) == session.encrypt(mechanism, new, bytes(16))


@_needs_ecdh
def test_ecdh_refuses_more_than_there_is(session: Session, base: int) -> None:
    """32 bytes of shared secret make no key of 33."""
    codes = (CKR.TEMPLATE_INCONSISTENT, CKR.KEY_SIZE_RANGE, CKR.ATTRIBUTE_VALUE_INVALID)
    expect(codes, session.derive, ecdh(_peer()[0]), base, _NEW | {CKA.VALUE_LEN: 33})


@_needs_ecdh
def test_ecdh_with_a_kdf_gives_the_derived_key(session: Session, base: int) -> None:
    """CKD_SHA256_KDF is the one of X9.63: SHA-256 of secret, counter and shared info."""
    point, shared = _peer()
    known = hashlib.sha256(shared + b"\0\0\0\1" + b"info").digest()
    mechanism = ecdh(point, CKD.SHA256_KDF, b"info")
    assert known == session.get(session.derive(mechanism, base, _NEW), CKA.VALUE)


@_needs_ecdh
@pytest.mark.parametrize(
    "point",
    [
        b"", b"\4", bytes(65), b"\4" + bytes(64), b"\4" + b"\xff" * 64, b"\4\x7f" + bytes(60),
        b"\4\x84\xff\xff\xff\xff", b"\x04\x41" + b"\4" + bytes(64),
    ],
    ids=["empty", "short", "zeros", "not-on-curve", "too-large", "cut-der", "absurd-der", "der-not-on-curve"],
)  # fmt: skip
def test_ecdh_with_a_malformed_point_is_refused(session: Session, base: int, point: bytes) -> None:
    """A point that is none is CKR_MECHANISM_PARAM_INVALID, and makes no key."""
    expect((*_PARAMETER, CKR.ARGUMENTS_BAD), session.derive, ecdh(point), base, _NEW)
    assert [] == session.find({CKA.KEY_TYPE: CKK.GENERIC_SECRET})


@_needs_ecdh
def test_ecdh_with_an_unknown_kdf_is_refused(session: Session, base: int) -> None:
    """A key derivation function nobody knows is CKR_MECHANISM_PARAM_INVALID."""
    expect(_PARAMETER, session.derive, ecdh(_peer()[0], 0x7FFF1234), base, _NEW)


@_needs_ecdh
def test_ecdh_without_a_parameter_is_refused(session: Session, base: int) -> None:
    """No parameter, or half of one, is CKR_MECHANISM_PARAM_INVALID."""
    for mechanism in (Mechanism(CKM.ECDH1_DERIVE), Mechanism(CKM.ECDH1_DERIVE, bytes(8))):
        expect((*_PARAMETER, CKR.ARGUMENTS_BAD), session.derive, mechanism, base, _NEW)


@_needs_ecdh
def test_key_that_does_not_derive_is_refused(session: Session) -> None:
    """CKA_DERIVE false: CKR_KEY_FUNCTION_NOT_PERMITTED."""
    _, key = import_ec(session, private_ec(), None, {CKA.DERIVE: False})
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.derive, ecdh(_peer()[0]), key, _NEW)


@_needs_ecdh
def test_key_of_another_type_is_refused(session: Session) -> None:
    """An AES key is no EC key: CKR_KEY_TYPE_INCONSISTENT; a handle that is no key is CKR_KEY_HANDLE_INVALID."""
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, ecdh(_peer()[0]), aes(session, DERIVE=True), _NEW)
    codes = (CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID)
    expect(codes, session.derive, ecdh(_peer()[0]), 2**40 + 7, _NEW)


@_needs_ecdh
@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN)
@pytest.mark.parametrize("protected", [False, True])
def test_derived_key_has_the_history_of_its_base(session: Session, *, protected: bool) -> None:
    """Not local; always-sensitive and never-extractable only if base and new key are (6.3.18)."""
    usage = _DERIVES | {CKA.SENSITIVE: protected, CKA.EXTRACTABLE: not protected}
    _, key = generate_ec(session, None, usage)
    new = session.derive(ecdh(_peer()[0]), key, _NEW | {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    assert not session.flag(new, CKA.LOCAL)
    expected = (protected, protected)
    assert expected == (session.flag(new, CKA.ALWAYS_SENSITIVE), session.flag(new, CKA.NEVER_EXTRACTABLE))


@_needs_ecdh
def test_derive_template_is_added_and_not_contradicted(session: Session) -> None:
    """CKA_DERIVE_TEMPLATE marks what is derived; a template against it is CKR_TEMPLATE_INCONSISTENT (5.18)."""
    forced = {CKA.LABEL: "derived", CKA.ENCRYPT: False}
    _, key = import_ec(session, private_ec(), None, _DERIVES | {CKA.DERIVE_TEMPLATE: forced})
    new = session.derive(ecdh(_peer()[0]), key, _NEW)
    assert (b"derived", False) == (session.get(new, CKA.LABEL), session.flag(new, CKA.ENCRYPT))
    expect(CKR.TEMPLATE_INCONSISTENT, session.derive, ecdh(_peer()[0]), key, {**_NEW, CKA.ENCRYPT: True})


@_needs_ecdh
@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN)
def test_two_generated_keys_agree(session: Session) -> None:
    """Each derives with the other's point, and both have the same secret."""
    pairs = [generate_ec(session, None, _DERIVES) for _ in range(2)]
    points = [session.get(public, CKA.EC_POINT) for public, _ in pairs]
    values = [
        session.get(session.derive(ecdh(point_bytes(point, 65)), private, _NEW), CKA.VALUE)
        for point, (_, private) in zip(points, reversed(pairs), strict=True)
    ]
    assert values[0] == values[1]


@_needs_x25519
def test_x25519_gives_the_shared_secret(session: Session) -> None:
    """ECDH with Montgomery keys is the one of RFC 7748."""
    peer = x25519.X25519PrivateKey.generate()
    _, key = import_x25519(session, private_x25519(), None, _DERIVES)
    new = session.derive(ecdh(peer.public_key().public_bytes_raw()), key, _NEW)
    assert peer.exchange(private_x25519().public_key()) == session.get(new, CKA.VALUE)


@_needs_x25519
@pytest.mark.parametrize("point", [b"", bytes(31), bytes(33), bytes(32)], ids=["empty", "short", "long", "low-order"])
def test_x25519_with_a_malformed_point_is_refused(session: Session, point: bytes) -> None:
    """A point of the wrong length, or one that gives zero, is CKR_MECHANISM_PARAM_INVALID."""
    _, key = import_x25519(session, private_x25519(), None, _DERIVES)
    expect((*_PARAMETER, CKR.ARGUMENTS_BAD), session.derive, ecdh(point), key, _NEW)


@_needs_x25519
def test_generated_x25519_keys_agree(session: Session) -> None:
    """Pairs made by the token agree with each other."""
    mechanism = Mechanism(CKM.EC_MONTGOMERY_KEY_PAIR_GEN)
    pairs = [session.generate_pair(mechanism, {CKA.EC_PARAMS: X25519}, _DERIVES) for _ in range(2)]
    points = [point_bytes(session.get(public, CKA.EC_POINT), 32) for public, _ in pairs]
    values = [
        session.get(session.derive(ecdh(point), private, _NEW), CKA.VALUE)
        for point, (_, private) in zip(points, reversed(pairs), strict=True)
    ]
    assert values[0] == values[1]

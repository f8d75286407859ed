"""Diffie-Hellman and DSA: domain parameters, key pairs, derivation, signatures, keys that are wrapped."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, utils

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Session, expect
from .keys import aes
from .parameters import Mechanism, ecdh, needs

# RFC 5114 2.3: a prime of 2048 bits with a subgroup of 256.
_P = bytes.fromhex(
    "87A8E61DB4B6663CFFBBD19C651959998CEEF608660DD0F25D2CEED4435E3B00E00DF8F1D61957D4FAF7DF4561B2AA3016C3D91134096FAA"
    "3BF4296D830E9A7C209E0C6497517ABD5A8A9D306BCF67ED91F9E6725B4758C022E0B1EF4275BF7B6C5BFC11D45F9088B941F54EB1E59BB8"
    "BC39A0BF12307F5C4FDB70C581B23F76B63ACAE1CAA6B7902D52526735488A0EF13C6D9A51BFA4AB3AD8347796524D8EF6A167B5A41825D9"
    "67E144E5140564251CCACB83E6B486F6B3CA3F7971506026C0B857F689962856DED4010ABD0BE621C3A3960A54E710C375F26375D7014103"
    "A4B54330C198AF126116D2276E11715F693877FAD7EF09CADB094AE91E1A1597"
)
_Q = bytes.fromhex("8CF83642A709A097B447997640129DA299B1A47D1EB3750BA308B0FE64F5FBD3")
_G = bytes.fromhex(
    "3FB32C9B73134D0B2E77506660EDBD484CA7B18F21EF205407F4793A1A0BA12510DBC15077BE463FFF4FED4AAC0BB555BE3A6C1B0C6B47B1"
    "BC3773BF7E8C6F62901228F8C28CBB18A55AE31341000A650196F931C77A57F2DDF463E5E9EC144B777DE62AAAB8A8628AC376D282D6ED38"
    "64E67982428EBC831D14348F6F2F9193B5045AF2767164E1DFC967C1FB3F2E55A4BD1BFFE83B9C80D052B985D182EA0ADB2A3B7313D3FE14"
    "C8484B1E052588B9B7D2BBD2DF016199ECD06E1557CD0915B3353BBB64E0EC377FD028370DF92B52C7891428CDC67EB6184B523D1DB246C3"
    "2F63078490F00EF8D647D148D47954515E2327CFEF98C582664B4C0F6CC41659"
)
_DH = {CKA.PRIME: _P, CKA.BASE: _G}
_SUBGROUP = {**_DH, CKA.SUBPRIME: _Q}
_SECRET: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True,
    CKA.VALUE_LEN: 32,
}  # fmt: skip
_OPEN = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_DERIVES = _OPEN | {CKA.DERIVE: True}
_NUMBER = int.from_bytes
_needs_dh = pytest.mark.needs(CKM.DH_PKCS_KEY_PAIR_GEN, CKM.DH_PKCS_DERIVE)
_needs_x9_42 = pytest.mark.needs(CKM.X9_42_DH_KEY_PAIR_GEN, CKM.X9_42_DH_DERIVE)
_needs_dsa = pytest.mark.needs(CKM.DSA_KEY_PAIR_GEN, CKM.DSA_SHA256)
_PARAMETER = (CKR.MECHANISM_PARAM_INVALID, CKR.ATTRIBUTE_VALUE_INVALID, CKR.ARGUMENTS_BAD)


def _dh_pair(session: Session, **more: Any) -> tuple[int, int]:  # noqa: ANN401
    """Generate a DH pair in the group above."""
    private = _DERIVES | {getattr(CKA, name): value for name, value in more.items()}
    return session.generate_pair(Mechanism(CKM.DH_PKCS_KEY_PAIR_GEN), _DH, private)


@_needs_dh
def test_both_parties_derive_the_same(session: Session) -> None:
    """The last bytes of g^xy, as long as the template says."""
    (first, mine), (second, theirs) = _dh_pair(session), _dh_pair(session)
    values = [session.get(public, CKA.VALUE) for public in (first, second)]
    one = session.derive(Mechanism(CKM.DH_PKCS_DERIVE, values[1]), mine, _SECRET)
    two = session.derive(Mechanism(CKM.DH_PKCS_DERIVE, values[0]), theirs, _SECRET)
    exponent = _NUMBER(session.get(mine, CKA.VALUE), "big")
    shared = pow(_NUMBER(values[1], "big"), exponent, _NUMBER(_P, "big")).to_bytes(len(_P), "big")
    assert [shared[-32:]] * 2 == [session.get(key, CKA.VALUE) for key in (one, two)]


@_needs_dh
def test_private_value_has_the_public_one(session: Session) -> None:
    """The pair has the template's domain parameters, and y = g^x."""
    public, private = _dh_pair(session)
    for key in (public, private):
        assert [_P, _G] == [session.get(key, kind) for kind in (CKA.PRIME, CKA.BASE)]
    exponent = _NUMBER(session.get(private, CKA.VALUE), "big")
    assert pow(_NUMBER(_G, "big"), exponent, _NUMBER(_P, "big")) == _NUMBER(session.get(public, CKA.VALUE), "big")


@_needs_dh
def test_value_bits_limit_the_private_value(session: Session) -> None:
    """CKA_VALUE_BITS in the private template is the most bits that the private value has."""
    _, private = _dh_pair(session, VALUE_BITS=250)
    assert 250 == session.number(private, CKA.VALUE_BITS)
    assert 250 >= _NUMBER(session.get(private, CKA.VALUE), "big").bit_length()


@_needs_dh
@pytest.mark.parametrize("value", [b"\0", b"\1", (_NUMBER(_P, "big") - 1).to_bytes(256, "big"), _P, b"\xff" * 257, b""],
                         ids=["0", "1", "p-1", "p", "long", "none"])  # fmt: skip
def test_public_value_that_is_none_is_refused(session: Session, value: bytes) -> None:
    """Such a value would make the secret known to whoever sent it (attack)."""
    _, private = _dh_pair(session)
    expect(_PARAMETER, session.derive, Mechanism(CKM.DH_PKCS_DERIVE, value), private, _SECRET)


@_needs_dh
def test_pair_needs_domain_parameters(session: Session) -> None:
    """CKA_PRIME and CKA_BASE must be in the public template, and cannot be in the private one."""
    mechanism = Mechanism(CKM.DH_PKCS_KEY_PAIR_GEN)
    for missing in _DH:
        template = {kind: value for kind, value in _DH.items() if kind != missing}
        expect(CKR.TEMPLATE_INCOMPLETE, session.generate_pair, mechanism, template, _DERIVES)
    refused = (CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_READ_ONLY, CKR.ATTRIBUTE_TYPE_INVALID)
    expect(refused, session.generate_pair, mechanism, _DH, _DERIVES | _DH)


@_needs_dh
def test_sensitive_private_value_is_hidden(session: Session) -> None:
    """CKA_VALUE of a private key is secret, that of the public one is not."""
    public, private = session.generate_pair(Mechanism(CKM.DH_PKCS_KEY_PAIR_GEN), _DH, {CKA.SENSITIVE: True})
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, private, CKA.VALUE)
    assert session.get(public, CKA.VALUE)
    assert _P == session.get(private, CKA.PRIME)


@pytest.mark.needs(CKM.DH_PKCS_PARAMETER_GEN, CKM.DH_PKCS_KEY_PAIR_GEN)
@pytest.mark.parametrize("bits", [1024, 2048])
def test_dh_parameters_are_generated(session: Session, bits: int) -> None:
    """CKM_DH_PKCS_PARAMETER_GEN makes an object whose attributes make a pair."""
    made = session.generate(Mechanism(CKM.DH_PKCS_PARAMETER_GEN), {CKA.PRIME_BITS: bits})
    assert (CKO.DOMAIN_PARAMETERS, CKK.DH) == (session.number(made, CKA.CLASS), session.number(made, CKA.KEY_TYPE))
    assert bits == session.number(made, CKA.PRIME_BITS)
    template = {kind: session.get(made, kind) for kind in _DH}
    assert bits == _NUMBER(template[CKA.PRIME], "big").bit_length()
    assert session.flag(made, CKA.LOCAL)
    session.generate_pair(Mechanism(CKM.DH_PKCS_KEY_PAIR_GEN), template, _DERIVES)


@pytest.mark.needs(CKM.DSA_PARAMETER_GEN, CKM.DSA_KEY_PAIR_GEN)
def test_dsa_parameters_are_generated(session: Session) -> None:
    """CKM_DSA_PARAMETER_GEN makes primes that go together, and a base."""
    made = session.generate(Mechanism(CKM.DSA_PARAMETER_GEN), {CKA.PRIME_BITS: 1024})
    p, q, g = (_NUMBER(session.get(made, kind), "big") for kind in (CKA.PRIME, CKA.SUBPRIME, CKA.BASE))
    assert (1024, 160) == (p.bit_length(), q.bit_length())
    assert (0, 1) == ((p - 1) % q, pow(g, q, p))
    template = {kind: session.get(made, kind) for kind in _SUBGROUP}
    session.generate_pair(Mechanism(CKM.DSA_KEY_PAIR_GEN), template, {CKA.SIGN: True})


@pytest.mark.needs(CKM.X9_42_DH_PARAMETER_GEN)
def test_x9_42_parameters_are_generated(session: Session) -> None:
    """Both lengths must be said."""
    mechanism = Mechanism(CKM.X9_42_DH_PARAMETER_GEN)
    made = session.generate(mechanism, {CKA.PRIME_BITS: 1024, CKA.SUBPRIME_BITS: 160})
    assert (1024, 160) == tuple(session.number(made, kind) for kind in (CKA.PRIME_BITS, CKA.SUBPRIME_BITS))
    expect(CKR.TEMPLATE_INCOMPLETE, session.generate, mechanism, {CKA.PRIME_BITS: 1024})


@_needs_x9_42
def test_x9_42_pairs_agree(session: Session) -> None:
    """CKM_X9_42_DH_DERIVE gives both the same; a value outside the subgroup is refused."""
    mechanism = Mechanism(CKM.X9_42_DH_KEY_PAIR_GEN)
    (first, mine), (second, theirs) = (session.generate_pair(mechanism, _SUBGROUP, _DERIVES) for _ in range(2))
    keys = [
        session.derive(ecdh(session.get(public, CKA.VALUE), kind=CKM.X9_42_DH_DERIVE), private, _SECRET)
        for public, private in ((first, theirs), (second, mine))
    ]
    assert session.get(keys[0], CKA.VALUE) == session.get(keys[1], CKA.VALUE)
    outside = (_NUMBER(_P, "big") - _NUMBER(session.get(first, CKA.VALUE), "big")).to_bytes(256, "big")
    expect(_PARAMETER, session.derive, ecdh(outside, kind=CKM.X9_42_DH_DERIVE), mine, _SECRET)


def _dsa_pair(session: Session) -> tuple[int, int]:
    """Generate a DSA pair in the group above."""
    private = _OPEN | {CKA.SIGN: True}
    return session.generate_pair(Mechanism(CKM.DSA_KEY_PAIR_GEN), _SUBGROUP | {CKA.VERIFY: True}, private)


@_needs_dsa
@pytest.mark.parametrize(("name", "algorithm"), [
    needs("DSA_SHA1", hashes.SHA1()),  # noqa: S303 - the mechanism's
    needs("DSA_SHA224", hashes.SHA224()), needs("DSA_SHA256", hashes.SHA256()),
    needs("DSA_SHA384", hashes.SHA384()), needs("DSA_SHA512", hashes.SHA512()),
])  # fmt: skip
def test_dsa_signature_is_good(session: Session, name: str, algorithm: hashes.HashAlgorithm) -> None:
    """`cryptography` accepts the signature, in one part and in several; the module accepts it too."""
    public, private = _dsa_pair(session)
    group = dsa.DSAParameterNumbers(_NUMBER(_P, "big"), _NUMBER(_Q, "big"), _NUMBER(_G, "big"))
    key = dsa.DSAPublicNumbers(_NUMBER(session.get(public, CKA.VALUE), "big"), group).public_key()
    mechanism = Mechanism(getattr(CKM, name))
    for signature in (
        session.sign(mechanism, private, b"a message"),
        session.sign_parts(mechanism, private, [b"a ", b"message"]),
    ):
        assert 64 == len(signature)
        numbers = (_NUMBER(signature[:32], "big"), _NUMBER(signature[32:], "big"))
        key.verify(utils.encode_dss_signature(*numbers), b"a message", algorithm)
        session.verify(mechanism, public, b"a message", signature)
        wrong = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
        expect(wrong, session.verify, mechanism, public, b"another", signature)
        expect(wrong, session.verify, mechanism, public, b"a message", signature[:-1])
        expect(wrong, session.verify, mechanism, public, b"a message", bytes(64))


@_needs_dsa
@pytest.mark.needs(CKM.DSA)
def test_dsa_signs_a_digest(session: Session) -> None:
    """CKM_DSA over the digest is CKM_DSA_SHA256 over the data."""
    public, private = _dsa_pair(session)
    digest = hashlib.sha256(b"a message").digest()
    session.verify(Mechanism(CKM.DSA_SHA256), public, b"a message", session.sign(Mechanism(CKM.DSA), private, digest))
    expect(CKR.DATA_LEN_RANGE, session.sign, Mechanism(CKM.DSA), private, digest[1:])


@_needs_dsa
@_needs_dh
@pytest.mark.needs(CKM.AES_KEY_WRAP_KWP)
@pytest.mark.parametrize("kind", ["DH", "DSA"])
def test_private_key_can_be_wrapped(session: Session, kind: str) -> None:
    """A key comes back from PKCS#8 with its numbers; as another type it does not."""
    wrapping = aes(session, WRAP=True, UNWRAP=True)
    private = (_dh_pair if kind == "DH" else _dsa_pair)(session)[1]
    mechanism = Mechanism(CKM.AES_KEY_WRAP_KWP)
    wrapped = session.wrap(mechanism, wrapping, private)
    types = [CKK.DH, CKK.DSA] if kind == "DH" else [CKK.DSA, CKK.DH]
    template = _OPEN | {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: types[0]}
    new = session.unwrap(mechanism, wrapping, wrapped, template)
    for attribute in (CKA.PRIME, CKA.BASE, CKA.VALUE):
        assert session.get(private, attribute) == session.get(new, attribute)
    wrong = (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE, CKR.TEMPLATE_INCONSISTENT)
    expect(wrong, session.unwrap, mechanism, wrapping, wrapped, template | {CKA.KEY_TYPE: types[1]})


@_needs_dsa
@_needs_dh
@pytest.mark.parametrize("kind", ["DH", "DSA"])
@pytest.mark.parametrize("change", ["even", "composite", "short", "base"])
def test_bad_domain_parameters_are_refused(session: Session, kind: str, change: str) -> None:
    """No pair is made in what is no group."""
    group = dict(_DH if kind == "DH" else _SUBGROUP)
    group |= {
        "even": {CKA.PRIME: _P[:-1] + b"\x96"}, "composite": {CKA.PRIME: _P[:-1] + b"\x99"},
        "short": {CKA.PRIME: _P[:20]}, "base": {CKA.BASE: b"\1"},
    }[change]  # fmt: skip
    refused = (CKR.DOMAIN_PARAMS_INVALID, CKR.ATTRIBUTE_VALUE_INVALID, CKR.KEY_SIZE_RANGE)
    mechanism = Mechanism(CKM.DH_PKCS_KEY_PAIR_GEN if kind == "DH" else CKM.DSA_KEY_PAIR_GEN)
    expect(refused, session.generate_pair, mechanism, group, _OPEN)


@_needs_dsa
def test_dsa_key_can_be_created(session: Session) -> None:
    """A created pair signs and verifies; values that are none are refused."""
    value = (7).to_bytes(32, "big")
    point = pow(_NUMBER(_G, "big"), 7, _NUMBER(_P, "big")).to_bytes(256, "big")
    common = {CKA.KEY_TYPE: CKK.DSA, **_SUBGROUP}
    public = session.create({CKA.CLASS: CKO.PUBLIC_KEY, **common, CKA.VALUE: point, CKA.VERIFY: True})
    private = session.create({CKA.CLASS: CKO.PRIVATE_KEY, **common, CKA.VALUE: value, CKA.SIGN: True})
    mechanism = Mechanism(CKM.DSA_SHA256)
    session.verify(mechanism, public, b"a message", session.sign(mechanism, private, b"a message"))

"""Attributes of keys: sensitive, extractable and their history, local, mechanisms allowed, usage, check value."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import UNAVAILABLE, Refused, Session, expect
from .keys import (
    AES_KEY,
    P256,
    aes,
    generate_aes,
    generate_ec,
    import_ec,
    import_rsa,
    point_bytes,
    private_ec,
    private_rsa,
)
from .parameters import Mechanism

_REFUSALS = (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT)
_needs_aes = pytest.mark.needs(CKM.AES_KEY_GEN)
_needs_ec = pytest.mark.needs(CKM.EC_KEY_PAIR_GEN)
_COMPUTED = ["LOCAL", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "KEY_GEN_MECHANISM"]
_HISTORY = (CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)
_CREATED = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY}


def _flags(session: Session, key: int, kinds: tuple[int, ...] = _HISTORY) -> list[bool]:
    """Return these CK_BBOOL attributes."""
    return [session.flag(key, kind) for kind in kinds]


@_needs_aes
def test_generated_key_is_local_and_names_its_mechanism(session: Session) -> None:
    """A generated key has CKA_LOCAL and CKA_KEY_GEN_MECHANISM (4.8)."""
    key = generate_aes(session)
    assert session.flag(key, CKA.LOCAL)
    assert CKM.AES_KEY_GEN == session.number(key, CKA.KEY_GEN_MECHANISM)


def test_created_key_is_not_local_and_has_no_history(session: Session) -> None:
    """A key made by C_CreateObject was known outside: not local, never always-sensitive, no mechanism (5.7)."""
    key = session.create(_CREATED | {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    assert not session.flag(key, CKA.LOCAL)
    assert UNAVAILABLE == session.number(key, CKA.KEY_GEN_MECHANISM)
    assert [True, False, False, False] == _flags(session, key)


@_needs_aes
@pytest.mark.parametrize("sensitive", [False, True])
@pytest.mark.parametrize("extractable", [False, True])
def test_generated_key_has_the_history_of_its_template(session: Session, *, sensitive: bool, extractable: bool) -> None:
    """Always-sensitive and never-extractable begin as the template says."""
    key = generate_aes(session, SENSITIVE=sensitive, EXTRACTABLE=extractable)
    assert [sensitive, extractable, sensitive, not extractable] == _flags(session, key)


@_needs_aes
def test_key_made_sensitive_later_was_not_always_so(session: Session) -> None:
    """CKA_SENSITIVE and CKA_EXTRACTABLE may be tightened; the history stays."""
    key = generate_aes(session, SENSITIVE=False, EXTRACTABLE=True)
    session.set(key, {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    assert [True, False, False, False] == _flags(session, key)


@_needs_aes
@pytest.mark.parametrize(("kind", "value"), [(CKA.SENSITIVE, False), (CKA.EXTRACTABLE, True)], ids=["plain", "loose"])
def test_key_cannot_be_loosened(session: Session, kind: int, *, value: bool) -> None:
    """CKA_SENSITIVE true and CKA_EXTRACTABLE false are final (footnotes 11, 12)."""
    key = generate_aes(session, SENSITIVE=True, EXTRACTABLE=False)
    expect(_REFUSALS, session.set, key, {kind: value})
    assert [True, False, True, True] == _flags(session, key)


@_needs_aes
@pytest.mark.parametrize(
    ("sensitive", "extractable", "readable"), [(True, True, False), (False, False, False), (False, True, True)]
)
def test_value_is_readable_if_neither_sensitive_nor_unextractable(
    session: Session, *, sensitive: bool, extractable: bool, readable: bool
) -> None:
    """CKA_VALUE of a sensitive or unextractable key is CKR_ATTRIBUTE_SENSITIVE (footnote 7)."""
    key = generate_aes(session, SENSITIVE=sensitive, EXTRACTABLE=extractable)
    if readable:
        assert 32 == len(session.get(key, CKA.VALUE))
    else:
        expect(CKR.ATTRIBUTE_SENSITIVE, session.get, key, CKA.VALUE)


@pytest.mark.parametrize("kind", ["PRIVATE_EXPONENT", "PRIME_1", "PRIME_2", "EXPONENT_1", "EXPONENT_2", "COEFFICIENT"])
def test_rsa_secrets_are_sensitive(session: Session, kind: str) -> None:
    """The secret numbers of a sensitive RSA key are not revealed; the modulus is."""
    _, key = import_rsa(session, private_rsa(), None, {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, key, getattr(CKA, kind))
    assert 256 == len(session.get(key, CKA.MODULUS))


def test_rsa_secrets_of_an_open_key_are_readable(session: Session) -> None:
    """A key that is extractable and not sensitive shows its private exponent."""
    _, key = import_rsa(session, private_rsa(), None, {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True})
    exponent = int.from_bytes(session.get(key, CKA.PRIVATE_EXPONENT), "big")
    assert private_rsa().private_numbers().d == exponent


def test_key_made_without_a_word_is_what_it_says(session: Session) -> None:
    """What the template leaves open is the token's choice, and CKA_VALUE is revealed accordingly."""
    key = session.create(_CREATED)
    if session.flag(key, CKA.SENSITIVE) or not session.flag(key, CKA.EXTRACTABLE):
        expect(CKR.ATTRIBUTE_SENSITIVE, session.get, key, CKA.VALUE)
    else:
        assert AES_KEY == session.get(key, CKA.VALUE)


@pytest.mark.parametrize("kind", _COMPUTED)
def test_computed_attribute_cannot_be_created(session: Session, kind: str) -> None:
    """What the token computes is refused in a template (footnote 2)."""
    value: Any = CKM.AES_KEY_GEN if kind == "KEY_GEN_MECHANISM" else True
    expect(_REFUSALS, session.create, _CREATED | {getattr(CKA, kind): value})


@_needs_aes
@pytest.mark.parametrize("kind", _COMPUTED)
def test_computed_attribute_cannot_be_generated_or_changed(session: Session, kind: str) -> None:
    """What the token computes is refused for a generated key, and later (footnote 4)."""
    value: Any = CKM.AES_KEY_GEN if kind == "KEY_GEN_MECHANISM" else True
    expect(_REFUSALS, generate_aes, session, **{kind: value})
    expect(_REFUSALS, session.set, generate_aes(session), {getattr(CKA, kind): value})


@_needs_aes
def test_generated_key_needs_its_length(session: Session) -> None:
    """Without CKA_VALUE_LEN it is CKR_TEMPLATE_INCOMPLETE; with CKA_VALUE it is refused (footnotes 3, 4)."""
    mechanism = Mechanism(CKM.AES_KEY_GEN)
    expect(CKR.TEMPLATE_INCOMPLETE, session.generate, mechanism, {})
    expect(_REFUSALS, session.generate, mechanism, {CKA.VALUE_LEN: 32, CKA.VALUE: AES_KEY})


@_needs_aes
@pytest.mark.parametrize("length", [0, 15, 17, 33, 2**31, 2**63])
def test_generated_aes_key_has_a_known_length(session: Session, length: int) -> None:
    """Lengths but 16, 24 and 32 are refused."""
    codes = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT, CKR.KEY_SIZE_RANGE)
    expect(codes, session.generate, Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: length})


@pytest.mark.parametrize("length", [0, 15, 33])
def test_created_aes_key_has_a_known_length(session: Session, length: int) -> None:
    """A CKA_VALUE that is no AES key is refused."""
    codes = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT, CKR.KEY_SIZE_RANGE, CKR.TEMPLATE_INCOMPLETE)
    expect(codes, session.create, _CREATED | {CKA.VALUE: bytes(length)})


@_needs_aes
@pytest.mark.parametrize(
    "wrong", [{CKA.CLASS: CKO.PRIVATE_KEY}, {CKA.KEY_TYPE: CKK.GENERIC_SECRET}], ids=["class", "type"]
)
def test_generation_refuses_another_class_or_type(session: Session, wrong: dict[int, int]) -> None:
    """A class or type the mechanism does not make is CKR_TEMPLATE_INCONSISTENT (5.18)."""
    expect(CKR.TEMPLATE_INCONSISTENT, session.generate, Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32} | wrong)


def test_value_of_a_key_cannot_be_changed(session: Session) -> None:
    """A key's material is not modifiable."""
    expect(_REFUSALS, session.set, aes(session), {CKA.VALUE: bytes(32)})


def test_value_length_of_a_created_key_is_known(session: Session) -> None:
    """CKA_VALUE_LEN is the length of CKA_VALUE, and cannot be given with it (footnote 2 of the AES table)."""
    assert 32 == session.number(aes(session), CKA.VALUE_LEN)
    expect(_REFUSALS, session.create, _CREATED | {CKA.VALUE_LEN: 32})


def test_usage_and_id_can_be_changed(session: Session) -> None:
    """Usage flags and id are modifiable (footnote 8)."""
    key = aes(session, ENCRYPT=False)
    session.set(key, {CKA.ENCRYPT: True, CKA.ID: b"id"})
    assert session.flag(key, CKA.ENCRYPT)
    assert b"id" == session.get(key, CKA.ID)


def test_dates_can_be_changed(session: Session) -> None:
    """Start and end date are modifiable, and empty at first (footnote 8)."""
    key = aes(session)
    assert (b"", b"") == (session.get(key, CKA.START_DATE), session.get(key, CKA.END_DATE))
    session.set(key, {CKA.START_DATE: b"20240229", CKA.END_DATE: b"20991231"})
    assert (b"20240229", b"20991231") == (session.get(key, CKA.START_DATE), session.get(key, CKA.END_DATE))


@pytest.mark.needs(CKM.AES_ECB)
@pytest.mark.parametrize(("usage", "name"), [("ENCRYPT", "Encrypt"), ("DECRYPT", "Decrypt")])
def test_key_without_the_usage_is_refused(session: Session, usage: str, name: str) -> None:
    """A key whose usage flag is false is CKR_KEY_FUNCTION_NOT_PERMITTED."""
    key = aes(session, **{"ENCRYPT": True, "DECRYPT": True, usage: False})
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, name, Mechanism(CKM.AES_ECB), key)


@pytest.mark.needs(CKM.AES_ECB, CKM.AES_CBC)
def test_allowed_mechanisms_are_the_only_ones(session: Session) -> None:
    """A mechanism that CKA_ALLOWED_MECHANISMS does not name is refused; one that it names is not."""
    key = session.create(_CREATED | {CKA.ENCRYPT: True, CKA.ALLOWED_MECHANISMS: [CKM.AES_CBC]})
    codes = (CKR.MECHANISM_INVALID, CKR.KEY_FUNCTION_NOT_PERMITTED)
    expect(codes, session.init, "Encrypt", Mechanism(CKM.AES_ECB), key)
    assert 16 == len(session.encrypt(Mechanism(CKM.AES_CBC, bytes(16)), key, bytes(16)))
    assert CKM.AES_CBC == session.number(key, CKA.ALLOWED_MECHANISMS)


def test_check_value_is_computed(session: Session) -> None:
    """CKA_CHECK_VALUE of an AES key: three bytes of an encrypted zero block (4.11)."""
    encryptor = Cipher(algorithms.AES(AES_KEY), modes.ECB()).encryptor()  # noqa: S305 (that is how it is defined)
    assert encryptor.update(bytes(16))[:3] == session.get(session.create(_CREATED), CKA.CHECK_VALUE)


def test_check_value_must_be_right(session: Session) -> None:
    """A wrong check value in a template is CKR_ATTRIBUTE_VALUE_INVALID (4.11)."""
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, _CREATED | {CKA.CHECK_VALUE: b"\0\0\0"})


def test_check_value_may_be_prevented(session: Session) -> None:
    """An empty check value in a template means none: it is empty, or not there (4.11)."""
    key = session.create(_CREATED | {CKA.CHECK_VALUE: b""})
    try:
        assert b"" == session.get(key, CKA.CHECK_VALUE)
    except Refused as refused:
        assert CKR.ATTRIBUTE_TYPE_INVALID == refused.rv  # noqa: PT017


def test_check_value_can_be_destroyed(session: Session) -> None:
    """C_SetAttributeValue with an empty check value takes it away (4.11)."""
    key = session.create(_CREATED)
    session.set(key, {CKA.CHECK_VALUE: b""})
    try:
        assert b"" == session.get(key, CKA.CHECK_VALUE)
    except Refused as refused:
        assert CKR.ATTRIBUTE_TYPE_INVALID == refused.rv  # noqa: PT017


@_needs_ec
def test_generated_pair_is_local_on_both_sides(session: Session) -> None:
    """Both halves are local, name the mechanism and the curve; the point is on the public one."""
    public, private = generate_ec(session)
    for key in (public, private):
        assert session.flag(key, CKA.LOCAL)
        assert CKM.EC_KEY_PAIR_GEN == session.number(key, CKA.KEY_GEN_MECHANISM)
        assert P256 == session.get(key, CKA.EC_PARAMS)
    assert 4 == point_bytes(session.get(public, CKA.EC_POINT), 65)[0]


@_needs_ec
def test_generated_private_key_is_protected(session: Session) -> None:
    """Without a word in the template: unextractable, its history as it is, its value not revealed."""
    _, private = generate_ec(session)
    sensitive, extractable, always, never = _flags(session, private)
    assert (sensitive, False, True) == (always, extractable, never)
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, private, CKA.VALUE)


@_needs_ec
def test_generated_pair_needs_its_curve(session: Session) -> None:
    """No CKA_EC_PARAMS is CKR_TEMPLATE_INCOMPLETE; no key is left behind."""
    expect(CKR.TEMPLATE_INCOMPLETE, session.generate_pair, Mechanism(CKM.EC_KEY_PAIR_GEN), {}, {})
    assert [] == session.find({CKA.KEY_TYPE: CKK.EC})


@_needs_ec
def test_generated_pair_is_both_or_none(session: Session) -> None:
    """A refused private template leaves no public key behind (5.18)."""
    expect((*_REFUSALS, CKR.ATTRIBUTE_TYPE_INVALID), generate_ec, session, {CKA.TOKEN: True}, {CKA.LOCAL: True})
    assert [] == session.find({CKA.KEY_TYPE: CKK.EC})


@_needs_ec
def test_imported_private_key_knows_its_public_key(session: Session) -> None:
    """CKA_PUBLIC_KEY_INFO is the SubjectPublicKeyInfo or empty, on both halves (4.9, 4.10)."""
    info = private_ec().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public, private = import_ec(session, private_ec())
    assert {session.get(key, CKA.PUBLIC_KEY_INFO) for key in (public, private)} <= {info, b""}


def test_private_key_refuses_another_public_key(session: Session) -> None:
    """A CKA_PUBLIC_KEY_INFO that is not the private key's is CKR_ATTRIBUTE_VALUE_INVALID, or none is taken (4.10)."""
    other = private_rsa().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    codes = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.ATTRIBUTE_TYPE_INVALID)
    expect(codes, import_ec, session, private_ec(), None, {CKA.PUBLIC_KEY_INFO: other})


def test_created_rsa_public_key_knows_its_length(session: Session) -> None:
    """CKA_MODULUS_BITS follows from the modulus, and cannot be given with it (footnote 2)."""
    public, _ = import_rsa(session, private_rsa())
    assert 2048 == session.number(public, CKA.MODULUS_BITS)
    expect(_REFUSALS, import_rsa, session, private_rsa(), {CKA.MODULUS_BITS: 2048})


@_needs_ec
def test_key_is_not_generated_for_nobody(public: Session) -> None:
    """A private object cannot be generated in a public session: CKR_USER_NOT_LOGGED_IN."""
    expect(CKR.USER_NOT_LOGGED_IN, generate_ec, public, None, {CKA.PRIVATE: True})


@pytest.mark.needs(CKM.RSA_PKCS_KEY_PAIR_GEN)
def test_generated_rsa_pair_has_the_modulus_asked_for(session: Session) -> None:
    """CKA_MODULUS_BITS and the default exponent 65537; the modulus is on both halves."""
    mechanism = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
    public, private = session.generate_pair(mechanism, {CKA.MODULUS_BITS: 2048, CKA.PUBLIC_EXPONENT: b"\1\0\1"}, {})
    modulus = session.get(public, CKA.MODULUS)
    assert 2048 == int.from_bytes(modulus, "big").bit_length() == session.number(public, CKA.MODULUS_BITS)
    assert modulus == session.get(private, CKA.MODULUS)
    assert b"\1\0\1" == session.get(private, CKA.PUBLIC_EXPONENT)


@pytest.mark.needs(CKM.RSA_PKCS_KEY_PAIR_GEN)
def test_generated_rsa_pair_needs_its_length(session: Session) -> None:
    """No CKA_MODULUS_BITS is CKR_TEMPLATE_INCOMPLETE; three bits are refused."""
    mechanism = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
    expect(CKR.TEMPLATE_INCOMPLETE, session.generate_pair, mechanism, {}, {})
    codes = (CKR.KEY_SIZE_RANGE, CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT)
    expect(codes, session.generate_pair, mechanism, {CKA.MODULUS_BITS: 3}, {})


def test_always_authenticate_needs_a_private_key(session: Session) -> None:
    """CKA_ALWAYS_AUTHENTICATE is for private objects only (4.10)."""
    usage = {CKA.ALWAYS_AUTHENTICATE: True, CKA.PRIVATE: False}
    expect((CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID), import_ec, session, private_ec(), None, usage)

"""C_DeriveKey by hashes, ciphers, HKDF, SP 800-108, IKE and TLS: what the new keys are, and what is refused.

Histories, lengths, types, parity and protection, as each mechanism's section says; the attacks on them are named so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ptkc.spec.constants import CK, CKA, CKD, CKK, CKM, CKO, CKP, CKR

from . import derivations as parameters
from .binding import ffi
from .cryptoki import Refused, Session, Template, expect
from .derivations import KeyMaterial
from .keys import generate_ec, import_rsa, private_rsa
from .parameters import Mechanism, ecdh
from .test_finite_fields import _DH, _SUBGROUP

_OPEN: dict[int, Any] = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_CLOSED: dict[int, Any] = {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}
_BASE = bytes(range(48))
_LENGTH = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.KEY_SIZE_RANGE, CKR.TEMPLATE_INCONSISTENT)
_PARAMETER = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
_ITERATION, _BYTES = CK.SP800_108_ITERATION_VARIABLE, CK.SP800_108_BYTE_ARRAY
_SECRET: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
_AES: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 16}
_needs_hkdf = pytest.mark.needs(CKM.HKDF_DERIVE)
_needs_counter = pytest.mark.needs(CKM.SP800_108_COUNTER_KDF)
_needs_master = pytest.mark.needs(CKM.TLS12_MASTER_KEY_DERIVE_DH)
_needs_keys = pytest.mark.needs(CKM.TLS12_KEY_AND_MAC_DERIVE)
_needs_password = pytest.mark.needs(CKM.PKCS5_PBKD2)
_needs_public = pytest.mark.needs(CKM.PUB_KEY_FROM_PRIV_KEY)


def base(session: Session, value: bytes = _BASE, kind: int = CKK.GENERIC_SECRET, **more: Any) -> int:  # noqa: ANN401
    """Return a key that derives, and can be read but for what `more` says."""
    given = {getattr(CKA, name): flag for name, flag in more.items()}
    return session.create(
        {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.VALUE: value, CKA.DERIVE: True, **_OPEN, **given}
    )


def counter_mode(
    *more: parameters.Field, prf: int = CKM.SHA256_HMAC, further: tuple[dict[int, Any], ...] = ()
) -> tuple[Mechanism, Any]:
    """Return counter mode over a counter of 32 bits and a label, and where the handles of further keys go."""
    fields = [parameters.counter(_ITERATION, 32), (_BYTES, b"label"), *more]
    return parameters.kbkdf(CKM.SP800_108_COUNTER_KDF, prf, fields, further=further)


def _counter(_: Session) -> Mechanism:
    return counter_mode()[0]


# One way to derive with each mechanism from a base key of 48 bytes: its parameter, and the key type of the base.
_WAYS: dict[int, tuple[Callable[[Session], Mechanism], int]] = {
    CKM.SHA256_KEY_DERIVATION: (lambda _: Mechanism(CKM.SHA256_KEY_DERIVATION), CKK.GENERIC_SECRET),
    CKM.SHAKE_256_KEY_DERIVATION: (lambda _: Mechanism(CKM.SHAKE_256_KEY_DERIVATION), CKK.GENERIC_SECRET),
    CKM.AES_ECB_ENCRYPT_DATA: (lambda _: parameters.key_data(CKM.AES_ECB_ENCRYPT_DATA, bytes(32)), CKK.AES),
    CKM.AES_CBC_ENCRYPT_DATA: (
        lambda _: parameters.cbc_data(CKM.AES_CBC_ENCRYPT_DATA, bytes(16), bytes(32)), CKK.AES,
    ),
    CKM.HKDF_DERIVE: (lambda _: parameters.hkdf(CKM.SHA256, info=b"info"), CKK.GENERIC_SECRET),
    CKM.SP800_108_COUNTER_KDF: (_counter, CKK.GENERIC_SECRET),
    CKM.IKE2_PRF_PLUS_DERIVE: (lambda _: parameters.ike2_plus(CKM.SHA256_HMAC, b"seed"), CKK.GENERIC_SECRET),
    CKM.TLS_KDF: (lambda _: parameters.tls_kdf(CKM.SHA256, b"label", b"c", b"s"), CKK.GENERIC_SECRET),
}  # fmt: skip
_ways = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(number, marks=pytest.mark.needs(number), id=name)
        for name, number in vars(CKM).items()
        if number in _WAYS
    ],
)
_SAME_PROTECTION = (CKM.SP800_108_COUNTER_KDF, CKM.TLS_KDF)


def _way(session: Session, kind: int, **more: Any) -> tuple[Mechanism, int]:  # noqa: ANN401
    """Return the mechanism, and a base key for it."""
    make, key_type = _WAYS[kind]
    return make(session), base(session, _BASE[:32] if key_type == CKK.AES else _BASE, key_type, **more)


@_ways
def test_new_key_is_not_local_and_shares_the_history(session: Session, kind: int) -> None:
    """CKA_LOCAL is false; a base that is imported was not always sensitive, nor never extractable."""
    mechanism, key = _way(session, kind, SENSITIVE=True, EXTRACTABLE=False)
    new = session.derive(mechanism, key, {**_AES, **_CLOSED})
    flags = (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)
    assert [False] * 3 == [session.flag(new, flag) for flag in flags]
    assert (CKK.AES, 16) == (session.number(new, CKA.KEY_TYPE), session.number(new, CKA.VALUE_LEN))


@_ways
@pytest.mark.parametrize("closed", [False, True])
def test_history_of_a_generated_base_is_that_of_the_new_key(session: Session, kind: int, *, closed: bool) -> None:
    """Always sensitive if it is sensitive, never extractable if it cannot be extracted."""
    make, key_type = _WAYS[kind]
    size = 32 if key_type == CKK.AES else 48
    generation = CKM.AES_KEY_GEN if key_type == CKK.AES else CKM.GENERIC_SECRET_KEY_GEN
    key = session.generate(Mechanism(generation), {CKA.VALUE_LEN: size, CKA.DERIVE: True, **_CLOSED})
    given = _CLOSED if closed or kind == CKM.TLS_KDF else _OPEN
    new = session.derive(make(session), key, {**_AES, **given})
    expected = [given is _CLOSED] * 2
    assert expected == [session.flag(new, flag) for flag in (CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)]


@_ways
def test_protection_that_nobody_says(session: Session, kind: int) -> None:
    """SP 800-108 and CKM_TLS_KDF take it from the base key; the others have the token's default."""
    seen = set()
    for sensitive, extractable in ((False, True), (True, False)):
        mechanism, key = _way(session, kind, SENSITIVE=sensitive, EXTRACTABLE=extractable)
        new = session.derive(mechanism, key, _AES)
        protection = session.flag(new, CKA.SENSITIVE), session.flag(new, CKA.EXTRACTABLE)
        seen.add(protection)
        if kind in _SAME_PROTECTION:
            assert (sensitive, extractable) == protection
    assert len(seen) == (2 if kind in _SAME_PROTECTION else 1)


@_ways
def test_derive_template_holds_for_each_mechanism(session: Session, kind: int) -> None:
    """Attack: a key for protected keys only is asked for one that can be read: CKR_TEMPLATE_INCONSISTENT."""
    mechanism, key = _way(session, kind, DERIVE_TEMPLATE={CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    expect(CKR.TEMPLATE_INCONSISTENT, session.derive, mechanism, key, {**_AES, **_OPEN})
    new = session.derive(mechanism, key, _AES)
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, new, CKA.VALUE)


@_ways
def test_base_key_must_be_allowed_to(session: Session, kind: int) -> None:
    """CKA_DERIVE false is CKR_KEY_FUNCTION_NOT_PERMITTED, another allowed mechanism CKR_MECHANISM_INVALID."""
    mechanism, key = _way(session, kind, DERIVE=False)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.derive, mechanism, key, _AES)
    mechanism, key = _way(session, kind, ALLOWED_MECHANISMS=[CKM.SHA256_HMAC])
    expect(CKR.MECHANISM_INVALID, session.derive, mechanism, key, _AES)


@_ways
def test_impossible_new_keys_are_refused(session: Session, kind: int) -> None:
    """No class but a secret key's, no type that has other lengths, no value of the caller's; nothing is made."""
    mechanism, key = _way(session, kind)
    before = len(session.find({}))
    codes = (CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID)
    expect(codes, session.derive, mechanism, key, {**_AES, CKA.CLASS: CKO.PRIVATE_KEY})
    expect(_LENGTH, session.derive, mechanism, key, {**_AES, CKA.VALUE_LEN: 17})
    expect(
        (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT),
        session.derive,
        mechanism,
        key,
        {**_AES, CKA.VALUE: b"mine"},
    )
    expect(
        (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT), session.derive, mechanism, key, {**_AES, CKA.LOCAL: True}
    )
    assert before == len(session.find({}))


@_ways
def test_derived_des_keys_have_odd_parity(session: Session, kind: int) -> None:
    """The length of a DES3 key need not be said, and its parity bits are set."""
    mechanism, key = _way(session, kind)
    value = session.get(session.derive(mechanism, key, {**_SECRET, CKA.KEY_TYPE: CKK.DES3, **_OPEN}), CKA.VALUE)
    plain = session.get(session.derive(mechanism, key, {**_SECRET, CKA.VALUE_LEN: 24, **_OPEN}), CKA.VALUE)
    assert [byte >> 1 for byte in plain] == [byte >> 1 for byte in value]
    assert all(byte.bit_count() & 1 for byte in value)


@pytest.mark.needs(CKM.ECDH1_DERIVE, CKM.EC_KEY_PAIR_GEN)
def test_agreed_des_keys_have_odd_parity(session: Session) -> None:
    """With ECDH, too."""
    public, private = generate_ec(session, None, {CKA.DERIVE: True})
    mechanism = ecdh(session.get(public, CKA.EC_POINT)[2:], CKD.NULL)
    new = session.derive(mechanism, private, {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.DES3, **_OPEN})
    assert all(byte.bit_count() & 1 for byte in session.get(new, CKA.VALUE))


# Hashes and ciphers


@pytest.mark.needs(CKM.SHA256_KEY_DERIVATION)
def test_hash_derivation_gives_no_more_than_the_digest(session: Session) -> None:
    """33 bytes of SHA-256 are refused; a generic secret without a length has all 32."""
    mechanism, key = Mechanism(CKM.SHA256_KEY_DERIVATION), base(session)
    expect(_LENGTH, session.derive, mechanism, key, {CKA.VALUE_LEN: 33})
    assert session.number(session.derive(mechanism, key, {}), CKA.VALUE_LEN) == 32
    expect(_PARAMETER, session.derive, Mechanism(CKM.SHA256_KEY_DERIVATION, b"x"), key, {})


@pytest.mark.needs(CKM.AES_ECB_ENCRYPT_DATA, CKM.AES_CBC_ENCRYPT_DATA)
def test_encrypted_data_are_whole_blocks_and_enough(session: Session) -> None:
    """No whole blocks are CKR_MECHANISM_PARAM_INVALID, too few for the key CKR_DATA_LEN_RANGE."""
    key = base(session, bytes(16), CKK.AES)
    for size in (0, 15, 17):
        for mechanism in (
            parameters.key_data(CKM.AES_ECB_ENCRYPT_DATA, bytes(size)),
            parameters.cbc_data(CKM.AES_CBC_ENCRYPT_DATA, bytes(16), bytes(size)),
        ):
            expect((*_PARAMETER, CKR.DATA_LEN_RANGE), session.derive, mechanism, key, {**_SECRET, CKA.VALUE_LEN: 10})
    mechanism = parameters.key_data(CKM.AES_ECB_ENCRYPT_DATA, bytes(16))
    expect((CKR.DATA_LEN_RANGE, *_LENGTH), session.derive, mechanism, key, {**_SECRET, CKA.VALUE_LEN: 17})


# HKDF


@_needs_hkdf
def test_hkdf_refuses_what_it_cannot_do(session: Session) -> None:
    """Neither step, no hash, no type of salt, a key longer than 255 blocks, or another than the hash is long."""
    key = base(session)
    for mechanism in (
        parameters.hkdf(CKM.SHA256, extract=False, expand=False),
        parameters.hkdf(CKM.SHA256_HMAC),
        parameters.hkdf(CKM.SHA256, salt_type=3),
        Mechanism(CKM.HKDF_DERIVE),
        Mechanism(CKM.HKDF_DERIVE, bytes(8)),
    ):
        expect(_PARAMETER, session.derive, mechanism, key, {CKA.VALUE_LEN: 32})
    expand = parameters.hkdf(CKM.SHA256)
    expect(_LENGTH, session.derive, expand, key, {CKA.VALUE_LEN: 255 * 32 + 1})
    session.derive(expand, key, {CKA.VALUE_LEN: 255 * 32})
    expect(CKR.TEMPLATE_INCOMPLETE, session.derive, expand, key, {})
    extract = parameters.hkdf(CKM.SHA256, expand=False)
    expect(_LENGTH, session.derive, extract, key, {CKA.VALUE_LEN: 16})
    assert session.number(session.derive(extract, key, {CKA.VALUE_LEN: 32}), CKA.VALUE_LEN) == 32


@_needs_hkdf
def test_key_as_salt_must_be_one_to_derive_from(session: Session) -> None:
    """Attack: a key that may not derive is used as salt; or one that is not there, or another's."""
    key = base(session)
    may_not = parameters.hkdf(CKM.SHA256, salt_key=base(session, DERIVE=False))
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.derive, may_not, key, {CKA.VALUE_LEN: 32})
    absent = parameters.hkdf(CKM.SHA256, salt_key=2**40)
    expect((CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID), session.derive, absent, key, {CKA.VALUE_LEN: 32})
    ignored = parameters.hkdf(CKM.SHA256, extract=False, salt_key=2**40)
    session.derive(ignored, key, {CKA.VALUE_LEN: 32})


@_needs_hkdf
def test_data_object_may_be_the_base_key_of_an_extraction(session: Session) -> None:
    """As long as the hash and with a salt (TLS 1.3); what comes of it was not always sensitive."""
    data = {CKA.CLASS: CKO.DATA, CKA.PRIVATE: False}
    zeros = session.create({**data, CKA.VALUE: bytes(32)})
    salted = parameters.hkdf(CKM.SHA256, salt=b"salt", expand=False)
    from_data = session.derive(salted, zeros, {CKA.CLASS: CKO.SECRET_KEY, **_OPEN})
    from_key = session.derive(salted, base(session, bytes(32)), _OPEN)
    assert session.get(from_key, CKA.VALUE) == session.get(from_data, CKA.VALUE)
    assert not session.flag(session.derive(salted, zeros, _CLOSED), CKA.ALWAYS_SENSITIVE)
    short = session.create({**data, CKA.VALUE: bytes(31)})
    expect((CKR.KEY_SIZE_RANGE, *_PARAMETER), session.derive, salted, short, {})
    unsalted = parameters.hkdf(CKM.SHA256, expand=False)
    expect(_PARAMETER, session.derive, unsalted, zeros, {})
    codes = (CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_HANDLE_INVALID)
    expect(codes, session.derive, Mechanism(CKM.SHA256_KEY_DERIVATION), zeros, {})


@pytest.mark.needs(CKM.HKDF_DATA)
def test_derived_data_are_a_data_object(session: Session) -> None:
    """Of the class alone; CKA_VALUE_LEN is the mechanism's, CKA_VALUE nobody's to say."""
    key, mechanism = base(session), parameters.hkdf(CKM.SHA256, kind=CKM.HKDF_DATA)
    made = session.derive(mechanism, key, {CKA.VALUE_LEN: 20, CKA.APPLICATION: "tls"})
    assert (CKO.DATA, b"tls", 20) == (
        session.number(made, CKA.CLASS), session.get(made, CKA.APPLICATION), len(session.get(made, CKA.VALUE)),
    )  # fmt: skip
    for wrong in (
        {CKA.VALUE_LEN: 20, CKA.CLASS: CKO.SECRET_KEY},
        {CKA.VALUE_LEN: 20, CKA.VALUE: b"mine"},
        {CKA.VALUE_LEN: 20, CKA.SENSITIVE: True},
    ):
        expect(CKR.TEMPLATE_INCONSISTENT, session.derive, mechanism, key, wrong)
    expect(CKR.TEMPLATE_INCOMPLETE, session.derive, mechanism, key, {})
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.derive, mechanism, key, {CKA.VALUE_LEN: b"123"})


@pytest.mark.needs(CKM.HKDF_DATA)
def test_key_for_protected_keys_gives_no_data(session: Session) -> None:
    """Attack: what CKM_HKDF_DERIVE protects is read by CKM_HKDF_DATA with the same parameter."""
    key = base(session, DERIVE_TEMPLATE={CKA.SENSITIVE: True})
    mechanism = parameters.hkdf(CKM.SHA256, kind=CKM.HKDF_DATA)
    expect(CKR.TEMPLATE_INCONSISTENT, session.derive, mechanism, key, {CKA.VALUE_LEN: 32})


# Passwords


@_needs_password
def test_password_keys_need_type_and_length(session: Session) -> None:
    """CKA_KEY_TYPE, and CKA_VALUE_LEN where the type has several: CKR_TEMPLATE_INCOMPLETE."""
    mechanism = parameters.pbkdf2(b"password", b"salt", 10)
    expect(CKR.TEMPLATE_INCOMPLETE, session.generate, mechanism, {CKA.VALUE_LEN: 16})
    expect(CKR.TEMPLATE_INCOMPLETE, session.generate, mechanism, {CKA.KEY_TYPE: CKK.AES})
    expect(_LENGTH, session.generate, mechanism, {CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 15})
    codes = (CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID)
    expect(codes, session.generate, mechanism, {CKA.KEY_TYPE: CKK.RSA, CKA.CLASS: CKO.PRIVATE_KEY})
    new = session.generate(mechanism, _AES)
    assert session.flag(new, CKA.LOCAL)
    assert session.number(new, CKA.KEY_GEN_MECHANISM) == CKM.PKCS5_PBKD2


@_needs_password
@pytest.mark.parametrize(
    ("iterations", "prf", "more"),
    [
        (0, CKP.PKCS5_PBKD2_HMAC_SHA256, {}),
        (2**60, CKP.PKCS5_PBKD2_HMAC_SHA256, {}),
        (10, CKP.PKCS5_PBKD2_HMAC_GOSTR3411, {}),
        (10, 99, {}),
        (10, CKP.PKCS5_PBKD2_HMAC_SHA256, {"source": 2}),
        (10, CKP.PKCS5_PBKD2_HMAC_SHA256, {"data": b"data"}),
    ],
)
def test_password_parameters_that_are_none_are_refused(
    session: Session, iterations: int, prf: int, more: dict[str, Any]
) -> None:
    """No iteration, more than ever end, another function or source, data for the function."""
    expect(_PARAMETER, session.generate, parameters.pbkdf2(b"p", b"s", iterations, prf, **more), _AES)


@_needs_password
def test_password_key_of_hours_is_refused(session: Session) -> None:
    """A long key has its iterations for each of its blocks: nobody keeps the HSM, or C_Finalize, busy with that."""
    mechanism = parameters.pbkdf2(b"password", b"salt", 2**25, CKP.PKCS5_PBKD2_HMAC_SHA256)
    expect(_PARAMETER, session.generate, mechanism, {CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE_LEN: 65536})


# SP 800-108


@_needs_counter
def test_further_keys_are_of_segments_of_their_own(session: Session) -> None:
    """The specification's example: 48 bytes of two segments, 16 of a third; what the length says by either method."""
    further = ({CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 16, CKA.LABEL: "second", **_OPEN},)
    for method, bits in (
        (CK.SP800_108_DKM_LENGTH_SUM_OF_KEYS, 512), (CK.SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS, 768),
    ):  # fmt: skip
        mechanism, handles = counter_mode(parameters.length(method, 32), further=further)
        first = session.derive(mechanism, base(session), {CKA.VALUE_LEN: 48, **_OPEN})
        stream, _ = counter_mode((_BYTES, bits.to_bytes(4, "big")))
        whole = session.get(session.derive(stream, base(session), {CKA.VALUE_LEN: 96, **_OPEN}), CKA.VALUE)
        assert whole[:48] == session.get(first, CKA.VALUE)
        assert (whole[64:80], b"second") == (session.get(handles[0], CKA.VALUE), session.get(handles[0], CKA.LABEL))


@_needs_counter
def test_numbers_may_be_little_endian(session: Session) -> None:
    """Counter and length, of any whole number of bytes."""
    variable = parameters.counter(_ITERATION, 16, little=True)
    size = parameters.length(CK.SP800_108_DKM_LENGTH_SUM_OF_KEYS, 24, little=True)
    mechanism, _ = parameters.kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.SHA256_HMAC, [size, variable])
    key = base(session, SIGN=True)
    value = session.get(session.derive(mechanism, key, {CKA.VALUE_LEN: 32, **_OPEN}), CKA.VALUE)
    assert session.sign(Mechanism(CKM.SHA256_HMAC), key, b"\0\1\0\1\0") == value


@_needs_counter
def test_value_of_a_key_may_be_input(session: Session) -> None:
    """The key that a handle names must be one to derive from; the history is that of either."""
    other = base(session, b"other key")
    mechanism, _ = counter_mode(parameters.key_field(other))
    plain, _ = counter_mode((_BYTES, b"other key"))
    values = [
        session.get(session.derive(each, base(session), {CKA.VALUE_LEN: 32, **_OPEN}), CKA.VALUE)
        for each in (mechanism, plain)
    ]
    assert values[0] == values[1]
    may_not, _ = counter_mode(parameters.key_field(base(session, DERIVE=False)))
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.derive, may_not, base(session), {CKA.VALUE_LEN: 32})
    absent, _ = counter_mode(parameters.key_field(2**40))
    codes = (CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID)
    expect(codes, session.derive, absent, base(session), {CKA.VALUE_LEN: 32})
    born = session.generate(Mechanism(CKM.GENERIC_SECRET_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.DERIVE: True, **_CLOSED})
    mixed, _ = counter_mode(parameters.key_field(born))
    new = session.derive(mixed, base(session), {CKA.VALUE_LEN: 32, **_CLOSED})
    assert session.flag(new, CKA.ALWAYS_SENSITIVE)


@_needs_counter
@pytest.mark.parametrize(
    "wrong",
    [
        {CKA.VALUE_LEN: 16, CKA.CLASS: CKO.PRIVATE_KEY},
        {CKA.KEY_TYPE: CKK.AES},
        {CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 17},
        {CKA.VALUE_LEN: 16, CKA.VALUE: b"mine"},
        {CKA.VALUE_LEN: 16, CKA.LABEL: b"\xff"},
    ],
)
def test_one_wrong_key_makes_none(session: Session, wrong: dict[int, Any]) -> None:
    """If a further key cannot be, no key is made and no handle written."""
    good = {CKA.VALUE_LEN: 16}
    mechanism, handles = counter_mode(further=(good, wrong))
    key, before = base(session), len(session.find({}))
    codes = (*_LENGTH, CKR.TEMPLATE_INCOMPLETE, CKR.ATTRIBUTE_READ_ONLY)
    expect(codes, session.derive, mechanism, key, {CKA.VALUE_LEN: 16})
    assert before == len(session.find({}))
    assert [2**40] * 2 == list(handles)


@_needs_counter
def test_input_that_is_none_is_refused(session: Session) -> None:
    """Each mode has its fields: which must be there, may be there once, and which number is wide enough."""
    variable, number = parameters.counter(_ITERATION, 8), parameters.counter(CK.SP800_108_COUNTER, 8)
    size = parameters.length(CK.SP800_108_DKM_LENGTH_SUM_OF_KEYS, 32)
    plain = (_ITERATION, None)
    counter, feedback, pipeline = (
        getattr(CKM, f"SP800_108_{name}_KDF") for name in ("COUNTER", "FEEDBACK", "DOUBLE_PIPELINE")
    )
    cases: list[tuple[int, list[parameters.Field]]] = [
        (counter, []),
        (counter, [(_BYTES, b"x")]),
        (counter, [variable, variable]),
        (counter, [variable, number]),
        (counter, [plain]),
        (counter, [variable, size, size]),
        (counter, [variable, (9, b"x")]),
        (counter, [variable, (_BYTES, b"")]),
        (counter, [parameters.counter(_ITERATION, 7)]),
        (counter, [parameters.counter(_ITERATION, 0)]),
        (counter, [parameters.counter(_ITERATION, 2**60)]),
        (counter, [variable, parameters.length(3, 32)]),
        (counter, [variable, parameters.length(CK.SP800_108_DKM_LENGTH_SUM_OF_KEYS, 8)]),
        (counter, [(_ITERATION, b"short")]),
        (feedback, [variable]),
        (feedback, [number]),
        (feedback, [plain, number, number]),
        (pipeline, [plain, plain]),
    ]
    key = base(session)
    for kind, fields in cases:
        mechanism, _ = parameters.kbkdf(kind, CKM.SHA256_HMAC, fields)
        expect(_PARAMETER, session.derive, mechanism, key, {CKA.VALUE_LEN: 64})
    long, _ = parameters.kbkdf(counter, CKM.SHA256_HMAC, [variable])
    expect((*_PARAMETER, *_LENGTH), session.derive, long, key, {CKA.VALUE_LEN: 256 * 32})
    session.derive(long, key, {CKA.VALUE_LEN: 255 * 32})
    unknown, _ = counter_mode(prf=CKM.SHA256)
    expect(_PARAMETER, session.derive, unknown, key, {CKA.VALUE_LEN: 16})


@_needs_counter
def test_function_says_the_type_of_the_base_key(session: Session) -> None:
    """CMAC takes keys of its cipher, HMAC generic ones and its own: CKR_KEY_TYPE_INCONSISTENT."""
    generic_key, aes_key = base(session), base(session, bytes(16), CKK.AES)
    other = base(session, _BASE, CKK.SHA512_HMAC)
    cmac, hmac = counter_mode(prf=CKM.AES_CMAC)[0], counter_mode()[0]
    template = {CKA.VALUE_LEN: 16}
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, cmac, generic_key, template)
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, hmac, aes_key, template)
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, hmac, other, template)
    session.derive(hmac, base(session, b"1", CKK.SHA256_HMAC), template)


# TLS


def _master(session: Session, **more: Any) -> int:  # noqa: ANN401
    return base(session, bytes(range(48)), **more)


@_needs_master
def test_master_key_is_good_for_tls_alone(session: Session) -> None:
    """48 bytes, CKA_ALLOWED_MECHANISMS of TLS; a template that says otherwise is CKR_TEMPLATE_INCONSISTENT."""
    mechanism, _ = parameters.tls_master(CKM.TLS12_MASTER_KEY_DERIVE_DH, CKM.SHA256, b"c", b"s", versioned=False)
    key = base(session, b"agreed secret")
    master = session.derive(mechanism, key, {})
    assert (48, CKK.GENERIC_SECRET) == (session.number(master, CKA.VALUE_LEN), session.number(master, CKA.KEY_TYPE))
    allowed = session.get(master, CKA.ALLOWED_MECHANISMS)
    numbers = {int.from_bytes(allowed[at : at + 8], "little") for at in range(0, len(allowed), 8)}
    assert {CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.TLS12_KEY_SAFE_DERIVE, CKM.TLS_KDF, CKM.TLS_MAC} <= numbers
    expect(CKR.MECHANISM_INVALID, session.sign, Mechanism(CKM.SHA256_HMAC), master, b"data")
    session.sign(parameters.tls_mac(CKM.SHA256, 12, 1), master, b"handshake")
    for wrong in (
        {CKA.VALUE_LEN: 47}, {CKA.KEY_TYPE: CKK.AES}, {CKA.CLASS: CKO.PRIVATE_KEY},
        {CKA.ALLOWED_MECHANISMS: [CKM.SHA256_HMAC]}, {CKA.ALLOWED_MECHANISMS: []},
    ):  # fmt: skip
        expect(CKR.TEMPLATE_INCONSISTENT, session.derive, mechanism, key, wrong)
    safe = {CKA.ALLOWED_MECHANISMS: [CKM.TLS12_KEY_SAFE_DERIVE]}
    bound = session.derive(mechanism, base(session, b"agreed secret", DERIVE_TEMPLATE=safe), {})
    leaking = KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.SHA256, b"c", b"s", (0, 128, 128))
    expect(CKR.MECHANISM_INVALID, session.derive, leaking.mechanism, bound, {})


@pytest.mark.needs(CKM.TLS12_MASTER_KEY_DERIVE)
def test_master_key_of_a_version_needs_a_pre_master_key(session: Session) -> None:
    """48 bytes, from CKM_TLS_PRE_MASTER_KEY_GEN or imported; Diffie-Hellman has no version to give."""
    mechanism, version = parameters.tls_master(CKM.TLS12_MASTER_KEY_DERIVE, CKM.SHA256, b"c", b"s", versioned=True)
    expect(CKR.KEY_SIZE_RANGE, session.derive, mechanism, base(session, bytes(47)), {})
    for kind in (CKM.TLS_PRE_MASTER_KEY_GEN, CKM.SSL3_PRE_MASTER_KEY_GEN):
        premaster = session.generate(Mechanism(kind, b"\3\3"), {CKA.DERIVE: True, **_OPEN})
        assert (b"\3\3", 48) == (session.get(premaster, CKA.VALUE)[:2], session.number(premaster, CKA.VALUE_LEN))
        version.minor = 0
        session.derive(mechanism, premaster, {})
        assert (3, 3) == (version.major, version.minor)
        expect(_PARAMETER, session.generate, Mechanism(kind), {})
        expect(_LENGTH, session.generate, Mechanism(kind, b"\3\3"), {CKA.VALUE_LEN: 47})
    other, _ = parameters.tls_master(CKM.TLS12_MASTER_KEY_DERIVE_DH, CKM.SHA256, b"c", b"s", versioned=True)
    expect(_PARAMETER, session.derive, other, _master(session), {})
    unknown, _ = parameters.tls_master(CKM.TLS12_MASTER_KEY_DERIVE, CKM.TLS_PRF, b"c", b"s", versioned=True)
    expect(_PARAMETER, session.derive, unknown, _master(session), {})


@_needs_keys
def test_all_keys_are_protected_as_the_master_key_is(session: Session) -> None:
    """Attack: keys that can be read of a master key that cannot: CKR_TEMPLATE_INCONSISTENT, and none is made."""
    made = KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.SHA256, b"c", b"s", (256, 128, 128))
    closed = _master(session, SENSITIVE=True, EXTRACTABLE=False)
    before = len(session.find({}))
    for flag in (CKA.SENSITIVE, CKA.EXTRACTABLE):
        expect(CKR.TEMPLATE_INCONSISTENT, session.derive, made.mechanism, closed, {flag: _OPEN[flag]})
    assert (before, [2**40] * 4) == (len(session.find({})), made.handles())
    assert not any(made.ivs())
    session.derive(made.mechanism, closed, {CKA.KEY_TYPE: CKK.AES})
    for handle in made.handles():
        assert (True, False) == (session.flag(handle, CKA.SENSITIVE), session.flag(handle, CKA.EXTRACTABLE))
        expect(CKR.ATTRIBUTE_SENSITIVE, session.get, handle, CKA.VALUE)
    mac, _, key, _ = made.handles()
    uses = (CKA.SIGN, CKA.VERIFY, CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE)
    assert [True, True, False, False, False] == [session.flag(mac, use) for use in uses]
    assert [True] * 3 == [session.flag(key, use) for use in uses[2:]]
    assert (CKK.GENERIC_SECRET, CKK.AES) == (session.number(mac, CKA.KEY_TYPE), session.number(key, CKA.KEY_TYPE))


@_needs_keys
def test_key_material_needs_no_place_for_a_handle(session: Session) -> None:
    """PhKey may be NULL here, and nowhere else: CKR_ARGUMENTS_BAD; keys that are not wanted are no handles."""
    made = KeyMaterial(CKM.TLS12_KEY_SAFE_DERIVE, CKM.SHA256, b"c", b"s", (0, 128, 64))
    template, key = Template({CKA.KEY_TYPE: CKK.AES, CKA.TOKEN: False}), _master(session)
    arguments = (key, template.array, template.count, ffi.NULL)
    session.call("C_DeriveKey", made.mechanism.pointer, *arguments)
    macs, keys = made.handles()[:2], made.handles()[2:]
    assert [0, 0] == macs
    assert all(session.number(handle, CKA.VALUE_LEN) == 16 for handle in keys)
    assert not any(made.ivs())
    kdf = parameters.tls_kdf(CKM.SHA256, b"label", b"c", b"s")
    expect(CKR.ARGUMENTS_BAD, session.call, "C_DeriveKey", kdf.pointer, *arguments)


@_needs_keys
@pytest.mark.parametrize(
    ("bits", "options"),
    [
        ((256, 128, 128), {"export": True}),
        ((256, 128, 128), {"room": False}),
        ((255, 128, 128), {}),
        ((256, 127, 128), {}),
        ((256, 128, 12), {}),
        ((2**40, 128, 128), {}),
        ((256, 2**40, 0), {}),
        ((0, 0, 128), {}),
        ((256, 128, 1024), {}),
    ],
)
def test_sizes_that_no_cipher_suite_has_are_refused(
    session: Session, bits: tuple[int, int, int], options: dict[str, bool]
) -> None:
    """Export, IVs without room, no whole bytes, more than there ever is; IVs alone, which would be keys."""
    made = KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.SHA256, b"c", b"s", bits, **options)
    expect(_PARAMETER, session.derive, made.mechanism, _master(session), {})
    assert [2**40] * 4 == made.handles()


@_needs_keys
def test_template_has_the_length_of_the_parameter(session: Session) -> None:
    """CKA_VALUE_LEN, or a key type, with other lengths is refused."""
    made = KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.SHA256, b"c", b"s", (0, 128, 0))
    for wrong in ({CKA.VALUE_LEN: 32}, {CKA.KEY_TYPE: CKK.DES3}):
        expect(_LENGTH, session.derive, made.mechanism, _master(session), wrong)


@_needs_keys
def test_master_key_for_safe_keys_gives_no_ivs(session: Session) -> None:
    """Attack: IVs of a master key that allows CKM_TLS12_KEY_SAFE_DERIVE only."""
    key = _master(session, ALLOWED_MECHANISMS=[CKM.TLS12_KEY_SAFE_DERIVE])
    leaking = KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.SHA256, b"c", b"s", (0, 128, 128))
    expect(CKR.MECHANISM_INVALID, session.derive, leaking.mechanism, key, {})
    session.derive(KeyMaterial(CKM.TLS12_KEY_SAFE_DERIVE, CKM.SHA256, b"c", b"s", (0, 128, 128)).mechanism, key, {})


@pytest.mark.needs(CKM.TLS_KDF)
def test_exported_keys_are_protected_as_the_base_key_is(session: Session) -> None:
    """Attack: a key that can be read of one that cannot: it cannot either."""
    mechanism = parameters.tls_kdf(CKM.SHA256, b"label", b"c", b"s")
    key = _master(session, SENSITIVE=True, EXTRACTABLE=False)
    new = session.derive(mechanism, key, {CKA.VALUE_LEN: 16, **_OPEN})
    assert (True, False) == (session.flag(new, CKA.SENSITIVE), session.flag(new, CKA.EXTRACTABLE))
    expect(CKR.TEMPLATE_INCOMPLETE, session.derive, mechanism, key, {})


@pytest.mark.needs(CKM.TLS_MAC)
def test_finished_of_wrong_length_or_side_is_refused(session: Session) -> None:
    """At least 12 bytes, with TLS 1.0 exactly; server or client."""
    key = base(session, SIGN=True, VERIFY=True)
    for prf, size, side in (
        (CKM.SHA256, 11, 1), (CKM.SHA256, 0, 1), (CKM.SHA256, 2**40, 1), (CKM.TLS_PRF, 13, 1), (CKM.SHA256, 12, 0),
        (CKM.SHA256, 12, 3), (CKM.SHA256_HMAC, 12, 1),
    ):  # fmt: skip
        expect(_PARAMETER, session.sign, parameters.tls_mac(prf, size, side), key, b"handshake")
    mechanism = parameters.tls_mac(CKM.SHA256, 12, 1)
    good = session.sign(mechanism, key, b"handshake")
    expect(CKR.SIGNATURE_LEN_RANGE, session.verify, mechanism, key, b"handshake", good[:-1])
    expect(CKR.SIGNATURE_INVALID, session.verify, parameters.tls_mac(CKM.SHA256, 12, 2), key, b"handshake", good)


# IKE


@pytest.mark.needs(CKM.IKE_PRF_DERIVE)
def test_first_keys_of_ike_have_the_length_of_the_function(session: Session) -> None:
    """Another CKA_VALUE_LEN is CKR_KEY_SIZE_RANGE, both uses of the nonces CKR_ARGUMENTS_BAD."""
    key, gir = base(session), base(session, b"g^ir")
    mechanism = parameters.ike(CKM.SHA256_HMAC, b"i", b"r")
    expect(CKR.KEY_SIZE_RANGE, session.derive, mechanism, key, {CKA.VALUE_LEN: 33})
    expect((CKR.KEY_SIZE_RANGE, *_LENGTH), session.derive, mechanism, key, {CKA.VALUE_LEN: 31})
    both = parameters.ike(CKM.SHA256_HMAC, b"i", b"r", data_as_key=True, new=gir)
    expect(CKR.ARGUMENTS_BAD, session.derive, both, key, {})
    expect(_PARAMETER, session.derive, parameters.ike(CKM.SHA256, b"i", b"r"), key, {})
    aes_key = base(session, bytes(16), CKK.AES)
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, mechanism, aes_key, {})
    other = parameters.ike(CKM.SHA256_HMAC, b"i", b"r", new=aes_key)
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, other, key, {})


@pytest.mark.needs(CKM.IKE1_PRF_DERIVE)
def test_keys_of_ike_1_need_a_type_and_at_most_the_function(session: Session) -> None:
    """No CKA_KEY_TYPE is CKR_TEMPLATE_INCOMPLETE, a longer key CKR_KEY_SIZE_RANGE, another g^xy its type's code."""
    key, gxy = base(session), base(session, b"g^xy")
    mechanism = parameters.ike1(CKM.SHA256_HMAC, gxy, None, (b"i", b"r"), 0)
    expect(CKR.TEMPLATE_INCOMPLETE, session.derive, mechanism, key, {CKA.VALUE_LEN: 32})
    template = {CKA.KEY_TYPE: CKK.GENERIC_SECRET}
    expect(CKR.KEY_SIZE_RANGE, session.derive, mechanism, key, {**template, CKA.VALUE_LEN: 33})
    other = parameters.ike1(CKM.SHA256_HMAC, base(session, bytes(16), CKK.AES), None, (b"i", b"r"), 0)
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, other, key, template)
    may_not = parameters.ike1(CKM.SHA256_HMAC, gxy, base(session, DERIVE=False), (b"i", b"r"), 1)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.derive, may_not, key, template)


@pytest.mark.needs(CKM.IKE1_EXTENDED_DERIVE)
def test_base_key_is_not_read_through_its_beginning(session: Session) -> None:
    """Attack: the beginning of a key that cannot be read, as a key that can; or so short that it is guessed."""
    key = base(session, bytes(20), SENSITIVE=True, EXTRACTABLE=False)
    mechanism = parameters.ike1_extended(CKM.SHA_1_HMAC)
    new = session.derive(mechanism, key, {CKA.VALUE_LEN: 16, CKA.PRIVATE: False, **_OPEN})
    assert (True, False) == (session.flag(new, CKA.SENSITIVE), session.flag(new, CKA.EXTRACTABLE))
    assert session.flag(new, CKA.PRIVATE)
    for size in (1, 2, 8, 13):
        expect(CKR.KEY_SIZE_RANGE, session.derive, mechanism, key, {CKA.VALUE_LEN: size})
    expect(CKR.KEY_SIZE_RANGE, session.derive, mechanism, base(session, bytes(15)), {CKA.VALUE_LEN: 16})


@pytest.mark.needs(CKM.IKE1_EXTENDED_DERIVE, CKM.IKE2_PRF_PLUS_DERIVE)
def test_long_keys_of_ike_have_at_most_255_outputs(session: Session) -> None:
    """More is CKR_KEY_SIZE_RANGE; a length must be said."""
    key = base(session)
    for mechanism in (parameters.ike1_extended(CKM.SHA_1_HMAC), parameters.ike2_plus(CKM.SHA_1_HMAC, b"seed")):
        session.derive(mechanism, key, {CKA.VALUE_LEN: 255 * 20})
        expect(CKR.KEY_SIZE_RANGE, session.derive, mechanism, key, {CKA.VALUE_LEN: 255 * 20 + 1})
        expect(CKR.TEMPLATE_INCOMPLETE, session.derive, mechanism, key, {})


# Public keys of private ones


@_needs_public
@pytest.mark.needs(CKM.EC_KEY_PAIR_GEN, CKM.ECDSA)
def test_public_key_of_a_private_one_verifies(session: Session) -> None:
    """It is the public key of the pair, though the private one neither derives nor can be read."""
    public, private = generate_ec(session, None, {CKA.DERIVE: False, CKA.SIGN: True, CKA.ID: b"id", **_CLOSED})
    new = session.derive(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY), private, {})
    same = (CKA.CLASS, CKA.KEY_TYPE, CKA.EC_PARAMS, CKA.EC_POINT, CKA.PUBLIC_KEY_INFO)
    assert [session.get(public, kind) for kind in same] == [session.get(new, kind) for kind in same]
    mechanism = Mechanism(CKM.ECDSA)
    session.verify(mechanism, new, bytes(32), session.sign(mechanism, private, bytes(32)))
    origin = session.number(private, CKA.KEY_GEN_MECHANISM)
    assert (b"id", False, False, origin) == (
        session.get(new, CKA.ID), session.flag(new, CKA.TOKEN), session.flag(new, CKA.LOCAL),
        session.number(new, CKA.KEY_GEN_MECHANISM),
    )  # fmt: skip


_ED25519, _X25519 = (bytes.fromhex(oid) for oid in ("06032b6570", "06032b656e"))


@_needs_public
@pytest.mark.parametrize(
    ("template", "kind"),
    [
        pytest.param(template, getattr(CKM, name), id=name, marks=pytest.mark.needs(getattr(CKM, name)))
        for name, template in (
            ("RSA_PKCS_KEY_PAIR_GEN", {CKA.MODULUS_BITS: 1024}),
            ("EC_EDWARDS_KEY_PAIR_GEN", {CKA.EC_PARAMS: _ED25519}),
            ("EC_MONTGOMERY_KEY_PAIR_GEN", {CKA.EC_PARAMS: _X25519}),
            ("ML_DSA_KEY_PAIR_GEN", {CKA.PARAMETER_SET: CKP.ML_DSA_44}),
            ("ML_KEM_KEY_PAIR_GEN", {CKA.PARAMETER_SET: CKP.ML_KEM_768}),
            ("DSA_KEY_PAIR_GEN", _SUBGROUP),
            ("DH_PKCS_KEY_PAIR_GEN", _DH),
        )
    ],
)
def test_each_type_has_public_keys_of_private_ones(session: Session, template: dict[int, Any], kind: int) -> None:
    """The material is that of the pair's public key."""
    public, private = session.generate_pair(Mechanism(kind), template, {CKA.TOKEN: False})
    new = session.derive(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY), private, {})
    shown = (CKA.KEY_TYPE, CKA.PUBLIC_KEY_INFO, *template)
    assert [session.get(public, each) for each in shown] == [session.get(new, each) for each in shown]
    for each in (CKA.VALUE, CKA.MODULUS, CKA.EC_POINT):
        assert _maybe(session, public, each) == _maybe(session, new, each)


def _maybe(session: Session, handle: int, kind: int) -> bytes | None:
    try:
        return session.get(handle, kind)
    except Refused:
        return None


@_needs_public
def test_public_key_may_do_what_the_private_one_may(session: Session) -> None:
    """Usage, dates and name follow the private key's, unless the template says them."""
    uses = {CKA.DECRYPT: False, CKA.SIGN: True, CKA.UNWRAP: True, CKA.SUBJECT: b"0\0"}
    _, private = import_rsa(session, private_rsa(), None, uses)
    new = session.derive(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY), private, {CKA.WRAP: False, CKA.LABEL: "mine"})
    flags = (CKA.ENCRYPT, CKA.VERIFY, CKA.WRAP)
    assert [False, True, False] == [session.flag(new, flag) for flag in flags]
    assert (b"mine", b"0\0") == (session.get(new, CKA.LABEL), session.get(new, CKA.SUBJECT))
    modulus = private_rsa().public_key().public_numbers().n
    assert modulus == int.from_bytes(session.get(new, CKA.MODULUS), "big")


@_needs_public
def test_public_key_that_is_another_is_refused(session: Session) -> None:
    """Class, type and material are the private key's; there is no parameter; secret keys have no public one."""
    mechanism = Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY)
    _, private = generate_ec(session, None, {CKA.SIGN: True})
    for wrong in (
        {CKA.CLASS: CKO.PRIVATE_KEY}, {CKA.KEY_TYPE: CKK.RSA}, {CKA.EC_PARAMS: bytes.fromhex("06052b81040022")},
    ):  # fmt: skip
        expect(CKR.TEMPLATE_INCONSISTENT, session.derive, mechanism, private, wrong)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.derive, mechanism, private, {CKA.TRUSTED: True})
    expect(_PARAMETER, session.derive, Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY, b"x"), private, {})
    expect(CKR.KEY_TYPE_INCONSISTENT, session.derive, mechanism, base(session), {})


@_needs_public
def test_allowed_mechanisms_hold_for_the_public_key_too(session: Session) -> None:
    """A private key with other allowed mechanisms gives none; one that allows it hands the list on."""
    for allowed, ok in (([CKM.ECDSA], False), ([CKM.ECDSA, CKM.PUB_KEY_FROM_PRIV_KEY], True)):
        _, private = generate_ec(session, None, {CKA.SIGN: True, CKA.ALLOWED_MECHANISMS: allowed})
        mechanism = Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY)
        if ok:
            new = session.derive(mechanism, private, {})
            assert session.get(private, CKA.ALLOWED_MECHANISMS) == session.get(new, CKA.ALLOWED_MECHANISMS)
        else:
            expect(CKR.MECHANISM_INVALID, session.derive, mechanism, private, {})

"""What a token says of itself as objects: profiles, mechanisms, its clock and counter, and what it has none of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from administration import Administration, administered
from conformance.cryptoki import Refused, Session, expect
from conformance.derivations import hkdf
from conformance.parameters import Mechanism
from modules import Module

from ptkc.spec.constants import CKA, CKH, CKK, CKM, CKO, CKP, CKR

_PROFILES = {
    CKP.BASELINE_PROVIDER, CKP.EXTENDED_PROVIDER, CKP.AUTHENTICATION_TOKEN, CKP.PUBLIC_CERTIFICATES_TOKEN,
    CKP.HKDF_TLS_TOKEN,
}  # fmt: skip
_BUILT_IN = (CKO.PROFILE, CKO.MECHANISM, CKO.VALIDATION, CKO.HW_FEATURE)


@pytest.fixture
def hsm(module: Module, tmp_path: Path) -> Iterator[Administration]:
    """Give an HSM whose Admin token is initialised."""
    with administered(module, tmp_path) as administration:
        yield administration


@pytest.fixture
def session(hsm: Administration) -> Session:
    """Give a session of the user."""
    return hsm.user()


def _named(session: Session, object_class: int, kind: int) -> set[int]:
    """Return what a number attribute of all objects of a class is."""
    return {session.number(handle, kind) for handle in session.find({CKA.CLASS: object_class})}


def test_every_initialised_token_shows_its_profiles_to_everybody(hsm: Administration) -> None:
    """User and Admin token, without login, in a read-only session: the same five, one object each."""
    hsm.user().close()
    for slot in hsm.cryptoki.slots():
        reader = hsm.cryptoki.open_read_only(slot)
        assert len(_PROFILES) == len(reader.find({CKA.CLASS: CKO.PROFILE}))
        assert _PROFILES == _named(reader, CKO.PROFILE, CKA.PROFILE_ID)
        (one,) = reader.find({CKA.CLASS: CKO.PROFILE, CKA.PROFILE_ID: CKP.EXTENDED_PROVIDER, CKA.TOKEN: True})
        assert [one] == reader.find({CKA.CLASS: CKO.PROFILE, CKA.UNIQUE_ID: reader.get(one, CKA.UNIQUE_ID)})


def test_what_lists_everything_does_not_meet_them(session: Session) -> None:
    """As the test case of the Baseline Provider has it: an empty token has no object with CKA_TOKEN."""
    for template in ({}, {CKA.TOKEN: True}, {CKA.PRIVATE: False}, {CKA.PROFILE_ID: CKP.BASELINE_PROVIDER}):
        assert [] == session.find(template)


def test_built_in_objects_have_ids_of_their_own(session: Session) -> None:
    """CKA_UNIQUE_ID is another one for each object that a session sees."""
    found = [handle for number in _BUILT_IN for handle in session.find({CKA.CLASS: number})]
    assert len(found) == len({session.get(handle, CKA.UNIQUE_ID) for handle in found}) > len(_PROFILES)


def test_built_in_objects_are_read_only(session: Session) -> None:
    """They are not changed, copied, destroyed or used: CKR_ACTION_PROHIBITED, and they are no keys."""
    for number in (CKO.PROFILE, CKO.MECHANISM):
        handle = session.find({CKA.CLASS: number})[0]
        for refused, more in ((session.set, ({CKA.LABEL: "mine"},)), (session.copy, ({},)), (session.destroy, ())):
            expect(CKR.ACTION_PROHIBITED, refused, handle, *more)
        flags = CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE
        assert [True, False, False, False, False] == [session.flag(handle, kind) for kind in flags]
        expect(CKR.KEY_TYPE_INCONSISTENT, session.init, "Sign", Mechanism(CKM.SHA256_HMAC), handle)
        assert session.size(handle) > 0


@pytest.mark.parametrize("number", _BUILT_IN)
def test_built_in_objects_are_not_created(session: Session, number: int) -> None:
    """Only storage objects are (specification 4.1.1): CKR_ATTRIBUTE_VALUE_INVALID for the class, none is there."""
    before = session.find({CKA.CLASS: number})
    for token in (False, True):
        expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, {CKA.CLASS: number, CKA.TOKEN: token})
    assert before == session.find({CKA.CLASS: number})


def test_there_is_no_validation(session: Session) -> None:
    """Nobody validated the module, so it says of no validation; one-time-password keys it does not have either."""
    assert [] == session.find({CKA.CLASS: CKO.VALIDATION})
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, {CKA.CLASS: CKO.OTP_KEY, CKA.KEY_TYPE: CKK.SECURID})


def test_mechanism_objects_are_those_of_the_mechanism_list(hsm: Administration, session: Session) -> None:
    """One object for each number of C_GetMechanismList, under each set of security flags."""
    for letters in ("0", "w"):
        hsm.set_mode(letters)
        listed = hsm.cryptoki.items("C_GetMechanismList", 0)
        assert set(listed) == _named(session, CKO.MECHANISM, CKA.MECHANISM_TYPE)
        assert len(listed) == len(session.find({CKA.CLASS: CKO.MECHANISM}))
    (weak,) = session.find({CKA.CLASS: CKO.MECHANISM, CKA.MECHANISM_TYPE: CKM.CONCATENATE_BASE_AND_KEY})
    hsm.set_mode("0")
    expect(CKR.OBJECT_HANDLE_INVALID, session.get, weak, CKA.MECHANISM_TYPE)


def test_a_profile_is_claimed_as_long_as_it_is_true(hsm: Administration, session: Session) -> None:
    """FIPS Algorithms Only hides CKM_HKDF_DATA, and with it the profile that needs it."""
    hsm.set_mode("a")
    assert _PROFILES - {CKP.HKDF_TLS_TOKEN} == _named(session, CKO.PROFILE, CKA.PROFILE_ID)


@pytest.mark.parametrize("label", [b"tls iv", b"tls quic iv"])
@pytest.mark.parametrize("length", [8, 12, 256])
def test_the_hkdf_tls_profile_holds(session: Session, label: bytes, length: int) -> None:
    """CKM_HKDF_DATA takes the info of both labels, with the length in front, as the profile demands."""
    base = session.create(
        {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.HKDF, CKA.VALUE: bytes(range(32)), CKA.DERIVE: True}
    )
    info = length.to_bytes(2, "big") + label + b"\0"
    mechanism = hkdf(CKM.SHA256, extract=False, info=info, kind=CKM.HKDF_DATA)
    made = session.derive(mechanism, base, {CKA.CLASS: CKO.DATA, CKA.VALUE_LEN: length})
    assert length == len(session.get(made, CKA.VALUE))


def test_user_tokens_have_the_clock_of_their_token_info_and_a_counter(session: Session) -> None:
    """Both are read by anybody; the counter never gives a number twice, the clock is CK_TOKEN_INFO's."""
    (clock,) = session.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.CLOCK})
    (counter,) = session.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.MONOTONIC_COUNTER})
    text = session.get(clock, CKA.VALUE)
    assert time.strftime("%Y%m%d", time.gmtime()).encode() == text[:8]
    assert text[:12] <= bytes(session.cryptoki.token(0).utcTime)[:12]
    values = [int.from_bytes(session.get(counter, CKA.VALUE), "big") for _ in range(3)]
    assert sorted(set(values)) == values
    assert not session.flag(counter, CKA.RESET_ON_INIT)


def test_the_clock_is_for_the_administrator_to_set(hsm: Administration, session: Session) -> None:
    """On another token it is CKR_USER_NOT_LOGGED_IN, which says that another user is needed (specification 4.3.3)."""
    (clock,) = session.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.CLOCK})
    expect(CKR.USER_NOT_LOGGED_IN, session.set, clock, {CKA.VALUE: b"2031010100000000"})
    expect(CKR.ACTION_PROHIBITED, session.destroy, clock)
    administrator = hsm.administrator()
    (same,) = administrator.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.CLOCK})
    administrator.set(same, {CKA.VALUE: b"2031010100000000"})
    assert session.get(clock, CKA.VALUE).startswith(b"2031010100")


def test_a_hot_search_is_no_slower_for_them(session: Session) -> None:
    """A search that names no class of theirs makes none of them: their module is not asked."""
    from ptkc.hsm import profiles  # noqa: PLC0415 - the module of the shared object in this process

    asked = []
    original = profiles.features_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "features_of", lambda *given: asked.append(given) or original(*given))
        for template in ({}, {CKA.CLASS: CKO.PRIVATE_KEY, CKA.ID: b"1"}, {CKA.LABEL: "x"}):
            session.find(template)
    assert [] == asked


# Trust objects (specification 4.15)

_TRUST = {CKA.CLASS: CKO.TRUST, CKA.ISSUER: b"0\0", CKA.SERIAL_NUMBER: b"\2\1\1"}
_HASHED = {CKA.HASH_OF_CERTIFICATE: bytes(32), CKA.NAME_HASH_ALGORITHM: CKM.SHA256}


def test_a_trust_object_is_public_and_knows_nothing_by_default(session: Session) -> None:
    """CKA_PRIVATE is false, CKA_MODIFIABLE true, what was not said unknown; it is found by its certificate."""
    handle = session.create({**_TRUST, **_HASHED, CKA.TRUST_SERVER_AUTH: 2, CKA.TRUST_CODE_SIGNING: 3, CKA.TOKEN: True})
    assert (False, True) == (session.flag(handle, CKA.PRIVATE), session.flag(handle, CKA.MODIFIABLE))
    kinds = CKA.TRUST_SERVER_AUTH, CKA.TRUST_CODE_SIGNING, CKA.TRUST_CLIENT_AUTH, CKA.TRUST_OCSP_SIGNING
    assert [2, 3, 0, 0] == [session.number(handle, kind) for kind in kinds]
    assert [handle] == session.find(_TRUST)
    session.set(handle, {CKA.TRUST_CLIENT_AUTH: 4, CKA.LABEL: "changed"})
    assert 4 == session.number(handle, CKA.TRUST_CLIENT_AUTH)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.set, handle, {CKA.ISSUER: b"0\0"})


def test_trust_needs_the_certificates_hash(session: Session) -> None:
    """Where anything is trusted: CKR_TEMPLATE_INCOMPLETE without hash or algorithm; unknown and distrust need none."""
    for missing in _HASHED:
        template = {**_TRUST, **_HASHED, CKA.TRUST_OCSP_SIGNING: 1}
        del template[missing]
        expect(CKR.TEMPLATE_INCOMPLETE, session.create, template)
    handle = session.create({**_TRUST, CKA.TRUST_SERVER_AUTH: 3})
    for change in (session.set, session.copy):
        expect(CKR.TEMPLATE_INCONSISTENT, change, handle, {CKA.TRUST_SERVER_AUTH: 1})
    session.set(handle, {CKA.TRUST_SERVER_AUTH: 1, **_HASHED})


def test_trust_objects_are_well_formed(session: Session) -> None:
    """Issuer and serial number must be said, and there are five kinds of trust."""
    for missing in (CKA.ISSUER, CKA.SERIAL_NUMBER):
        expect(CKR.TEMPLATE_INCOMPLETE, session.create, {kind: v for kind, v in _TRUST.items() if kind != missing})
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, {**_TRUST, **_HASHED, CKA.TRUST_SERVER_AUTH: 5})
    expect(CKR.TEMPLATE_INCONSISTENT, session.create, {**_TRUST, CKA.SUBJECT: b"0\0"})


# Certificates of other types (specification 4.6)


def test_an_attribute_certificate_is_kept_and_found(session: Session) -> None:
    """Owner and value must be said; issuer, serial number and types change afterwards; the checksum is computed."""
    from hashlib import sha1  # noqa: PLC0415 - beside its one use

    template = {CKA.CLASS: CKO.CERTIFICATE, CKA.CERTIFICATE_TYPE: 1, CKA.OWNER: b"0\0", CKA.VALUE: b"0\3\2\1\5"}
    handle = session.create({**template, CKA.TOKEN: True, CKA.ATTR_TYPES: b"0\0"})
    assert sha1(b"0\3\2\1\5").digest()[:3] == session.get(handle, CKA.CHECK_VALUE)  # noqa: S324 - the specification's
    assert b"" == session.get(handle, CKA.AC_ISSUER)
    session.set(handle, {CKA.AC_ISSUER: b"0\0", CKA.SERIAL_NUMBER: b"\2\1\7", CKA.ATTR_TYPES: b"0\2\6\0"})
    assert [handle] == session.find({CKA.CERTIFICATE_TYPE: 1, CKA.SERIAL_NUMBER: b"\2\1\7"})
    for kind in (CKA.OWNER, CKA.VALUE):
        expect(CKR.ATTRIBUTE_READ_ONLY, session.set, handle, {kind: b"0\0"})
        expect(CKR.TEMPLATE_INCOMPLETE, session.create, {k: v for k, v in template.items() if k != kind})
    expect(CKR.TEMPLATE_INCONSISTENT, session.create, {**template, CKA.SUBJECT: b"0\0"})


def test_wtls_certificates_are_refused(session: Session) -> None:
    """There are none: CKR_ATTRIBUTE_VALUE_INVALID for their type."""
    template = {CKA.CLASS: CKO.CERTIFICATE, CKA.CERTIFICATE_TYPE: 2, CKA.SUBJECT: b"s", CKA.VALUE: b"v"}
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, template)


# CKA_UNIQUE_ID and CKA_PUBLIC_CRC64_VALUE

_PAIRS = [
    (CKM.RSA_PKCS_KEY_PAIR_GEN, {CKA.MODULUS_BITS: 2048}),
    (CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}),
    (CKM.EC_EDWARDS_KEY_PAIR_GEN, {CKA.EC_PARAMS: bytes.fromhex("06032b6570")}),
    (CKM.EC_MONTGOMERY_KEY_PAIR_GEN, {CKA.EC_PARAMS: bytes.fromhex("06032b656e")}),
    (CKM.ML_DSA_KEY_PAIR_GEN, {CKA.PARAMETER_SET: CKP.ML_DSA_44}),
    (CKM.ML_KEM_KEY_PAIR_GEN, {CKA.PARAMETER_SET: CKP.ML_KEM_768}),
]


@pytest.mark.parametrize(("number", "public"), _PAIRS)
def test_both_keys_of_a_pair_have_one_checksum(session: Session, number: int, public: dict[int, object]) -> None:
    """It is there after generation and the same; a template may say it only where it is right."""
    one, two = session.generate_pair(Mechanism(number), {**public, CKA.TOKEN: True}, {})
    checksum = session.get(one, CKA.PUBLIC_CRC64_VALUE)
    assert (8, checksum) == (len(checksum), session.get(two, CKA.PUBLIC_CRC64_VALUE))
    wanted = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.PUBLIC_CRC64_VALUE: checksum}
    assert [one] == session.find(wanted)
    kinds = [CKA.KEY_TYPE, *public]
    kinds = [kind for kind in kinds if kind != CKA.MODULUS_BITS]
    for kind in (CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_POINT, CKA.VALUE):
        try:
            session.get(one, kind)
        except Refused:
            continue
        kinds.append(kind)
    template = {CKA.CLASS: CKO.PUBLIC_KEY, **{kind: session.get(one, kind) for kind in kinds}}
    assert checksum == session.get(session.create(template), CKA.PUBLIC_CRC64_VALUE)
    session.create({**template, CKA.PUBLIC_CRC64_VALUE: checksum})
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, {**template, CKA.PUBLIC_CRC64_VALUE: bytes(8)})
    said = {**public, CKA.PUBLIC_CRC64_VALUE: checksum}
    expect(CKR.ATTRIBUTE_READ_ONLY, session.generate_pair, Mechanism(number), said, {})


def test_the_checksum_is_the_crc_of_ecma_182() -> None:
    """The check value of the published catalogue of CRCs: of the digits 1 to 9."""
    from ptkc.objects.checksum import crc64  # noqa: PLC0415 - beside its one use

    assert "6c40df5f0b497347" == crc64(b"123456789").hex()


def test_nobody_chooses_a_unique_id(session: Session) -> None:
    """CKR_ATTRIBUTE_READ_ONLY wherever a template says it; a copy has another one."""
    data = {CKA.CLASS: CKO.DATA}
    handle, said = session.create(data), {CKA.UNIQUE_ID: "mine"}
    expect(CKR.ATTRIBUTE_READ_ONLY, session.create, {**data, **said})
    expect(CKR.ATTRIBUTE_READ_ONLY, session.set, handle, said)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.copy, handle, said)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.generate, Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 16, **said})
    ids = {session.get(each, CKA.UNIQUE_ID) for each in (handle, session.copy(handle, {}), session.create(data))}
    assert 3 == len(ids)
    assert [handle] == session.find({CKA.UNIQUE_ID: session.get(handle, CKA.UNIQUE_ID)})

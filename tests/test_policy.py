"""Security flags: the table, the sets that cannot be, and what each flag changes, through the shared object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from administration import ADMIN_PIN, SO_PIN, USER_PIN, Administration, adapter, administered
from conformance.child import run
from conformance.cryptoki import Cryptoki, expect
from conformance.parameters import Mechanism, ctr, oaep, rsa_aes
from modules import Module

from ptkc.hsm import policy
from ptkc.spec.constants import CKA, CKF, CKH, CKK, CKM, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, ulong
from ptkc.token.events import Event, unpack
from ptkc.wire.commands import COMMANDS

_WEAK = {
    CKM.CONCATENATE_BASE_AND_KEY, CKM.CONCATENATE_BASE_AND_DATA, CKM.CONCATENATE_DATA_AND_BASE,
    CKM.EXTRACT_KEY_FROM_KEY,
}  # fmt: skip
_AES = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: bytes(16), CKA.ENCRYPT: True}
# P-256 as explicit parameters: openssl ecparam -name prime256v1 -param_enc explicit
_EXPLICIT = bytes.fromhex(
    "3081f7020101302c06072a8648ce3d0101022100ffffffff00000001000000000000000000000000ffffffffffffffffffffffff305b"
    "0420ffffffff00000001000000000000000000000000fffffffffffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d"
    "06b0cc53b0f63bce3c3e27d2604b031500c49d360886e704936a6678e1139d26b7819f7e900441046b17d1f2e12c4247f8bce6e563a4"
    "40f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5022100ff"
    "ffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551020101"
)
_PUBLIC = {**_AES, CKA.PRIVATE: False}


@pytest.fixture
def hsm(module: Module, tmp_path: Path) -> Iterator[Administration]:
    """Give an HSM whose Admin token is initialised."""
    with administered(module, tmp_path) as administration:
        yield administration


def mechanisms(hsm: Administration) -> set[int]:
    """Return what C_GetMechanismList of slot 0 names."""
    return set(hsm.cryptoki.items("C_GetMechanismList", 0))


# The table


def test_letters_and_bits_are_the_originals() -> None:
    """Each letter has the bit of the vendor's header."""
    known = {
        "u": 0x4, "d": 0x400, "b": 0x20000, "e": 0x1, "a": 0x40, "N": 0x80, "U": 0x100, "i": 0x20, "l": 0x10000000,
        "n": 0x2, "c": 0x8, "p": 0x200, "t": 0x10, "E": 0x800, "w": 0x10000,
    }  # fmt: skip
    assert known == {flag.letter: flag.bit for flag in policy.FLAGS}


def test_letters_are_read_and_written() -> None:
    """`tb` and back, `0` is none, `F` is a c i n t u; a letter that is none is named."""
    assert (0x20010, "bt", 0, "0") == (
        policy.mode_of("tb"),
        policy.letters_of(0x20010),
        policy.mode_of("0"),
        policy.letters_of(0),
    )
    assert 0x7E == policy.mode_of("F")
    with pytest.raises(ValueError, match="x"):
        policy.mode_of("tx")


def test_every_flag_is_documented() -> None:
    """docs/security-flags.md has a row for each letter, bit and name."""
    text = (Path(__file__).parents[1] / "docs" / "security-flags.md").read_text(encoding="utf-8")
    assert [] == [flag for flag in policy.FLAGS if f"| `{flag.letter}` | {flag.bit:#x} | {flag.name} |" not in text]


@pytest.mark.parametrize("letters", ["pi", "pc", "pa", "wa", "pn"])
@pytest.mark.parametrize("has_identity", [False, True])
def test_sets_that_cannot_be(letters: str, *, has_identity: bool) -> None:
    """Flags that exclude each other: CKR_SECURITY_FLAGS_INCOMPATIBLE with a reason."""
    with pytest.raises(CryptokiError) as refused:
        policy.check_mode(0, policy.mode_of(letters), has_identity=has_identity)
    assert (CKR.SECURITY_FLAGS_INCOMPATIBLE, True) == (refused.value.code, bool(refused.value.message))


@pytest.mark.parametrize("letters", ["n", "u", "N", "U", "NU", "F"])
def test_secure_messaging_needs_an_identity(letters: str) -> None:
    """Without a valid PIC CKR_SECURITY_FLAGS_INCOMPATIBLE, with one the flags may be set."""
    with pytest.raises(CryptokiError, match="needs secure messaging, and so a valid PIC") as refused:
        policy.check_mode(0, policy.mode_of(letters), has_identity=False)
    assert CKR.SECURITY_FLAGS_INCOMPATIBLE == refused.value.code
    policy.check_mode(0, policy.mode_of(letters), has_identity=True)


@pytest.mark.parametrize("letters", ["n", "i", "F"])
def test_new_keys_are_sensitive(letters: str) -> None:
    """Under No Clear PINs and Increased Security: CKR_TEMPLATE_INCONSISTENT for CKA_SENSITIVE false of a secret."""
    for object_class in (CKO.SECRET_KEY, CKO.PRIVATE_KEY):
        key = {CKA.CLASS: ulong(object_class), CKA.SENSITIVE: FALSE, CKA.PRIVATE: TRUE, CKA.EXTRACTABLE: TRUE}
        with pytest.raises(CryptokiError) as refused:
            policy.check_template(policy.mode_of(letters), key)
        assert CKR.TEMPLATE_INCONSISTENT == refused.value.code
        policy.check_template(policy.mode_of(letters), {**key, CKA.SENSITIVE: TRUE})
    policy.check_template(policy.mode_of(letters), {CKA.CLASS: ulong(CKO.DATA), CKA.SENSITIVE: FALSE})


def test_only_increased_security_wants_extractable_keys_private() -> None:
    """No Clear PINs says nothing of that."""
    key = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.SENSITIVE: TRUE, CKA.PRIVATE: FALSE, CKA.EXTRACTABLE: TRUE}
    policy.check_template(policy.mode_of("n"), key)
    with pytest.raises(CryptokiError):
        policy.check_template(policy.mode_of("i"), key)


def test_protection_that_flags_want() -> None:
    """What all requests need, sensitive ones need too; other flags want nothing."""
    wanted = [policy.protection(policy.mode_of(each)) for each in ("lac", "n", "u", "N", "U", "NU")]
    assert [0, 1, 4, 11, 20, 31] == wanted


def test_sensitive_requests_are_those_with_pins_and_key_values() -> None:
    """What No Clear PINs encrypts, by the command table."""
    assert {
        "C_InitToken", "C_InitPIN", "C_SetPIN", "C_Login", "C_LoginUser", "C_CreateObject", "C_GenerateKey",
        "C_UnwrapKey", "C_DeriveKey", "C_SeedRandom", "CT_InitToken", "CT_InitPIN", "CT_ResetToken",
    } == {command.name for command in COMMANDS if command.sensitive}  # fmt: skip


@pytest.mark.parametrize("mode", [CKF.RESTRICT_KEY_USAGE, 0x2000, 1 << 40])
def test_bits_that_are_no_flag_are_refused(mode: int) -> None:
    """Unknown bits, and the one whose letter nobody knows."""
    with pytest.raises(CryptokiError) as refused:
        policy.check_mode(0, mode, has_identity=True)
    assert CKR.SECURITY_FLAGS_INCOMPATIBLE == refused.value.code


@pytest.mark.parametrize("letters", ["0", "p", "w", "pw", "acite", "bdE", "l", "cli", "pdEbtel"])
def test_sets_that_can_be(letters: str) -> None:
    """Everything else is let be."""
    policy.check_mode(0, policy.mode_of(letters), has_identity=False)


def test_even_parity_needs_its_flag() -> None:
    """A DES key with a byte of even parity is CKR_ET_NOT_ODD_PARITY without `d`."""
    odd, even = ({CKA.KEY_TYPE: ulong(CKK.DES3), CKA.VALUE: bytes([byte]) * 24} for byte in (1, 3))
    policy.check_material(0, odd)
    policy.check_material(CKF.DES_EVEN_PARITY_ALLOWED, even)
    with pytest.raises(CryptokiError) as refused:
        policy.check_material(0, even)
    assert CKR.ET_NOT_ODD_PARITY == refused.value.code


# Who sets them


def test_a_new_hsm_is_in_default_mode(hsm: Administration) -> None:
    """CKA_SECURITY_MODE is 0."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    assert 0 == session.number(adapter(session), CKA.SECURITY_MODE)


def test_only_the_administrator_sets_flags(hsm: Administration) -> None:
    """The public and the ASO are CKR_USER_NOT_LOGGED_IN, a read-only session CKR_SESSION_READ_ONLY."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    expect(CKR.USER_NOT_LOGGED_IN, session.set, adapter(session), {CKA.SECURITY_MODE: 0x10})
    session.login("aso-12345678", CKU.SO)
    expect(CKR.USER_NOT_LOGGED_IN, session.set, adapter(session), {CKA.SECURITY_MODE: 0x10})
    session.close()
    session = hsm.cryptoki.open_read_only(hsm.admin_slot)
    session.login(ADMIN_PIN)
    expect(CKR.SESSION_READ_ONLY, session.set, adapter(session), {CKA.SECURITY_MODE: 0x10})
    assert 0 == session.number(adapter(session), CKA.SECURITY_MODE)


def test_a_new_set_replaces_the_old_one(hsm: Administration) -> None:
    """`-ft`, then `-fb`: only `b` is set; it lasts over C_Finalize."""
    hsm.set_mode("t")
    hsm.set_mode("b")
    hsm.cryptoki.finalize()
    hsm.cryptoki.initialize()
    session = hsm.cryptoki.open(hsm.admin_slot)
    assert CKF.PCI_HSM_AUDIT == session.number(adapter(session), CKA.SECURITY_MODE)


@pytest.mark.parametrize("letters", ["n", "u", "N", "U", "F", "pc"])
def test_a_refused_set_changes_nothing(hsm: Administration, letters: str) -> None:
    """CKR_SECURITY_FLAGS_INCOMPATIBLE, and the former set stays."""
    hsm.set_mode("t")
    expect(CKR.SECURITY_FLAGS_INCOMPATIBLE, hsm.set_mode, letters)
    session = hsm.cryptoki.open(hsm.admin_slot)
    assert CKF.TAMPER_BEFORE_UPGRADE == session.number(adapter(session), CKA.SECURITY_MODE)


def test_a_locked_mode_stays_until_a_tamper(hsm: Administration) -> None:
    """Under `l` a change is CKR_ACTION_PROHIBITED, the same set is none; a tamper brings Default Mode back."""
    hsm.set_mode("lt")
    expect(CKR.ACTION_PROHIBITED, hsm.set_mode, "l")
    expect(CKR.ACTION_PROHIBITED, hsm.set_mode, "0")
    hsm.set_mode("lt")
    session = hsm.administrator()
    session.set(adapter(session), {CKA.TAMPER_CMD: True})
    expect(CKR.DEVICE_RESET, session.info)
    hsm = Administration(hsm.cryptoki)
    session = hsm.cryptoki.open(hsm.admin_slot)
    assert 0 == session.number(adapter(session), CKA.SECURITY_MODE)


# Mechanisms


def test_default_mode_hides_weak_mechanisms(hsm: Administration) -> None:
    """They are not listed, have no info, and cannot be used; `p` and `w` show them."""
    session = hsm.user()
    key = session.create({**_AES, CKA.DERIVE: True})
    extract = Mechanism(CKM.EXTRACT_KEY_FROM_KEY, bytes(8))
    new = {CKA.VALUE_LEN: 2, CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
    assert set() == _WEAK & mechanisms(hsm)
    expect(
        CKR.MECHANISM_INVALID, hsm.cryptoki.info, "C_GetMechanismInfo", "CK_MECHANISM_INFO", 0, CKM.EXTRACT_KEY_FROM_KEY
    )
    expect(CKR.MECHANISM_INVALID, session.derive, extract, key, new)
    for letter in "pw":
        hsm.set_mode(letter)
        assert mechanisms(hsm) >= _WEAK
        session.derive(extract, key, new)
        hsm.set_mode("0")
        expect(CKR.MECHANISM_INVALID, session.derive, extract, key, new)


def test_fips_algorithms_only(hsm: Administration) -> None:
    """Other mechanisms go from the list and from keys that have used them; they come back when the flag goes."""
    session = hsm.user()
    key = session.create(_AES)
    assert 16 == len(session.encrypt(ctr(bytes(16)), key, bytes(16)))
    hsm.set_mode("a")
    assert not {CKM.AES_CTR, CKM.SHA512_224, CKM.EDDSA} & mechanisms(hsm)
    assert {CKM.AES_CBC, CKM.SHA256, CKM.ECDSA, CKM.RSA_PKCS_OAEP} <= mechanisms(hsm)
    expect(CKR.MECHANISM_INVALID, session.encrypt, ctr(bytes(16)), key, bytes(16))
    expect(CKR.MECHANISM_INVALID, session.digest, Mechanism(CKM.SHA512_224), b"")
    session.encrypt(Mechanism(CKM.AES_ECB), key, bytes(16))
    hsm.set_mode("0")
    session.encrypt(ctr(bytes(16)), key, bytes(16))


# No Public Crypto


def test_no_public_crypto_needs_a_login(hsm: Administration) -> None:
    """Operations, keys and writes without login are CKR_USER_NOT_LOGGED_IN; finding and reading are not."""
    hsm.user().close()
    session = hsm.cryptoki.open(0)
    key = session.create(_PUBLIC | {CKA.VERIFY: True, CKA.DERIVE: True, CKA.WRAP: True, CKA.UNWRAP: True})
    hsm.set_mode("c")
    ecb, digest, generation = Mechanism(CKM.AES_ECB), Mechanism(CKM.SHA256), Mechanism(CKM.AES_KEY_GEN)
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.PRIVATE: False}
    calls: list[tuple[Any, ...]] = [
        (session.init, "Encrypt", ecb, key),
        (session.init, "Decrypt", ecb, key),
        (session.init, "Sign", Mechanism(CKM.AES_CMAC), key),
        (session.init, "Verify", Mechanism(CKM.AES_CMAC), key),
        (session.digest, digest, b""),
        (session.generate, generation, {CKA.VALUE_LEN: 16, CKA.PRIVATE: False}),
        (session.wrap, ecb, key, key),
        (session.unwrap, ecb, key, bytes(16), template),
        (session.derive, Mechanism(CKM.ECDH1_DERIVE), key, template),
        (session.create, _PUBLIC),
        (session.copy, key, {}),
        (session.set, key, {CKA.LABEL: "new"}),
        (session.destroy, key),
    ]
    for call, *arguments in calls:
        expect(CKR.USER_NOT_LOGGED_IN, call, *arguments)
    assert [key] == session.find({CKA.KEY_TYPE: CKK.AES})
    session.random(8)
    session.login(USER_PIN)
    assert 16 == len(session.encrypt(ecb, key, bytes(16)))
    assert 32 == len(session.digest(digest, b""))


def test_no_public_crypto_marks_all_tokens_but_leaves_the_admin_token_alone(hsm: Administration) -> None:
    """CKF_LOGIN_REQUIRED on a token without user PIN; the Admin token digests and keeps data without login."""
    assert not hsm.cryptoki.token(0).flags & CKF.LOGIN_REQUIRED
    hsm.set_mode("c")
    assert hsm.cryptoki.token(0).flags & CKF.LOGIN_REQUIRED
    session = hsm.cryptoki.open(hsm.admin_slot)
    session.digest(Mechanism(CKM.SHA256), b"")
    session.create({CKA.CLASS: CKO.DATA, CKA.PRIVATE: False})


def test_digest_key_needs_a_login_too(hsm: Administration) -> None:
    """C_DigestKey after a logout is CKR_USER_NOT_LOGGED_IN under No Public Crypto."""
    session = hsm.user()
    key = session.create(_PUBLIC)
    session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
    session.logout()
    hsm.set_mode("c")
    expect(CKR.USER_NOT_LOGGED_IN, session.call, "C_DigestKey", key)


# Increased Security


def test_increased_security_refuses_keys_that_can_be_read(hsm: Administration) -> None:
    """CKA_SENSITIVE false, or extractable and public: CKR_TEMPLATE_INCONSISTENT however a key is made."""
    session = hsm.user()
    readable = session.create(_AES | {CKA.SENSITIVE: False})
    hsm.set_mode("i")
    open_ones = {CKA.SENSITIVE: False}, {CKA.EXTRACTABLE: True, CKA.PRIVATE: False}
    for given in open_ones:
        expect(CKR.TEMPLATE_INCONSISTENT, session.create, _AES | given)
        generation = Mechanism(CKM.AES_KEY_GEN)
        expect(CKR.TEMPLATE_INCONSISTENT, session.generate, generation, {CKA.VALUE_LEN: 16, **given})
        pair = Mechanism(CKM.EC_KEY_PAIR_GEN)
        curve = {CKA.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        expect(CKR.TEMPLATE_INCONSISTENT, session.generate_pair, pair, curve, given)
    expect(CKR.TEMPLATE_INCONSISTENT, session.copy, readable, {})
    session.create(_AES | {CKA.EXTRACTABLE: True})
    session.create({CKA.CLASS: CKO.DATA, CKA.PRIVATE: False})


def test_increased_security_wants_longer_pins(hsm: Administration) -> None:
    """New PINs of fewer than 8 characters are CKR_PIN_LEN_RANGE; one that is set still opens the token."""
    session = hsm.security_officer()
    session.init_pin("1234")
    session.close()
    hsm.set_mode("i")
    assert (8, 32) == (hsm.cryptoki.token(0).ulMinPinLen, hsm.cryptoki.token(0).ulMaxPinLen)
    session = hsm.cryptoki.open(0)
    session.login("1234")
    expect(CKR.PIN_LEN_RANGE, session.set_pin, "1234", "1234567")
    session.set_pin("1234", "12345678")
    session.close()
    expect(CKR.PIN_INCORRECT, hsm.cryptoki.init_token, 0, "wrong", "anew")
    hsm.cryptoki.init_token(0, SO_PIN, "anew")
    session = hsm.cryptoki.open(0)
    session.login(SO_PIN, CKU.SO)
    expect(CKR.PIN_LEN_RANGE, session.init_pin, "1234567")


def test_increased_security_replaces_no_user_pin(hsm: Administration) -> None:
    """C_InitPIN on a set user PIN is CKR_PIN_ALREADY_INITIALIZED; in Default Mode it replaces it."""
    hsm.user().close()
    session = hsm.security_officer()
    session.init_pin("another-one")
    session.close()
    hsm.set_mode("i")
    session = hsm.security_officer()
    expect(CKR.PIN_ALREADY_INITIALIZED, session.init_pin, USER_PIN)


# Explicit curves, audit


def test_explicit_curve_parameters_need_their_flag(hsm: Administration) -> None:
    """A curve in full is CKR_CURVE_NOT_SUPPORTED without `E`; with it, it makes keys that sign."""
    session = hsm.user()
    generation, usage = Mechanism(CKM.EC_KEY_PAIR_GEN), {CKA.SIGN: True}
    expect(CKR.CURVE_NOT_SUPPORTED, session.generate_pair, generation, {CKA.EC_PARAMS: _EXPLICIT}, usage)
    hsm.set_mode("E")
    public, private = session.generate_pair(generation, {CKA.EC_PARAMS: _EXPLICIT, CKA.VERIFY: True}, usage)
    ecdsa = Mechanism(CKM.ECDSA)
    session.verify(ecdsa, public, bytes(range(32)), session.sign(ecdsa, private, bytes(range(32))))


def test_des_keys_have_odd_parity(hsm: Administration) -> None:
    """A DES3 key with even parity is CKR_ET_NOT_ODD_PARITY without `d`; generated ones are odd."""
    session = hsm.user()
    odd = bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123")
    even = bytes([odd[0] ^ 1]) + odd[1:]
    des = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.DES3}
    wrapper = session.create(_AES | {CKA.WRAP: True, CKA.UNWRAP: True})
    ecb = Mechanism(CKM.AES_ECB)
    wrapped = session.encrypt(ecb, wrapper, even + bytes(8))
    session.create({**des, CKA.VALUE: odd})
    expect(CKR.ET_NOT_ODD_PARITY, session.create, {**des, CKA.VALUE: even})
    expect(CKR.ET_NOT_ODD_PARITY, session.unwrap, ecb, wrapper, wrapped, {**des})
    made = session.generate(Mechanism(CKM.DES3_KEY_GEN), {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True})
    assert {1} == {byte.bit_count() % 2 for byte in session.get(made, CKA.VALUE)}
    hsm.set_mode("d")
    session.create({**des, CKA.VALUE: even})


def test_audit_records(hsm: Administration) -> None:
    """Under `b` the event log tells of logins, PINs and keys; without it, it does not."""
    hsm.user().close()
    hsm.set_mode("b")
    session = hsm.cryptoki.open(0)
    expect(CKR.PIN_INCORRECT, session.login, "wrong")
    session.login(USER_PIN)
    key = session.create(_AES)
    session.create({CKA.CLASS: CKO.DATA})
    session.set(key, {CKA.LABEL: "renamed"})
    session.destroy(key)
    session.set_pin(USER_PIN, "user-654321")
    session.logout()
    hsm.set_mode("0")
    session.login("user-654321")
    serial = bytes(hsm.cryptoki.token(0).serialNumber).decode().strip()
    recorded = [event.code for event in _events(hsm) if event.code > Event.AUDIT and event.detail.startswith(serial)]
    expected = [
        Event.AUDIT_LOGIN_FAILED, Event.AUDIT_LOGIN, Event.AUDIT_KEY_CREATED, Event.AUDIT_KEY_CHANGED,
        Event.AUDIT_KEY_DESTROYED, Event.AUDIT_PIN_SET, Event.AUDIT_LOGOUT,
    ]  # fmt: skip
    assert expected == recorded


def test_pure_pkcs11_lifts_what_keeps_wrapped_keys_wrapped(hsm: Administration) -> None:
    """With `p` any key wraps and unwraps as the standard alone has it; what trusted keys wrap stays theirs."""
    hsm.set_mode("p")
    session = hsm.user()
    generation = Mechanism(CKM.AES_KEY_GEN)
    uses = dict.fromkeys((CKA.WRAP, CKA.UNWRAP, CKA.DECRYPT), True)
    both = session.generate(generation, {CKA.VALUE_LEN: 16, **uses})
    victim = session.generate(generation, {CKA.VALUE_LEN: 32, CKA.EXTRACTABLE: True})
    wrapped = session.wrap(Mechanism(CKM.AES_KEY_WRAP), both, victim)
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False}
    assert 32 == len(session.get(session.unwrap(Mechanism(CKM.AES_KEY_WRAP), both, wrapped, template), CKA.VALUE))
    session.set(both, {CKA.WRAP: False, CKA.ENCRYPT: True})
    hsm.set_mode("0")
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.wrap, Mechanism(CKM.AES_KEY_WRAP), both, victim)
    other = session.generate(generation, {CKA.VALUE_LEN: 32, **uses})
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, Mechanism(CKM.AES_KEY_WRAP), other, victim)


def test_pure_pkcs11_lifts_what_keeps_rsa_wrappings_whole(hsm: Administration) -> None:
    """With `p` a pair wraps by CKM_RSA_X_509, and by CKM_RSA_AES_KEY_WRAP whatever else it unwraps by."""
    hsm.set_mode("p")
    session = hsm.user()
    template = {CKA.MODULUS_BITS: 2048, CKA.PUBLIC_EXPONENT: b"\1\0\1", CKA.WRAP: True}
    public, private = session.generate_pair(Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN), template, {CKA.UNWRAP: True})
    victim = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.EXTRACTABLE: True})
    raw, both = Mechanism(CKM.RSA_X_509), rsa_aes(256, oaep())
    wrapped, said = session.wrap(raw, public, victim), {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
    assert session.unwrap(raw, private, wrapped, {**said, CKA.VALUE_LEN: 32})
    assert session.unwrap(both, private, session.wrap(both, public, victim), said)
    hsm.set_mode("0")
    expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap, raw, private, wrapped, {**said, CKA.VALUE_LEN: 32})
    for mechanism in (raw, both):
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, public, victim)


def test_each_key_that_leaves_has_its_record(hsm: Administration) -> None:
    """A backup file of three keys is three records."""
    session = hsm.user()
    keys = [session.create({**_AES, CKA.EXTRACTABLE: True}) for _ in range(3)]
    wrapper = session.create({**_AES, CKA.ENCRYPT: False, CKA.WRAP: True})
    hsm.set_mode("b")
    session.wrap(Mechanism(CKM.WRAPKEY_AES_KWP, pack("2L", *keys[1:])), wrapper, keys[0])
    assert 3 == [event.code for event in _events(hsm)].count(Event.AUDIT_KEY_WRAPPED)


def _events(hsm: Administration) -> list[Any]:
    """Return the records of the event log."""
    session = hsm.administrator()
    try:
        (log,) = session.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.EVENT_LOG})
        value = session.get(log, CKA.VALUE)
    finally:
        session.close()
    return [unpack(value[place : place + 48]) for place in range(0, len(value), 48)]


# Several processes


def change_mode(path: str, letters: str) -> None:
    """In another process: set the flags."""
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    session = cryptoki.open(cryptoki.slots()[-1])
    session.login(ADMIN_PIN)
    session.set(adapter(session), {CKA.SECURITY_MODE: policy.mode_of(letters)})


def test_a_change_by_another_process_holds_at_the_next_call(hsm: Administration, module: Module) -> None:
    """A key that was just used for a mechanism is refused it; the list and the token's flags are the new ones."""
    session = hsm.user()
    key = session.create(_AES)
    session.encrypt(ctr(bytes(16)), key, bytes(16))
    run(change_mode, module.path, "ac")
    expect(CKR.MECHANISM_INVALID, session.encrypt, ctr(bytes(16)), key, bytes(16))
    session.logout()
    expect(CKR.USER_NOT_LOGGED_IN, session.digest, Mechanism(CKM.SHA256), b"")
    run(change_mode, module.path, "0")
    assert 32 == len(session.digest(Mechanism(CKM.SHA256), b""))

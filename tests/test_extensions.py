"""The CT_ functions through the shared object: who may call them, and the code of each refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from administration import ADMIN_PIN, ASO_PIN, SO_PIN, USER_PIN, Administration, adapter, administered
from conformance.binding import ffi
from conformance.cryptoki import NULL, Session, Template, expect
from conformance.parameters import Mechanism
from modules import Module

from ptkc.spec.constants import CKA, CKC, CKF, CKK, CKM, CKO, CKR, CKU

_PIN = "so-87654321"
_AES = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: bytes(range(16)), CKA.ENCRYPT: True}


@pytest.fixture
def hsm(module: Module, tmp_path: Path) -> Iterator[Administration]:
    """Give an HSM whose Admin token is initialised."""
    with administered(module, tmp_path) as administration:
        yield administration


def label(text: str) -> bytes:
    """Return a padded label."""
    return text.encode().ljust(32)


def init_token(session: Session, slot: int, pin: str = _PIN, name: Any = None) -> None:  # noqa: ANN401 - or NULL
    """Call CT_InitToken."""
    session.call("CT_InitToken", slot, pin.encode(), len(pin), label("made") if name is None else name)


def init_pin(session: Session, user: int, pin: str) -> None:
    """Call CT_InitPIN."""
    session.call("CT_InitPIN", user, pin.encode(), len(pin))


def reset_token(session: Session, pin: str, name: str = "reset") -> None:
    """Call CT_ResetToken."""
    session.call("CT_ResetToken", pin.encode(), len(pin), label(name))


def copy(destination: Session, source: Session, handle: int, attributes: dict[int, Any] | None = None) -> int:
    """Call CT_CopyObject."""
    template, new = Template(attributes or {}), ffi.new("CK_OBJECT_HANDLE *")
    destination.call("CT_CopyObject", source.handle, handle, template.array, template.count, new)
    return int(new[0])


def fetch(hsm: Administration, device: int, kind: int) -> bytes:
    """Call CT_FetchCertificate in two calls."""
    length = ffi.new("CK_ULONG *")
    hsm.cryptoki.call("CT_FetchCertificate", device, kind, NULL, length)
    buffer = ffi.new("CK_BYTE[]", length[0])
    hsm.cryptoki.call("CT_FetchCertificate", device, kind, buffer, length)
    return bytes(buffer[0 : length[0]])


# CT_InitToken


def test_the_administrator_initialises_tokens(hsm: Administration) -> None:
    """CT_InitToken sets SO PIN and label of an uninitialised token; the Admin session goes on."""
    session = hsm.administrator()
    init_token(session, 0)
    info = hsm.cryptoki.token(0)
    assert (label("made"), True) == (bytes(info.label), bool(info.flags & CKF.TOKEN_INITIALIZED))
    other = hsm.cryptoki.open(0)
    other.login(_PIN, CKU.SO)
    assert session.find({CKA.CLASS: CKO.ADAPTER})


def test_an_initialised_token_is_no_slot_for_it(hsm: Administration) -> None:
    """CKR_SLOT_ID_INVALID for one that is initialised, the Admin token's own, and one that is not there."""
    session = hsm.administrator()
    init_token(session, 0)
    for slot in (0, hsm.admin_slot, 7):
        expect(CKR.SLOT_ID_INVALID, init_token, session, slot)


def test_nobody_else_initialises_tokens(hsm: Administration) -> None:
    """CKR_USER_NOT_LOGGED_IN for the public and the ASO, CKR_NOT_ADMIN_TOKEN for a user's session."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    expect(CKR.USER_NOT_LOGGED_IN, init_token, session, 0)
    session.login(ASO_PIN, CKU.SO)
    expect(CKR.USER_NOT_LOGGED_IN, init_token, session, 0)
    session.logout()
    user = hsm.user()
    expect(CKR.NOT_ADMIN_TOKEN, init_token, user, 0)
    user.close()
    expect(CKR.SESSION_HANDLE_INVALID, init_token, user, 0)


def test_bad_arguments_of_ct_init_token(hsm: Administration) -> None:
    """A NULL label, or a NULL PIN with a length, is CKR_ARGUMENTS_BAD; a short PIN CKR_PIN_LEN_RANGE."""
    session = hsm.administrator()
    expect(CKR.ARGUMENTS_BAD, init_token, session, 0, _PIN, NULL)
    expect(CKR.ARGUMENTS_BAD, session.call, "CT_InitToken", 0, NULL, 4, label("made"))
    expect(CKR.PIN_LEN_RANGE, init_token, session, 0, "123")
    assert not hsm.cryptoki.token(0).flags & CKF.TOKEN_INITIALIZED


# CT_InitPIN


def test_the_first_user_pin(hsm: Administration) -> None:
    """The SO sets it once; then it is CKR_PIN_ALREADY_INITIALIZED, which C_InitPIN would not be."""
    session = hsm.security_officer()
    init_pin(session, CKU.USER, USER_PIN)
    expect(CKR.PIN_ALREADY_INITIALIZED, init_pin, session, CKU.USER, "another-pin")
    expect(CKR.PIN_ALREADY_INITIALIZED, init_pin, session, CKU.SO, "another-pin")
    expect(CKR.USER_TYPE_INVALID, init_pin, session, 7, "another-pin")
    session.logout()
    session.login(USER_PIN)
    expect(CKR.USER_NOT_LOGGED_IN, init_pin, session, CKU.USER, "another-pin")


# CT_ResetToken


def test_the_so_resets_the_token(hsm: Administration) -> None:
    """Objects and user PIN go, SO PIN and label are new, the token stays initialised, the session is closed."""
    user = hsm.user()
    user.create({**_AES, CKA.TOKEN: True})
    user.create({CKA.CLASS: CKO.DATA, CKA.TOKEN: True, CKA.PRIVATE: False})
    user.close()
    session = hsm.security_officer()
    reset_token(session, _PIN)
    expect(CKR.SESSION_HANDLE_INVALID, session.info)
    info = hsm.cryptoki.token(0)
    flags = info.flags & (CKF.TOKEN_INITIALIZED | CKF.USER_PIN_INITIALIZED)
    assert (label("reset"), CKF.TOKEN_INITIALIZED) == (bytes(info.label), flags)
    session = hsm.cryptoki.open(0)
    assert [] == session.find({})
    expect(CKR.PIN_INCORRECT, session.login, SO_PIN, CKU.SO)
    session.login(_PIN, CKU.SO)


def test_who_resets_a_token(hsm: Administration) -> None:
    """CKR_USER_NOT_LOGGED_IN for the public and the user; CKR_SESSION_EXISTS beside other sessions."""
    session = hsm.user()
    expect(CKR.USER_NOT_LOGGED_IN, reset_token, session, _PIN)
    session.logout()
    expect(CKR.USER_NOT_LOGGED_IN, reset_token, session, _PIN)
    session.login(SO_PIN, CKU.SO)
    other = hsm.cryptoki.open(0)
    expect(CKR.SESSION_EXISTS, reset_token, session, _PIN)
    other.close()
    expect(CKR.PIN_LEN_RANGE, reset_token, session, "123")
    assert session.info()
    reset_token(session, _PIN)


# CT_CopyObject


@pytest.fixture
def second(hsm: Administration) -> Session:
    """Give a user's session with a second token, in slot 1."""
    administrator = hsm.administrator()
    administrator.create({CKA.CLASS: CKO.SLOT})
    init_token(administrator, 1)
    administrator.close()
    session = hsm.cryptoki.open(1)
    session.login(_PIN, CKU.SO)
    session.init_pin("user-two-22")
    session.logout()
    session.login("user-two-22")
    return session


def test_objects_are_copied_from_token_to_token(hsm: Administration, second: Session) -> None:
    """A key that cannot be extracted encrypts the same on the other token, where it belongs to that user."""
    first = hsm.user()
    key = first.create(_AES)
    copied = copy(second, first, key, {CKA.TOKEN: True, CKA.LABEL: "copy"})
    ecb = Mechanism(CKM.AES_ECB)
    assert first.encrypt(ecb, key, bytes(16)) == second.encrypt(ecb, copied, bytes(16))
    assert [copied] == second.find({CKA.LABEL: "copy"})
    assert [] == first.find({CKA.LABEL: "copy"})
    expect(CKR.ATTRIBUTE_SENSITIVE, second.get, copied, CKA.VALUE)


def test_a_copy_needs_both_logins(hsm: Administration, second: Session) -> None:
    """CKR_USER_NOT_LOGGED_IN where it is to go, CKR_OBJECT_HANDLE_INVALID where it is from."""
    first = hsm.user()
    key = first.create({**_AES, CKA.TOKEN: True})
    second.logout()
    expect(CKR.USER_NOT_LOGGED_IN, copy, second, first, key)
    second.login("user-two-22")
    first.logout()
    expect(CKR.OBJECT_HANDLE_INVALID, copy, second, first, key)


def test_what_is_refused_to_copies(hsm: Administration, second: Session) -> None:
    """CKA_COPYABLE false, a handle of another token, a session that is none, a read-only destination."""
    first = hsm.user()
    key = first.create({**_AES, CKA.COPYABLE: False})
    expect(CKR.ACTION_PROHIBITED, copy, second, first, key)
    expect(CKR.OBJECT_HANDLE_INVALID, copy, second, second, key)
    key = first.create(_AES)
    expect(CKR.TEMPLATE_INCONSISTENT, copy, second, first, key, {CKA.PRIVATE: False})
    reader = hsm.cryptoki.open_read_only(1)
    expect(CKR.SESSION_READ_ONLY, copy, reader, first, key, {CKA.TOKEN: True})
    reader.close()
    expect(CKR.SESSION_HANDLE_INVALID, copy, second, reader, key)
    expect(CKR.SESSION_HANDLE_INVALID, copy, reader, first, key)


def test_trust_is_not_copied_to_another_token(hsm: Administration, second: Session) -> None:
    """What the SO of one token trusts, the SO of the other does not: CKA_TRUSTED is false in the copy."""
    first = hsm.user()
    made = {CKA.CLASS: CKO.CERTIFICATE, CKA.CERTIFICATE_TYPE: CKC.X_509, CKA.SUBJECT: b"\x30\0", CKA.VALUE: b"\x30\0"}
    certificate = first.create({**made, CKA.TOKEN: True})
    first.logout()
    first.login(SO_PIN, CKU.SO)
    first.set(certificate, {CKA.TRUSTED: True})
    first.logout()
    first.login(USER_PIN)
    assert first.flag(first.copy(certificate, {}), CKA.TRUSTED)
    assert not second.flag(copy(second, first, certificate), CKA.TRUSTED)


@pytest.mark.parametrize("bond", ["TRUSTED", "EXPORT", "EXPORTABLE", "WRAP_WITH_TRUSTED"])
def test_keys_in_the_hands_of_an_so_stay_on_their_token(hsm: Administration, second: Session, bond: str) -> None:
    """CKR_ACTION_PROHIBITED: there another SO would say what wraps them, or what they unwrap."""
    first = hsm.user()
    made = {**_AES, getattr(CKA, bond): True}
    if bond in ("TRUSTED", "EXPORT"):
        first.logout()
        first.login(SO_PIN, CKU.SO)
        made |= {CKA.PRIVATE: False, CKA.TOKEN: True, CKA.ENCRYPT: False}
    key = first.create(made)
    if bond in ("TRUSTED", "EXPORT"):
        first.logout()
        first.login(USER_PIN)
    expect(CKR.ACTION_PROHIBITED, copy, second, first, key)
    second.logout()
    second.login(_PIN, CKU.SO)
    expect(CKR.ACTION_PROHIBITED, copy, second, first, key)


# CT_FetchCertificate, and the numbers of HSMs


def test_an_hsm_without_certificates(hsm: Administration) -> None:
    """CKR_OBJECT_HANDLE_INVALID for each kind, CKR_ATTRIBUTE_TYPE_INVALID for what is none, no session needed."""
    for kind in (CKA.LOCAL_IDENTITY_CERT, CKA.HSM_OWNER_CERT, CKA.HSM_ROOT_CERT):
        expect(CKR.OBJECT_HANDLE_INVALID, fetch, hsm, 0, kind)
    expect(CKR.ATTRIBUTE_TYPE_INVALID, fetch, hsm, 0, CKA.LABEL)
    expect({CKR.DEVICE_REMOVED, CKR.ARGUMENTS_BAD}, fetch, hsm, 5, CKA.LOCAL_IDENTITY_CERT)


def test_the_identity_certificate_is_there_for_everybody(hsm: Administration) -> None:
    """After CKM_GEN_PIK_ECC_P521 the PIC is what CT_FetchCertificate gives, also after a tamper."""
    session = hsm.administrator()
    session.generate_pair(Mechanism(CKM.GEN_PIK_ECC_P521, b"\1"), {}, {})
    (certificate,) = session.find({CKA.CLASS: CKO.CERTIFICATE, CKA.LABEL: "PIC"})
    value = session.get(certificate, CKA.VALUE)
    session.close()
    assert value == fetch(hsm, 0, CKA.LOCAL_IDENTITY_CERT)
    session = hsm.administrator()
    session.set(adapter(session), {CKA.TAMPER_CMD: True})
    assert value == fetch(hsm, 0, CKA.LOCAL_IDENTITY_CERT)


def test_flags_of_secure_messaging_need_a_pic(hsm: Administration) -> None:
    """CKR_SECURITY_FLAGS_INCOMPATIBLE without one; with one they are set, and who does not hold it is kept out."""
    for letters in ("n", "u", "N", "U", "F"):
        expect(CKR.SECURITY_FLAGS_INCOMPATIBLE, hsm.set_mode, letters)
    session = hsm.administrator()
    session.generate_pair(Mechanism(CKM.GEN_PIK_ECC_P521, b"\1"), {}, {})
    session.set(adapter(session), {CKA.SECURITY_MODE: CKF.FULL_SMS_ENC | CKF.FULL_SMS_SIGN})
    expect(CKR.CERT_NOT_VALIDATED, hsm.cryptoki.open, hsm.admin_slot)


def test_no_ticket_for_what_has_no_administrator(hsm: Administration) -> None:
    """CT_PresentTicket: CKR_KEY_FUNCTION_NOT_PERMITTED without CKA_ADMIN_CERT, CKR_MECHANISM_INVALID for others."""
    session = hsm.user()
    key = session.create(_AES)
    for kind, code in ((CKM.SET_ATTRIBUTES, CKR.KEY_FUNCTION_NOT_PERMITTED), (CKM.AES_ECB, CKR.MECHANISM_INVALID)):
        expect(code, session.call, "CT_PresentTicket", key, Mechanism(kind).pointer, b"ticket", 6)


def test_pins_of_ct_functions_are_long_enough_under_increased_security(hsm: Administration) -> None:
    """CT_InitToken, CT_InitPIN and CT_ResetToken want 8 characters under `i`."""
    hsm.set_mode("i")
    administrator = hsm.administrator()
    expect(CKR.PIN_LEN_RANGE, init_token, administrator, 0, "1234567")
    init_token(administrator, 0, SO_PIN)
    administrator.close()
    session = hsm.cryptoki.open(0)
    session.login(SO_PIN, CKU.SO)
    expect(CKR.PIN_LEN_RANGE, init_pin, session, CKU.USER, "1234567")
    expect(CKR.PIN_LEN_RANGE, reset_token, session, "1234567")


def test_the_administrators_pin_by_ct_init_pin(hsm: Administration) -> None:
    """On the Admin token it is set once as well; the Administrator's PIN stays what it was."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    session.login(ASO_PIN, CKU.SO)
    expect(CKR.PIN_ALREADY_INITIALIZED, init_pin, session, CKU.USER, "another-pin")
    session.logout()
    session.login(ADMIN_PIN)

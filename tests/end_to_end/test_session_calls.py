"""C_LoginUser, C_GetSessionValidationFlags, C_WaitForSlotEvent and C_SessionCancel, in each way to reach an HSM."""

from __future__ import annotations

from collections.abc import Iterator

import pkcs11
import pytest
from conformance.binding import ffi
from conformance.cryptoki import Cryptoki, Session, expect
from conformance.parameters import Mechanism
from tokens import Initialised

from ptkc.spec.constants import CKA, CKF, CKM, CKR, CKS, CKU

NULL = ffi.NULL


@pytest.fixture
def session(library: pkcs11.lib, prepared: Initialised) -> Iterator[Session]:
    """Return a session with the token in which nobody is logged in."""
    assert library
    cryptoki = Cryptoki(prepared.path)
    slot = cryptoki.find_slot(prepared.label)
    yield cryptoki.open(slot)
    cryptoki.close_all(slot)


def log_in(session: Session, pin: str, name: bytes | None, user: int = CKU.USER) -> None:
    """Call C_LoginUser."""
    data = pin.encode()
    session.call("C_LoginUser", user, data, len(data), NULL if name is None else name, len(name or b""))


@pytest.mark.parametrize("name", [None, b""])
def test_login_of_a_user_without_a_name_is_a_login(session: Session, prepared: Initialised, name: bytes | None) -> None:
    """NULL and an empty name are C_Login: the state, a wrong PIN, a wrong type, a second login."""
    expect(CKR.PIN_INCORRECT, log_in, session, "wrong-pin", name)
    expect(CKR.USER_TYPE_INVALID, log_in, session, prepared.pin, name, 77)
    expect(CKR.OPERATION_NOT_INITIALIZED, log_in, session, prepared.pin, name, CKU.CONTEXT_SPECIFIC)
    log_in(session, prepared.pin, name)
    assert CKS.RW_USER_FUNCTIONS == session.state
    expect(CKR.USER_ALREADY_LOGGED_IN, log_in, session, prepared.pin, name)
    expect(CKR.USER_ANOTHER_ALREADY_LOGGED_IN, log_in, session, prepared.so_pin, name, CKU.SO)


def test_login_with_a_name_is_refused_before_the_pin_is_tried(session: Session, prepared: Initialised) -> None:
    """Users have no names: whatever the PIN, the answer is the same, and no failure is counted."""
    for pin in ("wrong-pin", prepared.pin):
        expect(CKR.ARGUMENTS_BAD, log_in, session, pin, b"somebody")
    expect(CKR.ARGUMENTS_BAD, session.call, "C_LoginUser", CKU.USER, b"pin", 3, NULL, 8)
    assert not session.cryptoki.token(session.info().slotID).flags & CKF.USER_PIN_COUNT_LOW
    assert CKS.RW_PUBLIC_SESSION == session.state


def test_no_validation_vouches_for_what_was_done(session: Session) -> None:
    """The one type of flags there is has none set; another type and NULL are CKR_ARGUMENTS_BAD."""
    flags = ffi.new("CK_FLAGS *", 99)
    session.call("C_GetSessionValidationFlags", CKS.LAST_VALIDATION_OK, flags)
    assert 0 == flags[0]
    expect(CKR.ARGUMENTS_BAD, session.call, "C_GetSessionValidationFlags", 0, flags)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_GetSessionValidationFlags", CKS.LAST_VALIDATION_OK, NULL)


def test_no_slot_has_an_event(session: Session) -> None:
    """CKR_NO_EVENT without waiting; CKR_ARGUMENTS_BAD with a reserved pointer, or without a place for the slot."""
    cryptoki, slot = session.cryptoki, ffi.new("CK_SLOT_ID *", 99)
    expect(CKR.NO_EVENT, cryptoki.call, "C_WaitForSlotEvent", CKF.DONT_BLOCK, slot, NULL)
    assert 99 == slot[0]
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_WaitForSlotEvent", CKF.DONT_BLOCK, slot, slot)
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_WaitForSlotEvent", CKF.DONT_BLOCK, NULL, NULL)


def test_cancel_ends_what_its_flags_name_and_nothing_else(session: Session, prepared: Initialised) -> None:
    """No flag, and flags of operations that are not there, change nothing; each flag ends its own operation."""
    session.login(prepared.pin)
    uses = dict.fromkeys((CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY), True)
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 16, **uses})
    ecb, cmac = Mechanism(CKM.AES_ECB), Mechanism(CKM.AES_CMAC)
    begun = {
        CKF.ENCRYPT: ("C_EncryptInit", ecb, key), CKF.DECRYPT: ("C_DecryptInit", ecb, key),
        CKF.SIGN: ("C_SignInit", cmac, key), CKF.VERIFY: ("C_VerifyInit", cmac, key),
        CKF.DIGEST: ("C_DigestInit", Mechanism(CKM.SHA256)),
    }  # fmt: skip
    calls = {flag: (name, mechanism.pointer, *rest) for flag, (name, mechanism, *rest) in begun.items()}
    for call in calls.values():
        session.call(*call)
    session.find_init({CKA.LABEL: "nothing"})
    session.call("C_SessionCancel", 0)
    session.call("C_SessionCancel", CKF.SIGN_RECOVER | CKF.VERIFY_RECOVER | CKF.MESSAGE_ENCRYPT | CKF.WRAP | 1 << 60)
    for call in calls.values():
        expect(CKR.OPERATION_ACTIVE, session.call, *call)
    for flag, call in calls.items():
        session.call("C_SessionCancel", flag)
        session.call(*call)
        for other in calls.values():
            expect(CKR.OPERATION_ACTIVE, session.call, *other)
    assert [] == session.find_next(1)
    session.call("C_SessionCancel", sum(calls) | CKF.FIND_OBJECTS)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_FindObjectsFinal")
    for call in calls.values():
        session.call(*call)
    expect(CKR.SESSION_HANDLE_INVALID, session.cryptoki.call, "C_SessionCancel", 0, 0)

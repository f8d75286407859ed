"""C_GetTokenInfo and C_InitToken."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKA, CKF, CKR, CKU

from .cryptoki import NULL, UNAVAILABLE, Cryptoki, Session, expect
from .fresh_token import SO_PIN, USER_PIN
from .keys import DATA

_PIN = SO_PIN.encode()


def _label(cryptoki: Cryptoki, slot: int) -> str:
    """Return the token's label without its padding."""
    return bytes(cryptoki.token(slot).label).decode().rstrip(" ")


def test_info_of_an_initialised_token_says_so(cryptoki: Cryptoki, slot: int, label: str) -> None:
    """The label given to C_InitToken is there, and the flags say that token and user PIN are set."""
    info = cryptoki.token(slot)
    assert label == _label(cryptoki, slot)
    assert info.flags & CKF.TOKEN_INITIALIZED
    assert info.flags & CKF.USER_PIN_INITIALIZED


def test_info_strings_are_padded_with_blanks(cryptoki: Cryptoki, slot: int) -> None:
    """Label, manufacturer, model and serial number have no null character."""
    info = cryptoki.token(slot)
    for field in (info.label, info.manufacturerID, info.model, info.serialNumber):
        assert b"\0" not in bytes(field)


def test_info_has_a_serial_number(cryptoki: Cryptoki, slot: int) -> None:
    """The serial number is not blank: applications know tokens by it."""
    assert bytes(cryptoki.token(slot).serialNumber).strip()


def test_info_says_that_private_objects_need_a_login(cryptoki: Cryptoki, slot: int) -> None:
    """A token with a user PIN has CKF_LOGIN_REQUIRED, or clients never log in."""
    assert cryptoki.token(slot).flags & CKF.LOGIN_REQUIRED


def test_info_gives_a_range_of_pin_lengths(cryptoki: Cryptoki, slot: int) -> None:
    """The shortest PIN is no longer than the longest, and ours fits."""
    info = cryptoki.token(slot)
    assert info.ulMinPinLen <= len(USER_PIN) <= info.ulMaxPinLen


def test_info_counts_this_applications_sessions(cryptoki: Cryptoki, alone: int) -> None:
    """Session counts follow open sessions, or say that they are unknown."""
    cryptoki.open(alone)
    cryptoki.open_read_only(alone)
    info = cryptoki.token(alone)
    assert info.ulSessionCount in {2, UNAVAILABLE}
    assert info.ulRwSessionCount in {1, UNAVAILABLE}


def test_random_generator_is_announced_if_it_is_there(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """CKF_RNG stands in the flags of a token that gives random bytes."""
    session.random(1)
    assert cryptoki.token(slot).flags & CKF.RNG


def test_init_token_sets_a_new_label(cryptoki: Cryptoki, changeable: int) -> None:
    """C_InitToken again, with the SO's PIN, changes the label."""
    cryptoki.init_token(changeable, SO_PIN, "another label")
    assert "another label" == _label(cryptoki, changeable)


def test_init_token_keeps_labels_of_full_length_and_utf8(cryptoki: Cryptoki, changeable: int) -> None:
    """All 32 bytes of a label are kept, as UTF-8."""
    text = "Schlüssel " + "x" * 21
    cryptoki.init_token(changeable, SO_PIN, text)
    assert 32 == len(text.encode())
    assert text == _label(cryptoki, changeable)


def test_init_token_destroys_the_objects(cryptoki: Cryptoki, changeable: int) -> None:
    """After C_InitToken the token is empty."""
    session = cryptoki.open(changeable)
    session.create(DATA | {CKA.TOKEN: True})
    session.close()
    cryptoki.init_token(changeable, SO_PIN, "empty")
    assert [] == cryptoki.open(changeable).find({CKA.TOKEN: True})


def test_init_token_takes_the_users_pin_away(cryptoki: Cryptoki, changeable: int) -> None:
    """After C_InitToken the user has no PIN: the flag is gone and a login is CKR_USER_PIN_NOT_INITIALIZED."""
    cryptoki.init_token(changeable, SO_PIN, "no user")
    assert not cryptoki.token(changeable).flags & CKF.USER_PIN_INITIALIZED
    expect(CKR.USER_PIN_NOT_INITIALIZED, cryptoki.open(changeable).login, USER_PIN)


def test_init_token_keeps_the_so_pin(cryptoki: Cryptoki, changeable: int) -> None:
    """After C_InitToken the SO logs in with the same PIN."""
    cryptoki.init_token(changeable, SO_PIN, "same SO")
    cryptoki.open(changeable).login(SO_PIN, CKU.SO)


def test_init_token_with_a_wrong_pin_changes_nothing(cryptoki: Cryptoki, changeable: int, label: str) -> None:
    """A wrong SO PIN is CKR_PIN_INCORRECT; label and objects are still there."""
    session = cryptoki.open(changeable)
    session.create(DATA | {CKA.TOKEN: True})
    session.close()
    expect(CKR.PIN_INCORRECT, cryptoki.init_token, changeable, "not the pin", "stolen")
    assert label == _label(cryptoki, changeable)
    assert 1 == len(cryptoki.open(changeable).find(DATA))


def test_init_token_with_an_open_session_is_refused(cryptoki: Cryptoki, alone: int) -> None:
    """An open session, read-only even, is CKR_SESSION_EXISTS."""
    cryptoki.open_read_only(alone)
    expect(CKR.SESSION_EXISTS, cryptoki.init_token, alone, SO_PIN, "busy")


def test_init_token_in_an_unknown_slot_is_refused(cryptoki: Cryptoki) -> None:
    """A slot id that was never listed is CKR_SLOT_ID_INVALID."""
    expect(CKR.SLOT_ID_INVALID, cryptoki.init_token, 2**40 + 7, SO_PIN, "nowhere")


@pytest.mark.parametrize(("pin", "text"), [(NULL, b" " * 32), (_PIN, NULL)], ids=["pin", "label"])
def test_init_token_needs_pin_and_label(cryptoki: Cryptoki, alone: int, pin: object, text: object) -> None:
    """A NULL PIN (without a PIN pad) or a NULL label is CKR_ARGUMENTS_BAD."""
    expect((CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT), cryptoki.call, "C_InitToken", alone, pin, len(_PIN), text)

"""C_Login, C_Logout, C_InitPIN, C_SetPIN, and what each user sees in which session."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKA, CKR, CKS, CKU

from .cryptoki import NULL, Cryptoki, Session, expect
from .fresh_token import SO_PIN, USER_PIN
from .keys import DATA

_SECRET = DATA | {CKA.PRIVATE: True}
_EACH_USER = pytest.mark.parametrize(("pin", "user"), [(USER_PIN, CKU.USER), (SO_PIN, CKU.SO)], ids=["user", "so"])


def test_sessions_begin_public(cryptoki: Cryptoki, alone: int) -> None:
    """Without a login the states are R/W Public and R/O Public."""
    assert CKS.RW_PUBLIC_SESSION == cryptoki.open(alone).state
    assert CKS.RO_PUBLIC_SESSION == cryptoki.open_read_only(alone).state


def test_user_login_changes_every_session(cryptoki: Cryptoki, alone: int) -> None:
    """A login in one session is one for all: read-write, read-only and later ones."""
    first, second = cryptoki.open(alone), cryptoki.open_read_only(alone)
    second.login(USER_PIN)
    third = cryptoki.open(alone)
    states = [CKS.RW_USER_FUNCTIONS, CKS.RO_USER_FUNCTIONS, CKS.RW_USER_FUNCTIONS]
    assert states == [first.state, second.state, third.state]


def test_logout_changes_every_session(cryptoki: Cryptoki, alone: int) -> None:
    """A logout in one session is one for all."""
    first, second = cryptoki.open(alone), cryptoki.open_read_only(alone)
    first.login(USER_PIN)
    second.logout()
    assert [CKS.RW_PUBLIC_SESSION, CKS.RO_PUBLIC_SESSION] == [first.state, second.state]


def test_so_login_makes_so_sessions(cryptoki: Cryptoki, security_officer: Session, slot: int) -> None:
    """The SO's sessions, later ones too, are in the state R/W SO Functions."""
    assert CKS.RW_SO_FUNCTIONS == security_officer.state
    assert CKS.RW_SO_FUNCTIONS == cryptoki.open(slot).state


@_EACH_USER
def test_second_login_of_the_same_user_is_refused(public: Session, pin: str, user: int) -> None:
    """Who is logged in already gets CKR_USER_ALREADY_LOGGED_IN."""
    public.login(pin, user)
    expect(CKR.USER_ALREADY_LOGGED_IN, public.login, pin, user)


def test_login_of_another_user_is_refused(public: Session) -> None:
    """While one user is logged in, the other gets CKR_USER_ANOTHER_ALREADY_LOGGED_IN."""
    public.login(USER_PIN)
    expect(CKR.USER_ANOTHER_ALREADY_LOGGED_IN, public.login, SO_PIN, CKU.SO)
    public.logout()
    public.login(SO_PIN, CKU.SO)
    expect(CKR.USER_ANOTHER_ALREADY_LOGGED_IN, public.login, USER_PIN)


def test_so_login_beside_a_read_only_session_is_refused(cryptoki: Cryptoki, public: Session, slot: int) -> None:
    """The SO cannot log in while the application has a R/O session: CKR_SESSION_READ_ONLY_EXISTS."""
    cryptoki.open_read_only(slot)
    expect(CKR.SESSION_READ_ONLY_EXISTS, public.login, SO_PIN, CKU.SO)


def test_read_only_session_beside_the_so_is_refused(cryptoki: Cryptoki, security_officer: Session, slot: int) -> None:
    """While the SO is logged in, a R/O session is CKR_SESSION_READ_WRITE_SO_EXISTS."""
    expect(CKR.SESSION_READ_WRITE_SO_EXISTS, cryptoki.open_read_only, slot)
    assert CKS.RW_SO_FUNCTIONS == security_officer.state


@_EACH_USER
def test_wrong_pin_is_refused_and_the_right_one_still_works(public: Session, pin: str, user: int) -> None:
    """A wrong PIN is CKR_PIN_INCORRECT and leaves the session public."""
    expect(CKR.PIN_INCORRECT, public.login, pin + "x", user)
    assert CKS.RW_PUBLIC_SESSION == public.state
    public.login(pin, user)


def test_pins_of_the_users_are_different(public: Session) -> None:
    """The SO's PIN does not open the user's login."""
    expect(CKR.PIN_INCORRECT, public.login, SO_PIN, CKU.USER)
    public.login(USER_PIN)


def test_login_of_an_unknown_user_type_is_refused(public: Session) -> None:
    """A user type that Cryptoki does not know is CKR_USER_TYPE_INVALID."""
    expect(CKR.USER_TYPE_INVALID, public.login, USER_PIN, 77)


def test_login_without_a_pin_is_refused(public: Session) -> None:
    """A NULL PIN, where the token has no PIN pad, is not a login."""
    expect((CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT), public.call, "C_Login", CKU.USER, NULL, 0)
    public.login(USER_PIN)


def test_logout_without_a_login_is_refused(public: Session) -> None:
    """Nobody logged in: CKR_USER_NOT_LOGGED_IN."""
    expect(CKR.USER_NOT_LOGGED_IN, public.logout)


def test_login_ends_with_the_last_session(cryptoki: Cryptoki, public: Session, slot: int) -> None:
    """Closing one of two sessions keeps the login, closing the last one ends it."""
    public.login(USER_PIN)
    other = cryptoki.open(slot)
    public.close()
    assert CKS.RW_USER_FUNCTIONS == other.state
    other.close()
    assert CKS.RW_PUBLIC_SESSION == cryptoki.open(slot).state


def test_login_ends_with_close_all_sessions(cryptoki: Cryptoki, public: Session, slot: int) -> None:
    """C_CloseAllSessions ends the login."""
    public.login(USER_PIN)
    cryptoki.close_all(slot)
    assert CKS.RW_PUBLIC_SESSION == cryptoki.open(slot).state


def test_logout_makes_handles_of_private_objects_invalid(public: Session) -> None:
    """Handles of private objects end with the login and stay invalid after the next one."""
    public.login(USER_PIN)
    handle = public.create(_SECRET | {CKA.TOKEN: True})
    public.logout()
    expect(CKR.OBJECT_HANDLE_INVALID, public.get, handle, CKA.LABEL)
    public.login(USER_PIN)
    expect(CKR.OBJECT_HANDLE_INVALID, public.get, handle, CKA.LABEL)
    public.destroy(*public.find(_SECRET))


def test_logout_destroys_private_session_objects(public: Session) -> None:
    """A private session object is gone after a logout; a public one stays."""
    public.login(USER_PIN)
    public.create(_SECRET)
    kept = public.create(DATA)
    public.logout()
    public.login(USER_PIN)
    assert [] == public.find(_SECRET)
    assert b"value" == public.get(kept, CKA.VALUE)


def test_private_objects_cannot_be_made_without_a_login(public: Session) -> None:
    """A private object in a public session is CKR_USER_NOT_LOGGED_IN."""
    expect(CKR.USER_NOT_LOGGED_IN, public.create, _SECRET)


def test_so_cannot_make_private_objects(security_officer: Session) -> None:
    """The SO is not the user: CKR_USER_NOT_LOGGED_IN."""
    expect(CKR.USER_NOT_LOGGED_IN, security_officer.create, _SECRET)


def test_private_objects_are_seen_by_the_user_only(public: Session) -> None:
    """A private token object is found by the user, not in public, not by the SO."""
    public.login(USER_PIN)
    public.create(_SECRET | {CKA.TOKEN: True})
    seen = [len(public.find(_SECRET))]
    public.logout()
    seen.append(len(public.find(_SECRET)))
    public.login(SO_PIN, CKU.SO)
    seen.append(len(public.find(_SECRET)))
    public.logout()
    public.login(USER_PIN)
    public.destroy(*public.find(_SECRET))
    assert [1, 0, 0] == seen


def test_public_objects_are_made_and_seen_by_everybody(public: Session) -> None:
    """A public token object made with nobody logged in is seen by SO and user."""
    handle = public.create(DATA | {CKA.TOKEN: True})
    public.login(SO_PIN, CKU.SO)
    assert [handle] == public.find(DATA)
    public.logout()
    public.login(USER_PIN)
    assert [handle] == public.find(DATA)
    public.destroy(handle)


def test_init_pin_is_for_the_so(public: Session) -> None:
    """C_InitPIN in a public or user session is CKR_USER_NOT_LOGGED_IN."""
    expect(CKR.USER_NOT_LOGGED_IN, public.init_pin, "another-pin")
    public.login(USER_PIN)
    expect(CKR.USER_NOT_LOGGED_IN, public.init_pin, "another-pin")


def test_init_pin_refuses_lengths_out_of_range(cryptoki: Cryptoki, security_officer: Session, slot: int) -> None:
    """A PIN shorter or longer than the token info says is CKR_PIN_LEN_RANGE, and the old one stays."""
    info = cryptoki.token(slot)
    expect(CKR.PIN_LEN_RANGE, security_officer.init_pin, "x" * (info.ulMinPinLen - 1))
    expect(CKR.PIN_LEN_RANGE, security_officer.init_pin, "x" * (info.ulMaxPinLen + 1))
    security_officer.logout()
    security_officer.login(USER_PIN)


def test_init_pin_without_a_pin_is_refused(security_officer: Session) -> None:
    """A NULL PIN, where the token has no PIN pad, is refused."""
    expect((CKR.ARGUMENTS_BAD, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE), security_officer.call, "C_InitPIN", NULL, 0)


def test_init_pin_replaces_a_lost_pin_and_keeps_private_objects(cryptoki: Cryptoki, changeable: int) -> None:
    """The SO gives the user a new PIN: the old one is wrong, the private objects are there."""
    session = cryptoki.open(changeable)
    session.login(USER_PIN)
    session.create(_SECRET | {CKA.TOKEN: True})
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.init_pin("a-new-pin")
    session.logout()
    expect(CKR.PIN_INCORRECT, session.login, USER_PIN)
    session.login("a-new-pin")
    assert b"value" == session.get(session.find(_SECRET)[0], CKA.VALUE)


@_EACH_USER
def test_set_pin_changes_the_pin_of_who_is_logged_in(cryptoki: Cryptoki, changeable: int, pin: str, user: int) -> None:
    """The new PIN works, the old one does not."""
    session = cryptoki.open(changeable)
    session.login(pin, user)
    session.set_pin(pin, "changed-pin")
    session.logout()
    expect(CKR.PIN_INCORRECT, session.login, pin, user)
    session.login("changed-pin", user)
    session.set_pin("changed-pin", pin)


def test_set_pin_without_a_login_changes_the_users_pin(cryptoki: Cryptoki, changeable: int) -> None:
    """In a R/W public session C_SetPIN is about the user's PIN."""
    session = cryptoki.open(changeable)
    session.set_pin(USER_PIN, "changed-pin")
    session.login("changed-pin")


def test_set_pin_keeps_private_objects(cryptoki: Cryptoki, changeable: int) -> None:
    """What was private before a change of PIN can be read after it."""
    session = cryptoki.open(changeable)
    session.login(USER_PIN)
    session.create(_SECRET | {CKA.TOKEN: True})
    session.set_pin(USER_PIN, "changed-pin")
    session.logout()
    session.login("changed-pin")
    assert b"value" == session.get(session.find(_SECRET)[0], CKA.VALUE)


def test_set_pin_takes_any_utf8(cryptoki: Cryptoki, changeable: int) -> None:
    """A PIN may hold any UTF-8 characters."""
    session = cryptoki.open(changeable)
    session.set_pin(USER_PIN, "Schlüssel-ключ")
    session.login("Schlüssel-ключ")


def test_set_pin_with_a_wrong_old_pin_is_refused(public: Session) -> None:
    """A wrong old PIN is CKR_PIN_INCORRECT and the right one still works."""
    expect(CKR.PIN_INCORRECT, public.set_pin, USER_PIN + "x", "changed-pin")
    public.login(USER_PIN)
    expect(CKR.PIN_INCORRECT, public.set_pin, USER_PIN + "x", "changed-pin")
    public.set_pin(USER_PIN, USER_PIN)


def test_set_pin_refuses_lengths_out_of_range(cryptoki: Cryptoki, public: Session, slot: int) -> None:
    """A new PIN shorter or longer than the token info says is CKR_PIN_LEN_RANGE, and the old one stays."""
    info = cryptoki.token(slot)
    public.login(USER_PIN)
    expect(CKR.PIN_LEN_RANGE, public.set_pin, USER_PIN, "x" * (info.ulMinPinLen - 1))
    expect(CKR.PIN_LEN_RANGE, public.set_pin, USER_PIN, "x" * (info.ulMaxPinLen + 1))
    public.logout()
    public.login(USER_PIN)


@pytest.mark.parametrize("logged_in", [False, True])
def test_set_pin_in_a_read_only_session_is_refused(cryptoki: Cryptoki, alone: int, *, logged_in: bool) -> None:
    """C_SetPIN needs a R/W session: CKR_SESSION_READ_ONLY."""
    session = cryptoki.open_read_only(alone)
    if logged_in:
        session.login(USER_PIN)
    expect(CKR.SESSION_READ_ONLY, session.set_pin, USER_PIN, "changed-pin")

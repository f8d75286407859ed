"""Keys with CKA_ALWAYS_AUTHENTICATE and the user type CKU_CONTEXT_SPECIFIC (4.10)."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKA, CKM, CKR, CKS, CKU

from .cryptoki import Cryptoki, Session, expect
from .fresh_token import USER_PIN
from .keys import import_ec, private_ec
from .parameters import Mechanism

_ECDSA = Mechanism(CKM.ECDSA)
_DATA = bytes(32)
pytestmark = pytest.mark.needs(CKM.ECDSA)


@pytest.fixture
def guarded(session: Session) -> int:
    """Give a signing key that asks for the PIN each time."""
    return import_ec(session, private_ec(), None, {CKA.SIGN: True, CKA.ALWAYS_AUTHENTICATE: True, CKA.PRIVATE: True})[1]


def _sign(session: Session) -> bytes:
    """Finish a signature that was begun."""
    return session.output("C_Sign", _DATA, 32)


def test_guarded_key_needs_a_login_for_each_use(session: Session, guarded: int) -> None:
    """C_Login(CKU_CONTEXT_SPECIFIC) after C_SignInit allows one signature, and not the next."""
    for _ in range(2):
        session.init("Sign", _ECDSA, guarded)
        session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
        assert 64 == len(_sign(session))
    session.init("Sign", _ECDSA, guarded)
    expect(CKR.USER_NOT_LOGGED_IN, _sign, session)


def test_guarded_key_is_not_used_with_a_wrong_pin(session: Session, guarded: int) -> None:
    """A wrong PIN is CKR_PIN_INCORRECT, the key stays closed and the user logged in."""
    session.init("Sign", _ECDSA, guarded)
    expect(CKR.PIN_INCORRECT, session.login, USER_PIN + "x", CKU.CONTEXT_SPECIFIC)
    assert CKS.RW_USER_FUNCTIONS == session.state
    expect(CKR.USER_NOT_LOGGED_IN, _sign, session)


def test_guarded_key_is_used_after_a_wrong_and_a_right_pin(session: Session, guarded: int) -> None:
    """A wrong PIN does not end the operation: the right one may follow."""
    session.init("Sign", _ECDSA, guarded)
    expect(CKR.PIN_INCORRECT, session.login, USER_PIN + "x", CKU.CONTEXT_SPECIFIC)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    assert 64 == len(_sign(session))


def test_login_in_one_session_is_none_in_another(cryptoki: Cryptoki, session: Session, slot: int, guarded: int) -> None:
    """The login is for the active key of one session, and for no other operation."""
    other = cryptoki.open(slot)
    other.init("Sign", _ECDSA, guarded)
    session.init("Sign", _ECDSA, guarded)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    expect(CKR.USER_NOT_LOGGED_IN, _sign, other)
    assert 64 == len(_sign(session))
    other.close()


def test_context_login_without_an_operation_is_refused(session: Session) -> None:
    """No operation: CKR_OPERATION_NOT_INITIALIZED."""
    expect(CKR.OPERATION_NOT_INITIALIZED, session.login, USER_PIN, CKU.CONTEXT_SPECIFIC)


def test_context_login_for_an_ordinary_key_is_refused_and_does_no_harm(session: Session) -> None:
    """A key that needs no login: CKR_OPERATION_NOT_INITIALIZED, and the operation goes on (4.10)."""
    _, key = import_ec(session, private_ec(), None, {CKA.SIGN: True})
    session.init("Sign", _ECDSA, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.login, USER_PIN, CKU.CONTEXT_SPECIFIC)
    assert 64 == len(_sign(session))


def test_guard_cannot_be_taken_away(session: Session, guarded: int) -> None:
    """CKA_ALWAYS_AUTHENTICATE is not modifiable."""
    expect((CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT), session.set, guarded, {CKA.ALWAYS_AUTHENTICATE: False})

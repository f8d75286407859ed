"""C_OpenSession, C_CloseSession, C_CloseAllSessions, C_GetSessionInfo, operation states, C_SessionCancel."""

from __future__ import annotations

import hashlib

import pytest

from ptkc.spec.constants import CKA, CKF, CKM, CKR

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Refused, Session, expect
from .keys import DATA
from .parameters import Mechanism

_NO_SLOT = 2**40 + 7
_SHA256 = Mechanism(CKM.SHA256)


def test_session_info_says_slot_and_kind(cryptoki: Cryptoki, alone: int) -> None:
    """C_GetSessionInfo names the slot, and the flags the session was opened with."""
    both, reading = cryptoki.open(alone).info(), cryptoki.open_read_only(alone).info()
    assert alone == both.slotID == reading.slotID
    assert CKF.SERIAL_SESSION | CKF.RW_SESSION == both.flags
    assert CKF.SERIAL_SESSION == reading.flags


def test_session_handles_are_different_and_never_zero(cryptoki: Cryptoki, alone: int) -> None:
    """Zero is CK_INVALID_HANDLE; no two open sessions share a handle."""
    handles = {cryptoki.open(alone).handle for _ in range(50)}
    assert 50 == len(handles)
    assert 0 not in handles


def test_session_that_is_not_serial_is_refused(cryptoki: Cryptoki, slot: int) -> None:
    """CKF_SERIAL_SESSION is always needed: CKR_SESSION_PARALLEL_NOT_SUPPORTED."""
    expect(CKR.SESSION_PARALLEL_NOT_SUPPORTED, cryptoki.open, slot, CKF.RW_SESSION)


def test_session_in_an_unknown_slot_is_refused(cryptoki: Cryptoki) -> None:
    """A slot id that was never listed is CKR_SLOT_ID_INVALID, to open and to close all."""
    expect(CKR.SLOT_ID_INVALID, cryptoki.open, _NO_SLOT)
    expect(CKR.SLOT_ID_INVALID, cryptoki.close_all, _NO_SLOT)


def test_session_without_a_place_for_the_handle_is_refused(cryptoki: Cryptoki, slot: int) -> None:
    """A NULL pointer for the handle is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_OpenSession", slot, CKF.SERIAL_SESSION, NULL, NULL, NULL)


def test_session_info_without_a_place_is_refused(session: Session) -> None:
    """A NULL pointer for the result is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, session.call, "C_GetSessionInfo", NULL)


def test_closed_session_is_no_session(cryptoki: Cryptoki, alone: int) -> None:
    """After C_CloseSession its handle is CKR_SESSION_HANDLE_INVALID, to close it again too."""
    session = cryptoki.open(alone)
    session.close()
    expect((CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED), session.info)
    expect((CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED), session.close)


def test_close_all_closes_all(cryptoki: Cryptoki, alone: int) -> None:
    """After C_CloseAllSessions each session's handle is invalid; new ones can be opened."""
    sessions = [cryptoki.open(alone), cryptoki.open_read_only(alone)]
    cryptoki.close_all(alone)
    for session in sessions:
        expect((CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED), session.info)
    cryptoki.open(alone).info()


def test_close_all_without_sessions_is_fine(cryptoki: Cryptoki, alone: int) -> None:
    """C_CloseAllSessions with none open is CKR_OK."""
    cryptoki.close_all(alone)


def test_session_objects_are_shared_and_die_with_their_session(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """Another session of the application sees a session object until its own session is closed."""
    maker = cryptoki.open(slot)
    handle = maker.create(DATA)
    assert b"value" == session.get(handle, CKA.VALUE)
    maker.close()
    expect(CKR.OBJECT_HANDLE_INVALID, session.get, handle, CKA.VALUE)
    assert [] == session.find(DATA)


def test_session_objects_of_other_sessions_stay(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """Closing one session leaves another's objects alone."""
    handle = session.create(DATA)
    cryptoki.open(slot).close()
    assert b"value" == session.get(handle, CKA.VALUE)


def test_many_sessions_can_be_open(cryptoki: Cryptoki, alone: int) -> None:
    """200 sessions at once are no trouble."""
    sessions = [cryptoki.open(alone) for _ in range(200)]
    assert 200 == sum(session.info().slotID == alone for session in sessions)


@pytest.mark.needs_function("C_AsyncComplete")
def test_asynchronous_session_is_refused_or_works(cryptoki: Cryptoki, slot: int) -> None:
    """A token without asynchronous operations says CKR_SESSION_ASYNC_NOT_SUPPORTED."""
    flags = CKF.SERIAL_SESSION | CKF.ASYNC_SESSION
    if not cryptoki.token(slot).flags & CKF.ASYNC_SESSION_SUPPORTED:
        expect(CKR.SESSION_ASYNC_NOT_SUPPORTED, cryptoki.open, slot, flags)


def test_operation_state_needs_an_operation(session: Session) -> None:
    """Without an operation there is no state to save: CKR_OPERATION_NOT_INITIALIZED, where states exist at all."""
    codes = (CKR.OPERATION_NOT_INITIALIZED, CKR.FUNCTION_NOT_SUPPORTED)
    expect(codes, session.call, "C_GetOperationState", NULL, ffi.new("CK_ULONG *"))


@pytest.mark.needs(CKM.SHA256)
def test_operation_state_that_is_no_state_is_refused(session: Session) -> None:
    """Bytes that no C_GetOperationState gave are CKR_SAVED_STATE_INVALID, where states exist at all."""
    codes = (CKR.SAVED_STATE_INVALID, CKR.FUNCTION_NOT_SUPPORTED)
    expect(codes, session.call, "C_SetOperationState", b"garbage", 7, 0, 0)


@pytest.mark.needs(CKM.SHA256)
def test_operation_state_can_be_taken_elsewhere(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """A saved digest goes on in another session as if it had begun there, where states exist at all (5.6)."""
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestUpdate", b"first", 5)
    try:
        state = session.output("C_GetOperationState")
    except Refused as refused:
        assert refused.rv in {CKR.FUNCTION_NOT_SUPPORTED, CKR.STATE_UNSAVEABLE}  # noqa: PT017
        return
    other = cryptoki.open(slot)
    other.call("C_SetOperationState", state, len(state), 0, 0)
    for each in (session, other):
        each.call("C_DigestUpdate", b"second", 6)
        assert hashlib.sha256(b"firstsecond").digest() == each.output("C_DigestFinal")
    other.close()


@pytest.mark.needs(CKM.SHA256)
@pytest.mark.needs_function("C_SessionCancel")
def test_session_cancel_ends_the_operations_named(session: Session) -> None:
    """C_SessionCancel(CKF_DIGEST) ends a digest; other flags leave it alone; none at all is CKR_OK."""
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_SessionCancel", CKF.SIGN)
    session.call("C_SessionCancel", 0)
    session.call("C_DigestUpdate", b"a", 1)
    session.call("C_SessionCancel", CKF.DIGEST)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_DigestUpdate", b"a", 1)


@pytest.mark.needs_function("C_LoginUser")
def test_login_user_answers_something_sensible(public: Session) -> None:
    """C_LoginUser without a user name is a login, or is not supported."""
    expect((CKR.FUNCTION_NOT_SUPPORTED, CKR.PIN_INCORRECT), public.call, "C_LoginUser", 1, b"wrong pin", 9, b"", 0)

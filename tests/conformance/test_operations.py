"""The states of a session's operations: Init twice, no Init, ends after errors, parts and single parts not mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKF, CKM, CKR

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Session, expect
from .keys import aes, generic
from .parameters import Mechanism

_ECB, _SHA256, _CMAC = Mechanism(CKM.AES_ECB), Mechanism(CKM.SHA256), Mechanism(CKM.AES_CMAC)
_DATA = bytes(64)
_KINDS = ["Encrypt", "Decrypt", "Sign", "Verify", "Digest"]
_each_kind = pytest.mark.parametrize("kind", _KINDS)
pytestmark = pytest.mark.needs(CKM.AES_ECB, CKM.SHA256, CKM.AES_CMAC)


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key for every kind."""
    return aes(session, ENCRYPT=True, DECRYPT=True, SIGN=True, VERIFY=True)


def _init(session: Session, kind: str, key: int) -> None:
    """Begin an operation."""
    if kind == "Digest":
        session.call("C_DigestInit", _SHA256.pointer)
    else:
        session.init(kind, _CMAC if kind in {"Sign", "Verify"} else _ECB, key)


def _single(session: Session, kind: str) -> Any:  # noqa: ANN401
    """Do the whole operation in one part; a signature to be verified is wrong."""
    if kind == "Verify":
        return session.call("C_Verify", _DATA, 64, bytes(16), 16)
    return session.output(f"C_{kind}", _DATA, 64)


def _update(session: Session, kind: str) -> Any:  # noqa: ANN401
    """Give one part of 16 bytes."""
    if kind in {"Encrypt", "Decrypt"}:
        return session.output(f"C_{kind}Update", _DATA, 16)
    return session.call(f"C_{kind}Update", _DATA, 16)


def _final(session: Session, kind: str) -> Any:  # noqa: ANN401
    """End the parts."""
    if kind == "Verify":
        return session.call("C_VerifyFinal", bytes(16), 16)
    return session.output(f"C_{kind}Final")


@_each_kind
def test_second_init_is_refused(session: Session, key: int, kind: str) -> None:
    """Init while the same kind is active is CKR_OPERATION_ACTIVE, and the operation goes on."""
    _init(session, kind, key)
    expect(CKR.OPERATION_ACTIVE, _init, session, kind, key)
    if kind == "Verify":
        expect(CKR.SIGNATURE_INVALID, _single, session, kind)
    else:
        _single(session, kind)


@_each_kind
@pytest.mark.parametrize("call", [_single, _update, _final], ids=["single", "update", "final"])
def test_call_without_init_is_refused(session: Session, kind: str, call: Callable[..., Any]) -> None:
    """CKR_OPERATION_NOT_INITIALIZED for each function of an operation that did not begin."""
    expect(CKR.OPERATION_NOT_INITIALIZED, call, session, kind)


def test_digest_of_a_key_without_init_is_refused(session: Session, key: int) -> None:
    """C_DigestKey too needs C_DigestInit."""
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_DigestKey", key)


@_each_kind
def test_operations_of_two_sessions_are_two(cryptoki: Cryptoki, session: Session, key: int, kind: str) -> None:
    """An operation belongs to its session."""
    other = cryptoki.open(cryptoki.find_slot("conformance"))
    _init(session, kind, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, other, kind)
    _init(other, kind, key)
    _update(session, kind)
    other.close()
    _update(session, kind)


@_each_kind
def test_refused_init_begins_nothing(session: Session, key: int, kind: str) -> None:
    """After an Init that was refused there is no operation, and a right Init works."""
    wrong = Mechanism(0x7FFF1234)
    arguments = (wrong.pointer,) if kind == "Digest" else (wrong.pointer, key)
    expect(CKR.MECHANISM_INVALID, session.call, f"C_{kind}Init", *arguments)
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, kind)
    _init(session, kind, key)


@_each_kind
def test_single_part_after_an_update_is_refused(session: Session, key: int, kind: str) -> None:
    """A single-part call cannot end several parts: CKR_OPERATION_ACTIVE or CKR_OPERATION_NOT_INITIALIZED (5.9)."""
    _init(session, kind, key)
    _update(session, kind)
    expect((CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED, CKR.FUNCTION_FAILED), _single, session, kind)


@pytest.mark.parametrize("kind", ["Encrypt", "Decrypt", "Sign", "Digest"])
def test_operation_ends_with_its_result(session: Session, key: int, kind: str) -> None:
    """After a single part, and after the final one, the operation is over and another can begin."""
    for finish in (_single, _final):
        _init(session, kind, key)
        finish(session, kind)
        expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, kind)


def test_verification_ends_with_a_wrong_signature(session: Session, key: int) -> None:
    """A refused signature ends the operation too."""
    for finish in (_single, _final):
        _init(session, "Verify", key)
        expect(CKR.SIGNATURE_INVALID, finish, session, "Verify")
        expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, "Verify")


@pytest.mark.parametrize("kind", ["Encrypt", "Decrypt"])
def test_operation_ends_with_an_error(session: Session, key: int, kind: str) -> None:
    """Data of a wrong length ends the operation."""
    _init(session, kind, key)
    codes = (CKR.DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID)
    expect(codes, session.output, f"C_{kind}", _DATA, 15)
    expect(CKR.OPERATION_NOT_INITIALIZED, _single, session, kind)


def test_operation_whose_key_is_destroyed_does_no_harm(session: Session) -> None:
    """An operation goes on or fails when its key is destroyed; the session can still be used."""
    key = generic(session, bytes(32), SIGN=True)
    session.init("Sign", Mechanism(CKM.SHA256_HMAC), key)
    session.destroy(key)
    buffer, length = ffi.new("CK_BYTE[32]"), ffi.new("CK_ULONG *", 32)
    code = session.cryptoki.functions["C_Sign"](session.handle, _DATA, 64, buffer, length)
    assert code in {CKR.OK, CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID, CKR.OPERATION_NOT_INITIALIZED}
    assert 16 == len(session.random(16))


@_each_kind
@pytest.mark.needs_function("C_SessionCancel")
def test_init_without_a_mechanism_cancels(session: Session, key: int, kind: str) -> None:
    """Cryptoki 3: Init with a NULL mechanism ends the operation (5.8)."""
    _init(session, kind, key)
    session.call(f"C_{kind}Init", NULL, *([] if kind == "Digest" else [key]))
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, kind)


@_each_kind
@pytest.mark.needs_function("C_SessionCancel")
def test_session_cancel_cancels(session: Session, key: int, kind: str) -> None:
    """Cryptoki 3: C_SessionCancel with the operation's flag ends it."""
    flag = {"Encrypt": CKF.ENCRYPT, "Decrypt": CKF.DECRYPT, "Sign": CKF.SIGN, "Verify": CKF.VERIFY}.get(
        kind, CKF.DIGEST
    )
    _init(session, kind, key)
    session.call("C_SessionCancel", flag)
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, kind)


@pytest.mark.needs_function("C_SessionCancel")
def test_session_cancel_ends_a_search(session: Session) -> None:
    """Cryptoki 3: C_SessionCancel with CKF_FIND_OBJECTS ends a search."""
    session.find_init({CKA.CLASS: 0})
    session.call("C_SessionCancel", CKF.FIND_OBJECTS)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.find_next, 1)

"""Asynchronous sessions: slow key generation in the background, and everything that can come in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pkcs11
import pytest
from conformance.binding import ffi
from conformance.cryptoki import Cryptoki, Refused, Session, Template, expect
from conformance.parameters import Mechanism
from tokens import Initialised

from ptkc.spec.constants import CKA, CKF, CKM, CKO, CKR

READ_WRITE = CKF.SERIAL_SESSION | CKF.RW_SESSION
RSA = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
PAIR = b"C_GenerateKeyPair"
NULL = ffi.NULL

Beginning = Callable[..., None]


class Pair:
    """A C_GenerateKeyPair call for an RSA key, with its arguments kept alive."""

    def __init__(self, label: str, *, bits: int = 2048, token: bool = False) -> None:
        """Describe a key pair of this label."""
        self.public = Template({CKA.MODULUS_BITS: bits, CKA.VERIFY: True, CKA.LABEL: label})
        self.private = Template({CKA.SIGN: True, CKA.LABEL: label, CKA.TOKEN: token})
        self.handles = ffi.new("CK_OBJECT_HANDLE[2]", [77, 78])

    def begin(self, session: Session) -> None:
        """Call the function."""
        session.call(
            "C_GenerateKeyPair", RSA.pointer, self.public.array, self.public.count, self.private.array,
            self.private.count, self.handles, self.handles + 1,
        )  # fmt: skip


def completed(session: Session, function: bytes = PAIR) -> tuple[int, int]:
    """Ask until the function has completed; return both handles."""
    result = ffi.new("CK_ASYNC_DATA *", {"ulVersion": 9, "ulValue": 9, "hObject": 9, "hAdditionalObject": 9})
    until = time.monotonic() + 60
    while True:
        code = session.cryptoki.functions["C_AsyncComplete"](session.handle, function, result)
        if code != CKR.PENDING or time.monotonic() > until:
            break
        assert [9, 9, 9, 9] == [result.ulVersion, result.ulValue, result.hObject, result.hAdditionalObject]
        time.sleep(0.01)  # what an application does
    if code != CKR.OK:
        raise Refused("C_AsyncComplete", code)
    assert [0, NULL, 0] == [result.ulVersion, result.pValue, result.ulValue]
    return int(result.hObject), int(result.hAdditionalObject)


def number_of(session: Session) -> int:
    """Return what C_AsyncGetID says of C_GenerateKeyPair."""
    number = ffi.new("CK_ULONG *")
    session.call("C_AsyncGetID", PAIR, number)
    return int(number[0])


def keys(session: Session, label: str) -> int:
    """Return how many objects have the label."""
    return len(session.find({CKA.LABEL: label}))


@pytest.fixture
def slot(library: pkcs11.lib, prepared: Initialised) -> Iterator[tuple[Cryptoki, int]]:
    """Return the module, initialised, and the token's slot; close all sessions afterwards."""
    assert library
    cryptoki = Cryptoki(prepared.path)
    number = cryptoki.find_slot(prepared.label)
    yield cryptoki, number
    cryptoki.close_all(number)


@pytest.fixture
def session(slot: tuple[Cryptoki, int], prepared: Initialised) -> Session:
    """Return an asynchronous session in which the user is logged in."""
    opened = slot[0].open(slot[1], READ_WRITE | CKF.ASYNC_SESSION)
    opened.login(prepared.pin)
    return opened


def test_token_says_that_it_has_asynchronous_sessions(slot: tuple[Cryptoki, int], session: Session) -> None:
    """CKF_ASYNC_SESSION_SUPPORTED of the token, CKF_ASYNC_SESSION of the session, and not of another one."""
    cryptoki, number = slot
    assert cryptoki.token(number).flags & CKF.ASYNC_SESSION_SUPPORTED
    assert READ_WRITE | CKF.ASYNC_SESSION == session.info().flags
    assert READ_WRITE == cryptoki.open(number).info().flags


def test_slow_generation_is_pending_and_completes(session: Session) -> None:
    """CKR_PENDING changes nothing; C_AsyncComplete gives public and private key, which work, and then it is over."""
    pair = Pair("slow")
    expect(CKR.PENDING, pair.begin, session)
    assert [77, 78] == list(pair.handles)
    public, private = completed(session)
    assert [CKO.PUBLIC_KEY, CKO.PRIVATE_KEY] == [session.number(key, CKA.CLASS) for key in (public, private)]
    mechanism = Mechanism(CKM.SHA256_RSA_PKCS)
    session.verify(mechanism, public, b"data", session.sign(mechanism, private, b"data"))
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session)


def test_quick_generation_answers_at_once(session: Session) -> None:
    """An AES key is there before a thread would be."""
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True})
    assert 16 == len(session.encrypt(Mechanism(CKM.AES_ECB), key, bytes(16)))
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session, b"C_GenerateKey")


def test_synchronous_session_never_says_pending(slot: tuple[Cryptoki, int], session: Session) -> None:
    """Beside an asynchronous session, another one generates as ever."""
    assert session
    pair = Pair("synchronous")
    pair.begin(slot[0].open(slot[1]))
    assert 77 not in list(pair.handles)


def test_what_is_to_be_refused_is_refused_at_once(session: Session) -> None:
    """A wrong template is said by the function itself, and nothing is pending."""
    pair = Pair("wrong")
    pair.public = Template({CKA.VERIFY: True})
    expect(CKR.TEMPLATE_INCOMPLETE, pair.begin, session)
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session)


def test_what_the_mechanism_refuses_is_said_when_it_completes(session: Session) -> None:
    """An even exponent is found out by the computation: C_AsyncComplete says so, once, and there is no key."""
    pair = Pair("even")
    pair.public = Template({CKA.MODULUS_BITS: 2048, CKA.PUBLIC_EXPONENT: b"\x04", CKA.LABEL: "even"})
    expect(CKR.PENDING, pair.begin, session)
    expect(CKR.TEMPLATE_INCONSISTENT, completed, session)
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session)
    assert 0 == keys(session, "even")


def test_session_works_on_while_one_is_pending(session: Session) -> None:
    """Other functions answer; the same one is CKR_OPERATION_ACTIVE."""
    pair = Pair("meanwhile")
    expect(CKR.PENDING, pair.begin, session)
    assert 32 == len(session.digest(Mechanism(CKM.SHA256), b"data"))
    assert 0 == keys(session, "meanwhile")
    expect(CKR.OPERATION_ACTIVE, Pair("second").begin, session)
    completed(session)
    assert 2 == keys(session, "meanwhile")


def test_more_than_may_run_are_made_at_once(slot: tuple[Cryptoki, int], session: Session) -> None:
    """Any number of sessions can ask: each call answers CKR_PENDING or with its keys."""
    sessions = [session, *(slot[0].open(slot[1], READ_WRITE | CKF.ASYNC_SESSION) for _ in range(5))]
    codes = []
    for one in sessions:
        pair = Pair("many", bits=1024)
        try:
            pair.begin(one)
            codes.append(CKR.OK)
        except Refused as refused:
            codes.append(refused.rv)
    assert CKR.PENDING == codes[0]
    assert {CKR.PENDING, CKR.OK} >= set(codes)
    for one, code in zip(sessions, codes, strict=True):
        if code == CKR.PENDING:
            completed(one)
    assert 12 == keys(session, "many")


def test_cancelled_generation_leaves_nothing(session: Session) -> None:
    """C_SessionCancel with another flag does nothing, with CKF_GENERATE_KEY_PAIR it ends what is pending."""
    pair = Pair("cancelled", token=True)
    expect(CKR.PENDING, pair.begin, session)
    number = number_of(session)
    session.call("C_SessionCancel", CKF.GENERATE | CKF.SIGN)
    assert number == number_of(session)
    session.call("C_SessionCancel", CKF.GENERATE_KEY_PAIR)
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session)
    expect(CKR.SAVED_STATE_INVALID, session.call, "C_AsyncJoin", PAIR, number, NULL, 0)
    assert 0 == keys(session, "cancelled")


def test_logout_ends_what_is_pending(session: Session, prepared: Initialised) -> None:
    """What the user began is not the next one's, even if it is the same."""
    expect(CKR.PENDING, Pair("logged out", token=True).begin, session)
    session.logout()
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session)
    session.login(prepared.pin)
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, session)
    assert 0 == keys(session, "logged out")


def test_generation_is_joined_from_another_session(slot: tuple[Cryptoki, int], session: Session) -> None:
    """With its number it outlives its session; one session completes it, once."""
    pair = Pair("joined", token=True)
    expect(CKR.PENDING, pair.begin, session)
    number = number_of(session)
    assert number == number_of(session)
    other = slot[0].open(slot[1], READ_WRITE | CKF.ASYNC_SESSION)
    session.close()
    for wrong in (number ^ 1, 0, 2**64 - 1):
        expect(CKR.SAVED_STATE_INVALID, other.call, "C_AsyncJoin", PAIR, wrong, NULL, 0)
    expect(CKR.SAVED_STATE_INVALID, other.call, "C_AsyncJoin", b"C_GenerateKey", number, NULL, 0)
    other.call("C_AsyncJoin", PAIR, number, NULL, 10)
    third = slot[0].open(slot[1])
    third.call("C_AsyncJoin", PAIR, number, NULL, 0)
    public, private = completed(other)
    expect(CKR.OPERATION_NOT_INITIALIZED, completed, third)
    assert 2 == keys(other, "joined")
    other.destroy(public, private)


def test_generation_is_not_joined_by_another_login(
    slot: tuple[Cryptoki, int], session: Session, prepared: Initialised
) -> None:
    """The number alone is not enough: who joins is logged in as who began."""
    expect(CKR.PENDING, Pair("another login").begin, session)
    number = number_of(session)
    session.logout()
    expect(CKR.SAVED_STATE_INVALID, session.call, "C_AsyncJoin", PAIR, number, NULL, 0)
    session.login(prepared.pin)
    session.call("C_AsyncJoin", PAIR, number, NULL, 0)
    completed(session)
    assert 2 == keys(session, "another login")
    assert slot


def test_wrong_arguments_are_refused(session: Session) -> None:
    """No function, nothing pending, no place for the answer; a refused C_AsyncComplete leaves what is pending."""
    result, number = ffi.new("CK_ASYNC_DATA *"), ffi.new("CK_ULONG *")
    for name in (b"C_Nothing", b"", b"\xff" * 80):
        expect(CKR.ARGUMENTS_BAD, session.call, "C_AsyncComplete", name, result)
        expect(CKR.ARGUMENTS_BAD, session.call, "C_AsyncGetID", name, number)
        expect(CKR.ARGUMENTS_BAD, session.call, "C_AsyncJoin", name, 1, NULL, 0)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_AsyncComplete", NULL, result)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_AsyncComplete", b"C_Sign", result)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_AsyncGetID", b"C_Sign", number)
    expect(CKR.PENDING, Pair("arguments").begin, session)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_AsyncComplete", PAIR, NULL)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_AsyncGetID", PAIR, NULL)
    completed(session)

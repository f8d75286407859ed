"""Return codes: for each function, every code that the specification lists and that a soft token can answer, once.

After each call: an operation has ended or goes on as the specification says, and what was refused made no object. The
pairs that no call provokes are in `return_codes`, each with the reason; the last test holds that none is in neither.
"""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKF, CKR
from ptkc.wire.commands import BY_NAME

from .binding import ffi
from .child import module_path, run
from .cryptoki import NULL, Cryptoki, Refused, Session, code_name
from .fresh_token import USER_PIN, store_environment
from .return_cases import CASES, Bench
from .return_codes import LISTED, NEVER, reason
from .return_rules import RULES
from .right_calls import INITS, RIGHT, Call

_OUTSIDE = {("C_InitToken", "OK"), ("C_InitToken", "PIN_LOCKED"), ("C_OpenSession", "TOKEN_NOT_RECOGNIZED")} | {
    pair for pair in LISTED if pair[1] == "CRYPTOKI_NOT_INITIALIZED" or pair[0] in ("C_Initialize", "C_Finalize")
}
"""Pairs that need a process, or a token, of their own."""
_PROVOKED = sorted(pair for pair in LISTED if not reason(*pair))
_HERE = [pair for pair in _PROVOKED if pair not in _OUTSIDE]
_BEGINS = {BY_NAME[function].operation: function for function in INITS}
_MAKERS = ("Create", "Copy", "Generate", "Unwrap", "Derive", "Encaps", "Decaps")
_CHANGES_TOKEN = {"USER_PIN_NOT_INITIALIZED", "PIN_LOCKED", "PIN_INVALID", "PIN_LEN_RANGE"}


def _continues(function: str, code: str, kind: str) -> bool | None:
    """Return whether an operation goes on after a call that was answered so; None where either is right."""
    if function in INITS:
        return code in ("OK", "OPERATION_ACTIVE")
    if code in ("SESSION_HANDLE_INVALID", "OPERATION_NOT_INITIALIZED"):
        return True  # another session was meant
    if kind.startswith("message"):
        return not (code == "OK" and function.startswith("C_Message"))
    if kind == "find":
        return {"C_FindObjects": True, "C_FindObjectsFinal": False}[function] if code == "OK" else None
    if code == "OK":
        return "Update" in function or function == "C_DigestKey"
    return code == "BUFFER_TOO_SMALL"


def _goes_on(session: Session, kind: str) -> bool:
    """Return whether an operation is under way: then another one cannot be begun."""
    function = _BEGINS[kind]
    try:
        Call(session, function, INITS[function](session)).run()
    except Refused as refused:
        assert refused.rv == CKR.OPERATION_ACTIVE, str(refused)  # noqa: PT017
        return True
    return False


def _check_operations(session: Session, function: str, code: str) -> None:
    """Assert that the operations of a function are where the specification has them after such an answer."""
    for kind in filter(None, BY_NAME[function].operation.split(",")):
        expected = _continues(function, code, kind)
        if expected is not None:
            assert expected == _goes_on(session, kind), f"{kind} {'ended' if expected else 'goes on'}"


@pytest.fixture
def bench(request: pytest.FixtureRequest, cryptoki: Cryptoki, slot: int, code: str) -> Bench:
    """Give what a case works with; the token is made anew after a case that may change its PINs."""
    if code not in _CHANGES_TOKEN:
        return Bench(cryptoki, slot, request.getfixturevalue("session"))
    session = cryptoki.open(request.getfixturevalue("changeable"))
    session.login(USER_PIN)
    return Bench(cryptoki, slot, session)


def _answer(bench: Bench, function: str, code: str) -> None:
    """Make the call that is answered so."""
    if (function, code) in CASES:
        CASES[function, code](bench)
        return
    call = Call(bench.session, function, RIGHT[function](bench.session))
    if function.startswith(tuple(f"C_{word}" for word in _MAKERS)) and code != "OK":
        bench.count = len(bench.session.find({}))
    RULES[code](call)
    if bench.count is not None:
        bench.count = len(bench.session.find({}))  # a rule may have made keys
    call.run()


@pytest.mark.parametrize(
    ("function", "code"),
    [
        pytest.param(function, code, id=f"{function}-{code}", marks=pytest.mark.needs_function(function))
        for function, code in _HERE
    ],
)
def test_call_is_answered_with_the_code(bench: Bench, function: str, code: str) -> None:
    """The call that the code is for gets it, the operations are as they should be, no object is left behind."""
    try:
        _answer(bench, function, code)
        answered = "CKR_OK"
    except Refused as refused:
        answered = code_name(refused.rv)
        assert str(refused).startswith(f"{function}:"), str(refused)  # noqa: PT017
    assert f"CKR_{code}" == answered
    if BY_NAME[function].operation and code != "USER_NOT_LOGGED_IN":
        _check_operations(bench.session, function, code)
    if bench.count is not None:
        assert bench.count == len(bench.session.find({}))


def before_and_after() -> dict[str, str]:
    """In a child: make every call before C_Initialize, then start and stop the library in all ways."""
    cryptoki, answers = Cryptoki(module_path()), {}

    def note(function: str, code: str, *arguments: object) -> None:
        try:
            cryptoki.call(function, *arguments)
            answers[f"{function} {code}"] = "CKR_OK"
        except Refused as refused:
            answers[f"{function} {code}"] = code_name(refused.rv)

    for function, code in sorted(LISTED):
        if code == "CRYPTOKI_NOT_INITIALIZED" and function in cryptoki.functions:
            kinds = ffi.typeof(cryptoki.functions[function]).args
            nothing = [ffi.NULL if kind.kind == "pointer" else ffi.cast(kind, 0) for kind in kinds]
            note(function, code, *nothing)
    note("C_Initialize", "ARGUMENTS_BAD", ffi.new("CK_C_INITIALIZE_ARGS *", {"pReserved": ffi.new("char[1]")}))
    note("C_Initialize", "OK", ffi.new("CK_C_INITIALIZE_ARGS *", {"flags": CKF.OS_LOCKING_OK}))
    note("C_Initialize", "CRYPTOKI_ALREADY_INITIALIZED", NULL)
    note("C_Finalize", "ARGUMENTS_BAD", ffi.new("char[1]"))
    slot = cryptoki.slots()[0]
    flags = CKF.SERIAL_SESSION | CKF.RW_SESSION
    note("C_OpenSession", "TOKEN_NOT_RECOGNIZED", slot, flags, NULL, NULL, ffi.new("CK_ULONG *"))
    note("C_InitToken", "OK", slot, b"so-pin-9876", 11, b"new".ljust(32))
    for _ in range(12):
        if answers.get("C_InitToken PIN_LOCKED") in (None, "CKR_PIN_INCORRECT"):
            note("C_InitToken", "PIN_LOCKED", slot, b"another-pin", 11, b"new".ljust(32))
    note("C_Finalize", "OK", NULL)
    return answers


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give what a process of its own was answered."""
    found: dict[str, str] = run(before_and_after, environment=store_environment(tmp_path_factory.mktemp("outside")))
    return found


_ALONE = [pair for pair in _PROVOKED if pair in _OUTSIDE]


@pytest.mark.parametrize(
    ("function", "code"),
    [
        pytest.param(function, code, id=f"{function}-{code}", marks=pytest.mark.needs_function(function))
        for function, code in _ALONE
    ],
)
def test_library_that_starts_and_stops_answers_with_the_code(outside: dict[str, str], function: str, code: str) -> None:
    """Calls before C_Initialize, C_Initialize itself, C_Finalize and C_InitToken get their codes."""
    assert f"CKR_{code}" == outside[f"{function} {code}"]


def test_every_pair_is_provoked_or_has_a_reason() -> None:
    """No pair is forgotten, none has a reason and a case, and no reason is for a pair that there is not."""
    provided = {*CASES, *_OUTSIDE} | {(name, code) for name, code in LISTED if code in RULES and name in RIGHT}
    assert set() == set(_PROVOKED) - provided
    assert set() == {pair for pair in CASES if pair not in LISTED or reason(*pair)}
    assert 104 == len({function for function, _ in LISTED})
    assert NEVER

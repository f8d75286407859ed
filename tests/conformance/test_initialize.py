"""C_Initialize and C_Finalize: arguments, twice, before, after. Each test has a process of its own."""

from __future__ import annotations

import threading

import pytest

from ptkc.spec.constants import CKF, CKR

from . import child
from .binding import FUNCTIONS, ffi
from .cryptoki import NULL, Cryptoki, Refused, code_name, expect
from .fresh_token import USER_PIN, loaded
from .keys import DATA

_FREE = {"C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"}
_FUNCTIONS = [name for name in FUNCTIONS[:68] if name not in _FREE]


def _all_before(path: str, names: list[str]) -> dict[str, str]:
    """Call each function with harmless arguments before C_Initialize; return the codes."""
    cryptoki, place = Cryptoki(path), ffi.new("CK_BYTE[4096]")
    codes = {}
    for name in names:
        kinds = ffi.typeof(cryptoki.functions[name]).args
        arguments = [
            NULL if name == "C_Finalize" else ffi.cast(kind, place) if kind.kind in {"pointer", "function"} else 1
            for kind in kinds
        ]
        codes[name] = code_name(cryptoki.functions[name](*arguments))
    return codes


@pytest.fixture(scope="module")
def answers_before() -> dict[str, str]:
    """Give what each function says before C_Initialize."""
    return dict(child.run(_all_before, child.module_path(), _FUNCTIONS))


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_function_needs_initialization(answers_before: dict[str, str], name: str) -> None:
    """Every function but the four free ones is CKR_CRYPTOKI_NOT_INITIALIZED before C_Initialize (5.1.3)."""
    assert "CKR_CRYPTOKI_NOT_INITIALIZED" == answers_before[name]


def _later_before(path: str) -> dict[str, str]:
    names = [name for name in Cryptoki(path).functions.names[68:] if name not in _FREE]
    return _all_before(path, names)


@pytest.mark.needs_function("C_LoginUser")
def test_functions_of_later_versions_need_initialization() -> None:
    """The functions of Cryptoki 3 too, unless they are not supported at all."""
    codes = {"CKR_CRYPTOKI_NOT_INITIALIZED", "CKR_FUNCTION_NOT_SUPPORTED"}
    assert set(child.run(_later_before, child.module_path()).values()) <= codes


def _twice(path: str) -> None:
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    expect(CKR.CRYPTOKI_ALREADY_INITIALIZED, cryptoki.initialize)
    expect(CKR.CRYPTOKI_ALREADY_INITIALIZED, cryptoki.call, "C_Initialize", NULL)
    assert cryptoki.slots()
    cryptoki.finalize()
    expect(CKR.CRYPTOKI_NOT_INITIALIZED, cryptoki.finalize)


def test_second_initialization_is_refused() -> None:
    """C_Initialize twice is CKR_CRYPTOKI_ALREADY_INITIALIZED, C_Finalize twice CKR_CRYPTOKI_NOT_INITIALIZED."""
    child.run(_twice, child.module_path())


def _again(path: str) -> None:
    cryptoki, slot = loaded(path)
    session = cryptoki.open(slot)
    session.login(USER_PIN)
    handle = session.create(DATA)
    for _ in range(3):
        cryptoki.finalize()
        expect(CKR.CRYPTOKI_NOT_INITIALIZED, session.info)
        cryptoki.initialize()
        expect((CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED), session.info)
        slot = cryptoki.find_slot("conformance")
        fresh = cryptoki.open(slot)
        assert fresh.state == 2
        assert handle not in fresh.find(DATA)
        fresh.login(USER_PIN)
    cryptoki.finalize()


def test_initialization_may_be_repeated_after_finalize() -> None:
    """After C_Finalize and C_Initialize there are no sessions, no login, no session objects; all works again."""
    child.run(_again, child.module_path())


def _arguments(path: str, fields: dict[str, int], reserved: bool) -> str:  # noqa: FBT001
    """Call C_Initialize with these of the four mutex functions and flags; return the code."""
    cryptoki = Cryptoki(path)
    create = ffi.callback("CK_RV(void **)", lambda _: 0)
    other = ffi.callback("CK_RV(void *)", lambda _: 0)
    arguments = ffi.new("CK_C_INITIALIZE_ARGS *", {"flags": fields.pop("flags", 0)})
    for name in fields:
        setattr(arguments, name, create if name == "CreateMutex" else other)
    if reserved:
        arguments.pReserved = arguments
    try:
        cryptoki.call("C_Initialize", arguments)
    except Refused as refused:
        return code_name(refused.rv)
    cryptoki.slots()
    cryptoki.finalize()
    return "CKR_OK"


_MUTEXES = {"CreateMutex": 1, "DestroyMutex": 1, "LockMutex": 1, "UnlockMutex": 1}


@pytest.mark.parametrize(
    ("fields", "reserved", "codes"),
    [
        ({}, False, {"CKR_OK"}),
        ({"flags": CKF.OS_LOCKING_OK}, False, {"CKR_OK"}),
        (_MUTEXES, False, {"CKR_OK", "CKR_CANT_LOCK"}),
        ({**_MUTEXES, "flags": CKF.OS_LOCKING_OK}, False, {"CKR_OK"}),
        ({"flags": CKF.LIBRARY_CANT_CREATE_OS_THREADS}, False, {"CKR_OK", "CKR_NEED_TO_CREATE_THREADS"}),
        ({"CreateMutex": 1}, False, {"CKR_ARGUMENTS_BAD"}),
        ({"LockMutex": 1, "UnlockMutex": 1, "DestroyMutex": 1}, False, {"CKR_ARGUMENTS_BAD"}),
        ({"CreateMutex": 1, "flags": CKF.OS_LOCKING_OK}, False, {"CKR_ARGUMENTS_BAD"}),
        ({}, True, {"CKR_ARGUMENTS_BAD"}),
        ({"flags": CKF.OS_LOCKING_OK}, True, {"CKR_ARGUMENTS_BAD"}),
    ],
    ids=["none", "os", "mutexes", "both", "no-threads", "one", "three", "one-and-os", "reserved", "reserved-and-os"],
)
def test_initialization_looks_at_its_arguments(fields: dict[str, int], codes: set[str], *, reserved: bool) -> None:
    """The four ways of locking work; some but not all functions, or a reserved pointer, are CKR_ARGUMENTS_BAD (5.4)."""
    assert child.run(_arguments, child.module_path(), fields, reserved) in codes


def _null(path: str) -> None:
    cryptoki = Cryptoki(path)
    cryptoki.call("C_Initialize", NULL)
    assert cryptoki.slots()
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_Finalize", ffi.new("int *"))
    assert cryptoki.slots()
    cryptoki.finalize()


def test_null_arguments_are_fine_and_a_reserved_one_is_not() -> None:
    """C_Initialize(NULL) is for a program without threads; C_Finalize with a pointer is CKR_ARGUMENTS_BAD."""
    child.run(_null, child.module_path())


def _waiting(path: str) -> str:
    """Finalize while a thread waits for a slot event; return what that thread got."""
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    answers: list[int] = []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        answers.append(cryptoki.functions["C_WaitForSlotEvent"](0, ffi.new("CK_SLOT_ID *"), NULL))

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    thread.join(0.2)  # Give the thread time to be inside the call: nothing can say that it is.
    cryptoki.finalize()
    thread.join(20)
    return code_name(answers[0]) if answers else "still waiting"


def test_finalize_wakes_who_waits_for_a_slot_event() -> None:
    """A blocked C_WaitForSlotEvent returns CKR_CRYPTOKI_NOT_INITIALIZED (5.5)."""
    assert "CKR_CRYPTOKI_NOT_INITIALIZED" == child.run(_waiting, child.module_path())


def _leaving(path: str) -> None:
    cryptoki, slot = loaded(path)
    cryptoki.open(slot).login(USER_PIN)


def test_process_may_end_without_finalize() -> None:
    """A program that never calls C_Finalize ends without a crash."""
    child.run(_leaving, child.module_path())

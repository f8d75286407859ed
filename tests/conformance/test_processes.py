"""fork(), and two processes on one token. Each test has processes of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from ptkc.spec.constants import CKA, CKM, CKR

from . import child
from .cryptoki import Cryptoki, Session, expect
from .fresh_token import USER_PIN, loaded
from .keys import DATA, aes
from .parameters import Mechanism

_ECB = Mechanism(CKM.AES_ECB)


def _forked(work: Callable[[], None]) -> None:
    """Run `work` in a forked child; fail if it raises, dies or hangs for 20 seconds."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    timer = threading.Timer(20, os.kill, (process, 9))
    timer.start()
    _, status = os.waitpid(process, 0)
    timer.cancel()
    assert status == 0, f"the forked child ended with status {status:#x}"


def _logged_in(path: str) -> tuple[Cryptoki, Session]:
    cryptoki, slot = loaded(path)
    session = cryptoki.open(slot)
    session.login(USER_PIN)
    return cryptoki, session


def _fork(path: str) -> None:
    cryptoki, session = _logged_in(path)
    key = aes(session, ENCRYPT=True)

    def work() -> None:
        expect(CKR.CRYPTOKI_NOT_INITIALIZED, session.info)
        expect(CKR.CRYPTOKI_NOT_INITIALIZED, cryptoki.slots)
        expect(CKR.CRYPTOKI_NOT_INITIALIZED, session.random, 16)

    _forked(work)
    assert 16 == len(session.encrypt(_ECB, key, bytes(16)))
    cryptoki.finalize()


def test_forked_child_is_not_initialized() -> None:
    """After fork() the child gets CKR_CRYPTOKI_NOT_INITIALIZED, and the parent goes on."""
    child.run(_fork, child.module_path())


def _fork_and_initialize(path: str) -> None:
    cryptoki, session = _logged_in(path)
    key = aes(session, ENCRYPT=True)
    expected = session.encrypt(_ECB, key, bytes(16))

    def work() -> None:
        cryptoki.initialize()
        own = cryptoki.open(cryptoki.find_slot("conformance"))
        assert own.state == 2
        own.login(USER_PIN)
        assert own.find({CKA.TOKEN: False}) == []
        assert expected == own.encrypt(_ECB, aes(own, ENCRYPT=True), bytes(16))
        own.destroy(own.create(DATA | {CKA.TOKEN: True}))
        cryptoki.finalize()

    for _ in range(3):
        _forked(work)
        assert expected == session.encrypt(_ECB, key, bytes(16))
    cryptoki.finalize()


def test_forked_child_initializes_itself() -> None:
    """A child's own C_Initialize works: no login, no session objects, the token there; parent and child go on."""
    child.run(_fork_and_initialize, child.module_path())


def _fork_with_threads(path: str) -> None:
    cryptoki, session = _logged_in(path)
    key, slot, stop = aes(session, ENCRYPT=True), session.info().slotID, threading.Event()

    def busy() -> None:
        own = cryptoki.open(slot)
        while not stop.is_set():
            own.encrypt(_ECB, key, bytes(16))

    def work() -> None:
        cryptoki.initialize()
        own = cryptoki.open(cryptoki.find_slot("conformance"))
        assert len(own.random(16)) == 16
        cryptoki.finalize()

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            _forked(work)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    cryptoki.finalize()


@pytest.mark.needs(CKM.AES_ECB)
def test_fork_while_threads_work_does_not_hang() -> None:
    """Forks while other threads encrypt: each child initializes itself, the threads go on."""
    child.run(_fork_with_threads, child.module_path())


def _write(path: str, name: str, number: int) -> None:
    cryptoki, session = _logged_in(path)
    for turn in range(number):
        session.create(DATA | {CKA.TOKEN: True, CKA.PRIVATE: bool(turn % 2), CKA.LABEL: f"{name} {turn}"})
    cryptoki.finalize()


def test_other_process_sees_what_was_written(session: Session) -> None:
    """Objects of another process are found at the next search, and can be changed and destroyed here."""
    child.run(_write, child.module_path(), "other", 4)
    found = session.find({CKA.TOKEN: True})
    assert {f"other {turn}".encode() for turn in range(4)} == {session.get(handle, CKA.LABEL) for handle in found}
    session.set(found[0], {CKA.LABEL: "changed"})
    assert b"value" == session.get(found[0], CKA.VALUE)


def _check(path: str, label: str, expected: int) -> None:
    cryptoki, session = _logged_in(path)
    assert expected == len(session.find({CKA.LABEL: label}))
    cryptoki.finalize()


def test_other_process_sees_what_was_changed_and_destroyed(session: Session) -> None:
    """A change and a destruction here are seen by a process that starts afterwards."""
    handle = session.create(DATA | {CKA.TOKEN: True, CKA.LABEL: "before"})
    child.run(_check, child.module_path(), "before", 1)
    session.set(handle, {CKA.LABEL: "after"})
    child.run(_check, child.module_path(), "after", 1)
    session.destroy(handle)
    child.run(_check, child.module_path(), "after", 0)


def test_two_processes_write_at_once(session: Session) -> None:
    """Two processes write 15 objects each while this one writes too: none is lost."""
    children = [child.start(_write, child.module_path(), name, 15) for name in ("first", "second")]
    for turn in range(15):
        session.create(DATA | {CKA.TOKEN: True, CKA.LABEL: f"own {turn}"})
    for process in children:
        process.result()
    expected = {f"{name} {turn}".encode() for name in ("first", "second", "own") for turn in range(15)}
    assert expected == {session.get(handle, CKA.LABEL) for handle in session.find({CKA.TOKEN: True})}


def test_object_destroyed_by_another_process_is_no_object(session: Session) -> None:
    """A handle to an object that another process destroyed is CKR_OBJECT_HANDLE_INVALID."""
    handle = session.create(DATA | {CKA.TOKEN: True})
    child.run(_destroy_all, child.module_path())
    expect(CKR.OBJECT_HANDLE_INVALID, session.get, handle, CKA.LABEL)
    assert [] == session.find({CKA.TOKEN: True})


def _unique(path: str) -> str:
    cryptoki, session = _logged_in(path)
    value = session.get(session.find({CKA.TOKEN: True})[0], CKA.UNIQUE_ID)
    cryptoki.finalize()
    return value.hex()


def test_unique_id_is_the_same_everywhere(session: Session) -> None:
    """A token object's CKA_UNIQUE_ID is the same in another process (4.3.2)."""
    handle = session.create(DATA | {CKA.TOKEN: True})
    assert session.get(handle, CKA.UNIQUE_ID).hex() == child.run(_unique, child.module_path())


def _destroy_all(path: str) -> None:
    cryptoki, session = _logged_in(path)
    session.destroy(*session.find({CKA.TOKEN: True}))
    cryptoki.finalize()


def _state(path: str) -> int:
    cryptoki, slot = loaded(path)
    state = cryptoki.open(slot).state
    cryptoki.finalize()
    return state


def test_login_is_for_one_process(session: Session) -> None:
    """While the user is logged in here, another process's sessions are public."""
    assert session.state == 3
    assert 2 == child.run(_state, child.module_path())

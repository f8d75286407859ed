"""Several processes on one store: nothing lost, nothing half, each sees what the others did."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, data_object

from ptkc.spec.constants import CKA, CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token import pins

LONG = bool(os.environ.get("PTKC_SOAK"))

# Answers each change on its standard output once it is told that it was made.
WRITER = """
hsm = place.open()
token = hsm.tokens[0]
key = token.login(1, USER_PIN)
number = 0
print("ready", flush=True)
while True:
    number += 1
    pair = token.add_many([aes_key(b"%d" % number), data_object(b"%d" % number)], key)
    print("added", *pair, flush=True)
    if number % 3 == 0:
        print("removing", pair[0], flush=True)
        token.remove(pair[0])
        print("removed", pair[0], flush=True)
        attributes, version = token.load(pair[1], None)
        token.replace(pair[1], version, {**attributes, CKA.VALUE: b"second"}, None)
        print("replaced", pair[1], flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty data path."""
    return Place(tmp_path)


@pytest.mark.soak
def test_what_was_answered_survives_kill_9_and_nothing_is_half(place: Place) -> None:
    """A writer killed at a random moment, tens of times: all that it was told is there, the store opens."""
    hsm, token, key = place.initialised()
    said: dict[str, set[int]] = {"added": set(), "removing": set(), "removed": set(), "replaced": set()}
    for _ in range(200 if LONG else 30):
        with place.process(WRITER) as process:
            assert "ready\n" == process.stdout.readline()  # type: ignore[union-attr]
            time.sleep(random.random() * 0.1)
            process.send_signal(signal.SIGKILL)
            printed = process.stdout.read()  # type: ignore[union-attr]
        for line in printed.splitlines():
            what, *numbers = line.split()
            said[what].update(map(int, numbers))
        found = set(token.find((), key))
        assert said["added"] - said["removing"] <= found
        assert not said["removed"] & found
    assert len(said["added"]) > 30
    for number in found:
        attributes, _ = token.load(number, key) or ({}, 0)
        assert number in token.find(((CKA.LABEL, attributes[CKA.LABEL]),), key)
        if number in said["replaced"]:
            assert b"second" == attributes[CKA.VALUE]
    # Pairs come whole: what was made without an answer, too.
    for number in found - said["added"]:
        assert {number + 1, number - 1} & found
    other = place.open()
    assert sorted(found) == other.tokens[0].find((), key)
    assert hsm.stamp() is not None or token.add(data_object(b"settles"), None)
    assert hsm.stamp() is not None


def test_two_processes_see_each_other_s_objects_at_the_next_search(place: Place) -> None:
    """What the other process was told is found, what it destroyed is not."""
    hsm, token, _ = place.initialised()
    script = """
token = place.open().tokens[0]
for line in sys.stdin:
    numbers = token.find((), None)
    print(*numbers, flush=True)
    token.remove(numbers[0])
    print(*token.add_many([data_object(b"child"), data_object(b"child")], None), flush=True)
"""
    with place.process(script) as process:
        assert process.stdin
        assert process.stdout
        expected = [token.add(data_object(b"first"), None)]
        for _ in range(50):
            print(file=process.stdin, flush=True)
            assert expected == [int(word) for word in process.stdout.readline().split()]
            expected = expected[1:] + [int(word) for word in process.stdout.readline().split()]
            assert expected == token.find((), None)
            token.remove(expected[0])
            assert token.load(expected[0], None) is None
            expected = [*expected[1:], token.add(data_object(b"parent"), None)]
        process.stdin.close()
    hsm.close()


@pytest.mark.soak
def test_writers_and_readers_at_once_lose_nothing(place: Place) -> None:
    """Several processes write, read and destroy for a while; each finds its own, and in the end all are there."""
    hsm, token, key = place.initialised()
    script = f"""
import time
token = place.open().tokens[0]
key = token.login(1, USER_PIN)
mine = []
end = time.monotonic() + {60 if LONG else 2}
while time.monotonic() < end:
    label = b"%d-%d" % (os.getpid(), len(mine))
    mine.append(token.add(aes_key(label), key))
    assert token.find(((CKA.LABEL, label),), key) == [mine[-1]]
    assert token.load(mine[0], key)[0][CKA.LABEL] == b"%d-0" % os.getpid()
    token.remove(token.add(data_object(b"short"), None))
print(*mine)
"""
    processes = [place.process(script) for _ in range(3)]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [0] * 3 == [process.returncode for process in processes]
    assert sorted(int(word) for line in printed for word in line.split()) == token.find((), key)
    hsm.close()


def test_sixteen_processes_log_in_at_once_with_the_right_pin(place: Place) -> None:
    """16 times CKR_OK: nobody is refused because somebody else is being tried."""
    hsm, token, _ = place.initialised()
    # Two wrong ones before: one failure more, if it were seen, would be a delay.
    for _ in range(2):
        with pytest.raises(CryptokiError):
            token.login(CKU.USER, b"wrong")
    script = """
token = place.open().tokens[0]
print("ready", flush=True)
input()
token.login(1, USER_PIN)
"""
    processes = [place.process(script) for _ in range(16)]
    for process in processes:
        assert "ready\n" == process.stdout.readline()  # type: ignore[union-attr]
    for process in processes:
        print(file=process.stdin, flush=True)
    for process in processes:
        process.communicate(timeout=120)
    assert [0] * 16 == [process.returncode for process in processes]
    assert 0 == token.pin_state(CKU.USER)
    hsm.close()


def test_wrong_pins_of_several_processes_are_one_series(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes try once each: the next is locked out, here too."""
    hsm, token, _ = place.initialised()
    script = """
token = place.open().tokens[0]
print("ready", flush=True)
input()
try:
    token.login(1, b"wrong")
except CryptokiError as error:
    print(error.code)
"""
    processes = [place.process(script) for _ in range(5)]
    for process in processes:
        process.stdout.readline()  # type: ignore[union-attr]
    printed = [process.communicate("\n", timeout=60)[0] for process in processes]
    assert [CKR.PIN_INCORRECT] * 3 + [CKR.PIN_LOCKED] * 2 == sorted(int(line) for line in printed)
    assert CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_LOCKED == token.pin_state(CKU.USER)
    with pytest.raises(CryptokiError) as refused:
        token.login(CKU.USER, USER_PIN)
    assert CKR.PIN_LOCKED == refused.value.code
    later = pins.milliseconds() + 5_000
    monkeypatch.setattr(pins, "milliseconds", lambda: later)
    token.login(CKU.USER, USER_PIN)
    hsm.close()


def test_a_process_killed_while_it_tries_a_pin_keeps_nobody_waiting(place: Place) -> None:
    """The kernel takes the attempt lock back; the try counts."""
    hsm, token, _ = place.initialised()
    script = """
import time
from ptkc.token import pins
def stop(*_):
    print("trying", flush=True)
    time.sleep(600)
pins.open_pin = stop
place.open().tokens[0].login(1, USER_PIN)
"""
    with place.process(script) as process:
        assert "trying\n" == process.stdout.readline()  # type: ignore[union-attr]
        assert CKF.USER_PIN_COUNT_LOW == token.pin_state(CKU.USER)
        process.kill()
    token.login(CKU.USER, USER_PIN)
    assert 0 == token.pin_state(CKU.USER)
    hsm.close()


def test_a_child_forked_while_a_pin_is_tried_does_not_keep_the_lock(place: Place) -> None:
    """The attempt ends with the parent, though the child lives on."""
    hsm, token, _ = place.initialised()
    script = """
import threading, time
from ptkc.token import pins
trying = threading.Event()
def stop(*_):
    trying.set()
    time.sleep(600)
pins.open_pin = stop
hsm = place.open()
threading.Thread(target=hsm.tokens[0].login, args=(1, USER_PIN), daemon=True).start()
trying.wait()
hsm.before_fork()
if os.fork():
    hsm.after_fork_in_parent()
    os.kill(os.getpid(), 9)
hsm.drop_after_fork()
print("child", flush=True)
input()
"""
    with place.process(script) as process:
        assert "child\n" == process.stdout.readline()  # type: ignore[union-attr]
        assert -signal.SIGKILL == process.wait()
        token.login(CKU.USER, USER_PIN)
        process.communicate("\n", timeout=60)
    hsm.close()


def test_a_child_opens_the_store_itself_and_the_parent_goes_on(place: Place) -> None:
    """After a fork both write; neither's locks or files are the other's."""
    said = place.say("""
import time
hsm, token, key = place.initialised()
first = token.add(data_object(b"first"), None)
kept = token.load(first, None)
children = []
for number in range(4):
    hsm.before_fork()
    child = os.fork()
    if child == 0:
        hsm.drop_after_fork()
        assert hsm.stamp() is None and hsm.tokens == []
        own = place.open()
        for _ in range(20):
            own.tokens[0].add(data_object(b"child"), None)
        assert own.tokens[0].login(1, USER_PIN) == key
        own.close()
        os._exit(0)
    hsm.after_fork_in_parent()
    assert token.load(first, None) is kept or True
    children.append(child)
for _ in range(20):
    token.add(data_object(b"parent"), None)
print([os.waitpid(child, 0)[1] for child in children], len(token.find((), None)))
""")
    assert "[0, 0, 0, 0] 101" == said


def test_a_child_outlives_its_parent_and_loses_nothing(place: Place) -> None:
    """A daemon's parent exits after the fork; others open and close the store meanwhile."""
    with place.process("""
hsm, token, key = place.initialised()
hsm.before_fork()
if os.fork():
    hsm.after_fork_in_parent()
    token.add(data_object(b"parent"), None)
    os._exit(0)
hsm.drop_after_fork()
token = place.open().tokens[0]
token.add(data_object(b"child"), None)
print("ready", flush=True)
input()
token.add(data_object(b"child"), None)
print("done", flush=True)
""") as process:
        assert "ready\n" == process.stdout.readline()  # type: ignore[union-attr]
        process.wait()
        for _ in range(3):
            other = place.open()
            other.tokens[0].add(data_object(b"other"), None)
            other.close()
        print(file=process.stdin, flush=True)
        assert "done\n" == process.stdout.readline()  # type: ignore[union-attr]
    hsm = place.open()
    assert 6 == len(hsm.tokens[0].find((), None))
    hsm.close()


def test_a_fork_behind_the_handlers_back_cannot_use_the_store_again(place: Place) -> None:
    """SQLite's state was copied with the process: the child is refused, CKR_DEVICE_REMOVED, the parent goes on."""
    said = place.say("""
hsm, token, _ = place.initialised()
child = os.fork()
if child == 0:
    hsm.drop_after_fork()
    try:
        place.open()
    except CryptokiError as error:
        os._exit(error.code == CKR.DEVICE_REMOVED)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
token.add(data_object(b"parent"), None)
print(len(token.find((), None)))
""")
    assert "1\n1" == said


def test_descriptors_that_a_daemon_closed_are_put_back(place: Place) -> None:
    """All descriptors are closed after opening; reading, writing and logging in go on, and locks hold again."""
    with place.process("""
hsm, token, key = place.initialised()
first = token.add(data_object(b"first"), None)
os.closerange(3, 256)
print(token.find(((CKA.LABEL, b"first"),), None) == [first], flush=True)
second = token.add(data_object(b"second"), None)
token.login(1, USER_PIN)
print(token.find((), None) == [first, second], flush=True)
input()
token.add(data_object(b"third"), None)
print("done", flush=True)
hsm.close()
""") as process:
        assert "True\n" == process.stdout.readline()  # type: ignore[union-attr]
        assert "True\n" == process.stdout.readline()  # type: ignore[union-attr]
        hsm = place.open()
        hsm.tokens[0].add(data_object(b"other"), None)
        hsm.close()
        assert os.path.exists(os.path.join(hsm.directory, "store.db-wal"))  # the last one to close folds it in
        print(file=process.stdin, flush=True)
        assert "done\n" == process.stdout.readline()  # type: ignore[union-attr]
    assert 0 == process.returncode
    assert not os.path.exists(os.path.join(hsm.directory, "store.db-wal"))
    assert 4 == len(place.open().tokens[0].find((), None))


def test_descriptors_that_are_somebody_else_s_now_are_not_touched(place: Place) -> None:
    """A daemon closed ours and opened its own under the numbers: CKR_DEVICE_REMOVED, and its files stay as they are."""
    said = place.say("""
hsm, token, key = place.initialised()
token.add(data_object(b"first"), None)
os.closerange(3, 256)
files = [os.open(os.path.join(place.directory, f"log{n}"), os.O_RDWR | os.O_CREAT) for n in range(40)]
for _ in range(2):
    try:
        token.add(data_object(b"second"), None)
    except CryptokiError as error:
        print(error.code == CKR.DEVICE_REMOVED)
try:
    place.open()
except CryptokiError as error:
    print(error.code == CKR.DEVICE_REMOVED)
hsm.close()
print({os.fstat(file).st_size for file in files})
""")
    assert ["True", "True", "True", "{0}"] == said.splitlines()
    assert 1 == len(place.open().tokens[0].find((), None))


def test_descriptors_are_found_wherever_they_are(place: Place) -> None:
    """A host that holds many descriptors, with a gap."""
    said = place.say("""
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(300)]
os.close(files[5])
hsm, token, key = place.initialised()
print(len(hsm.store._connection._descriptors._files))
os.closerange(3, 400)
token.add(data_object(b"a"), None)
print(len(token.find((), None)))
""")
    assert "3\n1" == said


def test_a_store_that_was_removed_is_not_written_to(place: Place) -> None:
    """CKR_DEVICE_REMOVED: what nobody could read again is not answered with success."""
    hsm, token, _ = place.initialised()
    os.rename(hsm.directory, hsm.directory + "-away")
    with pytest.raises(CryptokiError, match="removed") as refused:
        token.add(data_object(b"a"), None)
    assert CKR.DEVICE_REMOVED == refused.value.code
    os.rename(hsm.directory + "-away", hsm.directory)
    token.add(data_object(b"a"), None)
    hsm.close()


def test_threads_of_one_process_share_the_store(place: Place) -> None:
    """Threads write, search and log in at once."""
    said = place.say("""
import threading
hsm, token, key = place.initialised()
wrong = []
def work(name):
    try:
        for number in range(30):
            label = b"%d-%d" % (name, number)
            added = token.add(aes_key(label), key)
            assert token.find(((CKA.LABEL, label),), key) == [added]
            assert token.load(added, key)[0][CKA.LABEL] == label
        assert token.login(1, USER_PIN) == key
    except BaseException as error:
        wrong.append(error)
threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(wrong, len(token.find((), key)))
""")
    assert "[] 180" == said


def test_the_so_pin_of_a_new_token_is_set_by_one_of_two_processes(place: Place) -> None:
    """C_InitToken at once with different PINs: the second one is an attempt with a wrong PIN."""
    script = """
hsm = place.open()
print("ready", flush=True)
pin = input().encode()
try:
    hsm.tokens[0].initialise(pin, pin)
    print(0)
except CryptokiError as error:
    print(error.code)
"""
    processes = [place.process(script) for _ in range(2)]
    for process in processes:
        process.stdout.readline()  # type: ignore[union-attr]
    for number, process in enumerate(processes):
        print(f"pin-{number}", file=process.stdin, flush=True)
    codes = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert [0, CKR.PIN_INCORRECT] == sorted(codes)
    token = place.open().tokens[0]
    token.login(CKU.SO, b"pin-%d" % codes.index(0))
    assert SO_PIN

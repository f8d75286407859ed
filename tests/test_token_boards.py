"""Several HSMs below one data path: added, taken away, put back, destroyed, while processes use them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hsm_directory import OTHER_USER, SO_PIN, USER_PIN, Place, aes_key, data_object, share
from kills import names

from ptkc import log
from ptkc.spec.constants import CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token.hsms import Hsm


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty data path."""
    return Place(tmp_path)


def add(place: Place, *serials: str) -> None:
    """Add HSMs and close them."""
    for serial in serials:
        Hsm.add(place.data_path, place.key_path, serial).close()


def one(place: Place, serial: str) -> Hsm:
    """Open an HSM by its serial."""
    return Hsm.open(place.data_path, place.key_path, serial)


def plug(place: Place, serial: str) -> Hsm:
    """Put an HSM back."""
    return Hsm.plug(place.data_path, place.key_path, serial)


def serials(place: Place) -> list[str]:
    """Return the serials of the HSMs that a process finds, in their order."""
    hsms = Hsm.open_all(place.data_path, place.key_path)
    for hsm in hsms:
        hsm.close()
    return [hsm.serial for hsm in hsms]


def refusal(function: object, *arguments: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        function(*arguments)  # type: ignore[operator]
    return refused.value.code


def test_hsms_stand_in_the_order_in_which_they_were_added(place: Place) -> None:
    """Whatever their serials are; the first one takes the place of the virtual one."""
    assert [place.open().serial] == serials(place)
    add(place, "310", "1197", "0001")
    assert ["310", "1197", "0001"] == serials(place)
    assert [0, 1, 2] == [one(place, serial).ordinal for serial in ("310", "1197", "0001")]
    assert "310" == place.open().serial


def test_a_serial_at_random_has_seven_digits_and_no_double(place: Place) -> None:
    """Drawn again if there is such an HSM."""
    drawn = {Hsm.add(place.data_path, place.key_path).serial for _ in range(5)}
    assert 5 == len(drawn)
    assert all(len(serial) == 7 and serial.isdigit() for serial in drawn)


@pytest.mark.parametrize("serial", ["", " ", "a b", "x" * 11, "../x", ".", "ä", "1-2"])
def test_what_cannot_be_a_serial_is_refused(place: Place, serial: str) -> None:
    """CKR_ARGUMENTS_BAD, and nothing is made; the empty one means one at random."""
    if serial:
        assert CKR.ARGUMENTS_BAD == refusal(add, place, serial)
        assert [] == names(place.data_path)
    else:
        add(place, serial)


def test_a_serial_is_given_once(place: Place) -> None:
    """CKR_ARGUMENTS_BAD, also for that of an HSM that was taken away."""
    add(place, "1197", "1310")
    one(place, "1310").unplug()
    assert CKR.ARGUMENTS_BAD == refusal(add, place, "1197")
    assert CKR.ARGUMENTS_BAD == refusal(add, place, "1310")


def test_hsms_have_nothing_in_common(place: Place) -> None:
    """Keys, tokens, objects, state."""
    add(place, "1", "2")
    first, second = one(place, "1"), one(place, "2")
    assert first.device_key != second.device_key
    assert first.identity_root != second.identity_root
    first.identity.exchange([], [data_object(b"a")])
    first.set_policy(security_mode=1)
    first.next_count()
    first.tokens[0].initialise(SO_PIN, b"a")
    first.tamper("test")
    first.restart()
    assert (0, 0, [], [], 1, False) == (
        second.security_mode, second.count, second.events(), second.identity.find(()), second.boot,
        second.tokens[0].initialised,
    )  # fmt: skip


def test_a_broken_hsm_is_left_out_and_the_log_says_why(place: Place, tmp_path: Path) -> None:
    """The others keep their order, and no virtual one appears beside it."""
    add(place, "1", "2", "3")
    os.unlink(os.path.join(place.key_path, "2"))
    log.configure(str(tmp_path / "log"))
    try:
        assert ["1", "3"] == serials(place)
        assert os.path.join(place.key_path, "2") in (tmp_path / "log").read_text()
        for serial in ("1", "3"):
            os.unlink(os.path.join(place.key_path, serial))
        assert [] == serials(place)
    finally:
        log.configure(None)
    assert CKR.DEVICE_REMOVED == refusal(place.open)


def test_a_virtual_hsm_does_not_become_real_beside_others(place: Place) -> None:
    """CKR_DEVICE_REMOVED at its first change, if HSMs were added since it was looked for."""
    hsm = place.open()
    add(place, "1197")
    assert 2 == len(hsm.tokens)
    assert CKR.DEVICE_REMOVED == refusal(hsm.restart)
    assert ["1197"] == serials(place)


def test_one_that_is_away_leaves_the_others_their_order(place: Place) -> None:
    """Device numbers shift, and shift back; no virtual HSM takes the place of the last one."""
    add(place, "1", "2")
    one(place, "1").unplug()
    assert (["2"], ["1"]) == (serials(place), Hsm.removed(place.data_path))
    one(place, "2").unplug()
    assert ([], ["1", "2"]) == (serials(place), Hsm.removed(place.data_path))
    assert CKR.DEVICE_REMOVED == refusal(place.open)
    plug(place, "2").close()
    assert ["2"] == serials(place)
    add(place, "0")
    plug(place, "1").close()
    assert (["1", "2", "0"], []) == (serials(place), Hsm.removed(place.data_path))


def test_what_is_not_away_cannot_be_put_back(place: Place) -> None:
    """CKR_DEVICE_REMOVED."""
    add(place, "1")
    assert CKR.DEVICE_REMOVED == refusal(plug, place, "1")
    assert CKR.DEVICE_REMOVED == refusal(plug, place, "2")
    assert ["1"] == serials(place)


def test_who_has_an_hsm_open_that_is_taken_away_gets_ckr_device_removed(place: Place) -> None:
    """At each call, until it is put back: then it works again, as one that was restarted."""
    add(place, "1", "2")
    hsm, elsewhere = one(place, "1"), one(place, "2")
    token = hsm.tokens[0]
    token.initialise(SO_PIN, b"")
    token.add_many([data_object(b"a") for _ in range(100)], None)
    hsm.set_policy(transport_mode=2)
    boot, found = hsm.boot, token.find((), None)
    calls = [
        lambda: hsm.tokens, lambda: hsm.boot, lambda: hsm.security_mode, hsm.now, hsm.events,
        hsm.next_count, hsm.restart, hsm.add_slot, lambda: hsm.tamper("x"), hsm.unplug, lambda: hsm.set_clock(0),
        lambda: token.find((), None), lambda: token.load(found[0], None), lambda: token.add(data_object(b"b"), None),
        lambda: token.login(CKU.SO, SO_PIN), lambda: token.label, lambda: token.initialise(SO_PIN, b""),
        lambda: hsm.identity.find(()), lambda: hsm.identity.exchange([], [data_object(b"c")]), hsm.purge_events,
    ]  # fmt: skip
    place.say("from ptkc.token.hsms import Hsm; Hsm.open(place.data_path, place.key_path, '1').unplug()")
    for call in calls + calls:
        assert CKR.DEVICE_REMOVED == refusal(call)
    assert [".removed-1", "2"] == names(place.data_path)
    assert 1 == elsewhere.boot
    place.say("from ptkc.token.hsms import Hsm; Hsm.plug(place.data_path, place.key_path, '1').close()")
    assert boot + 2 == hsm.boot
    assert found == hsm.tokens[0].find((), None)
    assert found[-1] < hsm.tokens[0].add(data_object(b"b"), None)
    assert "101" == place.say("""
from ptkc.token.hsms import Hsm
print(len(Hsm.open(place.data_path, place.key_path, '1').tokens[0].find((), None)))
""")
    hsm.close()


def test_who_has_an_hsm_open_that_is_destroyed_never_touches_the_next_one_of_its_name(place: Place) -> None:
    """CKR_DEVICE_REMOVED, and closing it leaves the new one's files alone."""
    add(place, "1")
    hsm = one(place, "1")
    hsm.tokens[0].initialise(SO_PIN, b"old")
    place.say("from ptkc.token.hsms import Hsm; Hsm.open(place.data_path, place.key_path, '1').destroy()")
    assert ([], []) == (names(place.data_path), names(place.key_path))
    assert CKR.DEVICE_REMOVED == refusal(lambda: hsm.tokens)
    add(place, "1")
    new = one(place, "1")
    new.tokens[0].initialise(SO_PIN, b"new")
    assert CKR.DEVICE_REMOVED == refusal(lambda: hsm.tokens)
    assert CKR.DEVICE_REMOVED == refusal(hsm.restart)
    hsm.close()
    number = new.tokens[0].add(data_object(b"a"), None)
    assert f"b'new' [{number}]" == place.say("""
from ptkc.token.hsms import Hsm
token = Hsm.open(place.data_path, place.key_path, '1').tokens[0]
print(token.label, token.find((), None))
""")
    new.close()


def test_a_directory_that_vanishes_is_ckr_device_removed(place: Place) -> None:
    """Whoever deleted it, and from the next change on."""
    hsm, token, _ = place.initialised()
    shutil.rmtree(hsm.directory)
    for call in (hsm.restart, lambda: token.login(CKU.USER, USER_PIN), lambda: token.add(data_object(b"a"), None)):
        assert CKR.DEVICE_REMOVED == refusal(call)
    hsm.close()
    assert [] == names(place.data_path)


def test_an_hsm_that_was_taken_away_is_tampered_but_for_its_identity(place: Place) -> None:
    """Without a transport mode."""
    add(place, "1")
    hsm = one(place, "1")
    hsm.tokens[0].initialise(SO_PIN, b"")
    hsm.set_policy(security_mode=1)
    numbers = hsm.identity.exchange([], [aes_key(b"PIK")])
    device_key = hsm.device_key
    hsm.unplug()
    hsm = plug(place, "1")
    assert (False, 0) == (hsm.tokens[0].initialised, hsm.security_mode)
    assert device_key != hsm.device_key
    assert numbers == hsm.identity.find(())
    hsm.close()


def test_many_hsms_are_opened_and_found(place: Place) -> None:
    """Twenty, each with its own."""
    wanted = [str(number) for number in range(1300, 1320)]
    add(place, *wanted)
    hsms = Hsm.open_all(place.data_path, place.key_path)
    assert wanted == [hsm.serial for hsm in hsms]
    for hsm in hsms:
        hsm.tokens[0].add(data_object(hsm.serial.encode()), None)
    for hsm in hsms:
        hsm.close()
    again = Hsm.open_all(place.data_path, place.key_path)
    assert [1] * 20 == [len(hsm.tokens[0].find((), None)) for hsm in again]
    for hsm in again:
        hsm.close()


def test_two_processes_that_add_at_once_give_each_its_place(place: Place) -> None:
    """No ordinal and no serial twice."""
    script = """
from ptkc.token.hsms import Hsm
print(flush=True); input()
for _ in range(3):
    Hsm.add(place.data_path, place.key_path).close()
"""
    processes = [place.process(script) for _ in range(3)]
    for process in processes:
        process.stdout.readline()  # type: ignore[union-attr]
    for process in processes:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    for process in processes:
        process.communicate(timeout=60)
    assert [0] * 3 == [process.returncode for process in processes]
    hsms = Hsm.open_all(place.data_path, place.key_path)
    assert list(range(9)) == [hsm.ordinal for hsm in hsms]


READER = f"""
from ptkc.token.hsms import Hsm
from ptkc.token import pins, place as places
places.computed_serial("/")  # loads what could not be read any more where the installation is in a home directory
pins.seal_pin(bytes(32), b"", b"1234", bytes(32))
os.setgroups([]); os.setgid({OTHER_USER}); os.setuid({OTHER_USER})
def say(function):
    try:
        print(function())
    except CryptokiError as error:
        print(error.code)
"""


def test_an_hsm_that_cannot_be_written_can_be_read_and_changes_nothing(place: Place, tmp_path: Path) -> None:
    """Policy, clock, log, identity are there; every change is CKR_TOKEN_WRITE_PROTECTED; it counts as running."""
    add(place, "1", "2")
    hsm = one(place, "1")
    hsm.set_policy(security_mode=7)
    hsm.identity.exchange([], [aes_key(b"PIK")])
    hsm.close()
    share(place, tmp_path)
    before = sorted(map(str, Path(place.directory).rglob("*")))
    said = place.say(READER + """
first, second = Hsm.open_all(place.data_path, place.key_path)
print(first.security_mode, len(first.events()), len(first.identity.find(())), first.others_running(), first.count)
for change in (lambda: first.set_policy(1), first.next_count, first.restart, first.add_slot, lambda: first.tamper(""),
               first.unplug, first.destroy, lambda: first.set_clock(0), first.purge_events,
               lambda: first.remove_slot(first.tokens[0]), lambda: first.identity.exchange([], []),
               lambda: Hsm.add(place.data_path, place.key_path), lambda: first.log_event(1, "")):
    say(change)
""")
    assert ["7 1 1 False 0", *[str(CKR.TOKEN_WRITE_PROTECTED)] * 12, "None"] == said.splitlines()
    assert before == sorted(map(str, Path(place.directory).rglob("*")))


def test_a_reader_sees_what_its_owner_does(place: Place, tmp_path: Path) -> None:
    """A tamper, that it is away, that it is back: at the next call, once the write-ahead log is folded in."""
    add(place, "1")
    share(place, tmp_path)
    script = READER + """
hsm = Hsm.open(place.data_path, place.key_path, "1")
print(hsm.boot, flush=True)
while input():
    say(lambda: (hsm.boot, len(hsm.tokens)))
    sys.stdout.flush()
"""
    with place.process(script) as process:

        def ask() -> str:
            process.stdin.write("x\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return process.stdout.readline().strip()  # type: ignore[union-attr]

        assert "1" == process.stdout.readline().strip()  # type: ignore[union-attr]
        assert "(1, 2)" == ask()
        hsm = one(place, "1")
        hsm.add_slot()
        hsm.close()
        assert "(1, 3)" == ask()
        hsm = one(place, "1")
        hsm.set_policy(transport_mode=2)
        hsm.unplug()
        assert str(CKR.DEVICE_REMOVED) == ask() == ask()
        plug(place, "1").close()
        assert "(3, 3)" == ask()
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]

"""Killed at any step of a tamper, of adding, taking away, putting back or destroying an HSM: all of it, or nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, aes_key, data_object, quick_pins
from kills import each_step, names
from lengths import KILLS, SECONDS

from ptkc.spec.constants import CKA, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE
from ptkc.token.events import Event, unpack
from ptkc.token.hsms import Hsm

SERIAL = "1197"
OLD = ("there", 0x20, True, [b"a", b"p"], [b"PIK", b"PIC"])
TAMPERED = ("there", 0, False, [], [b"PIK", b"PIC"])
AWAY = ("away",)
GONE = ("gone",)


@pytest.fixture(autouse=True)
def _quick_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose no time with logins."""
    quick_pins(monkeypatch)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place with one HSM that has a policy, an initialised token with objects, and an identity; closed."""
    place = Place(tmp_path / "model")
    hsm = Hsm.add(place.data_path, place.key_path, SERIAL)
    token = hsm.tokens[0]
    token.initialise(SO_PIN, b"test")
    key = token.login(CKU.SO, SO_PIN)
    token.init_user_pin(key, USER_PIN)
    token.add(data_object(b"a"), None)
    token.add(aes_key(b"p", private=FALSE), None)
    hsm.identity.exchange([], [aes_key(b"PIK"), data_object(b"PIC")])
    hsm.set_policy(security_mode=0x20)
    hsm.close()
    return place


def state(hsm: Hsm) -> tuple[object, ...]:
    """Return what there is of an HSM that is open."""
    token = hsm.tokens[0]
    labels = [token.load(number, None)[0][CKA.LABEL] for number in token.find((), None)]  # type: ignore[index]
    identity = [hsm.identity.load(number)[0][CKA.LABEL] for number in hsm.identity.find(())]  # type: ignore[index]
    if token.user_pin_set:
        token.login(CKU.USER, USER_PIN)
    return "there", hsm.security_mode, token.user_pin_set, labels, identity


def look(place: Place) -> tuple[object, ...]:
    """Return what a process finds that comes now."""
    hsms = Hsm.open_all(place.data_path, place.key_path)
    found = [state(hsm) for hsm in hsms if hsm.serial == SERIAL]
    for hsm in hsms:
        hsm.close()
    if found:
        return found[0]
    return AWAY if SERIAL in Hsm.removed(place.data_path) else GONE


class Copies:
    """Copies of a place, one for each step."""

    def __init__(self, model: Place, tmp_path: Path) -> None:
        """Copy `model`."""
        self.model = model
        self.directory = tmp_path / "copy"
        self.place = Place(self.directory)

    def renew(self, _step: int = 0) -> None:
        """Put a fresh copy in the place of the last one."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(self.model.directory, self.directory)

    def open(self) -> Hsm:
        """Open the HSM."""
        return Hsm.open(self.place.data_path, self.place.key_path, SERIAL)

    def steps(self, action: Callable[[], object]) -> Iterator[tuple[object, ...]]:
        """Yield what a process finds after each kill; what was there before is in it, and what shall be."""
        for _ in each_step(action, self.renew):
            yield look(self.place)


@pytest.fixture
def copies(place: Place, tmp_path: Path) -> Copies:
    """Return copies of the place."""
    return Copies(place, tmp_path)


def ordered(found: list[tuple[object, ...]], *allowed: tuple[object, ...]) -> bool:
    """Whether states come in this order, each of them at least once."""
    changes = [one for one, before in zip(found, [None, *found], strict=False) if one != before]
    return list(allowed) == changes


def test_a_killed_tamper_is_none_or_is_finished_by_who_opens_next(copies: Copies) -> None:
    """At no step is anything but the old state, or that of a tampered HSM; the identity is there in both."""
    found = list(copies.steps(lambda: copies.open().tamper("test")))
    assert ordered(found, OLD, TAMPERED)
    assert look(copies.place) == TAMPERED


def test_a_killed_tamper_is_seen_by_who_has_the_hsm_open(copies: Copies) -> None:
    """A process that goes on sees what a new one sees, and the device works for it."""
    living: list[Hsm] = []

    def before(_: int) -> None:
        copies.renew()
        living.append(copies.open())
        state(living[-1])
        living[-1].before_fork()

    def tamper() -> None:
        living[-1].drop_after_fork()
        copies.open().tamper("test")

    found = []
    for _ in each_step(tamper, before):
        hsm = living.pop()
        hsm.after_fork_in_parent()
        now = state(hsm)
        assert now == look(copies.place)
        number = hsm.tokens[0].add(data_object(b"new"), None)
        assert b"new" == hsm.tokens[0].load(number, None)[0][CKA.LABEL]  # type: ignore[index]
        found.append(now)
        hsm.close()
    assert ordered(found, OLD, TAMPERED)


def test_a_killed_tamper_is_logged_once(copies: Copies) -> None:
    """And counted once: the key file's count is the store's."""
    for _ in copies.steps(lambda: copies.open().tamper("test")):
        hsm = copies.open()
        logged = [unpack(record).code for record in hsm.events()].count(Event.TAMPER)
        assert (hsm._record.tampers, hsm._record.tampers) == (logged, hsm._known_roots().tampers)
        assert (hsm.security_mode == 0) is (logged == 1)
        hsm.close()


def test_adding_is_whole_or_not_at_all(copies: Copies) -> None:
    """And nothing of a killed one is in the way of the next, or is left behind it."""
    place = copies.place
    counts = []
    for _ in copies.steps(lambda: Hsm.add(place.data_path, place.key_path, "1310")):
        hsms = Hsm.open_all(place.data_path, place.key_path)
        counts.append(len(hsms))
        assert state(hsms[0]) == OLD
        for hsm in hsms:
            hsm.close()
        if counts[-1] == 1:
            again = Hsm.add(place.data_path, place.key_path, "1310")
            assert (1, 2) == (again.ordinal, len(again.tokens))
            again.close()
        assert ["1197", "1310"] == names(place.data_path)
    assert [1, 2] == sorted(set(counts))
    assert counts == sorted(counts)


def test_making_the_virtual_hsm_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """Its serial stays what it was."""
    place = Place(tmp_path / "copy")
    serial = place.open().serial

    def before(_: int) -> None:
        shutil.rmtree(place.directory, ignore_errors=True)

    steps = 0
    for _ in each_step(lambda: place.open().restart(), before):
        steps += 1
        hsm = place.open()
        hsm.restart()
        assert serial == hsm.serial
        assert hsm.boot in (2, 3)
        hsm.close()
    assert steps > 20


def test_taking_away_is_a_tamper_and_then_away(copies: Copies) -> None:
    """What was taken away half is taken away, and put back it is a tampered HSM."""
    found = []
    for one in copies.steps(lambda: copies.open().unplug()):
        found.append(one)
        if one == AWAY:
            hsm = Hsm.plug(copies.place.data_path, copies.place.key_path, SERIAL)
            assert state(hsm) == TAMPERED
            hsm.close()
            assert [SERIAL] == names(copies.place.data_path)
    assert ordered(found, OLD, TAMPERED, AWAY)


def test_taking_away_in_transport_mode_changes_nothing(copies: Copies) -> None:
    """Mode 1 is over when it is put back, mode 2 is not."""
    place = copies.place
    for mode in (1, 2):
        model = Hsm.open(copies.model.data_path, copies.model.key_path, SERIAL)
        model.set_policy(transport_mode=mode)
        model.close()
        found = []
        for one in copies.steps(lambda: copies.open().unplug()):
            found.append(one)
            if one == AWAY:
                hsm = Hsm.plug(place.data_path, place.key_path, SERIAL)
                assert state(hsm) == OLD
                assert (0 if mode == 1 else 2) == hsm.transport_mode
                hsm.close()
        assert ordered(found, OLD, AWAY)


def test_putting_back_is_whole_or_not_at_all(copies: Copies) -> None:
    """A killed one can be done again."""
    model = Hsm.open(copies.model.data_path, copies.model.key_path, SERIAL)
    model.set_policy(transport_mode=2)
    model.unplug()
    place = copies.place
    found = []
    for one in copies.steps(lambda: Hsm.plug(place.data_path, place.key_path, SERIAL)):
        found.append(one)
        if one == AWAY:
            Hsm.plug(place.data_path, place.key_path, SERIAL).close()
        assert look(place) == OLD
        assert [SERIAL] == names(place.data_path)
    assert ordered(found, AWAY, OLD)


def test_destroying_leaves_nothing(copies: Copies) -> None:
    """Killed it leaves an HSM, or one that is away, or nothing; done again nothing at all, not even a key."""
    place = copies.place
    found = []
    for one in copies.steps(lambda: copies.open().destroy()):
        found.append(one)
        Hsm.discard(place.data_path, place.key_path, SERIAL)
        assert [] == names(place.data_path)
        assert [] == names(place.key_path)
    assert found[0] == OLD
    assert {one[0] for one in found} == {"there", "away", "gone"}


def test_a_new_hsm_of_a_destroyed_one_s_name_has_other_keys(copies: Copies) -> None:
    """Even if the one that destroyed was killed before it came to the keys."""
    place = copies.place
    roots = set()
    for _ in copies.steps(lambda: Hsm.discard(place.data_path, place.key_path, SERIAL)):
        if look(place) == GONE:
            hsm = Hsm.add(place.data_path, place.key_path, SERIAL)
            roots.add(hsm.identity_root)
            hsm.close()
    model = Hsm.open(copies.model.data_path, copies.model.key_path, SERIAL)
    assert model.identity_root not in roots
    model.close()


@pytest.mark.soak
def test_a_tamper_killed_at_any_moment_is_none_or_is_finished(copies: Copies) -> None:
    """Real kills, wherever the process just is."""
    for round_number in range(KILLS):
        copies.renew()
        process = copies.place.process(f"""
from ptkc.token.hsms import Hsm
hsm = Hsm.open(place.data_path, place.key_path, "{SERIAL}")
print(flush=True)
hsm.tamper("test")
""")
        process.stdout.readline()  # type: ignore[union-attr]
        time.sleep(0.04 * round_number / KILLS)
        process.kill()
        process.communicate()
        assert look(copies.place) in (OLD, TAMPERED)


@pytest.mark.soak
def test_hsms_come_and_go_while_processes_are_killed(tmp_path: Path) -> None:
    """Adding, taking away, putting back, tampering and destroying, each killed at some moment."""
    place = Place(tmp_path)
    script = """
import random
from ptkc.token.hsms import Hsm
serial = random.choice(["1", "2", "3"])
def one():
    return Hsm.open(place.data_path, place.key_path, serial)
actions = [lambda: Hsm.add(place.data_path, place.key_path, serial), lambda: one().unplug(), lambda: one().tamper("x"),
           lambda: Hsm.plug(place.data_path, place.key_path, serial), lambda: one().destroy(), lambda: one().add_slot()]
print(flush=True)
for _ in range(20):
    try:
        random.choice(actions)()
    except CryptokiError:
        pass
"""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        workers = [place.process(script) for _ in range(3)]
        for worker in workers:
            worker.stdout.readline()  # type: ignore[union-attr]
        time.sleep(int.from_bytes(os.urandom(1), "big") / 1000)
        for worker in workers:
            worker.kill()
            worker.communicate()
            assert worker.returncode in (0, -9)
        for serial in ("1", "2", "3"):
            try:
                Hsm.plug(place.data_path, place.key_path, serial).close()
            except CryptokiError as error:
                assert CKR.DEVICE_REMOVED == error.code  # noqa: PT017 - it need not be away
            if os.path.exists(os.path.join(place.data_path, serial)):
                hsm = Hsm.open(place.data_path, place.key_path, serial)
                assert hsm.tokens[-1].is_admin
                hsm.tokens[0].find((), None)
                hsm.close()

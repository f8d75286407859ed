"""What an HSM keeps beside its tokens: policy, clock, counter, event log, slots, restarts; and who else sees it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, data_object

from ptkc.spec.constants import CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token import state
from ptkc.token.events import CAPACITY, RECORD_LENGTH, Entry, Event, event_name, pack, unpack
from ptkc.token.hsms import Hsm


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty data path."""
    return Place(tmp_path)


@pytest.fixture
def hsm(place: Place) -> Iterator[Hsm]:
    """Return an HSM that nobody has written to."""
    hsm = place.open()
    yield hsm
    hsm.close()


@pytest.fixture
def other(place: Place, hsm: Hsm) -> Iterator[Hsm]:
    """Return the HSM, real by now, as another process has it open."""
    hsm.materialise()
    other = place.open()
    yield other
    other.close()


def refusal(function: object, *arguments: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        function(*arguments)  # type: ignore[operator]
    return refused.value.code


def codes(hsm: Hsm) -> list[int]:
    """Return the codes in the event log."""
    return [unpack(record).code for record in hsm.events()]


def test_a_virtual_hsm_has_default_values_and_makes_nothing(place: Place, hsm: Hsm) -> None:
    """Reading its state leaves no trace."""
    assert (0, 0, 0, [], False, 0) == (
        hsm.security_mode, hsm.transport_mode, hsm.count, hsm.events(), hsm.event_log_full, hsm.clock_offset
    )  # fmt: skip
    assert 0 == hsm.ordinal
    assert not hsm.others_running()
    assert [] == hsm.identity.find(())
    assert [] == os.listdir(place.directory)


@pytest.mark.parametrize(
    "change",
    [
        lambda hsm: hsm.set_policy(security_mode=1), lambda hsm: hsm.set_clock(0), lambda hsm: hsm.next_count(),
        lambda hsm: hsm.log_event(Event.PEER_TRUSTED, "x"), lambda hsm: hsm.add_slot(), lambda hsm: hsm.restart(),
        lambda hsm: hsm.tamper("x"), lambda hsm: hsm.identity.exchange([], [data_object(b"a")]),
    ],
)  # fmt: skip
def test_a_virtual_hsm_becomes_real_at_the_first_change(place: Place, hsm: Hsm, change: object) -> None:
    """With the serial it has had."""
    change(hsm)  # type: ignore[operator]
    assert [hsm.serial] == os.listdir(place.data_path)


def test_the_policy_is_kept_and_seen_by_others_at_their_next_call(hsm: Hsm, other: Hsm) -> None:
    """Both parts, or one alone."""
    assert (0, 0) == (other.security_mode, other.transport_mode)
    hsm.set_policy(security_mode=0x28, transport_mode=2)
    assert (0x28, 2) == (other.security_mode, other.transport_mode)
    other.set_policy(security_mode=1 << 40)
    assert (1 << 40, 2) == (hsm.security_mode, hsm.transport_mode)
    hsm.set_policy(security_mode=0, transport_mode=0)
    assert (0, 0) == (other.security_mode, other.transport_mode)


def test_an_unchanged_policy_is_opened_once(hsm: Hsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking costs a look at the generation, also after changes of other things."""
    hsm.set_policy(security_mode=1)
    assert 1 == hsm.security_mode
    monkeypatch.setattr(state, "verified", lambda *_: pytest.fail("opened again"))
    hsm.next_count()
    assert 1 == hsm.security_mode


@pytest.mark.parametrize(
    "wrong", ["x'00'", "zeroblob(48)", "CAST(substr(policy, 1, 40) || x'0000000000000001' AS BLOB)", "x''"]
)
def test_a_changed_policy_is_detected(place: Place, hsm: Hsm, wrong: str) -> None:
    """CKR_DEVICE_ERROR, never another policy; a tamper makes the HSM usable again."""
    hsm.set_policy(security_mode=0x10000001)
    hsm.close()
    with closing(sqlite3.connect(os.path.join(place.data_path, hsm.serial, "store.db"))) as link, link:
        link.execute(f"UPDATE hsm SET policy = {wrong}")
    again = place.open()
    assert CKR.DEVICE_ERROR == refusal(lambda: again.security_mode)
    assert CKR.DEVICE_ERROR == refusal(lambda: again.transport_mode)
    assert CKR.DEVICE_ERROR == refusal(again.set_policy, 1)
    again.tamper("policy changed")
    assert 0 == again.security_mode
    again.close()


def test_an_hsm_that_demands_it_is_erased_before_another_version_serves_it(
    place: Place, hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tamper Before Upgrade: absent until the upgrade, which leaves the identity and nothing else."""
    hsm.tokens[0].initialise(b"so-pin-1", b"mine")
    hsm.identity.exchange([], [data_object(b"identity")])
    hsm.set_policy(security_mode=CKF.TAMPER_BEFORE_UPGRADE)
    hsm.close()
    place.open().close()
    monkeypatch.setattr(state, "__version__", "9.9.9")
    assert CKR.DEVICE_REMOVED == refusal(place.open)
    assert [] == Hsm.open_all(place.data_path, place.key_path)
    upgraded = Hsm.upgrade(place.data_path, place.key_path, hsm.serial)
    assert (0, False, 1) == (
        upgraded.security_mode, upgraded.tokens[0].initialised, len(upgraded.identity.find(()))
    )  # fmt: skip
    upgraded.close()
    place.open().close()


def test_an_hsm_that_does_not_demand_it_is_served_by_any_version(
    place: Place, hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other flags stay as they are."""
    hsm.set_policy(security_mode=CKF.NO_PUBLIC_CRYPTO)
    hsm.close()
    monkeypatch.setattr(state, "__version__", "9.9.9")
    again = place.open()
    assert CKF.NO_PUBLIC_CRYPTO == again.security_mode
    again.close()


def test_a_policy_of_another_hsm_is_none_of_this_one(place: Place, hsm: Hsm, tmp_path: Path) -> None:
    """Its MAC is made with the device key."""
    hsm.set_policy(security_mode=1)
    stranger = Place(tmp_path / "stranger").open()
    stranger.set_policy(security_mode=2)
    assert 2 == stranger.security_mode
    policy = stranger._record.policy
    hsm.close()
    with closing(sqlite3.connect(os.path.join(place.data_path, hsm.serial, "store.db"))) as link, link:
        link.execute("UPDATE hsm SET policy = ?", (policy,))
    again = place.open()
    assert CKR.DEVICE_ERROR == refusal(lambda: again.security_mode)
    again.close()
    stranger.close()


def test_the_clock_is_the_hsm_s_own(hsm: Hsm, other: Hsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set once it runs with the machine's, ahead or behind; others see it, and a tamper does not change it."""
    monkeypatch.setattr(state, "time", lambda: 1_000_000.0)
    assert 1_000_000 == hsm.now()
    hsm.set_clock(1_003_600.5)
    monkeypatch.setattr(state, "time", lambda: 1_000_010.0)
    assert 1_003_610.5 == hsm.now() == other.now()
    other.set_clock_offset(-20)
    assert 999_990 == hsm.now()
    hsm.tamper("test")
    assert -20 == other.clock_offset
    assert CKR.ARGUMENTS_BAD == refusal(hsm.set_clock, 1e18)


def test_pin_delays_do_not_go_by_the_hsm_s_clock(place: Place) -> None:
    """Who may set that clock cannot shorten them."""
    hsm, token, _ = place.initialised()
    for _ in range(3):
        assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, b"wrong")
    hsm.set_clock_offset(3600)
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    hsm.close()


def test_the_counter_never_gives_a_number_twice(place: Place, hsm: Hsm, other: Hsm) -> None:
    """By this process or another, after a tamper too; each is on the disk before it is given."""
    assert [1, 2, 3] == [hsm.next_count(), other.next_count(), hsm.next_count()]
    hsm.tamper("test")
    assert "4" == place.say("print(place.open().next_count())")
    assert 4 == hsm.count
    assert 5 == other.next_count()


def test_a_record_has_48_bytes() -> None:
    """Number, code, time and detail; a long detail is cut, and nothing but ASCII is in it."""
    record = pack(7, Event.TAMPER, 1_600_000_000, "ätsch\n" + "x" * 30)
    assert RECORD_LENGTH == len(record)
    assert b"\0\0\0\7\0\0\0\1" + b"2020091312264000" + b"?tsch?" + b"x" * 18 == record
    assert Entry(7, 1, "2020091312264000", "?tsch?" + "x" * 18) == unpack(record)
    assert Entry(1, 2, "1970010100000000", "") == unpack(pack(1, 2, -5, ""))
    assert ("tamper", "event 77") == (event_name(1), event_name(77))


def test_what_happens_is_logged_with_the_hsm_s_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which it happened."""
    hsm = place.open()
    hsm.set_clock(1_600_000_000)
    hsm.set_policy(security_mode=0x20, transport_mode=1)
    hsm.set_policy(security_mode=0x20)
    hsm.remove_slot(hsm.add_slot())
    token = hsm.tokens[0]
    token.initialise(SO_PIN, b"a")
    key = token.login(CKU.SO, SO_PIN)
    token.init_user_pin(key, USER_PIN)
    for _ in range(3):
        assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, b"wrong")
    token.reset(key, SO_PIN, b"b")
    hsm.log_event(Event.PEER_TRUSTED, "1310")
    hsm.restart()
    hsm.tamper("test")
    entries = [unpack(record) for record in hsm.events()]
    expected = [
        (Event.CLOCK_SET, None), (Event.SECURITY_MODE, "0x20"), (Event.TRANSPORT_MODE, "1"),
        (Event.SLOT_ADDED, f"{hsm.serial}:2"), (Event.SLOT_REMOVED, f"{hsm.serial}:2"),
        (Event.TOKEN_INITIALISED, f"{hsm.serial}:1"), (Event.PIN_LOCKED, f"user {hsm.serial}:1"),
        (Event.TOKEN_RESET, f"{hsm.serial}:1"), (Event.PEER_TRUSTED, "1310"), (Event.RESTART, ""),
        (Event.TAMPER, "test"),
    ]  # fmt: skip
    assert [code for code, _ in expected] == [entry.code for entry in entries]
    assert all(text in (None, entry.detail) for (_, text), entry in zip(expected, entries, strict=True))
    assert list(range(1, 12)) == [entry.number for entry in entries]
    assert all(entry.time.startswith("202009") for entry in entries)
    hsm.close()


def test_a_third_pin_that_is_right_is_no_event(place: Place) -> None:
    """Only what begins a delay is one, once in a row."""
    hsm, token, _ = place.initialised()
    for pin in (b"wrong", b"wrong"):
        assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, pin)
    token.login(CKU.USER, USER_PIN)
    assert Event.PIN_LOCKED not in codes(hsm)
    hsm.close()


def test_the_log_takes_1024_records_and_is_purged_only_when_full(hsm: Hsm, other: Hsm) -> None:
    """CKR_EVENT_LOG_NOT_FULL before; when it is full nothing more is recorded; numbers go on behind a purge."""
    assert CKR.EVENT_LOG_NOT_FULL == refusal(hsm.purge_events)
    store = hsm.materialise()
    with store.writing():
        for number in range(1, CAPACITY):
            store.put_event(number, pack(number, Event.PEER_TRUSTED, 0, ""))
    assert CKR.EVENT_LOG_NOT_FULL == refusal(hsm.purge_events)
    assert not other.event_log_full
    other.restart()
    assert hsm.event_log_full
    hsm.log_event(Event.PEER_REMOVED, "lost")
    hsm.restart()
    assert (CAPACITY, Event.RESTART) == (len(hsm.events()), codes(hsm)[-1])
    hsm.purge_events()
    (entry,) = map(unpack, other.events())
    assert (CAPACITY + 1, Event.LOG_PURGED) == (entry.number, entry.code)
    hsm.restart()
    assert [CAPACITY + 1, CAPACITY + 2] == [unpack(record).number for record in other.events()]


def test_a_slot_that_another_process_takes_away_at_once(
    hsm: Hsm, other: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CKR_DEVICE_RESET: a tamper came between the change and the answer."""
    tokens = Hsm.tokens

    def after_a_tamper(self: Hsm) -> list[object]:
        monkeypatch.setattr(Hsm, "tokens", tokens)
        other.tamper("meanwhile")
        return self.tokens

    monkeypatch.setattr(Hsm, "tokens", property(after_a_tamper))
    assert CKR.DEVICE_RESET == refusal(hsm.add_slot)
    assert 2 == len(hsm.tokens)


def test_slots_come_and_go(hsm: Hsm, other: Hsm) -> None:
    """User slots first, in the order of their making; the Admin slot is always the last; others see it at once."""
    second, third = hsm.add_slot(), hsm.add_slot()
    serials = [f"{hsm.serial}:{number}" for number in (1, 2, 3)]
    assert [*serials, hsm.serial] == [token.serial for token in other.tokens]
    assert (1, 2, 3) == (second.slot, third.slot, other.tokens[-1].slot)
    third.initialise(SO_PIN, b"third")
    hsm.remove_slot(second)
    assert [b"", b"third", hsm.tokens[-1].label] == [token.label for token in other.tokens]
    assert (1, 2) == (third.slot, hsm.tokens[-1].slot)
    fourth = other.add_slot()
    assert f"{hsm.serial}:4" == fourth.serial  # a number is never given twice
    assert [0, 1, 2, 3] == [token.slot for token in hsm.tokens]


def test_the_admin_slot_cannot_be_deleted(hsm: Hsm) -> None:
    """CKR_FUNCTION_REJECTED."""
    assert CKR.FUNCTION_REJECTED == refusal(hsm.remove_slot, hsm.tokens[-1])


def test_what_is_in_a_deleted_slot_is_gone(hsm: Hsm, other: Hsm) -> None:
    """Objects too; who has its token still gets CKR_DEVICE_REMOVED, whatever he does."""
    token = hsm.tokens[0]
    token.initialise(SO_PIN, b"")
    key = token.login(CKU.SO, SO_PIN)
    number = token.add(data_object(b"a"), None)
    others = other.tokens[0]
    assert others.load(number, None) is not None
    hsm.remove_slot(token)
    for gone in (token, others):
        for call in (
            lambda gone=gone: gone.find((), None), lambda gone=gone: gone.load(number, None),
            lambda gone=gone: gone.add(data_object(b"a"), None), lambda gone=gone: gone.initialise(SO_PIN, b""),
            lambda gone=gone: gone.login(CKU.SO, SO_PIN), lambda gone=gone: gone.init_user_pin(key, USER_PIN),
            lambda gone=gone: gone.reset(key, SO_PIN, b""), lambda gone=gone: gone.label,
            lambda gone=gone: hsm.remove_slot(gone),
        ):  # fmt: skip
            assert CKR.DEVICE_REMOVED == refusal(call)
        gone.forget_private()
    assert hsm.store is not None
    assert hsm.store.object(number) is None
    assert [True] == [token.is_admin for token in hsm.tokens]


def test_a_restart_ends_transport_mode_1_only(hsm: Hsm) -> None:
    """Mode 2 stays."""
    for before, after in ((1, 0), (2, 2), (0, 0)):
        hsm.set_policy(security_mode=5, transport_mode=before)
        hsm.restart()
        assert (5, after) == (hsm.security_mode, hsm.transport_mode)


def test_a_tamper_is_seen_by_others_at_their_next_call(hsm: Hsm, other: Hsm) -> None:
    """Boot number, policy, tokens; numbers of objects are not given twice."""
    token = hsm.tokens[0]
    token.initialise(SO_PIN, b"a")
    number = hsm.tokens[-1].add(data_object(b"a"), None)
    hsm.set_policy(security_mode=1)
    hsm.add_slot()
    seen = (other.boot, other.security_mode, len(other.tokens), other.tokens[0].initialised)
    assert (1, 1, 3, True) == seen
    assert other.tokens[-1].load(number, None) is not None
    hsm.tamper("test")
    assert (2, 0, 2, False) == (other.boot, other.security_mode, len(other.tokens), other.tokens[0].initialised)
    assert other.tokens[-1].load(number, None) is None
    assert [f"{hsm.serial}:1", hsm.serial] == [token.serial for token in other.tokens]
    assert number < other.tokens[-1].add(data_object(b"a"), None)
    assert [data_object(b"b")] == [
        hsm.tokens[0].load(other.tokens[0].add(data_object(b"b"), None), None)[0]  # type: ignore[index]
    ]
    token = other.tokens[0]
    token.initialise(SO_PIN, b"new")
    hsm.tokens[0].login(CKU.SO, SO_PIN)


def test_what_begins_before_a_tamper_and_ends_behind_it_is_ckr_device_reset(
    hsm: Hsm, other: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ever written under the device key that is gone."""
    admin = hsm.tokens[-1]
    seal = type(admin)._seal_pin

    def slowly(self: object, *arguments: object) -> bytes:
        sealed = seal(self, *arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        other.tamper("meanwhile")
        return sealed

    monkeypatch.setattr(type(admin), "_seal_pin", slowly)
    assert CKR.DEVICE_RESET == refusal(admin.initialise, SO_PIN, b"")
    assert not admin.initialised
    admin.initialise(SO_PIN, b"")
    other.tokens[-1].login(CKU.SO, SO_PIN)


def test_a_tamper_is_refused_where_the_keys_are_a_credential(place: Place, tmp_path: Path) -> None:
    """CKR_FUNCTION_REJECTED with the reason, and nothing has happened; taking it away needs a transport mode."""
    hsm, _, _ = place.initialised()
    hsm.close()
    (tmp_path / "credentials").mkdir()
    os.rename(os.path.join(place.key_path, hsm.serial), tmp_path / "credentials" / f"ptkc-{hsm.serial}")
    again = Hsm.open(place.data_path, place.key_path, credentials=str(tmp_path / "credentials"))
    for call in (lambda: again.tamper("test"), again.unplug):
        with pytest.raises(CryptokiError, match="credential") as refused:
            call()
        assert CKR.FUNCTION_REJECTED == refused.value.code
    again.tokens[0].login(CKU.USER, USER_PIN)
    again.set_policy(transport_mode=2)
    again.unplug()
    assert [hsm.serial] == Hsm.removed(place.data_path)


def test_a_store_of_before_a_tamper_is_tampered_again(place: Place, tmp_path: Path) -> None:
    """Who restores a backup of the data path gets an HSM without tokens; the key that opened them is no more."""
    hsm, _, _ = place.initialised()
    hsm.close()
    backup = (Path(place.data_path) / hsm.serial / "store.db").read_bytes()
    again = place.open()
    again.tamper("test")
    again.close()
    (Path(place.data_path) / hsm.serial / "store.db").write_bytes(backup)
    restored = place.open()
    assert (False, False) == (restored.tokens[0].initialised, restored.tokens[-1].initialised)
    restored.tokens[0].initialise(SO_PIN, b"")
    restored.close()


def test_a_key_file_of_before_a_tamper_is_refused(place: Place) -> None:
    """CKR_DEVICE_REMOVED saying so, and nothing is erased."""
    hsm, _, _ = place.initialised()
    path = Path(place.key_path) / hsm.serial
    backup = path.read_bytes()
    hsm.tamper("test")
    hsm.close()
    newer = path.read_bytes()
    path.write_bytes(backup)
    with pytest.raises(CryptokiError, match="older than the store") as refused:
        place.open()
    assert CKR.DEVICE_REMOVED == refused.value.code
    path.write_bytes(newer)
    place.open().close()


def test_a_tamper_erases_the_old_device_key_where_it_stood(place: Place) -> None:
    """Not only its name: what the file held is overwritten; the identity root is what it was."""
    hsm, _, _ = place.initialised()
    path = os.path.join(place.key_path, hsm.serial)
    with open(path, "rb") as old:
        before = old.read().splitlines()
        hsm.tamper("test")
        old.seek(0)
        assert set(old.read()) == {0}
    after = Path(path).read_bytes().splitlines()
    assert before[1] == after[1]
    assert before[2] != after[2]
    assert (b"tampers 0", b"tampers 1") == (before[3], after[3])
    assert 0o600 == os.stat(path).st_mode & 0o777
    hsm.close()


def test_processes_know_whether_others_are_there(place: Place, hsm: Hsm) -> None:
    """However often each has it open; one that was killed is there no more."""
    hsm.materialise()
    second = place.open()
    assert not hsm.others_running()
    with place.process("hsm = place.open(); print(hsm.others_running(), flush=True); input()") as process:
        assert "True" == process.stdout.readline().strip()  # type: ignore[union-attr]
        assert hsm.others_running()
        second.close()
        assert hsm.others_running()
        process.kill()
    assert not hsm.others_running()
    assert "True" == place.say("print(place.open().others_running())")
    hsm.close()
    assert "False" == place.say("print(place.open().others_running())")


def test_a_child_neither_counts_nor_keeps_its_parent_there(place: Place, hsm: Hsm) -> None:
    """Of fork: the child is there when it opens the HSM itself, and the parent is gone when it ends."""
    hsm.materialise()
    script = """
hsm = place.open()
hsm.before_fork()
if os.fork() == 0:
    hsm.drop_after_fork()
    input()
    again = place.open()
    print("child", again.others_running(), flush=True)
    input()
    os._exit(0)
hsm.after_fork_in_parent()
print("parent", hsm.others_running(), flush=True)
os._exit(0)
"""
    hsm.close()
    with place.process(script) as process:
        assert "parent False" == process.stdout.readline().strip()  # type: ignore[union-attr]
        process.wait()
        again = place.open()
        assert not again.others_running()
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        assert "child True" == process.stdout.readline().strip()  # type: ignore[union-attr]
        assert again.others_running()
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        again.close()

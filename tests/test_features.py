"""The objects on the Admin token that the HSM itself is: adapter, slots, clock, counter, event log."""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path

import pytest
from administration import ADMIN_PIN, ASO_PIN, SO_PIN, Administration, adapter, administered
from conformance.child import module_path, run, start
from conformance.cryptoki import UNAVAILABLE, Cryptoki, Session, expect
from conformance.parameters import Mechanism
from modules import Module

from ptkc.spec.constants import CKA, CKF, CKH, CKK, CKM, CKO, CKR, CKU
from ptkc.token.events import CAPACITY, Event, unpack

_CLASSES = (CKO.ADAPTER, CKO.SLOT, CKO.HW_FEATURE)
_FORMAT = "%Y%m%d%H%M%S00"
_NEW_SLOT = {CKA.CLASS: CKO.SLOT, CKA.TOKEN: True}


@pytest.fixture
def hsm(module: Module, tmp_path: Path) -> Iterator[Administration]:
    """Give an HSM whose Admin token is initialised."""
    with administered(module, tmp_path) as administration:
        yield administration


@pytest.fixture
def administrator(hsm: Administration) -> Session:
    """Give a read/write session of the Administrator."""
    return hsm.administrator()


def hardware(session: Session, kind: int) -> int:
    """Return the handle of a hardware feature."""
    (handle,) = session.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: kind})
    return handle


def slots(session: Session) -> list[int]:
    """Return the handles of the slot objects in the order of the slots."""
    return sorted(session.find({CKA.CLASS: CKO.SLOT}), key=lambda handle: session.number(handle, CKA.SLOT_ID))


# Who sees them


def test_plain_listings_have_no_features(administrator: Session) -> None:
    """A template that does not name a class of theirs finds none, with or without other attributes."""
    for template in ({}, {CKA.TOKEN: True}, {CKA.LABEL: "HSM"}, {CKA.HW_FEATURE_TYPE: CKH.CLOCK}, {CKA.PRIVATE: False}):
        assert [] == administrator.find(template)


def test_features_are_found_by_their_class(hsm: Administration, administrator: Session) -> None:
    """One adapter, a slot object for each slot, three hardware features; the handle is the same each time."""
    found = [administrator.find({CKA.CLASS: number}) for number in _CLASSES]
    assert [1, 2, 3] == [len(handles) for handles in found]
    assert found == [administrator.find({CKA.CLASS: number}) for number in _CLASSES]
    assert [] == administrator.find({CKA.CLASS: CKO.ADAPTER, CKA.LABEL: "another"})


def test_everybody_but_for_the_event_log(hsm: Administration) -> None:
    """The public and the ASO see all features but the event log."""
    session = hsm.cryptoki.open_read_only(hsm.admin_slot)
    assert [1, 2, 2] == [len(session.find({CKA.CLASS: number})) for number in _CLASSES]
    session.close()
    session = hsm.cryptoki.open(hsm.admin_slot)
    session.login(ASO_PIN, CKU.SO)
    assert [] == session.find({CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.EVENT_LOG})


def test_the_event_logs_handle_ends_with_the_login(administrator: Session) -> None:
    """After C_Logout it is CKR_OBJECT_HANDLE_INVALID; the clock's stays."""
    log, clock = hardware(administrator, CKH.EVENT_LOG), hardware(administrator, CKH.CLOCK)
    administrator.logout()
    expect(CKR.OBJECT_HANDLE_INVALID, administrator.get, log, CKA.RECORD_COUNT)
    assert 16 == len(administrator.get(clock, CKA.VALUE))


def test_user_tokens_have_no_features_of_the_hsm(hsm: Administration) -> None:
    """Adapter and slots are on the Admin token alone; to make a slot elsewhere is CKR_NOT_ADMIN_TOKEN."""
    session = hsm.user()
    assert [[], []] == [session.find({CKA.CLASS: number}) for number in (CKO.ADAPTER, CKO.SLOT)]
    expect(CKR.NOT_ADMIN_TOKEN, session.create, _NEW_SLOT)
    other = hsm.cryptoki.open(hsm.admin_slot)
    expect(CKR.OBJECT_HANDLE_INVALID, session.get, adapter(other), CKA.SECURITY_MODE)


def test_features_are_no_keys_and_not_copied(administrator: Session) -> None:
    """C_CopyObject is CKR_ACTION_PROHIBITED, C_DestroyObject CKR_OBJECT_READ_ONLY, use as a key refused."""
    handle = adapter(administrator)
    expect(CKR.ACTION_PROHIBITED, administrator.copy, handle, {})
    expect(CKR.OBJECT_READ_ONLY, administrator.destroy, handle)
    expect(CKR.KEY_TYPE_INCONSISTENT, administrator.init, "Encrypt", Mechanism(CKM.AES_ECB), handle)
    expect(CKR.ACTION_PROHIBITED, administrator.create, {CKA.CLASS: CKO.ADAPTER})
    assert administrator.size(handle) > 0


# The adapter


def test_the_adapter_says_what_the_hsm_is(hsm: Administration, administrator: Session) -> None:
    """Serial, model, date of manufacture, free memory, modes."""
    handle = adapter(administrator)
    serial = bytes(hsm.cryptoki.token(hsm.admin_slot).serialNumber).decode().strip()
    assert serial.encode() == administrator.get(handle, CKA.SERIAL_NUMBER)
    assert time.strftime("%Y%m%d", time.gmtime()).encode() == administrator.get(handle, CKA.DATE_OF_MANUFACTURE)
    assert 0 < administrator.number(handle, CKA.FREE_MEM) < UNAVAILABLE
    assert (0, 0) == tuple(administrator.number(handle, kind) for kind in (CKA.SECURITY_MODE, CKA.TRANSPORT_MODE))
    for kind in (CKA.HW_EXT_INFO_STR, CKA.BATCH, CKA.FW_VERSION, CKA.HW_STATUS, CKA.LABEL, CKA.MANUFACTURER):
        assert administrator.get(handle, kind)


def test_transport_mode(hsm: Administration, administrator: Session) -> None:
    """0, 1 and 2 can be set; other values are CKR_ATTRIBUTE_VALUE_INVALID; a restart turns 1 to 0."""
    handle = adapter(administrator)
    for mode in (1, 2, 0, 1):
        administrator.set(handle, {CKA.TRANSPORT_MODE: mode})
        assert mode == administrator.number(handle, CKA.TRANSPORT_MODE)
    expect(CKR.ATTRIBUTE_VALUE_INVALID, administrator.set, handle, {CKA.TRANSPORT_MODE: 3})
    expect(CKR.ATTRIBUTE_VALUE_INVALID, administrator.set, handle, {CKA.TRANSPORT_MODE: b"\1"})
    administrator.set(handle, {CKA.HALT_CMD: True})
    expect(CKR.DEVICE_RESET, administrator.info)
    expect(CKR.SESSION_HANDLE_INVALID, administrator.info)
    session = hsm.cryptoki.open(hsm.admin_slot)
    assert 0 == session.number(adapter(session), CKA.TRANSPORT_MODE)


def test_both_modes_are_set_or_none(administrator: Session) -> None:
    """A refused value leaves the other as it was."""
    handle = adapter(administrator)
    expect(CKR.ATTRIBUTE_VALUE_INVALID, administrator.set, handle, {CKA.SECURITY_MODE: 0x10, CKA.TRANSPORT_MODE: 9})
    expect(CKR.SECURITY_FLAGS_INCOMPATIBLE, administrator.set, handle, {CKA.TRANSPORT_MODE: 2, CKA.SECURITY_MODE: 2})
    assert (0, 0) == tuple(administrator.number(handle, kind) for kind in (CKA.SECURITY_MODE, CKA.TRANSPORT_MODE))


def test_other_attributes_cannot_be_set(hsm: Administration, administrator: Session) -> None:
    """CKR_ATTRIBUTE_READ_ONLY for what it has, CKR_ATTRIBUTE_TYPE_INVALID for what it has not."""
    handle = adapter(administrator)
    expect(CKR.ATTRIBUTE_READ_ONLY, administrator.set, handle, {CKA.LABEL: "mine"})
    expect(CKR.ATTRIBUTE_TYPE_INVALID, administrator.set, handle, {CKA.PURGE: True})
    expect(CKR.ATTRIBUTE_TYPE_INVALID, administrator.get, handle, CKA.PURGE)
    expect(CKR.ATTRIBUTE_READ_ONLY, administrator.set, hardware(administrator, CKH.MONOTONIC_COUNTER), {CKA.VALUE: b""})
    twice = [(CKA.TRANSPORT_MODE, 1), (CKA.TRANSPORT_MODE, 2)]
    expect(CKR.TEMPLATE_INCONSISTENT, administrator.set, handle, twice)


def test_a_template_without_attributes_changes_nothing(administrator: Session) -> None:
    """Of a feature that has something to set as of one that has not: CKR_OK, as of any object."""
    features = [adapter(administrator), *slots(administrator)]
    features += [hardware(administrator, kind) for kind in (CKH.CLOCK, CKH.MONOTONIC_COUNTER, CKH.EVENT_LOG)]
    for handle in features:
        administrator.set(handle, [])


def test_tamper_by_the_administrator(hsm: Administration) -> None:
    """CKA_TAMPER_CMD: sessions are over, tokens empty, the Admin token uninitialised; false does nothing."""
    hsm.user().close()
    administrator = hsm.administrator()
    administrator.set(adapter(administrator), {CKA.TAMPER_CMD: False, CKA.HALT_CMD: False})
    administrator.set(adapter(administrator), {CKA.TAMPER_CMD: True})
    expect(CKR.DEVICE_RESET, administrator.info)
    assert [0, 0] == [hsm.cryptoki.token(slot).flags & CKF.TOKEN_INITIALIZED for slot in (0, 1)]
    session = Administration(hsm.cryptoki).administrator()
    log = session.get(hardware(session, CKH.EVENT_LOG), CKA.VALUE)
    assert Event.TAMPER in {unpack(log[place : place + 48]).code for place in range(0, len(log), 48)}


# Slots


def test_a_slot_object_says_what_the_slot_is(hsm: Administration, administrator: Session) -> None:
    """Slot number, the token's label, PIN length, sessions, flags."""
    hsm.user().close()
    first, admin = slots(administrator)
    label = bytes(hsm.cryptoki.token(0).label).rstrip()
    assert (0, label) == (administrator.number(first, CKA.SLOT_ID), administrator.get(first, CKA.LABEL))
    assert administrator.get(admin, CKA.LABEL).startswith(b"AdminToken (")
    kinds = CKA.MIN_PIN_LEN, CKA.MAX_SESSIONS, CKA.MAX_PIN_FAIL, CKA.FLAGS
    assert (4, 0, 3, CKF.TOKEN_PRESENT) == tuple(administrator.number(first, kind) for kind in kinds)


def test_slots_are_added_and_deleted(hsm: Administration, administrator: Session) -> None:
    """A new slot stands before the Admin slot; deleted, it is gone, with its objects; sessions go on."""
    handle = administrator.create(_NEW_SLOT)
    assert 1 == administrator.number(handle, CKA.SLOT_ID)
    assert [0, 1, 2] == hsm.cryptoki.slots()
    assert not hsm.cryptoki.token(1).flags & CKF.TOKEN_INITIALIZED
    assert 2 == administrator.info().slotID == hsm.admin_slot
    hsm.cryptoki.init_token(1, SO_PIN, "second")
    other = hsm.cryptoki.open(1)
    expect(CKR.SESSION_EXISTS, administrator.destroy, handle)
    other.close()
    administrator.destroy(handle)
    assert [0, 1] == hsm.cryptoki.slots()
    assert 1 == administrator.info().slotID
    expect(CKR.OBJECT_HANDLE_INVALID, administrator.get, handle, CKA.LABEL)
    assert 2 == len(slots(administrator))


def test_the_first_slot_can_be_deleted(hsm: Administration, administrator: Session) -> None:
    """The slots behind it move up; an HSM with the Admin slot alone is one."""
    second = administrator.create({CKA.CLASS: CKO.SLOT})
    first = slots(administrator)[0]
    administrator.destroy(first)
    assert 0 == administrator.number(second, CKA.SLOT_ID)
    administrator.destroy(second)
    assert [0] == hsm.cryptoki.slots()


def test_the_admin_slot_stays(administrator: Session) -> None:
    """Its deletion is CKR_OBJECT_READ_ONLY."""
    expect(CKR.OBJECT_READ_ONLY, administrator.destroy, slots(administrator)[-1])


def test_slots_are_the_administrators(hsm: Administration) -> None:
    """Nobody else adds or deletes one, and not in a read-only session; a template says no more than the class."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    expect(CKR.USER_NOT_LOGGED_IN, session.create, _NEW_SLOT)
    expect(CKR.USER_NOT_LOGGED_IN, session.destroy, slots(session)[0])
    reader = hsm.cryptoki.open_read_only(hsm.admin_slot)
    session.login(ADMIN_PIN)
    expect(CKR.SESSION_READ_ONLY, reader.create, _NEW_SLOT)
    expect(CKR.ACTION_PROHIBITED, session.create, _NEW_SLOT | {CKA.LABEL: "mine"})
    assert [0, 1] == hsm.cryptoki.slots()


def stay(path: str, started: str, done: str) -> bool:
    """In another process: have the HSM open until a file appears."""
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    cryptoki.slots()
    Path(started).touch()
    while not Path(done).exists():
        time.sleep(0.01)
    cryptoki.finalize()
    return True


def test_slots_do_not_change_while_others_run(hsm: Administration, administrator: Session, tmp_path: Path) -> None:
    """While another process has the HSM open, adding and deleting are CKR_ACTION_PROHIBITED; then not."""
    started, done = tmp_path / "started", tmp_path / "done"
    child = start(stay, module_path(), str(started), str(done))
    while not started.exists():
        time.sleep(0.01)
    expect(CKR.ACTION_PROHIBITED, administrator.create, _NEW_SLOT)
    expect(CKR.ACTION_PROHIBITED, administrator.destroy, slots(administrator)[0])
    done.touch()
    assert child.result()
    administrator.destroy(administrator.create(_NEW_SLOT))


# Clock


def test_the_clock(hsm: Administration, administrator: Session) -> None:
    """CKA_VALUE is the time in UTC; the Administrator sets it, and C_GetTokenInfo says it too."""
    clock = hardware(administrator, CKH.CLOCK)
    assert abs(time.time() - _seconds(administrator.get(clock, CKA.VALUE))) < 60
    later = time.time() + 86400
    administrator.set(clock, {CKA.VALUE: time.strftime(_FORMAT, time.gmtime(later))})
    assert abs(later - _seconds(administrator.get(clock, CKA.VALUE))) < 60
    info = hsm.cryptoki.token(0)
    assert abs(later - _seconds(bytes(info.utcTime))) < 60
    assert info.flags & CKF.CLOCK_ON_TOKEN


def _seconds(value: bytes) -> int:
    """Return the Unix time of 16 digits."""
    return timegm(time.strptime(value.decode(), _FORMAT))


_NO_TIMES = (
    "", "2030", "20301301000000 0", "2030023000000000", "2030010100000099", "20300101000000\N{ARABIC-INDIC DIGIT ONE}0",
    b"\xff" * 16,
)  # fmt: skip


@pytest.mark.parametrize("value", _NO_TIMES)
def test_what_is_no_time_is_refused(administrator: Session, value: str | bytes) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID, and the clock goes on."""
    clock = hardware(administrator, CKH.CLOCK)
    expect(CKR.ATTRIBUTE_VALUE_INVALID, administrator.set, clock, {CKA.VALUE: value})
    assert abs(time.time() - _seconds(administrator.get(clock, CKA.VALUE))) < 60


def test_only_the_administrator_sets_the_clock(hsm: Administration) -> None:
    """CKR_USER_NOT_LOGGED_IN for the public, CKR_SESSION_READ_ONLY in a read-only session."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    clock = hardware(session, CKH.CLOCK)
    value = {CKA.VALUE: "2030010112000000"}
    expect(CKR.USER_NOT_LOGGED_IN, session.set, clock, value)
    reader = hsm.cryptoki.open_read_only(hsm.admin_slot)
    reader.login(ADMIN_PIN)
    expect(CKR.SESSION_READ_ONLY, reader.set, clock, value)


# Monotonic counter


def count(path: str) -> int:
    """In another process: read the counter."""
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    session = cryptoki.open_read_only(cryptoki.slots()[-1])
    return int.from_bytes(session.get(hardware(session, CKH.MONOTONIC_COUNTER), CKA.VALUE), "big")


def test_the_counter_only_rises(hsm: Administration, administrator: Session, module: Module) -> None:
    """Each reading is a higher value of 20 bytes: here, in another process, after C_Finalize, and after a tamper."""
    handle = hardware(administrator, CKH.MONOTONIC_COUNTER)
    values = [administrator.get(handle, CKA.VALUE) for _ in range(3)]
    assert [20, 20, 20] == [len(value) for value in values]
    numbers = [int.from_bytes(value, "big") for value in values]
    numbers.append(run(count, module.path))
    administrator.set(adapter(administrator), {CKA.TAMPER_CMD: True})
    hsm.cryptoki.finalize()
    hsm.cryptoki.initialize()
    session = Administration(hsm.cryptoki).administrator()
    handle = hardware(session, CKH.MONOTONIC_COUNTER)
    numbers.append(int.from_bytes(session.get(handle, CKA.VALUE), "big"))
    assert sorted(set(numbers)) == numbers
    assert not session.flag(handle, CKA.HAS_RESET)
    assert not session.flag(handle, CKA.RESET_ON_INIT)


# Event log


def test_the_event_log(administrator: Session) -> None:
    """Records of 48 bytes, numbered, with the time and what happened; it is not full."""
    administrator.set(adapter(administrator), {CKA.TRANSPORT_MODE: 2})
    log = hardware(administrator, CKH.EVENT_LOG)
    value = administrator.get(log, CKA.VALUE)
    records = [unpack(value[place : place + 48]) for place in range(0, len(value), 48)]
    assert len(records) == administrator.number(log, CKA.RECORD_COUNT)
    assert records[-1].number == administrator.number(log, CKA.RECORD_NUMBER)
    assert (Event.TRANSPORT_MODE, "2") == (records[-1].code, records[-1].detail)
    assert not administrator.flag(log, CKA.EVENT_LOG_FULL)


def test_the_event_log_is_purged_only_when_it_is_full(administrator: Session) -> None:
    """CKA_PURGE is CKR_EVENT_LOG_NOT_FULL until then; nothing is recorded beyond the last place."""
    log, handle = hardware(administrator, CKH.EVENT_LOG), adapter(administrator)
    expect(CKR.EVENT_LOG_NOT_FULL, administrator.set, log, {CKA.PURGE: True})
    for number in range(CAPACITY):
        administrator.set(handle, {CKA.TRANSPORT_MODE: 2 if number % 2 else 0})
    assert administrator.flag(log, CKA.EVENT_LOG_FULL)
    assert CAPACITY == administrator.number(log, CKA.RECORD_COUNT)
    administrator.set(log, {CKA.PURGE: False})
    assert administrator.flag(log, CKA.EVENT_LOG_FULL)
    administrator.set(log, {CKA.PURGE: True})
    assert not administrator.flag(log, CKA.EVENT_LOG_FULL)
    value = administrator.get(log, CKA.VALUE)
    assert [Event.LOG_PURGED] == [unpack(value[place : place + 48]).code for place in range(0, len(value), 48)]


# Roles on the Admin token


def test_the_aso_sets_the_administrators_pin_once(hsm: Administration) -> None:
    """C_InitPIN again is CKR_PIN_ALREADY_INITIALIZED; each changes the own PIN."""
    session = hsm.cryptoki.open(hsm.admin_slot)
    session.login(ASO_PIN, CKU.SO)
    expect(CKR.PIN_ALREADY_INITIALIZED, session.init_pin, "another-pin")
    session.set_pin(ASO_PIN, "aso-87654321")
    session.logout()
    session.login(ADMIN_PIN)
    session.set_pin(ADMIN_PIN, "admin-654321")
    session.logout()
    session.login("admin-654321")


def test_the_aso_trusts_public_objects(hsm: Administration) -> None:
    """CKA_TRUSTED is the ASO's to set, not the Administrator's."""
    key = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: bytes(16), CKA.PRIVATE: False, CKA.TOKEN: True}
    session = hsm.administrator()
    handle = session.create(key)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.set, handle, {CKA.TRUSTED: True})
    session.logout()
    session.login(ASO_PIN, CKU.SO)
    session.set(handle, {CKA.TRUSTED: True})
    assert session.flag(handle, CKA.TRUSTED)

"""Tokens: initialising, PINs, delays, objects, and what a process remembers of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, aes_key, data_object

from ptkc.spec.constants import CKA, CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token import pins
from ptkc.token.hsms import Hsm
from ptkc.token.tokens import ObjectChangedError, Token


class Clock:
    """The machine's clock, in milliseconds, set by the test."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.now = 1_000_000_000

    def __call__(self) -> int:
        """Say the time."""
        return self.now


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty data path."""
    return Place(tmp_path)


@pytest.fixture
def hsm(place: Place) -> Iterator[Hsm]:
    """Return an HSM whose first token has both PINs."""
    hsm, _, _ = place.initialised()
    yield hsm
    hsm.close()


@pytest.fixture
def token(hsm: Hsm) -> Token:
    """Return the token with both PINs."""
    return hsm.tokens[0]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that stands."""
    clock = Clock()
    monkeypatch.setattr(pins, "milliseconds", clock)
    return clock


def refusal(function: object, *arguments: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        function(*arguments)  # type: ignore[operator]
    return refused.value.code


def test_a_new_token_is_initialised_with_its_first_so_pin(place: Place) -> None:
    """C_InitToken sets label and SO PIN; the user PIN is missing still."""
    hsm = place.open()
    token = hsm.tokens[0]
    assert (False, False, b"") == (token.initialised, token.user_pin_set, token.label)
    token.initialise(SO_PIN, b"a label".ljust(32))
    assert (True, False, b"a label") == (token.initialised, token.user_pin_set, token.label)
    assert CKR.USER_PIN_NOT_INITIALIZED == refusal(token.login, CKU.USER, USER_PIN)
    hsm.close()


def test_a_pin_that_cannot_be_set_makes_nothing(place: Place) -> None:
    """C_InitToken with a PIN too short leaves no trace on the disk."""
    hsm = place.open()
    assert CKR.PIN_LEN_RANGE == refusal(hsm.tokens[0].initialise, b"123", b"")
    assert CKR.PIN_INVALID == refusal(hsm.tokens[0].initialise, b"\xff\xff\xff\xff", b"")
    assert [] == list(Path(place.directory).iterdir())


def test_so_and_user_open_the_same_token_key(token: Token) -> None:
    """Private objects survive whoever logs in."""
    assert token.login(CKU.SO, SO_PIN) == token.login(CKU.USER, USER_PIN)


def test_a_role_s_pin_does_not_open_the_other_role(token: Token) -> None:
    """CKR_PIN_INCORRECT."""
    assert CKR.PIN_INCORRECT == refusal(token.login, CKU.SO, USER_PIN)
    assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, SO_PIN)


def test_initialising_anew_needs_the_so_pin_and_destroys_everything_but_that(token: Token) -> None:
    """C_InitToken on an initialised token: objects, user PIN and token key are gone, the SO PIN stays."""
    key = token.login(CKU.USER, USER_PIN)
    secret, data = token.add(aes_key(b"a"), key), token.add(data_object(b"a"), None)
    assert CKR.PIN_INCORRECT == refusal(token.initialise, b"wrong-pin", b"new")
    assert [secret, data] == token.find((), key)
    token.initialise(SO_PIN, b"new")
    assert (b"new", False) == (token.label, token.user_pin_set)
    assert token.login(CKU.SO, SO_PIN) != key
    assert [] == token.find((), None)
    assert token.load(data, None) is None
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.find, (), key)
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.add, aes_key(b"a"), key)
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.init_user_pin, key, USER_PIN)


def test_record_numbers_are_not_given_twice_even_after_initialising_anew(token: Token) -> None:
    """A handle of a destroyed object never means another one."""
    number = token.add(data_object(b"a"), None)
    token.initialise(SO_PIN, b"new")
    assert number < token.add(data_object(b"a"), None)


def test_the_so_replaces_the_user_pin_and_private_objects_stay(token: Token) -> None:
    """C_InitPIN on a user token."""
    key = token.login(CKU.USER, USER_PIN)
    number = token.add(aes_key(b"a"), key)
    token.init_user_pin(token.login(CKU.SO, SO_PIN), b"another")
    assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, USER_PIN)
    assert b"a" == token.load(number, token.login(CKU.USER, b"another"))[0][CKA.LABEL]  # type: ignore[index]


def test_a_login_that_meets_a_tamper_is_told_so(
    place: Place, hsm: Hsm, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CKR_DEVICE_RESET, where another thread has read the new device key just after the PIN record was read."""
    stored = Token._stored
    other = place.open()

    def before_a_tamper(self: Token, store: object) -> object:
        record = stored(self, store)  # type: ignore[arg-type]
        monkeypatch.setattr(Token, "_stored", stored)
        other.tamper("meanwhile")
        hsm.refresh()
        return record

    monkeypatch.setattr(Token, "_stored", before_a_tamper)
    assert CKR.DEVICE_RESET == refusal(token.login, CKU.USER, USER_PIN)
    other.close()


def test_the_administrator_s_pin_is_set_only_once(hsm: Hsm) -> None:
    """C_InitPIN on the Admin token: CKR_PIN_ALREADY_INITIALIZED; its label is its own."""
    admin = hsm.tokens[-1]
    assert admin.is_admin
    admin.initialise(SO_PIN, b"any label")
    assert f"AdminToken ({hsm.serial})".encode() == admin.label
    key = admin.login(CKU.SO, SO_PIN)
    admin.init_user_pin(key, USER_PIN)
    assert CKR.PIN_ALREADY_INITIALIZED == refusal(admin.init_user_pin, key, b"another")
    assert key == admin.login(CKU.USER, USER_PIN)


@pytest.mark.parametrize(("role", "old"), [(CKU.SO, SO_PIN), (CKU.USER, USER_PIN)])
def test_a_pin_is_changed_with_the_old_one(token: Token, role: int, old: bytes) -> None:
    """C_SetPIN: a wrong old PIN is counted, a new one that cannot be set is refused before."""
    assert CKR.PIN_LEN_RANGE == refusal(token.set_pin, role, old, b"123")
    assert 0 == token.pin_state(role)
    assert CKR.PIN_INCORRECT == refusal(token.set_pin, role, b"wrong", b"another")
    assert 0 != token.pin_state(role)
    token.set_pin(role, old, b"another")
    assert 0 == token.pin_state(role)
    assert CKR.PIN_INCORRECT == refusal(token.login, role, old)
    token.login(role, b"another")


def test_wrong_pins_delay_the_next_try_and_never_lock_for_good(token: Token, clock: Clock) -> None:
    """After the 3rd failure 5 s, after the 4th 10 s; a try before is CKR_PIN_LOCKED, even with the right PIN."""
    low, final, locked = CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED
    states = [token.pin_state(CKU.USER)]
    for _ in range(3):
        assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, b"wrong")
        states.append(token.pin_state(CKU.USER))
    assert [0, low, low | final, low | locked] == states
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    clock.now += 4_999
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    clock.now += 1
    assert low | final == token.pin_state(CKU.USER)
    assert CKR.PIN_INCORRECT == refusal(token.login, CKU.USER, b"wrong")
    clock.now += 9_999
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    clock.now += 1
    token.login(CKU.USER, USER_PIN)
    assert 0 == token.pin_state(CKU.USER)


def test_the_roles_delays_are_their_own(token: Token, clock: Clock) -> None:
    """Wrong user PINs do not keep the SO out."""
    for _ in range(3):
        refusal(token.login, CKU.USER, b"wrong")
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    assert 0 == token.pin_state(CKU.SO)
    token.init_user_pin(token.login(CKU.SO, SO_PIN), USER_PIN)
    assert 0 == token.pin_state(CKU.USER)
    assert clock.now
    token.login(CKU.USER, USER_PIN)


def test_a_clock_that_went_back_starts_the_delay_anew(token: Token, clock: Clock) -> None:
    """Setting the clock back neither shortens the delay nor makes it last for years."""
    for _ in range(3):
        refusal(token.login, CKU.USER, b"wrong")
    clock.now -= 500_000
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    clock.now += 4_999
    assert CKR.PIN_LOCKED == refusal(token.login, CKU.USER, USER_PIN)
    clock.now += 1
    token.login(CKU.USER, USER_PIN)


def test_a_failure_is_on_the_disk_before_the_pin_is_tried(
    place: Place, hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is killed while a PIN is tried has had a try."""
    states = []

    def look(*_: object) -> None:
        other = place.open()
        states.append(other.tokens[0].pin_state(CKU.USER))
        other.close()

    monkeypatch.setattr(pins, "open_pin", look)
    assert CKR.PIN_INCORRECT == refusal(hsm.tokens[0].login, CKU.USER, USER_PIN)
    assert [CKF.USER_PIN_COUNT_LOW] == states


def test_objects_come_back_as_they_were_stored(token: Token) -> None:
    """Private ones with the key only."""
    key = token.login(CKU.USER, USER_PIN)
    attributes = aes_key(b"a")
    number = token.add(attributes, key)
    assert attributes == token.load(number, key)[0]  # type: ignore[index]
    assert token.load(number, None) is None
    data = data_object(b"b", b"x" * 100_000)
    assert data == token.load(token.add(data, None), None)[0]  # type: ignore[index]
    token.forget_private()
    assert token.load(number, None) is None
    assert attributes == token.load(number, key)[0]  # type: ignore[index]


def test_a_private_object_needs_a_login(token: Token) -> None:
    """CKR_USER_NOT_LOGGED_IN, and nothing was stored."""
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.add, aes_key(b"a"), None)
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.add_many, [data_object(b"a"), aes_key(b"a")], None)
    assert [] == token.find((), None)


def test_what_another_process_changed_in_between_is_not_overwritten(place: Place, token: Token) -> None:
    """A replacement of an older version raises, so that the device loads again."""
    number = token.add(data_object(b"a"), None)
    _, version = token.load(number, None) or ({}, 0)
    other = place.open()
    newer = other.tokens[0].replace(number, version, data_object(b"b"), None)
    with pytest.raises(ObjectChangedError):
        token.replace(number, version, data_object(b"c"), None)
    assert (data_object(b"b"), newer) == token.load(number, None)
    assert newer != token.replace(number, newer, data_object(b"c"), None)
    other.close()


def test_no_private_object_is_stored_under_a_key_from_before_a_reset(
    place: Place, hsm: Hsm, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process resets the token while this one waits for its turn to write: CKR_USER_NOT_LOGGED_IN."""
    key = token.login(CKU.USER, USER_PIN)
    token.add(aes_key(b"a"), key)
    other = place.open()
    materialise = Hsm.materialise

    def late(self: Hsm) -> object:
        store = materialise(self)
        if self is hsm:
            monkeypatch.setattr(Hsm, "materialise", materialise)
            other.tokens[0].reset(other.tokens[0].login(CKU.SO, SO_PIN), SO_PIN, b"new")
        return store

    monkeypatch.setattr(Hsm, "materialise", late)
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.add, aes_key(b"b"), key)
    assert [] == hsm.store._all("SELECT number FROM object", ())
    other.close()


def test_an_object_that_is_gone_cannot_be_changed_or_destroyed(hsm: Hsm, token: Token) -> None:
    """CKR_OBJECT_HANDLE_INVALID, also for the number of another token's object."""
    number = token.add(data_object(b"a"), None)
    assert CKR.OBJECT_HANDLE_INVALID == refusal(hsm.tokens[1].remove, number)
    assert hsm.tokens[1].load(number, None) is None
    assert [] == hsm.tokens[1].find((), None)
    token.remove(number)
    assert CKR.OBJECT_HANDLE_INVALID == refusal(token.remove, number)
    assert CKR.OBJECT_HANDLE_INVALID == refusal(token.replace, number, 1, data_object(b"a"), None)
    assert token.load(number, None) is None


def test_what_is_remembered_is_dropped_when_another_process_changes_it(place: Place, token: Token) -> None:
    """Objects and searches: the next call sees what is."""
    numbers = token.add_many([data_object(b"a") for _ in range(100)], None)
    other = place.open().tokens[0]
    assert numbers == token.find((), None) == token.find((), None)
    _, version = token.load(numbers[0], None) or ({}, 0)
    other.replace(numbers[0], version, data_object(b"changed"), None)
    assert data_object(b"changed") == token.load(numbers[0], None)[0]  # type: ignore[index]
    other.remove(numbers[1])
    assert token.load(numbers[1], None) is None
    assert numbers[:1] + numbers[2:] == token.find((), None)


def test_what_is_remembered_survives_this_process_s_own_changes_of_other_objects(token: Token) -> None:
    """A loaded object is the same one after another was made and destroyed."""
    number = token.add(data_object(b"a"), None)
    loaded = token.load(number, None)
    token.remove(token.add(data_object(b"b"), None))
    assert loaded is token.load(number, None)


def test_what_is_remembered_survives_a_login(token: Token) -> None:
    """The failure count is written at each login; objects are not read again for that."""
    number = token.add(data_object(b"a"), None)
    loaded = token.load(number, None)
    token.login(CKU.USER, USER_PIN)
    assert loaded is token.load(number, None)


def test_a_record_moved_within_the_database_is_refused(place: Place, hsm: Hsm, token: Token) -> None:
    """A sealed object does not open under another object's number."""
    key = token.login(CKU.USER, USER_PIN)
    one, two = token.add_many([aes_key(b"a"), aes_key(b"b")], key)
    hsm.close()
    place.say(f"""
import sqlite3
link = sqlite3.connect(os.path.join(place.data_path, "{hsm.serial}", "store.db"))
link.execute("UPDATE object SET content = (SELECT content FROM object WHERE number = {one}) WHERE number = {two}")
link.commit()
""")
    token = place.open().tokens[0]
    assert b"a" == token.load(one, key)[0][CKA.LABEL]  # type: ignore[index]
    assert CKR.DEVICE_ERROR == refusal(token.load, two, key)

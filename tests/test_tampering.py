"""Somebody changes the files of an HSM behind its back: it says so, and gives nothing away, crashes or hangs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, aes_key, data_object, quick_pins

from ptkc.spec.constants import CKA, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE
from ptkc.token.events import unpack
from ptkc.token.hsms import Hsm

_MATERIAL = b"key material of a key for everybody"
_COLUMNS = {
    "hsm": (
        "serial", "ordinal", "boot", "tampers", "wiped", "removed", "slots", "origin", "identity", "clock", "counter",
        "manufactured", "policy",
    ),
    "event": ("record",),
    "token": (
        "admin", "serial", "label", "proof", "so_pin", "so_failures", "so_failed_at", "user_pin", "user_failures",
        "user_failed_at", "changes",
    ),
    "object": ("private", "version", "rows", "terms", "content"),
}  # fmt: skip
_WRONG = ("'text'", "x'00ff'", "x''", "-5", "1.5", str(2**63 - 1))


@pytest.fixture(autouse=True)
def _quick_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose no time with logins."""
    quick_pins(monkeypatch)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an HSM with two private objects and two public ones, closed."""
    place = Place(tmp_path)
    hsm, token, key = place.initialised()
    token.add_many([aes_key(b"a"), aes_key(b"b"), data_object(b"c")], key)
    token.add(aes_key(b"public", private=FALSE, value=_MATERIAL), None)
    hsm.identity.add(data_object(b"identity"), None)
    hsm.set_policy(security_mode=1)
    hsm.close()
    return place


def _database(place: Place) -> str:
    """Return the path of the HSM's database."""
    (serial,) = os.listdir(place.data_path)
    return os.path.join(place.data_path, serial, "store.db")


def _change(place: Place, *statements: str) -> None:
    """Change the database with SQL."""
    with closing(sqlite3.connect(_database(place))) as link, link:
        for statement in statements:
            link.execute(statement)


def _use(hsm: Hsm) -> None:
    """Do everything that reads or writes records; each may be refused."""
    steps = []
    for token in hsm.tokens:
        steps += [
            lambda token=token: (token.label, token.serial, token.pin_state(CKU.SO), token.pin_state(CKU.USER)),
            lambda token=token: token.set_pin(CKU.USER, USER_PIN, USER_PIN),
            lambda token=token: token.init_user_pin(token.login(CKU.SO, SO_PIN), USER_PIN),
            lambda token=token: _use_objects(token, token.login(CKU.USER, USER_PIN)),
            lambda token=token: token.initialise(SO_PIN, b"anew"),
        ]
    steps += [
        lambda: (hsm.security_mode, hsm.now(), hsm.count, hsm.manufactured, hsm.ordinal), lambda: hsm.set_policy(1, 1),
        hsm.next_count, lambda: list(map(unpack, hsm.events())), lambda: hsm.set_clock(0), lambda: hsm.event_log_full,
        lambda: hsm.remove_slot(hsm.add_slot()), lambda: list(map(hsm.identity.load, hsm.identity.find(()))),
        lambda: hsm.identity.exchange(hsm.identity.find(()), [data_object(b"new")]), lambda: hsm.tamper("test"),
        hsm.unplug,
    ]  # fmt: skip
    for step in (*steps, hsm.restart):
        with suppress(CryptokiError):
            step()


def _version(token, number: int, key: bytes) -> int:
    """Return the version of an object, 0 if it is gone."""
    loaded = token.load(number, key)
    return loaded[1] if loaded else 0


def _use_objects(token, key: bytes) -> None:
    """Find, load, change and destroy objects."""
    steps = [lambda: token.add(aes_key(b"new"), key)]
    for template in ((), ((CKA.LABEL, b"a"),), ((CKA.LABEL, b"c"), (CKA.MODIFIABLE, b"\1"))):
        with suppress(CryptokiError):
            for number in token.find(template, key):
                steps += [
                    lambda number=number: token.load(number, key),
                    lambda number=number: token.replace(number, _version(token, number, key), aes_key(b"new"), key),
                    lambda number=number: token.remove(number),
                ]
    for step in steps:
        with suppress(CryptokiError):
            step()


@pytest.mark.parametrize("wrong", _WRONG)
@pytest.mark.parametrize(("table", "column"), [(table, column) for table, some in _COLUMNS.items() for column in some])
def test_whatever_stands_in_a_column_is_no_bug(place: Place, table: str, column: str, wrong: str) -> None:
    """Values of any type and size are refused or taken for what they are: nothing but a `CryptokiError`, no hang."""
    _change(place, f"UPDATE {table} SET {column} = {wrong}")
    with suppress(CryptokiError):
        hsm = place.open()
        try:
            _use(hsm)
        finally:
            hsm.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM hsm", "DELETE FROM token", "DROP TABLE object", "DROP TABLE search", "PRAGMA user_version = 0",
        "UPDATE search SET record = 'text' WHERE record = (SELECT max(record) FROM search)",
        "DELETE FROM event", "DROP TABLE event", "UPDATE event SET number = 9223372036854775807 WHERE number = 1",
        "UPDATE search SET record = record + 1000000", "UPDATE object SET number = number + 1000000",
    ],
)  # fmt: skip
def test_whatever_is_missing_is_no_bug(place: Place, statement: str) -> None:
    """Rows and tables may be gone, and the index may name what is not there."""
    _change(place, statement)
    with suppress(CryptokiError):
        hsm = place.open()
        try:
            _use(hsm)
        finally:
            hsm.close()


@pytest.mark.parametrize("offset", [0, 20, 99, 3700, 4096, 9000, 20000])
def test_flipped_bytes_are_no_bug(place: Place, offset: int) -> None:
    """Nor is a damaged database."""
    path = _database(place)
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for position in range(offset % size, size, 4099):
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes((byte ^ 0xFF,)))
    with suppress(CryptokiError):
        hsm = place.open()
        try:
            _use(hsm)
        finally:
            hsm.close()


@pytest.mark.parametrize("content", [b"", b"x", bytes(8) + b"\1" * 8, b"\xff" * 16])
def test_the_generation_file_may_hold_anything(place: Place, content: bytes) -> None:
    """It is a hint for caches: no login, object or change is lost with it."""
    Path(_database(place)).with_name("generation").write_bytes(content)
    hsm = place.open()
    token = hsm.tokens[0]
    key = token.login(CKU.USER, USER_PIN)
    token.add(data_object(b"later"), None)
    assert 5 == len(token.find((), key))
    hsm.close()


@pytest.fixture
def opened(place: Place, request: pytest.FixtureRequest) -> Iterator[Hsm]:
    """Return the HSM, opened after the statements that the test names were done."""
    _change(place, *request.param)
    hsm = place.open()
    yield hsm
    hsm.close()


def _code(function: object, *arguments: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        function(*arguments)  # type: ignore[operator]
    return refused.value.code


_FIRST, _SECOND = (f"(SELECT number FROM object ORDER BY number LIMIT 1 OFFSET {place})" for place in (0, 1))


@pytest.mark.parametrize(
    "opened",
    [
        (f"UPDATE object SET content = (SELECT content FROM object WHERE number = {_SECOND}) WHERE number = {_FIRST}",),
        (f"UPDATE object SET private = 0 WHERE number = {_FIRST}",),
        (f"UPDATE object SET version = version + 1 WHERE number = {_FIRST}",),
        ("UPDATE token SET serial = 'other' WHERE NOT admin",),
    ],
    indirect=True,
)
def test_a_record_that_was_changed_is_refused(opened: Hsm) -> None:
    """CKR_DEVICE_ERROR for content, place, version, kind or token of another record (or a login that fails so)."""
    token = opened.tokens[0]

    def load_first() -> None:
        key = token.login(CKU.USER, USER_PIN)
        token.load(min(token.find((), key)), key)

    assert CKR.DEVICE_ERROR == _code(load_first)


@pytest.mark.parametrize(
    "opened", [("UPDATE token SET so_pin = user_pin, user_pin = so_pin WHERE NOT admin",)], indirect=True
)
def test_a_pin_record_is_good_for_one_role(opened: Hsm) -> None:
    """The user does not become SO by giving the SO's place the user's record."""
    token = opened.tokens[0]
    assert CKR.DEVICE_ERROR == _code(token.login, CKU.SO, USER_PIN)
    assert CKR.DEVICE_ERROR == _code(token.login, CKU.USER, USER_PIN)


@pytest.mark.parametrize(
    "opened", [("UPDATE token SET proof = NULL",), ("UPDATE token SET proof = x'00'",)], indirect=True
)
def test_a_token_key_needs_its_proof(opened: Hsm) -> None:
    """Private objects do not open, nor is one made, where the proof of the token key was changed."""
    token = opened.tokens[0]
    key = token.login(CKU.USER, USER_PIN)
    assert CKR.USER_NOT_LOGGED_IN == _code(token.find, (), key)
    assert CKR.USER_NOT_LOGGED_IN == _code(token.add, aes_key(b"new"), key)


def test_keys_that_everybody_may_use_are_not_readable_in_the_store(place: Place) -> None:
    """CKA_PRIVATE false gives a key to every session, not to who reads the disk."""
    for directory, _, names in os.walk(place.data_path):
        for name in names:
            assert _MATERIAL not in Path(directory, name).read_bytes()
    hsm = place.open()
    token = hsm.tokens[0]
    (number,) = token.find(((CKA.LABEL, b"public"),), None)
    assert _MATERIAL == token.load(number, None)[0][CKA.VALUE]  # type: ignore[index]
    hsm.close()


def test_a_broken_hsm_does_not_hide_another(place: Place) -> None:
    """A directory that is no HSM, though it looks like one, leaves the others usable."""
    broken = Path(place.data_path, "0000000")
    broken.mkdir()
    (broken / "store.db").write_bytes(b"junk")
    hsm = place.open()
    assert hsm.tokens[0].initialised
    hsm.close()


def test_beside_a_broken_hsm_no_other_is_made(place: Place) -> None:
    """The broken one may be the one that is wanted: it is said, not replaced."""
    shutil.rmtree(place.key_path)
    with pytest.raises(CryptokiError, match="key file"):
        place.open()


def test_a_pipe_in_the_place_of_the_key_file_is_refused(place: Place) -> None:
    """Reading it would make the host wait for ever."""
    (name,) = os.listdir(place.key_path)
    path = Path(place.key_path, name)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(CryptokiError, match="no plain file"):
        place.open()


@pytest.mark.parametrize("name", ["generation", "token-1.lock", "store.db"])
def test_a_link_in_the_place_of_a_file_is_not_followed(place: Place, tmp_path: Path, name: str) -> None:
    """One of the group that shares an HSM does not have another's process write to, or open up, that one's files."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine" * 10)
    victim.chmod(0o600)
    path = Path(_database(place)).with_name(name)
    path.parent.chmod(0o770)
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    with pytest.raises(CryptokiError) as refused:
        place.open().tokens[0].login(CKU.USER, USER_PIN)
    assert refused.value.code in (CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED)
    assert b"mine" * 10 == victim.read_bytes()
    assert 0o600 == victim.stat().st_mode & 0o777


@pytest.mark.parametrize("name", ["generation", "token-1.lock", "store.db"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(place: Place, name: str) -> None:
    """It is refused."""
    path = Path(_database(place)).with_name(name)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(CryptokiError) as refused:
        place.open().tokens[0].login(CKU.USER, USER_PIN)
    assert refused.value.code in (CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED)

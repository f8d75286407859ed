"""Stores of older formats: opened, brought up to date, and as good as new ones."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, aes_key, data_object

from ptkc.spec.constants import CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token import schema
from ptkc.token.hsms import Hsm
from ptkc.token.sqlite import SqliteStore

_ADDED = (
    "tampers", "wiped", "removed", "slots", "origin", "identity", "clock", "counter", "manufactured", "policy",
)  # fmt: skip


def _downgrade(path: str) -> None:
    """Make a store of format 1 of one of format 2, as it would have been made then."""
    with closing(sqlite3.connect(path, isolation_level=None)) as link:
        for column in _ADDED:
            link.execute(f"ALTER TABLE hsm DROP COLUMN {column}")
        link.execute("DROP TABLE event")
        link.execute("CREATE TABLE identity (name TEXT PRIMARY KEY, content BLOB NOT NULL)")
        link.execute("PRAGMA user_version = 1")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return an HSM in format 1 with an initialised token, a private and a public object; its key file too is old."""
    place = Place(tmp_path)
    hsm, token, key = place.initialised()
    token.add_many([aes_key(b"a"), data_object(b"b")], key)
    hsm.close()
    _downgrade(os.path.join(place.data_path, hsm.serial, "store.db"))
    path = Path(place.key_path) / hsm.serial
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "tampers" not in line))
    return place


def _tables(path: str) -> dict[str, list[tuple[str, str]]]:
    """Return the columns of each table of a store, with their types, sorted."""
    with closing(sqlite3.connect(path)) as link:
        names = [name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: sorted((row[1], row[2]) for row in link.execute(f"PRAGMA table_info({table})")) for table in names
        }


def test_the_first_format_is_what_its_migration_makes(place: Place, tmp_path: Path) -> None:
    """So that the test below is about real stores of format 1."""
    with closing(sqlite3.connect(tmp_path / "model.db", isolation_level=None)) as link:
        for statement in schema._MIGRATIONS[0].split(";"):
            link.execute(statement)
    (serial,) = os.listdir(place.data_path)
    assert _tables(str(tmp_path / "model.db")) == _tables(os.path.join(place.data_path, serial, "store.db"))


def test_an_hsm_of_format_1_has_everything_it_had_and_can_everything(place: Place) -> None:
    """Tokens, PINs, objects; then policy, slots, events, identity, tamper."""
    hsm = place.open()
    token = hsm.tokens[0]
    key = token.login(CKU.USER, USER_PIN)
    assert 2 == len(token.find((), key))
    assert (1, 0, 0, 0, []) == (hsm.boot, hsm.ordinal, hsm.security_mode, hsm.count, hsm.events())
    assert abs(hsm.manufactured - hsm.now()) < 60
    hsm.set_policy(security_mode=1)
    assert f"{hsm.serial}:2" == hsm.add_slot().serial
    number = hsm.identity.add(aes_key(b"PIK"), None)
    assert 1 == hsm.next_count()
    hsm.close()
    again = place.open()
    again.tamper("test")
    assert [number] == again.identity.find(())
    again.tokens[0].initialise(SO_PIN, b"")
    again.close()


def test_the_tables_are_those_of_a_new_store(place: Place, tmp_path: Path) -> None:
    """Whatever format a store began with."""
    hsm = place.open()
    hsm.close()
    new = Hsm.add(str(tmp_path / "new"), place.key_path)
    new.close()
    assert _tables(os.path.join(hsm.directory, "store.db")) == _tables(os.path.join(new.directory, "store.db"))


def test_several_processes_that_open_an_old_store_bring_it_up_to_date_once(place: Place) -> None:
    """Who comes second finds it done."""
    script = "print(flush=True); input(); hsm = place.open(); print(len(hsm.tokens)); hsm.close()"
    processes = [place.process(script) for _ in range(4)]
    for process in processes:
        process.stdout.readline()  # type: ignore[union-attr]
    for process in processes:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    assert ["2"] * 4 == [process.communicate(timeout=60)[0].strip() for process in processes]


def test_an_old_store_that_cannot_be_written_is_absent(place: Place) -> None:
    """CKR_DEVICE_REMOVED with the way out."""
    (serial,) = os.listdir(place.data_path)
    with pytest.raises(CryptokiError, match="older ptkc") as refused:
        SqliteStore(os.path.join(place.data_path, serial), write_protected=True)
    assert CKR.DEVICE_REMOVED == refused.value.code

"""The embedded store: transactions, formats, errors, the generation file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hsm_directory import Place, data_object

from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.generation import Generation
from ptkc.token.schema import FORMAT
from ptkc.token.sqlite import SqliteStore
from ptkc.token.store import HsmRecord, ObjectRecord, PinRecord, TokenRecord

TERM = (5).to_bytes(8, "little", signed=True)


def token_record(number: int, *, admin: bool = False) -> TokenRecord:
    """Return a token without PINs."""
    return TokenRecord(number, admin, f"1:{number}", b"label", None, 0, (PinRecord(), PinRecord()))


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """Return a directory with a new store."""
    SqliteStore.create(str(tmp_path), HsmRecord("1", 0, 1), [token_record(0, admin=True), token_record(1)], 0o600)
    return str(tmp_path)


@pytest.fixture
def store(directory: str) -> Iterator[SqliteStore]:
    """Return an open store."""
    store = SqliteStore(directory, write_protected=False)
    yield store
    store.close()


def test_a_new_store_is_one_file_and_the_generation(directory: str) -> None:
    """The write-ahead log was folded in."""
    assert ["generation", "store.db"] == sorted(os.listdir(directory))


def test_it_is_in_wal_mode_with_full_sync(store: SqliteStore) -> None:
    """An answered write is on the disk."""
    assert [("wal",)] == store._all("PRAGMA journal_mode", ())
    assert [(2,)] == store._all("PRAGMA synchronous", ())
    assert [(FORMAT,)] == store._all("PRAGMA user_version", ())


def test_the_admin_token_comes_last(store: SqliteStore) -> None:
    """User slots first, in the order of their numbers."""
    with store.writing():
        store.put_token(token_record(2))
    assert [1, 2, 0] == [token.number for token in store.tokens()]


def test_an_exception_rolls_back(store: SqliteStore) -> None:
    """Nothing of the transaction is there, the generation is settled, the next writer goes on."""
    with contextlib.suppress(KeyError), store.writing():
        store.put_object(ObjectRecord(1, False, 1, 1, TERM, b"content"))  # noqa: FBT003
        raise KeyError
    assert store.object(1) is None
    assert [] == store.numbers((5,))
    assert store.stamp() is not None
    with store.writing():
        store.put_object(ObjectRecord(1, False, 1, 1, TERM, b"content"))  # noqa: FBT003
    assert [1] == store.numbers((5,))


def test_each_change_moves_the_stamp(directory: str, store: SqliteStore) -> None:
    """By this and by another opener; within a change there is none."""
    other = Generation(os.path.join(directory, "generation"), writable=False)
    before = store.stamp()
    with store.writing() as change:
        assert store.stamp() is None
        assert other.stamp() is None
    assert (before, store.stamp()) == change
    assert before != store.stamp()
    assert store.stamp() == other.stamp()
    other.close()


def test_a_writer_that_was_killed_leaves_no_stamp_until_the_next_one_finished(directory: str) -> None:
    """Readers ask the store meanwhile."""
    generation = Generation(os.path.join(directory, "generation"), writable=True)
    generation.start()
    generation.close()
    store = SqliteStore(directory, write_protected=False)
    assert store.stamp() is None
    assert 2 == len(store.tokens())
    with store.writing() as (before, after):
        pass
    assert (None, after) == (before, store.stamp())
    store.close()


def test_a_lost_generation_file_is_made_anew(directory: str) -> None:
    """As after restoring the database alone from a backup."""
    os.unlink(os.path.join(directory, "generation"))
    store = SqliteStore(directory, write_protected=False)
    assert 0 == store.stamp()
    store.close()


def test_a_search_needs_no_table_but_the_index(store: SqliteStore) -> None:
    """The plan of the search that C_FindObjects makes most."""
    ((*_, plan),) = store._all("EXPLAIN QUERY PLAN SELECT record FROM search WHERE term IN (?, ?)", (1, 2))
    assert "SEARCH search USING PRIMARY KEY (term=?)" == plan


def test_objects_go_with_their_search_terms(store: SqliteStore) -> None:
    """One by one, or all of a token."""
    with store.writing():
        for number in (1 << 40, (1 << 40) + 1, 2 << 40):
            store.put_object(ObjectRecord(number, False, 1, 1, TERM, b"content"))  # noqa: FBT003
    assert 3 == store.count((5,), 10)
    assert 2 == store.count((5, 6), 2)
    with store.writing():
        assert store.delete_object(1 << 40)
        assert not store.delete_object(1 << 40)
    assert [(1 << 40) + 1, 2 << 40] == sorted(store.numbers((5,)))
    with store.writing():
        store.delete_objects(1)
    assert [2 << 40] == store.numbers((5,))


def test_a_newer_format_is_refused(directory: str) -> None:
    """CKR_DEVICE_ERROR: an older ptkc does not guess."""
    link = sqlite3.connect(os.path.join(directory, "store.db"))
    link.execute(f"PRAGMA user_version = {FORMAT + 1}")
    link.close()
    with pytest.raises(CryptokiError, match="newer ptkc") as refused:
        SqliteStore(directory, write_protected=False)
    assert CKR.DEVICE_ERROR == refused.value.code


def test_an_older_format_is_brought_up_to_date(tmp_path: Path) -> None:
    """From an empty database, format 0, each step is one transaction."""
    link = sqlite3.connect(tmp_path / "store.db")
    link.execute("PRAGMA journal_mode = WAL")
    link.close()
    store = SqliteStore(str(tmp_path), write_protected=False)
    assert [(FORMAT,)] == store._all("PRAGMA user_version", ())
    assert [] == store.tokens()
    store.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """CKR_DEVICE_ERROR with the directory."""
    (tmp_path / "store.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(CryptokiError, match=str(tmp_path)) as refused:
        SqliteStore(str(tmp_path), write_protected=False)
    assert CKR.DEVICE_ERROR == refused.value.code


def test_a_full_disk_is_ckr_device_memory_and_loses_nothing(tmp_path: Path) -> None:
    """The store stays usable."""
    hsm, token, _ = Place(tmp_path).initialised()
    number = token.add(data_object(b"a"), None)
    store = hsm.store
    assert isinstance(store, SqliteStore)
    ((pages,),) = store._all("PRAGMA page_count", ())
    store._all(f"PRAGMA max_page_count = {pages}", ())
    with pytest.raises(CryptokiError) as refused:
        token.add(data_object(b"b", b"x" * 100_000), None)
    assert CKR.DEVICE_MEMORY == refused.value.code
    assert [number] == token.find((), None)
    store._all("PRAGMA max_page_count = 1000000", ())
    token.add(data_object(b"b", b"x" * 100_000), None)
    hsm.close()


def test_deleted_content_is_overwritten(tmp_path: Path) -> None:
    """A destroyed object is not left in the database's free pages."""
    hsm, token, _ = Place(tmp_path).initialised()
    token.remove(token.add(data_object(b"a", b"needle" * 2000), None))
    hsm.close()
    content = (Path(hsm.directory) / "store.db").read_bytes()
    assert b"needle" not in content


def test_a_data_path_with_odd_characters_works(tmp_path: Path) -> None:
    """Names with ?, %, # and blanks are no part of SQLite's URI."""
    directory = tmp_path / "100% of #1?mode=ro & more"
    directory.mkdir()
    hsm, token, _ = Place(directory).initialised()
    token.add(data_object(b"a"), None)
    hsm.close()
    assert 1 == len(Place(directory).open().tokens[0].find(((CKA.LABEL, b"a"),), None))


def test_a_write_protected_store_follows_what_the_owner_writes(tmp_path: Path) -> None:
    """An immutable view is opened anew when the generation moved."""
    hsm, token, _ = Place(tmp_path).initialised()
    hsm.close()
    reader = SqliteStore(hsm.directory, write_protected=True)
    with pytest.raises(CryptokiError) as refused, reader.writing():
        pass
    assert CKR.TOKEN_WRITE_PROTECTED == refused.value.code
    assert reader.stamp() is not None
    assert [True, False] == [record.pins[0].sealed is not None for record in reader.tokens()]
    reader.close()
    assert token


HEAVY = ("cryptography", "typing", "dataclasses", "enum", "re", "logging", "json", "pathlib", "contextlib", "tempfile",
         "datetime", "threading", "hashlib", "hmac", "_hashlib", "ctypes", "sqlite3")  # fmt: skip


OPENER = f"""
import sys
sys.path.insert(0, sys.argv[3])
from ptkc.token.hsms import Hsm
for data_path in (sys.argv[1], sys.argv[1] + "-none"):
    hsm = Hsm.open(data_path, sys.argv[2])
    [(token.label, token.serial, token.initialised, token.pin_state(1)) for token in hsm.tokens]
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_opening_an_hsm_imports_nothing_heavy(tmp_path: Path) -> None:
    """What C_Initialize and C_OpenSession load is lean: no libcrypto, no `typing`."""
    place = Place(tmp_path)
    place.initialised()[0].close()
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", OPENER, place.data_path, place.key_path, root]
    assert "[]\n" == subprocess.run(command, check=True, capture_output=True, text=True).stdout

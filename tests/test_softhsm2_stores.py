"""SoftHSM2's stores as somebody else left them: whatever is in them is read or refused, in little time and memory."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptkc.spec.constants import CKA
from ptkc.tools import softhsm2
from ptkc.tools.common import ToolError


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A FIFO, a device, a directory and a loop in the place of an object, or of the database, are refused at once."""
    for name in ("token.object", "x.object", "sqlite3.db"):
        made = tmp_path / name
        for number, make in enumerate((os.mkfifo, _zeros, os.mkdir, _loop)):
            (made / str(number)).mkdir(parents=True)
            (made / str(number) / "token.object").write_bytes(bytes(8))
            (made / str(number) / name).unlink(missing_ok=True)
            make(made / str(number) / name)
        # A loop leads nowhere: there is no such database, and no such token.
        assert (4 if name == "x.object" else 3) == len(_refusals(made))


_VIEW = (
    "CREATE VIEW attribute_binary AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT {} AS value, i AS type, 1 AS object_id FROM n"
)
_TABLE = "CREATE TABLE attribute_binary ({}, type INTEGER, object_id INTEGER)"
_FILLED = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) "
    "INSERT INTO attribute_binary (type, object_id) SELECT i, 1 FROM n"
)
_HOSTILE = {
    "a view without an end": ([_VIEW.format("x'00'")], "not authorized"),
    "a view of long values": ([_VIEW.format("zeroblob(1 << 24)")], "not authorized"),
    "a view of many rows": (
        [
            "CREATE VIEW attribute_binary AS SELECT 1 AS value, 2 AS type, 3 AS object_id FROM "
            + ", ".join(["(SELECT 1 UNION ALL SELECT 2)"] * 40)
        ],
        "interrupted",
    ),
    "computed columns": ([_TABLE.format("x, value AS (zeroblob(1 << 24))")], "a column is computed"),
    "a virtual table": (["CREATE VIRTUAL TABLE attribute_binary USING rtree(type, object_id, value)"], ""),
    "a default that is long": (
        [_TABLE.format("x"), _FILLED, f"ALTER TABLE attribute_binary ADD COLUMN value DEFAULT x'{'00' * 30000}'"],
        "its values are longer than it is",
    ),
}


@pytest.mark.parametrize("kind", _HOSTILE)
def test_a_database_only_gives_its_rows(kind, tmp_path):
    """What its maker would have SQLite compute is not computed; it takes neither long nor much memory."""
    statements, reason = _HOSTILE[kind]
    with closing(sqlite3.connect(tmp_path / "sqlite3.db")) as connection:
        _make_tables(connection, "boolean", "integer", "array")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    before = (tmp_path / "sqlite3.db").read_bytes()
    (refusal,) = _refusals(tmp_path)
    assert refusal.startswith(f"{tmp_path} is damaged, or not of SoftHSM2: ")
    assert reason in refusal
    assert ["sqlite3.db"] == os.listdir(tmp_path)
    assert before == (tmp_path / "sqlite3.db").read_bytes()


def test_a_database_that_goes_in_circles_ends(tmp_path):
    """Pages that name one another as children give rows without end: read as many as can be, then refused."""
    path = tmp_path / "sqlite3.db"
    with closing(sqlite3.connect(path)) as connection:
        _make_tables(connection, "boolean", "integer", "binary", "array")
        connection.commit()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        row = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        leaf, root = (connection.execute(row, (name,)).fetchone()[0] for name in ("object", "attribute_integer"))
    data = bytearray(path.read_bytes())
    whole = len(data) // size
    pages = [root, *range(whole + 1, whole + 8)]
    for page, child in zip(pages, [*pages[1:], leaf], strict=True):
        cells = b"".join(struct.pack(">IB", child, 1) for _ in range(400))
        places = b"".join(struct.pack(">H", size - len(cells) + 5 * number) for number in range(400))
        head = struct.pack(">BHHHBI", 5, 0, 400, size - len(cells), 0, child) + places
        data[(page - 1) * size : page * size] = head.ljust(size - len(cells), b"\0") + cells
    struct.pack_into(">I", data, 28, len(data) // size)
    path.write_bytes(data)
    assert [f"{tmp_path} is damaged, or not of SoftHSM2: interrupted"] == _refusals(tmp_path)


def test_files_that_are_too_long_are_not_read(tmp_path):
    """Neither a database, nor an object, nor all objects of a token together, whatever holes they have."""
    for name, most in (("sqlite3.db", softhsm2._LARGEST_TOKEN), ("token.object", softhsm2._LARGEST)):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        os.truncate(tmp_path / name / name, most + 1)
        assert f"{tmp_path / name} is damaged, or not of SoftHSM2: {name} is too long" in _refusals(tmp_path / name)
    many = tmp_path / "many"
    many.mkdir()
    (many / "token.object").write_bytes(bytes(8))
    for number in range(9):
        (many / f"{number}.object").write_bytes(bytes(8) + struct.pack(">QQQ", CKA.VALUE, 3, (16 << 20) - 32))
        os.truncate(many / f"{number}.object", 16 << 20)
    assert [f"{many} is damaged, or not of SoftHSM2: 7.object is too long"] == _refusals(many)


def _make_tables(connection: sqlite3.Connection, *kinds: str) -> None:
    """Make a table of objects with one in it, and those of these kinds of attributes."""
    connection.execute("CREATE TABLE object (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO object VALUES (1)")
    for kind in kinds:
        connection.execute(f"CREATE TABLE attribute_{kind} (value, type INTEGER, object_id INTEGER)")


def _refusals(directory: Path) -> list[str]:
    """Return why tokens in a directory cannot be read."""
    return [str(error) for error in softhsm2.tokens(str(directory))[1]]


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(struct.pack, st.just(">QQQ"), st.integers(0, 5), st.integers(0, 6), st.integers(0, 2**64 - 1)),
        ),
        max_size=8,
    )
)
def test_whatever_is_in_the_files_is_read_or_refused(tmp_path, parts):
    """Arbitrary bytes in either store are a token or a ToolError, never another exception, and cost no memory."""
    data = bytes(8) + b"".join(parts)
    (tmp_path / "token.object").write_bytes(data)
    (tmp_path / "one.object").write_bytes(data)
    try:
        for token in softhsm2.tokens(str(tmp_path))[0]:
            token.objects("1234")
    except ToolError:
        pass

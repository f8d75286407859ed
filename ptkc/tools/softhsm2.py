"""Tokens of SoftHSM2 as its two stores keep them: read, never written.

A token is a directory: of `*.object` files, or with one SQLite database. Either way an object is attributes with a
kind each, and that numbered `_TOKEN_*` describe the token. The token's key (AES-256) is in a blob under the user PIN;
it encrypts the byte strings of private objects. Layouts are those of SoftHSM 2.0 to 2.7; nothing in a file is trusted:
what does not fit is `ToolError`. A database is read from a copy in memory, where it may do nothing but give its rows.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ptkc.spec.constants import CKA
from ptkc.spec.values import FALSE, TRUE, ulong
from ptkc.tools import common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SoftToken", "Value", "tokens"]

Value = bytes | list[tuple[int, bytes]]
"""An attribute's value as Cryptoki has it; of a template in an attribute, its attributes."""
_Record = dict[int, tuple[int, Value]]
"""The attributes of an object by their types, each with its kind; encrypted as they are."""

_TOKEN_LABEL, _TOKEN_SERIAL, _USER_PIN = (CKA.VENDOR_DEFINED + 0x5348 + number for number in (1, 2, 5))
_BOOLEAN, _NUMBER, _BYTES, _TEMPLATE, _MECHANISMS = 1, 2, 3, 4, 5
_TABLES = {"boolean": _BOOLEAN, "integer": _NUMBER, "binary": _BYTES, "array": _TEMPLATE}

_DATABASE, _TOKEN_FILE, _SUFFIX = "sqlite3.db", "token.object", ".object"
_LARGEST = 16 << 20  # bytes of an object file, or of a value
_LARGEST_TOKEN = 128 << 20  # bytes of all files of a token, or of its database
_MAGIC = b"RJR"
_BLOCK, _SALT, _KEY = 16, 8, 32
_ITERATIONS = 1500
_IN_CLEAR = (CKA.START_DATE, CKA.END_DATE, CKA.ALLOWED_MECHANISMS)


class _DamagedError(ValueError):
    """Bytes that are not what the store writes."""


class SoftToken:
    """A token of SoftHSM2: `path` of its directory, `label` and `serial` as text."""

    def __init__(self, path: str, about: _Record) -> None:
        """Keep the record that describes the token."""
        self.path = path
        self.label = _text(about, _TOKEN_LABEL)
        self.serial = _text(about, _TOKEN_SERIAL)
        blob = about.get(_USER_PIN, (_BYTES, b""))[1]
        self._blob = blob if isinstance(blob, bytes) else b""

    def objects(self, pin: str) -> list[dict[int, Value]]:
        """Read the objects, return their attributes; ToolError for a wrong user PIN, or what does not decrypt."""
        if not self._blob:
            raise common.ToolError(f"the SoftHSM2 token {self.label} has no user PIN", "so it has no private objects")
        key = _unlocked(self._blob, pin)
        if key is None:
            raise common.ToolError(f"the user PIN of the SoftHSM2 token {self.label} is another one")
        try:
            return [dict(_in_clear(record, key)) for record in _records(self.path)[1:]]
        except ValueError:
            raise common.ToolError(f"{self.path} is damaged: an object does not decrypt") from None


def tokens(directory: str) -> tuple[list[SoftToken], list[common.ToolError]]:
    """Return the tokens in a directory of tokens, or the one that the directory is, and why others cannot be read.

    ToolError if there is neither.
    """
    try:
        below = sorted(entry.path for entry in os.scandir(directory) if os.path.isdir(entry.path))
    except NotADirectoryError:
        raise common.ToolError(f"{directory} is no directory", _HINT) from None
    found: list[SoftToken] = []
    unread: list[common.ToolError] = []
    for path in (directory, *below):
        try:
            if records := _records(path):
                found.append(SoftToken(path, records[0]))
        except common.ToolError as error:
            unread.append(error)
    if not found and not unread:
        raise common.ToolError(f"there is no SoftHSM2 token in {directory}", _HINT)
    return found, unread


_HINT = "name the directory that `directories.tokendir` in softhsm2.conf names"


def _records(path: str) -> list[_Record]:
    """Return the records of the token in a directory, the one that describes it first; none if there is no token."""
    try:
        if os.path.exists(os.path.join(path, _DATABASE)):
            return _database(os.path.join(path, _DATABASE))
        if os.path.exists(os.path.join(path, _TOKEN_FILE)):
            names = sorted(name for name in os.listdir(path) if name.endswith(_SUFFIX) and name != _TOKEN_FILE)
            left = _LARGEST_TOKEN
            records = []
            for name in (_TOKEN_FILE, *names):
                data = _content(os.path.join(path, name), min(_LARGEST, left))
                left -= len(data)
                records.append(_record(data))
            return records
    except (ValueError, sqlite3.Error) as error:
        raise common.ToolError(f"{path} is damaged, or not of SoftHSM2: {error}") from None
    except OSError as error:
        raise common.ToolError(*common.reason(error)) from None
    return []


def _content(path: str, most: int) -> bytes:
    """Return what is in a file, which is one, and has so many bytes at most."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _DamagedError(f"{os.path.basename(path)} is no file")
        data = file.read(most + 1)
    if len(data) > most:
        raise _DamagedError(f"{os.path.basename(path)} is too long")
    return data


def _text(record: _Record, number: int) -> str:
    """Return a byte string of the token's description as text."""
    value = record.get(number, (_BYTES, b""))[1]
    return value.decode("utf-8", "replace").rstrip("\0 ") if isinstance(value, bytes) else ""


# The store of files: numbers of 8 bytes, big-endian; byte strings behind their length


class _Reader:
    """A cursor over bytes; whatever asks for more than there is gets `_DamagedError`."""

    def __init__(self, data: bytes, number: Callable[[bytes], int]) -> None:
        """Start at the first byte; `number` reads a number of 8 bytes."""
        self.data = data
        self.place = 0
        self._number = number

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if size > len(self.data) - self.place:
            raise _DamagedError("it ends too soon")
        self.place += size
        return self.data[self.place - size : self.place]

    def number(self) -> int:
        """Return the next number."""
        return self._number(self.take(8))


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _value(reader: _Reader, kind: int) -> bytes:
    """Return the next value, which is of this kind, as Cryptoki has it."""
    if kind == _BOOLEAN:
        return TRUE if reader.take(1) != b"\0" else FALSE
    if kind == _NUMBER:
        return ulong(reader.number())
    if kind == _BYTES:
        return reader.take(reader.number())
    if kind == _MECHANISMS:
        count = reader.number()
        if count > len(reader.data):
            raise _DamagedError("a list of mechanisms is too long")
        return b"".join(ulong(reader.number()) for _ in range(count))
    raise _DamagedError(f"{kind} is no kind of attribute")


def _record(data: bytes) -> _Record:
    """Return the attributes in an object file, with their kinds; behind a counter of its changes."""
    found: _Record = {}
    reader = _Reader(data, _big)
    reader.number()
    while reader.place < len(data):
        number, kind = reader.number(), reader.number()
        if kind == _TEMPLATE:
            within = _Reader(reader.take(reader.number()), _big)
            found[number] = kind, _nested(within, within.number)
        else:
            found[number] = kind, _value(reader, kind)
    return found


def _nested(reader: _Reader, read_kind: Callable[[], int]) -> list[tuple[int, bytes]]:
    """Return the attributes of a template; how wide a kind is differs between the stores."""
    found = []
    while reader.place < len(reader.data):
        number, kind = reader.number(), read_kind()
        found.append((number, _value(reader, kind)))
    return found


# The store in SQLite: the same in tables, one for each kind; numbers inside blobs are the machine's


def _database(path: str) -> list[_Record]:
    """Return the objects of a database in the order they were made in, the token's description first.

    It may say what it likes of itself: views, columns and defaults that compute are SQL of whoever made it, and pages
    can refer to each other in circles. So no more is done than reading columns, in as many steps as there are bytes,
    and no more is taken out of it than can be in it.
    """
    for suffix in ("-journal", "-wal"):
        if os.path.exists(path + suffix) and os.path.getsize(path + suffix):
            hint = "let `softhsm2-util --show-slots` finish it, and try again"
            raise common.ToolError(f"{path} was left in the middle of a change", hint)
    data = _content(path, _LARGEST_TOKEN)
    left = len(data)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(data[: _VERSIONS.start] + _NO_LOG + data[_VERSIONS.stop :])
        for limit, most in _LIMITS:
            connection.setlimit(limit, most)
        connection.set_progress_handler(lambda: True, len(data) + _STEPS)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_authorizer(_allowed)
        for table in _READ:
            # The authorizer is not asked about expressions in a table's own columns.
            if any(column[_HIDDEN] for column in connection.execute(f"PRAGMA {_COLUMNS}({table})")):
                raise _DamagedError("a column is computed")
        numbers = sorted(_integer(number) for (number,) in _rows(connection, "object", "id"))
        found: dict[int, _Record] = {number: {} for number in numbers}
        for table, kind in _TABLES.items():
            for owner, number, value in _rows(connection, f"attribute_{table}", "object_id, type, value"):
                left -= len(value) if isinstance(value, bytes) else 0
                if left < 0:
                    raise _DamagedError("its values are longer than it is")
                if owner in found:
                    found[owner][_integer(number) & _ALL_BITS] = kind, _cell(value, kind)
    if not found:
        raise _DamagedError("the database is empty")
    return list(found.values())


_ALL_BITS = (1 << 64) - 1
_COLUMNS, _HIDDEN = "table_xinfo", 6  # a pragma, and where it says of a column whether it is no ordinary one
_STEPS = 100_000  # of SQLite's machine, for what is in no row
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1 << 16),
    (sqlite3.SQLITE_LIMIT_COLUMN, 100),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 20),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 2),
)
# The versions in the header: 2 is for a write-ahead log, which a copy in memory cannot have.
_VERSIONS, _NO_LOG = slice(18, 20), b"\1\1"


def _allowed(action: int, table: str | None, _column: str | None, _file: str | None, source: str | None) -> int:
    """Allow to read columns of our tables; not through a view, of no table behind a virtual one, and no function."""
    plain = action == sqlite3.SQLITE_READ and source is None and table in _READ
    about = action == sqlite3.SQLITE_PRAGMA and table == _COLUMNS
    return sqlite3.SQLITE_OK if plain or about or action == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_DENY


_READ = ("object", *(f"attribute_{table}" for table in _TABLES))


def _rows(connection: sqlite3.Connection, table: str, columns: str) -> sqlite3.Cursor:
    return connection.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 - our names


def _integer(value: object) -> int:
    """Return a number of a column."""
    if not isinstance(value, int):
        raise _DamagedError("a number is none")
    return value


def _cell(value: object, kind: int) -> Value:
    """Return the value of a column as Cryptoki has it."""
    if kind in (_BOOLEAN, _NUMBER):
        number = _integer(value)
        return (TRUE if number else FALSE) if kind == _BOOLEAN else ulong(number & _ALL_BITS)
    if value is None:
        return b"" if kind == _BYTES else []
    if not isinstance(value, bytes):
        raise _DamagedError("a byte string is none")
    if kind == _BYTES:
        return value
    reader = _Reader(value, _little)
    return _nested(reader, lambda: _little(reader.take(4)))


# Decryption


def _unlocked(blob: bytes, pin: str) -> bytes | None:
    """Return the token's key from the blob under a PIN, None if the PIN is another one."""
    salt, blob = blob[:_SALT], blob[_SALT:]
    if len(salt) < _SALT:
        return None
    secret = salt + pin.encode()
    for _ in range(_ITERATIONS + salt[-1]):
        secret = hashlib.sha256(secret).digest()
    try:
        opened = _decrypted(secret, blob)
    except ValueError:
        return None
    return opened[len(_MAGIC) :] if opened.startswith(_MAGIC) and len(opened) == len(_MAGIC) + _KEY else None


def _decrypted(key: bytes, data: bytes) -> bytes:
    """Return what is encrypted behind its IV, AES-CBC with padding; ValueError if it is not."""
    if len(data) < 2 * _BLOCK:
        raise ValueError
    cipher = Cipher(algorithms.AES(key), modes.CBC(data[:_BLOCK])).decryptor()
    padded = cipher.update(data[_BLOCK:]) + cipher.finalize()
    remover = padding.PKCS7(_BLOCK * 8).unpadder()
    return remover.update(padded) + remover.finalize()


def _in_clear(record: _Record, key: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the attributes of an object, decrypted where it is private; ValueError."""
    private = record.get(CKA.PRIVATE, (_BOOLEAN, FALSE))[1] == TRUE
    for number, (kind, value) in record.items():
        sealed = private and kind == _BYTES and number not in _IN_CLEAR and value
        yield number, _decrypted(key, value) if sealed and isinstance(value, bytes) else value

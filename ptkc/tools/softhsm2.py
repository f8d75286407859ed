"""Tokens of SoftHSM2 as its two stores keep them: read, never written.

A token is a directory: of `*.object` files, or with one SQLite database. Either way an object is attributes with a
kind each, and that numbered `_TOKEN_*` describe the token. The token's key (AES-256) is in a blob under the user PIN;
it encrypts the byte strings of private objects. Layouts are those of SoftHSM 2.0 to 2.7; nothing in a file is trusted:
what does not fit is `ToolError`.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
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

_TOKEN_LABEL, _TOKEN_SERIAL, _USER_PIN = (CKA.VENDOR_DEFINED + 0x5348 + number for number in (1, 2, 5))
_BOOLEAN, _NUMBER, _BYTES, _TEMPLATE, _MECHANISMS = 1, 2, 3, 4, 5
_TABLES = {"boolean": _BOOLEAN, "integer": _NUMBER, "binary": _BYTES, "array": _TEMPLATE}

_DATABASE, _TOKEN_FILE, _SUFFIX = "sqlite3.db", "token.object", ".object"
_LARGEST = 16 << 20  # bytes of an object file
_MAGIC = b"RJR"
_BLOCK, _SALT, _KEY = 16, 8, 32
_ITERATIONS = 1500
_IN_CLEAR = (CKA.START_DATE, CKA.END_DATE, CKA.ALLOWED_MECHANISMS)


class _DamagedError(ValueError):
    """Bytes that are not what the store writes."""


class SoftToken:
    """A token of SoftHSM2: `path` of its directory, `label` and `serial` as text, and what is in it."""

    def __init__(self, path: str, records: list[dict[int, tuple[int, Value]]]) -> None:
        """Keep what was read; the first record describes the token."""
        about, *self._records = records
        self.path = path
        self.label = _text(about, _TOKEN_LABEL)
        self.serial = _text(about, _TOKEN_SERIAL)
        blob = about.get(_USER_PIN, (_BYTES, b""))[1]
        self._blob = blob if isinstance(blob, bytes) else b""

    def __len__(self) -> int:
        """Return how many objects there are."""
        return len(self._records)

    def objects(self, pin: str) -> list[dict[int, Value]]:
        """Return the attributes of all objects; ToolError for a wrong user PIN, or what does not decrypt."""
        if not self._blob:
            raise common.ToolError(f"the SoftHSM2 token {self.label} has no user PIN", "so it has no private objects")
        key = _unlocked(self._blob, pin)
        if key is None:
            raise common.ToolError(f"the user PIN of the SoftHSM2 token {self.label} is another one")
        try:
            return [dict(_in_clear(record, key)) for record in self._records]
        except ValueError:
            raise common.ToolError(f"{self.path} is damaged: an object does not decrypt") from None


def tokens(directory: str) -> list[SoftToken]:
    """Return the tokens in a directory of tokens, or the one that the directory is; ToolError if there is none."""
    try:
        below = sorted(entry.path for entry in os.scandir(directory) if entry.is_dir())
    except NotADirectoryError:
        raise common.ToolError(f"{directory} is no directory", _HINT) from None
    found = [token for path in (directory, *below) if (token := _read(path)) is not None]
    if not found:
        raise common.ToolError(f"there is no SoftHSM2 token in {directory}", _HINT)
    return found


_HINT = "name the directory that `directories.tokendir` in softhsm2.conf names"


def _read(path: str) -> SoftToken | None:
    """Return the token in a directory, None if it has none."""
    try:
        if os.path.exists(os.path.join(path, _DATABASE)):
            return SoftToken(path, list(_database(os.path.join(path, _DATABASE))))
        if os.path.exists(os.path.join(path, _TOKEN_FILE)):
            names = sorted(name for name in os.listdir(path) if name.endswith(_SUFFIX) and name != _TOKEN_FILE)
            return SoftToken(path, [_file(os.path.join(path, name)) for name in (_TOKEN_FILE, *names)])
    except (ValueError, sqlite3.Error) as error:
        raise common.ToolError(f"{path} is damaged, or not of SoftHSM2: {error}") from None
    return None


def _text(record: dict[int, tuple[int, Value]], number: int) -> str:
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


def _file(path: str) -> dict[int, tuple[int, Value]]:
    """Return the attributes in an object file, with their kinds; behind a counter of its changes."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise _DamagedError(f"{os.path.basename(path)} is too long")
    found: dict[int, tuple[int, Value]] = {}
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


def _database(path: str) -> Iterator[dict[int, tuple[int, Value]]]:
    """Yield the objects of a database in the order they were made in, the token's description first."""
    for suffix in ("-journal", "-wal"):
        if os.path.exists(path + suffix) and os.path.getsize(path + suffix):
            hint = "let `softhsm2-util --show-slots` finish it, and try again"
            raise common.ToolError(f"{path} was left in the middle of a change", hint)
    uri = f"file:{path.replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        found: dict[int, dict[int, tuple[int, Value]]] = {
            row[0]: {} for row in connection.execute("SELECT id FROM object ORDER BY id")
        }
        for table, kind in _TABLES.items():
            rows = connection.execute(f"SELECT object_id, type, value FROM attribute_{table}")  # noqa: S608 - our names
            for owner, number, value in rows:
                if not isinstance(number, int):
                    raise _DamagedError("the type of an attribute is no number")
                if owner in found:
                    found[owner][number & _ALL_BITS] = kind, _cell(value, kind)
        if not found:
            raise _DamagedError("the database is empty")
        yield from found.values()


_ALL_BITS = (1 << 64) - 1


def _cell(value: object, kind: int) -> Value:
    """Return the value of a column as Cryptoki has it."""
    if kind in (_BOOLEAN, _NUMBER):
        if not isinstance(value, int):
            raise _DamagedError("a number is none")
        return (TRUE if value else FALSE) if kind == _BOOLEAN else ulong(value & _ALL_BITS)
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


def _in_clear(record: dict[int, tuple[int, Value]], key: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the attributes of an object, decrypted where it is private; ValueError."""
    private = record.get(CKA.PRIVATE, (_BOOLEAN, FALSE))[1] == TRUE
    for number, (kind, value) in record.items():
        sealed = private and kind == _BYTES and number not in _IN_CLEAR and value
        yield number, _decrypted(key, value) if sealed and isinstance(value, bytes) else value

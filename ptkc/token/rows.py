"""The rows of the embedded store: the statements that read and write them, and what their columns may hold.

SQLite keeps whatever somebody put into a column instead; a row that ptkc did not write is CKR_DEVICE_ERROR, never a
value of another type.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.events import RECORD_LENGTH
from ptkc.token.store import TERM_LENGTH, HsmRecord, ObjectRecord, PinRecord, TokenRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ADD_HSM", "CANDIDATES", "COUNT", "HSM", "NUMBERS", "OBJECT", "PUT_HSM", "PUT_OBJECT", "PUT_TOKEN", "TOKENS",
    "candidates", "event_numbers", "events", "hsm_record", "hsm_row", "numbers", "object_record", "object_row",
    "search_rows", "token_record", "token_row",
]  # fmt: skip

_HSM_COLUMNS = (
    "serial", "ordinal", "boot", "tampers", "wiped", "removed", "slots", "origin", "identity", "clock", "counter",
    "manufactured", "policy",
)  # fmt: skip
HSM = f"SELECT {', '.join(_HSM_COLUMNS)} FROM hsm"  # noqa: S608 - our own names
ADD_HSM = f"INSERT INTO hsm (one, {', '.join(_HSM_COLUMNS)}) VALUES (1{', ?' * len(_HSM_COLUMNS)})"  # noqa: S608
PUT_HSM = f"UPDATE hsm SET {' = ?, '.join(_HSM_COLUMNS)} = ?"  # noqa: S608
TOKENS = (
    "SELECT number, admin, serial, label, proof, changes, so_pin, so_failures, so_failed_at, "
    "user_pin, user_failures, user_failed_at FROM token ORDER BY admin, number"
)
PUT_TOKEN = (
    "INSERT OR REPLACE INTO token (number, admin, serial, label, proof, changes, so_pin, so_failures, so_failed_at, "  # noqa: S105
    "user_pin, user_failures, user_failed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
OBJECT = "SELECT number, private, version, rows, terms, content FROM object WHERE number = ?"
PUT_OBJECT = "INSERT OR REPLACE INTO object (number, private, version, rows, terms, content) VALUES (?, ?, ?, ?, ?, ?)"
NUMBERS = (
    "SELECT record FROM search WHERE term = ?",
    "SELECT record FROM search WHERE term IN (?, ?)",
)
CANDIDATES = (
    "SELECT record, terms FROM search JOIN object ON number = record WHERE term = ? LIMIT ?",
    "SELECT record, terms FROM search JOIN object ON number = record WHERE term IN (?, ?) LIMIT ?",
)
COUNT = (
    "SELECT count(*) FROM (SELECT 1 FROM search WHERE term = ? LIMIT ?)",
    "SELECT count(*) FROM (SELECT 1 FROM search WHERE term IN (?, ?) LIMIT ?)",
)

# What the columns hold, in the order of the statements above: (types, smallest number); `_LIMIT` is above all numbers.
_LIMIT = 1 << 62
_NUMBER, _SIGNED = ((int,), 0), ((int,), -_LIMIT)
_TEXT, _BYTES, _OPTIONAL = ((str,), 0), ((bytes,), 0), ((bytes, type(None)), 0)
_HSM_KINDS = (_TEXT, *[_NUMBER] * 8, _SIGNED, *[_NUMBER] * 2, _OPTIONAL)
_PIN_KINDS = (_OPTIONAL, _NUMBER, _NUMBER)
_TOKEN_KINDS = (_NUMBER, _NUMBER, _TEXT, _BYTES, _OPTIONAL, _NUMBER, *_PIN_KINDS, *_PIN_KINDS)
_OBJECT_KINDS = (_NUMBER, _NUMBER, _NUMBER, _NUMBER, _BYTES, _BYTES)
_CANDIDATE_KINDS = (_NUMBER, _BYTES)


def hsm_record(found: list[Any], database: str) -> HsmRecord:
    """Return the HSM's record from the rows of `HSM`."""
    if len(found) != 1:
        raise _damaged(database)
    return HsmRecord(*_sound(found[0], _HSM_KINDS, database))


def hsm_row(record: HsmRecord) -> tuple[object, ...]:
    """Return an HSM's row, as `ADD_HSM` and `PUT_HSM` have it."""
    return tuple([getattr(record, name) for name in _HSM_COLUMNS])


def token_record(row: tuple[Any, ...], database: str) -> TokenRecord:
    """Return a token's record from a row of `TOKENS`."""
    n, admin, serial, label, proof, changes, *pins = _sound(row, _TOKEN_KINDS, database)
    return TokenRecord(n, bool(admin), serial, label, proof, changes, (PinRecord(*pins[:3]), PinRecord(*pins[3:])))


def token_row(record: TokenRecord) -> tuple[object, ...]:
    """Return a token's row, as `PUT_TOKEN` has it."""
    so, user = record.pins
    return (
        record.number, record.admin, record.serial, record.label, record.proof, record.changes,
        so.sealed, so.failures, so.failed_at, user.sealed, user.failures, user.failed_at,
    )  # fmt: skip


def object_record(row: tuple[Any, ...], database: str) -> ObjectRecord:
    """Return an object's record from a row of `OBJECT`."""
    record = ObjectRecord(*_sound(row, _OBJECT_KINDS, database))
    if record.rows * TERM_LENGTH > len(record.terms):
        raise _damaged(database)
    return record


def object_row(record: ObjectRecord) -> tuple[object, ...]:
    """Return an object's row, as `PUT_OBJECT` has it."""
    return record.number, record.private, record.version, record.rows, record.terms, record.content


def search_rows(record: ObjectRecord) -> list[tuple[int, int]]:
    """Return the rows of an object in the search index."""
    terms = record.terms
    number = record.number
    return [
        (int.from_bytes(terms[position : position + TERM_LENGTH], "little", signed=True), number)
        for position in range(0, record.rows * TERM_LENGTH, TERM_LENGTH)
    ]


def numbers(found: list[tuple[Any]], database: str) -> list[int]:
    """Return the numbers in rows of `NUMBERS`."""
    values = [number for (number,) in found]
    if set(map(type, values)) - {int}:
        raise _damaged(database)
    return values


def candidates(found: list[Any], database: str) -> list[tuple[int, bytes]]:
    """Return rows of `CANDIDATES` that are sound."""
    for row in found:
        _sound(row, _CANDIDATE_KINDS, database)
    return found


def events(found: list[tuple[Any]], database: str) -> list[bytes]:
    """Return the event records in rows of one column."""
    values = [record for (record,) in found]
    if any(type(record) is not bytes or len(record) != RECORD_LENGTH for record in values):
        raise _damaged(database)
    return values


def event_numbers(found: list[tuple[Any, ...]], database: str) -> tuple[int, int]:
    """Return how many events there are, and the number of the last one."""
    count, last = _sound(found[0], (_NUMBER, _NUMBER), database)
    return count, last


def _sound(row: tuple[Any, ...], kinds: tuple[tuple[tuple[type, ...], int], ...], database: str) -> tuple[Any, ...]:
    """Return a row whose values are what they should be."""
    for value, (types, least) in zip(row, kinds, strict=True):
        if type(value) not in types or (type(value) is int and not least <= value < _LIMIT):
            raise _damaged(database)
    return row


def _damaged(database: str) -> CryptokiError:
    """Return what the caller is told about a row that ptkc did not write."""
    return CryptokiError(CKR.DEVICE_ERROR, f"{database} was changed by something else than ptkc, or is damaged")

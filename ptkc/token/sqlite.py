"""The embedded store: one SQLite database in WAL mode, full sync, used by several processes at once.

One connection a process, under one lock; writers queue at the generation file's lock, so SQLite's own busy waiting is
the exception.
Nothing here, or anywhere in a process that has the store open, opens the database, -wal or -shm: closing any
descriptor of theirs would drop SQLite's locks.
"""

from __future__ import annotations

import _sqlite3
import os
from _thread import RLock

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token import rows
from ptkc.token.connection import FAILURES, Connection, refusal
from ptkc.token.generation import Generation
from ptkc.token.place import DATABASE
from ptkc.token.schema import migrate
from ptkc.token.store import IDENTITY, TOKEN_SHIFT, HsmRecord, ObjectRecord, Store, TokenRecord, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["DATABASE", "GENERATION", "SqliteStore"]

GENERATION = "generation"


class SqliteStore(Store):
    """The store in an HSM directory."""

    __slots__ = ("_closed", "_connection", "_database", "_generation", "_link", "_transaction", "_writers")

    def __init__(self, directory: str, *, write_protected: bool) -> None:
        """Open the store; CKR_DEVICE_ERROR with the reason if it cannot be."""
        self._database = os.path.join(directory, DATABASE)
        self.write_protected = write_protected
        self.lock = RLock()
        self._writers = RLock()
        self._closed = False
        self._transaction = _SqliteTransaction(self)
        self._link: _sqlite3.Connection | None = None  # of the transaction
        self._generation = self._open_generation(os.path.join(directory, GENERATION))
        self._connection = Connection(self._database, write_protected=write_protected)
        try:
            self._connection.reading()
        except CryptokiError:
            if self._generation is not None:
                self._generation.close()
            raise

    @staticmethod
    def create(directory: str, hsm: HsmRecord, tokens: list[TokenRecord], mode: int) -> None:
        """Make the files of a new store in a directory that nobody else knows yet, and have them on the disk."""
        path = os.path.join(directory, DATABASE)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
        os.chmod(path, mode)
        Generation.create(os.path.join(directory, GENERATION), mode)
        try:
            link = _sqlite3.connect(path, isolation_level=None)
            try:
                link.execute("PRAGMA journal_mode = WAL")
                link.execute("PRAGMA synchronous = FULL")
                migrate(link)
                link.execute("BEGIN")
                link.execute(rows.ADD_HSM, rows.hsm_row(hsm))
                link.executemany(rows.PUT_TOKEN, map(rows.token_row, tokens))
                link.execute("COMMIT")
            finally:
                link.close()
        except FAILURES as error:
            raise refusal(error, path) from error

    # Reading

    def stamp(self) -> int | None:
        """Return the number of the last change by any process, None while a change is under way."""
        return None if self._generation is None else self._generation.stamp()

    def hsm(self) -> HsmRecord:
        """Return the HSM's record."""
        return rows.hsm_record(self._all(rows.HSM, ()), self._database)

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens in slot order: user tokens by number, the Admin token last."""
        return [rows.token_record(row, self._database) for row in self._all(rows.TOKENS, ())]

    def events(self) -> list[bytes]:
        """Return the records of the event log, oldest first."""
        return rows.events(self._all("SELECT record FROM event ORDER BY number", ()), self._database)

    def event_numbers(self) -> tuple[int, int]:
        """Return how many events there are, and the number of the last one, 0 if there is none."""
        return rows.event_numbers(self._all("SELECT count(*), coalesce(max(number), 0) FROM event", ()), self._database)

    def object(self, number: int) -> ObjectRecord | None:
        """Return an object's record, None if it is gone."""
        found = self._all(rows.OBJECT, (number,))
        return rows.object_record(found[0], self._database) if found else None

    def numbers(self, terms: tuple[int, ...]) -> list[int]:
        """Return the objects that have one of the terms."""
        return rows.numbers(self._all(rows.NUMBERS[len(terms) - 1], terms), self._database)

    def candidates(self, terms: tuple[int, ...], limit: int) -> list[tuple[int, bytes]]:
        """Return (number, all terms) of the objects that have one of the terms; at most `limit`, -1 for all."""
        return rows.candidates(self._all(rows.CANDIDATES[len(terms) - 1], (*terms, limit)), self._database)

    def count(self, terms: tuple[int, ...], limit: int) -> int:
        """Return how many objects have one of the terms, counting up to `limit`."""
        ((number,),) = self._all(rows.COUNT[len(terms) - 1], (*terms, limit))
        return number  # type: ignore[no-any-return]

    def _all(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        """Run a query."""
        with self.lock:
            if self._closed:
                raise self._ended()
            link = self._connection.reading()
            try:
                return link.execute(statement, values).fetchall()
            except FAILURES as error:
                raise refusal(error, self._database) from error

    def _ended(self) -> CryptokiError:
        """Return what a thread is told that came too late: nothing may be opened again behind C_Finalize."""
        return CryptokiError(CKR.DEVICE_REMOVED, f"{self._database} was closed")

    def _opened(self) -> Generation:
        """Return the generation file, which a writer has as long as the store is open; CKR_DEVICE_REMOVED."""
        if self._generation is None:
            raise self._ended()
        return self._generation

    # Writing

    def writing(self) -> Transaction:
        """Return a transaction."""
        return self._transaction

    def put_hsm(self, record: HsmRecord) -> None:
        """Change the HSM's record."""
        self._run(rows.PUT_HSM, rows.hsm_row(record))

    def put_token(self, record: TokenRecord) -> None:
        """Add or change a token."""
        self._run(rows.PUT_TOKEN, rows.token_row(record))

    def delete_tokens(self) -> None:
        """Delete all tokens and their objects; the identity objects stay."""
        self._run("DELETE FROM search WHERE record < ?", (IDENTITY << TOKEN_SHIFT,))
        self._run("DELETE FROM object WHERE number < ?", (IDENTITY << TOKEN_SHIFT,))
        self._run("DELETE FROM token", ())

    def delete_token(self, number: int) -> None:
        """Delete a token and its objects."""
        self.delete_objects(number)
        self._run("DELETE FROM token WHERE number = ?", (number,))

    def put_event(self, number: int, record: bytes) -> None:
        """Add an event."""
        self._run("INSERT INTO event (number, record) VALUES (?, ?)", (number, record))

    def delete_events(self) -> None:
        """Delete all events."""
        self._run("DELETE FROM event", ())

    def put_object(self, record: ObjectRecord) -> None:
        """Add or change an object with its search terms."""
        before = self.object(record.number)
        old = set() if before is None else set(rows.search_rows(before))
        new = set(rows.search_rows(record))
        self._run_all("DELETE FROM search WHERE term = ? AND record = ?", old - new)
        self._run_all("INSERT INTO search (term, record) VALUES (?, ?)", new - old)
        self._run(rows.PUT_OBJECT, rows.object_row(record))

    def delete_object(self, number: int) -> bool:
        """Delete an object with its search terms; whether it was there."""
        record = self.object(number)
        if record is None:
            return False
        self._run_all("DELETE FROM search WHERE term = ? AND record = ?", rows.search_rows(record))
        self._run("DELETE FROM object WHERE number = ?", (number,))
        return True

    def delete_objects(self, token: int) -> None:
        """Delete all objects of a token."""
        bounds = (token << TOKEN_SHIFT, (token + 1) << TOKEN_SHIFT)
        self._run("DELETE FROM search WHERE record >= ? AND record < ?", bounds)
        self._run("DELETE FROM object WHERE number >= ? AND number < ?", bounds)

    def _run(self, statement: str, values: tuple[Any, ...]) -> None:
        """Run a statement of the transaction."""
        try:
            self._link.execute(statement, values)  # type: ignore[union-attr]
        except FAILURES as error:
            raise refusal(error, self._database) from error

    def _run_all(self, statement: str, some: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement of the transaction once for each row."""
        try:
            self._link.executemany(statement, some)  # type: ignore[union-attr]
        except FAILURES as error:
            raise refusal(error, self._database) from error

    def begin(self) -> tuple[int | None, int]:
        """Take the write lock; return the stamp before and after (`Generation.start`)."""
        if self.write_protected:
            raise CryptokiError(CKR.TOKEN_WRITE_PROTECTED, f"{self._database} cannot be written by this user")
        self._writers.acquire()
        try:
            generation = self._opened()
            generation.lock()
            try:
                self._begin()
            except BaseException:
                generation.unlock()
                raise
        except BaseException:
            self._writers.release()
            raise
        return generation.start()

    def _begin(self) -> None:
        """Begin the transaction, on descriptors that are ours; holds `lock` when it returns."""
        self.lock.acquire()
        try:
            link = self._connection.writing()
            link.execute("BEGIN IMMEDIATE")
            self._link = link
        except FAILURES as error:
            self.lock.release()
            raise refusal(error, self._database) from error
        except BaseException:
            self.lock.release()
            raise

    def end(self, number: int, *, commit: bool) -> None:
        """Commit or roll back, say so in the generation file, let the next writer go on."""
        link, generation = self._link, self._generation
        self._link = None
        try:
            if commit:
                link.execute("COMMIT")  # type: ignore[union-attr]
        except FAILURES as error:
            raise refusal(error, self._database) from error
        finally:
            # SQLite has rolled back already after some errors, as a full disk.
            if link.in_transaction:  # type: ignore[union-attr]
                link.execute("ROLLBACK")  # type: ignore[union-attr]
            generation.finish(number)  # type: ignore[union-attr]
            self.lock.release()
            generation.unlock()  # type: ignore[union-attr]
            self._writers.release()

    def fold(self) -> None:
        """Have nothing of what was deleted left in the write-ahead log, unless somebody is reading it just now."""
        self._all("PRAGMA busy_timeout = 1000", ())
        self._all("PRAGMA wal_checkpoint(TRUNCATE)", ())
        self._all("PRAGMA busy_timeout = 60000", ())

    # Opening and closing

    def before_fork(self) -> None:
        """Close the connection, so that parent and child each open their own: SQLite's state must not be inherited.

        Waits for a transaction to end; what is cached stays valid.
        """
        self._writers.acquire()
        self.lock.acquire()
        self._connection.close()

    def after_fork_in_parent(self) -> None:
        """Go on; the next access connects again."""
        self.lock.release()
        self._writers.release()

    def drop_after_fork(self) -> None:
        """Forget the store in a child, without SQL or unlocking.

        A connection that `before_fork` did not close (a fork behind the handlers' back) ends the use of this database
        in the child.
        """
        self._connection.abandon()
        if self._generation is not None:
            self._generation.close()
            self._generation = None
        self.lock = RLock()
        self._writers = RLock()

    def close(self) -> None:
        """Close the connection; the last one of all processes folds the WAL into the database."""
        with self._writers, self.lock:
            self._closed = True
            self._connection.close()
            if self._generation is not None:
                self._generation.close()
                self._generation = None

    def _open_generation(self, path: str) -> Generation | None:
        """Open the generation file; a writer makes a lost one anew, a reader does without."""
        writable = not self.write_protected
        try:
            if writable and not os.path.exists(path):
                Generation.create(path, os.stat(self._database).st_mode & 0o777)
            return Generation(path, writable=writable)
        except (OSError, ValueError) as error:
            if self.write_protected:
                return None
            code = CKR.DEVICE_ERROR if os.path.exists(self._database) else CKR.DEVICE_REMOVED
            raise CryptokiError(code, f"{path} cannot be opened: {error}") from error


class _SqliteTransaction(Transaction):
    """A transaction of a `SqliteStore`; only one thread at a time is inside."""

    __slots__ = ("_number", "_store")

    def __init__(self, store: SqliteStore) -> None:
        """Belong to a store."""
        self._store = store
        self._number = 0

    def __enter__(self) -> tuple[int | None, int]:
        """Begin; waits for other writers."""
        before, number = self._store.begin()
        self._number = number
        return before, number

    def __exit__(self, kind: object, *_: object) -> None:
        """Commit, or roll back after an exception."""
        self._store.end(self._number, commit=kind is None)

"""The one SQLite connection of a store in this process: opening, keeping it sound, letting go of it.

`_sqlite3` is imported rather than `sqlite3`, which would bring `datetime` and its converters along. Whoever calls holds
the store's lock.
"""

from __future__ import annotations

import _sqlite3
import os

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token import descriptors
from ptkc.token.schema import FORMAT, migrate

__all__ = ["FAILURES", "Connection", "refusal"]

FAILURES = (_sqlite3.Error, UnicodeDecodeError)
"""What SQLite's functions raise; the second where a damaged database makes part of a message."""

_BUSY_SECONDS = 60.0


class Connection:
    """A connection that is made when it is needed."""

    __slots__ = ("_database", "_descriptors", "_link", "_write_protected")

    def __init__(self, database: str, *, write_protected: bool) -> None:
        """Belong to a database file, which is taken for immutable if it is write-protected."""
        self._database = database
        self._write_protected = write_protected
        self._link: _sqlite3.Connection | None = None
        self._descriptors: descriptors.Descriptors | None = None

    def reading(self) -> _sqlite3.Connection:
        """Return the connection to read with; CKR_DEVICE_ERROR and CKR_DEVICE_REMOVED with the reason."""
        link = self._link
        if link is None:
            return self._connect()
        if self._descriptors is not None and not self._descriptors.shared_intact():
            self._mend()
        return link

    def writing(self) -> _sqlite3.Connection:
        """Return the connection to begin a write transaction with, on descriptors that are ours."""
        self._mend()
        link = self._link or self._connect()
        if self._descriptors is not None:
            self._descriptors.require_in_place()
        return link

    def close(self) -> None:
        """Close the connection, if there is one that can be closed."""
        link, self._link = self._link, None
        if link is None:
            return
        if self._descriptors is None or self._descriptors.intact():
            link.close()
        else:
            descriptors.abandon(self._database, link)

    def abandon(self) -> None:
        """Never use an open connection again, and its database neither: SQLite's state is another process's."""
        if self._link is not None:
            descriptors.abandon(self._database, self._link)
            self._link = None

    def _mend(self) -> None:
        """Put descriptors back that the host closed; CKR_DEVICE_REMOVED if it cannot be."""
        if self._link is None or self._descriptors is None or self._descriptors.intact():
            return
        try:
            self._descriptors.restore()
        except CryptokiError:
            self.abandon()
            raise

    def _connect(self) -> _sqlite3.Connection:
        """Open the database."""
        path = self._database
        descriptors.check_usable(path)
        name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        mode = "ro&immutable=1" if self._write_protected else "rw"
        first = descriptors.lowest_free()
        try:
            link = _sqlite3.connect(
                f"file:{name}?mode={mode}",
                timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True,
            )  # fmt: skip
            try:
                self._prepare(link)
            except BaseException:
                link.close()
                raise
        except FAILURES as error:
            raise refusal(error, path) from error
        self._descriptors = None if self._write_protected else descriptors.Descriptors(path, first)
        self._link = link
        return link

    def _prepare(self, link: _sqlite3.Connection) -> None:
        """Check the format and set what holds for one connection."""
        (version,) = link.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise CryptokiError(CKR.DEVICE_ERROR, f"{self._database} was made by a newer ptkc (format {version})")
        if self._write_protected and version < FORMAT:
            reason = f"{self._database} was made by an older ptkc (format {version}): open it once as its owner"
            raise CryptokiError(CKR.DEVICE_REMOVED, reason)
        if self._write_protected:
            return
        link.execute("PRAGMA synchronous = FULL")
        link.execute("PRAGMA secure_delete = ON")
        link.execute("PRAGMA temp_store = MEMORY")  # TMPDIR may be another's, in a setuid host too
        if version < FORMAT:
            migrate(link)


def refusal(error: Exception, database: str) -> CryptokiError:
    """Return what the caller is told about an error of SQLite."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return CryptokiError(CKR.DEVICE_MEMORY, f"no room on the disk of {database}")
    if name.startswith("SQLITE_READONLY"):
        return CryptokiError(CKR.TOKEN_WRITE_PROTECTED, f"{database} cannot be written by this user")
    if name == "SQLITE_CANTOPEN" and not os.path.exists(database):
        return CryptokiError(CKR.DEVICE_REMOVED, f"{database} is not there any more")
    if name.startswith("SQLITE_IOERR_SHM"):
        return CryptokiError(
            CKR.DEVICE_ERROR, f"{database}: no shared memory for the WAL here; put the data path on a local disk"
        )
    return CryptokiError(CKR.DEVICE_ERROR, f"{database}: {error} ({name})")

"""An HSM as a directory: `<data path>/<serial>/`, with its key file elsewhere.

The HSM that needs no configuration is virtual until something is written: reading creates nothing. The first write
makes its directory under another name and renames it, so that it is there whole or not at all. A directory that this
user cannot write is opened for reading, if nobody left a write-ahead log in it. What cannot be opened raises
CKR_DEVICE_REMOVED (or CKR_DEVICE_ERROR) with the reason: the HSM is absent.
"""

from __future__ import annotations

import fcntl
import os
from _thread import RLock

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token import pins, place
from ptkc.token.keysource import CredentialKeySource, FileKeySource, KeySource, Roots, make_directory, sync_directory
from ptkc.token.seal import random_bytes
from ptkc.token.sqlite import DATABASE, SqliteStore
from ptkc.token.store import HsmRecord, PinRecord, Store, TokenRecord
from ptkc.token.tokens import Owner, Token

__all__ = ["Hsm"]

_ADMIN = 0
_FIRST_USER = 1


class Hsm(Owner):
    """One HSM with its tokens, opened by this process."""

    __slots__ = (
        "_boot", "_closed", "_data_path", "_keys", "_lock", "_roots", "_seen", "_tokens", "directory", "serial",
        "store", "write_protected",
    )  # fmt: skip

    def __init__(self, data_path: str, keys: KeySource, serial: str) -> None:
        """Keep what `open` found; virtual as long as there is no store."""
        self._data_path = data_path
        self._keys = keys
        self._lock = RLock()
        self._closed = False
        self._roots: Roots | None = None
        self._seen: int | None = None
        self.store: Store | None = None
        self._boot = 0
        self._tokens: list[Token] = []
        self.directory = os.path.join(data_path, serial)
        self.serial = serial
        self.write_protected = False

    @classmethod
    def open(cls, data_path: str, key_path: str, serial: str | None = None, credentials: str | None = None) -> Hsm:
        """Open the HSM with this serial, or the one that needs no configuration.

        `credentials` is the directory of systemd's credentials, if the process may use it. CKR_DEVICE_REMOVED and
        CKR_DEVICE_ERROR say why the HSM is absent. A broken one does not hide another, but none is made beside it: it
        may be the one.
        """
        if not data_path:
            raise CryptokiError(CKR.DEVICE_REMOVED, "no data path: HOME is not set and ET_PTKC_SW_DATAPATH neither")
        broken: CryptokiError | None = None
        for known in place.serials(data_path):
            if serial in (None, known):
                hsm = cls(data_path, _key_source(key_path, credentials, known), known)
                try:
                    store = hsm._attach()
                    if serial == known or store.hsm().ordinal == 0:
                        return hsm
                except CryptokiError as error:
                    broken = broken or error
                hsm.close()
        if broken is not None:
            raise broken
        if serial is not None:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"there is no HSM {serial} below {data_path}")
        serial = place.computed_serial(data_path)
        hsm = cls(data_path, _key_source(key_path, credentials, serial), serial)
        hsm.write_protected = not place.is_writable(data_path)
        hsm._take(_new_tokens(serial))
        return hsm

    @property
    def tokens(self) -> list[Token]:
        """The tokens in slot order: user slots first, the Admin slot last."""
        self.refresh()
        return self._tokens

    @property
    def boot(self) -> int:
        """How often the HSM was restarted; sessions of an earlier boot are over."""
        self.refresh()
        return self._boot

    @property
    def device_key(self) -> bytes:
        """The key that PIN records and public objects are protected by, 32 bytes."""
        if self._roots is None:
            raise CryptokiError(CKR.DEVICE_REMOVED, "the HSM is virtual or closed")
        return self._roots.device

    def stamp(self) -> int | None:
        """Return the number of the last change by any process; None while one is under way, or nothing exists yet."""
        store = self.store
        return None if store is None else store.stamp()

    def refresh(self) -> None:
        """Read the tokens again if anything was changed since."""
        store = self.store
        stamp = None if store is None else store.stamp()
        if stamp is None or stamp != self._seen:
            self._reload()

    def seen(self, stamp: int | None) -> bool:
        """Whether `stamp` is settled, still true, and what the tokens' caches are filled under."""
        return stamp is not None and stamp == self._seen and stamp == self.stamp()

    def advance(self, before: int | None, after: int) -> bool:
        """Take this process's own change as seen, if nobody else changed anything meanwhile."""
        if before is None or before != self._seen or self.stamp() != after:
            return False
        self._seen = after
        return True

    def restart(self) -> None:
        """Raise the boot number: every process ends its sessions."""
        store = self.materialise()
        with store.writing():
            record = store.hsm()
            record.boot += 1
            store.put_hsm(record)

    def materialise(self) -> Store:
        """Return the store to write to, made now if the HSM was virtual; CKR_TOKEN_WRITE_PROTECTED."""
        if self.write_protected:
            raise CryptokiError(CKR.TOKEN_WRITE_PROTECTED, f"{self.directory} cannot be written by this user")
        with self._lock:
            if self._closed:
                raise CryptokiError(CKR.DEVICE_REMOVED, "the HSM was closed")
            if self.store is None:
                self._create()
                return self._attach()
            return self.store

    def before_fork(self) -> None:
        """Close the connection in the prepare handler, so that the child inherits nothing of SQLite's state."""
        self._lock.acquire()
        if self.store is not None:
            self.store.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on after `before_fork`."""
        if self.store is not None:
            self.store.after_fork_in_parent()
        self._lock.release()

    def drop_after_fork(self) -> None:
        """Forget everything in a child, without SQL or keys; the child opens the HSM anew."""
        pins.drop_after_fork()
        self._lock = RLock()
        if self.store is not None:
            self.store.drop_after_fork()
        self.store = None
        self._roots = None
        self._seen = None
        self._tokens = []

    def close(self) -> None:
        """Forget keys and caches, close the store; a thread that comes later does not open it again."""
        with self._lock:
            self._closed = True
            for token in self._tokens:
                token.forget_private()
            if self.store is not None:
                self.store.close()
            self.store = None
            self._roots = None
            self._tokens = []

    def _reload(self) -> None:
        """Read the tokens and the boot number."""
        with self._lock:
            if self.store is None and self._tokens and not self._appeared():
                return
            store = self.store
            if store is None:
                return
            if self.write_protected and self._seen is not None and self._seen != store.stamp():
                store.close()
                self._attach()
                return
            with store.lock:
                stamp = store.stamp()
                self._boot = store.hsm().boot
                self._take(store.tokens())
                self._seen = stamp if store.stamp() == stamp else None

    def _appeared(self) -> bool:
        """Whether another process has made the virtual HSM meanwhile; it is attached then."""
        if self.serial not in place.serials(self._data_path):
            return False
        self._attach()
        return True

    def _take(self, records: list[TokenRecord]) -> None:
        """Give each token its record; make those that are new."""
        known = {token.number: token for token in self._tokens}
        tokens = []
        for slot, record in enumerate(records):
            token = known.get(record.number)
            if token is None:
                token = Token(self, slot, record)
            else:
                token.take(slot, record)
            tokens.append(token)
        self._tokens = tokens

    def _attach(self) -> Store:
        """Open the store of an HSM that exists."""
        directory = self.directory
        database = os.path.join(directory, DATABASE)
        try:
            place.check_file_system(directory)
            place.check_plain(database)
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{directory}: {error.strerror}") from error
        self.write_protected = not (os.access(directory, os.W_OK) and os.access(database, os.W_OK))
        if self.write_protected and os.path.exists(database + "-wal"):
            raise CryptokiError(
                CKR.DEVICE_REMOVED,
                f"{directory} cannot be written by this user, and its write-ahead log is not folded in: "
                "open the HSM once as its owner, or give this user write access",
            )
        self._roots = self._keys.load(self.serial)
        store = SqliteStore(directory, write_protected=self.write_protected)
        self.store = store
        self._seen = None
        self._reload()
        return store

    def _create(self) -> None:
        """Make the HSM directory: complete and on the disk, or not at all."""
        data_path = self._data_path
        try:
            make_directory(data_path)
            place.check_file_system(data_path)
            lock = os.open(data_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                others = place.serials(data_path)
                if self.serial in others:
                    return
                self._keys.create(self.serial)
                self._build(place.directory_mode(data_path))
            finally:
                os.close(lock)
        except OSError as error:
            raise CryptokiError(
                CKR.TOKEN_WRITE_PROTECTED, f"cannot make the HSM below {data_path}: {error.strerror}"
            ) from error

    def _build(self, mode: int) -> None:
        """Make the directory under another name, then give it its own; nobody else enters it before it is whole."""
        unfinished = os.path.join(self._data_path, f".{self.serial}.{random_bytes(4).hex()}")
        os.mkdir(unfinished, 0o700)
        try:
            os.chmod(unfinished, 0o700)  # whatever our umask is
            SqliteStore.create(unfinished, HsmRecord(self.serial, 0, 1), _new_tokens(self.serial), mode & 0o660)
            for name in os.listdir(unfinished):
                descriptor = os.open(os.path.join(unfinished, name), os.O_RDONLY | os.O_CLOEXEC)
                os.fsync(descriptor)
                os.close(descriptor)
            _open_up(unfinished, mode)
            os.rename(unfinished, self.directory)
        except BaseException:
            for name in os.listdir(unfinished):
                os.unlink(os.path.join(unfinished, name))
            os.rmdir(unfinished)
            raise
        sync_directory(self._data_path)


def _open_up(directory: str, mode: int) -> None:
    """Give a directory, which must be no link, its mode, and have it and its entries on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _key_source(key_path: str, credentials: str | None, serial: str) -> KeySource:
    """Return where the roots of an HSM come from: a credential if there is one, else its key file."""
    if credentials:
        source = CredentialKeySource(credentials)
        if source.has(serial):
            return source
    return FileKeySource(key_path)


def _new_tokens(serial: str) -> list[TokenRecord]:
    """Return the tokens of a new HSM: an uninitialised user token, then the Admin token."""
    return [
        TokenRecord(_FIRST_USER, False, f"{serial}:{_FIRST_USER}", b"", None, 0, (PinRecord(), PinRecord())),  # noqa: FBT003
        TokenRecord(_ADMIN, True, serial, f"AdminToken ({serial})".encode(), None, 0, (PinRecord(), PinRecord())),  # noqa: FBT003
    ]

"""An HSM as this process has it open: its store, roots and tokens, kept true while other processes change them.

What is kept of the store is believed as long as the generation's stamp stands. When it has moved, the HSM's record says
what happened: a restart, a tamper (this process then reads the new device key, or finishes a tamper whose process was
killed), or that the HSM was taken away (CKR_DEVICE_REMOVED until it is back).
"""

from __future__ import annotations

import os
from _thread import RLock

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token import pins, place, presence
from ptkc.token.contents import Owner
from ptkc.token.directories import make_hsm, new_hsm, new_tokens
from ptkc.token.events import add_event
from ptkc.token.identity import AdminToken, Identity, identity_record
from ptkc.token.keysource import KeySource, Roots
from ptkc.token.sqlite import DATABASE, SqliteStore
from ptkc.token.store import HsmRecord, Store, TokenRecord
from ptkc.token.tamper import finish_tamper
from ptkc.token.tokens import Token

__all__ = ["OpenedHsm"]


class OpenedHsm(Owner):
    """The store, the roots and the tokens of one HSM; virtual as long as there is no store."""

    __slots__ = (
        "_closed", "_data_path", "_keys", "_lock", "_presence", "_record", "_roots", "_seen", "_tokens", "_virtual",
        "directory", "identity", "serial", "store", "write_protected",
    )  # fmt: skip

    def __init__(self, data_path: str, keys: KeySource, serial: str) -> None:
        """Keep what `open` found."""
        self._data_path = data_path
        self._keys = keys
        self._lock = RLock()
        self._closed = False
        self._virtual = False
        self._presence: presence.Presence | None = None
        self._roots: Roots | None = None
        self._seen: int | None = None
        self._record: HsmRecord = new_hsm(serial, 0)
        self._record.boot = 0
        self._tokens: list[Token] = []
        self.store: Store | None = None
        self.identity = Identity(self)
        self.directory = os.path.join(data_path, serial)
        self.serial = serial
        self.write_protected = False

    # What tokens ask for

    @property
    def device_key(self) -> bytes:
        """The key that PIN records and public objects are protected by, 32 bytes."""
        return self._known_roots().device

    @property
    def identity_root(self) -> bytes:
        """The key that identity objects are protected by, 32 bytes."""
        return self._known_roots().identity

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

    def materialise(self) -> Store:
        """Return the store to write to, made now if the HSM was virtual; CKR_TOKEN_WRITE_PROTECTED."""
        if self.write_protected:
            raise CryptokiError(CKR.TOKEN_WRITE_PROTECTED, f"{self.directory} cannot be written by this user")
        with self._lock:
            if self._closed:
                raise CryptokiError(CKR.DEVICE_REMOVED, "the HSM was closed")
            store = self.store
            if store is None:
                if self._virtual:
                    make_hsm(self._data_path, self._keys, self.serial)
                return self._attach()
            self.refresh()
            return self.store or store

    def record_event(self, store: Store, code: int, detail: str) -> None:
        """Add an event to the log, in the transaction that is under way, unless the log is full."""
        add_event(store, store.hsm(), code, detail)

    def require_untampered(self, store: Store) -> None:
        """Refuse to go on with a device key that is gone from the key source: CKR_DEVICE_RESET."""
        record = store.hsm()
        if record.removed:
            raise self._away()
        if self._roots is None or record.tampers != self._roots.tampers:
            raise CryptokiError(CKR.DEVICE_RESET, "the HSM was tampered meanwhile")

    # What others ask for

    @property
    def tokens(self) -> list[Token]:
        """The tokens in slot order: user slots first, the Admin slot last."""
        self.refresh()
        return self._tokens

    @property
    def boot(self) -> int:
        """How often the HSM was restarted; sessions of an earlier boot are over."""
        self.refresh()
        return self._record.boot

    @property
    def ordinal(self) -> int:
        """The HSM's place among those of the data path; 0 is the one that needs no configuration."""
        return self._record.ordinal

    def others_running(self) -> bool:
        """Whether another process has this HSM open."""
        here = self._presence
        if here is None:
            return False
        try:
            with place.locked(self._data_path):
                return not here.alone()
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{self.directory}: {error.strerror}") from error

    # Fork and end

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
        place.drop_after_fork()
        presence.drop_after_fork()
        self._lock = RLock()
        if self.store is not None:
            self.store.drop_after_fork()
        self.store = None
        self._closed = True
        self._presence = None
        self._roots = None
        self._seen = None
        self._tokens = []

    def close(self) -> None:
        """Forget keys and caches, close the store; a thread that comes later does not open it again."""
        with self._lock:
            self._closed = True
            for token in self._tokens:
                token.forget_private()
            self._detach()
            self._tokens = []

    # Attaching and keeping up

    def _attach(self) -> Store:
        """Open the store of an HSM that exists."""
        directory = self.directory
        database = os.path.join(directory, DATABASE)
        try:
            place.check_file_system(directory)
            place.check_plain(database)
            here = presence.Presence(directory)
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{directory}: {error.strerror}") from error
        if self._presence is not None:
            self._presence.end()
        self._presence = here
        try:
            return self._open_store(directory, database)
        except CryptokiError:
            self._detach()
            raise

    def _open_store(self, directory: str, database: str) -> Store:
        """Open the store, read what is in it."""
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
        self._virtual = False
        self._reload()
        return store

    def _detach(self) -> None:
        """Close the store, forget the roots."""
        if self.store is not None:
            self.store.close()
        if self._presence is not None:
            self._presence.end()
        self.store = None
        self._presence = None
        self._roots = None

    def _reload(self) -> None:
        """Read the HSM's record and the tokens; follow or finish a tamper."""
        with self._lock:
            store = self.store
            if store is None:
                if not self._closed and not (self._virtual and self.serial not in place.serials(self._data_path)):
                    self._attach()
                return
            if self.write_protected and self._seen is not None and self._seen != store.stamp():
                # Opened as immutable: what was read of it is no more to be believed.
                store.close()
                self._attach()
                return
            while not self._read(store):
                finish_tamper(store, self._keys, self.serial)

    def _read(self, store: Store) -> bool:
        """Read the record and the tokens under the lock; false if a tamper has to be finished first."""
        with store.lock:
            stamp = store.stamp()
            record = store.hsm()
            if record.serial != self.serial:
                raise CryptokiError(CKR.DEVICE_ERROR, f"{self.directory} is the directory of HSM {record.serial}")
            if record.removed:
                raise self._away()
            if record.wiped != record.tampers:
                return False
            if self._roots is None or self._roots.tampers != record.tampers:
                self._roots = self._keys.load(self.serial)
                if self._roots.tampers != record.tampers:
                    return False
            self._record = record
            self.identity.take(-1, identity_record(record.identity))
            self._take(store.tokens())
            self._seen = stamp if store.stamp() == stamp else None
        return True

    def _take(self, records: list[TokenRecord]) -> None:
        """Give each token its record; make those that are new."""
        known = {token.number: token for token in self._tokens}
        tokens = []
        for slot, record in enumerate(records):
            token = known.get(record.number)
            if token is not None:
                token.take(slot, record)
            elif record.admin:
                token = AdminToken(self, slot, record, self.identity)
            else:
                token = Token(self, slot, record)
            tokens.append(token)
        self._tokens = tokens
        for token in known.values():
            if token not in tokens:
                token.leave()

    def _become_virtual(self) -> None:
        """Answer for an HSM that nobody has written to."""
        self._virtual = True
        self.write_protected = not place.is_writable(self._data_path)
        self._take(new_tokens(self.serial, self._record))

    def _known_roots(self) -> Roots:
        """Return the roots; CKR_DEVICE_REMOVED if there are none."""
        if self._roots is None:
            raise CryptokiError(CKR.DEVICE_REMOVED, "the HSM is virtual or closed")
        return self._roots

    def _away(self) -> CryptokiError:
        """Return what is said while the HSM is away."""
        self._seen = None
        return CryptokiError(CKR.DEVICE_REMOVED, f"HSM {self.serial} was removed (`ptkc hsm add {self.serial}`)")

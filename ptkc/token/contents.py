"""The objects of a token, and what of them this process remembers.

The token key comes with each call that needs it; what was made of the last one is kept until `forget_private`. What is
remembered of objects is valid while the token's `changes` is what it was, which is asked for only when the store's
stamp has moved.
"""

from __future__ import annotations

from struct import Struct

from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import TRUE, Attributes, Template, pack_template, unpack_template
from ptkc.token.find import SECRET_CLASSES, object_terms, search
from ptkc.token.seal import Keys, PrivateKeys, PublicKeys, expand
from ptkc.token.store import TOKEN_SHIFT, ObjectRecord, Store, TokenRecord

__all__ = ["Contents", "Events", "ObjectChangedError", "Owner", "proof"]

_REMEMBERED = 4096
_ASSOCIATED = Struct("<QQ?")
Events = tuple[tuple[int, str], ...]
"""What is to be logged with a change: code and detail of each event."""
_NO_KEYS = (None, None, None)  # the keys for private objects, the token key they are made of, and its proof


class ObjectChangedError(CryptokiError):
    """An object was changed by somebody else since it was loaded: load it and try again."""

    def __init__(self, number: int) -> None:
        """Say which record."""
        super().__init__(CKR.FUNCTION_FAILED, f"object record {number:#x} was changed meanwhile")


class Owner:
    """What a token needs of its HSM.

    `store` is None while the HSM is virtual; `device_key` is there when the store is.
    """

    __slots__ = ()
    directory: str
    store: Store | None
    write_protected: bool

    @property
    def device_key(self) -> bytes:
        """The key that PIN records and public objects are protected by, 32 bytes."""
        raise NotImplementedError

    @property
    def identity_root(self) -> bytes:
        """The key that identity objects are protected by, 32 bytes."""
        raise NotImplementedError

    def stamp(self) -> int | None:
        """Return the number of the last change by any process; None while one is under way, or nothing exists yet."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Give the tokens their records again (`Token.take`) if anything was changed since."""
        raise NotImplementedError

    def seen(self, stamp: int | None) -> bool:
        """Whether `stamp` is settled, still true, and what the tokens' records were read under."""
        raise NotImplementedError

    def advance(self, before: int | None, after: int) -> bool:
        """Take this process's own change as seen, if nobody else changed anything meanwhile."""
        raise NotImplementedError

    def materialise(self) -> Store:
        """Return the store to write to, made now if the HSM was virtual; CKR_TOKEN_WRITE_PROTECTED."""
        raise NotImplementedError

    def require_untampered(self, store: Store) -> None:
        """Refuse to go on with a device key that is gone from the key source: CKR_DEVICE_RESET."""
        raise NotImplementedError

    def record_event(self, store: Store, code: int, detail: str) -> None:
        """Add an event to the log, in the transaction that is under way, unless the log is full."""
        raise NotImplementedError


class Contents:
    """A token's objects. `slot` is the token's place in the slot list, `number` what the store knows it by."""

    __slots__ = (
        "_changes", "_gone", "_hsm", "_open", "_private", "_public", "_record", "_sealed", "_searches",
        "number", "slot",
    )  # fmt: skip

    def __init__(self, hsm: Owner, slot: int, record: TokenRecord) -> None:
        """Belong to an HSM, which gives the record anew by `take`."""
        self._hsm = hsm
        self.number = record.number
        self.slot = slot
        self._record = record
        self._changes = record.changes
        self._gone = False
        self._private: tuple[PrivateKeys | None, bytes | None, bytes | None] = _NO_KEYS
        self._public: PublicKeys | None = None
        self._open: dict[int, tuple[Attributes, int]] = {}
        self._sealed: dict[int, tuple[Attributes, int]] = {}
        self._searches: dict[tuple[Template, bool], list[int]] = {}

    def take(self, slot: int, record: TokenRecord) -> None:
        """Take a record read from the store; forget what it makes invalid."""
        self.slot = slot
        self._record = record
        if record.changes != self._changes:
            self._changes = record.changes
            self._open.clear()
            self._sealed.clear()
            self._searches.clear()
            self._private = _NO_KEYS
            self._public = None

    def leave(self) -> None:
        """Be no token of the HSM any more."""
        self._gone = True
        self.forget_private()

    def add(self, attributes: Attributes, key: bytes | None) -> int:
        """Store a new object, return its record number; CKR_USER_NOT_LOGGED_IN if it is private and there is no key."""
        return self.add_many([attributes], key)[0]

    def add_many(self, objects: list[Attributes], key: bytes | None, events: Events = ()) -> list[int]:
        """Store several new objects, all or none, and log the events with them."""
        return self.exchange([], objects, key, events=events)

    def exchange(
        self, remove: list[int], add: list[Attributes], key: bytes | None = None, *, since: int | None = None,
        events: Events = (),
    ) -> list[int]:  # fmt: skip
        """Destroy some objects and store others, all or nothing; return the new ones' record numbers.

        CKR_OBJECT_HANDLE_INVALID if one of those to be destroyed is gone; `ObjectChangedError` if anything of the
        token was changed after `since` (what `changes` was when the decision was made). The events are logged
        with it.
        """
        store = self._hsm.materialise()
        with store.writing() as change:
            record = self._stored(store)
            if since is not None and record.changes != since:
                raise ObjectChangedError(self.number << TOKEN_SHIFT)
            for number in remove:
                if number >> TOKEN_SHIFT != self.number or not store.delete_object(number):
                    raise CryptokiError(CKR.OBJECT_HANDLE_INVALID, "an object to be replaced was destroyed")
                record.changes += 1
            numbers = []
            for attributes in add:
                record.changes += 1
                number = self.number << TOKEN_SHIFT | record.changes
                store.put_object(self._protect(record, number, attributes, key))
                numbers.append(number)
            self._put(store, record)
            self._record_events(store, events)
        self._changed(store, change, record, tuple(remove))
        return numbers

    def replace(
        self, number: int, version: int, attributes: Attributes, key: bytes | None, events: Events = ()
    ) -> int:
        """Store changed attributes, return the new version; the events are logged with it.

        CKR_OBJECT_HANDLE_INVALID if the object is gone, `ObjectChangedError` if it is no more the version given.
        """
        store = self._hsm.materialise()
        with store.writing() as change:
            record = self._stored(store)
            current = store.object(number)
            if current is None or number >> TOKEN_SHIFT != self.number:
                raise CryptokiError(CKR.OBJECT_HANDLE_INVALID, "the object was destroyed")
            if current.version != version:
                raise ObjectChangedError(number)
            record.changes += 1
            store.put_object(self._protect(record, number, attributes, key))
            self._put(store, record)
            self._record_events(store, events)
        self._changed(store, change, record, (number,))
        return record.changes

    def remove(self, number: int, events: Events = ()) -> None:
        """Destroy an object, and log the events with it; CKR_OBJECT_HANDLE_INVALID if it is gone."""
        self.exchange([number], [], events=events)

    def _record_events(self, store: Store, events: Events) -> None:
        """Add events to the log, in the transaction that is under way."""
        for event in events:
            self._hsm.record_event(store, *event)

    def load(self, number: int, key: bytes | None) -> tuple[Attributes, int] | None:
        """Return (attributes, version), not to be changed; None if it is gone, or private and there is no key."""
        self._fresh()
        known = self._open.get(number) or (self._sealed.get(number) if key is not None else None)
        if known is not None:
            return known
        hsm = self._hsm
        store = hsm.store
        if store is None or number >> TOKEN_SHIFT != self.number:
            return None
        with store.lock:
            stamp = hsm.stamp()
            record = store.object(number)
            if record is None or (record.private and key is None):
                return None
            keys = self._private_keys(key, self._record) if record.private else self._public_keys()
            content = keys.recover(record.content, self._associated(record))
            attributes = {kind: value or b"" for kind, value in unpack_template(content)}
            loaded = (attributes, record.version)
            if hsm.seen(stamp):
                memory = self._sealed if record.private else self._open
                if len(memory) >= _REMEMBERED:
                    memory.clear()
                memory[number] = loaded
            return loaded

    def find(self, template: Template, key: bytes | None) -> list[int]:
        """Return the records that match, in the order of creation; private ones only with the key.

        The list is remembered: not to be changed.
        """
        record = self._fresh()
        wanted = (template, key is not None)
        known = self._searches.get(wanted)
        if known is not None:
            return known
        hsm = self._hsm
        store = hsm.store
        if store is None:
            return []
        private = None if key is None else self._private_keys(key, record)
        stamp = hsm.stamp()
        found, broad = search(store, self._public_keys(), private, template)
        if broad:
            # A narrow search is as fast as remembering it for as long as the store is likely to stay as it is.
            with store.lock:
                if hsm.seen(stamp):
                    if len(self._searches) >= _REMEMBERED:
                        self._searches.clear()
                    self._searches[wanted] = found
        return found

    @property
    def changes(self) -> int:
        """How often anything of the token's objects, or its key, was changed."""
        return self._fresh().changes

    def forget_private(self) -> None:
        """Forget keys and private objects (C_Logout)."""
        self._private = _NO_KEYS
        self._sealed.clear()
        self._searches.clear()

    def _fresh(self) -> TokenRecord:
        """Return the token's record as it is now; CKR_DEVICE_REMOVED if its slot was deleted."""
        self._hsm.refresh()
        if self._gone:
            raise CryptokiError(CKR.DEVICE_REMOVED, "the slot was deleted")
        return self._record

    def _stored(self, store: Store) -> TokenRecord:
        """Return the token's record from the store, to be changed and put back; CKR_DEVICE_RESET after a tamper."""
        self._hsm.require_untampered(store)
        for record in store.tokens():
            if record.number == self.number:
                return record
        raise CryptokiError(CKR.DEVICE_REMOVED, "the slot was deleted")

    def _put(self, store: Store, record: TokenRecord) -> None:
        """Put the token's record back."""
        store.put_token(record)

    def _public_keys(self) -> PublicKeys:
        """Return the keys for public objects."""
        if self._public is None:
            self._public = PublicKeys(self._hsm.device_key, self._record.serial.encode())
        return self._public

    def _private_keys(self, key: bytes | None, record: TokenRecord) -> Keys:
        """Return the keys for private objects; CKR_USER_NOT_LOGGED_IN without the token's key."""
        if key is None:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "a private object needs a login")
        # The record may be newer than what is kept: in a transaction it is the store's.
        keys, kept, shown = self._private
        if keys is None or key != kept or record.proof != shown:
            self._require_key(record, key)
            keys = PrivateKeys(key)
            self._private = keys, key, record.proof
        return keys

    def _protect(self, record: TokenRecord, number: int, attributes: Attributes, key: bytes | None) -> ObjectRecord:
        """Return the record of an object, in the version that the token's record counts now."""
        private = attributes.get(CKA.PRIVATE) == TRUE
        keys = self._private_keys(key, record) if private else self._public_keys()
        stored = ObjectRecord(number, private, record.changes, *object_terms(attributes, keys), b"")
        content = pack_template(tuple(attributes.items()))
        secret = attributes.get(CKA.CLASS) in SECRET_CLASSES
        stored.content = keys.protect(content, self._associated(stored), secret=secret)
        return stored

    def _associated(self, record: ObjectRecord) -> bytes:
        """Return what binds a record's content to its token, number and version."""
        place = _ASSOCIATED.pack(record.number, record.version, record.private)
        return b"object " + self._record.serial.encode() + place

    def _changed(
        self, store: Store, change: tuple[int | None, int], record: TokenRecord, numbers: tuple[int, ...]
    ) -> None:
        """Keep what is remembered over this process's own change, if nobody else changed anything."""
        with store.lock:
            if self._hsm.advance(*change):
                self._record = record
                self._changes = record.changes
                self._searches.clear()
                for number in numbers:
                    self._open.pop(number, None)
                    self._sealed.pop(number, None)

    def _require_key(self, record: TokenRecord, token_key: bytes) -> None:
        """Refuse a token key from before the token was initialised anew."""
        if record.proof != proof(token_key):
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the token was initialised anew")


def proof(token_key: bytes) -> bytes:
    """Return what recognises a token key and says nothing about it."""
    return expand(token_key, b"proof")

"""A token: its PINs, its objects, and what of them this process remembers.

The token key goes out at a login and comes back with each call that needs it; a token keeps only what it made of the
last one, until `forget_private`. What is remembered of objects is valid while the token's `changes` is what it was,
which is asked for only when the store's stamp has moved.
"""

from __future__ import annotations

import os
from struct import Struct

from ptkc.spec.constants import CKA, CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import TRUE, Attributes, Template, pack_template, unpack_template
from ptkc.token import pins
from ptkc.token.find import object_terms, search
from ptkc.token.seal import KEY_LENGTH, PrivateKeys, PublicKeys, expand, random_bytes
from ptkc.token.store import TOKEN_SHIFT, ObjectRecord

__all__ = ["ObjectChangedError", "Token"]

_PIN = {CKU.SO: "so_pin", CKU.USER: "user_pin"}
_FAILURES = {CKU.SO: "so_failures", CKU.USER: "user_failures"}
_FAILED_AT = {CKU.SO: "so_failed_at", CKU.USER: "user_failed_at"}
_FLAGS = {
    CKU.SO: (CKF.SO_PIN_COUNT_LOW, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_LOCKED),
    CKU.USER: (CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED),
}
_LABEL_LENGTH = 32
_REMEMBERED = 4096
_ASSOCIATED = Struct("<QQ?")


class ObjectChangedError(CryptokiError):
    """An object was changed by somebody else since it was loaded: load it and try again."""

    def __init__(self, number: int) -> None:
        """Say which record."""
        super().__init__(CKR.FUNCTION_FAILED, f"object record {number:#x} was changed meanwhile")


class Token:
    """One token of an HSM. `slot` is its place in the slot list, `number` what the store knows it by."""

    __slots__ = (
        "_attempts", "_changes", "_hsm", "_key", "_open", "_private", "_public", "_record", "_searches", "_sealed",
        "number", "slot",
    )  # fmt: skip

    def __init__(self, hsm, number: int) -> None:  # type: ignore[no-untyped-def]
        """Belong to an HSM, which gives the record by `take`."""
        self._hsm = hsm
        self.number = number
        self.slot = 0
        self._changes = -1
        self._attempts = {CKU.SO: (0, 0), CKU.USER: (0, 0)}
        self._key: bytes | None = None
        self._private: PrivateKeys | None = None
        self._public: PublicKeys | None = None
        self._open: dict[int, tuple[Attributes, int]] = {}
        self._sealed: dict[int, tuple[Attributes, int]] = {}
        self._searches: dict[tuple[Template, bool], list[int]] = {}

    def take(self, slot: int, record) -> None:  # type: ignore[no-untyped-def]
        """Take a record read from the store; forget what it makes invalid."""
        self.slot = slot
        self._record = record
        if record.changes != self._changes:
            self._changes = record.changes
            self._open.clear()
            self._sealed.clear()
            self._searches.clear()
            self._key = self._private = None

    # What C_GetTokenInfo says

    @property
    def is_admin(self) -> bool:
        """Whether it is the Admin token."""
        return bool(self._fresh().admin)

    @property
    def label(self) -> bytes:
        """The label, at most 32 bytes, without padding."""
        return self._fresh().label  # type: ignore[no-any-return]

    @property
    def serial(self) -> str:
        """The token's serial, at most 16 characters."""
        return self._fresh().serial  # type: ignore[no-any-return]

    @property
    def initialised(self) -> bool:
        """Whether the SO PIN is set."""
        return self._fresh().so_pin is not None

    @property
    def user_pin_set(self) -> bool:
        """Whether the user PIN is set."""
        return self._fresh().user_pin is not None

    def pin_state(self, role: int) -> int:
        """Return the CKF_*_PIN_COUNT_LOW, _FINAL_TRY and _LOCKED flags of CKU_SO or CKU_USER.

        Locked means that a delay runs; final try that the next wrong PIN begins one.
        """
        low, final, locked = _FLAGS[role]
        failures, failed_at = self._failures(self._fresh(), role)
        if not failures:
            return 0
        if pins.waiting(failures, failed_at, pins.milliseconds()):
            return low | locked
        return low | final if pins.delay(failures + 1) else low

    # PINs

    def initialise(self, so_pin: bytes, label: bytes) -> None:
        """Initialise the token, or do so anew with the right SO PIN (C_InitToken).

        All objects and the user PIN are gone then. CKR_PIN_INCORRECT (counted), CKR_PIN_LOCKED, CKR_PIN_LEN_RANGE,
        CKR_PIN_INVALID. The Admin token keeps its label.
        """
        if not self.initialised:
            pins.check_new_pin(so_pin)
        store = self._hsm.materialise()
        with self._attempt_lock():
            if self._stored().so_pin is not None:
                self._attempt(CKU.SO, so_pin)
            token_key = random_bytes(KEY_LENGTH)
            sealed = self._seal_pin(CKU.SO, so_pin, token_key)
            with store.writing():
                record = self._stored()
                store.delete_objects(self.number)
                store.put_token(record._replace(
                    label=record.label if record.admin else label.rstrip(b" ")[:_LABEL_LENGTH],
                    proof=_proof(token_key), changes=record.changes + 1,
                    so_pin=sealed, so_failures=0, so_failed_at=0,
                    user_pin=None, user_failures=0, user_failed_at=0,
                ))  # fmt: skip

    def login(self, role: int, pin: bytes) -> bytes:
        """Return the token key for the right PIN of CKU_SO or CKU_USER.

        CKR_PIN_INCORRECT (counted), CKR_PIN_LOCKED while a delay runs, CKR_USER_PIN_NOT_INITIALIZED.
        """
        self._require_pin(self._fresh(), role)
        with self._attempt_lock():
            return self._attempt(role, pin)

    def init_user_pin(self, token_key: bytes, pin: bytes) -> None:
        """Set the user PIN, or replace it, by the SO (C_InitPIN); private objects stay.

        On the Admin token it is set once: CKR_PIN_ALREADY_INITIALIZED.
        """
        pins.check_new_pin(pin)
        store = self._hsm.materialise()
        with self._attempt_lock():
            sealed = self._seal_pin(CKU.USER, pin, token_key)
            with store.writing():
                record = self._stored()
                self._require_key(record, token_key)
                if record.admin and record.user_pin is not None:
                    raise CryptokiError(CKR.PIN_ALREADY_INITIALIZED, "the ASO sets the Administrator's PIN only once")
                store.put_token(record._replace(user_pin=sealed, user_failures=0, user_failed_at=0))

    def set_pin(self, role: int, old: bytes, new: bytes) -> None:
        """Change a PIN (C_SetPIN); CKR_PIN_INCORRECT (counted), CKR_PIN_LOCKED, CKR_PIN_LEN_RANGE, CKR_PIN_INVALID."""
        pins.check_new_pin(new)
        self._require_pin(self._fresh(), role)
        store = self._hsm.materialise()
        with self._attempt_lock():
            sealed = self._seal_pin(role, new, self._attempt(role, old))
            with store.writing():
                store.put_token(self._stored()._replace(**{_PIN[role]: sealed}))

    def holds(self, token_key: bytes) -> bool:
        """Whether a token key is still this token's: it is not after the token was initialised anew."""
        return self._fresh().proof == _proof(token_key)

    def forget_private(self) -> None:
        """Forget keys and private objects (C_Logout)."""
        self._key = self._private = None
        self._sealed.clear()
        self._searches.clear()

    # Objects

    def add(self, attributes: Attributes, key: bytes | None) -> int:
        """Store a new object, return its record number; CKR_USER_NOT_LOGGED_IN if it is private and there is no key."""
        return self.add_many([attributes], key)[0]

    def add_many(self, objects: list[Attributes], key: bytes | None) -> list[int]:
        """Store several new objects, all or none."""
        store = self._hsm.materialise()
        with store.writing() as change:
            record = self._stored()
            changes = record.changes
            numbers = []
            for attributes in objects:
                changes += 1
                number = self.number << TOKEN_SHIFT | changes
                store.put_object(self._protect(record, number, changes, attributes, key))
                numbers.append(number)
            record = record._replace(changes=changes)
            store.put_token(record)
        self._changed(change, record, ())
        return numbers

    def replace(self, number: int, version: int, attributes: Attributes, key: bytes | None) -> int:
        """Store changed attributes, return the new version.

        CKR_OBJECT_HANDLE_INVALID if the object is gone, `ObjectChangedError` if it is no more the version given.
        """
        store = self._hsm.materialise()
        with store.writing() as change:
            record = self._stored()
            current = store.object(number)
            if current is None or number >> TOKEN_SHIFT != self.number:
                raise CryptokiError(CKR.OBJECT_HANDLE_INVALID, "the object was destroyed")
            if current.version != version:
                raise ObjectChangedError(number)
            record = record._replace(changes=record.changes + 1)
            store.put_object(self._protect(record, number, record.changes, attributes, key))
            store.put_token(record)
        self._changed(change, record, (number,))
        return record.changes  # type: ignore[no-any-return]

    def remove(self, number: int) -> None:
        """Destroy an object; CKR_OBJECT_HANDLE_INVALID if it is gone."""
        store = self._hsm.materialise()
        with store.writing() as change:
            record = self._stored()
            if number >> TOKEN_SHIFT != self.number or not store.delete_object(number):
                raise CryptokiError(CKR.OBJECT_HANDLE_INVALID, "the object was destroyed")
            record = record._replace(changes=record.changes + 1)
            store.put_token(record)
        self._changed(change, record, (number,))

    def load(self, number: int, key: bytes | None) -> tuple[Attributes, int] | None:
        """Return (attributes, version), not to be changed; None if the object is gone, or private and there is no key."""
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
            content = self._keys(record.private, key, self._record).recover(record.content, self._associated(record))
            loaded = (dict(unpack_template(content)), record.version)
            if hsm.seen(stamp):
                memory = self._sealed if record.private else self._open
                if len(memory) >= _REMEMBERED:
                    memory.clear()
                memory[number] = loaded  # type: ignore[assignment]
            return loaded  # type: ignore[return-value]

    def find(self, template: Template, key: bytes | None) -> list[int]:
        """Return the records that match, in the order of creation; private ones only with the key. Not to be changed."""
        record = self._fresh()
        wanted = (template, key is not None)
        known = self._searches.get(wanted)
        if known is not None:
            return known
        hsm = self._hsm
        store = hsm.store
        if store is None:
            return []
        private = None if key is None else self._keys(True, key, record)  # noqa: FBT003
        stamp = hsm.stamp()
        found, broad = search(store, self._keys(False, None, record), private, template)  # noqa: FBT003
        if broad:
            # A narrow search is as fast as remembering it for as long as the store is likely to stay as it is.
            with store.lock:
                if hsm.seen(stamp):
                    if len(self._searches) >= _REMEMBERED:
                        self._searches.clear()
                    self._searches[wanted] = found
        return found

    # Inside

    def _fresh(self):  # type: ignore[no-untyped-def]
        """Return the token's record as it is now."""
        self._hsm.refresh()
        return self._record

    def _stored(self):  # type: ignore[no-untyped-def]
        """Return the token's record from the store."""
        for record in self._hsm.store.tokens():
            if record.number == self.number:
                return record
        raise CryptokiError(CKR.DEVICE_REMOVED, "the slot was deleted")

    def _keys(self, private: bool, key: bytes | None, record) -> PrivateKeys | PublicKeys:  # type: ignore[no-untyped-def]  # noqa: FBT001
        """Return the keys for private or public objects."""
        if not private:
            if self._public is None:
                self._public = PublicKeys(self._hsm.device_key, record.serial.encode())
            return self._public
        if key is None:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "a private object needs a login")
        keys = self._private
        if keys is None or key != self._key:
            self._require_key(record, key)
            keys = PrivateKeys(key)
            self._private, self._key = keys, key
        return keys

    def _protect(  # type: ignore[no-untyped-def]
        self, record, number: int, version: int, attributes: Attributes, key: bytes | None
    ) -> ObjectRecord:
        """Return the record of an object."""
        private = attributes.get(CKA.PRIVATE) == TRUE
        keys = self._keys(private, key, record)
        rows, terms = object_terms(attributes, keys)
        unsealed = ObjectRecord(number, private, version, rows, terms, b"")
        content = pack_template(tuple(attributes.items()))
        return unsealed._replace(content=keys.protect(content, self._associated(unsealed)))

    def _associated(self, record: ObjectRecord) -> bytes:
        """Return what binds a record's content to its token, number and version."""
        return b"object " + self._record.serial.encode() + _ASSOCIATED.pack(record.number, record.version, record.private)

    def _changed(self, change: tuple[int | None, int], record, numbers: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
        """Keep what is remembered over this process's own change, if nobody else changed anything."""
        with self._hsm.store.lock:
            if self._hsm.advance(*change):
                self._record = record
                self._changes = record.changes
                self._searches.clear()
                for number in numbers:
                    self._open.pop(number, None)
                    self._sealed.pop(number, None)

    def _require_pin(self, record, role: int) -> None:  # type: ignore[no-untyped-def]
        """Refuse a login for a PIN that is not set."""
        if getattr(record, _PIN[role]) is None:
            code = CKR.USER_PIN_NOT_INITIALIZED if role == CKU.USER else CKR.TOKEN_NOT_INITIALIZED
            raise CryptokiError(code, f"{_PIN[role]} is not set")

    def _require_key(self, record, token_key: bytes) -> None:  # type: ignore[no-untyped-def]
        """Refuse a token key from before the token was initialised anew."""
        if record.proof != _proof(token_key):
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the token was initialised anew")

    def _failures(self, record, role: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
        """Return the number of wrong PINs in a row and when the last was."""
        if self._hsm.write_protected:
            return self._attempts[role]
        return getattr(record, _FAILURES[role]), getattr(record, _FAILED_AT[role])

    def _count(self, role: int, failures: int, failed_at: int) -> None:
        """Keep the number of wrong PINs: in the store, or in this process where that cannot be written."""
        if self._hsm.write_protected:
            self._attempts[role] = (failures, failed_at)
            return
        store = self._hsm.store
        with store.writing():
            store.put_token(self._stored()._replace(**{_FAILURES[role]: failures, _FAILED_AT[role]: failed_at}))

    def _attempt(self, role: int, pin: bytes) -> bytes:
        """Try a PIN under the attempt lock; the failure is on the disk before the PIN is tried."""
        record = self._stored()
        self._require_pin(record, role)
        failures, failed_at = self._failures(record, role)
        now = pins.milliseconds()
        if pins.waiting(failures, failed_at, now):
            if now < failed_at:
                self._count(role, failures, now)
            raise CryptokiError(CKR.PIN_LOCKED, f"after {failures} wrong PINs a login has to wait")
        self._count(role, failures + 1, now)
        token_key = pins.open_pin(self._hsm.device_key, self._holder(role), pin, getattr(record, _PIN[role]))
        if token_key is None:
            raise CryptokiError(CKR.PIN_INCORRECT, f"wrong PIN, {failures + 1} in a row")
        self._count(role, 0, 0)
        return token_key

    def _attempt_lock(self) -> pins.AttemptLock:
        """Return the lock that makes login attempts serial."""
        return pins.AttemptLock(os.path.join(self._hsm.directory, f"token-{self.number}.lock"))

    def _holder(self, role: int) -> bytes:
        """Return what binds a PIN record to its token and role."""
        return f"{_PIN[role]} {self._record.serial}".encode()

    def _seal_pin(self, role: int, pin: bytes, token_key: bytes) -> bytes:
        """Return a PIN record."""
        return pins.seal_pin(self._hsm.device_key, self._holder(role), pin, token_key)


def _proof(token_key: bytes) -> bytes:
    """Return what recognises a token key and says nothing about it."""
    return expand(token_key, b"proof")

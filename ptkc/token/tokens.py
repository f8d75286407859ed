"""A token: what C_GetTokenInfo says of it, and its PINs.

The token key goes out at a login and comes back with each call that needs it. It is never stored but under a PIN.
"""

from __future__ import annotations

import os
from _thread import RLock

from ptkc.spec.constants import CKF, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token import pins
from ptkc.token.contents import Contents, ObjectChangedError, Owner, proof
from ptkc.token.events import Event
from ptkc.token.seal import KEY_LENGTH, random_bytes
from ptkc.token.store import PinRecord, Store, TokenRecord

__all__ = ["ObjectChangedError", "Owner", "Token"]

_ROLES = {CKU.SO: b"so_pin", CKU.USER: b"user_pin"}
_FLAGS = {
    CKU.SO: (CKF.SO_PIN_COUNT_LOW, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_LOCKED),
    CKU.USER: (CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED),
}
_WHO = {CKU.SO: "SO", CKU.USER: "user"}
_LABEL_LENGTH = 32
_LOCAL_ATTEMPTS = RLock()


class Token(Contents):
    """One token of an HSM."""

    __slots__ = ("_attempts",)

    def __init__(self, hsm: Owner, slot: int, record: TokenRecord) -> None:
        """Belong to an HSM, which gives the record anew by `take`."""
        super().__init__(hsm, slot, record)
        self._attempts = (PinRecord(), PinRecord())

    # What C_GetTokenInfo says

    @property
    def is_admin(self) -> bool:
        """Whether it is the Admin token."""
        return self._fresh().admin

    @property
    def label(self) -> bytes:
        """The label, at most 32 bytes, without padding."""
        return self._fresh().label

    @property
    def serial(self) -> str:
        """The token's serial, at most 16 characters."""
        return self._fresh().serial

    @property
    def initialised(self) -> bool:
        """Whether the SO PIN is set."""
        return self._fresh().pins[CKU.SO].sealed is not None

    @property
    def user_pin_set(self) -> bool:
        """Whether the user PIN is set."""
        return self._fresh().pins[CKU.USER].sealed is not None

    def pin_state(self, role: int) -> int:
        """Return the CKF_*_PIN_COUNT_LOW, _FINAL_TRY and _LOCKED flags of CKU_SO or CKU_USER.

        Locked means that a delay runs; final try that the next wrong PIN begins one.
        """
        low, final, locked = _FLAGS[role]
        pin = self._failures(self._fresh(), role)
        if not pin.failures:
            return 0
        if pins.waiting(pin.failures, pin.failed_at, pins.milliseconds()):
            return low | locked
        return low | final if pins.delay(pin.failures + 1) else low

    # PINs

    def access(self, role: int | None, key: bytes | None) -> tuple[bytes | None, bytes | None]:
        """Return what tells logins apart, CKU_SO or CKU_USER with the token key, both None for nobody; no secret.

        It is another one when the token has been initialised anew, or the role has got a new PIN.
        """
        record = self._fresh()
        return (record.proof, None) if role is None or key is None else (proof(key), record.pins[role].sealed)

    def initialise(self, so_pin: bytes, label: bytes) -> None:
        """Initialise the token, or do so anew with the right SO PIN (C_InitToken).

        All objects and the user PIN are gone then. CKR_PIN_INCORRECT (counted), CKR_PIN_LOCKED, CKR_PIN_LEN_RANGE,
        CKR_PIN_INVALID. The Admin token keeps its label; while it has an Administrator it is CKR_ACTION_PROHIBITED
        (ours): the ASO would take that one's place, and with it the identity.
        """
        if not self.initialised:
            pins.check_new_pin(so_pin)
        store = self._hsm.materialise()
        with self._attempt_lock():
            if self._stored(store).pins[CKU.SO].sealed is not None:
                self._attempt(store, CKU.SO, so_pin)
            self._begin_anew(store, None, so_pin, label, Event.TOKEN_INITIALISED)

    def reset(self, token_key: bytes, pin: bytes, label: bytes) -> None:
        """Empty an initialised token, by the logged-in SO (CT_ResetToken): objects and user PIN go.

        The SO PIN and the label are new, and so is the token key. CKR_TOKEN_NOT_INITIALIZED, CKR_PIN_LEN_RANGE,
        CKR_PIN_INVALID. For the Admin token as `initialise`.
        """
        pins.check_new_pin(pin)
        self._require_pin(self._fresh(), CKU.SO)
        store = self._hsm.materialise()
        with self._attempt_lock():
            self._begin_anew(store, token_key, pin, label, Event.TOKEN_RESET)

    def _begin_anew(self, store: Store, old_key: bytes | None, so_pin: bytes, label: bytes, event: int) -> None:
        """Delete all objects, draw a token key, set the SO PIN; with an old key only if that is the token's."""
        token_key = random_bytes(KEY_LENGTH)
        device_key = self._hsm.device_key
        sealed = self._seal_pin(CKU.SO, so_pin, token_key)
        with store.writing():
            record = self._stored(store)
            self._require_device_key(device_key)
            if old_key is not None:
                self._require_key(record, old_key)
            if record.admin and record.pins[CKU.USER].sealed is not None:
                raise CryptokiError(CKR.ACTION_PROHIBITED, "the Admin token begins anew with a tamper alone")
            store.delete_objects(self.number)
            if not record.admin:
                record.label = label.rstrip(b" ")[:_LABEL_LENGTH]
            record.proof = proof(token_key)
            record.changes += 1
            record.pins = (PinRecord(sealed), PinRecord())
            store.put_token(record)
            self._hsm.record_event(store, event, record.serial)

    def login(self, role: int, pin: bytes) -> bytes:
        """Return the token key for the right PIN of CKU_SO or CKU_USER.

        CKR_PIN_INCORRECT (counted), CKR_PIN_LOCKED while a delay runs, CKR_USER_PIN_NOT_INITIALIZED.
        """
        self._require_pin(self._fresh(), role)
        store = self._hsm.store
        if store is None:
            raise CryptokiError(CKR.DEVICE_REMOVED, "the HSM was closed")
        with self._attempt_lock():
            return self._attempt(store, role, pin)

    def init_user_pin(self, token_key: bytes, pin: bytes, replace: bool = True) -> None:  # noqa: FBT001, FBT002
        """Set the user PIN, or replace it, by the SO (C_InitPIN); private objects stay.

        CKR_PIN_ALREADY_INITIALIZED if there is one and it is not to be replaced.
        """
        pins.check_new_pin(pin)
        store = self._hsm.materialise()
        with self._attempt_lock():
            sealed = self._seal_pin(CKU.USER, pin, token_key)
            with store.writing():
                record = self._stored(store)
                self._require_key(record, token_key)
                if not replace and record.pins[CKU.USER].sealed is not None:
                    raise CryptokiError(CKR.PIN_ALREADY_INITIALIZED, "the user PIN is set: its owner changes it")
                record.pins = (record.pins[CKU.SO], PinRecord(sealed))
                store.put_token(record)

    def set_pin(self, role: int, old: bytes, new: bytes) -> None:
        """Change a PIN (C_SetPIN); CKR_PIN_INCORRECT (counted), CKR_PIN_LOCKED, CKR_PIN_LEN_RANGE, CKR_PIN_INVALID."""
        pins.check_new_pin(new)
        self._require_pin(self._fresh(), role)
        store = self._hsm.materialise()
        with self._attempt_lock():
            token_key = self._attempt(store, role, old)
            sealed = self._seal_pin(role, new, token_key)
            with store.writing():
                record = self._stored(store)
                self._require_key(record, token_key)
                record.pins[role].sealed = sealed
                store.put_token(record)

    def _require_device_key(self, device_key: bytes) -> None:
        """Refuse to go on with a device key that another thread has seen replaced: CKR_DEVICE_RESET."""
        if device_key != self._hsm.device_key:
            raise CryptokiError(CKR.DEVICE_RESET, "the HSM was tampered meanwhile")

    def _require_pin(self, record: TokenRecord, role: int) -> bytes:
        """Return the PIN record of a role; refuse a login for a PIN that is not set."""
        sealed = record.pins[role].sealed
        if sealed is None:
            code = CKR.USER_PIN_NOT_INITIALIZED if role == CKU.USER else CKR.TOKEN_NOT_INITIALIZED
            raise CryptokiError(code, "the PIN is not set")
        return sealed

    def _failures(self, record: TokenRecord, role: int) -> PinRecord:
        """Return what counts wrong PINs: the store's record, or this process's own where that cannot be written."""
        return (self._attempts if self._hsm.write_protected else record.pins)[role]

    def _count(self, store: Store, role: int, failures: int, failed_at: int) -> None:
        """Keep the number of wrong PINs in a row."""
        if self._hsm.write_protected:
            self._attempts[role].failures, self._attempts[role].failed_at = failures, failed_at
            return
        with store.writing():
            record = self._stored(store)
            record.pins[role].failures, record.pins[role].failed_at = failures, failed_at
            store.put_token(record)

    def _attempt(self, store: Store, role: int, pin: bytes) -> bytes:
        """Try a PIN under the attempt lock; the failure is on the disk before the PIN is tried."""
        device_key = self._hsm.device_key
        record = self._stored(store)
        self._require_device_key(device_key)
        sealed = self._require_pin(record, role)
        counted = self._failures(record, role)
        failures, now = counted.failures, pins.milliseconds()
        if pins.waiting(failures, counted.failed_at, now):
            if now < counted.failed_at:
                self._count(store, role, failures, now)
            raise CryptokiError(CKR.PIN_LOCKED, f"after {failures} wrong PINs a login has to wait")
        self._count(store, role, failures + 1, now)
        token_key = pins.open_pin(device_key, self._holder(role), pin, sealed)
        if token_key is None:
            if failures + 1 == pins.FIRST_DELAYED and not self._hsm.write_protected:
                with store.writing():
                    self._hsm.record_event(store, Event.PIN_LOCKED, f"{_WHO[role]} {record.serial}")
            raise CryptokiError(CKR.PIN_INCORRECT, f"wrong PIN, {failures + 1} in a row")
        self._count(store, role, 0, 0)
        return token_key

    def forget_lock(self) -> None:
        """Delete the attempt lock's file, when the token is gone."""
        try:
            os.unlink(os.path.join(self._hsm.directory, f"token-{self.number}.lock"))
        except OSError:
            return

    def _attempt_lock(self) -> pins.AttemptLock | RLock:
        """Return the lock that makes login attempts serial: for this process only where nothing can be written."""
        hsm = self._hsm
        if hsm.write_protected:
            return _LOCAL_ATTEMPTS
        try:
            mode = os.stat(hsm.directory).st_mode & 0o660
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{hsm.directory}: {error.strerror}") from error
        return pins.AttemptLock(os.path.join(hsm.directory, f"token-{self.number}.lock"), mode)

    def _holder(self, role: int) -> bytes:
        """Return what binds a PIN record to its token and role."""
        return _ROLES[role] + b" " + self._record.serial.encode()

    def _seal_pin(self, role: int, pin: bytes, token_key: bytes) -> bytes:
        """Return a PIN record."""
        return pins.seal_pin(self._hsm.device_key, self._holder(role), pin, token_key)

"""What an HSM keeps beside its tokens: boot number, policy, clock, monotonic counter, event log, slots.

The policy (security mode and transport mode) carries a MAC under a key from the device key, is gone with a tamper, and
is opened only when somebody asks for it. A virtual HSM has default values and becomes real at the first change.
With Tamper Before Upgrade the policy also has the firmware, which is the version of ptkc: another one does not open the
HSM before it was erased.
"""

from __future__ import annotations

from struct import Struct
from time import time

from ptkc import __version__
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.directories import new_token
from ptkc.token.events import CAPACITY, LAST_TIME, Event, pack
from ptkc.token.keysource import KeySource, Roots
from ptkc.token.opened import OpenedHsm
from ptkc.token.seal import KEY_LENGTH, sign, verified
from ptkc.token.store import IDENTITY, HsmRecord, Store
from ptkc.token.tokens import Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CONTINUOUS_TRANSPORT", "NO_TRANSPORT", "SINGLE_TRANSPORT", "HsmState", "policy_key", "policy_values"]

NO_TRANSPORT, SINGLE_TRANSPORT, CONTINUOUS_TRANSPORT = 0, 1, 2
_POLICY = Struct("<QQ")
_DEFAULT = (0, NO_TRANSPORT, "")


def policy_key(device_key: bytes) -> bytes:
    """Return the key of the MAC of an HSM's policy."""
    return sign(device_key, b"policy")[:KEY_LENGTH]


def policy_values(key: bytes, sealed: bytes) -> tuple[int, int, str] | None:
    """Return (security mode, transport mode, firmware) of a stored policy, None if its MAC is wrong.

    The firmware is empty without Tamper Before Upgrade.
    """
    content = verified(key, sealed)
    if content is None or len(content) < _POLICY.size:
        return None
    security, transport = _POLICY.unpack_from(content)
    return security, transport, content[_POLICY.size :].decode("ascii", "replace")


class HsmState(OpenedHsm):
    """The part of an `Hsm` that is its state."""

    __slots__ = ("_policy",)

    def __init__(self, data_path: str, keys: KeySource, serial: str) -> None:
        """Keep what `open` found."""
        super().__init__(data_path, keys, serial)
        self._policy: tuple[bytes | None, Roots | None, tuple[int, int, str]] = (None, None, _DEFAULT)

    # Policy

    @property
    def security_mode(self) -> int:
        """The security flags, a mask; 0 by default and after a tamper. CKR_DEVICE_ERROR if somebody changed them."""
        self.refresh()
        return self._current_policy()[0]

    @property
    def transport_mode(self) -> int:
        """What happens at a removal: 0 a tamper, 1 nothing once, 2 nothing. CKR_DEVICE_ERROR as above."""
        self.refresh()
        return self._current_policy()[1]

    def set_policy(
        self, security_mode: int | None = None, transport_mode: int | None = None,
        check: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        """Change one or both; what is allowed is the caller's to know.

        `check` is given the security mode that is there, in the transaction, and raises if it may not be changed so.
        """
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            security, transport, _ = self._open_policy(record.policy)
            if check is not None:
                check(security)
            if security_mode is not None and security_mode != security:
                security = security_mode
                self.record_event(store, Event.SECURITY_MODE, f"{security:#x}")
            if transport_mode is not None and transport_mode != transport:
                transport = transport_mode
                self.record_event(store, Event.TRANSPORT_MODE, f"{transport}")
            record.policy = self._seal_policy(security, transport)
            store.put_hsm(record)

    def require_firmware(self) -> None:
        """Refuse an HSM with Tamper Before Upgrade that another version of ptkc has served: CKR_DEVICE_REMOVED.

        A policy that somebody changed is refused where it is asked for, not here: a tamper needs the HSM open.
        """
        sealed = self._record.policy
        policy = None if sealed is None else policy_values(policy_key(self.device_key), sealed)
        firmware = "" if policy is None else policy[2]
        if firmware not in ("", __version__):
            raise CryptokiError(
                CKR.DEVICE_REMOVED,
                f"HSM {self.serial} is of firmware {firmware}, not {__version__}, and Tamper Before Upgrade is set: "
                f"`ptkc hsm upgrade {self.serial}` erases its tokens and goes on",
            )

    def _current_policy(self) -> tuple[int, int, str]:
        """Return (security mode, transport mode, firmware) of the record that was read last."""
        sealed, roots, policy = self._policy
        if sealed != self._record.policy or roots is not self._roots:
            sealed, roots = self._record.policy, self._roots
            policy = self._open_policy(sealed)
            self._policy = (sealed, roots, policy)
        return policy

    def _open_policy(self, sealed: bytes | None) -> tuple[int, int, str]:
        """Return (security mode, transport mode, firmware); CKR_DEVICE_ERROR if the MAC is wrong."""
        if sealed is None:
            return _DEFAULT
        policy = policy_values(policy_key(self.device_key), sealed)
        if policy is None:
            raise CryptokiError(CKR.DEVICE_ERROR, "the MAC of the security policy is wrong: it was changed")
        return policy

    def _seal_policy(self, security: int, transport: int) -> bytes | None:
        """Return the policy as it is stored."""
        firmware = __version__ if security & CKF.TAMPER_BEFORE_UPGRADE else ""
        if (security, transport, firmware) == _DEFAULT:
            return None
        return sign(policy_key(self.device_key), _POLICY.pack(security, transport) + firmware.encode())

    def _without_single_transport(self, sealed: bytes | None) -> bytes | None:
        """Return a stored policy whose transport mode is 0 if it was 1."""
        security, transport, _ = self._open_policy(sealed)
        return self._seal_policy(security, NO_TRANSPORT) if transport == SINGLE_TRANSPORT else sealed

    # Restart, clock, counter

    @property
    def manufactured(self) -> int:
        """When the HSM was made, Unix time in seconds."""
        self.refresh()
        return self._record.manufactured

    @property
    def tampers(self) -> int:
        """How often the HSM was tampered with."""
        self.refresh()
        return self._record.tampers

    def restart(self) -> None:
        """Raise the boot number: every process ends its sessions; transport mode 1 ends too."""
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            record.boot += 1
            record.policy = self._without_single_transport(record.policy)
            store.put_hsm(record)
            self.record_event(store, Event.RESTART, "")

    def now(self) -> float:
        """Return the time by the HSM's clock, Unix time in seconds: from 1970 to the last year of four digits."""
        self.refresh()
        return min(max(time() + self._record.clock / 1000, 0), LAST_TIME)

    @property
    def clock_offset(self) -> float:
        """How many seconds the HSM's clock is ahead of the machine's."""
        self.refresh()
        return self._record.clock / 1000

    def set_clock(self, seconds: float) -> None:
        """Set the HSM's clock to a Unix time in seconds; PIN delays go by the machine's clock all the same."""
        self.set_clock_offset(seconds - time())

    def set_clock_offset(self, seconds: float) -> None:
        """Have the HSM's clock so many seconds ahead of the machine's; CKR_ARGUMENTS_BAD for what `now` cannot be."""
        if not -1 < time() + seconds <= LAST_TIME:
            raise CryptokiError(CKR.ARGUMENTS_BAD, "an HSM's clock stands between the years 1970 and 9999")
        offset = round(seconds * 1000)
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            record.clock = offset
            store.put_hsm(record)
            self.record_event(store, Event.CLOCK_SET, f"{offset / 1000:+.3f} s")

    def next_count(self) -> int:
        """Raise the monotonic counter and return it, when it is on the disk; it survives everything."""
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            record.counter += 1
            store.put_hsm(record)
        return record.counter

    @property
    def count(self) -> int:
        """The monotonic counter as it stands."""
        self.refresh()
        return self._record.counter

    # Event log

    def events(self) -> list[bytes]:
        """Return the records of the event log (`events.unpack`), oldest first."""
        self.refresh()
        store = self.store
        return [] if store is None else store.events()

    @property
    def event_log_full(self) -> bool:
        """Whether nothing more is recorded until the log is purged."""
        self.refresh()
        store = self.store
        return store is not None and store.event_numbers()[0] >= CAPACITY

    def log_event(self, code: int, detail: str) -> None:
        """Record an event with up to 24 ASCII characters, unless the log is full or cannot be written."""
        if self.write_protected:
            return
        store = self.materialise()
        if store.event_numbers()[0] >= CAPACITY:
            return
        with store.writing():
            self.record_event(store, code, detail)

    def purge_events(self) -> None:
        """Empty the event log, if it is full: CKR_EVENT_LOG_NOT_FULL."""
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            count, last = store.event_numbers()
            if count < CAPACITY:
                raise CryptokiError(CKR.EVENT_LOG_NOT_FULL, f"the event log has {count} of {CAPACITY} records")
            store.delete_events()
            text = f"{count} records"
            store.put_event(last + 1, pack(last + 1, Event.LOG_PURGED, time() + record.clock / 1000, text))

    # Slots

    def add_slot(self) -> Token:
        """Add a user slot behind the others and return its token, which is uninitialised.

        CKR_DEVICE_RESET if another process took it away again at once.
        """
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            record.slots += 1
            if record.slots >= IDENTITY:
                raise CryptokiError(CKR.DEVICE_MEMORY, "no more slots can be numbered")
            token = new_token(record)
            store.put_token(token)
            store.put_hsm(record)
            self.record_event(store, Event.SLOT_ADDED, token.serial)
        for known in self.tokens:
            if known.number == token.number:
                return known
        raise CryptokiError(CKR.DEVICE_RESET, "the HSM was tampered meanwhile, or the slot deleted")

    def remove_slot(self, token: Token) -> None:
        """Delete a user slot with its token and its objects.

        CKR_FUNCTION_REJECTED for the Admin slot, CKR_DEVICE_REMOVED if the slot is gone already.
        """
        store = self.materialise()
        if token.is_admin:
            raise CryptokiError(CKR.FUNCTION_REJECTED, "the Admin slot cannot be deleted")
        serial = token.serial
        with store.writing():
            self._changing(store)
            if all(record.number != token.number for record in store.tokens()):
                raise CryptokiError(CKR.DEVICE_REMOVED, "the slot was deleted")
            store.delete_token(token.number)
            self.record_event(store, Event.SLOT_REMOVED, serial)
        token.forget_lock()

    def _changing(self, store: Store) -> HsmRecord:
        """Return the HSM's record in a transaction, to be changed and put back; CKR_DEVICE_RESET after a tamper."""
        self.require_untampered(store)
        return store.hsm()

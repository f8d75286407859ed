"""Features: the objects that the HSM itself is, made anew at each look and never stored.

The adapter, one slot object a slot, and the hardware features clock, monotonic counter and event log (specification
4.3, and the vendor's classes); `hsm.profiles` has those of a token. They are found only by a template that names their
class: ordinary clients that list everything see none of them. What the Administrator may set is in each class's
`settable`; role and session are the device's to check. They are no keys and cannot be copied.
"""

from __future__ import annotations

import os
import time

from ptkc import __version__, mechanisms
from ptkc.hsm import policy
from ptkc.objects.kinds import BOOL, STRING, ULONG
from ptkc.spec.constants import CK, CKA, CKF, CKH, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, UNAVAILABLE, Attributes, Template, boolean, from_ulong, ulong
from ptkc.token.identity import PIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, ValuesView

    from ptkc.objects.kinds import Kind
    from ptkc.token.hsms import Hsm
    from ptkc.token.tokens import Token

    Reading = bytes | Callable[[], bytes]

__all__ = ["CREATED", "Clock", "Feature", "MonotonicCounter", "all_of", "has_identity", "slot_of", "token_of"]

CREATED = frozenset((ulong(CKO.ADAPTER), ulong(CKO.SLOT)))
"""The canonical values of CKA_CLASS by which C_CreateObject makes a feature, or refuses as the vendor does."""

_CLOCK = "%Y%m%d%H%M%S00"
_CLOCK_LENGTH = 16
_TRANSPORT_MODES = (CK.NO_TRANSPORT_MODE, CK.SINGLE_TRANSPORT_MODE, CK.CONTINUOUS_TRANSPORT_MODE)
_WRONG_PINS = 3
_COUNTER_LENGTH = CK.MONOTONIC_COUNTER_SIZE


class Readings(dict[int, bytes]):
    """Attributes of which some are asked for at each look: their values are functions until then."""

    def get(self, attribute: int, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        """Return the attribute as it is now."""
        value: Reading | None = super().get(attribute, default)
        return value() if callable(value) else value

    def __getitem__(self, attribute: int) -> bytes:
        value: Reading = super().__getitem__(attribute)
        return value() if callable(value) else value

    def values(self) -> ValuesView[bytes]:  # type: ignore[override]
        """Return all attributes as they are now."""
        return {attribute: self[attribute] for attribute in self}.values()


class Feature:
    """One of them.

    `key` says which, as long as the HSM is; `private` that only the Administrator sees it, `administered` that it is
    his to set and destroy.
    """

    __slots__ = ("hsm", "key")
    object_class = 0
    private = False
    administered = True
    settable: dict[int, Kind] = {}  # noqa: RUF012 - tables

    def __init__(self, hsm: Hsm, number: int) -> None:
        """Be the one of its class with this number: a slot's token, a hardware feature's type."""
        self.hsm = hsm
        self.key = (self.object_class, number)

    @property
    def exists(self) -> bool:
        """Whether it is still there."""
        return True

    def readings(self) -> dict[int, Reading]:
        """Return what it has beside `attributes`."""
        raise NotImplementedError

    def attributes(self) -> Attributes:
        """Return its attributes; some of the values are read when they are asked for."""
        shared: dict[int, Reading] = {
            CKA.CLASS: ulong(self.object_class),
            CKA.UNIQUE_ID: b"%08x-%x" % self.key,
            CKA.TOKEN: TRUE,
            CKA.PRIVATE: boolean(self.private),
            CKA.MODIFIABLE: boolean(bool(self.settable)),
            CKA.COPYABLE: FALSE,
            CKA.DESTROYABLE: boolean(self.object_class == CKO.SLOT),
        }
        return Readings({**shared, **self.readings()})  # type: ignore[dict-item]

    def set(self, template: Template) -> None:
        """Set attributes, all or none of those that can be refused.

        CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID for what it does not have, CKR_ATTRIBUTE_VALUE_INVALID,
        CKR_TEMPLATE_INCONSISTENT for one attribute twice.
        """
        given: Attributes = {}
        for attribute, value in template:
            kind = self.settable.get(attribute)
            if kind is None:
                has = attribute in self.attributes()
                code = CKR.ATTRIBUTE_READ_ONLY if has else CKR.ATTRIBUTE_TYPE_INVALID
                raise CryptokiError(code, f"{name_of(CKA, attribute)} cannot be set")
            if value is None or not kind.check(value):
                raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} is no {kind.name}")
            if attribute in given:
                raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, attribute)} is there twice")
            given[attribute] = value
        if given:
            self.change(given)

    def change(self, given: Attributes) -> None:
        """Do what setting these attributes, one or more of `settable`, means."""
        raise NotImplementedError

    def end(self) -> bool:
        """End it at the wish of whoever sees it; whether that is so."""
        return False


class Adapter(Feature):
    """The HSM: CKO_ADAPTER."""

    __slots__ = ()
    object_class = CKO.ADAPTER
    settable = {  # noqa: RUF012
        CKA.SECURITY_MODE: ULONG,
        CKA.TRANSPORT_MODE: ULONG,
        CKA.TAMPER_CMD: BOOL,
        CKA.HALT_CMD: BOOL,
    }

    def readings(self) -> dict[int, Reading]:
        """Return what the HSM says of itself, to anybody: how many events there are, but not which."""
        hsm = self.hsm
        return {
            CKA.LABEL: f"HSM {hsm.serial}".encode(),
            CKA.SERIAL_NUMBER: hsm.serial.encode(),
            CKA.MANUFACTURER: b"ptkc",
            CKA.HW_EXT_INFO_STR: self._extra,
            CKA.BATCH: b"0",
            CKA.FW_VERSION: __version__.encode(),
            CKA.DATE_OF_MANUFACTURE: self._manufactured,
            CKA.HW_STATUS: ulong(0),
            CKA.FREE_MEM: self._free,
            CKA.SECURITY_MODE: lambda: ulong(hsm.security_mode),
            CKA.TRANSPORT_MODE: lambda: ulong(hsm.transport_mode),
            CKA.RECORD_COUNT: lambda: ulong(len(hsm.events())),
            CKA.EVENT_LOG_FULL: lambda: boolean(hsm.event_log_full),
            CKA.TAMPER_CMD: FALSE,
            CKA.HALT_CMD: FALSE,
        }

    def _extra(self) -> bytes:
        """Return what it is made of, and how often it was tampered with."""
        return f"ptkc software, tampers: {self.hsm.tampers}".encode()

    def _manufactured(self) -> bytes:
        """Return the CK_DATE of the day on which the HSM was made."""
        return time.strftime("%Y%m%d", time.gmtime(self.hsm.manufactured)).encode()

    def _free(self) -> bytes:
        """Return how many bytes there is room for."""
        try:
            place = os.statvfs(self.hsm.directory)
        except OSError:  # the HSM is virtual
            return ulong(UNAVAILABLE)
        return ulong(place.f_bavail * place.f_frsize)

    def change(self, given: Attributes) -> None:
        """Set the modes together, then tamper with the HSM or restart it.

        CKR_SECURITY_FLAGS_INCOMPATIBLE and CKR_ACTION_PROHIBITED as `policy.check_mode` says.
        """
        hsm = self.hsm
        modes = {
            name: from_ulong(given[attribute])
            for name, attribute in (("security_mode", CKA.SECURITY_MODE), ("transport_mode", CKA.TRANSPORT_MODE))
            if attribute in given
        }
        if modes.get("transport_mode", 0) not in _TRANSPORT_MODES:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_TRANSPORT_MODE is 0, 1 or 2")
        known = has_identity(hsm)

        def check(current: int) -> None:
            if "security_mode" in modes:
                policy.check_mode(current, modes["security_mode"], has_identity=known)

        if modes:
            hsm.set_policy(**modes, check=check)
        if given.get(CKA.TAMPER_CMD) == TRUE:
            hsm.tamper("by the Administrator")
        elif given.get(CKA.HALT_CMD) == TRUE:
            hsm.restart()


class Slot(Feature):
    """A slot: CKO_SLOT; it stands for its token's number, whatever place in the list it comes to."""

    __slots__ = ()
    object_class = CKO.SLOT

    @property
    def token(self) -> Token | None:
        """The slot's token, None if the slot was deleted."""
        return next((token for token in self.hsm.tokens if token.number == self.key[1]), None)

    @property
    def exists(self) -> bool:
        """Whether the slot was not deleted."""
        return self.token is not None

    def readings(self) -> dict[int, Reading]:
        """Return what C_GetSlotInfo and C_GetTokenInfo say."""
        token = self.token
        if token is None:
            return {}
        return {
            CKA.SLOT_ID: ulong(token.slot),
            CKA.LABEL: token.label,
            CKA.SERIAL_NUMBER: token.serial.encode(),
            CKA.MIN_PIN_LEN: ulong(policy.shortest_pin(self.hsm.security_mode)),
            CKA.MAX_SESSIONS: ulong(CK.EFFECTIVELY_INFINITE),
            CKA.MAX_PIN_FAIL: ulong(_WRONG_PINS),
            CKA.FLAGS: ulong(CKF.TOKEN_PRESENT),
        }


class HardwareFeature(Feature):
    """CKO_HW_FEATURE: told from the others by its CKA_HW_FEATURE_TYPE."""

    __slots__ = ()
    object_class = CKO.HW_FEATURE

    def readings(self) -> dict[int, Reading]:
        """Return its type."""
        return {CKA.HW_FEATURE_TYPE: ulong(self.key[1])}


class Clock(HardwareFeature):
    """CKH_CLOCK (specification 4.3.3): the HSM's own clock, in UTC."""

    __slots__ = ()
    settable = {CKA.VALUE: STRING}  # noqa: RUF012

    def readings(self) -> dict[int, Reading]:
        """Return the time now."""
        value = lambda: time.strftime(_CLOCK, time.gmtime(self.hsm.now())).encode()  # noqa: E731 - a row
        return {**super().readings(), CKA.VALUE: value}

    def change(self, given: Attributes) -> None:
        """Set the clock; CKR_ATTRIBUTE_VALUE_INVALID for what is no time."""
        from calendar import timegm  # noqa: PLC0415 - start-up must not load it

        text = given[CKA.VALUE].decode()
        try:
            if len(text) != _CLOCK_LENGTH or not (text.isascii() and text.isdigit()):
                raise ValueError(text)  # noqa: TRY301
            seconds = timegm(time.strptime(text, _CLOCK))
            if seconds < 0:
                raise ValueError(text)  # noqa: TRY301
        except ValueError:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "the time is YYYYMMDDhhmmss00, from 1970 on") from None
        self.hsm.set_clock(seconds)


class MonotonicCounter(HardwareFeature):
    """CKH_MONOTONIC_COUNTER (specification 4.3.4): each value that is read is a new one."""

    __slots__ = ()

    def readings(self) -> dict[int, Reading]:
        """Return the next value, 20 bytes big-endian."""
        value = lambda: self.hsm.next_count().to_bytes(_COUNTER_LENGTH, "big")  # noqa: E731 - a row
        return {**super().readings(), CKA.VALUE: value, CKA.RESET_ON_INIT: FALSE, CKA.HAS_RESET: FALSE}


class EventLog(HardwareFeature):
    """CKH_EVENT_LOG: all records, oldest first; purged by CKA_PURGE when it is full."""

    __slots__ = ()
    private = True
    settable = {CKA.PURGE: BOOL}  # noqa: RUF012

    def readings(self) -> dict[int, Reading]:
        """Return the records, how many there are, and the number of the newest (0 without any)."""
        hsm = self.hsm
        return {
            **super().readings(),
            CKA.VALUE: lambda: b"".join(hsm.events()),
            CKA.RECORD_COUNT: lambda: ulong(len(hsm.events())),
            CKA.RECORD_NUMBER: lambda: ulong(int.from_bytes(b"".join(hsm.events()[-1:])[:4], "big")),
            CKA.EVENT_LOG_FULL: lambda: boolean(hsm.event_log_full),
            CKA.PURGE: FALSE,
        }

    def change(self, given: Attributes) -> None:
        """Purge the log; CKR_EVENT_LOG_NOT_FULL."""
        if given.get(CKA.PURGE) == TRUE:
            self.hsm.purge_events()


def all_of(hsm: Hsm) -> list[Feature]:
    """Return the features of an HSM, in the order of their classes."""
    return [
        Adapter(hsm, 0),
        *(Slot(hsm, token.number) for token in hsm.tokens),
        Clock(hsm, CKH.CLOCK),
        MonotonicCounter(hsm, CKH.MONOTONIC_COUNTER),
        EventLog(hsm, CKH.EVENT_LOG),
    ]


def slot_of(hsm: Hsm, token: Token) -> Feature:
    """Return the slot object of a token."""
    return Slot(hsm, token.number)


def token_of(feature: Feature) -> Token | None:
    """Return the token of a slot object; None for other features, and when the slot was deleted."""
    return feature.token if isinstance(feature, Slot) else None


def has_identity(hsm: Hsm) -> bool:
    """Whether the HSM has a PIC that is valid now, by its own clock: what protected messages need."""
    found = hsm.identity.find(((CKA.CLASS, ulong(CKO.CERTIFICATE)), (CKA.LABEL, PIC)), None)
    loaded = hsm.identity.load(found[0], None) if found else None
    if loaded is None:
        return False
    mechanisms.load()
    from ptkc.mechanisms.certificates import read_certificate  # noqa: PLC0415 - behind `load`

    return read_certificate(loaded[0][CKA.VALUE]).is_valid(hsm.now())

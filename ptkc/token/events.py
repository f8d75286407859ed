"""The event log of an HSM: what is recorded, and the 48 bytes of a record.

The log takes `CAPACITY` records; when it is full nothing more is recorded, and only then can it be purged. A record is
number (4 bytes) and code (4), big-endian, the time by the HSM's clock (16 ASCII digits, YYYYMMDDhhmmss00, UTC) and a
detail (24 ASCII characters, padded with blanks). Numbers rise by one and go on after a purge, so that a gap, or an
earlier time at a later number, shows. Codes and layout are ours.
"""

from __future__ import annotations

from collections import namedtuple
from struct import Struct
from time import gmtime, strftime, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.token.store import HsmRecord, Store

__all__ = [
    "CAPACITY", "LAST_TIME", "RECORD_LENGTH", "Entry", "Event", "add_event", "digits", "event_name", "pack", "unpack",
]  # fmt: skip

CAPACITY = 1024
RECORD_LENGTH = 48
_RECORD = Struct(">II16s24s")
LAST_TIME = 253402300799
"""The last second that has 14 digits, Unix time."""
_DETAIL = 24


class Event:
    """Codes of events; from `AUDIT` on those that are recorded only while PCI audit is on."""

    TAMPER = 1
    RESTART = 2
    CLOCK_SET = 3
    SECURITY_MODE = 4
    TRANSPORT_MODE = 5
    SLOT_ADDED = 6
    SLOT_REMOVED = 7
    TOKEN_INITIALISED = 8
    TOKEN_RESET = 9
    PIN_LOCKED = 10
    IDENTITY_REPLACED = 11
    PEER_TRUSTED = 12
    PEER_REMOVED = 13
    LOG_PURGED = 14
    AUDIT = 100
    AUDIT_LOGIN = 101
    AUDIT_LOGIN_FAILED = 102
    AUDIT_LOGOUT = 103
    AUDIT_PIN_SET = 104
    AUDIT_KEY_CREATED = 105
    AUDIT_KEY_DESTROYED = 106
    AUDIT_KEY_WRAPPED = 107
    AUDIT_KEY_CHANGED = 109


_NAMES = {code: name.lower().replace("_", " ") for name, code in vars(Event).items() if isinstance(code, int)}

Entry = namedtuple("Entry", "number code time detail")
"""A record taken apart: number, code, time (14 digits and 00) and detail (str)."""


def event_name(code: int) -> str:
    """Return what an event is called, as `clock set`."""
    return _NAMES.get(code, f"event {code}")


def digits(seconds: float) -> str:
    """Return a Unix time as 16 digits, UTC: YYYYMMDDhhmmss00."""
    return strftime("%Y%m%d%H%M%S00", gmtime(min(max(seconds, 0), LAST_TIME)))


def pack(number: int, code: int, seconds: float, detail: str) -> bytes:
    """Return a record; a longer detail is cut, and what is not printable ASCII becomes a question mark."""
    text = "".join(letter if " " <= letter <= "~" else "?" for letter in detail)
    return _RECORD.pack(number & 0xFFFFFFFF, code, digits(seconds).encode(), text.encode()[:_DETAIL].ljust(_DETAIL))


def unpack(record: bytes) -> Entry:
    """Take a record apart."""
    number, code, when, detail = _RECORD.unpack(record)
    return Entry(number, code, when.decode("ascii", "replace"), detail.decode("ascii", "replace").rstrip())


def add_event(store: Store, hsm: HsmRecord, code: int, detail: str) -> None:
    """Add an event to the log of the HSM in the transaction that is under way, unless the log is full."""
    count, last = store.event_numbers()
    if count < CAPACITY:
        store.put_event(last + 1, pack(last + 1, code, time() + hsm.clock / 1000, detail))

"""An HSM as its feature objects show it: adapter, clock, event log, slots; and what the Administrator sets there.

All of it goes through objects of the Admin token; what stands here as text is how the tools print it.
"""

from __future__ import annotations

import time
from calendar import timegm
from typing import TYPE_CHECKING, Any, NamedTuple

from pkcs11 import TokenFlag

from ptkc.hsm import policy
from ptkc.sms import protection
from ptkc.token import events as log
from ptkc.vendor import Attribute, HardwareFeature, ObjectClass, TransportMode

if TYPE_CHECKING:
    from ptkc.vendor import Device

__all__ = [
    "TRANSPORT_MODES", "Status", "adapter", "clock", "described", "event_log", "events", "fips", "local_time",
    "messaging", "modes", "seconds", "status",
]  # fmt: skip

TRANSPORT_MODES: dict[int, str] = {
    TransportMode.NONE: "none",
    TransportMode.SINGLE: "single",
    TransportMode.CONTINUOUS: "continuous",
}

_CLOCK = "%Y%m%d%H%M%S"
_HUNDREDTHS = 2
_BATTERY_LOW = 1
_MINUTES = 60


class Status(NamedTuple):
    """What an HSM says of itself without a PIN; `clock` in Unix time, `free` in bytes or None if that is unknown."""

    device: int
    serial: str
    model: str
    firmware: str
    manufactured: str
    batch: str
    clock: int
    battery: str
    mode: int
    transport: int
    free: int | None
    events: int
    log_full: bool
    tampers: int
    initialised: bool
    user_slots: int


def _feature(session: Any, kind: HardwareFeature) -> Any:  # noqa: ANN401 - python-pkcs11's session and object
    """Return a hardware feature of the HSM."""
    template = {Attribute.CLASS: ObjectClass.HW_FEATURE, Attribute.HW_FEATURE_TYPE: kind}
    (found,) = session.get_objects(template)
    return found


def adapter(session: Any) -> Any:  # noqa: ANN401 - as above
    """Return the object that is the HSM."""
    (found,) = session.get_objects({Attribute.CLASS: ObjectClass.ADAPTER})
    return found


def event_log(session: Any) -> Any:  # noqa: ANN401 - as above
    """Return the event log; the Administrator must be logged in."""
    return _feature(session, HardwareFeature.EVENT_LOG)


def clock(session: Any, now: float | None = None) -> int:  # noqa: ANN401 - as above
    """Return the HSM's time; with `now` the Administrator sets it before."""
    found = _feature(session, HardwareFeature.CLOCK)
    if now is not None:
        found[Attribute.VALUE] = time.strftime(_CLOCK, time.gmtime(round(now))).encode() + b"0" * _HUNDREDTHS
    return seconds(found[Attribute.VALUE].decode())


def status(device: Device) -> Status:
    """Ask an HSM what it says of itself."""
    token = device.admin
    with token.open() as session:
        found = adapter(session)
        values = found.get_attributes(
            (
                Attribute.FW_VERSION, Attribute.DATE_OF_MANUFACTURE, Attribute.BATCH, Attribute.HW_STATUS,
                Attribute.SECURITY_MODE, Attribute.TRANSPORT_MODE, Attribute.FREE_MEM, Attribute.RECORD_COUNT,
                Attribute.EVENT_LOG_FULL, Attribute.HW_EXT_INFO_STR,
            )
        )  # fmt: skip
        now = clock(session)
    free = values[Attribute.FREE_MEM]
    return Status(
        device=device.number,
        serial=device.serial,
        model=token.model,
        firmware=values[Attribute.FW_VERSION],
        manufactured=_day(values[Attribute.DATE_OF_MANUFACTURE]),
        batch=values[Attribute.BATCH],
        clock=now,
        battery="LOW" if values[Attribute.HW_STATUS] & _BATTERY_LOW else "GOOD",
        mode=values[Attribute.SECURITY_MODE],
        transport=values[Attribute.TRANSPORT_MODE],
        free=None if free >> 63 else free,
        events=values[Attribute.RECORD_COUNT],
        log_full=values[Attribute.EVENT_LOG_FULL],
        tampers=_tampers(values[Attribute.HW_EXT_INFO_STR]),
        initialised=bool(token.flags & TokenFlag.USER_PIN_INITIALIZED),
        user_slots=len(device.user_slots),
    )


def _day(digits: str) -> str:
    """Return YYYY-MM-DD for YYYYMMDD."""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _tampers(text: str) -> int:
    """Return how often the HSM was tampered with, from what it says beside its model."""
    number = text.rpartition("tampers: ")[2]
    return int(number) if number.isdigit() else 0


def events(session: Any) -> list[log.Entry]:  # noqa: ANN401 - python-pkcs11's session
    """Return the records of the event log, oldest first; the Administrator must be logged in."""
    raw = event_log(session)[Attribute.VALUE]
    return [log.unpack(raw[start : start + log.RECORD_LENGTH]) for start in range(0, len(raw), log.RECORD_LENGTH)]


def seconds(digits: str) -> int:
    """Return the Unix time of YYYYMMDDhhmmss and hundredths, as the HSM writes it."""
    return timegm(time.strptime(digits[:-_HUNDREDTHS], _CLOCK))


def local_time(at: int) -> str:
    """Return `30/08/2016 15:07:04 (-5:00+DST)`: a time here, and how far this place is from UTC."""
    here = time.localtime(at)
    offset = here.tm_gmtoff - (3600 if here.tm_isdst > 0 else 0)
    hours, minutes = divmod(abs(offset) // _MINUTES, _MINUTES)
    zone = f"{'-' if offset < 0 else '+'}{hours}:{minutes:02}{'+DST' * (here.tm_isdst > 0)}"
    return f"{time.strftime('%d/%m/%Y %H:%M:%S', here)} ({zone})"


def fips(mode: int) -> str:
    """Return whether the flags are those of FIPS Mode, or which of them are missing."""
    missing = policy.letters_of(policy.COMPOSITES["F"] & ~mode)
    return "yes" if missing == "0" else f"no, {' '.join(missing)} missing"


def messaging(mode: int) -> str:
    """Return in words what the flags want of secure messaging."""
    return described(protection.policy_of_flags(mode)) or "not demanded"


def described(policy: int) -> str:
    """Return in words which messages a policy of secure messaging protects, "" for none."""
    parts = []
    for what, requests, replies in (
        ("encrypted", protection.REQUESTS_ENCRYPTED, protection.REPLIES_ENCRYPTED),
        ("signed", protection.REQUESTS_SIGNED, protection.REPLIES_SIGNED),
    ):
        kinds = [word for word, bit in (("requests", requests), ("replies", replies)) if policy & bit]
        if what == "encrypted" and not policy & requests and policy & protection.SENSITIVE_ENCRYPTED:
            kinds.insert(0, "sensitive requests")
        if kinds:
            parts.append(f"{' and '.join(kinds)} {what}")
    return ", ".join(parts)


def modes(mode: int) -> str:
    """Return the names of the security flags that are set."""
    return ", ".join(policy.names_of(mode)) or "Default Mode"

"""The slots that `-s<slot>` names, their tokens' states, and sessions on them for the tools' roles."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from pkcs11 import PKCS11Error, TokenFlag

from ptkc.tools import common, devices, pins
from ptkc.vendor import pin_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ptkc.vendor import Device

__all__ = ["Place", "at", "every", "hinted", "officer", "require_initialised", "state", "user"]


class Place(NamedTuple):
    """A slot: the HSM it is of, python-pkcs11's slot, its token as it was at the start, is it the Admin slot."""

    device: Device
    slot: Any
    token: Any
    is_admin: bool

    @property
    def number(self) -> int:
        """The slot's number."""
        return int(self.slot.slot_id)

    @property
    def name(self) -> str:
        """What prompts and messages call the token."""
        if self.is_admin:
            return f"HSM {self.device.serial}"
        label = self.token.label
        return f"slot {self.number} ({label})" if label else f"slot {self.number}"

    @property
    def owner(self) -> pins.Role:
        """Whose PIN the token's user PIN is."""
        return pins.ADMIN if self.is_admin else pins.USER

    @property
    def officer(self) -> pins.Role:
        """Whose PIN the token's SO PIN is."""
        return pins.ASO if self.is_admin else pins.SO

    @property
    def pin_lengths(self) -> tuple[int, int]:
        """How many bytes a new PIN has at least and at most: more under Increased Security."""
        return pin_lengths(self.slot)

    def has(self, flag: TokenFlag) -> bool:
        """Whether the token had this flag at the start."""
        return bool(self.token.flags & flag)


def every(found: Sequence[Device] | None = None) -> list[Place]:
    """Return all slots of these HSMs, of all if none are given, in the order of their numbers."""
    places: list[Place] = []
    for device in devices.connect() if found is None else found:
        admin = device.admin.slot.slot_id
        places += [Place(device, slot, slot.get_token(), slot.slot_id == admin) for slot in device.slots]
    return places


def at(number: int, found: Sequence[Device] | None = None) -> Place:
    """Return the slot of this number; ToolError says which there are."""
    places = every(found)
    for place in places:
        if place.number == number:
            return place
    known = ", ".join(f"{place.number}{' (Admin)' * place.is_admin}" for place in places)
    raise common.ToolError(f"there is no slot {number}", f"there are the slots {known}; `ctstat` lists them")


def state(place: Place) -> str:
    """Return what can be done with a token."""
    if not place.has(TokenFlag.TOKEN_INITIALIZED):
        return "uninitialised"
    return "initialised" if place.has(TokenFlag.USER_PIN_INITIALIZED) else "no user PIN"


def require_initialised(place: Place) -> None:
    """Refuse a token that is not initialised."""
    if not place.has(TokenFlag.TOKEN_INITIALIZED):
        if place.is_admin:
            raise common.ToolError(
                f"the Admin token of {place.name} is not initialised",
                f"`ctconf -asn:{place.device.serial}` sets its PINs; after a tamper they must be set again",
            )
        hint = f"`ctkmu t -s{place.number} -l<label>` or `ctconf -n{place.number}` initialises it"
        raise common.ToolError(f"the token in slot {place.number} is not initialised", hint)


def user(place: Place, pin: str | None = None, *, rw: bool = True) -> Any:  # noqa: ANN401 - python-pkcs11's session
    """Return a session with the token's owner, or the Administrator, logged in; read-only needs no writable disk."""
    require_initialised(place)
    if not place.has(TokenFlag.USER_PIN_INITIALIZED):
        hint = f"`ctkmu p -s{place.number}` sets it"
        raise common.ToolError(f"{place.name} has no {place.owner.name} yet", hint)
    return pins.log_in(place.token, place.owner, place.device.serial, place.name, pin, rw=rw)


def officer(place: Place, pin: str | None = None) -> Any:  # noqa: ANN401 - as above
    """Return a read/write session with the token's Security Officer, or the ASO, logged in."""
    require_initialised(place)
    return pins.log_in(place.token, place.officer, place.device.serial, place.name, pin)


@contextlib.contextmanager
def hinted(hints: Mapping[str, str]) -> Iterator[None]:
    """Say of what the HSM refuses what it means here: `hints` by the names of return codes."""
    try:
        yield
    except PKCS11Error as error:
        message, hint = common.reason(error)
        raise common.ToolError(message, hints.get(message.partition(":")[0], hint)) from None

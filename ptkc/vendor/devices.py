"""The library, and its slots by HSM.

A device number is the HSM's place among those that are there now, and changes when one goes away; a serial number does
not. Applications may be spared the Admin slots (`ET_PTKC_GENERAL_HIDE_ADMIN_SLOT`); whoever calls `lib` here sees them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pkcs11
from pkcs11.types import Slot, Token

import ptkc
from ptkc.vendor.calls import call, ffi, filled, handle_of, loaded
from ptkc.vendor.names import Attribute, TokenFlag

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - python-pkcs11 writes it small

__all__ = [
    "Device", "devices", "fetch_certificate", "hsm_id", "hsm_id_of_slot", "init_admin", "lib", "padded", "pin_lengths",
]  # fmt: skip

_HIDE = "ET_PTKC_GENERAL_HIDE_ADMIN_SLOT"
_TRIES = 3
_LABEL_LENGTH = 32


def lib(path: str | None = None) -> Library:
    """Return python-pkcs11's library of `libptkc.so`, initialised, with every Admin slot in sight.

    `path` is that of the shared object, by default the one of this package. What this module calls past python-pkcs11
    goes to the shared object that was given here last. A library that the process has initialised already by
    `pkcs11.lib`, with its Admin slots hidden, stays as it is until it is finalised.
    """
    so = path or os.path.join(os.path.dirname(os.path.realpath(ptkc.__file__)), "libptkc.so")
    with _admin_slots_in_sight():
        library = pkcs11.lib(so)
    loaded(so)
    return library


@contextmanager
def _admin_slots_in_sight() -> Iterator[None]:
    """Have C_Initialize read NO for the item: the environment is the level above all files."""
    before = os.environ.get(_HIDE)
    os.environ[_HIDE] = "NO"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_HIDE]
        else:
            os.environ[_HIDE] = before


class Device(NamedTuple):
    """An HSM: its number, its serial number, its slots (user slots first, the Admin slot last)."""

    number: int
    serial: str
    slots: list[Slot]

    @property
    def admin_slot(self) -> Slot:
        """The Admin slot."""
        return self.slots[-1]

    @property
    def admin(self) -> Token:
        """The Admin token, with its flags as they are now."""
        return self.admin_slot.get_token()

    @property
    def user_slots(self) -> list[Slot]:
        """The slots but the Admin slot."""
        return self.slots[:-1]


def devices(library: Library) -> list[Device]:
    """Return the HSMs that are there, by number; one that goes away meanwhile is left out.

    They need not be initialised. An HSM whose Admin slot is hidden (see `lib`) is left out too.
    """
    for _ in range(_TRIES):
        slots: dict[int, list[Slot]] = {}
        admins: dict[int, tuple[Slot, str]] = {}
        try:
            for slot in library.get_slots():
                _sort_in(slot, slots, admins)
        except (pkcs11.SlotIDInvalid, pkcs11.DeviceRemoved, pkcs11.TokenNotPresent):
            continue  # slots were renumbered while we looked
        break
    return [
        Device(number, serial, [*slots.get(number, ()), admin]) for number, (admin, serial) in sorted(admins.items())
    ]


def _sort_in(slot: Slot, slots: dict[int, list[Slot]], admins: dict[int, tuple[Slot, str]]) -> None:
    """Put a slot to those of its HSM."""
    number = hsm_id_of_slot(slot.slot_id)
    token = slot.get_token()
    if token.flags & TokenFlag.ADMIN_TOKEN:
        admins[number] = (slot, token.serial.decode())
    else:
        slots.setdefault(number, []).append(slot)


def hsm_id_of_slot(slot_id: int) -> int:
    """Return the device number of the HSM that a slot is of (CT_HsmIdFromSlotId)."""
    number = ffi.new("unsigned int *")
    call("CT_HsmIdFromSlotId", slot_id, number)
    return int(number[0])


def hsm_id(session: pkcs11.Session) -> int:
    """Return the device number of the HSM that a session is with (CT_GetHSMId)."""
    number = ffi.new("CK_ULONG *")
    call("CT_GetHSMId", handle_of(session), number)
    return int(number[0])


def fetch_certificate(device_number: int, kind: Attribute) -> bytes | None:
    """Return a certificate of an HSM in DER without any session or PIN; None if it has none (CT_FetchCertificate).

    `kind` is `Attribute.LOCAL_IDENTITY_CERT` for its PIC, `Attribute.HSM_OWNER_CERT` for the POC it goes by.
    """
    try:
        return filled("CT_FetchCertificate", device_number, int(kind))
    except pkcs11.ObjectHandleInvalid:
        return None


def pin_lengths(slot: Slot) -> tuple[int, int]:
    """Return how many bytes a new PIN of the slot's token has at least and at most, as the security flags are now."""
    info = ffi.new("CK_TOKEN_INFO *")
    call("C_GetTokenInfo", slot.slot_id, info)
    return int(info.shortest_pin), int(info.longest_pin)


def init_admin(slot: Slot, so_pin: str, pin: str, label: str | None = None) -> None:
    """Give an Admin token its two first PINs: the ASO's and the Administrator's (C_InitToken and C_InitPIN).

    Without `label` it is `AdminToken (<serial>)`. Where the ASO's PIN is set already, by a call that was interrupted,
    only the Administrator's is set, by the ASO.
    """
    token = slot.get_token()
    if not token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
        secret = so_pin.encode()
        name = padded(f"AdminToken ({token.serial.decode()})" if label is None else label)
        call("C_InitToken", slot.slot_id, secret, len(secret), name)
    with slot.get_token().open(rw=True, so_pin=so_pin) as session:
        session.init_pin(pin)


def padded(label: str) -> bytes:
    """Return a token label as Cryptoki takes it: 32 bytes of UTF-8, blank padded; ArgumentsBad if it is longer."""
    encoded = label.encode()
    if len(encoded) > _LABEL_LENGTH:
        raise pkcs11.ArgumentsBad(f"a label has at most {_LABEL_LENGTH} bytes")
    return encoded.ljust(_LABEL_LENGTH)

"""The library: the slots of all HSMs as one list, and which HSM a session is with.

Slots are numbered through in the order in which they are first seen, HSM after HSM, and a number is given once: as long
as the library lives it is never another HSM's. One that is taken away leaves its numbers unused; one that answers only
later gets the numbers behind all others, and so does an HSM's slot that there was none of before. Which slot of an HSM
has which of its numbers follows its own list, with the Admin slot as the last: who adds or deletes a slot, which nobody
else may be using the HSM for, finds its slots renumbered. For the rest a device answers for itself. What the
specification has the library answer without any device is here too.
"""

from __future__ import annotations

from _thread import allocate_lock

from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import SESSION_ENDED, CryptokiError
from ptkc.wire.commands import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.spec.values import Template

__all__ = ["Library"]

_FLAGS = 4  # the place of the flags in what a device answers to C_GetTokenInfo


def _nothing(_: Device) -> None:
    """Have nothing that protects messages."""


class Library:
    """Devices, slots and sessions of an initialised library.

    `sessions` says which device a session handle belongs to: the bridge calls the device without asking here. The
    methods below are what needs the slot numbering, or no device at all; they are named as in the command table.
    """

    def __init__(self) -> None:
        """Begin uninitialised."""
        self.devices: list[Device] = []
        self.sessions: dict[int, Device] = {}
        self._places: list[tuple[int, int]] = []  # of each slot: its HSM's place in `devices`, its number there
        self._seen: dict[Device, tuple[tuple[int, ...], tuple[int, ...]]] = {}  # what a device has and shows
        self._listed: tuple[int, ...] | None = None
        self.admin_slots = True
        self._look: Callable[[], list[Device]] = list
        self._protected: Callable[[Device], Device | None] = _nothing
        self._ended = allocate_lock()
        self._switching = allocate_lock()
        self._numbering = allocate_lock()

    def begin(
        self, devices: list[Device], *, admin_slots: bool, look: Callable[[], list[Device]] = list,
        protected: Callable[[Device], Device | None] | None = None,
    ) -> None:  # fmt: skip
        """C_Initialize: serve these devices, with or without their Admin slots.

        `look` gives the devices that have come since; `protected` what takes the place of a device whose HSM wants
        messages protected, with the same sessions, None if nothing does.
        """
        self.devices = devices
        self._places = []
        self._seen = {}
        self._listed = None
        self.admin_slots = admin_slots
        self._look = look
        self._protected = protected or _nothing
        self._switching = allocate_lock()
        self._numbering = allocate_lock()
        self._ended = allocate_lock()
        self._ended.acquire()

    @property
    def is_begun(self) -> bool:
        """Whether C_Initialize was called, and C_Finalize not yet."""
        return self._ended.locked()

    def end(self) -> None:
        """C_Finalize: forget devices and sessions, wake who waits in C_WaitForSlotEvent."""
        self.devices = []
        self._places = []
        self._seen = {}
        self._listed = None
        self._look = list
        self._protected = _nothing
        self.sessions.clear()
        if self._ended.locked():
            self._ended.release()

    def protect(self, session: int, device: Device) -> bool:
        """Reach the HSM of a session with its messages protected from now on; whether that is another way than before.

        `device` is what refused a call of the session; another thread may have come first.
        """
        return self.sessions.get(session, device) is not device or self._protect(device) is not None

    def _protect(self, device: Device) -> Device | None:
        """Put what protects messages in the place of a device and return it; None if there is nothing."""
        with self._switching:
            new = self._protected(device)
            if new is None:
                return None
            devices = self.devices
            if device in devices:
                devices[devices.index(device)] = new
            for session, owner in list(self.sessions.items()):
                if owner is device:
                    self.sessions[session] = new
        return new

    def _shown(self, device: Device, *, look: bool = False) -> tuple[int, ...]:
        """Return the slots of a device that the application may see; CKR_DEVICE_REMOVED or what else keeps it away.

        HSMs on the network are asked if we are to `look`, and else are as they were at the last look.
        """
        slots: tuple[int, ...] = device.get_slot_list(look)
        if self.admin_slots:
            return slots
        seen = self._seen.get(device)
        if seen is None or seen[0] is not slots:
            shown = tuple(slot for slot in slots if not device.get_token_info(slot)[_FLAGS] & CKF.ADMIN_TOKEN)
            seen = self._seen[device] = slots, shown
        return seen[1]

    def _number_slots(self, *, look: bool = False) -> tuple[int, ...]:
        """Give new slots their numbers, and return the numbers of those that are there."""
        places, there = self._places, {}
        for hsm, device in enumerate(list(self.devices)):
            try:
                there[hsm] = shown = self._shown(device, look=look)
            except CryptokiError:  # it was taken away, or broke: its slots keep their numbers
                continue
            with self._numbering:
                places += [(hsm, slot) for slot in shown if (hsm, slot) not in places]
        return tuple(number for number, (hsm, slot) in enumerate(list(places)) if slot in there.get(hsm, ()))

    def _slot(self, slot: int) -> tuple[Device, int]:
        """Return the device of a slot and the slot's number there; CKR_SLOT_ID_INVALID, CKR_DEVICE_REMOVED."""
        if slot >= len(self._places):
            self._number_slots()
        if slot < len(self._places):
            hsm, number = self._places[slot]
            device = self.devices[hsm]
            if number in self._shown(device):
                return device, number
        raise CryptokiError(CKR.SLOT_ID_INVALID, f"no slot {slot}")

    def get_slot_list(self, present: bool, look: bool) -> tuple[int, ...]:  # noqa: ARG002, FBT001 - all have tokens
        """C_GetSlotList: the slots that are there now if we are to `look`, else those that were there then."""
        if look or self._listed is None:
            self.devices.extend(self._look())
            self._listed = self._number_slots(look=True)
        return self._listed

    def get_slot_info(self, slot: int) -> Any:  # noqa: ANN401 - as the device answers
        """C_GetSlotInfo."""
        device, number = self._slot(slot)
        return device.get_slot_info(number)

    def get_token_info(self, slot: int) -> Any:  # noqa: ANN401
        """C_GetTokenInfo."""
        device, number = self._slot(slot)
        return device.get_token_info(number)

    def get_mechanism_list(self, slot: int) -> Any:  # noqa: ANN401
        """C_GetMechanismList."""
        device, number = self._slot(slot)
        return device.get_mechanism_list(number)

    def get_mechanism_info(self, slot: int, mechanism: int) -> Any:  # noqa: ANN401
        """C_GetMechanismInfo."""
        device, number = self._slot(slot)
        return device.get_mechanism_info(number, mechanism)

    def init_token(self, slot: int, pin: bytes | None, label: bytes) -> None:
        """C_InitToken."""
        device, number = self._slot(slot)
        device.init_token(number, pin, label)

    def open_session(self, slot: int, flags: int) -> int:
        """C_OpenSession."""
        device, number = self._slot(slot)
        try:
            session: int = device.open_session(number, flags)
        except CryptokiError as error:
            protected = self._protect(device) if error.code == CKR.BAD_PROTECTION else None
            if protected is None:
                raise
            device = protected
            session = device.open_session(number, flags)
        self.sessions[session] = device
        if device not in self.devices:
            self._protect(device)  # another thread put something in its place meanwhile, and could not know of this one
        return session

    def close_session(self, session: int) -> None:
        """C_CloseSession; after a refusal the session is known still, unless that says that it is no more."""
        try:
            self.call(session, "close_session")
        except CryptokiError as error:
            if error.code in SESSION_ENDED:
                self.sessions.pop(session, None)
            raise
        self.sessions.pop(session, None)

    def close_all_sessions(self, slot: int) -> None:
        """C_CloseAllSessions: each of them, since only calls with a session are protected; the first refusal.

        A refusal does not keep the others open, but for that of an HSM that nobody can reach.
        """
        device, number = self._slot(slot)
        refusal: CryptokiError | None = None
        for session, owner in list(self.sessions.items()):
            if owner is not device:
                continue
            try:
                if self.call(session, "get_session_info")[0] == number:
                    self.close_session(session)
            except CryptokiError as error:
                if error.code in SESSION_ENDED:  # another thread, or a restart of the HSM, has closed it
                    self.sessions.pop(session, None)
                    continue
                refusal = refusal or error
                if error.code == CKR.DEVICE_REMOVED:
                    break  # each of the others would take as long as connecting may
        if refusal is not None:
            raise refusal

    def get_session_info(self, session: int) -> tuple[int, ...]:
        """C_GetSessionInfo, with the slot in the library's numbering."""
        device = self._device(session)
        number, *rest = device.get_session_info(session)
        try:
            place = self.devices.index(device), number
            if place not in self._places:
                self._number_slots(look=True)  # the Admin slot is behind one that was added
            return (self._places.index(place), *rest)
        except ValueError:  # C_Finalize and C_Initialize came in between, or another process has removed the slot
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {session}") from None

    def call(self, session: int, method: str, *arguments: Any) -> Any:  # noqa: ANN401 - as the device answers
        """Return what a device's method gives for a session; called again if the flags want it protected from now on.

        It is what the bridge does for each call of the application.
        """
        device = self._device(session)
        try:
            return getattr(device, method)(session, *arguments)
        except CryptokiError as error:
            if error.code != CKR.BAD_PROTECTION or not self.protect(session, device):
                raise
        return getattr(self._device(session), method)(session, *arguments)

    def _device(self, session: int) -> Device:
        """Return the device a session is with; CKR_SESSION_HANDLE_INVALID."""
        device = self.sessions.get(session)
        if device is None:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {session}")
        return device

    def wait_for_slot_event(self, flags: int) -> int:
        """C_WaitForSlotEvent: tokens are never removed, so CKR_NO_EVENT, or a wait that C_Finalize ends."""
        if not flags & CKF.DONT_BLOCK:
            with self._ended:
                raise CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called")
        raise CryptokiError(CKR.NO_EVENT, "no slot has changed")

    # The vendor's functions

    def ct_init_token(self, session: int, slot: int, pin: bytes | None, label: bytes) -> None:
        """CT_InitToken: a slot of the HSM that the session is with, else CKR_SLOT_ID_INVALID."""
        device = self._device(session)
        owner, number = self._slot(slot)
        if owner is not device:
            raise CryptokiError(CKR.SLOT_ID_INVALID, f"slot {slot} is another HSM's than the session's")
        device.ct_init_token(session, number, pin, label)

    def ct_reset_token(self, session: int, pin: bytes | None, label: bytes) -> None:
        """CT_ResetToken, which closes the session."""
        self._device(session).ct_reset_token(session, pin, label)
        self.sessions.pop(session, None)

    def ct_copy_object(self, session: int, source: int, obj: int, template: Template) -> int:
        """CT_CopyObject between sessions with one HSM; CKR_SESSION_HANDLE_INVALID for those of two."""
        device = self._device(session)
        if self._device(source) is not device:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"sessions {session} and {source} are of two HSMs")
        new: int = device.ct_copy_object(session, source, obj, template)
        return new

    def ct_hsm_id_from_slot_id(self, slot: int) -> int:
        """CT_HsmIdFromSlotId: the number of an HSM is its place among the devices."""
        return self._number(self._slot(slot)[0])

    def ct_to_hsm_session(self, session: int) -> int:
        """CT_ToHsmSession: the same handle, since no other session stands behind ours."""
        self._device(session).get_session_info(session)
        return session

    def ct_get_hsm_id(self, session: int) -> int:
        """CT_GetHSMId: the number of the HSM that the session is with."""
        device = self._device(session)
        device.get_session_info(session)
        return self._number(device)

    def _number(self, device: Device) -> int:
        """Return an HSM's number; CKR_DEVICE_REMOVED if C_Finalize came in between."""
        try:
            return self.devices.index(device)
        except ValueError:
            raise CryptokiError(CKR.DEVICE_REMOVED, "the library was finalized") from None

    def ct_fetch_certificate(self, hsm: int, kind: int, room: int | None) -> Any:  # noqa: ANN401
        """CT_FetchCertificate, without a session; CKR_ARGUMENTS_BAD where no HSM has this number."""
        devices = self.devices
        if hsm >= len(devices):
            raise CryptokiError(CKR.ARGUMENTS_BAD, f"no HSM {hsm}")
        return devices[hsm].ct_fetch_certificate(kind, room)

    def ct_get_smc(self, hsm: int, session: int, version: int, frame: bytes, room: int | None) -> Any:  # noqa: ANN401
        """CT_GetSMC, of a session with this HSM or of none (0); CKR_ARGUMENTS_BAD, CKR_SESSION_HANDLE_INVALID."""
        devices = self.devices
        if hsm >= len(devices):
            raise CryptokiError(CKR.ARGUMENTS_BAD, f"no HSM {hsm}")
        if session and self._device(session) is not devices[hsm]:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"session {session} is with another HSM")
        return devices[hsm].ct_get_smc(session, version, frame, room)

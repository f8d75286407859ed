"""The library: the slots of all HSMs as one list, and which HSM a session is with.

Slots are numbered through, HSM after HSM; for the rest a device answers for itself. What the specification has the
library answer without any device is here too.
"""

from __future__ import annotations

from _thread import allocate_lock

from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire.commands import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Library"]

_FLAGS = 4  # the place of the flags in what a device answers to C_GetTokenInfo


class Library:
    """Devices, slots and sessions of an initialised library.

    `sessions` says which device a session handle belongs to: the bridge calls the device without asking here. The
    methods below are what needs the slot numbering, or no device at all; they are named as in the command table.
    """

    def __init__(self) -> None:
        """Begin uninitialised."""
        self.devices: list[Device] = []
        self.sessions: dict[int, Device] = {}
        self.admin_slots = True
        self._ended = allocate_lock()

    def begin(self, devices: list[Device], *, admin_slots: bool) -> None:
        """C_Initialize: serve these devices, with or without their Admin slots."""
        self.devices = devices
        self.admin_slots = admin_slots
        self._ended = allocate_lock()
        self._ended.acquire()

    @property
    def is_begun(self) -> bool:
        """Whether C_Initialize was called, and C_Finalize not yet."""
        return self._ended.locked()

    def end(self) -> None:
        """C_Finalize: forget devices and sessions, wake who waits in C_WaitForSlotEvent."""
        self.devices = []
        self.sessions.clear()
        if self._ended.locked():
            self._ended.release()

    def _slots(self) -> list[tuple[Device, int]]:
        """Return the device of each slot and the slot's number there."""
        return [
            (device, slot)
            for device in self.devices
            for slot in device.get_slot_list(True)  # noqa: FBT003 - a CK_BBOOL
            if self.admin_slots or not device.get_token_info(slot)[_FLAGS] & CKF.ADMIN_TOKEN
        ]

    def _slot(self, slot: int) -> tuple[Device, int]:
        """Return the device of a slot and the slot's number there; CKR_SLOT_ID_INVALID."""
        slots = self._slots()
        if slot >= len(slots):
            raise CryptokiError(CKR.SLOT_ID_INVALID, f"no slot {slot}")
        return slots[slot]

    def get_slot_list(self, present: bool) -> tuple[int, ...]:  # noqa: ARG002, FBT001 - every slot has its token
        """C_GetSlotList."""
        return tuple(range(len(self._slots())))

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
        session: int = device.open_session(number, flags)
        self.sessions[session] = device
        return session

    def close_session(self, session: int) -> None:
        """C_CloseSession."""
        device = self._device(session)
        self.sessions.pop(session, None)
        device.close_session(session)

    def close_all_sessions(self, slot: int) -> None:
        """C_CloseAllSessions."""
        device, number = self._slot(slot)
        for session, owner in list(self.sessions.items()):
            if owner is not device:
                continue
            try:
                if device.get_session_info(session)[0] == number:
                    self.close_session(session)
            except CryptokiError:  # another thread, or a restart of the HSM, has closed it
                self.sessions.pop(session, None)

    def get_session_info(self, session: int) -> tuple[int, ...]:
        """C_GetSessionInfo, with the slot in the library's numbering."""
        device = self._device(session)
        number, *rest = device.get_session_info(session)
        slots = self._slots()
        if (device, number) not in slots:  # C_Finalize and C_Initialize came in between
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {session}")
        return (slots.index((device, number)), *rest)

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

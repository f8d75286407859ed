"""An HSM as a directory, `<data path>/<serial>/`, with its key file elsewhere; and the HSMs of a data path.

Without any configuration there is one HSM, virtual until something is written: reading creates nothing. A directory
that this user cannot write is opened for reading, if nobody left a write-ahead log in it. What cannot be opened raises
CKR_DEVICE_REMOVED (or CKR_DEVICE_ERROR) with the reason: the HSM is absent.
"""

from __future__ import annotations

from ptkc import log
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token import place
from ptkc.token.directories import add_hsm, destroy_hsm, hide_hsm, removed_hsms, unhide_hsm
from ptkc.token.keysource import CredentialKeySource, FileKeySource, KeySource
from ptkc.token.state import CONTINUOUS_TRANSPORT, SINGLE_TRANSPORT, HsmState
from ptkc.token.tamper import tamper

__all__ = ["Hsm"]


class Hsm(HsmState):
    """One HSM with its tokens, opened by this process."""

    __slots__ = ()

    @classmethod
    def open(cls, data_path: str, key_path: str, serial: str | None = None, credentials: str | None = None) -> Hsm:
        """Open the HSM with this serial, or the first one, or the virtual one if there is none at all.

        `credentials` is the directory of systemd's credentials, if the process may use it. CKR_DEVICE_REMOVED and
        CKR_DEVICE_ERROR say why the HSM is absent.
        """
        known = _serials(data_path)
        if serial is not None:
            if serial in known:
                return cls._open_one(data_path, key_path, serial, credentials)
            raise CryptokiError(CKR.DEVICE_REMOVED, f"there is no HSM {serial} below {data_path}")
        found, broken = cls._open_known(data_path, key_path, known, credentials)
        for hsm in found[1:]:
            hsm.close()
        if found and (found[0].ordinal == 0 or not broken):
            return found[0]
        for hsm in found[:1]:
            hsm.close()
        if broken:
            raise broken[0]  # it may be the one that is wanted: neither another one nor a new one takes its place
        if place.removed_serials(data_path):
            raise CryptokiError(CKR.DEVICE_REMOVED, f"every HSM below {data_path} was removed")
        return cls._open_virtual(data_path, key_path, credentials)

    @classmethod
    def open_all(cls, data_path: str, key_path: str, credentials: str | None = None) -> list[Hsm]:
        """Open all HSMs in their order, or the virtual one if there is none at all; the log says what is left out."""
        known = _serials(data_path)
        found, broken = cls._open_known(data_path, key_path, known, credentials)
        for error in broken:
            log.note(f"{data_path}: an HSM is absent, {error}")
        if not known and not place.removed_serials(data_path):
            return [cls._open_virtual(data_path, key_path, credentials)]
        return found

    @classmethod
    def add(cls, data_path: str, key_path: str, serial: str | None = None, credentials: str | None = None) -> Hsm:
        """Make one more HSM, with a serial of 1 to 10 letters and digits or one drawn at random, and open it.

        CKR_ARGUMENTS_BAD for a serial that there is already, CKR_TOKEN_WRITE_PROTECTED with the reason.
        """
        made = add_hsm(data_path, lambda name: _key_source(key_path, credentials, name), serial)
        return cls._open_one(data_path, key_path, made, credentials)

    @staticmethod
    def removed(data_path: str) -> list[str]:
        """Return the serials of the HSMs that were taken away, and can be put back."""
        return removed_hsms(data_path)

    @classmethod
    def plug(cls, data_path: str, key_path: str, serial: str, credentials: str | None = None) -> Hsm:
        """Put back an HSM that was taken away, and open it; CKR_DEVICE_REMOVED if there is none."""
        if serial not in removed_hsms(data_path):
            raise CryptokiError(CKR.DEVICE_REMOVED, f"there is no HSM {serial} to put back below {data_path}")
        unhide_hsm(data_path, serial)
        return cls._open_one(data_path, key_path, serial, credentials)

    def unplug(self) -> None:
        """Take the HSM away, which is a tamper unless its transport mode forbids it; close it.

        CKR_FUNCTION_REJECTED if it would have to be tampered and cannot be.
        """
        if self.transport_mode not in (SINGLE_TRANSPORT, CONTINUOUS_TRANSPORT):
            self.tamper("removed from the bus")
        self._leave()
        hide_hsm(self._data_path, self.serial)

    def destroy(self) -> None:
        """Destroy the HSM for good: directory, roots, identity; close it."""
        self._leave()
        destroy_hsm(self._data_path, lambda _: self._keys, self.serial)

    @staticmethod
    def discard(data_path: str, key_path: str, serial: str, credentials: str | None = None) -> None:
        """Destroy an HSM that cannot be opened, or was taken away."""
        destroy_hsm(data_path, lambda name: _key_source(key_path, credentials, name), serial)

    def tamper(self, reason: str) -> None:
        """Erase the device key and all but the identity; every process ends its sessions.

        `reason` goes to the event log. CKR_FUNCTION_REJECTED if the device key cannot be replaced.
        """
        tamper(self.materialise(), self._keys, self.serial, reason)
        self.refresh()

    @classmethod
    def upgrade(cls, data_path: str, key_path: str, serial: str, credentials: str | None = None) -> Hsm:
        """Open an HSM with Tamper Before Upgrade that another version of ptkc has served: erased first."""
        hsm = cls._open_one(data_path, key_path, serial, credentials, upgrading=True)
        hsm.tamper("upgrade")
        return hsm

    def _leave(self) -> None:
        """Say in the store that the HSM is away, so that every process that has it open sees it, and close it.

        Transport mode 1 was for this once.
        """
        store = self.materialise()
        with store.writing():
            record = self._changing(store)
            record.removed = 1
            record.boot += 1
            record.policy = self._without_single_transport(record.policy)
            store.put_hsm(record)
        self.close()

    @classmethod
    def _open_known(
        cls, data_path: str, key_path: str, known: list[str], credentials: str | None
    ) -> tuple[list[Hsm], list[CryptokiError]]:
        """Open those HSMs; return them in their order, and why others are absent."""
        found: list[Hsm] = []
        broken: list[CryptokiError] = []
        for serial in known:
            try:
                found.append(cls._open_one(data_path, key_path, serial, credentials))
            except CryptokiError as error:
                broken.append(error)
        found.sort(key=_order)
        return found, broken

    @classmethod
    def _open_one(
        cls, data_path: str, key_path: str, serial: str, credentials: str | None, *, upgrading: bool = False
    ) -> Hsm:
        """Open an HSM that exists; `upgrading` whatever its firmware is."""
        hsm = cls(data_path, _key_source(key_path, credentials, serial), serial)
        try:
            hsm._attach()
            if not upgrading:
                hsm.require_firmware()
        except CryptokiError:
            hsm.close()
            raise
        return hsm

    @classmethod
    def _open_virtual(cls, data_path: str, key_path: str, credentials: str | None) -> Hsm:
        """Open the HSM that needs no configuration and was never written to."""
        serial = place.computed_serial(data_path)
        hsm = cls(data_path, _key_source(key_path, credentials, serial), serial)
        hsm._become_virtual()
        return hsm


def _order(hsm: Hsm) -> tuple[int, str]:
    """Return what HSMs are sorted by."""
    return hsm.ordinal, hsm.serial


def _serials(data_path: str) -> list[str]:
    """Return the serials of the HSMs below a data path, CKR_DEVICE_REMOVED if there is no such path."""
    if not data_path:
        raise CryptokiError(CKR.DEVICE_REMOVED, "no data path: HOME is not set and ET_PTKC_SW_DATAPATH neither")
    return place.serials(data_path)


def _key_source(key_path: str, credentials: str | None, serial: str) -> KeySource:
    """Return where the roots of an HSM come from: a credential if there is one, else its key file."""
    if credentials:
        source = CredentialKeySource(credentials)
        if source.has(serial):
            return source
    return FileKeySource(key_path)

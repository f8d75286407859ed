"""The directories of HSMs below a data path: made, taken away, put back, destroyed.

A directory is made under another name and renamed, so that it is there whole or not at all. One that is taken away has
a hidden name; one that is destroyed gets another hidden name first, and what a killed process left of it is swept away
the next time. Whoever does any of this holds the data path's lock.
"""

from __future__ import annotations

import os
from time import time

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token import place
from ptkc.token.events import Event, add_event
from ptkc.token.keysource import KeySource, make_directory, sync_directory
from ptkc.token.seal import random_bytes
from ptkc.token.sqlite import SqliteStore
from ptkc.token.store import HsmRecord, PinRecord, TokenRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "add_hsm", "destroy_hsm", "hide_hsm", "make_hsm", "new_hsm", "new_token", "new_tokens",
    "removed_hsms", "unhide_hsm",
]  # fmt: skip

_ADMIN = 0
_DIGITS = 7


def new_hsm(serial: str, ordinal: int) -> HsmRecord:
    """Return the record of a new HSM."""
    return HsmRecord(serial, ordinal, 1, manufactured=int(time()))


def new_tokens(serial: str, hsm: HsmRecord, changes: int = 0) -> list[TokenRecord]:
    """Return the tokens of a new HSM: an uninitialised user token, the last one that `hsm` counts, and the Admin token.

    `changes` is where their counts begin: after a tamper, above all that were.
    """
    label = f"AdminToken ({serial})".encode()
    return [
        new_token(hsm, changes),
        TokenRecord(_ADMIN, True, serial, label, None, changes, (PinRecord(), PinRecord())),  # noqa: FBT003
    ]


def new_token(hsm: HsmRecord, changes: int = 0) -> TokenRecord:
    """Return an uninitialised user token, the last one that `hsm` counts."""
    serial = f"{hsm.serial}:{hsm.slots - hsm.origin}"
    return TokenRecord(hsm.slots, False, serial, b"", None, changes, (PinRecord(), PinRecord()))  # noqa: FBT003


def make_hsm(data_path: str, keys: KeySource, serial: str) -> None:
    """Make the HSM that needs no configuration, unless another process has; CKR_DEVICE_REMOVED if others were added."""

    def make() -> None:
        others = place.serials(data_path)
        if serial in others:
            return
        if others or place.removed_serials(data_path):
            raise CryptokiError(CKR.DEVICE_REMOVED, f"other HSMs were added below {data_path} meanwhile")
        _build(data_path, keys, serial, 0)

    _changing(data_path, make)


def add_hsm(data_path: str, keys_of: Callable[[str], KeySource], serial: str | None) -> str:
    """Make one more HSM, behind all others, and return its serial, drawn at random if none is given.

    CKR_ARGUMENTS_BAD for a serial that exists, or cannot be one.
    """
    made = []

    def make() -> None:
        _sweep(data_path, keys_of)
        there, away = place.serials(data_path), place.removed_serials(data_path)
        taken = {*there, *away}
        chosen = serial or _draw(taken)
        if not place.is_serial(chosen):
            raise CryptokiError(CKR.ARGUMENTS_BAD, f"{chosen!r} is no serial: 1 to 10 letters and digits")
        if chosen in taken or os.path.lexists(os.path.join(data_path, chosen)):
            raise CryptokiError(CKR.ARGUMENTS_BAD, f"there is an HSM {chosen} already")
        directories = [os.path.join(data_path, name) for name in there]
        directories += [place.hidden(data_path, name) for name in away]
        _build(data_path, keys_of(chosen), chosen, max(map(_ordinal, directories), default=-1) + 1)
        made.append(chosen)

    _changing(data_path, make)
    return made[0]


def hide_hsm(data_path: str, serial: str) -> None:
    """Give the directory of an HSM its hidden name."""

    def hide() -> None:
        os.rename(os.path.join(data_path, serial), place.hidden(data_path, serial))
        sync_directory(data_path)

    _changing(data_path, hide)


def unhide_hsm(data_path: str, serial: str) -> None:
    """Give the directory of an HSM that was taken away its name again, and have its store say that it is there."""

    def unhide() -> None:
        path = os.path.join(data_path, serial)
        if os.path.lexists(place.hidden(data_path, serial)) and not os.path.lexists(path):
            os.rename(place.hidden(data_path, serial), path)
            sync_directory(data_path)
        store = SqliteStore(path, write_protected=False)
        try:
            with store.writing():
                record = store.hsm()
                if record.removed:
                    record.removed = 0
                    record.boot += 1
                    store.put_hsm(record)
                    add_event(store, record, Event.RESTART, "put back")
        finally:
            store.close()

    _changing(data_path, unhide)


def removed_hsms(data_path: str) -> list[str]:
    """Return the serials of the HSMs that were taken away, the one too whose taking away was interrupted."""
    found = place.removed_serials(data_path)
    for serial in place.serials(data_path):
        record = _record(os.path.join(data_path, serial))
        if serial not in found and record is not None and record.removed:
            found.append(serial)
    return sorted(found)


def destroy_hsm(data_path: str, keys_of: Callable[[str], KeySource], serial: str) -> None:
    """Destroy an HSM, there or taken away, sound or not: its directory and its roots."""

    def destroy() -> None:
        for path in (os.path.join(data_path, serial), place.hidden(data_path, serial)):
            if os.path.lexists(path):
                os.rename(path, os.path.join(data_path, f"{place.DESTROYED}{serial}-{random_bytes(4).hex()}"))
        sync_directory(data_path)
        _sweep(data_path, keys_of)

    _changing(data_path, destroy)


def _sweep(data_path: str, keys_of: Callable[[str], KeySource]) -> None:
    """Delete what is left of HSMs that were being made or destroyed by processes that were killed."""
    there = {*place.serials(data_path), *place.removed_serials(data_path)}
    for name in os.listdir(data_path):
        path = os.path.join(data_path, name)
        if name.startswith(place.DESTROYED):
            serial = name[len(place.DESTROYED) :].rpartition("-")[0]
            if place.is_serial(serial) and serial not in there:
                keys_of(serial).destroy(serial)
            _delete(path)
        elif _is_unfinished(name):
            _delete(path)


def _is_unfinished(name: str) -> bool:
    """Whether a directory has a name that `_build` gives: a dot, the serial, a dot, random digits."""
    empty, _, rest = name.partition(".")
    serial, _, digits = rest.partition(".")
    return not empty and place.is_serial(serial) and place.is_serial(digits)


def _ordinal(directory: str) -> int:
    """Return the ordinal of an HSM, -1 if it cannot be read."""
    record = _record(directory)
    return -1 if record is None else record.ordinal


def _record(directory: str) -> HsmRecord | None:
    """Return the record of an HSM, None if it cannot be read."""
    try:
        store = SqliteStore(directory, write_protected=not os.access(directory, os.W_OK))
        try:
            return store.hsm()
        finally:
            store.close()
    except CryptokiError:
        return None


def _draw(taken: set[str]) -> str:
    """Return a serial at random that nobody has."""
    while True:
        serial = f"{int.from_bytes(random_bytes(8), 'big') % 10**_DIGITS:0{_DIGITS}d}"
        if serial not in taken:
            return serial


def _changing(data_path: str, change: Callable[[], None]) -> None:
    """Do something under the data path's lock, which is made if it is not there; CKR_TOKEN_WRITE_PROTECTED."""
    try:
        make_directory(data_path)
        place.check_file_system(data_path)
        with place.locked(data_path):
            change()
    except OSError as error:
        reason = f"cannot change the HSMs below {data_path}: {error.strerror}"
        raise CryptokiError(CKR.TOKEN_WRITE_PROTECTED, reason) from error


def _build(data_path: str, keys: KeySource, serial: str, ordinal: int) -> None:
    """Make the directory under another name, then give it its own; nobody else enters it before it is whole."""
    hsm = new_hsm(serial, ordinal)
    mode = place.directory_mode(data_path)
    unfinished = os.path.join(data_path, f".{serial}.{random_bytes(4).hex()}")
    os.mkdir(unfinished, 0o700)
    try:
        os.chmod(unfinished, 0o700)  # whatever our umask is
        hsm.tampers = hsm.wiped = keys.create(serial).tampers
        SqliteStore.create(unfinished, hsm, new_tokens(serial, hsm), mode & 0o660)
        for name in os.listdir(unfinished):
            descriptor = os.open(os.path.join(unfinished, name), os.O_RDONLY | os.O_CLOEXEC)
            os.fsync(descriptor)
            os.close(descriptor)
        _open_up(unfinished, mode)
        os.rename(unfinished, os.path.join(data_path, serial))
    except BaseException:
        _delete(unfinished)
        raise
    sync_directory(data_path)


def _delete(directory: str) -> None:
    """Delete a directory that has only files in it."""
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    os.rmdir(directory)


def _open_up(directory: str, mode: int) -> None:
    """Give a directory, which must be no link, its mode, and have it and its entries on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

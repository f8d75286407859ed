"""What is wrong with the HSMs of a data path: the checks of `ptkc doctor` that are about them.

Nothing is changed: databases are opened read-only, key files read. Where an HSM would put something right the next time
it is opened (an older format, a tamper that was interrupted), that is a note.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING, NamedTuple

from ptkc import __version__
from ptkc.spec.errors import CryptokiError
from ptkc.token import place, rows
from ptkc.token.events import CAPACITY
from ptkc.token.keysource import CredentialKeySource, FileKeySource, Roots
from ptkc.token.schema import FORMAT
from ptkc.token.state import policy_key, policy_values
from ptkc.tools.findings import ERROR, FINE, NOTE, WARNING, Finding, rights

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ptkc.configuration import Configuration
    from ptkc.token.keysource import KeySource
    from ptkc.token.store import HsmRecord

__all__ = ["examine_hsms"]

_CLOCK_OFF = 60_000  # milliseconds that are worth a note
_BACKUP = "restore the directory from a backup"


class _Store(NamedTuple):
    """What is read of a database; the record is None where the format is an older one."""

    tokens: int
    objects: int
    events: int
    damage: str
    record: HsmRecord | None


def examine_hsms(configuration: Configuration) -> Iterator[Finding]:
    """Check each HSM below the data path, and what else lies there."""
    data_path = configuration.data_path
    if data_path is None or not os.path.isdir(data_path):
        return
    try:
        place.check_file_system(data_path)
        found = place.serials(data_path)
    except CryptokiError:
        return  # said of the data path already
    away = place.removed_serials(data_path)
    if not found and not away:
        yield Finding(FINE, "HSM", "none yet: the first is made when something is written to it")
    ordinals: dict[int, str] = {}
    for serial in found:
        check = f"HSM {serial}"
        roots = yield from _keys(check, serial, configuration)
        record = yield from _database(check, os.path.join(data_path, serial))
        if record is not None:
            yield from _record(check, serial, record, roots)
            other = ordinals.setdefault(record.ordinal, serial)
            if other != serial:
                yield Finding(NOTE, check, f"it has HSM {other}'s place too: they stand in the order of their names")
    for serial in away:
        hint = f"`ptkc hsm add {serial}` puts it back"
        yield Finding(NOTE, f"HSM {serial}", "it was taken out, applications do not see it", hint)
    yield from _rests(data_path, configuration.key_path, {*found, *away})


def _keys(check: str, serial: str, configuration: Configuration) -> Generator[Finding, None, Roots | None]:
    """Read the key source of an HSM as the HSM would read it; return its roots."""
    source: KeySource | None = None
    if configuration.credentials is not None:
        credential = CredentialKeySource(configuration.credentials)
        source = credential if credential.has(serial) else None
    if source is None and configuration.key_path is not None:
        source = FileKeySource(configuration.key_path)
    if source is None:
        return None
    try:
        return source.load(serial)
    except CryptokiError as error:
        hint = "without its keys an HSM cannot be opened: restore the file, or correct ET_PTKC_SW_KEYPATH"
        yield Finding(ERROR, check, error.message, hint)
    return None


def _database(check: str, directory: str) -> Generator[Finding, None, HsmRecord | None]:
    """Check the database of an HSM, opened read-only: its format and its pages; return the HSM's record."""
    path = os.path.join(directory, place.DATABASE)
    mode = os.stat(path).st_mode
    if mode & stat.S_IRWXO:
        yield Finding(WARNING, check, f"{path} is open to everybody (mode {mode & 0o777:04o})", f"chmod o= {path}")
    try:
        found = _read(path)
    except CryptokiError as error:
        yield Finding(ERROR, check, error.message or str(error), "restore it from a backup, or use a newer ptkc")
        return None
    except sqlite3.Error as error:
        yield Finding(ERROR, check, f"{path}: {error}", _BACKUP)
        return None
    if found.damage != "ok":
        yield Finding(ERROR, check, f"{path} is damaged: {found.damage}", _BACKUP)
    if not os.access(directory, os.W_OK) or not os.access(path, os.W_OK):
        yield Finding(WARNING, check, f"{directory} cannot be written: write-protected", rights(path))
    if found.record is None:
        yield Finding(NOTE, check, f"{path} has an older format, and is brought up to date when it is opened next")
    if found.events >= CAPACITY:
        hint = "the Administrator purges it"
        yield Finding(NOTE, check, "the event log is full, nothing more is recorded", hint)
    yield Finding(FINE, check, f"{directory}: {found.tokens} tokens, {found.objects} objects")
    return found.record


def _read(path: str) -> _Store:
    """Read a database; CryptokiError, sqlite3.Error."""
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    # Where the directory cannot be written SQLite cannot share memory with writers: then there are none to see.
    still = "" if os.access(os.path.dirname(path), os.W_OK) else "&immutable=1"
    link = sqlite3.connect(f"file:{name}?mode=ro{still}", uri=True)
    try:
        (version,) = link.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise CryptokiError(0, f"{path} was made by a newer ptkc (format {version})")
        ((tokens,),) = link.execute("SELECT count(*) FROM token")
        ((objects,),) = link.execute("SELECT count(*) FROM object")
        events, record = 0, None
        if version == FORMAT:
            ((events,),) = link.execute("SELECT count(*) FROM event")
            record = rows.hsm_record(link.execute(rows.HSM).fetchall(), path)
        (damage,) = link.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        link.close()
    return _Store(tokens, objects, events, damage, record)


def _record(check: str, serial: str, record: HsmRecord, roots: Roots | None) -> Iterator[Finding]:
    """Check what the HSM's record says, against its directory's name and its key source."""
    if record.serial != serial:
        hint = f"an HSM is not copied: give the directory its name {record.serial} again, or delete it"
        yield Finding(ERROR, check, f"the directory is that of HSM {record.serial}", hint)
    if record.removed:
        hint = f"`ptkc hsm add {serial}` puts it back"
        yield Finding(NOTE, check, "it was taken out, and that was interrupted", hint)
    if abs(record.clock) >= _CLOCK_OFF:
        text = f"its clock is {record.clock / 1000:+.0f} s off the machine's"
        yield Finding(NOTE, check, text, f"`ptkc hsm clock sn:{serial} --sync`, unless that is meant")
    if roots is None:
        return
    if roots.tampers < record.wiped:
        hint = "restore the key file that belongs to this store"
        yield Finding(ERROR, check, "its key file is older than its store, which was tampered since", hint)
    elif roots.tampers != record.tampers or record.wiped != record.tampers:
        text = "a tamper was begun and interrupted, or the store is older than the key file"
        yield Finding(WARNING, check, text, "the next opening finishes it: its tokens are gone")
    elif record.policy is not None:
        policy = policy_values(policy_key(roots.device), record.policy)
        if policy is None:
            hint = f"`ptkc hsm tamper sn:{serial}` makes the HSM usable, without its tokens"
            yield Finding(ERROR, check, "its security flags were changed by something else than ptkc", hint)
        elif policy[2] not in ("", __version__):
            text = f"Tamper Before Upgrade is set, and ptkc {policy[2]} has served it, not {__version__}"
            yield Finding(ERROR, check, text, f"`ptkc hsm upgrade {serial}` erases its tokens and goes on")


def _rests(data_path: str, key_path: str | None, known: set[str]) -> Iterator[Finding]:
    """Look for what killed processes left: directories that are none, key files without an HSM."""
    left = [name for name in os.listdir(data_path) if name.startswith(".") and not name.startswith(place.REMOVED)]
    for name in sorted(left):
        if name.startswith(place.DESTROYED) or place.is_serial(name.strip(".").partition(".")[0]):
            path = os.path.join(data_path, name)
            yield Finding(NOTE, "data path", f"{path} is left of an HSM, and deleted with the next `ptkc hsm add`")
    try:
        files = sorted(os.listdir(key_path or ""))
    except OSError:
        return
    for name in files:
        path = os.path.join(key_path or "", name)
        if name not in known and place.is_serial(name) and os.path.isfile(path) and known:
            yield Finding(NOTE, "key path", f"{path}: there is no such HSM here", "it may be that of another data path")

"""SQLite's open files, watched: a host may close every descriptor it finds (as daemons do), and open others since.

SQLite remembers numbers. Where a number is free again the file is put back under it, with the locks that went when it
was closed; where it is somebody else's, or the files were replaced meanwhile, the database is given up in this process,
because SQLite shares what it knows of a file among all connections to it, new ones too.
"""

from __future__ import annotations

import fcntl
import os

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Descriptors", "abandon", "check_usable", "lowest_free"]

_SUFFIXES = ("", "-wal", "-shm")
_NEAR = 64
_INODE = 1  # of what fstat gives, taken by place: this is done at each search

# The file format's lock bytes: a shared lock of each connection on the database, one of each process on the -shm file.
_LOCKS = {"": (0x40000002, 510), "-shm": (128, 1)}

_given_up: set[tuple[int, int]] = set()
_kept: list[object] = []


class Descriptors:
    """The descriptors of one connection's three files."""

    __slots__ = ("_database", "_files", "_shared", "_shared_inode")

    def __init__(self, database: str, first: int) -> None:
        """Find them: from `first` on, where SQLite must have begun, else among all of the process."""
        self._database = database
        wanted = {}
        for suffix in _SUFFIXES:
            try:
                status = os.stat(database + suffix)
            except OSError:
                continue
            wanted[status.st_dev, status.st_ino] = suffix
        self._files = _among(range(first, first + _NEAR), wanted)
        if len(self._files) < len(wanted):
            self._files = _among(_all(), wanted)
        self._shared = self._shared_inode = -1
        for number, (suffix, identity) in self._files.items():
            if suffix == "-shm":
                self._shared, self._shared_inode = number, identity[1]

    def shared_intact(self) -> bool:
        """Whether the -shm file's number still means it: enough before reading, where only its locks are at stake."""
        try:
            return self._shared < 0 or os.fstat(self._shared)[_INODE] == self._shared_inode
        except OSError:
            return False

    def require_in_place(self) -> None:
        """Refuse to write to a file that has lost its name: CKR_DEVICE_REMOVED."""
        try:
            status = os.stat(self._database)
            identity = (status.st_dev, status.st_ino)
        except OSError:
            identity = (-1, -1)
        if self._files and all(identity != known for _, known in self._files.values()):
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{self._database} was removed or replaced while it was in use")

    def intact(self) -> bool:
        """Whether every number still means the same file."""
        return all(_identity(number) == identity for number, (_, identity) in self._files.items())

    def restore(self) -> None:
        """Put the files back; CKR_DEVICE_REMOVED if that is not possible."""
        for number, (suffix, identity) in self._files.items():
            found = _identity(number)
            if found == identity:
                continue
            if found is not None or not _put_back(self._database + suffix, number, identity):
                raise CryptokiError(
                    CKR.DEVICE_REMOVED,
                    f"the application closed the descriptors of {self._database} and uses them itself: "
                    "it has to close them before C_Initialize, or leave them open",
                )
            if suffix in _LOCKS:
                start, length = _LOCKS[suffix]
                fcntl.lockf(number, fcntl.LOCK_SH, length, start)


def lowest_free() -> int:
    """Return the number that the next opened file gets."""
    number = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(number)
    return number


def abandon(database: str, link: object) -> None:
    """Give a database up in this process; its connection is kept for ever, because closing it would close others."""
    _kept.append(link)
    try:
        status = os.stat(database)
    except OSError:
        return
    _given_up.add((status.st_dev, status.st_ino))


def check_usable(database: str) -> None:
    """Refuse a database that was given up: CKR_DEVICE_REMOVED."""
    if _given_up:
        try:
            status = os.stat(database)
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{database}: {error.strerror}") from error
        if (status.st_dev, status.st_ino) in _given_up:
            raise CryptokiError(
                CKR.DEVICE_REMOVED, f"{database} cannot be used again in this process, which closed or copied its state"
            )


def _among(numbers: Iterable[int], wanted: dict[tuple[int, int], str]) -> dict[int, tuple[str, tuple[int, int]]]:
    """Return which numbers are the wanted files."""
    files: dict[int, tuple[str, tuple[int, int]]] = {}
    for number in numbers:
        identity = _identity(number)
        if identity in wanted:
            files[number] = (wanted[identity], identity)
        if len(files) == len(wanted):
            break
    return files


def _all() -> Iterator[int]:
    """Return every descriptor of the process."""
    try:
        return map(int, os.listdir("/proc/self/fd"))
    except OSError:
        return iter(())


def _identity(number: int) -> tuple[int, int] | None:
    """Return device and inode of an open descriptor."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _put_back(path: str, number: int, identity: tuple[int, int]) -> bool:
    """Open a file under a free number; whether it is still the same file and got the number."""
    try:
        opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    if _identity(opened) != identity:
        os.close(opened)
        return False
    if opened == number:
        return True
    given: int = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, number)
    os.close(opened)
    if given != number:
        os.close(given)
        return False
    return True

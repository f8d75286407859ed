"""The generation file: two numbers in shared memory that say whether anything changed since a cache was filled.

# Theory of operation

`started` and `finished` are equal while nothing is being written. A writer, alone under the file's lock, raises
`started` before it commits and sets `finished` to it afterwards, before it answers. A reader notes the number while
both are equal (the stamp), asks the store, and keeps the answer if both still equal the stamp; it trusts the answer
later as long as they do. A writer that was killed in between leaves them different: readers then ask the store each
time, until the next writer has finished. The lock is `flock`: the kernel takes it back from a killed writer, and
hands it on in the order of asking.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.place import open_plain

__all__ = ["Generation"]

_SIZE = 16
_LIMIT = 1 << 64

_kept: list[memoryview] = []


class Generation:
    """The open generation file of one HSM directory."""

    __slots__ = ("_descriptor", "_identity", "_map", "_numbers", "_path", "_reopened")

    def __init__(self, path: str, *, writable: bool) -> None:
        """Open and map the file; OSError if that fails. A file that is too short is made long enough by a writer."""
        self._path = path
        self._reopened = False
        self._descriptor = open_plain(path, os.O_RDWR if writable else os.O_RDONLY)
        try:
            status = os.fstat(self._descriptor)
            if writable and status.st_size < _SIZE:
                os.ftruncate(self._descriptor, _SIZE)
            self._identity = (status.st_dev, status.st_ino)
            access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            self._map = mmap.mmap(self._descriptor, _SIZE, mmap.MAP_SHARED, access)
        except (OSError, ValueError):
            os.close(self._descriptor)
            raise
        self._numbers = memoryview(self._map).cast("Q")

    @staticmethod
    def create(path: str, mode: int) -> None:
        """Make a settled generation file; an existing one is left alone."""
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT, mode)
        try:
            if os.fstat(descriptor).st_size < _SIZE:
                os.fchmod(descriptor, mode)
                os.write(descriptor, bytes(_SIZE))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def stamp(self) -> int | None:
        """Return the generation, None while a change is under way, or if another thread has closed the file."""
        numbers = self._numbers
        try:
            started = numbers[0]
            return started if started == numbers[1] else None
        except ValueError:
            return None

    def lock(self) -> None:
        """Wait until this process is the only writer."""
        if not self._intact():
            self._reopen()
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Let the next writer go on."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def start(self) -> tuple[int | None, int]:
        """Say that a change begins; return the stamp before and the one it will have when finished."""
        numbers = self._numbers
        before = numbers[0] if numbers[0] == numbers[1] else None
        number = (max(numbers[0], numbers[1]) + 1) % _LIMIT
        numbers[0] = number
        return before, number

    def finish(self, number: int) -> None:
        """Say that the change that `start` numbered is in the store (or was given up)."""
        self._numbers[1] = number

    def close(self) -> None:
        """Unmap and close, unless the descriptors are no more ours: the map has one too, which it would close."""
        intact = self._intact()
        if intact and not self._reopened:
            self._numbers.release()
            self._map.close()
        else:
            _kept.append(self._numbers)
        if intact:
            os.close(self._descriptor)

    def _reopen(self) -> None:
        """Open the file again; CKR_DEVICE_REMOVED if another one has its name."""
        try:
            descriptor = open_plain(self._path, os.O_RDWR)
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{self._path}: {error.strerror}") from error
        self._descriptor = descriptor
        self._reopened = True
        if not self._intact():
            os.close(descriptor)
            self._descriptor = -1
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{self._path} was replaced while it was in use")

    def _intact(self) -> bool:
        """Whether the descriptor is still ours: a daemon may have closed all it found, and opened others since."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

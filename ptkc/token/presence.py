"""Whether other processes have an HSM open: a shared `flock` on its directory, held as long as this process has it.

Nothing is written for it, and the kernel takes it back from a killed process. However often a process opens an HSM, it
holds one lock. A child of `fork` gives up its copy of the descriptor, which leaves the parent's lock alone, and takes a
lock of its own when it opens the HSM.
"""

from __future__ import annotations

import fcntl
import os
from _thread import RLock

__all__ = ["Presence", "drop_after_fork"]

_held: dict[tuple[int, int], list[int]] = {}
"""By device and inode of a directory: the descriptor, and how often the directory is open in this process."""
_lock = RLock()


class Presence:
    """That this process has a directory open."""

    __slots__ = ("_directory", "_identity")

    def __init__(self, directory: str) -> None:
        """Be there; OSError if the directory cannot be opened."""
        self._directory = directory
        with _lock:
            descriptor = _open(directory)
            self._identity = _identity(descriptor) or (0, 0)
            held = _held.get(self._identity)
            if held is None:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                _held[self._identity] = [descriptor, 1]
            else:
                os.close(descriptor)
                held[1] += 1

    def alone(self) -> bool:
        """Whether no other process is there. Who asks holds the lock of the data path, so that nobody else does."""
        with _lock:
            held = _held.get(self._identity)
            if held is None:
                return True
            if _identity(held[0]) != self._identity:  # closed by the host
                held[0] = _open(self._directory)
            try:
                fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                fcntl.flock(held[0], fcntl.LOCK_SH)  # a refused exchange of locks has lost the one there was
            return True

    def end(self) -> None:
        """Be there no more."""
        with _lock:
            held = _held.get(self._identity)
            if held is None:
                return
            held[1] -= 1
            if held[1] == 0:
                del _held[self._identity]
                if _identity(held[0]) == self._identity:
                    os.close(held[0])


def drop_after_fork() -> None:
    """Forget, in a child, what the parent holds."""
    global _lock  # noqa: PLW0603 - a thread of the parent may have had it
    _lock = RLock()
    for identity, (descriptor, _) in _held.items():
        if _identity(descriptor) == identity:
            os.close(descriptor)
    _held.clear()


def _open(directory: str) -> int:
    """Open a directory."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return device and inode of an open descriptor."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino

"""Where an HSM directory may be, and what is made there: file systems, modes, serials.

Refuses network file systems, on which the write-ahead log's shared memory and the locks do not hold, and links and
pipes among the files: where a group shares an HSM, one of it could have another's process write to that one's files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.seal import sha256

__all__ = [
    "DATABASE", "DESTROYED", "REMOVED", "Locked", "check_file_system", "check_plain", "computed_serial",
    "directory_mode", "drop_after_fork", "hidden", "is_serial", "is_writable", "locked", "open_plain",
    "removed_serials", "serials",
]  # fmt: skip

_REMOTE = frozenset((
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "beegfs", "ocfs2",
    "gfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone",
))  # fmt: skip
DATABASE = "store.db"
REMOVED = ".removed-"
DESTROYED = ".destroyed-"
_LONGEST = 10

_held: set[int] = set()
_MACHINE_ID = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_DIGITS = 7


def serials(data_path: str) -> list[str]:
    """Return the serials of the HSMs that exist below a data path; CKR_DEVICE_REMOVED if it cannot be read."""
    try:
        names = os.listdir(data_path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CryptokiError(CKR.DEVICE_REMOVED, f"data path {data_path}: {error.strerror}") from error
    found = []
    for name in sorted(names):
        if not name.isalnum():
            continue
        try:
            os.stat(os.path.join(data_path, name, DATABASE))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass  # it is there: why it cannot be opened is said when it is
        found.append(name)
    return found


def removed_serials(data_path: str) -> list[str]:
    """Return the serials of the HSMs that were taken away and can be put back; none if that cannot be read."""
    try:
        names = os.listdir(data_path)
    except OSError:
        return []
    return sorted(name[len(REMOVED) :] for name in names if name.startswith(REMOVED))


def hidden(data_path: str, serial: str) -> str:
    """Return where the directory of an HSM is while it is taken away."""
    return os.path.join(data_path, REMOVED + serial)


def is_serial(text: str) -> bool:
    """Whether an HSM may have this serial: 1 to 10 ASCII letters and digits."""
    return text.isascii() and text.isalnum() and len(text) <= _LONGEST


class Locked:
    """The lock of a data path, held by `with`: who adds or takes away HSMs has it."""

    __slots__ = ("_data_path", "_descriptor")

    def __init__(self, data_path: str) -> None:
        """Lock this data path."""
        self._data_path = data_path
        self._descriptor = -1

    def __enter__(self) -> None:
        """Wait for the lock; OSError."""
        self._descriptor = os.open(self._data_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _held.add(self._descriptor)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """Let go, by name: a child that was forked meanwhile has a copy of the descriptor."""
        _held.discard(self._descriptor)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


def locked(data_path: str) -> Locked:
    """Return the lock of a data path."""
    return Locked(data_path)


def drop_after_fork() -> None:
    """Close, in a child, the locks that its parent holds: they are to end with the parent."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


def computed_serial(data_path: str) -> str:
    """Return the serial of the HSM that needs no configuration: the same each time for machine, data path and user."""
    machine = b""
    for path in _MACHINE_ID:
        try:
            with open(path, "rb") as file:
                machine = file.read().strip()
        except OSError:
            continue
        if machine:
            break
    machine = machine or os.uname().nodename.encode()
    digest = sha256(b"\0".join((machine, os.fsencode(os.path.realpath(data_path)), str(os.getuid()).encode())))
    return f"{int.from_bytes(digest, 'big') % 10**_DIGITS:0{_DIGITS}d}"


def directory_mode(data_path: str) -> int:
    """Return the mode of an HSM directory: as the data path's, but never anything for others."""
    return stat.S_IMODE(os.stat(data_path).st_mode) & 0o2770


def is_writable(path: str) -> bool:
    """Whether this process can make entries in a directory, or in the nearest one above that exists."""
    while not os.path.lexists(path):
        above = os.path.dirname(path)
        if above == path:
            return False
        path = above
    return os.access(path, os.W_OK | os.X_OK)


def check_file_system(path: str, mounts: str = "/proc/self/mountinfo") -> None:
    """Refuse a directory on a network file system: CKR_DEVICE_REMOVED with the way out.

    Real disks have a device number with a major part; only where there is none is the mount table read.
    """
    device = os.stat(path).st_dev
    if os.major(device) != 0:
        return
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        mount, _, system = line.partition(" - ")
        kind = system.split(" ", 1)[0]
        if mount.split(" ", 3)[2] == number and kind in _REMOTE:
            raise CryptokiError(
                CKR.DEVICE_REMOVED,
                f"{path} is on a network file system ({kind}): set ET_PTKC_SW_DATAPATH to a directory on a local disk, "
                "or serve the HSM from one machine",
            )


def open_plain(path: str, flags: int, mode: int = 0) -> int:
    """Open a file that is no link, pipe or device, and never wait for that; OSError."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", path)
    return descriptor


def check_plain(path: str) -> None:
    """Refuse what is no plain file; OSError."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "not a plain file", path)

"""Where an HSM's two roots come from: never from the store.

The *identity root* seals the HSM's identity keys and survives a tamper; the *device key* seals everything else and is
what a tamper erases. One text file an HSM, named by its serial, mode 0600, in a directory of its own, away from the
data path; or a systemd credential (`ptkc-<serial>`), which is the same text and is only read. A file that other users
may read is refused.
"""

from __future__ import annotations

import os
import stat

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.seal import KEY_LENGTH, random_bytes

__all__ = ["CredentialKeySource", "FileKeySource", "KeySource", "Roots", "make_directory", "sync_directory"]

_TITLE = "ptkc roots 1"
_LIMIT = 1 << 32


class Roots:
    """The identity root and the device key, 32 bytes each, and how many tampers the device key is new since."""

    __slots__ = ("device", "identity", "tampers")

    def __init__(self, identity: bytes, device: bytes, tampers: int = 0) -> None:
        """Keep them."""
        self.identity = identity
        self.device = device
        self.tampers = tampers

    def __repr__(self) -> str:
        """Say what it is, never what is in it."""
        return "Roots(identity=<32 bytes>, device=<32 bytes>)"


class KeySource:
    """What gives an HSM its roots."""

    __slots__ = ()

    def load(self, serial: str) -> Roots:
        """Return the roots of an HSM; CKR_DEVICE_REMOVED with the reason if they cannot be had."""
        raise NotImplementedError

    def create(self, serial: str) -> Roots:
        """Return the roots of a new HSM, which are on the disk by then; those that exist already are kept."""
        raise NotImplementedError

    def require_replaceable(self, serial: str) -> None:
        """Refuse a tamper where the device key cannot be replaced: CKR_FUNCTION_REJECTED with the reason."""
        raise NotImplementedError

    def replace(self, serial: str, tampers: int) -> None:
        """Have a new device key, counted `tampers`, on the disk, and the old one erased; the identity root stays."""
        raise NotImplementedError

    def destroy(self, serial: str) -> None:
        """Erase both roots for good, if they are ours to erase."""
        raise NotImplementedError


class FileKeySource(KeySource):
    """One file a serial in a directory (`ET_PTKC_SW_KEYPATH`)."""

    __slots__ = ("_directory",)

    def __init__(self, directory: str) -> None:
        """Look in `directory`, which need not exist yet."""
        self._directory = directory

    def load(self, serial: str) -> Roots:
        """Read the file of an HSM."""
        return _read(os.path.join(self._directory, serial))

    def create(self, serial: str) -> Roots:
        """Draw new roots, unless the file exists."""
        path = os.path.join(self._directory, serial)
        if os.path.exists(path):
            return self.load(serial)
        roots = Roots(random_bytes(KEY_LENGTH), random_bytes(KEY_LENGTH))
        unfinished = f"{path}.{os.getpid()}.new"
        try:
            make_directory(self._directory)
            _write(unfinished, _text(roots))
            try:
                os.link(unfinished, path)  # unlike a rename this never replaces the file of a faster process
            except FileExistsError:
                return self.load(serial)
            finally:
                os.unlink(unfinished)
            sync_directory(self._directory)
        except OSError as error:
            reason = f"cannot make the key file {path}: {error.strerror}"
            raise CryptokiError(CKR.TOKEN_WRITE_PROTECTED, reason) from error
        return roots

    def require_replaceable(self, serial: str) -> None:
        """Refuse a tamper where the key file or its directory cannot be written."""
        self.load(serial)
        for path in (self._directory, os.path.join(self._directory, serial)):
            if not os.access(path, os.W_OK):
                raise CryptokiError(CKR.FUNCTION_REJECTED, f"{path} cannot be written: the device key would stay")

    def replace(self, serial: str, tampers: int) -> None:
        """Put another file in the place of the HSM's, then overwrite what the old one held."""
        path = os.path.join(self._directory, serial)
        roots = self.load(serial)
        unfinished = f"{path}.{os.getpid()}.new"
        try:
            old = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(old)
                _write(unfinished, _text(Roots(roots.identity, random_bytes(KEY_LENGTH), tampers)), status)
                os.rename(unfinished, path)
                sync_directory(self._directory)
                _overwrite(old)
            finally:
                os.close(old)
        except OSError as error:
            reason = f"cannot replace the key file {path}: {error.strerror}"
            raise CryptokiError(CKR.FUNCTION_REJECTED, reason) from error

    def destroy(self, serial: str) -> None:
        """Overwrite the HSM's file and delete it."""
        path = os.path.join(self._directory, serial)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _overwrite(descriptor)
            finally:
                os.close(descriptor)
            os.unlink(path)
            sync_directory(self._directory)
        except FileNotFoundError:
            return
        except OSError as error:
            reason = f"cannot erase the key file {path}: {error.strerror}"
            raise CryptokiError(CKR.FUNCTION_REJECTED, reason) from error


class CredentialKeySource(KeySource):
    """A credential that systemd hands to a service (`LoadCredential=ptkc-<serial>:…`)."""

    __slots__ = ("_directory",)

    def __init__(self, directory: str) -> None:
        """Look in `directory` (systemd's `$CREDENTIALS_DIRECTORY`)."""
        self._directory = directory

    def has(self, serial: str) -> bool:
        """Whether there is a credential for this HSM."""
        return os.path.exists(self._path(serial))

    def load(self, serial: str) -> Roots:
        """Read the credential of an HSM."""
        return _read(self._path(serial))

    def create(self, serial: str) -> Roots:
        """Read it too: who hands over a credential has made it."""
        return self.load(serial)

    def require_replaceable(self, serial: str) -> None:
        """Refuse a tamper: only who made the credential could replace it."""
        reason = f"the roots are a credential, {self._path(serial)}, which only its maker can replace"
        raise CryptokiError(CKR.FUNCTION_REJECTED, reason)

    def replace(self, serial: str, tampers: int) -> None:  # noqa: ARG002 - in no way
        """Refuse a tamper."""
        self.require_replaceable(serial)

    def destroy(self, serial: str) -> None:
        """Leave the credential to its maker."""

    def _path(self, serial: str) -> str:
        """Return the file of an HSM's credential."""
        return os.path.join(self._directory, f"ptkc-{serial}")


def make_directory(path: str, mode: int = 0o700) -> None:
    """Make a directory and those above it, mode 0700, durably; existing ones are left as they are."""
    path = os.path.abspath(path)
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        make_directory(above)
    try:
        os.mkdir(path, mode)
        os.chmod(path, mode)  # whatever our umask is
    except FileExistsError:
        return
    sync_directory(above)


def sync_directory(path: str) -> None:
    """Have a directory's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _text(roots: Roots) -> str:
    """Return what stands in a key file."""
    return f"{_TITLE}\nidentity {roots.identity.hex()}\ndevice {roots.device.hex()}\ntampers {roots.tampers}\n"


def _write(path: str, text: str, like: os.stat_result | None = None) -> None:
    """Write a new file of mode 0600, or of another file's mode and group, and have it on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if like is not None and os.fstat(descriptor).st_gid != like.st_gid:
            os.fchown(descriptor, -1, like.st_gid)
        os.fchmod(descriptor, 0o600 if like is None else stat.S_IMODE(like.st_mode) & 0o640)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int) -> None:
    """Overwrite what a file holds, as far as the file system lets one."""
    os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
    os.fsync(descriptor)


def _read(path: str) -> Roots:
    """Read and check a key file; again if it was being replaced."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not keep us waiting
            try:
                status = os.fstat(descriptor)
                text = os.read(descriptor, 4096).decode("ascii", "replace")
            finally:
                os.close(descriptor)
            now = os.stat(path)
        except OSError as error:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"key file {path}: {error.strerror}") from error
        if (status.st_dev, status.st_ino) == (now.st_dev, now.st_ino):
            return _roots(path, status.st_mode, text)


def _roots(path: str, mode: int, text: str) -> Roots:
    """Return the roots in a key file; CKR_DEVICE_REMOVED if it is none, or open to others."""
    if not stat.S_ISREG(mode):
        raise CryptokiError(CKR.DEVICE_REMOVED, f"key file {path} is no plain file")
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise CryptokiError(CKR.DEVICE_REMOVED, f"key file {path} is open to other users (chmod 600 it)")
    lines = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    try:
        tampers = int(lines.get("tampers", "0"))
        roots = Roots(bytes.fromhex(lines["identity"]), bytes.fromhex(lines["device"]), tampers)
    except (KeyError, ValueError):
        roots = Roots(b"", b"")
    sound = len(roots.identity) == len(roots.device) == KEY_LENGTH and 0 <= roots.tampers < _LIMIT
    if not text.startswith(_TITLE) or not sound:
        raise CryptokiError(CKR.DEVICE_REMOVED, f"{path} is not a key file of ptkc, or is damaged")
    return roots

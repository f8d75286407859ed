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


class Roots:
    """The identity root and the device key, 32 bytes each."""

    __slots__ = ("device", "identity")

    def __init__(self, identity: bytes, device: bytes) -> None:
        """Keep both."""
        self.identity = identity
        self.device = device

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
        text = f"{_TITLE}\nidentity {roots.identity.hex()}\ndevice {roots.device.hex()}\n"
        unfinished = f"{path}.{os.getpid()}.new"
        try:
            make_directory(self._directory)
            _write(unfinished, text)
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


def _write(path: str, text: str) -> None:
    """Write a new file of mode 0600 and have it on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: str) -> Roots:
    """Read and check a key file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not keep the host waiting
        try:
            mode = os.fstat(descriptor).st_mode
            text = os.read(descriptor, 4096).decode("ascii", "replace")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CryptokiError(CKR.DEVICE_REMOVED, f"key file {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise CryptokiError(CKR.DEVICE_REMOVED, f"key file {path} is no plain file")
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise CryptokiError(CKR.DEVICE_REMOVED, f"key file {path} is open to other users (chmod 600 it)")
    lines = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    try:
        roots = Roots(bytes.fromhex(lines["identity"]), bytes.fromhex(lines["device"]))
    except (KeyError, ValueError):
        roots = Roots(b"", b"")
    if not text.startswith(_TITLE) or not len(roots.identity) == len(roots.device) == KEY_LENGTH:
        raise CryptokiError(CKR.DEVICE_REMOVED, f"{path} is not a key file of ptkc, or is damaged")
    return roots

"""The client's certificate store: a directory of PEM files, which the administrator's tools fill and clients read.

`Owner_POC.crt` is the certificate of the one owner this client knows, `Owner_POC-pending.crt` one that is to follow it,
`HSM_<serial>.crt` the identity certificate of an HSM, `HSM_<serial>.csr` its request. Files only: what a certificate
says, and whether it may be believed, is decided by those who read it. A file is written whole or not at all, and none
that holds anything different is overwritten unless the caller says so.
"""

from __future__ import annotations

import binascii
import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OWNER", "PENDING_OWNER", "CertificateStore", "certificate_file", "from_pem", "request_file", "to_pem"]

OWNER = "Owner_POC.crt"
PENDING_OWNER = "Owner_POC-pending.crt"

_CERTIFICATE = "CERTIFICATE"
_REQUEST = "CERTIFICATE REQUEST"
_LARGEST = 65536  # bytes; a certificate of ours has less than a thousand
_ROOM = 8192  # bytes that must fit before anything is changed
_LINE = 64  # characters of base64 a line


def certificate_file(serial: str) -> str:
    """Return the name of an HSM's identity certificate."""
    return f"HSM_{serial}.crt"


def request_file(serial: str) -> str:
    """Return the name of an HSM's certificate signing request."""
    return f"HSM_{serial}.csr"


def to_pem(der: bytes, kind: str = _CERTIFICATE) -> bytes:
    """Return the PEM form of a certificate, or of what `kind` says (RFC 7468)."""
    text = binascii.b2a_base64(der, newline=False)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    marks = (f"-----{word} {kind}-----".encode() for word in ("BEGIN", "END"))
    return b"\n".join((next(marks), *lines, next(marks), b""))


def from_pem(data: bytes) -> bytes:
    """Return the first DER value of a PEM file; what is no PEM is returned as it is, DER perhaps; ValueError."""
    begin = data.find(b"-----BEGIN ")
    if begin < 0:
        return data
    start = data.find(b"\n", begin)
    end = data.find(b"-----END ", begin)
    if start < 0 or end < start:
        raise ValueError("the PEM text has no end")
    try:
        return binascii.a2b_base64(b"".join(data[start:end].split()), strict_mode=True)
    except binascii.Error:
        raise ValueError("the PEM text is no base64") from None


class CertificateStore:
    """The files below one directory; nothing need be there before the first one is written."""

    def __init__(self, directory: str) -> None:
        """Use `directory`."""
        self.directory = directory

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return os.path.join(self.directory, name)

    def read(self, name: str) -> bytes | None:
        """Return the DER value that a file holds, None if there is no file; OSError, or ValueError if it holds none."""
        try:
            with open(self.path(name), "rb") as file:
                data = file.read(_LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(data) > _LARGEST:
            raise ValueError("the file is too long for a certificate")
        return from_pem(data)

    def prepare(self) -> None:
        """Make the directory, mode 0700, if it is not there, and see that there is room for a file in it; OSError."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        trial = self.path(f".room.{os.getpid()}~")
        with _removed(trial):
            _write(trial, bytes(_ROOM))

    def write(self, name: str, der: bytes, *, replace: bool = False) -> str:
        """Write a certificate, or a request by a name that ends in `.csr`, and return the path.

        FileExistsError if the file holds something different and `replace` does not say that this may go.
        """
        path = self.path(name)
        text = to_pem(der, _REQUEST if name.endswith(".csr") else _CERTIFICATE)
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        unfinished = f"{path}.{os.getpid()}~"
        with _removed(unfinished, path):
            _write(unfinished, text)
            if replace:
                os.replace(unfinished, path)
            else:
                self._link(unfinished, path, name, der)
        _flush_directory(self.directory)
        return path

    def _link(self, unfinished: str, path: str, name: str, der: bytes) -> None:
        """Give a written file its name, unless the name is taken by something different."""
        try:
            os.link(unfinished, path)  # in contrast to a renaming it takes no name that exists
        except FileExistsError:
            try:
                same = self.read(name) == der
            except ValueError:
                same = False
            if not same:
                raise

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        if os.path.lexists(self.path(name)):
            os.unlink(self.path(name))


@contextlib.contextmanager
def _removed(unfinished: str, path: str = "") -> Iterator[None]:
    """Leave no unfinished file behind, whatever happens; an error is about `path`, or its directory."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path or os.path.dirname(unfinished), None
        raise
    finally:
        if os.path.lexists(unfinished):
            os.unlink(unfinished)


def _write(path: str, text: bytes) -> None:
    """Write a new file to the disk; certificates are public, but whose HSMs there are is the user's own business."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _flush_directory(path: str) -> None:
    """Have a new name on the disk too."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

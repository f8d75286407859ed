"""Files that tools read and write: never half of one, never over another without being asked."""

from __future__ import annotations

import os

from ptkc.tools import common

__all__ = ["read", "write"]

_LARGEST = 16 * 1024 * 1024


def read(path: str) -> bytes:
    """Return the bytes of a file; one of unreasonable size is an error."""
    with open(path, "rb") as file:
        found = file.read(_LARGEST + 1)
    if len(found) > _LARGEST:
        raise common.ToolError(f"{path} is longer than {_LARGEST >> 20} MiB", "is this the right file?")
    return found


def write(path: str, data: bytes, *, yes: bool, secret: bool = False) -> None:
    """Write a file, whole or not at all, with mode 0600 if it is secret.

    A file that is there with other contents is replaced only if `yes`, or if that is the answer to a question.
    """
    if os.path.isdir(path):
        raise common.ToolError(f"{path} is a directory", "name a file")
    if os.path.lexists(path):
        if os.path.isfile(path) and read(path) == data:
            return
        if not common.confirm(f"{path} is there already: overwrite it?", yes=yes):
            raise common.ToolError(f"{path} is there already", "name another file, or give --yes")
    unfinished = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            os.unlink(unfinished)
            raise
    except OSError as error:
        raise common.ToolError(f"{path} cannot be written: {error.strerror}") from None

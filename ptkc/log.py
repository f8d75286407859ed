"""The diagnosis log: why a call was refused, in a file when asked, else nothing at all.

A line has time (UTC), process, thread, function, CK_RV and reason; a reason names the attribute, field or file that was
wrong and never holds a PIN, a key or data. Of a bug, frames and exception types are logged, never messages or values.
The file is made with mode 0600, never through a symbolic link; each line is one write, so processes can share it.
"""

from __future__ import annotations

import os
import sys
from _stat import S_ISREG
from _thread import get_native_id
from time import gmtime, strftime, time

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, name_of

__all__ = ["bug", "configure", "enabled", "note", "refused"]

_LONGEST = 4096
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FIRST_OURS = 3


class _Log:
    """Where lines go: `path` None is nowhere; `file` is (device, inode) of what `descriptor` was opened as."""

    path: str | None = None
    refused = False
    descriptor = -1
    file = (0, 0)


def configure(path: str | None, mode: str = "refused") -> str | None:
    """Log to `path` from now on, None for nowhere; return why that is impossible, None if it is not.

    `mode` is `refused`, or `bugs` to leave refused calls out.
    """
    _close()
    _Log.path = None
    _Log.refused = mode == "refused"
    if path is None:
        return None
    try:
        _open(path)
    except OSError as error:
        return f"{path}: no log ({error.strerror})"
    _Log.path = path
    return None


def enabled() -> bool:
    """Whether anything is logged."""
    return _Log.path is not None


def refused(function: str, error: CryptokiError) -> None:
    """Log a refused call."""
    if _Log.path is not None and _Log.refused:
        _write(f"{function} {name_of(CKR, error.code)}: {error.message or 'no further reason'}")


def note(text: str) -> None:
    """Log what the user should know: a slot that is absent and why, a configuration item that was not understood."""
    if _Log.path is not None:
        _write(f"note: {text}")


def bug(function: str) -> None:
    """Log the exception being handled, which is a bug of ours: types and frames, no messages and no values."""
    if _Log.path is None:
        return
    error: BaseException | None = sys.exc_info()[1]
    parts: list[str] = []
    while error is not None and len(parts) < 8:  # noqa: PLR2004 - a chain may be a ring
        parts.append(f"{type(error).__name__} at {_frames(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    _write(f"{function} bug: {'; from '.join(parts)}")


def _frames(error: BaseException) -> str:
    """Return where an exception came from, innermost first, as `module:line function`."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(frames[:-17:-1])


def _open(path: str) -> None:
    """Open the log file; OSError if it cannot be, or is no plain file of one name.

    Descriptors 0 to 2 are left alone even if the host closed them: what it prints would land in the log.
    """
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        found = os.fstat(descriptor)
        if not S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(0, "not a plain file")  # noqa: TRY301 - the descriptor is closed below
        if descriptor < _FIRST_OURS:
            from fcntl import F_DUPFD_CLOEXEC, fcntl  # noqa: PLC0415 - hardly ever needed

            low, descriptor = descriptor, fcntl(descriptor, F_DUPFD_CLOEXEC, _FIRST_OURS)
            os.close(low)
    except OSError:
        os.close(descriptor)
        raise
    _Log.descriptor = descriptor
    _Log.file = (found.st_dev, found.st_ino)


def _ours() -> bool:
    """Whether the descriptor is still the log: a daemon may have closed all, and its socket have the number now."""
    try:
        found = os.fstat(_Log.descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == _Log.file


def _close() -> None:
    """Close the log if it is still ours."""
    if _Log.descriptor >= 0 and _ours():
        os.close(_Log.descriptor)
    _Log.descriptor = -1


def _write(text: str) -> None:
    """Write one line; a log that cannot be written never makes a call fail."""
    now = time()
    stamp = strftime("%Y-%m-%dT%H:%M:%S", gmtime(now))
    safe = "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST]
    line = f"{stamp}.{int(now * 1000) % 1000:03d}Z {os.getpid()}/{get_native_id()} {safe}\n"
    try:
        if not _ours():
            _open(_Log.path or "")
        os.write(_Log.descriptor, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass

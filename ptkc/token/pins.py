"""PIN records, and the delays after wrong PINs.

A token's key is held once for the SO and once for the user, in two layers. Inner: the token key under
Argon2id(PIN, salt) (RFC 9106), AES-256-GCM; this layer can be replicated to another HSM. Outer: the inner record under
a key from the device key, so that a stolen store gives nothing to try PINs on.
From the third failure in a row on there is a delay of (n - 2) * 5 seconds, during which a login is refused without
being tried; there is no permanent lock. Time is the machine's; a clock that went back starts the delay anew.
A login attempt holds the token's attempt lock from the committed increment of the failure count to its committed
reset: attempts are serial, and a right PIN is never refused because another right PIN is being tried.
"""

from __future__ import annotations

import fcntl
import os
import time
from struct import Struct, error

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.loading import bring_in
from ptkc.token.place import open_plain
from ptkc.token.seal import KEY_LENGTH, expand, random_bytes, seal, unseal

__all__ = [
    "FIRST_DELAYED", "PIN_LENGTHS", "AttemptLock", "check_new_pin", "delay", "drop_after_fork", "milliseconds",
    "open_pin", "seal_pin", "waiting",
]  # fmt: skip

PIN_LENGTHS = (4, 32)

_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
_SALT = 16
_LARGEST_MEMORY_KIB = 4 * 1024 * 1024
_INNER = Struct("<BIII16s")
_VERSION = 1
_FREE_FAILURES = 2
FIRST_DELAYED = _FREE_FAILURES + 1
_DELAY_STEP = 5000

_held: set[int] = set()


def check_new_pin(pin: bytes) -> None:
    """Refuse a PIN that cannot be set: CKR_PIN_LEN_RANGE outside 4 to 32 bytes, CKR_PIN_INVALID if it is not UTF-8."""
    shortest, longest = PIN_LENGTHS
    if not shortest <= len(pin) <= longest:
        raise CryptokiError(CKR.PIN_LEN_RANGE, f"a PIN has {shortest} to {longest} bytes, got {len(pin)}")
    try:
        pin.decode("utf-8")
    except UnicodeDecodeError:
        raise CryptokiError(CKR.PIN_INVALID, "the PIN is not UTF-8") from None


def seal_pin(device_key: bytes, holder: bytes, pin: bytes, token_key: bytes) -> bytes:
    """Return the PIN record of a token key; `holder` says which token and role it is for."""
    head = _INNER.pack(_VERSION, _MEMORY_KIB, _PASSES, _LANES, random_bytes(_SALT))
    inner = head + seal(_stretch(pin, head), token_key, head)
    return seal(expand(device_key, b"pin"), inner, holder)


def open_pin(device_key: bytes, holder: bytes, pin: bytes, record: bytes) -> bytes | None:
    """Return the token key, None if the PIN is wrong; CKR_DEVICE_ERROR if the record is not this device's."""
    inner = unseal(expand(device_key, b"pin"), record, holder)
    if inner is None:
        raise CryptokiError(CKR.DEVICE_ERROR, "a PIN record does not open: key file and store do not belong together")
    head = inner[: _INNER.size]
    token_key = unseal(_stretch(pin, head), inner[_INNER.size :], head)
    if token_key is not None and len(token_key) != KEY_LENGTH:
        raise CryptokiError(CKR.DEVICE_ERROR, "a PIN record is damaged")
    return token_key


def _stretch(pin: bytes, head: bytes) -> bytes:
    """Return Argon2id(PIN) with the parameters in a record's head."""
    bring_in()
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415 - not at C_OpenSession

    try:
        version, memory, passes, lanes, salt = _INNER.unpack(head)
    except error:
        version = 0
    if version != _VERSION or memory > _LARGEST_MEMORY_KIB:
        raise CryptokiError(CKR.DEVICE_ERROR, "a PIN record is of a newer ptkc, or is damaged")
    return Argon2id(salt=salt, length=KEY_LENGTH, iterations=passes, lanes=lanes, memory_cost=memory).derive(pin)


def delay(failures: int) -> int:
    """Return how long after the last of `failures` wrong PINs no login is tried, in milliseconds."""
    return max(0, failures - _FREE_FAILURES) * _DELAY_STEP


def waiting(failures: int, failed_at: int, now: int) -> int:
    """Return the milliseconds left of the delay; the whole delay if the clock went back."""
    whole = delay(failures)
    return whole if now < failed_at else max(0, failed_at + whole - now)


def milliseconds() -> int:
    """Return the machine's clock: Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def drop_after_fork() -> None:
    """Close, in a child, the locks of attempts that its parent is at: they are to end with the parent."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


class AttemptLock:
    """A token's attempt lock, held by `with`: among threads and processes, taken back by the kernel after a kill."""

    __slots__ = ("_descriptor", "_mode", "_path")

    def __init__(self, path: str, mode: int) -> None:
        """Use the file at `path`, which is no part of the database; made with `mode` if it is not there."""
        self._path = path
        self._mode = mode
        self._descriptor = -1

    def __enter__(self) -> None:
        """Wait for the lock."""
        try:
            descriptor = open_plain(self._path, os.O_RDONLY | os.O_CREAT, self._mode)
            status = os.fstat(descriptor)
            ours = status.st_uid == os.geteuid() and status.st_nlink == 1
            if ours and status.st_mode & 0o777 != self._mode:
                os.fchmod(descriptor, self._mode)  # others of the group wait for it too, whatever our umask is
            _held.add(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except FileNotFoundError as failure:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"{self._path}: {failure.strerror}") from failure
        except OSError as failure:
            raise CryptokiError(CKR.DEVICE_ERROR, f"{self._path}: {failure.strerror}") from failure
        self._descriptor = descriptor

    def __exit__(self, *_: object) -> None:
        """Let the next attempt go on.

        Unlocked by name: a child that was forked behind the handlers' back has a copy of the descriptor.
        """
        _held.discard(self._descriptor)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

"""Asynchronous sessions (specification 5.21): slow key generation goes on in a thread of its own.

In a session with CKF_ASYNC_SESSION, C_GenerateKey and C_GenerateKeyPair answer CKR_PENDING where the mechanism is slow.
Templates, login and flags are judged at once; the thread only computes and touches neither store nor session. What the
mechanism itself refuses is C_AsyncComplete's answer. That call makes the object, under the rules, the login and the
flags of then, so nothing has to be taken back when the session is closed, the user logs out or the operation is
cancelled: what was computed is forgotten.

An operation whose number was asked for outlives its session, and in this process C_Finalize: whoever knows the number
and is logged in to the token as its beginner was may join it, for an hour. It outlives neither the process nor the
PIN of that login, and no initialisation of the token.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from time import monotonic

from ptkc.hsm.keys import KeyCommands, Work
from ptkc.hsm.session import Session
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes
from ptkc.wire.commands import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread

    from ptkc.hsm.application import Application
    from ptkc.token.tokens import Token

__all__ = ["AsynchronousCommands", "drop_after_fork", "settle"]

_MOST_RUNNING = 4  # threads for one application; more is done at once, as in any other session
_MOST_RUNNING_IN_ALL = 16
_MOST_KEPT = 64  # operations that outlive their sessions
_KEPT_FOR = 3600.0  # seconds
_AROUND = 1 << 14  # bytes that a key takes beside its template, about
_FLAGS = {"C_GenerateKey": CKF.GENERATE, "C_GenerateKeyPair": CKF.GENERATE_KEY_PAIR}


class Pending:
    """An operation that goes on, or has ended and waits for C_AsyncComplete.

    `role` is who was logged in when it began, `origin` what it is bound to. `number` is what C_AsyncGetID answered,
    0 if it was not asked.
    """

    __slots__ = ("claim", "error", "goes_on", "made", "number", "origin", "role", "until", "work")

    def __init__(self, work: Work, owner: Application, session: Session) -> None:
        """Keep what is to be done and for whom."""
        self.work = work
        self.goes_on = True
        self.role = owner.role(session.token)
        self.origin = _origin(owner, session.token)
        self.made: tuple[Attributes, ...] = ()
        self.error: BaseException | None = None
        self.number = 0
        self.until = 0.0
        self.claim = None if session.room is None else session.room.claim(work.templates)

    def run(self) -> None:
        """Do the work: the whole life of its thread."""
        try:
            self.made = self.work.make()
        except BaseException as error:  # noqa: BLE001 - C_AsyncComplete raises it, at the boundary
            self.error = error
        self.goes_on = False


def _origin(application: Application, token: Token) -> tuple[object, ...]:
    """Return what an operation that begins now is bound to: the HSM's boot, the token, who is logged in."""
    login = application.logins.get(token)
    role, key = (None, None) if login is None else (login.role, login.key)
    return application.hsm.boot, token.serial, role, *token.access(role, key)


_lock = allocate_lock()
_threads: dict[Thread, int] = {}  # and the id of the application: nothing here keeps it, or a key, in memory
_kept: dict[int, Pending] = {}


def _start(pending: Pending, application: Application) -> bool:
    """Begin the work in a thread of its own; False if there are too many, or the system has none."""
    import signal  # noqa: PLC0415 - only what asynchronous sessions need
    import threading  # noqa: PLC0415

    with _lock:
        for ended in [thread for thread in _threads if not thread.is_alive()]:
            del _threads[ended]
        if list(_threads.values()).count(id(application)) >= _MOST_RUNNING or len(_threads) >= _MOST_RUNNING_IN_ALL:
            return False
        # Not a daemon: an interpreter that ends must wait for it. It handles no signal: these are the host's.
        thread = threading.Thread(target=pending.run, name="ptkc generation", daemon=False)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()
        except RuntimeError:  # no thread to be had
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _threads[thread] = id(application)
    return True


def settle() -> None:
    """Wait until no thread of ours is left, as C_Finalize does: what computes cannot be interrupted."""
    with _lock:
        threads = list(_threads)
        _threads.clear()
    for thread in threads:
        thread.join()


def drop_after_fork() -> None:
    """Forget, in the child of a fork, what the parent's threads are at."""
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = allocate_lock()
    _threads.clear()
    _kept.clear()


def _keep(pending: Pending) -> int:
    """Return the number by which an operation is joined; CKR_STATE_UNSAVEABLE if there are too many."""
    with _lock:
        now = monotonic()
        for number in [number for number, other in _kept.items() if other.until < now]:
            del _kept[number]
        if not pending.number:
            if len(_kept) >= _MOST_KEPT:
                raise CryptokiError(CKR.STATE_UNSAVEABLE, f"{_MOST_KEPT} operations wait to be joined already")
            # Not to be guessed: it is what lets another application have the key.
            pending.number = int.from_bytes(os.urandom(8), "little") >> 1 or 1
            pending.until = now + _KEPT_FOR
            _kept[pending.number] = pending
        return pending.number


def _take(pending: Pending) -> bool:
    """Take what has ended for one session; False if another one that joined it was quicker, or cancelled it."""
    with _lock:
        return not pending.number or _kept.pop(pending.number, None) is pending


class AsynchronousCommands(KeyCommands):
    """The part of `LocalDevice` that lets key generation go on in the background."""

    def _produce(self, session: Session, work: Work) -> tuple[int, ...]:
        """Make keys at once, or begin to: CKR_PENDING; CKR_OPERATION_ACTIVE if this function is pending already."""
        if not (work.slow and session.flags & CKF.ASYNC_SESSION):
            return super()._produce(session, work)
        pending = Pending(work, self.application, session)
        if pending.claim is not None:
            pending.claim.hold(len(work.templates) * _AROUND)
        if session.pending.setdefault(work.function, pending) is not pending:
            raise CryptokiError(CKR.OPERATION_ACTIVE, f"{work.function} is pending")
        if _start(pending, self.application):
            raise CryptokiError(CKR.PENDING, f"{work.function} goes on in the background")
        session.pending.pop(work.function, None)
        return super()._produce(session, work)

    def async_complete(self, handle: int, function: bytes) -> tuple[int, int]:
        """C_AsyncComplete: the handles of the object and of the additional one, 0 for none.

        CKR_PENDING as long as it goes on; then it is over, with what the function itself would have answered.
        """
        session = self._working(handle)
        pending = _pending(session, function)
        if pending.goes_on:
            raise CryptokiError(CKR.PENDING, f"{pending.work.function} goes on")
        if session.pending.pop(pending.work.function, None) is not pending or not _take(pending):
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "another call has completed or cancelled it")
        pending.claim = None  # the keys have room of their own, and the error refers to what refers to it
        if pending.error is not None:
            raise pending.error
        for attributes in pending.work.templates:
            self._may_make(session, attributes)
        handles = self._keep(session, *pending.made)
        return handles[0], handles[1] if len(handles) > 1 else 0

    def async_get_id(self, handle: int, function: bytes) -> int:
        """C_AsyncGetID; CKR_STATE_UNSAVEABLE if too many operations are kept already."""
        return _keep(_pending(self.application.session(handle), function))

    def async_join(self, handle: int, function: bytes, number: int) -> None:
        """C_AsyncJoin; CKR_SAVED_STATE_INVALID if there is no such operation of this token and this login."""
        session = self._working(handle)
        name = _name(function)
        pending = _kept.get(number)
        if pending is None or pending.until < monotonic() or pending.work.function != name:
            raise CryptokiError(CKR.SAVED_STATE_INVALID, f"no {name} of this number")
        application = self.application
        if pending.origin != _origin(application, session.token):
            raise CryptokiError(CKR.SAVED_STATE_INVALID, f"the {name} is another token's, or another login's")
        if session.pending.setdefault(name, pending) is not pending:
            raise CryptokiError(CKR.OPERATION_ACTIVE, f"{name} is pending")

    def session_cancel(self, handle: int, flags: int) -> None:
        """C_SessionCancel: also what is pending, whether or not its number is known."""
        super().session_cancel(handle, flags)
        session = self.application.session(handle)
        for name, flag in _FLAGS.items():
            if flags & flag:
                pending = session.pending.pop(name, None)
                if pending is not None:
                    _take(pending)


def _name(function: bytes) -> str:
    """Return the name of a function; CKR_ARGUMENTS_BAD if there is none of it."""
    name = function.decode("ascii", "replace")
    if name not in BY_NAME:
        raise CryptokiError(CKR.ARGUMENTS_BAD, f"{name!r} is no function")
    return name


def _pending(session: Session, function: bytes) -> Pending:
    """Return what is pending of a function; CKR_OPERATION_NOT_INITIALIZED."""
    name = _name(function)
    pending: Pending | None = session.pending.get(name)
    if pending is None:
        raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, f"{name} is not pending")
    return pending

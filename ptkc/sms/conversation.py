"""What both ends of a handshake and of a channel have in common: the state, two directions, and the end.

One failure ends it: the keys are dropped, `cause` says why, and `farewell` is the frame that tells the peer, if there
is anything to tell. An end is not undone; what follows is another handshake.
"""

from __future__ import annotations

from os import getpid

from ptkc.sms.bodies import read_code, write_code
from ptkc.sms.errors import FrameError, LocalError, RefusedError, TerminatedError
from ptkc.sms.frames import Frame, decode
from ptkc.sms.protection import BOTH
from ptkc.sms.state import ANSWERED, CLIENT, ENDED, KINDS, NEXT, OTHER, REFUSED, TERMINATE
from ptkc.sms.traffic import LAST, Traffic
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["Conversation", "turn"]


def turn(state: str, sender: int, kind: int, reader: int | None = None) -> str:
    """Return the state after a frame; without a reader it is our own, and `LocalError` if it is not its turn.

    `FrameError` if it is the peer's.
    """
    after = NEXT.get((state, sender, kind))
    if after is None:
        failure = LocalError if reader is None else FrameError
        raise failure(CKR.SMS_ERROR, f"{KINDS[kind]} when {state}")
    return after


class Conversation:
    """One end of a channel from the moment on when there are keys; used by one thread at a time."""

    __slots__ = ("_counts", "_in", "_out", "_process", "cause", "end", "farewell", "number", "state")

    def __init__(self, end: int, number: int, requests: bytes, replies: bytes) -> None:
        """Begin with the first traffic secrets of both directions; `end` is CLIENT or HSM."""
        self.end = end
        self.number = number
        self.state = ANSWERED
        self.cause: CryptokiError | None = None
        self.farewell = b""
        self._process = getpid()
        self._counts: tuple[int, int, int] | None = None
        directions = [Traffic(secret, number) for secret in (requests, replies)]
        self._out, self._in = directions if end == CLIENT else reversed(directions)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many frames were sent and received, and how often keys have rolled over, in both directions."""
        try:
            return self._counts or (self._out.counter, self._in.counter, self._out.rolled + self._in.rolled)
        except AttributeError:  # it has ended just now: another thread lists channels than the one that uses this
            return self._counts or (0, 0, 0)

    def check_alive(self) -> None:
        """CKR_NO_SESSION_KEYS at an end, and in a process that was forked: it must not use a nonce a second time."""
        if self.state == ENDED:
            raise LocalError(CKR.NO_SESSION_KEYS, f"channel {self.number} has ended: {self.cause or 'in good order'}")
        if self._process != getpid():
            raise LocalError(CKR.NO_SESSION_KEYS, f"channel {self.number} is of the process before the fork")

    def send(self, kind: int, protection: int, payload: bytes, associated: bytes = b"") -> bytes:
        """Return a frame of ours; CKR_KEY_ROLLOVER, and the end, where a direction is used up."""
        self.check_alive()
        after = turn(self.state, self.end, kind)
        if self._out.counter >= LAST:
            error = LocalError(CKR.KEY_ROLLOVER, f"channel {self.number} is used up")
            self.fail(error)
            raise error
        frame = self._out.seal(kind, protection, payload, associated)
        self.state = after
        return frame

    def receive(self, data: bytes | memoryview, least: int = 0) -> tuple[Frame, bytes]:
        """Return a frame of the peer's and its payload, verified; it is the end if that fails or the peer says so.

        CKR_BAD_PROTECTION if it has less protection than `least`.
        """
        self.check_alive()
        try:
            frame = decode(data, self.end)
            after = turn(self.state, OTHER[self.end], frame.kind, self.end)
            if frame.kind == REFUSED:
                raise RefusedError(CKR.NO_SESSION_KEYS, read_code(bytes(frame.body), self.end))
            if self._in.counter > LAST or (self._in.counter == LAST and frame.kind != TERMINATE):
                raise FrameError(CKR.KEY_ROLLOVER, f"channel {self.number} is used up")
            if least & ~frame.protection:
                raise FrameError(CKR.BAD_PROTECTION, f"protection {frame.protection:#x}, {least:#x} is needed")
            payload = self._in.open(frame, self.end)
            if frame.kind == TERMINATE:
                raise TerminatedError(read_code(payload, self.end) or CKR.NO_SESSION_KEYS, "said by the peer")
        except CryptokiError as error:
            self.fail(error)
            raise
        self.state = after
        return frame, payload

    def fail(self, error: CryptokiError) -> None:
        """End because of `error`, and tell the peer its code if the peer did not say it itself."""
        if self.state == ENDED:
            return
        self.cause = error
        said = isinstance(error, TerminatedError | RefusedError)
        self._end(None if said else error.code)

    def terminate(self, code: int = 0) -> bytes:
        """End it in good order or with the CK_RV that is the reason, and return the frame that says so."""
        self.check_alive()
        if code:
            self.cause = LocalError(code, "ended by us")
        self._end(code)
        return self.farewell

    def _end(self, code: int | None) -> None:
        if code is not None and (self.state, self.end, TERMINATE) in NEXT and self._process == getpid():
            self.farewell = self._out.seal(TERMINATE, BOTH, write_code(code), b"")
        self._counts = self.counts
        self.state = ENDED
        del self._in, self._out

"""Transports: what moves a frame to an HSM and the frame that answers it back.

`exchange` takes the bytes of one frame and returns the bytes of its answer; `close` ends the connection. A transport
knows nothing of what the bytes mean. It says whether a request that got no answer may have been carried out: if
nothing whole of it went out it is a `NotSentError`, and the request may go another way; else it is lost.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError

__all__ = ["DirectTransport", "NotSentError", "Transport"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Answering(Protocol):
        """The HSM's end in the same process (`hsm.endpoint.Connection`)."""

        farewell: bytes

        def answer(self, frame: bytes) -> bytes:
            """Return the frame that answers; `PeerError` if the connection must be closed."""

        def close(self) -> None:
            """End the connection."""


class NotSentError(CryptokiError):
    """CKR_DEVICE_REMOVED: the HSM cannot have got the request, so it may be sent again on another connection."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(CKR.DEVICE_REMOVED, reason)


class Transport:
    """What every transport has."""

    __slots__ = ()

    def exchange(self, frame: bytes, limit: float | None = None) -> bytes | memoryview:
        """Return the frame that answers, which stands until the next exchange.

        It may take `limit` seconds, or without one as long as any answer may take. `NotSentError`; CKR_DEVICE_ERROR if
        the answer is lost.
        """
        raise NotImplementedError

    def send(self, frame: bytes) -> None:
        """Send a last frame that nobody answers, if that is possible at once."""
        raise NotImplementedError

    def pending(self) -> bytes | memoryview:
        """Return a frame that the HSM sent without being asked: it ends a channel; empty if there is none.

        `NotSentError` if the connection has ended.
        """
        raise NotImplementedError

    def interrupt(self) -> None:
        """Have an exchange of another thread end soon: that thread then closes. A call ends by itself."""

    def close(self) -> None:
        """End the connection; a second time does nothing. Of the thread that uses it."""
        raise NotImplementedError

    def drop_after_fork(self) -> None:
        """Forget in a child process what is the parent's, without a word to the HSM."""
        raise NotImplementedError


class DirectTransport(Transport):
    """A call in the same process: the HSM's PCI bus."""

    __slots__ = ("_end",)

    def __init__(self, end: Answering) -> None:
        """Keep what answers."""
        self._end: Answering | None = end

    def exchange(self, frame: bytes, limit: float | None = None) -> bytes:  # noqa: ARG002 - a call takes its time
        """Call."""
        end = self._end
        if end is None:
            raise NotSentError("the transport is closed")
        try:
            answer = end.answer(frame)
        except PeerError as error:
            answer = end.farewell
            self.close()
            if not answer:
                raise CryptokiError(CKR.DEVICE_ERROR, f"the HSM closed the connection: {error}") from error
        if not answer:
            self.close()
            raise NotSentError("the HSM has ended the connection")
        return answer

    def send(self, frame: bytes) -> None:
        """Call, and leave what is answered."""
        end = self._end
        if end is not None:
            try:
                end.answer(frame)
            except (CryptokiError, PeerError):
                self.close()

    def pending(self) -> bytes:
        """Return nothing: this HSM answers and does not begin."""
        if self._end is None:
            raise NotSentError("the transport is closed")
        return b""

    def close(self) -> None:
        """Forget what answers."""
        end, self._end = self._end, None
        if end is not None:
            end.close()

    def drop_after_fork(self) -> None:
        """Forget what answers, which is the parent's."""
        self._end = None

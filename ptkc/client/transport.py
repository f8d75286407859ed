"""Transports: what moves a request to an HSM and its reply back.

`exchange` takes the bytes of one request and returns the bytes of its reply; `close` ends the connection, after which
`exchange` is CKR_DEVICE_REMOVED. A transport knows nothing of what the bytes mean.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["DirectTransport", "Transport"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Transport:
    """What every transport has."""

    __slots__ = ()

    def exchange(self, request: bytes) -> bytes:
        """Return the reply to `request`; CKR_DEVICE_REMOVED or CKR_DEVICE_ERROR if there is none."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection; a second time does nothing."""
        raise NotImplementedError


class DirectTransport(Transport):
    """A call in the same process: the HSM's PCI bus."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        """Keep what answers a request (`hsm.endpoint.Endpoint.answer`)."""
        self._answer: Callable[[bytes], bytes] | None = answer

    def exchange(self, request: bytes) -> bytes:
        """Call."""
        if self._answer is None:
            raise CryptokiError(CKR.DEVICE_REMOVED, "the transport is closed")
        return self._answer(request)

    def close(self) -> None:
        """Forget what answers."""
        self._answer = None

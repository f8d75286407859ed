"""Who is to blame when secure messaging fails, and with which CK_RV.

`LocalError`: our own end was used wrongly or must not go on; nothing was sent. `FrameError` and `AuthenticationError`:
the other end, or the wire, broke the protocol; both are a `PeerError`, and what joined the two ends is dead.
`TerminatedError` and `RefusedError`: the other end said that it is over, the first with proof, the second without.
"""

from __future__ import annotations

from ptkc.sms.state import CLIENT, HSM
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError

__all__ = [
    "BAD_MAC", "MALFORMED", "AuthenticationError", "FrameError", "LocalError", "RefusedError", "TerminatedError",
]  # fmt: skip

MALFORMED = {CLIENT: CKR.BAD_REPLY, HSM: CKR.SMS_ERROR}
"""The code for bytes that are no frame, by who reads them."""

BAD_MAC = {CLIENT: CKR.BAD_REPLY_SIGNATURE, HSM: CKR.BAD_REQ_SIGNATURE}
"""The code for a frame whose MAC or tag is wrong, by who reads it."""


class LocalError(CryptokiError):
    """Our own end cannot do this, or not now; nothing was sent."""


class FrameError(PeerError, CryptokiError):
    """Bytes that are no frame, or a frame that is out of turn, out of order or without the protection needed."""


class AuthenticationError(PeerError, CryptokiError):
    """A MAC, a tag, a signature or a proof is wrong."""


class TerminatedError(CryptokiError):
    """The other end closed the channel, and proved that it was the one: `code` is the reason it gave.

    CKR_NO_SESSION_KEYS stands for no reason: the channel was closed in good order.
    """


class RefusedError(CryptokiError):
    """The other end, or anybody on the wire, says that it does not go on.

    `said` is the CK_RV that was given. It is a hint for the log: nobody vouches for it, so it never is `code`.
    """

    def __init__(self, code: int, said: int) -> None:
        """Keep the code that follows from where it happened, and what was said."""
        super().__init__(code, f"refused without proof, with {said:#x}")
        self.said = said

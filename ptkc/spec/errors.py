"""Failures that become a CK_RV.

Codes are raised, never returned. A `CryptokiError` becomes a CK_RV in two places only: the HSM's reply and the bridge.
Messages name the attribute, field, file or state that was wrong, and never hold a PIN, key bytes or plaintext.
"""

from ptkc.spec.constants import CKA, CKR

__all__ = ["SESSION_ENDED", "BufferTooSmallError", "CryptokiError", "PeerError", "name_of"]

SESSION_ENDED = frozenset((CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED, CKR.DEVICE_RESET))
"""The codes that say that the session of a call is no more. After any other the HSM may have it, and its login."""


class CryptokiError(Exception):
    """A refused call: `code` is the CK_RV, `message` the reason for the log."""

    def __init__(self, code: int, message: str = "") -> None:
        """Keep `code` (a CKR.* number) and the reason."""
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """Return the code's name and the reason."""
        return f"{name_of(CKR, self.code)}: {self.message}" if self.message else name_of(CKR, self.code)


class BufferTooSmallError(CryptokiError):
    """CKR_BUFFER_TOO_SMALL with `length`, the number of bytes (or items) needed (specification 5.2)."""

    def __init__(self, length: int) -> None:
        """Keep the needed length."""
        super().__init__(CKR.BUFFER_TOO_SMALL, f"{length} needed")
        self.length = length


class PeerError(Exception):
    """The other end sent bytes that are no command or no reply: whatever joins the two ends is to be closed."""


def name_of(group: type, value: int) -> str:
    """Return `CKR_PIN_INCORRECT` for (CKR, 0xA0); the number in hexadecimal where no name is known."""
    for name, number in vars(group).items():
        if number == value and not name.startswith("_"):
            return f"{group.__name__}_{name}"
    return f"{group.__name__}_{value:#x}" if group is not CKA else f"attribute {value:#x}"

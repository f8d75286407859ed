"""The HSM's end of a transport: bytes of a request in, bytes of its reply out.

This is one of the two places where a `CryptokiError` becomes a CK_RV. Any other exception of a device is a bug: it is
logged without values and answered with CKR_GENERAL_ERROR. Bytes that are no request are a `PeerError`, and whoever
brought them closes the connection.
"""

from __future__ import annotations

from ptkc import log
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire.codec import decode_request, encode_reply

__all__ = ["Endpoint"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.wire.commands import Device


class Endpoint:
    """Answers requests with a device's methods."""

    __slots__ = ("_device",)

    def __init__(self, device: Device) -> None:
        """Keep the device."""
        self._device = device

    def answer(self, request: bytes) -> bytes:
        """Return the reply to a request; `PeerError` if it is none."""
        command, arguments = decode_request(request)
        try:
            return encode_reply(command, getattr(self._device, command.method)(*arguments))
        except CryptokiError as error:
            return encode_reply(command, error)
        except Exception:  # noqa: BLE001 - the boundary: nothing but a CK_RV leaves an HSM
            log.bug(command.name)
            return encode_reply(command, CryptokiError(CKR.GENERAL_ERROR, "a bug of the HSM, see its log"))

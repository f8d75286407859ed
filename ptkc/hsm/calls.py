"""A command called on a device, and its reply: one of the two places where a `CryptokiError` becomes a CK_RV.

Any other exception of a device is a bug: logged without values, CKR_GENERAL_ERROR.
"""

from __future__ import annotations

from ptkc import log
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire.codec import decode_request, encode_reply

__all__ = ["answer", "encoded", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.wire.codec import Hold
    from ptkc.wire.commands import Command, Device


def run(device: Device, command: Command, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the command's result
    """Return what a command gives, or the `CryptokiError` that it is refused with."""
    try:
        return getattr(device, command.method)(*arguments)
    except CryptokiError as error:
        return error
    except Exception:  # noqa: BLE001 - the boundary: nothing but a CK_RV leaves an HSM
        log.bug(command.name)
        return CryptokiError(CKR.GENERAL_ERROR, "a bug of the HSM, see its log")


def encoded(
    command: Command, result: Any,  # noqa: ANN401 - as above
    hold: Hold | None = None, told: Callable[[CryptokiError], CryptokiError] | None = None,
) -> bytes:  # fmt: skip
    """Return a reply; CKR_GENERAL_ERROR in it if the result is none.

    CKR_DEVICE_MEMORY if it would be too long, or `hold` has no memory for it; `told` gives what is said of that.
    """
    try:
        return encode_reply(command, result, hold)
    except CryptokiError as error:
        return encode_reply(command, error if told is None else told(error))
    except Exception:  # noqa: BLE001 - the boundary, as above
        log.bug(command.name)
        return encode_reply(command, CryptokiError(CKR.GENERAL_ERROR, "a bug of the HSM, see its log"))


def answer(device: Device, request: bytes) -> bytes:
    """Return a device's reply to a request; `PeerError` if it is none. No policy, no application: for one device."""
    command, arguments = decode_request(request)
    return encoded(command, run(device, command, arguments))

"""An HSM behind a transport: the `Device` whose methods encode, exchange and decode.

The methods are made from the command table. A reply is believed only as far as it fits the request: output longer than
the caller's room, or another number of random bytes than asked for, would be written over the application's memory.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.wire.codec import decode_reply, encode_request
from ptkc.wire.commands import COMMANDS, Device

__all__ = ["RemoteDevice"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ptkc.client.transport import Transport
    from ptkc.wire.commands import Command


class RemoteDevice(Device):
    """A device at the other end of `transport`.

    CKR_DEVICE_ERROR where a reply is none: the transport is closed then.
    """

    __slots__ = ("_transport",)

    def __init__(self, transport: Transport) -> None:
        """Keep the transport."""
        self._transport = transport

    def call(self, command: Command, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the command's result
        """Return the result of one command."""
        request = encode_request(command, arguments)
        try:
            result = decode_reply(command, self._transport.exchange(request))
            _check(command, arguments, result)
        except PeerError as error:
            self._transport.close()
            raise CryptokiError(CKR.DEVICE_ERROR, f"the HSM's reply is none: {error}") from error
        return result

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


def _check(command: Command, arguments: tuple[Any, ...], result: Any) -> None:  # noqa: ANN401 - as above
    """Raise `PeerError` if a result does not fit what was asked for."""
    kinds = [field.rpartition(":")[2] for field in command.outputs]
    if "buffer" in kinds:
        # The room is the last argument but for C_EncryptMessageNext and C_DecryptMessageNext, whose flags follow it.
        room = arguments[-2 if "ulong_in" in kinds else -1]
        value = result[0] if isinstance(result, tuple) else result
        if isinstance(value, int) is not (room is None) or (room is not None and len(value) > room):
            raise PeerError("the output does not fit the request")
    elif kinds == ["fill"] and len(result) != arguments[-1]:
        raise PeerError(f"{len(result)} bytes instead of {arguments[-1]}")
    elif kinds == ["found"] and len(result) > arguments[-1]:
        raise PeerError(f"{len(result)} objects, at most {arguments[-1]} were asked for")
    elif kinds == ["values"] and len(result[1]) != len(arguments[-1]):
        raise PeerError(f"{len(result[1])} values of {len(arguments[-1])} attributes")


def _method(command: Command) -> Callable[..., Any]:
    def method(self: RemoteDevice, *arguments: Any) -> Any:  # noqa: ANN401 - generic over the table
        return self.call(command, arguments)

    method.__name__ = command.method
    method.__doc__ = f"{command.name}, at the other end."
    return method


for _command in COMMANDS:
    if not _command.library:
        setattr(RemoteDevice, _command.method, _method(_command))

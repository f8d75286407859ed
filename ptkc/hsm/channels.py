"""Channels of secure messaging as Cryptoki shows them, and the handshake that an application makes by itself.

A channel is a hardware feature on the Admin token. An application sees its own ones, the Administrator those of all
applications that the same server, or this process, serves. Destroying one ends it: the next request on it is answered
with the end, and not done. The attributes are ours.
"""

from __future__ import annotations

from time import time

from ptkc.hsm.features import HardwareFeature
from ptkc.hsm.handles import Handles
from ptkc.sms.state import CONFIRM, HELLO, QUESTION
from ptkc.spec.constants import CKA, CKH, CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.spec.values import TRUE, ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.application import Application
    from ptkc.hsm.endpoint import Connection
    from ptkc.hsm.features import Feature, Reading
    from ptkc.token.hsms import Hsm

__all__ = ["Conversation", "channels_of", "converse"]

_VERSION = 1
_HANDSHAKE = frozenset(bytes((kind,)) for kind in (HELLO, CONFIRM, QUESTION))


class ChannelFeature(HardwareFeature):
    """CKH_PTKC_CHANNEL: one channel."""

    __slots__ = ("_connection", "_is_own")

    def __init__(self, hsm: Hsm, connection: Connection, *, is_own: bool) -> None:
        """Show the channel of a connection; `is_own` says that it is of the application that looks."""
        channel = connection.channel
        super().__init__(hsm, 0 if channel is None else channel.number)
        self.key = (CKH.PTKC_CHANNEL, self.key[1])
        self._connection = connection
        self._is_own = is_own

    @property
    def private(self) -> bool:  # type: ignore[override]
        """Whether only the Administrator sees it."""
        return not self._is_own

    @property
    def exists(self) -> bool:
        """Whether it has not ended."""
        return self._connection.has_channel

    def readings(self) -> dict[int, Reading]:
        """Return whose it is, what it protects (`sms.protection`), its age in seconds, and how much it was used."""
        connection, channel = self._connection, self._connection.channel
        if channel is None:
            return {}
        number = f"channel {channel.number}".encode()
        return {
            CKA.HW_FEATURE_TYPE: ulong(CKH.PTKC_CHANNEL),
            CKA.DESTROYABLE: TRUE,
            CKA.LABEL: number,
            CKA.SERIAL_NUMBER: channel.statement.serial.encode(),
            CKA.PTKC_CHANNEL: ulong(channel.number),
            CKA.PTKC_APPLICATION: channel.application,
            CKA.PTKC_PROTECTION: ulong(channel.policy),
            CKA.PTKC_AGE: lambda: ulong(max(0, int(time() - connection.since))),
            CKA.PTKC_MESSAGES: lambda: ulong(sum(channel.counts[:2])),
            CKA.PTKC_ROLLOVERS: lambda: ulong(channel.counts[2]),
            CKA.PTKC_PEER: connection.address.encode(),
        }

    def end(self) -> bool:
        """End the channel: whoever sees it may."""
        self._connection.end_soon(0)
        return True


def channels_of(application: Application) -> list[Feature]:
    """Return the channels of all applications that are served together with this one, oldest first."""
    found = [each for served in application.served() for each in list(served.connections) if each.has_channel]
    found.sort(key=lambda each: each.since)
    return [ChannelFeature(application.hsm, each, is_own=each.application is application) for each in found]


# CT_GetSMC


class Conversation:
    """The handshake of a session, and what was answered last."""

    __slots__ = ("_answer", "_connection", "_frame")

    def __init__(self, hsm: Hsm) -> None:
        """Begin; the channel is an application's of its own, so that it reaches nobody's sessions."""
        from ptkc.hsm.application import Application  # noqa: PLC0415 - a ring: an application has conversations
        from ptkc.hsm.applications import OneApplication  # noqa: PLC0415 - as above
        from ptkc.hsm.endpoint import Endpoint  # noqa: PLC0415 - as above

        self._connection = Endpoint(hsm, OneApplication(Application(hsm, Handles()))).connection("CT_GetSMC", b"")
        self._frame = self._answer = b""

    def repeats(self, frame: bytes) -> bool:
        """Whether this frame was answered last: a call for the length comes before the one for the answer."""
        return bool(self._answer) and frame == self._frame

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._connection.is_over or self._connection.has_channel

    def answer(self, frame: bytes) -> bytes:
        """Return the frame that answers; CKR_SMS_ERROR."""
        if not self.repeats(frame):
            try:
                self._answer = self._connection.answer(frame)
            except PeerError as error:
                raise CryptokiError(CKR.SMS_ERROR, f"no frame of a handshake, or not its turn: {error}") from error
            self._frame = frame
        return self._answer

    def close(self) -> None:
        """End it."""
        self._connection.close()


def converse(application: Application, handle: int, version: int, frame: bytes) -> bytes:
    """Return the answer to a frame of the handshake of a session, or of none (0)."""
    if version != _VERSION or frame[1:2] not in _HANDSHAKE:
        raise CryptokiError(CKR.SMS_ERROR, f"version {version}, or no frame of a handshake")
    conversation = application.conversations.get(handle)
    if conversation is None or (conversation.is_over and not conversation.repeats(frame)):
        conversation = application.conversations[handle] = Conversation(application.hsm)
    return conversation.answer(frame)

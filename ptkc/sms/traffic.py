"""One direction of a channel: its keys, its counter, and what protects a frame or opens it.

The counter counts every frame of the direction and never begins anew; the nonces count the encrypted ones, so that one
that somebody replaced by a frame in clear is missed at the next one. Each 65,536 frames the keys roll over; both ends
know when, since they count the same. State changes after a frame was verified, never before.
"""

from __future__ import annotations

from struct import Struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC

from ptkc.sms.errors import BAD_MAC, AuthenticationError, FrameError
from ptkc.sms.frames import Frame, header
from ptkc.sms.keys import TrafficKeys
from ptkc.sms.protection import ENCRYPTED, SIGNED
from ptkc.sms.state import KINDS
from ptkc.spec.constants import CKR

__all__ = ["LAST", "ROLL_OVER", "Traffic"]

ROLL_OVER = 1 << 16
"""Frames in a direction under the same keys.

With bodies of 2^28 bytes that is at most 2^40 blocks of AES-GCM, far below where its bounds become weak.
"""

LAST = 1 << 32
"""Frames in a direction; then the channel ends with CKR_KEY_ROLLOVER, and a new agreement makes new keys."""

_COUNTER = Struct("<Q")


class Traffic:
    """One direction: `counter` is the number of the next frame, `encrypted` that of the next one that is encrypted.

    `rolled` says how often the keys have changed.
    """

    __slots__ = ("_channel", "_cipher", "_fixed", "_mac", "_next", "counter", "encrypted", "rolled")

    def __init__(self, secret: bytes, channel: int) -> None:
        """Begin with the first traffic secret of a channel's direction."""
        self._channel = channel
        self.counter = self.encrypted = self.rolled = 0
        self._use(TrafficKeys(secret))

    def _use(self, keys: TrafficKeys) -> None:
        # Kept for the next frames: expanding an AES key or hashing an HMAC key costs as much as a short message.
        self._cipher = AESGCM(keys.encrypt)
        self._mac = HMAC(keys.sign, SHA512())
        self._fixed = keys.fixed
        self._next = keys.next

    def _advance(self, protection: int) -> None:
        """Count a frame that was sealed or verified."""
        self.counter += 1
        if protection & ENCRYPTED:
            self.encrypted += 1
        if not self.counter % ROLL_OVER:
            self._use(TrafficKeys(self._next))
            self.rolled += 1

    def seal(self, kind: int, protection: int, payload: bytes, associated: bytes) -> bytes:
        """Return the next frame."""
        start = header(kind, protection, associated, len(payload), self._channel, self.counter)
        if protection & ENCRYPTED:
            # SP 800-38D, 8.2.1: a fixed field of 32 bits, here of the key schedule, then an invocation field of 64.
            payload = self._cipher.encrypt(self._fixed + _COUNTER.pack(self.encrypted), payload, start)
        if protection & SIGNED:
            mac = self._mac.copy()
            mac.update(start)
            mac.update(payload)
            frame = b"".join((start, payload, mac.finalize()))
        else:
            frame = start + payload
        self._advance(protection)
        return frame

    def open(self, frame: Frame, reader: int) -> bytes:
        """Return the payload of the next frame.

        CKR_SMS_ERROR if it is not the next one of this channel, the code of a bad MAC (or tag) for who reads it.
        """
        if frame.channel != self._channel or frame.counter != self.counter:
            raise FrameError(
                CKR.SMS_ERROR,
                f"{KINDS[frame.kind]} {frame.counter} of channel {frame.channel}, expected was {self.counter} of "
                f"{self._channel}",
            )
        payload = frame.body
        try:
            if frame.protection & SIGNED:
                mac = self._mac.copy()
                mac.update(frame.signed)
                mac.verify(frame.mac)
            if frame.protection & ENCRYPTED:
                payload = self._cipher.decrypt(self._fixed + _COUNTER.pack(self.encrypted), payload, frame.start)
            else:
                payload = bytes(payload)
        except (InvalidSignature, InvalidTag):
            raise AuthenticationError(BAD_MAC[reader], f"{KINDS[frame.kind]} {frame.counter} was changed") from None
        self._advance(frame.protection)
        return payload

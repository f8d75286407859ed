"""Another implementation of secure messaging, for the vectors: it follows the page and uses nothing of ptkc.

It does no more than what shows that the page says all that is needed: the key schedule, frames in both directions, and
both ends of a handshake, whose signature it verifies.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = [
    "Direction", "Refused", "clear_frame", "handshake", "identifier", "needs", "proof", "schedule", "verify_statement",
]  # fmt: skip

LABEL = b"ptkc secure messaging 1 "
TAG, MAC = 16, 64


class Refused(Exception):  # noqa: N818 - it is what happened
    """A frame that is not taken; the argument is the CK_RV's name without CKR_."""


def _hmac(secret: bytes, data: bytes) -> bytes:
    return hmac.new(secret, data, "sha512").digest()


def _expand(secret: bytes, purpose: bytes, length: int) -> bytes:
    return _hmac(secret, LABEL + purpose + b"\x01")[:length]


def schedule(shared: bytes, transcript: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the first traffic secrets of both directions and the application's secret."""
    root = _hmac(transcript, shared)
    return _expand(root, b"requests", 64), _expand(root, b"replies", 64), _expand(root, b"application", 32)


def identifier(secret: bytes) -> bytes:
    """Return an application's identifier."""
    return _expand(secret, b"identifier", 16)


def proof(secret: bytes, transcript: bytes) -> bytes:
    """Return an application's proof."""
    return _hmac(_expand(secret, b"proof", 64), transcript)


def needs(policy: int, *, reply: bool, sensitive: bool) -> int:
    """Return the least protection of a message."""
    if reply:
        return (1 if policy & 8 else 0) | (2 if policy & 16 else 0)
    return (1 if policy & 2 or (sensitive and policy & 1) else 0) | (2 if policy & 4 else 0)


class Direction:
    """The frames of one direction, made or taken."""

    def __init__(self, secret: bytes, channel: int, counter: int = 0, bad: str = "BAD_REQ_SIGNATURE") -> None:
        """Begin at a counter under the first keys."""
        self.secret, self.channel, self.counter, self.bad = secret, channel, counter, bad
        self.encrypted = counter

    def _keys(self) -> tuple[bytes, bytes, bytes]:
        secret = self.secret
        return _expand(secret, b"encrypt", 32), _expand(secret, b"nonce", 4), _expand(secret, b"sign", 64)

    def _next(self, protection: int) -> None:
        self.counter += 1
        self.encrypted += protection & 1
        if self.counter % 65536 == 0:
            self.secret = _expand(self.secret, b"roll over", 64)

    def make(self, kind: int, protection: int, payload: bytes, associated: bytes = b"") -> bytes:
        """Return the next frame."""
        encrypt, fixed, sign = self._keys()
        length = len(associated) + len(payload) + (TAG if protection & 1 else 0) + (MAC if protection & 2 else 0)
        start = bytes((1, kind, protection, len(associated))) + length.to_bytes(4, "little")
        start += self.channel.to_bytes(8, "little") + self.counter.to_bytes(8, "little") + associated
        if protection & 1:
            payload = AESGCM(encrypt).encrypt(fixed + self.encrypted.to_bytes(8, "little"), payload, start)
        frame = start + payload
        self._next(protection)
        return frame + _hmac(sign, frame) if protection & 2 else frame

    def take(
        self, frame: bytes, kinds: tuple[int, ...], least: int, sensitive: Callable[[bytes], bool] = bytes.isspace
    ) -> bytes:
        """Return the payload of the next frame; `sensitive` says of a payload whether it needs encryption."""
        if len(frame) < 24 or frame[0] != 1 or int.from_bytes(frame[4:8], "little") != len(frame) - 24:
            raise Refused("SMS_ERROR")
        kind, protection, size = frame[1:4]
        extra = (TAG if protection & 1 else 0) + (MAC if protection & 2 else 0)
        if kind not in kinds or protection > 3 or len(frame) - 24 < size + extra:
            raise Refused("SMS_ERROR")
        if least & ~protection:
            raise Refused("BAD_PROTECTION")
        if frame[8:24] != self.channel.to_bytes(8, "little") + self.counter.to_bytes(8, "little"):
            raise Refused("SMS_ERROR")
        encrypt, fixed, sign = self._keys()
        if protection & 2:
            if not hmac.compare_digest(_hmac(sign, frame[:-MAC]), frame[-MAC:]):
                raise Refused(self.bad)
            frame = frame[:-MAC]
        payload = frame[24 + size :]
        if protection & 1:
            try:
                nonce = fixed + self.encrypted.to_bytes(8, "little")
                payload = AESGCM(encrypt).decrypt(nonce, payload, frame[: 24 + size])
            except InvalidTag:
                raise Refused(self.bad) from None
        elif sensitive(payload):
            raise Refused("BAD_PROTECTION")
        self._next(protection)
        return payload


def clear_frame(kind: int, body: bytes) -> bytes:
    """Return a frame of no channel."""
    return bytes((1, kind, 0, 0)) + len(body).to_bytes(4, "little") + bytes(16) + body


def _text(serial: str) -> bytes:
    return bytes((len(serial),)) + serial.encode()


def _point(scalar: bytes) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    private = ec.derive_private_key(int.from_bytes(scalar), ec.SECP521R1())
    return private, private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _facts(case: dict[str, Any]) -> bytes:
    chain = [bytes.fromhex(part) for part in case["chain"]]
    numbers = case["flags"].to_bytes(8, "little") + case["boot"].to_bytes(8, "little")
    certificates = b"".join(len(part).to_bytes(2, "little") + part for part in chain)
    return numbers + _text(case["serial"]) + bytes((len(chain),)) + certificates


def _verify(case: dict[str, Any], purpose: bytes, said: bytes, ending: bytes) -> None:
    signature = ending[2:]
    assert len(signature) == int.from_bytes(ending[:2], "little")
    public = x509.load_der_x509_certificate(bytes.fromhex(case["chain"][0])).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    message = LABEL + purpose + b"\0" + hashlib.sha512(said).digest()
    public.verify(signature, message, ec.ECDSA(SHA512()))


def handshake(case: dict[str, Any]) -> dict[str, Any]:
    """Return frames of both ends and the secret, made of what a vector says was drawn; verify the signature."""
    client, client_point = _point(bytes.fromhex(case["client_key"]))
    hsm, hsm_point = _point(bytes.fromhex(case["hsm_key"]))
    hello = bytes.fromhex(case["client_nonce"]) + client_point + bytes((case["policy"],)) + _text(case["serial"])
    head = bytes.fromhex(case["hsm_nonce"]) + hsm_point + case["channel"].to_bytes(8, "little") + _facts(case)
    ending = bytes.fromhex(case["answer"])[24 + len(head) :]
    _verify(case, b"answer", hello + head, ending)
    transcript = hashlib.sha512(hello + head + ending).digest()
    shared = client.exchange(ec.ECDH(), hsm.public_key())
    assert shared == hsm.exchange(ec.ECDH(), client.public_key())
    requests, replies, new = schedule(shared, transcript)
    secret = bytes.fromhex(case["application"] or "")
    claim = b"\1" + identifier(secret) + proof(secret, transcript) if secret else b"\0"
    outcome = 0 if not secret else 1 if case["hsm_knows_the_application"] else 2
    policy = case["policy"]
    for flag, wanted in ((0x2, 1), (0x4, 4), (0x80, 2 | 8), (0x100, 4 | 16)):
        policy |= wanted if case["flags"] & flag else 0
    return {
        "hello": clear_frame(1, hello).hex(),
        "answer": clear_frame(2, head + ending).hex(),
        "confirm": Direction(requests, case["channel"]).make(3, 3, claim).hex(),
        "accept": Direction(replies, case["channel"]).make(4, 3, bytes((outcome,))).hex(),
        "outcome": outcome,
        "secret": (secret if outcome == 1 else new).hex(),
        "channel_policy": policy,
    }


def verify_statement(case: dict[str, Any], statement: bytes) -> None:
    """Verify a STATEMENT that answers a vector's question."""
    question = bytes.fromhex(case["nonce"]) + _text(case["serial"])
    assert clear_frame(9, question).hex() == case["question"]
    head = _facts(case)
    ending = statement[24 + len(head) :]
    assert clear_frame(10, head + ending) == statement
    _verify(case, b"statement", question + head, ending)

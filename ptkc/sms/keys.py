"""Keys of secure messaging: the ephemeral agreement, the key schedule, the application's secret, randomness.

One secret comes out of ECDH on P-521; HKDF with SHA-512 (RFC 5869) makes all others of it, each for one direction and
one purpose, bound to the whole transcript. Keys roll over by a ratchet of one way: who learns the secret of today
cannot compute that of yesterday. To be imported after `sms.load`.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP521R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA512, Hash
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.sms.bodies import IDENTIFIER_LENGTH, PROOF_LENGTH
from ptkc.sms.errors import AuthenticationError, LocalError
from ptkc.spec.constants import CKR

__all__ = [
    "APPLICATION_LENGTH", "TrafficKeys", "agree", "check_proof", "ephemeral", "extract", "hashed", "identifier_of",
    "point_of", "proof_of", "random_bytes", "secrets_of", "signed_answer", "signed_statement",
]  # fmt: skip

APPLICATION_LENGTH = 32
_HASH = SHA512()
_HASH_LENGTH = 64
_LABEL = b"ptkc secure messaging 1 "


def random_bytes(length: int) -> bytes:
    """Return fresh random bytes; with `ephemeral`, the one place where randomness enters."""
    return os.urandom(length)


def ephemeral() -> EllipticCurvePrivateKey:
    """Return a fresh key on P-521, for one handshake."""
    return generate_private_key(SECP521R1())


def point_of(key: EllipticCurvePrivateKey) -> bytes:
    """Return the public half as an uncompressed point (SEC 1, 2.3.3)."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def agree(key: EllipticCurvePrivateKey, point: bytes) -> bytes:
    """Return the shared secret with the peer's point: the x coordinate, 66 bytes (SP 800-56A 5.7.1.2).

    CKR_CANNOT_DERIVE_KEYS if the point is none of the curve.
    """
    try:
        return key.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP521R1(), point))
    except ValueError:
        raise AuthenticationError(CKR.CANNOT_DERIVE_KEYS, "the ephemeral key is no point of P-521") from None


def hashed(*parts: bytes) -> bytes:
    """Return SHA-512 of the parts behind each other."""
    digest = Hash(_HASH)
    for part in parts:
        digest.update(part)
    return digest.finalize()


def _mac(key: bytes, data: bytes) -> HMAC:
    mac = HMAC(key, _HASH)
    mac.update(data)
    return mac


def extract(salt: bytes, material: bytes) -> bytes:
    """Return PRK = HMAC-Hash(salt, IKM) (RFC 5869, 2.2)."""
    return _mac(salt, material).finalize()


def _expand(secret: bytes, purpose: bytes, length: int) -> bytes:
    """Return OKM = HKDF-Expand(PRK, info, L) (RFC 5869, 2.3) with our label and the purpose as info."""
    return HKDFExpand(_HASH, length, _LABEL + purpose).derive(secret)


# What the PIK signs: a label that no certificate and no request begins with, then the hash of what was said.


def signed_answer(hello: bytes, head: bytes) -> bytes:
    """Return what the PIK signs in a handshake: both ends' part of it, as bodies of frames."""
    return _LABEL + b"answer\0" + hashed(hello, head)


def signed_statement(question: bytes, head: bytes) -> bytes:
    """Return what the PIK signs in a statement: the question and the answer to it, as bodies of frames."""
    return _LABEL + b"statement\0" + hashed(question, head)


# The schedule


def secrets_of(shared: bytes, transcript: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the first traffic secrets of requests and replies, and a new application's secret.

    `transcript` is the hash of HELLO and ANSWER, signature included: the salt of HKDF-Extract.
    """
    root = extract(transcript, shared)
    return (
        _expand(root, b"requests", _HASH_LENGTH),
        _expand(root, b"replies", _HASH_LENGTH),
        _expand(root, b"application", APPLICATION_LENGTH),
    )


class TrafficKeys:
    """The keys of one direction until the next roll-over, and the secret of those after it."""

    __slots__ = ("encrypt", "fixed", "next", "sign")

    def __init__(self, secret: bytes) -> None:
        """Make them of a traffic secret: AES-256 key, fixed part of the nonce, HMAC key, next traffic secret."""
        self.encrypt = _expand(secret, b"encrypt", 32)
        self.fixed = _expand(secret, b"nonce", 4)
        self.sign = _expand(secret, b"sign", _HASH_LENGTH)
        self.next = _expand(secret, b"roll over", _HASH_LENGTH)

    def __repr__(self) -> str:
        return "<keys of 32, 4, 64 and 64 bytes>"




# The application


def identifier_of(secret: bytes) -> bytes:
    """Return the name of the application with this secret; it tells nothing of the secret."""
    if len(secret) != APPLICATION_LENGTH:
        raise LocalError(CKR.CANNOT_DERIVE_KEYS, f"an application's secret of {len(secret)} bytes")
    return _expand(secret, b"identifier", IDENTIFIER_LENGTH)


def _proof(secret: bytes, transcript: bytes) -> HMAC:
    return _mac(_expand(secret, b"proof", PROOF_LENGTH), transcript)


def proof_of(secret: bytes, transcript: bytes) -> bytes:
    """Return the proof, good for this handshake only, that an application has the secret."""
    return _proof(secret, transcript).finalize()


def check_proof(secret: bytes, transcript: bytes, proof: bytes) -> None:
    """Refuse a proof that is none with CKR_CANNOT_DERIVE_KEYS."""
    try:
        _proof(secret, transcript).verify(proof)
    except InvalidSignature:
        raise AuthenticationError(CKR.CANNOT_DERIVE_KEYS, "the application's proof is wrong") from None

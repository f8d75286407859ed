"""Keys on short Weierstrass curves that `cryptography` lacks, with the same methods, by the system's libcrypto.

Only those methods are there that elliptic curve mechanisms use; what they take beside bytes (algorithms, encodings) is
not looked at: a digest of any length is signed, points are uncompressed, private keys PKCS#8.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature

from ptkc.mechanisms import evp
from ptkc.mechanisms.curves import Curve
from ptkc.mechanisms.der import OCTET_STRING, SEQUENCE, der

__all__ = ["SystemPrivateKey", "SystemPublicKey"]

_OVERHEAD = 16
"""A SEQUENCE of two INTEGERs is at most so much longer than they are."""


class SystemPublicKey:
    """A public key."""

    __slots__ = ("_point", "key")

    def __init__(self, curve: Curve, point: bytes) -> None:
        """Check a point, compressed or not; ValueError if it is none on the curve."""
        self.key = evp.key_from("EC", "p", {"group": curve.group, "pub": evp.Octets(point)})
        evp.check(self.key, "p")
        self._point = point if len(point) == curve.point_size else evp.octets(self.key, "pub")

    def public_bytes(self, *_: object) -> bytes:
        """Return the uncompressed point."""
        return self._point

    def verify(self, signature: bytes, digest: bytes, _: object) -> None:
        """Check an ECDSA signature (DER) over a digest; InvalidSignature."""
        if not evp.verify(self.key, digest, signature, {}):
            raise InvalidSignature


class SystemPrivateKey:
    """A private key."""

    __slots__ = ("_curve", "_key", "_point")

    def __init__(self, curve: Curve, key: Any) -> None:  # noqa: ANN401 - a pointer of cffi's
        """Keep libcrypto's key pair."""
        self._curve = curve
        self._key = key
        self._point = evp.octets(key, "pub")

    @classmethod
    def generate(cls, curve: Curve) -> SystemPrivateKey:
        """Make a key pair."""
        return cls(curve, evp.generate_key(evp.key_from("EC", "d", {"group": curve.group}), {}))

    @classmethod
    def derive(cls, curve: Curve, value: bytes) -> SystemPrivateKey:
        """Return the key of a private value; ValueError if it is 0, or not below the order."""
        number = value.lstrip(b"\0")
        if not 0 < len(number) <= curve.size:
            message = "the private value is 0 or longer than the order"
            raise ValueError(message)
        # ECPrivateKey without its public key, which libcrypto then computes.
        private = der(SEQUENCE, b"\x02\x01\x01" + der(OCTET_STRING, number.rjust(curve.size, b"\0")))
        info = der(SEQUENCE, b"\x02\x01\x00" + curve.scheme + der(OCTET_STRING, private))
        return cls(curve, _decoded(info))

    @classmethod
    def load(cls, curve: Curve, info: bytes) -> SystemPrivateKey:
        """Return the key in a PrivateKeyInfo (DER) whose AlgorithmIdentifier is the curve's; ValueError.

        libcrypto takes the public key in it for granted.
        """
        key = _decoded(info)
        made = cls.derive(curve, evp.number(key, "priv"))
        if evp.octets(key, "pub") != made.public_key().public_bytes():
            message = "the public key is another one's"
            raise ValueError(message)
        return made

    def public_key(self) -> SystemPublicKey:
        """Return the public key."""
        return SystemPublicKey(self._curve, self._point)

    def private_bytes(self, *_: object) -> bytes:
        """Return PrivateKeyInfo (DER) with the public key in it."""
        value = evp.number(self._key, "priv").rjust(self._curve.size, b"\0")
        return self._curve.private_key_info(value, self._point)

    def sign(self, digest: bytes, _: object) -> bytes:
        """Return the ECDSA signature (DER) over a digest."""
        return evp.sign(self._key, digest, {}, 2 * self._curve.size + _OVERHEAD)

    def exchange(self, _: object, peer: SystemPublicKey) -> bytes:
        """Return the x coordinate that both have in common."""
        return evp.agree(self._key, peer.key, {}, self._curve.point_size)


def _decoded(info: bytes) -> Any:  # noqa: ANN401 - a pointer of cffi's
    """Return the key in a PrivateKeyInfo (DER) as libcrypto reads it; ValueError."""
    key = evp.decode("EC", info)
    evp.check(key, "k")
    return key

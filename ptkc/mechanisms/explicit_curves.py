"""Explicit ECParameters (SEC 1, C.2; RFC 3279): which of our curves they are, if any.

Field, coefficients, base point and order must be those of the curve; seed, cofactor and hash, which say nothing about
keys, are not looked at. The curves are known by a digest of these numbers, so that no table of them stands here.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from asn1crypto.keys import SpecifiedECDomain

from ptkc.mechanisms import asn1

__all__ = ["curve_name"]

_LONGEST = 1024
_COMPRESSED, _UNCOMPRESSED = (2, 3), 4

# SHA-256 over p, a, b, the base point's x, whether its y is odd, and n, in hexadecimal with commas between them.
_NAMES = {
    "4a56a9f1a450c2cc271924af5db9fce68ef93ea8c8de80864c55108b6926a34a": "secp192r1",
    "80ac16f02d66e73bf6b9045b907c38274ab460eae4a50c1e4b4a61d598c7c2d9": "secp224r1",
    "bd887186150d3c4b6346456218c7cce97fd006aeba7d453918a9d4dc02e6abfe": "secp256r1",
    "be2d78be63d1ed8edf6103b5f17fff1896cade293a3a0ad36248006981b6f0c3": "secp384r1",
    "c5906216571e0e763c28c724ba80e65123bd18da0ae562210167f4c85f00cfdf": "secp521r1",
    "6c9bc889520ca2130d0dbb25457ed0a90e7d877a7be2ce13e7fedb4a727c53c0": "secp256k1",
    "d7ad545ce869a33728e37fa6d644919c298261b83d93a54aecf678bb5f5c6d94": "brainpoolP256r1",
    "5a54b4f27213ead080128ddbb4e9e3c4bc965d9e94f912ac770e5eb0e1025211": "brainpoolP384r1",
    "c58db45163a53cf86bd3d3ef8f9f497656aab9936a814ce229633fb8ad69ffe6": "brainpoolP512r1",
    "8e7c52df5bf5cb96c344f39f22bcc2dd4fcfc4fc329d7ce65b815a9f3b1af938": "secp192k1",
    "d6c602e36a1f58b98d676565575663ec75894c24df085200051544a57ca695c7": "secp224k1",
    "3613269700839e0856731cf21d6d62af2859ca649446b8d640c95dc79fb024f7": "brainpoolP224r1",
    "c980577dc7c8b6e1c61218da1134c5b6b1b736217a8b18c950df765bbf0e41d0": "brainpoolP224t1",
    "6119bb7269ede8341ce61b7557b1fbb00132d9ed70ca7f8c3c6a5aec87241f66": "brainpoolP256t1",
    "eaea81afb0673e53e59f33ae377815ccef6782bbb9624dd7c4ea1f7ccf8ec5d3": "brainpoolP320r1",
    "2d4e5593119b0f866070f6938db0ed7fc1e1fc6ee22912ccef6de0f9912610e5": "brainpoolP320t1",
    "1f5bff3f6218833e22070b9db5ae6b73cc5aa5350a45daaea0ceaa1bd36d9fe2": "brainpoolP384t1",
    "902fc4576ea5952915c0fbbe4eb7b08a88035d44cdc425be8d814434e1327790": "brainpoolP512t1",
}


@lru_cache(64)
def curve_name(parameters: bytes) -> str | None:
    """Return the name of the curve that ECParameters (DER) are, None for any other; ValueError if they are none."""
    if len(parameters) > _LONGEST:
        raise ValueError(f"{len(parameters)} bytes of ECParameters, want at most {_LONGEST}")
    domain = asn1.load(SpecifiedECDomain, parameters)
    if not 1 <= int(domain["version"]) <= 3:  # noqa: PLR2004 - ecdpVer1 to ecdpVer3
        raise ValueError("ECParameters of no version that there is")
    field, curve = domain["field_id"], domain["curve"]
    if field["field_type"].native != "prime_field":
        return None
    p = field["parameters"].native
    a, b = (int.from_bytes(curve[name].contents, "big") for name in ("a", "b"))
    x, odd = _point(domain["base"].contents, a, b, p)
    numbers = (p, a, b, x, odd, domain["order"].native)
    digest = sha256(",".join(f"{number:x}" for number in numbers).encode()).hexdigest()
    return _NAMES.get(digest)


def _point(point: bytes, a: int, b: int, p: int) -> tuple[int, int]:
    """Return x of a point, and 1 if its y is odd; ValueError for what is none on the curve."""
    if point[:1] and point[0] in _COMPRESSED:
        return int.from_bytes(point[1:], "big"), point[0] & 1
    half = len(point) // 2
    if point[:1] != bytes((_UNCOMPRESSED,)) or len(point) != 1 + 2 * half or p < 1:
        raise ValueError("no point")
    x, y = int.from_bytes(point[1 : 1 + half], "big"), int.from_bytes(point[1 + half :], "big")
    if max(x, y) >= p or (y * y - x * x * x - a * x - b) % p:
        raise ValueError("the base point is not on the curve")
    return x, y & 1

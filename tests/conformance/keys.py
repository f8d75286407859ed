"""Keys and objects the tests use: fixed values where a generation would be slow or a result must be known.

What a module computed is compared with `cryptography`, which knows the same keys.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.spec.constants import CKA, CKC, CKK, CKM, CKO

from .cryptoki import Attributes, Session
from .parameters import Mechanism

__all__ = [
    "AES_KEY", "DATA", "ED25519", "P256", "X25519", "aes", "certificate", "generate_aes", "generate_ec", "generic",
    "import_ec", "import_ed25519", "import_rsa", "import_x25519", "octets", "point_bytes", "private_ec",
    "private_ed25519", "private_rsa", "private_x25519",
]  # fmt: skip

DATA: dict[int, Any] = {CKA.CLASS: CKO.DATA, CKA.LABEL: "a data object", CKA.VALUE: b"value", CKA.PRIVATE: False}
AES_KEY = bytes(range(32))
P256 = bytes.fromhex("06082a8648ce3d030107")  # OID 1.2.840.10045.3.1.7
ED25519 = b"\x13\x0cedwards25519"  # PrintableString
X25519 = b"\x13\x0acurve25519"


def generic(session: Session, value: bytes, **more: bool) -> int:
    """Create a readable generic secret of `value`; keywords name attributes, as in `SIGN=True`."""
    return _secret(session, CKK.GENERIC_SECRET, value, more)


def aes(session: Session, value: bytes = AES_KEY, **more: bool) -> int:
    """Create a readable AES key of `value`; keywords name attributes, as in `ENCRYPT=True`."""
    return _secret(session, CKK.AES, value, more)


def _secret(session: Session, kind: int, value: bytes, more: dict[str, bool]) -> int:
    """Create a secret session key."""
    attributes: dict[int, Any] = {
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.VALUE: value, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
    }  # fmt: skip
    return session.create(attributes | {getattr(CKA, name): flag for name, flag in more.items()})


def certificate(**more: Any) -> dict[int, Any]:  # noqa: ANN401
    """Return a template of an X.509 certificate object (its value is never looked into by a token)."""
    name = bytes.fromhex("300d310b3009060355040313026161")
    attributes: dict[int, Any] = {
        CKA.CLASS: CKO.CERTIFICATE, CKA.CERTIFICATE_TYPE: CKC.X_509, CKA.SUBJECT: name, CKA.VALUE: b"0\x82\x01\x00",
        CKA.PRIVATE: False,
    }  # fmt: skip
    return attributes | {getattr(CKA, kind): value for kind, value in more.items()}


def octets(data: bytes) -> bytes:
    """Return the DER OCTET STRING of at most 127 bytes of `data`."""
    return bytes([4, len(data)]) + data


def point_bytes(value: bytes, size: int) -> bytes:
    """Return the raw point of `size` bytes from a CKA_EC_POINT value, which may be wrapped in an OCTET STRING."""
    return value[-size:]


def _integer(number: int) -> bytes:
    """Return a big integer as Cryptoki has it: big-endian, no leading zero."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


@lru_cache
def private_rsa(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return this run's RSA key."""
    return rsa.generate_private_key(65537, bits)


@lru_cache
def private_ec() -> ec.EllipticCurvePrivateKey:
    """Return this run's P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@lru_cache
def private_ed25519() -> ed25519.Ed25519PrivateKey:
    """Return this run's Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


@lru_cache
def private_x25519() -> x25519.X25519PrivateKey:
    """Return this run's X25519 key."""
    return x25519.X25519PrivateKey.generate()


def import_rsa(
    session: Session, key: rsa.RSAPrivateKey, public: Attributes | None = None, private: Attributes | None = None
) -> tuple[int, int]:
    """Create both halves of `key` with these usages; return the handles of public and private key."""
    numbers = key.private_numbers()
    modulus = {CKA.MODULUS: _integer(numbers.public_numbers.n), CKA.PUBLIC_EXPONENT: _integer(numbers.public_numbers.e)}
    parts = {
        CKA.PRIVATE_EXPONENT: numbers.d, CKA.PRIME_1: numbers.p, CKA.PRIME_2: numbers.q, CKA.EXPONENT_1: numbers.dmp1,
        CKA.EXPONENT_2: numbers.dmq1, CKA.COEFFICIENT: numbers.iqmp,
    }  # fmt: skip
    secret = modulus | {kind: _integer(number) for kind, number in parts.items()}
    return _pair(session, CKK.RSA, (modulus, public), (secret, private))


def import_ec(
    session: Session,
    key: ec.EllipticCurvePrivateKey,
    public: Attributes | None = None,
    private: Attributes | None = None,
) -> tuple[int, int]:
    """Create both halves of a P-256 key with these usages."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    return _pair(
        session,
        CKK.EC,
        ({CKA.EC_PARAMS: P256, CKA.EC_POINT: octets(point)}, public),
        ({CKA.EC_PARAMS: P256, CKA.VALUE: secret}, private),
    )


def import_ed25519(
    session: Session,
    key: ed25519.Ed25519PrivateKey,
    public: Attributes | None = None,
    private: Attributes | None = None,
) -> tuple[int, int]:
    """Create both halves of an Ed25519 key with these usages."""
    return _raw_pair(session, CKK.EC_EDWARDS, ED25519, key, public, private)


def import_x25519(
    session: Session, key: x25519.X25519PrivateKey, public: Attributes | None = None, private: Attributes | None = None
) -> tuple[int, int]:
    """Create both halves of an X25519 key with these usages."""
    return _raw_pair(session, CKK.EC_MONTGOMERY, X25519, key, public, private)


def _raw_pair(session: Session, kind: int, curve: bytes, key: Any, public: Any, private: Any) -> tuple[int, int]:  # noqa: ANN401
    """Create both halves of a key of RFC 8032 or RFC 7748."""
    point = {CKA.EC_PARAMS: curve, CKA.EC_POINT: octets(key.public_key().public_bytes_raw())}
    secret = {CKA.EC_PARAMS: curve, CKA.VALUE: key.private_bytes_raw()}
    return _pair(session, kind, (point, public), (secret, private))


def _pair(session: Session, kind: int, public: Any, private: Any) -> tuple[int, int]:  # noqa: ANN401
    """Create a public and a private key object of type `kind`; each is (material, usages)."""
    material, usage = public
    one = session.create(
        {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: kind, CKA.PRIVATE: False, **material, **(usage or {})}
    )
    material, usage = private
    two = session.create({CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: kind, **material, **(usage or {})})
    return one, two


def generate_ec(
    session: Session, public: Attributes | None = None, private: Attributes | None = None
) -> tuple[int, int]:
    """Generate a P-256 key pair in the token."""
    return session.generate_pair(Mechanism(CKM.EC_KEY_PAIR_GEN), {CKA.EC_PARAMS: P256, **(public or {})}, private or {})


def generate_aes(session: Session, **more: Any) -> int:  # noqa: ANN401
    """Generate an AES-256 key in the token; keywords name attributes."""
    attributes = {CKA.VALUE_LEN: 32} | {getattr(CKA, name): value for name, value in more.items()}
    return session.generate(Mechanism(CKM.AES_KEY_GEN), attributes)

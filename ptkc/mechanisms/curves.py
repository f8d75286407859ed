"""The elliptic curves: what CKA_EC_PARAMS may name, and how the keys of each curve are written.

CKA_EC_PARAMS is an object identifier or a PrintableString (specification 6.3.3, 6.3.5, 6.3.7), or the explicit
parameters of a curve that has a name here, which a security flag must allow. Any other curve is
CKR_CURVE_NOT_SUPPORTED, and what is none at all CKR_DOMAIN_PARAMS_INVALID. All encodings of one curve differ in the key
bytes only, so PKCS#8 and SubjectPublicKeyInfo are a fixed start and the key: cheaper than any serialiser.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x448, x25519

from ptkc.spec.constants import CKA, CKK, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, ulong

__all__ = ["CURVES", "Curve", "find"]

_SEQUENCE, _INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _PRINTABLE, _PUBLIC = 0x30, 0x02, 0x03, 0x04, 0x06, 0x13, 0xA1
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"


def _start(tag: int, length: int) -> bytes:
    """Return tag and length of a DER value of `length` bytes (at most 255)."""
    return bytes((tag, length)) if length < 0x80 else bytes((tag, 0x81, length))  # noqa: PLR2004 - DER's short form


def _der(tag: int, content: bytes) -> bytes:
    """Return a DER value."""
    return _start(tag, len(content)) + content


def _oid(dotted: str) -> bytes:
    """Return the DER OBJECT IDENTIFIER of a dotted one."""
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.insert(0, arc & 0x7F | 0x80)
        content += bytes(groups)
    return _der(_OID, bytes(content))


class Curve:
    """One curve: `key_type` CKK_*, `bits` of the field, `size` in bytes of a private value, `name` for messages.

    `algorithm` is what the library calls a short Weierstrass curve; `private_class` and `public_class` are its classes
    for the keys of the others. `public_start` is SubjectPublicKeyInfo (DER) up to the uncompressed point.
    """

    __slots__ = (
        "_private", "_private_middle", "_private_start", "_wrapped", "algorithm", "bits", "key_type", "name", "oid",
        "params", "point_size", "private_class", "public_class", "public_start", "size",
    )  # fmt: skip

    def __init__(self, key_type: int, bits: int, library: Any, names: str, oids: str) -> None:  # noqa: ANN401 - see above
        """Read a row of the table; the first name and the first identifier are the ones we write."""
        identifiers = [_oid(dotted) for dotted in oids.split()]
        self.key_type = key_type
        self.bits = bits
        self.name = names.partition(" ")[0]
        self.oid = identifiers[0]
        self.params = (*identifiers, *(_der(_PRINTABLE, name.encode()) for name in names.split()))
        weierstrass = key_type == CKK.EC
        self.algorithm: Any = library if weierstrass else None
        classes: tuple[Any, Any] = (None, None) if weierstrass else library
        self.private_class, self.public_class = classes
        # An Ed448 key is a byte longer than its field: RFC 8032 5.2.2.
        self.size = 57 if self.name == "edwards448" else (bits + 7) // 8
        self.point_size = 1 + 2 * self.size if weierstrass else self.size
        points = (self.point_size, 1 + self.size) if weierstrass else (self.point_size,)
        starts = [(_start(_OCTET_STRING, size), size) for size in points]
        self._wrapped = {len(start) + size: start for start, size in starts} | dict.fromkeys(points, b"")
        scheme = _der(_SEQUENCE, _oid(_EC_PUBLIC_KEY) + self.oid if weierstrass else self.oid)
        bit_string = _start(_BIT_STRING, 1 + self.point_size) + b"\0"
        self.public_start = _start(_SEQUENCE, len(scheme) + len(bit_string) + self.point_size) + scheme + bit_string
        # RFC 5915 ECPrivateKey with the public key but without the parameters; RFC 8410 CurvePrivateKey.
        start, middle = _start(_OCTET_STRING, self.size), b""
        if weierstrass:
            middle = _start(_PUBLIC, len(bit_string) + self.point_size) + bit_string
            start = b"\x02\x01\x01" + start
            length = len(start) + self.size + len(middle) + self.point_size
            start = _start(_SEQUENCE, length) + start
        length = len(start) + self.size + (len(middle) + self.point_size if weierstrass else 0)
        start = b"\x02\x01\x00" + scheme + _start(_OCTET_STRING, length) + start
        length = len(start) + self.size + (len(middle) + self.point_size if weierstrass else 0)
        self._private_start = _start(_SEQUENCE, length) + start
        self._private_middle = middle
        self._private = slice(len(self._private_start), len(self._private_start) + self.size)

    def point(self, value: bytes) -> bytes:
        """Return the point in a raw or DER encoded (OCTET STRING) value, compressed or not; ValueError for others."""
        start = self._wrapped.get(len(value))
        if start is None or not value.startswith(start):
            message = f"{len(value)} bytes are no point of {self.name}"
            raise ValueError(message)
        return value[len(start) :]

    def ec_point(self, point: bytes) -> bytes:
        """Return CKA_EC_POINT: the point in a DER OCTET STRING."""
        return _der(_OCTET_STRING, point)

    def public_key_info(self, point: bytes) -> bytes:
        """Return SubjectPublicKeyInfo (DER) of an uncompressed point."""
        return self.public_start + point

    def follows(self, info: bytes) -> Attributes:
        """Return what follows from a key on this curve: CKA_PUBLIC_KEY_INFO, and the vendor's CKA_KEY_SIZE in bits."""
        return {CKA.PUBLIC_KEY_INFO: info, CKA.KEY_SIZE: ulong(self.bits)}

    def private_key_info(self, value: bytes, point: bytes) -> bytes:
        """Return PrivateKeyInfo (DER) of a private value of `size` bytes; RFC 8410 keys come without their point."""
        middle = self._private_middle
        return b"".join((self._private_start, value, middle, point)) if middle else self._private_start + value

    def private_value(self, info: bytes) -> bytes:
        """Return the private value in a PrivateKeyInfo (DER) as the library writes it."""
        return info[self._private]


_EC, _EDWARDS, _MONTGOMERY = CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY
_ED25519 = (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)
_ED448 = (ed448.Ed448PrivateKey, ed448.Ed448PublicKey)
_X25519 = (x25519.X25519PrivateKey, x25519.X25519PublicKey)
_X448 = (x448.X448PrivateKey, x448.X448PublicKey)

# Names: SEC 2, X9.62, FIPS 186; RFC 5639; RFC 8032 and 7748. Identifiers: RFC 5480, 5639, 8410, and for the two
# 25519 curves those that clients used before RFC 8410.
CURVES = (
    Curve(_EC, 192, ec.SECP192R1(), "secp192r1 prime192v1 P-192", "1.2.840.10045.3.1.1"),
    Curve(_EC, 224, ec.SECP224R1(), "secp224r1 P-224", "1.3.132.0.33"),
    Curve(_EC, 256, ec.SECP256R1(), "secp256r1 prime256v1 P-256", "1.2.840.10045.3.1.7"),
    Curve(_EC, 384, ec.SECP384R1(), "secp384r1 P-384", "1.3.132.0.34"),
    Curve(_EC, 521, ec.SECP521R1(), "secp521r1 P-521", "1.3.132.0.35"),
    Curve(_EC, 256, ec.SECP256K1(), "secp256k1", "1.3.132.0.10"),
    Curve(_EC, 256, ec.BrainpoolP256R1(), "brainpoolP256r1", "1.3.36.3.3.2.8.1.1.7"),
    Curve(_EC, 384, ec.BrainpoolP384R1(), "brainpoolP384r1", "1.3.36.3.3.2.8.1.1.11"),
    Curve(_EC, 512, ec.BrainpoolP512R1(), "brainpoolP512r1", "1.3.36.3.3.2.8.1.1.13"),
    Curve(_EDWARDS, 255, _ED25519, "edwards25519 Ed25519 id-Ed25519", "1.3.101.112 1.3.6.1.4.1.11591.15.1"),
    Curve(_EDWARDS, 448, _ED448, "edwards448 Ed448 id-Ed448", "1.3.101.113"),
    Curve(_MONTGOMERY, 255, _X25519, "curve25519 X25519 id-X25519", "1.3.101.110 1.3.6.1.4.1.3029.1.5.1"),
    Curve(_MONTGOMERY, 448, _X448, "curve448 X448 id-X448", "1.3.101.111"),
)

_NAMING = (bytes((_OID,)), bytes((_PRINTABLE,)))
_EXPLICIT = bytes((_SEQUENCE,))
_BY_PARAMS = {(curve.key_type, params): curve for curve in CURVES for params in curve.params}


def find(key_type: int, params: bytes | None) -> Curve:
    """Return the curve of this key type that CKA_EC_PARAMS names.

    CKR_TEMPLATE_INCOMPLETE without, CKR_DOMAIN_PARAMS_INVALID, CKR_CURVE_NOT_SUPPORTED.
    """
    curve = _BY_PARAMS.get((key_type, params))  # type: ignore[arg-type]
    if curve is not None:
        return curve
    if params is None:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS is missing")
    if params[:1] == _EXPLICIT and key_type == CKK.EC:
        return _explicit(params)
    if params[:1] in _NAMING and params[1:2] == bytes((len(params[2:]) & 0xFF,)):
        raise CryptokiError(CKR.CURVE_NOT_SUPPORTED, f"CKA_EC_PARAMS {params.hex()} name no curve of this key type")
    raise CryptokiError(CKR.DOMAIN_PARAMS_INVALID, "CKA_EC_PARAMS is neither object identifier nor curve name")


def _explicit(params: bytes) -> Curve:
    """Return the curve that explicit parameters are."""
    from ptkc.mechanisms.explicit_curves import curve_name  # noqa: PLC0415 - asn1crypto, at the first need

    try:
        name = curve_name(params)
    except ValueError as error:
        raise CryptokiError(CKR.DOMAIN_PARAMS_INVALID, f"CKA_EC_PARAMS: {error}") from None
    for curve in CURVES:
        if curve.name == name:
            return curve
    raise CryptokiError(CKR.CURVE_NOT_SUPPORTED, "CKA_EC_PARAMS are no curve that has a name here")

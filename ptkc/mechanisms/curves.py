"""The elliptic curves: what CKA_EC_PARAMS may name, and how the keys of each curve are written.

CKA_EC_PARAMS is an object identifier or a PrintableString (specification 6.3.3, 6.3.5, 6.3.7), or the explicit
parameters of a curve that has a name here, which a security flag must allow. Any other curve is
CKR_CURVE_NOT_SUPPORTED, and what is none at all CKR_DOMAIN_PARAMS_INVALID. All encodings of one curve differ in the key
bytes only, so PKCS#8 and SubjectPublicKeyInfo are a fixed start and the key: cheaper than any serialiser.
A public key has one CKA_PUBLIC_KEY_INFO, however its point was spelled: by it the private half is found.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x448, x25519

from ptkc.mechanisms.der import BIT_STRING, OCTET_STRING, OID, SEQUENCE, der, oid, start
from ptkc.spec.constants import CKA, CKK, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, ulong

__all__ = ["CURVES", "Curve", "find"]

_PRINTABLE, _PUBLIC = 0x13, 0xA1
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_FORMS = (b"\4", b"\2\3")  # with what a point begins that has both coordinates, and one that has the first alone
_PRIMES = {255: 2**255 - 19, 448: 2**448 - 2**224 - 1}  # of the Montgomery curves' fields, by their bits


class Curve:
    """One curve: `key_type` CKK_*, `bits` of the field, `size` in bytes of a private value, `name` for messages.

    `algorithm` is what the library calls a short Weierstrass curve, None if only the system's libcrypto has it, which
    calls it `group`; `private_class` and `public_class` are the library's classes for the keys of the others.
    `public_start` is SubjectPublicKeyInfo (DER) up to the uncompressed point, `scheme` the AlgorithmIdentifier in it.
    """

    __slots__ = (
        "_forms", "_prime", "_private", "_private_middle", "_private_start", "_wrapped", "algorithm", "bits", "group",
        "key_type", "name", "oid", "params", "point_size", "private_class", "public_class", "public_start", "scheme",
        "size",
    )  # fmt: skip

    def __init__(
        self,
        key_type: int,
        bits: int,
        library: Any,  # noqa: ANN401 - see above
        names: str,
        oids: str,
        order: int = 0,
    ) -> None:
        """Read a row of the table; the first name and the first identifier are the ones we write.

        `order` is the length of the order in bits where it is not that of the field.
        """
        identifiers = [oid(dotted) for dotted in oids.split()]
        self.key_type = key_type
        self.bits = bits
        self.name = names.partition(" ")[0]
        self.group = next((name for name in names.split() if name.startswith("prime")), self.name)
        self.oid = identifiers[0]
        self.params = (*identifiers, *(der(_PRINTABLE, name.encode()) for name in names.split()))
        weierstrass = key_type == CKK.EC
        self.algorithm: Any = library if weierstrass else None
        classes: tuple[Any, Any] = (None, None) if weierstrass else library
        self.private_class, self.public_class = classes
        # An Ed448 key is a byte longer than its field: RFC 8032 5.2.2.
        self.size = 57 if self.name == "edwards448" else ((order or bits) + 7) // 8
        coordinate = (bits + 7) // 8
        self.point_size = 1 + 2 * coordinate if weierstrass else self.size
        points = (self.point_size, 1 + coordinate) if weierstrass else (self.point_size,)
        self._forms = dict(zip(points, _FORMS, strict=True)) if weierstrass else {}
        self._prime = _PRIMES[bits] if key_type == CKK.EC_MONTGOMERY else 0
        starts = [(start(OCTET_STRING, size), size) for size in points]
        self._wrapped = {len(tag) + size: tag for tag, size in starts} | dict.fromkeys(points, b"")
        self.scheme = der(SEQUENCE, oid(_EC_PUBLIC_KEY) + self.oid if weierstrass else self.oid)
        bit_string = start(BIT_STRING, 1 + self.point_size) + b"\0"
        whole = len(self.scheme) + len(bit_string) + self.point_size
        self.public_start = start(SEQUENCE, whole) + self.scheme + bit_string
        # RFC 5915 ECPrivateKey with the public key but without the parameters; RFC 8410 CurvePrivateKey.
        before, middle = start(OCTET_STRING, self.size), b""
        if weierstrass:
            middle = start(_PUBLIC, len(bit_string) + self.point_size) + bit_string
            before = b"\x02\x01\x01" + before
            length = len(before) + self.size + len(middle) + self.point_size
            before = start(SEQUENCE, length) + before
        length = len(before) + self.size + (len(middle) + self.point_size if weierstrass else 0)
        before = b"\x02\x01\x00" + self.scheme + start(OCTET_STRING, length) + before
        length = len(before) + self.size + (len(middle) + self.point_size if weierstrass else 0)
        self._private_start = start(SEQUENCE, length) + before
        self._private_middle = middle
        self._private = slice(len(self._private_start), len(self._private_start) + self.size)

    def point(self, value: bytes) -> bytes:
        """Return the point in a raw or DER encoded (OCTET STRING) value, compressed or not; ValueError for others.

        The hybrid form of a point (X9.62) is refused; a Montgomery coordinate is reduced, which RFC 7748 5 has its
        readers do: either would be another spelling of a key.
        """
        tag = self._wrapped.get(len(value))
        if tag is None or not value.startswith(tag):
            message = f"{len(value)} bytes are no point of {self.name}"
            raise ValueError(message)
        point = value[len(tag) :]
        if self._forms and point[0] not in self._forms[len(point)]:
            message = f"a point of {self.name} that begins with {point[0]}"
            raise ValueError(message)
        if self._prime:
            number = int.from_bytes(point, "little") & (1 << self.bits) - 1
            return (number % self._prime).to_bytes(self.size, "little")
        return point

    def ec_point(self, point: bytes) -> bytes:
        """Return CKA_EC_POINT: the point in a DER OCTET STRING."""
        return der(OCTET_STRING, point)

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
# 25519 curves those that clients used before RFC 8410. Where the library has none, the system's libcrypto has.
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
    Curve(_EC, 192, None, "secp192k1", "1.3.132.0.31"),
    Curve(_EC, 224, None, "secp224k1", "1.3.132.0.32", order=225),
    Curve(_EC, 224, None, "brainpoolP224r1", "1.3.36.3.3.2.8.1.1.5"),
    Curve(_EC, 224, None, "brainpoolP224t1", "1.3.36.3.3.2.8.1.1.6"),
    Curve(_EC, 256, None, "brainpoolP256t1", "1.3.36.3.3.2.8.1.1.8"),
    Curve(_EC, 320, None, "brainpoolP320r1", "1.3.36.3.3.2.8.1.1.9"),
    Curve(_EC, 320, None, "brainpoolP320t1", "1.3.36.3.3.2.8.1.1.10"),
    Curve(_EC, 384, None, "brainpoolP384t1", "1.3.36.3.3.2.8.1.1.12"),
    Curve(_EC, 512, None, "brainpoolP512t1", "1.3.36.3.3.2.8.1.1.14"),
    Curve(_EDWARDS, 255, _ED25519, "edwards25519 Ed25519 id-Ed25519", "1.3.101.112 1.3.6.1.4.1.11591.15.1"),
    Curve(_EDWARDS, 448, _ED448, "edwards448 Ed448 id-Ed448", "1.3.101.113"),
    Curve(_MONTGOMERY, 255, _X25519, "curve25519 X25519 id-X25519", "1.3.101.110 1.3.6.1.4.1.3029.1.5.1"),
    Curve(_MONTGOMERY, 448, _X448, "curve448 X448 id-X448", "1.3.101.111"),
)

_NAMING = (bytes((OID,)), bytes((_PRINTABLE,)))
_EXPLICIT = bytes((SEQUENCE,))
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
    raise CryptokiError(CKR.DOMAIN_PARAMS_INVALID, f"CKA_EC_PARAMS {params[:64].hex()} are neither OID nor curve name")


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

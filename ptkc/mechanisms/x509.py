"""X.509 certificates and PKCS #10 requests: from bytes to their parts, and from parts to bytes (RFC 5280, RFC 2986).

What is read may be anybody's: every malformed certificate or request is a `ValueError`, and its parts are kept as the
bytes they were. Names, keys and extensions are looked into only when they are asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1

from ptkc.mechanisms import der, names
from ptkc.mechanisms.signatures import check_signature
from ptkc.spec.constants import CKA, CKC, CKK, CKO
from ptkc.spec.values import Attributes, ulong

__all__ = [
    "Certificate", "Extension", "Request", "certificate_attributes", "extension", "key_identifier",
    "key_material", "pki_entries", "request_attributes", "request_info", "signed", "tbs_certificate", "utc",
]  # fmt: skip

_VERSION_TAG, _REQUEST_ATTRIBUTES, _EXTENSIONS_TAG, _UNIQUE_IDS = 0xA0, 0xA0, 0xA3, (0x81, 0x82, 0xA1, 0xA2)
_V3 = 2
_TRUE = b"\xff"
_LONGEST_SERIAL = 20
_MOST_EXTENSIONS = 1024  # that a template asks for; `der` reads more
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
_RSA, _EC = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
_OWN_CURVES = {
    "1.3.101.112": CKK.EC_EDWARDS,
    "1.3.101.113": CKK.EC_EDWARDS,
    "1.3.101.110": CKK.EC_MONTGOMERY,
    "1.3.101.111": CKK.EC_MONTGOMERY,
}
_SHORTEST = 7
_CLASSES = (ulong(CKO.CERTIFICATE), ulong(CKO.CERTIFICATE_REQUEST))


class Extension:
    """An extension: is it critical, what it says, and the whole of it (DER)."""

    __slots__ = ("critical", "value", "whole")

    def __init__(self, critical: bool, value: bytes, whole: bytes) -> None:  # noqa: FBT001 - the value itself
        """Keep the parts."""
        self.critical = critical
        self.value = value
        self.whole = whole


class _Signed:
    """What a certificate and a request have in common: `body` is what `signature` is over."""

    __slots__ = ("algorithm", "body", "public_key_info", "signature", "subject", "value")

    def _open(self, value: bytes) -> list[der.Value]:
        """Take the outer structure apart, return the parts of the body; ValueError."""
        body, algorithm, signature = der.open_sequence(value)
        if signature.tag != der.BIT_STRING or signature.content[:1] != b"\0" or algorithm.tag != der.SEQUENCE:
            raise ValueError("no signature of whole bytes, or no algorithm")
        self.value = value
        self.body = body.whole
        self.algorithm = algorithm.whole
        self.signature = signature.content[1:]
        return der.open_sequence(body.whole)

    def check_signed_by(self, public_key_info: bytes) -> None:
        """Refuse what this key did not sign with CKR_SIGNATURE_INVALID."""
        check_signature(public_key_info, self.algorithm, self.body, self.signature)


class Certificate(_Signed):
    """A certificate taken apart: names, key and serial number are the DER they were, moments are UTC."""

    __slots__ = ("extensions", "issuer", "not_after", "not_before", "number", "serial_number", "version")

    def __init__(self, value: bytes) -> None:
        """Read `value`; ValueError if it is no certificate (RFC 5280 4.1)."""
        parts = self._open(value)
        self.version = 0
        if parts and parts[0].tag == _VERSION_TAG:
            self.version = der.open_integer(parts.pop(0).content)
        if len(parts) < _SHORTEST - 1:
            raise ValueError("a certificate that lacks something")
        serial, algorithm, issuer, validity, subject, key, *rest = parts
        not_before, not_after = der.open_sequence(validity.whole)
        self.serial_number = serial.whole
        self.number = der.open_integer(serial.whole)
        if algorithm.whole != self.algorithm:
            raise ValueError("signed by another algorithm than it says")
        if {issuer.tag, subject.tag, key.tag} != {der.SEQUENCE}:
            raise ValueError("a name or a key that is no SEQUENCE")
        self.issuer = issuer.whole
        self.subject = subject.whole
        self.public_key_info = key.whole
        self.not_before = der.open_time(not_before)
        self.not_after = der.open_time(not_after)
        while rest and rest[0].tag in _UNIQUE_IDS:
            rest.pop(0)
        self.extensions = _extensions(rest)

    def is_valid(self, moment: float) -> bool:
        """Whether a moment (Unix time) is in the time of validity."""
        return self.not_before.timestamp() <= moment <= self.not_after.timestamp()

    @property
    def is_self_signed(self) -> bool:
        """Whether it names itself as issuer; its signature is another question."""
        return self.issuer == self.subject


class Request(_Signed):
    """A certification request taken apart (RFC 2986 4)."""

    __slots__ = ()

    def __init__(self, value: bytes) -> None:
        """Read `value`; ValueError if it is no request."""
        version, subject, key, *attributes = self._open(value)
        if der.open_integer(version.whole) != 0 or {subject.tag, key.tag} != {der.SEQUENCE}:
            raise ValueError("another version, or a name or a key that is no SEQUENCE")
        if len(attributes) > 1 or any(part.tag != _REQUEST_ATTRIBUTES for part in attributes):
            raise ValueError("something behind the key that are no attributes")
        self.subject = subject.whole
        self.public_key_info = key.whole


def _extensions(rest: list[der.Value]) -> dict[str, Extension]:
    """Return the extensions by their identifiers; ValueError for one that is there twice, or anything else behind."""
    if not rest:
        return {}
    if len(rest) > 1 or rest[0].tag != _EXTENSIONS_TAG:
        raise ValueError("something behind the key that are no extensions")
    found: dict[str, Extension] = {}
    for value in der.open_sequence(rest[0].content):
        identifier, entry = _extension(value.whole)
        if identifier in found:
            raise ValueError("an extension that is there twice")
        found[identifier] = entry
    return found


def _extension(whole: bytes) -> tuple[str, Extension]:
    """Return identifier and content of an Extension; ValueError."""
    identifier, *flags, content = der.open_sequence(whole)
    if content.tag != der.OCTET_STRING or len(flags) > 1 or any(flag.tag != der.BOOLEAN for flag in flags):
        raise ValueError("an extension of another form")
    critical = bool(flags) and flags[0].content == _TRUE
    return der.open_oid(identifier.whole), Extension(critical, content.content, whole)


# Writing


def utc(moment: float) -> datetime:
    """Return a moment of Unix time in full seconds; ValueError where no certificate can name it."""
    try:
        return datetime.fromtimestamp(int(moment), UTC)
    except (OverflowError, OSError):
        raise ValueError(f"{moment} is in no year of ours") from None


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an Extension with this content."""
    flag = der.write(der.BOOLEAN, _TRUE) if critical else b""
    return der.sequence(der.oid(dotted), flag, der.write(der.OCTET_STRING, value))


def tbs_certificate(
    number: int, algorithm: bytes, issuer: bytes, validity: tuple[datetime, datetime], subject: bytes,
    public_key_info: bytes, extensions: list[bytes],
) -> bytes:  # fmt: skip
    """Return the body of a certificate of version 3; what is `bytes` is DER."""
    if not 0 < number < 1 << 8 * _LONGEST_SERIAL - 1:
        raise ValueError("a serial number that is not positive, or longer than 20 bytes")
    return der.sequence(
        der.write(_VERSION_TAG, der.integer(_V3)),
        der.integer(number),
        algorithm,
        issuer,
        der.sequence(*map(der.time, validity)),
        subject,
        public_key_info,
        der.write(_EXTENSIONS_TAG, der.sequence(*extensions)) if extensions else b"",
    )


def request_info(subject: bytes, public_key_info: bytes, extensions: list[bytes], attributes: list[bytes]) -> bytes:
    """Return the body of a request; extensions are asked for by an attribute (RFC 2985 5.4.2)."""
    entries = list(attributes)
    if extensions:
        entries.append(der.sequence(der.oid(EXTENSION_REQUEST), der.write(der.SET, der.sequence(*extensions))))
    return der.sequence(
        der.integer(0), subject, public_key_info, der.write(_REQUEST_ATTRIBUTES, *sorted(entries))
    )


def signed(body: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """Return the body with its signature."""
    return der.sequence(body, algorithm, der.bit_string(signature))


def pki_entries(value: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the extensions and the PKCS #10 attributes in CKA_PKI_ATTRIBUTE_BER_ENCODED; ValueError.

    The value is a run of Extension, Extensions and Attribute in any order (ours: the vendor's form is not public).
    """
    extensions: dict[str, bytes] = {}
    attributes = []
    waiting = der.read_all(value)
    while waiting:
        entry = waiting.pop(0)
        parts = der.open_sequence(entry.whole)
        if parts and parts[0].tag == der.SEQUENCE:
            if any(part.content[:1] != bytes((der.OID,)) for part in parts):
                raise ValueError("neither an extension nor an attribute")
            waiting[:0] = parts
        elif parts and parts[-1].tag == der.SET:
            der.open_oid(parts[0].whole)
            attributes.append(entry.whole)
        else:
            identifier, _ = _extension(entry.whole)
            if extensions.setdefault(identifier, entry.whole) is not entry.whole or len(extensions) > _MOST_EXTENSIONS:
                raise ValueError(f"an extension that is there twice, or more than {_MOST_EXTENSIONS}")
    return list(extensions.values()), attributes


# Keys


def key_identifier(public_key_info: bytes) -> bytes:
    """Return the SHA-1 of the key without its algorithm (RFC 5280 4.2.1.2, the first method)."""
    _, key = der.open_sequence(public_key_info)
    return sha1(key.content[1:], usedforsecurity=False).digest()


def key_material(public_key_info: bytes) -> Attributes:
    """Return CKA_KEY_TYPE and the material of a SubjectPublicKeyInfo; ValueError for keys that we do not have."""
    algorithm, key = der.open_sequence(public_key_info)
    identifier, *parameters = der.open_sequence(algorithm.whole)
    dotted = der.open_oid(identifier.whole)
    if key.tag != der.BIT_STRING or key.content[:1] != b"\0":
        raise ValueError("a key that is no BIT STRING of whole bytes")
    point = der.write(der.OCTET_STRING, key.content[1:])
    if dotted in _OWN_CURVES and not parameters:
        return {CKA.KEY_TYPE: ulong(_OWN_CURVES[dotted]), CKA.EC_PARAMS: identifier.whole, CKA.EC_POINT: point}
    if dotted == _EC and len(parameters) == 1:
        return {CKA.KEY_TYPE: ulong(CKK.EC), CKA.EC_PARAMS: parameters[0].whole, CKA.EC_POINT: point}
    if dotted == _RSA:
        modulus, exponent = (der.open_integer(part.whole) for part in der.open_sequence(key.content[1:]))
        if modulus > 0 and exponent > 0:
            return {CKA.KEY_TYPE: ulong(CKK.RSA), CKA.MODULUS: _big(modulus), CKA.PUBLIC_EXPONENT: _big(exponent)}
    raise ValueError(f"no key that we know: {dotted}")


def _big(number: int) -> bytes:
    """Return a big integer as attributes have it."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


# What attributes say of a certificate


def _text(name: bytes) -> bytes:
    """Return a name as text, empty where it cannot be read."""
    try:
        return names.to_text(names.parse(name)).encode()
    except (ValueError, UnicodeEncodeError):
        return b""


def certificate_attributes(certificate: Certificate) -> Attributes:
    """Return what the attributes of a certificate object say, all from CKA_VALUE."""
    begin, end = certificate.not_before, certificate.not_after
    return {
        CKA.CLASS: _CLASSES[0],
        CKA.CERTIFICATE_TYPE: ulong(CKC.X_509),
        CKA.VALUE: certificate.value,
        CKA.SUBJECT: certificate.subject,
        CKA.ISSUER: certificate.issuer,
        CKA.SERIAL_NUMBER: certificate.serial_number,
        CKA.PUBLIC_KEY_INFO: certificate.public_key_info,
        CKA.START_DATE: f"{begin.year:04}{begin:%m%d}".encode(),
        CKA.END_DATE: f"{end.year:04}{end:%m%d}".encode(),
        CKA.SUBJECT_STR: _text(certificate.subject),
        CKA.ISSUER_STR: _text(certificate.issuer),
        CKA.SERIAL_NUMBER_INT: _big(certificate.number) if certificate.number > 0 else b"",
        CKA.CERTIFICATE_START_TIME: f"{begin.year:04}{begin:%m%d%H%M%S}00".encode(),
        CKA.CERTIFICATE_END_TIME: f"{end.year:04}{end:%m%d%H%M%S}00".encode(),
    }


def request_attributes(request: Request) -> Attributes:
    """Return what the attributes of a certificate-request object say, all from CKA_VALUE."""
    attributes = {
        CKA.CLASS: _CLASSES[1],
        CKA.VALUE: request.value,
        CKA.SUBJECT: request.subject,
        CKA.SUBJECT_STR: _text(request.subject),
        CKA.PUBLIC_KEY_INFO: request.public_key_info,
    }
    try:
        attributes[CKA.KEY_TYPE] = key_material(request.public_key_info)[CKA.KEY_TYPE]
    except ValueError:
        return attributes
    return attributes

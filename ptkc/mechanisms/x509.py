"""X.509 certificates and PKCS #10 requests: from bytes to their parts, and from parts to bytes (RFC 5280, RFC 2986).

What is read may be anybody's: `cryptography` reads it first, which takes DER alone, and only then `asn1crypto` gives
names, keys and numbers as the bytes that they were. Everything malformed is a `ValueError`. What is written is signed
elsewhere, which `cryptography` cannot do: `asn1crypto` writes it. Parts that are only handed on are `Any` to it, since
it writes what it knows anew where a length ends with the byte 0x80.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from asn1crypto import core, csr
from asn1crypto import x509 as asn1x509
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from ptkc.mechanisms import asn1, names
from ptkc.mechanisms.public_key_info import big, key_material
from ptkc.mechanisms.signatures import check_signature
from ptkc.spec.constants import CKA, CKC, CKO
from ptkc.spec.values import Attributes, ulong

__all__ = [
    "Certificate", "Request", "certificate_attributes", "extension", "pki_entries", "request_attributes",
    "request_info", "signed", "tbs_certificate", "utc",
]  # fmt: skip

_Read = TypeVar("_Read")
_LONGEST_SERIAL = 20
_LAST_OF_UTC_TIME, _FIRST_OF_UTC_TIME = 2049, 1950
_SET = 0x31
_CLASSES = (ulong(CKO.CERTIFICATE), ulong(CKO.CERTIFICATE_REQUEST))

# Names in extensions may be longer than RFC 5280 allows. What the library still reads and will not any more, as serial
# numbers that are not positive, we refuse.
warnings.filterwarnings("ignore", category=UserWarning, module=re.escape(__name__))
warnings.filterwarnings("error", category=CryptographyDeprecationWarning, module=re.escape(__name__))


def _read(load: Callable[[bytes], _Read], value: bytes) -> _Read:
    """Return what one of the library's functions reads; ValueError."""
    if len(value) > asn1.LONGEST:
        raise ValueError(f"{len(value)} bytes, want at most {asn1.LONGEST}")
    try:
        return load(value)
    except (x509.InvalidVersion, CryptographyDeprecationWarning) as error:
        raise ValueError(str(error)) from None


class _Whole(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012 - as asn1crypto has it
        ("body", core.Any),
        ("algorithm", core.Any),
        ("signature", core.OctetBitString),
    ]


class _CertificateBody(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012 - as asn1crypto has it
        ("version", asn1x509.Version, {"explicit": 0, "default": "v1"}),
        ("serial_number", core.Integer),
        ("algorithm", core.Any),
        ("issuer", core.Any),
        ("validity", core.Any),
        ("subject", core.Any),
        ("public_key_info", core.Any),
        ("issuer_id", core.Any, {"implicit": 1, "optional": True}),
        ("subject_id", core.Any, {"implicit": 2, "optional": True}),
        ("extensions", asn1x509.Extensions, {"explicit": 3, "optional": True}),
    ]


class _RequestBody(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012 - as asn1crypto has it
        ("version", core.Integer),
        ("subject", core.Any),
        ("public_key_info", core.Any),
        ("attributes", csr.CRIAttributes, {"implicit": 0}),
    ]


class _Signed:
    """What a certificate and a request have in common: `body` is what `signature` is over."""

    __slots__ = ("algorithm", "body", "public_key_info", "signature", "subject", "value")

    def __init__(self, value: bytes, body: bytes, parts: core.Sequence) -> None:
        """Take the outer structure apart, and `parts` of the body that both have."""
        whole = _Whole.load(value, strict=True)
        signature = whole["signature"]
        if signature.contents[:1] != b"\0":
            raise ValueError("a signature that ends within a byte")
        self.value = value
        self.body = body
        self.algorithm: bytes = whole["algorithm"].dump()
        self.signature: bytes = signature.native
        self.subject: bytes = parts["subject"].dump()
        self.public_key_info: bytes = parts["public_key_info"].dump()

    def check_signed_by(self, public_key_info: bytes) -> None:
        """Refuse what this key did not sign with CKR_SIGNATURE_INVALID."""
        check_signature(public_key_info, self.algorithm, self.body, self.signature)


class Certificate(_Signed):
    """A certificate taken apart: names, key and serial number are the DER they were, moments are UTC.

    `extensions` are None if one that the library knows is malformed.
    """

    __slots__ = ("extensions", "is_v3", "issuer", "not_after", "not_before", "number", "serial_number")

    def __init__(self, value: bytes) -> None:
        """Read `value`; ValueError if it is no certificate (RFC 5280 4.1)."""
        parsed = _read(x509.load_der_x509_certificate, value)
        body = parsed.tbs_certificate_bytes
        parts = _CertificateBody.load(body, strict=True)
        super().__init__(value, body, parts)
        if parts["algorithm"].dump() != self.algorithm:
            raise ValueError("signed by another algorithm than it says")
        self.is_v3 = parsed.version == x509.Version.v3
        self.number = parsed.serial_number
        if self.number <= 0:  # where a host silences warnings
            raise ValueError("a serial number that is not positive")
        self.serial_number: bytes = parts["serial_number"].dump()
        self.issuer: bytes = parts["issuer"].dump()
        self.not_before = parsed.not_valid_before_utc
        self.not_after = parsed.not_valid_after_utc
        self.extensions = _extensions(parsed)

    def is_valid(self, moment: float) -> bool:
        """Whether a moment (Unix time) is in the time of validity."""
        return self.not_before.timestamp() <= moment <= self.not_after.timestamp()


class Request(_Signed):
    """A certification request taken apart (RFC 2986 4)."""

    __slots__ = ()

    def __init__(self, value: bytes) -> None:
        """Read `value`; ValueError if it is no request."""
        body = _read(x509.load_der_x509_csr, value).tbs_certrequest_bytes
        super().__init__(value, body, _RequestBody.load(body, strict=True))


def _extensions(parsed: x509.Certificate) -> x509.Extensions | None:
    """Return what the extensions say, None where one is malformed; ValueError for one that is there twice."""
    try:
        return parsed.extensions
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from None
    except (x509.UnsupportedGeneralNameType, ValueError, TypeError, UserWarning):
        return None


# Writing


def utc(moment: float) -> datetime:
    """Return a moment of Unix time in full seconds; ValueError where no certificate can name it."""
    try:
        return datetime.fromtimestamp(int(moment), UTC)
    except (OverflowError, OSError):
        raise ValueError(f"{moment} is in no year of ours") from None


def _time(moment: datetime) -> asn1x509.Time:
    """Return a Time (RFC 5280 4.1.2.5): UTCTime from 1950 to 2049, else GeneralizedTime."""
    if _FIRST_OF_UTC_TIME <= moment.year <= _LAST_OF_UTC_TIME:
        return asn1x509.Time({"utc_time": moment})
    return asn1x509.Time({"general_time": f"{moment.year:04}{moment:%m%d%H%M%SZ}"})


def extension(content: x509.ExtensionType, *, critical: bool = False) -> asn1x509.Extension:
    """Return an extension as `tbs_certificate` and `request_info` take it."""
    value = core.ParsableOctetString(content.public_bytes())
    return asn1x509.Extension({"extn_id": content.oid.dotted_string, "critical": critical, "extn_value": value})


def tbs_certificate(
    number: int, algorithm: bytes, issuer: bytes, validity: tuple[datetime, datetime], subject: bytes,
    public_key_info: bytes, extensions: list[asn1x509.Extension],
) -> bytes:  # fmt: skip
    """Return the body of a certificate of version 3; what is `bytes` is DER."""
    if not 0 < number < 1 << 8 * _LONGEST_SERIAL - 1:
        raise ValueError("a serial number that is not positive, or longer than 20 bytes")
    begin, end = map(_time, validity)
    body: bytes = _CertificateBody({
        "version": "v3",
        "serial_number": number,
        "algorithm": core.Any.load(algorithm),
        "issuer": core.Any.load(issuer),
        "validity": asn1x509.Validity({"not_before": begin, "not_after": end}),
        "subject": core.Any.load(subject),
        "public_key_info": core.Any.load(public_key_info),
        "extensions": extensions or None,
    }).dump()
    return body


def request_info(
    subject: bytes, public_key_info: bytes, extensions: list[asn1x509.Extension], attributes: list[csr.CRIAttribute]
) -> bytes:
    """Return the body of a request; extensions are asked for by an attribute (RFC 2985 5.4.2)."""
    asked = [csr.CRIAttribute({"type": "extension_request", "values": [extensions]})] if extensions else []
    body: bytes = _RequestBody({
        "version": 0,
        "subject": core.Any.load(subject),
        "public_key_info": core.Any.load(public_key_info),
        "attributes": attributes + asked,
    }).dump()
    return body


def signed(body: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """Return the body with its signature."""
    parts = {"body": core.Any.load(body), "algorithm": core.Any.load(algorithm), "signature": signature}
    whole: bytes = _Whole(parts).dump()
    return whole


def pki_entries(value: bytes) -> tuple[list[asn1x509.Extension], list[csr.CRIAttribute]]:
    """Return the extensions and the PKCS #10 attributes in CKA_PKI_ATTRIBUTE_BER_ENCODED; ValueError.

    The value is a run of Extension, Extensions and Attribute in any order (ours: the vendor's form is not public).
    """
    extensions: list[asn1x509.Extension] = []
    attributes = []
    for entry in asn1.each(value):
        found = _entry(entry)
        if isinstance(found, csr.CRIAttribute):
            attributes.append(found)
        else:
            extensions += [found] if isinstance(found, asn1x509.Extension) else found
    if len({entry["extn_id"].dotted for entry in extensions}) != len(extensions):
        raise ValueError("an extension that is there twice")
    return extensions, attributes


def _entry(value: bytes) -> Any:  # noqa: ANN401 - asn1crypto has no types
    """Return the Extension, Extensions or CRIAttribute that `value` is; ValueError."""
    for kind in (asn1x509.Extension, asn1x509.Extensions):
        try:
            found = asn1.load(kind, value)
        except ValueError:
            continue
        if len(found):
            return found
    found = asn1.load(csr.CRIAttribute, value)
    if found["values"].dump()[0] != _SET:
        raise ValueError("neither an extension nor an attribute")
    return found


# What attributes say of a certificate


def _text(name: bytes) -> bytes:
    """Return a name as text, empty where it cannot be read."""
    try:
        return names.to_text(name).encode()
    except ValueError:
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
        CKA.SERIAL_NUMBER_INT: big(certificate.number),
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

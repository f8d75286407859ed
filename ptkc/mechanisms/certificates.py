"""What the vendor's certificate mechanisms do: requests and certificates from keys and what a template says.

Each function is a mechanism's of `certifying`, which imports this module at its first need. The device has resolved the
key that CK_MECH_TYPE_AND_OBJECT names into a `Signer`. What the vendor's texts leave open is in docs/identity.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from asn1crypto import core, csr
from asn1crypto import x509 as asn1x509
from cryptography import x509

from ptkc.mechanisms import asn1, names
from ptkc.mechanisms.generic import random_bytes
from ptkc.mechanisms.public_key_info import key_identifier
from ptkc.mechanisms.signatures import Scheme
from ptkc.mechanisms.x509 import (
    Certificate,
    Request,
    extension,
    pki_entries,
    request_info,
    signed,
    tbs_certificate,
    utc,
)
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes

__all__ = [
    "Signer", "certificate", "check_issued", "key_identifiers", "named_in", "public_key_info", "random_number",
    "read_certificate", "read_request", "request", "subject_of",
]  # fmt: skip

_SERIAL_BYTES, _SPARE_BITS = 20, 1
_YEAR = timedelta(days=365)
_DATE, _TIME = 8, 14
_LONGEST_SIGNATURE = 2048


class Signer:
    """What signs a certificate or a request.

    `public_key_info` is the signing key's, `name` the issuer's if the key says one (a Name in DER), `number` the serial
    number if the key counts; `sign` gives the signature over a body in the form that `scheme` has.
    """

    __slots__ = ("name", "number", "public_key_info", "scheme", "sign")

    def __init__(
        self, public_key_info: bytes, scheme: Scheme, sign: Callable[[bytes], bytes], name: bytes | None = None,
        number: Callable[[], int | None] = lambda: None,
    ) -> None:  # fmt: skip
        """Keep it; `number` is asked after the signing key was approved."""
        self.public_key_info = public_key_info
        self.scheme = scheme
        self.sign = sign
        self.name = name
        self.number = number

    def seal(self, body: bytes) -> bytes:
        """Return a body with its signature."""
        return signed(body, self.scheme.algorithm, self.sign(body))


def random_number() -> int:
    """Return a serial number of 159 random bits, never 0."""
    return int.from_bytes(random_bytes(_SERIAL_BYTES), "big") >> _SPARE_BITS or 1


@contextmanager
def _said_by(attribute: int) -> Iterator[None]:
    """Give a `ValueError` the code and the name that an attribute's value has."""
    try:
        yield
    except ValueError as error:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)}: {error}") from None


def read_certificate(value: bytes) -> Certificate:
    """Return the certificate in CKA_VALUE; CKR_ATTRIBUTE_VALUE_INVALID."""
    with _said_by(CKA.VALUE):
        return Certificate(value)


def read_request(value: bytes) -> Request:
    """Return the request in CKA_VALUE; CKR_ATTRIBUTE_VALUE_INVALID."""
    with _said_by(CKA.VALUE):
        return Request(value)


# What a template says


def named_in(template: Attributes, name: int, text: int) -> bytes | None:
    """Return the DER of the name that CKA_SUBJECT or CKA_SUBJECT_STR (CKA_ISSUER …) say, None if neither is there.

    CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT if they say two.
    """
    given = template.get(name) or None
    if given:
        with _said_by(name):
            names.parse(given)
    if not template.get(text):
        return given
    with _said_by(text):
        said = names.from_text(template[text].decode())
    if given not in (None, said):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, text)} says another name")
    return said


def subject_of(attributes: Attributes) -> bytes:
    """Return CKA_SUBJECT of a key, which anybody may have said; CKR_ATTRIBUTE_VALUE_INVALID."""
    return named_in({CKA.SUBJECT: attributes.get(CKA.SUBJECT, b"")}, CKA.SUBJECT, CKA.SUBJECT_STR) or b""


def _number_in(template: Attributes) -> int | None:
    """Return the serial number that the template says."""
    numbers: set[int] = set()
    if template.get(CKA.SERIAL_NUMBER):
        with _said_by(CKA.SERIAL_NUMBER):
            numbers.add(asn1.load(core.Integer, template[CKA.SERIAL_NUMBER]).native)
    if template.get(CKA.SERIAL_NUMBER_INT):
        numbers.add(int.from_bytes(template[CKA.SERIAL_NUMBER_INT][: _SERIAL_BYTES + 1], "big"))
    if len(numbers) > 1:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_SERIAL_NUMBER_INT says another number")
    for number in numbers:
        if not 0 < number.bit_length() < 8 * _SERIAL_BYTES or number < 0:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "a serial number is positive and has at most 20 bytes")
        return number
    return None


def _moment_in(template: Attributes, exact: int, date: int, of_day: str) -> datetime | None:
    """Return the moment that an attribute says to the second, or one that says the date."""
    for attribute, length in ((exact, _TIME), (date, _DATE)):
        value = template.get(attribute)
        if value:
            with _said_by(attribute):
                text = value.decode("ascii")
                if len(text) == _TIME + 2 and text.endswith("00"):
                    text = text[:_TIME]
                if len(text) != length or not text.isdigit():
                    raise ValueError("a time is YYYYMMDDhhmmss, a date YYYYMMDD")
                whole = text if length == _TIME else text + of_day
                return datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return None


def _validity_in(template: Attributes, now: float) -> tuple[datetime, datetime]:
    """Return the time of validity that the template says: from now, and for a year, where it does not."""
    begin = _moment_in(template, CKA.CERTIFICATE_START_TIME, CKA.START_DATE, "000000") or utc(now)
    end = _moment_in(template, CKA.CERTIFICATE_END_TIME, CKA.END_DATE, "235959")
    try:
        end = end or begin + _YEAR
    except OverflowError:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "the time of validity ends in no year of ours") from None
    if end < begin:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the time of validity ends before it begins")
    return begin, end


def _entries_in(template: Attributes) -> tuple[list[asn1x509.Extension], list[csr.CRIAttribute]]:
    """Return the extensions and the attributes that the template says."""
    with _said_by(CKA.PKI_ATTRIBUTE_BER_ENCODED):
        return pki_entries(template.get(CKA.PKI_ATTRIBUTE_BER_ENCODED, b""))


def key_identifiers(public_key_info: bytes, issuer_key_info: bytes) -> list[asn1x509.Extension]:
    """Return the extensions that name the key and the issuer's key (RFC 5280 4.2.1.1, 4.2.1.2)."""
    own, issuer = key_identifier(public_key_info), key_identifier(issuer_key_info)
    return [
        extension(x509.SubjectKeyIdentifier(own)),
        extension(x509.AuthorityKeyIdentifier(issuer, None, None)),
    ]


def public_key_info(base: Object) -> bytes:
    """Return the SubjectPublicKeyInfo of a public key; CKR_KEY_TYPE_INCONSISTENT for what is none."""
    info = base.attributes.get(CKA.PUBLIC_KEY_INFO)
    if base.object_class != CKO.PUBLIC_KEY or not info:
        raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"a {name_of(CKO, base.object_class)} is no public key of ours")
    return info


# What the mechanisms make


def certificate(base: Object, signer: Signer, template: Attributes, now: float) -> bytes:
    """Return a certificate of a public key or a request, as the template says; `now` is Unix time.

    CKR_TEMPLATE_INCOMPLETE without a subject or an issuer, CKR_SIGNATURE_INVALID for a request that its key did
    not sign, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT.
    """
    subject = named_in(template, CKA.SUBJECT, CKA.SUBJECT_STR)
    if base.object_class == CKO.CERTIFICATE_REQUEST:
        wanted = read_request(base.attributes[CKA.VALUE])
        wanted.check_signed_by(wanted.public_key_info)
        info, default = wanted.public_key_info, wanted.subject
    else:
        info, default = public_key_info(base), b"" if subject else subject_of(base.attributes)
    subject = subject or default
    if not subject:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_SUBJECT and CKA_SUBJECT_STR are missing")
    issuer = named_in(template, CKA.ISSUER, CKA.ISSUER_STR)
    if issuer is None:
        issuer = subject if info == signer.public_key_info else signer.name
    if not issuer:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "no CKA_ISSUER, and no certificate of the signing key")
    validity = _validity_in(template, now)
    extensions, attributes = _entries_in(template)
    if attributes:
        raise CryptokiError(CKR.ENCODE_ERROR, "CKA_PKI_ATTRIBUTE_BER_ENCODED has attributes of requests")
    said = {entry["extn_id"].dotted for entry in extensions}
    with _said_by(CKA.PUBLIC_KEY_INFO):
        identifiers = key_identifiers(info, signer.public_key_info)
    extensions += [entry for entry in identifiers if entry["extn_id"].dotted not in said]

    def body(number: int) -> bytes:
        return tbs_certificate(number, signer.scheme.algorithm, issuer, validity, subject, info, extensions)

    _check_readable(Certificate, body(1), signer)
    number = _number_in(template)
    if number is None:
        number = signer.number()
    if number is None:
        number = random_number()
    return signer.seal(body(number))


def request(base: Object, signer: Signer, template: Attributes) -> bytes:
    """Return a request for a public key, signed by its private key.

    CKR_KEY_HANDLE_INVALID if that is another's, CKR_TEMPLATE_INCOMPLETE without a subject.
    """
    info = public_key_info(base)
    if info != signer.public_key_info:
        raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the signing key is not the public key's private key")
    subject = named_in(template, CKA.SUBJECT, CKA.SUBJECT_STR) or subject_of(base.attributes)
    if not subject:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_SUBJECT and CKA_SUBJECT_STR are missing")
    body = request_info(subject, info, *_entries_in(template))
    _check_readable(Request, body, signer)
    return signer.seal(body)


def _check_readable(kind: type[Certificate | Request], body: bytes, signer: Signer) -> None:
    """Refuse what nobody could read once it is signed, before a use is counted: CKR_ATTRIBUTE_VALUE_INVALID."""
    try:
        kind(signed(body, signer.scheme.algorithm, bytes(_LONGEST_SIGNATURE)))
    except ValueError as error:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"nobody could read what is asked for: {error}") from None


def check_issued(data: bytes, issuer: Certificate, now: Callable[[], float]) -> None:
    """Check name, signature and times of the certificate `data` by its issuer's; `now` as in `VerifyCertificate`.

    CKR_DATA_INVALID for what is no certificate, CKR_CERT_NOT_VALIDATED, CKR_SIGNATURE_INVALID.
    """
    try:
        issued = Certificate(data)
    except ValueError as error:
        raise CryptokiError(CKR.DATA_INVALID, f"no certificate: {error}") from None
    if issued.issuer != issuer.subject:
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the certificate names another issuer")
    issued.check_signed_by(issuer.public_key_info)
    moment = now()
    if not (issued.is_valid(moment) and issuer.is_valid(moment)):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "not valid at the time of the HSM's clock")

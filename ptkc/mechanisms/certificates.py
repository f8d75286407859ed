"""The vendor's certificate mechanisms: requests, certificates and public keys from objects, and back.

CKM_ENCODE_X_509, CKM_ENCODE_X_509_LOCAL_CERT and CKM_ENCODE_PKCS_10 give the DER of what C_DeriveKey makes an object
of; the device has resolved the key that CK_MECH_TYPE_AND_OBJECT names into a `Signer`. CKM_DECODE_X_509 gives the key
that a certificate certifies, CKM_ENCODE_PUBLIC_KEY (C_WrapKey) the SubjectPublicKeyInfo of a key. How
CKM_VERIFY_CERTIFICATE is called is ours: C_VerifyInit with the issuer's certificate, C_Verify with a certificate as
data and no signature. What the vendor's texts leave open is in docs/identity.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from ptkc.mechanisms import der, names
from ptkc.mechanisms.ec import FLAGS, EcKeyPairGeneration
from ptkc.mechanisms.generic import random_bytes
from ptkc.mechanisms.mechanism import Mechanism, Verification, register
from ptkc.mechanisms.signatures import Scheme
from ptkc.mechanisms.x509 import (
    Certificate,
    Request,
    extension,
    key_identifier,
    pki_entries,
    request_info,
    signed,
    tbs_certificate,
    utc,
)
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.parameters import GEN_PIK, MECH_AND_OBJECT, GenPik
from ptkc.spec.values import Attributes

__all__ = ["Signer", "key_identifiers", "named_in", "random_number", "read_certificate", "read_request", "subject_of"]

_SERIAL_BYTES, _SPARE_BITS = 20, 1
_YEAR = timedelta(days=365)
_SUBJECT_KEY, _AUTHORITY_KEY = "2.5.29.14", "2.5.29.35"
_DATE, _TIME = 8, 14


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
        said = names.build(names.from_text(template[text].decode()))
    if given not in (None, said):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, text)} says another name")
    return said


def subject_of(attributes: Attributes) -> bytes:
    """Return CKA_SUBJECT of a key, which anybody may have said; CKR_ATTRIBUTE_VALUE_INVALID."""
    return named_in({CKA.SUBJECT: attributes.get(CKA.SUBJECT, b"")}, CKA.SUBJECT, CKA.SUBJECT_STR) or b""


def _number_in(template: Attributes) -> int | None:
    """Return the serial number that the template says."""
    numbers = set()
    if template.get(CKA.SERIAL_NUMBER):
        with _said_by(CKA.SERIAL_NUMBER):
            numbers.add(der.open_integer(template[CKA.SERIAL_NUMBER]))
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
                return der.open_time(der.Value(der.GENERALIZED_TIME, whole.encode() + b"Z", b""))
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


def _entries_in(template: Attributes) -> tuple[list[bytes], list[bytes]]:
    """Return the extensions and the attributes that the template says."""
    with _said_by(CKA.PKI_ATTRIBUTE_BER_ENCODED):
        return pki_entries(template.get(CKA.PKI_ATTRIBUTE_BER_ENCODED, b""))


def key_identifiers(public_key_info: bytes, issuer_key_info: bytes) -> list[bytes]:
    """Return the extensions that name the key and the issuer's key (RFC 5280 4.2.1.1, 4.2.1.2)."""
    own, issuer = key_identifier(public_key_info), key_identifier(issuer_key_info)
    return [
        extension(_SUBJECT_KEY, der.write(der.OCTET_STRING, own)),
        extension(_AUTHORITY_KEY, der.sequence(der.write(0x80, issuer))),
    ]


def _public_key_info(base: Object) -> bytes:
    """Return the SubjectPublicKeyInfo of a public key; CKR_KEY_TYPE_INCONSISTENT for what is none."""
    info = base.attributes.get(CKA.PUBLIC_KEY_INFO)
    if base.object_class != CKO.PUBLIC_KEY or not info:
        raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"a {name_of(CKO, base.object_class)} is no public key of ours")
    return info


class EncodeX509(Mechanism):
    """CKM_ENCODE_X_509."""

    parameters = MECH_AND_OBJECT
    source = "none: the serial number is random; read by cryptography and OpenSSL"

    def __init__(self, number: int) -> None:
        """Have a number: CKM_ENCODE_X_509_LOCAL_CERT makes the same, of keys that the device looks at first."""
        self.type = number

    def derive(self, base: Object, signer: Signer, template: Attributes, now: float) -> bytes:
        """Return a certificate of a public key or a request, as the template says; `now` is Unix time.

        CKR_TEMPLATE_INCOMPLETE without a subject or an issuer, CKR_SIGNATURE_INVALID for a request that its key did
        not sign, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT.
        """
        subject = named_in(template, CKA.SUBJECT, CKA.SUBJECT_STR)
        if base.object_class == CKO.CERTIFICATE_REQUEST:
            request = read_request(base.attributes[CKA.VALUE])
            request.check_signed_by(request.public_key_info)
            info, default = request.public_key_info, request.subject
        else:
            info, default = _public_key_info(base), b"" if subject else subject_of(base.attributes)
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
        said = {bytes(der.open_oid(der.open_sequence(entry)[0].whole), "ascii") for entry in extensions}
        with _said_by(CKA.PUBLIC_KEY_INFO):
            identifiers = key_identifiers(info, signer.public_key_info)
        extensions += [
            entry
            for entry, dotted in zip(identifiers, (_SUBJECT_KEY, _AUTHORITY_KEY), strict=True)
            if dotted.encode() not in said
        ]
        given = _number_in(template)
        algorithm = signer.scheme.algorithm

        def body(number: int) -> bytes:
            return tbs_certificate(number, algorithm, issuer, validity, subject, info, extensions)

        if given is not None:
            return signer.seal(body(given))
        number = signer.number()
        return signer.seal(body(random_number() if number is None else number))


class EncodePkcs10(Mechanism):
    """CKM_ENCODE_PKCS_10."""

    type = CKM.ENCODE_PKCS_10
    parameters = MECH_AND_OBJECT
    source = "none: read by cryptography and OpenSSL"

    def derive(self, base: Object, signer: Signer, template: Attributes, now: float) -> bytes:  # noqa: ARG002 - timeless
        """Return a request for a public key, signed by its private key.

        CKR_KEY_HANDLE_INVALID if that is another's, CKR_TEMPLATE_INCOMPLETE without a subject.
        """
        info = _public_key_info(base)
        if info != signer.public_key_info:
            raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the signing key is not the public key's private key")
        subject = named_in(template, CKA.SUBJECT, CKA.SUBJECT_STR) or subject_of(base.attributes)
        if not subject:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_SUBJECT and CKA_SUBJECT_STR are missing")
        return signer.seal(request_info(subject, info, *_entries_in(template)))


class DecodeX509(Mechanism):
    """CKM_DECODE_X_509."""

    type = CKM.DECODE_X_509
    source = "cryptography_vectors: x509"

    def derive(self, base: Object, parameter: None, template: Attributes) -> bytes:  # noqa: ARG002 - nothing to say
        """Return the SubjectPublicKeyInfo in a certificate; CKR_KEY_TYPE_INCONSISTENT for what is none."""
        if base.object_class != CKO.CERTIFICATE:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"a {name_of(CKO, base.object_class)} is no certificate")
        return read_certificate(base.attributes.get(CKA.VALUE, b"")).public_key_info


class EncodePublicKey(Mechanism):
    """CKM_ENCODE_PUBLIC_KEY."""

    type = CKM.ENCODE_PUBLIC_KEY
    source = "none: the encoding that the key types give as CKA_PUBLIC_KEY_INFO"

    def wrap(self, key: Object, parameter: None, payload: None) -> bytes:  # noqa: ARG002 - there is neither
        """Return the SubjectPublicKeyInfo of a public key."""
        return _public_key_info(key)


class VerifyCertificate(Mechanism):
    """CKM_VERIFY_CERTIFICATE."""

    type = CKM.VERIFY_CERTIFICATE
    source = "cryptography_vectors: x509"

    def verify(self, key: Object, parameter: None, now: Callable[[], float]) -> Verification:  # noqa: ARG002 - none
        """Return the verification of certificates by the issuer's.

        `now` gives the time by the HSM's clock, or refuses an issuer that is trusted no more.
        """
        issuer = key.cache.get("certificate")
        if issuer is None:
            issuer = key.cache["certificate"] = read_certificate(key.attributes.get(CKA.VALUE, b""))
        return _CertificateVerification(issuer, now)  # type: ignore[arg-type]


class _CertificateVerification(Verification):
    """The question whether certificates were issued by this one."""

    __slots__ = ("_issuer", "_now")
    multi_part = False

    def __init__(self, issuer: Certificate, now: Callable[[], float]) -> None:
        """Keep the issuer's certificate."""
        self._issuer = issuer
        self._now = now

    def single(self, data: bytes, signature: bytes) -> None:
        """Check name, signature and times of the certificate `data`.

        CKR_SIGNATURE_LEN_RANGE if there is a signature beside it, CKR_DATA_INVALID for what is no certificate,
        CKR_CERT_NOT_VALIDATED, CKR_SIGNATURE_INVALID.
        """
        if signature:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, "the signature is in the certificate")
        try:
            certificate = Certificate(data)
        except ValueError as error:
            raise CryptokiError(CKR.DATA_INVALID, f"no certificate: {error}") from None
        if certificate.issuer != self._issuer.subject:
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the certificate names another issuer")
        certificate.check_signed_by(self._issuer.public_key_info)
        now = self._now()
        if not (certificate.is_valid(now) and self._issuer.is_valid(now)):
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, "not valid at the time of the HSM's clock")


class GenerateIdentity(Mechanism):
    """CKM_GEN_PIK_ECC_P521: the pair; what becomes of it is the HSM's identity's."""

    type = CKM.GEN_PIK_ECC_P521
    parameters = GEN_PIK
    sizes = (521, 521)
    generates = CKK.EC
    source = "none: the key is random"
    extra_flags = FLAGS

    def generate_pair(
        self, parameter: GenPik, public: Attributes, private: Attributes  # noqa: ARG002 - the HSM's question
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair on P-521."""
        pair: tuple[Attributes, Attributes] = EcKeyPairGeneration().generate_pair(None, public, private)
        return pair


register(
    EncodeX509(CKM.ENCODE_X_509),
    EncodeX509(CKM.ENCODE_X_509_LOCAL_CERT),
    EncodePkcs10(),
    DecodeX509(),
    EncodePublicKey(),
    VerifyCertificate(),
    GenerateIdentity(),
)

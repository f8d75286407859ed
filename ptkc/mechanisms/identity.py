"""The profile of the HSM's own certificates (ours): owner certificates (POC) and identity certificates (PIC).

Both are on P-521 and signed by ecdsa-with-SHA512. A POC is a self-signed CA below which no other CA stands; a PIC is
no CA, and is signed by a POC or by itself. Each names the HSM's serial in its subject. What comes from outside may be
made by others and only has to be such a certificate: `check_owner`, `check_identity`, with CKR_CERT_NOT_VALIDATED.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from asn1crypto.core import ObjectIdentifier
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from ptkc.mechanisms import names
from ptkc.mechanisms.certificates import Signer, key_identifiers, random_number
from ptkc.mechanisms.curves import find
from ptkc.mechanisms.ec import load_private
from ptkc.mechanisms.public_key_info import key_identifier
from ptkc.mechanisms.signatures import SCHEMES
from ptkc.mechanisms.x509 import Certificate, extension, request_info, tbs_certificate, utc
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError

__all__ = [
    "CURVE_PARAMS", "check_identity", "check_owner", "identity_certificate", "identity_request", "is_curve",
    "is_on_curve", "is_signed_by", "owner_certificate", "serial_in", "signer",
]  # fmt: skip

_CURVE = find(CKK.EC, ObjectIdentifier("1.3.132.0.35").dump())
CURVE_PARAMS = _CURVE.oid
"""CKA_EC_PARAMS of P-521."""

_SCHEME = SCHEMES[CKM.ECDSA_SHA512]
_BEFORE = timedelta(minutes=5)
_OWNER_TIME, _IDENTITY_TIME = timedelta(days=7305), timedelta(days=3652)
_NO_USAGE = dict.fromkeys(
    (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    ),
    False,
)  # fmt: skip
_SIGNS = x509.KeyUsage(**{**_NO_USAGE, "digital_signature": True})
_CERTIFIES = x509.KeyUsage(**{**_NO_USAGE, "key_cert_sign": True, "crl_sign": True})
_KNOWN = (x509.BasicConstraints, x509.KeyUsage)
_LONGEST_SERIAL = 16


def signer(key: Object, name: bytes | None = None) -> Signer:
    """Return what signs with an identity key: no usage attribute of it says that it may, the HSM's rules do."""
    private = load_private(key)
    return Signer(
        key.attributes[CKA.PUBLIC_KEY_INFO], _SCHEME, lambda body: private.sign(body, ECDSA(SHA512())), name
    )


# What the HSM makes


def _name(unit: str, common_name: str, serial: str) -> bytes:
    """Return the name of an owner or an HSM."""
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ptkc"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
    ]).public_bytes()


def _owner_name(serial: str, public_key_info: bytes) -> bytes:
    """Return the subject of a POC: a new one for each key, or chains of two owners could not be told apart."""
    return _name("HSM owner", f"HSM owner {serial} {key_identifier(public_key_info).hex()[:8]}", serial)


def _identity_name(serial: str) -> bytes:
    """Return the subject of a PIC."""
    return _name("HSM identity", f"HSM {serial}", serial)


def _later(moment: datetime, span: timedelta) -> datetime:
    """Return a later moment, or the last one that a certificate can name."""
    last = datetime.max.replace(microsecond=0, tzinfo=moment.tzinfo)
    return moment + span if span < last - moment else last


def owner_certificate(serial: str, owner: Signer, now: float) -> bytes:
    """Return the self-signed POC of an owner key."""
    info = owner.public_key_info
    name = _owner_name(serial, info)
    begin = utc(now)
    extensions = [
        extension(x509.BasicConstraints(ca=True, path_length=0), critical=True),
        extension(_CERTIFIES, critical=True),
        *key_identifiers(info, info),
    ]
    validity = begin - _BEFORE, _later(begin, _OWNER_TIME)
    return owner.seal(tbs_certificate(random_number(), _SCHEME.algorithm, name, validity, name, info, extensions))


def identity_certificate(
    serial: str, public_key_info: bytes, issuer: Signer, end: datetime | None, now: float
) -> bytes:
    """Return the PIC of the HSM with this serial; `end` is when the issuer's own certificate ends.

    A signer without a name is the HSM itself.
    """
    subject = _identity_name(serial)
    begin = utc(now)
    last = _later(begin, _IDENTITY_TIME)
    validity = begin - _BEFORE, min(last, end or last)
    extensions = [
        extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        extension(_SIGNS, critical=True),
        *key_identifiers(public_key_info, issuer.public_key_info),
    ]
    return issuer.seal(
        tbs_certificate(
            random_number(), _SCHEME.algorithm, issuer.name or subject, validity, subject, public_key_info, extensions
        )
    )


def identity_request(serial: str, identity: Signer) -> bytes:
    """Return the request for a PIC."""
    return identity.seal(request_info(_identity_name(serial), identity.public_key_info, [], []))


# What others made


def is_curve(params: bytes | None) -> bool:
    """Whether CKA_EC_PARAMS name P-521; CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID for what is no curve."""
    return find(CKK.EC, params) is _CURVE


def is_on_curve(public_key_info: bytes) -> bool:
    """Whether it is a key on P-521, its point named in full and on the curve."""
    try:
        load_der_public_key(public_key_info)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return public_key_info.startswith(_CURVE.public_start)


def serial_in(name: bytes) -> str | None:
    """Return the HSM's serial that a subject names; None if it names none, several, or what is no serial."""
    try:
        found = [str(entry.value) for entry in names.parse(name).get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    except ValueError:
        return None
    if len(found) != 1 or not (found[0].isascii() and found[0].isalnum()) or len(found[0]) > _LONGEST_SERIAL:
        return None
    return found[0]


def _check(certificate: Certificate, now: float, usage: str) -> bool:
    """Check what POC and PIC have in common, and that `usage` is among the key's; return whether it is a CA's."""
    extensions = certificate.extensions
    if extensions is None:
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "a malformed extension")
    contents = {type(entry.value): entry.value for entry in extensions}
    allowed = contents.get(x509.KeyUsage)
    if allowed is not None and not getattr(allowed, usage):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the key usage does not allow what the certificate is for")
    if any(entry.critical and not isinstance(entry.value, _KNOWN) for entry in extensions):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "a critical extension that is unknown")
    reason = _why_not(certificate, now)
    if reason:
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, reason)
    basic = contents.get(x509.BasicConstraints)
    return isinstance(basic, x509.BasicConstraints) and basic.ca


def _why_not(certificate: Certificate, now: float) -> str | None:
    """Say why it is no certificate of an HSM whatever its extensions say, None if it may be one."""
    if not certificate.is_v3 or certificate.algorithm != _SCHEME.algorithm:
        return "not of version 3, or not signed by ecdsa-with-SHA512"
    if not is_on_curve(certificate.public_key_info):
        return "the certificate's key is not on P-521"
    if not certificate.is_valid(now):
        return (
            f"valid from {certificate.not_before:%Y-%m-%d %H:%M:%S} to {certificate.not_after:%Y-%m-%d %H:%M:%S}, "
            f"and the HSM's clock says {utc(now):%Y-%m-%d %H:%M:%S}"
        )
    return None


def check_owner(certificate: Certificate, now: float) -> None:
    """Refuse what is no valid POC with CKR_CERT_NOT_VALIDATED."""
    if not _check(certificate, now, "key_cert_sign"):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "an owner certificate is a CA's")
    if not is_signed_by(certificate, certificate):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "an owner certificate is self-signed")


def check_identity(certificate: Certificate, now: float) -> None:
    """Refuse what is no valid PIC with CKR_CERT_NOT_VALIDATED; who signed it is another question."""
    if _check(certificate, now, "digital_signature"):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "an identity certificate is no CA's")


def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether a certificate names this issuer and is signed by it."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.check_signed_by(issuer.public_key_info)
    except CryptokiError:
        return False
    return True

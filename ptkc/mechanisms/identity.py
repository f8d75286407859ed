"""The profile of the HSM's own certificates (ours): owner certificates (POC) and identity certificates (PIC).

Both are on P-521 and signed by ecdsa-with-SHA512. A POC is a self-signed CA below which no other CA stands; a PIC is
no CA, and is signed by a POC or by itself. Each names the HSM's serial in its subject. What comes from outside may be
made by others and only has to be such a certificate: `check_owner`, `check_identity`, with CKR_CERT_NOT_VALIDATED.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ptkc.mechanisms import der, names
from ptkc.mechanisms.certificates import Signer, key_identifiers, random_number
from ptkc.mechanisms.curves import find
from ptkc.mechanisms.ec import load_private
from ptkc.mechanisms.signatures import SCHEMES
from ptkc.mechanisms.x509 import Certificate, extension, key_identifier, request_info, tbs_certificate, utc
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError

__all__ = [
    "CURVE_PARAMS", "check_identity", "check_owner", "identity_certificate", "identity_request", "is_curve",
    "is_on_curve", "is_signed_by", "owner_certificate", "serial_in", "signer",
]  # fmt: skip

_CURVE = find(CKK.EC, der.oid("1.3.132.0.35"))
CURVE_PARAMS = _CURVE.oid
"""CKA_EC_PARAMS of P-521."""

_SCHEME = SCHEMES[CKM.ECDSA_SHA512]
_ORGANISATION, _UNIT, _COMMON_NAME, _SERIAL = "2.5.4.10", "2.5.4.11", "2.5.4.3", "2.5.4.5"
_BEFORE = timedelta(minutes=5)
_OWNER_TIME, _IDENTITY_TIME = timedelta(days=7305), timedelta(days=3652)
_BASIC, _USAGE = "2.5.29.19", "2.5.29.15"
_KNOWN = (_BASIC, _USAGE)
_V3 = 2
_CA = der.sequence(der.write(der.BOOLEAN, b"\xff"), der.integer(0))
_NO_CA = der.sequence()
# A BIT STRING with digitalSignature (bit 0) or keyCertSign and cRLSign (bits 5 and 6), behind the number of bits that
# are not used.
_SIGNS = der.write(der.BIT_STRING, b"\x07\x80")
_CERTIFIES = der.write(der.BIT_STRING, b"\x01\x06")
_SIGNS_BIT, _CERTIFIES_BIT = 0x80, 0x04
_LONGEST_SERIAL = 16


def signer(key: Object, name: bytes | None = None) -> Signer:
    """Return what signs with an identity key: no usage attribute of it says that it may, the HSM's rules do."""
    private = load_private(key)
    return Signer(
        key.attributes[CKA.PUBLIC_KEY_INFO], _SCHEME, lambda body: private.sign(body, ECDSA(SHA512())), name
    )


# What the HSM makes


def _owner_name(serial: str, public_key_info: bytes) -> bytes:
    """Return the subject of a POC: a new one for each key, or chains of two owners could not be told apart."""
    key = key_identifier(public_key_info).hex()[:8]
    return names.build([
        [(_ORGANISATION, "ptkc")],
        [(_UNIT, "HSM owner")],
        [(_COMMON_NAME, f"HSM owner {serial} {key}")],
        [(_SERIAL, serial)],
    ])


def _identity_name(serial: str) -> bytes:
    """Return the subject of a PIC."""
    return names.build([
        [(_ORGANISATION, "ptkc")],
        [(_UNIT, "HSM identity")],
        [(_COMMON_NAME, f"HSM {serial}")],
        [(_SERIAL, serial)],
    ])


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
        extension(_BASIC, _CA, critical=True),
        extension(_USAGE, _CERTIFIES, critical=True),
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
        extension(_BASIC, _NO_CA, critical=True),
        extension(_USAGE, _SIGNS, critical=True),
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
        found = [text for relative in names.parse(name) for dotted, text in relative if dotted == _SERIAL]
    except ValueError:
        return None
    if len(found) != 1 or not (found[0].isascii() and found[0].isalnum()) or len(found[0]) > _LONGEST_SERIAL:
        return None
    return found[0]


def _check(certificate: Certificate, now: float, bit: int) -> bool:
    """Check what POC and PIC have in common; return whether it is a CA's."""
    reason = _why_not(certificate, now, bit)
    if reason:
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, reason)
    basic = certificate.extensions.get(_BASIC)
    if basic is None:
        return False
    try:
        first, *_ = (*der.open_sequence(basic.value), None)
    except ValueError:
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "malformed basic constraints") from None
    return first is not None and first.tag == der.BOOLEAN and first.content == b"\xff"


def _why_not(certificate: Certificate, now: float, bit: int) -> str | None:
    """Say why it is no certificate of an HSM, None if it may be one."""
    extensions = certificate.extensions
    if certificate.version != _V3 or certificate.number <= 0 or certificate.algorithm != _SCHEME.algorithm:
        return "not of version 3, without a serial number, or not signed by ecdsa-with-SHA512"
    if not is_on_curve(certificate.public_key_info):
        return "the certificate's key is not on P-521"
    if not certificate.is_valid(now):
        return (
            f"valid from {certificate.not_before:%Y-%m-%d %H:%M:%S} to {certificate.not_after:%Y-%m-%d %H:%M:%S}, "
            f"and the HSM's clock says {utc(now):%Y-%m-%d %H:%M:%S}"
        )
    if any(entry.critical and dotted not in _KNOWN for dotted, entry in extensions.items()):
        return "a critical extension that is unknown"
    usage = extensions.get(_USAGE)
    if usage is not None:
        try:
            bits = der.read(usage.value, der.BIT_STRING).content
        except ValueError:
            bits = b""
        if len(bits) < 2 or not bits[1] & bit:  # noqa: PLR2004 - the number of unused bits, and the bits
            return "the key usage does not allow what the certificate is for"
    return None


def check_owner(certificate: Certificate, now: float) -> None:
    """Refuse what is no valid POC with CKR_CERT_NOT_VALIDATED."""
    if not _check(certificate, now, _CERTIFIES_BIT):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "an owner certificate is a CA's")
    if not is_signed_by(certificate, certificate):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "an owner certificate is self-signed")


def check_identity(certificate: Certificate, now: float) -> None:
    """Refuse what is no valid PIC with CKR_CERT_NOT_VALIDATED; who signed it is another question."""
    if _check(certificate, now, _SIGNS_BIT):
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

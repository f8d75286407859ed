"""Which HSM a client believes: by the PIC that it holds of it, or by the owner's certificate (POC).

Whoever holds a PIC of an HSM believes that one and no other, whoever signed it: a changed PIC is refused until the
administrator has fetched it. For HSMs whose PIC is not held, the one POC decides. The subject must name the serial that
was asked for, and every certificate that is used must be valid today. To be imported after `sms.load`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    DuplicateExtension,
    InvalidVersion,
    KeyUsage,
    Version,
    load_der_x509_certificate,
)
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from ptkc.sms.errors import AuthenticationError
from ptkc.spec.constants import CKR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IdentityKey", "Verifier"]

_MALFORMED = (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion, DuplicateExtension)
_KNOWN = (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE)
_SEQUENCE, _LONG = 0x30, 0x80
_VERSION_3_THEN_NUMBER = b"\xa0\x03\x02\x01\x02\x02"
_LONGEST_NUMBER = 20


def _refused(reason: str) -> AuthenticationError:
    return AuthenticationError(CKR.CERT_NOT_VALIDATED, reason)


class IdentityKey:
    """The public key of an HSM that is believed."""

    __slots__ = ("_key",)

    def __init__(self, key: EllipticCurvePublicKey) -> None:
        """Keep the key."""
        self._key = key

    def check(self, signature: bytes, message: bytes, code: int) -> None:
        """Refuse what this key did not sign (ECDSA with SHA-512, DER) with `code`."""
        try:
            self._key.verify(signature, message, ECDSA(SHA512()))
        except InvalidSignature:
            raise AuthenticationError(code, "the HSM's signature is wrong, or not of this conversation") from None


class Verifier:
    """What a client holds: the PICs of HSMs, and the POC of its one owner, all DER."""

    __slots__ = ("_now", "_owner", "_pinned")

    def __init__(
        self, pinned: Callable[[str], bytes | None], owner: bytes | None, now: Callable[[], float]
    ) -> None:
        """Keep what gives the PIC held of an HSM, by serial; the POC; and what gives the time (Unix, seconds)."""
        self._pinned = pinned
        self._owner = owner
        self._now = now

    def demands(self, serial: str) -> bool:
        """Whether this HSM must prove what it says."""
        return self._owner is not None or self._pinned(serial) is not None

    def key_of(self, serial: str, chain: tuple[bytes, ...]) -> IdentityKey:
        """Return the key of an HSM whose certificates are to be believed, else CKR_CERT_NOT_VALIDATED."""
        if not chain:
            raise _refused(f"HSM {serial} shows no certificate")
        now = datetime.fromtimestamp(self._now(), UTC)
        held = self._pinned(serial)
        if held is None and self._owner is None:
            raise _refused(f"no certificate of HSM {serial} is held, nor its owner's")
        if held is not None and held != chain[0]:
            raise _refused(f"HSM {serial} shows another certificate than the one that is held of it")
        certificate = _read(chain[0])
        key = _checked(certificate, now, f"the certificate of HSM {serial}", is_owner=False)
        named = _serials(certificate)
        if named != [serial]:
            raise _refused(f"the certificate names {named or 'no HSM'}, not HSM {serial}")
        if held is None and self._owner is not None:
            owner = _read(self._owner)
            _checked(owner, now, "the owner's certificate", is_owner=True)
            _check_issued(owner, owner, "the owner's certificate is not self-signed")
            _check_issued(certificate, owner, f"the certificate of HSM {serial} is not signed by the owner")
        return IdentityKey(key)


def _read(data: bytes) -> Certificate:
    """Return a certificate; CKR_CERT_NOT_VALIDATED if it is none, or has a serial number that is not positive.

    The number is looked at first: reading it with a number that is none would print a warning to the host's stderr.
    """
    place = 0
    for _ in range(2):
        if data[place : place + 1] != bytes((_SEQUENCE,)):
            raise _refused("no certificate")
        length = data[place + 1] if len(data) > place + 1 else 0
        place += 2 + (length & ~_LONG if length & _LONG else 0)
    if not data.startswith(_VERSION_3_THEN_NUMBER, place):
        raise _refused("no certificate of version 3")
    place += len(_VERSION_3_THEN_NUMBER)
    length = data[place] if len(data) > place else 0
    number = data[place + 1 : place + 1 + length]
    if not 0 < length <= _LONGEST_NUMBER or int.from_bytes(number, "big", signed=True) <= 0:
        raise _refused("a certificate without a positive serial number")
    try:
        return load_der_x509_certificate(data)
    except _MALFORMED:
        raise _refused("no certificate") from None


def _checked(certificate: Certificate, now: datetime, name: str, *, is_owner: bool) -> EllipticCurvePublicKey:
    """Return the key of a certificate that is valid and of the kind that it should be."""
    try:
        key = certificate.public_key()
        extensions = list(certificate.extensions)
        basic, usage = (
            next((entry.value for entry in extensions if entry.oid == oid), None) for oid in _KNOWN
        )
        algorithm = certificate.signature_algorithm_oid
    except _MALFORMED:
        raise _refused(f"{name} is malformed") from None
    if certificate.version != Version.v3 or algorithm != SignatureAlgorithmOID.ECDSA_WITH_SHA512:
        raise _refused(f"{name} is not signed by ecdsa-with-SHA512")
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP521R1):
        raise _refused(f"the key of {name} is not on P-521")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _refused(
            f"{name} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, and the clock says {now:%Y-%m-%d %H:%M:%S}"
        )
    if any(entry.critical and entry.oid not in _KNOWN for entry in extensions):
        raise _refused(f"{name} has a critical extension that is unknown")
    if (isinstance(basic, BasicConstraints) and basic.ca) is not is_owner:
        raise _refused(f"{name} is {'no' if is_owner else 'a'} CA's")
    if isinstance(usage, KeyUsage) and not (usage.key_cert_sign if is_owner else usage.digital_signature):
        raise _refused(f"the key usage of {name} does not allow what it is for")
    return key


def _serials(certificate: Certificate) -> list[str | bytes]:
    """Return the serials that the subject names."""
    try:
        return [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    except _MALFORMED:
        return []


def _check_issued(certificate: Certificate, issuer: Certificate, reason: str) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_MALFORMED, InvalidSignature):
        raise _refused(reason) from None

"""Certificates as ctident looks at them: whose they are, who signed them, from when until when they are valid.

Reading only. A certificate of an owner or an HSM has a P-521 key, and a subject that names a serial number; anything
else is refused by name.
"""

from __future__ import annotations

import datetime as dt
import functools

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from ptkc.tools import common

__all__ = ["CLOCK_TOLERANCE", "Certificate", "load", "now"]

CLOCK_TOLERANCE = 60
"""Seconds that the clock of an HSM may differ from the client's (ours)."""


class Certificate:
    """An X.509 certificate, and what matters of it here; equal if it is the same byte by byte."""

    def __init__(self, der: bytes) -> None:
        """Read a certificate; ValueError if it is none, or none with an elliptic curve key."""
        self.der = der
        self.x509 = x509.load_der_x509_certificate(der)
        key = self.x509.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP521R1):
            raise ValueError("it has no P-521 key")  # noqa: TRY004 - of the value, not of the type
        self.point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.serial = _attribute(self.x509.subject, NameOID.SERIAL_NUMBER)
        self.issuer_serial = _attribute(self.x509.issuer, NameOID.SERIAL_NUMBER)
        self.begins = self.x509.not_valid_before_utc
        self.expires = self.x509.not_valid_after_utc

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    @property
    def subject(self) -> str:
        """The subject as RFC 4514 writes it."""
        return self.x509.subject.rfc4514_string()

    @property
    def issuer_name(self) -> str:
        """The common name of the issuer."""
        return _attribute(self.x509.issuer, NameOID.COMMON_NAME) or self.x509.issuer.rfc4514_string()

    @property
    def name(self) -> str:
        """The common name."""
        return _attribute(self.x509.subject, NameOID.COMMON_NAME) or self.subject

    @property
    def key_id(self) -> str:
        """The first 8 hexadecimal digits of the SHA-1 of the public key, which tell owners with one serial apart."""
        digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - a name, as in RFC 5280 4.2.1.2
        digest.update(self.point)
        return digest.finalize().hex()[:8]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it: to compare two by eye."""
        return self.x509.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def times(self) -> str:
        """From when until when it is valid, as days (UTC)."""
        return f"{self.begins:%Y-%m-%d} to {self.expires:%Y-%m-%d}"

    @property
    def expired(self) -> bool:
        """Whether its time is over, by the client's clock."""
        return self.expires < now()

    @property
    def valid(self) -> bool:
        """Whether its time has come, give or take what clocks may differ, and is not over, by the client's clock."""
        return self.begins <= now() + dt.timedelta(seconds=CLOCK_TOLERANCE) and not self.expired

    @functools.cached_property
    def self_signed(self) -> bool:
        """Whether its own key signed it."""
        return self.signed_by(self)

    @functools.cached_property
    def is_authority(self) -> bool:
        """Whether it may sign others (basic constraints)."""
        try:
            return self.x509.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (x509.ExtensionNotFound, ValueError):
            return False

    def signed_by(self, issuer: Certificate | None) -> bool:
        """Whether the issuer's key signed it, and it names the issuer."""
        return issuer is not None and _signed(self, issuer)


@functools.lru_cache(maxsize=4096)
def _signed(certificate: Certificate, issuer: Certificate) -> bool:
    """Verify a signature once, however many relations depend on it."""
    try:
        certificate.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""


def now() -> dt.datetime:
    """Return the client's time."""
    return dt.datetime.now(dt.UTC)


def load(der: bytes | None, what: str) -> Certificate | None:
    """Return a certificate, None for None; ToolError names `what` is none."""
    if der is None:
        return None
    try:
        return Certificate(der)
    except ValueError as error:
        raise common.ToolError(f"{what} is no certificate of an owner or HSM: {error}") from None

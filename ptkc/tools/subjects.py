"""Names and numbers of certificates as DER, and the questions by which a subject is entered."""

from __future__ import annotations

from typing import Any

from asn1crypto import core, keys
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pkcs11 import CertificateType

from ptkc.tools import common
from ptkc.vendor import Attribute, ObjectClass

__all__ = ["ask", "certificate", "key_bits", "key_parameters", "octets"]

_FIELDS = (
    ("Common name", NameOID.COMMON_NAME),
    ("Organisation", NameOID.ORGANIZATION_NAME),
    ("Organisational unit", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("Locality", NameOID.LOCALITY_NAME),
    ("State or province", NameOID.STATE_OR_PROVINCE_NAME),
    ("Country (two letters)", NameOID.COUNTRY_NAME),
)


def ask(given: str | None) -> bytes:
    """Return a subject in DER: what was given as CN=a,O=b, else what is entered; an empty line leaves a field out."""
    if given is not None:
        try:
            # RFC 4514 has the most specific part first, as people write it; the certificate has it last.
            name = x509.Name.from_rfc4514_string(given)
        except ValueError as error:
            raise common.ToolError(f"{given!r} is no name: {error}", "write it as CN=a,O=b") from None
        if not list(name):
            raise common.ToolError("the subject is empty", "write it as CN=a,O=b")
        return name.public_bytes()
    parts = []
    for question, oid in _FIELDS:
        answer = common.read_line(f"{question}: ")
        if answer is None:
            hint = "write the fields to standard input, a line each, or give --subject"
            raise common.EndOfInputError(f"no {question.lower()}: the input is at its end", hint)
        if answer.strip():
            try:
                parts.append(x509.NameAttribute(oid, answer.strip()))
            except ValueError as error:
                raise common.ToolError(f"{question.lower()}: {error}") from None
    if not parts:
        raise common.ToolError("the subject is empty", "give a common name at least")
    return x509.Name(reversed(parts)).public_bytes()


def certificate(found: x509.Certificate) -> dict[Attribute, Any]:
    """Return the template of a certificate object, all but label, CKA_ID and where it goes."""
    return {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.PRIVATE: False,
        Attribute.VALUE: found.public_bytes(Encoding.DER),
        Attribute.SUBJECT: found.subject.public_bytes(),
        Attribute.ISSUER: found.issuer.public_bytes(),
        Attribute.SERIAL_NUMBER: core.Integer(found.serial_number).dump(),
    }


def octets(value: bytes) -> bytes:
    """Return an OCTET STRING in DER."""
    encoded: bytes = core.OctetString(value).dump()
    return encoded


def key_bits(info: bytes) -> bytes:
    """Return the bits of the key in a SubjectPublicKeyInfo."""
    return bytes(keys.PublicKeyInfo.load(info)["public_key"])


def key_parameters(info: bytes) -> bytes:
    """Return the parameters of the key in a SubjectPublicKeyInfo, which name the curve of an EC key."""
    encoded: bytes = keys.PublicKeyInfo.load(info)["algorithm"]["parameters"].dump()
    return encoded

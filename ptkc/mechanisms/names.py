"""Distinguished names: the DER of a Name (RFC 5280 4.1.2.4), and the text that CKA_SUBJECT_STR and CKA_ISSUER_STR hold.

The text is RFC 4514's, `CN=host,O=Example,C=CA`, in the other order than the DER; `cryptography` reads and writes both.
Beyond that, blanks around commas, plus and equals signs are not meant, types are read in upper and lower case, and some
have names that RFC 4514 leaves to others (serialNumber, emailAddress …).
"""

from __future__ import annotations

import re
import warnings

from cryptography.x509 import Name
from cryptography.x509.oid import NameOID

from ptkc.mechanisms.asn1 import LONGEST

__all__ = ["from_text", "parse", "to_text"]

_NAMES = {
    NameOID.TITLE: "T",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.EMAIL_ADDRESS: "emailAddress",
}
_TYPES = {name.upper(): identifier for identifier, name in _NAMES.items()} | {
    "S": NameOID.STATE_OR_PROVINCE_NAME,
    "E": NameOID.EMAIL_ADDRESS,
    "EMAIL": NameOID.EMAIL_ADDRESS,
    "TITLE": NameOID.TITLE,
    "SURNAME": NameOID.SURNAME,
    "GIVENNAME": NameOID.GIVEN_NAME,
}
_ASCII = (NameOID.EMAIL_ADDRESS, NameOID.DOMAIN_COMPONENT)
# What a backslash protects; a type with what stands around it; blanks at the end.
_AROUND_TYPES = re.compile(r"(\\.)|(?:^| *([,+])) *([\w.-]+) *= *| +$", re.ASCII | re.DOTALL)

# A name of others may be longer than RFC 5280 allows, and is shown as it is. The filter is for `Name.from_bytes` alone:
# of all other callers the warning names their own module.
warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning, r"cryptography\.x509\.name")


def parse(value: bytes) -> Name:
    """Return the name that `value` is the DER of; ValueError."""
    if len(value) > LONGEST:
        raise ValueError(f"a name of {len(value)} bytes, want at most {LONGEST}")
    try:
        return Name.from_bytes(value)
    except (TypeError, UserWarning) as error:  # the latter where a host makes errors of warnings
        raise ValueError(str(error)) from None


def to_text(value: bytes) -> str:
    """Return a name in DER as text; ValueError."""
    return parse(value).rfc4514_string(_NAMES)


def from_text(text: str) -> bytes:
    """Return the DER of the name that `text` says; ValueError if it does not say one."""
    if len(text) > LONGEST:
        raise ValueError(f"a name of {len(text)} letters, want at most {LONGEST}")
    try:
        name = Name.from_rfc4514_string(_AROUND_TYPES.sub(_plain, text), _TYPES)
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} is no name: {str(error) or 'it is type=value,type=value'}") from None
    if not name or not all(attribute.value for attribute in name):
        raise ValueError("a name, or a part of it, is empty")
    if not all(str(attribute.value).isascii() for attribute in name if attribute.oid in _ASCII):
        raise ValueError("emailAddress or DC with letters beyond ASCII")
    value = name.public_bytes()
    parse(value)  # PrintableStrings have few letters, which are looked at in reading only
    return value


def _plain(found: re.Match[str]) -> str:
    """Return a match of `_AROUND_TYPES` without blanks, the type in upper case."""
    protected, separator, kind = found.groups()
    if protected:
        return str(protected)
    return f"{separator or ''}{kind.upper()}=" if kind else ""

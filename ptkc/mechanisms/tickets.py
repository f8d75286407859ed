"""Tickets for CKM_SET_ATTRIBUTES: permission, signed by somebody outside, to change the limits of one key (ours).

A ticket is DER:

    Ticket ::= SEQUENCE { content TicketContent, signatureAlgorithm AlgorithmIdentifier, signature BIT STRING }
    TicketContent ::= SEQUENCE {
        version     INTEGER (1),
        hsm         UTF8String,        -- serial number of the HSM
        token       UTF8String,        -- label of the token, without padding
        object      UTF8String,        -- CKA_LABEL of the key
        id          OCTET STRING,      -- CKA_ID of the key
        message     UTF8String,        -- for people
        issued      NumericString,     -- YYYYMMDDhhmmss and hundredths, GMT
        notBefore   GeneralizedTime,
        notAfter    GeneralizedTime,
        attributes  SEQUENCE OF SEQUENCE { type INTEGER, value OCTET STRING } }

A value is in the canonical form of `spec.values`. The signature is over the DER of the content, with RSA (PKCS #1 v1.5)
or ECDSA and a SHA-2 digest, by the key of the certificate in the target's CKA_ADMIN_CERT. Whoever writes tickets calls
`content`, has it signed, and calls `assemble`; `read` says what is in one without believing it, `verify` believes.
"""

from __future__ import annotations

from collections import namedtuple
from datetime import UTC, datetime

from asn1crypto import core
from asn1crypto.algos import DSASignature, SignedDigestAlgorithm
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ptkc.mechanisms import asn1
from ptkc.mechanisms.x509 import Certificate
from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["Ticket", "assemble", "content", "read", "stamp", "verify"]

VERSION = 1

Ticket = namedtuple("Ticket", "hsm token object id message issued not_before not_after attributes")
"""What a ticket says: texts, `id` bytes, `issued` as `stamp` gives it, both ends of its validity in seconds since 1970,
and the attributes, {CKA_ number: canonical value}."""

_HASHES: dict[str, type[HashAlgorithm]] = {"sha224": SHA224, "sha256": SHA256, "sha384": SHA384, "sha512": SHA512}
_HUNDREDTHS = 100


class _Attribute(core.Sequence):  # type: ignore[misc]
    _fields = [("type", core.Integer), ("value", core.OctetString)]  # noqa: RUF012 - as asn1crypto has it


class _Attributes(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Attribute


class _Content(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012 - as asn1crypto has it
        ("version", core.Integer),
        ("hsm", core.UTF8String),
        ("token", core.UTF8String),
        ("object", core.UTF8String),
        ("id", core.OctetString),
        ("message", core.UTF8String),
        ("issued", core.NumericString),
        ("not_before", core.GeneralizedTime),
        ("not_after", core.GeneralizedTime),
        ("attributes", _Attributes),
    ]


class _Signed(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012 - as asn1crypto has it
        ("content", _Content),
        ("algorithm", SignedDigestAlgorithm),
        ("signature", core.OctetBitString),
    ]


def stamp(seconds: float) -> str:
    """Return a time, in seconds since 1970, as `issued` has it: 16 digits, which sort as the times do."""
    whole, hundredths = divmod(int(seconds * _HUNDREDTHS), _HUNDREDTHS)
    return f"{datetime.fromtimestamp(whole, UTC):%Y%m%d%H%M%S}{hundredths:02}"


def content(ticket: Ticket) -> bytes:
    """Return what is to be signed, TicketContent (DER)."""
    fields = ticket._asdict()
    attributes = [{"type": kind, "value": value} for kind, value in ticket.attributes.items()]
    return _Content(  # type: ignore[no-any-return]
        {
            **fields,
            "version": VERSION,
            "not_before": datetime.fromtimestamp(int(ticket.not_before), UTC),
            "not_after": datetime.fromtimestamp(int(ticket.not_after), UTC),
            "attributes": attributes,
        }
    ).dump()


def assemble(signed: bytes, algorithm: str, signature: bytes) -> bytes:
    """Return the ticket (DER) of the content that was signed.

    `algorithm` is `sha256_rsa`, `sha512_ecdsa` …; `signature` what the mechanism of that name gave: of ECDSA r and s
    side by side.
    """
    if algorithm.endswith("_ecdsa"):
        signature = DSASignature.from_p1363(signature).dump()
    ticket = {"content": _Content.load(signed), "algorithm": {"algorithm": algorithm}, "signature": signature}
    return _Signed(ticket).dump()  # type: ignore[no-any-return]


def read(ticket: bytes) -> Ticket:
    """Return what a ticket says, unverified; CKR_DATA_INVALID for what is none."""
    return _ticket(_parse(ticket))


def verify(ticket: bytes, certificate: bytes) -> Ticket:
    """Return what a ticket says that the key of `certificate` (DER, X.509) has signed.

    CKR_DATA_INVALID, CKR_SIGNATURE_INVALID; CKR_KEY_FUNCTION_NOT_PERMITTED if the certificate cannot be used,
    CKR_ATTRIBUTE_VALUE_INVALID if the ticket brings one that cannot. Whether the ticket is for this object, and for
    now, is for the caller to see.
    """
    signed = _parse(ticket)
    public = _public_key(certificate, CKR.KEY_FUNCTION_NOT_PERMITTED)
    try:
        algorithm = signed["algorithm"]
        kind, digest = algorithm.signature_algo, _HASHES[algorithm.hash_algo]()
        data, signature = signed["content"].dump(), signed["signature"].native
    except (ValueError, KeyError):
        raise CryptokiError(CKR.DATA_INVALID, "the ticket is signed with an algorithm that we do not take") from None
    try:
        if kind == "rsassa_pkcs1v15" and isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, data, padding.PKCS1v15(), digest)
        elif kind == "ecdsa" and isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, data, ec.ECDSA(digest))
        else:
            raise CryptokiError(CKR.SIGNATURE_INVALID, f"{kind} is not for the key of CKA_ADMIN_CERT")
    except InvalidSignature:
        raise CryptokiError(CKR.SIGNATURE_INVALID, "the key of CKA_ADMIN_CERT has not signed the ticket") from None
    verified = _ticket(signed)
    if CKA.ADMIN_CERT in verified.attributes:
        _public_key(verified.attributes[CKA.ADMIN_CERT], CKR.ATTRIBUTE_VALUE_INVALID)
    return verified


def _public_key(certificate: bytes, code: int) -> PublicKeyTypes:
    """Return the public key of an X.509 certificate (DER); `code` if it has none that we can read."""
    try:
        return load_der_public_key(Certificate(certificate).public_key_info)
    except (ValueError, UnsupportedAlgorithm):
        raise CryptokiError(code, "CKA_ADMIN_CERT is no certificate") from None


def _parse(ticket: bytes) -> _Signed:
    """Return the DER structure, all of it read; CKR_DATA_INVALID."""
    try:
        signed: _Signed = asn1.load(_Signed, ticket)
        # Parsing is lazy: this reads every field.
        if signed.native["content"]["version"] != VERSION:
            raise CryptokiError(CKR.DATA_INVALID, "a ticket of another version")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise CryptokiError(CKR.DATA_INVALID, "the bytes are no ticket") from None
    return signed


def _ticket(signed: _Signed) -> Ticket:
    """Return the fields as a value; CKR_DATA_INVALID."""
    fields = dict(signed["content"].native)
    attributes = fields["attributes"]
    issued = fields["issued"]
    if len(issued) != 16 or not issued.isdigit() or not issued.isascii():  # noqa: PLR2004 - digits of `stamp`
        raise CryptokiError(CKR.DATA_INVALID, "the ticket's time of issue is malformed")
    changes = {entry["type"]: entry["value"] for entry in attributes}
    if len(changes) != len(attributes):
        raise CryptokiError(CKR.DATA_INVALID, "the ticket has an attribute twice")
    del fields["version"]
    return Ticket(
        **{
            **fields,
            "not_before": fields["not_before"].timestamp(),
            "not_after": fields["not_after"].timestamp(),
            "attributes": changes,
        }
    )

"""Certificates, requests and names: what is written is what others read, what is read is refused or understood."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
import pytest
from asn1crypto import core
from asymmetric import BY_NAME, ec_private, ec_public, refusal
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from encoded import extension, oid, sequence, tlv
from hypothesis import given
from hypothesis import strategies as st

from ptkc.hsm.approval import approve
from ptkc.mechanisms import MECHANISMS, load
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.values import Attributes, ulong

load()

from ptkc.mechanisms import asn1, names  # noqa: E402 - behind `load`
from ptkc.mechanisms.certificates import Signer, named_in  # noqa: E402
from ptkc.mechanisms.explicit_curves import curve_name  # noqa: E402
from ptkc.mechanisms.identity import is_on_curve, serial_in  # noqa: E402
from ptkc.mechanisms.public_key_info import key_identifier, key_material  # noqa: E402
from ptkc.mechanisms.signatures import SCHEMES, check_signature, scheme_of  # noqa: E402
from ptkc.mechanisms.x509 import Certificate, Request, pki_entries  # noqa: E402
from ptkc.objects.object import Object  # noqa: E402

FOLDER = Path(cryptography_vectors.__file__).parent / "x509"
PKITS = FOLDER / "PKITS_data" / "certs"
NOW = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
P256 = BY_NAME["P-256"]
CA_NAME, NAME = names.from_text("CN=CA,O=Test"), names.from_text("CN=host,O=Test,C=CA")


def pki(name: str) -> bytes:
    """Return a certificate of NIST's PKITS."""
    return (PKITS / f"{name}.crt").read_bytes()


def readable() -> list[Path]:
    """Return the files of certificates that `cryptography` reads and that are one PEM certificate."""
    found = []
    for path in sorted((*FOLDER.glob("*.pem"), *FOLDER.glob("custom/*.pem"), *PKITS.glob("*.crt"))):
        try:
            with warnings.catch_warnings(action="ignore"):
                load_one(path)
        except (ValueError, x509.InvalidVersion):
            continue
        found.append(path)
    return found


def load_one(path: Path) -> x509.Certificate:
    """Return the certificate in a file; ValueError if some part of it cannot be read."""
    raw = path.read_bytes()
    one = x509.load_pem_x509_certificate(raw) if b"-----BEGIN" in raw else x509.load_der_x509_certificate(raw)
    assert one.not_valid_before_utc
    assert one.not_valid_after_utc
    return one


def spki(public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    """Return SubjectPublicKeyInfo."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def keys(mechanism: int) -> tuple[Attributes, Attributes]:
    """Return a key pair that signs by this mechanism."""
    kind = SCHEMES[mechanism].kind
    if kind in ("rsa", "pss"):
        return RSA_PAIR
    curve = P256 if kind == "ecdsa" else BY_NAME["Ed25519"]
    private = ec_private(curve, b"\5" * curve.size)
    return ec_public(curve, private[CKA.PUBLIC_KEY_INFO][-curve.point_size :]), private


def _rsa_pair() -> tuple[Attributes, Attributes]:
    public, private = MECHANISMS[CKM.RSA_PKCS_KEY_PAIR_GEN].generate_pair(None, {CKA.MODULUS_BITS: ulong(2048)}, {})
    kind = {CKA.KEY_TYPE: ulong(CKK.RSA)}
    public = {**public, **kind, CKA.CLASS: ulong(CKO.PUBLIC_KEY)}
    exponent = {CKA.PUBLIC_EXPONENT: b"\1\0\1"}
    private = {**private, **kind, CKA.CLASS: ulong(CKO.PRIVATE_KEY), CKA.SIGN: b"\1"}
    return {**exponent, **public}, {**exponent, **private}


RSA_PAIR = _rsa_pair()


def signer(mechanism: int, private: Attributes, name: bytes | None = None) -> Signer:
    """Return what signs with a private key."""
    key = Object(private)
    scheme = scheme_of(mechanism, private[CKA.PUBLIC_KEY_INFO])
    method = approve(key, "sign", mechanism, 0)

    def sign(body: bytes) -> bytes:
        return scheme.encode(method(key, scheme.parameter).single(body))

    return Signer(private[CKA.PUBLIC_KEY_INFO], scheme, sign, name)


def encode(mechanism: int, base: Attributes, by: Signer, template: Attributes) -> bytes:
    """Return what an encoding mechanism makes."""
    return MECHANISMS[mechanism].derive(Object(base), by, template, NOW)


PSS = oid("1.2.840.113549.1.1.10")
"""Keys that are for PSS alone are none of ours: an RSA key object would forget that."""

# What is written


@pytest.mark.vectors(CKM.ENCODE_X_509, CKM.ENCODE_X_509_LOCAL_CERT, CKM.ENCODE_PKCS_10)
@pytest.mark.parametrize("mechanism", SCHEMES)
def test_certificates_and_requests_are_read_by_cryptography(mechanism: int) -> None:
    """By each signature mechanism: names, times, serial, extensions and signature are what the template says."""
    public, private = keys(mechanism)
    issuer = signer(mechanism, private, CA_NAME)
    request = x509.load_der_x509_csr(encode(CKM.ENCODE_PKCS_10, public, issuer, {CKA.SUBJECT: NAME}))
    assert SCHEMES[mechanism].hash_type == CKM.SHA_1 or request.is_signature_valid  # which knows no SHA-1 any more
    assert NAME == request.subject.public_bytes()
    other = keys(CKM.ECDSA_SHA256 if SCHEMES[mechanism].kind != "ecdsa" else CKM.SHA256_RSA_PKCS)[0]
    template = {
        CKA.SUBJECT_STR: b"CN=host, O=Test, C=CA",
        CKA.SERIAL_NUMBER_INT: b"\x12\x34",
        CKA.START_DATE: b"20200102",
        CKA.CERTIFICATE_END_TIME: b"2055010203040500",
        CKA.PKI_ATTRIBUTE_BER_ENCODED: extension("2.5.29.19", b"\x30\x00", critical=True),
    }
    for encoding in (CKM.ENCODE_X_509, CKM.ENCODE_X_509_LOCAL_CERT):
        made = x509.load_der_x509_certificate(encode(encoding, other, issuer, template))
        assert (NAME, CA_NAME) == (made.subject.public_bytes(), made.issuer.public_bytes())
        assert made.serial_number == 0x1234
        assert datetime(2020, 1, 2, tzinfo=UTC) == made.not_valid_before_utc
        assert datetime(2055, 1, 2, 3, 4, 5, tzinfo=UTC) == made.not_valid_after_utc
        assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert x509.SubjectKeyIdentifier.from_public_key(made.public_key()).digest == (
            made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        )
        root = x509.load_der_x509_certificate(encode(encoding, public, issuer, {CKA.SUBJECT: CA_NAME}))
        if SCHEMES[mechanism].hash_type != CKM.SHA_1:
            made.verify_directly_issued_by(root)
            root.verify_directly_issued_by(root)
        Certificate(made.public_bytes(Encoding.DER)).check_signed_by(public[CKA.PUBLIC_KEY_INFO])


@pytest.mark.parametrize("mechanism", [CKM.SHA512_RSA_PKCS_PSS, CKM.ECDSA_SHA512, CKM.EDDSA])
def test_openssl_verifies_a_chain(mechanism: int, tmp_path: Path) -> None:
    """`openssl verify` with a root that says it is a CA; `openssl req -verify` of a request."""
    public, private = keys(mechanism)
    issuer = signer(mechanism, private, CA_NAME)
    ca = extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)
    ca += extension("2.5.29.15", b"\x03\x02\x02\x04", critical=True)
    root = encode(CKM.ENCODE_X_509, public, issuer, {CKA.SUBJECT: CA_NAME, CKA.PKI_ATTRIBUTE_BER_ENCODED: ca})
    other = keys(CKM.EDDSA if SCHEMES[mechanism].kind == "ecdsa" else CKM.ECDSA_SHA256)[0]
    leaf = encode(CKM.ENCODE_X_509, other, issuer, {CKA.SUBJECT: NAME})
    for name, value in (("root", root), ("leaf", leaf)):
        pem = x509.load_der_x509_certificate(value).public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.crt").write_bytes(pem)
    (tmp_path / "request").write_bytes(encode(CKM.ENCODE_PKCS_10, public, issuer, {CKA.SUBJECT: NAME}))
    for command in (
        "openssl verify -x509_strict -attime 1577836900 -CAfile root.crt leaf.crt",
        "openssl req -inform DER -verify -noout -in request",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)


def test_a_request_asks_for_extensions_and_has_attributes() -> None:
    """CKA_PKI_ATTRIBUTE_BER_ENCODED: a run of extensions, a SEQUENCE of them, and attributes."""
    public, private = keys(CKM.ECDSA_SHA256)
    basic = extension("2.5.29.19", b"\x30\x00", critical=True)
    usage = extension("2.5.29.15", b"\x03\x02\x07\x80")
    password = sequence(oid("1.2.840.113549.1.9.7"), tlv(0x31, tlv(0x0C, b"word")))
    template = {CKA.SUBJECT: NAME, CKA.PKI_ATTRIBUTE_BER_ENCODED: basic + password + sequence(usage)}
    by = signer(CKM.ECDSA_SHA256, private)
    made = x509.load_der_x509_csr(encode(CKM.ENCODE_PKCS_10, public, by, template))
    assert ["2.5.29.19", "2.5.29.15"] == [entry.oid.dotted_string for entry in made.extensions]
    assert b"word" == made.attributes.get_attribute_for_oid(x509.ObjectIdentifier("1.2.840.113549.1.9.7")).value
    with refusal(CKR.ENCODE_ERROR):
        encode(CKM.ENCODE_X_509, public, by, template)


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ({}, CKR.TEMPLATE_INCOMPLETE),
        ({CKA.SUBJECT: b"\x30\x05abc"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: b"\x30" * 4000}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"host"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"CN=\xff"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"C=Canada"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"CN="}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"CN=a,"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"CN=a\\"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT_STR: b"NN=a"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.SUBJECT_STR: b"CN=other"}, CKR.TEMPLATE_INCONSISTENT),
        ({CKA.SUBJECT: NAME, CKA.SERIAL_NUMBER: b"\x02\x01\x00"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.SERIAL_NUMBER: b"\x02\x01\xff"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.SERIAL_NUMBER: b"\x05\x00"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.SERIAL_NUMBER_INT: b"\x80" + bytes(19)}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.SERIAL_NUMBER_INT: b"\1" * 99999}, CKR.ATTRIBUTE_VALUE_INVALID),
        (
            {CKA.SUBJECT: NAME, CKA.SERIAL_NUMBER_INT: b"\1", CKA.SERIAL_NUMBER: b"\x02\x01\x02"},
            CKR.TEMPLATE_INCONSISTENT,
        ),
        ({CKA.SUBJECT: NAME, CKA.END_DATE: b"20190101"}, CKR.TEMPLATE_INCONSISTENT),
        ({CKA.SUBJECT: NAME, CKA.START_DATE: b"20210229"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.START_DATE: b"99991231"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.CERTIFICATE_START_TIME: b"tomorrow"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.CERTIFICATE_START_TIME: b"20210101000060"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.PKI_ATTRIBUTE_BER_ENCODED: b"\x30\x80\x00\x00"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.SUBJECT: NAME, CKA.PKI_ATTRIBUTE_BER_ENCODED: b"\x30\x00"}, CKR.ATTRIBUTE_VALUE_INVALID),
        (
            {CKA.SUBJECT: NAME, CKA.PKI_ATTRIBUTE_BER_ENCODED: 2 * extension("2.5.29.19", b"\x30\x00")},
            CKR.ATTRIBUTE_VALUE_INVALID,
        ),
    ],
)
def test_a_template_that_says_nothing_sensible_is_refused(template: Attributes, code: int) -> None:
    """Each with its code, none with another exception."""
    public, private = keys(CKM.ECDSA_SHA256)
    with refusal(code):
        encode(CKM.ENCODE_X_509, public, signer(CKM.ECDSA_SHA256, private, CA_NAME), template)


def test_names_stay_the_bytes_that_they_are() -> None:
    """Of every length, also where it ends with a byte that BER gives another meaning; and with text of other types."""
    public, private = keys(CKM.ECDSA_SHA256)
    by = signer(CKM.ECDSA_SHA256, private, CA_NAME)
    email = sequence(tlv(0x31, sequence(oid("1.2.840.113549.1.9.1"), tlv(0x0C, "é@é".encode()))))
    unit = tlv(0x31, sequence(oid("2.5.4.11"), tlv(0x1E, "ä".encode("utf-16-be"))))
    for name in (email, *(sequence(unit, tlv(0x31, sequence(oid("1.2.3"), tlv(0x0C, b"x" * n)))) for n in range(300))):
        request = Request(encode(CKM.ENCODE_PKCS_10, public, by, {CKA.SUBJECT: name}))
        request.check_signed_by(public[CKA.PUBLIC_KEY_INFO])
        made = Certificate(encode(CKM.ENCODE_X_509, public, by, {CKA.SUBJECT: name}))
        made.check_signed_by(public[CKA.PUBLIC_KEY_INFO])
        assert {name} == {request.subject, made.subject, made.issuer}
        assert {public[CKA.PUBLIC_KEY_INFO]} == {request.public_key_info, made.public_key_info}


@pytest.mark.parametrize("year", [1, 999, 1949, 1950, 2049, 2050, 9999])
def test_certificates_begin_in_any_year(year: int) -> None:
    """UTCTime or GeneralizedTime, as RFC 5280 has it."""
    public, private = keys(CKM.ECDSA_SHA256)
    said = {CKA.SUBJECT: NAME, CKA.START_DATE: f"{year:04}0203".encode(), CKA.END_DATE: b"99991231"}
    made = encode(CKM.ENCODE_X_509, public, signer(CKM.ECDSA_SHA256, private), said)
    assert datetime(year, 2, 3, tzinfo=UTC) == Certificate(made).not_before
    assert datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) == Certificate(made).not_after
    assert (b"\x17\r" in made) == (1950 <= year <= 2049)


def test_certificates_are_of_public_keys_and_requests() -> None:
    """Another base is CKR_KEY_TYPE_INCONSISTENT, another's key in a request CKR_KEY_HANDLE_INVALID."""
    public, private = keys(CKM.ECDSA_SHA256)
    by = signer(CKM.ECDSA_SHA256, private, CA_NAME)
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        encode(CKM.ENCODE_X_509, private, by, {CKA.SUBJECT: NAME})
    with refusal(CKR.KEY_HANDLE_INVALID):
        encode(CKM.ENCODE_PKCS_10, RSA_PAIR[0], by, {CKA.SUBJECT: NAME})
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        encode(CKM.ENCODE_X_509, RSA_PAIR[0], signer(CKM.ECDSA_SHA256, private), {CKA.SUBJECT: NAME})
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        scheme_of(CKM.SHA_1_HMAC, public[CKA.PUBLIC_KEY_INFO])


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    """CKR_SIGNATURE_INVALID for another signature, CKR_ATTRIBUTE_VALUE_INVALID for what is no request."""
    public, private = keys(CKM.ECDSA_SHA256)
    by = signer(CKM.ECDSA_SHA256, private, CA_NAME)
    value = encode(CKM.ENCODE_PKCS_10, public, by, {CKA.SUBJECT: NAME})
    kind = {CKA.CLASS: ulong(CKO.CERTIFICATE_REQUEST)}
    made = encode(CKM.ENCODE_X_509, {**kind, CKA.VALUE: value}, by, {})
    assert NAME == Certificate(made).subject
    place = value.index(b"host")
    with refusal(CKR.SIGNATURE_INVALID):
        encode(CKM.ENCODE_X_509, {**kind, CKA.VALUE: value[:place] + b"lost" + value[place + 4 :]}, by, {})
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        encode(CKM.ENCODE_X_509, {**kind, CKA.VALUE: value[:-1]}, by, {})


# What is read


@pytest.mark.vectors(CKM.DECODE_X_509)
def test_certificates_are_read_as_cryptography_reads_them() -> None:
    """Each certificate of the vectors: names, serial, times, key and extensions, or it is refused for a reason."""
    read, refused = 0, []
    for path in readable():
        with warnings.catch_warnings(action="ignore"):
            wanted = load_one(path)
            number = wanted.serial_number
        value = wanted.public_bytes(Encoding.DER)
        try:
            made = Certificate(value)
        except ValueError:
            refused.append(path.name)
            continue
        read += 1
        assert wanted.tbs_certificate_bytes == made.body
        assert wanted.signature == made.signature
        assert number == made.number
        assert wanted.not_valid_before_utc == made.not_before
        assert wanted.not_valid_after_utc == made.not_after
        key = Object({CKA.CLASS: ulong(CKO.CERTIFICATE), CKA.VALUE: value})
        info = MECHANISMS[CKM.DECODE_X_509].derive(key, None, {})
        try:
            public = wanted.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if isinstance(public, (rsa.RSAPublicKey, ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)) and PSS not in info:
            assert key_material(info)[CKA.KEY_TYPE] in {ulong(CKK.RSA), ulong(CKK.EC_EDWARDS)}
    assert read > 400
    assert len(refused) < 12, refused


@pytest.mark.vectors(CKM.VERIFY_CERTIFICATE)
@pytest.mark.parametrize(
    ("issuer", "subject", "moment", "code"),
    [
        ("TrustAnchorRootCertificate", "GoodCACert", NOW, CKR.OK),
        ("GoodCACert", "ValidCertificatePathTest1EE", NOW, CKR.OK),
        ("TrustAnchorRootCertificate", "TrustAnchorRootCertificate", NOW, CKR.OK),
        ("TrustAnchorRootCertificate", "BadSignedCACert", NOW, CKR.DATA_INVALID),  # its signature ends in half a byte
        ("GoodCACert", "InvalidEESignatureTest3EE", NOW, CKR.SIGNATURE_INVALID),
        ("TrustAnchorRootCertificate", "ValidCertificatePathTest1EE", NOW, CKR.CERT_NOT_VALIDATED),
        ("TrustAnchorRootCertificate", "BadnotAfterDateCACert", NOW, CKR.CERT_NOT_VALIDATED),
        ("TrustAnchorRootCertificate", "BadnotBeforeDateCACert", NOW, CKR.CERT_NOT_VALIDATED),
        ("TrustAnchorRootCertificate", "GoodCACert", 0, CKR.CERT_NOT_VALIDATED),
        ("DSACACert", "ValidDSASignaturesTest4EE", NOW, CKR.SIGNATURE_INVALID),
    ],
)
def test_certificates_are_verified_as_nist_does(issuer: str, subject: str, moment: float, code: int) -> None:
    """Signature, name and time of certificates of PKITS; DSA is not what we have."""
    key = Object({CKA.CLASS: ulong(CKO.CERTIFICATE), CKA.VALUE: pki(issuer)})
    verification = MECHANISMS[CKM.VERIFY_CERTIFICATE].verify(key, None, lambda: moment)
    if code == CKR.OK:
        verification.single(pki(subject), b"")
    else:
        with refusal(code):
            verification.single(pki(subject), b"")


def test_what_is_no_certificate_is_not_verified() -> None:
    """CKR_DATA_INVALID, and CKR_SIGNATURE_LEN_RANGE for a signature that nobody asked for."""
    key = Object({CKA.CLASS: ulong(CKO.CERTIFICATE), CKA.VALUE: pki("GoodCACert")})
    verification = MECHANISMS[CKM.VERIFY_CERTIFICATE].verify(key, None, lambda: NOW)
    for data in (b"", b"certificate", pki("GoodCACert") + b"\0", pki("GoodCACert")[:-1]):
        with refusal(CKR.DATA_INVALID):
            verification.single(data, b"")
    with refusal(CKR.SIGNATURE_LEN_RANGE):
        verification.single(pki("GoodCACert"), b"\0")


@pytest.mark.vectors(CKM.ENCODE_PUBLIC_KEY)
def test_a_public_key_is_encoded_as_cryptography_does() -> None:
    """SubjectPublicKeyInfo of RSA and elliptic curve keys."""
    point = keys(CKM.ECDSA_SHA256)[0]
    number = int.from_bytes(RSA_PAIR[0][CKA.MODULUS], "big")
    for attributes, wanted in (
        (point, ec.derive_private_key(int.from_bytes(b"\5" * 32, "big"), ec.SECP256R1()).public_key()),
        (RSA_PAIR[0], rsa.RSAPublicNumbers(65537, number).public_key()),
    ):
        assert spki(wanted) == MECHANISMS[CKM.ENCODE_PUBLIC_KEY].wrap(Object(attributes), None, None)


def test_the_flags_are_those_of_the_functions() -> None:
    """C_GetMechanismInfo: what each mechanism does."""
    wanted = {
        CKM.ENCODE_X_509: CKF.DERIVE,
        CKM.ENCODE_X_509_LOCAL_CERT: CKF.DERIVE,
        CKM.ENCODE_PKCS_10: CKF.DERIVE,
        CKM.DECODE_X_509: CKF.DERIVE,
        CKM.ENCODE_PUBLIC_KEY: CKF.WRAP,
        CKM.VERIFY_CERTIFICATE: CKF.VERIFY,
    }
    assert wanted == {number: MECHANISMS[number].flags for number in wanted}
    assert CKF.GENERATE_KEY_PAIR & MECHANISMS[CKM.GEN_PIK_ECC_P521].flags


# Hostile bytes

BASE = pki("GoodCACert")


def _only_value_error(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except ValueError:
        return


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_a_value_error(data: bytes) -> None:
    """No reader knows another exception."""
    for read in (Certificate, Request, names.parse, pki_entries, key_material, key_identifier, curve_name):
        _only_value_error(read, data)
    assert serial_in(data) is None
    assert not is_on_curve(data)


@given(st.integers(0, len(BASE) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_certificate_is_read_or_a_value_error(place: int, garbage: bytes) -> None:
    """Bytes of a real certificate overwritten: it is read, or refused; it is never valid."""
    data = BASE[:place] + garbage + BASE[place + len(garbage) :]
    try:
        made = Certificate(data)
    except ValueError:
        return
    _only_value_error(key_material, made.public_key_info)
    _only_value_error(key_identifier, made.public_key_info)
    _only_value_error(names.to_text, made.subject)
    _only_value_error(lambda _: made.extensions, b"")
    if data != BASE:
        with refusal(CKR.SIGNATURE_INVALID):
            made.check_signed_by(Certificate(pki("TrustAnchorRootCertificate")).public_key_info)


@pytest.mark.parametrize("size", [5_000, 60_000, 1_000_000])
def test_deep_and_long_der_takes_no_time(size: int) -> None:
    """Nested SEQUENCEs, tiny values, and digits of an object identifier, as long as they are read and longer."""
    nested = b""
    for _ in range(min(size // 4, 15_000)):
        nested = sequence(nested)
    many = sequence(b"\x05\x00" * (size // 2))
    digits = tlv(0x06, b"\xff" * size)
    for data in (nested, many, digits, sequence(digits), sequence(digits, tlv(0x04)), sequence(sequence(digits))):
        for read in (Certificate, Request, names.parse, pki_entries, key_material, curve_name):
            with pytest.raises(ValueError, match=r"\w"):
                read(data)


@given(st.integers(-(1 << 200), 1 << 200))
def test_integers_are_read_as_they_are_written(number: int) -> None:
    """By the one encoding that DER has."""
    assert number == asn1.load(core.Integer, core.Integer(number).dump()).native


@pytest.mark.parametrize(
    "data", ["020200 01", "02020080"[:6], "0200", "0281010a", "02820001 0a", "0203ff ff00", "3080 0000", "1f0100"]
)
def test_what_der_does_not_have_is_refused(data: str) -> None:
    """Numbers and lengths longer than they need to be, indefinite lengths, tags of several bytes."""
    with pytest.raises(ValueError, match=r"\w"):
        asn1.load(core.Integer, bytes.fromhex(data))


TYPES = st.sampled_from(["2.5.4.3", "2.5.4.10", "1.2.3.4"]).map(x509.ObjectIdentifier)
ATTRIBUTES = st.builds(x509.NameAttribute, TYPES, st.text(min_size=1, max_size=16))
RELATIVE_NAMES = st.lists(ATTRIBUTES, min_size=1, max_size=3, unique=True).map(x509.RelativeDistinguishedName)


@given(st.lists(RELATIVE_NAMES, min_size=1, max_size=4).map(x509.Name))
def test_names_survive_text_and_der(name: x509.Name) -> None:
    """Whatever a value has in it: commas, blanks, backslashes, control characters."""
    assert name == names.parse(name.public_bytes())
    assert name.public_bytes() == names.from_text(names.to_text(name.public_bytes()))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" cn = host , ou=x+o = Test", "CN=host,OU=x+O=Test"),
        ("CN=a\\\\, O=b = c", "CN=a\\\\,O=b = c"),
        ("CN=\\ a\\ \\,  , O=b  ", "CN=\\ a \\,,O=b"),
        ("E=a@b, SERIALNUMBER=1, t=Dr", "emailAddress=a@b,serialNumber=1,T=Dr"),
    ],
)
def test_blanks_around_separators_are_not_meant(text: str, wanted: str) -> None:
    """Those that a backslash protects are; types are read in upper and lower case."""
    assert wanted == names.to_text(names.from_text(text))


_QUIET = """
import sys
from ptkc.mechanisms import load
load()
from ptkc.mechanisms import names
from ptkc.mechanisms.x509 import Certificate
print(names.to_text(bytes.fromhex(sys.argv[1])))
try:
    Certificate(bytes.fromhex(sys.argv[2]))
except ValueError:
    print("refused")
"""


def test_the_library_warns_nobody() -> None:
    """A name longer than it may be is shown, a serial number that is not positive refused; stderr is the host's."""
    long = sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0C, b"x" * 65))))
    place = BASE.index(b"\xa0\x03\x02\x01\x02\x02\x01") + 7
    negative = BASE[:place] + b"\xff" + BASE[place + 1 :]
    assert Certificate(BASE).number == BASE[place]
    command = [sys.executable, "-c", _QUIET, long.hex(), negative.hex()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert ("CN=" + "x" * 65 + "\nrefused\n", "") == (done.stdout, done.stderr)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_value_error(text: str) -> None:
    """CKA_SUBJECT_STR may be anything."""
    _only_value_error(lambda _: names.from_text(text), b"")


@pytest.mark.parametrize(
    "text", ["CN=host,O=Test,C=CA", "CN=a\\,b\\+c\\=d,O=\\ x\\ ", "CN=two+OU=one,DC=example", "CN=\\C3\\A9"]
)
def test_names_are_cryptographys(text: str) -> None:
    """RFC 4514 as `cryptography` reads it, except for types that we have names for."""
    wanted = x509.Name.from_rfc4514_string(text)
    assert wanted.public_bytes() == names.from_text(text)
    assert wanted.public_bytes() == named_in({CKA.SUBJECT_STR: text.encode()}, CKA.SUBJECT, CKA.SUBJECT_STR)
    assert wanted.rfc4514_string() == names.to_text(wanted.public_bytes())


def test_a_signature_of_another_scheme_is_refused() -> None:
    """The algorithm must be one of the table's, in its one spelling, and the key's own."""
    private = ec.derive_private_key(5, ec.SECP256R1())
    signature = private.sign(b"body", ec.ECDSA(SHA256()))
    good = SCHEMES[CKM.ECDSA_SHA256].algorithm
    check_signature(spki(private.public_key()), good, b"body", signature)
    with_null = sequence(oid("1.2.840.10045.4.3.2"), b"\x05\x00")
    for algorithm in (with_null, SCHEMES[CKM.SHA256_RSA_PKCS].algorithm, SCHEMES[CKM.EDDSA].algorithm, b""):
        with refusal(CKR.SIGNATURE_INVALID):
            check_signature(spki(private.public_key()), algorithm, b"body", signature)
    with refusal(CKR.SIGNATURE_INVALID):
        check_signature(b"no key", good, b"body", signature)
    with refusal(CKR.SIGNATURE_INVALID):
        check_signature(spki(private.public_key()), good, b"body", private.sign(b"body", ec.ECDSA(SHA1())))  # noqa: S303

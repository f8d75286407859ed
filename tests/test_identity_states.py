"""Certificates of HSMs: what an owner signs, and how owners and identities come into force."""

from __future__ import annotations

import pytest
from asymmetric import refusal
from boards import (
    DAY,
    MEMBER,
    OWNED,
    PENDING,
    PENDING_OWNER,
    Board,
    board,
    certificate,
    joined,
    self_signed,
    template,
    three,
    two,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ptkc.spec.constants import CKC, CKM, CKO, CKR

__all__ = ["board", "three", "two"]  # fixtures


# Certifying


def test_the_certificate_takes_the_requests_label(two: list[Board]) -> None:
    """Unless the template says another; it is an ordinary object that can go."""
    owner, other = two
    owner.become_owner()
    said = template(CLASS=CKO.CERTIFICATE_REQUEST, VALUE=other.request(), LABEL="HSM two", TOKEN=True)
    base = owner.device.create_object(owner.session, said)
    key = owner.one(CKO.PRIVATE_KEY, "POK")
    made = owner.encode(CKM.ENCODE_X_509, base, key, TOKEN=True)
    assert b"HSM two" == owner.get(made, "LABEL")
    assert b"other" == owner.get(owner.encode(CKM.ENCODE_X_509, base, key, LABEL="other"), "LABEL")
    assert OWNED == owner.state
    owner.device.destroy_object(owner.session, made)
    for said in ({"SUBJECT_STR": "CN=me"}, {"SERIAL_NUMBER_INT": b"1"}, {"END_DATE": b"20990101"}):
        with refusal(CKR.TEMPLATE_INCONSISTENT):
            owner.encode(CKM.ENCODE_X_509, base, key, **said)
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        owner.encode(CKM.ENCODE_X_509, owner.one(CKO.PUBLIC_KEY, "PIK"), key)
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        owner.encode(CKM.ENCODE_X_509, base, owner.one(CKO.PRIVATE_KEY, "PIK"))


def test_a_pending_owner_signs_its_own_hsms_request_alone(two: list[Board]) -> None:
    """CKR_KEY_FUNCTION_NOT_PERMITTED for another's, until it is in force."""
    owner, other = two
    owner.generate_owner()
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        owner.certify(other.request(), "POK-Pending")
    owner.store_identity(owner.certify(owner.request(), "POK-Pending"))
    other.join(owner)
    assert MEMBER == other.state


def test_requests_that_are_for_no_hsm_are_not_signed(two: list[Board]) -> None:
    """Changed, without a serial, on another curve, in the owner's own name with another key."""
    owner, other = two
    owner.become_owner()
    good = other.request()
    serial = other.hsm.serial.encode()
    with refusal(CKR.SIGNATURE_INVALID):
        owner.certify(good.replace(serial, b"0000000"))
    key = ec.generate_private_key(ec.SECP521R1())

    def request(curve_key: ec.EllipticCurvePrivateKey, *parts: tuple[object, str]) -> bytes:
        name = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        return builder.sign(curve_key, SHA512()).public_bytes(Encoding.DER)

    named = (NameOID.SERIAL_NUMBER, "1234567")
    assert owner.certify(request(key, named))
    for bad in (
        request(key, (NameOID.COMMON_NAME, "host")),
        request(key, named, (NameOID.SERIAL_NUMBER, "7654321")),
        request(key, (NameOID.SERIAL_NUMBER, "12 34")),
        request(key, (NameOID.SERIAL_NUMBER, "12345678901234567")),
        request(key, (NameOID.SERIAL_NUMBER, owner.hsm.serial)),
        request(ec.generate_private_key(ec.SECP384R1()), named),
    ):
        with refusal(CKR.TEMPLATE_INCONSISTENT):
            owner.certify(bad)
    for bad in (b"", b"request", good[:-1], good + b"\0", owner.value("POC")):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID if bad else CKR.TEMPLATE_INCOMPLETE):
            said = {"VALUE": bad} if bad else {}
            owner.device.create_object(owner.session, template(CLASS=CKO.CERTIFICATE_REQUEST, **said))


def test_an_expired_owner_certifies_nobody(two: list[Board]) -> None:
    """By the HSM's clock: CKR_CERT_NOT_VALIDATED."""
    owner, other = two
    owner.become_owner()
    owner.hsm.set_clock(owner.hsm.now() + 21 * 365 * DAY)
    with refusal(CKR.CERT_NOT_VALIDATED):
        owner.certify(other.request())


# Owner certificates of others


def test_an_owner_certificate_is_in_force_at_once_where_nothing_depends_on_another(two: list[Board]) -> None:
    """On a new HSM, on one with a self-signed PIC, and instead of one that nothing depends on."""
    owner, other = two
    owner.become_owner()
    other.store_owner(owner.value("POC"))
    assert "POC:c" == other.state
    first = other.one(CKO.CERTIFICATE, "POC")
    assert first == other.store_owner(owner.value("POC"))
    other.generate_identity(self_sign=True)
    other.store_owner(self_signed(ca=True))
    assert MEMBER == other.state
    assert owner.value("POC") != other.value("POC")


def test_an_owner_certificate_waits_where_the_identity_depends_on_another(three: list[Board]) -> None:
    """It is pending until a PIC under it is stored, which then ends the former owner."""
    board = three[1]
    former = board.value("POC")
    key = ec.generate_private_key(ec.SECP521R1())
    new = certificate(key, key, ca=True, subject="new", issued_by="new")
    board.store_owner(new)
    assert joined(MEMBER, "POC-Pending:c") == board.state
    assert former == board.value("POC")
    assert board.one(CKO.CERTIFICATE, "POC-Pending") == board.store_owner(new)
    request = x509.load_der_x509_csr(board.request())

    board.store_identity(certificate(request, key, serial=board.hsm.serial, subject="HSM", issued_by="new"))
    assert MEMBER == board.state
    assert new == board.value("POC")


def test_a_pending_owner_of_another_comes_into_force_when_nothing_depends_any_more(three: list[Board]) -> None:
    """A self-signed PIC frees the HSM: the same certificate stored again is in force."""
    board = three[1]
    new = self_signed(ca=True)
    board.store_owner(new)
    board.generate_identity(self_sign=True)
    assert joined(MEMBER, "POC-Pending:c") == board.state
    board.store_owner(new)
    assert MEMBER == board.state
    assert new == board.value("POC")


def test_an_owners_own_pending_certificate_stays_when_it_is_stored_again(board: Board) -> None:
    """As `ctident gen-key <CA> <CA>` does; its key is not lost."""
    board.generate_owner()
    pending = board.one(CKO.CERTIFICATE, "POC-Pending")
    assert pending == board.store_owner(board.value("POC-Pending"))
    assert PENDING_OWNER == board.state


def test_another_owner_replaces_a_pending_one(board: Board) -> None:
    """And an owner in force keeps its keys until an identity under the new one is there."""
    board.generate_owner()
    board.store_owner(self_signed(ca=True))
    assert "POC:c" == board.state
    board.become_owner()
    board.store_owner(self_signed(ca=True))
    assert joined(OWNED, "POC-Pending:c") == board.state
    board.generate_owner()
    assert joined(OWNED, PENDING_OWNER) == board.state


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"ca": False}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "curve": ec.SECP384R1()}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "days": (-2, -1)}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "days": (1, 2)}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "issued_by": "other"}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "critical": "1.2.3.4"}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "usage": "digital_signature"}, CKR.CERT_NOT_VALIDATED),
        ({"ca": True, "usage": "key_cert_sign"}, CKR.OK),
    ],
)
def test_owner_certificates_are_checked(board: Board, said: dict[str, object], code: int) -> None:
    """A self-signed CA on P-521 that is valid now."""
    value = self_signed(**said)
    if code == CKR.OK:
        board.store_owner(value)
    else:
        with refusal(code):
            board.store_owner(value)
    assert ("POC:c" if code == CKR.OK else "") == board.state


def test_a_forged_owner_certificate_is_refused(board: Board) -> None:
    """Of its own name, but not of its own signature."""
    key, other = ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP521R1())
    with refusal(CKR.CERT_NOT_VALIDATED):
        board.store_owner(certificate(key, other, ca=True))


@pytest.mark.parametrize("mark", [{"HSM_OWNER_CERT": 1}, {"LOCAL_IDENTITY_CERT": 1}, {"LOCAL_IDENTITY_CERT": 0}])
def test_what_is_no_certificate_is_refused(board: Board, mark: dict[str, int]) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID for bytes, CKR_TEMPLATE_INCOMPLETE for none, and templates are held to the rules."""
    marks = {name: bool(value) for name, value in mark.items()}
    value = self_signed(ca=True)
    for bad in (b"certificate", value[:-1], value + b"\0", b"\x30\x80" + value, value[:300]):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            board.store(bad, **marks)
    kind = template(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509)
    for rest, code in (
        ((), CKR.TEMPLATE_INCOMPLETE),
        (template(VALUE=value, TOKEN=False), CKR.TEMPLATE_INCONSISTENT),
        (template(VALUE=value, PRIVATE=True), CKR.TEMPLATE_INCONSISTENT),
        (template(VALUE=value, LABEL="a") + template(LABEL="a"), CKR.TEMPLATE_INCONSISTENT),
        (template(VALUE=value, SENSITIVE=True), CKR.TEMPLATE_INCONSISTENT),
        (template(VALUE=value, MODIFIABLE=b"no"), CKR.ATTRIBUTE_VALUE_INVALID),
    ):
        with refusal(code):
            board.device.create_object(board.session, (*kind, *rest, *template(**marks)))
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        board.store(value, HSM_OWNER_CERT=True, LOCAL_IDENTITY_CERT=True)
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        board.device.create_object(board.session, kind + template(VALUE=value, **dict.fromkeys(mark, b"\2")))
    assert "" == board.state


# The own identity certificate


def test_the_states_of_an_owner(board: Board) -> None:
    """Pending until its key has signed its own HSM's identity; a new one replaces it the same way."""
    board.generate_owner()
    request = board.request()
    assert joined(PENDING_OWNER, PENDING) == board.state
    made = board.certify(request, "POK-Pending")
    assert joined(PENDING_OWNER, PENDING) == board.state
    board.store_identity(made)
    assert OWNED == board.state
    former = board.value("POC")
    board.generate_owner()
    board.request()
    assert joined(OWNED, PENDING_OWNER, PENDING) == board.state
    assert former == board.value("POC")
    board.store_identity(board.certify(board.request(), "POK-Pending"))
    assert OWNED == board.state
    assert former != board.value("POC")
    board.parsed("PIC").verify_directly_issued_by(board.parsed("POC"))


def test_a_certificate_for_the_present_key_leaves_a_pending_one(three: list[Board]) -> None:
    """Renewed by the owner with the same key."""
    owner, board = three[:2]
    public, private = board.one(CKO.PUBLIC_KEY, "PIK"), board.one(CKO.PRIVATE_KEY, "PIK")
    request = board.get(board.encode(CKM.ENCODE_PKCS_10, public, private), "VALUE")
    board.generate_identity()
    former = board.value("PIC")
    board.store_identity(owner.certify(request))
    assert joined(MEMBER, PENDING) == board.state
    assert former != board.value("PIC")


def test_an_owner_that_joins_another_is_an_owner_no_more(two: list[Board]) -> None:
    """Its POK and POC go together when its identity is another owner's."""
    for each in two:
        each.become_owner()
    two[1].store_owner(two[0].value("POC"))
    assert joined(OWNED, "POC-Pending:c") == two[1].state
    two[1].store_identity(two[0].certify(two[1].request()))
    assert MEMBER == two[1].state
    assert two[0].value("POC") == two[1].value("POC")


def test_identity_certificates_are_checked(three: list[Board]) -> None:
    """Another HSM's, of another key, by nobody known, expired, no longer wanted: each with its code, and no change."""
    owner, board, other = three
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.store_identity(other.value("PIC"))
    stale = owner.certify(board.request())
    board.generate_identity()
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.store_identity(stale)
    good = owner.certify(board.request())
    request = x509.load_der_x509_csr(board.request())
    before = board.state

    key = ec.generate_private_key(ec.SECP521R1())
    serial = board.hsm.serial
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.store_identity(good)
    for code, said in (
        (CKR.ATTRIBUTE_VALUE_INVALID, {}),
        (CKR.ATTRIBUTE_VALUE_INVALID, {"serial": other.hsm.serial}),
        (CKR.CERT_NOT_VALIDATED, {"serial": serial}),
        (CKR.CERT_NOT_VALIDATED, {"serial": serial, "issued_by": "owner"}),
        (CKR.CERT_NOT_VALIDATED, {"serial": serial, "days": (-2, -1)}),
        (CKR.CERT_NOT_VALIDATED, {"serial": serial, "ca": True}),
        (CKR.CERT_NOT_VALIDATED, {"serial": serial, "usage": "key_cert_sign"}),
    ):
        with refusal(code):
            board.store_identity(certificate(request, key, **said))
    assert before == board.state
    good = owner.certify(board.get(_request_again(board), "VALUE"))
    board.hsm.set_clock(board.hsm.now() - 2 * DAY)
    with refusal(CKR.CERT_NOT_VALIDATED):
        board.store_identity(good)
    board.hsm.set_clock(board.hsm.now() + 2 * DAY)
    board.store_identity(good)
    assert MEMBER == board.state


def _request_again(board: Board) -> int:
    pair = board.one(CKO.PUBLIC_KEY, "PIK-Pending"), board.one(CKO.PRIVATE_KEY, "PIK-Pending")
    return board.encode(CKM.ENCODE_PKCS_10, *pair)

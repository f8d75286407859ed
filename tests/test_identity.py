"""The HSM's own keys: how owner and identity keys are made, what they may, whom they are for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from asymmetric import refusal
from boards import (
    DAY,
    P384,
    PENDING,
    PENDING_OWNER,
    SELF,
    Board,
    board,
    joined,
    self_signed,
    template,
    three,
    two,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.mechanisms import load
from ptkc.spec.constants import CKA, CKC, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.layouts import GenPik
from ptkc.spec.values import FALSE, TRUE, ulong

load()


__all__ = ["board", "three", "two"]  # fixtures

P521 = bytes.fromhex("06052b81040023")


# Owner keys


def test_an_owner_key_is_pending_with_its_certificate(board: Board) -> None:
    """C_GenerateKeyPair gives the pair; the certificate is there at once."""
    public, private = board.generate_owner()
    assert PENDING_OWNER == board.state
    assert [b"POK-Pending"] * 2 == [board.get(key, "LABEL") for key in (public, private)]
    assert board.get(public, "PUBLIC_KEY_INFO") == board.get(private, "PUBLIC_KEY_INFO")
    made = board.parsed("POC-Pending")
    info = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert info == board.get(public, "PUBLIC_KEY_INFO")


def test_the_owner_certificate_is_as_documented(board: Board) -> None:
    """Version 3, P-521, ecdsa-with-SHA512, a CA below which no other stands, valid for 20 years from the HSM's now."""
    board.hsm.set_clock(dt.datetime(2030, 1, 1, tzinfo=dt.UTC).timestamp())
    board.generate_owner()
    made = board.parsed("POC-Pending")
    identifier = x509.SubjectKeyIdentifier.from_public_key(made.public_key()).digest
    serial = board.hsm.serial
    assert x509.Version.v3 == made.version
    assert isinstance(made.public_key().curve, ec.SECP521R1)
    assert "1.2.840.10045.4.3.4" == made.signature_algorithm_oid.dotted_string
    assert made.subject == made.issuer
    assert f"2.5.4.5={serial},CN=HSM owner {serial} {identifier.hex()[:8]},OU=HSM owner,O=ptkc" == (
        made.subject.rfc4514_string()
    )
    assert 100 < made.serial_number.bit_length() < 160
    assert dt.timedelta(days=7305, minutes=5) == made.not_valid_after_utc - made.not_valid_before_utc
    moment = made.not_valid_before_utc + dt.timedelta(minutes=5)
    assert 0 <= (moment - dt.datetime(2030, 1, 1, tzinfo=dt.UTC)).total_seconds() < 60
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (True, True, 0) == (basic.critical, basic.value.ca, basic.value.path_length)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert identifier == made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert identifier == made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    made.verify_directly_issued_by(made)
    for target in board.find(MODIFIABLE=False):
        assert identifier == board.get(target, "ID")


def test_at_the_end_of_time_certificates_end_with_it(board: Board) -> None:
    """The HSM's clock may be anywhere: no certificate names a year beyond 9999."""
    board.hsm.set_clock(dt.datetime(9999, 12, 30, tzinfo=dt.UTC).timestamp())
    board.generate_owner()
    board.generate_identity(self_sign=True)
    assert {9999} == {board.parsed(label).not_valid_after_utc.year for label in ("POC-Pending", "PIC")}


def test_a_second_pending_owner_replaces_the_first(board: Board) -> None:
    """There is one at a time."""
    first = board.generate_owner()
    value = board.value("POC-Pending")
    board.generate_owner()
    assert PENDING_OWNER == board.state
    assert value != board.value("POC-Pending")
    with refusal(CKR.OBJECT_HANDLE_INVALID):
        board.get(first[0], "LABEL")


@pytest.mark.parametrize(
    ("public", "private", "code"),
    [
        (template(HSM_OWNER_CERT=True), (), CKR.TEMPLATE_INCONSISTENT),
        ((), template(HSM_OWNER_CERT=True), CKR.TEMPLATE_INCONSISTENT),
        (template(HSM_OWNER_CERT=True, EC_PARAMS=P384), template(HSM_OWNER_CERT=True), CKR.CURVE_NOT_SUPPORTED),
        (template(HSM_OWNER_CERT=True, EC_PARAMS=b"x"), template(HSM_OWNER_CERT=True), CKR.DOMAIN_PARAMS_INVALID),
        (template(HSM_OWNER_CERT=True, TOKEN=False), template(HSM_OWNER_CERT=True), CKR.TEMPLATE_INCONSISTENT),
        (template(HSM_OWNER_CERT=True), template(HSM_OWNER_CERT=True, EXTRACTABLE=True), CKR.TEMPLATE_INCONSISTENT),
        (template(HSM_OWNER_CERT=True), template(HSM_OWNER_CERT=True, SENSITIVE=False), CKR.TEMPLATE_INCONSISTENT),
        (template(HSM_OWNER_CERT=True), template(HSM_OWNER_CERT=True, KEY_TYPE=CKK.RSA), CKR.TEMPLATE_INCONSISTENT),
        (template(HSM_OWNER_CERT=True), template(HSM_OWNER_CERT=True, VALUE=b"1"), CKR.ATTRIBUTE_READ_ONLY),
        (template(HSM_OWNER_CERT=True), template(HSM_OWNER_CERT=True, SIGN=b"2"), CKR.ATTRIBUTE_VALUE_INVALID),
        (
            template(HSM_OWNER_CERT=True, LABEL="a") + template(LABEL="b"), template(HSM_OWNER_CERT=True),
            CKR.TEMPLATE_INCONSISTENT,
        ),
    ],
)
def test_an_owner_key_is_asked_for_in_both_templates(board: Board, public: tuple, private: tuple, code: int) -> None:
    """And is on P-521, on the token, and never leaves it; nothing is made else."""
    with refusal(code):
        board.device.generate_key_pair(board.session, (CKM.EC_KEY_PAIR_GEN, None), public, private)
    assert "" == board.state


def test_what_clients_say_of_every_key_is_not_heard(board: Board) -> None:
    """Labels and usage: the HSM's say."""
    public = template(HSM_OWNER_CERT=True, LABEL="mine", ID=b"1", VERIFY=True, EC_PARAMS=P521)
    private = template(HSM_OWNER_CERT=True, LABEL="mine", SIGN=True, PRIVATE=True, SENSITIVE=True)
    board.device.generate_key_pair(board.session, (CKM.EC_KEY_PAIR_GEN, None), public, private)
    assert PENDING_OWNER == board.state


def test_keys_without_the_mark_are_ordinary(board: Board) -> None:
    """CKA_HSM_OWNER_CERT false says nothing."""
    public = template(EC_PARAMS=P384, HSM_OWNER_CERT=False, LABEL="POK")
    board.device.generate_key_pair(board.session, (CKM.EC_KEY_PAIR_GEN, None), public, template(HSM_OWNER_CERT=False))
    assert "" == board.state


# Identity keys


def test_a_self_signed_identity_is_in_force_at_once(board: Board) -> None:
    """PIK and PIC replace the former ones, and a pending one goes."""
    board.generate_identity(self_sign=True)
    assert SELF == board.state
    value = board.value("PIC")
    board.generate_identity()
    assert joined(SELF, PENDING) == board.state
    assert value == board.value("PIC")
    _, private = board.generate_identity(self_sign=True)
    assert SELF == board.state
    assert value != board.value("PIC")
    assert board.get(board.one(CKO.CERTIFICATE, "PIC"), "PUBLIC_KEY_INFO") == board.get(private, "PUBLIC_KEY_INFO")
    made = board.parsed("PIC")
    made.verify_directly_issued_by(made)


def test_the_identity_certificate_is_as_documented(three: list[Board]) -> None:
    """Version 3, P-521, no CA, digitalSignature, 10 years, signed by the owner."""
    made, owner = three[1].parsed("PIC"), three[0].parsed("POC")
    serial = three[1].hsm.serial
    assert f"2.5.4.5={serial},CN=HSM {serial},OU=HSM identity,O=ptkc" == made.subject.rfc4514_string()
    assert dt.timedelta(days=3652, minutes=5) == made.not_valid_after_utc - made.not_valid_before_utc
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (True, False) == (basic.critical, basic.value.ca)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    identifier = x509.SubjectKeyIdentifier.from_public_key(made.public_key()).digest
    issuer = x509.SubjectKeyIdentifier.from_public_key(owner.public_key()).digest
    assert identifier == made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert issuer == made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    made.verify_directly_issued_by(owner)


def test_an_identity_certificate_ends_no_later_than_its_owner(two: list[Board]) -> None:
    """15 years on the owner certificate has 5 years left."""
    two[0].become_owner()
    for each in two:
        each.hsm.set_clock(each.hsm.now() + 15 * 365 * DAY)
    two[1].join(two[0])
    assert two[0].parsed("POC").not_valid_after_utc == two[1].parsed("PIC").not_valid_after_utc


@pytest.mark.parametrize("self_sign", [False, True])
def test_an_identity_key_takes_no_mark_and_a_parameter(board: Board, self_sign: bool) -> None:  # noqa: FBT001
    """CKM_GEN_PIK_ECC_P521 says which key it makes."""
    mark, mechanism = template(HSM_OWNER_CERT=True), (CKM.GEN_PIK_ECC_P521, GenPik(self_sign))
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        board.device.generate_key_pair(board.session, mechanism, mark, mark)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        board.device.generate_key_pair(board.session, (CKM.GEN_PIK_ECC_P521, None), (), ())


def test_identity_objects_are_closed(three: list[Board]) -> None:
    """Keys sign, decrypt, derive and leave for nobody; nothing of them can be changed, copied or destroyed."""
    board = three[0]
    board.trust(three[1])
    for label in ("POK", "PIK"):
        key = board.one(CKO.PRIVATE_KEY, label)
        for name in ("SIGN", "SIGN_RECOVER", "DECRYPT", "UNWRAP", "DERIVE", "EXTRACTABLE", "MODIFIABLE", "COPYABLE"):
            assert FALSE == board.get(key, name), name
        for name in ("TOKEN", "PRIVATE", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL"):
            assert TRUE == board.get(key, name), name
        for begin in (board.device.sign_init, board.device.decrypt_init):
            with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED if begin == board.device.sign_init else CKR.MECHANISM_INVALID):
                begin(board.session, (CKM.ECDSA, None), key)
        _, (value,) = board.device.get_attribute_value(board.session, key, (CKA.VALUE,))
        assert value is None
    assert TRUE == board.get(board.one(CKO.PRIVATE_KEY, "PIK"), "SIGN_LOCAL_CERT")
    for target in board.find(MODIFIABLE=False):
        peer = board.get(target, "LABEL").startswith(b"PIC ")
        with refusal(CKR.ACTION_PROHIBITED):
            board.device.set_attribute_value(board.session, target, template(LABEL="other"))
        with refusal(CKR.ACTION_PROHIBITED):
            board.device.copy_object(board.session, target, ())
        assert (TRUE if peer else FALSE) == board.get(target, "DESTROYABLE")
        if not peer:
            with refusal(CKR.OBJECT_READ_ONLY):
                board.device.destroy_object(board.session, target)


def test_certificates_say_what_is_in_them(three: list[Board]) -> None:
    """All attributes follow from CKA_VALUE; certificates are public and trusted."""
    board = three[1]
    made = board.parsed("PIC")
    target = board.one(CKO.CERTIFICATE, "PIC")
    serial = board.hsm.serial
    for name, wanted in {
        "SUBJECT": made.subject.public_bytes(),
        "ISSUER": made.issuer.public_bytes(),
        "SUBJECT_STR": f"serialNumber={serial},CN=HSM {serial},OU=HSM identity,O=ptkc".encode(),
        "END_DATE": f"{made.not_valid_after_utc:%Y%m%d}".encode(),
        "CERTIFICATE_END_TIME": f"{made.not_valid_after_utc:%Y%m%d%H%M%S}00".encode(),
        "SERIAL_NUMBER_INT": made.serial_number.to_bytes((made.serial_number.bit_length() + 7) // 8, "big"),
        "PRIVATE": FALSE,
        "TRUSTED": TRUE,
        "TOKEN": TRUE,
        "LOCAL_IDENTITY_CERT": TRUE,
        "CERTIFICATE_TYPE": ulong(CKC.X_509),
    }.items():
        assert wanted == board.get(target, name), name
    assert TRUE == board.get(board.one(CKO.CERTIFICATE, "POC"), "HSM_OWNER_CERT")


# Who may


def test_identities_are_the_administrators(board: Board) -> None:
    """On a user token CKR_NOT_ADMIN_TOKEN, without a login CKR_USER_NOT_LOGGED_IN, read-only CKR_SESSION_READ_ONLY."""
    device, owner = board.device, self_signed(ca=True)
    mark = template(HSM_OWNER_CERT=True)
    store = template(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509, VALUE=owner)
    calls: list[Callable[[LocalDevice, int], object]] = [
        lambda device, session: device.generate_key_pair(session, (CKM.EC_KEY_PAIR_GEN, None), mark, mark),
        lambda device, session: device.generate_key_pair(session, (CKM.GEN_PIK_ECC_P521, GenPik(True)), (), ()),  # noqa: FBT003
        lambda device, session: device.create_object(session, (*store, *mark)),
        lambda device, session: device.create_object(session, (*store, *template(LOCAL_IDENTITY_CERT=True))),
        lambda device, session: device.create_object(session, (*store, *template(LOCAL_IDENTITY_CERT=False))),
    ]
    user = board.user_session()
    read_only = device.open_session(board.slot, CKF.SERIAL_SESSION)
    other = LocalDevice(board.hsm, Application(board.hsm, Handles()))
    public = other.open_session(board.slot, CKF.SERIAL_SESSION | CKF.RW_SESSION)
    for call in calls:
        with refusal(CKR.NOT_ADMIN_TOKEN):
            call(device, user)
        with refusal(CKR.SESSION_READ_ONLY):
            call(device, read_only)
        with refusal(CKR.USER_NOT_LOGGED_IN):
            call(other, public)
    assert "" == board.state


def test_private_identity_keys_are_hidden_without_a_login(three: list[Board]) -> None:
    """Certificates and public keys are for everybody, private keys not; a peer is not removed without a login."""
    board = three[0]
    peer = board.trust(three[1])
    other = LocalDevice(board.hsm, Application(board.hsm, Handles()))
    session = other.open_session(board.slot, CKF.SERIAL_SESSION | CKF.RW_SESSION)
    other.find_objects_init(session, template(CLASS=CKO.PRIVATE_KEY))
    assert () == other.find_objects(session, 10)
    other.find_objects_final(session)
    other.find_objects_init(session, template(LABEL=board.get(peer, "LABEL")))
    (found,) = other.find_objects(session, 10)
    with refusal(CKR.USER_NOT_LOGGED_IN):
        other.destroy_object(session, found)
    assert [three[1].hsm.serial] == board.trusted


# Requests


def test_the_hsm_says_whom_a_request_is_for(board: Board) -> None:
    """A PKCS #10 request with the HSM's serial, signed by the key."""
    request = x509.load_der_x509_csr(board.request())
    assert request.is_signature_valid
    assert board.hsm.serial == request.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)[0].value
    assert "1.2.840.10045.4.3.4" == request.signature_algorithm_oid.dotted_string
    public, private = board.one(CKO.PUBLIC_KEY, "PIK-Pending"), board.one(CKO.PRIVATE_KEY, "PIK-Pending")
    made = board.encode(CKM.ENCODE_PKCS_10, public, private, LABEL="HSM", TOKEN=True, CLASS=CKO.CERTIFICATE_REQUEST)
    assert [b"HSM", ulong(CKK.EC)] == [board.get(made, name) for name in ("LABEL", "KEY_TYPE")]
    assert made in board.find(CLASS=CKO.CERTIFICATE_REQUEST, TOKEN=True)
    for said in ({"SUBJECT_STR": "CN=me"}, {"CLASS": CKO.CERTIFICATE}, {"VALUE": b"1"}):
        with refusal(CKR.TEMPLATE_INCONSISTENT):
            board.encode(CKM.ENCODE_PKCS_10, public, private, **said)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        board.encode(CKM.ENCODE_PKCS_10, public, private, signature=CKM.ECDSA_SHA1)


def test_a_request_is_for_the_key_that_signs_it(board: Board) -> None:
    """Pending and present identity keys are no pair; owner keys request nothing."""
    board.generate_identity(self_sign=True)
    pending, _ = board.generate_identity()
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.encode(CKM.ENCODE_PKCS_10, pending, board.one(CKO.PRIVATE_KEY, "PIK"))
    owner, key = board.generate_owner()
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        board.encode(CKM.ENCODE_PKCS_10, owner, key)
    public, private = board.device.generate_key_pair(
        board.session, (CKM.EC_KEY_PAIR_GEN, None), template(EC_PARAMS=P384, SUBJECT=b"\x30\x00"), ()
    )
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.encode(CKM.ENCODE_PKCS_10, pending, private)
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.encode(CKM.ENCODE_PKCS_10, public, board.one(CKO.PRIVATE_KEY, "PIK"))

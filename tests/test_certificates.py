"""Certificates and requests of ordinary keys, statements on keys of an HSM, and who is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from asymmetric import refusal
from boards import DAY, P384, READ_WRITE, Board, board, paths_of, self_signed, template, two
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from encoded import extension

from ptkc.spec.constants import CKA, CKC, CKF, CKK, CKM, CKO, CKR, CKU
from ptkc.spec.layouts import MechanismAndObject
from ptkc.spec.values import FALSE, TRUE, ulong

__all__ = ["board", "two"]  # fixtures

CA = extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)
Made = tuple[int, int]


@pytest.fixture
def user(board: Board) -> int:
    """Return a session of a user's token, which the helpers below are given."""
    return board.user_session()


def pair(board: Board, session: int, *, rsa: bool = False, **both: bool | str | bytes) -> Made:
    """Return a key pair."""
    number = CKM.RSA_PKCS_KEY_PAIR_GEN if rsa else CKM.EC_KEY_PAIR_GEN
    material = template(MODULUS_BITS=2048) if rsa else template(EC_PARAMS=P384)
    private = template(**{"SIGN_LOCAL_CERT": False, **both})
    public = template(**{name: value for name, value in both.items() if name in ("ID", "LABEL", "SUBJECT", "TOKEN")})
    return board.device.generate_key_pair(session, (number, None), material + public, private)


def certified(board: Board, session: int, target: int) -> x509.Certificate:
    """Return a certificate object's certificate."""
    return x509.load_der_x509_certificate(board.get(target, "VALUE", session))


def verify(board: Board, session: int, issuer: int, value: bytes) -> None:
    """Verify a certificate by an issuer's, as C_VerifyInit and C_Verify do."""
    board.device.verify_init(session, (CKM.VERIFY_CERTIFICATE, None), issuer)
    board.device.verify(session, value, b"")


def trusted(board: Board, value: bytes) -> int:
    """Store a certificate that the SO of the user's token trusts; return its object for the user's session."""
    device = board.device
    session = device.open_session(0, READ_WRITE)
    device.logout(session)
    device.login(session, CKU.SO, b"so-12345678")
    said = template(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509, SUBJECT=b"\x30\x00", VALUE=value)
    made = device.create_object(session, said + template(TOKEN=True, TRUSTED=True))
    device.logout(session)
    device.login(session, CKU.USER, b"user-1234")
    return made


# Ordinary keys


def test_a_chain_of_ordinary_keys(board: Board, user: int, tmp_path: Path) -> None:
    """Root, request, certificate: names follow the objects, and OpenSSL believes it."""
    public, private = pair(board, user, rsa=True, ID=b"root")
    sha256 = {"signature": CKM.SHA256_RSA_PKCS, "session": user}
    root = board.encode(
        CKM.ENCODE_X_509, public, private, SUBJECT_STR="CN=Root,O=Test", PKI_ATTRIBUTE_BER_ENCODED=CA, TOKEN=True,
        LABEL="root", **sha256,
    )  # fmt: skip
    names = ("ID", "LABEL", "TOKEN", "TRUSTED")
    assert [b"root", b"root", TRUE, FALSE] == [board.get(root, name, user) for name in names]
    other, key = pair(board, user, SUBJECT=x509.Name.from_rfc4514_string("CN=host").public_bytes(), ID=b"host")
    request = board.encode(CKM.ENCODE_PKCS_10, other, key, session=user, LABEL="the host", signature=CKM.ECDSA_SHA384)
    leaf = board.encode(CKM.ENCODE_X_509, request, private, **sha256)
    made = certified(board, user, leaf)
    assert ("CN=host", "CN=Root,O=Test") == (made.subject.rfc4514_string(), made.issuer.rfc4514_string())
    assert [b"the host", b"host", FALSE] == [board.get(leaf, name, user) for name in ("LABEL", "ID", "TOKEN")]
    assert abs(made.not_valid_before_utc.timestamp() - board.hsm.now()) < 60
    assert 365 == (made.not_valid_after_utc - made.not_valid_before_utc).days
    for name, target in (("root", root), ("leaf", leaf)):
        (tmp_path / name).write_bytes(certified(board, user, target).public_bytes(Encoding.PEM))
    subprocess.run(["openssl", "verify", "-CAfile", "root", "leaf"], cwd=tmp_path, check=True, capture_output=True)
    verify(board, user, trusted(board, board.get(root, "VALUE", user)), board.get(leaf, "VALUE", user))


def test_a_signing_key_needs_what_any_signature_needs(board: Board, user: int) -> None:
    """CKA_SIGN, CKA_ALLOWED_MECHANISMS, no PIN for each use; and it is a private key."""
    public, _ = pair(board, user)
    device = board.device
    for said, code in (
        ({"SIGN": False}, CKR.KEY_FUNCTION_NOT_PERMITTED),
        ({"ALLOWED_MECHANISMS": ulong(CKM.ECDSA)}, CKR.MECHANISM_INVALID),
        ({"ALWAYS_AUTHENTICATE": True}, CKR.USER_NOT_LOGGED_IN),
    ):
        _, private = pair(board, user, **said)
        with refusal(code):
            board.encode(CKM.ENCODE_X_509, public, private, session=user, SUBJECT_STR="CN=a", ISSUER_STR="CN=b")
    aes, _ = device.generate_key(user, (CKM.AES_KEY_GEN, None), template(VALUE_LEN=32))
    for key in (public, aes, 99):
        with refusal(CKR.KEY_HANDLE_INVALID if key == 99 else CKR.KEY_TYPE_INCONSISTENT):
            board.encode(CKM.ENCODE_X_509, public, key, session=user, SUBJECT_STR="CN=a")
    _, private = pair(board, user)
    for number in (CKM.SHA256_RSA_PKCS, CKM.EDDSA):
        with refusal(CKR.KEY_TYPE_INCONSISTENT):
            board.encode(CKM.ENCODE_X_509, public, private, session=user, signature=number, SUBJECT_STR="CN=a")
    for number in (CKM.ECDSA, CKM.SHA_1, 0):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            board.encode(CKM.ENCODE_X_509, public, private, session=user, signature=number, SUBJECT_STR="CN=a")
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        device.derive_key(user, (CKM.ENCODE_X_509, None), public, ())


def test_a_subject_that_a_key_was_given_is_read_first(board: Board, user: int) -> None:
    """CKA_SUBJECT of a key may be anything: what is no name makes no certificate and no request."""
    public, private = pair(board, user, SUBJECT=b"no name")
    for mechanism in (CKM.ENCODE_X_509, CKM.ENCODE_PKCS_10):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            board.encode(mechanism, public, private, session=user)
    other, _ = pair(board, user)
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        board.encode(CKM.ENCODE_X_509, other, private, session=user, SUBJECT_STR="CN=a")


def test_what_the_template_says_of_the_object_is_checked_first(board: Board, user: int) -> None:
    """Nothing is signed, and nothing counted, for an object that cannot be."""
    public, private = pair(board, user, USAGE_LIMIT=ulong(1))
    names = {"SUBJECT_STR": "CN=a", "ISSUER_STR": "CN=b"}
    for said, code in (
        ({"VALUE": b"1"}, CKR.TEMPLATE_INCONSISTENT),
        ({"CLASS": CKO.CERTIFICATE_REQUEST}, CKR.TEMPLATE_INCONSISTENT),
        ({"CERTIFICATE_TYPE": CKC.WTLS}, CKR.TEMPLATE_INCONSISTENT),
        ({"SENSITIVE": True}, CKR.TEMPLATE_INCONSISTENT),
        ({"TRUSTED": True}, CKR.ATTRIBUTE_READ_ONLY),
        ({"LABEL": b"\xff"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({"HSM_OWNER_CERT": True}, CKR.TEMPLATE_INCONSISTENT),
        ({"LOCAL_IDENTITY_CERT": True}, CKR.TEMPLATE_INCONSISTENT),
    ):
        with refusal(code):
            board.encode(CKM.ENCODE_X_509, public, private, session=user, **names, **said)
    twice = template(LABEL="a") + template(LABEL="b")
    mechanism = (CKM.ENCODE_X_509, MechanismAndObject(CKM.ECDSA_SHA512, private))
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        board.device.derive_key(user, mechanism, public, twice)
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        board.device.derive_key(user, mechanism, public, ((CKA.SUBJECT, None),))
    read_only = board.device.open_session(0, CKF.SERIAL_SESSION)
    with refusal(CKR.SESSION_READ_ONLY):
        board.encode(CKM.ENCODE_X_509, public, private, session=read_only, TOKEN=True, **names)
    board.encode(CKM.ENCODE_X_509, public, private, session=read_only, **names)
    with refusal(CKR.KEY_NOT_ACTIVE):
        board.encode(CKM.ENCODE_X_509, public, private, session=user, **names)


def test_a_key_that_counts_numbers_its_certificates(board: Board, user: int) -> None:
    """CKA_USAGE_COUNT is the serial number, one more each time, and counts too where the template says one."""
    public, private = pair(board, user, USAGE_COUNT=ulong(6), TOKEN=True)
    names = {"SUBJECT_STR": "CN=a", "session": user}
    numbers = [
        certified(board, user, board.encode(CKM.ENCODE_X_509, public, private, **names, **said)).serial_number
        for said in ({}, {}, {"SERIAL_NUMBER_INT": b"\x99"}, {})
    ]
    assert [7, 8, 0x99, 10] == numbers
    assert ulong(10) == board.get(private, "USAGE_COUNT", user)
    public, private = pair(board, user)
    numbers = [
        certified(board, user, board.encode(CKM.ENCODE_X_509, public, private, **names)).serial_number for _ in range(2)
    ]
    assert numbers[0] != numbers[1]
    assert all(number.bit_length() > 100 for number in numbers)


_COUNTER = """
import sys
from boards import *
from boards import Board, READ_WRITE
from ptkc.token.hsms import Hsm
from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.spec.constants import *
board = Board(Hsm.open(*sys.argv[1:]))
session = board.device.open_session(0, READ_WRITE)
board.device.login(session, CKU.USER, b"user-1234")
keys = []
for kind in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY):
    board.device.find_objects_init(session, template(CLASS=kind))
    keys += board.device.find_objects(session, 1)
    board.device.find_objects_final(session)
for _ in range(15):
    made = board.encode(CKM.ENCODE_X_509, *keys, session=session, SUBJECT_STR="CN=a")
    print(int.from_bytes(board.get(made, "SERIAL_NUMBER_INT", session), "big"))
"""


def test_processes_never_give_a_serial_number_twice(board: Board, user: int) -> None:
    """Three processes sign by one key that counts."""
    pair(board, user, USAGE_COUNT=ulong(0), TOKEN=True)
    path = os.pathsep.join((str(Path(__file__).parents[1]), str(Path(__file__).parent)))
    command = [sys.executable, "-c", _COUNTER, *paths_of(board.hsm), board.hsm.serial]
    writers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
        for _ in range(3)
    ]
    said = [each.communicate(timeout=120)[0] for each in writers]
    assert list(range(1, 46)) == sorted(int(line) for one in said for line in one.split())


def test_a_request_object_says_what_is_in_it(board: Board, user: int) -> None:
    """Subject, key and key type follow from CKA_VALUE; a template that says otherwise is refused."""
    public, private = pair(board, user, rsa=True)
    made = board.encode(
        CKM.ENCODE_PKCS_10, public, private, session=user, signature=CKM.SHA512_RSA_PKCS, SUBJECT_STR="CN=a"
    )
    value, info = (board.get(made, name, user) for name in ("VALUE", "PUBLIC_KEY_INFO"))
    kind = {"CLASS": CKO.CERTIFICATE_REQUEST, "VALUE": value}
    again = board.device.create_object(user, template(**kind, LABEL="again", SUBJECT=b"", PUBLIC_KEY_INFO=info))
    for name in ("SUBJECT", "SUBJECT_STR", "KEY_TYPE", "PUBLIC_KEY_INFO", "VALUE", "PRIVATE"):
        assert board.get(made, name, user) == board.get(again, name, user)
    assert ulong(CKK.RSA) == board.get(again, "KEY_TYPE", user)
    for said in ({"SUBJECT": b"\x30\x00"}, {"PUBLIC_KEY_INFO": b"1"}, {"KEY_TYPE": CKK.EC}):
        with refusal(CKR.TEMPLATE_INCONSISTENT):
            board.device.create_object(user, template(**kind, **said))
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        board.device.create_object(user, template(CLASS=CKO.CERTIFICATE_REQUEST, VALUE=value[:50]))
    copy = board.device.copy_object(user, again, template(LABEL="copy", TOKEN=True))
    assert value == board.get(copy, "VALUE", user)
    board.device.set_attribute_value(user, copy, template(ID=b"1"))
    with refusal(CKR.ATTRIBUTE_READ_ONLY):
        board.device.set_attribute_value(user, copy, template(SUBJECT=b"\x30\x00"))


def test_certificates_are_made_of_requests_of_every_kind(board: Board, user: int) -> None:
    """A request made elsewhere is an object like any other."""
    _, private = pair(board, user)
    key = ec.generate_private_key(ec.SECP256K1())
    name = x509.Name.from_rfc4514_string("CN=elsewhere")
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    base = board.device.create_object(
        user, template(CLASS=CKO.CERTIFICATE_REQUEST, VALUE=request.public_bytes(Encoding.DER))
    )
    made = certified(board, user, board.encode(CKM.ENCODE_X_509, base, private, session=user, ISSUER_STR="CN=CA"))
    assert key.public_key() == made.public_key()
    assert name == made.subject
    data = board.device.create_object(user, template(CLASS=CKO.DATA))
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        board.encode(CKM.ENCODE_X_509, data, private, session=user, SUBJECT_STR="CN=a", ISSUER_STR="CN=CA")


# Keys out of certificates


@pytest.mark.parametrize("number", [CKM.RSA_PKCS_KEY_PAIR_GEN, CKM.EC_KEY_PAIR_GEN, CKM.EC_EDWARDS_KEY_PAIR_GEN])
def test_the_key_of_a_certificate_is_decoded(board: Board, user: int, number: int) -> None:
    """C_DeriveKey by CKM_DECODE_X_509 gives a public key, C_WrapKey by CKM_ENCODE_PUBLIC_KEY encodes it."""
    device = board.device
    material = {
        CKM.RSA_PKCS_KEY_PAIR_GEN: template(MODULUS_BITS=1024),
        CKM.EC_KEY_PAIR_GEN: template(EC_PARAMS=P384),
        CKM.EC_EDWARDS_KEY_PAIR_GEN: template(EC_PARAMS=bytes.fromhex("06032b6570")),
    }[number]
    public, _ = device.generate_key_pair(user, (number, None), material, ())
    _, signing = pair(board, user)
    certificate = board.encode(CKM.ENCODE_X_509, public, signing, session=user, SUBJECT_STR="CN=a", ISSUER_STR="CN=b")
    decoded, _ = device.derive_key(user, (CKM.DECODE_X_509, None), certificate, template(LABEL="a", WRAP=False))
    names = ("PUBLIC_KEY_INFO", "KEY_TYPE", "CLASS")
    assert [board.get(public, name, user) for name in names] == [board.get(decoded, name, user) for name in names]
    assert (b"a", FALSE, FALSE) == tuple(board.get(decoded, name, user) for name in ("LABEL", "WRAP", "LOCAL"))
    info = board.get(public, "PUBLIC_KEY_INFO", user)
    wrap = (CKM.ENCODE_PUBLIC_KEY, None)
    assert (len(info), ()) == device.wrap_key(user, wrap, 0, decoded, None)
    assert (info, ()) == device.wrap_key(user, wrap, 0, decoded, len(info))
    with refusal(CKR.BUFFER_TOO_SMALL):
        device.wrap_key(user, wrap, 0, decoded, 10)
    for said, code in (
        (template(KEY_TYPE=CKK.AES), CKR.TEMPLATE_INCONSISTENT),
        (template(CLASS=CKO.PRIVATE_KEY), CKR.TEMPLATE_INCONSISTENT),
        (template(LOCAL=True), CKR.ATTRIBUTE_READ_ONLY),
        (template(TRUSTED=True), CKR.ATTRIBUTE_READ_ONLY),
    ):
        with refusal(code):
            device.derive_key(user, (CKM.DECODE_X_509, None), certificate, said)


def test_only_public_keys_are_encoded_and_only_certificates_decoded(board: Board, user: int) -> None:
    """A wrapping key, a private key, a key as certificate, a certificate that is none: each with its code."""
    public, private = pair(board, user)
    wrap, decode = (CKM.ENCODE_PUBLIC_KEY, None), (CKM.DECODE_X_509, None)
    with refusal(CKR.KEY_NOT_WRAPPABLE):
        board.device.wrap_key(user, wrap, 0, private, None)
    with refusal(CKR.WRAPPING_KEY_HANDLE_INVALID):
        board.device.wrap_key(user, wrap, public, public, None)
    with refusal(CKR.KEY_HANDLE_INVALID):
        board.device.wrap_key(user, wrap, 0, 0, None)
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        board.device.derive_key(user, decode, public, ())
    said = template(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509, SUBJECT=b"", VALUE=b"no certificate")
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        board.device.derive_key(user, decode, board.device.create_object(user, said), ())
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        board.device.derive_key(user, (CKM.DECODE_X_509, b"parameter"), public, ())


# Verification


def test_only_trusted_certificates_verify(board: Board, user: int) -> None:
    """What the SO did not trust is CKR_CERT_NOT_VALIDATED, a key CKR_KEY_TYPE_INCONSISTENT, both at C_VerifyInit."""
    value = self_signed(ca=True)
    said = template(CLASS=CKO.CERTIFICATE, CERTIFICATE_TYPE=CKC.X_509, SUBJECT=b"\x30\x00", VALUE=value)
    plain = board.device.create_object(user, said)
    public, _ = pair(board, user)
    init = board.device.verify_init
    mechanism = (CKM.VERIFY_CERTIFICATE, None)
    for code, target in {
        CKR.CERT_NOT_VALIDATED: plain, CKR.KEY_TYPE_INCONSISTENT: public, CKR.KEY_HANDLE_INVALID: 0,
    }.items():  # fmt: skip
        with refusal(code):
            init(user, mechanism, target)
    root = trusted(board, value)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        init(user, (CKM.VERIFY_CERTIFICATE, b"1"), root)
    verify(board, user, root, value)
    init(user, mechanism, root)
    with refusal(CKR.OPERATION_ACTIVE):
        init(user, mechanism, root)
    init(user, None, 0)
    init(user, mechanism, root)
    with refusal(CKR.OPERATION_NOT_INITIALIZED):
        board.device.verify_update(user, value)
    with refusal(CKR.OPERATION_NOT_INITIALIZED):
        board.device.verify(user, value, b"")
    board.hsm.set_clock(board.hsm.now() + 2 * DAY)
    with refusal(CKR.CERT_NOT_VALIDATED):
        verify(board, user, root, value)


# Statements


def statement(board: Board, base: int, **said: bool | str | bytes) -> bytes:
    """Return what the identity key states of a key."""
    key = board.one(CKO.PRIVATE_KEY, "PIK")
    made = board.encode(CKM.ENCODE_X_509_LOCAL_CERT, base, key, **{"SUBJECT_STR": "CN=made here", **said})
    return board.get(made, "VALUE")


def test_a_statement_is_verified_elsewhere_while_the_peer_is_trusted(two: list[Board]) -> None:
    """With the trusted copy of the PIC; not after it was removed, expired, or belongs to another owner."""
    one, other = two
    for each in two:
        each.generate_identity(self_sign=True)
    public, _ = pair(one, one.session)
    said = statement(one, public)
    made = x509.load_der_x509_certificate(said)
    assert one.parsed("PIC").subject == made.issuer
    made.verify_directly_issued_by(one.parsed("PIC"))
    verify(one, one.session, one.one(CKO.CERTIFICATE, "PIC"), said)
    with refusal(CKR.CERT_NOT_VALIDATED):
        verify(other, other.session, other.one(CKO.CERTIFICATE, "PIC"), said)
    peer = other.trust(one)
    verify(other, other.session, peer, said)
    place = said.index(b"made here")
    with refusal(CKR.SIGNATURE_INVALID):
        verify(other, other.session, peer, said[:place] + b"made else" + said[place + 9 :])
    other.hsm.set_clock(other.hsm.now() + 2 * 365 * DAY)
    with refusal(CKR.CERT_NOT_VALIDATED):
        verify(other, other.session, peer, said)
    other.hsm.set_clock(other.hsm.now() - 2 * 365 * DAY)
    verify(other, other.session, peer, said)
    other.become_owner()
    with refusal(CKR.CERT_NOT_VALIDATED):
        other.device.verify_init(other.session, (CKM.VERIFY_CERTIFICATE, None), peer)
    other.generate_identity(self_sign=True)
    verify(other, other.session, peer, said)
    other.device.destroy_object(other.session, peer)
    with refusal(CKR.KEY_HANDLE_INVALID):
        other.device.verify_init(other.session, (CKM.VERIFY_CERTIFICATE, None), peer)


def test_statements_are_on_keys_that_were_made_here(board: Board) -> None:
    """CKA_LOCAL, of a key or of the key of a request; whatever the request's object says of itself."""
    board.generate_identity(self_sign=True)
    public, private = pair(board, board.session)
    info = board.get(public, "PUBLIC_KEY_INFO")
    material = template(EC_PARAMS=P384, EC_POINT=board.get(public, "EC_POINT"))
    kind = template(CLASS=CKO.PUBLIC_KEY, KEY_TYPE=CKK.EC)
    imported = board.device.create_object(board.session, kind + material)
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        statement(board, imported)
    request = board.encode(CKM.ENCODE_PKCS_10, public, private, SUBJECT_STR="CN=a")
    made = x509.load_der_x509_certificate(statement(board, request))
    assert info == made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    board.device.destroy_object(board.session, public)
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        statement(board, request)
    with refusal(CKR.KEY_TYPE_INCONSISTENT):
        statement(board, private)


def test_statements_need_the_mark_on_the_signing_key(board: Board, user: int) -> None:
    """CKA_SIGN_LOCAL_CERT; an ordinary key that has it needs CKA_SIGN too."""
    public, private = pair(board, user)
    names = {"SUBJECT_STR": "CN=a", "ISSUER_STR": "CN=b", "session": user}
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        board.encode(CKM.ENCODE_X_509_LOCAL_CERT, public, private, **names)
    _, marked = pair(board, user, SIGN_LOCAL_CERT=True)
    board.encode(CKM.ENCODE_X_509_LOCAL_CERT, public, marked, **names)
    _, marked = pair(board, user, SIGN_LOCAL_CERT=True, SIGN=False)
    with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
        board.encode(CKM.ENCODE_X_509_LOCAL_CERT, public, marked, **names)


def test_identity_keys_state_only_in_force_and_while_they_are_valid(board: Board) -> None:
    """Not the owner's key, not a pending one, not by another hash, not under a name of the template's."""
    public, _ = pair(board, board.session)
    board.generate_owner()
    board.generate_identity()
    for label in ("POK-Pending", "PIK-Pending"):
        with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
            key = board.one(CKO.PRIVATE_KEY, label)
            board.encode(CKM.ENCODE_X_509_LOCAL_CERT, public, key, SUBJECT_STR="CN=a")
    board.generate_identity(self_sign=True)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        key = board.one(CKO.PRIVATE_KEY, "PIK")
        board.encode(CKM.ENCODE_X_509_LOCAL_CERT, public, key, signature=CKM.ECDSA_SHA256, SUBJECT_STR="CN=a")
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        statement(board, public, ISSUER_STR="CN=somebody")
    for base in (
        board.one(CKO.PUBLIC_KEY, "PIK"),
        board.encode(CKM.ENCODE_PKCS_10, board.one(CKO.PUBLIC_KEY, "PIK"), board.one(CKO.PRIVATE_KEY, "PIK")),
    ):
        with refusal(CKR.KEY_FUNCTION_NOT_PERMITTED):
            statement(board, base)
    board.hsm.set_clock(board.hsm.now() + 11 * 365 * DAY)
    with refusal(CKR.CERT_NOT_VALIDATED):
        statement(board, public)

"""RSA encryption: PKCS #1 v1.5 and OAEP."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from ptkc.spec.constants import CKA, CKG, CKM, CKR

from .cryptoki import Session, expect
from .keys import import_rsa, private_rsa
from .parameters import Mechanism, oaep

_DATA = b"a secret"
_BROKEN = (CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
_PKCS = Mechanism(CKM.RSA_PKCS)
_needs_pkcs = pytest.mark.needs(CKM.RSA_PKCS)
_needs_oaep = pytest.mark.needs(CKM.RSA_PKCS_OAEP)


@pytest.fixture
def pair(session: Session) -> tuple[int, int]:
    """Give an RSA key that encrypts and decrypts."""
    return import_rsa(session, private_rsa(), {CKA.ENCRYPT: True}, {CKA.DECRYPT: True})


@_needs_pkcs
@pytest.mark.parametrize("length", [0, 1, 245])
def test_pkcs_goes_both_ways(session: Session, pair: tuple[int, int], length: int) -> None:
    """Each side reads the other's ciphertext, which has the modulus's length."""
    data = b"x" * length
    encrypted = session.encrypt(_PKCS, pair[0], data)
    assert 256 == len(encrypted)
    assert data == private_rsa().decrypt(encrypted, padding.PKCS1v15())
    assert data == session.decrypt(_PKCS, pair[1], private_rsa().public_key().encrypt(data, padding.PKCS1v15()))


@_needs_pkcs
def test_pkcs_refuses_data_that_does_not_fit(session: Session, pair: tuple[int, int]) -> None:
    """One byte more is CKR_DATA_LEN_RANGE, and the operation is over."""
    session.init("Encrypt", _PKCS, pair[0])
    expect(CKR.DATA_LEN_RANGE, session.output, "C_Encrypt", b"x" * 246, 246)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_Encrypt", b"x", 1)


@_needs_pkcs
@pytest.mark.parametrize("length", [0, 255, 257])
def test_ciphertext_of_the_wrong_length_is_refused(session: Session, pair: tuple[int, int], length: int) -> None:
    """CKR_ENCRYPTED_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_INVALID (5.10)."""
    expect(_BROKEN, session.decrypt, _PKCS, pair[1], bytes(length))


@_needs_oaep
@pytest.mark.parametrize("label", [b"", b"label"], ids=["no-label", "label"])
@pytest.mark.parametrize("name", ["SHA_1", "SHA256", "SHA512"])
def test_oaep_goes_both_ways(session: Session, pair: tuple[int, int], name: str, label: bytes) -> None:
    """Each side reads the other's ciphertext, with each hash and a label."""
    hasher = {"SHA_1": hashes.SHA1, "SHA256": hashes.SHA256, "SHA512": hashes.SHA512}[name]()
    scheme = padding.OAEP(padding.MGF1(hasher), hasher, label)
    mechanism = oaep(getattr(CKM, name), getattr(CKG, "MGF1_" + name.replace("_", "")), label)
    assert _DATA == private_rsa().decrypt(session.encrypt(mechanism, pair[0], _DATA), scheme)
    assert _DATA == session.decrypt(mechanism, pair[1], private_rsa().public_key().encrypt(_DATA, scheme))


@_needs_oaep
def test_oaep_refuses_data_that_does_not_fit(session: Session, pair: tuple[int, int]) -> None:
    """With SHA-1 and 2048 bits 214 bytes fit; one more is CKR_DATA_LEN_RANGE."""
    assert 256 == len(session.encrypt(oaep(), pair[0], bytes(214)))
    session.init("Encrypt", oaep(), pair[0])
    expect(CKR.DATA_LEN_RANGE, session.output, "C_Encrypt", bytes(215), 215)


@_needs_oaep
def test_oaep_with_a_changed_ciphertext_is_refused(session: Session, pair: tuple[int, int]) -> None:
    """CKR_ENCRYPTED_DATA_INVALID for what was changed."""
    encrypted = session.encrypt(oaep(), pair[0], _DATA)
    expect(_BROKEN, session.decrypt, oaep(), pair[1], encrypted[:-1] + bytes([encrypted[-1] ^ 1]))


@_needs_oaep
@pytest.mark.parametrize(
    "mechanism",
    [lambda: Mechanism(CKM.RSA_PKCS_OAEP), lambda: oaep(CKM.AES_CBC), lambda: oaep(mask=77)],
    ids=["no-parameter", "no-hash", "no-mask"],
)
def test_oaep_with_a_bad_parameter_is_refused(session: Session, pair: tuple[int, int], mechanism: object) -> None:
    """CKR_MECHANISM_PARAM_INVALID, before any data."""
    codes = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
    expect(codes, session.init, "Encrypt", mechanism(), pair[0])  # type: ignore[operator]


@_needs_pkcs
def test_halves_of_a_pair_are_not_exchanged(session: Session, pair: tuple[int, int]) -> None:
    """A private key does not encrypt, a public one does not decrypt."""
    codes = (CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_FUNCTION_NOT_PERMITTED, CKR.KEY_HANDLE_INVALID)
    expect(codes, session.init, "Encrypt", _PKCS, pair[1])
    expect(codes, session.init, "Decrypt", _PKCS, pair[0])

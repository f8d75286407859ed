"""RSA signatures: PKCS #1 v1.5, PSS, and the mechanisms that hash first."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from ptkc.spec.constants import CKA, CKG, CKM, CKR

from .cryptoki import Session, expect
from .keys import import_rsa, private_rsa
from .parameters import Mechanism, needs, pss

_DATA = b"a message to be signed, somewhat longer than one block of the hash, or so it is hoped"
_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_HASHES: dict[str, Any] = {
    "SHA_1": hashes.SHA1, "SHA224": hashes.SHA224, "SHA256": hashes.SHA256, "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512, "SHA3_256": hashes.SHA3_256,
}  # fmt: skip
_HASHED = [needs(f"{name.replace('SHA_1', 'SHA1')}_RSA_PKCS", name) for name in _HASHES]
_PSS = [needs(f"{name.replace('SHA_1', 'SHA1')}_RSA_PKCS_PSS", name) for name in _HASHES]
_WRONG = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
_PKCS = Mechanism(CKM.RSA_PKCS)


@pytest.fixture
def pair(session: Session) -> tuple[int, int]:
    """Give an RSA key that verifies and signs."""
    return import_rsa(session, private_rsa(), {CKA.VERIFY: True}, {CKA.SIGN: True})


def _pss(name: str, kind: int, salt: int) -> Mechanism:
    """Return a PSS mechanism for one of `_HASHES`."""
    return pss(kind, getattr(CKM, name), getattr(CKG, "MGF1_" + name.replace("SHA_1", "SHA1")), salt)


@pytest.mark.needs(CKM.RSA_PKCS)
def test_raw_pkcs_signs_what_it_is_given(session: Session, pair: tuple[int, int]) -> None:
    """CKM_RSA_PKCS pads the data and no more: with a DigestInfo it is an ordinary signature."""
    digest = hashlib.sha256(_DATA).digest()
    signature = session.sign(_PKCS, pair[1], _PREFIX + digest)
    private_rsa().public_key().verify(signature, _DATA, padding.PKCS1v15(), hashes.SHA256())
    session.verify(_PKCS, pair[0], _PREFIX + digest, signature)


@pytest.mark.needs(CKM.RSA_PKCS)
@pytest.mark.parametrize("length", [0, 1, 245])
def test_raw_pkcs_signs_any_data_that_fits(session: Session, pair: tuple[int, int], length: int) -> None:
    """Up to eleven bytes less than the modulus can be signed."""
    session.verify(_PKCS, pair[0], b"x" * length, session.sign(_PKCS, pair[1], b"x" * length))


@pytest.mark.needs(CKM.RSA_PKCS)
def test_raw_pkcs_refuses_data_that_does_not_fit(session: Session, pair: tuple[int, int]) -> None:
    """One byte more is CKR_DATA_LEN_RANGE, and the operation is over."""
    session.init("Sign", _PKCS, pair[1])
    expect(CKR.DATA_LEN_RANGE, session.output, "C_Sign", b"x" * 246, 246)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_Sign", b"x", 1)


@pytest.mark.needs(CKM.RSA_X_509)
def test_bare_rsa_signs_a_number(session: Session, pair: tuple[int, int]) -> None:
    """CKM_RSA_X_509 raises to the private exponent and pads nothing (6.1.8)."""
    numbers = private_rsa().private_numbers()
    block = b"\0" + hashlib.shake_128(_DATA).digest(255)
    signature = session.sign(Mechanism(CKM.RSA_X_509), pair[1], block)
    known = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")
    assert known == signature
    session.verify(Mechanism(CKM.RSA_X_509), pair[0], block, signature)


@pytest.mark.parametrize(("name", "algorithm"), _HASHED)
def test_hashing_pkcs_is_an_ordinary_signature(
    session: Session, pair: tuple[int, int], name: str, algorithm: str
) -> None:
    """In one part or several, the signature is what `cryptography` makes and accepts."""
    mechanism = Mechanism(getattr(CKM, name))
    known = private_rsa().sign(_DATA, padding.PKCS1v15(), _HASHES[algorithm]())
    assert known == session.sign(mechanism, pair[1], _DATA)
    assert known == session.sign_parts(mechanism, pair[1], [_DATA[:1], b"", _DATA[1:50], _DATA[50:]])
    session.verify(mechanism, pair[0], _DATA, known)
    session.verify_parts(mechanism, pair[0], [_DATA[:33], _DATA[33:]], known)


@pytest.mark.parametrize(("name", "algorithm"), _PSS)
def test_hashing_pss_is_an_ordinary_signature(
    session: Session, pair: tuple[int, int], name: str, algorithm: str
) -> None:
    """Each side accepts the other's signature, in one part or several."""
    hasher = _HASHES[algorithm]()
    mechanism = _pss(algorithm, getattr(CKM, name), hasher.digest_size)
    scheme = padding.PSS(padding.MGF1(hasher), hasher.digest_size)
    for signature in (
        session.sign(mechanism, pair[1], _DATA),
        session.sign_parts(mechanism, pair[1], [_DATA[:20], _DATA[20:]]),
    ):
        private_rsa().public_key().verify(signature, _DATA, scheme, hasher)
    known = private_rsa().sign(_DATA, scheme, hasher)
    session.verify(mechanism, pair[0], _DATA, known)
    session.verify_parts(mechanism, pair[0], [_DATA[:33], _DATA[33:]], known)


@pytest.mark.needs(CKM.RSA_PKCS_PSS)
@pytest.mark.parametrize("salt", [0, 20, 32])
def test_raw_pss_signs_a_digest(session: Session, pair: tuple[int, int], salt: int) -> None:
    """CKM_RSA_PKCS_PSS takes the digest, with any salt length that fits."""
    mechanism = _pss("SHA256", CKM.RSA_PKCS_PSS, salt)
    signature = session.sign(mechanism, pair[1], hashlib.sha256(_DATA).digest())
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    private_rsa().public_key().verify(signature, _DATA, scheme, hashes.SHA256())


@pytest.mark.needs(CKM.RSA_PKCS_PSS)
def test_raw_pss_refuses_what_is_no_digest(session: Session, pair: tuple[int, int]) -> None:
    """Data of another length than the hash's is CKR_DATA_LEN_RANGE."""
    session.init("Sign", _pss("SHA256", CKM.RSA_PKCS_PSS, 32), pair[1])
    expect(CKR.DATA_LEN_RANGE, session.output, "C_Sign", b"x" * 31, 31)


@pytest.mark.needs(CKM.SHA256_RSA_PKCS_PSS)
@pytest.mark.parametrize("digest", ["SHA_1", "MD5"])
def test_pss_refuses_a_hash_that_is_not_the_mechanisms(session: Session, pair: tuple[int, int], digest: str) -> None:
    """CKM_SHA256_RSA_PKCS_PSS is for SHA-256: CKR_MECHANISM_PARAM_INVALID."""
    mechanism = pss(CKM.SHA256_RSA_PKCS_PSS, getattr(CKM, digest), CKG.MGF1_SHA256, 32)
    expect(CKR.MECHANISM_PARAM_INVALID, session.init, "Sign", mechanism, pair[1])


@pytest.mark.needs(CKM.SHA256_RSA_PKCS_PSS)
def test_pss_without_or_with_half_a_parameter_is_refused(session: Session, pair: tuple[int, int]) -> None:
    """No parameter, or one of the wrong length, is CKR_MECHANISM_PARAM_INVALID."""
    codes = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
    expect(codes, session.init, "Sign", Mechanism(CKM.SHA256_RSA_PKCS_PSS), pair[1])
    expect(codes, session.init, "Sign", Mechanism(CKM.SHA256_RSA_PKCS_PSS, bytes(8)), pair[1])


@pytest.mark.needs(CKM.SHA256_RSA_PKCS)
@pytest.mark.parametrize("change", ["flipped", "other data", "short", "long", "empty"])
def test_wrong_signature_is_refused(session: Session, pair: tuple[int, int], change: str) -> None:
    """A changed signature is CKR_SIGNATURE_INVALID, one of another length CKR_SIGNATURE_LEN_RANGE."""
    mechanism = Mechanism(CKM.SHA256_RSA_PKCS)
    good = session.sign(mechanism, pair[1], _DATA)
    wrong, data = {
        "flipped": (good[:-1] + bytes([good[-1] ^ 1]), _DATA),
        "other data": (good, _DATA + b"x"),
        "short": (good[:-1], _DATA),
        "long": (good + b"\0", _DATA),
        "empty": (b"", _DATA),
    }[change]
    length = len(good) != len(wrong)
    expect(
        CKR.SIGNATURE_LEN_RANGE if length else CKR.SIGNATURE_INVALID, session.verify, mechanism, pair[0], data, wrong
    )
    expect(_WRONG, session.verify_parts, mechanism, pair[0], [data], wrong)
    session.verify(mechanism, pair[0], _DATA, good)


@pytest.mark.needs(CKM.RSA_PKCS)
def test_halves_of_a_pair_are_not_exchanged(session: Session, pair: tuple[int, int]) -> None:
    """A public key does not sign, a private one does not verify."""
    codes = (CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_FUNCTION_NOT_PERMITTED, CKR.KEY_HANDLE_INVALID)
    expect(codes, session.init, "Sign", _PKCS, pair[0])
    expect(codes, session.init, "Verify", _PKCS, pair[1])


@pytest.mark.needs(CKM.RSA_PKCS_KEY_PAIR_GEN, CKM.SHA256_RSA_PKCS)
def test_generated_pair_signs_and_verifies(session: Session) -> None:
    """A pair made by the token works together."""
    template = {CKA.MODULUS_BITS: 1024, CKA.PUBLIC_EXPONENT: b"\1\0\1", CKA.VERIFY: True}
    public, private = session.generate_pair(Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN), template, {CKA.SIGN: True})
    mechanism = Mechanism(CKM.SHA256_RSA_PKCS)
    session.verify(mechanism, public, _DATA, session.sign(mechanism, private, _DATA))

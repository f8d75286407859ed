"""HMAC, CMAC and their `_GENERAL` forms."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Session, expect
from .keys import AES_KEY, aes, generic
from .parameters import Mechanism, gcm, needs, ulong

_DATA = bytes(range(256))
_KEY = bytes(range(64))
_HMACS = [
    needs("SHA_1_HMAC", "sha1"), needs("SHA224_HMAC", "sha224"), needs("SHA256_HMAC", "sha256"),
    needs("SHA384_HMAC", "sha384"), needs("SHA512_HMAC", "sha512"), needs("SHA3_256_HMAC", "sha3_256"),
]  # fmt: skip
_GENERAL = [
    needs("SHA_1_HMAC_GENERAL", "sha1"), needs("SHA256_HMAC_GENERAL", "sha256"), needs("SHA512_HMAC_GENERAL", "sha512")
]  # fmt: skip
_CMAC = Mechanism(CKM.AES_CMAC)


@pytest.fixture
def secret(session: Session) -> int:
    """Give a generic secret that signs and verifies."""
    return generic(session, _KEY, SIGN=True, VERIFY=True)


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key that signs and verifies."""
    return aes(session, SIGN=True, VERIFY=True)


def _cmac(data: bytes) -> bytes:
    """Return the CMAC under AES_KEY."""
    known = cmac.CMAC(algorithms.AES(AES_KEY))
    known.update(data)
    return known.finalize()


@pytest.mark.parametrize(("name", "algorithm"), _HMACS)
def test_hmac_is_right(session: Session, secret: int, name: str, algorithm: str) -> None:
    """In one part, several, or none, the code is what `hmac` gives, and it verifies."""
    mechanism = Mechanism(getattr(CKM, name))
    known = hmac.digest(_KEY, _DATA, algorithm)
    assert known == session.sign(mechanism, secret, _DATA)
    assert known == session.sign_parts(mechanism, secret, [_DATA[:1], b"", _DATA[1:]])
    assert hmac.digest(_KEY, b"", algorithm) == session.sign(mechanism, secret, b"")
    session.verify(mechanism, secret, _DATA, known)
    session.verify_parts(mechanism, secret, [_DATA[:100], _DATA[100:]], known)


@pytest.mark.parametrize(("name", "algorithm"), _GENERAL)
@pytest.mark.parametrize("length", [1, 10, 20])
def test_general_hmac_is_cut(session: Session, secret: int, name: str, algorithm: str, length: int) -> None:
    """The parameter says how many of the first bytes make the code."""
    mechanism = ulong(getattr(CKM, name), length)
    known = hmac.digest(_KEY, _DATA, algorithm)[:length]
    assert known == session.sign(mechanism, secret, _DATA)
    session.verify(mechanism, secret, _DATA, known)


@pytest.mark.needs(CKM.SHA256_HMAC_GENERAL)
@pytest.mark.parametrize("length", [33, 2**63])
def test_general_hmac_refuses_more_than_there_is(session: Session, secret: int, length: int) -> None:
    """More bytes than the hash has are CKR_MECHANISM_PARAM_INVALID."""
    expect(CKR.MECHANISM_PARAM_INVALID, session.init, "Sign", ulong(CKM.SHA256_HMAC_GENERAL, length), secret)


@pytest.mark.needs(CKM.AES_CMAC)
@pytest.mark.parametrize("length", [0, 1, 16, 17, 200])
def test_cmac_is_right(session: Session, key: int, length: int) -> None:
    """In one part or several, the code is what `cryptography` gives, and it verifies."""
    data = _DATA[:length]
    assert _cmac(data) == session.sign(_CMAC, key, data)
    assert _cmac(data) == session.sign_parts(_CMAC, key, [data[:7], data[7:]])
    session.verify(_CMAC, key, data, _cmac(data))
    session.verify_parts(_CMAC, key, [data[:15], data[15:]], _cmac(data))


@pytest.mark.needs(CKM.AES_CMAC_GENERAL)
def test_general_cmac_is_cut(session: Session, key: int) -> None:
    """The parameter says how many of the first bytes make the code."""
    mechanism = ulong(CKM.AES_CMAC_GENERAL, 8)
    assert _cmac(_DATA)[:8] == session.sign(mechanism, key, _DATA)
    session.verify(mechanism, key, _DATA, _cmac(_DATA)[:8])


@pytest.mark.needs(CKM.DES3_CMAC)
@pytest.mark.parametrize("length", [0, 1, 8, 9, 200])
def test_cmac_of_des3_is_right(session: Session, length: int) -> None:
    """With a key of three parts the code is what `cryptography` gives, in one part and in several."""
    value = bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123")
    key = session.create(
        {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.DES3, CKA.VALUE: value, CKA.SIGN: True, CKA.VERIFY: True}
    )
    mechanism, data = Mechanism(CKM.DES3_CMAC), _DATA[:length]
    known = cmac.CMAC(TripleDES(value))
    known.update(data)
    code = known.finalize()
    assert code == session.sign(mechanism, key, data)
    assert code == session.sign_parts(mechanism, key, [data[:3], data[3:]])
    session.verify(mechanism, key, data, code)


@pytest.mark.needs(CKM.AES_GMAC)
def test_gmac_is_the_tag_of_associated_data(session: Session, key: int) -> None:
    """CKM_AES_GMAC is GCM over associated data alone (6.14.7)."""
    mechanism = gcm(bytes(range(12)), kind=CKM.AES_GMAC)
    known = AESGCM(AES_KEY).encrypt(bytes(range(12)), b"", _DATA)
    assert known == session.sign(mechanism, key, _DATA)
    assert known == session.sign_parts(mechanism, key, [_DATA[:7], _DATA[7:]])
    session.verify(mechanism, key, _DATA, known)


@pytest.mark.parametrize(("name", "maker"), [needs("SHA256_HMAC", "secret"), needs("AES_CMAC", "key")])
@pytest.mark.parametrize("change", ["flipped", "short", "long", "empty"])
def test_wrong_code_is_refused(
    request: pytest.FixtureRequest, session: Session, name: str, maker: str, change: str
) -> None:
    """A changed code is CKR_SIGNATURE_INVALID, one of another length CKR_SIGNATURE_LEN_RANGE."""
    mechanism, handle = Mechanism(getattr(CKM, name)), request.getfixturevalue(maker)
    good = session.sign(mechanism, handle, _DATA)
    wrong = {"flipped": bytes([good[0] ^ 1]) + good[1:], "short": good[:-1], "long": good + b"\0", "empty": b""}[change]
    code = CKR.SIGNATURE_INVALID if len(wrong) == len(good) else CKR.SIGNATURE_LEN_RANGE
    expect(code, session.verify, mechanism, handle, _DATA, wrong)
    expect(code, session.verify_parts, mechanism, handle, [_DATA], wrong)


@pytest.mark.needs(CKM.SHA256_HMAC, CKM.AES_CMAC)
def test_key_of_another_type_is_refused(session: Session, secret: int) -> None:
    """CMAC wants an AES key: CKR_KEY_TYPE_INCONSISTENT."""
    expect(CKR.KEY_TYPE_INCONSISTENT, session.init, "Sign", _CMAC, secret)


@pytest.mark.needs(CKM.SHA256_HMAC)
def test_key_that_does_not_sign_is_refused(session: Session) -> None:
    """CKA_SIGN and CKA_VERIFY are asked each for itself: CKR_KEY_FUNCTION_NOT_PERMITTED."""
    mechanism = Mechanism(CKM.SHA256_HMAC)
    signs, verifies = generic(session, _KEY, SIGN=True, VERIFY=False), generic(session, _KEY, SIGN=False, VERIFY=True)
    session.verify(mechanism, verifies, _DATA, session.sign(mechanism, signs, _DATA))
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, "Sign", mechanism, verifies)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, "Verify", mechanism, signs)


@pytest.mark.needs(CKM.GENERIC_SECRET_KEY_GEN, CKM.SHA256_HMAC)
def test_generated_secret_authenticates(session: Session) -> None:
    """A generic secret made by the token signs and verifies."""
    mechanism = Mechanism(CKM.SHA256_HMAC)
    template = {CKA.VALUE_LEN: 32, CKA.SIGN: True, CKA.VERIFY: True}
    handle = session.generate(Mechanism(CKM.GENERIC_SECRET_KEY_GEN), template)
    session.verify(mechanism, handle, _DATA, session.sign(mechanism, handle, _DATA))

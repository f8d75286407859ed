"""C_SignRecover and C_VerifyRecover: RSA signatures that carry their data."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKA, CKF, CKM, CKR

from .cryptoki import Session, expect
from .keys import import_rsa, private_rsa
from .parameters import Mechanism

_PKCS = Mechanism(CKM.RSA_PKCS)
pytestmark = pytest.mark.needs(CKM.RSA_PKCS)


def _recovers(mechanisms: dict[int, int]) -> bool:
    """Return whether CKM_RSA_PKCS recovers: it need not."""
    return bool(mechanisms[CKM.RSA_PKCS] & CKF.SIGN_RECOVER)


@pytest.fixture
def pair(session: Session) -> tuple[int, int]:
    """Give an RSA key that signs and recovers."""
    return import_rsa(session, private_rsa(), {CKA.VERIFY_RECOVER: True}, {CKA.SIGN_RECOVER: True, CKA.SIGN: True})


def test_signature_gives_its_data_back(session: Session, pair: tuple[int, int], mechanisms: dict[int, int]) -> None:
    """What C_SignRecover signed is what C_VerifyRecover gives, and it is the signature C_Sign makes."""
    if not _recovers(mechanisms):
        return
    signature = session.cipher("SignRecover", _PKCS, pair[1], b"data")
    assert session.sign(_PKCS, pair[1], b"data") == signature
    assert b"data" == session.cipher("VerifyRecover", _PKCS, pair[0], signature)


def test_wrong_signature_gives_nothing(session: Session, pair: tuple[int, int], mechanisms: dict[int, int]) -> None:
    """CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE, and the operation is over."""
    if not _recovers(mechanisms):
        return
    for wrong in (bytes(256), bytes(255)):
        expect((CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE), session.cipher, "VerifyRecover", _PKCS, pair[0], wrong)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_VerifyRecover", wrong, len(wrong))


@pytest.mark.parametrize("name", ["SignRecover", "VerifyRecover"])
def test_recovery_without_init_is_refused(session: Session, name: str) -> None:
    """No operation: CKR_OPERATION_NOT_INITIALIZED, or not supported at all."""
    codes = (CKR.OPERATION_NOT_INITIALIZED, CKR.FUNCTION_NOT_SUPPORTED)
    expect(codes, session.output, f"C_{name}", b"data", 4)


@pytest.mark.parametrize("name", ["SignRecover", "VerifyRecover"])
def test_recovery_is_begun_only_where_it_is_offered(
    session: Session, pair: tuple[int, int], mechanisms: dict[int, int], name: str
) -> None:
    """Without CKF_SIGN_RECOVER the Init is CKR_MECHANISM_INVALID or not supported; with it, it begins."""
    key = pair[1] if name == "SignRecover" else pair[0]
    if _recovers(mechanisms):
        session.init(name, _PKCS, key)
    else:
        expect((CKR.MECHANISM_INVALID, CKR.FUNCTION_NOT_SUPPORTED), session.init, name, _PKCS, key)


def test_key_that_must_not_sign_does_not_do_so_by_the_other_name(session: Session, mechanisms: dict[int, int]) -> None:
    """An application that forbids CKA_SIGN need not know CKA_SIGN_RECOVER (raw, it is raw decryption)."""
    if not _recovers(mechanisms):
        return
    key = import_rsa(session, private_rsa(), None, {CKA.SIGN: False, CKA.DECRYPT: True})[1]
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, "SignRecover", _PKCS, key)

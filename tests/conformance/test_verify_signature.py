"""C_VerifySignature*: the signature is given before the data (5.15.7 to 5.15.10)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ptkc.spec.constants import CKA, CKF, CKM, CKR

from .cryptoki import NULL, Session, expect
from .keys import aes, generic, import_ec, import_ed25519, import_rsa, private_ec, private_ed25519, private_rsa
from .parameters import Mechanism, needs

_CMAC = Mechanism(CKM.AES_CMAC)
_DATA = bytes(range(100))
_VERIFY, _SIGN = {CKA.VERIFY: True}, {CKA.SIGN: True}
pytestmark = [pytest.mark.needs_function("C_VerifySignatureInit"), pytest.mark.needs(CKM.AES_CMAC)]

_WHOLE, _PARTS = False, True
Keys = Callable[[Session], tuple[int, int]]
_CASES = [
    needs("SHA256_HMAC", lambda session: (generic(session, bytes(32), SIGN=True, VERIFY=True),) * 2, _PARTS),
    needs("AES_CMAC", lambda session: (aes(session, SIGN=True, VERIFY=True),) * 2, _PARTS),
    needs("RSA_PKCS", lambda session: import_rsa(session, private_rsa(), _VERIFY, _SIGN), _WHOLE),
    needs("RSA_X_509", lambda session: import_rsa(session, private_rsa(), _VERIFY, _SIGN), _WHOLE),
    needs("SHA256_RSA_PKCS", lambda session: import_rsa(session, private_rsa(), _VERIFY, _SIGN), _PARTS),
    needs("ECDSA", lambda session: import_ec(session, private_ec(), _VERIFY, _SIGN), _WHOLE),
    needs("ECDSA_SHA256", lambda session: import_ec(session, private_ec(), _VERIFY, _SIGN), _PARTS),
    needs("EDDSA", lambda session: import_ed25519(session, private_ed25519(), _VERIFY, _SIGN), _PARTS),
]
_each_mechanism = pytest.mark.parametrize(("name", "keys", "parts"), _CASES)


def _init(session: Session, mechanism: Mechanism, key: int, signature: bytes) -> None:
    """Begin with the signature."""
    session.call("C_VerifySignatureInit", mechanism.pointer, key, signature, len(signature))


def _whole(session: Session, data: bytes = _DATA) -> None:
    """Verify in one part."""
    session.call("C_VerifySignature", data, len(data))


def _parts(session: Session, data: bytes = _DATA) -> None:
    """Verify in several parts."""
    session.call("C_VerifySignatureUpdate", data[:10], 10)
    session.call("C_VerifySignatureUpdate", data[10:], len(data) - 10)
    session.call("C_VerifySignatureFinal")


@_each_mechanism
def test_signature_that_comes_first_is_verified(session: Session, name: str, keys: Keys, *, parts: bool) -> None:
    """Whatever C_VerifyInit takes, C_VerifySignatureInit takes; right and wrong ones, whole and in parts."""
    mechanism = Mechanism(getattr(CKM, name))
    public, private = keys(session)
    signature = session.sign(mechanism, private, _DATA[:32])
    for way in (_whole, _parts) if parts else (_whole,):
        _init(session, mechanism, public, signature)
        way(session, _DATA[:32])
        expect(CKR.OPERATION_NOT_INITIALIZED, way, session)
        _init(session, mechanism, public, signature)
        expect(CKR.SIGNATURE_INVALID, way, session, _DATA[1:33])
        expect(CKR.OPERATION_NOT_INITIALIZED, way, session)
        for wrong in (signature[:-1], b""):
            codes = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
            try:
                expect(codes, _init, session, mechanism, public, wrong)
            except AssertionError:
                expect(codes, way, session, _DATA[:32])


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key that signs and verifies."""
    return aes(session, SIGN=True, VERIFY=True)


def test_verification_without_init_is_refused(session: Session) -> None:
    """CKR_OPERATION_NOT_INITIALIZED of each; C_VerifyInit begins something else."""
    expect(CKR.OPERATION_NOT_INITIALIZED, _whole, session)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_VerifySignatureUpdate", _DATA, 100)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_VerifySignatureFinal")


def test_second_init_is_refused_and_the_first_goes_on(session: Session, key: int) -> None:
    """CKR_OPERATION_ACTIVE."""
    mac = session.sign(_CMAC, key, _DATA)
    _init(session, _CMAC, key, mac)
    expect(CKR.OPERATION_ACTIVE, _init, session, _CMAC, key, bytes(16))
    _whole(session)


def test_single_part_after_a_part_ends_it(session: Session, key: int) -> None:
    """C_VerifySignature always ends the operation."""
    _init(session, _CMAC, key, session.sign(_CMAC, key, _DATA))
    session.call("C_VerifySignatureUpdate", _DATA, 10)
    expect((CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED), _whole, session)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_VerifySignatureFinal")


def test_refused_argument_ends_it(session: Session, key: int) -> None:
    """A NULL pointer with a length is CKR_ARGUMENTS_BAD and ends the operation; of the Init it begins nothing."""
    expect(CKR.ARGUMENTS_BAD, session.call, "C_VerifySignatureInit", _CMAC.pointer, key, NULL, 16)
    expect(CKR.OPERATION_NOT_INITIALIZED, _whole, session)
    _init(session, _CMAC, key, bytes(16))
    expect(CKR.ARGUMENTS_BAD, session.call, "C_VerifySignatureUpdate", NULL, 16)
    expect(CKR.OPERATION_NOT_INITIALIZED, _whole, session)


def test_it_is_cancelled(session: Session, key: int) -> None:
    """By an Init with a NULL mechanism, and by C_SessionCancel with CKF_VERIFY."""
    _init(session, _CMAC, key, bytes(16))
    session.call("C_VerifySignatureInit", NULL, 0, NULL, 0)
    expect(CKR.OPERATION_NOT_INITIALIZED, _whole, session)
    _init(session, _CMAC, key, bytes(16))
    session.call("C_SessionCancel", CKF.VERIFY)
    expect(CKR.OPERATION_NOT_INITIALIZED, _whole, session)


def test_key_must_verify(session: Session) -> None:
    """CKA_VERIFY is what allows it."""
    key = aes(session, SIGN=True, VERIFY=False)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, _init, session, _CMAC, key, bytes(16))
    expect(CKR.KEY_HANDLE_INVALID, _init, session, _CMAC, 0, bytes(16))


def test_refused_argument_ends_the_one_verification_only(session: Session, key: int) -> None:
    """What C_VerifyInit and C_VerifySignatureInit began are two operations, though CKF_VERIFY names both."""
    mac = session.sign(_CMAC, key, _DATA)
    session.init("Verify", _CMAC, key)
    _init(session, _CMAC, key, mac)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_VerifySignatureUpdate", NULL, 5)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_VerifySignatureUpdate", _DATA, 5)
    _init(session, _CMAC, key, mac)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_VerifyUpdate", NULL, 5)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_VerifyUpdate", _DATA, 5)
    session.call("C_VerifySignature", _DATA, len(_DATA))


def test_it_goes_on_from_a_saved_state(session: Session, key: int) -> None:
    """The signature is part of the state."""
    _init(session, _CMAC, key, session.sign(_CMAC, key, _DATA))
    session.call("C_VerifySignatureUpdate", _DATA, 10)
    state = session.output("C_GetOperationState")
    session.call("C_SessionCancel", CKF.VERIFY)
    session.call("C_SetOperationState", state, len(state), 0, key)
    session.call("C_VerifySignatureUpdate", _DATA[10:], 90)
    session.call("C_VerifySignatureFinal")

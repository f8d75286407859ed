"""Message-based signing and verification: every signature mechanism, whole messages and parts, and the states."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ptkc.spec.constants import CKA, CKF, CKG, CKM, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Session, expect
from .fresh_token import USER_PIN
from .keys import aes, generic, import_ec, import_ed25519, import_rsa, private_ec, private_ed25519, private_rsa
from .messages import NONE, Gcm
from .parameters import Mechanism, needs, pss, ulong

_CMAC = Mechanism(CKM.AES_CMAC)
_DATA = bytes(range(100))
pytestmark = [pytest.mark.needs_function("C_MessageSignInit"), pytest.mark.needs(CKM.AES_CMAC)]

_SIGN, _VERIFY = {CKA.SIGN: True}, {CKA.VERIFY: True}
_USES = {"SIGN": True, "VERIFY": True}


def _secret(session: Session) -> tuple[int, int]:
    key = generic(session, bytes(range(32)), **_USES)
    return key, key


def _symmetric(session: Session) -> tuple[int, int]:
    key = aes(session, **_USES)
    return key, key


def _rsa(session: Session) -> tuple[int, int]:
    return import_rsa(session, private_rsa(), _VERIFY, _SIGN)


def _ec(session: Session) -> tuple[int, int]:
    return import_ec(session, private_ec(), _VERIFY, _SIGN)


def _edwards(session: Session) -> tuple[int, int]:
    return import_ed25519(session, private_ed25519(), _VERIFY, _SIGN)


Keys = Callable[[Session], tuple[int, int]]
# (keys, mechanism, data): the public and the private key, or a secret one twice.
_CASES = [
    needs("SHA256_HMAC", _secret, Mechanism(CKM.SHA256_HMAC), _DATA),
    needs("SHA256_HMAC_GENERAL", _secret, ulong(CKM.SHA256_HMAC_GENERAL, 10), _DATA),
    needs("AES_CMAC", _symmetric, _CMAC, _DATA),
    needs("RSA_PKCS", _rsa, Mechanism(CKM.RSA_PKCS), _DATA),
    needs("RSA_X_509", _rsa, Mechanism(CKM.RSA_X_509), _DATA),
    needs("SHA256_RSA_PKCS", _rsa, Mechanism(CKM.SHA256_RSA_PKCS), _DATA),
    needs("SHA256_RSA_PKCS_PSS", _rsa, pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, CKG.MGF1_SHA256, 32), _DATA),
    needs("ECDSA", _ec, Mechanism(CKM.ECDSA), bytes(32)),
    needs("ECDSA_SHA256", _ec, Mechanism(CKM.ECDSA_SHA256), _DATA),
    needs("EDDSA", _edwards, Mechanism(CKM.EDDSA), _DATA),
]
_each_mechanism = pytest.mark.parametrize(("name", "keys", "mechanism", "data"), _CASES)


def _sign(session: Session, data: bytes, pair: tuple[object, int] = NONE) -> bytes:
    """Call C_SignMessage, asking for the length first."""
    return session.output("C_SignMessage", *pair, data, len(data))


def _verify(session: Session, data: bytes, signature: bytes) -> None:
    """Call C_VerifyMessage."""
    session.call("C_VerifyMessage", *NONE, data, len(data), signature, len(signature))


def _sign_parts(session: Session, *parts: bytes) -> bytes:
    """Sign a message in parts: a NULL pulSignatureLen says that more is to follow."""
    session.call("C_SignMessageBegin", *NONE)
    for part in parts[:-1]:
        session.call("C_SignMessageNext", *NONE, part, len(part), NULL, NULL)
    return session.output("C_SignMessageNext", *NONE, parts[-1], len(parts[-1]))


def _verify_parts(session: Session, signature: bytes, *parts: bytes) -> None:
    """Verify a message in parts: a NULL pSignature says that more is to follow."""
    session.call("C_VerifyMessageBegin", *NONE)
    for part in parts[:-1]:
        session.call("C_VerifyMessageNext", *NONE, part, len(part), NULL, 0)
    session.call("C_VerifyMessageNext", *NONE, parts[-1], len(parts[-1]), signature, len(signature))


@_each_mechanism
def test_messages_are_signed_and_verified(
    session: Session, name: str, keys: Keys, mechanism: Mechanism, data: bytes
) -> None:
    """C_Verify takes what C_SignMessage makes, and the other way round; one Init is for many messages."""
    assert mechanism.kind == getattr(CKM, name)
    public, private = keys(session)
    session.init("MessageSign", mechanism, private)
    signatures = [_sign(session, data), _sign(session, data), _sign_parts(session, data[:10], data[10:])]
    session.call("C_MessageSignFinal")
    for signature in signatures:
        session.verify(mechanism, public, data, signature)
    session.init("MessageVerify", mechanism, public)
    for signature in (*signatures, session.sign(mechanism, private, data)):
        _verify(session, data, signature)
        _verify_parts(session, signature, data[:1], b"", data[1:])
        _verify_parts(session, signature, data, b"")
    session.call("C_MessageVerifyFinal")


@_each_mechanism
def test_wrong_signature_of_a_message_is_refused(
    session: Session, name: str, keys: Keys, mechanism: Mechanism, data: bytes
) -> None:
    """CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE, and the next message is verified all the same."""
    assert mechanism.kind == getattr(CKM, name)
    public, private = keys(session)
    signature = session.sign(mechanism, private, data)
    session.init("MessageVerify", mechanism, public)
    for wrong in (signature[:-1] + bytes([signature[-1] ^ 1]), signature[:-1], b""):
        codes = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
        expect(codes, _verify, session, data, wrong)
        expect(codes, _verify_parts, session, wrong or b"\0", data[:1], data[1:])
    _verify(session, data, signature)


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key that signs and verifies."""
    return aes(session, **_USES)


def test_message_functions_without_init_are_refused(session: Session) -> None:
    """CKR_OPERATION_NOT_INITIALIZED of each."""
    code = CKR.OPERATION_NOT_INITIALIZED
    expect(code, _sign, session, _DATA)
    expect(code, session.call, "C_SignMessageBegin", *NONE)
    expect(code, session.call, "C_SignMessageNext", *NONE, _DATA, 100, NULL, NULL)
    expect(code, session.output, "C_SignMessageNext", *NONE, _DATA, 100)
    expect(code, session.call, "C_MessageSignFinal")
    expect(code, _verify, session, _DATA, bytes(16))
    expect(code, session.call, "C_VerifyMessageBegin", *NONE)
    expect(code, session.call, "C_VerifyMessageNext", *NONE, _DATA, 100, NULL, 0)
    expect(code, session.call, "C_VerifyMessageNext", *NONE, _DATA, 100, bytes(16), 16)
    expect(code, session.call, "C_MessageVerifyFinal")


def test_middle_of_a_signed_message_allows_only_its_parts(session: Session, key: int) -> None:
    """CKR_OPERATION_ACTIVE for another message and for the end; parts without a beginning are refused too."""
    session.init("MessageSign", _CMAC, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_SignMessageNext", *NONE, _DATA, 100, NULL, NULL)
    session.call("C_SignMessageBegin", *NONE)
    session.call("C_SignMessageNext", *NONE, _DATA, 10, NULL, NULL)
    expect(CKR.OPERATION_ACTIVE, _sign, session, _DATA)
    expect(CKR.OPERATION_ACTIVE, session.call, "C_SignMessageBegin", *NONE)
    expect(CKR.OPERATION_ACTIVE, session.call, "C_MessageSignFinal")
    signature = session.output("C_SignMessageNext", *NONE, _DATA[10:], 90)
    assert session.sign(_CMAC, key, _DATA) == signature
    session.init("MessageVerify", _CMAC, key)
    session.call("C_VerifyMessageBegin", *NONE)
    session.call("C_VerifyMessageNext", *NONE, _DATA, 10, NULL, 0)
    expect(CKR.OPERATION_ACTIVE, _verify, session, _DATA, signature)
    expect(CKR.OPERATION_ACTIVE, session.call, "C_VerifyMessageBegin", *NONE)
    expect(CKR.OPERATION_ACTIVE, session.call, "C_MessageVerifyFinal")
    session.call("C_VerifyMessageNext", *NONE, _DATA[10:], 90, signature, 16)
    session.call("C_MessageVerifyFinal")


def test_little_room_for_a_signature_keeps_the_message(session: Session, key: int) -> None:
    """CKR_BUFFER_TOO_SMALL takes neither the last part nor the message."""
    session.init("MessageSign", _CMAC, key)
    length, buffer = ffi.new("CK_ULONG *", 15), ffi.new("CK_BYTE[16]")
    arguments = (*NONE, _DATA, 100, buffer, length)
    expect(CKR.BUFFER_TOO_SMALL, session.call, "C_SignMessage", *arguments)
    assert 16 == length[0]
    session.call("C_SignMessage", *arguments)
    whole = bytes(buffer)
    session.call("C_SignMessageBegin", *NONE)
    length[0] = 15
    expect(CKR.BUFFER_TOO_SMALL, session.call, "C_SignMessageNext", *arguments)
    session.call("C_SignMessageNext", *arguments)
    assert whole == bytes(buffer)


def test_parameter_of_a_message_is_refused(session: Session, key: int) -> None:
    """No signature mechanism has one: CKR_MECHANISM_PARAM_INVALID, which ends a message that is under way."""
    session.init("MessageSign", _CMAC, key)
    pair = Gcm(bytes(12)).pair
    expect(CKR.MECHANISM_PARAM_INVALID, _sign, session, _DATA, pair)
    expect(CKR.MECHANISM_PARAM_INVALID, session.call, "C_SignMessageBegin", *pair)
    session.call("C_SignMessageBegin", *NONE)
    expect(CKR.MECHANISM_PARAM_INVALID, session.call, "C_SignMessageNext", *pair, _DATA, 100, NULL, NULL)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_SignMessageNext", *NONE, _DATA, 100, NULL, NULL)
    assert 16 == len(_sign(session, _DATA))


@pytest.mark.needs(CKM.RSA_PKCS)
def test_too_much_data_ends_the_message_only(session: Session) -> None:
    """CKR_DATA_LEN_RANGE of a mechanism that takes little data, whole and in parts."""
    session.init("MessageSign", Mechanism(CKM.RSA_PKCS), _rsa(session)[1])
    expect(CKR.DATA_LEN_RANGE, _sign, session, bytes(246))
    session.call("C_SignMessageBegin", *NONE)
    session.call("C_SignMessageNext", *NONE, bytes(200), 200, NULL, NULL)
    expect(CKR.DATA_LEN_RANGE, session.output, "C_SignMessageNext", *NONE, bytes(46), 46)
    assert 256 == len(_sign(session, _DATA))


@pytest.mark.parametrize("name", ["Sign", "Verify"])
def test_signed_messages_are_cancelled(session: Session, key: int, name: str) -> None:
    """Init with a NULL mechanism, and C_SessionCancel, in the middle of a message too."""
    flag = CKF.MESSAGE_SIGN if name == "Sign" else CKF.MESSAGE_VERIFY
    for cancel in (
        lambda: session.call(f"C_Message{name}Init", NULL, 0),
        lambda: session.call("C_SessionCancel", flag),
    ):
        session.init(f"Message{name}", _CMAC, key)
        expect(CKR.OPERATION_ACTIVE, session.init, f"Message{name}", _CMAC, key)
        session.call(f"C_{name}MessageBegin", *NONE)
        cancel()
        expect(CKR.OPERATION_NOT_INITIALIZED, session.call, f"C_Message{name}Final")


@pytest.mark.parametrize("name", ["Sign", "Verify"])
def test_bits_that_no_flag_has_cancel_nothing_else(session: Session, key: int, name: str) -> None:
    """Bit 32 of the mask of C_SessionCancel does not spare the operation."""
    session.init(f"Message{name}", _CMAC, key)
    session.call(f"C_{name}MessageBegin", *NONE)
    session.call("C_SessionCancel", (CKF.MESSAGE_SIGN | CKF.MESSAGE_VERIFY) | 1 << 32)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, f"C_Message{name}Final")


@pytest.mark.parametrize("name", ["Sign", "Verify"])
def test_key_must_be_for_signed_messages(session: Session, name: str) -> None:
    """CKA_SIGN and CKA_VERIFY hold for messages."""
    key = aes(session, SIGN=name != "Sign", VERIFY=name != "Verify")
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, f"Message{name}", _CMAC, key)


@pytest.mark.needs(CKM.ECDSA)
def test_guarded_key_needs_a_login_for_each_message(session: Session) -> None:
    """CKA_ALWAYS_AUTHENTICATE: each message is a use, and one without a login ends nothing."""
    guarded = {CKA.SIGN: True, CKA.ALWAYS_AUTHENTICATE: True, CKA.PRIVATE: True}
    session.init("MessageSign", Mechanism(CKM.ECDSA), import_ec(session, private_ec(), None, guarded)[1])
    for _ in range(2):
        expect(CKR.USER_NOT_LOGGED_IN, _sign, session, bytes(32))
        expect(CKR.USER_NOT_LOGGED_IN, session.call, "C_SignMessageBegin", *NONE)
        session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
        assert 64 == len(_sign(session, bytes(32)))
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    assert 64 == len(_sign_parts(session, bytes(16), bytes(16)))
    expect(CKR.USER_NOT_LOGGED_IN, _sign, session, bytes(32))
    session.call("C_MessageSignFinal")


@pytest.mark.needs(CKM.ECDSA)
def test_signed_messages_end_with_the_login(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """C_Logout in any session ends what was begun with a private key."""
    session.init("MessageSign", Mechanism(CKM.ECDSA), _ec(session)[1])
    cryptoki.open(slot).logout()
    expect(CKR.OPERATION_NOT_INITIALIZED, _sign, session, bytes(32))


def test_every_signature_mechanism_signs_messages(mechanisms: dict[int, int]) -> None:
    """CKF_SIGN comes with CKF_MESSAGE_SIGN, CKF_VERIFY with CKF_MESSAGE_VERIFY, both with CKF_MULTI_MESSAGE.

    Not the vendor's mechanisms: certificates are no messages.
    """
    for flags in (flags for number, flags in mechanisms.items() if number < CKM.VENDOR_DEFINED):
        assert bool(flags & CKF.SIGN) is bool(flags & CKF.MESSAGE_SIGN)
        assert bool(flags & CKF.VERIFY) is bool(flags & CKF.MESSAGE_VERIFY)
        if flags & (CKF.SIGN | CKF.VERIFY):
            assert flags & CKF.MULTI_MESSAGE

"""C_GetOperationState and C_SetOperationState (5.6): digests, signatures, ciphers, their keys, and forged states."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ptkc.spec.constants import CKA, CKF, CKG, CKK, CKM, CKO, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Refused, Session, expect
from .fresh_token import USER_PIN
from .keys import AES_KEY, aes, generic, import_ec, import_rsa, private_ec, private_rsa
from .parameters import Mechanism, ctr, gcm, needs, pss
from .skips import unavailable

_SHA256, _CMAC, _HMAC = Mechanism(CKM.SHA256), Mechanism(CKM.AES_CMAC), Mechanism(CKM.SHA256_HMAC)
_DATA = bytes(range(200))
_MOST = 1 << 20  # what an operation may be given and still be saved
pytestmark = pytest.mark.needs(CKM.SHA256, CKM.SHA256_HMAC)


@pytest.fixture(autouse=True)
def _states(session: Session) -> None:
    """Skip where no state can be saved."""
    session.call("C_DigestInit", _SHA256.pointer)
    try:
        session.output("C_GetOperationState")
    except Refused as refused:
        assert refused.rv in (CKR.FUNCTION_NOT_SUPPORTED, CKR.STATE_UNSAVEABLE)  # noqa: PT017
        unavailable("operation states")
    session.output("C_DigestFinal")


def _save(session: Session) -> bytes:
    """Return the session's state."""
    return session.output("C_GetOperationState")


def _restore(session: Session, state: bytes, cipher: int = 0, signer: int = 0) -> None:
    """Restore a state with the keys for encryption and authentication."""
    session.call("C_SetOperationState", state, len(state), cipher, signer)


def _secret(session: Session, **more: bool) -> int:
    """Create an HMAC key."""
    return generic(session, bytes(range(32)), **more)


def test_digest_goes_on_from_its_state(session: Session) -> None:
    """What was digested since is forgotten; the state can be restored again and again."""
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestUpdate", _DATA, 150)
    state = _save(session)
    session.call("C_DigestUpdate", b"other", 5)
    for _ in range(2):
        _restore(session, state)
        session.call("C_DigestUpdate", _DATA[150:], 50)
        assert sha256(_DATA).digest() == session.output("C_DigestFinal")


def test_digest_that_has_just_begun_is_saved(session: Session) -> None:
    """A state without data allows a single part."""
    session.call("C_DigestInit", _SHA256.pointer)
    state = _save(session)
    session.output("C_DigestFinal")
    _restore(session, state)
    assert sha256(_DATA).digest() == session.output("C_Digest", _DATA, 200)


_MACS = [needs("SHA256_HMAC", _HMAC), needs("AES_CMAC", _CMAC)]


@pytest.mark.parametrize(("name", "mechanism"), _MACS)
def test_mac_goes_on_from_its_state(
    cryptoki: Cryptoki, session: Session, slot: int, name: str, mechanism: Mechanism
) -> None:
    """Signing and verifying, in another session, with the key in hAuthenticationKey."""
    key = (aes if name == "AES_CMAC" else _secret)(session, SIGN=True, VERIFY=True)
    mac = session.sign(mechanism, key, _DATA)
    other = cryptoki.open(slot)
    for kind in ("Sign", "Verify"):
        session.init(kind, mechanism, key)
        session.call(f"C_{kind}Update", _DATA, 100)
        state = _save(session)
        session.call("C_SessionCancel", CKF.SIGN | CKF.VERIFY)
        _restore(other, state, 0, key)
        other.call(f"C_{kind}Update", _DATA[100:], 100)
        if kind == "Sign":
            assert mac == other.output("C_SignFinal")
        else:
            other.call("C_VerifyFinal", mac, len(mac))


@pytest.mark.needs(CKM.SHA256_RSA_PKCS, CKM.ECDSA_SHA256, CKM.SHA256_RSA_PKCS_PSS)
def test_signature_goes_on_from_its_state(session: Session) -> None:
    """RSA, PSS with its parameter, ECDSA: the private key signs the whole."""
    rsa = import_rsa(session, private_rsa(), {CKA.VERIFY: True}, {CKA.SIGN: True})
    ecdsa = import_ec(session, private_ec(), {CKA.VERIFY: True}, {CKA.SIGN: True})
    salted = pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, CKG.MGF1_SHA256, 20)
    for mechanism, (public, private) in (
        (Mechanism(CKM.SHA256_RSA_PKCS), rsa),
        (salted, rsa),
        (Mechanism(CKM.ECDSA_SHA256), ecdsa),
    ):
        session.init("Sign", mechanism, private)
        session.call("C_SignUpdate", _DATA, 100)
        state = _save(session)
        _restore(session, state, 0, private)
        session.call("C_SignUpdate", _DATA[100:], 100)
        signature = session.output("C_SignFinal")
        session.verify(mechanism, public, _DATA, signature)
        session.init("Verify", mechanism, public)
        session.call("C_VerifyUpdate", _DATA, 100)
        state = _save(session)
        _restore(session, state, 0, public)
        session.call("C_VerifyUpdate", _DATA[100:], 100)
        session.call("C_VerifyFinal", signature, len(signature))


_CIPHERS = [
    needs("AES_ECB", Mechanism(CKM.AES_ECB)), needs("AES_CBC", Mechanism(CKM.AES_CBC, bytes(16))),
    needs("AES_CBC_PAD", Mechanism(CKM.AES_CBC_PAD, bytes(16))), needs("AES_CTR", ctr(bytes(16))),
    needs("AES_GCM", gcm(bytes(12), b"associated")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mechanism"), _CIPHERS)
def test_cipher_goes_on_from_its_state(session: Session, name: str, mechanism: Mechanism) -> None:
    """Encryption and decryption: what came out before is not needed again."""
    assert mechanism.kind == getattr(CKM, name)
    key = aes(session, ENCRYPT=True, DECRYPT=True)
    encrypted = session.encrypt(mechanism, key, _DATA[:192])
    for kind, given, wanted in (("Encrypt", _DATA[:192], encrypted), ("Decrypt", encrypted, _DATA[:192])):
        session.init(kind, mechanism, key)
        first = session.output(f"C_{kind}Update", given[:70], 70)
        state = _save(session)
        session.output(f"C_{kind}Update", bytes(64), 64)
        _restore(session, state, key)
        rest = session.output(f"C_{kind}Update", given[70:], len(given) - 70)
        assert wanted == first + rest + session.output(f"C_{kind}Final")


def test_two_operations_are_saved_together(session: Session) -> None:
    """A digest and an encryption come back both; what was under way instead is gone."""
    key = aes(session, ENCRYPT=True, DECRYPT=True)
    session.call("C_DigestInit", _SHA256.pointer)
    session.init("Encrypt", Mechanism(CKM.AES_ECB), key)
    session.call("C_DigestUpdate", _DATA, 16)
    state = _save(session)
    session.call("C_SessionCancel", CKF.DIGEST | CKF.ENCRYPT)
    session.init("Decrypt", Mechanism(CKM.AES_ECB), key)
    session.find_init({})
    _restore(session, state, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_DecryptUpdate", bytes(16), 16)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.find_next, 1)
    assert 16 == len(session.output("C_EncryptUpdate", bytes(16), 16))
    assert sha256(_DATA[:16]).digest() == session.output("C_DigestFinal")


def test_key_must_be_the_one(session: Session) -> None:
    """CKR_KEY_NEEDED, CKR_KEY_NOT_NEEDED and CKR_KEY_CHANGED; a refused state ends nothing."""
    key, cipher = _secret(session, SIGN=True), aes(session, ENCRYPT=True)
    session.init("Sign", _HMAC, key)
    session.call("C_SignUpdate", _DATA, 100)
    state = _save(session)
    expect(CKR.KEY_NEEDED, _restore, session, state)
    expect((CKR.KEY_NEEDED, CKR.KEY_NOT_NEEDED), _restore, session, state, key)
    expect(CKR.KEY_NOT_NEEDED, _restore, session, state, cipher, key)
    expect(CKR.KEY_CHANGED, _restore, session, state, 0, generic(session, bytes(32), SIGN=True))
    expect(CKR.KEY_CHANGED, _restore, session, state, 0, cipher)
    expect(CKR.KEY_CHANGED, _restore, session, state, 0, 2**40)
    # The same value, but no key that signs.
    expect(CKR.KEY_CHANGED, _restore, session, state, 0, _secret(session, SIGN=False))
    limited = session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE: bytes(range(32)), CKA.SIGN: True,
        CKA.ALLOWED_MECHANISMS: [CKM.SHA512_HMAC],
    })  # fmt: skip
    expect(CKR.KEY_CHANGED, _restore, session, state, 0, limited)
    session.call("C_SignUpdate", _DATA[100:], 100)
    mac = session.output("C_SignFinal")
    assert session.sign(_HMAC, key, _DATA) == mac
    session.init("Encrypt", Mechanism(CKM.AES_ECB), cipher)
    state = _save(session)
    expect((CKR.KEY_NEEDED, CKR.KEY_NOT_NEEDED), _restore, session, state, 0, cipher)
    session.call("C_SessionCancel", CKF.ENCRYPT)
    session.call("C_DigestInit", _SHA256.pointer)
    state = _save(session)
    expect(CKR.KEY_NOT_NEEDED, _restore, session, state, cipher)
    expect(CKR.KEY_NOT_NEEDED, _restore, session, state, 0, key)


def test_forged_state_is_refused(session: Session) -> None:
    """CKR_SAVED_STATE_INVALID for a state with any byte changed, cut short, lengthened or empty."""
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestUpdate", _DATA, 100)
    state = _save(session)
    assert _DATA[:100] not in state
    wrong = [state[:place] + bytes([state[place] ^ 1]) + state[place + 1 :] for place in range(0, len(state), 7)]
    for forged in (*wrong, state[:-1], state + b"\0", b"", bytes(11), bytes(12), bytes(28), bytes(200)):
        expect((CKR.SAVED_STATE_INVALID, CKR.ARGUMENTS_BAD), _restore, session, forged)
    session.call("C_DigestUpdate", _DATA[100:], 100)
    assert sha256(_DATA).digest() == session.output("C_DigestFinal")


def test_state_of_another_session_state_is_refused(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """CKR_SAVED_STATE_INVALID between read-only and read-write, and after a logout."""
    session.call("C_DigestInit", _SHA256.pointer)
    state = _save(session)
    expect(CKR.SAVED_STATE_INVALID, _restore, cryptoki.open_read_only(slot), state)
    _restore(session, state)
    session.logout()
    expect(CKR.SAVED_STATE_INVALID, _restore, session, state)
    session.login(USER_PIN, CKU.USER)
    _restore(session, state)


def test_state_gives_no_use_of_a_private_key_after_a_logout(session: Session) -> None:
    """The key's handle is gone with the login: CKR_KEY_CHANGED."""
    key = session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY, CKA.ENCRYPT: True, CKA.PRIVATE: True,
    })  # fmt: skip
    session.init("Encrypt", Mechanism(CKM.AES_ECB), key)
    state = _save(session)
    session.logout()
    expect(CKR.OPERATION_NOT_INITIALIZED, _save, session)
    session.login(USER_PIN, CKU.USER)
    expect(CKR.KEY_CHANGED, _restore, session, state, key)


@pytest.mark.needs(CKM.ECDSA_SHA256)
def test_restored_use_of_a_guarded_key_wants_another_login(session: Session) -> None:
    """CKA_ALWAYS_AUTHENTICATE: one login is for one signature, a saved state included."""
    guarded = {CKA.SIGN: True, CKA.ALWAYS_AUTHENTICATE: True, CKA.PRIVATE: True}
    key = import_ec(session, private_ec(), None, guarded)[1]
    session.init("Sign", Mechanism(CKM.ECDSA_SHA256), key)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    session.call("C_SignUpdate", _DATA, 100)
    state = _save(session)
    assert 64 == len(session.output("C_SignFinal"))
    _restore(session, state, 0, key)
    expect(CKR.USER_NOT_LOGGED_IN, session.output, "C_SignFinal")
    _restore(session, state, 0, key)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    assert 64 == len(session.output("C_SignFinal"))


def test_what_cannot_be_saved(session: Session) -> None:
    """CKR_STATE_UNSAVEABLE: a key that was digested, two operations for one key, more data than is kept."""
    key = aes(session, ENCRYPT=True, DECRYPT=True)
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestKey", key)
    expect(CKR.STATE_UNSAVEABLE, _save, session)
    assert sha256(AES_KEY).digest() == session.output("C_DigestFinal")
    session.init("Encrypt", Mechanism(CKM.AES_ECB), key)
    session.init("Decrypt", Mechanism(CKM.AES_ECB), key)
    expect(CKR.STATE_UNSAVEABLE, _save, session)
    session.call("C_SessionCancel", CKF.ENCRYPT | CKF.DECRYPT)
    session.call("C_DigestInit", _SHA256.pointer)
    session.call("C_DigestUpdate", bytes(_MOST), _MOST)
    assert _MOST < len(_save(session))
    session.call("C_DigestUpdate", b"x", 1)
    expect(CKR.STATE_UNSAVEABLE, _save, session)
    assert sha256(bytes(_MOST) + b"x").digest() == session.output("C_DigestFinal")


@pytest.mark.needs(CKM.RSA_PKCS)
def test_operations_that_have_no_state(session: Session) -> None:
    """A search, recovery and messages are no state: CKR_OPERATION_NOT_INITIALIZED."""
    private = import_rsa(session, private_rsa(), None, {CKA.SIGN_RECOVER: True, CKA.SIGN: True})[1]
    session.find_init({})
    session.init("SignRecover", Mechanism(CKM.RSA_PKCS), private)
    session.init("MessageSign", Mechanism(CKM.RSA_PKCS), private)
    expect(CKR.OPERATION_NOT_INITIALIZED, _save, session)


def test_state_is_asked_for_in_two_calls(session: Session) -> None:
    """The length first; CKR_BUFFER_TOO_SMALL and a NULL length harm nothing."""
    session.call("C_DigestInit", _SHA256.pointer)
    length = ffi.new("CK_ULONG *", 1)
    expect(CKR.BUFFER_TOO_SMALL, session.call, "C_GetOperationState", ffi.new("CK_BYTE[1]"), length)
    assert len(_save(session)) == length[0]
    expect(CKR.ARGUMENTS_BAD, session.call, "C_GetOperationState", NULL, NULL)
    expect(CKR.ARGUMENTS_BAD, session.call, "C_SetOperationState", NULL, 10, 0, 0)
    session.output("C_DigestFinal")

"""Dual-function operations (5.17): two at once, what is passed on, and what ends both."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ptkc.spec.constants import CKA, CKF, CKM, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Session, expect
from .fresh_token import USER_PIN
from .keys import aes, import_ec, private_ec
from .parameters import Mechanism, ctr
from .skips import unavailable

_ECB, _SHA256, _CMAC = Mechanism(CKM.AES_ECB), Mechanism(CKM.SHA256), Mechanism(CKM.AES_CMAC)
_PAD = Mechanism(CKM.AES_CBC_PAD, bytes(16))
_DATA = bytes(range(64))
# Function: the operation that gives output, the one that is given what is in clear.
_FUNCTIONS = {
    "C_DigestEncryptUpdate": ("Encrypt", "Digest"),
    "C_DecryptDigestUpdate": ("Decrypt", "Digest"),
    "C_SignEncryptUpdate": ("Encrypt", "Sign"),
    "C_DecryptVerifyUpdate": ("Decrypt", "Verify"),
}
_each_function = pytest.mark.parametrize("name", _FUNCTIONS)
pytestmark = pytest.mark.needs(CKM.AES_ECB, CKM.SHA256, CKM.AES_CMAC)


@pytest.fixture(autouse=True)
def _dual(cryptoki: Cryptoki, slot: int) -> None:
    """Skip where the token says that it has none."""
    if not cryptoki.token(slot).flags & CKF.DUAL_CRYPTO_OPERATIONS:
        unavailable("dual-function operations")


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key for everything."""
    return aes(session, ENCRYPT=True, DECRYPT=True, SIGN=True, VERIFY=True)


def _init(session: Session, kind: str, key: int, cipher: Mechanism = _ECB) -> None:
    """Begin one of the two."""
    if kind == "Digest":
        session.call("C_DigestInit", _SHA256.pointer)
    else:
        session.init(kind, cipher if kind in ("Encrypt", "Decrypt") else _CMAC, key)


def _finish(session: Session, kind: str, key: int, clear: bytes) -> None:
    """End the operation that was given `clear`, and hold its result against a whole one."""
    if kind == "Digest":
        assert sha256(clear).digest() == session.output("C_DigestFinal")
    elif kind == "Sign":
        assert session.output("C_SignFinal") == _mac(session, key, clear)
    else:
        mac = _mac(session, key, clear)
        session.call("C_VerifyFinal", mac, len(mac))


def _mac(session: Session, key: int, clear: bytes) -> bytes:
    """Return the MAC, made in one part."""
    return session.sign(_CMAC, key, clear)


def _update(session: Session, name: str, part: bytes) -> bytes:
    """Call one of the four functions with enough room."""
    length, buffer = ffi.new("CK_ULONG *", 128), ffi.new("CK_BYTE[128]")
    session.call(name, part, len(part), buffer, length)
    return bytes(buffer[0 : length[0]])


@_each_function
def test_two_operations_go_on_at_once(session: Session, key: int, name: str) -> None:
    """Output of one, and what is in clear passed to the other; single calls may stand between."""
    producer, other = _FUNCTIONS[name]
    encrypted = session.encrypt(_ECB, key, _DATA)
    given, wanted = (_DATA, encrypted) if producer == "Encrypt" else (encrypted, _DATA)
    _init(session, producer, key)
    _init(session, other, key)
    found = _update(session, name, given[:20]) + _update(session, name, given[20:48])
    found += session.output(f"C_{producer}Update", given[48:], 16)
    session.call(f"C_{other}Update", _DATA[48:], 16)
    assert wanted == found + session.output(f"C_{producer}Final")
    _finish(session, other, key, _DATA)


@pytest.mark.needs(CKM.AES_CBC_PAD)
def test_what_is_kept_back_is_not_digested(session: Session, key: int) -> None:
    """Decryption with padding keeps the last block back: the caller passes it on (5.17.2)."""
    encrypted = session.encrypt(_PAD, key, _DATA[:50])
    _init(session, "Decrypt", key, _PAD)
    _init(session, "Digest", key)
    assert _DATA[:48] == _update(session, "C_DecryptDigestUpdate", encrypted)
    rest = session.output("C_DecryptFinal")
    assert _DATA[48:50] == rest
    session.call("C_DigestUpdate", rest, len(rest))
    assert sha256(_DATA[:50]).digest() == session.output("C_DigestFinal")


@_each_function
def test_nothing_is_passed_on_without_output(session: Session, key: int, name: str) -> None:
    """A length query and CKR_BUFFER_TOO_SMALL touch neither operation."""
    producer, other = _FUNCTIONS[name]
    given = _DATA if producer == "Encrypt" else session.encrypt(_ECB, key, _DATA)
    _init(session, producer, key)
    _init(session, other, key)
    length, buffer = ffi.new("CK_ULONG *"), ffi.new("CK_BYTE[64]")
    session.call(name, given, 64, NULL, length)
    assert 64 == length[0]
    length[0] = 63
    expect(CKR.BUFFER_TOO_SMALL, session.call, name, given, 64, buffer, length)
    assert 64 == length[0]
    session.call(name, given, 64, buffer, length)
    _finish(session, other, key, _DATA)
    session.output(f"C_{producer}Final")


@_each_function
def test_both_must_be_active(session: Session, key: int, name: str) -> None:
    """CKR_OPERATION_NOT_INITIALIZED with one of them, which goes on, and with none."""
    producer, other = _FUNCTIONS[name]
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, name, _DATA)
    _init(session, other, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, name, _DATA)
    session.call(f"C_{other}Update", _DATA, 64)
    _finish(session, other, key, _DATA)
    _init(session, producer, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, _update, session, name, _DATA)
    session.output(f"C_{producer}Update", _DATA, 64)


@_each_function
def test_refused_argument_ends_both(session: Session, key: int, name: str) -> None:
    """CKR_ARGUMENTS_BAD ends what the function works on, as everywhere."""
    producer, other = _FUNCTIONS[name]
    for arguments in ((NULL, 5, ffi.new("CK_BYTE[16]"), ffi.new("CK_ULONG *", 16)), (_DATA, 5, NULL, NULL)):
        _init(session, producer, key)
        _init(session, other, key)
        expect(CKR.ARGUMENTS_BAD, session.call, name, *arguments)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.call, f"C_{other}Update", _DATA, 16)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.output, f"C_{producer}Update", _DATA, 16)


@pytest.mark.needs(CKM.AES_CTR)
def test_error_ends_both(session: Session, key: int) -> None:
    """A counter that runs over: neither goes on."""
    _init(session, "Encrypt", key, ctr(b"\xff" * 16, 8))
    _init(session, "Digest", key)
    expect(CKR.DATA_LEN_RANGE, _update, session, "C_DigestEncryptUpdate", _DATA)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_DigestUpdate", _DATA, 16)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_EncryptUpdate", _DATA, 16)


@pytest.mark.needs(CKM.ECDSA_SHA256)
def test_guarded_key_signs_nothing_without_its_login(session: Session, key: int) -> None:
    """CKA_ALWAYS_AUTHENTICATE holds in C_SignEncryptUpdate: CKR_USER_NOT_LOGGED_IN, nothing comes out."""
    guarded = {CKA.SIGN: True, CKA.ALWAYS_AUTHENTICATE: True, CKA.PRIVATE: True}
    private = import_ec(session, private_ec(), None, guarded)[1]
    mechanism = Mechanism(CKM.ECDSA_SHA256)
    session.init("Sign", mechanism, private)
    _init(session, "Encrypt", key)
    expect(CKR.USER_NOT_LOGGED_IN, _update, session, "C_SignEncryptUpdate", _DATA)
    session.call("C_SessionCancel", CKF.ENCRYPT | CKF.SIGN)
    session.init("Sign", mechanism, private)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    _init(session, "Encrypt", key)
    assert 64 == len(_update(session, "C_SignEncryptUpdate", _DATA))
    assert 64 == len(session.output("C_SignFinal"))


def test_one_half_can_be_cancelled(session: Session, key: int) -> None:
    """C_SessionCancel of one leaves the other active (5.6)."""
    _init(session, "Encrypt", key)
    _init(session, "Digest", key)
    _update(session, "C_DigestEncryptUpdate", _DATA)
    session.call("C_SessionCancel", CKF.ENCRYPT)
    _finish(session, "Digest", key, _DATA)

"""Attacks on data, numbers and sessions: authenticated encryption, signatures, points and moduli, logouts, neighbours.

Each begins with a new token and the user logged in; tests/test_attacks.py tries each in a process of its own.
"""

# ruff: noqa: D401 - what a description says is what must hold
from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from conformance import keys
from conformance.binding import ffi
from conformance.cryptoki import Cryptoki, Refused, Session, expect
from conformance.fresh_token import USER_PIN
from conformance.messages import Ccm, Gcm, message
from conformance.parameters import Mechanism, ccm, ecdh, gcm, oaep, ulong
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.spec.constants import CK, CKA, CKF, CKG, CKK, CKM, CKO, CKR

__all__ = ["DATA_ATTACKS"]

_NONCE = bytes(range(12))
_OPEN = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_SECRET = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET, **_OPEN, CKA.VALUE_LEN: 32}
_ECDSA, _EDDSA = Mechanism(CKM.ECDSA), Mechanism(CKM.EDDSA)
_DIGEST = bytes(range(32))
_WRONG = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
_PARAMETER = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
# Order and prime of P-256.
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_ED25519 = 2**252 + 27742317777372353535851937790883648493


def _params(structure: str, *fields: Any) -> Any:  # noqa: ANN401 (cffi memory)
    return ffi.new(f"{structure} *", fields)


def pointers_that_lead_nowhere(session: Session) -> None:
    """An IV, a nonce or associated data that are NULL but have a length are refused, in each form of the parameters."""
    key, memory, null = keys.aes(session), ffi.new("CK_BYTE[12]"), ffi.NULL
    for fields in ((null, 12, 96, null, 0, 128), (memory, 12, 96, null, 5, 128), (null, 0, 0, null, 0, 128)):
        mechanism = Mechanism(CKM.AES_GCM, _params("CK_GCM_PARAMS", *fields), memory)
        for name in ("Encrypt", "Decrypt"):
            expect(_PARAMETER, session.init, name, mechanism, key)
        expect(_PARAMETER, session.wrap, mechanism, key, keys.generic(session, bytes(16)))
    for fields in ((4, null, 12, null, 0, 16), (4, memory, 12, null, 5, 16)):
        mechanism = Mechanism(CKM.AES_CCM, _params("CK_CCM_PARAMS", *fields), memory)
        expect(_PARAMETER, session.init, "Encrypt", mechanism, key)
    tag = ffi.new("CK_BYTE[16]")
    session.init("MessageEncrypt", Mechanism(CKM.AES_GCM), key)
    for fields in ((null, 12, 0, 0, tag, 128), (memory, 12, 0, 0, null, 128)):
        parameter = Gcm(_NONCE)
        parameter.structure = _params("CK_GCM_MESSAGE_PARAMS", *fields)
        expect(_PARAMETER, message, session, "Encrypt", parameter, b"data")
    expect(CKR.ARGUMENTS_BAD, session.call, "C_EncryptMessage", *Gcm(_NONCE).pair, null, 5, b"x", 1, tag, _length(16))


def _length(value: int) -> Any:  # noqa: ANN401 (cffi memory)
    return ffi.new("CK_ULONG *", value)


def tags_are_cut_off(session: Session) -> None:
    """No tag is shorter than the shortest of the standards, nor does the front of one stand for all of it."""
    key, secret = keys.aes(session), keys.generic(session, bytes(32), SIGN=True, VERIFY=True)
    for bits in (0, 1, 8, 16, 24, 40, 120 + 1, 136):
        expect(_PARAMETER, session.init, "Decrypt", gcm(_NONCE, b"", bits), key)
    for size in (0, 1, 2, 3, 5, 17):
        expect(_PARAMETER, session.init, "Decrypt", ccm(4, _NONCE, b"", size), key)
    for number, most in ((CKM.SHA256_HMAC_GENERAL, 32), (CKM.AES_CMAC_GENERAL, 16)):
        for size in (0, most + 1, CK.UNAVAILABLE_INFORMATION):
            target = secret if number == CKM.SHA256_HMAC_GENERAL else key
            expect(_PARAMETER, session.init, "Verify", ulong(number, size), target)
    sealed = session.encrypt(gcm(_NONCE), key, b"data")
    for cut in range(1, 17):
        refused = (CKR.AEAD_DECRYPT_FAILED, CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
        expect(refused, session.decrypt, gcm(_NONCE), key, sealed[:-cut])
    for bits in (32, 64, 96):
        expect(refused, session.decrypt, gcm(_NONCE, b"", bits), key, sealed[: 4 + bits // 8 - 1] + b"?")
    hmac = Mechanism(CKM.SHA256_HMAC)
    mac = session.sign(hmac, secret, b"data")
    for wrong in (b"", mac[:1], mac[:16], mac[:-1], mac + b"\0"):
        expect((*_WRONG, CKR.ARGUMENTS_BAD), session.verify, hmac, secret, b"data", wrong)


def ivs_come_twice(session: Session) -> None:
    """What makes IVs gives none twice: over sessions, operations, restored states and copies of the key."""
    key = keys.generate_aes(session)
    copy, other = session.copy(key, {}), session.cryptoki.open(session.cryptoki.find_slot("conformance"))
    seen: set[bytes] = set()
    for turn, (who, which) in enumerate(((session, key), (other, key), (session, copy), (other, copy)) * 3):
        who.init("MessageEncrypt", Mechanism(CKM.AES_GCM), which)
        for _ in range(3):
            parameter = Gcm(bytes(12), fixed=32, generator=CKG.GENERATE_COUNTER)
            message(who, "Encrypt", parameter, b"data")
            seen.add(parameter.iv)
        who.call("C_MessageEncryptFinal")
        assert 3 * (turn + 1) == len(seen)
    # Another way to make them, by which the two could meet, or an IV of the caller's own, is another key's.
    session.init("MessageEncrypt", Mechanism(CKM.AES_CCM), key)
    for generator in (CKG.GENERATE_RANDOM, CKG.GENERATE):
        parameter = Ccm(4, bytes(12), fixed=32, generator=generator)
        try:
            message(session, "Encrypt", parameter, b"data")
        except Refused:
            continue
        assert parameter.iv not in seen


def points_outside_the_curve(session: Session) -> None:
    """No agreement, verification or key with a point that is not on the curve, infinite, or of small order."""
    good = keys.private_ec().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    x, y = int.from_bytes(good[1:33], "big"), int.from_bytes(good[33:], "big")
    number = lambda value: value.to_bytes(32, "big")  # noqa: E731 - a word for it
    wrong = [
        b"\4" + number(x) + number(y ^ 1), b"\4" + bytes(64), b"\0", b"", b"\4" + number(_P) + number(y),
        b"\4" + number(x) + number(_P - 1), b"\5" + good[1:], b"\2" + number(1), good[:-1], good + b"\0",
        b"\4" + b"\xff" * 64,
    ]  # fmt: skip
    _, private = keys.generate_ec(session, {}, {CKA.DERIVE: True, CKA.DECAPSULATE: True})
    refused = (*_PARAMETER, CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT, CKR.PUBLIC_KEY_INVALID)
    sealed = (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE, CKR.ARGUMENTS_BAD, *_PARAMETER)
    for point in wrong:
        expect(refused, session.derive, ecdh(point), private, _SECRET)
        expect(sealed, session.decapsulate, ecdh(b""), private, _SECRET, point)
        public = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: keys.P256}
        expect(refused, session.create, {**public, CKA.EC_POINT: keys.octets(point) if point else b""})
    _, montgomery = keys.import_x25519(session, keys.private_x25519(), {}, {CKA.DERIVE: True, CKA.DECAPSULATE: True})
    order8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
    for point in (bytes(32), b"\1" + bytes(31), order8, (2**255 - 19).to_bytes(32, "little"), bytes(31), bytes(33)):
        expect(refused, session.derive, ecdh(point), montgomery, _SECRET)
        expect(sealed, session.decapsulate, ecdh(b""), montgomery, _SECRET, point)
    for value in (0, _N, _N + 1, 2**256 - 1):
        template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: keys.P256}
        expect(refused, session.create, {**template, CKA.VALUE: number(value)})


def moduli_that_are_none(session: Session) -> None:
    """RSA keys of even, small, prime or endless moduli, or whose numbers do not belong together, are none."""
    numbers = keys.private_rsa(2048).private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    number = lambda value: value.to_bytes((value.bit_length() + 7) // 8, "big")  # noqa: E731 - a word for it
    refused = (CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT, CKR.TEMPLATE_INCOMPLETE)
    public = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA}
    wrong = ((n - 1, e), (15, 3), (0, e), (n, 0), (n, 1), (n, 2), (n, e + 1), (n, n), (2**20000 + 1, e))
    for modulus, exponent in wrong:
        expect(refused, session.create, {**public, CKA.MODULUS: number(modulus), CKA.PUBLIC_EXPONENT: number(exponent)})
    parts = {
        CKA.MODULUS: n, CKA.PUBLIC_EXPONENT: e, CKA.PRIVATE_EXPONENT: numbers.d, CKA.PRIME_1: numbers.p,
        CKA.PRIME_2: numbers.q, CKA.EXPONENT_1: numbers.dmp1, CKA.EXPONENT_2: numbers.dmq1,
        CKA.COEFFICIENT: numbers.iqmp,
    }  # fmt: skip
    private = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.RSA}
    for kind, value in parts.items():
        for other in (value ^ 2, value + 1, 1):
            template = {**private, **{each: number(part) for each, part in parts.items()}, kind: number(other)}
            expect(refused, session.create, template)
    one, two = keys.import_rsa(session, keys.private_rsa(2048))
    for data in (number(n), number(n + 1), b"\xff" * 256):
        raw = (CKR.DATA_INVALID, CKR.ENCRYPTED_DATA_INVALID)
        expect(raw, session.encrypt, Mechanism(CKM.RSA_X_509), one, data)
        expect(raw, session.decrypt, Mechanism(CKM.RSA_X_509), two, data)
        expect(raw, session.decrypt, Mechanism(CKM.RSA_PKCS), two, data)


def signatures_are_changed_into_others(session: Session) -> None:
    """Only the numbers that the scheme allows: r and s below the order and not 0, S below L, s below the modulus."""
    public, private = keys.import_ec(session, keys.private_ec())
    signature = session.sign(_ECDSA, private, _DIGEST)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    number = lambda value: value.to_bytes(32, "big")  # noqa: E731 - a word for it
    wrong = [
        (0, 0), (0, s), (r, 0), (_N, s), (r, _N), (_N, _N), (1, 0), (r, s ^ 1), (s, r),
        *((r + _N, s) for _ in range(r + _N < 2**256)), *((r, s + _N) for _ in range(s + _N < 2**256)),
    ]  # fmt: skip
    for one, two in wrong:
        expect(_WRONG, session.verify, _ECDSA, public, _DIGEST, number(one) + number(two))
    encoded = utils.encode_dss_signature(r, s)
    for data in (encoded, signature + b"\0", signature[:-1], b"\0" + signature, signature + signature, b""):
        expect((*_WRONG, CKR.ARGUMENTS_BAD), session.verify, _ECDSA, public, _DIGEST, data)
    # The other s is a signature by the standard, as ECDSA is: who needs one form alone asks for the lower s.
    session.verify(_ECDSA, public, _DIGEST, number(r) + number(_N - s))
    one, two = keys.import_ed25519(session, keys.private_ed25519())
    signature = session.sign(_EDDSA, two, b"data")
    scalar = int.from_bytes(signature[32:], "little")
    for more in range(1, 8):
        raised = (scalar + more * _ED25519).to_bytes(32, "little")
        expect(_WRONG, session.verify, _EDDSA, one, b"data", signature[:32] + raised)
    expect(_WRONG, session.verify, _EDDSA, one, b"data", b"\1" + bytes(63))
    _rsa_signatures(session)


def _rsa_signatures(session: Session) -> None:
    """Try what lax readers of PKCS #1 v1.5 take: bytes behind the digest, short padding, another length, s + n."""
    public, private = keys.import_rsa(session, keys.private_rsa(2048))
    mechanism, n = Mechanism(CKM.SHA256_RSA_PKCS), keys.private_rsa(2048).public_key().public_numbers().n
    signature = session.sign(mechanism, private, b"data")
    block = pow(int.from_bytes(signature, "big"), 65537, n).to_bytes(256, "big")
    info = block[block.index(b"\0", 2) + 1 :]
    for forged in (
        b"\0\1" + b"\xff" * 8 + b"\0" + info + b"?" * (245 - len(info)),
        b"\0\1" + b"\xff" * (252 - len(info)) + b"\0" + info + b"?",
        b"\0\2" + block[2:],
        block[:5] + b"\xfe" + block[6:],
        block.replace(b"\5\0\4", b"\4\0\4"),
    ):
        made = pow(int.from_bytes(forged, "big"), keys.private_rsa(2048).private_numbers().d, n).to_bytes(256, "big")
        expect(_WRONG, session.verify, mechanism, public, b"data", made)
    raised = int.from_bytes(signature, "big") + n
    if raised < 2**2048:
        expect(_WRONG, session.verify, mechanism, public, b"data", raised.to_bytes(256, "big"))
    for data in (signature[:-1], b"\0" + signature, signature + b"\0", bytes(256), b"\0" * 255 + b"\1", b""):
        expect((*_WRONG, CKR.ARGUMENTS_BAD), session.verify, mechanism, public, b"data", data)
    pss = keys.private_rsa(2048).sign(b"data", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    expect(_WRONG, session.verify, mechanism, public, b"data", pss)


def work_goes_on_after_the_logout(session: Session) -> None:
    """C_Logout ends each kind of operation with a private key, messages included, and the handle of the key."""
    _, signer = keys.import_rsa(session, keys.private_rsa(2048))
    aes, mac = keys.generate_aes(session), keys.generic(session, bytes(32), SIGN=True, VERIFY=True, PRIVATE=True)
    hmac = Mechanism(CKM.SHA256_HMAC)
    null, room, wide = ffi.NULL, ffi.new("CK_BYTE[64]"), ffi.new("CK_BYTE[512]")
    begun = [
        ("Sign", hmac, mac, ("C_SignUpdate", b"x", 1)), ("Verify", hmac, mac, ("C_VerifyUpdate", b"x", 1)),
        ("Encrypt", gcm(_NONCE), aes, ("C_EncryptUpdate", b"x", 1, room, _length(64))),
        ("Decrypt", gcm(_NONCE), aes, ("C_DecryptUpdate", b"x", 1, room, _length(64))),
        ("SignRecover", Mechanism(CKM.RSA_PKCS), signer, ("C_SignRecover", b"x", 1, wide, _length(512))),
        ("MessageSign", hmac, mac, ("C_SignMessage", null, 0, b"x", 1, room, _length(64))),
        (
            "MessageEncrypt", Mechanism(CKM.AES_GCM), aes,
            ("C_EncryptMessage", *Gcm(_NONCE).pair, null, 0, b"x", 1, room, _length(64)),
        ),
    ]  # fmt: skip
    for name, mechanism, key, (function, *arguments) in begun:
        session.init(name, mechanism, key)
        session.logout()
        expect(CKR.OPERATION_NOT_INITIALIZED, session.call, function, *arguments)
        expect(CKR.KEY_HANDLE_INVALID, session.init, name, mechanism, key)
        session.login(USER_PIN)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.call, function, *arguments)
        expect(CKR.KEY_HANDLE_INVALID, session.init, name, mechanism, key)
        aes, mac = keys.generate_aes(session), keys.generic(session, bytes(32), SIGN=True, VERIFY=True, PRIVATE=True)
        begun[:] = [(n, m, {CKM.SHA256_HMAC: mac, CKM.AES_GCM: aes}.get(m.kind, k), c) for n, m, k, c in begun]
        if name == "Decrypt":
            _, signer = keys.import_rsa(session, keys.private_rsa(2048))
            begun[4] = ("SignRecover", begun[4][1], signer, begun[4][3])


def a_saved_state_outlives_its_login(session: Session) -> None:
    """A state of a private key is for the same login, token and key: not for the public, another key, or changed."""
    mac = keys.generic(session, bytes(32), SIGN=True, PRIVATE=True)
    session.init("Sign", Mechanism(CKM.SHA256_HMAC), mac)
    session.call("C_SignUpdate", b"data", 4)
    state = session.output("C_GetOperationState")
    assert bytes(32) not in state
    assert b"data" not in state
    other = keys.generic(session, bytes(31) + b"\1", SIGN=True, PRIVATE=True)
    refused = (CKR.SAVED_STATE_INVALID, CKR.KEY_CHANGED, CKR.KEY_HANDLE_INVALID)
    expect(refused, session.call, "C_SetOperationState", state, len(state), 0, other)
    for place in range(0, len(state), 7):
        changed = state[:place] + bytes([state[place] ^ 1]) + state[place + 1 :]
        expect(CKR.SAVED_STATE_INVALID, session.call, "C_SetOperationState", changed, len(state), 0, mac)
    session.logout()
    refused = (*refused, CKR.KEY_NEEDED, CKR.USER_NOT_LOGGED_IN)
    for key in (0, mac, other):
        expect(refused, session.call, "C_SetOperationState", state, len(state), 0, key)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_SignFinal")


def a_key_is_made_behind_the_logout(session: Session) -> None:
    """A key that is generated in the background belongs to the login that began it: after C_Logout there is none."""
    worker = session.cryptoki.open(session.cryptoki.find_slot("conformance"), _ASYNCHRONOUS)
    template = {CKA.MODULUS_BITS: 4096, CKA.PUBLIC_EXPONENT: b"\1\0\1"}
    expect(CKR.PENDING, worker.generate_pair, Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN), template, {CKA.LABEL: "late"})
    session.logout()
    result = ffi.new("CK_ASYNC_DATA *")
    codes = (CKR.OPERATION_NOT_INITIALIZED, CKR.USER_NOT_LOGGED_IN, CKR.FUNCTION_FAILED, CKR.FUNCTION_CANCELED)
    for _ in range(2000):
        code = worker.cryptoki.functions["C_AsyncComplete"](worker.handle, b"C_GenerateKeyPair\0", result)
        if code != CKR.PENDING:
            break
        ffi.new("CK_BYTE[]", os.urandom(1 << 12))
    assert code in codes, hex(code)
    session.login(USER_PIN)
    assert session.find({CKA.LABEL: "late"}) == []


_ASYNCHRONOUS = CKF.SERIAL_SESSION | CKF.RW_SESSION | CKF.ASYNC_SESSION


def another_applications_objects(session: Session) -> None:
    """Sessions, session objects, handles and logins of one process mean nothing in another, nor in its child."""
    mine = session.create({CKA.CLASS: CKO.DATA, CKA.LABEL: "mine", CKA.PRIVATE: False, CKA.VALUE: b"mine"})
    _, key = keys.import_ec(session, keys.private_ec())
    session.init("Sign", _ECDSA, key)
    command = [sys.executable, __file__, sys.argv[1], *map(str, (session.handle, mine, key))]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [mine] == session.find({CKA.LABEL: "mine"})
    assert len(session.output("C_Sign", _DIGEST, 32)) == 64


def _neighbour(path: str, *handles: str) -> None:
    """Be another application: try the handles of the first."""
    their, mine, key = map(int, handles)
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    slot = cryptoki.find_slot("conformance")
    stolen = Session(cryptoki, their)
    expect(CKR.SESSION_HANDLE_INVALID, stolen.info)
    expect(CKR.SESSION_HANDLE_INVALID, stolen.output, "C_Sign", _DIGEST, 32)
    # Handles of an own session may have the same numbers, since each application counts for itself.
    session = next(opened for opened in (cryptoki.open(slot) for _ in range(8)) if opened.handle != their)
    assert session.find({CKA.LABEL: "mine"}) == []
    for who in (None, USER_PIN):
        if who is not None:
            session.login(who)
        for handle in (mine, key):
            expect(CKR.OBJECT_HANDLE_INVALID, session.get, handle, CKA.CLASS)
            expect(CKR.OBJECT_HANDLE_INVALID, session.destroy, handle)
        expect(CKR.KEY_HANDLE_INVALID, session.init, "Sign", _ECDSA, key)
        assert session.find({CKA.LABEL: "mine"}) == []
    cryptoki.finalize()


def encapsulation_hides_nothing(session: Session) -> None:
    """A key that two share is as its templates demand; a changed ciphertext makes another key, or none, alike."""
    public, private = session.generate_pair(
        Mechanism(CKM.ML_KEM_KEY_PAIR_GEN),
        {CKA.PARAMETER_SET: 2, CKA.ENCAPSULATE_TEMPLATE: {CKA.SENSITIVE: True}},
        {CKA.DECAPSULATE: True, CKA.DECAPSULATE_TEMPLATE: {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}},
    )
    kem, closed = Mechanism(CKM.ML_KEM), {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
    mismatch = (CKR.KEY_HANDLE_INVALID, CKR.TEMPLATE_INCONSISTENT)
    expect(mismatch, session.encapsulate, kem, public, {**closed, **_OPEN})
    ciphertext, _ = session.encapsulate(kem, public, closed)
    expect(CKR.TEMPLATE_INCONSISTENT, session.decapsulate, kem, private, {**closed, CKA.EXTRACTABLE: True}, ciphertext)
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    one, two = (session.decapsulate(kem, private, closed, data) for data in (ciphertext, changed))
    assert session.get(one, CKA.CHECK_VALUE) != session.get(two, CKA.CHECK_VALUE)
    for key in (one, two):
        expect(CKR.ATTRIBUTE_SENSITIVE, session.get, key, CKA.VALUE)
        assert not session.flag(key, CKA.ALWAYS_SENSITIVE)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.encapsulate, oaep(), *_mute(session))


def _mute(session: Session) -> tuple[int, dict[int, Any]]:
    """Return a public key that may not encapsulate, and the template of a key."""
    public, _ = keys.import_rsa(session, keys.private_rsa(2048), {CKA.ENCAPSULATE: False})
    return public, {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 32}


def curves_of_ones_own(session: Session) -> None:
    """A curve of the caller's making, by explicit parameters, is CKR_CURVE_NOT_SUPPORTED, also one that looks known."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    assert numbers.private_value
    explicit = bytes.fromhex("3081") + b"\x80" + bytes(128)
    for params in (explicit, b"0\0", b"\5\0", b"", b"\6\1\1", keys.P256 + b"\0"):
        refused = (CKR.CURVE_NOT_SUPPORTED, CKR.ATTRIBUTE_VALUE_INVALID, CKR.DOMAIN_PARAMS_INVALID)
        expect(refused, session.generate_pair, Mechanism(CKM.EC_KEY_PAIR_GEN), {CKA.EC_PARAMS: params}, {})


DATA_ATTACKS: tuple[Any, ...] = (
    pointers_that_lead_nowhere, tags_are_cut_off, ivs_come_twice, points_outside_the_curve, moduli_that_are_none,
    signatures_are_changed_into_others, work_goes_on_after_the_logout, a_saved_state_outlives_its_login,
    a_key_is_made_behind_the_logout, another_applications_objects, encapsulation_hides_nothing, curves_of_ones_own,
)  # fmt: skip


if __name__ == "__main__":
    _neighbour(*sys.argv[1:])

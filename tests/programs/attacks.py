"""Attacks on the rules of PKCS #11, each tried in a process of its own by tests/test_attacks.py.

Each function begins with a new token and the user logged in, and asserts what must not work.
"""

# ruff: noqa: D401 - what a description says is what must hold
from __future__ import annotations

import sys
from typing import Any

from conformance import keys
from conformance.binding import ffi
from conformance.cryptoki import Cryptoki, Session, expect
from conformance.derivations import pbkdf2
from conformance.fresh_token import SO_PIN, USER_PIN, prepare
from conformance.parameters import Mechanism, ecdh
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from programs.attacks_compounds import COMPOUND_ATTACKS
from programs.attacks_data import DATA_ATTACKS
from programs.attacks_wrapping import WRAPPING_ATTACKS

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR, CKU

_IV = b"an iv of sixteen"
_ECDSA = Mechanism(CKM.ECDSA)
_PKCS = Mechanism(CKM.RSA_PKCS)
_DIGEST = bytes(32)
_SECRET = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
_OPEN = {**_SECRET, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}


def _cbc() -> Mechanism:
    """Return a mechanism to wrap with."""
    return Mechanism(CKM.AES_CBC_PAD, _IV)


def _guarded_rsa(session: Session) -> tuple[int, int]:
    """Return an RSA pair whose private key needs the PIN for each use."""
    return keys.import_rsa(session, keys.private_rsa(2048), {}, {CKA.ALWAYS_AUTHENTICATE: True})


def _guarded_ec(session: Session) -> int:
    """Return an EC private key that needs the PIN for each use."""
    return keys.import_ec(session, keys.private_ec(), {}, {CKA.ALWAYS_AUTHENTICATE: True, CKA.DERIVE: True})[1]


def a_guarded_key_decrypts_by_unwrapping(session: Session) -> None:
    """C_UnwrapKey into a readable secret is C_Decrypt: a CKA_ALWAYS_AUTHENTICATE key does neither without the PIN."""
    public, private = _guarded_rsa(session)
    sealed = session.encrypt(_PKCS, public, b"the plaintext")
    expect(CKR.USER_NOT_LOGGED_IN, session.unwrap, _PKCS, private, sealed, _OPEN)


def a_guarded_key_derives(session: Session) -> None:
    """Nor does it agree on a secret."""
    point = keys.private_ec().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    expect(CKR.USER_NOT_LOGGED_IN, session.derive, ecdh(point), _guarded_ec(session), {**_OPEN, CKA.VALUE_LEN: 32})


def one_pin_is_good_for_two_uses(session: Session) -> None:
    """The PIN that was given for a decryption opens no signature that was begun before it."""
    public, private = _guarded_rsa(session)
    sealed = session.encrypt(_PKCS, public, b"the plaintext")
    session.init("Sign", _PKCS, private)
    session.init("Decrypt", _PKCS, private)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    expect(CKR.USER_NOT_LOGGED_IN, session.output, "C_Sign", b"x", 1)
    assert session.output("C_Decrypt", sealed, len(sealed)) == b"the plaintext"


def a_refused_use_is_followed_by_another(session: Session) -> None:
    """Neither a short buffer nor parts make two signatures of one PIN."""
    key = _guarded_ec(session)
    session.init("Sign", _ECDSA, key)
    session.login(USER_PIN, CKU.CONTEXT_SPECIFIC)
    room, buffer = ffi.new("CK_ULONG *", 3), ffi.new("CK_BYTE[]", 64)
    expect(CKR.BUFFER_TOO_SMALL, session.call, "C_Sign", _DIGEST, 32, buffer, room)
    session.call("C_Sign", _DIGEST, 32, buffer, room)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_Sign", _DIGEST, 32, buffer, room)
    session.init("Sign", Mechanism(CKM.ECDSA_SHA256), key)
    expect(CKR.USER_NOT_LOGGED_IN, session.call, "C_SignUpdate", b"x", 1)
    session.init("Sign", Mechanism(CKM.ECDSA_SHA256), key)
    session.call("C_SessionCancel", 0x800)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.login, USER_PIN, CKU.CONTEXT_SPECIFIC)


def the_guard_is_guessed(session: Session) -> None:
    """Wrong PINs at the guard are counted, and CKR_PIN_LOCKED logs the user out (4.10)."""
    session.init("Sign", _ECDSA, _guarded_ec(session))
    for _ in range(3):
        expect(CKR.PIN_INCORRECT, session.login, "wrong-pin", CKU.CONTEXT_SPECIFIC)
    expect(CKR.PIN_LOCKED, session.login, USER_PIN, CKU.CONTEXT_SPECIFIC)
    expect(CKR.USER_NOT_LOGGED_IN, session.logout)
    expect(CKR.PIN_LOCKED, session.login, USER_PIN)


def a_key_is_unwrapped_as_something_readable(session: Session) -> None:
    """A private key does not come out as a public key, whose parts are all readable, nor as data or a certificate."""
    wrapping = keys.generate_aes(session, WRAP=True, UNWRAP=True, DECRYPT=False)
    _, private = keys.import_rsa(session, keys.private_rsa(2048), {}, {CKA.EXTRACTABLE: True})
    wrapped = session.wrap(_cbc(), wrapping, private)
    refused = (CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID)
    for template in (
        {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA},
        {CKA.CLASS: CKO.DATA},
        keys.certificate(),
        {CKA.CLASS: CKO.DOMAIN_PARAMETERS, CKA.KEY_TYPE: CKK.DH},
    ):
        expect(refused, session.unwrap, _cbc(), wrapping, wrapped, template)


def what_a_base_key_demands_is_evaded(session: Session) -> None:
    """CKA_UNWRAP_TEMPLATE holds for what is unwrapped and its copies, and stays with the key and its copies."""
    wrapping = keys.generate_aes(session, UNWRAP_TEMPLATE={CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    wrapped = session.wrap(_cbc(), wrapping, keys.generic(session, b"a readable secret"))
    expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap, _cbc(), wrapping, wrapped, _OPEN)
    key = session.unwrap(_cbc(), wrapping, wrapped, _SECRET)
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, key, CKA.VALUE)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.copy, key, {CKA.SENSITIVE: False})
    expect(CKR.ATTRIBUTE_READ_ONLY, session.copy, key, {CKA.EXTRACTABLE: True})
    expect(CKR.TEMPLATE_INCONSISTENT, session.copy, key, {CKA.PRIVATE: False})
    for change in (session.copy, session.set):
        expect(CKR.ATTRIBUTE_READ_ONLY, change, wrapping, {CKA.UNWRAP_TEMPLATE: {}})
        expect(CKR.ATTRIBUTE_READ_ONLY, change, wrapping, {CKA.ALLOWED_MECHANISMS: [CKM.AES_ECB]})


def trust_is_taken(session: Session) -> None:
    """No user's template makes a key trusted, nor one that a base key imposes."""
    expect(CKR.ATTRIBUTE_READ_ONLY, keys.generate_aes, session, TRUSTED=True)
    key = keys.generate_aes(session)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.set, key, {CKA.TRUSTED: True})
    expect(CKR.ATTRIBUTE_READ_ONLY, session.copy, key, {CKA.TRUSTED: True})
    imposing = keys.generate_aes(session, UNWRAP_TEMPLATE={CKA.TRUSTED: True})
    wrapped = session.wrap(_cbc(), imposing, keys.generic(session, b"a readable secret"))
    expect(CKR.ATTRIBUTE_READ_ONLY, session.unwrap, _cbc(), imposing, wrapped, _SECRET)


def a_trusted_key_is_taught_to_decrypt(session: Session) -> None:
    """What only trusted keys wrap is not opened with a trusted key that a user changed, or with its copy."""
    key = session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: keys.AES_KEY, CKA.TOKEN: True, CKA.PRIVATE: False,
        CKA.WRAP: True, CKA.UNWRAP: False,
    })  # fmt: skip
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.set(key, {CKA.TRUSTED: True})
    session.logout()
    session.login(USER_PIN)
    for change in (session.copy, session.set):
        for said in ({CKA.DECRYPT: True}, {CKA.UNWRAP: True}, {CKA.TRUSTED: False}):
            expect(CKR.ACTION_PROHIBITED, change, key, said)
    kept = keys.generate_aes(session, EXTRACTABLE=True, WRAP_WITH_TRUSTED=True)
    for change in (session.copy, session.set):
        expect(CKR.ATTRIBUTE_READ_ONLY, change, kept, {CKA.WRAP_WITH_TRUSTED: False})
    wrapped = session.wrap(_cbc(), key, kept)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.decrypt, _cbc(), session.copy(key, {}), wrapped)


def allowed_mechanisms_are_evaded_by_a_digest(session: Session) -> None:
    """A key that names its mechanisms is not digested by another one."""
    key = session.create({**_SECRET, CKA.VALUE: b"k", CKA.ALLOWED_MECHANISMS: [CKM.SHA256_HMAC]})
    session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
    expect(CKR.KEY_INDIGESTIBLE, session.call, "C_DigestKey", key)


def private_objects_are_seen_after_the_logout(session: Session) -> None:
    """Handles, searches and operations with private objects end with the login, and do not come back with the next."""
    data = session.create({CKA.CLASS: CKO.DATA, CKA.VALUE: b"private", CKA.PRIVATE: True, CKA.TOKEN: True})
    _, key = keys.import_ec(session, keys.private_ec())
    session.init("Sign", _ECDSA, key)
    session.find_init({})
    other = session.cryptoki.open(session.cryptoki.find_slot("conformance"))
    other.logout()
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_Sign", _DIGEST, 32)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.find_next, 10)
    for who in (None, CKU.SO, CKU.USER):
        if who is not None:
            session.login(SO_PIN if who == CKU.SO else USER_PIN, who)
        for handle in (data, key):
            expect(CKR.OBJECT_HANDLE_INVALID, session.get, handle, CKA.LABEL)
            expect(CKR.OBJECT_HANDLE_INVALID, session.size, handle)
            expect(CKR.OBJECT_HANDLE_INVALID, session.copy, handle, {CKA.PRIVATE: False})
            expect(CKR.OBJECT_HANDLE_INVALID, session.set, handle, {CKA.LABEL: "mine"})
            expect(CKR.OBJECT_HANDLE_INVALID, session.destroy, handle)
        expect(CKR.KEY_HANDLE_INVALID, session.init, "Sign", _ECDSA, key)
        if who != CKU.USER:
            assert session.find({CKA.PRIVATE: True}) == []
        if who is not None:
            session.logout()


def numbers_are_made_to_waste_time(session: Session) -> None:
    """An RSA key whose primes would be searched for ever, or whose exponents are endless, is refused at once.

    So is a long salt that would be read for each block of a long key.
    """
    key = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.PUBLIC_EXPONENT: b"\1\0\1"}
    prime = 2**4423 - 1
    never = {CKA.MODULUS: _number(prime), CKA.PRIVATE_EXPONENT: _number(pow(65537, -1, prime - 1))}
    refused = (CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID)
    expect(refused, session.create, {**key, **never})
    endless = {CKA.MODULUS: b"\xab" * 512, CKA.PRIVATE_EXPONENT: b"\x77" * 1_000_000}
    expect(refused, session.create, {**key, **endless})
    expect(refused, session.create, {**key, **never, CKA.PRIME_1: b"\xff" * 500_000, CKA.PRIME_2: b"\xfd" * 500_000})
    public = {CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.MODULUS: b"\xab" * 512}
    expect(refused, session.create, {**public, CKA.PUBLIC_EXPONENT: b"\xaa" * 500 + b"\1"})
    salted = pbkdf2(b"password", bytes(1 << 20), 1)
    expect(CKR.MECHANISM_PARAM_INVALID, session.generate, salted, {**_OPEN, CKA.VALUE_LEN: 65536})


def _number(value: int) -> bytes:
    """Return a big integer."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


ATTACKS: tuple[Any, ...] = (
    a_guarded_key_decrypts_by_unwrapping, a_guarded_key_derives, one_pin_is_good_for_two_uses,
    a_refused_use_is_followed_by_another, the_guard_is_guessed, a_key_is_unwrapped_as_something_readable,
    what_a_base_key_demands_is_evaded, trust_is_taken, a_trusted_key_is_taught_to_decrypt,
    allowed_mechanisms_are_evaded_by_a_digest, private_objects_are_seen_after_the_logout,
    numbers_are_made_to_waste_time, *WRAPPING_ATTACKS, *COMPOUND_ATTACKS, *DATA_ATTACKS,
)  # fmt: skip


def main() -> None:
    """Try one attack: `python attacks.py MODULE NAME`."""
    cryptoki = Cryptoki(sys.argv[1])
    cryptoki.initialize()
    session = cryptoki.open(prepare(cryptoki))
    session.login(USER_PIN)
    next(attack for attack in ATTACKS if attack.__name__ == sys.argv[2])(session)
    cryptoki.finalize()


if __name__ == "__main__":
    main()

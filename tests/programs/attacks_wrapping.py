"""Attacks on wrapped keys: those of 2010 on PKCS #11, and what came after, by every function that makes or moves a key.

Each begins with a new token and the user logged in; tests/test_attacks.py tries each in a process of its own.
"""

# ruff: noqa: D401 - what a description says is what must hold
from __future__ import annotations

from typing import Any

from conformance import keys
from conformance.cryptoki import Session, expect
from conformance.fresh_token import SO_PIN, USER_PIN
from conformance.messages import Gcm, message
from conformance.parameters import Mechanism, ctr, ecdh, ecdh_aes, gcm, oaep, ulong

from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKO, CKP, CKR, CKU

__all__ = ["WRAPPING_ATTACKS"]

_IV = b"an iv of sixteen"
_BRAINPOOL_T1 = bytes.fromhex("06092b2403030208010108")  # brainpoolP256t1, which the system's libcrypto alone has
_KW, _KWP, _CBC = Mechanism(CKM.AES_KEY_WRAP), Mechanism(CKM.AES_KEY_WRAP_KWP), Mechanism(CKM.AES_CBC_PAD, _IV)
_OPEN = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_AES = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
_GENERIC = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
_RSA = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.RSA}
_CLOSED = CKR.TEMPLATE_INCONSISTENT
_USES = ("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "DERIVE")


def _victim(session: Session, **more: Any) -> int:  # noqa: ANN401
    """Return a key that must stay secret: generated, private, sensitive, extractable."""
    return keys.generate_aes(session, EXTRACTABLE=True, **more)


def _wrapping(session: Session, **more: Any) -> int:  # noqa: ANN401
    """Return a wrapping key as one asks for it."""
    return keys.generate_aes(session, **{"WRAP": True, "UNWRAP": True, **more})


def a_key_is_wrapped_and_decrypted(session: Session) -> None:
    """No key wraps what it could decrypt, sign, verify or derive out of the wrapped bytes; whichever wraps does not."""
    victim = _victim(session)
    for use in _USES:
        both = _wrapping(session, **{use: True})
        for mechanism in (_KW, _KWP, _CBC, ctr(_IV), gcm(_IV[:12])):
            expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, both, victim)
        authenticated = Gcm(bytes(12))
        mechanism = Mechanism(CKM.AES_GCM, authenticated.structure, authenticated)
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap_authenticated, mechanism, both, victim)
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, Mechanism(CKM.WRAPKEY_AES_KWP), both, victim)
    pure = _wrapping(session)
    wrapped = session.wrap(_CBC, pure, victim)
    forbidden = CKR.KEY_FUNCTION_NOT_PERMITTED
    expect(forbidden, session.decrypt, _CBC, pure, wrapped)
    expect(forbidden, session.encrypt, ctr(_IV), pure, wrapped)
    expect(forbidden, session.init, "Sign", Mechanism(CKM.AES_MAC), pure)
    expect(forbidden, session.init, "Verify", ulong(CKM.AES_MAC_GENERAL, 1), pure)
    for name in ("MessageDecrypt", "MessageEncrypt"):
        expect(forbidden, session.init, name, Mechanism(CKM.AES_GCM), pure)
    expect(forbidden, session.derive, Mechanism(CKM.AES_ECB_ENCRYPT_DATA), pure, {**_GENERIC, **_OPEN})


def a_wrapping_key_learns_to_decrypt(session: Session) -> None:
    """Nor is a wrapping key given another use afterwards, in a copy, or a decrypting one made a wrapping one."""
    pure, both = _wrapping(session), _wrapping(session, DECRYPT=True)
    for change in (session.set, session.copy):
        for use in _USES:
            expect(_CLOSED, change, pure, {getattr(CKA, use): True})
        expect(_CLOSED, change, pure, {CKA.WRAP: False, CKA.UNWRAP: False})
        # What has a copy that decrypts would be a wrapping key from now on.
        expect(_CLOSED, change, both, {getattr(CKA, use): False for use in _USES})
    data = keys.generate_aes(session, WRAP=False, UNWRAP=False)
    expect(_CLOSED, session.set, data, {**{getattr(CKA, use): False for use in _USES}, CKA.WRAP: True})


def an_rsa_pair_wraps_and_opens(session: Session) -> None:
    """A public key wraps nothing that its private half, here on the token, could open; nor what is readable."""
    victim = _victim(session)
    for more in ({}, {CKA.UNWRAP: True, CKA.SIGN: True}, {CKA.UNWRAP: True, CKA.DECAPSULATE: True}, _OPEN):
        public, _ = keys.import_rsa(session, keys.private_rsa(2048), {}, more)
        for mechanism in (oaep(), Mechanism(CKM.RSA_PKCS), Mechanism(CKM.RSA_X_509)):
            expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, public, victim)
        session.destroy(*session.find({CKA.KEY_TYPE: CKK.RSA}))
    public, private = keys.import_rsa(session, keys.private_rsa(2048), {}, {CKA.UNWRAP: True})
    wrapped = session.wrap(oaep(), public, victim)
    for name in ("Decrypt", "Sign", "SignRecover"):
        expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, name, Mechanism(CKM.RSA_X_509), private)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.decapsulate, oaep(), private, {**_AES, **_OPEN}, wrapped)
    expect(_CLOSED, session.unwrap, oaep(), private, wrapped, {**_AES, **_OPEN})


def an_elliptic_pair_wraps_and_agrees(session: Session) -> None:
    """The private half of a public key that wraps does not agree on the key under it, whatever it says of itself."""
    victim = _victim(session)
    public, private = keys.generate_ec(session, {CKA.WRAP: True}, {CKA.UNWRAP: True, CKA.DERIVE: True})
    mechanism = ecdh_aes(CKM.ECDH_AES_KEY_WRAP, 256, CKD.SHA256_KDF)
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, public, victim)
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.set, private, {CKA.PUBLIC_KEY_INFO: b""})
    public, private = keys.generate_ec(session, {CKA.WRAP: True}, {CKA.UNWRAP: True})
    wrapped = session.wrap(mechanism, public, victim)
    forbidden = CKR.KEY_FUNCTION_NOT_PERMITTED
    expect(forbidden, session.derive, ecdh(wrapped[:65]), private, {**_AES, **_OPEN, CKA.VALUE_LEN: 32})
    expect(forbidden, session.decapsulate, ecdh(b""), private, {**_AES, **_OPEN, CKA.VALUE_LEN: 32}, wrapped[:65])


def a_public_key_is_spelled_otherwise(session: Session) -> None:
    """However a public key is written, or its private half was, the latter is found by it here on the token."""
    victim = _victim(session)
    numbers = keys.private_rsa(2048).private_numbers()
    modulus, exponent, secret = (
        number.to_bytes(256, "big").lstrip(b"\0")
        for number in (numbers.public_numbers.n, numbers.public_numbers.e, numbers.d)
    )
    usable = {CKA.UNWRAP: True, CKA.DECRYPT: True}
    halves = {CKA.PUBLIC_EXPONENT: exponent, CKA.PRIVATE_EXPONENT: secret, **_RSA, **usable}
    for n in (modulus, b"\0" + modulus):
        private = session.create({**halves, CKA.MODULUS: n})
        for other, e in ((modulus, exponent), (b"\0" + modulus, exponent), (bytes(9) + modulus, b"\0\3")):
            public = _public(session, CKK.RSA, {CKA.MODULUS: other, CKA.PUBLIC_EXPONENT: e})
            expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, oaep(), public, victim)
        session.destroy(private)
    key = keys.private_x25519()
    keys.import_x25519(session, key, {}, {CKA.UNWRAP: True, CKA.DERIVE: True})
    point = key.public_key().public_bytes_raw()
    for last in (point[-1], point[-1] ^ 0x80):
        material = {CKA.EC_PARAMS: keys.X25519, CKA.EC_POINT: point[:-1] + bytes((last,))}
        mechanism = ecdh_aes(CKM.ECDH_X_AES_KEY_WRAP, 256, CKD.SHA256_KDF)
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, _public(session, CKK.EC_MONTGOMERY, material), victim)
    pair = session.generate_pair(
        Mechanism(CKM.EC_KEY_PAIR_GEN), {CKA.EC_PARAMS: _BRAINPOOL_T1}, {CKA.UNWRAP: True, CKA.DERIVE: True}
    )
    point = session.get(pair[0], CKA.EC_POINT)[-65:]
    material = {CKA.EC_PARAMS: _BRAINPOOL_T1, CKA.EC_POINT: bytes((6 + point[-1] % 2,)) + point[1:]}
    expect(CKR.ATTRIBUTE_VALUE_INVALID, _public, session, CKK.EC, material)
    material[CKA.EC_POINT] = bytes((2 + point[-1] % 2,)) + point[1:33]
    mechanism = ecdh_aes(CKM.ECDH_AES_KEY_WRAP, 256, CKD.SHA256_KDF)
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, _public(session, CKK.EC, material), victim)


def _public(session: Session, kind: int, material: dict[int, bytes]) -> int:
    """Create a public key that wraps."""
    return session.create({CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: kind, CKA.WRAP: True, **material})


def a_sensitive_key_comes_back_readable(session: Session) -> None:
    """What a wrapping key unwraps is sensitive and private, whatever class, by each function that unwraps."""
    pure, victim = _wrapping(session), _victim(session)
    _, private = keys.import_rsa(session, keys.private_rsa(2048), {}, {CKA.EXTRACTABLE: True})
    for mechanism, key, template in ((_KW, victim, _AES), (_KWP, victim, _GENERIC), (_CBC, private, _RSA)):
        wrapped = session.wrap(mechanism, pure, key)
        for said in ({CKA.SENSITIVE: False}, {CKA.PRIVATE: False}, {**_OPEN, CKA.PRIVATE: False}):
            expect(_CLOSED, session.unwrap, mechanism, pure, wrapped, {**template, **said})
        new = session.unwrap(mechanism, pure, wrapped, template)
        assert session.flag(new, CKA.SENSITIVE)
        assert not session.flag(new, CKA.ALWAYS_SENSITIVE)
        secret = CKA.PRIVATE_EXPONENT if template is _RSA else CKA.VALUE
        expect(CKR.ATTRIBUTE_SENSITIVE, session.get, new, secret)
        assert session.find({CKA.VALUE: bytes(32)}) == []
        for change in (session.set, session.copy):
            expect(CKR.ATTRIBUTE_READ_ONLY, change, new, {CKA.SENSITIVE: False})
        expect(_CLOSED, session.copy, new, {CKA.PRIVATE: False})
    parameter = Gcm(bytes(12))
    mechanism = Mechanism(CKM.AES_GCM, parameter.structure, parameter)
    wrapped = session.wrap_authenticated(mechanism, pure, victim)
    expect(_CLOSED, session.unwrap_authenticated, mechanism, pure, wrapped, {**_AES, **_OPEN})
    imposing = _wrapping(session, UNWRAP_TEMPLATE={CKA.SENSITIVE: False})
    expect(_CLOSED, session.unwrap, _KW, imposing, session.wrap(_KW, imposing, victim), _AES)


def a_key_is_wrapped_by_a_weaker_one(session: Session) -> None:
    """A guarded key is not wrapped by a key that anybody reads, nor by one of fewer bits."""
    victim = _victim(session)
    readable = keys.aes(session, WRAP=True, **dict.fromkeys(_USES, False))
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, _KW, readable, victim)
    for mechanism, generation, size in (
        (_KW, CKM.AES_KEY_GEN, {CKA.VALUE_LEN: 16}),
        (_CBC, CKM.AES_KEY_GEN, {CKA.VALUE_LEN: 24}),
        (Mechanism(CKM.DES3_CBC, bytes(8)), CKM.DES3_KEY_GEN, {}),
    ):
        weaker = session.generate(Mechanism(generation), {CKA.WRAP: True, **size})
        expect(CKR.WRAPPING_KEY_SIZE_RANGE, session.wrap, mechanism, weaker, victim)
    half = keys.generate_aes(session, VALUE_LEN=16, EXTRACTABLE=True)
    weaker = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.WRAP: True, CKA.VALUE_LEN: 16})
    assert len(session.wrap(_KW, weaker, half)) == 24


def trusted_keys_let_go_of_what_they_wrap(session: Session) -> None:
    """What only trusted keys wrap is theirs when it comes back, in every mode: sensitive, private, for them alone."""
    trusted = session.create(
        {**_AES, CKA.VALUE: keys.AES_KEY, CKA.TOKEN: True, CKA.PRIVATE: False, CKA.WRAP: True, CKA.UNWRAP: True}
    )
    _as_officer(session, trusted, {CKA.TRUSTED: True})
    kept = _victim(session, WRAP_WITH_TRUSTED=True)
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, _KW, _wrapping(session), kept)
    wrapped = session.wrap(_KW, trusted, kept)
    for said in (_OPEN, {CKA.PRIVATE: False}, {CKA.WRAP_WITH_TRUSTED: False}):
        expect(_CLOSED, session.unwrap, _KW, trusted, wrapped, {**_AES, **said})
    back = session.unwrap(_KW, trusted, wrapped, _AES)
    assert session.flag(back, CKA.WRAP_WITH_TRUSTED)
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, _KW, _wrapping(session), back)
    for change in (session.set, session.copy):
        expect(CKR.ATTRIBUTE_READ_ONLY, change, back, {CKA.WRAP_WITH_TRUSTED: False})


def _as_officer(session: Session, key: int, attributes: dict[int, Any]) -> None:
    """Have the SO set attributes."""
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.set(key, attributes)
    session.logout()
    session.login(USER_PIN)


def a_wrapped_key_is_taken_for_another_type(session: Session) -> None:
    """The wrapped bytes fit length and form of the type that a template names, and CKA_UNWRAP_TEMPLATE can name it."""
    pure, victim = _wrapping(session), _victim(session)
    wrapped = session.wrap(_KW, pure, victim)
    lengths = (CKR.WRAPPED_KEY_LEN_RANGE, CKR.WRAPPED_KEY_INVALID)
    for kind in (CKK.DES2, CKK.DES3, CKK.SEED):
        expect(lengths, session.unwrap, _KW, pure, wrapped, {**_AES, CKA.KEY_TYPE: kind})
    expect(lengths, session.unwrap, _KW, pure, wrapped, {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC})
    expect(lengths, session.unwrap, _KW, pure, wrapped, _RSA)
    for kind in (CKO.PUBLIC_KEY, CKO.DATA, CKO.CERTIFICATE, CKO.DOMAIN_PARAMETERS, CKO.TRUST):
        refused = (_CLOSED, CKR.TEMPLATE_INCOMPLETE, CKR.ATTRIBUTE_VALUE_INVALID)
        expect(refused, session.unwrap, _KW, pure, wrapped, {CKA.CLASS: kind, CKA.KEY_TYPE: CKK.RSA})
    _, private = keys.import_rsa(session, keys.private_rsa(2048), {}, {CKA.EXTRACTABLE: True})
    for kind in (CKK.AES, CKK.DES3, CKK.CHACHA20):
        template = {**_AES, CKA.KEY_TYPE: kind}
        expect(lengths, session.unwrap, _CBC, pure, session.wrap(_CBC, pure, private), template)
    bound = _wrapping(session, UNWRAP_TEMPLATE={CKA.KEY_TYPE: CKK.AES, CKA.EXTRACTABLE: False})
    wrapped = session.wrap(_KW, bound, victim)
    expect(_CLOSED, session.unwrap, _KW, bound, wrapped, _GENERIC)
    expect(_CLOSED, session.unwrap, _KW, bound, wrapped, {**_AES, CKA.EXTRACTABLE: True})


def a_wrapped_key_is_found_byte_by_byte(session: Session) -> None:
    """No shorter key is made of wrapped bytes, whose one unknown byte a MAC or a checksum would show."""
    pure, victim = _wrapping(session), _victim(session)
    refused = (CKR.WRAPPED_KEY_LEN_RANGE, CKR.WRAPPED_KEY_INVALID, _CLOSED, CKR.ATTRIBUTE_VALUE_INVALID)
    for mechanism in (_KW, _KWP, Mechanism(CKM.AES_KEY_WRAP_PKCS7), gcm(bytes(12))):
        wrapped = session.wrap(mechanism, pure, victim)
        for cut in (1, 8, 16, 24):
            expect(refused, session.unwrap, mechanism, pure, wrapped[:-cut], _GENERIC)
            expect(refused, session.unwrap, mechanism, pure, wrapped[cut:], _GENERIC)
    for mechanism in (_KW, _KWP, _CBC, Mechanism(CKM.AES_CBC, _IV), Mechanism(CKM.AES_ECB), ctr(_IV)):
        wrapped = session.wrap(mechanism, pure, victim)
        for size in (1, 13, 16, 31):
            expect(refused, session.unwrap, mechanism, pure, wrapped, {**_GENERIC, CKA.VALUE_LEN: size})
        for size in (1, 2, 13):
            expect(refused, session.unwrap, mechanism, pure, wrapped[:size], _GENERIC)


def a_shared_key_is_found_byte_by_byte(session: Session) -> None:
    """What is decapsulated is not cut to what its check value tells, by whichever mechanism."""
    demands = {CKA.DECAPSULATE: True, CKA.DECAPSULATE_TEMPLATE: {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}}
    curve = keys.generate_ec(session, {CKA.ENCAPSULATE: True}, demands)
    kem = session.generate_pair(Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), {CKA.PARAMETER_SET: CKP.ML_KEM_768}, demands)
    rsa = keys.import_rsa(session, keys.private_rsa(2048), {CKA.ENCAPSULATE: True}, demands)
    mechanisms = ((ecdh(b""), curve), (ecdh(b"", CKD.SHA256_KDF), curve), (Mechanism(CKM.ML_KEM), kem), (oaep(), rsa))
    for mechanism, (public, private) in mechanisms:
        ciphertext, _ = session.encapsulate(mechanism, public, {**_GENERIC, CKA.VALUE_LEN: 16})
        session.decapsulate(mechanism, private, {**_GENERIC, CKA.VALUE_LEN: 16}, ciphertext)
        for length in (1, 2, 15):
            short = {**_GENERIC, CKA.VALUE_LEN: length}
            expect(CKR.ATTRIBUTE_VALUE_INVALID, session.encapsulate, mechanism, public, short)
            expect(CKR.ATTRIBUTE_VALUE_INVALID, session.decapsulate, mechanism, private, short, ciphertext)


def usages_that_contradict_each_other(session: Session) -> None:
    """A template with one use twice over, or with uses that the class does not have, makes no key; defaults agree."""
    pure = _wrapping(session)
    assert [session.flag(pure, getattr(CKA, use)) for use in _USES] == [False] * 5
    twice = [(CKA.VALUE_LEN, 32), (CKA.DECRYPT, True), (CKA.DECRYPT, False)]
    expect(_CLOSED, session.generate, Mechanism(CKM.AES_KEY_GEN), twice)
    for use in (CKA.SIGN_RECOVER, CKA.ENCAPSULATE, CKA.DECAPSULATE):
        expect(_CLOSED, session.generate, Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, use: True})
    private = {CKA.UNWRAP: True}
    _, two = keys.generate_ec(session, {}, private)
    for use in (CKA.SIGN, CKA.DERIVE, CKA.DECAPSULATE):
        assert not session.flag(two, use)
        for change in (session.set, session.copy):
            expect(_CLOSED, change, two, {use: True})
    expect(_CLOSED, keys.generate_ec, session, {CKA.SIGN: True}, {})
    expect(_CLOSED, keys.generate_ec, session, {}, {CKA.VERIFY: True})


def a_key_loses_its_locks(session: Session) -> None:
    """CKA_COPYABLE, CKA_DESTROYABLE and CKA_MODIFIABLE false hold, and are not taken back, by the user or the SO."""
    locked = {CKA.COPYABLE: False, CKA.DESTROYABLE: False, CKA.MODIFIABLE: False, CKA.TOKEN: True, CKA.PRIVATE: False}
    key = session.create({**_AES, CKA.VALUE: keys.AES_KEY, **locked})
    data = session.create({CKA.CLASS: CKO.DATA, **locked})

    def tried() -> None:
        for handle in (key, data):
            expect(CKR.ACTION_PROHIBITED, session.copy, handle, {})
            expect(CKR.ACTION_PROHIBITED, session.copy, handle, {CKA.COPYABLE: True})
            expect(CKR.ACTION_PROHIBITED, session.destroy, handle)
            for kind in (CKA.COPYABLE, CKA.DESTROYABLE, CKA.MODIFIABLE):
                expect(CKR.ACTION_PROHIBITED, session.set, handle, {kind: True})
            expect(CKR.ACTION_PROHIBITED, session.set, handle, {CKA.LABEL: "mine"})
        expect(CKR.ACTION_PROHIBITED, session.set, key, {CKA.TRUSTED: True})

    tried()
    session.logout()
    session.login(SO_PIN, CKU.SO)
    tried()
    session.logout()
    session.login(USER_PIN)
    half = session.create({CKA.CLASS: CKO.DATA, CKA.COPYABLE: False})
    expect(CKR.ATTRIBUTE_READ_ONLY, session.set, half, {CKA.COPYABLE: True})
    copy = session.copy(session.create({CKA.CLASS: CKO.DATA, CKA.MODIFIABLE: False}), {CKA.LABEL: "a copy"})
    expect(CKR.ACTION_PROHIBITED, session.set, copy, {CKA.LABEL: "another"})


def a_sensitive_key_is_derived_readable(session: Session) -> None:
    """Derivations that tell their base keys exist only under a flag; wrapping keys derive nothing."""
    base = keys.generate_aes(session, DERIVE=True, SIGN=True)
    for number in (CKM.CONCATENATE_BASE_AND_DATA, CKM.XOR_BASE_AND_DATA, CKM.EXTRACT_KEY_FROM_KEY):
        expect(CKR.MECHANISM_INVALID, session.derive, Mechanism(number), base, {**_GENERIC, **_OPEN})
    expect(CKR.ATTRIBUTE_SENSITIVE, session.get, base, CKA.VALUE)
    demanding = keys.generate_aes(session, DERIVE=True, DERIVE_TEMPLATE={CKA.SENSITIVE: True})
    mechanism = Mechanism(CKM.SHA256_KEY_DERIVATION)
    expect((_CLOSED, CKR.KEY_TYPE_INCONSISTENT), session.derive, mechanism, demanding, {**_GENERIC, **_OPEN})


def known_bytes_under_the_same_stream(session: Session) -> None:
    """A message of GCM under a wrapping key, and with it the stream that wraps under the same IV, is not to be had."""
    pure, victim = _wrapping(session), _victim(session)
    session.wrap(gcm(bytes(12)), pure, victim)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, "MessageEncrypt", Mechanism(CKM.AES_GCM), pure)
    expect(CKR.OPERATION_NOT_INITIALIZED, message, session, "Encrypt", Gcm(bytes(12)), bytes(32))


WRAPPING_ATTACKS: tuple[Any, ...] = (
    a_key_is_wrapped_and_decrypted, a_wrapping_key_learns_to_decrypt, an_rsa_pair_wraps_and_opens,
    an_elliptic_pair_wraps_and_agrees, a_public_key_is_spelled_otherwise, a_sensitive_key_comes_back_readable,
    a_key_is_wrapped_by_a_weaker_one, trusted_keys_let_go_of_what_they_wrap, a_wrapped_key_is_taken_for_another_type,
    a_wrapped_key_is_found_byte_by_byte, a_shared_key_is_found_byte_by_byte, usages_that_contradict_each_other,
    a_key_loses_its_locks, a_sensitive_key_is_derived_readable, known_bytes_under_the_same_stream,
)  # fmt: skip

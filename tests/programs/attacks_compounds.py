"""Attacks on wrappings that are made of others: taken apart, and put together again in a way that opens them.

Each begins with a new token and the user logged in; tests/test_attacks.py tries each in a process of its own.
"""

# ruff: noqa: D401 - what a description says is what must hold
from __future__ import annotations

from itertools import product
from typing import Any

from conformance import keys
from conformance.binding import ffi
from conformance.cryptoki import Session, expect
from conformance.fresh_token import SO_PIN, USER_PIN
from conformance.messages import Ccm, Gcm
from conformance.parameters import Mechanism, ecdh, ecdh_aes, oaep, rsa_aes

from ptkc.mechanisms.portable import Reader
from ptkc.spec.constants import CKA, CKD, CKG, CKK, CKM, CKO, CKR, CKU

__all__ = ["COMPOUND_ATTACKS"]

_KW, _KWP, _FILE = Mechanism(CKM.AES_KEY_WRAP), Mechanism(CKM.AES_KEY_WRAP_KWP), Mechanism(CKM.WRAPKEY_AES_KWP)
_AES = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
_OPEN = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
# What comes back from under a wrapping key, and opens what is under it itself.
_OPENER = {**_AES, CKA.UNWRAP: True, CKA.DECRYPT: True}


def _victim(session: Session, **more: Any) -> int:  # noqa: ANN401
    """Return a key that must stay secret: generated, private, sensitive, extractable."""
    return keys.generate_aes(session, EXTRACTABLE=True, **more)


def _trusted(session: Session, key: int) -> int:
    """Have the SO trust a public token object, as a wrapping key is; return it."""
    session.set(key, {CKA.LABEL: "trusted"})
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.set(*session.find({CKA.LABEL: "trusted"}), {CKA.TRUSTED: True})
    session.logout()
    session.login(USER_PIN)
    return session.find({CKA.LABEL: "trusted"})[0]


def a_backup_file_is_taken_apart(session: Session) -> None:
    """No part of a file of CKM_WRAPKEY_AES_KWP is unwrapped with the key that it is under, trusted or not."""
    uses = {CKA.VALUE_LEN: 32, CKA.TOKEN: True, CKA.PRIVATE: False, CKA.WRAP: True, CKA.UNWRAP: True}
    plain, other = (session.generate(Mechanism(CKM.AES_KEY_GEN), uses) for _ in range(2))
    for which in ("any", "trusted"):
        wrapping = _trusted(session, other) if which == "trusted" else plain
        file = session.wrap(_FILE, wrapping, _victim(session, WRAP_WITH_TRUSTED=which == "trusted"))
        reader = Reader(file[4:])
        records = Reader(reader.field()[4:])
        reader.take(4)
        mac_key, transport = reader.field(), reader.field()
        for part in (transport, mac_key, Reader(records.field()).field()):
            assert len(part) == 40
            for mechanism in (_KWP, _KW):
                expect(CKR.WRAPPED_KEY_INVALID, session.unwrap, mechanism, wrapping, part, _OPENER)
        assert session.flag(session.unwrap(_FILE, wrapping, file, _AES), CKA.SENSITIVE)


def an_rsa_wrapping_is_taken_apart(session: Session) -> None:
    """The AES key before the payload of CKM_RSA_AES_KEY_WRAP is not unwrapped by itself, with a pair of this token.

    It is wrapped by that only where CKA_ALLOWED_MECHANISMS of each private half leaves out the parts, and that stays.
    """
    mechanism, whole = rsa_aes(256, oaep()), CKM.RSA_AES_KEY_WRAP
    pair, uses = keys.private_rsa(), {CKA.UNWRAP: True, CKA.TOKEN: True}
    for which in ("any", "trusted"):
        for part in (None, CKM.RSA_PKCS_OAEP, CKM.RSA_PKCS, CKM.RSA_X_509):
            allowed = {} if part is None else {CKA.ALLOWED_MECHANISMS: [whole, part]}
            public, _ = keys.import_rsa(session, pair, {CKA.WRAP: True, CKA.TOKEN: True}, {**uses, **allowed})
            public = _trusted(session, public) if which == "trusted" else public
            victim = _victim(session, WRAP_WITH_TRUSTED=which == "trusted")
            expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, public, victim)
            _forget(session)
    public, private = keys.import_rsa(session, pair, {CKA.WRAP: True}, {**uses, CKA.ALLOWED_MECHANISMS: [whole]})
    victim = _victim(session)
    wrapped = session.wrap(mechanism, public, victim)
    for change in (session.set, session.copy):
        expect(CKR.ATTRIBUTE_READ_ONLY, change, private, {CKA.ALLOWED_MECHANISMS: [whole, CKM.RSA_PKCS_OAEP]})
    for part in (oaep(), Mechanism(CKM.RSA_PKCS), Mechanism(CKM.RSA_X_509)):
        expect(CKR.MECHANISM_INVALID, session.unwrap, part, private, wrapped[:256], _OPENER)
        expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.decapsulate, part, private, _OPENER, wrapped[:256])
    expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap, mechanism, private, wrapped, {**_AES, **_OPEN})
    session.destroy(session.unwrap(mechanism, private, wrapped, _AES))
    keys.import_rsa(session, pair, {}, uses)
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, public, victim)


def _forget(session: Session) -> None:
    """Destroy all RSA keys, those that the SO trusts as well."""
    session.destroy(*session.find({CKA.CLASS: CKO.PRIVATE_KEY}))
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.destroy(*session.find({CKA.KEY_TYPE: CKK.RSA}))
    session.logout()
    session.login(USER_PIN)


def an_agreement_is_taken_apart(session: Session) -> None:
    """Nor is the AES key of CKM_ECDH_AES_KEY_WRAP agreed on by itself, by whatever gives a shared secret."""
    mechanism, victim = ecdh_aes(CKM.ECDH_AES_KEY_WRAP, 256, CKD.SHA256_KDF), _victim(session)
    for use in (CKA.DERIVE, CKA.DECAPSULATE):
        public, _ = keys.import_x25519(session, keys.private_x25519(), {CKA.WRAP: True}, {CKA.UNWRAP: True, use: True})
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, mechanism, public, victim)
        session.destroy(*session.find({CKA.KEY_TYPE: CKK.EC_MONTGOMERY}))
    public, private = keys.import_x25519(session, keys.private_x25519(), {CKA.WRAP: True}, {CKA.UNWRAP: True})
    wrapped = session.wrap(mechanism, public, victim)
    part, template = wrapped[:32], {**_AES, **_OPEN, CKA.VALUE_LEN: 32}
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.derive, ecdh(part), private, template)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.decapsulate, ecdh(b""), private, template, part)
    for number in (CKM.ECDH_AES_KEY_WRAP, CKM.ECDH_X_AES_KEY_WRAP):
        other = ecdh_aes(number, 256, CKD.SHA256_KDF)
        expect(CKR.WRAPPED_KEY_LEN_RANGE, session.unwrap, other, private, part, _OPENER)
        expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap, other, private, wrapped, {**_AES, **_OPEN})


def an_oaep_wrapping_is_multiplied(session: Session) -> None:
    """Manger's attack: that of multiples of a wrapped number raw RSA says which are short, tells the number."""
    victim = _victim(session)
    public, private = keys.import_rsa(session, keys.private_rsa(), {CKA.WRAP: True}, {CKA.UNWRAP: True})
    numbers = keys.private_rsa().public_key().public_numbers()
    wrapped = int.from_bytes(session.wrap(oaep(), public, victim), "big")
    raw = Mechanism(CKM.RSA_X_509)
    for factor in (1, 2, 4, 256, 512, 2**64):
        multiple = (pow(factor, numbers.e, numbers.n) * wrapped % numbers.n).to_bytes(256, "big")
        for kind, length in ((CKK.GENERIC_SECRET, {}), (CKK.GENERIC_SECRET, {CKA.VALUE_LEN: 255}), (CKK.AES, {})):
            said = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, **length}
            expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap, raw, private, multiple, said)
    session.destroy(session.unwrap(oaep(), private, wrapped.to_bytes(256, "big"), _AES))


def a_root_opens_a_wrapped_key(session: Session) -> None:
    """Raw RSA wraps no guarded key: under the exponent 3 it would be the cube of the key, here and elsewhere."""
    material = {CKA.MODULUS_BITS: 2048, CKA.PUBLIC_EXPONENT: b"\3", CKA.WRAP: True}
    public, private = session.generate_pair(Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN), material, {CKA.UNWRAP: True})
    for _ in range(2):
        expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, Mechanism(CKM.RSA_X_509), public, _victim(session))
        session.wrap(oaep(), public, _victim(session))
        session.destroy(*session.find({CKA.CLASS: CKO.PRIVATE_KEY}))
    expect(CKR.OBJECT_HANDLE_INVALID, session.get, private, CKA.MODULUS)


def a_trusted_key_counts_anew(session: Session) -> None:
    """A session copy of a trusted key, whose counter begins with zero in each process, wraps nothing by that counter.

    Nor by fewer than 96 random bits: two keys under one IV tell each other.
    """
    uses = {CKA.VALUE_LEN: 32, CKA.TOKEN: True, CKA.PRIVATE: False, CKA.WRAP: True, CKA.UNWRAP: True}
    trusted = _trusted(session, session.generate(Mechanism(CKM.AES_KEY_GEN), uses))
    kept, known = _victim(session, WRAP_WITH_TRUSTED=True), keys.aes(session)
    copy = session.copy(trusted, {CKA.TOKEN: False})
    assert session.flag(copy, CKA.TRUSTED)
    few = ((CKG.GENERATE, 1), (CKG.GENERATE, 32), (CKG.GENERATE_RANDOM, 32))
    counting = ((CKG.GENERATE_COUNTER, 0), (CKG.GENERATE_COUNTER_XOR, 0), (CKG.NO_GENERATE, 0), (77, 0))
    bad = (*counting, *few, (CKG.GENERATE, 2**64 - 1))
    for key, target, (generator, fixed) in product((trusted, copy), (kept, known), bad):
        expect(CKR.MECHANISM_INVALID, session.wrap, _gcm_wrap(fixed, generator)[0], key, target)
        one = Gcm(bytes(12), fixed=fixed, generator=generator)
        two = Ccm(32, bytes(12), fixed=fixed, generator=generator)
        for number, each in ((CKM.AES_GCM, one), (CKM.AES_CCM, two)):
            mechanism = Mechanism(number, each.structure, each)
            expect(CKR.MECHANISM_INVALID, session.wrap_authenticated, mechanism, key, target)
    for key in (trusted, copy):
        for generator in (CKG.GENERATE, CKG.GENERATE_RANDOM):
            mechanism, iv = _gcm_wrap(0, generator)
            wrapped = session.wrap(mechanism, key, kept)
            assert bytes(12) != bytes(iv)
            assert session.flag(session.unwrap(mechanism, key, wrapped, _AES), CKA.WRAP_WITH_TRUSTED)


def _gcm_wrap(fixed: int, generator: int) -> tuple[Mechanism, Any]:
    """Return CKM_AES_GCM with CK_GCM_WRAP_PARAMS, and the memory of its IV."""
    iv = ffi.new("CK_BYTE[12]")
    return Mechanism(
        CKM.AES_GCM, ffi.new("CK_GCM_WRAP_PARAMS *", (iv, 12, fixed, generator, ffi.NULL, 0, 128)), iv
    ), iv


COMPOUND_ATTACKS: tuple[Any, ...] = (
    a_backup_file_is_taken_apart, an_rsa_wrapping_is_taken_apart, an_agreement_is_taken_apart,
    an_oaep_wrapping_is_multiplied, a_root_opens_a_wrapped_key, a_trusted_key_counts_anew,
)  # fmt: skip

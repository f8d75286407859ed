"""A Python developer's work with a token, from end to end, the same over every transport."""

from __future__ import annotations

import hashlib

import pkcs11
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import KDF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key
from tokens import Initialised

_MESSAGE = b"from end to end " * 40
_ED25519 = bytes.fromhex("06032b6570")


def _curve(session: pkcs11.Session, name: str) -> pkcs11.DomainParameters:
    """Return named curve parameters."""
    return session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(name)}, local=True
    )


@pytest.fixture
def rsa(session: pkcs11.Session) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
    """Return an RSA key pair of the session."""
    return session.generate_keypair(KeyType.RSA, 2048)


def test_an_rsa_signature_verifies_inside_and_outside(rsa) -> None:
    """PKCS #1 v1.5 with SHA-256; a changed message is refused by both."""
    public, private = rsa
    signature = private.sign(_MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)
    assert public.verify(_MESSAGE, signature, mechanism=Mechanism.SHA256_RSA_PKCS)
    assert not public.verify(_MESSAGE + b".", signature, mechanism=Mechanism.SHA256_RSA_PKCS)
    outside = serialization.load_der_public_key(_as_spki(public))
    outside.verify(signature, _MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        outside.verify(signature, _MESSAGE + b".", padding.PKCS1v15(), hashes.SHA256())


def _as_spki(public: pkcs11.PublicKey) -> bytes:
    """Return an RSA public key as SubjectPublicKeyInfo."""
    key = serialization.load_der_public_key(encode_rsa_public_key(public))
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_long_message_is_signed_in_parts(rsa) -> None:
    """C_SignUpdate with many parts gives the signature of the whole."""
    _, private = rsa
    whole = private.sign(_MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)
    parts = iter([_MESSAGE[:7], _MESSAGE[7:400], _MESSAGE[400:]])
    assert whole == private.sign(parts, mechanism=Mechanism.SHA256_RSA_PKCS)


@pytest.mark.parametrize("name", ["secp256r1", "secp384r1", "secp521r1"])
def test_an_ecdsa_signature_verifies_inside_and_outside(session: pkcs11.Session, name: str) -> None:
    """ECDSA over a SHA-256 digest, on the three NIST curves."""
    public, private = _curve(session, name).generate_keypair()
    digest = hashlib.sha256(_MESSAGE).digest()
    signature = private.sign(digest, mechanism=Mechanism.ECDSA)
    assert public.verify(digest, signature, mechanism=Mechanism.ECDSA)
    half = len(signature) // 2
    r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    outside = serialization.load_der_public_key(encode_ec_public_key(public))
    outside.verify(encode_dss_signature(r, s), _MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_an_ed25519_signature_verifies_outside(session: pkcs11.Session) -> None:
    """Ed25519, with the curve named by its OID."""
    parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True)
    public, private = parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
    signature = private.sign(_MESSAGE, mechanism=Mechanism.EDDSA)
    point = public[Attribute.EC_POINT]
    ed25519.Ed25519PublicKey.from_public_bytes(point[-32:]).verify(signature, _MESSAGE)


def test_both_sides_of_an_ecdh_derive_the_same_key(session: pkcs11.Session) -> None:
    """ECDH1_DERIVE to an AES key: what one encrypts the other decrypts."""
    curve = _curve(session, "secp256r1")
    pairs = [curve.generate_keypair(capabilities=MechanismFlag.DERIVE) for _ in range(2)]
    keys = [
        private.derive_key(KeyType.AES, 128, mechanism_param=(KDF.NULL, None, other[Attribute.EC_POINT]))
        for (_, private), (other, _) in zip(pairs, reversed(pairs), strict=True)
    ]
    sealed = keys[0].encrypt(_MESSAGE, mechanism_param=bytes(16))
    assert _MESSAGE == keys[1].decrypt(sealed, mechanism_param=bytes(16))


def test_aes_gcm_opens_what_it_sealed_and_nothing_else(session: pkcs11.Session) -> None:
    """A changed byte is refused."""
    key = session.generate_key(KeyType.AES, 256)
    parameters = pkcs11.GCMParams(bytes(range(12)), b"header", 128)
    sealed = key.encrypt(_MESSAGE, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    assert _MESSAGE == key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    with pytest.raises(pkcs11.PKCS11Error):
        key.decrypt(bytes([sealed[0] ^ 1]) + sealed[1:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)


def test_aes_cbc_takes_a_stream(session: pkcs11.Session) -> None:
    """Encrypted in parts and decrypted at once."""
    key = session.generate_key(KeyType.AES, 128)
    parts = [_MESSAGE[:16], _MESSAGE[16:19], _MESSAGE[19:]]
    sealed = b"".join(key.encrypt(parts, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16)))
    assert _MESSAGE == key.decrypt(sealed, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16))


def test_a_wrapped_key_comes_back(session: pkcs11.Session) -> None:
    """AES key wrap of an extractable key."""
    wrapping = session.generate_key(KeyType.AES, 256, template={Attribute.WRAP: True, Attribute.UNWRAP: True})
    key = session.generate_key(KeyType.AES, 256, template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False})
    wrapped = wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP)
    template = {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
    back = wrapping.unwrap_key(
        ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=Mechanism.AES_KEY_WRAP, template=template
    )
    assert key[Attribute.VALUE] == back[Attribute.VALUE]


def test_a_token_key_is_found_again_and_keeps_its_secret(
    slot_token: pkcs11.Token, prepared: Initialised
) -> None:
    """A stored key outlives its session, is found by label and id, never shows its value, and can be destroyed."""
    with slot_token.open(rw=True, user_pin=prepared.pin) as session:
        session.generate_key(KeyType.AES, 256, store=True, label="kept", id=b"\x17")
        session.generate_key(KeyType.AES, 256, label="lost")
    with slot_token.open(rw=True, user_pin=prepared.pin) as session:
        key = session.get_key(label="kept", id=b"\x17")
        assert key[Attribute.SENSITIVE]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]
        with pytest.raises(pkcs11.NoSuchKey):
            session.get_key(label="lost")
        key.destroy()
        with pytest.raises(pkcs11.NoSuchKey):
            session.get_key(label="kept")


def test_a_private_object_is_invisible_without_login(slot_token: pkcs11.Token, prepared: Initialised) -> None:
    """A private data object is found only while the user is logged in, a public one always."""
    with slot_token.open(rw=True, user_pin=prepared.pin) as session:
        made = [
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.DATA,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: private,
                    Attribute.LABEL: "a note",
                    Attribute.VALUE: b"text",
                }
            )
            for private in (False, True)
        ]
        assert len(made) == len(list(session.get_objects({Attribute.LABEL: "a note"})))
    with slot_token.open() as session:
        assert [False] == [there[Attribute.PRIVATE] for there in session.get_objects({Attribute.LABEL: "a note"})]


def test_a_wrong_pin_is_refused(slot_token: pkcs11.Token, prepared: Initialised) -> None:
    """CKR_PIN_INCORRECT; the right PIN is accepted afterwards."""
    with pytest.raises(pkcs11.PinIncorrect):
        slot_token.open(user_pin="not-the-pin")
    with slot_token.open(user_pin=prepared.pin) as session:
        assert pkcs11.UserType.USER == session.user_type


def test_the_user_changes_the_pin(slot_token: pkcs11.Token, prepared: Initialised) -> None:
    """C_SetPIN there and back."""
    with slot_token.open(rw=True, user_pin=prepared.pin) as session:
        session.set_pin(prepared.pin, "changed-99")
    with slot_token.open(rw=True, user_pin="changed-99") as session:
        session.set_pin("changed-99", prepared.pin)
    slot_token.open(user_pin=prepared.pin).close()


def test_digests_and_random_numbers(session: pkcs11.Session) -> None:
    """C_Digest, whole and in parts; C_GenerateRandom."""
    assert hashlib.sha512(_MESSAGE).digest() == session.digest(_MESSAGE, mechanism=Mechanism.SHA512)
    parts = iter([_MESSAGE[:100], _MESSAGE[100:]])
    assert hashlib.sha256(_MESSAGE).digest() == session.digest(parts, mechanism=Mechanism.SHA256)
    assert session.generate_random(256) != session.generate_random(256)


def test_objects_are_found_one_by_one_and_all_at_once(session: pkcs11.Session) -> None:
    """More objects than one C_FindObjects call returns."""
    for number in range(25):
        session.create_object(
            {Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: f"many-{number}", Attribute.APPLICATION: "many"}
        )
    found = list(session.get_objects({Attribute.APPLICATION: "many"}))
    assert {f"many-{number}" for number in range(25)} == {there[Attribute.LABEL] for there in found}
    (one,) = session.get_objects({Attribute.LABEL: "many-7"})
    assert "many-7" == one[Attribute.LABEL]

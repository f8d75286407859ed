"""`ptkc.vendor` with real HSMs in this process: tokens, identity keys, certificates, limits, shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import CertificateType
from pkcs11.util.ec import encode_named_curve_parameters
from processes import run

from ptkc import vendor
from ptkc.spec.constants import CKU
from ptkc.vendor import (
    Attribute,
    Device,
    HardwareFeature,
    KeyType,
    Mechanism,
    ObjectClass,
    decode_certificate,
    devices,
    encode,
    encode_public_key,
    exceptions,
    generate_identity,
    generate_owner,
    init_admin,
    verify_certificate,
)

ASO_PIN, ADMIN_PIN, SO_PIN, PIN = "aso-12345678", "admin-1234", "so-12345678", "user-1234"
X_509 = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.CERTIFICATE_TYPE: CertificateType.X_509}

Load = Callable[[], Any]


@pytest.fixture
def hsm(load: Load) -> Device:
    """Return the HSM of an empty data path, with its Admin token initialised."""
    (device,) = devices(load())
    init_admin(device.admin_slot, ASO_PIN, ADMIN_PIN)
    return device


@pytest.fixture
def admin(hsm: Device) -> Iterator[pkcs11.Session]:
    """Return a read/write session of the Administrator."""
    with hsm.admin.open(rw=True, user_pin=ADMIN_PIN) as session:
        yield session


def _token(hsm: Device, admin: pkcs11.Session, place: int = 0) -> pkcs11.Token:
    """Return a user token with both PINs set."""
    vendor.initialise_token(admin, hsm.user_slots[place], SO_PIN, f"Token {place}")
    with hsm.user_slots[place].get_token().open(rw=True, so_pin=SO_PIN) as session:
        vendor.set_first_pin(session, CKU.USER, PIN)
    return hsm.user_slots[place].get_token()


@pytest.fixture
def user(hsm: Device, admin: pkcs11.Session) -> Iterator[pkcs11.Session]:
    """Return a read/write session of the user of the first slot's token."""
    with _token(hsm, admin).open(rw=True, user_pin=PIN) as session:
        yield session


# The HSM and its tokens


def test_the_hsm_itself_is_an_object_with_names_for_what_it_says(hsm: Device, admin: pkcs11.Session) -> None:
    """Adapter, slots and hardware features are read, and set, by python-pkcs11's own methods."""
    (adapter,) = admin.get_objects({Attribute.CLASS: ObjectClass.ADAPTER})
    assert ObjectClass.ADAPTER is adapter[Attribute.CLASS]
    assert vendor.SecurityFlag(0) == adapter[Attribute.SECURITY_MODE]
    assert vendor.TransportMode.NONE == adapter[Attribute.TRANSPORT_MODE]
    adapter[Attribute.SECURITY_MODE] = vendor.SecurityFlag.NO_PUBLIC_CRYPTO
    assert vendor.SecurityFlag.NO_PUBLIC_CRYPTO == adapter[Attribute.SECURITY_MODE]
    features = {f[Attribute.HW_FEATURE_TYPE] for f in admin.get_objects({Attribute.CLASS: ObjectClass.HW_FEATURE})}
    assert {HardwareFeature.CLOCK, HardwareFeature.MONOTONIC_COUNTER, HardwareFeature.EVENT_LOG} == features


def test_the_administrator_initialises_a_users_token(hsm: Device, user: pkcs11.Session) -> None:
    """CT_InitToken and CT_InitPIN make a token that its user logs in to."""
    assert ("Token 0", hsm.number) == (user.token.label, vendor.hsm_id(user))


def test_a_first_pin_is_set_once(hsm: Device, admin: pkcs11.Session) -> None:
    """CT_InitPIN with the user's PIN set is CKR_PIN_ALREADY_INITIALIZED."""
    with _token(hsm, admin).open(rw=True, so_pin=SO_PIN) as session, pytest.raises(exceptions.PinAlreadyInitialized):
        vendor.set_first_pin(session, CKU.USER, PIN)


def test_on_a_users_token_there_is_no_administrator(hsm: Device, user: pkcs11.Session) -> None:
    """CT_InitToken there raises the vendor's exception."""
    with pytest.raises(exceptions.NotAdminToken):
        vendor.initialise_token(user, hsm.admin_slot, SO_PIN, "no")


def test_a_reset_token_is_empty(hsm: Device, admin: pkcs11.Session) -> None:
    """CT_ResetToken erases the objects and the user's PIN, sets PIN and label, and closes the session."""
    token = _token(hsm, admin)
    with token.open(rw=True, user_pin=PIN) as session:
        session.create_object({Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.PRIVATE: False})
    session = token.open(rw=True, so_pin=SO_PIN)
    vendor.reset_token(session, "new-so-pin", "Reset")
    with pytest.raises(pkcs11.SessionHandleInvalid):
        session.generate_random(8)
    token = hsm.user_slots[0].get_token()
    assert ("Reset", 0) == (token.label, token.flags & pkcs11.TokenFlag.USER_PIN_INITIALIZED)
    with token.open(so_pin="new-so-pin", rw=True) as session:
        assert [] == list(session.get_objects())


def test_an_object_is_copied_to_another_token(hsm: Device, admin: pkcs11.Session, user: pkcs11.Session) -> None:
    """CT_CopyObject gives an object of the destination's session, with the template's changes."""
    data = user.create_object(
        {Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: "one", Attribute.VALUE: b"carried over"}
    )
    made = vendor.copy_object(admin, user, data, {Attribute.LABEL: "two", Attribute.TOKEN: True})
    assert ("two", b"carried over", admin) == (made[Attribute.LABEL], made[Attribute.VALUE], made.session)


# Certificates


def _key_pair(session: pkcs11.Session, curve: str = "secp256r1") -> tuple[Any, Any]:
    named = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
    subject = {Attribute.SUBJECT: x509.Name.from_rfc4514_string("CN=Tests").public_bytes()}
    parameters = session.create_domain_parameters(KeyType.EC, named, local=True)
    return parameters.generate_keypair(public_template=subject, private_template=subject)


def test_a_request_is_made_in_the_hsm(user: pkcs11.Session) -> None:
    """CKM_ENCODE_PKCS_10 gives a request object that `cryptography` verifies."""
    public, private = _key_pair(user)
    request = encode(user, Mechanism.ENCODE_PKCS_10, public, private, signature=Mechanism.ECDSA_SHA256)
    assert ObjectClass.CERTIFICATE_REQUEST is request[Attribute.CLASS]
    read = x509.load_der_x509_csr(request[Attribute.VALUE])
    assert read.is_signature_valid
    info = read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert info == encode_public_key(user, public)


def test_a_pik_that_signs_itself_has_its_certificate_at_once(hsm: Device, admin: pkcs11.Session) -> None:
    """CKM_GEN_PIK_ECC_P521 with its parameter true: key pair and PIC are in force."""
    assert vendor.fetch_certificate(hsm.number, Attribute.LOCAL_IDENTITY_CERT) is None
    public, private = generate_identity(admin, self_sign=True)
    assert (["PIK"] * 2, 521) == ([public.label, private.label], private[Attribute.KEY_SIZE])
    der = vendor.fetch_certificate(hsm.number, Attribute.LOCAL_IDENTITY_CERT)
    assert der is not None
    x509.load_der_x509_certificate(der).verify_directly_issued_by(x509.load_der_x509_certificate(der))


def test_an_owner_key_and_its_certificate_are_pending(admin: pkcs11.Session) -> None:
    """A key pair with CKA_HSM_OWNER_CERT is a POK, with a POC that it signed itself."""
    public, private = generate_owner(admin)
    assert ["POK-Pending"] * 2 == [public.label, private.label]
    (owner,) = admin.get_objects({**X_509, Attribute.LABEL: "POC-Pending"})
    certificate = x509.load_der_x509_certificate(owner[Attribute.VALUE])
    certificate.verify_directly_issued_by(certificate)


def test_a_certificates_key_is_decoded(admin: pkcs11.Session) -> None:
    """CKM_DECODE_X_509 gives a public key object, CKM_ENCODE_PUBLIC_KEY its SubjectPublicKeyInfo."""
    generate_identity(admin, self_sign=True)
    (pic,) = admin.get_objects({**X_509, Attribute.LABEL: "PIC"})
    key = decode_certificate(admin, pic, {Attribute.LABEL: "out of it"})
    assert (ObjectClass.PUBLIC_KEY, "out of it") == (key[Attribute.CLASS], key[Attribute.LABEL])
    certified = x509.load_der_x509_certificate(pic[Attribute.VALUE]).public_key()
    info = certified.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert info == encode_public_key(admin, key)


def test_a_certificate_is_verified_by_a_trusted_one(admin: pkcs11.Session) -> None:
    """CKM_VERIFY_CERTIFICATE accepts what the issuer signed, and nothing else."""
    generate_identity(admin, self_sign=True)
    (pic,) = admin.get_objects({**X_509, Attribute.LABEL: "PIC"})
    der = pic[Attribute.VALUE]
    assert verify_certificate(admin, pic, der) is None
    with pytest.raises(pkcs11.SignatureInvalid):
        verify_certificate(admin, pic, der[:-1] + bytes([der[-1] ^ 1]))


def test_a_key_made_here_is_stated_to_be(admin: pkcs11.Session, user: pkcs11.Session) -> None:
    """CKM_ENCODE_X_509_LOCAL_CERT by the PIK: only for a key that the HSM made."""
    _, identity = generate_identity(admin, self_sign=True)
    (pic,) = admin.get_objects({**X_509, Attribute.LABEL: "PIC"})
    public, _ = _key_pair(admin)
    statement = encode(admin, Mechanism.ENCODE_X_509_LOCAL_CERT, public, identity)
    verify_certificate(admin, pic, statement[Attribute.VALUE])


# Limits and shares


def test_a_secret_is_shared_and_recovered(user: pkcs11.Session) -> None:
    """Any two of three shares make the key again, with its attributes."""
    key = user.generate_key(KeyType.AES, 256, label="shared", template={Attribute.EXTRACTABLE: True})
    shares = vendor.share_secret(user, key, 2, 3)
    assert 3 == len(set(shares))
    for pair in (shares[:2], shares[1:], shares[::2]):
        made = vendor.recover_secret(user, pair, {Attribute.LABEL: "again"})
        assert key.encrypt(bytes(16), mechanism=Mechanism.AES_ECB) == made.encrypt(
            bytes(16), mechanism=Mechanism.AES_ECB
        )


def test_keys_are_backed_up_and_restored(user: pkcs11.Session) -> None:
    """A file of two keys gives both again, the second under another label; a changed one gives none."""
    keys = [
        user.generate_key(KeyType.AES, 256, label=label, template={Attribute.EXTRACTABLE: True}) for label in ("a", "b")
    ]
    only = pkcs11.MechanismFlag.WRAP | pkcs11.MechanismFlag.UNWRAP
    wrapping = user.generate_key(KeyType.AES, 256, label="backup", capabilities=only)
    file = vendor.back_up(user, wrapping, keys)
    first = vendor.restore(user, wrapping, file)
    second = vendor.restore(user, wrapping, file, 1, {Attribute.LABEL: "c"})
    assert ["a", "c"] == [first[Attribute.LABEL], second[Attribute.LABEL]]
    for before, after in zip(keys, (first, second), strict=True):
        made = [key.encrypt(bytes(16), mechanism=Mechanism.AES_ECB) for key in (before, after)]
        assert made[0] == made[1]
    with pytest.raises(pkcs11.WrappedKeyInvalid):
        vendor.restore(user, wrapping, file[:-1] + bytes([file[-1] ^ 1]))


def test_a_ticket_that_is_none_is_refused(user: pkcs11.Session) -> None:
    """CT_PresentTicket with bytes that are no ticket raises, and changes nothing."""
    key = user.generate_key(KeyType.AES, 256, template={Attribute.USAGE_LIMIT: 3})
    with pytest.raises(pkcs11.PKCS11Error):
        vendor.present_ticket(user, key, b"no ticket")
    assert (3, 0) == (key[Attribute.USAGE_LIMIT], key[Attribute.USAGE_COUNT])


def test_an_exhausted_key_is_not_active(user: pkcs11.Session) -> None:
    """The vendor's refusal of a python-pkcs11 method is the vendor's exception."""
    key = user.generate_key(KeyType.AES, 256, template={Attribute.USAGE_LIMIT: 1})
    key.encrypt(bytes(16), mechanism=Mechanism.AES_ECB)
    with pytest.raises(exceptions.KeyNotActive):
        key.encrypt(bytes(16), mechanism=Mechanism.AES_ECB)


def test_a_label_that_is_too_long_is_refused(hsm: Device, admin: pkcs11.Session) -> None:
    """A token label has 32 bytes of UTF-8."""
    with pytest.raises(pkcs11.ArgumentsBad, match="at most 32 bytes"):
        vendor.initialise_token(admin, hsm.user_slots[0], SO_PIN, "é" * 17)


# Certificates of two HSMs


@pytest.fixture
def two(env: dict[str, str], in_process: dict[str, str], load: Load) -> list[Device]:
    """Return two HSMs with initialised Admin tokens."""
    run(sys.executable, "-m", "ptkc.tools.ptkc", "hsm", "add", "1197", "1111", env={**env, **in_process})
    found = devices(load())
    for device in found:
        init_admin(device.admin_slot, ASO_PIN, ADMIN_PIN)
    return found


def test_what_one_hsm_states_another_verifies_while_it_trusts_it(two: list[Device]) -> None:
    """A statement of the first HSM is verified on the second with its copy of the PIC, and no longer without."""
    first, second = two
    with first.admin.open(rw=True, user_pin=ADMIN_PIN) as here, second.admin.open(rw=True, user_pin=ADMIN_PIN) as there:
        _, identity = generate_identity(here, self_sign=True)
        generate_identity(there, self_sign=True)
        pic = vendor.fetch_certificate(first.number, Attribute.LOCAL_IDENTITY_CERT)
        peer = there.create_object({**X_509, Attribute.LOCAL_IDENTITY_CERT: False, Attribute.VALUE: pic})
        assert f"PIC {first.serial}" == peer[Attribute.LABEL]
        statement = encode(here, Mechanism.ENCODE_X_509_LOCAL_CERT, _key_pair(here)[0], identity)[Attribute.VALUE]
        verify_certificate(there, peer, statement)
        peer.destroy()
        with pytest.raises(pkcs11.PKCS11Error):
            verify_certificate(there, peer, statement)

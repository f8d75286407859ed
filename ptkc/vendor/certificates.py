"""Identity keys, and certificates and requests made in the HSM, by the vendor's mechanisms.

Sessions and objects are python-pkcs11's. Owner and identity keys are made on the Admin token, by the Administrator, in
a read/write session; which of them is in force, pending or replaced the HSM decides, and says in their labels.
Templates are python-pkcs11's: a dict of attributes, where `pkcs11.constants.DEFAULT` takes out what is there by
default.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import pkcs11
from pkcs11.constants import DEFAULT
from pkcs11.util.ec import encode_named_curve_parameters

from ptkc.spec.constants import CKM, CKO
from ptkc.vendor.calls import call, ffi, filled, found, handle_of, mechanism, template
from ptkc.vendor.names import Attribute, KeyType, Mechanism, ObjectClass

__all__ = [
    "decode_certificate", "encode", "encode_public_key", "generate_identity", "generate_owner", "verify_certificate",
]  # fmt: skip

# What python-pkcs11 puts into the templates of key pairs, and the HSM decides for identity keys.
_PLAIN: Final = dict.fromkeys(
    (Attribute.ID, Attribute.LABEL, Attribute.ENCRYPT, Attribute.WRAP, Attribute.VERIFY, Attribute.PRIVATE,
     Attribute.SENSITIVE, Attribute.DECRYPT, Attribute.UNWRAP, Attribute.SIGN, Attribute.DERIVE),
    DEFAULT,
)  # fmt: skip
_REQUESTS: Final = {CKM.ENCODE_PKCS_10: CKO.CERTIFICATE_REQUEST}


def generate_owner(session: pkcs11.Session) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
    """Make an owner key (POK) and its self-signed certificate (POC), both pending, and return the key pair."""
    marked = {**_PLAIN, Attribute.HSM_OWNER_CERT: True}
    return session.generate_keypair(
        KeyType.EC,
        store=True,
        capabilities=0,
        mechanism=Mechanism.EC_KEY_PAIR_GEN,
        public_template={**marked, Attribute.EC_PARAMS: encode_named_curve_parameters("secp521r1")},
        private_template=marked,
    )


def generate_identity(
    session: pkcs11.Session, *, self_sign: bool = False
) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
    """Make an identity key (PIK) and return the key pair (CKM_GEN_PIK_ECC_P521).

    With `self_sign` it is in force at once, with a self-signed certificate (PIC), in place of the former. Without, it
    is pending until a certificate for it is stored.
    """
    return session.generate_keypair(
        KeyType.EC,
        store=True,
        capabilities=0,
        mechanism=Mechanism.GEN_PIK_ECC_P521,
        mechanism_param=bytes([self_sign]),
        public_template=_PLAIN,
        private_template=_PLAIN,
    )


def encode(
    session: pkcs11.Session,
    mechanism_type: Mechanism,
    base: pkcs11.Object,
    signing_key: pkcs11.PrivateKey,
    attributes: dict[Any, Any] | None = None,
    signature: Mechanism = Mechanism.ECDSA_SHA512,
) -> Any:  # noqa: ANN401 - an object of python-pkcs11's classes
    """Make a certificate or request in the HSM, signed by one of its keys, and return the object.

    `mechanism_type`: `Mechanism.ENCODE_PKCS_10` makes a request for the public key `base`; `ENCODE_X_509` a certificate
    for the request, public key or certificate `base`; `ENCODE_X_509_LOCAL_CERT` one that states that the key was made
    in this HSM. `attributes` is the new object's template beyond its class; without CKA_TOKEN it is a session object.
    """
    return _derived(
        session,
        mechanism(mechanism_type, struct.pack("LL", signature, handle_of(signing_key))),
        base,
        {Attribute.CLASS: ObjectClass(_REQUESTS.get(mechanism_type, CKO.CERTIFICATE)), **(attributes or {})},
    )


def decode_certificate(
    session: pkcs11.Session, certificate: pkcs11.Object, attributes: dict[Any, Any] | None = None
) -> Any:  # noqa: ANN401 - a public key
    """Return the public key that a certificate object certifies, as a new object (CKM_DECODE_X_509)."""
    given = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, **(attributes or {})}
    return _derived(session, mechanism(CKM.DECODE_X_509), certificate, given)


def _derived(session: pkcs11.Session, how: Any, base: pkcs11.Object, attributes: dict[Any, Any]) -> Any:  # noqa: ANN401
    """C_DeriveKey, whatever the class of base and result."""
    new = ffi.new("CK_ULONG *")
    values, count = template(attributes)
    call("C_DeriveKey", handle_of(session), how, handle_of(base), values, count, new)
    return found(session, new[0])


def encode_public_key(session: pkcs11.Session, key: pkcs11.Object) -> bytes:
    """Return a public key as SubjectPublicKeyInfo in DER, as the HSM encodes it (CKM_ENCODE_PUBLIC_KEY)."""
    return filled("C_WrapKey", handle_of(session), mechanism(CKM.ENCODE_PUBLIC_KEY), 0, handle_of(key))


def verify_certificate(session: pkcs11.Session, issuer: pkcs11.Object, der: bytes) -> None:
    """Return if the issuer's certificate object, which the HSM must trust, verifies a certificate.

    Raises `SignatureInvalid`, or `CertNotValidated` if the issuer is not trusted, is another one, or a date is wrong
    by the HSM's clock (CKM_VERIFY_CERTIFICATE).
    """
    call("C_VerifyInit", handle_of(session), mechanism(CKM.VERIFY_CERTIFICATE), handle_of(issuer))
    call("C_Verify", handle_of(session), der, len(der), ffi.NULL, 0)

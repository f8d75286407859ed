"""What the identity keys sign, and nothing else: requests, identity certificates, and statements on keys of this HSM.

A request is for the HSM's own identity key, an identity certificate is an owner key's answer to a request, a statement
(CKM_ENCODE_X_509_LOCAL_CERT) says that a key was generated on this HSM. `key` is one of the identity objects in any
case, `base` need not be. To be imported as `hsm.identity` is.
"""

from __future__ import annotations

from ptkc.hsm.identity import read
from ptkc.mechanisms.certificates import Signer, read_request
from ptkc.mechanisms.identity import identity_certificate, identity_request, is_on_curve, serial_in, signer
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes
from ptkc.token.identity import PIC, PIK, PIK_PENDING, POC, POC_PENDING, POK, POK_PENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.token.hsms import Hsm

__all__ = ["certify", "request", "statement_signer"]


def request(hsm: Hsm, base: Object, key: Object) -> bytes:
    """Return the request for an identity certificate.

    CKR_KEY_FUNCTION_NOT_PERMITTED for an owner key, CKR_KEY_HANDLE_INVALID if base and signing key are no pair.
    """
    if key.attributes[CKA.LABEL] not in (PIK, PIK_PENDING):
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "an owner key requests nothing")
    info = key.attributes[CKA.PUBLIC_KEY_INFO]
    if base.object_class != CKO.PUBLIC_KEY or base.attributes.get(CKA.PUBLIC_KEY_INFO) != info:
        raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the signing key is not the public key's private key")
    return identity_request(hsm.serial, signer(key))


def certify(hsm: Hsm, base: Object, key: Object) -> bytes:
    """Return the identity certificate that an owner key makes of a request.

    CKR_KEY_FUNCTION_NOT_PERMITTED for an identity key, and for a pending owner key on another HSM's request;
    CKR_KEY_TYPE_INCONSISTENT for what is no request, CKR_SIGNATURE_INVALID, CKR_TEMPLATE_INCONSISTENT for a request
    that is for no HSM, CKR_CERT_NOT_VALIDATED if the owner certificate is not valid now.
    """
    label = key.attributes[CKA.LABEL]
    owner_label = {POK: POC, POK_PENDING: POC_PENDING}.get(label)
    if owner_label is None:
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "identity keys certify no HSM")
    if base.object_class != CKO.CERTIFICATE_REQUEST:
        raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "owner keys sign requests")
    wanted = read_request(base.attributes[CKA.VALUE])
    wanted.check_signed_by(wanted.public_key_info)
    serial = serial_in(wanted.subject)
    if serial is None or not is_on_curve(wanted.public_key_info):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the request names no HSM's serial, or its key is not on P-521")
    state = read(hsm)
    is_own = state.key_label(wanted.public_key_info, PIK_PENDING, PIK) is not None
    if label == POK_PENDING and not is_own:
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "a pending owner key signs this HSM's own request first")
    if (serial == hsm.serial) != is_own:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the request has one HSM's serial and another's key")
    owner, now = state.certificate(owner_label), hsm.now()
    if owner is None or owner.public_key_info != key.attributes[CKA.PUBLIC_KEY_INFO] or not owner.is_valid(now):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the owner certificate is not valid now")
    return identity_certificate(serial, wanted.public_key_info, signer(key, owner.subject), owner.not_after, now)


def statement_signer(hsm: Hsm, key: Object, public_key_info: bytes, said: Attributes) -> Signer:
    """Return what signs a statement on a key: the identity key in force, named as in its certificate.

    CKR_KEY_FUNCTION_NOT_PERMITTED for another key, and on identity keys: a statement on the identity key would be as
    good as a self-signed certificate. CKR_TEMPLATE_INCONSISTENT if the template (`said`) names an issuer,
    CKR_CERT_NOT_VALIDATED if the HSM's certificate is not valid now.
    """
    state = read(hsm)
    certificate = state.certificate(PIC)
    if certificate is None or certificate.public_key_info != key.attributes[CKA.PUBLIC_KEY_INFO]:
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "not the identity key that the HSM's certificate is for")
    if state.key_label(public_key_info, PIK, PIK_PENDING, POK, POK_PENDING) is not None:
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "statements are on other keys than the HSM's own")
    if CKA.ISSUER in said or CKA.ISSUER_STR in said:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the issuer of a statement is the HSM")
    if not certificate.is_valid(hsm.now()):
        raise CryptokiError(CKR.CERT_NOT_VALIDATED, "this HSM's identity certificate is not valid now")
    return signer(key, certificate.subject)

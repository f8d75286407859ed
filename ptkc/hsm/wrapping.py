"""What may leave the token, and under which key; what comes back (specification 5.18.3 and 5.18.4).

CKA_EXTRACTABLE, CKA_WRAP_WITH_TRUSTED, CKA_WRAP_TEMPLATE and CKA_UNWRAP_TEMPLATE are the standard's; which keys wrap
at all is `objects.separation`, which the flag Pure PKCS11 lifts.
"""

from __future__ import annotations

from ptkc.hsm import usage
from ptkc.hsm.approval import key_type_of
from ptkc.objects import separation
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes, pack_template, ulong, unpack_template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.application import Application
    from ptkc.hsm.session import Session

__all__ = ["check_change", "check_mechanism", "check_payload", "check_wrapped", "decoded", "imposed_by"]

_SECRET = (CKO.SECRET_KEY, CKO.PRIVATE_KEY)
_CLASS_PRIVATE = (CKA.CLASS, ulong(CKO.PRIVATE_KEY))
_SHORTEST = 14  # 112 bits: what nobody finds by trying
_AUTHENTICATED = frozenset((
    CKM.AES_KEY_WRAP, CKM.AES_KEY_WRAP_PAD, CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PKCS7, CKM.AES_GCM, CKM.AES_CCM,
    CKM.CHACHA20_POLY1305,
))  # fmt: skip
_PADDED = frozenset((
    CKM.AES_CBC_PAD, CKM.DES3_CBC_PAD, CKM.CAMELLIA_CBC_PAD, CKM.ARIA_CBC_PAD, CKM.SEED_CBC_PAD, CKM.BLOWFISH_CBC_PAD,
))  # fmt: skip
_UNPADDED = frozenset((CKM.RSA_X_509,))
_CLASS_SECRET = ulong(CKO.SECRET_KEY)
_OF_FIXED_LENGTH = frozenset(map(ulong, (
    CKK.AES, CKK.AES_XTS, CKK.DES2, CKK.DES3, CKK.CAMELLIA, CKK.ARIA, CKK.SEED, CKK.CHACHA20, CKK.POLY1305,
)))  # fmt: skip
# By which a public key's private half is known, the first that the public key has.
_HALVES = (CKA.MODULUS, CKA.PUBLIC_KEY_INFO)


def check_wrapped(
    application: Application, session: Session, wrapper: Object | None, target: Object, number: int
) -> None:
    """Refuse to wrap what may not leave the token, or not so: `number` is the mechanism, None no wrapping key at all.

    A CKA_EXPORTABLE key leaves under a CKA_EXPORT key, whatever its CKA_EXTRACTABLE is. CKR_KEY_NOT_WRAPPABLE,
    CKR_KEY_UNEXTRACTABLE, CKR_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_SIZE_RANGE.
    """
    if target.object_class not in _SECRET:
        raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "only secret and private keys are wrapped")
    usage.check_wrapped(target.attributes)
    exports = wrapper is not None and wrapper.is_true(CKA.EXPORT)
    exported = exports and target.is_true(CKA.EXPORTABLE)
    if not target.is_true(CKA.EXTRACTABLE) and not exported:
        raise CryptokiError(CKR.KEY_UNEXTRACTABLE, "CKA_EXTRACTABLE is false")
    if exports and not exported and wrapper is not None and not wrapper.is_true(CKA.WRAP):
        raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "the wrapping key only wraps what is CKA_EXPORTABLE")
    if target.is_true(CKA.WRAP_WITH_TRUSTED) and (wrapper is None or not wrapper.is_true(CKA.TRUSTED)):
        raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "CKA_WRAP_WITH_TRUSTED is true and the wrapping key is not trusted")
    wanted = wrapper.attributes.get(CKA.WRAP_TEMPLATE) if wrapper is not None else None
    if wanted and not templates.matches(target.attributes, unpack_template(wanted)):
        raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the key does not match CKA_WRAP_TEMPLATE")
    if wrapper is not None and not _is_pure(application) and separation.is_guarded(target.attributes):
        _check_separated(application, session, wrapper, number)
        separation.check_strength(wrapper.attributes, target.attributes)


def _check_separated(application: Application, session: Session, wrapper: Object, number: int) -> None:
    """Refuse a wrapping key by which, or by whose other half, a guarded key could be opened again.

    CKR_KEY_NOT_WRAPPABLE. The private half of a public key is looked for on this token; where it is elsewhere, the
    key leaves for there.
    """
    if wrapper.object_class != CKO.PUBLIC_KEY:
        if not separation.is_wrapping_key(wrapper.attributes):
            raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "the wrapping key is readable, or has uses besides wrapping")
        return
    known = next((kind, wrapper.attributes[kind]) for kind in _HALVES if kind in wrapper.attributes)
    for half in _found(application, session, (_CLASS_PRIVATE, known)):
        if not separation.is_wrapping_key(half):
            raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "the private key is readable, or has uses besides unwrapping")
        separation.check_parts(half, number)


def _found(application: Application, session: Session, wanted: tuple[tuple[int, bytes], ...]) -> list[Attributes]:
    """Return the attributes of all objects of the session's token that have what is wanted."""
    token = session.token
    key = application.user_key(token)
    found = [each.attributes for _, each in application.session_objects(token)]
    found = [attributes for attributes in found if templates.matches(attributes, wanted)]
    loaded = [token.load(record, key) for record in token.find(wanted, key)]
    return found + [each[0] for each in loaded if each is not None]


def imposed_by(application: Application, unwrapper: Object) -> bytes:
    """Return the template that a key must agree with which is unwrapped: CKA_UNWRAP_TEMPLATE, and what is ours.

    CKR_TEMPLATE_INCONSISTENT if the two contradict each other.
    """
    given = unwrapper.attributes.get(CKA.UNWRAP_TEMPLATE, b"")
    demanded = separation.demanded(unwrapper.attributes, pure=_is_pure(application))
    if not demanded:
        return given
    wanted: dict[int, bytes | None] = dict(unpack_template(given))
    for attribute, value in demanded.items():
        if wanted.setdefault(attribute, value) != value:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_UNWRAP_TEMPLATE asks a wrapping key for a readable one")
    return pack_template(tuple(wanted.items()))


# Ways to ask a wrapping key for a guarded key bit by bit, where nothing shows that wrapped bytes were changed.


def check_mechanism(application: Application, key: Object, number: int, attributes: Attributes, code: int) -> None:
    """Refuse raw RSA with wrapping keys, and of guarded keys; and a secret of any length by padded CBC with the former.

    Raw RSA multiplies: it unwraps what is wrapped by OAEP as well, times any factor, and tells how long that is; with
    a small exponent a root opens it. Of padded CBC each answer would say whether the padding of some bytes is right,
    since whatever is left would be a key.
    """
    wraps = separation.is_wrapping_key(key.attributes)
    guards = wraps or (key.object_class == CKO.PUBLIC_KEY and separation.is_guarded(attributes))
    of_any_length = attributes[CKA.CLASS] == _CLASS_SECRET and attributes[CKA.KEY_TYPE] not in _OF_FIXED_LENGTH
    if not (guards and number in _UNPADDED) and not (wraps and number in _PADDED and of_any_length):
        return
    if not _is_pure(application):
        raise CryptokiError(code, f"{name_of(CKM, number)} with a wrapping key")


def check_payload(application: Application, key: Object, number: int, payload: bytes, code: int) -> None:
    """Refuse to wrap or unwrap a short secret with a wrapping key, unless bytes that were changed would be noticed.

    Who cuts wrapped bytes off after the first would have a key of one byte, which a MAC or its check value tells.
    """
    if len(payload) >= _SHORTEST or key.object_class != CKO.SECRET_KEY or number in _AUTHENTICATED:
        return
    if not _is_pure(application) and separation.is_wrapping_key(key.attributes):
        raise CryptokiError(code, f"{name_of(CKM, number)} with a wrapping key, of fewer than {_SHORTEST} bytes")


def decoded(number: int, payload: bytes, attributes: Attributes) -> Attributes:
    """Return the material in an unwrapped payload.

    By padded CBC a payload that is no key has the code of a wrong padding: CKR_WRAPPED_KEY_INVALID.
    """
    try:
        return key_type_of(attributes).decode(payload, attributes)
    except CryptokiError as error:
        if number in _PADDED and error.code == CKR.WRAPPED_KEY_LEN_RANGE:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, error.message) from None
        raise


def check_change(application: Application, before: Attributes, after: Attributes) -> None:
    """Refuse what `separation.check_change` refuses, unless the flags lift it."""
    if not _is_pure(application):
        separation.check_change(before, after)


def _is_pure(application: Application) -> bool:
    """Whether Pure PKCS11 is set: the standard's rules alone."""
    return bool(application.mode & CKF.PURE_P11)

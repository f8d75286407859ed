"""Keys that leave the HSM and come back with their attributes: C_WrapKey and C_UnwrapKey by the vendor's mechanisms.

They need more than one key, or none: CKM_WRAPKEY_AES_KWP, CKM_SECRET_SHARE_WITH_ATTRIBUTES and
CKM_SECRET_RECOVER_WITH_ATTRIBUTES. What may leave is `hsm.wrapping`; what comes back is what it was.
"""

from __future__ import annotations

from ptkc.hsm.approval import approve, check_parameter, key_type_of, mechanism_for
from ptkc.hsm.wrapping import check_wrapped
from ptkc.mechanisms import MECHANISMS, load
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes, Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.application import Application
    from ptkc.hsm.session import Session
    from ptkc.mechanisms.portable import Portable, PortableMechanism

__all__ = ["is_portable", "need_no_pin", "unwrap", "wrap"]

_KEYS = (CKO.SECRET_KEY, CKO.PRIVATE_KEY, CKO.PUBLIC_KEY)
# What the template of C_UnwrapKey may say otherwise than the key that comes back: where it goes, what it is called.
_PLACE = (CKA.TOKEN, CKA.LABEL, CKA.ID)


def need_no_pin(key: Object) -> None:
    """Refuse a CKA_ALWAYS_AUTHENTICATE key: a single call leaves no moment for the login that each use needs."""
    if key.is_true(CKA.ALWAYS_AUTHENTICATE):
        raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "a CKA_ALWAYS_AUTHENTICATE key can only sign and decrypt")


def is_portable(number: int) -> bool:
    """Whether a mechanism wraps or unwraps keys with their attributes."""
    load()
    return hasattr(MECHANISMS.get(number), "keyless")


def wrap(
    application: Application, session: Session, mechanism: tuple[int, object], wrapping_key: int, key: int
) -> tuple[bytes, Object | None, list[Object]]:
    """Return the bytes of C_WrapKey, the wrapping key if there is one, whose use is not counted yet, and the keys."""
    number, parameter = mechanism
    maker: PortableMechanism = mechanism_for("wrap", number, application.mode)  # type: ignore[assignment]
    check_parameter(maker, parameter)
    wrapper = None
    method = maker.wrap
    if not maker.keyless:
        wrapper = application.resolve(session, wrapping_key, CKR.WRAPPING_KEY_HANDLE_INVALID)
        method = approve(wrapper, "wrap", number, application.mode)
    elif wrapping_key:
        raise CryptokiError(CKR.WRAPPING_KEY_HANDLE_INVALID, f"{name_of(CKM, number)} takes no wrapping key")
    targets = [
        application.resolve(session, handle, CKR.KEY_HANDLE_INVALID) for handle in (key, *maker.several(parameter))
    ]
    keys = [_portable(application, session, wrapper, target, number) for target in targets]
    wrapped: bytes = method(wrapper, parameter, keys)
    return wrapped, wrapper, targets


def _portable(
    application: Application, session: Session, wrapper: Object | None, target: Object, number: int
) -> Portable:
    """Return a key as it travels; public keys always may."""
    from ptkc.mechanisms.portable import Portable  # noqa: PLC0415 - cryptography, which start-up must not load

    attributes = target.attributes
    if target.object_class == CKO.PUBLIC_KEY and wrapper is not None:
        payload = attributes.get(CKA.PUBLIC_KEY_INFO, b"")
    else:
        check_wrapped(application, session, wrapper, target, number)
        payload = key_type_of(attributes).encode(attributes)
    return Portable(payload, templates.portable(attributes))


def unwrap(
    application: Application,
    session: Session,
    mechanism: tuple[int, object],
    unwrapping_key: int,
    wrapped: bytes,
    template: Template,
    *,
    so: bool,
) -> tuple[Attributes, Attributes]:
    """Return what C_UnwrapKey makes a key of: its prepared attributes, and its material.

    CKR_TEMPLATE_INCONSISTENT if the template contradicts what the key was.
    """
    number, parameter = mechanism
    maker: PortableMechanism = mechanism_for("unwrap", number, application.mode)  # type: ignore[assignment]
    check_parameter(maker, parameter)
    unwrapper, imposed = None, b""
    method = maker.unwrap
    if not maker.keyless:
        unwrapper = application.resolve(session, unwrapping_key, CKR.UNWRAPPING_KEY_HANDLE_INVALID)
        method = approve(unwrapper, "unwrap", number, application.mode)
        need_no_pin(unwrapper)
        imposed = unwrapper.attributes.get(CKA.UNWRAP_TEMPLATE, b"")
    elif unwrapping_key:
        raise CryptokiError(CKR.UNWRAPPING_KEY_HANDLE_INVALID, f"{name_of(CKM, number)} takes no unwrapping key")
    portable: Portable = method(unwrapper, parameter, wrapped)
    said = {attribute for attribute, _ in template}
    implied = {
        attribute: value
        for attribute, value in portable.attributes.items()
        if attribute not in said or attribute not in _PLACE
    }
    attributes = templates.prepare(templates.UNWRAP, template, implied, so=so, imposed=imposed)
    object_class = int.from_bytes(attributes[CKA.CLASS], "little")
    if object_class not in _KEYS:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, f"a {name_of(CKO, object_class)} was wrapped")
    if object_class == CKO.PUBLIC_KEY:
        return attributes, _public_material(portable.payload, attributes)
    return attributes, key_type_of(attributes).decode(portable.payload, attributes)


def _public_material(info: bytes, attributes: Attributes) -> Attributes:
    """Return the material of a public key in its SubjectPublicKeyInfo (DER), and what follows from it."""
    from ptkc.mechanisms.public_key_info import key_material  # noqa: PLC0415 - cryptography, which start-up must not load

    try:
        material = key_material(info)
    except ValueError as error:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, f"no public key: {error}") from None
    if material.pop(CKA.KEY_TYPE) != attributes[CKA.KEY_TYPE]:
        raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the public key is of another type")
    known = {**attributes, **material}
    return {**material, **key_type_of(known).check(CKO.PUBLIC_KEY, known)}

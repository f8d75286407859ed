"""The one template algorithm: what a template may say when an object is made, copied, changed, read or looked for.

What the footnotes of the tables say (specification 4.1 and 4.2) stands in a `Plan` (`objects.plans`); here it is
applied. Login, session and token rules are the device's; key material is checked by its key type.

An object is made in two steps. `create` or `prepare` gives the attributes as far as the template and the defaults say
them; `complete` adds the material, what follows from it, and what the token alone may say.
"""

from __future__ import annotations

from binascii import hexlify
from os import urandom

from ptkc.objects.checksum import public_checksum
from ptkc.objects.limits import BY_TICKET, CLOSED_BY, EXPORTING, follow_limits
from ptkc.objects.plans import COPY, CREATE, DERIVE, GENERATE, MODIFY, SECRET, UNWRAP, Plan, plan_of
from ptkc.objects.separation import separated
from ptkc.spec.constants import CKA, CKK, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, ulong, unpack_template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptkc.objects.object import Object

__all__ = [
    "COPY", "CREATE", "DERIVE", "GENERATE", "UNWRAP", "administer", "as_kept", "complete", "copy", "create", "matches",
    "modify", "portable", "prepare", "reveal",
]  # fmt: skip

# What a derived key is when neither template nor mechanism says it (specification, simple key derivation mechanisms).
_SECRET_KEY, _GENERIC_SECRET = ulong(CKO.SECRET_KEY), ulong(CKK.GENERIC_SECRET)

# Bound once: these stand in every call.
_CLASS = CKA.CLASS
_PRIVATE = CKA.PRIVATE
_UNIQUE_ID = CKA.UNIQUE_ID
_SENSITIVE = CKA.SENSITIVE
_EXTRACTABLE = CKA.EXTRACTABLE
_ALWAYS_SENSITIVE = CKA.ALWAYS_SENSITIVE
_NEVER_EXTRACTABLE = CKA.NEVER_EXTRACTABLE
_ALWAYS_AUTHENTICATE = CKA.ALWAYS_AUTHENTICATE
_LOCAL = CKA.LOCAL
_CHECKSUM = CKA.PUBLIC_CRC64_VALUE
_KEY_GEN_MECHANISM = CKA.KEY_GEN_MECHANISM

# The big integers that can be searched for; CKA_VALUE is one for some key types only.
_NUMBERS = frozenset((CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIME, CKA.SUBPRIME, CKA.BASE))

# The history of what is generated: until now nobody could read or take it.
_NEW = {_ALWAYS_SENSITIVE: TRUE, _NEVER_EXTRACTABLE: TRUE}


def _given(template: Template) -> dict[int, bytes | None]:
    """Return the template as a dict; CKR_TEMPLATE_INCONSISTENT if it says two values for one attribute."""
    given = dict(template)
    if len(given) != len(template) and any(given[attribute] != value for attribute, value in template):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template has two values for one attribute")
    return given


def _fill(plan: Plan, given: dict[int, bytes | None], so: bool) -> Attributes:  # noqa: FBT001 - the callers' keyword
    """Check what is given, and return it with the defaults."""
    checks = plan.checks
    for attribute, value in given.items():
        check = checks.get(attribute)
        if check is None or value is None or not check(value):
            raise plan.refusal(attribute)
    if not given.keys() >= plan.required:
        missing = ", ".join(name_of(CKA, attribute) for attribute in sorted(plan.required - given.keys()))
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"{missing} missing")
    if not so:
        for attribute in plan.by_so:
            if given.get(attribute) == TRUE:
                raise CryptokiError(CKR.ATTRIBUTE_READ_ONLY, f"{name_of(CKA, attribute)} is for the SO to set")
    defaults = plan.defaults
    if given.get(CKA.SIGN) == FALSE and CKA.SIGN_RECOVER in plan.rows:
        # Who forbids a key to sign need not have heard of the other way to do it.
        defaults = {**defaults, CKA.SIGN_RECOVER: FALSE}
    if given.get(CKA.EXPORT) == TRUE:
        defaults = {**defaults, **{kind: value for kind, value in EXPORTING.items() if kind in plan.rows}}
    alone = separated(given)
    if alone:
        defaults = {**defaults, **alone}
    attributes: Attributes = {**defaults, **given}  # type: ignore[dict-item]
    _check_authentication(attributes)
    follow_limits(attributes)
    return attributes


def _check_authentication(attributes: Attributes) -> None:
    """Refuse CKA_ALWAYS_AUTHENTICATE on an object that is not private (specification 4.9)."""
    if attributes.get(_ALWAYS_AUTHENTICATE) == TRUE and attributes.get(_PRIVATE) != TRUE:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_ALWAYS_AUTHENTICATE without CKA_PRIVATE")


def create(template: Template, *, so: bool = False) -> Attributes:
    """Return the attributes of the object that C_CreateObject is to make (specification 4.1.1, 5.7.1).

    `so` says that the SO is logged in. Of a key, `complete` must still be told what its key type found.
    CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_ATTRIBUTE_READ_ONLY.
    """
    given = _given(template)
    plan = plan_of(CREATE, given)
    attributes = _fill(plan, given, so)
    attributes[_UNIQUE_ID] = hexlify(urandom(16))
    if plan.follow is not None:
        _add(plan, attributes, plan.follow(tuple(plan.rows.values()), attributes))
    return attributes


def prepare(
    origin: str,
    template: Template,
    implied: Attributes,
    *,
    so: bool = False,
    imposed: bytes = b"",
    suggested: Attributes | None = None,
) -> Attributes:
    """Return the attributes of a key before its mechanism makes it: GENERATE, UNWRAP, DERIVE.

    `implied` is what the mechanism itself says, `imposed` the CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE of the base
    key: CKR_TEMPLATE_INCONSISTENT if the template contradicts either. `suggested` is what the mechanism has the key be
    where nothing else says it. For the rest as `create`.
    """
    given = _given(template)
    if imposed:
        _impose(given, unpack_template(imposed))
    _impose(given, implied.items())
    if suggested:
        given = {**suggested, **given}
    if origin == DERIVE and given.setdefault(_CLASS, _SECRET_KEY) == _SECRET_KEY:
        given.setdefault(CKA.KEY_TYPE, _GENERIC_SECRET)
    return _fill(plan_of(origin, given), given, so)


def _impose(given: dict[int, bytes | None], said: Iterable[tuple[int, bytes | None]]) -> None:
    """Add attributes that something other than the template says; CKR_TEMPLATE_INCONSISTENT if it says otherwise."""
    for attribute, value in said:
        if given.setdefault(attribute, value) != value:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, attribute)} contradicts what is to be made")


def complete(
    origin: str,
    attributes: Attributes,
    produced: Attributes,
    mechanism: int | None = None,
    base: Object | None = None,
) -> Attributes:
    """Return `attributes`, changed in place, with the material and what only the token may say.

    `produced` is the material and what follows from it; `mechanism` what generated it; `base` the key that it was
    derived from, whose history it shares. CKR_ATTRIBUTE_VALUE_INVALID if another check value or public key
    information was given.
    """
    plan = plan_of(origin, attributes)
    if _CHECKSUM in plan.rows:
        checksum = public_checksum({**attributes, **produced})
        produced = produced if checksum is None else {**produced, _CHECKSUM: checksum}
    _add(plan, attributes, produced)
    history = base.attributes if base is not None else {}
    if origin == GENERATE and _LOCAL in attributes:
        history = _NEW
        attributes[_LOCAL] = TRUE
        if mechanism is not None and _KEY_GEN_MECHANISM in attributes:
            attributes[_KEY_GEN_MECHANISM] = ulong(mechanism)
    if history and _SENSITIVE in attributes:
        if history.get(_ALWAYS_SENSITIVE) == TRUE:
            attributes[_ALWAYS_SENSITIVE] = attributes[_SENSITIVE]
        if history.get(_NEVER_EXTRACTABLE) == TRUE:
            attributes[_NEVER_EXTRACTABLE] = FALSE if attributes[_EXTRACTABLE] == TRUE else TRUE
    if _UNIQUE_ID not in attributes:
        attributes[_UNIQUE_ID] = hexlify(urandom(16))
    return attributes


def _add(plan: Plan, attributes: Attributes, produced: Attributes) -> None:
    """Add what was produced; what the template gave of it must be the same.

    An attribute without a default (CKA_CHECK_VALUE) that was given empty is not wanted; one that the token does not
    compute is ignored (specification 4.10). CKR_ATTRIBUTE_VALUE_INVALID.
    """
    dropped = []
    for attribute, default in plan.computed.items():
        value = attributes.get(attribute)
        if value == default or value is None:
            continue
        if default is None and (not value or attribute not in produced):
            dropped.append(attribute)
        elif value and value != produced.get(attribute):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} does not fit the object")
    attributes.update(produced)
    for attribute in dropped:
        del attributes[attribute]


def copy(attributes: Attributes, template: Template, *, so: bool = False) -> Attributes:
    """Return the attributes of the copy that C_CopyObject is to make (specification 4.1.3, 5.7.2).

    CKR_ACTION_PROHIBITED if CKA_COPYABLE is CK_FALSE; CKR_TEMPLATE_INCONSISTENT for a copy of a private or secret key
    that could be used without login while the key cannot; for the rest as `modify`. What the object was always or
    never, and where it came from, is the copy's too; its CKA_UNIQUE_ID is new.
    """
    if attributes.get(CKA.COPYABLE) == FALSE:
        raise CryptokiError(CKR.ACTION_PROHIBITED, "CKA_COPYABLE is CK_FALSE")
    changed = _change(COPY, attributes, template, so)
    if _SENSITIVE in attributes and attributes[_PRIVATE] == TRUE != changed[_PRIVATE]:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "a key with CKA_PRIVATE has no copy without")
    changed[_UNIQUE_ID] = hexlify(urandom(16))
    return changed


def modify(attributes: Attributes, template: Template, *, so: bool = False) -> Attributes:
    """Return the attributes as C_SetAttributeValue changes them (specification 4.1.2, 5.7.6).

    CKR_ACTION_PROHIBITED if CKA_MODIFIABLE is CK_FALSE, or for a trusted certificate unless by the SO (4.6.2);
    CKR_ATTRIBUTE_READ_ONLY for what may not change, or no more; CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT as `create`.
    """
    if attributes.get(CKA.MODIFIABLE) == FALSE:
        raise CryptokiError(CKR.ACTION_PROHIBITED, "CKA_MODIFIABLE is CK_FALSE")
    if not so and attributes.get(CKA.TRUSTED) == TRUE and attributes[_CLASS] == ulong(CKO.CERTIFICATE):
        raise CryptokiError(CKR.ACTION_PROHIBITED, "a trusted certificate cannot be modified")
    return _change(MODIFY, attributes, template, so)


def _change(origin: str, attributes: Attributes, template: Template, so: bool) -> Attributes:  # noqa: FBT001 - as _fill
    """Return the attributes with the template's values where the footnotes let them change.

    Of a trusted object, and of a CKA_EXPORT key, nobody but the SO changes anything, in a copy neither: one that is
    given CKA_DECRYPT opens all that was wrapped by it because it is trusted. CKR_ACTION_PROHIBITED.
    """
    plan = plan_of(origin, attributes)
    closed = not so and TRUE in (attributes.get(CKA.TRUSTED), attributes.get(CKA.EXPORT))
    changed = attributes.copy()
    for attribute, value in _given(template).items():
        check = plan.checks.get(attribute)
        if check is None or value is None or not check(value):
            raise plan.refusal(attribute)
        current = attributes.get(attribute)
        if value == current:
            continue
        if closed and "copy" not in plan.rows[attribute].footnotes:
            raise CryptokiError(CKR.ACTION_PROHIBITED, "an object that the SO trusts is for the SO to change")
        if current is not None and (plan.final.get(attribute) == current or attribute in plan.once):
            raise CryptokiError(CKR.ATTRIBUTE_READ_ONLY, f"{name_of(CKA, attribute)} cannot change any more")
        if CLOSED_BY.get(attribute) in attributes:
            raise CryptokiError(CKR.ATTRIBUTE_READ_ONLY, f"{name_of(CKA, attribute)} is for a ticket to change")
        if value == TRUE and not so and attribute in plan.by_so:
            raise CryptokiError(CKR.ATTRIBUTE_READ_ONLY, f"{name_of(CKA, attribute)} is for the SO to set")
        if attribute in plan.computed:
            if value or plan.computed[attribute] is not None:
                raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} does not fit the object")
            changed.pop(attribute, None)
            continue
        changed[attribute] = value
    _check_authentication(changed)
    follow_limits(changed)
    if plan.check is not None:
        plan.check(changed)
    return changed


def administer(attributes: Attributes, changes: Attributes, issued: bytes) -> Attributes:
    """Return the attributes of a key as a ticket that was issued at this time (16 digits) changes them.

    CKR_ATTRIBUTE_READ_ONLY for what no ticket changes, CKR_ATTRIBUTE_VALUE_INVALID.
    """
    rows = plan_of(COPY, attributes).rows
    for attribute, value in changes.items():
        if attribute not in BY_TICKET:
            raise CryptokiError(CKR.ATTRIBUTE_READ_ONLY, f"{name_of(CKA, attribute)} is not for a ticket to change")
        if not rows[attribute].kind.check(value):
            kind = rows[attribute].kind.name
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} is no {kind}")
    changed = {**attributes, **changes, CKA.TIME_STAMP: issued}
    follow_limits(changed)
    return changed


def portable(attributes: Attributes) -> Attributes:
    """Return what of a key travels with its material: what C_UnwrapKey may be told, but for what only the SO says."""
    plan = plan_of(UNWRAP, attributes)
    return {
        attribute: value
        for attribute, value in attributes.items()
        if attribute in plan.checks
        and "4" not in plan.rows[attribute].footnotes
        and (attribute not in plan.by_so or value != TRUE)
    }


def _hidden(attributes: Attributes) -> bool:
    """Whether footnote 7 applies to the object."""
    return attributes.get(_SENSITIVE) == TRUE or attributes.get(_EXTRACTABLE) == FALSE


def reveal(attributes: Attributes, attribute: int) -> bytes:
    """Return an attribute for C_GetAttributeValue (specification 5.7.5).

    CKR_ATTRIBUTE_SENSITIVE where footnote 7 hides it, else CKR_ATTRIBUTE_TYPE_INVALID where the object has none.
    """
    value = attributes.get(attribute)
    if attribute in SECRET and _hidden(attributes) and attribute in plan_of(COPY, attributes).rows:
        raise CryptokiError(CKR.ATTRIBUTE_SENSITIVE, f"{name_of(CKA, attribute)} is not to be revealed")
    if value is None:
        raise CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID, f"the object has no {name_of(CKA, attribute)}")
    return value


def as_kept(template: Template) -> Template:
    """Return what a search asks for with big integers as keys have them: without leading zeros."""
    return tuple(
        (attribute, value.lstrip(b"\0") if value and attribute in _NUMBERS else value) for attribute, value in template
    )


def matches(attributes: Attributes, template: Template) -> bool:
    """Whether C_FindObjects gives the object: all attributes are there and equal; what is hidden never matches."""
    for attribute, value in template:
        if value is None or attributes.get(attribute) != value or (attribute in SECRET and _hidden(attributes)):
            return False
    return True

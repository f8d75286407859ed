"""The one template algorithm: what a template may say when an object is made, copied, changed, read or looked for.

It is the only reader of the tables' footnotes (specification 4.1 and 4.2). For each origin and type of object the
footnotes are compiled once, at first use, into a `_Plan`: a dict from attribute to check, the defaults, and what must
be there. Login, session and token rules are the device's; key material is checked by its key type.

An object is made in two steps. `create` or `prepare` gives the attributes as far as the template and the defaults say
them; `complete` adds the material, what follows from it, and what the token alone may say.
"""

from __future__ import annotations

from binascii import hexlify
from os import urandom

from ptkc.objects.attributes import TEMPLATE, Kind, Row
from ptkc.objects.classes import CLASSES, SUBTYPES, find
from ptkc.objects.limits import BY_TICKET, CLOSED_BY, EXPORTING, follow_limits
from ptkc.spec.constants import CKA, CKK, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, ulong, unpack_template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptkc.objects.classes import ObjectClass
    from ptkc.objects.object import Object

__all__ = [
    "COPY", "CREATE", "DERIVE", "GENERATE", "UNWRAP", "administer", "complete", "copy", "create", "matches", "modify",
    "portable", "prepare", "reveal",
]  # fmt: skip

CREATE, GENERATE, UNWRAP, DERIVE, COPY, _MODIFY = "create", "generate", "unwrap", "derive", "copy", "modify"

# What the footnotes mean. No footnote speaks of C_DeriveKey: there the token makes what it makes in generation or
# unwrapping, and the template may say what generation asks for (CKA_VALUE_LEN).
_REQUIRED = {CREATE: "1", GENERATE: "3", UNWRAP: "5"}
_FORBIDDEN = {CREATE: {"2"}, GENERATE: {"4"}, UNWRAP: {"6"}, DERIVE: {"4", "6"}}
_CHANGEABLE = {COPY: {"8", "copy", "once"}, _MODIFY: {"8", "once"}}
_CLOSED = (("11", TRUE), ("12", FALSE))

# The defaults that depend on the origin: C_UnwrapKey says this one.
_DEFAULTS = {UNWRAP: {CKA.EXTRACTABLE: TRUE}}

# What a derived key is when neither template nor mechanism says it (specification, simple key derivation mechanisms).
_DERIVED = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}

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
_KEY_GEN_MECHANISM = CKA.KEY_GEN_MECHANISM

# The history of what is generated: until now nobody could read or take it.
_NEW = {_ALWAYS_SENSITIVE: TRUE, _NEVER_EXTRACTABLE: TRUE}


class _Plan:
    """The footnotes of one type of object, compiled for one origin.

    `checks` has the attributes that a template may say; `required` those that it must; `defaults` what is filled in;
    `rows` all that the object may have; `by_so` those that only the SO sets to CK_TRUE; `final` the values that are
    never left again; `once` what is set but once; `computed` what must equal the token's own result, with its default.
    """

    __slots__ = ("by_so", "checks", "computed", "defaults", "final", "follow", "once", "required", "rows")

    def __init__(self, origin: str, object_class: ObjectClass, subtype: int | None) -> None:
        """Read the footnotes."""
        rows = object_class.rows(subtype)
        self.rows = {row.attribute: row for row in rows}
        self.checks = {
            row.attribute: _is_template if row.kind is TEMPLATE else row.kind.check
            for row in rows
            if _may_say(origin, row)
        }
        self.required = frozenset(row.attribute for row in rows if _REQUIRED.get(origin) in row.footnotes)
        self.defaults = {row.attribute: row.default for row in rows if row.default is not None}
        self.defaults[_PRIVATE] = object_class.private
        self.defaults.update(item for item in _DEFAULTS.get(origin, {}).items() if item[0] in self.rows)
        self.by_so = tuple(row.attribute for row in rows if "10" in row.footnotes)
        self.final = {row.attribute: value for row in rows for mark, value in _CLOSED if mark in row.footnotes}
        self.once = frozenset(row.attribute for row in rows if "once" in row.footnotes)
        self.computed = {row.attribute: row.default for row in rows if "computed" in row.footnotes}
        self.follow = object_class.follow

    def refusal(self, attribute: int) -> CryptokiError:
        """Say why `checks` did not accept an attribute.

        CKR_ATTRIBUTE_TYPE_INVALID for what Cryptoki does not know, CKR_TEMPLATE_INCONSISTENT for what this object
        cannot have, CKR_ATTRIBUTE_READ_ONLY for what may not be said here, else CKR_ATTRIBUTE_VALUE_INVALID.
        """
        name = name_of(CKA, attribute)
        row = self.rows.get(attribute)
        if row is None:
            if attribute in _KNOWN or attribute in vars(CKA).values():
                return CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name} does not fit the object")
            return CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID, f"{name} is unknown")
        if attribute not in self.checks:
            return CryptokiError(CKR.ATTRIBUTE_READ_ONLY, f"{name} may not be said here")
        return CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name} is no {row.kind.name}")


def _may_say(origin: str, row: Row) -> bool:
    """Whether the footnotes let a template of this origin say the attribute."""
    if origin in _CHANGEABLE:
        return not row.footnotes.isdisjoint(_CHANGEABLE[origin])
    if origin == DERIVE and "3" in row.footnotes:
        return True
    return row.footnotes.isdisjoint(_FORBIDDEN[origin])


def _is_template(value: bytes) -> bool:
    """Check an attribute array; templates within templates are refused (specification 4.7.3 allows to).

    CKR_TEMPLATE_INCONSISTENT for a doubled or nested one, CKR_ATTRIBUTE_TYPE_INVALID for one that is unknown.
    """
    seen = set()
    for attribute, inner in unpack_template(value):
        kind = _KNOWN.get(attribute)
        if kind is None:
            raise CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID, f"{name_of(CKA, attribute)} is unknown, in a template")
        if kind is TEMPLATE or attribute in seen:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, attribute)} in a template")
        if inner is None or not kind.check(inner):
            return False
        seen.add(attribute)
    return True


_ALL_ROWS = tuple(row for entry in CLASSES.values() for subtype in entry.types for row in entry.rows(subtype))
_KNOWN: dict[int, Kind] = {row.attribute: row.kind for row in _ALL_ROWS}
_SECRET = frozenset(row.attribute for row in _ALL_ROWS if "7" in row.footnotes)

# (origin, class, type), the last two canonical → plan.
_PLANS: dict[tuple[str, bytes | None, bytes | None], _Plan] = {}


def _plan(origin: str, given: dict[int, bytes | None] | Attributes) -> _Plan:
    """Return the plan for the type of object that `given` names; `classes.find` says what it raises."""
    of_class = given.get(_CLASS)
    key = origin, of_class, given.get(SUBTYPES.get(of_class, -1))  # type: ignore[arg-type]
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = _Plan(origin, *find(given))
    return plan


def _given(template: Template) -> dict[int, bytes | None]:
    """Return the template as a dict; CKR_TEMPLATE_INCONSISTENT if it says an attribute twice."""
    given = dict(template)
    if len(given) != len(template):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template has an attribute twice")
    return given


def _fill(plan: _Plan, given: dict[int, bytes | None], so: bool) -> Attributes:  # noqa: FBT001 - the callers' keyword
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
    if given.get(CKA.EXPORT) == TRUE:
        defaults = {**defaults, **{kind: value for kind, value in EXPORTING.items() if kind in plan.rows}}
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
    plan = _plan(CREATE, given)
    attributes = _fill(plan, given, so)
    attributes[_UNIQUE_ID] = hexlify(urandom(16))
    if plan.follow is not None:
        _add(plan, attributes, plan.follow(tuple(plan.rows.values()), attributes))
    return attributes


def prepare(
    origin: str, template: Template, implied: Attributes, *, so: bool = False, imposed: bytes = b""
) -> Attributes:
    """Return the attributes of a key before its mechanism makes it: GENERATE, UNWRAP, DERIVE.

    `implied` is what the mechanism itself says, `imposed` the CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE of the base
    key: CKR_TEMPLATE_INCONSISTENT if the template contradicts either. For the rest as `create`.
    """
    given = _given(template)
    if imposed:
        _impose(given, unpack_template(imposed))
    _impose(given, implied.items())
    if origin == DERIVE:
        given = {**_DERIVED, **given}
    return _fill(_plan(origin, given), given, so)


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
    plan = _plan(origin, attributes)
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


def _add(plan: _Plan, attributes: Attributes, produced: Attributes) -> None:
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
    return _change(_MODIFY, attributes, template, so)


def _change(origin: str, attributes: Attributes, template: Template, so: bool) -> Attributes:  # noqa: FBT001 - as _fill
    """Return the attributes with the template's values where the footnotes let them change.

    Of a trusted object, and of a CKA_EXPORT key, nobody but the SO changes anything, in a copy neither: one that is
    given CKA_DECRYPT opens all that was wrapped by it because it is trusted. CKR_ACTION_PROHIBITED.
    """
    plan = _plan(origin, attributes)
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
            if value:
                raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} does not fit the object")
            if plan.computed[attribute] is None:
                changed.pop(attribute, None)
                continue
        changed[attribute] = value
    _check_authentication(changed)
    follow_limits(changed)
    return changed


def administer(attributes: Attributes, changes: Attributes, issued: bytes) -> Attributes:
    """Return the attributes of a key as a ticket that was issued at this time (16 digits) changes them.

    CKR_ATTRIBUTE_READ_ONLY for what no ticket changes, CKR_ATTRIBUTE_VALUE_INVALID.
    """
    rows = _plan(COPY, attributes).rows
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
    plan = _plan(UNWRAP, attributes)
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
    if attribute in _SECRET and _hidden(attributes) and attribute in _plan(COPY, attributes).rows:
        raise CryptokiError(CKR.ATTRIBUTE_SENSITIVE, f"{name_of(CKA, attribute)} is not to be revealed")
    if value is None:
        raise CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID, f"the object has no {name_of(CKA, attribute)}")
    return value


def matches(attributes: Attributes, template: Template) -> bool:
    """Whether C_FindObjects gives the object: all attributes are there and equal; what is hidden never matches."""
    for attribute, value in template:
        if value is None or attributes.get(attribute) != value or (attribute in _SECRET and _hidden(attributes)):
            return False
    return True

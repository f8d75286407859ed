"""What the footnotes of the attribute tables mean, compiled for one type of object and one way to make or change it.

This is the only reader of the footnotes (specification 4.1 and 4.2). For each origin and type of object they are
compiled once, at first use, into a `Plan`: a dict from attribute to check, the defaults, and what must be there. What
is done with plans is `objects.template`.
"""

from __future__ import annotations

from ptkc.objects.attributes import Row
from ptkc.objects.classes import CLASSES, SUBTYPES, find
from ptkc.objects.kinds import TEMPLATE, Kind
from ptkc.spec.constants import CKA, CKK, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, unpack_template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.objects.classes import ObjectClass

__all__ = ["COPY", "CREATE", "DERIVE", "GENERATE", "MODIFY", "SECRET", "UNWRAP", "Plan", "plan_of"]

CREATE, GENERATE, UNWRAP, DERIVE, COPY, MODIFY = "create", "generate", "unwrap", "derive", "copy", "modify"

# What the footnotes mean. No footnote speaks of C_DeriveKey: there the token makes what it makes in generation or
# unwrapping, and the template may say what generation asks for (CKA_VALUE_LEN).
_REQUIRED = {CREATE: "1", GENERATE: "3", UNWRAP: "5"}
_FORBIDDEN = {CREATE: {"2"}, GENERATE: {"4"}, UNWRAP: {"6"}, DERIVE: {"4", "6"}}
_CHANGEABLE = {COPY: {"8", "copy", "once"}, MODIFY: {"8", "once"}}
_CLOSED = (("11", TRUE), ("12", FALSE))

# The defaults that depend on the origin: C_UnwrapKey says this one.
_DEFAULTS = {UNWRAP: {CKA.EXTRACTABLE: TRUE}}

# The defaults that depend on the type: what keys of this one are for.
_OF_TYPE: dict[int | None, dict[int, bytes]] = {CKK.ML_KEM: {CKA.DECAPSULATE: TRUE}}

# Bound once: these stand in every call.
_CLASS = CKA.CLASS
_PRIVATE = CKA.PRIVATE


class Plan:
    """The footnotes of one type of object, compiled for one origin.

    `checks` has the attributes that a template may say; `required` those that it must; `defaults` what is filled in;
    `rows` all that the object may have; `by_so` those that only the SO sets to CK_TRUE; `final` the values that are
    never left again; `once` what is set but once; `computed` what must equal the token's own result, with its default.
    """

    __slots__ = ("by_so", "check", "checks", "computed", "defaults", "final", "follow", "once", "required", "rows")

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
        for special in (_DEFAULTS.get(origin, {}), _OF_TYPE.get(subtype, {})):
            self.defaults.update(item for item in special.items() if item[0] in self.rows)
        self.by_so = tuple(row.attribute for row in rows if "10" in row.footnotes)
        self.final = {row.attribute: value for row in rows for mark, value in _CLOSED if mark in row.footnotes}
        self.once = frozenset(row.attribute for row in rows if "once" in row.footnotes)
        self.computed = {row.attribute: row.default for row in rows if "computed" in row.footnotes}
        self.follow = object_class.follow
        self.check = object_class.check

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
SECRET = frozenset(row.attribute for row in _ALL_ROWS if "7" in row.footnotes)
"""What cannot be revealed of an object that is sensitive or cannot be extracted (footnote 7)."""

# (origin, class, type), the last two canonical → plan.
_PLANS: dict[tuple[str, bytes | None, bytes | None], Plan] = {}


def plan_of(origin: str, given: dict[int, bytes | None] | Attributes) -> Plan:
    """Return the plan for the type of object that `given` names; `classes.find` says what it raises."""
    of_class = given.get(_CLASS)
    key = origin, of_class, given.get(SUBTYPES.get(of_class, -1))  # type: ignore[arg-type]
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = Plan(origin, *find(given))
    return plan

"""C_DeriveKey (specification 5.18.6): what a mechanism says by its hooks (`mechanisms.deriving`) is done here.

All keys of one derivation are made, or none. What the caller's template says is checked before anything is computed,
against what the mechanism implies and against CKA_DERIVE_TEMPLATE of the base key, for each of them.
"""

from __future__ import annotations

from ptkc.hsm import portables, usage
from ptkc.hsm.approval import approve, check_parameter, key_type_of
from ptkc.hsm.keys import KeyCommands, given_mechanism
from ptkc.mechanisms import MECHANISMS
from ptkc.mechanisms.deriving import Beside, Derivation, Derived, check_untied, protect
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, Written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.approval import Method
    from ptkc.hsm.operations import MechanismValue
    from ptkc.hsm.session import Session

__all__ = ["DerivationCommands"]

_PLAIN = Derivation()  # the hooks of a mechanism that has none
_NO_KEY = 0  # CK_INVALID_HANDLE
_HISTORY = (CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)


class DerivationCommands(KeyCommands):
    """The part of `LocalDevice` that derives keys."""

    def derive_key(
        self, handle: int, mechanism: MechanismValue | None, base_key: int, template: Template
    ) -> tuple[int, Written]:
        """C_DeriveKey."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        base = self.application.resolve(session, base_key, CKR.KEY_HANDLE_INVALID)
        method = approve(base, "derive", number, self.application.mode)
        mechanism_itself = MECHANISMS[number]
        if not isinstance(mechanism_itself, Derivation):
            portables.need_no_pin(base)
            attributes = self._prepare_derived(session, _PLAIN, (base,), parameter, template)
            payload = method(base, parameter, attributes)
            return self._keep(session, _completed(attributes, payload, base))[0], ()
        check_parameter(mechanism_itself, parameter)
        return self._derive(session, mechanism_itself, (base, parameter, method), template)

    def _derive(
        self, session: Session, maker: Derivation, given: tuple[Object, object, Method], template: Template
    ) -> tuple[int, Written]:
        """Make all keys of a derivation; return the handle of the first, 0 if there is none, and what is written."""
        base, parameter, method = given
        if maker.uses_secret:
            portables.need_no_pin(base)
        others = tuple(self._named_key(session, handle, maker.type) for handle in maker.named(parameter))
        keys = (base, *others)
        check_untied(maker.uncovered(parameter, keys))
        missing = set(maker.required).difference(attribute for attribute, _ in template)
        if missing:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"{name_of(CKA, missing.pop())} is missing")
        said = tuple(entry for entry in template if entry[0] in maker.loans)
        template = tuple(entry for entry in template if entry[0] not in maker.loans)
        first = self._prepare_derived(session, maker, keys, parameter, template)
        rest = tuple(
            None if one is None else self._prepare_derived(session, maker, keys, parameter, one)
            for one in maker.further(parameter, template)
        )
        beside = (Beside(others, rest),) if maker.joins else ()
        made = method(base, parameter, {**first, **_lent(said)}, *beside)
        # As the method counted the use of the base key: what was refused until now is none of these either. A key that
        # is named twice is used once.
        for other in dict.fromkeys(others):
            if other is not base and other.spend is not None:
                other.spend()
        if not isinstance(made, Derived):
            made = Derived(made)
        pairs = [(first, made.payload), *zip(rest, made.further, strict=True)]
        lineage = _lineage(maker, keys)
        completed = [
            _completed(attributes, payload, lineage)
            for attributes, payload in pairs
            if attributes is not None and payload is not None
        ]
        handles = iter(self._keep(session, *completed))
        one, *several = (_NO_KEY if payload is None else next(handles) for _, payload in pairs)
        return one, (*several, *made.written)

    def _named_key(self, session: Session, handle: int, number: int) -> Object:
        """Return a key that a mechanism's parameter names: it must be one to derive from, as the base key is.

        A limited key that is used up is refused here, so that no other key is counted for it: CKR_KEY_NOT_ACTIVE.
        """
        other = self.application.resolve(session, handle, CKR.KEY_HANDLE_INVALID)
        approve(other, "derive", number, self.application.mode)
        portables.need_no_pin(other)
        if other.spend is not None:
            usage.check(self.application, other)
        return other

    def _prepare_derived(
        self, session: Session, maker: Derivation, keys: tuple[Object, ...], parameter: object, template: Template
    ) -> Attributes:
        """Return the prepared template of a new key; what any key of it demands by CKA_DERIVE_TEMPLATE holds."""
        base = keys[0]
        imposed = b"".join(key.attributes.get(CKA.DERIVE_TEMPLATE, b"") for key in keys)
        attributes = templates.prepare(
            templates.DERIVE, template, maker.implied(base, parameter), so=self._is_so(session),
            imposed=imposed, suggested=maker.suggested(base, parameter),
        )  # fmt: skip
        object_class = int.from_bytes(attributes[CKA.CLASS], "little")
        if object_class not in maker.makes:
            raise CryptokiError(
                CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKM, maker.type)} makes no {name_of(CKO, object_class)}"
            )
        protect(attributes, keys if maker.protects else maker.uncovered(parameter, keys))
        self._may_make(session, attributes)
        return attributes


def _lent(said: Template) -> Attributes:
    """Return what a template says to the mechanism alone; CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT."""
    lent = dict(said)
    if len(lent) != len(said):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template has an attribute twice")
    return {attribute: _checked(attribute, value) for attribute, value in lent.items()}


def _checked(attribute: int, value: bytes | None) -> bytes:
    """Return the value of a CK_ULONG; CKR_ATTRIBUTE_VALUE_INVALID."""
    if value is None or len(value) != 8:  # noqa: PLR2004 - the canonical length
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} is no CK_ULONG")
    return value


def _completed(attributes: Attributes, payload: bytes | Attributes, base: Object) -> Attributes:
    """Return the attributes of a new object of its payload, or of what the mechanism says it consists of."""
    if isinstance(payload, bytes):
        payload = key_type_of(attributes).derive(payload, attributes)
    return templates.complete(templates.DERIVE, attributes, payload, base=base)


def _lineage(maker: Derivation, keys: tuple[Object, ...]) -> Object:
    """Return a stand-in for several base keys: it was always or never what the mechanism says of them together."""
    if len(keys) == 1:
        return keys[0]
    return Object(
        {history: TRUE if maker.lineage(tuple(key.is_true(history) for key in keys)) else FALSE for history in _HISTORY}
    )

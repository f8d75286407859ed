"""The commands that make, wrap and unwrap keys (specification 5.18); `hsm.derivation` derives them."""

from __future__ import annotations

from collections import namedtuple

from ptkc.hsm import portables, wrapping
from ptkc.hsm.approval import approve, check_parameter, key_type_of, mechanism_for
from ptkc.hsm.operations import MechanismValue, OperationCommands
from ptkc.hsm.session import Session
from ptkc.mechanisms import MECHANISMS, load
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.values import UNAVAILABLE, Attributes, Template, Written, ulong
from ptkc.token.events import Event

__all__ = ["KeyCommands", "Work", "given_mechanism"]

_SECRET = (CKO.SECRET_KEY, CKO.PRIVATE_KEY)
_CLASS_PRIVATE, _CLASS_PUBLIC = ulong(CKO.PRIVATE_KEY), ulong(CKO.PUBLIC_KEY)

Work = namedtuple("Work", "function slow templates make")
"""Objects that a function is to make: whether that is slow, their templates, and `make`, which only computes them."""


class KeyCommands(OperationCommands):
    """The part of `LocalDevice` that makes keys of other things than templates."""

    def generate_key(
        self, handle: int, mechanism: MechanismValue | None, template: Template
    ) -> tuple[int, Written]:
        """C_GenerateKey."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        maker = mechanism_for("generate", number, self.application.mode)
        check_parameter(maker, parameter)
        implied = {CKA.CLASS: ulong(maker.generates_class)}
        if maker.generates != UNAVAILABLE:
            implied[CKA.KEY_TYPE] = ulong(maker.generates)
        if maker.generates_length:
            implied[CKA.VALUE_LEN] = ulong(maker.generates_length)
        lent: Attributes = {}
        if maker.lent:
            lent, template = _borrow(maker.lent, template)
            implied.update(maker.implied(lent))
        attributes = templates.prepare(templates.GENERATE, template, implied, so=self._is_so(session))
        attributes.update(lent)
        self._may_make(session, attributes)
        written: list[bytes | int] = []

        def make() -> tuple[Attributes, ...]:
            produced = maker.generate(parameter, attributes)
            if isinstance(produced, tuple):
                produced, outputs = produced
                written.extend(outputs)
            return (templates.complete(templates.GENERATE, attributes, produced, number),)

        handle_made = self._produce(session, Work("C_GenerateKey", maker.slow, (attributes,), make))[0]
        return handle_made, tuple(written)

    def generate_key_pair(
        self, handle: int, mechanism: MechanismValue | None, public: Template, private: Template
    ) -> tuple[int, int]:
        """C_GenerateKeyPair: handles of the public and of the private key, made both or none."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        maker = mechanism_for("generate_pair", number, self.application.mode)
        check_parameter(maker, parameter)
        kind, so = ulong(maker.generates), self._is_so(session)
        first = templates.prepare(templates.GENERATE, public, {CKA.CLASS: _CLASS_PUBLIC, CKA.KEY_TYPE: kind}, so=so)
        second = templates.prepare(templates.GENERATE, private, {CKA.CLASS: _CLASS_PRIVATE, CKA.KEY_TYPE: kind}, so=so)
        self._may_make(session, first)
        self._may_make(session, second)

        def make() -> tuple[Attributes, ...]:
            produced = maker.generate_pair(parameter, first, second)
            return (
                templates.complete(templates.GENERATE, first, produced[0], number),
                templates.complete(templates.GENERATE, second, produced[1], number),
            )

        one, two = self._produce(session, Work("C_GenerateKeyPair", maker.slow, (first, second), make))
        return one, two

    def _produce(self, session: Session, work: Work) -> tuple[int, ...]:
        """Make keys and keep them; `hsm.asynchronous` may do the first in the background."""
        return self._keep(session, *work.make())

    def wrap_key(
        self, handle: int, mechanism: MechanismValue | None, wrapping_key: int, key: int, room: int | None
    ) -> tuple[bytes | int, Written]:
        """C_WrapKey: the wrapped CKA_VALUE of a secret key, or PKCS#8 of a private one; an IV that was made."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        wrapper: Object | None
        wrapped: bytes | int
        written: Written = ()
        if portables.is_portable(number):
            said = number, parameter
            wrapped, wrapper, targets = portables.wrap(self.application, session, said, wrapping_key, key)
        else:
            wrapper = self.application.resolve(session, wrapping_key, CKR.WRAPPING_KEY_HANDLE_INVALID)
            target = self.application.resolve(session, key, CKR.KEY_HANDLE_INVALID)
            generates = _generates(number, parameter)
            method = approve(wrapper, "wrap_generating" if generates else "wrap", number, self.application.mode)
            wrapping.check_wrapped(self.application, session, wrapper, target, number)
            targets = [target]
            payload = key_type_of(target.attributes).encode(target.attributes)
            wrapping.check_mechanism(self.application, wrapper, number, target.attributes, CKR.KEY_NOT_WRAPPABLE)
            wrapping.check_payload(self.application, wrapper, number, payload, CKR.KEY_SIZE_RANGE)
            if generates:
                made = method(wrapper, parameter, payload, room)
                wrapped, written = (made, ()) if isinstance(made, int) else made
            else:
                wrapped = method(wrapper, parameter, payload)
        length = wrapped if isinstance(wrapped, int) else len(wrapped)
        if room is None:
            return length, ()
        if room < length:
            raise BufferTooSmallError(length)
        if wrapper is not None and wrapper.spend is not None:
            wrapper.spend()
        if self.application.mode:
            for target in targets:
                self._audit_key(Event.AUDIT_KEY_WRAPPED, session.token, target.attributes)
        return wrapped, written

    def unwrap_key(
        self, handle: int, mechanism: MechanismValue | None, unwrapping_key: int, wrapped: bytes, template: Template
    ) -> int:
        """C_UnwrapKey."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        if portables.is_portable(number):
            attributes, produced = portables.unwrap(
                self.application, session, (number, parameter), unwrapping_key, wrapped, template,
                so=self._is_so(session),
            )  # fmt: skip
            self._may_make(session, attributes)
            return self._keep(session, templates.complete(templates.UNWRAP, attributes, produced))[0]
        unwrapper = self.application.resolve(session, unwrapping_key, CKR.UNWRAPPING_KEY_HANDLE_INVALID)
        method = approve(unwrapper, "unwrap", number, self.application.mode)
        portables.need_no_pin(unwrapper)
        imposed = wrapping.imposed_by(self.application, unwrapper)
        attributes = self._prepare(session, templates.UNWRAP, template, imposed)
        wrapping.check_mechanism(self.application, unwrapper, number, attributes, CKR.TEMPLATE_INCONSISTENT)
        payload = method(unwrapper, parameter, wrapped, attributes)
        wrapping.check_payload(self.application, unwrapper, number, payload, CKR.WRAPPED_KEY_LEN_RANGE)
        produced = wrapping.decoded(number, payload, attributes)
        return self._keep(session, templates.complete(templates.UNWRAP, attributes, produced))[0]

    def _prepare(self, session: Session, origin: str, template: Template, imposed: bytes) -> Attributes:
        """Return the prepared template of a key to be unwrapped; `imposed` is what the unwrapping key demands."""
        attributes = templates.prepare(origin, template, {}, so=self._is_so(session), imposed=imposed)
        if int.from_bytes(attributes[CKA.CLASS], "little") not in _SECRET:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_CLASS is neither a secret nor a private key's")
        self._may_make(session, attributes)
        return attributes


def _generates(number: int, parameter: object) -> bool:
    """Whether it is the parameter of a wrapping that may make its IV."""
    load()
    besides = MECHANISMS[number].wrap_parameters if number in MECHANISMS else None
    return besides is not None and besides.accepts(parameter)


def _borrow(kinds: tuple[int, ...], template: Template) -> tuple[Attributes, Template]:
    """Return the attributes that a mechanism takes from the template although it usually makes them, and the rest."""
    rows = [(kind, value) for kind, value in template if kind in kinds]
    lent = {kind: value for kind, value in rows if value}
    if len(rows) > len(set(dict(rows))):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template has an attribute twice")
    if len(lent) < len(kinds):
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"the mechanism takes {len(kinds)} attributes from the template")
    return lent, tuple(row for row in template if row[0] not in kinds)


def given_mechanism(mechanism: MechanismValue | None) -> MechanismValue:
    """Return the mechanism; CKR_ARGUMENTS_BAD for NULL, which ends an operation only in Init functions."""
    if mechanism is None:
        raise CryptokiError(CKR.ARGUMENTS_BAD, "pMechanism is NULL")
    return mechanism

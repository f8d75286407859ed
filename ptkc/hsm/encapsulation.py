"""The commands that make a key together with its ciphertext, and those that wrap with associated data.

C_EncapsulateKey, C_DecapsulateKey, C_WrapKeyAuthenticated and C_UnwrapKeyAuthenticated (specification 5.18.8 to
5.18.11). A length query makes no key, no IV, and is no use. Templates and history of the new keys are those of
C_UnwrapKey, as the specification says of each. A shared key is not cut to fewer than 16 bytes, whatever the mechanism:
whoever may decapsulate would find a short one, by its check value, and then the rest byte by byte.
"""

from __future__ import annotations

from ptkc.hsm import portables, wrapping
from ptkc.hsm.approval import approve, check_parameter, key_type_of
from ptkc.hsm.keys import KeyCommands, given_mechanism
from ptkc.mechanisms import MECHANISMS
from ptkc.objects import template as templates
from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.values import Attributes, Template, Written, from_ulong, ulong, unpack_template
from ptkc.token.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.operations import MechanismValue
    from ptkc.hsm.session import Session

__all__ = ["EncapsulationCommands"]

_SHARED = {CKA.CLASS: ulong(CKO.SECRET_KEY)}
_SHORTEST = 16


class EncapsulationCommands(KeyCommands):
    """The part of `LocalDevice` that encapsulates, and wraps with associated data."""

    def encapsulate_key(
        self, handle: int, mechanism: MechanismValue | None, public_key: int, template: Template, room: int | None
    ) -> tuple[bytes | int, int, Written]:
        """C_EncapsulateKey: the ciphertext, and the handle of the key that was made.

        CKR_KEY_HANDLE_INVALID if the new key does not match CKA_ENCAPSULATE_TEMPLATE.
        """
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        public = self.application.resolve(session, public_key, CKR.KEY_HANDLE_INVALID)
        method = approve(public, "encapsulate", number, self.application.mode)
        attributes = self._prepare_shared(session, template, b"")
        maker = MECHANISMS[number]
        check_parameter(maker, parameter)
        length = maker.encapsulated_length(public, parameter)
        if room is None:
            return length, 0, ()
        if room < length:
            raise BufferTooSmallError(length)
        ciphertext, payload = method(public, parameter, attributes)
        made = templates.complete(templates.UNWRAP, attributes, key_type_of(attributes).derive(payload, attributes))
        wanted = public.attributes.get(CKA.ENCAPSULATE_TEMPLATE)
        if wanted and not _has(made, unpack_template(wanted)):
            raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the new key does not match CKA_ENCAPSULATE_TEMPLATE")
        return ciphertext, self._keep(session, made)[0], ()

    def decapsulate_key(
        self, handle: int, mechanism: MechanismValue | None, private_key: int, template: Template, ciphertext: bytes
    ) -> int:
        """C_DecapsulateKey."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        private = self.application.resolve(session, private_key, CKR.UNWRAPPING_KEY_HANDLE_INVALID)
        method = approve(private, "decapsulate", number, self.application.mode)
        portables.need_no_pin(private)
        attributes = self._prepare_shared(session, template, private.attributes.get(CKA.DECAPSULATE_TEMPLATE, b""))
        payload = method(private, parameter, ciphertext, attributes)
        return self._unwrapped(session, attributes, key_type_of(attributes).shape(payload))

    def _prepare_shared(self, session: Session, template: Template, imposed: bytes) -> Attributes:
        """Return the prepared template of the secret key that two parties are to share.

        CKR_ATTRIBUTE_VALUE_INVALID if it has too little of the secret; without CKA_VALUE_LEN it has what the secret
        or its type gives.
        """
        attributes = templates.prepare(templates.UNWRAP, template, _SHARED, so=self._is_so(session), imposed=imposed)
        if CKA.VALUE_LEN in attributes and from_ulong(attributes[CKA.VALUE_LEN]) < _SHORTEST:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"a shared key of fewer than {_SHORTEST} bytes")
        self._may_make(session, attributes)
        return attributes

    def wrap_key_authenticated(
        self,
        handle: int,
        mechanism: MechanismValue | None,
        wrapping_key: int,
        key: int,
        associated: bytes,
        room: int | None,
    ) -> tuple[bytes | int, Written]:
        """C_WrapKeyAuthenticated: the wrapped key without its tag; IV and tag are written into the parameter."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        wrapper = self.application.resolve(session, wrapping_key, CKR.WRAPPING_KEY_HANDLE_INVALID)
        target = self.application.resolve(session, key, CKR.KEY_HANDLE_INVALID)
        method = approve(wrapper, "wrap_authenticated", number, self.application.mode)
        wrapping.check_wrapped(self.application, session, wrapper, target, number)
        payload = key_type_of(target.attributes).encode(target.attributes)
        made: int | tuple[bytes, Written] = method(wrapper, parameter, payload, associated, room)
        if isinstance(made, int):
            if room is None:
                return made, ()
            raise BufferTooSmallError(made)
        if wrapper.spend is not None:
            wrapper.spend()
        if self.application.mode:
            self._audit_key(Event.AUDIT_KEY_WRAPPED, session.token, target.attributes)
        return made

    def unwrap_key_authenticated(
        self,
        handle: int,
        mechanism: MechanismValue | None,
        unwrapping_key: int,
        wrapped: bytes,
        template: Template,
        associated: bytes,
    ) -> int:
        """C_UnwrapKeyAuthenticated: CKR_WRAPPED_KEY_INVALID if the tag is not that of key and associated data."""
        session = self._working(handle)
        number, parameter = given_mechanism(mechanism)
        unwrapper = self.application.resolve(session, unwrapping_key, CKR.UNWRAPPING_KEY_HANDLE_INVALID)
        method = approve(unwrapper, "unwrap_authenticated", number, self.application.mode)
        portables.need_no_pin(unwrapper)
        imposed = wrapping.imposed_by(self.application, unwrapper)
        attributes = self._prepare(session, templates.UNWRAP, template, imposed)
        payload = method(unwrapper, parameter, wrapped, associated)
        return self._unwrapped(session, attributes, payload)

    def _unwrapped(self, session: Session, attributes: Attributes, payload: bytes) -> int:
        """Make a key object of what came in as its payload."""
        produced = key_type_of(attributes).decode(payload, attributes)
        return self._keep(session, templates.complete(templates.UNWRAP, attributes, produced))[0]


def _has(attributes: Attributes, wanted: Template) -> bool:
    """Whether a key that is about to be made has all of a template, what is hidden of it included."""
    return all(attributes.get(attribute) == value for attribute, value in wanted)

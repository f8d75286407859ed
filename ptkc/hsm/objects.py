"""The commands on objects (specification 5.7): who may see, make and change what.

What an attribute may be is decided in `objects.template`; here it is login, session and token that decide.
"""

from __future__ import annotations

from ptkc.hsm.approval import key_type_of
from ptkc.hsm.session import Session
from ptkc.hsm.sessions import SessionCommands
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, Attributes, Template
from ptkc.token.tokens import ObjectChangedError

__all__ = ["ObjectCommands"]

_MATERIAL = (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY, CKO.SECRET_KEY)


class ObjectCommands(SessionCommands):
    """The part of `LocalDevice` that makes, finds, shows and changes objects."""

    def _may_make(self, session: Session, attributes: Attributes) -> None:
        """Refuse an object that this session may not make."""
        if attributes[CKA.TOKEN] == TRUE and not session.writable:
            raise CryptokiError(CKR.SESSION_READ_ONLY, "CKA_TOKEN is true in a read-only session")
        if attributes[CKA.PRIVATE] == TRUE and self.application.role(session.token) != CKU.USER:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "CKA_PRIVATE is true and the user is not logged in")

    def _is_so(self, session: Session) -> bool:
        """Whether the SO is logged in: only then may CKA_TRUSTED become true."""
        return self.application.role(session.token) == CKU.SO

    def _keep(self, session: Session, *several: Attributes) -> tuple[int, ...]:
        """Keep new objects, session or token objects as their CKA_TOKEN says, all or none; return their handles."""
        token = session.token
        stored = [attributes for attributes in several if attributes[CKA.TOKEN] == TRUE]
        records = iter(token.add_many(stored, self.application.user_key(token)) if stored else ())
        return tuple(
            self.application.hold_record(token, next(records))
            if attributes[CKA.TOKEN] == TRUE
            else self.application.hold(session, Object(attributes))
            for attributes in several
        )

    def create_object(self, handle: int, template: Template) -> int:
        """C_CreateObject."""
        session = self.application.session(handle)
        attributes = templates.create(template, so=self._is_so(session))
        self._may_make(session, attributes)
        object_class = int.from_bytes(attributes[CKA.CLASS], "little")
        if object_class in _MATERIAL:
            computed = key_type_of(attributes).check(object_class, attributes)
            attributes = templates.complete(templates.CREATE, attributes, computed)
        return self._keep(session, attributes)[0]

    def copy_object(self, handle: int, source: int, template: Template) -> int:
        """C_CopyObject."""
        session = self.application.session(handle)
        original = self.application.resolve(session, source)
        attributes = templates.copy(original.attributes, template, so=self._is_so(session))
        _check_link(attributes, template)
        self._may_make(session, attributes)
        return self._keep(session, attributes)[0]

    def destroy_object(self, handle: int, target: int) -> None:
        """C_DestroyObject: CKR_ACTION_PROHIBITED where CKA_DESTROYABLE is false."""
        session = self.application.session(handle)
        obj = self._changeable(session, target)
        if obj.attributes.get(CKA.DESTROYABLE, TRUE) == FALSE:
            raise CryptokiError(CKR.ACTION_PROHIBITED, "CKA_DESTROYABLE is false")
        if obj.record is not None:
            session.token.remove(obj.record)
        self.application.forget(target)

    def _changeable(self, session: Session, handle: int) -> Object:
        """Return an object that this session may change or destroy."""
        obj = self.application.resolve(session, handle)
        if obj.record is not None and not session.writable:
            raise CryptokiError(CKR.SESSION_READ_ONLY, "a token object in a read-only session")
        return obj

    def get_object_size(self, handle: int, target: int) -> int:
        """C_GetObjectSize: the bytes of all values and of the type and length before each."""
        obj = self.application.resolve(self.application.session(handle), target)
        return sum(16 + len(value) for value in obj.attributes.values())

    def get_attribute_value(self, handle: int, target: int, types: tuple[int, ...]) -> tuple[int, list[bytes | None]]:
        """C_GetAttributeValue: the code, and each value or None for what cannot be had."""
        session = self.application.session(handle)
        attributes = self.application.resolve(session, target).attributes
        code = CKR.OK
        values: list[bytes | None] = []
        for attribute in types:
            try:
                values.append(templates.reveal(attributes, attribute))
            except CryptokiError as error:
                code = error.code
                values.append(None)
        return code, values

    def set_attribute_value(self, handle: int, target: int, template: Template) -> None:
        """C_SetAttributeValue; what another process changed meanwhile is read again, not overwritten."""
        session = self.application.session(handle)
        while True:
            obj = self._changeable(session, target)
            attributes = templates.modify(obj.attributes, template, so=self._is_so(session))
            _check_link(attributes, template)
            if obj.record is None:
                self.application.exchange(target, Object(attributes))
                return
            try:
                session.token.replace(obj.record, obj.version, attributes, self.application.user_key(session.token))
            except ObjectChangedError:
                continue
            return

    # Finding

    def find_objects_init(self, handle: int, template: Template) -> None:
        """C_FindObjectsInit: what matches now, session objects first, is what C_FindObjects gives."""
        session = self.application.session(handle)
        if session.found is not None:
            raise CryptokiError(CKR.OPERATION_ACTIVE, "a search is under way")
        application, token = self.application, session.token
        key = application.user_key(token)
        found = [
            number
            for number, obj in application.session_objects(token)
            if templates.matches(obj.attributes, template) and (key is not None or not obj.private)
        ]
        found += [application.hold_record(token, record) for record in token.find(template, key)]
        found.reverse()
        session.found = found

    def find_objects(self, handle: int, most: int) -> tuple[int, ...]:
        """C_FindObjects: up to `most` further handles."""
        session = self.application.session(handle)
        found = session.found
        if found is None:
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no search is under way")
        if not found:
            return ()
        rest = max(len(found) - most, 0)
        part = found[rest:]
        del found[rest:]
        part.reverse()
        return tuple(part)

    def find_objects_final(self, handle: int) -> None:
        """C_FindObjectsFinal."""
        session = self.application.session(handle)
        if session.found is None:
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no search is under way")
        session.found = None


def _check_link(attributes: Attributes, template: Template) -> None:
    """Refuse a CKA_PUBLIC_KEY_INFO that is another key's with CKR_ATTRIBUTE_VALUE_INVALID."""
    object_class = int.from_bytes(attributes[CKA.CLASS], "little")
    if object_class in _MATERIAL and any(attribute == CKA.PUBLIC_KEY_INFO for attribute, _ in template):
        key_type_of(attributes).check(object_class, attributes)

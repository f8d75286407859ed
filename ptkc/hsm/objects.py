"""The commands on objects (specification 5.7): who may see, make and change what.

What an attribute may be is decided in `objects.template`; here it is login, session and token that decide.
"""

from __future__ import annotations

from ptkc.hsm import features, policy, profiles, usage, wrapping
from ptkc.hsm.approval import key_type_of
from ptkc.hsm.channels import channels_of
from ptkc.hsm.session import Session
from ptkc.hsm.sessions import SessionCommands
from ptkc.objects import template as templates
from ptkc.objects.limits import BOUND
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, ulong
from ptkc.token.events import Event
from ptkc.token.tokens import ObjectChangedError, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.token.contents import Events

__all__ = ["ObjectCommands"]

_SLOT = ulong(CKO.SLOT)
_BY_SO = (CKA.TRUSTED, CKA.EXPORT, CKA.IMPORT)
_SECRET = (CKO.PRIVATE_KEY, CKO.SECRET_KEY)
_MATERIAL = (CKO.PUBLIC_KEY, *_SECRET)
_KEYS = {CKO.PUBLIC_KEY: "public", CKO.PRIVATE_KEY: "private", CKO.SECRET_KEY: "secret"}


class ObjectCommands(SessionCommands):
    """The part of `LocalDevice` that makes, finds, shows and changes objects."""

    def _may_make(self, session: Session, attributes: Attributes) -> None:
        """Refuse an object that this session may not make."""
        if attributes[CKA.TOKEN] == TRUE and not session.writable:
            raise CryptokiError(CKR.SESSION_READ_ONLY, "CKA_TOKEN is true in a read-only session")
        if attributes[CKA.PRIVATE] == TRUE and self.application.role(session.token) != CKU.USER:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "CKA_PRIVATE is true and the user is not logged in")
        mode = self.application.mode
        policy.check_material(mode, attributes)
        if mode:
            policy.check_template(mode, attributes)

    def _is_so(self, session: Session) -> bool:
        """Whether the SO is logged in: only then may CKA_TRUSTED become true."""
        return self.application.role(session.token) == CKU.SO

    def _keep(self, session: Session, *several: Attributes) -> tuple[int, ...]:
        """Keep new objects, session or token objects as their CKA_TOKEN says, all or none; return their handles.

        What lasts comes last: when the token has its objects, in one transaction, nothing can be refused any more.
        """
        application, token = self.application, session.token
        for attributes in several:
            policy.check_material(application.mode, attributes)
        passing = [Object(attributes) for attributes in several if attributes[CKA.TOKEN] != TRUE]
        lasting = [attributes for attributes in several if attributes[CKA.TOKEN] == TRUE]
        events = self._key_events(Event.AUDIT_KEY_CREATED, token, *several) if application.mode else ()
        held = application.hold(session, *passing) if passing else []
        records: list[int] = []
        try:
            if lasting:
                records = token.add_many(lasting, application.user_key(token), events)
            else:
                self._log(events)
        except BaseException:
            for handle in held:
                application.forget(handle)
            raise
        kept = iter(held), (application.hold_record(token, record) for record in records)
        return tuple(next(kept[attributes[CKA.TOKEN] == TRUE]) for attributes in several)

    def _key_events(self, code: int, token: Token, *several: Attributes) -> Events:
        """Return the events of those objects that are keys, if the flags ask for audit records."""
        if not self.application.mode & CKF.PCI_HSM_AUDIT:
            return ()
        kinds = (_KEYS.get(int.from_bytes(attributes[CKA.CLASS], "little")) for attributes in several)
        return tuple((code, f"{token.serial} {kind}") for kind in kinds if kind)

    def _log(self, events: Events) -> None:
        """Write events that belong to no change of the store."""
        for event in events:
            self.hsm.log_event(*event)

    def _audit_key(self, code: int, token: Token, attributes: Attributes) -> None:
        """Write an event of a key if the flags ask for audit records."""
        self._log(self._key_events(code, token, attributes))

    def create_object(self, handle: int, template: Template) -> int:
        """C_CreateObject."""
        session = self._working(handle)
        if any(attribute == CKA.CLASS and value in features.CREATED for attribute, value in template):
            return self._add_slot(session, template)
        attributes = templates.create(template, so=self._is_so(session))
        self._may_make(session, attributes)
        object_class = int.from_bytes(attributes[CKA.CLASS], "little")
        if object_class in _MATERIAL:
            computed = key_type_of(attributes).check(object_class, attributes)
            attributes = templates.complete(templates.CREATE, attributes, computed)
        return self._keep(session, attributes)[0]

    def copy_object(self, handle: int, source: int, template: Template) -> int:
        """C_CopyObject."""
        session = self._working(handle)
        return self._copy(session, session, source, template)

    def _copy(self, session: Session, source: Session, target: int, template: Template) -> int:
        """Copy an object of one session into another, which may be with another token."""
        original = self.application.resolve(source, target)
        so = self._is_so(session)
        attributes = templates.copy(original.attributes, template, so=so)
        wrapping.check_change(self.application, original.attributes, attributes)
        _check_link(attributes, template)
        if session.token is not source.token:
            _check_bound(original)
            if not so:
                # What the SO of one token said is nothing that the SO of the other said.
                attributes.update((attribute, FALSE) for attribute in _BY_SO if attribute in attributes)
        self._may_make(session, attributes)
        if usage.consumes(original.attributes):
            return usage.move(self.application, source, target, attributes, lambda copy: self._keep(session, copy)[0])
        return self._keep(session, attributes)[0]

    def destroy_object(self, handle: int, target: int) -> None:
        """C_DestroyObject: CKR_ACTION_PROHIBITED where CKA_DESTROYABLE is false."""
        session = self._working(handle)
        feature = self.application.feature(session, target)
        if feature is not None:
            if feature.end():
                self.application.forget(target)
            elif not (feature.administered and session.token.is_admin):
                raise CryptokiError(CKR.ACTION_PROHIBITED, "CKA_DESTROYABLE is false")
            else:
                self._remove_slot(session, feature, target)
            return
        obj = self._changeable(session, target)
        if obj.attributes.get(CKA.DESTROYABLE, TRUE) == FALSE:
            raise CryptokiError(CKR.ACTION_PROHIBITED, "CKA_DESTROYABLE is false")
        usage.check_destroyed(obj.attributes)
        token = session.token
        events = self._key_events(Event.AUDIT_KEY_DESTROYED, token, obj.attributes) if self.application.mode else ()
        if obj.record is not None:
            token.remove(obj.record, events)
        else:
            self._log(events)
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
        session = self._working(handle)
        feature = self.application.feature(session, target)
        if feature is not None:
            if feature.administered:
                self._need_administrator(session, elsewhere=CKR.USER_NOT_LOGGED_IN)
            feature.set(template)
            self.application.know_mode()
            return
        token = session.token
        while True:
            obj = self._changeable(session, target)
            attributes = templates.modify(obj.attributes, template, so=self._is_so(session))
            wrapping.check_change(self.application, obj.attributes, attributes)
            _check_link(attributes, template)
            events = self._key_events(Event.AUDIT_KEY_CHANGED, token, attributes) if self.application.mode else ()
            if obj.record is None:
                self._log(events)  # first: rather a record of what was refused then than a change without one
                if self.application.exchange(target, obj, Object(attributes)):
                    return
                continue
            try:
                token.replace(obj.record, obj.version, attributes, self.application.user_key(token), events)
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
        template = templates.as_kept(template)
        found = [
            number
            for number, obj in application.session_objects(token)
            if templates.matches(obj.attributes, template) and (key is not None or not obj.private)
        ]
        found += [application.hold_record(token, record) for record in token.find(template, key)]
        if any(attribute == CKA.CLASS and value in profiles.CLASSES for attribute, value in template):
            found += self._find_features(session, template)
        found.reverse()
        session.found = found

    # Features of the HSM

    def _need_administrator(self, session: Session, elsewhere: int = CKR.NOT_ADMIN_TOKEN) -> None:
        """Refuse what only the Administrator does, in a read/write session with the Admin token.

        `elsewhere` is the code on other tokens: specification 4.3.3 has one for their clocks.
        """
        if not session.token.is_admin:
            raise CryptokiError(elsewhere, "that is for the Admin token")
        if not session.writable:
            raise CryptokiError(CKR.SESSION_READ_ONLY, "the session is read-only")
        if self.application.role(session.token) != CKU.USER:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the Administrator is not logged in")

    def _find_features(self, session: Session, template: Template) -> list[int]:
        """Return the handles of the features that match, as far as the session may see them."""
        application, token = self.application, session.token
        logged_in = application.user_key(token) is not None
        channels = channels_of(application) if token.is_admin else ()
        return [
            application.hold_feature(token, feature)
            for feature in (*profiles.features_of(self.hsm, token, template), *channels)
            if (logged_in or not feature.private) and templates.matches(feature.attributes(), template)
        ]

    def _add_slot(self, session: Session, template: Template) -> int:
        """Create a CKO_SLOT: the HSM has a slot more, with an uninitialised token.

        CKR_ACTION_PROHIBITED for other features, and while other processes have the HSM open.
        """
        self._need_administrator(session)
        if {item for item in template if item[0] != CKA.TOKEN or item[1] != TRUE} != {(CKA.CLASS, _SLOT)}:
            raise CryptokiError(CKR.ACTION_PROHIBITED, "only a slot is created, and its template says no more")
        self._need_alone()
        return self.application.hold_feature(session.token, features.slot_of(self.hsm, self.hsm.add_slot()))

    def _remove_slot(self, session: Session, feature: features.Feature, handle: int) -> None:
        """Destroy a CKO_SLOT: the slot, its token and all objects go.

        CKR_OBJECT_READ_ONLY for the Admin slot and other features, CKR_SESSION_EXISTS while this application has
        sessions with the token, CKR_ACTION_PROHIBITED while other processes have the HSM open.
        """
        self._need_administrator(session)
        token = features.token_of(feature)
        if token is None or token.is_admin:
            raise CryptokiError(CKR.OBJECT_READ_ONLY, "neither the Admin slot nor the HSM's features can be destroyed")
        if self.application.sessions_with(token):
            raise CryptokiError(CKR.SESSION_EXISTS, "the slot's token has open sessions")
        self._need_alone()
        self.hsm.remove_slot(token)
        self.application.forget(handle)

    def _need_alone(self) -> None:
        """Refuse to change the slots while other processes have the HSM open, or others are served by this one."""
        application = self.application
        others = any(each.connections for each in application.served() if each.application is not application)
        if others or self.hsm.others_running():
            raise CryptokiError(CKR.ACTION_PROHIBITED, "other applications are running: slots cannot change")

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


def _check_bound(obj: Object) -> None:
    """Refuse to take a key to another token that is in the hands of its token's SO: CKR_ACTION_PROHIBITED (ours).

    There the SO is another: who is trusted to wrap, or lets a key leave, would be for that one to say.
    """
    if obj.object_class in _SECRET and any(obj.is_true(attribute) for attribute in BOUND):
        raise CryptokiError(CKR.ACTION_PROHIBITED, "the key is bound to the SO of its token")


def _check_link(attributes: Attributes, template: Template) -> None:
    """Refuse a CKA_PUBLIC_KEY_INFO that is another key's with CKR_ATTRIBUTE_VALUE_INVALID."""
    object_class = int.from_bytes(attributes[CKA.CLASS], "little")
    if object_class in _MATERIAL and any(attribute == CKA.PUBLIC_KEY_INFO for attribute, _ in template):
        key_type_of(attributes).check(object_class, attributes)

"""The commands that manage the HSM's identity through Cryptoki: C_GenerateKeyPair, C_CreateObject, C_DestroyObject.

Mechanisms and attributes of the vendor say what is meant; all other calls go through. Identity objects belong to the
Administrator, in a read/write session with the Admin token: CKR_NOT_ADMIN_TOKEN, CKR_SESSION_READ_ONLY,
CKR_USER_NOT_LOGGED_IN for others. Certificate requests are filled in here, too, since they are files that come in.
"""

from __future__ import annotations

from ptkc.hsm.approval import check_parameter, mechanism_for
from ptkc.hsm.derivation import DerivationCommands
from ptkc.hsm.keys import given_mechanism
from ptkc.mechanisms import load
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import GenPik
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, ulong
from ptkc.token.store import IDENTITY, TOKEN_SHIFT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.operations import MechanismValue

__all__ = ["IdentityCommands", "is_identity"]

_CERTIFICATE, _REQUEST = ulong(CKO.CERTIFICATE), ulong(CKO.CERTIFICATE_REQUEST)
_OWNER, _LOCAL = CKA.HSM_OWNER_CERT, CKA.LOCAL_IDENTITY_CERT
_MARKS = (_OWNER, _LOCAL)
_SAYING = ((_OWNER, TRUE), (_OWNER, FALSE))
_OF_REQUEST = (CKA.SUBJECT, CKA.KEY_TYPE, CKA.PUBLIC_KEY_INFO)
# What an identity key is in any case.
_ALWAYS = {
    CKO.PUBLIC_KEY: {CKA.TOKEN: TRUE, CKA.PRIVATE: FALSE},
    CKO.PRIVATE_KEY: {CKA.TOKEN: TRUE, CKA.PRIVATE: TRUE, CKA.SENSITIVE: TRUE, CKA.EXTRACTABLE: FALSE},
}
# Mechanism, and whether the templates say that it is for an owner.
_GENERATED = ((CKM.GEN_PIK_ECC_P521, False), (CKM.EC_KEY_PAIR_GEN, True))


def is_identity(obj: Object) -> bool:
    """Whether it is one of the HSM's identity objects, which a label alone does not make."""
    return obj.record is not None and obj.record >> TOKEN_SHIFT == IDENTITY


class IdentityCommands(DerivationCommands):
    """The part of `LocalDevice` that is about who the HSM is."""

    # Identity keys

    def generate_key_pair(
        self, handle: int, mechanism: MechanismValue | None, public: Template, private: Template
    ) -> tuple[int, int]:
        """C_GenerateKeyPair: CKM_GEN_PIK_ECC_P521, and an owner key by CKA_HSM_OWNER_CERT in both templates."""
        number, parameter = given_mechanism(mechanism)
        marked = [(_OWNER, TRUE) in template for template in (public, private)]
        if number != CKM.GEN_PIK_ECC_P521 and not any(marked):
            return super().generate_key_pair(handle, mechanism, _unmarked(public), _unmarked(private))
        session = self._working(handle)
        self._need_administrator(session)
        maker = mechanism_for("generate_pair", number, self.application.mode)
        check_parameter(maker, parameter)
        if any(marked) != all(marked) or (number, all(marked)) not in _GENERATED:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "an owner key is CKM_EC_KEY_PAIR_GEN's, by both templates")
        _check_identity_templates(public, private)
        from ptkc.hsm import identity  # noqa: PLC0415 - cryptography, at the first need

        records = (
            identity.generate_identity(self.hsm, self_sign=parameter.self_sign)
            if isinstance(parameter, GenPik)
            else identity.generate_owner(self.hsm)
        )
        one, two = (self.application.hold_record(session.token, record) for record in records)
        return one, two

    # Objects

    def create_object(self, handle: int, template: Template) -> int:
        """C_CreateObject: owner and identity certificates by their marks; requests get what CKA_VALUE says."""
        given = dict(template)
        if given.get(CKA.CLASS) == _CERTIFICATE and (given.get(_OWNER, FALSE) != FALSE or _LOCAL in given):
            return self._create_identity(handle, template)
        if given.get(CKA.CLASS) == _REQUEST and given.get(CKA.VALUE) and len(given) == len(template):
            load()
            from ptkc.mechanisms.certificates import read_request  # noqa: PLC0415 - cryptography, at the first need
            from ptkc.mechanisms.x509 import request_attributes  # noqa: PLC0415

            # Who signed it is asked where it is used; here it only has to be one, and what is said of it true.
            made = request_attributes(read_request(given[CKA.VALUE] or b""))
            if any(given.get(attribute) not in (None, b"", made.get(attribute)) for attribute in _OF_REQUEST):
                raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template contradicts the request")
            template = (*_without(template, tuple(made)), *made.items())
        return super().create_object(handle, _unmarked(template))

    def _create_identity(self, handle: int, template: Template) -> int:
        """Take an owner certificate, this HSM's identity certificate or a peer's."""
        session = self._working(handle)
        self._need_administrator(session)
        given = dict(template)
        if len(given) != len(template):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template has an attribute twice")
        owner, local = given.get(_OWNER), given.get(_LOCAL)
        for mark in (owner, local):
            if mark not in (None, TRUE, FALSE):
                raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "the mark of an identity certificate is no CK_BBOOL")
        if owner == TRUE and local is not None:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "an owner certificate is no identity certificate")
        if given.get(CKA.TOKEN, TRUE) != TRUE or given.get(CKA.PRIVATE, FALSE) != FALSE:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "identity certificates are public token objects")
        value = given.get(CKA.VALUE)
        if not value:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE is missing")
        load()
        from ptkc.hsm import identity  # noqa: PLC0415 - cryptography, at the first need
        from ptkc.mechanisms.certificates import read_certificate  # noqa: PLC0415
        from ptkc.mechanisms.x509 import certificate_attributes  # noqa: PLC0415

        # The template is checked as any certificate's; what of it the HSM keeps, it takes from CKA_VALUE.
        filled = _filled(_without(template, (*_MARKS, CKA.TRUSTED)), certificate_attributes(read_certificate(value)))
        templates.create(filled)
        store = identity.store_owner if owner == TRUE else identity.store_identity if local == TRUE else identity.trust
        return self.application.hold_record(session.token, store(self.hsm, value))

    def destroy_object(self, handle: int, target: int) -> None:
        """C_DestroyObject: of the identity objects only a peer's certificate."""
        session = self._working(handle)
        if self.application.feature(session, target) is None:
            obj = self.application.resolve(session, target)
            if is_identity(obj):
                self._need_administrator(session)
                from ptkc.hsm import identity  # noqa: PLC0415 - cryptography, at the first need

                identity.remove(self.hsm, obj)
                self.application.forget(target)
                return
        super().destroy_object(handle, target)


def _check_identity_templates(public: Template, private: Template) -> None:
    """Refuse templates that ask for another key than an identity key is; labels and usage are the HSM's to say."""
    from ptkc.mechanisms.identity import CURVE_PARAMS, is_curve  # noqa: PLC0415 - cryptography, at the first need

    for template, object_class in ((public, CKO.PUBLIC_KEY), (private, CKO.PRIVATE_KEY)):
        rest = tuple(entry for entry in template if entry[0] != CKA.EC_PARAMS and entry not in _SAYING)
        curve = dict(template).get(CKA.EC_PARAMS, CURVE_PARAMS)
        if not is_curve(curve):
            raise CryptokiError(CKR.CURVE_NOT_SUPPORTED, "identity keys are on P-521")
        implied = {CKA.CLASS: ulong(object_class), CKA.KEY_TYPE: ulong(CKK.EC)}
        if object_class == CKO.PUBLIC_KEY:
            implied[CKA.EC_PARAMS] = CURVE_PARAMS
        # Checked as any template; a label, or that the key may sign, is what every client says and is not heard.
        templates.prepare(templates.GENERATE, rest, implied)
        for attribute, wanted in _ALWAYS[object_class].items():
            if dict(rest).get(attribute, wanted) != wanted:
                raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"{name_of(CKA, attribute)} of an identity key")


def _without(template: Template, attributes: tuple[int, ...]) -> Template:
    """Return a template without some attributes."""
    return tuple(entry for entry in template if entry[0] not in attributes)


def _unmarked(template: Template) -> Template:
    """Return the template of an ordinary object: that it is no owner's may be said of it."""
    return tuple(entry for entry in template if entry != (_OWNER, FALSE))


def _filled(template: Template, made: Attributes) -> Template:
    """Return a template with what is made of CKA_VALUE where it says nothing; what it says is its own affair."""
    said = {attribute for attribute, _ in template}
    return template + tuple(entry for entry in made.items() if entry[0] not in said)

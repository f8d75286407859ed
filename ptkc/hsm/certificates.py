"""The commands that make requests and certificates, verify them, and manage the HSM's identity through Cryptoki.

Cryptoki has no functions for either, so C_GenerateKeyPair, C_DeriveKey, C_WrapKey, C_VerifyInit, C_CreateObject and
C_DestroyObject do it by the vendor's mechanisms and attributes; all other calls go through. Identity objects belong to
the Administrator in a read/write session, and the identity keys do nothing but what stands here: no usage attribute of
theirs allows a thing.
"""

from __future__ import annotations

from ptkc.hsm.approval import approve, check_parameter, key_type_of, mechanism_for
from ptkc.hsm.keys import KeyCommands, given_mechanism
from ptkc.hsm.portables import need_no_pin
from ptkc.hsm.session import Active, Session
from ptkc.mechanisms import load
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKC, CKK, CKM, CKO, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError, name_of
from ptkc.spec.parameters import GenPik, MechanismAndObject
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, ulong
from ptkc.token.store import IDENTITY, TOKEN_SHIFT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.operations import MechanismValue
    from ptkc.mechanisms.certificates import Signer

__all__ = ["CertificateCommands"]

_CERTIFICATE, _REQUEST, _PUBLIC = ulong(CKO.CERTIFICATE), ulong(CKO.CERTIFICATE_REQUEST), ulong(CKO.PUBLIC_KEY)
_OWNER, _LOCAL = CKA.HSM_OWNER_CERT, CKA.LOCAL_IDENTITY_CERT
_MARKS = (_OWNER, _LOCAL)
_OF_REQUEST = (CKA.SUBJECT, CKA.KEY_TYPE, CKA.PUBLIC_KEY_INFO)
# What C_DeriveKey makes by these mechanisms.
_X_509 = {CKA.CLASS: _CERTIFICATE, CKA.CERTIFICATE_TYPE: ulong(CKC.X_509)}
_ENCODED = {
    CKM.ENCODE_PKCS_10: {CKA.CLASS: _REQUEST},
    CKM.ENCODE_X_509: _X_509,
    CKM.ENCODE_X_509_LOCAL_CERT: _X_509,
}
_EMPTY = b"\x30\x00"
# What a template says to a mechanism, which makes the object's own attributes of it.
_SAID = (
    CKA.SUBJECT, CKA.SUBJECT_STR, CKA.ISSUER, CKA.ISSUER_STR, CKA.SERIAL_NUMBER, CKA.SERIAL_NUMBER_INT, CKA.START_DATE,
    CKA.END_DATE, CKA.CERTIFICATE_START_TIME, CKA.CERTIFICATE_END_TIME, CKA.PKI_ATTRIBUTE_BER_ENCODED,
)  # fmt: skip
# What an identity key is in any case.
_ALWAYS = {
    CKO.PUBLIC_KEY: {CKA.TOKEN: TRUE, CKA.PRIVATE: FALSE},
    CKO.PRIVATE_KEY: {CKA.TOKEN: TRUE, CKA.PRIVATE: TRUE, CKA.SENSITIVE: TRUE, CKA.EXTRACTABLE: FALSE},
}
# Mechanism, and whether the templates say that it is for an owner.
_GENERATED = ((CKM.GEN_PIK_ECC_P521, False), (CKM.EC_KEY_PAIR_GEN, True))
_IDENTITY_SIGNATURES = (CKM.ECDSA_SHA512, CKM.VENDOR_ECDSA_SHA512)


def _is_identity(obj: Object) -> bool:
    """Whether it is one of the HSM's identity objects, which a label alone does not make."""
    return obj.record is not None and obj.record >> TOKEN_SHIFT == IDENTITY


class CertificateCommands(KeyCommands):
    """The part of `LocalDevice` that is about certificates."""

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
        if given.get(CKA.CLASS) == _REQUEST and given.get(CKA.VALUE):
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
            if _is_identity(obj):
                self._need_administrator(session)
                from ptkc.hsm import identity  # noqa: PLC0415 - cryptography, at the first need

                identity.remove(self.hsm, obj)
                self.application.forget(target)
                return
        super().destroy_object(handle, target)

    # Requests, certificates, public keys

    def derive_key(self, handle: int, mechanism: MechanismValue | None, base_key: int, template: Template) -> int:
        """C_DeriveKey: requests, certificates, and the public key of a certificate."""
        number, parameter = given_mechanism(mechanism)
        if number not in _ENCODED and number != CKM.DECODE_X_509:
            return super().derive_key(handle, mechanism, base_key, template)
        session = self._working(handle)
        maker = mechanism_for("derive", number, self.application.mode)
        check_parameter(maker, parameter)
        base = self.application.resolve(session, base_key, CKR.KEY_HANDLE_INVALID)
        if not isinstance(parameter, MechanismAndObject):
            return self._decode(session, maker.derive(base, None, {}), template)
        key = self.application.resolve(session, parameter.object, CKR.KEY_HANDLE_INVALID)
        if key.object_class != CKO.PRIVATE_KEY:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "requests and certificates are signed by private keys")
        given = dict(template)
        if len(given) != len(template):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template has an attribute twice")
        said: Attributes = {attribute: value for attribute, value in given.items() if value is not None}
        if len(said) != len(given):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "the template has an attribute without a value")
        rest = self._prepare_encoded(session, number, base, said)
        if number == CKM.ENCODE_X_509_LOCAL_CERT:
            self._check_local(session, base, key)
        if _is_identity(key) or _is_identity(base):
            der = self._encode_identity(number, parameter, base, key, said)
        else:
            der = maker.derive(base, self._signer(session, key, parameter.mechanism), said, self.hsm.now())
        return self._keep_encoded(session, number, rest, der)

    def _signer(self, session: Session, key: Object, number: int) -> Signer:
        """Return what signs with an ordinary key: a use like any other, which counts where the key counts."""
        from ptkc.mechanisms.certificates import Signer  # noqa: PLC0415 - cryptography, at the first need
        from ptkc.mechanisms.signatures import scheme_of  # noqa: PLC0415

        info = key.attributes.get(CKA.PUBLIC_KEY_INFO, b"")
        mode = self.application.mode
        scheme = scheme_of(number, info)
        need_no_pin(key)
        approve(key, "sign", number, mode)
        mechanism = mechanism_for("sign", number, mode)
        check_parameter(mechanism, scheme.parameter)
        uses: list[int | None] = []

        def use() -> int | None:
            if not uses:
                uses.append(None if key.spend is None else key.spend())
            return uses[0]

        def sign(body: bytes) -> bytes:
            operation = mechanism.sign(key, scheme.parameter)
            use()
            return scheme.encode(operation.single(body))

        return Signer(info, scheme, sign, self._name_of(session, key), use)

    def _name_of(self, session: Session, key: Object) -> bytes | None:
        """Return the issuer's name that a signing key has: of its certificate on the token, or CKA_SUBJECT."""
        from ptkc.mechanisms.x509 import Certificate  # noqa: PLC0415 - at the first need

        wanted = ((CKA.CLASS, _CERTIFICATE), (CKA.ID, key.attributes.get(CKA.ID, b"")))
        for attributes in self._matching(session, wanted):
            try:
                certificate = Certificate(attributes.get(CKA.VALUE, b""))
            except ValueError:
                continue
            if certificate.public_key_info == key.attributes[CKA.PUBLIC_KEY_INFO]:
                return certificate.subject
        return key.attributes.get(CKA.SUBJECT) or None

    def _matching(self, session: Session, template: Template) -> list[Attributes]:
        """Return the attributes of the objects that match and the session may see, session objects first."""
        application, token = self.application, session.token
        key = application.user_key(token)
        found = [
            obj.attributes
            for _, obj in application.session_objects(token)
            if templates.matches(obj.attributes, template) and (key is not None or not obj.private)
        ]
        loaded = (token.load(record, key) for record in token.find(template, key))
        return found + [entry[0] for entry in loaded if entry is not None]

    def _check_local(self, session: Session, base: Object, key: Object) -> None:
        """Refuse a statement on a key that was not generated here, or by a key that makes none."""
        if not key.is_true(CKA.SIGN_LOCAL_CERT):
            raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "CKA_SIGN_LOCAL_CERT is false")
        if base.object_class == CKO.CERTIFICATE_REQUEST:
            from ptkc.mechanisms.certificates import read_request  # noqa: PLC0415 - at the first need

            info = read_request(base.attributes[CKA.VALUE]).public_key_info
            if self._matching(session, ((CKA.CLASS, _PUBLIC), (CKA.PUBLIC_KEY_INFO, info), (CKA.LOCAL, TRUE))):
                return
        elif base.is_true(CKA.LOCAL):
            return
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the key was not generated on this token")

    def _encode_identity(
        self, number: int, parameter: MechanismAndObject, base: Object, key: Object, said: Attributes
    ) -> bytes:
        """Return a request or a certificate that identity keys have a part in (docs/identity.md)."""
        from ptkc.hsm import issuing  # noqa: PLC0415 - cryptography, at the first need

        if parameter.mechanism not in _IDENTITY_SIGNATURES:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "identity keys sign by CKM_ECDSA_SHA512")
        if number == CKM.ENCODE_X_509_LOCAL_CERT and _is_identity(key):
            maker = mechanism_for("derive", number, self.application.mode)
            der: bytes = maker.derive(base, issuing.statement_signer(self.hsm, key), said, self.hsm.now())
            return der
        if not said.keys().isdisjoint(_SAID):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "names, dates and extensions are the HSM's to say")
        if number == CKM.ENCODE_PKCS_10:
            return issuing.request(self.hsm, base, key)
        if number == CKM.ENCODE_X_509 and _is_identity(key):
            return issuing.certify(self.hsm, base, key)
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the HSM's own keys are certified by owner keys alone")

    def _prepare_encoded(self, session: Session, number: int, base: Object, said: Attributes) -> Attributes:
        """Return the part of a template that is the new object's; refuse it before anything is signed."""
        rest = {CKA.ID: base.attributes.get(CKA.ID, b"")}
        if base.object_class == CKO.CERTIFICATE_REQUEST:
            rest[CKA.LABEL] = base.attributes[CKA.LABEL]
        rest.update(item for item in said.items() if item[0] not in _SAID)
        made = {CKA.VALUE: _EMPTY, CKA.SUBJECT: _EMPTY, **_ENCODED[number]}
        if any(rest.get(attribute, value) != value for attribute, value in made.items()) or CKA.PUBLIC_KEY_INFO in rest:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "the template contradicts what is to be made")
        self._may_make(session, templates.create(tuple({**rest, **made}.items()), so=self._is_so(session)))
        return rest

    def _keep_encoded(self, session: Session, number: int, rest: Attributes, der: bytes) -> int:
        """Make the object of a new request or certificate."""
        from ptkc.mechanisms import x509  # noqa: PLC0415 - at the first need

        made = (
            x509.request_attributes(x509.Request(der))
            if number == CKM.ENCODE_PKCS_10
            else x509.certificate_attributes(x509.Certificate(der))
        )
        return self._keep(session, templates.create(tuple({**rest, **made}.items()), so=self._is_so(session)))[0]

    def _decode(self, session: Session, public_key_info: bytes, template: Template) -> int:
        """Make the public key object that a certificate certifies."""
        from ptkc.mechanisms.x509 import key_material  # noqa: PLC0415 - at the first need

        try:
            material = key_material(public_key_info)
        except ValueError as error:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"the certificate's key: {error}") from None
        implied = {CKA.CLASS: ulong(CKO.PUBLIC_KEY), CKA.KEY_TYPE: material.pop(CKA.KEY_TYPE)}
        attributes = templates.prepare(templates.DERIVE, template, implied, so=self._is_so(session))
        attributes.update(material)
        self._may_make(session, attributes)
        computed = key_type_of(attributes).check(CKO.PUBLIC_KEY, attributes)
        return self._keep(session, templates.complete(templates.DERIVE, attributes, {**material, **computed}))[0]

    def wrap_key(
        self, handle: int, mechanism: MechanismValue | None, wrapping_key: int, key: int, room: int | None
    ) -> bytes | int:
        """C_WrapKey: CKM_ENCODE_PUBLIC_KEY, which takes no wrapping key (0)."""
        number, parameter = given_mechanism(mechanism)
        if number != CKM.ENCODE_PUBLIC_KEY:
            return super().wrap_key(handle, mechanism, wrapping_key, key, room)
        session = self._working(handle)
        maker = mechanism_for("wrap", number, self.application.mode)
        check_parameter(maker, parameter)
        if wrapping_key:
            raise CryptokiError(CKR.WRAPPING_KEY_HANDLE_INVALID, "CKM_ENCODE_PUBLIC_KEY takes no wrapping key")
        target = self.application.resolve(session, key, CKR.KEY_HANDLE_INVALID)
        if target.object_class != CKO.PUBLIC_KEY:
            raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "only public keys are encoded")
        encoded: bytes = maker.wrap(target, None, None)
        if room is None:
            return len(encoded)
        if room < len(encoded):
            raise BufferTooSmallError(len(encoded))
        return encoded

    # Verification

    def verify_init(self, handle: int, mechanism: MechanismValue | None, key: int) -> None:
        """C_VerifyInit: CKM_VERIFY_CERTIFICATE with a trusted certificate."""
        if mechanism is None or mechanism[0] != CKM.VERIFY_CERTIFICATE:
            super().verify_init(handle, mechanism, key)
            return
        session = self._working(handle)
        number, parameter = mechanism
        verifier = mechanism_for("verify", number, self.application.mode)
        check_parameter(verifier, parameter)
        issuer = self.application.resolve(session, key, CKR.KEY_HANDLE_INVALID)
        if issuer.object_class != CKO.CERTIFICATE:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "certificates are verified by their issuer's certificate")
        self._check_trusted(issuer)
        login = self.application.logins.get(session.token) if issuer.private else None
        session.begin("verify", Active(verifier.verify(issuer, None, self.hsm.now), number, login=login))

    def _check_trusted(self, issuer: Object) -> None:
        """Refuse a certificate that nobody trusts; of the peers' those that are not in use."""
        trusted = issuer.is_true(CKA.TRUSTED)
        if trusted and _is_identity(issuer):
            from ptkc.hsm import identity  # noqa: PLC0415 - cryptography, at the first need

            trusted = identity.is_in_use(self.hsm, issuer)
        if not trusted:
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the issuer's certificate is not trusted")


def _check_identity_templates(public: Template, private: Template) -> None:
    """Refuse templates that ask for another key than an identity key is; labels and usage are the HSM's to say."""
    from ptkc.mechanisms.identity import CURVE_PARAMS, is_curve  # noqa: PLC0415 - cryptography, at the first need

    for template, object_class in ((public, CKO.PUBLIC_KEY), (private, CKO.PRIVATE_KEY)):
        rest = _without(template, (*_MARKS, CKA.EC_PARAMS))
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

"""The commands that make requests and certificates, take keys out of them, and verify them.

Cryptoki has no functions for that, so C_DeriveKey, C_WrapKey and C_VerifyInit do it by the vendor's mechanisms; all
other calls go through. Identity keys do nothing but what stands here: no usage attribute of theirs allows a thing.
"""

from __future__ import annotations

from ptkc.hsm.active import Active
from ptkc.hsm.approval import approve, check_parameter, key_type_of, mechanism_for
from ptkc.hsm.identity_commands import IdentityCommands, is_identity
from ptkc.hsm.keys import given_mechanism
from ptkc.hsm.portables import need_no_pin
from ptkc.hsm.session import Session
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKC, CKM, CKO, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.layouts import MechanismAndObject
from ptkc.spec.values import TRUE, Attributes, Template, Written, ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.operations import MechanismValue
    from ptkc.mechanisms.certificates import Signer

__all__ = ["CertificateCommands"]

_CERTIFICATE, _REQUEST, _PUBLIC = ulong(CKO.CERTIFICATE), ulong(CKO.CERTIFICATE_REQUEST), ulong(CKO.PUBLIC_KEY)
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
_IDENTITY_SIGNATURES = (CKM.ECDSA_SHA512, CKM.VENDOR_ECDSA_SHA512)


class CertificateCommands(IdentityCommands):
    """The part of `LocalDevice` that is about certificates."""

    def derive_key(
        self, handle: int, mechanism: MechanismValue | None, base_key: int, template: Template
    ) -> tuple[int, Written]:
        """C_DeriveKey: requests, certificates, and the public key of a certificate."""
        number, parameter = given_mechanism(mechanism)
        if number not in _ENCODED and number != CKM.DECODE_X_509:
            return super().derive_key(handle, mechanism, base_key, template)
        session = self._working(handle)
        maker = mechanism_for("derive", number, self.application.mode)
        check_parameter(maker, parameter)
        base = self.application.resolve(session, base_key, CKR.KEY_HANDLE_INVALID)
        if not isinstance(parameter, MechanismAndObject):
            return self._decode(session, maker.derive(base, None, {}), template), ()
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
        der = self._encode(session, (number, parameter), base, key, said)
        return self._keep_encoded(session, number, rest, der), ()

    def _encode(
        self, session: Session, mechanism: tuple[int, MechanismAndObject], base: Object, key: Object, said: Attributes
    ) -> bytes:
        """Return a request or a certificate (DER), as `said` in the template; identity keys have their own rules."""
        number, parameter = mechanism
        maker = mechanism_for("derive", number, self.application.mode)
        states = number == CKM.ENCODE_X_509_LOCAL_CERT
        local = self._check_local(session, base, key) if states else b""
        der: bytes
        if not is_identity(key) and not is_identity(base):
            der = maker.derive(base, self._signer(session, key, parameter.mechanism), said, self.hsm.now())
            return der
        if not is_identity(key):
            code = CKR.KEY_HANDLE_INVALID if number == CKM.ENCODE_PKCS_10 else CKR.KEY_FUNCTION_NOT_PERMITTED
            raise CryptokiError(code, "the HSM's own keys request for themselves, and owner keys alone certify them")
        from ptkc.hsm import issuing  # noqa: PLC0415 - cryptography, at the first need

        if parameter.mechanism not in _IDENTITY_SIGNATURES:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "identity keys sign by CKM_ECDSA_SHA512")
        if states:
            der = maker.derive(base, issuing.statement_signer(self.hsm, key, local, said), said, self.hsm.now())
            return der
        if not said.keys().isdisjoint(_SAID):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "names, dates and extensions are the HSM's to say")
        self._need_administrator(session)
        return (issuing.request if number == CKM.ENCODE_PKCS_10 else issuing.certify)(self.hsm, base, key)

    def _signer(self, session: Session, key: Object, number: int) -> Signer:
        """Return what signs with an ordinary key: a use like any other, which counts where the key counts."""
        from ptkc.mechanisms.certificates import Signer, subject_of  # noqa: PLC0415 - at the first need
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

        return Signer(info, scheme, sign, self._name_of(session, key) or subject_of(key.attributes), use)

    def _name_of(self, session: Session, key: Object) -> bytes | None:
        """Return the subject of a signing key's certificate on the token."""
        from ptkc.mechanisms.x509 import Certificate  # noqa: PLC0415 - at the first need

        wanted = ((CKA.CLASS, _CERTIFICATE), (CKA.ID, key.attributes.get(CKA.ID, b"")))
        for attributes in self._matching(session, wanted):
            try:
                certificate = Certificate(attributes.get(CKA.VALUE, b""))
            except ValueError:
                continue
            if certificate.public_key_info == key.attributes[CKA.PUBLIC_KEY_INFO]:
                return certificate.subject
        return None

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

    def _check_local(self, session: Session, base: Object, key: Object) -> bytes:
        """Refuse a statement on a key that was not generated here, or by a key that makes none; return the former."""
        if not key.is_true(CKA.SIGN_LOCAL_CERT):
            raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "CKA_SIGN_LOCAL_CERT is false")
        info = base.attributes.get(CKA.PUBLIC_KEY_INFO, b"")
        local = base.is_true(CKA.LOCAL)
        if base.object_class == CKO.CERTIFICATE_REQUEST:
            from ptkc.mechanisms.certificates import read_request  # noqa: PLC0415 - at the first need

            info = read_request(base.attributes[CKA.VALUE]).public_key_info
            wanted = ((CKA.CLASS, _PUBLIC), (CKA.PUBLIC_KEY_INFO, info), (CKA.LOCAL, TRUE))
            local = bool(self._matching(session, wanted))
        if not local:
            raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the key was not generated on this token")
        return info

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
        from ptkc.mechanisms.public_key_info import key_material  # noqa: PLC0415 - at the first need

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
    ) -> tuple[bytes | int, Written]:
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
            return len(encoded), ()
        if room < len(encoded):
            raise BufferTooSmallError(len(encoded))
        return encoded, ()

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

        def moment() -> float:
            # Trust may have ended since C_VerifyInit.
            self._check_trusted(self.application.resolve(session, key, CKR.CERT_NOT_VALIDATED))
            return self.hsm.now()

        login = self.application.logins.get(session.token) if issuer.private else None
        session.begin("verify", Active(verifier.verify(issuer, None, moment), number, login=login))

    def _check_trusted(self, issuer: Object) -> None:
        """Refuse a certificate that nobody trusts; of the peers' those that are not in use."""
        trusted = issuer.is_true(CKA.TRUSTED)
        if trusted and is_identity(issuer):
            from ptkc.hsm import identity  # noqa: PLC0415 - cryptography, at the first need

            trusted = identity.is_in_use(self.hsm, issuer)
        if not trusted:
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the issuer's certificate is not trusted")

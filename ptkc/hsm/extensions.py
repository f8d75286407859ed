"""The vendor's CT_ functions: what Cryptoki has no function for.

Codes as the vendor's description of each function has them. Sessions are those of one application with one HSM; what
another HSM's session is given for is CKR_SESSION_HANDLE_INVALID.
"""

from __future__ import annotations

from ptkc.hsm.keys import KeyCommands
from ptkc.hsm.operations import MechanismValue
from ptkc.hsm.session import Session
from ptkc.spec.constants import CKA, CKO, CKR, CKU
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.spec.values import Template, ulong
from ptkc.token.identity import PIC, POC

__all__ = ["ExtensionCommands"]

# What CT_FetchCertificate is asked for: the label that the HSM gives the certificate. There is no root certificate:
# nobody manufactures a software HSM.
_CERTIFICATES = {
    CKA.LOCAL_IDENTITY_CERT: PIC,
    CKA.HSM_OWNER_CERT: POC,
    CKA.HSM_ROOT_CERT: None,
}


class ExtensionCommands(KeyCommands):
    """The part of `LocalDevice` that is not Cryptoki's."""

    def administrator(self, handle: int) -> Session:
        """Return a session of the Administrator; CKR_NOT_ADMIN_TOKEN, CKR_USER_NOT_LOGGED_IN."""
        session = self.application.session(handle)
        if not session.token.is_admin:
            raise CryptokiError(CKR.NOT_ADMIN_TOKEN, "the session is not with the Admin token")
        if self.application.role(session.token) != CKU.USER:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the Administrator is not logged in")
        return session

    def ct_init_token(self, handle: int, slot: int, pin: bytes | None, label: bytes) -> None:
        """CT_InitToken: the Administrator initialises an uninitialised token; CKR_SLOT_ID_INVALID for another."""
        self.administrator(handle)
        token = self._token(slot)
        if token.initialised:
            raise CryptokiError(CKR.SLOT_ID_INVALID, f"the token in slot {slot} is initialised already")
        self._initialise(token, pin, label)

    def ct_init_pin(self, handle: int, user: int, pin: bytes | None) -> None:
        """CT_InitPIN: the SO sets the first PIN of a user type; CKR_PIN_ALREADY_INITIALIZED where there is one.

        CKU_USER as C_InitPIN; a session with a token means that CKU_SO has a PIN.
        """
        if user == CKU.USER:
            self._init_user_pin(handle, pin, replace=False)
            return
        self.application.session(handle)
        if user != CKU.SO:
            raise CryptokiError(CKR.USER_TYPE_INVALID, f"user type {user}")
        raise CryptokiError(CKR.PIN_ALREADY_INITIALIZED, "the SO has a PIN")

    def ct_reset_token(self, handle: int, pin: bytes | None, label: bytes) -> None:
        """CT_ResetToken: the SO erases the token, gives it a new SO PIN and label; the session is closed."""
        session = self.application.session(handle)
        token = session.token
        login = self.application.logins.get(token)
        if login is None or login.role != CKU.SO:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the SO is not logged in")
        if len(self.application.sessions_with(token)) > 1:
            raise CryptokiError(CKR.SESSION_EXISTS, "there are other sessions with the token")
        token.reset(login.key, self._new_pin(pin), label)
        self.application.close(session)

    def ct_copy_object(self, handle: int, source: int, target: int, template: Template) -> int:
        """CT_CopyObject: copy an object of the session `source` to the token of the session `handle`."""
        return self._copy(self._working(handle), self._working(source), target, template)

    def ct_present_ticket(self, handle: int, target: int, mechanism: MechanismValue | None, ticket: bytes) -> None:
        """CT_PresentTicket: change what only a ticket may change."""
        from ptkc.hsm import tickets  # noqa: PLC0415 - reads certificates

        tickets.present(self, handle, target, mechanism, ticket)

    def ct_fetch_certificate(self, kind: int, room: int | None) -> bytes | int:
        """CT_FetchCertificate: the PIC or the POC in DER, for anybody.

        `kind` is the attribute that marks it. CKR_OBJECT_HANDLE_INVALID if the HSM has none,
        CKR_ATTRIBUTE_TYPE_INVALID.
        """
        if kind not in _CERTIFICATES:
            raise CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID, f"attribute {kind:#x} marks no certificate of an HSM")
        label, identity = _CERTIFICATES[kind], self.hsm.identity
        records = identity.find(((CKA.CLASS, ulong(CKO.CERTIFICATE)), (CKA.LABEL, label)), None) if label else []
        loaded = identity.load(records[0], None) if records else None
        if loaded is None:
            raise CryptokiError(CKR.OBJECT_HANDLE_INVALID, "the HSM has no such certificate")
        return _given(loaded[0][CKA.VALUE], room)

    def ct_get_smc(self, handle: int, version: int, frame: bytes, room: int | None) -> bytes | int:
        """CT_GetSMC: a frame of a handshake in, the one that answers it out (docs/secure-messaging.md).

        It shows what the HSM says and proves; the channel carries no commands. A session has one handshake at a time,
        and so has session 0, which is none. CKR_SMS_ERROR for another version than 1 and for what is no such frame,
        CKR_SESSION_HANDLE_INVALID.
        """
        from ptkc.hsm import channels  # noqa: PLC0415 - hardly ever needed

        if handle:
            self.application.session(handle)
        return _given(channels.converse(self.application, handle, version, frame), room)


def _given(value: bytes, room: int | None) -> bytes | int:
    """Return a value, or its length where that is asked for; CKR_BUFFER_TOO_SMALL."""
    if room is None:
        return len(value)
    if room < len(value):
        raise BufferTooSmallError(len(value))
    return value

"""The commands on slots, tokens, sessions and logins (specification 5.5 and 5.6)."""

from __future__ import annotations

import time

from ptkc.hsm import policy
from ptkc.hsm.active import ActiveMessages
from ptkc.hsm.application import Application
from ptkc.hsm.session import Session
from ptkc.sms.protection import SENSITIVE_ENCRYPTED
from ptkc.spec.constants import CK, CKF, CKR, CKS, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token.events import Event
from ptkc.token.hsms import Hsm
from ptkc.token.pins import PIN_LENGTHS
from ptkc.token.tokens import Token
from ptkc.wire.commands import CANCEL, CANCEL_ALONE, MESSAGE_ALONE, Device

__all__ = ["SessionCommands"]

_NO_PUBLIC_CRYPTO = CKF.NO_PUBLIC_CRYPTO
_ROLES = {CKU.SO: "SO", CKU.USER: "user"}
_VERSION = b"\x00\x01"
_MANUFACTURER = b"ptkc".ljust(32)
_MODEL = b"ptkc software".ljust(16)

class SessionCommands(Device):
    """The part of `LocalDevice` that needs no objects."""

    def __init__(self, hsm: Hsm, application: Application) -> None:
        """Serve `application` with `hsm`."""
        self.hsm = hsm
        self.application = application

    # Shared by all parts

    def _token(self, slot: int) -> Token:
        """Return the token in a slot; CKR_SLOT_ID_INVALID."""
        tokens = self.hsm.tokens
        if slot >= len(tokens):
            raise CryptokiError(CKR.SLOT_ID_INVALID, f"no slot {slot}")
        return tokens[slot]

    def _working(self, handle: int) -> Session:
        """Return an open session that may work with keys and objects; CKR_USER_NOT_LOGGED_IN under No Public Crypto."""
        session = self.application.session(handle)
        if self.application.mode:
            self._need_login(session)
        return session

    def _need_login(self, session: Session) -> None:
        """Refuse under No Public Crypto what is done without a login; the Admin token is not concerned."""
        application, token = self.application, session.token
        if application.mode & _NO_PUBLIC_CRYPTO and token not in application.logins and not token.is_admin:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "No Public Crypto: nobody is logged in")

    def _new_pin(self, pin: bytes | None) -> bytes:
        """Return a PIN that is to be set; CKR_PIN_LEN_RANGE, CKR_ARGUMENTS_BAD."""
        given = _pin(pin)
        policy.check_new_pin(self.hsm.security_mode, given)
        return given

    def _audit(self, code: int, token: Token, what: str = "") -> None:
        """Write an event if the flags ask for audit records."""
        if self.hsm.security_mode & CKF.PCI_HSM_AUDIT:
            self.hsm.log_event(code, f"{token.serial} {what}".strip())

    # Slots and tokens

    def get_slot_list(self, present: bool) -> tuple[int, ...]:  # noqa: ARG002, FBT001 - every slot has its token
        """C_GetSlotList: user slots first, the Admin slot last."""
        return tuple(range(len(self.hsm.tokens)))

    def get_slot_info(self, slot: int) -> tuple[bytes, bytes, int, bytes, bytes]:
        """C_GetSlotInfo."""
        kind = "Admin slot" if self._token(slot).is_admin else f"slot {slot}"
        description = f"HSM {self.hsm.serial} {kind}".encode().ljust(64)
        return description, _MANUFACTURER, CKF.TOKEN_PRESENT, _VERSION, _VERSION

    def get_token_info(self, slot: int) -> tuple[bytes | int, ...]:
        """C_GetTokenInfo."""
        token = self._token(slot)
        sessions = self.application.sessions_with(token)
        flags = CKF.RNG | CKF.CLOCK_ON_TOKEN | CKF.DUAL_CRYPTO_OPERATIONS | CKF.ASYNC_SESSION_SUPPORTED
        mode = self.hsm.security_mode
        if token.is_admin:
            flags |= CKF.ADMIN_TOKEN
        elif mode & _NO_PUBLIC_CRYPTO:
            flags |= CKF.LOGIN_REQUIRED
        if self.hsm.write_protected:
            flags |= CKF.WRITE_PROTECTED
        if token.initialised:
            flags |= CKF.TOKEN_INITIALIZED | token.pin_state(CKU.SO)
        if token.user_pin_set:
            flags |= CKF.USER_PIN_INITIALIZED | CKF.LOGIN_REQUIRED | token.pin_state(CKU.USER)
        unknown = CK.UNAVAILABLE_INFORMATION
        return (
            token.label.ljust(32),
            _MANUFACTURER,
            _MODEL,
            token.serial.encode().ljust(16)[:16],
            flags,
            CK.EFFECTIVELY_INFINITE,
            len(sessions),
            CK.EFFECTIVELY_INFINITE,
            sum(session.writable for session in sessions),
            PIN_LENGTHS[1],
            policy.shortest_pin(mode),
            unknown,
            unknown,
            unknown,
            unknown,
            _VERSION,
            _VERSION,
            time.strftime("%Y%m%d%H%M%S00", time.gmtime(self.hsm.now())).encode(),
        )

    def init_token(self, slot: int, pin: bytes | None, label: bytes) -> None:
        """C_InitToken: CKR_SESSION_EXISTS while this application has a session with the token.

        CKR_ACCESS_DENIED where requests with PINs are to be encrypted: this one cannot be, CT_InitToken can.
        """
        token = self._token(slot)
        if policy.protection(self.hsm.security_mode) & SENSITIVE_ENCRYPTED:
            raise CryptokiError(CKR.ACCESS_DENIED, "the security flags want PINs encrypted: use CT_InitToken")
        if self.application.sessions_with(token):
            raise CryptokiError(CKR.SESSION_EXISTS, f"slot {slot} has open sessions")
        self._initialise(token, pin, label)

    def _initialise(self, token: Token, pin: bytes | None, label: bytes) -> None:
        """Initialise a token: a new SO PIN must be long enough, the one of an initialised token right."""
        token.initialise(_pin(pin) if token.initialised else self._new_pin(pin), label)

    def init_pin(self, handle: int, pin: bytes | None) -> None:
        """C_InitPIN by the SO in a read/write session.

        On a user token it also replaces the user's PIN (ours), unless Increased Security is set.
        """
        self._init_user_pin(handle, pin, replace=not self.hsm.security_mode & CKF.INCREASED_SECURITY)

    def _init_user_pin(self, handle: int, pin: bytes | None, *, replace: bool) -> None:
        """Set the user's PIN by the SO; CKR_PIN_ALREADY_INITIALIZED where it may not be replaced."""
        session = self.application.session(handle)
        login = self.application.logins.get(session.token)
        if login is None or login.role != CKU.SO:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the SO is not logged in")
        session.token.init_user_pin(login.key, self._new_pin(pin), replace=replace)
        self._audit(Event.AUDIT_PIN_SET, session.token, _ROLES[CKU.USER])

    def set_pin(self, handle: int, old: bytes | None, new: bytes | None) -> None:
        """C_SetPIN: the PIN of whoever is logged in; of the user where nobody is."""
        session = self.application.session(handle)
        if not session.writable:
            raise CryptokiError(CKR.SESSION_READ_ONLY, "C_SetPIN needs a read/write session")
        role = self.application.role(session.token)
        role = CKU.USER if role is None else role
        session.token.set_pin(role, _pin(old), self._new_pin(new))
        self._audit(Event.AUDIT_PIN_SET, session.token, _ROLES[role])

    # Sessions

    def open_session(self, slot: int, flags: int) -> int:
        """C_OpenSession."""
        token = self._token(slot)
        if not flags & CKF.SERIAL_SESSION:
            raise CryptokiError(CKR.SESSION_PARALLEL_NOT_SUPPORTED, "CKF_SERIAL_SESSION is not set")
        if not token.initialised and not (token.is_admin and not flags & CKF.RW_SESSION):
            # The Admin token is read all the same: its features are the HSM, which is there before any PIN (ours).
            raise CryptokiError(CKR.TOKEN_NOT_RECOGNIZED, f"the token in slot {slot} is not initialised")
        if flags & CKF.RW_SESSION and self.hsm.write_protected:
            raise CryptokiError(CKR.TOKEN_WRITE_PROTECTED, "the data path cannot be written")
        return self.application.open(token, flags & (CKF.SERIAL_SESSION | CKF.RW_SESSION | CKF.ASYNC_SESSION)).handle

    def close_session(self, handle: int) -> None:
        """C_CloseSession."""
        self.application.close(self.application.session(handle))

    def close_all_sessions(self, slot: int) -> None:
        """C_CloseAllSessions."""
        for session in self.application.sessions_with(self._token(slot)):
            self.application.close(session)

    def get_session_info(self, handle: int) -> tuple[int, int, int, int]:
        """C_GetSessionInfo."""
        session = self.application.session(handle)
        self.hsm.refresh()
        return session.token.slot, self.application.state(session), session.flags, 0

    def session_cancel(self, handle: int, flags: int) -> None:
        """C_SessionCancel: ends the operations named in the mask."""
        session = self.application.session(handle)
        for kind, flag in CANCEL.items():
            if flags & MESSAGE_ALONE:
                active = session.operations.get(kind)
                if flags & flag and isinstance(active, ActiveMessages) and active.message is not None:
                    active.end_message()
            elif flags & (flag | CANCEL_ALONE[kind]):
                session.operations.pop(kind, None)
        if flags & CKF.FIND_OBJECTS:
            session.found = None

    def get_session_validation_flags(self, handle: int, kind: int) -> int:
        """C_GetSessionValidationFlags: none, since no validation vouches for what was done; CKR_ARGUMENTS_BAD."""
        self.application.session(handle)
        if kind != CKS.LAST_VALIDATION_OK:
            raise CryptokiError(CKR.ARGUMENTS_BAD, f"{kind} is no type of validation flags")
        return 0

    # Logins

    def login(self, handle: int, user: int, pin: bytes | None) -> None:
        """C_Login for CKU_SO, CKU_USER and CKU_CONTEXT_SPECIFIC."""
        session = self.application.session(handle)
        token = session.token
        role = self.application.role(token)
        if user == CKU.CONTEXT_SPECIFIC:
            self._unlock(session, role, pin)
            return
        if user not in (CKU.SO, CKU.USER):
            raise CryptokiError(CKR.USER_TYPE_INVALID, f"user type {user}")
        if role is not None:
            code = CKR.USER_ALREADY_LOGGED_IN if role == user else CKR.USER_ANOTHER_ALREADY_LOGGED_IN
            raise CryptokiError(code, "the token has a login")
        if user == CKU.SO and not all(other.writable for other in self.application.sessions_with(token)):
            raise CryptokiError(CKR.SESSION_READ_ONLY_EXISTS, "the SO cannot log in beside a read-only session")
        try:
            key = token.login(user, _pin(pin))
        except CryptokiError as error:
            if error.code in (CKR.PIN_INCORRECT, CKR.PIN_LOCKED):
                self._audit(Event.AUDIT_LOGIN_FAILED, token, _ROLES[user])
            raise
        self.application.log_in(token, user, key)
        self._audit(Event.AUDIT_LOGIN, token, _ROLES[user])

    def login_user(self, handle: int, user: int, pin: bytes | None, username: bytes) -> None:
        """C_LoginUser: as C_Login; CKR_ARGUMENTS_BAD, before the PIN is tried, for a name: our users have none."""
        self.application.session(handle)
        if username:
            raise CryptokiError(CKR.ARGUMENTS_BAD, "users of this token have no names")
        self.login(handle, user, pin)

    def _unlock(self, session: Session, role: int | None, pin: bytes | None) -> None:
        """Let an operation with a CKA_ALWAYS_AUTHENTICATE key go on (specification 4.10).

        CKR_PIN_LOCKED also logs the user out.
        """
        active = session.waiting()
        if role is None:
            raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "nobody is logged in")
        try:
            session.token.login(role, _pin(pin))
        except CryptokiError as error:
            if error.code == CKR.PIN_LOCKED:
                self.application.log_out(session.token)
            raise
        active.locked = False

    def logout(self, handle: int) -> None:
        """C_Logout: private session objects and operations with private keys end with it."""
        session = self.application.session(handle)
        if self.application.role(session.token) is None:
            raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "nobody is logged in")
        self.application.log_out(session.token)
        self._audit(Event.AUDIT_LOGOUT, session.token)


def _pin(pin: bytes | None) -> bytes:
    """Return the PIN; CKR_ARGUMENTS_BAD where NULL asks for a protected path that we do not have."""
    if pin is None:
        raise CryptokiError(CKR.ARGUMENTS_BAD, "the PIN is NULL and the token has no PIN pad")
    return pin

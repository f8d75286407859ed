"""An application: a login domain, and owner of sessions, login states and handles.

It is one process, or one remote client; fork makes a new one and C_Finalize ends it (specification 6.7). All its
sessions with one token have the same login state, rather than each session its own.
"""

from __future__ import annotations

import os
from _thread import RLock

from ptkc.hsm import policy, usage
from ptkc.hsm.features import Feature
from ptkc.hsm.handles import Handles
from ptkc.hsm.held import Held, Login
from ptkc.hsm.session import Session
from ptkc.objects.object import Object
from ptkc.spec.constants import CKR, CKS, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.token.hsms import Hsm
from ptkc.token.tokens import Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.hsm.applications import Served
    from ptkc.hsm.channels import Conversation
    from ptkc.hsm.room import Room

__all__ = ["Application"]

_STATE_KEY = 32


class Application:
    """Sessions, logins and handles of one login domain with the tokens of one HSM.

    What depends on which sessions and logins there are is decided and done under one lock: another thread may be
    closing or logging out. `mode` are the HSM's security flags, as they were when a session was last asked for.
    `accepted` says which protection of messages (`sms.protection`) the way here guarantees; it is none where methods
    are called. `most_sessions` is a limit, 0 for none, and `room` one of session objects; `served` gives all that are
    served beside this one and with it, `conversations` belong to CT_GetSMC.
    `state_key` seals what C_GetOperationState gives.
    """

    __slots__ = (
        "_boot", "_by_token", "_features", "_lock", "_records", "_stamp", "accepted", "conversations", "handles", "hsm",
        "logins", "mode", "most_sessions", "room", "served", "sessions", "state_key",
    )  # fmt: skip

    def __init__(self, hsm: Hsm, handles: Handles) -> None:
        """Begin with no session; `handles` may be shared by the applications of one process."""
        self.hsm = hsm
        self.handles = handles
        self._boot = hsm.boot
        self._lock = RLock()
        self._stamp: int | None = None
        self.mode = 0
        self.accepted = 0
        self.most_sessions = 0
        self.room: Room | None = None
        self.served: Callable[[], list[Served]] = list
        self.conversations: dict[int, Conversation] = {}
        self.state_key = os.urandom(_STATE_KEY)
        self.sessions: dict[int, Session] = {}
        self._by_token: dict[Token, dict[int, Session]] = {}
        self.logins: dict[Token, Login] = {}
        self._records: dict[tuple[Token, int], int] = {}
        self._features: dict[tuple[Token, tuple[int, int]], int] = {}

    # Sessions (specification 6.7)

    def open(self, token: Token, flags: int) -> Session:
        """Open a session and give it its handle; CKR_SESSION_READ_WRITE_SO_EXISTS, CKR_SESSION_COUNT.

        CKR_BAD_PROTECTION where the flags want messages protected and the way here does not.
        """
        session = Session(token, flags)
        mode = self.hsm.security_mode
        with self._lock:
            self.end_earlier_boot()
            self._follow(mode)
            if self.most_sessions and len(self.sessions) >= self.most_sessions:
                raise CryptokiError(CKR.SESSION_COUNT, f"there are {self.most_sessions} sessions, which are the most")
            if not session.writable and self.role(token) == CKU.SO:
                raise CryptokiError(CKR.SESSION_READ_WRITE_SO_EXISTS, "the SO is logged in")
            session.room = self.room
            session.handle = self.handles.add(session)
            self.sessions[session.handle] = session
            self._by_token.setdefault(token, {})[session.handle] = session
        return session

    def session(self, handle: int) -> Session:
        """Return an open session; CKR_SESSION_HANDLE_INVALID, CKR_BAD_PROTECTION as `open`.

        Once CKR_DEVICE_RESET after the HSM was restarted, or its flags want less protection of messages than before.
        """
        session = self.sessions.get(handle)
        if session is None:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, f"no session {handle}")
        stamp = self.hsm.stamp()
        if stamp is None or stamp != self._stamp:
            mode = self.hsm.security_mode
            with self._lock:
                if self.end_earlier_boot():
                    self.mode = mode
                    raise CryptokiError(CKR.DEVICE_RESET, "the HSM was restarted")
                if self._follow(mode):
                    raise CryptokiError(CKR.DEVICE_RESET, "the security flags protect messages less than before")
                self._stamp = stamp
        return session

    def _follow(self, mode: int) -> bool:
        """Take the flags as they are now; close the sessions if they became weaker, and say whether there was one.

        CKR_BAD_PROTECTION if they want more than the way here guarantees.
        """
        before, now = policy.protection(self.mode), policy.protection(mode)
        self.mode = mode
        ended = bool(before & ~now and self.sessions)
        if ended:
            self._close_all()
        if now & ~self.accepted:
            raise CryptokiError(CKR.BAD_PROTECTION, f"the security flags want messages protected ({now:#x})")
        return ended

    def know_mode(self) -> None:
        """Take the flags as this application itself has set them: that ends no session of its own."""
        self.mode = self.hsm.security_mode

    def end(self) -> None:
        """Close all sessions: the application is over."""
        with self._lock:
            self._close_all()

    def _close_all(self) -> None:
        for session in list(self.sessions.values()):
            self.close(session)

    def end_earlier_boot(self) -> bool:
        """Close the sessions of before a restart, and with them the logins; whether there was one."""
        with self._lock:
            boot = self.hsm.boot
            if boot == self._boot:
                return False
            self._boot = boot
            self.state_key = os.urandom(_STATE_KEY)
            self._close_all()
        return True

    def close(self, session: Session) -> None:
        """Close a session: its objects and operations go, and with the last one of a token the login."""
        with self._lock:
            if self.sessions.pop(session.handle, None) is None:
                return
            self.handles.pop(session.handle, None)
            if session.handle in self.conversations:
                self.conversations.pop(session.handle).close()
            gone, session.objects = session.objects, {}
            for handle in list(gone):
                self.handles.pop(handle, None)
            others = self._by_token[session.token]
            others.pop(session.handle, None)
            if not others:
                self._end_login(session.token)
            if self.room is not None:
                self.room.give(gone.values()) if self.sessions else self.room.clear()

    def sessions_with(self, token: Token) -> list[Session]:
        """Return the open sessions with `token`."""
        return list(self._by_token.get(token, {}).values())

    def state(self, session: Session) -> int:
        """Return the session's CKS_ state."""
        login = self.logins.get(session.token)
        return _STATES[None if login is None else login.role, session.writable]

    # Logins

    def role(self, token: Token) -> int | None:
        """Return CKU_SO or CKU_USER, or None for the public."""
        login = self.logins.get(token)
        return None if login is None else login.role

    def user_key(self, token: Token) -> bytes | None:
        """Return the token key if the user is logged in: what opens private objects."""
        login = self.logins.get(token)
        return login.key if login is not None and login.role == CKU.USER else None

    def log_in(self, token: Token, role: int, key: bytes) -> None:
        """Log in all sessions with the token; CKR_SESSION_READ_ONLY_EXISTS for the SO.

        What was checked before the PIN was tried is checked again: that took its time. CKR_SESSION_CLOSED,
        CKR_USER_ALREADY_LOGGED_IN.
        """
        with self._lock:
            sessions = self.sessions_with(token)
            if not sessions:
                raise CryptokiError(CKR.SESSION_CLOSED, "the session was closed meanwhile")
            if role == CKU.SO and not all(session.writable for session in sessions):
                raise CryptokiError(CKR.SESSION_READ_ONLY_EXISTS, "the SO cannot log in beside a read-only session")
            if token in self.logins:
                raise CryptokiError(CKR.USER_ALREADY_LOGGED_IN, "another thread logged in")
            self.logins[token] = Login(role, key)

    def log_out(self, token: Token) -> None:
        """Log out: private session objects go, handles of private token objects become invalid for good."""
        with self._lock:
            self._end_login(token)
            for session in self.sessions_with(token):
                session.end_private()

    def _end_login(self, token: Token) -> None:
        """End the login, and with it the handles of private objects and what the token keeps of them in memory."""
        login = self.logins.pop(token, None)
        if login is not None:
            login.over = True
        public: set[int] | None = None
        for handle, held in list(self.handles.items()):
            if not isinstance(held, Held) or held.token is not token:
                continue
            if held.object is not None:
                private = held.object.private
            elif held.feature is not None:
                private = held.feature.private
            else:
                if public is None:
                    public = _public_records(token)
                private = held.record not in public
            if private:
                self.forget(handle)
        token.forget_private()

    # Objects

    def hold(self, session: Session, *objects: Object) -> list[int]:
        """Give new session objects their handles, all or none.

        CKR_SESSION_CLOSED, CKR_USER_NOT_LOGGED_IN if that is so by now; CKR_DEVICE_MEMORY where there is no more room.
        """
        handles = []
        with self._lock:
            if session.handle not in self.sessions:
                raise CryptokiError(CKR.SESSION_CLOSED, "the session was closed meanwhile")
            if any(obj.private for obj in objects) and self.user_key(session.token) is None:
                raise CryptokiError(CKR.USER_NOT_LOGGED_IN, "the user logged out meanwhile")
            if self.room is not None:
                self.room.take(objects, self.sessions.values())
            for obj in objects:
                held = Held(session.token, None, obj, session)
                handles.append(self.handles.add(held))
                session.objects[handles[-1]] = usage.bind(self, handles[-1], held, obj)
        return handles

    def hold_record(self, token: Token, record: int) -> int:
        """Return the handle of a token object, the same one each time."""
        handle = self._records.get((token, record))
        if handle is None:
            handle = self._records[token, record] = self.handles.add(Held(token, record, None))
        return handle

    def hold_feature(self, token: Token, feature: Feature) -> int:
        """Return the handle of a feature of the HSM, the same one each time."""
        handle = self._features.get((token, feature.key))
        if handle is None:
            held = Held(token, None, None, feature=feature)
            handle = self._features[token, feature.key] = self.handles.add(held)
        return handle

    def feature(self, session: Session, handle: int) -> Feature | None:
        """Return the feature behind a handle that the session may see, None if it is something else's."""
        held = self.handles.get(handle)
        if not isinstance(held, Held) or held.token is not session.token:
            return None
        return held.feature

    def forget(self, handle: int) -> None:
        """Make the handle of an object invalid."""
        held = self.handles.pop(handle, None)
        if not isinstance(held, Held):
            return
        if held.record is not None:
            self._records.pop((held.token, held.record), None)
        elif held.feature is not None:
            self._features.pop((held.token, held.feature.key), None)
        elif held.session is not None:
            with self._lock:
                gone = held.session.objects.pop(handle, None)
                if gone is not None and self.room is not None:
                    self.room.give((gone,))

    def exchange(self, handle: int, former: Object, obj: Object) -> bool:
        """Put another object in the place of a session object; False if another thread put one there before.

        CKR_DEVICE_MEMORY as `hold`.
        """
        with self._lock:
            held = self.handles.get(handle)
            if isinstance(held, Held) and held.session is not None:
                if held.object is not former:
                    return False
                if self.room is not None:
                    self.room.take((obj,), self.sessions.values(), former)
                held.object = held.session.objects[handle] = usage.bind(self, handle, held, obj)
        return True

    def resolve(self, session: Session, handle: int, code: int = CKR.OBJECT_HANDLE_INVALID) -> Object:
        """Return the object behind a handle as it is now; `code` if there is none that the session may see."""
        held = self.handles.get(handle)
        if not isinstance(held, Held) or held.token is not session.token:
            raise CryptokiError(code, f"no object {handle}")
        known = held.object
        if held.record is None and known is not None:
            return known
        stamp = self.hsm.stamp()
        if known is not None and stamp is not None and held.stamp == stamp:
            return known
        if held.feature is not None and held.feature.exists:
            return Object(held.feature.attributes())
        loaded = None if held.record is None else held.token.load(held.record, self.user_key(held.token))
        if loaded is None:
            self.forget(handle)
            raise CryptokiError(code, f"object {handle} is gone")
        attributes, version = loaded
        if known is None or known.version != version:
            held.object = known = usage.bind(self, handle, held, Object(attributes, held.record, version))
        held.stamp = stamp
        return known

    def session_objects(self, token: Token) -> list[tuple[int, Object]]:
        """Return the session objects of all sessions with the token."""
        return [item for session in self.sessions_with(token) for item in list(session.objects.items())]


def _public_records(token: Token) -> set[int]:
    """Return the token's public objects; none where the store cannot be asked, since a logout ends in any case."""
    try:
        return set(token.find((), None))
    except CryptokiError:
        return set()


_STATES = {
    (None, False): CKS.RO_PUBLIC_SESSION,
    (None, True): CKS.RW_PUBLIC_SESSION,
    (CKU.USER, False): CKS.RO_USER_FUNCTIONS,
    (CKU.USER, True): CKS.RW_USER_FUNCTIONS,
    (CKU.SO, True): CKS.RW_SO_FUNCTIONS,
}

"""C_GetOperationState and C_SetOperationState (specification 5.6).

A saved state is what began an operation and what it was given since, and restoring gives that to a new operation. So
every mechanism with parts can be saved, and no library needs to show its inner state. CKR_STATE_UNSAVEABLE is what was
given more than `active.REMEMBERED` bytes, or more than a served application has room for, or a key (C_DigestKey). The
state is sealed under a key of the application: nobody else can read, change or restore it. Keys are not in it, only
what tells them apart. Restoring is a new use of the key: permissions are looked at again, uses counted, and a
context-specific login is wanted again.
"""

from __future__ import annotations

from struct import Struct

from ptkc.hsm.active import PARTS, READY, Active
from ptkc.hsm.operations import OperationCommands
from ptkc.hsm.session import Session
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError
from ptkc.token.seal import seal, sha256, unseal

__all__ = ["StateCommands"]

# The kinds that can be saved, and the argument of C_SetOperationState that has the key: two operations cannot share it.
_DIGEST, _ENCRYPTION, _AUTHENTICATION = "digest", "encryption", "authentication"
_KINDS = {
    "digest": _DIGEST,
    "encrypt": _ENCRYPTION,
    "decrypt": _ENCRYPTION,
    "sign": _AUTHENTICATION,
    "verify": _AUTHENTICATION,
    "verify_signature": _AUTHENTICATION,
}
_NUMBERS = tuple(_KINDS)
# Kind, whether it has begun to take parts, mechanism; the lengths of parameter, key, signature and data follow.
_HEAD = Struct("<BBQQQQQ")
_MATERIAL = (
    CKA.CLASS, CKA.KEY_TYPE, CKA.VALUE, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIVATE_EXPONENT, CKA.EC_PARAMS,
    CKA.EC_POINT, CKA.PRIME, CKA.SUBPRIME, CKA.BASE, CKA.PARAMETER_SET, CKA.SEED,
)  # fmt: skip
_LENGTH = Struct("<Q")


class _Saved:
    """One operation in a saved state."""

    __slots__ = ("begun", "data", "key", "kind", "mechanism", "parameter", "signature")

    def __init__(self, kind: str, mechanism: int, parameter: bytes, key: bytes, signature: bytes, data: bytes) -> None:
        """Keep its parts: the packed parameter, the key's mark or b"", what was given."""
        self.kind = kind
        self.mechanism = mechanism
        self.parameter = parameter
        self.key = key
        self.signature = signature
        self.data = data
        self.begun = False


class StateCommands(OperationCommands):
    """The part of `LocalDevice` that saves and restores operations."""

    def get_operation_state(self, handle: int, room: int | None) -> bytes | int:
        """C_GetOperationState."""
        session = self.application.session(handle)
        parts = [_packed(kind, active) for kind, active in _savable(session).items()]
        state = seal(self.application.state_key, b"".join(parts), self._association(session))
        if room is None:
            return len(state)
        if room < len(state):
            raise BufferTooSmallError(len(state))
        return state

    def set_operation_state(self, handle: int, state: bytes, encryption_key: int, authentication_key: int) -> None:
        """C_SetOperationState: what is under way in the session ends, unless the state is refused."""
        session = self.application.session(handle)
        content = unseal(self.application.state_key, state, self._association(session))
        if content is None:
            raise CryptokiError(CKR.SAVED_STATE_INVALID, "not a state of this token, session state and application")
        saved = _unpacked(content)
        keys = {_ENCRYPTION: encryption_key, _AUTHENTICATION: authentication_key}
        wanted = {_KINDS[operation.kind] for operation in saved}
        for place, key in keys.items():
            if place in wanted and not key:
                raise CryptokiError(CKR.KEY_NEEDED, f"the key of the {place}")
            if key and place not in wanted:
                raise CryptokiError(CKR.KEY_NOT_NEEDED, f"there is no {place}")
        pairs = [(one, self._same_key(session, keys.get(_KINDS[one.kind], 0), one.key)) for one in saved]
        operations = {one.kind: self._restored(session, one, key) for one, key in pairs}
        session.operations.clear()
        session.found = None
        session.operations.update(operations)

    def _association(self, session: Session) -> bytes:
        """Return what a state is bound to: the token and the session's state."""
        return session.token.serial.encode() + self.application.state(session).to_bytes(8, "little")

    def _same_key(self, session: Session, handle: int, mark: bytes) -> Object | None:
        """Return the key behind a handle, which is the one that has this mark; None for no mark. CKR_KEY_CHANGED."""
        if not mark:
            return None
        try:
            obj = self._key(session, handle)
        except CryptokiError as error:
            if error.code != CKR.KEY_HANDLE_INVALID:
                raise
            raise CryptokiError(CKR.KEY_CHANGED, error.message) from None
        if _mark(obj) != mark:
            raise CryptokiError(CKR.KEY_CHANGED, "another key")
        return obj

    def _restored(self, session: Session, saved: _Saved, key: Object | None) -> Active:
        """Return a new operation that was given what the saved one was; CKR_KEY_CHANGED if its key may not do it."""
        mechanism = saved.mechanism, layouts.unpack(saved.mechanism, saved.parameter)
        if key is None:
            active = self._digest(session, mechanism)
        else:
            try:
                active = self._active(session, saved.kind, mechanism, key, saved.signature)
            except CryptokiError as error:
                if error.code not in (CKR.KEY_FUNCTION_NOT_PERMITTED, CKR.MECHANISM_INVALID):
                    raise
                raise CryptokiError(CKR.KEY_CHANGED, error.message) from None
        if saved.begun:
            active.operation.update(saved.data)
            active.state = PARTS
            active.remember(saved.data)
        session.count(active)
        return active


def _savable(session: Session) -> dict[str, Active]:
    """Return the operations to save; CKR_OPERATION_NOT_INITIALIZED, CKR_STATE_UNSAVEABLE."""
    found: dict[str, Active] = {}
    places = set()
    for kind, active in list(session.operations.items()):
        if kind not in _KINDS or (active.login is not None and active.login.over):
            continue
        if not active.is_savable:
            raise CryptokiError(CKR.STATE_UNSAVEABLE, f"{kind}: a key was digested, or too much was given to it")
        found[kind] = active
        places.add(_KINDS[kind])
    if not found:
        raise CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "nothing that can be saved is under way")
    if len(places) < len(found):
        raise CryptokiError(CKR.STATE_UNSAVEABLE, "two operations would share an argument of C_SetOperationState")
    return found


def _mark(obj: Object) -> bytes:
    """Return what tells a key from others, whatever of its further attributes is changed."""
    values = [obj.attributes.get(kind, b"") for kind in _MATERIAL]
    return sha256(b"".join(_LENGTH.pack(len(value)) + value for value in values))


def _packed(kind: str, active: Active) -> bytes:
    """Return an operation as bytes."""
    fields = (
        layouts.pack(active.mechanism, active.parameter),
        b"" if active.key is None else _mark(active.key),
        active.signature,
        b"" if active.given is None else active.given.join(),
    )
    head = _HEAD.pack(_NUMBERS.index(kind), active.state != READY, active.mechanism, *map(len, fields))
    return head + b"".join(fields)


def _unpacked(content: bytes) -> list[_Saved]:
    """Return the operations in a state, which is one of ours: it was sealed."""
    saved = []
    position = 0
    while position < len(content):
        number, begun, mechanism, *lengths = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        fields = []
        for length in lengths:
            fields.append(content[position : position + length])
            position += length
        operation = _Saved(_NUMBERS[number], mechanism, *fields)
        operation.begun = begun == 1
        saved.append(operation)
    return saved

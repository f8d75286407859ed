"""Uses of limited keys: counted before they are answered, and refused beyond the limit or outside the dates (ours).

A use is an Init call, or a wrapping, unwrapping or derivation. It counts in the store, for a token object, in one
transaction with the look at the limit: processes that use a key at the same time never lose a count, and never share
the last use. `bind` ties an object to this when it is a limited key; others carry a None, and nothing else.
"""

from __future__ import annotations

from time import gmtime, strftime

from ptkc.objects.limits import LIMITING, check_active, counted, is_limited, is_tied
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, Attributes, from_ulong
from ptkc.token.tokens import ObjectChangedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.hsm.application import Application
    from ptkc.hsm.held import Held
    from ptkc.hsm.session import Session

__all__ = ["bind", "check", "check_destroyed", "check_wrapped", "consumes", "count", "move", "update"]


def bind(application: Application, handle: int, held: Held, obj: Object) -> Object:
    """Return the object, which counts its uses from now on if it is a limited key."""
    if is_limited(obj.attributes):
        obj.spend = lambda: count(application, handle, held)
    return obj


def count(application: Application, handle: int, held: Held) -> int | None:
    """Count one use of the key behind a handle, return which it is, None if the key does not count.

    CKR_KEY_NOT_ACTIVE, CKR_KEY_HANDLE_INVALID if it is gone.
    """
    today = _today(application)
    changed: Attributes | None = None

    def change(attributes: Attributes) -> Attributes | None:
        nonlocal changed
        check_active(attributes, today)
        changed = counted(attributes)
        return changed

    update(application, handle, held, change)
    return None if changed is None else from_ulong(changed[CKA.USAGE_COUNT])


def check(application: Application, obj: Object) -> None:
    """Refuse a limited key that could not be used now with CKR_KEY_NOT_ACTIVE; whether it can be, its use says."""
    check_active(obj.attributes, _today(application))


def _today(application: Application) -> bytes:
    """Return the date by the HSM's clock as CKA_START_DATE has it."""
    return strftime("%Y%m%d", gmtime(application.hsm.now())).encode()


def update(
    application: Application, handle: int, held: Held, change: Callable[[Attributes], Attributes | None]
) -> None:
    """Change the object behind a handle as `change` says of what it is now, durably; None changes nothing.

    What another process or thread changes meanwhile is read again. CKR_KEY_HANDLE_INVALID if the object is gone.
    """
    token = held.token
    while True:
        if held.record is None:
            former = held.object
            if former is None or application.handles.get(handle) is not held:
                raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the key is gone")
            changed = change(former.attributes)
            if changed is None or application.exchange(handle, former, Object(changed)):
                return
            continue
        key = application.user_key(token)
        loaded = token.load(held.record, key)
        if loaded is None:
            raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the key is gone")
        changed = change(loaded[0])
        try:
            if changed is not None:
                token.replace(held.record, loaded[1], changed, key)
        except ObjectChangedError:
            continue
        return


def consumes(attributes: Attributes) -> bool:
    """Whether a copy of the object takes the original's place: two would have twice the limit."""
    return CKA.USAGE_LIMIT in attributes


def move(
    application: Application, session: Session, source: int, copy: Attributes, keep: Callable[[Attributes], int]
) -> int:
    """Put a copy of a key with a limit in the place of the original; return what `keep` of the copy returns.

    The original is used up first: nothing that ends this half way leaves two keys that can be used, and no use of the
    original is lost; it is as before if the copy is refused. When there is a copy nothing is refused any more: an
    original that cannot be destroyed, or has been meanwhile, is of no use. CKR_ACTION_PROHIBITED, CKR_SESSION_READ_ONLY
    if the original may not be destroyed.
    """
    original = application.resolve(session, source).attributes
    held: Held = application.handles[source]  # type: ignore[assignment]
    if FALSE in (original.get(CKA.DELETABLE), original.get(CKA.DESTROYABLE)):
        raise CryptokiError(CKR.ACTION_PROHIBITED, "a copy of a key with a limit replaces it, and it cannot go")
    if held.record is not None and not session.writable:
        raise CryptokiError(CKR.SESSION_READ_ONLY, "a copy of a key with a limit replaces it: a token object")

    def use_up(attributes: Attributes) -> Attributes:
        copy.update({kind: attributes[kind] for kind in (*LIMITING, CKA.TIME_STAMP) if kind in attributes})
        used = max(attributes[CKA.USAGE_COUNT], attributes[CKA.USAGE_LIMIT], key=from_ulong)
        return {**attributes, CKA.USAGE_COUNT: used}

    update(application, source, held, use_up)
    try:
        kept = keep(copy)
    except CryptokiError:
        update(application, source, held, lambda attributes: {**attributes, CKA.USAGE_COUNT: copy[CKA.USAGE_COUNT]})
        raise
    if held.record is not None:
        try:
            held.token.remove(held.record)
        except CryptokiError:
            return kept
    application.forget(source)
    return kept


def check_destroyed(attributes: Attributes) -> None:
    """Refuse to destroy an object with CKA_DELETABLE false: CKR_OBJECT_READ_ONLY."""
    if attributes.get(CKA.DELETABLE) == FALSE:
        raise CryptokiError(CKR.OBJECT_READ_ONLY, "CKA_DELETABLE is false")


def check_wrapped(attributes: Attributes) -> None:
    """Refuse to take a key out of the HSM whose uses or dates are limited there: CKR_KEY_NOT_WRAPPABLE."""
    if is_tied(attributes):
        raise CryptokiError(CKR.KEY_NOT_WRAPPABLE, "the key has a CKA_USAGE_LIMIT or a CKA_ADMIN_CERT")

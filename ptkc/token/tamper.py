"""Tampering an HSM: everything but its identity is gone for good, whenever the power fails.

# Theory of operation

1. The intention is committed to the store: `tampers` is raised. From here on every process that looks goes on with it.
2. The key source gets a new device key, counted `tampers`; the old one is overwritten. Nothing that it protected can be
   used again.
3. In one transaction the tokens and their objects are deleted, a new HSM's tokens made, the policy set to its default,
   boot raised, and `wiped` set to `tampers`.

Steps 2 and 3 are done under the store's write lock, and can be done again. A key source that counts more than the store
is that of a store restored from before the tamper: it is wiped too. One that counts less is no key of this store.
"""

from __future__ import annotations

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.directories import new_tokens
from ptkc.token.events import Event, add_event
from ptkc.token.keysource import KeySource
from ptkc.token.store import Store

__all__ = ["finish_tamper", "tamper"]


def tamper(store: Store, keys: KeySource, serial: str, reason: str) -> None:
    """Tamper an HSM; CKR_FUNCTION_REJECTED if its device key cannot be replaced, and nothing is done then."""
    keys.require_replaceable(serial)
    with store.writing():
        record = store.hsm()
        record.tampers += 1
        store.put_hsm(record)
        add_event(store, record, Event.TAMPER, reason)
    finish_tamper(store, keys, serial)
    store.fold()


def finish_tamper(store: Store, keys: KeySource, serial: str) -> None:
    """Do what is left of a tamper; CKR_DEVICE_REMOVED where it cannot be done, or the key file is an older one."""
    if store.write_protected:
        raise CryptokiError(CKR.DEVICE_REMOVED, f"HSM {serial} is being tampered, and cannot be written by this user")
    with store.writing():
        record = store.hsm()
        roots = keys.load(serial)
        if roots.tampers < record.wiped:
            raise CryptokiError(CKR.DEVICE_REMOVED, f"the key file of HSM {serial} is older than the store")
        tampers = max(record.tampers, roots.tampers)
        if roots.tampers < tampers:
            keys.replace(serial, tampers)
        if record.wiped < tampers:
            changes = max([token.changes for token in store.tokens()], default=0) + 1
            store.delete_tokens()
            record.tampers = record.wiped = tampers
            record.boot += 1
            record.policy = None
            record.origin = record.slots
            record.slots += 1
            for token in new_tokens(serial, record, changes):
                store.put_token(token)
            store.put_hsm(record)

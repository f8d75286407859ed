"""The identity objects of an HSM, and the Admin token that shows them among its own.

They are sealed under the identity root: private and secret keys are unreadable in the store, everything else carries a
MAC. They survive a tamper and the initialisation of the Admin token, and the HSM itself reads them without a login.
CKA_PRIVATE says, as everywhere, who sees them on the Admin token.
"""

from __future__ import annotations

from ptkc.spec.values import Attributes, Template
from ptkc.token.contents import Contents, Events, Owner
from ptkc.token.seal import Keys, PublicKeys
from ptkc.token.store import IDENTITY, TOKEN_SHIFT, PinRecord, Store, TokenRecord
from ptkc.token.tokens import Token

__all__ = [
    "PEER", "PIC", "PIK", "PIK_PENDING", "POC", "POC_PENDING", "POK", "POK_PENDING", "AdminToken", "Identity",
    "identity_record",
]  # fmt: skip

# What they are called, which is also their state.
POK, POK_PENDING, POC, POC_PENDING = b"POK", b"POK-Pending", b"POC", b"POC-Pending"
PIK, PIK_PENDING, PIC = b"PIK", b"PIK-Pending", b"PIC"
PEER = b"PIC "  # and the serial

_SERIAL = "identity"
_NO_LOGIN = b"no login is needed"


def identity_record(changes: int) -> TokenRecord:
    """Return what stands for a token's record where the identity objects are concerned."""
    return TokenRecord(IDENTITY, False, _SERIAL, b"", None, changes, (PinRecord(), PinRecord()))  # noqa: FBT003


class Identity(Contents):
    """The identity objects; what takes a token key elsewhere ignores it here."""

    __slots__ = ("_hidden",)

    def __init__(self, hsm: Owner) -> None:
        """Belong to an HSM."""
        super().__init__(hsm, -1, identity_record(0))
        self._hidden: PublicKeys | None = None

    def take(self, slot: int, record: TokenRecord) -> None:
        """Take a record read from the store; forget what it makes invalid."""
        if record.changes != self._changes:
            self._hidden = None
        super().take(slot, record)

    def find(self, template: Template, key: bytes | None = None) -> list[int]:  # noqa: ARG002 - none is needed
        """Return the records that match, in the order of creation."""
        return super().find(template, _NO_LOGIN)

    def find_visible(self, template: Template, key: bytes | None) -> list[int]:
        """Return the records that match; those with CKA_PRIVATE only with a key, any key."""
        return super().find(template, key)

    def load(self, number: int, key: bytes | None = None) -> tuple[Attributes, int] | None:  # noqa: ARG002 - as above
        """Return (attributes, version), not to be changed; None if it is gone."""
        return super().load(number, _NO_LOGIN)

    def load_visible(self, number: int, key: bytes | None) -> tuple[Attributes, int] | None:
        """Return (attributes, version); None if it is gone, or has CKA_PRIVATE and there is no key."""
        return super().load(number, key)

    def _stored(self, store: Store) -> TokenRecord:
        """Return the record from the store, to be changed and put back."""
        self._hsm.require_untampered(store)
        return identity_record(store.hsm().identity)

    def _put(self, store: Store, record: TokenRecord) -> None:
        """Put the count of changes back."""
        hsm = store.hsm()
        hsm.identity = record.changes
        store.put_hsm(hsm)

    def _public_keys(self) -> PublicKeys:
        """Return the keys of the objects without CKA_PRIVATE."""
        if self._public is None:
            self._public = PublicKeys(self._hsm.identity_root, b"identity")
        return self._public

    def _private_keys(self, key: bytes | None, record: TokenRecord) -> Keys:  # noqa: ARG002 - none is needed
        """Return the keys of the objects with CKA_PRIVATE: as for the others, but told apart in a search."""
        if self._hidden is None:
            self._hidden = PublicKeys(self._hsm.identity_root, b"identity private")
        return self._hidden


class AdminToken(Token):
    """The token of the Admin slot: its own objects, and the identity objects behind them."""

    __slots__ = ("_identity",)

    def __init__(self, hsm: Owner, slot: int, record: TokenRecord, identity: Identity) -> None:
        """Belong to an HSM, which gives the record anew by `take`."""
        super().__init__(hsm, slot, record)
        self._identity = identity

    def find(self, template: Template, key: bytes | None) -> list[int]:
        """Return the records that match, identity objects last; private ones only with the key."""
        own = super().find(template, key)
        identity = self._identity.find_visible(template, key)
        return own + identity if identity else own

    def load(self, number: int, key: bytes | None) -> tuple[Attributes, int] | None:
        """Return (attributes, version), not to be changed; None if it is gone, or private and there is no key."""
        if number >> TOKEN_SHIFT == IDENTITY:
            return self._identity.load_visible(number, key)
        return super().load(number, key)

    def replace(
        self, number: int, version: int, attributes: Attributes, key: bytes | None, events: Events = ()
    ) -> int:
        """Store changed attributes, return the new version (`Contents.replace`)."""
        if number >> TOKEN_SHIFT == IDENTITY:
            return self._identity.replace(number, version, attributes, key, events)
        return super().replace(number, version, attributes, key, events)

    def remove(self, number: int, events: Events = ()) -> None:
        """Destroy an object; CKR_OBJECT_HANDLE_INVALID if it is gone."""
        if number >> TOKEN_SHIFT == IDENTITY:
            self._identity.remove(number, events)
        else:
            super().remove(number, events)

    def init_user_pin(self, token_key: bytes, pin: bytes, replace: bool = True) -> None:  # noqa: FBT001, FBT002
        """Set the Administrator's PIN by the ASO, who can do it only once: CKR_PIN_ALREADY_INITIALIZED."""
        del replace
        super().init_user_pin(token_key, pin, replace=False)

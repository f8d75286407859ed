"""What a store keeps, and what it can do: the seam between tokens and SQLite (or PostgreSQL).

A store knows rows, numbers and opaque bytes; it never sees a PIN, a key or an attribute. It keeps one HSM: its own
record, its tokens, their objects and the search index. A record number carries its token, `token << 40 | count`,
rises in the order of creation and is never given twice.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["TOKEN_SHIFT", "HsmRecord", "ObjectRecord", "Store", "TokenRecord"]

TOKEN_SHIFT = 40

HsmRecord = namedtuple("HsmRecord", "serial ordinal boot")  # noqa: PYI024 - typing is not imported at C_OpenSession
"""`ordinal` is 0 for the HSM that needs no configuration; `boot` counts restarts."""

TokenRecord = namedtuple(  # noqa: PYI024
    "TokenRecord",
    "number admin serial label proof so_pin so_failures so_failed_at user_pin user_failures user_failed_at changes",
)
"""`proof` recognises the token key; `*_pin` are PIN records or None; `*_failed_at` is Unix time in milliseconds;
`changes` counts what was done to the token's objects and to its key."""

ObjectRecord = namedtuple("ObjectRecord", "number private version rows terms content")  # noqa: PYI024
"""`terms` are the search terms, 8 bytes each, the first `rows` of them in the index; `content` is sealed or MACed."""


class Store:
    """The records of one HSM.

    Everything that changes is called inside `with store.writing():`, which is one transaction: either all of it is on
    the disk when the block ends, or nothing. `lock` is re-entrant and makes several readings one.
    CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY (no room), CKR_TOKEN_WRITE_PROTECTED.
    """

    __slots__ = ()
    lock: object
    write_protected: bool

    def stamp(self) -> int | None:
        """Return the number of the last change by any process, None while a change is under way."""
        raise NotImplementedError

    def writing(self) -> object:
        """Return what `with` makes a transaction."""
        raise NotImplementedError

    def hsm(self) -> HsmRecord:
        """Return the HSM's record."""
        raise NotImplementedError

    def put_hsm(self, record: HsmRecord) -> None:
        """Change the HSM's record."""
        raise NotImplementedError

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens in slot order: user tokens by number, the Admin token last."""
        raise NotImplementedError

    def put_token(self, record: TokenRecord) -> None:
        """Add or change a token."""
        raise NotImplementedError

    def object(self, number: int) -> ObjectRecord | None:
        """Return an object's record, None if it is gone."""
        raise NotImplementedError

    def put_object(self, record: ObjectRecord) -> None:
        """Add or change an object with its search terms."""
        raise NotImplementedError

    def delete_object(self, number: int) -> bool:
        """Delete an object with its search terms; whether it was there."""
        raise NotImplementedError

    def delete_objects(self, token: int) -> None:
        """Delete all objects of a token."""
        raise NotImplementedError

    def numbers(self, terms: tuple[int, ...]) -> list[int]:
        """Return the objects that have one of the terms."""
        raise NotImplementedError

    def candidates(self, terms: tuple[int, ...], limit: int) -> list[tuple[int, bytes]]:
        """Return (number, all terms) of the objects that have one of the terms; at most `limit`, -1 for all."""
        raise NotImplementedError

    def count(self, terms: tuple[int, ...], limit: int) -> int:
        """Return how many objects have one of the terms, counting up to `limit`."""
        raise NotImplementedError

    def before_fork(self) -> None:
        """Let go of what a child must not inherit; waits for a transaction to end."""
        raise NotImplementedError

    def after_fork_in_parent(self) -> None:
        """Go on after `before_fork`."""
        raise NotImplementedError

    def drop_after_fork(self) -> None:
        """Forget the store in a child, without any exchange with it."""
        raise NotImplementedError

    def close(self) -> None:
        """End."""
        raise NotImplementedError

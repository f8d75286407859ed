"""What a store keeps, and what it can do: the seam between tokens and SQLite (or PostgreSQL).

A store knows rows, numbers and opaque bytes; it never sees a PIN, a key or an attribute. It keeps one HSM: its own
record, its tokens, their objects, the search index and the event log. A record number carries its token,
`token << 40 | count`, rises in the order of creation and is never given twice.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock

__all__ = [
    "IDENTITY", "TERM_LENGTH", "TOKEN_SHIFT", "HsmRecord", "ObjectRecord", "PinRecord", "Store", "TokenRecord",
    "Transaction",
]  # fmt: skip

TOKEN_SHIFT = 40
IDENTITY = 1 << 20
"""What stands in record numbers for the identity objects, which are no token's; a token's number is below."""
TERM_LENGTH = 8


class HsmRecord:
    """An HSM.

    `ordinal` is its place among the HSMs of the data path, 0 for the one that needs no configuration; `boot` counts
    restarts; `tampers` those that were begun and `wiped` those that are done; `removed` is 1 while the HSM is away.
    `slots` is the highest token number ever given, `origin` what it was at the last tamper; `identity` counts changes
    of the identity objects. `clock` is how many milliseconds the HSM's clock is ahead of the machine's, `counter` the
    monotonic counter, `manufactured` a Unix time in seconds, `policy` the protected policy, None for the default.
    """

    __slots__ = (
        "boot", "clock", "counter", "identity", "manufactured", "ordinal", "origin", "policy", "removed", "serial",
        "slots", "tampers", "wiped",
    )  # fmt: skip

    def __init__(
        self, serial: str, ordinal: int, boot: int, tampers: int = 0, wiped: int = 0, removed: int = 0, slots: int = 1,
        origin: int = 0, identity: int = 0, clock: int = 0, counter: int = 0, manufactured: int = 0,
        policy: bytes | None = None,
    ) -> None:  # fmt: skip
        """Keep the values."""
        self.serial = serial
        self.ordinal = ordinal
        self.boot = boot
        self.tampers = tampers
        self.wiped = wiped
        self.removed = removed
        self.slots = slots
        self.origin = origin
        self.identity = identity
        self.clock = clock
        self.counter = counter
        self.manufactured = manufactured
        self.policy = policy


class PinRecord:
    """A role's PIN record, None if no PIN is set; wrong PINs in a row; Unix time of the last one in milliseconds."""

    __slots__ = ("failed_at", "failures", "sealed")

    def __init__(self, sealed: bytes | None = None, failures: int = 0, failed_at: int = 0) -> None:
        """Keep the values."""
        self.sealed = sealed
        self.failures = failures
        self.failed_at = failed_at


class TokenRecord:
    """A token: `proof` recognises the token key; `pins` are by role, SO (0) and user (1).

    `changes` counts what was done to the token's objects and to its key.
    """

    __slots__ = ("admin", "changes", "label", "number", "pins", "proof", "serial")

    def __init__(
        self, number: int, admin: bool, serial: str, label: bytes, proof: bytes | None, changes: int,  # noqa: FBT001
        pins: tuple[PinRecord, PinRecord],
    ) -> None:  # fmt: skip
        """Keep the values."""
        self.number = number
        self.admin = admin
        self.serial = serial
        self.label = label
        self.proof = proof
        self.changes = changes
        self.pins = pins


class ObjectRecord:
    """An object: `terms` are its search terms, the first `rows` of them in the index; `content` is sealed or MACed."""

    __slots__ = ("content", "number", "private", "rows", "terms", "version")

    def __init__(
        self, number: int, private: bool, version: int, rows: int, terms: bytes, content: bytes,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Keep the values."""
        self.number = number
        self.private = private
        self.version = version
        self.rows = rows
        self.terms = terms
        self.content = content


class Transaction:
    """`with store.writing() as (before, after):` gives the stamps before and after this change.

    When the block ends everything is on the disk, or, after an exception, nothing.
    """

    __slots__ = ()

    def __enter__(self) -> tuple[int | None, int]:
        """Begin; waits for other writers."""
        raise NotImplementedError

    def __exit__(self, kind: object, *_: object) -> None:
        """Commit, or roll back after an exception."""
        raise NotImplementedError


class Store:
    """The records of one HSM.

    What changes anything is called inside a transaction. `lock` is a re-entrant lock; held, it makes several readings
    one. CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY (no room), CKR_TOKEN_WRITE_PROTECTED.
    """

    __slots__ = ("lock", "write_protected")
    lock: RLock
    write_protected: bool

    def stamp(self) -> int | None:
        """Return the number of the last change by any process, None while a change is under way."""
        raise NotImplementedError

    def writing(self) -> Transaction:
        """Return a transaction."""
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

    def delete_tokens(self) -> None:
        """Delete all tokens and their objects; the identity objects stay."""
        raise NotImplementedError

    def delete_token(self, number: int) -> None:
        """Delete a token and its objects."""
        raise NotImplementedError

    def events(self) -> list[bytes]:
        """Return the records of the event log, oldest first."""
        raise NotImplementedError

    def event_numbers(self) -> tuple[int, int]:
        """Return how many events there are, and the number of the last one, 0 if there is none."""
        raise NotImplementedError

    def put_event(self, number: int, record: bytes) -> None:
        """Add an event."""
        raise NotImplementedError

    def delete_events(self) -> None:
        """Delete all events."""
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
        """Return the objects that have one of the terms (one or two)."""
        raise NotImplementedError

    def candidates(self, terms: tuple[int, ...], limit: int) -> list[tuple[int, bytes]]:
        """Return (number, all terms) of the objects that have one of the terms; at most `limit`, -1 for all."""
        raise NotImplementedError

    def count(self, terms: tuple[int, ...], limit: int) -> int:
        """Return how many objects have one of the terms, counting up to `limit`."""
        raise NotImplementedError

    def fold(self) -> None:
        """Have nothing of what was deleted left in the write-ahead log, unless somebody is reading it just now."""
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

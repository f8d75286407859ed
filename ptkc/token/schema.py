"""The tables of the embedded store, and how an older format becomes a newer one.

The format is SQLite's `user_version`: the number of migrations done. A step is never changed once it was published;
a newer format than this module knows is refused by the store.
"""

from __future__ import annotations

import _sqlite3

__all__ = ["FORMAT", "migrate"]

_MIGRATIONS = (
    """
    CREATE TABLE hsm (one INTEGER PRIMARY KEY CHECK (one = 1), serial TEXT NOT NULL, ordinal INTEGER NOT NULL,
                      boot INTEGER NOT NULL);
    CREATE TABLE token (number INTEGER PRIMARY KEY, admin INTEGER NOT NULL, serial TEXT NOT NULL, label BLOB NOT NULL,
                        proof BLOB, so_pin BLOB, so_failures INTEGER NOT NULL, so_failed_at INTEGER NOT NULL,
                        user_pin BLOB, user_failures INTEGER NOT NULL, user_failed_at INTEGER NOT NULL,
                        changes INTEGER NOT NULL);
    CREATE TABLE object (number INTEGER PRIMARY KEY, private INTEGER NOT NULL, version INTEGER NOT NULL,
                         rows INTEGER NOT NULL, terms BLOB NOT NULL, content BLOB NOT NULL);
    CREATE TABLE search (term INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (term, record)) WITHOUT ROWID;
    CREATE TABLE identity (name TEXT PRIMARY KEY, content BLOB NOT NULL);
    """,
    # Several HSMs: tampers (begun, done), being away, slots that come and go, identity, clock, counter, policy, events.
    """
    ALTER TABLE hsm ADD COLUMN tampers INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN wiped INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN slots INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN identity INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN manufactured INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hsm ADD COLUMN policy BLOB;
    UPDATE hsm SET slots = (SELECT coalesce(max(number), 0) FROM token),
                   manufactured = CAST(strftime('%s', 'now') AS INTEGER);
    CREATE TABLE event (number INTEGER PRIMARY KEY, record BLOB NOT NULL);
    DROP TABLE identity;
    """,
)

FORMAT = len(_MIGRATIONS)


def migrate(link: _sqlite3.Connection) -> None:
    """Bring the tables to the newest format, each step one transaction."""
    while True:
        link.execute("BEGIN IMMEDIATE")
        (version,) = link.execute("PRAGMA user_version").fetchone()
        if version >= FORMAT:
            link.execute("COMMIT")
            return
        for statement in _MIGRATIONS[version].split(";"):
            link.execute(statement)
        link.execute(f"PRAGMA user_version = {version + 1}")
        link.execute("COMMIT")

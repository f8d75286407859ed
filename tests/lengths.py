"""How long the tests that try a thing many times go on: short in every run, long in `make soak` (PTKC_SOAK=1).

The only place these numbers are written.
"""

import os

__all__ = ["EXITS", "FORKS", "KILLS", "LOGINS", "SECONDS", "SOAK"]

SOAK = os.environ.get("PTKC_SOAK") == "1"

SECONDS = 60 if SOAK else 5
"""How long two processes write and read one token."""

KILLS = 200 if SOAK else 30
"""How often a writer is killed at a random moment."""

FORKS = 200 if SOAK else 40
"""How often a host forks while its threads sign."""

EXITS = 60 if SOAK else 10
"""How often a host exits while its threads sign."""

LOGINS = 16
"""How many processes log in at once."""

"""How long the tests that try a thing many times go on: short in every run, long in `make soak` (PTKC_SOAK=1).

The only place these numbers are written.
"""

import os
import time

__all__ = [
    "CROWDED", "EXITS", "FORKS", "FUZZED", "HOSTILE", "KILLS", "LOGINS", "PARSED", "SECONDS", "SEED", "SOAK", "TIMED",
]  # fmt: skip

SOAK = os.environ.get("PTKC_SOAK") == "1"

SECONDS = 60 if SOAK else 5
"""How long two processes write and read one token."""

KILLS = 200 if SOAK else 30
"""How often a writer is killed at a random moment."""

FORKS = 200 if SOAK else 40
"""How often a host forks while its threads sign."""

EXITS = 60 if SOAK else 10
"""How often a host exits while its threads sign."""

HOSTILE = 600 if SOAK else 10
"""How many seconds hostile calls are made, each way."""

CROWDED = 300 if SOAK else 6
"""How many seconds threads share sessions, each way."""

PARSED = 20 if SOAK else 0.3
"""How many seconds each parser is fed by chance."""

SEED = int(os.environ.get("PTKC_SEED", time.time() if SOAK else 1))
"""What the chance of tests begins with; a soak tries something new each time."""

FUZZED = 1800 if SOAK else 8
"""How many seconds arbitrary bytes go to a server, and to a client, each way."""

TIMED = 20_000 if SOAK else 400
"""How often a decryption is timed."""

LOGINS = 16
"""How many processes log in at once."""

"""The states of a conversation between a client and an HSM: one table for both ends.

Both ends take the same step for the same frame, one when it sends it, the other when it receives it. A pair that is not
in the table is the error: on the sending side our own, on the receiving side the peer's.
"""

from __future__ import annotations

__all__ = [
    "ACCEPT", "ANSWER", "ANSWERED", "ASKED", "CLIENT", "CONFIRM", "CONFIRMED", "ENDED", "FRESH", "GREETED", "HELLO",
    "HSM", "KINDS", "NEXT", "OPEN", "OTHER", "PLAIN_REPLY", "PLAIN_REQUEST", "QUESTION", "QUESTIONED", "REFUSED",
    "REPLY", "REQUEST", "STATED", "STATEMENT", "TERMINATE",
]  # fmt: skip

CLIENT, HSM = 0, 1
OTHER = (HSM, CLIENT)
"""The other end, by end."""

# Kinds of frames.
HELLO, ANSWER, CONFIRM, ACCEPT = 1, 2, 3, 4
REQUEST, REPLY, TERMINATE, REFUSED = 5, 6, 7, 8
QUESTION, STATEMENT = 9, 10
PLAIN_REQUEST, PLAIN_REPLY = 11, 12

KINDS = {
    HELLO: "HELLO", ANSWER: "ANSWER", CONFIRM: "CONFIRM", ACCEPT: "ACCEPT", REQUEST: "REQUEST", REPLY: "REPLY",
    TERMINATE: "TERMINATE", REFUSED: "REFUSED", QUESTION: "QUESTION", STATEMENT: "STATEMENT",
    PLAIN_REQUEST: "PLAIN_REQUEST", PLAIN_REPLY: "PLAIN_REPLY",
}  # fmt: skip

# States: what has happened.
FRESH, GREETED, ANSWERED, CONFIRMED = "fresh", "greeted", "answered", "confirmed"
OPEN, ASKED, ENDED = "open", "asked", "ended"
QUESTIONED, STATED = "questioned", "stated"

NEXT = {
    (FRESH, CLIENT, HELLO): GREETED,
    (GREETED, HSM, ANSWER): ANSWERED,
    (GREETED, HSM, REFUSED): ENDED,
    (ANSWERED, CLIENT, CONFIRM): CONFIRMED,
    (CONFIRMED, HSM, ACCEPT): OPEN,
    (CONFIRMED, HSM, REFUSED): ENDED,
    (OPEN, CLIENT, REQUEST): ASKED,
    (ASKED, HSM, REPLY): OPEN,
    (ASKED, HSM, REFUSED): ENDED,
    (OPEN, CLIENT, TERMINATE): ENDED,
    (OPEN, HSM, TERMINATE): ENDED,
    (ASKED, CLIENT, TERMINATE): ENDED,
    (ASKED, HSM, TERMINATE): ENDED,
    # The signed statement: a conversation of its own, on any connection.
    (FRESH, CLIENT, QUESTION): QUESTIONED,
    (QUESTIONED, HSM, STATEMENT): STATED,
    (QUESTIONED, HSM, REFUSED): ENDED,
}
"""The state after a frame, by (state, who sends it, its kind). Plain frames belong to no conversation."""

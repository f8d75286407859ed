"""Which messages are encrypted and which are signed: the security flags of the HSM and the client's SMPR as one number.

A *protection* is what one frame has: ENCRYPTED, SIGNED, both or nothing. A *policy* says which protection the requests
and replies of a channel need at least. The policy of a channel is all that the HSM's flags want and all that the
client wants: each side can add to it, none can take away.
"""

from __future__ import annotations

from ptkc.spec.constants import CKF

__all__ = [
    "BOTH", "ENCRYPTED", "EVERYTHING", "FLAGS", "LETTERS", "REPLIES_ENCRYPTED", "REPLIES_SIGNED", "REQUESTS_ENCRYPTED",
    "REQUESTS_SIGNED", "SENSITIVE_ENCRYPTED", "SIGNED", "policy_of_flags", "policy_of_letters", "reply_needs",
    "request_needs",
]  # fmt: skip

# Of a frame.
ENCRYPTED, SIGNED = 1, 2
BOTH = ENCRYPTED | SIGNED

# Of a channel.
SENSITIVE_ENCRYPTED, REQUESTS_ENCRYPTED, REQUESTS_SIGNED, REPLIES_ENCRYPTED, REPLIES_SIGNED = 1, 2, 4, 8, 16
EVERYTHING = SENSITIVE_ENCRYPTED | REQUESTS_ENCRYPTED | REQUESTS_SIGNED | REPLIES_ENCRYPTED | REPLIES_SIGNED

FLAGS = {
    CKF.NO_CLEAR_PINS: SENSITIVE_ENCRYPTED,
    CKF.AUTH_PROTECTION: REQUESTS_SIGNED,
    CKF.FULL_SMS_ENC: REQUESTS_ENCRYPTED | REPLIES_ENCRYPTED,
    CKF.FULL_SMS_SIGN: REQUESTS_SIGNED | REPLIES_SIGNED,
}
"""What the flags of CKA_SECURITY_MODE want; all other flags want nothing of a channel."""

LETTERS = {
    "S": REQUESTS_SIGNED,
    "R": REPLIES_SIGNED,
    "E": SENSITIVE_ENCRYPTED,
    "N": REQUESTS_ENCRYPTED | REPLIES_ENCRYPTED,
    "U": REQUESTS_SIGNED | REPLIES_SIGNED,
}
"""What the letters of the client's SMPR want (`E`, `N` and `U` are ours)."""


def policy_of_flags(mode: int) -> int:
    """Return the policy that the flags in CKA_SECURITY_MODE want; 0 where no channel is needed."""
    policy = 0
    for flag, wanted in FLAGS.items():
        if mode & flag:
            policy |= wanted
    return policy


def policy_of_letters(letters: str) -> int:
    """Return the policy that the letters of an SMPR want; ValueError with the letter that says nothing."""
    policy = 0
    for letter in letters:
        if letter not in LETTERS:
            raise ValueError(letter)
        policy |= LETTERS[letter]
    return policy


def request_needs(policy: int, *, sensitive: bool) -> int:
    """Return the least protection of a request."""
    encrypting = REQUESTS_ENCRYPTED | SENSITIVE_ENCRYPTED if sensitive else REQUESTS_ENCRYPTED
    return (ENCRYPTED if policy & encrypting else 0) | (SIGNED if policy & REQUESTS_SIGNED else 0)


def reply_needs(policy: int) -> int:
    """Return the least protection of a reply."""
    return (ENCRYPTED if policy & REPLIES_ENCRYPTED else 0) | (SIGNED if policy & REPLIES_SIGNED else 0)

"""The vendor's rules for keys that footnotes do not say: usage limits, tickets, and keys that the SO controls (ours).

A key is *limited* if it counts its uses (CKA_USAGE_COUNT), has a CKA_USAGE_LIMIT, or names in CKA_ADMIN_CERT who may
issue tickets for it; only such keys are held to their dates, which the specification leaves to applications (4.7).
What the user could undo would be no limit: so some attributes may be set once (footnote `once`), and some are closed as
soon as another is there. Tickets change them all the same.
"""

from __future__ import annotations

from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, from_ulong, ulong

__all__ = [
    "BOUND", "BY_TICKET", "CLOSED_BY", "EXPORTING", "LIMITING", "check_active", "counted", "follow_limits",
    "is_limited", "is_tied",
]  # fmt: skip

LIMITING = (CKA.USAGE_COUNT, CKA.USAGE_LIMIT, CKA.ADMIN_CERT)
"""A key that has one of these is limited."""

CLOSED_BY = {
    CKA.USAGE_COUNT: CKA.USAGE_LIMIT,
    CKA.ADMIN_CERT: CKA.USAGE_LIMIT,
    CKA.START_DATE: CKA.ADMIN_CERT,
    CKA.END_DATE: CKA.ADMIN_CERT,
}
"""Attribute → the one that, once the object has it, leaves it to tickets."""

_MOST = b"\xff" * 8  # a CK_ULONG counts no further

BY_TICKET = frozenset((CKA.USAGE_LIMIT, CKA.START_DATE, CKA.END_DATE, CKA.ADMIN_CERT))
"""What a ticket may change."""

EXPORTING = {
    CKA.SENSITIVE: TRUE, CKA.EXTRACTABLE: FALSE, CKA.DECRYPT: FALSE, CKA.SIGN: FALSE, CKA.MODIFIABLE: FALSE,
    CKA.DERIVE: FALSE, CKA.ENCRYPT: FALSE, CKA.UNWRAP: FALSE, CKA.VERIFY: FALSE,
}  # fmt: skip
"""What a CKA_EXPORT key is, where it has the attribute at all: good for wrapping, and so for ever.

The last three are ours: what the key wraps it would otherwise unwrap in clear, or decrypt by encrypting it once more;
and who has a MAC of one byte of one block checked learns what encrypting the block gives.
"""

BOUND = (CKA.EXPORT, CKA.EXPORTABLE, CKA.WRAP_WITH_TRUSTED, CKA.TRUSTED)
"""A secret or private key for which one of these is true trusts the Security Officer of its token."""


def is_limited(attributes: Attributes) -> bool:
    """Whether uses of the key are counted or looked at."""
    return not attributes.keys().isdisjoint(LIMITING)


def is_tied(attributes: Attributes) -> bool:
    """Whether the key must not be had in any other form, of which nobody would count the uses or look at the dates."""
    return CKA.USAGE_LIMIT in attributes or CKA.ADMIN_CERT in attributes


def follow_limits(attributes: Attributes) -> None:
    """Begin the count of a key that has a limit, and refuse what a CKA_EXPORT key cannot be.

    CKR_TEMPLATE_INCONSISTENT.
    """
    if CKA.USAGE_LIMIT in attributes:
        attributes.setdefault(CKA.USAGE_COUNT, ulong(0))
    if attributes.get(CKA.EXPORT) == TRUE:
        for attribute, wanted in EXPORTING.items():
            if attributes.get(attribute, wanted) != wanted:
                raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"CKA_EXPORT and {name_of(CKA, attribute)} as it is")


def check_active(attributes: Attributes, today: bytes) -> None:
    """Refuse the use of a limited key with CKR_KEY_NOT_ACTIVE; `today` is the HSM's date as a CK_DATE, GMT.

    Both dates belong to the time in which the key may be used.
    """
    limit = from_ulong(attributes.get(CKA.USAGE_LIMIT, _MOST))
    if CKA.USAGE_COUNT in attributes and from_ulong(attributes[CKA.USAGE_COUNT]) >= limit:
        raise CryptokiError(CKR.KEY_NOT_ACTIVE, "CKA_USAGE_LIMIT, or the end of all counting, is reached")
    start, end = attributes.get(CKA.START_DATE), attributes.get(CKA.END_DATE)
    if start and today < start:
        raise CryptokiError(CKR.KEY_NOT_ACTIVE, f"CKA_START_DATE is {start.decode()}")
    if end and end < today:
        raise CryptokiError(CKR.KEY_NOT_ACTIVE, f"CKA_END_DATE was {end.decode()}")


def counted(attributes: Attributes) -> Attributes | None:
    """Return the attributes of a key after one more use; None if it does not count."""
    count = attributes.get(CKA.USAGE_COUNT)
    return None if count is None else {**attributes, CKA.USAGE_COUNT: ulong(from_ulong(count) + 1)}

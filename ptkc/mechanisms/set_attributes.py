"""CKM_SET_ATTRIBUTES: the mechanism of the tickets that CT_PresentTicket takes.

It is no operation with a key: what a ticket is stands in `mechanisms.tickets`, which is loaded when one is presented.
"""

from __future__ import annotations

from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.spec.constants import CKF, CKM

__all__ = ["SetAttributes"]


class SetAttributes(Mechanism):
    """CKM_SET_ATTRIBUTES."""

    type = CKM.SET_ATTRIBUTES
    extra_flags = CKF.TICKET
    source = "none: the format is ours"


register(SetAttributes())

"""CT_PresentTicket: the limits of a key changed by permission of whoever CKA_ADMIN_CERT names (format: ours).

A ticket is for one key, named by the HSM's serial number, the token's label, CKA_LABEL and CKA_ID, and for a time, by
the HSM's clock. One that was accepted is not accepted again, nor is an earlier one: the key keeps the time of issue of
the last in CKA_TIME_STAMP. The certificate is taken for its public key alone; its own dates are not looked at.
"""

from __future__ import annotations

from ptkc.hsm import usage
from ptkc.hsm.held import Held
from ptkc.objects import template as templates
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.hsm.sessions import SessionCommands
    from ptkc.mechanisms.tickets import Ticket

__all__ = ["present"]


def present(
    device: SessionCommands, handle: int, target: int, mechanism: tuple[int, object] | None, ticket: bytes
) -> None:
    """Change the key `target`, seen from the session `handle`, as a ticket (DER) for CKM_SET_ATTRIBUTES allows.

    CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID; CKR_DATA_INVALID for what is no ticket;
    CKR_KEY_FUNCTION_NOT_PERMITTED for a key without CKA_ADMIN_CERT; CKR_SIGNATURE_INVALID; CKR_OBJECT_HANDLE_INVALID
    for a ticket of another key; CKR_ACTION_PROHIBITED for one that is not yet or no more valid, or older than the last;
    CKR_SESSION_READ_ONLY. CKA_MODIFIABLE does not matter.
    """
    from ptkc.mechanisms import load  # noqa: PLC0415 - cryptography, which start-up must not load
    from ptkc.mechanisms.tickets import verify  # noqa: PLC0415 - and asn1crypto

    load()
    application = device.application
    session = application.session(handle)
    if mechanism is None:
        raise CryptokiError(CKR.ARGUMENTS_BAD, "pMechanism is NULL")
    if mechanism[0] != CKM.SET_ATTRIBUTES:
        raise CryptokiError(CKR.MECHANISM_INVALID, f"{name_of(CKM, mechanism[0])} takes no ticket")
    if mechanism[1] is not None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "CKM_SET_ATTRIBUTES takes no parameter")
    obj = application.resolve(session, target)
    held = application.handles.get(target)
    if obj.record is not None and not session.writable:
        raise CryptokiError(CKR.SESSION_READ_ONLY, "a token object in a read-only session")
    certificate = obj.attributes.get(CKA.ADMIN_CERT)
    if certificate is None or not isinstance(held, Held):
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, "the object has no CKA_ADMIN_CERT")
    allowed: Ticket = verify(ticket, certificate)
    _check_target(allowed, obj.attributes, device.hsm.serial, session.token.label)
    _check_time(allowed, device.hsm.now())
    issued = allowed.issued.encode()

    def change(attributes: Attributes) -> Attributes:
        # Another ticket may have been accepted since: it may have changed who issues them, too.
        if attributes.get(CKA.ADMIN_CERT) != certificate or attributes.get(CKA.TIME_STAMP, b"") >= issued:
            raise CryptokiError(CKR.ACTION_PROHIBITED, "the ticket was used already, or a later one was")
        return templates.administer(attributes, allowed.attributes, issued)

    usage.update(application, target, held, change)


def _check_target(ticket: Ticket, attributes: Attributes, serial: str, token: bytes) -> None:
    """Refuse a ticket for another key."""
    named = (ticket.hsm, ticket.token.encode(), ticket.object.encode(), ticket.id)
    if named != (serial, token, attributes.get(CKA.LABEL), attributes.get(CKA.ID)):
        raise CryptokiError(CKR.OBJECT_HANDLE_INVALID, "the ticket is for another key")


def _check_time(ticket: Ticket, now: float) -> None:
    """Refuse a ticket that is not for now."""
    if not ticket.not_before <= now <= ticket.not_after:
        raise CryptokiError(CKR.ACTION_PROHIBITED, "the ticket is not valid yet, or no more")

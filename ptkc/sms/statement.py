"""The signed statement: which HSM it is, with which flags and certificate, over the client's fresh nonce.

It is what a client asks before it has a channel, since nothing that an HSM says in clear may decide whether there has
to be one. A client that holds the HSM's PIC or the owner's certificate takes nothing unsigned. The same facts are
repeated in the ANSWER of a handshake. To be imported after `sms.load`.
"""

from __future__ import annotations

from ptkc.sms import bodies
from ptkc.sms.bodies import NONCE_LENGTH, read_code, read_question, read_statement, write_signature
from ptkc.sms.conversation import turn
from ptkc.sms.errors import AuthenticationError, LocalError, RefusedError
from ptkc.sms.frames import clear, decode
from ptkc.sms.keys import random_bytes, signed_statement
from ptkc.sms.state import CLIENT, FRESH, HSM, QUESTION, QUESTIONED, REFUSED, STATEMENT
from ptkc.spec.constants import CKR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.sms.bodies import Statement
    from ptkc.sms.handshake import Identity
    from ptkc.sms.trust import Verifier

__all__ = ["Inquiry", "Question", "read_inquiry"]


class Question:
    """The client's question; `frame` is to be sent."""

    __slots__ = ("_body", "_serial", "frame")

    def __init__(self, serial: str = "") -> None:
        """Ask the HSM with this serial, or whichever it is: then the serial is what it proves to have."""
        self._serial = serial
        self._body = bodies.write_question(bodies.Question(random_bytes(NONCE_LENGTH), serial))
        self.frame = clear(QUESTION, self._body)

    def answered(self, data: bytes, verifier: Verifier) -> Statement:
        """Return what the HSM states; `proven` is False only where the client holds nothing to prove it with.

        CKR_SMS_ERROR for a statement without a signature or with one that is wrong, CKR_CERT_NOT_VALIDATED for a
        certificate that is not to be trusted or of another HSM.
        """
        frame = decode(data, CLIENT)
        turn(QUESTIONED, HSM, frame.kind, CLIENT)
        body = bytes(frame.body)
        if frame.kind == REFUSED:
            raise RefusedError(CKR.SMS_ERROR, read_code(body, CLIENT))
        statement, head, signature = read_statement(body)
        if self._serial not in ("", statement.serial):
            raise AuthenticationError(
                CKR.CERT_NOT_VALIDATED, f"HSM {self._serial} was asked, {statement.serial} answered"
            )
        if not verifier.demands(statement.serial):
            return statement
        if not statement.chain or not signature:
            raise AuthenticationError(CKR.SMS_ERROR, f"HSM {statement.serial} proves nothing of what it states")
        key = verifier.key_of(statement.serial, statement.chain)
        key.check(signature, signed_statement(self._body, head), CKR.SMS_ERROR)
        return statement._replace(proven=True)


def read_inquiry(data: bytes) -> Inquiry:
    """Return what a client asks."""
    frame = decode(data, HSM)
    turn(FRESH, CLIENT, frame.kind, HSM)
    if frame.kind != QUESTION:
        raise LocalError(CKR.SMS_ERROR, "a HELLO is no question")
    return Inquiry(bytes(frame.body))


class Inquiry:
    """A client wants to know who the HSM is: the one with `serial`, which may be empty."""

    __slots__ = ("_body", "serial")

    def __init__(self, body: bytes) -> None:
        """Read the body of a QUESTION."""
        self._body = body
        self.serial = read_question(body).serial

    def answer(self, identity: Identity) -> bytes:
        """Return the STATEMENT to send, without certificate and signature if the HSM has no PIC.

        CKR_SMS_ERROR if this is not the HSM that was asked.
        """
        statement, sign = identity
        if self.serial not in ("", statement.serial):
            raise LocalError(CKR.SMS_ERROR, f"HSM {self.serial} was asked, this is {statement.serial}")
        head = bodies.write_statement(statement)
        signature = sign(signed_statement(self._body, head)) if statement.chain and sign is not None else b""
        return clear(STATEMENT, head + write_signature(signature))

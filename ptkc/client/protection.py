"""Which protection the requests to one HSM have, and how a connection comes to it.

The policy is what this client wants (the SMPR) and what the HSM's flags want. The flags are taken from what the HSM
signed if the client holds its certificate or the owner's, and from what it says if not; a policy is only ever raised
in a process, so nobody on the wire can talk a client out of it. All channels are of one application: its secret is
made with the first one, and proved for each that follows. What needs `cryptography` is imported when it is needed.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import time

from ptkc import log
from ptkc.client.certificates import OWNER, CertificateStore, certificate_file
from ptkc.client.transport import NotSentError
from ptkc.sms import load
from ptkc.sms.bodies import UNKNOWN
from ptkc.sms.protection import policy_of_flags
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire.codec import is_sensitive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.client.connection import Connection
    from ptkc.sms.bodies import Statement
    from ptkc.sms.trust import Verifier

__all__ = ["Protection"]


class Protection:
    """What one application wants of one HSM, and what it has learned.

    `policy` is as in `sms.protection`. `generation` counts its changes, and those of the application: a connection of
    an earlier one is prepared anew. `epoch` counts the applications: sessions of an earlier one have ended.
    `is_begun` says whether the HSM has answered to one.
    """

    __slots__ = ("_asks", "_certificates", "_is_new", "_lock", "_secret", "epoch", "generation", "is_begun", "patience",
                 "policy", "serial")  # fmt: skip

    def __init__(
        self, serial: str, wanted: int, certificates: CertificateStore | None, patience: float, *, local: bool,
        is_new: bool = False,
    ) -> None:  # fmt: skip
        """Begin with what the client wants.

        `patience` is how many seconds a handshake may take. A `local` HSM is in this process: it need not be asked
        what it wants since it refuses what is less, and nothing has left the process by then. One that `is_new` may do
        without a proof as long as it has no certificate, though the owner's is held.
        """
        self.serial = serial
        self.policy = wanted
        self.patience = patience
        self._certificates = certificates
        self._asks = not local
        self._is_new = is_new
        self._lock = allocate_lock()
        self._secret: bytes | None = None
        self.generation = 1
        self.epoch = 0
        self.is_begun = False

    @property
    def answered(self) -> int:
        """The epoch, if the HSM has answered in it; else -1."""
        return self.epoch if self.is_begun else -1

    def connected(self, *, known: bool, answered: int) -> int:
        """Return the epoch of a new connection.

        `known` is false if the server did not know the group, which is all that connections without a channel have in
        common. Their application has ended then, if it had begun when connecting began: `answered`.
        """
        with self._lock:
            if not known and self._secret is None and answered == self.epoch:
                self._begin_epoch()
            return self.epoch

    def prepare(self, connection: Connection) -> None:
        """Have a connection be as protected as it must be.

        `NotSentError` if the HSM does not answer, or if another connection is to be made for it. CKR_CERT_NOT_VALIDATED
        if the HSM's certificate is not known or not to be believed, CKR_SMS_ERROR, CKR_CANNOT_DERIVE_KEYS,
        CKR_BAD_REPLY and CKR_BAD_REPLY_SIGNATURE if it does not prove what it must.
        """
        if not self._lock.acquire(timeout=2 * self.patience):
            raise NotSentError("other calls are still agreeing with the HSM")
        try:
            if self._asks and not self.policy:
                self._inquire(connection)
            if self.policy:
                self._agree(connection)
            if connection.epoch != self.epoch:
                raise NotSentError("the connection is of an application that has ended")
            connection.generation = self.generation
        finally:
            self._lock.release()

    def inquire(self, connection: Connection) -> None:
        """Ask the HSM which flags it has, and raise the policy."""
        with self._lock:
            self._inquire(connection)

    def _inquire(self, connection: Connection) -> None:
        load()
        from ptkc.sms.statement import Question  # noqa: PLC0415 - behind `load`

        question = Question(self.serial)
        reply = self._exchange(connection, question.frame)
        verifier = self._verifier()
        if self._is_new and self._held(certificate_file(self.serial)) is None:
            # An HSM without a certificate cannot prove anything; one that shows a certificate has to.
            without = self._verifier(owner=False)
            verifier = verifier if question.answered(reply, without).chain else without
        statement = question.answered(reply, verifier)
        self._raise(policy_of_flags(statement.flags), statement)

    def _agree(self, connection: Connection) -> None:
        """Make a channel, unless there is one that suffices."""
        channel = connection.channel
        if channel is not None:
            if channel.is_alive and not self.policy & ~channel.policy and connection.epoch == self.epoch:
                return
            raise NotSentError("the channel protects less than is needed")
        load()
        from ptkc.sms.handshake import Handshake  # noqa: PLC0415 - behind `load`

        verifier = self._verifier()
        if not verifier.demands(self.serial):
            raise CryptokiError(
                CKR.CERT_NOT_VALIDATED, f"secure messaging needs a certificate of HSM {self.serial} or of its owner"
            )
        handshake = Handshake(self.serial, self.policy, is_sensitive, self._secret)
        confirmation = handshake.answered(self._exchange(connection, handshake.frame), verifier)
        channel = confirmation.accepted(self._exchange(connection, confirmation.frame))
        if channel.outcome == UNKNOWN:
            self._begin_epoch()
        self._secret = channel.secret
        connection.channel = channel
        connection.epoch = self.epoch
        self._raise(channel.policy, channel.statement)

    def _exchange(self, connection: Connection, frame: bytes) -> bytes:
        """Return the answer to a frame of a handshake; without one nothing of the call has been sent."""
        try:
            return bytes(connection.transport.exchange(frame, self.patience))
        except NotSentError:
            raise
        except CryptokiError as error:
            raise NotSentError(f"no agreement with the HSM: {error.message}") from error

    def _raise(self, policy: int, statement: Statement) -> None:
        if policy & ~self.policy:
            self.policy |= policy
            self.generation += 1
            proof = "" if statement.proven else ", which nobody proves"
            log.note(f"HSM {self.serial}: security flags {statement.flags:#x}{proof}, policy {self.policy:#x}")

    def _begin_epoch(self) -> None:
        self.epoch += 1
        self.generation += 1
        self.is_begun = False

    def reset(self, epoch: int) -> None:
        """Take notice that the application of an epoch has ended: the HSM was restarted."""
        with self._lock:
            if epoch == self.epoch:
                self._begin_epoch()

    # Whom the client believes

    def _verifier(self, *, owner: bool = True) -> Verifier:
        """Return what decides it: the certificates as they are in the store now, with the owner's or without."""
        from ptkc.sms.trust import Verifier  # noqa: PLC0415 - behind `load`

        return Verifier(lambda serial: self._held(certificate_file(serial)), self._held(OWNER) if owner else None, time)

    def _held(self, name: str) -> bytes | None:
        """Return a certificate of the store; CKR_CERT_NOT_VALIDATED for a file that is none, never as if none were."""
        if self._certificates is None:
            return None
        try:
            return self._certificates.read(name)
        except (OSError, ValueError) as error:
            path = self._certificates.path(name)
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, f"{path} cannot be read: {error}") from error

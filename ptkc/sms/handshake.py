"""The handshake: HELLO and ANSWER agree on keys and show who the HSM is, CONFIRM and ACCEPT show that both have them.

    client: Handshake -> .answered() -> Confirmation -> .accepted() -> Channel
    HSM:    read_greeting() -> Greeting -> .answer() -> Offer -> .confirmed() -> Acceptance, with the Channel

Each step is a value with the frame to send; what is not authenticated yet has no way to send a command. The HSM's PIK
signs all that was said; the client is anonymous, or an application that proves its secret. To be imported after
`sms.load`.
"""

from __future__ import annotations

from collections import namedtuple

from ptkc.sms.bodies import (
    JOINED,
    NEW,
    NONCE_LENGTH,
    UNKNOWN,
    Hello,
    Statement,
    read_accept,
    read_answer,
    read_code,
    read_confirm,
    read_hello,
    write_accept,
    write_answer,
    write_confirm,
    write_hello,
    write_signature,
)
from ptkc.sms.channel import Channel
from ptkc.sms.conversation import Conversation, turn
from ptkc.sms.errors import AuthenticationError, LocalError, RefusedError
from ptkc.sms.frames import clear, decode
from ptkc.sms.keys import (
    agree,
    check_proof,
    ephemeral,
    hashed,
    identifier_of,
    point_of,
    proof_of,
    random_bytes,
    secrets_of,
    signed_answer,
)
from ptkc.sms.protection import BOTH, policy_of_flags
from ptkc.sms.state import ACCEPT, ANSWER, CLIENT, CONFIRM, FRESH, GREETED, HELLO, HSM, REFUSED
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from ptkc.sms.trust import Verifier

__all__ = ["Acceptance", "Confirmation", "Greeting", "Handshake", "Identity", "Offer", "read_greeting"]

Identity = namedtuple("Identity", "statement sign")
"""What an HSM is: its `Statement`, and what makes an ECDSA signature with SHA-512 (DER) with its PIK: bytes to bytes.

An HSM without a PIC has an empty chain, and None that signs.
"""

Acceptance = namedtuple("Acceptance", "channel frame")


# The client's side


class Handshake:
    """The client's begin; `frame` is the HELLO to send."""

    __slots__ = ("_body", "_is_sensitive", "_key", "_policy", "_secret", "_serial", "frame")

    def __init__(
        self, serial: str, policy: int, is_sensitive: Callable[[bytes], bool], secret: bytes | None = None
    ) -> None:
        """Ask for the HSM with this serial.

        `policy` is what the client wants whatever the HSM wants; `secret` is an application's, which is to be joined.
        """
        self._serial, self._policy, self._is_sensitive, self._secret = serial, policy, is_sensitive, secret
        key = ephemeral()
        self._key: EllipticCurvePrivateKey | None = key
        self._body = write_hello(Hello(random_bytes(NONCE_LENGTH), point_of(key), policy, serial))
        self.frame = clear(HELLO, self._body)

    def answered(self, data: bytes, verifier: Verifier) -> Confirmation:
        """Return the next step, if the HSM is the one that was asked for.

        CKR_CERT_NOT_VALIDATED for a certificate that is not to be trusted, CKR_CANNOT_DERIVE_KEYS for a signature or a
        key that is wrong, CKR_SMS_ERROR for a refusal.
        """
        own, self._key = self._key, None  # two channels of one agreement would use each nonce twice
        if own is None:
            raise LocalError(CKR.NO_SESSION_KEYS, "a handshake is for one answer")
        frame = decode(data, CLIENT)
        turn(GREETED, HSM, frame.kind, CLIENT)
        body = bytes(frame.body)
        if frame.kind == REFUSED:
            raise RefusedError(CKR.SMS_ERROR, read_code(body, CLIENT))
        answer = read_answer(body)
        if answer.statement.serial != self._serial:
            raise AuthenticationError(
                CKR.CERT_NOT_VALIDATED, f"HSM {self._serial} was asked for, {answer.statement.serial} answered"
            )
        key = verifier.key_of(self._serial, answer.statement.chain)
        key.check(answer.signature, signed_answer(self._body, answer.head), CKR.CANNOT_DERIVE_KEYS)
        transcript = hashed(self._body, body)
        requests, replies, application = secrets_of(agree(own, answer.point), transcript)
        statement = answer.statement._replace(proven=True)
        return Confirmation(
            Conversation(CLIENT, answer.channel, requests, replies),
            None if self._secret is None else (identifier_of(self._secret), proof_of(self._secret, transcript)),
            # Both ends make the policy of the same two parts: the HSM's signed flags, and what the client wants.
            lambda conversation, outcome: Channel(
                conversation, statement, self._policy | policy_of_flags(statement.flags), outcome,
                self._secret if outcome == JOINED and self._secret else application, self._is_sensitive,
            ),
            statement,
        )  # fmt: skip


class Confirmation:
    """The client has verified who the HSM is: `statement` says it, `frame` is the CONFIRM to send."""

    __slots__ = ("_channel", "_conversation", "_has_claim", "frame", "statement")

    def __init__(
        self, conversation: Conversation, claim: tuple[bytes, bytes] | None,
        channel: Callable[[Conversation, int], Channel], statement: Statement,
    ) -> None:  # fmt: skip
        """Make the first frame under the new keys; `claim` has the application's identifier and proof."""
        self._conversation = conversation
        self._channel = channel
        self._has_claim = claim is not None
        self.statement = statement
        self.frame = conversation.send(CONFIRM, BOTH, write_confirm(claim))

    def accepted(self, data: bytes) -> Channel:
        """Return the channel, if the HSM has the keys too; the codes are those of `Channel.open`."""
        _, payload = self._conversation.receive(data)
        try:
            outcome = read_accept(payload)
            if (outcome == NEW) is self._has_claim:
                raise AuthenticationError(CKR.BAD_REPLY, f"outcome {outcome} does not fit what was claimed")
        except CryptokiError as error:
            self._conversation.fail(error)
            raise
        return self._channel(self._conversation, outcome)


# The HSM's side


def read_greeting(data: bytes) -> Greeting:
    """Return what a client begins with."""
    frame = decode(data, HSM)
    turn(FRESH, CLIENT, frame.kind, HSM)
    if frame.kind != HELLO:
        raise LocalError(CKR.SMS_ERROR, "a QUESTION is no greeting")
    return Greeting(bytes(frame.body))


class Greeting:
    """A client asks for a channel: with the HSM `serial`, and at least with `policy`."""

    __slots__ = ("_body", "_hello", "policy", "serial")

    def __init__(self, body: bytes) -> None:
        """Read the body of a HELLO."""
        self._body = body
        self._hello = read_hello(body)
        self.policy, self.serial = self._hello.policy, self._hello.serial

    def answer(self, identity: Identity, number: int, is_sensitive: Callable[[bytes], bool]) -> Offer:
        """Return the next step; `number` (1 to 2^64 - 1) is that of the channel, of no other one of this HSM.

        CKR_SMS_ERROR if this is not the HSM that was asked for, or has no PIC; CKR_CANNOT_DERIVE_KEYS for a bad key.
        """
        statement, sign = identity
        if self.serial != statement.serial:
            raise LocalError(CKR.SMS_ERROR, f"HSM {self.serial} was asked for, this is {statement.serial}")
        if not statement.chain or sign is None:
            raise LocalError(CKR.SMS_ERROR, f"HSM {statement.serial} has no identity certificate")
        key = ephemeral()
        shared = agree(key, self._hello.point)
        head = write_answer(random_bytes(NONCE_LENGTH), point_of(key), number, statement)
        body = head + write_signature(sign(signed_answer(self._body, head)))
        transcript = hashed(self._body, body)
        requests, replies, application = secrets_of(shared, transcript)
        return Offer(
            Conversation(HSM, number, requests, replies),
            transcript,
            lambda conversation, outcome, secret: Channel(
                conversation, statement._replace(proven=True), self.policy | policy_of_flags(statement.flags), outcome,
                secret or application, is_sensitive,
            ),
            clear(ANSWER, body),
        )  # fmt: skip


class Offer:
    """The HSM has answered: `frame` is the ANSWER to send, `number` the channel's."""

    __slots__ = ("_channel", "_conversation", "_transcript", "frame", "number")

    def __init__(
        self, conversation: Conversation, transcript: bytes,
        channel: Callable[[Conversation, int, bytes | None], Channel], frame: bytes,
    ) -> None:  # fmt: skip
        """Keep what the channel is made of."""
        self._conversation = conversation
        self._transcript = transcript
        self._channel = channel
        self.frame = frame
        self.number = conversation.number

    def confirmed(self, data: bytes, secret_of: Callable[[bytes], bytes | None]) -> Acceptance:
        """Return the channel, and the ACCEPT to send, if the client has the keys too.

        `secret_of` gives an application's secret for its identifier, None if there is none: the channel is a new
        application's then. A wrong proof is CKR_CANNOT_DERIVE_KEYS; the other codes are those of `Channel.open`.
        """
        _, payload = self._conversation.receive(data)
        try:
            outcome, secret = self._application(read_confirm(payload), secret_of)
        except CryptokiError as error:
            self._conversation.fail(error)
            raise
        frame = self._conversation.send(ACCEPT, BOTH, write_accept(outcome))
        return Acceptance(self._channel(self._conversation, outcome, secret), frame)

    def _application(
        self, claim: tuple[bytes, bytes] | None, secret_of: Callable[[bytes], bytes | None]
    ) -> tuple[int, bytes | None]:
        """Return what is to be said of the application, and its secret if it is a known one."""
        if claim is None:
            return NEW, None
        identifier, proof = claim
        secret = secret_of(identifier)
        if secret is None:
            return UNKNOWN, None
        check_proof(secret, self._transcript, proof)
        return JOINED, secret

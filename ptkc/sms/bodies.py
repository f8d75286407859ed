"""What is inside the frames that carry no command: layouts of the handshake, of the statement, of the ends.

Numbers are little-endian; what has no fixed length has its length before it. There is one encoding of each value, and
a reader takes it whole or refuses it with a `FrameError`: a count or a length is compared with what is allowed and with
the bytes that there are before anything is made of it.
"""

from __future__ import annotations

from collections import namedtuple
from struct import Struct

from ptkc.sms.errors import MALFORMED, FrameError
from ptkc.sms.frames import clear
from ptkc.sms.protection import EVERYTHING
from ptkc.sms.state import CLIENT, HSM, REFUSED

__all__ = [
    "IDENTIFIER_LENGTH", "JOINED", "LARGEST_CERTIFICATE", "LARGEST_SIGNATURE", "LONGEST_SERIAL", "NEW", "NONCE_LENGTH",
    "OUTCOMES", "POINT_LENGTH", "PROOF_LENGTH", "UNKNOWN", "Answer", "Hello", "Question", "Statement", "is_serial",
    "read_accept", "read_answer", "read_code", "read_confirm", "read_hello", "read_question", "read_statement",
    "refusal", "write_accept", "write_answer", "write_code", "write_confirm", "write_hello", "write_question",
    "write_signature", "write_statement",
]  # fmt: skip

NONCE_LENGTH = 32
POINT_LENGTH = 133  # an uncompressed point of P-521 (SEC 1, 2.3.3)
IDENTIFIER_LENGTH, PROOF_LENGTH = 16, 64
LONGEST_SERIAL = 16
LARGEST_CERTIFICATE = 4096
LARGEST_SIGNATURE = 139  # ECDSA-Sig-Value on P-521 in DER
_MOST_CERTIFICATES = 2

NEW, JOINED, UNKNOWN = 0, 1, 2
OUTCOMES = (NEW, JOINED, UNKNOWN)
"""What an HSM says of the application: a new one, the one that was proved, a new one since that one is not known."""

_CODE = Struct("<Q")
_SHORT = Struct("<H")
_FACTS = Struct("<QQ")

Hello = namedtuple("Hello", "nonce point policy serial")
Answer = namedtuple("Answer", "nonce point channel statement signature head")
Question = namedtuple("Question", "nonce serial")
Statement = namedtuple("Statement", "serial flags boot chain proven")
"""Which HSM it is, its CKA_SECURITY_MODE, how often it was started, and its certificates (DER): PIC, or PIC and POC.

`proven` says whether its signature was verified under a certificate that the client trusts.
"""


def is_serial(text: str) -> bool:
    """Whether it may be an HSM's serial: up to 16 ASCII letters and digits."""
    return text.isascii() and text.isalnum() and len(text) <= LONGEST_SERIAL


class _Reader:
    """Takes a body apart from its begin to its end."""

    __slots__ = ("_code", "_data", "place")

    def __init__(self, data: bytes, reader: int) -> None:
        """Begin; `reader` says with which code malformed bytes are refused."""
        self._data = data
        self._code = MALFORMED[reader]
        self.place = 0

    def refuse(self, reason: str) -> FrameError:
        """Return the refusal."""
        return FrameError(self._code, reason)

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        begin = self.place
        self.place += length
        if self.place > len(self._data):
            raise self.refuse(f"{length} bytes from {begin} on, there are {len(self._data)}")
        return self._data[begin : self.place]

    def numbers(self, layout: Struct) -> tuple[int, ...]:
        """Return the next numbers."""
        return layout.unpack(self.take(layout.size))

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def block(self, most: int) -> bytes:
        """Return the next bytes that have their length in two bytes before them."""
        (length,) = self.numbers(_SHORT)
        if length > most:
            raise self.refuse(f"{length} bytes, {most} are the most")
        return self.take(length)

    def serial(self, *, optional: bool = False) -> str:
        """Return a serial."""
        raw = self.take(self.byte())
        if not raw and optional:
            return ""
        text = raw.decode("ascii", "replace")
        if not is_serial(text):
            raise self.refuse("no serial")
        return text

    def end(self) -> None:
        """Refuse bytes that follow."""
        if self.place != len(self._data):
            raise self.refuse(f"{len(self._data) - self.place} bytes too many")


def _serial(serial: str) -> bytes:
    return bytes((len(serial),)) + serial.encode("ascii")


def _block(data: bytes) -> bytes:
    return _SHORT.pack(len(data)) + data


# HELLO and ANSWER


def write_hello(hello: Hello) -> bytes:
    """Return nonce, point, policy and the serial of the HSM that is asked for."""
    return b"".join((hello.nonce, hello.point, bytes((hello.policy,)), _serial(hello.serial)))


def read_hello(data: bytes) -> Hello:
    """Return the parts of a HELLO."""
    reader = _Reader(data, HSM)
    hello = Hello(reader.take(NONCE_LENGTH), reader.take(POINT_LENGTH), reader.byte(), reader.serial())
    reader.end()
    if hello.policy & ~EVERYTHING:
        raise reader.refuse(f"policy {hello.policy:#x}")
    return hello


def _facts(statement: Statement) -> bytes:
    """Return what an HSM states, as it stands in ANSWER and in STATEMENT."""
    certificates = b"".join(map(_block, statement.chain))
    count = bytes((len(statement.chain),))
    return _FACTS.pack(statement.flags, statement.boot) + _serial(statement.serial) + count + certificates


def _read_facts(reader: _Reader) -> Statement:
    flags, boot = reader.numbers(_FACTS)
    serial = reader.serial()
    count = reader.byte()
    if count > _MOST_CERTIFICATES:
        raise reader.refuse(f"{count} certificates")
    chain = tuple([reader.block(LARGEST_CERTIFICATE) for _ in range(count)])
    return Statement(serial, flags, boot, chain, proven=False)


def write_answer(nonce: bytes, point: bytes, channel: int, statement: Statement) -> bytes:
    """Return an ANSWER up to its signature: what the signature is over, behind the HELLO."""
    return nonce + point + _CODE.pack(channel) + _facts(statement)


def write_signature(signature: bytes) -> bytes:
    """Return what ends an ANSWER or a STATEMENT: the signature, empty if there is none."""
    return _block(signature)


def read_answer(data: bytes) -> Answer:
    """Return the parts of an ANSWER; `head` is all before the signature."""
    reader = _Reader(data, CLIENT)
    nonce, point = reader.take(NONCE_LENGTH), reader.take(POINT_LENGTH)
    (channel,) = reader.numbers(_CODE)
    statement = _read_facts(reader)
    head = data[: reader.place]
    signature = reader.block(LARGEST_SIGNATURE)
    reader.end()
    if not channel:
        raise reader.refuse("channel 0")
    return Answer(nonce, point, channel, statement, signature, head)


# CONFIRM and ACCEPT


def write_confirm(claim: tuple[bytes, bytes] | None) -> bytes:
    """Return a CONFIRM: with the identifier of an application and the proof that it is this one, or without."""
    return b"\0" if claim is None else b"\1" + claim[0] + claim[1]


def read_confirm(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the identifier and the proof of a CONFIRM, None if there is none."""
    reader = _Reader(data, HSM)
    has_claim = reader.byte()
    claim = (reader.take(IDENTIFIER_LENGTH), reader.take(PROOF_LENGTH)) if has_claim else None
    reader.end()
    if has_claim > 1:
        raise reader.refuse(f"{has_claim} where 0 or 1 is expected")
    return claim


def write_accept(outcome: int) -> bytes:
    """Return an ACCEPT."""
    return bytes((outcome,))


def read_accept(data: bytes) -> int:
    """Return what an ACCEPT says of the application."""
    reader = _Reader(data, CLIENT)
    outcome = reader.byte()
    reader.end()
    if outcome not in OUTCOMES:
        raise reader.refuse(f"outcome {outcome}")
    return outcome


# QUESTION and STATEMENT


def write_question(question: Question) -> bytes:
    """Return nonce, and the serial that is asked for or an empty one."""
    return b"".join((question.nonce, _serial(question.serial)))


def read_question(data: bytes) -> Question:
    """Return the parts of a QUESTION."""
    reader = _Reader(data, HSM)
    question = Question(reader.take(NONCE_LENGTH), reader.serial(optional=True))
    reader.end()
    return question


def write_statement(statement: Statement) -> bytes:
    """Return a STATEMENT up to its signature: what the signature is over, behind the QUESTION."""
    return _facts(statement)


def read_statement(data: bytes) -> tuple[Statement, bytes, bytes]:
    """Return what is stated, what the signature is over, and the signature."""
    reader = _Reader(data, CLIENT)
    statement = _read_facts(reader)
    head = data[: reader.place]
    signature = reader.block(LARGEST_SIGNATURE)
    reader.end()
    return statement, head, signature


# TERMINATE and REFUSED


def write_code(code: int) -> bytes:
    """Return the reason for an end: a CK_RV, 0 for none."""
    return _CODE.pack(code)


def refusal(code: int) -> bytes:
    """Return the frame with which an HSM refuses what it cannot answer otherwise: a hint that proves nothing."""
    return clear(REFUSED, write_code(code))


def read_code(data: bytes, reader: int) -> int:
    """Return the reason that the peer gave; `reader` is the end that reads."""
    parts = _Reader(data, reader)
    (code,) = parts.numbers(_CODE)
    parts.end()
    return code

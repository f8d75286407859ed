"""An arbitrary server for clients: it answers preludes and frames with what may or may not be one.

Three tempers, chosen for each connection: noise; frames that are nearly right, so that the client's decoder is reached;
and an HSM with a certificate that the client holds, whose replies inside the channel are nearly right, since who
vouches for a key does not vouch for its replies. `client_program.py` is the client.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from random import Random
from typing import Self

import peer  # noqa: F401 - loads what the lines below need
from hostile_client import mutated
from sms_ends import PIK, SERIAL, certificate, sign

from ptkc.sms.bodies import JOINED, Statement, refusal
from ptkc.sms.frames import HEADER_LENGTH, clear, decode, length_that_follows
from ptkc.sms.handshake import Identity, read_greeting
from ptkc.sms.state import (
    ANSWER,
    CONFIRM,
    HELLO,
    HSM,
    KINDS,
    PLAIN_REPLY,
    PLAIN_REQUEST,
    QUESTION,
    REPLY,
    REQUEST,
    STATEMENT,
)
from ptkc.sms.statement import read_inquiry
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.wire.codec import decode_request, encode_reply, is_sensitive
from ptkc.wire.prelude import LIST, REQUEST_LENGTH, read_request, write_reply

__all__ = ["HELD", "HostileServer"]

HELD = certificate([SERIAL], PIK, days=(-1, 20000))
"""The certificate that a client may hold of it."""

_NUMBERS = (0, 1, 2, 3, 2**31, 2**63, 2**64 - 1)
_INFO = {
    "slot_info": lambda chance: (b" " * 64, b" " * 32, chance.choice((1, 7)), b"\1\0", b"\1\0"),
    "token_info": lambda chance: (
        b"Tests".ljust(32), b" " * 32, b" " * 16, SERIAL.encode().ljust(16), chance.choice((0x40D, 0x40D, 0)),
        *(chance.choice(_NUMBERS) for _ in range(10)), b"\1\0", b"\1\0", b" " * 16,
    ),
    "session_info": lambda chance: (0, chance.choice((2, 3)), 6, 0),
    "mechanism_info": lambda chance: tuple(chance.choice(_NUMBERS) for _ in range(3)),
    "ulong": lambda chance: chance.choice(_NUMBERS),
    "buffer": lambda chance: chance.choice((b"", chance.randbytes(16), chance.randbytes(5000), 16, 0, 2**64 - 1)),
    "last_buffer": lambda chance: chance.choice((b"", chance.randbytes(16), chance.randbytes(5000), 16, 2**64 - 1)),
    "written": lambda chance: tuple(
        chance.randbytes(chance.choice((0, 12, 16, 40))) for _ in range(chance.randrange(3))
    ),
    "fill": lambda chance: chance.randbytes(chance.choice((0, 16, 16, 16, 17, 5000))),
    **dict.fromkeys(
        ("list", "slots"),
        lambda chance: tuple(chance.choice(_NUMBERS) for _ in range(chance.choice((0, 1, 1, 2, 500)))),
    ),
    "found": lambda chance: tuple(chance.choice(_NUMBERS) for _ in range(chance.choice((0, 1, 500)))),
    "values": lambda chance: (
        chance.choice((CKR.OK, CKR.OK, CKR.ATTRIBUTE_TYPE_INVALID, 2**63)),
        tuple(chance.choice((None, b"", chance.randbytes(8), bytes(4000))) for _ in range(chance.randrange(3))),
    ),
    "async_data": lambda chance: (chance.choice(_NUMBERS), 0),
}  # fmt: skip


def _reply(chance: Random, request: bytes) -> bytes:
    """Return a message that is a reply to a request, or nearly one."""
    command, _ = decode_request(request)
    if not chance.randrange(5):
        codes = [code for name, code in vars(CKR).items() if not name.startswith("_")]
        message = encode_reply(command, CryptokiError(chance.choice((*codes, 2**64 - 1)), "a reason " * 3))
    else:
        kinds = [field.rpartition(":")[2] for field in command.outputs]
        values = tuple(_INFO[kind](chance) for kind in kinds if kind in _INFO)
        if command.name == "C_GetSlotList" and chance.randrange(4):
            values = ((0, 1),)
        message = encode_reply(command, values[0] if len(values) == 1 else values or None)
    return message if chance.randrange(6) else mutated(chance, message)


class HostileServer:
    """Listens on a port of the loopback interface until the block ends; `served` counts its connections."""

    def __init__(self, seed: int) -> None:
        """Begin to listen."""
        self._chance = Random(seed)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.served = 0
        self._over = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End; what is open is closed by its thread."""
        self._over = True
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while not self._over:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.served += 1
            chance = Random(self._chance.random())
            threading.Thread(target=self._serve, args=(connection, chance), daemon=True).start()

    def _serve(self, connection: socket.socket, chance: Random) -> None:
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError, EOFError, PeerError, CryptokiError):
            temper = chance.choice((_noisy, _nearly_right, _nearly_right, _certified, _certified))
            prelude = _taken(connection, REQUEST_LENGTH)
            purpose, _, _ = read_request(prelude)
            answer = write_reply(0, (SERIAL,) if purpose == LIST else ())
            if temper is _noisy and not chance.randrange(3):
                answer = mutated(chance, answer)
            connection.sendall(answer, socket.MSG_NOSIGNAL)
            while purpose != LIST:
                start = _taken(connection, HEADER_LENGTH)
                frame = start + _taken(connection, length_that_follows(start, HSM))
                temper(chance, connection, frame)


def _taken(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _send(chance: Random, connection: socket.socket, answer: bytes, *, is_whole: bool = True) -> None:
    """Send an answer; after one that may be too short the client seldom has to find out by waiting."""
    connection.sendall(answer, socket.MSG_NOSIGNAL)
    if not is_whole and chance.randrange(200):
        raise EOFError


def _noisy(chance: Random, connection: socket.socket, frame: bytes) -> None:
    """Answer with bytes, with a header and any body, or with nothing."""
    body = chance.randbytes(chance.choice((0, 8, 40, 1000)))
    made = (body, clear(chance.choice((*KINDS,)), body), mutated(chance, frame), b"")
    _send(chance, connection, chance.choice(made), is_whole=False)


def _identity(chance: Random) -> Identity:
    """Return an identity: the one the client holds, or another one."""
    flags = chance.choice((0, CKF.FULL_SMS_ENC | CKF.FULL_SMS_SIGN, CKF.NO_CLEAR_PINS, 2**64 - 1))
    chain = chance.choice(((HELD,),) * 6 + ((), (certificate(["7"], PIK),), (chance.randbytes(300),)))
    statement = Statement(SERIAL, flags, chance.choice((1, 1, 1, 2)), chain, proven=False)
    return Identity(statement, lambda text: sign(PIK, text))


def _nearly_right(chance: Random, connection: socket.socket, frame: bytes) -> None:
    """Answer a frame with one of the right kind, often."""
    kind = frame[1]
    if kind == QUESTION:
        answer = read_inquiry(frame).answer(_identity(chance))
    elif kind == PLAIN_REQUEST:
        body = bytes(decode(frame, HSM).body)
        answer = clear(PLAIN_REPLY, _reply(chance, body) if body else b"")
    elif kind in (HELLO, CONFIRM, REQUEST):
        answers = {HELLO: ANSWER, CONFIRM: REPLY, REQUEST: REPLY}
        answer = chance.choice((refusal(CKR.SMS_ERROR), clear(answers[kind], chance.randbytes(200))))
    else:
        answer = clear(STATEMENT, b"")
    if chance.randrange(4):
        _send(chance, connection, answer)
    else:
        _send(chance, connection, mutated(chance, answer), is_whole=False)


def _certified(chance: Random, connection: socket.socket, frame: bytes) -> None:
    """Shake hands as an HSM does, then answer requests inside the channel."""
    if frame[1] != HELLO:
        _nearly_right(chance, connection, frame)
        return
    offer = read_greeting(frame).answer(_identity(chance), 1 + chance.randrange(2**40), is_sensitive)
    connection.sendall(offer.frame, socket.MSG_NOSIGNAL)
    start = _taken(connection, HEADER_LENGTH)
    confirm = start + _taken(connection, length_that_follows(start, HSM))
    channel, accept = offer.confirmed(confirm, lambda _: None)
    if not chance.randrange(20):
        channel.outcome = JOINED
    connection.sendall(accept, socket.MSG_NOSIGNAL)
    while True:
        start = _taken(connection, HEADER_LENGTH)
        frame = start + _taken(connection, length_that_follows(start, HSM))
        if frame[1] in (PLAIN_REQUEST, QUESTION):
            _nearly_right(chance, connection, frame)
            continue
        request = channel.open(frame).payload
        answer = channel.seal(_reply(chance, request)) if chance.randrange(30) else channel.terminate(CKR.KEY_ROLLOVER)
        if chance.randrange(30):
            _send(chance, connection, answer)
        else:
            _send(chance, connection, mutated(chance, answer), is_whole=False)

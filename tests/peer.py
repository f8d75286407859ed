"""A client that speaks to a server itself, past the library: so that it can say what the library would not.

One `Peer` is one connection. `call` encodes a command as it is told, protects it if there is a channel, and returns
the result or raises the `CryptokiError` in the reply.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Self

from ptkc import sms

sms.load()

from ptkc.sms.bodies import Statement  # noqa: E402 - what needs libcrypto comes after `load`
from ptkc.sms.channel import Channel  # noqa: E402
from ptkc.sms.frames import HEADER_LENGTH, clear, decode, length_that_follows  # noqa: E402
from ptkc.sms.handshake import Handshake  # noqa: E402
from ptkc.sms.state import CLIENT, PLAIN_REQUEST  # noqa: E402
from ptkc.sms.statement import Question  # noqa: E402
from ptkc.sms.trust import Verifier  # noqa: E402
from ptkc.spec.constants import CKF, CKU  # noqa: E402
from ptkc.wire.codec import binding, decode_reply, encode_request, is_sensitive  # noqa: E402
from ptkc.wire.commands import BY_NAME  # noqa: E402
from ptkc.wire.prelude import (  # noqa: E402
    GROUP_LENGTH,
    LIST,
    REPLY_LENGTH,
    TALK,
    read_reply,
    read_serials,
    write_request,
)

__all__ = ["Peer", "serials"]

_RW = CKF.SERIAL_SESSION | CKF.RW_SESSION
_SERIAL_PLACE = 3  # of the serial number in what a device answers to C_GetTokenInfo


def _take(source: socket.socket, length: int) -> bytes:
    """Return the next bytes; ConnectionError at the end."""
    data = b""
    while len(data) < length:
        part = source.recv(length - len(data))
        if not part:
            raise ConnectionError(f"{len(data)} bytes of {length}, and the end")
        data += part
    return data


def serials(port: int) -> tuple[str, ...]:
    """Return the serials of the HSMs that a server at this port offers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(write_request(LIST, "", bytes(GROUP_LENGTH)))
        _, length = read_reply(_take(connection, REPLY_LENGTH))
        return read_serials(_take(connection, length))


class Peer:
    """A connection with one HSM; `channel` is None until hands were shaken."""

    def __init__(self, port: int, serial: str, group: bytes | None = None, source: str = "") -> None:
        """Connect, from another address of this machine if one is given, and say which HSM; `status` is the answer."""
        self.serial = serial
        self.group = os.urandom(GROUP_LENGTH) if group is None else group
        self.channel: Channel | None = None
        self.bound: dict[int, bytes] = {}
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(write_request(TALK, serial, self.group))
        self.status, _ = read_reply(_take(self.socket, REPLY_LENGTH))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, frame: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(frame, socket.MSG_NOSIGNAL)

    def receive(self) -> bytes:
        """Return the next frame; ConnectionError if there is none."""
        start = _take(self.socket, HEADER_LENGTH)
        return start + _take(self.socket, length_that_follows(start, CLIENT))

    def exchange(self, frame: bytes) -> bytes:
        """Send a frame and return what comes back."""
        self.send(frame)
        return self.receive()

    def stated(self, held: bytes | None = None) -> Statement:
        """Return the HSM's statement; it must prove it if a PIC is held."""
        question = Question(self.serial)
        return question.answered(self.exchange(question.frame), Verifier(lambda _: held, None, time.time))

    def shake_hands(self, held: bytes, policy: int = 0, secret: bytes | None = None) -> Channel:
        """Return a channel with the HSM whose PIC is held; with `secret` for that application."""
        hello = Handshake(self.serial, policy, is_sensitive, secret)
        confirmation = hello.answered(self.exchange(hello.frame), Verifier(lambda _: held, None, time.time))
        self.channel = confirmation.accepted(self.exchange(confirmation.frame))
        return self.channel

    def call(self, name: str, *arguments: Any, associated: bytes | None = None) -> Any:  # noqa: ANN401
        """Return the result of a command: through the channel if it has a session, else plain."""
        command = BY_NAME[name]
        request = encode_request(command, arguments)
        if self.channel is None or not command.has_session:
            return self.plain(name, *arguments)
        bound = self.bound.get(arguments[0], b"") if associated is None else associated
        message = self.channel.open(self.exchange(self.channel.seal(request, bound)))
        return decode_reply(command, message.payload)

    def plain(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Return the result of a command that is sent without protection."""
        command = BY_NAME[name]
        answer = decode(self.exchange(clear(PLAIN_REQUEST, encode_request(command, arguments))), CLIENT)
        return decode_reply(command, bytes(answer.body))

    def open(self, slot: int = 0) -> int:
        """Open a read-write session."""
        session: int = self.plain("C_OpenSession", slot, _RW)
        self.bound[session] = binding(slot, self.plain("C_GetTokenInfo", slot)[_SERIAL_PLACE])
        return session

    def log_in(self, session: int, pin: str) -> None:
        """Log the user in."""
        self.call("C_Login", session, CKU.USER, pin.encode())

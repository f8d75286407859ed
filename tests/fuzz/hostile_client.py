"""Arbitrary clients of a server: what `tests/fuzz/test_fuzz.py` sends to `ptkc serve`, and how long.

No matter what comes over a connection, the server either answers it as the protocol says or closes that connection:
it does not end, hang or grow, and others are served meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from random import Random

from peer import Peer

from ptkc.sms.frames import clear
from ptkc.sms.state import KINDS, PLAIN_REQUEST, REQUEST
from ptkc.spec.constants import CKA, CKM
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.wire.codec import encode_request
from ptkc.wire.commands import BY_NAME, COMMANDS
from ptkc.wire.prelude import MAGIC, write_request

__all__ = ["ATTACKS", "attack", "mutated"]

_HEADER = struct.Struct("<BBBBIQQ")
_PATIENCE = 2.0  # seconds for what may or may not be answered
_FORWARDED = [command for command in COMMANDS if not command.library]
_EXPECTED = (OSError, PeerError, CryptokiError)


def mutated(chance: Random, data: bytes) -> bytes:
    """Return bytes that differ a little: flipped, cut, doubled, filled, or with another number in them."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << chance.randrange(8)
            case 1:
                del changed[place:]
            case 2:
                changed[place:place] = changed[: chance.randrange(64)]
            case 3:
                changed[place : place + 8] = chance.randbytes(8)
            case 4:
                number = chance.choice((0, 1, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
                changed[place : place + 8] = struct.pack("<Q", number)
            case _:
                changed += chance.randbytes(chance.randrange(64))
    return bytes(changed)


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.settimeout(_PATIENCE)
    return connection


def _heard(connection: socket.socket) -> None:
    """Say that nothing follows, and take what is answered until the server closes too."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


def _noise(chance: Random, port: int, serial: str) -> None:
    """Send any bytes in place of a prelude."""
    with _connected(port) as connection:
        connection.sendall(chance.randbytes(chance.choice((0, 1, 3, 37, 38, 39, 500))), socket.MSG_NOSIGNAL)
        _heard(connection)


def _preludes(chance: Random, port: int, serial: str) -> None:
    """Send preludes that are nearly right."""
    with _connected(port) as connection:
        prelude = write_request(chance.randrange(2), serial, bytes(16))
        connection.sendall(mutated(chance, prelude) or MAGIC, socket.MSG_NOSIGNAL)
        _heard(connection)


def _frames(chance: Random, port: int, serial: str) -> None:
    """Send frames of any kind with any header and any body."""
    with Peer(port, serial) as peer:
        peer.socket.settimeout(_PATIENCE)
        body = chance.randbytes(chance.choice((0, 1, 8, 24, 200, 2000)))
        length = chance.choice((len(body), len(body), len(body) + 1, 0, 2**28, 2**32 - 1))
        kind = chance.choice((*KINDS, chance.randrange(256)))
        version, protection = chance.choice((1, 1, 1, 0, 255)), chance.choice((0, 0, 1, 2, 3, 4, 255))
        channel, counter = chance.choice((0, 1, 2**64 - 1)), chance.choice((0, 7))
        head = _HEADER.pack(version, kind, protection, 0, length, channel, counter)
        peer.send(head + body)
        _heard(peer.socket)


_NUMBERS = (0, 1, 2, 3, 7, 2**31, 2**40, 2**63, 2**64 - 1)
_FIELDS = {
    "boolean": lambda chance: bool(chance.randrange(2)),
    "bytes": lambda chance: chance.randbytes(chance.choice((0, 1, 16, 32, 300))),
    "label": lambda chance: chance.randbytes(chance.choice((0, 31, 32, 33))),
    "name": lambda chance: chance.choice((b"C_Sign", b"", chance.randbytes(70))),
    "made": lambda chance: None,  # noqa: ARG005 - bytes are mutated behind it
    "given": lambda chance: None,  # noqa: ARG005 - as above
    "sealing": lambda chance: chance.choice((None, *((kind, None) for kind in _MECHANISMS))),
    "opening": lambda chance: chance.choice((None, *((kind, None) for kind in _MECHANISMS))),
    "last": lambda chance: chance.choice((None, b"", chance.randbytes(64))),
    "secret": lambda chance: chance.choice((None, b"", chance.randbytes(8), chance.randbytes(300))),
    "mechanism": lambda chance: chance.choice((None, *((kind, None) for kind in _MECHANISMS))),
    "template": lambda chance: tuple(
        (chance.choice(_ATTRIBUTES), chance.choice((None, b"", b"\1", bytes(8), chance.randbytes(40))))
        for _ in range(chance.randrange(5))
    ),
    "types": lambda chance: tuple(chance.choice(_ATTRIBUTES) for _ in range(chance.randrange(5))),
    "buffer": lambda chance: chance.choice((None, 0, 16, 4096, 2**64 - 1)),
    "last_buffer": lambda chance: chance.choice((None, False, 0, 64, 2**64 - 1)),
    "fill": lambda chance: chance.choice((0, 1, 4096, 2**28 + 1)),
    "found": lambda chance: chance.choice((0, 1, 100, 2**64 - 1)),
}
_ATTRIBUTES = [number for name, number in vars(CKA).items() if not name.startswith("_")]
_MECHANISMS = [number for name, number in vars(CKM).items() if not name.startswith("_")]
_ASKED = ("buffer", "last_buffer", "fill", "found", "ulong_in")


def _request(chance: Random, session: int = 0) -> bytes:
    """Return a message that is a request of any command with any values, or nearly one."""
    command = chance.choice(_FORWARDED)
    kinds = [field.rpartition(":")[2] for field in command.inputs]
    kinds += [kind for kind in (field.rpartition(":")[2] for field in command.outputs) if kind in _ASKED]
    arguments = tuple(
        _FIELDS[kind](chance) if kind in _FIELDS
        else session if kind == "session" and chance.randrange(4) else chance.choice(_NUMBERS)
        for kind in kinds if kind not in ("callback", "ignored", "reserved", "device")
    )  # fmt: skip
    message = encode_request(command, arguments)
    return message if chance.randrange(3) else mutated(chance, message)


def _plain(chance: Random, port: int, serial: str) -> None:
    """Send plain requests that are nearly right."""
    with Peer(port, serial) as peer:
        peer.socket.settimeout(_PATIENCE)
        for _ in range(5):
            peer.exchange(clear(PLAIN_REQUEST, _request(chance)))


def _handshakes(chance: Random, port: int, serial: str, held: bytes) -> None:
    """Change one frame of a handshake."""
    with Peer(port, serial) as peer:
        send, left = peer.send, [chance.randrange(2)]

        def changing(frame: bytes) -> None:
            left[0] -= 1
            if left[0] >= 0:
                send(frame)
                return
            send(mutated(chance, frame))
            _heard(peer.socket)

        peer.send = changing  # type: ignore[method-assign]
        peer.socket.settimeout(_PATIENCE)
        peer.shake_hands(held)


def _sealed(chance: Random, port: int, serial: str, held: bytes) -> None:
    """Send requests that are nearly right through a channel: who has the keys may be hostile too."""
    with Peer(port, serial) as peer:
        channel = peer.shake_hands(held)
        session = peer.open()
        peer.socket.settimeout(_PATIENCE)
        for _ in range(10):
            bound = chance.choice((peer.bound[session],) * 5 + (b"", chance.randbytes(24)))
            channel.open(peer.exchange(channel.seal(_request(chance, session), bound)))


def _changed(chance: Random, port: int, serial: str, held: bytes) -> None:
    """Change a protected request on its way."""
    with Peer(port, serial) as peer:
        channel = peer.shake_hands(held)
        session = peer.open()
        request = encode_request(BY_NAME["C_GetSessionInfo"], (session,))
        frame = mutated(chance, channel.seal(request, peer.bound[session]))
        peer.socket.settimeout(_PATIENCE)
        peer.send(frame)
        _heard(peer.socket)


def _left(chance: Random, port: int, serial: str, held: bytes) -> None:
    """Go away in the midst of the work."""
    with Peer(port, serial) as peer:
        if chance.randrange(2):
            peer.shake_hands(held)
        peer.open()
        peer.send(clear(REQUEST if chance.randrange(2) else PLAIN_REQUEST, b"")[: chance.randrange(25)])


ATTACKS = (_noise, _preludes, _frames, _plain, _handshakes, _sealed, _changed, _left)
_WITHOUT = (_noise, _preludes, _frames, _plain)


def attack(chance: Random, port: int, serial: str, held: bytes) -> str:
    """Make one attack and return its name; whatever the server answers, or that it closes, is right."""
    chosen = chance.choice(ATTACKS)
    with contextlib.suppress(*_EXPECTED):
        if chosen in _WITHOUT:
            chosen(chance, port, serial)
        else:
            chosen(chance, port, serial, held)
    return chosen.__name__

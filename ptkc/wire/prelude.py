"""The prelude: what a client says first on a socket, and how the server answers, before any frame.

Both have a fixed form; the answer to `LIST` alone is followed by serials, as many as it says. Nothing of it is
protected: it chooses an HSM and finds one, and who the HSM is is proved later. Any bytes are one or a `PeerError`.
"""

from __future__ import annotations

from struct import Struct

from ptkc.spec.errors import PeerError

__all__ = [
    "BUSY", "BUSY_FOR_CLIENT", "CLOSING", "GROUP_LENGTH", "KNOWN", "LIST", "MAGIC", "NO_SUCH_HSM", "OK",
    "REPLY_LENGTH", "REQUEST_LENGTH", "SERIAL_LENGTH", "STATUSES", "TALK", "VERSION", "read_reply", "read_request",
    "read_serials", "write_reply", "write_request",
]  # fmt: skip

MAGIC = b"PTKC"
VERSION = 1
SERIAL_LENGTH, GROUP_LENGTH = 16, 16

LIST, TALK = 0, 1
"""What a client wants: the serials of the HSMs, or one of these."""

OK, NO_SUCH_HSM, BUSY, BUSY_FOR_CLIENT, CLOSING, KNOWN = range(6)
STATUSES = {
    OK: "it is there",
    NO_SUCH_HSM: "there is no such HSM",
    BUSY: "the server has too many connections",
    BUSY_FOR_CLIENT: "the server has too many connections of this client",
    CLOSING: "the server is shutting down",
    KNOWN: "it is there, and has an application of this group already",
}

_REQUEST = Struct(f"<4sBB{SERIAL_LENGTH}s{GROUP_LENGTH}s")
_REPLY = Struct("<4sBBH")
REQUEST_LENGTH, REPLY_LENGTH = _REQUEST.size, _REPLY.size


def write_request(purpose: int, serial: str, group: bytes) -> bytes:
    """Return the client's prelude (38 bytes): `serial` of the HSM that is wanted, `group` of the application."""
    return _REQUEST.pack(MAGIC, VERSION, purpose, serial.encode("ascii").ljust(SERIAL_LENGTH), group)


def read_request(data: bytes) -> tuple[int, str, bytes]:
    """Return purpose, serial (empty for `LIST`) and group."""
    if len(data) != REQUEST_LENGTH:
        raise PeerError(f"prelude of {len(data)} bytes")
    magic, version, purpose, serial, group = _REQUEST.unpack(data)
    if (magic, version) != (MAGIC, VERSION) or purpose not in (LIST, TALK):
        raise PeerError("no prelude of a client")
    return purpose, _serial(serial) if purpose == TALK else "", group


def write_reply(status: int, serials: tuple[str, ...] = ()) -> bytes:
    """Return the server's prelude: 8 bytes, and 16 for each serial."""
    return _REPLY.pack(MAGIC, VERSION, status, len(serials)) + b"".join(
        serial.encode("ascii").ljust(SERIAL_LENGTH) for serial in serials
    )


def read_reply(data: bytes) -> tuple[int, int]:
    """Return the status and how many bytes of serials follow these 8."""
    if len(data) != REPLY_LENGTH:
        raise PeerError(f"prelude of {len(data)} bytes")
    magic, version, status, count = _REPLY.unpack(data)
    if (magic, version) != (MAGIC, VERSION) or status not in STATUSES:
        raise PeerError("no prelude of a server")
    return status, count * SERIAL_LENGTH


def read_serials(data: bytes) -> tuple[str, ...]:
    """Return the serials that follow the server's prelude."""
    if len(data) % SERIAL_LENGTH:
        raise PeerError(f"{len(data)} bytes of serials")
    return tuple(_serial(data[place : place + SERIAL_LENGTH]) for place in range(0, len(data), SERIAL_LENGTH))


def _serial(field: bytes) -> str:
    """Return a serial: up to 16 ASCII letters and digits."""
    text = field.decode("ascii", "replace").rstrip(" ")
    if not (text.isascii() and text.isalnum()):
        raise PeerError("no serial")
    return text

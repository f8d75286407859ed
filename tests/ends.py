"""Both ends of a connection in one process: an HSM's endpoint, and a client that says what a test has it say.

`Board` is an HSM with a user token, an Administrator and an identity; `Client` one connection to it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsm_directory import SO_PIN, USER_PIN, Place

from ptkc import mechanisms, sms

mechanisms.load()
sms.load()

from ptkc.hsm import identity, policy  # noqa: E402 - what needs libcrypto comes after `load`
from ptkc.hsm.applications import Applications, OneApplication  # noqa: E402
from ptkc.hsm.endpoint import Connection, Endpoint  # noqa: E402
from ptkc.sms.channel import Channel  # noqa: E402
from ptkc.sms.frames import clear, decode  # noqa: E402
from ptkc.sms.handshake import Handshake  # noqa: E402
from ptkc.sms.protection import EVERYTHING  # noqa: E402
from ptkc.sms.state import CLIENT, PLAIN_REQUEST  # noqa: E402
from ptkc.sms.trust import Verifier  # noqa: E402
from ptkc.spec.constants import CKA, CKF, CKO, CKU  # noqa: E402
from ptkc.spec.errors import CryptokiError  # noqa: E402
from ptkc.token.hsms import Hsm  # noqa: E402
from ptkc.wire.codec import binding, decode_reply, encode_request, is_sensitive  # noqa: E402
from ptkc.wire.commands import BY_NAME  # noqa: E402

__all__ = ["ADMIN_PIN", "Board", "Client", "code_of", "prepared"]

ADMIN_PIN = b"admin-1234"
RW = CKF.SERIAL_SESSION | CKF.RW_SESSION


def prepared(directory: Path) -> Path:
    """Make an HSM below a directory, to be copied: with both PINs on both tokens, and a self-signed PIC."""
    place = Place(directory)
    hsm, _, _ = place.initialised()
    admin = hsm.tokens[-1]
    admin.initialise(SO_PIN, b"admin".ljust(32))
    admin.init_user_pin(admin.login(CKU.SO, SO_PIN), ADMIN_PIN)
    identity.generate_identity(hsm, self_sign=True)
    hsm.close()
    return directory


class Board:
    """A copy of a prepared HSM with its endpoint; `events` is what it told a server's log."""

    def __init__(self, source: Path, directory: Path) -> None:
        """Copy and open it."""
        shutil.copytree(source, directory)
        self.place = Place(directory)
        self.hsm: Hsm = self.place.open()
        self.serial = self.hsm.serial
        self.events: list[tuple[str, dict[str, object]]] = []
        self.applications: Applications | OneApplication = Applications(self.hsm)
        self.endpoint = Endpoint(self.hsm, self.applications, self.tell)

    def tell(self, event: str, **facts: object) -> None:
        """Keep an event."""
        self.events.append((event, facts))

    @property
    def certificate(self) -> bytes:
        """The PIC."""
        attributes = identity.read(self.hsm).attributes(CKO.CERTIFICATE, identity.PIC)
        assert attributes is not None
        return attributes[CKA.VALUE]

    def flags(self, letters: str) -> None:
        """Have the security flags be these, as another process would set them."""
        self.hsm.set_policy(security_mode=policy.mode_of(letters))

    def client(self, group: bytes = b"", address: str = "192.0.2.1") -> Client:
        """Return a client of a group of its own, or of this one."""
        return Client(self, self.endpoint.connection(address, group or os.urandom(16)))

    @contextmanager
    def changed(self, letters: str) -> Iterator[None]:
        """Have these flags in the block, none behind it."""
        self.flags(letters)
        yield
        self.flags("0")


class Client:
    """One connection; `channel` is None until hands were shaken."""

    def __init__(self, board: Board, connection: Connection) -> None:
        """Be at the other end of a connection."""
        self.board = board
        self.connection = connection
        self.channel: Channel | None = None
        self.bound: dict[int, bytes] = {}

    def verifier(self) -> Verifier:
        """Return what believes this HSM."""
        certificate = self.board.certificate
        return Verifier(lambda _: certificate, None, time.time)

    def shake_hands(self, policy: int = EVERYTHING, secret: bytes | None = None) -> Client:
        """Make a channel that wants everything protected, or this; return the client."""
        hello = Handshake(self.board.serial, policy, is_sensitive, secret)
        confirmation = hello.answered(self.connection.answer(hello.frame), self.verifier())
        self.channel = confirmation.accepted(self.connection.answer(confirmation.frame))
        return self

    def call(self, name: str, *arguments: Any, associated: bytes | None = None) -> Any:  # noqa: ANN401
        """Return the result of a command: through the channel if there is one."""
        if self.channel is None:
            return self.plain(name, *arguments)
        bound = associated if associated is not None else self.bound.get(arguments[0] if arguments else 0, b"")
        command = BY_NAME[name]
        frame = self.channel.seal(encode_request(command, arguments), bound)
        return decode_reply(command, self.channel.open(self.connection.answer(frame)).payload)

    def plain(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Return the result of a command that is sent without protection."""
        command = BY_NAME[name]
        answer = decode(self.connection.answer(clear(PLAIN_REQUEST, encode_request(command, arguments))), CLIENT)
        return decode_reply(command, bytes(answer.body))

    def open(self, slot: int = 0, flags: int = RW) -> int:
        """Open a session."""
        session: int = self.call("C_OpenSession", slot, flags)
        self.bound[session] = binding(slot, self.call("C_GetTokenInfo", slot)[3])
        return session

    def user(self, slot: int = 0) -> int:
        """Open a session in which the user is logged in; of the last slot, the Administrator."""
        session = self.open(slot)
        self.call("C_Login", session, CKU.USER, USER_PIN if slot == 0 else ADMIN_PIN)
        return session

    def administrator(self) -> int:
        """Open a session in which the Administrator is logged in."""
        return self.user(len(self.board.hsm.tokens) - 1)


def code_of(client: Client, name: str, *arguments: Any, **options: Any) -> int:  # noqa: ANN401
    """Return the CK_RV of a command."""
    try:
        client.call(name, *arguments, **options)
    except CryptokiError as error:
        return error.code
    return 0

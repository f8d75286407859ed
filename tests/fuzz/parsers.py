"""The parsers of the project as functions of bytes: what each may raise, and whole inputs to begin with.

A target takes any bytes; it returns, or raises what its callers expect: `CryptokiError` with a code that says what is
wrong with the bytes, `ValueError`, or its own error. Anything else is a bug. What a parser and its writer agree on is
checked too: what was read is written as it was.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostile_certificates import CERTIFICATE, REQUEST

from ptkc.client.certificates import from_pem, to_pem
from ptkc.configuration import parse as parse_configuration
from ptkc.configuration import read_server
from ptkc.mechanisms import (
    KEY_TYPES,
    curves,
    load,
    names,
    private_key_choice,
    private_key_info,
    public_key_info,
    tickets,
    x509,
)
from ptkc.mechanisms.portable import pack_attributes, unpack_attributes
from ptkc.mechanisms.secret_sharing import SecretRecover
from ptkc.mechanisms.wrapkey import _read as read_wrapkey
from ptkc.sms import bodies, frames
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, PeerError
from ptkc.spec.layouts import LAYOUTS
from ptkc.spec.parameters import MALFORMED
from ptkc.spec.values import ulong, unpack_template
from ptkc.token import events
from ptkc.token.seal import unseal
from ptkc.tools import softhsm2
from ptkc.tools.common import ToolError
from ptkc.wire import prelude
from ptkc.wire.codec import decode_reply, decode_request, encode_request
from ptkc.wire.commands import BY_NAME, COMMANDS

__all__ = ["TARGETS", "Target", "play"]

load()
_NEVER = (CKR.GENERAL_ERROR, CKR.FUNCTION_FAILED, CKR.HOST_MEMORY)
_NUMBERS = sorted(LAYOUTS)
_KEY_TYPES = sorted(KEY_TYPES)
_REMOTE = [command for command in COMMANDS if not command.library]


class Target(NamedTuple):
    """A parser: what it is called with, and inputs to begin with."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...] = (b"",)
    errors: tuple[type[Exception], ...] = ()


def play(target: Target, data: bytes) -> None:
    """Run a parser; what it must not raise is raised."""
    try:
        target.run(data)
    except CryptokiError as error:
        assert error.code not in _NEVER, error  # noqa: PT017 - what else it is, is right
    except target.errors:
        pass


# Mechanism parameters


class _Memory:
    """The application's memory, as a parameter's pointers name it: addresses are places in some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, address: int, length: int) -> bytes:
        """Return bytes."""
        if address + length > len(self.data):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "outside")
        return self.data[address : address + length]

    def template(self, address: int, count: int) -> tuple[tuple[int, bytes | None], ...]:
        """Return a template."""
        return tuple((place, self.read(address + place, 1)) for place in range(count))

    def number(self, address: int) -> int:
        """Return a number."""
        return int.from_bytes(self.read(address % 65536, 8), "little")

    def expect(self, address: int, room: int) -> None:
        """Take note."""


def _unpack(data: bytes) -> None:
    """Read a parameter from the wire; what was read is written as it was."""
    number = _NUMBERS[data[0] % len(_NUMBERS)] if data else CKM.AES_CBC
    value = layouts.unpack(number, data[1:])
    if value is not MALFORMED:
        assert data[1:] == layouts.pack(number, value), value


def _unpack_message(data: bytes) -> None:
    for forms in (layouts.MADE, layouts.GIVEN):
        try:
            value = layouts.unpack_message(forms, data)
        except CryptokiError as error:
            assert error.code == CKR.MECHANISM_PARAM_INVALID  # noqa: PT017 - it is caught for the next one
        else:
            assert data == layouts.pack_message(forms, value)


def _parse(data: bytes) -> None:
    """Read a parameter from memory, and write it for the wire and read it there."""
    number = _NUMBERS[data[0] % len(_NUMBERS)] if data else CKM.AES_CBC
    size = LAYOUTS[number].size if number in LAYOUTS else 16
    value = layouts.parse(number, data[1 : 1 + size], _Memory(data))
    if isinstance(value, tuple):
        assert value == layouts.unpack(number, layouts.pack(number, value))


# The wire


def _request(data: bytes) -> None:
    command, arguments = decode_request(data)
    if all(field.rpartition(":")[2] not in ("made", "given", "mechanism") for field in command.inputs):
        assert data == encode_request(command, arguments)


def _reply(data: bytes) -> None:
    command = _REMOTE[data[0] % len(_REMOTE)] if data else BY_NAME["C_Sign"]
    with contextlib.suppress(CryptokiError):  # any code: it is what the reply says
        decode_reply(command, data[1:])


def _prelude(data: bytes) -> None:
    for read in (prelude.read_request, prelude.read_reply, prelude.read_serials):
        try:
            read(data)
        except PeerError:
            continue


def _frame(data: bytes) -> None:
    for reader in (0, 1):
        try:
            frames.decode(data, reader)
        except (CryptokiError, PeerError):
            continue


_BODIES = (
    bodies.read_hello, bodies.read_answer, bodies.read_confirm, bodies.read_accept, bodies.read_question,
    bodies.read_statement,
)  # fmt: skip


def _body(data: bytes) -> object:
    return _BODIES[data[0] % len(_BODIES)](data[1:]) if data else None


# Keys and certificates


def _decode(data: bytes) -> None:
    """Read a payload as a key of any type, with a template; what was read is written and read again."""
    if len(data) < 2:
        return
    kind = KEY_TYPES[_KEY_TYPES[data[0] % len(_KEY_TYPES)]]
    number = _KEY_TYPES[data[0] % len(_KEY_TYPES)]
    secret = data[1] & 1
    template = {CKA.CLASS: ulong(CKO.SECRET_KEY if secret else CKO.PRIVATE_KEY), CKA.KEY_TYPE: ulong(number)}
    if data[1] & 2:
        template[CKA.VALUE_LEN] = ulong(data[1] >> 2)
    material = kind.decode(data[2:], template)
    kind.encode({**template, **material})


def _material(data: bytes) -> None:
    """Read a SubjectPublicKeyInfo."""
    public_key_info.key_material(data)


def _certificate(data: bytes) -> None:
    certificate = x509.Certificate(data)
    x509.certificate_attributes(certificate)


def _certificate_request(data: bytes) -> None:
    request = x509.Request(data)
    x509.request_attributes(request)


def _name(data: bytes) -> None:
    names.from_text(names.to_text(data))


def _name_text(data: bytes) -> None:
    names.to_text(names.from_text(data.decode("utf-8", "replace")))


def _curve(data: bytes) -> None:
    if data:
        curve = curves.find((CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY)[data[0] % 3], data[1:11])
        curve.point(data[11:])


def _pem(data: bytes) -> None:
    der = from_pem(data)
    assert der == from_pem(to_pem(der)) or der == data


# Files


def _configuration(data: bytes) -> None:
    parse_configuration(data.decode("utf-8", "surrogateescape"))


def _server(data: bytes) -> None:
    read_server(data.decode("utf-8", "replace"))


_SCRATCH = tempfile.TemporaryDirectory(prefix="ptkc-fuzz-")


def _softhsm2(data: bytes) -> None:
    softhsm2._record(data)


def _softhsm2_token(data: bytes) -> None:
    """Read a database as a whole token, with its objects."""
    directory = Path(_SCRATCH.name) / "token"
    directory.mkdir(exist_ok=True)
    (directory / "sqlite3.db").write_bytes(data)
    for record in softhsm2._records(str(directory)):
        list(softhsm2._in_clear(record, bytes(32)))


def _softhsm2_database() -> bytes:
    """Return a database as SoftHSM2 makes it, with a token and a key."""
    path = Path(_SCRATCH.name) / "made.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE object (id INTEGER PRIMARY KEY)")
        kinds = {"boolean": "INTEGER", "integer": "INTEGER", "binary": "BLOB", "array": "BLOB"}
        rows = {"boolean": (1, 1), "integer": (0, 4), "binary": (3, b"label"), "array": (0x40000211, bytes(8))}
        for name, kind in kinds.items():
            columns = f"id INTEGER PRIMARY KEY, value {kind}, type INTEGER, object_id INTEGER"
            connection.execute(f"CREATE TABLE attribute_{name} ({columns})")
        for number in (1, 2):
            connection.execute("INSERT INTO object VALUES (?)", (number,))
            for name, (attribute, value) in rows.items():
                row = None, value, attribute, number
                connection.execute(f"INSERT INTO attribute_{name} VALUES (?, ?, ?, ?)", row)
        connection.commit()
    return path.read_bytes()


def _softhsm2_pin(data: bytes) -> None:
    softhsm2._unlocked(data, "1234")


def _events(data: bytes) -> None:
    if len(data) == len(events.pack(1, 2, 3.0, "x")):
        events.unpack(data)


def _ticket(data: bytes) -> None:
    tickets.read(data)
    tickets.verify(data, CERTIFICATE)


def _big(number: int) -> bytes:
    return struct.pack(">Q", number)


_OBJECT_FILE = (
    _big(1) + _big(0) + _big(2) + _big(3) + _big(3) + _big(3) + _big(4) + b"name" + _big(1) + _big(1) + b"\1"
    + _big(0x40000600) + _big(5) + _big(1) + _big(0x1082) + _big(0x40000211) + _big(4) + _big(17) + _big(1) + _big(1)
    + b"\1"
)  # fmt: skip
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420") + bytes(range(32))
_PKCS8_EC = bytes.fromhex(
    "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420"
) + bytes(range(1, 33))  # fmt: skip
_EXTENSION = bytes.fromhex("300f0603551d130101ff040530030101ff")
_CBC = b"\1" + bytes(16)
_CONFIGURATION = (
    b"# a line\nET_PTKC_SW_DATAPATH=/tmp/x\nHSM_NETCLIENT_SERVERS = 127.0.0.1:12396 [::1]:5\nET_PTKC_LOGGER_MODE=bugs\n"
)

_TICKET = tickets.content(tickets.Ticket("1", "t", "o", b"i", "m", tickets.stamp(0), 0, 9, {CKA.USAGE_LIMIT: bytes(8)}))

_HEADERS = tuple(bytes([number]) for number in range(0, len(_NUMBERS), 7))
_bytes = (ValueError,)

TARGETS: dict[str, Target] = {
    "parameter from the wire": Target(
        _unpack, (b"\0\0", b"\0" + _CBC, *(head + b"\2" + bytes(80) for head in _HEADERS))
    ),
    "message parameter from the wire": Target(_unpack_message, (b"\0", b"\2" + bytes(48), b"\4" + bytes(32))),
    "parameter from memory": Target(_parse, tuple(head + bytes(120) for head in _HEADERS)),
    "request": Target(_request, (encode_request(BY_NAME["C_GetSlotList"], (True,)),), (PeerError,)),
    "reply": Target(_reply, (b"\0", b"\5" + bytes(40)), (PeerError,)),
    "prelude": Target(_prelude, (prelude.write_request(1, "12345678", b""), prelude.write_reply(0, ("1",)))),
    "frame": Target(_frame, (frames.clear(1, b"body"),), (PeerError,)),
    "body": Target(_body, (bytes(60),), (PeerError,)),
    "template": Target(unpack_template, (b"",), (ValueError, struct.error)),
    "key": Target(_decode, (b"\0\1" + bytes(16), b"\x11\0" + _PKCS8_EC, b"\x12\0" + _PKCS8, b"\x0d\1" + bytes(16))),
    "PrivateKeyInfo": Target(private_key_info.trimmed, (_PKCS8, _PKCS8 + bytes(8))),
    "seed or key": Target(private_key_choice.parse, (_PKCS8,), _bytes),
    "choice": Target(private_key_choice.choose, (b"\x80\x02ab", b"\4\2ab"), _bytes),
    "SubjectPublicKeyInfo": Target(_material, (x509.Certificate(CERTIFICATE).public_key_info,), _bytes),
    "certificate": Target(_certificate, (CERTIFICATE,), _bytes),
    "certificate request": Target(_certificate_request, (REQUEST,), _bytes),
    "entries of a certificate": Target(x509.pki_entries, (_EXTENSION,), _bytes),
    "name": Target(_name, (names.from_text("CN=a,O=b"),), _bytes),
    "text of a name": Target(_name_text, (b"CN=a\\,b,O=#0c0161+OU=x",), _bytes),
    "curve": Target(_curve, (b"\0" + bytes.fromhex("06082a8648ce3d030107") + b"\4\x41\4" + bytes(64),), _bytes),
    "PEM": Target(_pem, (to_pem(b"der"),), _bytes),
    "configuration": Target(_configuration, (_CONFIGURATION,)),
    "server": Target(_server, (b"127.0.0.1:12396", b"[::1]:1"), _bytes),
    "object file of SoftHSM2": Target(_softhsm2, (_OBJECT_FILE,), (ValueError, ToolError)),
    "database of SoftHSM2": Target(_softhsm2_token, (_softhsm2_database(),), (ValueError, ToolError)),
    "PIN blob of SoftHSM2": Target(_softhsm2_pin, (bytes(8 + 16 + 48),), (ValueError, ToolError)),
    "attributes of a backup": Target(unpack_attributes, (pack_attributes({CKA.CLASS: ulong(CKO.SECRET_KEY)}),)),
    "WrapKey file": Target(read_wrapkey, (bytes(120),)),
    "shares": Target(lambda data: SecretRecover().unwrap(None, None, data), (bytes(80),)),
    "event": Target(_events, (events.pack(1, 2, 3.0, "x"),), (ValueError,)),
    "ticket": Target(_ticket, (tickets.assemble(_TICKET, "sha256_rsa", bytes(256)), _TICKET)),
    "sealed state": Target(lambda data: unseal(bytes(32), data, b"where"), (bytes(60),)),
}  # fmt: skip

"""Writes the captures in docs/secure-messaging.md: one application under each set of flags, over a recording wire.

It makes an HSM in a temporary directory, serves it, and is itself the client: so it knows which command each frame is
of. Lengths differ by some bytes from run to run, so there is no `--check`; the tests look at the same wire.
"""

# ruff: noqa: PLC0415 - the application of a capture imports the library when the wire is there

from __future__ import annotations

import os
import string
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

_PAGE = _ROOT / "docs" / "secure-messaging.md"
_BEGIN, _END = "<!-- made by docs/captures.py -->", "<!-- end of what is made -->"

PIN = "user-1234"
KEY = b"sixteen byte key"
TEXT = b"attack at dawn, attack at dawn.."
SECRETS = {"the PIN": PIN.encode(), "the key": KEY, "the plaintext": TEXT}

# flags of the HSM, SMPR of the client, what it is called
SETS = (
    ("0", "", "No flags"),
    ("n", "", "`n`: No Clear PINs"),
    ("u", "", "`u`: Auth Protection"),
    ("nu", "", "`nu`: both, as in FIPS Mode (`F`)"),
    ("N", "", "`N`: Full Secure Messaging Encryption"),
    ("U", "", "`U`: Full Secure Messaging Signing"),
    ("NU", "", "`NU`: all of it"),
    ("0", "SR", "No flags, and the client's register says `SR`"),
)
_PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " "
_PROTECTIONS = ("clear", "encrypted", "signed", "encrypted, signed")


def _client(port: int) -> list[tuple[str, str, int, int, bytes]]:
    """Be the application; return (command, kind, protection, length, bytes) of each frame, by way of the wire."""
    from wire import Wire

    with Wire(port) as wire:
        os.environ["ET_HSM_NETCLIENT_SERVERLIST"] = f"127.0.0.1:{wire.port}"
        from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

        from ptkc.vendor import devices, lib

        library = lib()
        names: list[str] = []
        _name_requests(names)
        (device,) = [each for each in devices(library) if each.serial == "1197"]
        token = device.user_slots[0].get_token()
        wire.forget()
        names.clear()
        with token.open(rw=True, user_pin=PIN) as session:
            template = {
                Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: KEY,
                Attribute.ENCRYPT: True, Attribute.TOKEN: False,
            }  # fmt: skip
            key = session.create_object(template)
            key.encrypt(TEXT, mechanism=Mechanism.AES_ECB)
            session.generate_random(128)
        found = []
        waiting = iter(names)
        name = ""
        for passed in wire.frames:
            if passed.kind.endswith("REQUEST"):
                name = next(waiting)
            elif not passed.kind.endswith("REPLY"):
                name = ""
            found.append((name, passed.kind, passed.protection, len(passed.frame), passed.frame))
        library.finalize()
    return found


def _name_requests(names: list[str]) -> None:
    """Have the library, which shares this interpreter, note the command of each request that it encodes."""
    from ptkc.client import remote

    encode = remote.encode_request

    def noting(command: object, arguments: tuple[object, ...]) -> bytes:
        names.append(command.name)  # type: ignore[attr-defined]
        return encode(command, arguments)  # type: ignore[arg-type]

    remote.encode_request = noting


def _cell(_kind: str, protection: int, length: int, frame: bytes) -> str:
    """Return what a table says of a frame."""
    shown = [name for name, secret in SECRETS.items() if secret in frame]
    text = f"{_PROTECTIONS[protection]}, {length} bytes"
    if shown:
        text += f"; **shows {' and '.join(shown)}**"
    return text


def _section(title: str, frames: list[tuple[str, str, int, int, bytes]]) -> str:
    """Return the part of the page about one set of flags."""
    lines = [f"### {title}", "", "| | request | reply |", "| --- | --- | --- |"]
    for request, reply in zip(frames[::2], frames[1::2], strict=True):
        name, kind = request[:2]
        what = f"`{name}`" if name else f"{kind}, {reply[1]}"
        lines.append(f"| {what} | {_cell(*request[1:])} | {_cell(*reply[1:])} |")
    return "\n".join(lines) + "\n"


def _dump(frames: list[tuple[str, str, int, int, bytes]]) -> str:
    """Return the C_Login request of a capture, part by part."""
    kind, protection, frame = next(
        (kind, protection, frame)
        for name, kind, protection, _, frame in frames
        if name == "C_Login" and kind.endswith("REQUEST")
    )
    size = frame[3]
    channel, counter = (int.from_bytes(frame[start : start + 8], "little") for start in (8, 16))
    tag, mac = (16 if protection & 1 else 0), (64 if protection & 2 else 0)
    body = len(frame) - mac - tag
    parts = (
        (f"header: {kind}, {_PROTECTIONS[protection]}, channel {channel}, counter {counter}", 0, 24),
        ("associated data: slot on the HSM, serial number of the token", 24, 24 + size),
        ("ciphertext" if tag else "message: C_Login, its session, CKU_USER, the PIN", 24 + size, body),
        ("tag", body, body + tag),
        ("MAC", body + tag, len(frame)),
    )
    lines = []
    for title, begin, end in parts:
        if begin < end:
            lines.append(title)
            for start in range(begin, end, 16):
                lines.append(f"  {start:04x}  {_hexadecimal(frame[start : min(start + 16, end)])}")  # noqa: PERF401
    return "\n".join(lines) + "\n"


def _hexadecimal(part: bytes) -> str:
    text = "".join(chr(byte) if chr(byte) in _PRINTABLE else "." for byte in part)
    return f"{part.hex(' '):<47}  {text}".rstrip()


def _tool(*words: str, home: Path, typed: str = "", **variables: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(_ROOT), **_PINS, **variables}
    subprocess.run(
        [sys.executable, "-m", f"ptkc.tools.{words[0]}", *words[1:]], env=environment, input=typed, text=True,
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


_PINS = {
    "PTKC_ASO_PIN": "aso-1197", "PTKC_ADMIN_PIN": "admin-1197", "PTKC_SO_PIN": "so-pin-1197", "PTKC_USER_PIN": PIN,
}  # fmt: skip


def _one(letters: str, smpr: str, title: str, *, dump: bool) -> str:
    """Return the section of one set, from a process of its own: an application keeps its policy for life."""
    from processes import beside, free_port, listening

    with tempfile.TemporaryDirectory() as top:
        home = Path(top)
        _tool("ptkc", "hsm", "add", "1197", home=home)
        _tool("ctconf", home=home, typed="y\n")
        _tool("ctkmu", "t", "-s0", "-lkeys", home=home)
        _tool("ctident", "gen-selfsigned", "all", home=home)
        _tool("ctconf", f"-f{letters}", home=home)
        port = free_port()
        words = (sys.executable, "-m", "ptkc.tools.ptkc", "serve", "--listen", f"127.0.0.1:{port}")
        environment = {"PATH": os.environ["PATH"], "HOME": top, "PYTHONPATH": str(_ROOT)}
        with beside(*words, env=environment, log=home / "log", ready=lambda: listening(port)):
            client = {
                **environment, "ET_PTKC_SW_DATAPATH": f"{top}/none", "ET_PTKC_1197_SMPR": smpr,
                "CAPTURE": str(port), "CAPTURE_TITLE": title, "CAPTURE_DUMP": "1" * dump,
            }  # fmt: skip
            done = subprocess.run([sys.executable, __file__], env=client, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)
            return done.stdout


def main() -> None:
    """Write the page; or, as a client of the port in the environment, print the section."""
    if "CAPTURE" in os.environ:
        frames = _client(int(os.environ["CAPTURE"]))
        print(_section(os.environ["CAPTURE_TITLE"], frames))
        if os.environ["CAPTURE_DUMP"]:
            print(f"The request of `C_Login`:\n\n```\n{_dump(frames)}```\n")
        return
    sections = [_one(*each, dump=each[:2] in {("0", ""), ("n", ""), ("u", ""), ("NU", "")}) for each in SETS]
    before, _, rest = _PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    text = f"{before}{_BEGIN}\n\n{''.join(sections)}{_END}{rest.partition(_END)[2]}"
    _PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

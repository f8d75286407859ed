"""`ptkc serve`: offer the HSMs of the data path to other machines, or to other users' sandboxes of this one.

What happens is written to standard error, one JSON object a line, without secrets. SIGTERM and SIGINT have exchanges
under way end before the server does. PINs travel in clear as long as no security flag has them encrypted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from ptkc import log, mechanisms, sms
from ptkc.configuration import DEFAULT_PORT, Configuration, read_server
from ptkc.hsm import policy
from ptkc.hsm.server import Limits, Server
from ptkc.hsm.sockets import is_loopback
from ptkc.sms.protection import SENSITIVE_ENCRYPTED
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.token import place
from ptkc.token.hsms import Hsm
from ptkc.tools import common
from ptkc.tools.hsm import Paths

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection

__all__ = ["add_commands"]

_LOOPBACK = "127.0.0.1"
_PREFIX = "sn:"
_ITEM = "ET_HSM_NETSERVER_"
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX, _LARGE = -3, -1, -8, 16 << 20  # numbers of malloc.h, bytes


def add_commands(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add `serve` to the parser of `ptkc`."""
    parser = commands.add_parser("serve", help="offer HSMs to clients over the network", description=_serve.__doc__)
    parser.add_argument(
        "--listen", action="append", default=[], metavar="<host>[:<port>]",
        help=f"an address to listen on, again for more; {_LOOPBACK}:{DEFAULT_PORT} without this and --socket",
    )  # fmt: skip
    parser.add_argument(
        "--socket", action="append", default=[], metavar="<path>", help="a UNIX socket to listen on, mode 0600"
    )
    parser.add_argument("serials", nargs="*", metavar="<serial>", help="the HSMs to offer; all by default")
    parser.set_defaults(run=_serve)


def _tell(event: str, **facts: object) -> None:
    """Write an event as one line: time (UTC), event, facts; a CK_RV by its name."""
    if "code" in facts:
        facts["code"] = name_of(CKR, facts["code"]) if facts["code"] else None  # type: ignore[arg-type]
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
    line = json.dumps({"time": stamp, "event": event, **facts}) + "\n"
    with contextlib.suppress(OSError):  # nobody reads it; the server goes on
        os.write(2, line.encode())


def _serve(options: Namespace) -> int:
    """Offer HSMs to clients over TCP and UNIX sockets, until SIGTERM or SIGINT.

    HSMs that are added to the data path later are offered as soon as a client asks for them.
    """
    _bring_in_module()
    _return_large_memory()
    configuration = Configuration()
    for problem in (log.configure(configuration.log_file, configuration.log_mode), *configuration.problems):
        if problem:
            common.note("ptkc", f"warning: {problem}")
    wanted = [(text, *_address(text)) for text in options.listen]
    if not wanted and not options.socket:
        wanted = [(f"{_LOOPBACK}:{DEFAULT_PORT}", _LOOPBACK, DEFAULT_PORT)]
    asked = [text.removeprefix(_PREFIX) for text in options.serials]
    hsms = _open(asked)
    try:
        mechanisms.load()
        sms.load()
        server = Server(hsms, _limits(configuration), _tell, lambda known: _open_later(asked, known, hsms))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        signal.set_wakeup_fd(server.waker)
        for text, host, port in wanted:
            _listen(server, text, host, port, hsms)
        for path in options.socket:
            try:
                server.listen_at(os.path.abspath(path))
            except OSError as error:
                raise common.ToolError(f"{path}: cannot listen ({error.strerror})") from error
            _tell("listening", path=os.path.abspath(path))
        _tell("serving", hsms=[hsm.serial for hsm in hsms])
        _notify()
        server.serve()
    finally:
        for hsm in hsms:
            hsm.close()
    return common.OK


def _bring_in_module() -> None:
    """Load the shared object into this process: mechanisms find in it what `cryptography` does not offer."""
    from ptkc import vendor  # noqa: PLC0415 - help and wrong arguments need no library

    vendor.lib().finalize()


def _return_large_memory() -> None:
    """Have the C library give memory back to the system.

    Else each thread that checks a PIN keeps 19 MiB, and the threads' own arenas, eight of them for each processor, keep
    the parts of long requests.
    """
    from cffi import FFI  # noqa: PLC0415 - as above

    ffi = FFI()
    ffi.cdef("int mallopt(int param, int value);")
    with contextlib.suppress(AttributeError):  # another C library than glibc
        libc = ffi.dlopen(None)
        libc.mallopt(_ARENA_MAX, 2)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGE)  # which the line above has set back to the least


def _address(text: str) -> tuple[str, int]:
    """Return host and port of an address to listen on."""
    try:
        host, port = read_server(text)
    except ValueError as error:
        raise common.ToolError(f"--listen {text}: {error}") from None
    if not port:
        raise common.ToolError(f"--listen {text}: that is no address", "--socket is for UNIX sockets")
    return host, port


def _open(asked: list[str]) -> list[Hsm]:
    """Open the HSMs that are to be offered, all or those that are asked for."""
    try:
        found = Paths.configured().open_all()
    except CryptokiError as error:
        raise common.ToolError(f"there is no HSM: {error.message}", "see `ptkc doctor`") from error
    chosen = [hsm for hsm in found if not asked or hsm.serial in asked]
    for hsm in found:
        if hsm not in chosen:
            hsm.close()
    missing = sorted({*asked} - {hsm.serial for hsm in chosen})
    if missing or not chosen:
        for hsm in chosen:
            hsm.close()
        raise common.ToolError(f"there is no HSM {', '.join(missing)}".rstrip(), "`ptkc hsm list` shows them")
    return chosen


def _open_later(asked: list[str], known: Collection[str], hsms: list[Hsm]) -> list[Hsm]:
    """Open those that have come since, beside the known ones, and add them to `hsms`, which are closed in the end.

    One that cannot be opened may be so in a moment: it is just being made.
    """
    paths = Paths.configured()
    found = []
    with contextlib.suppress(CryptokiError):
        for serial in place.serials(paths.data_path):
            if serial in known or (asked and serial not in asked):
                continue
            try:
                found.append(Hsm.open(paths.data_path, paths.key_path, serial, paths.credentials))
            except CryptokiError as error:
                _tell("absent", hsm=serial, code=error.code, reason=error.message)
    hsms += found
    return found


def _limits(configuration: Configuration) -> Limits:
    """Return the limits that the configuration says."""
    numbers = {name: configuration.number(_ITEM + name.upper()) for name in Limits._fields}
    return Limits(**numbers)


def _listen(server: Server, text: str, host: str, port: int, hsms: list[Hsm]) -> None:
    """Listen on TCP; warn where PINs would leave the machine in clear."""
    try:
        address, number = server.listen(host, port)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no host name"
        raise common.ToolError(f"--listen {text}: cannot listen ({reason})") from error
    _tell("listening", address=address, port=number)
    if is_loopback(address):
        return
    open_ones = [hsm.serial for hsm in hsms if not policy.protection(hsm.security_mode) & SENSITIVE_ENCRYPTED]
    if open_ones:
        names = ", ".join(open_ones)
        common.note("ptkc", f"warning: {address} is reached from other machines, and HSM {names} takes PINs in clear")
        common.note("ptkc", "hint: establish an identity (ctident), then set security flags, as `ctconf -fNU`")


def _notify() -> None:
    """Say to systemd that the server is ready, if it wants to know (sd_notify)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path[:1] in ("/", "@"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
            stream.connect("\0" + path[1:] if path.startswith("@") else path)
            stream.sendall(b"READY=1")
    sys.stderr.flush()

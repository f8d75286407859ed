"""Put HSMs in and take them out, tamper and restart them, put their clocks off: the hand on the boards.

What is done here is done to the HSM as an object: no PIN is asked for, whoever may write the data path may do it. Other
processes notice at their next call. Device numbers are those that applications see on this data path; they shift when
an HSM is away, serial numbers do not.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ptkc.configuration import Configuration
from ptkc.spec.errors import CryptokiError
from ptkc.token import place
from ptkc.token.events import digits
from ptkc.token.hsms import Hsm
from ptkc.token.state import CONTINUOUS_TRANSPORT, NO_TRANSPORT, SINGLE_TRANSPORT
from ptkc.tools import common, devices

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

__all__ = ["add_commands", "add_restart", "restart"]

READY, VIRTUAL, WRITE_PROTECTED, REMOVED, ABSENT = "ready", "virtual", "write-protected", "removed", "absent"
_TRANSPORT = {NO_TRANSPORT: "none", SINGLE_TRANSPORT: "single", CONTINUOUS_TRANSPORT: "continuous"}
_PREFIX = "sn:"
_HSM = "a device number, sn:<serial>, or a serial number that is no device number"


class Paths(NamedTuple):
    """Where the HSMs are, as the functions of `Hsm` take it."""

    data_path: str
    key_path: str
    credentials: str | None

    @staticmethod
    def configured() -> Paths:
        """Return the configured paths."""
        configuration = Configuration()
        if configuration.data_path is None or configuration.key_path is None:
            raise common.ToolError("there is no data path", "set HOME, or ET_PTKC_SW_DATAPATH; see `ptkc doctor`")
        return Paths(configuration.data_path, configuration.key_path, configuration.credentials)

    def open_all(self) -> list[Hsm]:
        """Open all HSMs; the place in the list is the device number."""
        return Hsm.open_all(self.data_path, self.key_path, self.credentials)

    def add(self, serial: str | None) -> Hsm:
        """Make an HSM."""
        return Hsm.add(self.data_path, self.key_path, serial, self.credentials)

    def plug(self, serial: str) -> Hsm:
        """Put an HSM back."""
        return Hsm.plug(self.data_path, self.key_path, serial, self.credentials)

    def refusal(self, serial: str) -> CryptokiError | None:
        """Return why an HSM is absent, None if it is not."""
        try:
            Hsm.open(self.data_path, self.key_path, serial, self.credentials).close()
        except CryptokiError as error:
            return error
        return None


def add_commands(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add `hsm` and its sub-commands to the parser of `ptkc`."""
    top = commands.add_parser("hsm", help="put HSMs in, take them out, tamper, restart", description=__doc__)
    subs = top.add_subparsers(title="commands", metavar="command", required=True)

    add = subs.add_parser("add", help="put an HSM in", description=_add.__doc__)
    add.add_argument("serials", nargs="*", metavar="<serial>", help="1 to 10 letters and digits; none: one at random")
    add.set_defaults(run=_add)

    show = subs.add_parser("list", help="show the HSMs", description=_list.__doc__)
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=_list)

    remove = subs.add_parser("remove", help="take an HSM out", description=_remove.__doc__)
    remove.add_argument("serial", metavar=devices.DEVICE, help=_HSM)
    remove.add_argument("--destroy", action="store_true", help="destroy it for good, identity included")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(run=_remove)

    tamper = subs.add_parser("tamper", help="tamper an HSM", description=_tamper.__doc__)
    tamper.add_argument("serial", metavar=devices.DEVICE, help=_HSM)
    tamper.add_argument("--yes", action="store_true", help="do not ask")
    tamper.set_defaults(run=_tamper)

    upgrade = subs.add_parser("upgrade", help="erase an HSM before an upgrade", description=_upgrade.__doc__)
    upgrade.add_argument("serial", metavar=devices.DEVICE, help="sn:<serial>, or a serial number")
    upgrade.add_argument("--yes", action="store_true", help="do not ask")
    upgrade.set_defaults(run=_upgrade)

    again = subs.add_parser("restart", help="restart an HSM", description=restart.__doc__)
    add_restart(again)

    clock = subs.add_parser("clock", help="show an HSM's clock, or put it off", description=_clock.__doc__)
    clock.add_argument("serial", metavar=devices.DEVICE, help=_HSM)
    change = clock.add_mutually_exclusive_group()
    change.add_argument("--offset", type=float, metavar="<seconds>", help="ahead of the machine's, or behind it (-)")
    change.add_argument("--sync", action="store_true", help="set it to the machine's clock")
    clock.add_argument("--json", action="store_true", help="print JSON")
    clock.set_defaults(run=_clock)


def add_restart(parser: ArgumentParser) -> None:
    """Add the arguments of a restart to a parser, and have it restart."""
    help_text = f"{_HSM}; needed if there are several HSMs"
    parser.add_argument("serial", nargs="?", metavar=devices.DEVICE, help=help_text)
    parser.add_argument("--all", action="store_true", help="restart all HSMs")
    parser.set_defaults(run=restart)


def _add(options: Namespace) -> int:
    """Put HSMs in: new ones with these serial numbers, or those that have them and were taken out.

    Without a serial number one more is added, its serial number drawn at random. The HSM that is there without any
    configuration becomes real then and stays the first one; where serial numbers are named before anything was written
    to it, exactly these HSMs are made.
    """
    paths = Paths.configured()
    serials = [text.removeprefix(_PREFIX).strip() for text in options.serials]
    away = _away(paths)
    there = place.serials(paths.data_path)
    for serial in serials:
        if not place.is_serial(serial):
            raise common.ToolError(f"{serial!r} is no serial number", "1 to 10 letters and digits, as 1197")
        if (serial in there and serial not in away) or serials.count(serial) > 1:
            raise common.ToolError(f"there is an HSM {serial} already", "`ptkc hsm list` shows what there is")
    if not serials:
        for hsm in paths.open_all():
            hsm.materialise() if hsm.store is None else None
            hsm.close()
    for serial in serials or [None]:
        hsm = paths.plug(serial) if serial is not None and serial in away else paths.add(serial)
        print(f"HSM {hsm.serial} was {'put back' if serial in away else 'added'}")
        hsm.close()
    return common.OK


def _list(options: Namespace) -> int:
    """Show the HSMs: device number, serial number, state, tokens, who uses them, clock."""
    found = _inventory(Paths.configured())
    if options.json:
        common.print_json({"hsms": found})
        return common.OK
    rows = []
    for entry in found:
        mode = entry.get("security_mode")
        offset = entry.get("clock_offset")
        rows.append((
            "" if entry["device"] is None else str(entry["device"]), str(entry["serial"]), str(entry["state"]),
            str(entry.get("tokens", "")), "" if mode is None else f"{mode:#x}", str(entry.get("transport_mode", "")),
            "" if offset is None else f"{offset:+.0f} s" if offset else "right", "yes" if entry.get("in_use") else "",
        ))  # fmt: skip
    headings = ("device", "serial", "state", "tokens", "security mode", "transport mode", "clock", "in use")
    common.print_table(headings, rows)
    for entry in found:
        if "reason" in entry:
            common.note("ptkc", f"warning: {entry['reason']}")
    return common.OK


def _remove(options: Namespace) -> int:
    """Take an HSM out: it is tampered, unless its transport mode forbids it, and can be put back with `ptkc hsm add`.

    With --destroy it is gone for good, and so are its owner and identity keys.
    """
    paths = Paths.configured()
    hsm = _chosen(paths, options.serial, absent=options.destroy)
    serial = hsm if isinstance(hsm, str) else hsm.serial
    if options.destroy:
        what = f"HSM {serial} is destroyed: its tokens, its owner and identity keys, everything"
    elif not isinstance(hsm, str) and hsm.transport_mode == NO_TRANSPORT:
        what = f"HSM {serial} is tampered when it is taken out: tokens, PINs and security flags are gone for good"
    else:
        what = f"HSM {serial} is taken out as it is, for transport"
    if not common.confirm(f"{what}{_in_use(hsm)}. Go on?", yes=options.yes):
        return _not_done()
    if isinstance(hsm, str):
        Hsm.discard(paths.data_path, paths.key_path, hsm, paths.credentials)
    elif options.destroy:
        hsm.destroy()
    else:
        hsm.unplug()
    print(f"HSM {serial} was {'destroyed' if options.destroy else 'taken out'}")
    return common.OK


def _tamper(options: Namespace) -> int:
    """Tamper an HSM: user tokens, objects, PINs and security flags are gone for good.

    Owner and identity keys and certificates, and those of trusted peers, survive.
    """
    hsm = _opened(Paths.configured(), options.serial)
    what = f"HSM {hsm.serial} is tampered: its tokens, PINs and security flags are gone for good"
    if not common.confirm(f"{what}{_in_use(hsm)}. Go on?", yes=options.yes):
        return _not_done()
    hsm.tamper("by ptkc hsm tamper")
    print(f"HSM {hsm.serial} was tampered: tokens, PINs and security flags are gone, owner and identity keys are not")
    hsm.close()
    return common.OK


def _upgrade(options: Namespace) -> int:
    """Let this version of ptkc serve an HSM with the security flag Tamper Before Upgrade that another version served.

    Its tokens, objects, PINs and security flags are gone then. Other HSMs are upgraded without a word.
    """
    paths = Paths.configured()
    serial = options.serial.removeprefix(_PREFIX).strip()
    if serial not in place.serials(paths.data_path):
        raise common.ToolError(f"there is no HSM {serial}", "`ptkc hsm list` shows what there is")
    if paths.refusal(serial) is None:
        print(f"HSM {serial} needs no upgrade")
        return common.OK
    what = f"HSM {serial} is erased and upgraded: its tokens, PINs and security flags are gone for good"
    if not common.confirm(f"{what}. Go on?", yes=options.yes):
        return _not_done()
    Hsm.upgrade(*paths[:2], serial, paths.credentials).close()
    print(f"HSM {serial} was erased and upgraded: owner and identity keys are there")
    return common.OK


def restart(options: Namespace) -> int:
    """Restart an HSM: all sessions with it end, and so does transport mode single."""
    paths = Paths.configured()
    if options.serial is not None and options.all:
        raise common.ToolError("which HSM is to be restarted?", "name one, or write --all, not both")
    found = paths.open_all() if options.serial is None else [_opened(paths, options.serial)]
    if len(found) != 1 and not options.all:
        text = "there are several HSMs" if found else "there is no HSM"
        raise common.ToolError(text, "name the one to be restarted, or write --all; `ptkc hsm list` shows them")
    failures = common.Failures("ptkc")
    for hsm in found:
        with failures.of(f"HSM {hsm.serial}"):
            hsm.restart()
            print(f"HSM {hsm.serial} was restarted")
        hsm.close()
    return failures.exit_code


def _clock(options: Namespace) -> int:
    """Show an HSM's clock, put it off by some seconds, or set it to the machine's clock."""
    hsm = _opened(Paths.configured(), options.serial)
    if options.sync or options.offset is not None:
        try:
            hsm.set_clock_offset(0 if options.sync else options.offset)
        except (OverflowError, ValueError):
            raise common.ToolError("no such time", "seconds, as 3600 or -86400") from None
    text = digits(hsm.now())
    shown = f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}:{text[12:14]}"
    if options.json:
        common.print_json({"serial": hsm.serial, "time": shown, "offset": hsm.clock_offset})
    else:
        print(f"HSM {hsm.serial}: {shown} UTC, {_beside(hsm.clock_offset)} the machine's clock")
    hsm.close()
    return common.OK


def _beside(offset: float) -> str:
    """Return how a clock stands beside another one."""
    if offset == 0:
        return "as"
    return f"{abs(offset):.3f} s {'ahead of' if offset > 0 else 'behind'}"


def _inventory(paths: Paths) -> list[dict[str, Any]]:
    """Return what there is to say of each HSM: those that are there in their order, then the others."""
    found = []
    opened = paths.open_all()
    for device, hsm in enumerate(opened):
        entry: dict[str, Any] = {"device": device, "serial": hsm.serial, "directory": hsm.directory}
        entry["state"] = VIRTUAL if hsm.store is None else WRITE_PROTECTED if hsm.write_protected else READY
        entry["tokens"] = sum(token.initialised for token in hsm.tokens)
        entry["slots"] = len(hsm.tokens)
        try:
            entry["security_mode"] = hsm.security_mode
            entry["transport_mode"] = _TRANSPORT.get(hsm.transport_mode, str(hsm.transport_mode))
        except CryptokiError as error:
            entry["reason"] = f"HSM {hsm.serial}: {error}"
        entry["clock_offset"] = hsm.clock_offset
        entry["in_use"] = hsm.others_running()
        entry["boot"] = hsm.boot
        found.append(entry)
        hsm.close()
    away = _away(paths)
    known = {hsm.serial for hsm in opened}
    for serial in sorted({*place.serials(paths.data_path), *away} - known):
        entry = {"device": None, "serial": serial, "state": REMOVED if serial in away else ABSENT}
        refusal = None if serial in away else paths.refusal(serial)
        if refusal is not None:
            entry["reason"] = f"HSM {serial}: {refusal}"
        found.append(entry)
    return found


def _away(paths: Paths) -> list[str]:
    """Return the serials of HSMs that were taken out, one included whose taking out was interrupted."""
    return Hsm.removed(paths.data_path)


def _opened(paths: Paths, text: str) -> Hsm:
    """Return the HSM that a word names, open."""
    hsm = _chosen(paths, text, absent=False)
    assert not isinstance(hsm, str)  # noqa: S101 - absent ones were not asked for
    return hsm


def _chosen(paths: Paths, text: str, *, absent: bool) -> Hsm | str:
    """Return the HSM that a word names, open; the serial of one that cannot be opened, if such a one will do."""
    opened = paths.open_all()
    chosen: Hsm | None = None
    serial = text.removeprefix(_PREFIX).strip()
    if serial == text and text.isascii() and text.isdigit() and int(text) < len(opened):
        chosen = opened[int(text)]
    else:
        chosen = next((hsm for hsm in opened if hsm.serial == serial), None)
    for hsm in opened:
        if hsm is not chosen:
            hsm.close()
    if chosen is not None:
        return chosen
    away = serial in _away(paths)
    if absent and (away or serial in place.serials(paths.data_path)):
        return serial
    if away:
        raise common.ToolError(f"HSM {serial} was taken out", f"`ptkc hsm add {serial}` puts it back")
    if serial in place.serials(paths.data_path):
        raise common.ToolError(f"HSM {serial} is absent: {paths.refusal(serial)}", "see `ptkc doctor`")
    raise common.ToolError(f"there is no HSM {text}", "`ptkc hsm list` shows what there is")


def _in_use(hsm: Hsm | str) -> str:
    """Return what a question says of other processes."""
    return ", and another process is using it" if not isinstance(hsm, str) and hsm.others_running() else ""


def _not_done() -> int:
    """Say that nothing was done."""
    common.note("ptkc", "nothing was done")
    return common.FAILED

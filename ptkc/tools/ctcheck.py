"""`ctcheck`: the state of all HSMs for other programs: lines of fields, XML or JSON. No PIN is needed."""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from ptkc import __version__
from ptkc.tools import adapter, arguments, common, devices

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

__all__ = ["main", "parser"]

_TOOL = "ctcheck"
_NO_HSM = "CM_Initialize returned 5"


def _truth(value: object) -> str:
    return "TRUE" if value else "FALSE"


def _memory(status: adapter.Status) -> str:
    return "" if status.free is None else str(status.free)


# What can be asked for of an HSM; there are no functionality modules, so what is theirs is empty or none.
PARAMETERS: dict[str, Callable[[adapter.Status], str]] = {
    "serialnumber": lambda status: status.serial,
    "model": lambda status: status.model,
    "devicerevision": lambda _: "0",
    "firmwarerevision": lambda status: status.firmware,
    "dateofmanufacture": lambda status: status.manufactured,
    "batch": lambda status: status.batch,
    "ptkcrevision": lambda _: __version__,
    "batterystatus": lambda status: status.battery,
    "deviceinitialised": lambda status: _truth(status.initialised),
    "tampercount": lambda status: str(status.tampers),
    "securitymode": lambda status: adapter.modes(status.mode),
    "transportmode": lambda status: adapter.TRANSPORT_MODES.get(status.transport, str(status.transport)),
    "eventlogcount": lambda status: str(status.events),
    "eventlogfull": lambda status: _truth(status.log_full),
    "slotcount": lambda status: str(status.user_slots + 1),
    "clocklocal": lambda status: adapter.local_time(status.clock).partition(" (")[0],
    "freepublicmemory": _memory,
    "totalpublicmemory": lambda _: "",
    "fmsupport": lambda _: "FALSE",
    "fmlabel": lambda _: "",
    "fmversion": lambda _: "",
    "fmmanufacturer": lambda _: "",
    "fmbuildtime": lambda _: "",
    "fmromsize": lambda _: "",
    "fmramsize": lambda _: "",
}
_USUAL = (
    "serialnumber", "model", "firmwarerevision", "batterystatus", "deviceinitialised", "securitymode", "transportmode",
    "eventlogcount", "eventlogfull", "slotcount", "clocklocal", "freepublicmemory",
)  # fmt: skip


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        _TOOL,
        "Print the state of all HSMs for other programs: first a line about all, then one about each HSM. Lines that "
        "begin with # name the fields of the next line. No PIN is needed. No HSM is exit code 1.",
        examples=(
            ("ctcheck", f"the usual fields: {', '.join(_USUAL)}"),
            ("ctcheck -bserialnumber~deviceinitialised -N", "two fields of each HSM"),
        ),
    )
    known = ", ".join(PARAMETERS)
    top.add_argument(
        "-b", dest="fields", metavar="<list>", type=_fields, default=list(_USUAL),
        help=f"the fields of an HSM's line, with ~ between: {known}",
    )  # fmt: skip
    top.add_argument("-a", dest="device", metavar=devices.DEVICES, default=devices.ALL, help="only these HSMs")
    top.add_argument("-s", dest="separator", metavar="<char>", default="~", help="what is between fields, %(default)s")
    top.add_argument("-N", dest="silent", action="store_true", help="leave the line about all HSMs out")
    top.add_argument("-n", dest="bare", action="store_true", help="leave the lines that name the fields out")
    style = top.add_mutually_exclusive_group()
    style.add_argument("-x", dest="xml", action="store_true", help="print XML")
    style.add_argument("--json", action="store_true", help="print JSON")
    top.set_defaults(run=_run)
    return top


def _fields(text: str) -> list[str]:
    """Return the names of a list, for argparse."""
    names = [name for name in text.lower().replace(",", "~").split("~") if name]
    unknown = [name for name in names if name not in PARAMETERS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"no field {', '.join(unknown) or text!r}: there are {', '.join(PARAMETERS)}")
    return names


def _run(options: Namespace) -> int:
    """Print the state of all HSMs."""
    try:
        found = devices.connect()
    except common.ToolError:
        common.note(_TOOL, _NO_HSM)  # the words that programs look for
        raise
    chosen = devices.select(options.device, found)
    total = {"devicecount": str(len(found)), "ptkcrevision": __version__}
    rows = []
    for device in chosen:
        status = adapter.status(device)
        rows.append({name: PARAMETERS[name](status) for name in options.fields})
    if options.json:
        common.print_json({**({} if options.silent else total), "devices": rows})
    elif options.xml:
        _print_xml({} if options.silent else total, rows)
    else:
        _print_lines([] if options.silent else [total], options)
        _print_lines(rows, options)
    return common.OK


def _print_lines(rows: list[dict[str, str]], options: Namespace) -> None:
    """Print lines of fields, under one that names them."""
    if rows and not options.bare:
        print("#" + options.separator.join(rows[0]))
    for row in rows:
        print(options.separator.join(value.replace(options.separator, " ") for value in row.values()))


def _print_xml(total: dict[str, str], rows: list[dict[str, str]]) -> None:
    """Print XML: an element for each field."""
    print('<?xml version="1.0" encoding="UTF-8"?>\n<ctcheck>')
    for name, value in total.items():
        print(f"  <{name}>{escape(value)}</{name}>")
    for row in rows:
        print("  <device>")
        for name, value in row.items():
            print(f"    <{name}>{escape(value)}</{name}>")
        print("  </device>")
    print("</ctcheck>")


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser(), devices.glued(sys.argv[1:])))


if __name__ == "__main__":
    main()

"""The argument style of the vendor's tools, and what their parsers know about themselves.

A sub-command is a letter, an option is a letter, its value is glued to it or the next word (`-s0`, `-s 0`). Options of
ours that the vendor's tools do not have are words (`--json`). A parser also keeps its examples and the environment
variables it reads: `--help`, man pages and completion are made from it.
"""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING, Any

from ptkc import __version__
from ptkc.tools import common

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ENVIRONMENT", "EXIT_CODES", "Letters", "command", "date", "number", "one_line", "slot", "top"]

EXIT_CODES = (
    ("0", "done"),
    ("1", "it could not be done, or of a check: something is wrong"),
    ("2", "the arguments are wrong, nothing was tried"),
    ("130", "interrupted"),
)

# What the tools read besides the configuration items, by name.
ENVIRONMENT = {
    "PTKC_ADMIN_PIN": "PIN of the Administrator of every HSM, PTKC_ADMIN_PIN_<serial> of one; it is not asked for then",
    "PTKC_ASO_PIN": "PIN of the Administration Security Officer, PTKC_ASO_PIN_<serial> of one HSM",
    "PTKC_SO_PIN": "PIN of a user token's Security Officer",
    "PTKC_USER_PIN": "PIN of a user token's owner",
}


class Letters(common.Parser):
    """A parser that knows its examples, as (command, what it does), and the environment variables it reads."""

    examples: tuple[tuple[str, str], ...] = ()
    environment: tuple[str, ...] = ()

    def __init__(self, **keywords: Any) -> None:  # noqa: ANN401 - argparse's own
        """Take no abbreviations: a later option must not change what a script's means."""
        keywords.setdefault("allow_abbrev", False)
        super().__init__(**keywords)

    def format_help(self) -> str:
        """Add examples, environment and exit codes below argparse's text."""
        text = [super().format_help()]
        if self.examples:
            text.append("\nexamples:\n" + "".join(f"  {line}\n      {what}\n" for line, what in self.examples))
        if self.environment:
            width = max(map(len, self.environment)) + 2
            lines = "".join(f"  {name:<{width}}{ENVIRONMENT[name]}\n" for name in self.environment)
            text.append("\nenvironment:\n" + lines)
        if " " not in self.prog:
            text.append("\nexit codes:\n" + "".join(f"  {code:<5}{what}\n" for code, what in EXIT_CODES))
        return "".join(text)


def top(
    tool: str,
    description: str,
    *,
    environment: Sequence[str] = (),
    examples: Sequence[tuple[str, str]] = (),
) -> Letters:
    """Return the parser of a tool."""
    parser = Letters(prog=tool, description=description)
    parser.environment = tuple(environment)
    parser.examples = tuple(examples)
    parser.add_argument("--version", action="version", version=f"{tool} (ptkc) {__version__}")
    return parser


def command(
    commands: Any,  # noqa: ANN401 - argparse has no public name for it
    letter: str,
    run: Callable[[argparse.Namespace], int],
    *,
    examples: Sequence[tuple[str, str]] = (),
) -> Letters:
    """Add a sub-command; the first line of `run`'s docstring is its help, all of it its description.

    `options.parser` is the sub-command's: `error` of it refuses options that do not go together.
    """
    description = " ".join((run.__doc__ or "").split())
    parser: Letters = commands.add_parser(letter, help=one_line(run), description=description)
    parser.set_defaults(run=run, parser=parser)
    parser.examples = tuple(examples)
    return parser


def one_line(run: Callable[..., object]) -> str:
    """Return the first sentence of a docstring as argparse wants help: small at the start, no full stop."""
    first = (run.__doc__ or "").strip().partition("\n")[0].partition(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def slot(parser: argparse.ArgumentParser, *, required: bool = True, meaning: str = "the slot") -> None:
    """Add `-s<slot>`."""
    parser.add_argument("-s", dest="slot", metavar="<slot>", type=number, required=required, help=meaning)


def number(text: str) -> int:
    """Return a number that is not negative, decimal or with 0x before it."""
    try:
        value = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value


def date(text: str) -> dt.date:
    """Return a day written as YYYYMMDD or YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: write YYYYMMDD") from None

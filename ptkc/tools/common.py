"""What all commands share: arguments, errors as messages, tables, exit codes.

Results alone go to standard output; everything else goes to standard error with the tool's name before it, as
`ptkc: error: …` and `ptkc: hint: …`. There is never a traceback. Exit codes: 0 done, 1 it could not be done (or, of a
check, something is wrong), 2 the arguments are wrong, 130 interrupted.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ptkc.spec.errors import CryptokiError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FAILED", "OK", "USAGE", "Parser", "ToolError", "print_json", "print_table", "run"]

OK = 0
FAILED = 1
USAGE = 2
_INTERRUPTED = 130


class ToolError(Exception):
    """Something the user should know, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message, without capital and full stop, and the hint."""
        super().__init__(message)
        self.hint = hint


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in the tools' way."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, without the usage."""
        complain(self.prog.split()[0], message, f"see `{self.prog} --help`")
        sys.exit(USAGE)


def complain(tool: str, message: str, hint: str = "") -> None:
    """Write an error and a hint to standard error."""
    print(f"{tool}: error: {message}", file=sys.stderr)
    if hint:
        print(f"{tool}: hint: {hint}", file=sys.stderr)


def run(parser: Parser, arguments: Sequence[str] | None = None) -> int:
    """Parse, call what the sub-command's parser set as `run`, and return the exit code."""
    tool = parser.prog
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path may have any bytes in it
    try:
        options = parser.parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
    except ToolError as error:
        complain(tool, str(error), error.hint)
    except CryptokiError as error:
        complain(tool, str(error))
    except BrokenPipeError:
        # The reader of our output has seen enough; Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(tool, f"{where}{error.strerror or type(error).__name__}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary: no traceback ever
        complain(tool, f"a bug of ours: {type(error).__name__} {_place(error)}", "please report it with the command")
    else:
        return code
    return FAILED


def _place(error: BaseException) -> str:
    """Return the innermost frame of an exception as `module:line`."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: ruled on a terminal, aligned columns two blanks apart anywhere else."""
    if sys.stdout.isatty() and _print_ruled(headings, rows):
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_ruled(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Print the table with rich; false if rich is not installed."""
    try:
        from rich.console import Console  # noqa: PLC0415 - costs more than most commands
        from rich.table import Table  # noqa: PLC0415 - as above
    except ImportError:
        return False
    table = Table(*headings)
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console().print(table)
    return True

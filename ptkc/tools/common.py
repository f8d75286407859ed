"""What all commands share: arguments, errors as messages, questions, tables, progress, exit codes.

Results alone go to standard output; everything else goes to standard error with the tool's name before it, as
`ptkc: error: …` and `ptkc: hint: …`. There is never a traceback. Exit codes: 0 done, 1 it could not be done (or, of a
check, something is wrong), 2 the arguments are wrong, 130 interrupted.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ptkc.spec.errors import CryptokiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "FAILED", "OK", "USAGE", "EndOfInputError", "Failures", "Parser", "ToolError", "complain", "confirm",
    "is_refusal", "named", "note", "print_json", "print_table", "progress", "read_line", "reason", "run",
]  # fmt: skip

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


class EndOfInputError(ToolError):
    """A question that nobody can answer: standard input is at its end."""


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in the tools' way."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, without the usage."""
        complain(self.prog.split()[0], message, f"see `{self.prog} --help`")
        sys.exit(USAGE)


def complain(tool: str, message: str, hint: str = "") -> None:
    """Write an error and a hint to standard error."""
    note(tool, f"error: {message}")
    if hint:
        note(tool, f"hint: {hint}")


def note(tool: str, message: str) -> None:
    """Write a line that is no result to standard error, behind what was printed so far."""
    sys.stdout.flush()
    print(f"{tool}: {message}", file=sys.stderr, flush=True)


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
    except BrokenPipeError:
        # The reader of our output has seen enough; Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary: no traceback ever
        complain(tool, *reason(error))
    else:
        return code
    return FAILED


# Errors


def is_refusal(error: BaseException) -> bool:
    """Whether an exception is a return code that python-pkcs11 raised; if that is not loaded, none is."""
    module = sys.modules.get("pkcs11.exceptions")
    return module is not None and isinstance(error, module.PKCS11Error)


# What to do about return codes that say little by themselves.
_HINTS = {
    "CKR_PIN_INCORRECT": "after the third wrong PIN in a row each further one makes the token wait longer",
    "CKR_PIN_LOCKED": "after wrong PINs the token waits, 5 seconds a wrong PIN from the third on: try again later",
    "CKR_PIN_LEN_RANGE": "a PIN has 4 to 32 characters, under Increased Security 8 at least",
    "CKR_DEVICE_MEMORY": "the disk with the HSM's data is full, or a limit is reached: make room and try again",
    "CKR_DEVICE_REMOVED": "the HSM is not there any more: look with `ptkc hsm list` and `ptkc doctor`",
    "CKR_DEVICE_RESET": "the HSM was started anew: try again",
    "CKR_DEVICE_ERROR": "see `ptkc doctor`",
    "CKR_CERT_NOT_VALIDATED": (
        "secure messaging needs the HSM's certificate: `ctident fetch-certs all` fetches it; if it is there, the HSM "
        "has got another one, or this is another HSM"
    ),
    "CKR_CANNOT_DERIVE_KEYS": "no channel: the HSM did not prove to be the one whose certificate this client holds",
    "CKR_SMS_ERROR": (
        "the HSM does not prove what it says; if that is because it has no identity yet, name it by "
        "ET_PTKC_SMS_NEW_HSMS=<serial> until it has. A log, which ET_PTKC_LOGGER_FILE names, says why"
    ),
    "CKR_BAD_PROTECTION": "the HSM's security flags want secure messaging, with more protection than there was",
    "CKR_KEY_NOT_WRAPPABLE": (
        "a sensitive key leaves only under a sensitive key that does nothing but wrap and unwrap: `ctkmu c -taes -z256 "
        "-aPTMWU -n<label>` makes one; docs/security.md says why"
    ),
    "CKR_WRAPPING_KEY_SIZE_RANGE": "the wrapping key is too short for this key, or weaker than it: take a longer one",
    "CKR_TOKEN_WRITE_PROTECTED": "the HSM's directory cannot be written: see `ptkc doctor`",
}


def reason(error: BaseException) -> tuple[str, str]:
    """Return what to say of an exception, and the hint: never a value that a bug's message may hold."""
    if isinstance(error, ToolError):
        return str(error), error.hint
    if isinstance(error, CryptokiError):
        return str(error), ""
    if is_refusal(error):
        from ptkc.vendor import describe  # noqa: PLC0415 - it is loaded, or there were no refusal

        text = describe(error)
        return text, _HINTS.get(text.partition(":")[0], "")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or type(error).__name__}", ""
    return f"a bug of ours: {type(error).__name__} {_place(error)}", "please report it with the command"


@contextlib.contextmanager
def named(where: str) -> Iterator[None]:
    """Do something for one HSM, `where`; what is refused becomes a ToolError that names it."""
    try:
        yield
    except EndOfInputError:
        raise
    except Exception as error:
        if not _is_known(error):
            raise
        message, hint = reason(error)
        raise ToolError(f"{where}: {message}", hint) from None


def _is_known(error: Exception) -> bool:
    """Whether an exception is something that the user can know, and no bug of ours."""
    if isinstance(error, OSError):
        return not isinstance(error, BrokenPipeError)
    return isinstance(error, (ToolError, CryptokiError)) or is_refusal(error)


class Failures:
    """What went wrong in a list of HSMs, where the others go on: said at once, counted for the exit code."""

    def __init__(self, tool: str) -> None:
        """Complain in the name of `tool`."""
        self.tool = tool
        self.count = 0
        self._last = ""

    @contextlib.contextmanager
    def of(self, where: str) -> Iterator[None]:
        """Do something for one HSM, `where`; if it fails say so, and go on behind the block."""
        try:
            yield
        except EndOfInputError:
            raise  # the questions about the other HSMs have no answer either
        except Exception as error:
            if not _is_known(error):
                raise
            self.add(where, *reason(error))

    def add(self, where: str, message: str, hint: str = "") -> None:
        """Say and count a failure; the hint only if it is not the last one again."""
        self.count += 1
        complain(self.tool, f"{where}: {message}", hint if hint != self._last else "")
        self._last = hint

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return FAILED if self.count else OK


def _place(error: BaseException) -> str:
    """Return the innermost frame of an exception as `module:line`."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


# Questions


def read_line(prompt: str, *, hidden: bool = False) -> str | None:
    """Ask for a line on the terminal, or read the next line of standard input; None at its end.

    Hidden input is not echoed. Scripts pipe PINs and answers, a line each, in the order in which they are asked for;
    the prompts go to standard error all the same, so that a script's output shows what was asked.
    """
    sys.stdout.flush()
    if sys.stdin is None:
        return None
    if not sys.stdin.isatty():
        print(prompt.rstrip(), file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None
    try:
        if hidden:
            import getpass  # noqa: PLC0415 - for terminals only

            return getpass.getpass(prompt, sys.stderr)
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
    except EOFError:
        print(file=sys.stderr)
        return None
    return line.rstrip("\n") if line else None


def confirm(question: str, *, yes: bool = False) -> bool:
    """Ask a question whose answer is no unless it is `y` or `yes`; `--yes` has answered it."""
    if yes:
        return True
    return (read_line(f"{question} [y/N] ") or "").strip().lower() in ("y", "yes")


# Results


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


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Give a function to call after each of `total` steps; on a terminal a bar shows them, on standard error."""
    if not sys.stderr.isatty() or total < _WORTH_A_BAR:
        yield lambda: None
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - costs more than most commands
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 - as above
    except ImportError:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # rich may put results above the bar if they go to the terminal too, never those that go to a file.
    shared = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=shared) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


_WORTH_A_BAR = 2

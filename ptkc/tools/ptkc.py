"""`ptkc`: the hand on the hardware. Where the module is, how it is configured, what is wrong with it; the HSMs.

Most sub-commands only read. `channel` and `appliance` load the provider as the vendor's tools do, the others do not.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ptkc import __version__
from ptkc.configuration import Configuration
from ptkc.tools import appliance, channels, common, devices, doctor, hsm, importing, serve

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

__all__ = ["add_report", "main", "parser"]


def parser() -> common.Parser:
    """Return the parser; documentation and completion are made from it."""
    top = common.Parser(prog="ptkc", description="A software HSM behind PKCS#11.", epilog=_EPILOG)
    top.add_argument("--version", action="version", version=f"ptkc {__version__}")
    commands = top.add_subparsers(title="commands", metavar="command", required=True)

    module = commands.add_parser("module", help="print the path of the PKCS#11 module", description=_module.__doc__)
    module.set_defaults(run=_module)

    config = commands.add_parser("config", help="show the configuration items", description=_config.__doc__)
    config.add_argument("--json", action="store_true", help="print JSON")
    config.set_defaults(run=_config)

    check = commands.add_parser("doctor", help="say what is wrong and what to do", description=_doctor.__doc__)
    add_report(check)

    words = commands.add_parser("completion", help="print a completion script", description=_completion.__doc__)
    words.add_argument("shell", choices=("bash",), help="the shell it is for")
    words.set_defaults(run=_completion)

    hsm.add_commands(commands)
    serve.add_commands(commands)
    channels.add_commands(commands)
    appliance.add_commands(commands)
    importing.add_commands(commands)
    return top


def add_report(parser: ArgumentParser) -> None:
    """Add the arguments of the doctor to a parser, and have it examine."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    parser.set_defaults(run=_doctor)


_EPILOG = "Exit codes: 0 done, 1 it could not be done or something is wrong, 2 wrong arguments, 130 interrupted."


def _module(_: Namespace) -> int:
    """Print the path of the PKCS#11 module, for `--module`, `ssh -I` and configuration files."""
    path = doctor.module_path()
    if not os.path.exists(path):
        raise common.ToolError(f"{path} is not there", "build it with `make build`, or install the package again")
    print(path)
    return common.OK


def _config(options: Namespace) -> int:
    """Show each configuration item, its value and the level it comes from."""
    configuration = Configuration()
    rows = []
    for name, setting in configuration.settings.items():
        rows.append((name, configuration.value(name), setting.level, setting.source))
    if options.json:
        names = ("item", "value", "level", "source")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        common.print_json({"items": found, "problems": configuration.problems, "unknown": configuration.unknown})
    else:
        shown = [(name, value or "", level, source) for name, value, level, source in rows]
        common.print_table(("item", "value", "level", "source"), shown)
        for problem in configuration.problems:
            print(f"ptkc: warning: {problem}", file=sys.stderr)
    return common.OK


def _doctor(options: Namespace) -> int:
    """Check installation, configuration, directories and HSMs; change nothing. Exit code 1 if there is an error."""
    findings = doctor.examine(Configuration())
    errors = sum(finding.state == doctor.ERROR for finding in findings)
    if options.json:
        common.print_json({"errors": errors, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            if options.quiet and finding.state in (doctor.FINE, doctor.NOTE):
                continue
            print(f"{finding.state:<8}{finding.check:<14}{finding.text}")
            if finding.hint:
                print(f"{'':<22}hint: {finding.hint}")
    return common.FAILED if errors else common.OK


def _completion(_: Namespace) -> int:
    """Print the completion of all tools as a script: eval "$(ptkc completion bash)" in ~/.bashrc."""
    from ptkc.tools import manual  # noqa: PLC0415 - it loads all tools

    print(manual.completion(), end="")
    return common.OK


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser(), devices.glued(sys.argv[1:])))


if __name__ == "__main__":
    main()

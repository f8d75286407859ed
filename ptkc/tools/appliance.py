"""`ptkc appliance`: the two commands of the appliance's shell that concern secure messaging (`psesh:> hsm cert`).

A machine that houses an HSM has users of its own, admin, pseoperator and audit, whose commands talk to the HSM as any
client does. Each has a certificate store; until it holds the HSM's chain, commands that need a session are refused
under secure messaging. The name of the user is all the log-on there is (ours), and of the shell there is no more.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ptkc.configuration import Configuration
from ptkc.tools import common, devices

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["USERS", "add_commands", "store_of"]

USERS = ("admin", "pseoperator", "audit")
"""The users of an appliance that may work with its HSM."""

_STORE = "ET_PTKC_GENERAL_CERT_STORE"
_BELOW = "appliance"


def add_commands(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add `appliance hsm cert` and `appliance hsm status` to the parser of `ptkc`."""
    top = commands.add_parser(
        "appliance", help="what the appliance's shell does with its HSM", description=" ".join((__doc__ or "").split())
    )
    hsm = top.add_subparsers(title="commands", metavar="command", required=True).add_parser(
        "hsm", help="the HSM that the appliance houses", description="The HSM that the appliance houses."
    )
    subs = hsm.add_subparsers(title="commands", metavar="command", required=True)
    for name, run, text in (
        ("cert", _cert, "export the HSM's certificate chain to the user's trust store"),
        ("status", _status, "show what the HSM says of itself, in a session of the user's"),
    ):
        made = subs.add_parser(name, help=text, description=" ".join((run.__doc__ or "").split()))
        made.add_argument("--user", choices=USERS, required=True, help="the user of the appliance who is logged on")
        made.add_argument(
            "devices", metavar=devices.DEVICES, nargs="?", default=devices.ALL, help="which HSMs: all by default"
        )
        made.set_defaults(run=run, tool="ptkc")
        if run is _cert:
            made.add_argument("--yes", action="store_true", help="answer all questions with yes")


def store_of(user: str) -> str:
    """Return the directory of the certificates that a user of the appliance trusts, inside the client's own store."""
    own = Configuration().certificate_store
    if own is None:
        raise common.ToolError("there is no certificate store", f"set {_STORE}; see `ptkc doctor`")
    return os.path.join(own, _BELOW, user)


def _cert(options: Namespace) -> int:
    """Export the HSM's certificate chain to the trust store of this user of the appliance.

    Each user needs it once, and again when the HSM has got another PIC, which is asked about. No PIN is needed.
    """
    from ptkc.tools.ctident_store import fetch_certs  # noqa: PLC0415 - loads cryptography

    directory = store_of(options.user)
    os.makedirs(os.path.dirname(os.path.dirname(directory)), mode=0o700, exist_ok=True)
    os.environ[_STORE] = directory  # the level above all files
    return fetch_certs(options)


def _status(options: Namespace) -> int:
    """Show what the HSM says of itself, in a session of this user of the appliance.

    While the HSM demands secure messaging it fails for a user who has not done `hsm cert`.
    """
    os.environ[_STORE] = store_of(options.user)
    failures = common.Failures("ptkc")
    for device in devices.select(options.devices, devices.connect()):
        with failures.of(f"HSM {device.serial}"):
            print(f"HSM {device.serial}: {_said(device, options.user)}")
    return failures.exit_code


def _said(device: Any, user: str) -> str:  # noqa: ANN401 - a Device
    """Return an HSM's state; ToolError that says what this user lacks."""
    from ptkc.tools import adapter  # noqa: PLC0415 - loaded with the library

    try:
        status = adapter.status(device)
    except RuntimeError as error:
        text, hint = common.reason(error)
        if not text.startswith("CKR_CERT_NOT_VALIDATED"):
            raise common.ToolError(text, hint) from None
        message = f"it demands secure messaging, and {user} does not hold its certificate: {text}"
        raise common.ToolError(message, f"`ptkc appliance hsm cert --user {user}` fetches it") from None
    parts = (
        "ready" if status.initialised else "not initialised",
        f"security mode: {adapter.modes(status.mode)}",
        f"secure messaging: {adapter.messaging(status.mode)}",
        f"battery {status.battery}",
        f"tampers {status.tampers}",
    )
    return "; ".join(parts)

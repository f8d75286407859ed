"""PINs: whose they are, where they come from, and what a refused one means.

A PIN is the value of an environment variable (`PTKC_ADMIN_PIN_1197` of one HSM before `PTKC_ADMIN_PIN` of all), else it
is asked for: without echo on a terminal, as the next line of standard input where that is no terminal. At the end of
the input there is one error. A PIN is never printed, and never part of a message.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ptkc.tools import common

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ADMIN", "ASO", "SO", "USER", "Role", "ask", "ask_new", "check_new", "fits", "log_in"]


_LENGTHS = 4, 32  # bytes of a PIN, unless the security flags want more


class Role(NamedTuple):
    """Whose PIN it is: as prompts call it, its environment variable, python-pkcs11's keyword for it."""

    name: str
    variable: str
    keyword: str


ADMIN = Role("Admin PIN", "PTKC_ADMIN_PIN", "user_pin")
ASO = Role("ASO PIN", "PTKC_ASO_PIN", "so_pin")
SO = Role("SO PIN", "PTKC_SO_PIN", "so_pin")
USER = Role("user PIN", "PTKC_USER_PIN", "user_pin")


def ask(role: Role, serial: str, where: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Return the PIN of `role` on the HSM with that serial number; `where` names the token in the prompt."""
    found = _variable(role, serial, os.environ if environment is None else environment)
    where = where or f"HSM {serial}"
    return _checked(common.read_line(f"{role.name} of {where}: ", hidden=True), role, where) if found is None else found


def ask_new(
    role: Role,
    serial: str,
    where: str = "",
    environment: Mapping[str, str] | None = None,
    lengths: tuple[int, int] = _LENGTHS,
) -> str:
    """Return a PIN that is being set, asked for twice; a variable needs no second entry."""
    found = _variable(role, serial, os.environ if environment is None else environment)
    where = where or f"HSM {serial}"
    if found is not None:
        return check_new(found, role, where, lengths)
    first = _checked(common.read_line(f"New {role.name} of {where}: ", hidden=True), role, where)
    check_new(first, role, where, lengths)
    again = _checked(common.read_line(f"New {role.name} of {where}, once more: ", hidden=True), role, where)
    if first != again:
        raise common.ToolError(f"the two entries of the new {role.name} differ", "nothing was changed: try again")
    return first


def check_new(pin: str, role: Role, where: str, lengths: tuple[int, int] = _LENGTHS) -> str:
    """Return a PIN that can be set; the HSM says no too, but a command may have changed something by then."""
    if not fits(pin, lengths):
        text = f"the new {role.name} of {where} is too short or too long"
        raise common.ToolError(text, "a PIN has {} to {} characters".format(*lengths))
    return pin


def fits(pin: str, lengths: tuple[int, int]) -> bool:
    """Whether a PIN is as long as a token's PINs are (`slots.Place.pin_lengths`)."""
    return lengths[0] <= len(pin.encode()) <= lengths[1]


def _variable(role: Role, serial: str, environment: Mapping[str, str]) -> str | None:
    """Return the PIN that the environment gives, None if it gives none."""
    return environment.get(f"{role.variable}_{serial}") or environment.get(role.variable) or None


def _checked(pin: str | None, role: Role, where: str) -> str:
    """Return a PIN that was entered; ToolError if none was, or it is no text."""
    if pin is None:
        hint = f"enter it, write it to standard input as a line, or set {role.variable}"
        raise common.EndOfInputError(f"no {role.name} of {where}: the input is at its end", hint)
    if not pin:
        raise common.ToolError(f"no {role.name} of {where}: an empty line", "a PIN has 4 to 32 characters")
    try:
        pin.encode()
    except UnicodeEncodeError:
        raise common.ToolError(f"the {role.name} of {where} is no UTF-8 text") from None
    return pin


def log_in(  # python-pkcs11's are untyped
    token: Any,  # noqa: ANN401
    role: Role,
    serial: str,
    where: str = "",
    pin: str | None = None,
    *,
    rw: bool = True,
) -> Any:  # noqa: ANN401
    """Ask for a PIN, unless one is given, and return a session with `role` logged in, read/write by default."""
    pin = ask(role, serial, where) if pin is None else pin
    try:
        return token.open(rw=rw, **{role.keyword: pin})
    except RuntimeError as error:
        if not common.is_refusal(error):
            raise
        message, hint = common.reason(error)
        raise common.ToolError(f"{role.name} refused: {message}", hint) from None

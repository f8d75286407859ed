"""`ctconf`: an HSM's configuration. Shows it, sets it up, and changes what the Administrator may change.

Everything is done by objects of the Admin token and by the vendor's functions; the HSM decides. What it would refuse
is looked up before a PIN is asked for, so that the reason can be said.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pkcs11 import TokenFlag

from ptkc.hsm import policy
from ptkc.spec.constants import CKF
from ptkc.token.events import Event, event_name
from ptkc.tools import adapter, arguments, common, devices, pins, slots
from ptkc.tools.ctconf_show import show
from ptkc.vendor import Attribute, ObjectClass, fetch_certificate, init_admin, initialise_token, reset_token

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from ptkc.vendor import Device

__all__ = ["main", "parser"]

_TOOL = "ctconf"
_LARGEST_LABEL = 32
_MOST_SLOTS = 1000


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        _TOOL,
        "Show and change the configuration of an HSM. Without an option that changes something it is printed, of all "
        "HSMs or of one; an HSM whose Admin token is not initialised, new or after a tamper, is set up first: the PINs "
        "of the Administration Security Officer and of the Administrator are asked for, each twice, and its clock can "
        "be synchronised. Changes need the Admin PIN, and are made to device 0 if -a does not say otherwise.",
        environment=("PTKC_ADMIN_PIN", "PTKC_ASO_PIN", "PTKC_SO_PIN"),
        examples=(
            ("ctconf -a0", "set device 0 up, or print its configuration"),
            ("ctconf -asn:1197 -ftc", "set Tamper Before Upgrade and No Public Crypto, and no other flags"),
            ("ctconf -c2", "create two user slots"),
            ("ctconf -n0", "initialise the token in slot 0"),
        ),
    )
    top.add_argument("-a", dest="device", metavar=devices.DEVICE, help="the HSM: a device number or sn:<serial>")
    actions = top.add_mutually_exclusive_group()
    for letter, value, run, kind in _ACTIONS:
        meaning = arguments.one_line(run)
        if not value:
            actions.add_argument(f"-{letter}", dest=letter, action="store_true", help=meaning)
        else:
            actions.add_argument(f"-{letter}", dest=letter, metavar=value, type=kind, help=meaning)
    top.add_argument("-v", dest="verbose", action="store_true", help="print the slots too; set nothing up")
    top.add_argument("--yes", action="store_true", help="answer questions with yes")
    top.add_argument("--json", action="store_true", help="print JSON; set nothing up")
    top.set_defaults(run=_run)
    return top


def _run(options: Namespace) -> int:
    """Do the one thing that was asked for."""
    found = devices.connect()
    for letter, _, run, _ in _ACTIONS:
        given = getattr(options, letter)
        if given is not None and given is not False:
            run(options, found, given)
            return common.OK
    chosen = found if options.device is None else [devices.one(options.device, found)]
    if not (options.json or options.verbose):
        for device in chosen:
            _set_up(device, yes=options.yes)
    show(chosen, options)
    return common.OK


# Set-up


def _set_up(device: Device, *, yes: bool) -> None:
    """Give an Admin token its PINs if it has none, and synchronise the clock if that is wanted."""
    token = device.admin
    if token.flags & TokenFlag.USER_PIN_INITIALIZED:
        return
    where = f"HSM {device.serial}"
    if adapter.status(device).tampers:
        common.note(_TOOL, f"{where} was tampered with: {_GONE}")
    common.note(_TOOL, f"the Admin token of {where} (device {device.number}) is not initialised: set its PINs")
    ask = pins.ask if token.flags & TokenFlag.TOKEN_INITIALIZED else pins.ask_new
    so_pin = ask(pins.ASO, device.serial)
    pin = pins.ask_new(pins.ADMIN, device.serial)
    init_admin(device.admin_slot, so_pin, pin)
    common.note(_TOOL, f"the Admin token of {where} is initialised")
    with device.admin.open(rw=True, user_pin=pin) as session:
        for each in [each for each in adapter.events(session) if each.code == Event.TAMPER][-1:]:
            when = adapter.local_time(adapter.seconds(each.time))
            common.note(_TOOL, f"the tamper was at {when}, {each.detail}")
        if common.confirm(f"Synchronise the clock of {where} with this machine's?", yes=yes):
            adapter.clock(session, time.time())


_GONE = "its user tokens, PINs and security flags are gone, its identity and the peers' certificates are not"


# Changes

_REFUSALS = {
    "CKR_ACTION_PROHIBITED": "slots would be renumbered under other programs that use this HSM: end them and try again",
}


def _device(options: Namespace, found: list[Device]) -> Device:
    """Return the HSM that -a names, device 0 without it."""
    return found[0] if options.device is None else devices.one(options.device, found)


def _place(options: Namespace, found: list[Device], number: int) -> slots.Place:
    """Return a user slot, which must be of the HSM that -a names if it names one."""
    place = slots.at(number, found)
    if options.device is not None and place.device != devices.one(options.device, found):
        raise common.ToolError(f"slot {number} is of device {place.device.number}", "leave -a out, or name this device")
    if place.is_admin:
        raise common.ToolError(f"slot {number} is the Admin slot", "it can be neither deleted nor reset")
    return place


def _administrator(device: Device, *, rw: bool = True) -> Any:  # noqa: ANN401 - python-pkcs11's session
    """Return a session of the Administrator of an HSM."""
    return slots.user(slots.every([device])[-1], rw=rw)


def _create(options: Namespace, found: list[Device], count: int) -> None:
    """Create user slots: how many. Refused while other programs use the HSM."""
    device = _device(options, found)
    if not 0 < count <= _MOST_SLOTS:
        raise common.ToolError(f"{count} slots cannot be created", f"1 to {_MOST_SLOTS} at once")
    with _administrator(device) as session, slots.hinted(_REFUSALS):
        for _ in range(count):
            session.create_object({Attribute.CLASS: ObjectClass.SLOT, Attribute.TOKEN: True})
    show([devices.again(device)], options, verbose=True)


def _delete(options: Namespace, found: list[Device], number: int) -> None:
    """Delete a user slot, its token and its objects. The numbers of the slots behind it change."""
    place = _place(options, found, number)
    if not common.confirm(f"Delete {place.name} and all its objects for ever?", yes=options.yes):
        raise common.ToolError("nothing was deleted")
    within = [slot.slot_id for slot in place.device.slots].index(place.number)
    with _administrator(place.device) as session, slots.hinted(_REFUSALS):
        (slot,) = session.get_objects({Attribute.CLASS: ObjectClass.SLOT, Attribute.SLOT_ID: within})
        slot.destroy()
    show([devices.again(place.device)], options, verbose=True)


def _events(options: Namespace, found: list[Device], _: bool) -> None:  # noqa: FBT001 - as all actions
    """Show the event log."""
    device = _device(options, found)
    with _administrator(device, rw=False) as session:
        records = adapter.events(session)
    fields = ("number", "time", "event", "detail")
    rows = [
        (str(each.number), adapter.local_time(adapter.seconds(each.time)), event_name(each.code), each.detail)
        for each in records
    ]
    if options.json:
        common.print_json({"events": [dict(zip(fields, row, strict=True)) for row in rows]})
    else:
        common.print_table(fields, rows)


def _flags(options: Namespace, found: list[Device], mode: int) -> None:
    """Set the security flags by their letters; these are then all that are set, and 0 clears them."""
    device = _device(options, found)
    before = adapter.status(device).mode
    has_identity = fetch_certificate(device.number, Attribute.LOCAL_IDENTITY_CERT) is not None
    policy.check_mode(before, mode, has_identity=has_identity)
    with _administrator(device) as session:
        if mode & ~before & CKF.MODE_LOCKED:
            question = f"Lock the flags of HSM {device.serial} as {adapter.modes(mode)}? Only a tamper unlocks them."
            if not common.confirm(question, yes=options.yes):
                raise common.ToolError("the flags were not changed")
        adapter.adapter(session)[Attribute.SECURITY_MODE] = mode
    show([device], options)


def _transport(options: Namespace, found: list[Device], mode: int) -> None:
    """Set the transport mode: 0 none, 1 single (until the next restart), 2 continuous."""
    device = _device(options, found)
    with _administrator(device) as session:
        adapter.adapter(session)[Attribute.TRANSPORT_MODE] = mode
    show([device], options)


def _initialise(options: Namespace, found: list[Device], number: int) -> None:
    """Initialise the token in a slot: its label and SO PIN are asked for."""
    place = _place(options, found, number)
    if place.has(TokenFlag.TOKEN_INITIALIZED):
        raise common.ToolError(f"the token in {place.name} is initialised already", f"`ctconf -r{number}` resets it")
    with _administrator(place.device) as session:
        label = _label(place)
        initialise_token(session, place.number, pins.ask_new(pins.SO, place.device.serial, place.name), label)
    common.note(_TOOL, f"the token in slot {number} is initialised; `ctkmu p -s{number}` sets its user PIN")
    show([devices.again(place.device)], options, verbose=True)


def _reset(options: Namespace, found: list[Device], number: int) -> None:
    """Reset the token in a slot: its objects and user PIN go, it gets a label and an SO PIN."""
    place = _place(options, found, number)
    slots.require_initialised(place)
    if not common.confirm(f"Erase all objects of {place.name}?", yes=options.yes):
        raise common.ToolError("nothing was erased")
    session = slots.officer(place)
    label = _label(place)
    # The call closes the session. The variable, if there is one, holds the old PIN.
    reset_token(session, pins.ask_new(pins.SO, place.device.serial, place.name, {}), label)
    common.note(_TOOL, f"the token in slot {number} is reset; `ctkmu p -s{number}` sets its user PIN")
    show([devices.again(place.device)], options, verbose=True)


def _label(place: slots.Place) -> str:
    """Ask for the label of a token."""
    label = common.read_line(f"Label of the token in slot {place.number}: ")
    if not label:
        raise common.EndOfInputError("no label was given", "write it to standard input, after the PIN before it")
    if len(os.fsencode(label)) > _LARGEST_LABEL:
        raise common.ToolError(f"{label!r} is longer than 32 bytes", "choose a shorter label")
    return label


def _synchronise(options: Namespace, found: list[Device], _: bool) -> None:  # noqa: FBT001 - as all actions
    """Synchronise the HSM's clock with this machine's."""
    device = _device(options, found)
    with _administrator(device) as session:
        adapter.clock(session, time.time())
    show([device], options)


def _purge(options: Namespace, found: list[Device], _: bool) -> None:  # noqa: FBT001 - as all actions
    """Purge the event log, which must be full."""
    device = _device(options, found)
    status = adapter.status(device)
    if not status.log_full:
        hint = "records are the evidence of what was done: they can be purged only when there is no more room"
        raise common.ToolError(f"CKR_EVENT_LOG_NOT_FULL: the event log has {status.events} records", hint)
    with _administrator(device) as session:
        adapter.event_log(session)[Attribute.PURGE] = True
    show([device], options)


def _tamper(options: Namespace, found: list[Device], _: bool) -> None:  # noqa: FBT001 - as all actions
    """Tamper with the HSM: its user tokens, PINs and flags are erased at once."""
    if options.device is None and len(found) > 1:
        raise common.ToolError("there are several HSMs", "name the one that is meant by -a")
    device = _device(options, found)
    question = f"Erase all user tokens, PINs and security flags of HSM {device.serial} for ever?"
    if not common.confirm(question, yes=options.yes):
        raise common.ToolError("nothing was erased")
    # The session ends with the tamper.
    adapter.adapter(_administrator(device))[Attribute.TAMPER_CMD] = True
    common.note(_TOOL, f"HSM {device.serial} is tampered with: {_GONE}; `ctconf -a{device.number}` sets it up again")


def _letters(text: str) -> int:
    """Return the flags that letters mean, for argparse."""
    try:
        return policy.mode_of(text)
    except ValueError as error:
        known = ", ".join(f"{flag.letter} {flag.name}" for flag in policy.FLAGS)
        message = f"no security flag has the letter {error}: 0 none, F FIPS Mode, {known}"
        raise argparse.ArgumentTypeError(message) from None


def _transport_mode(text: str) -> int:
    """Return a transport mode, for argparse."""
    if text not in ("0", "1", "2"):
        raise argparse.ArgumentTypeError(f"{text!r} is no transport mode: 0 none, 1 single, 2 continuous")
    return int(text)


# letter, value's name, what it does, how the value is read
_ACTIONS: tuple[tuple[str, str, Callable[[Namespace, list[Device], Any], None], Callable[[str], Any]], ...] = (
    ("c", "<n>", _create, arguments.number),
    ("d", "<slot>", _delete, arguments.number),
    ("e", "", _events, str),
    ("f", "<flags>", _flags, _letters),
    ("m", "<0|1|2>", _transport, _transport_mode),
    ("n", "<slot>", _initialise, arguments.number),
    ("t", "", _synchronise, str),
    ("p", "", _purge, str),
    ("r", "<slot>", _reset, arguments.number),
    ("x", "", _tamper, str),
)


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser(), devices.glued(sys.argv[1:])))


if __name__ == "__main__":
    main()

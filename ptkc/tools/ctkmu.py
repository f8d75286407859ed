"""`ctkmu`: keys on a token. Make, list, change, delete, back up; initialise tokens and set PINs.

Files of keys are in `keyfiles`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from pkcs11 import DEFAULT, MechanismInvalid, TokenFlag

from ptkc.tools import arguments, common, keyfiles, objects, pins, slots
from ptkc.vendor import Attribute, ObjectClass, init_admin

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

__all__ = ["main", "parser"]

_TOOL = "ctkmu"
_ID_LENGTH = 8
_LARGEST_LABEL = 32
_ANY = 64  # python-pkcs11 wants a number even where the template does not take it


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        _TOOL,
        "Manage the keys of a token, and its PINs. A PIN that no option and no variable gives is asked for.",
        environment=("PTKC_USER_PIN", "PTKC_SO_PIN", "PTKC_ADMIN_PIN", "PTKC_ASO_PIN"),
    )
    commands = top.add_subparsers(title="commands", metavar="command", required=True)
    _make(commands)
    listing = arguments.command(commands, "l", _list, examples=(("ctkmu l", "slots"), ("ctkmu l -s0", "keys")))
    arguments.slot(listing, required=False, meaning="the slot; without it all slots are listed")
    listing.add_argument("-n", dest="label", metavar="<label>", help="only objects with this label")
    listing.add_argument("--json", action="store_true", help="print JSON")
    _pins(listing, officer=False)

    deletion = arguments.command(commands, "d", _delete, examples=(("ctkmu d -s1 -nold", "delete `old`"),))
    arguments.slot(deletion)
    _label(deletion)
    deletion.add_argument("--yes", action="store_true", help="delete all of several objects with the label")
    _pins(deletion, officer=False)

    pin = arguments.command(commands, "p", _pin, examples=(("ctkmu p -s0", "set or change the user PIN of slot 0"),))
    arguments.slot(pin)
    pin.add_argument("-O", dest="change_officer", action="store_true", help="change the SO PIN instead (ours)")
    _pins(pin)

    token = arguments.command(commands, "t", _token, examples=(("ctkmu t -s0 -lKEYS", "initialise it"),))
    arguments.slot(token)
    token.add_argument("-l", dest="label", metavar="<label>", required=True, help="its label, at most 32 bytes")
    _pins(token)

    change = arguments.command(
        commands, "m", _modify, examples=(("ctkmu m -s0 -nk -aE -rX", "let k encrypt, and never leave the HSM"),)
    )
    arguments.slot(change)
    _label(change)
    _letters(change, "-a", "given", "letters of attributes to set, as for `ctkmu c`")
    _letters(change, "-r", "taken", "letters of attributes to clear (ours)")
    change.add_argument("-N", dest="new_label", metavar="<label>", help="a new label (ours)")
    _pins(change)
    keyfiles.add(commands, _pins)
    return top


def _make(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the sub-command that makes keys."""
    making = arguments.command(
        commands,
        "c",
        _create,
        examples=(
            ("ctkmu c -s0 -taes -nk1 -z256", "a 256-bit AES key with the usual attributes"),
            ("ctkmu c -s0 -z2048 -nexternal1 -aPX -trsa", "an RSA key pair that may be exported"),
            ("ctkmu c -s0 -tec -Csecp256r1 -nsigner -a P T S V", "an EC key pair to sign with"),
        ),
    )
    arguments.slot(making)
    known = ", ".join(f"{name} ({making.bits or 'one size'})" for name, making in objects.KEY_TYPES.items())
    making.add_argument(
        "-t", dest="type", metavar="<type>", required=True, type=str.lower, choices=tuple(objects.KEY_TYPES),
        help=f"key type and its bits without -z: {known}",
    )  # fmt: skip
    _label(making)
    attributes = ", ".join(f"{letter} {name}" for letter, name in objects.LETTERS.items())
    meaning = f"attribute letters, one word or more, without it the type's usual ones: {attributes}"
    _letters(making, "-a", "given", meaning, nargs="+")
    making.add_argument("-z", dest="bits", metavar="<bits>", type=arguments.number, help="size of the key")
    making.add_argument(
        "-C", dest="curve", metavar="<curve>", type=objects.curve, default="secp256r1",
        help=f"curve of an EC key: {', '.join(objects.CURVES)}; without it %(default)s",
    )  # fmt: skip
    _pins(making)


def _label(parser: ArgumentParser) -> None:
    """Add `-n<label>`."""
    parser.add_argument("-n", dest="label", metavar="<label>", required=True, help="label of the key")


def _letters(parser: ArgumentParser, option: str, where: str, meaning: str, **more: Any) -> None:  # noqa: ANN401
    """Add an option of attribute letters."""
    parser.add_argument(option, dest=where, metavar="<letters>", type=objects.letters, help=meaning, **more)


def _pins(parser: ArgumentParser, *, officer: bool = True) -> None:
    """Add the PIN options; others can see them in the list of processes, and the helps say so."""
    warning = "other users of this machine can see it"
    parser.add_argument("-u", dest="user_pin", metavar="<PIN>", help=f"user PIN, Admin PIN of an Admin slot; {warning}")
    if officer:
        parser.add_argument("-o", dest="so_pin", metavar="<PIN>", help=f"SO PIN; {warning}")


# Keys


def _create(options: Namespace) -> int:
    """Make a key or a key pair on a token."""
    making = objects.KEY_TYPES[options.type]
    given = "".join(options.given) if options.given else making.letters
    bits = options.bits or making.bits
    if making.pair is False and bits % 8:
        raise common.ToolError(f"{bits} bits are no whole number of bytes", "leave -z out for the usual size")
    place = slots.at(options.slot)
    with _session(place, options, given) as session, _offered(options.type):
        common_part = {Attribute.ID: os.urandom(_ID_LENGTH)}
        if making.pair:
            public = {**common_part, **objects.template(ObjectClass.PUBLIC_KEY, given)}
            private = {**common_part, **objects.template(ObjectClass.PRIVATE_KEY, given)}
            key_type = making.key_type
            if options.type == "ec":
                key_type = objects.curve_type(options.curve)
                public[Attribute.EC_PARAMS] = objects.parameters(options.curve)
            session.generate_keypair(
                key_type, bits or None, label=options.label, store=True, capabilities=0,
                public_template=public, private_template=private,
            )  # fmt: skip
        else:
            template = {**common_part, **objects.template(ObjectClass.SECRET_KEY, given)}
            if not making.bits:
                template[Attribute.VALUE_LEN] = DEFAULT
            session.generate_key(
                making.key_type, bits or _ANY, label=options.label, store=True, capabilities=0, template=template,
                mechanism=objects.GENERATION.get(options.type),
            )  # fmt: skip
    common.note(_TOOL, f"{options.label} was made on {place.name}")
    return common.OK


def _session(place: slots.Place, options: Namespace, given: str) -> Any:  # noqa: ANN401 - python-pkcs11's session
    """Log in the token's owner; for letters that only the Security Officer gives, to keys that are public, this one."""
    if set(given) & set(objects.BY_OFFICER):
        if "P" in given:
            raise common.ToolError("the Security Officer gives w and I, and sees no private keys", "leave P out")
        return slots.officer(place, options.so_pin)
    return slots.user(place, options.user_pin)


@contextlib.contextmanager
def _offered(kind: str) -> Iterator[None]:
    """Say which keys cannot be made, where the HSM says that there is no such mechanism."""
    try:
        yield
    except MechanismInvalid:
        hint = "they are not offered, or hidden by the security flags"
        raise common.ToolError(f"this HSM makes no {kind} keys", hint) from None


def _delete(options: Namespace) -> int:
    """Delete the object with a label. Of several objects with the label one is chosen, or `all`."""
    place = slots.at(options.slot)
    with slots.user(place, options.user_pin) as session:
        found = objects.named(session, options.label, tuple(objects.KINDS))
        for each in found if options.yes else objects.pick(found, several=True):
            shown = objects.describe(each)
            with slots.hinted(_REFUSALS):
                each.destroy()
            common.note(_TOOL, f"deleted: {shown.kind} {shown.label}")
    return common.OK


_REFUSALS = dict.fromkeys(
    ("CKR_ACTION_PROHIBITED", "CKR_OBJECT_READ_ONLY"),
    "the object says that it cannot be deleted; keys and certificates of the HSM itself are ctident's",
)


def _modify(options: Namespace) -> int:
    """Change attributes of the key with a label. What an attribute allows is the HSM's decision."""
    if not (options.given or options.taken or options.new_label):
        options.parser.error("nothing is to be changed: give -a, -r or -N")
    both = sorted(set(options.given or "") & set(options.taken or ""))
    if both:
        options.parser.error(f"{', '.join(both)} cannot be set and cleared at once")
    place = slots.at(options.slot)
    with _session(place, options, options.given or "") as session:
        for each in objects.pair(objects.named(session, options.label, objects.KEYS)):
            objects.change(each, options.given or "", options.taken or "", options.new_label)
    return common.OK


# Listing


def _list(options: Namespace) -> int:
    """List the objects of a token, or all slots."""
    if options.slot is None:
        return _list_slots(json=options.json)
    place = slots.at(options.slot)
    with slots.user(place, options.user_pin, rw=False) as session:
        found = [objects.describe(each) for each in objects.find(session, options.label, tuple(objects.KINDS))]
    if options.json:
        fields = [each._asdict() for each in found]
        common.print_json({"slot": place.number, "label": place.token.label, "objects": fields})
    elif found:
        rows = [(each.label, each.kind, each.type, each.size, each.letters, each.id) for each in found]
        common.print_table(("label", "object", "type", "size", "attributes", "id"), rows)
    else:
        common.note(_TOOL, f"no objects on {place.name}")
    return common.OK


def _list_slots(*, json: bool) -> int:
    """List all slots and the states of their tokens."""
    rows = []
    for place in slots.every():
        label = place.token.label if place.has(TokenFlag.TOKEN_INITIALIZED) else ""
        kind = "Admin" if place.is_admin else "user"
        rows.append((str(place.number), kind, label, place.device.serial, slots.state(place)))
    if json:
        names = ("slot", "kind", "label", "hsm", "state")
        common.print_json({"slots": [dict(zip(names, (int(row[0]), *row[1:]), strict=True)) for row in rows]})
        return common.OK
    shown = [(*row[:2], row[2] or "<uninitialised token>", *row[3:]) for row in rows]
    common.print_table(("slot", "kind", "label", "HSM", "state"), shown)
    return common.OK


# Tokens and PINs


def _token(options: Namespace) -> int:
    """Initialise the token in a slot: its label, SO PIN and user PIN. Each PIN is asked for twice."""
    if len(os.fsencode(options.label)) > _LARGEST_LABEL:
        raise common.ToolError(f"{options.label!r} is longer than 32 bytes", "choose a shorter label")
    place = slots.at(options.slot)
    if place.is_admin:
        hint = f"`ctconf -asn:{place.device.serial}` initialises the Admin token"
        raise common.ToolError(f"slot {place.number} is the Admin slot", hint)
    if place.has(TokenFlag.TOKEN_INITIALIZED):
        hint = f"`ctconf -r{place.number}` resets it: all its objects go"
        raise common.ToolError(f"the token in {place.name} is initialised already", hint)
    lengths = place.pin_lengths
    so_pin = options.so_pin or pins.ask_new(pins.SO, place.device.serial, place.name, lengths=lengths)
    user_pin = options.user_pin or pins.ask_new(pins.USER, place.device.serial, place.name, lengths=lengths)
    pins.check_new(so_pin, pins.SO, place.name, lengths)
    pins.check_new(user_pin, pins.USER, place.name, lengths)
    init_admin(place.slot, so_pin, user_pin, options.label)
    common.note(_TOOL, f"the token in slot {place.number} is initialised, its label is {options.label}")
    return common.OK


def _pin(options: Namespace) -> int:
    """Set the user PIN of a token by its Security Officer if there is none, else change it."""
    place = slots.at(options.slot)
    role = place.officer if options.change_officer else place.owner
    first = not place.has(TokenFlag.USER_PIN_INITIALIZED) and not options.change_officer
    as_officer = first or options.change_officer
    asked = place.officer if as_officer else place.owner
    slots.require_initialised(place)
    old = (options.so_pin if as_officer else options.user_pin) or pins.ask(asked, place.device.serial, place.name)
    with (slots.officer if as_officer else slots.user)(place, old) as session:
        if first:
            session.init_pin(options.user_pin or pins.ask_new(role, place.device.serial, place.name))
        else:
            # The variable, if there is one, holds the old PIN.
            session.set_pin(old, pins.ask_new(role, place.device.serial, place.name, {}))
    common.note(_TOOL, f"the {role.name} of {place.name} is {'set' if first else 'changed'}")
    return common.OK


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser()))


if __name__ == "__main__":
    main()

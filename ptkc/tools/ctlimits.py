"""`ctlimits`: usage limits of keys: show them, set them, and change them later by tickets that somebody else signs.

A ticket names one key of one token of one HSM and what shall change; the HSM accepts it if it is signed by the key of
the certificate that the target has as CKA_ADMIN_CERT. A key is named by `<token>(<PIN>)/<label>`, where the token is a
label or a slot number; without the PIN it is asked for.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11.exceptions import PKCS11Error

from ptkc.mechanisms import tickets
from ptkc.spec.constants import CKA
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import ulong
from ptkc.tools import arguments, common, files, objects, slots
from ptkc.vendor import Attribute, Mechanism, ObjectClass, present_ticket

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

__all__ = ["main", "parser"]

_TOOL = "ctlimits"
_DAY = 86400
_SKEW = 300  # seconds that the clocks of the signer and of the target may differ
_CLASSES = {
    "secret": ObjectClass.SECRET_KEY,
    "private": ObjectClass.PRIVATE_KEY,
    "public": ObjectClass.PUBLIC_KEY,
}
_SIGNATURES = {
    "RSA": (Mechanism.SHA512_RSA_PKCS, "sha512_rsa"),
    "EC": (Mechanism.ECDSA_SHA512, "sha512_ecdsa"),
}
_SHOWN = {
    "count": Attribute.USAGE_COUNT,
    "limit": Attribute.USAGE_LIMIT,
    "start": Attribute.START_DATE,
    "end": Attribute.END_DATE,
}


class KeySpec(NamedTuple):
    """A key: the token's label or slot number, its PIN if it was given, the key's label."""

    token: str
    pin: str | None
    label: str


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        _TOOL,
        "Limit the use of keys. A key is named as <token>(<PIN>)/<label>; the token is a label or a slot number, and a "
        "PIN that is left out is asked for.",
        environment=("PTKC_USER_PIN", "PTKC_ADMIN_PIN", "PTKC_SO_PIN", "PTKC_ASO_PIN"),
    )
    commands = top.add_subparsers(title="commands", metavar="command", required=True)
    create = arguments.command(
        commands, "ct", _create,
        examples=(("ctlimits ct -kOFFICE/boss -S1197 -i01 -tKEYS -lpayments -L500 new.ticket", "allow 500 uses"),),
    )  # fmt: skip
    _key(create, "the key to sign with")
    create.add_argument("-S", dest="serial", metavar="<serial_no>", required=True, help="serial number of its HSM")
    create.add_argument("-i", dest="id", metavar="<key_id>", required=True, type=_hex, help="its CKA_ID, hexadecimal")
    create.add_argument("-t", dest="token", metavar="<tok_label>", required=True, help="label of its token")
    create.add_argument("-l", dest="label", metavar="<target_label>", required=True, help="label of the target")
    create.add_argument("-m", dest="message", metavar="<message>", default="", help="a message, for people")
    create.add_argument(
        "-d", dest="days", metavar="<days>", type=arguments.number, default=1, help="days it is valid, %(default)s"
    )
    _limits(create, count=False)
    create.add_argument("file", metavar="<filename>", help="the ticket to write")
    create.add_argument("--yes", action="store_true", help="overwrite the file")

    present = arguments.command(
        commands, "pt", _present, examples=(("ctlimits pt new.ticket -kKEYS/payments", "change its limits"),)
    )
    present.add_argument("file", metavar="<filename>", help="the ticket")
    _key(present, "the target")
    _target(present)

    update = arguments.command(
        commands, "up", _update, examples=(("ctlimits up -kKEYS/payments -L100 -cboss.crt", "limit it for now"),)
    )
    _key(update, "the target")
    _target(update)
    _limits(update, count=True)

    view = arguments.command(commands, "vk", _view, examples=(("ctlimits vk -kKEYS/payments", "show its limits"),))
    _key(view, "the target")
    _target(view)
    view.add_argument("--json", action="store_true", help="print JSON")
    return top


def _key(parser: ArgumentParser, meaning: str) -> None:
    """Add the options that name a key and the role that uses it."""
    parser.add_argument(
        "-k", dest="key", metavar="<keyspec>", type=_keyspec, required=True, help=f"{meaning}: <token>(<PIN>)/<label>"
    )
    parser.add_argument(
        "-U", dest="user", metavar="<usertype>", type=str.upper, choices=("USER", "SO"), default="USER",
        help="who logs in: USER or SO, without it %(default)s",
    )  # fmt: skip


def _target(parser: ArgumentParser) -> None:
    """Add the options that tell a target from others with its label."""
    parser.add_argument(
        "-O", dest="kind", metavar="<objtype>", type=str.lower, choices=tuple(_CLASSES),
        help="secret, private or public",
    )  # fmt: skip
    parser.add_argument("-i", dest="id", metavar="<key_id>", type=_hex, help="CKA_ID, hexadecimal")


def _limits(parser: ArgumentParser, *, count: bool) -> None:
    """Add the limits that may be set."""
    if count:
        parser.add_argument("-C", dest="count", metavar="<count>", type=arguments.number, help="uses so far")
    parser.add_argument("-L", dest="limit", metavar="<limit>", type=arguments.number, help="most uses in all")
    parser.add_argument("-s", dest="start", metavar="<date>", type=arguments.date, help="first day, YYYYMMDD")
    parser.add_argument("-e", dest="end", metavar="<date>", type=arguments.date, help="last day, YYYYMMDD")
    parser.add_argument(
        "-c", dest="certificate", metavar="<cert_filename>", help="certificate of the key that may sign tickets"
    )


def _keyspec(text: str) -> KeySpec:
    """Return the parts of a key's name, for argparse."""
    found = re.fullmatch(r"([^(]+?)(?:\((.*)\))?/(.+)", text, re.DOTALL)
    if found is None:
        raise argparse.ArgumentTypeError("a key is named as <token>(<PIN>)/<label>")  # never the text: it has a PIN
    return KeySpec(*found.groups())


def _hex(text: str) -> bytes:
    """Return bytes written in hexadecimal, for argparse."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not hexadecimal") from None


# Keys


def _open(options: Namespace, *, rw: bool = True) -> Any:  # noqa: ANN401 - python-pkcs11's session
    """Log in to the token that the key is on."""
    name, pin, _ = options.key
    places = slots.every()
    found = []
    if pin is not None:
        # The label of an Admin token itself ends with something in parentheses.
        found = [place for place in places if place.token.label == f"{name}({pin})"]
        pin = None if found else pin
    found = found or [place for place in places if place.token.label == name.strip()]
    found = found or [place for place in places if str(place.number) == name]
    if len(found) != 1:
        labels = ", ".join(repr(place.token.label) for place in places if place.token.label)
        what = f"{len(found)} tokens are" if found else "no token is"
        raise common.ToolError(f"{what} called {name!r}", f"give the slot number; labels there: {labels or 'none'}")
    return slots.officer(found[0], pin) if options.user == "SO" else slots.user(found[0], pin, rw=rw)


def _find(session: Any, options: Namespace) -> Any:  # noqa: ANN401 - python-pkcs11's session and object
    """Return the target."""
    classes = (_CLASSES[options.kind],) if options.kind else tuple(_CLASSES.values())
    found = objects.named(session, options.key.label, classes)
    if options.id is not None:
        found = [each for each in found if each[Attribute.ID] == options.id]
        if not found:
            message = f"no key {options.key.label!r} has the CKA_ID {options.id.hex()}"
            raise common.ToolError(message, "`ctkmu l` shows it")
    (chosen,) = objects.pick(found)
    return chosen


def _certificate(path: str) -> bytes:
    """Return the certificate in a file as DER."""
    raw = files.read(path)
    for load in (x509.load_pem_x509_certificate, x509.load_der_x509_certificate):
        try:
            return load(raw).public_bytes(Encoding.DER)
        except ValueError:
            continue
    raise common.ToolError(f"{path} is no certificate", "PEM and DER are read")


# Commands


def _create(options: Namespace) -> int:
    """Create a ticket that changes the limits of a key, signed by another key."""
    changes = {
        CKA.USAGE_LIMIT: None if options.limit is None else ulong(options.limit),
        CKA.START_DATE: options.start and f"{options.start:%Y%m%d}".encode(),
        CKA.END_DATE: options.end and f"{options.end:%Y%m%d}".encode(),
        CKA.ADMIN_CERT: options.certificate and _certificate(options.certificate),
    }
    attributes = {kind: value for kind, value in changes.items() if value is not None}
    if not attributes:
        options.parser.error("the ticket would change nothing: give -L, -s, -e or -c")
    now = time.time()
    content = tickets.content(
        tickets.Ticket(
            hsm=options.serial,
            token=options.token,
            object=options.label,
            id=options.id,
            message=options.message,
            issued=tickets.stamp(now),
            not_before=now - _SKEW,
            not_after=now + options.days * _DAY,
            attributes=attributes,
        )
    )
    with _open(options, rw=False) as session:
        (key,) = objects.pick(objects.named(session, options.key.label, (ObjectClass.PRIVATE_KEY,)))
        kind = key[Attribute.KEY_TYPE].name
        if kind not in _SIGNATURES:
            raise common.ToolError(f"a {kind} key signs no tickets", "RSA and EC keys do")
        mechanism, algorithm = _SIGNATURES[kind]
        signature = key.sign(content, mechanism=mechanism)
    files.write(options.file, tickets.assemble(content, algorithm, signature), yes=options.yes)
    common.note(_TOOL, f"the ticket is in {options.file}, valid for {options.days} day{'s' * (options.days != 1)}")
    return common.OK


def _present(options: Namespace) -> int:
    """Present a ticket: the HSM changes the limits of the key that it names."""
    raw = files.read(options.file)
    try:
        ticket = tickets.read(raw)
    except CryptokiError:
        raise common.ToolError(f"{options.file} is no ticket", "`ctlimits ct` writes them") from None
    if ticket.object != options.key.label:
        hint = f"it is for {ticket.object!r} (CKA_ID {ticket.id.hex()}) on {ticket.token!r} of HSM {ticket.hsm}"
        raise common.ToolError(f"the ticket is not for {options.key.label!r}", hint)
    options.id = ticket.id if options.id is None else options.id
    with _open(options) as session:
        found = _find(session, options)
        with slots.hinted(_REFUSALS):
            present_ticket(session, found, raw)
        _print(found)
    return common.OK


_REFUSALS = {
    "CKR_SIGNATURE_INVALID": "the ticket is not signed by the key of the target's CKA_ADMIN_CERT",
    "CKR_KEY_FUNCTION_NOT_PERMITTED": "the target has no CKA_ADMIN_CERT: nobody may issue tickets for it",
    "CKR_OBJECT_HANDLE_INVALID": "the ticket is for another key",
    "CKR_ACTION_PROHIBITED": "the ticket is not valid now, or it or a later one was presented already",
    "CKR_DATA_INVALID": "the ticket is damaged",
    "CKR_FUNCTION_NOT_SUPPORTED": "this HSM's firmware is older than tickets",
}


def _update(options: Namespace) -> int:
    """Set the limits of a key directly. What is set once may be left to tickets from then on."""
    # Each of these closes those before it: a certificate leaves dates to tickets, a limit leaves all to them.
    changes = (
        (Attribute.USAGE_COUNT, options.count),
        (Attribute.START_DATE, options.start),
        (Attribute.END_DATE, options.end),
        (Attribute.ADMIN_CERT, options.certificate and _certificate(options.certificate)),
        (Attribute.USAGE_LIMIT, options.limit),
    )
    if all(value is None for _, value in changes):
        options.parser.error("nothing is to be changed: give -C, -L, -s, -e or -c")
    with _open(options) as session:
        found = _find(session, options)
        for attribute, value in changes:
            if value is not None:
                _set(found, attribute, value)
        _print(found)
    return common.OK


def _set(found: Any, attribute: Attribute, value: Any) -> None:  # noqa: ANN401 - python-pkcs11's object, its value
    """Set an attribute; say which one is refused."""
    try:
        found[attribute] = value
    except PKCS11Error as error:
        message, hint = common.reason(error)
        read_only = "it was set before, or a limit is: present a ticket (`ctlimits ct`, `ctlimits pt`)"
        hint = read_only if "READ_ONLY" in message else hint
        raise common.ToolError(f"CKA_{attribute.name} is not changed: {message}", hint) from None


def _view(options: Namespace) -> int:
    """Show the limits of a key."""
    with _open(options, rw=False) as session:
        _print(_find(session, options), json=options.json)
    return common.OK


def _print(found: Any, *, json: bool = False) -> None:  # noqa: ANN401 - python-pkcs11's object
    """Print the limits of a key."""
    values = found.get_attributes([*_SHOWN.values(), Attribute.ADMIN_CERT, Attribute.LABEL, Attribute.ID])
    shown: dict[str, Any] = {"label": values.get(Attribute.LABEL, ""), "id": values.get(Attribute.ID, b"").hex()}
    for name, attribute in _SHOWN.items():
        value = values.get(attribute)
        shown[name] = value.isoformat() if isinstance(value, dt.date) else value
    certificate = values.get(Attribute.ADMIN_CERT)
    administrator = objects.name_text(x509.load_der_x509_certificate(certificate).subject) if certificate else None
    shown["administrator"] = administrator
    if json:
        common.print_json(shown)
        return
    names = {
        "label": "Key", "id": "CKA_ID", "count": "Usage Count", "limit": "Usage Limit", "start": "Start Date",
        "end": "End Date", "administrator": "Admin Certificate",
    }  # fmt: skip
    for name, value in shown.items():
        print(f"{names[name]:<18}: {'none' if value is None else value}")


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser()))


if __name__ == "__main__":
    main()

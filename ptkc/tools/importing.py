"""`ptkc import`: tokens of other soft tokens become tokens of an HSM. The source is only read.

What the source says of an object is what the new one has, but for what a token alone says of its keys: an imported key
was outside, so CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are false of it, and CKA_UNIQUE_ID is new.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pkcs11 import PKCS11Error, TokenFlag

from ptkc.spec.constants import CKA, CKK, CKO
from ptkc.spec.errors import name_of
from ptkc.spec.values import TRUE, from_ulong
from ptkc.tools import arguments, common, devices, pins, slots, softhsm2
from ptkc.vendor import Attribute, ObjectClass, create_object, init_admin

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from ptkc.tools.softhsm2 import SoftToken, Value

__all__ = ["add_commands"]

_TOOL = "ptkc"
_LONGEST_LABEL = 32  # bytes

# What the token says itself of a new object, what Cryptoki no longer has, and what follows from the material.
_SET_BY_TOKEN = (
    CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.KEY_GEN_MECHANISM, CKA.UNIQUE_ID, CKA.CHECK_VALUE,
    CKA.SECONDARY_AUTH, CKA.AUTH_PIN_FLAGS, CKA.VALUE_LEN, CKA.VALUE_BITS, CKA.MODULUS_BITS, CKA.PRIME_BITS,
    CKA.SUBPRIME_BITS, CKA.TRUSTED,
)  # fmt: skip
_NO_VALUE = (CKA.START_DATE, CKA.END_DATE, CKA.PUBLIC_KEY_INFO, CKA.ALLOWED_MECHANISMS, CKA.SEED)
"""What SoftHSM2 keeps empty where there is none."""


def add_commands(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add `import softhsm2` to the parser of `ptkc`."""
    top = commands.add_parser("import", help="bring in the tokens of other soft tokens", description=_text(__doc__))
    subs = top.add_subparsers(title="commands", metavar="command", required=True)
    made = subs.add_parser("softhsm2", help="bring in a token of SoftHSM2", description=_text(_softhsm2.__doc__))
    made.add_argument("directory", metavar="<directory>", help="SoftHSM2's directory of tokens, or a token's own")
    made.add_argument("--token", metavar="<label>", help="the token's label or serial number, if there are several")
    made.add_argument(
        "--slot", metavar="<slot>", type=arguments.number, help="an uninitialised slot; none: the first, or a new one"
    )
    made.set_defaults(run=_softhsm2)


def _text(documentation: str | None) -> str:
    return " ".join((documentation or "").split())


def _softhsm2(options: Namespace) -> int:
    """Make a token of an HSM from a token of SoftHSM2: its label, user PIN and objects with their attributes.

    Asked for: its user PIN, then a new SO PIN; and the Administrator's PIN if a new slot is made. The source is not
    changed. No program should change it meanwhile.
    """
    source = _chosen(options)
    pin = pins.ask(pins.USER, source.serial, f"the SoftHSM2 token {source.label}")
    objects = source.objects(pin)
    place = _place(options)
    label = source.label.encode()[:_LONGEST_LABEL].decode(errors="ignore")
    lengths = place.pin_lengths
    so_pin = pins.ask_new(pins.SO, place.device.serial, place.name, lengths=lengths)
    if not pins.fits(pin, lengths):
        common.note(_TOOL, "a PIN has {} to {} characters here: another one than this is needed".format(*lengths))
        pin = pins.ask_new(pins.USER, place.device.serial, place.name, {}, lengths)
    with _state_told(place):
        init_admin(place.slot, so_pin, pin, label)
        left = _fill(place, pin, objects)
    for line in left:
        common.complain(_TOOL, f"left out: {line}")
    trusted = sum(attributes.get(CKA.TRUSTED) == TRUE for attributes in objects)
    if trusted:
        common.note(_TOOL, f"{trusted} objects were trusted, which only the Security Officer can say: they are not now")
    done = len(objects) - len(left)
    common.note(_TOOL, f"{done} of {len(objects)} objects of {source.label} are in slot {place.number}")
    return common.FAILED if left else common.OK


def _fill(place: slots.Place, pin: str, objects: list[dict[int, Value]]) -> list[str]:
    """Make the objects on the new token; return what is left out, and why."""
    left: list[str] = []
    token = place.slot.get_token()
    with token.open(rw=True, user_pin=pin) as session, common.progress("objects", len(objects)) as step:
        for attributes in objects:
            refusal = _create(session, attributes)
            if refusal:
                left.append(f"{_described(attributes)}: {refusal}")
            step()
    return left


@contextlib.contextmanager
def _state_told(place: slots.Place) -> Iterator[None]:
    """Initialise and fill a token; whatever ends that half way, say in what state the token is left."""
    try:
        yield
    except BaseException:
        number, state = place.number, "its state is unknown"
        with contextlib.suppress(PKCS11Error):
            state = slots.state(place._replace(token=place.slot.get_token()))
        if state != "uninitialised":
            common.note(
                _TOOL,
                f"slot {number} has a token now ({state}), with some of the objects or none: `ctconf -d{number}` "
                f"deletes the slot, `ctconf -r{number}` and `ctkmu p -s{number}` empty the token and set its PINs",
            )
        raise


def _chosen(options: Namespace) -> SoftToken:
    """Return the token that is meant; ToolError names those there are.

    One that cannot be read is in the way only if it may be the one that is meant; else it is named.
    """
    found, unread = softhsm2.tokens(options.directory)
    known = ", ".join(f"{token.label} ({token.serial})" for token in found)
    wanted = [token for token in found if options.token in (None, token.label, token.serial)]
    for error in unread:
        if options.token is None or not wanted:
            raise error
        common.note(_TOOL, f"passed over: {error}")
    if not wanted:
        raise common.ToolError(f"there is no SoftHSM2 token {options.token}", f"there are {known}")
    if len(wanted) > 1:
        hint = f"name one by --token, by its serial number if labels are the same: {known}"
        raise common.ToolError(f"there are several SoftHSM2 tokens in {options.directory}", hint)
    return wanted[0]


def _place(options: Namespace) -> slots.Place:
    """Return an uninitialised slot: the one that is asked for, the first one there is, or a new one."""
    if options.slot is not None:
        place = slots.at(options.slot)
        if place.is_admin or place.has(TokenFlag.TOKEN_INITIALIZED):
            hint = "leave --slot out: the first uninitialised slot is taken, or a new one is made"
            raise common.ToolError(f"the token of {place.name} is initialised already, or is the Admin token", hint)
        return place
    places = slots.every()
    for place in places:
        if not place.is_admin and not place.has(TokenFlag.TOKEN_INITIALIZED):
            return place
    admin = next(place for place in places if place.is_admin)
    with slots.user(admin) as session:
        session.create_object({Attribute.CLASS: ObjectClass.SLOT, Attribute.TOKEN: True})
    number = len(admin.device.user_slots)
    return slots.every([devices.again(admin.device)])[number]


def _create(session: Any, attributes: dict[int, Value]) -> str:  # noqa: ANN401 - python-pkcs11's session
    """Make an object; return why the HSM refuses it, "" if it does not."""
    template = {
        number: value
        for number, value in attributes.items()
        if number not in _SET_BY_TOKEN and (value or number not in _NO_VALUE) and value != []
    }
    try:
        create_object(session, template)
    except PKCS11Error as error:
        return common.reason(error)[0]
    return ""


def _described(attributes: dict[int, Value]) -> str:
    """Return what an object is called in messages."""
    words = [
        name_of(kind, from_ulong(value)).partition("_")[2].lower().replace("_", " ")
        for number, kind in ((CKA.KEY_TYPE, CKK), (CKA.CLASS, CKO))
        if isinstance(value := attributes.get(number), bytes)
    ]
    label = attributes.get(CKA.LABEL)
    return " ".join([*words, repr(label.decode("utf-8", "replace")) if isinstance(label, bytes) else ""]).rstrip()

"""`ctstat`: every slot and its token, and what secure messaging each HSM wants, without any PIN."""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pkcs11 import PKCS11Error, TokenFlag

from ptkc.tools import adapter, arguments, channels, common, devices, slots
from ptkc.vendor import Attribute

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["main", "parser"]

_WIDTH = 18


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        "ctstat",
        "Show every slot and its token. No PIN is needed.",
        examples=(("ctstat", "all slots"), ("ctstat -s0", "slot 0"), ("ctstat -asn:1197 --json", "of one HSM")),
    )
    top.add_argument("-a", dest="device", metavar=devices.DEVICE, help="only this HSM: a device number or sn:<serial>")
    arguments.slot(top, required=False, meaning="only this slot")
    top.add_argument("--json", action="store_true", help="print JSON")
    top.set_defaults(run=_run)
    return top


def _run(options: Namespace) -> int:
    """Show slots and tokens."""
    found = devices.connect()
    chosen = found if options.device is None else [devices.one(options.device, found)]
    places = slots.every(chosen) if options.slot is None else [slots.at(options.slot, chosen)]
    blocks = [_block(place) for place in places]
    if options.json:
        common.print_json({"slots": blocks})
        return common.OK
    for block in blocks:
        print(f"Slot ID {block['slot']}")
        for name, value in block.items():
            if name != "slot":
                text = ("; " if name == "channels" else ", ").join(value) if isinstance(value, list) else str(value)
                print(f"    {_HEADINGS[name]:<{_WIDTH}}: {text}".rstrip())
        print()
    return common.OK


_HEADINGS = {
    "description": "Description",
    "device": "Device",
    "label": "Label",
    "state": "State",
    "manufacturer": "Manufacturer",
    "model": "Model",
    "serial": "Serial Number",
    "hardware": "Hardware Version",
    "firmware": "Firmware Version",
    "flags": "Flags",
    "mechanisms": "Mechanisms",
    "security_mode": "Security Mode",
    "fips": "FIPS Mode",
    "messaging": "Secure Messaging",
    "channels": "Channels",
}


def _block(place: slots.Place) -> dict[str, object]:
    """Return what is shown of a slot."""
    token = place.token
    flags = int(token.flags)
    return {
        "slot": place.number,
        "description": place.slot.slot_description,
        "device": place.device.number,
        "label": token.label,
        "state": f"{slots.state(place)}{', Admin token' * place.is_admin}",
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "serial": token.serial.decode("ascii", "replace"),
        "hardware": ".".join(map(str, token.hardware_version)),
        "firmware": ".".join(map(str, token.firmware_version)),
        "flags": [flag.name for flag in TokenFlag if flag.name and flags & flag],
        "mechanisms": len(place.slot.get_mechanisms()),
        **(_admin(place) if place.is_admin else {}),
    }


def _admin(place: slots.Place) -> dict[str, object]:
    """Return what an HSM's flags want of secure messaging, and the channels of this command, if it has any.

    Without a session, as without the HSM's certificate under secure messaging, the reason stands in their place.
    """
    try:
        with place.token.open() as session:
            mode = adapter.adapter(session)[Attribute.SECURITY_MODE]
            found = [channel.text for _, channel in channels.read(session)]
    except PKCS11Error as error:
        return {"security_mode": f"unknown: {common.reason(error)[0]}"}
    shown: dict[str, object] = {
        "security_mode": adapter.modes(mode),
        "fips": adapter.fips(mode),
        "messaging": adapter.messaging(mode),
    }
    return {**shown, "channels": found} if found else shown


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser(), devices.glued(sys.argv[1:])))


if __name__ == "__main__":
    main()

"""What `ctconf` prints: the configuration of HSMs, as the vendor prints it or as JSON."""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ptkc.hsm import policy
from ptkc.tools import adapter, common, slots

if TYPE_CHECKING:
    from argparse import Namespace

    from ptkc.vendor import Device

__all__ = ["show"]

_WIDTH = 22


def show(chosen: list[Device], options: Namespace, *, verbose: bool = False) -> None:
    """Print the configuration of HSMs."""
    blocks = []
    for device in chosen:
        status = adapter.status(device)
        places = slots.every([device])
        if options.json:
            blocks.append(_as_json(status, places))
        else:
            _print_block(status, places if verbose or options.verbose else [])
    if options.json:
        common.print_json({"devices": blocks})


def _print_block(status: adapter.Status, places: list[slots.Place]) -> None:
    """Print the configuration of one HSM, with its slots if they are given."""
    print(f"Current Adapter Configuration for Device {status.device}:\n")
    admin = "initialised" if status.initialised else f"not initialised{' (tampered)' * bool(status.tampers)}"
    lines = [
        ("Model", status.model),
        ("Serial Number", status.serial),
        ("Firmware Version", status.firmware),
        ("Date of Manufacture", status.manufactured),
        ("Adapter Clock", adapter.local_time(status.clock)),
        ("Battery Status", status.battery),
        ("Security Mode", adapter.modes(status.mode)),
        ("FIPS Mode", adapter.fips(status.mode)),
        ("Secure Messaging", adapter.messaging(status.mode)),
        ("Transport Mode", adapter.TRANSPORT_MODES.get(status.transport, str(status.transport))),
        ("Admin Token", admin),
        ("User Slots", str(status.user_slots)),
        ("Event Log Count", f"{status.events}{' (full)' * status.log_full}"),
        ("Tamper Count", str(status.tampers)),
        ("Free Memory", "unknown" if status.free is None else f"{status.free >> 20} MiB"),
    ]
    for place in places:
        kind = "Admin" if place.is_admin else "user"
        lines.append((f"Slot {place.number}", f"{kind}, {place.token.label or '<no label>'}, {slots.state(place)}"))
    for name, value in lines:
        print(f"{name:<{_WIDTH}}: {value}")
    print()


def _as_json(status: adapter.Status, places: list[slots.Place]) -> dict[str, Any]:
    """Return the configuration of one HSM as a JSON object."""
    shown = status._asdict()
    shown["clock"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(status.clock))
    names = policy.names_of(status.mode)
    missing = policy.COMPOSITES["F"] & ~status.mode
    shown["mode"] = {"flags": status.mode, "letters": policy.letters_of(status.mode), "names": names}
    shown["fips"] = {"mode": not missing, "missing": policy.letters_of(missing) if missing else ""}
    shown["messaging"] = adapter.messaging(status.mode)
    shown["slots"] = [
        {"slot": place.number, "admin": place.is_admin, "label": place.token.label, "state": slots.state(place)}
        for place in places
    ]
    return shown

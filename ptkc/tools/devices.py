"""Which HSMs a command is about: `0`, `sn:1197`, lists of these, `all`.

Device numbers are those of the list command and shift when an HSM is away, serial numbers do not. Both are looked up
once, at the start: what a number means does not change while a command runs. `sn: 1197`, two words, is `sn:1197`, as
the vendor's pages print it; the serial numbers of a list that follows `sn:` as a word of its own need none of theirs.
"""

from __future__ import annotations

import atexit
import contextlib
from typing import TYPE_CHECKING, Any

from ptkc.tools import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptkc.vendor import Device

__all__ = ["ALL", "DEVICE", "DEVICES", "again", "connect", "glued", "one", "select", "serials"]

ALL = "all"
DEVICE = "<device>"
DEVICES = "<devices>"
"""How helps call one device, and a list of devices or `all`."""

_PREFIX = "sn:"


def connect() -> list[Device]:
    """Load the library and return all HSMs, their Admin slots too, in the order of their device numbers."""
    from ptkc import vendor  # noqa: PLC0415 - help and wrong arguments need no library

    library = vendor.lib()
    # C_Finalize folds the store's write-ahead log in: the data can be copied and mounted read-only then.
    atexit.unregister(_end)
    atexit.register(_end, library)
    found = vendor.devices(library)
    if not found:
        raise common.ToolError("there is no HSM", "`ptkc hsm add` makes one; `ptkc doctor` says what is wrong")
    return found


def again(device: Device) -> Device:
    """Return an HSM whose slots were changed, with the numbers that the next command will find; no session may be open.

    As long as a library lives the numbers of an HSM's new slots are behind those of all others.
    """
    from ptkc import vendor  # noqa: PLC0415 - as above

    vendor.lib().finalize()
    return one(_PREFIX + device.serial, connect())


def _end(library: Any) -> None:  # noqa: ANN401 - python-pkcs11's library
    """C_Finalize; what it cannot do at the end is nothing that the user should know."""
    with contextlib.suppress(RuntimeError):
        library.finalize()


def glued(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which `sn: 1197` is one word, `sn:1197`, as parsers need it."""
    words: list[str] = []
    joins = ""
    for word in arguments:
        if joins == _PREFIX:
            bare = [part if _is_serial(part) else _PREFIX + part for part in word.split(",") if part]
            words[-1] = words[-1][: -len(_PREFIX)] + ",".join(bare)
        elif joins == ",":
            words[-1] += word
        else:
            words.append(word)
        joins = _PREFIX if words[-1].lower().endswith(_PREFIX) else "," if _is_open_list(words[-1]) else ""
    return words


def _is_serial(text: str) -> bool:
    return text.lower().startswith(_PREFIX)


def _serial(text: str) -> str:
    """Return what follows `sn:`."""
    return text[len(_PREFIX) :].strip()


def _is_open_list(word: str) -> bool:
    """Whether a word is a list of devices that goes on in the next word: `sn:1111,`."""
    return word.endswith(",") and all(part.isdigit() or _is_serial(part) for part in word[:-1].split(","))


def select(text: str, devices: Sequence[Device]) -> list[Device]:
    """Return the devices that a list names, in its order, none twice; ToolError names what is not there."""
    if text.lower() == ALL:
        return list(devices)
    found: list[Device] = []
    for part in text.split(","):
        device = one(part.strip(), devices)
        if device not in found:
            found.append(device)
    return found


def one(text: str, devices: Sequence[Device]) -> Device:
    """Return the device that a number or `sn:<serial>` names."""
    if _is_serial(text):
        for device in devices:
            if device.serial == _serial(text):
                return device
        raise common.ToolError(f"there is no HSM with the serial number {_serial(text)!r}", _known(devices))
    if text.isascii() and text.isdigit():
        for device in devices:
            if device.number == int(text):
                return device
        by_serial = any(device.serial == text for device in devices)
        raise common.ToolError(f"there is no device {text}", f"write sn:{text}" if by_serial else _known(devices))
    hint = "write a device number, sn:<serial>, or where a list may stand several with commas between, or all"
    raise common.ToolError(f"{text!r} names no device", hint)


def serials(text: str, devices: Sequence[Device]) -> list[str]:
    """Return the serial numbers that a list names; those after `sn:` need not be there."""
    found: list[str] = []
    for part in map(str.strip, text.split(",")):
        serial = _serial(part) if _is_serial(part) else one(part, devices).serial
        if not serial:
            raise common.ToolError(f"{part!r} names no device", "a serial number follows sn:")
        if serial not in found:
            found.append(serial)
    return found


def _known(devices: Sequence[Device]) -> str:
    """Return a hint that lists what is there."""
    return "there is " + ", ".join(f"device {device.number} (sn:{device.serial})" for device in devices)

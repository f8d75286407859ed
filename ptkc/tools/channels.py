"""`ptkc channel`: the secure-messaging channels of HSMs, and their ends.

The HSM shows its channels as objects of the Admin token: an application finds its own ones there, the Administrator all
of them. Destroying one ends it. The commands ask for the Administrator's PIN; what they show is what the server, or
this process, has now.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ptkc.tools import common, devices

if TYPE_CHECKING:
    from argparse import Namespace

    from ptkc.vendor import Device

__all__ = ["Channel", "add_commands", "read"]


class Channel(NamedTuple):
    """A channel as the HSM shows it; `age` in seconds, `messages` in both directions."""

    number: int
    application: str
    protection: str
    age: int
    messages: int
    rollovers: int
    peer: str

    @property
    def text(self) -> str:
        """All of it in one line."""
        return (
            f"{self.number}: {self.protection or 'nothing protected'}, {self.age} s, {self.messages} messages, "
            f"{self.rollovers} roll-overs, {self.peer or 'in process'}"
        )


def add_commands(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add `channel list` and `channel close` to the parser of `ptkc`."""
    description = " ".join((__doc__ or "").split())
    top = commands.add_parser("channel", help="show and end secure-messaging channels", description=description)
    subs = top.add_subparsers(title="commands", metavar="command", required=True)

    show = subs.add_parser("list", help="show the channels of HSMs", description=_list.__doc__)
    show.add_argument("devices", metavar=devices.DEVICES, nargs="?", default=devices.ALL, help="all by default")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=_list)

    close = subs.add_parser("close", help="end channels of an HSM", description=_close.__doc__)
    close.add_argument("device", metavar=devices.DEVICE, help="the HSM: a device number or sn:<serial>")
    close.add_argument("channels", metavar="<channel>", nargs="+", help="numbers as listed, or all")
    close.set_defaults(run=_close)


def read(session: Any) -> list[tuple[Any, Channel]]:  # noqa: ANN401 - python-pkcs11's session and objects
    """Return the channels that a session with the Admin token shows, as (object, what it says)."""
    from ptkc.tools.adapter import described  # noqa: PLC0415 - loaded with the library
    from ptkc.vendor import Attribute, HardwareFeature, ObjectClass  # noqa: PLC0415 - as above

    template = {Attribute.CLASS: ObjectClass.HW_FEATURE, Attribute.HW_FEATURE_TYPE: HardwareFeature.CHANNEL}
    kinds = [
        Attribute.PTKC_CHANNEL, Attribute.PTKC_APPLICATION, Attribute.PTKC_PROTECTION, Attribute.PTKC_AGE,
        Attribute.PTKC_MESSAGES, Attribute.PTKC_ROLLOVERS, Attribute.PTKC_PEER,
    ]  # fmt: skip
    found = []
    for each in list(session.get_objects(template)):
        got = each.get_attributes(kinds)
        if all(kind in got for kind in kinds):  # else it ended meanwhile
            number, application, policy, *rest = (got[kind] for kind in kinds)
            found.append((each, Channel(number, application.hex(), described(policy), *rest)))
    return found


def _administrator(device: Device) -> Any:  # noqa: ANN401 - python-pkcs11's session
    """Return a session of the Administrator."""
    from ptkc.tools import slots  # noqa: PLC0415 - loads python-pkcs11

    return slots.user(slots.every([device])[-1])


def _list(options: Namespace) -> int:
    """Show the channels of HSMs: whose they are, what they protect, how old and how much used they are.

    That of the command itself, where secure messaging is in force, is among them.
    """
    failures = common.Failures("ptkc")
    rows: list[tuple[str, Channel]] = []
    for device in devices.select(options.devices, devices.connect()):
        with failures.of(f"HSM {device.serial}"), _administrator(device) as session:
            rows += [(device.serial, channel) for _, channel in read(session)]
    if options.json:
        common.print_json({"channels": [{"serial": serial, **channel._asdict()} for serial, channel in rows]})
    else:
        common.print_table(
            ("serial", *Channel._fields), [(serial, *map(str, channel)) for serial, channel in rows]
        )
    return failures.exit_code


def _close(options: Namespace) -> int:
    """End channels of an HSM. The applications that used them get new ones at their next call, if they may.

    The channel of the command itself is one of them.
    """
    wanted = set(options.channels)
    device = devices.one(options.device, devices.connect())
    with _administrator(device) as session:
        found = {str(channel.number): each for each, channel in read(session)}
        missing = sorted(wanted - {_ALL, *found})
        if missing:
            text = f"HSM {device.serial} has no channel {', '.join(missing)}"
            raise common.ToolError(text, "see `ptkc channel list`")
        for number, each in found.items():
            if wanted & {_ALL, number}:
                each.destroy()
                print(f"HSM {device.serial}: channel {number} closed")
    return common.OK


_ALL = "all"

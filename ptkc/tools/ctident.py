"""`ctident`: identities of HSMs. Owner and identity keys and certificates, and which HSM trusts which.

The parser, and the commands that only look: list and graph. Looking needs no PIN.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ptkc.client.certificates import OWNER, CertificateStore
from ptkc.configuration import Configuration
from ptkc.tools import arguments, certificate, common, devices, graph, identities
from ptkc.tools.ctident_generate import gen_csr, gen_key, gen_owner, gen_selfsigned
from ptkc.tools.ctident_store import fetch_certs, store_pic, store_poc
from ptkc.tools.ctident_trust import remove, trust

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from ptkc.tools.certificate import Certificate
    from ptkc.tools.identities import Identity

__all__ = ["main", "parser"]

_DESCRIPTION = """\
Owner and identity certificates of HSMs, and trust between HSMs.
A device is a number as listed, or sn:<serial>; devices are one, several with commas between, or all."""

_EXAMPLES = (
    ("ctident list all", "show the HSMs, their certificates, and who trusts whom"),
    ("ctident gen-owner sn:1197", "make HSM 1197 a CA"),
    ("ctident gen-key sn:1197 all", "have it certify itself and all others"),
    ("ctident trust all all", "have every HSM trust every other one"),
)

_DEVICES = "one device, several with commas between, or all"


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    environment = ("PTKC_ADMIN_PIN",)
    top = arguments.top("ctident", _DESCRIPTION, environment=environment, examples=_EXAMPLES)
    commands = top.add_subparsers(title="commands", metavar="command", required=True)

    def command(name: str, run: Any, *places: tuple[str, str, str], examples: Any = (), asks: bool = True) -> Any:  # noqa: ANN401
        made = arguments.command(commands, name, run, examples=examples)
        for place, metavar, meaning in places:
            made.add_argument(place, metavar=metavar, help=meaning)
        if asks:
            made.add_argument("--yes", action="store_true", help="answer all questions with yes")
        return made

    targets = ("devices", "<devices>", _DEVICES)
    ca = ("ca", "<CA device>", "the HSM that is the CA: a device number or sn:<serial>")

    for name, run in (("list", _list), ("graph", _graph)):
        made = command(name, run, asks=False)
        made.add_argument("devices", metavar="<devices>", nargs="?", default=devices.ALL, help=f"{_DEVICES} (default)")
        made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--svg", metavar="<file>", help="write the drawing to a file as SVG, - is standard output")

    command("gen-owner", gen_owner, ca)
    command("gen-key", gen_key, ca, targets)
    command("gen-csr", gen_csr, targets)
    command("gen-selfsigned", gen_selfsigned, targets)
    made = command("store-poc", store_poc, targets)
    made.add_argument("-p", dest="file", metavar="<file>", required=True, help="the POC, PEM or DER")
    made = command("store-pic", store_pic, ("device", "<device>", "the HSM whose PIC it is"))
    made.add_argument("-p", dest="file", metavar="<file>", required=True, help="the PIC, PEM or DER")
    command("fetch-certs", fetch_certs, targets)
    trusted = ("trusted", "<trusted devices>", "the HSMs that are trusted")
    trusting = ("trusting", "<trusting devices>", "the HSMs that trust")
    made = command("trust", trust, trusted, trusting, asks=False, examples=_TRUST)
    removed = ("removed", "<removed devices>", "the HSMs that they trust no more")
    command("remove", remove, trusting, removed, asks=False, examples=_REMOVE)
    return top


_TRUST = (
    ("ctident trust sn:1197 sn:1111,sn:1310", "1111 and 1310 trust 1197"),
    ("ctident trust all all", "every HSM trusts every other one"),
)
_REMOVE = (
    ("ctident remove sn:1197 sn:1111,sn:1310", "1197 trusts 1111 and 1310 no more"),
    ("ctident remove all all", "no HSM trusts another one"),
)


# list


def _list(options: Namespace) -> int:
    """Show HSMs: state, clock, owner and identity certificates, and who trusts whom.

    Certificates that have expired, and PICs of trusted HSMs that are not in use, say so.
    """
    fleet = identities.read_all()
    chosen = identities.find(options.devices, fleet)
    known = _known_owner()
    if options.json:
        common.print_json([_as_json(identity, fleet, known) for identity in chosen])
    else:
        common.print_table(_HEADINGS, [_row(identity, fleet, known) for identity in chosen])
        for identity in chosen:
            if identity.problem:
                common.note("ctident", f"warning: {identity.where}: {identity.problem}")
    return common.OK


_HEADINGS = (
    "device", "serial", "Admin token", "clock", "POC", "PIK/PIC", "issuer", "PIC expires", "trusts", "trusted by",
)  # fmt: skip


def _known_owner() -> Certificate | None:
    """Return the client's owner certificate; a store that cannot be read has none, listing goes on."""
    directory = Configuration().certificate_store
    try:
        der = CertificateStore(directory).read(OWNER) if directory else None
        return certificate.load(der, OWNER)
    except (OSError, ValueError, common.ToolError):
        return None


def _row(identity: Identity, fleet: Sequence[Identity], known: Certificate | None) -> tuple[str, ...]:
    """Return what the table says of an HSM."""
    pic = identity.pic
    owners = [f"{poc.name}, {_expiry(poc)}" for poc in (identity.poc,) if poc is not None]
    if identity.pending_poc is not None:
        owners.append(f"POC-Pending: {identity.pending_poc.name}, {_expiry(identity.pending_poc)}")
    kind, serial, key = _issuer(identity, fleet, known)
    return (
        str(identity.device.number),
        identity.serial,
        identity.state,
        _clock(identity),
        "; ".join(owners) or "-",
        ", ".join(label for label in ("PIK", "PIC", "PIK-Pending") if label in {*identity.keys, *identity.certificates})
        or "-",
        f"{kind} {serial} {key}".strip() or "-",
        _expiry(pic) if pic else "-",
        ", ".join(_trusts(identity, serial) for serial in sorted(identity.peers)) or "-",
        ", ".join(_trusted_by(identity, fleet)) or "-",
    )


def _clock(identity: Identity) -> str:
    """Return how far the clock is off, in words a minute wide."""
    if identity.deviation is None:
        return "-"
    off = abs(identity.deviation) > certificate.CLOCK_TOLERANCE
    return f"{identity.deviation:+d} s{' (off)' if off else ''}" if identity.deviation else "0 s"


def _expiry(found: Certificate) -> str:
    return f"expired {found.expires:%Y-%m-%d}" if found.expired else f"{found.expires:%Y-%m-%d}"


def _issuer(identity: Identity, fleet: Sequence[Identity], known: Certificate | None) -> tuple[str, str, str]:
    """Return who signed the PIC: (self, owner or former owner; serial of the CA; id of its key)."""
    pic = identity.pic
    if pic is None:
        return "", "", ""
    if pic.self_signed:
        return "self", "", ""
    kind = "former owner" if identity.is_of_former_owner(fleet, known) else "owner"
    key = identity.poc.key_id if identity.poc is not None and pic.signed_by(identity.poc) else ""
    return kind, pic.issuer_serial, key


def _trusts(identity: Identity, serial: str) -> str:
    weakness = identity.weakness_of(identity.peers[serial])
    return f"{serial} ({weakness})" if weakness else serial


def _trusted_by(identity: Identity, fleet: Sequence[Identity]) -> list[str]:
    """Return the HSMs that are there and hold the PIC of this one, a former one said so."""
    found = []
    for other in fleet:
        held = other.peers.get(identity.serial)
        if held is not None:
            found.append(other.serial if held == identity.pic else f"{other.serial} (by a former PIC)")
    return found


def _as_json(identity: Identity, fleet: Sequence[Identity], known: Certificate | None) -> dict[str, Any]:
    """Return what JSON says of an HSM."""
    kind, serial, key = _issuer(identity, fleet, known)
    holders = [(other, other.peers[identity.serial]) for other in fleet if identity.serial in other.peers]
    return {
        "device": identity.device.number,
        "serial": identity.serial,
        "admin_token": identity.state,
        "clock_deviation": identity.deviation,
        "ca": "POK" in identity.keys,
        "keys": sorted(identity.keys),
        "poc": _certificate_json(identity.poc),
        "poc_pending": _certificate_json(identity.pending_poc),
        "pic": _certificate_json(identity.pic),
        "pik_pending": "PIK-Pending" in identity.keys,
        "issuer": {"kind": kind, "serial": serial, "key": key} if kind else None,
        "trusts": [
            {"serial": peer, "in_use": not identity.weakness_of(pic), "reason": identity.weakness_of(pic)}
            for peer, pic in sorted(identity.peers.items())
        ],
        "trusted_by": [{"serial": other.serial, "current": pic == identity.pic} for other, pic in holders],
        "problem": identity.problem,
    }


def _certificate_json(found: Certificate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "subject": found.subject,
        "serial_number": f"{found.x509.serial_number:x}",
        "not_before": found.begins.isoformat(),
        "not_after": found.expires.isoformat(),
        "expired": found.expired,
        "key": found.key_id,
        "fingerprint": found.fingerprint,
    }


# graph


def _graph(options: Namespace) -> int:
    """Draw who trusts whom: as text, or as SVG into a file."""
    fleet = identities.read_all()
    nodes = [_node(identity, fleet) for identity in identities.find(options.devices, fleet)]
    if options.json:
        edges = [{"trusting": node.serial, "trusted": peer, "in_use": True} for node in nodes for peer in node.trusts]
        edges += [{"trusting": node.serial, "trusted": peer, "in_use": False} for node in nodes for peer in node.unused]
        hsms = [{"serial": node.serial, "identity": node.identity, "ca": node.is_ca} for node in nodes]
        common.print_json({"hsms": hsms, "trust": edges})
    elif options.svg == "-":
        print(graph.as_svg(nodes), end="")
    elif options.svg:
        _write(options.svg, graph.as_svg(nodes))
        print(f"drawn to {os.path.abspath(options.svg)}")
    else:
        print(graph.as_text(nodes))
    return common.OK


def _node(identity: Identity, fleet: Sequence[Identity]) -> graph.Node:
    """Return an HSM as the drawing shows it."""
    kind, serial, _ = _issuer(identity, fleet, None)
    text = {"": "no PIC", "self": "self-signed PIC"}.get(kind, f"PIC by {kind} {serial}")
    peers = {serial: not identity.weakness_of(pic) for serial, pic in sorted(identity.peers.items())}
    used, unused = (tuple(serial for serial, used in peers.items() if used is kind) for kind in (True, False))
    return graph.Node(identity.serial, text, used, unused, is_ca="POK" in identity.keys)


def _write(path: str, text: str) -> None:
    """Write a drawing whole, over what was drawn there before."""
    unfinished = f"{path}.{os.getpid()}~"
    try:
        with open(unfinished, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(unfinished, path)
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise
    finally:
        if os.path.lexists(unfinished):
            os.unlink(unfinished)


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser(), devices.glued(sys.argv[1:])))


if __name__ == "__main__":
    main()

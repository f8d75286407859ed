"""The commands of ctident about trust: trust and remove.

An HSM trusts another one by holding its PIC. What is there already is skipped, so that a command that was interrupted
can simply be given again. Each trusting HSM's PIN is asked for once, whatever there is to do on it, so that scripts
know which; where nothing is to be done on any of them none is.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ptkc.tools import common, devices, identities
from ptkc.tools.ctident_generate import checked, identity_template, log_in, usable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from ptkc.tools.certificate import Certificate
    from ptkc.tools.identities import Identity

__all__ = ["remove", "trust"]

_TOOL = "ctident"


def trust(options: Namespace) -> int:
    """Have HSMs trust others: first those that are trusted, then those that trust them.

    The PIC of each trusted HSM is stored on each trusting one. `all all`: every HSM trusts every other one.
    """
    fleet = identities.read_all()
    given, taking = identities.find(options.trusted, fleet), identities.find(options.trusting, fleet)
    if len(given) == 1 and given == taking:
        raise common.ToolError(f"{given[0].where} cannot trust itself", "name the trusted HSMs, then the trusting ones")
    failures = common.Failures(_TOOL)
    rules = (identities.Identity.check_ready, identities.Identity.check_settled, identities.Identity.check_pic)
    good = checked([identity for identity in fleet if identity in given or identity in taking], failures, *rules)
    good = checked(good, failures, lambda identity: _check_current(identity, fleet))
    taking = checked([identity for identity in taking if identity in good], failures, usable)
    work = []
    for identity in taking:
        peers = []
        for peer in (peer for peer in given if peer in good and peer is not identity):
            with failures.of(identity.where):
                _check_owners(identity, peer)
                peers.append(peer)
        wanted = {peer.serial: peer.certificates["PIC"] for peer in peers}
        work.append((identity, {serial: pic for serial, pic in wanted.items() if identity.peers.get(serial) != pic}))
        if peers and not work[-1][1]:
            print(f"{identity.where}: trusts {', '.join(wanted)} already")
    return _do(work, failures, _store, "storing PICs", "now trusts")


def _check_owners(identity: Identity, peer: Identity) -> None:
    """Refuse the PIC of another owner."""
    pic, own = peer.certificates["PIC"], identity.certificates["PIC"]
    if identity.shares_owner(pic) and (pic.self_signed or peer.poc == identity.poc):
        return
    kinds = tuple("self-signed" if one.self_signed else f"signed by POK {one.issuer_name}" for one in (own, pic))
    hint = "HSMs that trust each other all have PICs signed by one POK, or all self-signed ones"
    raise common.ToolError(f"its PIC is {kinds[0]}, that of HSM {peer.serial} is {kinds[1]}", hint)


def _check_current(identity: Identity, fleet: Sequence[Identity]) -> None:
    """Refuse a PIC that a former POK of its CA signed."""
    if identity.is_of_former_owner(fleet):
        ca = identity.certificates["PIC"].issuer_serial
        message = f"its PIC is signed by a former POK of HSM {ca}"
        raise common.ToolError(message, f"`ctident gen-key sn:{ca} sn:{identity.serial}` makes a new one")


def _store(session: Any, _: str, pic: Certificate) -> None:  # noqa: ANN401 - python-pkcs11's are untyped
    """Store the PIC of a trusted HSM."""
    session.create_object(identity_template(pic.der, own=False))


def remove(options: Namespace) -> int:
    """Have HSMs trust others no more: first those that trust, then those that are forgotten.

    The order is the reverse of that of trust. Those to forget need not be there, if their serial numbers are given;
    `all` are all that the HSM trusts. `all all` removes the trust between the HSMs that are there.
    """
    fleet = identities.read_all()
    targets = identities.find(options.trusting, fleet)
    present = [identity.device for identity in fleet]
    everyone = options.removed.lower() == devices.ALL
    serials = [device.serial for device in present] if everyone else devices.serials(options.removed, present)
    failures = common.Failures(_TOOL)
    work = []
    for identity in checked(targets, failures, identities.Identity.check_ready):
        wanted = serials
        if everyone and options.trusting.lower() != devices.ALL:
            wanted = list(identity.peers)
        found = {serial: identity.peers[serial] for serial in wanted if serial in identity.peers}
        work.append((identity, found))
        absent = [serial for serial in wanted if serial not in found and serial != identity.serial]
        if absent and not everyone:
            print(f"{identity.where}: does not trust {', '.join(absent)}")
        elif not found:
            print(f"{identity.where}: trusts none of them")
    return _do(work, failures, _forget, "removing PICs", "no longer trusts")


def _forget(session: Any, serial: str, _: Certificate) -> None:  # noqa: ANN401
    """Destroy the PIC of an HSM that was trusted."""
    from ptkc.vendor import Attribute, ObjectClass  # noqa: PLC0415 - help and wrong arguments need no library

    peers = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.LOCAL_IDENTITY_CERT: False}
    for found in list(session.get_objects({**peers, Attribute.LABEL: f"PIC {serial}"})):
        found.destroy()


def _do(
    work: Sequence[tuple[Identity, dict[str, Certificate]]],
    failures: common.Failures,
    change: Callable[[Any, str, Certificate], None],
    doing: str,
    done: str,
) -> int:
    """Log in to each HSM with something to do, in turn, then make the changes and say which were made."""
    ready = []
    with contextlib.ExitStack() as sessions:
        for identity, changes in work if any(changes for _, changes in work) else ():
            with failures.of(identity.where):
                ready.append((identity, log_in(identity, sessions), changes))
        with common.progress(doing, sum(len(changes) for _, _, changes in ready)) as step:
            for identity, session, changes in ready:
                made = []
                for serial, pic in changes.items():
                    with failures.of(f"{identity.where}, PIC of {serial}"):
                        change(session, serial, pic)
                        made.append(serial)
                    step()
                if made:
                    print(f"{identity.where}: {done} {', '.join(made)}", flush=True)
    return failures.exit_code

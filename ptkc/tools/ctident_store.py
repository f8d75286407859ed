"""The commands of ctident that move certificates: store-poc, store-pic and fetch-certs.

Files are PEM or DER. What a certificate is, whose and from when until when is checked before a PIN is asked for; the
HSM checks all of it again.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ptkc.client.certificates import certificate_file, from_pem
from ptkc.tools import certificate, common, devices, identities
from ptkc.tools.ctident_generate import checked, go_on, identity_template, log_in, owner_template, usable
from ptkc.tools.exports import Exports

if TYPE_CHECKING:
    from argparse import Namespace

    from ptkc.tools.certificate import Certificate
    from ptkc.tools.identities import Identity

__all__ = ["fetch_certs", "store_pic", "store_poc"]

_TOOL = "ctident"
_LARGEST = 65536  # bytes; a certificate of ours has less than a thousand


def _load(path: str) -> Certificate:
    """Read a certificate from a file; OSError, or ToolError that names it."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST)
    try:
        found = certificate.load(from_pem(data), path)
    except ValueError as error:
        raise common.ToolError(f"{path}: {error}") from None
    if found is None or not found.valid:
        times = found.times if found else ""
        raise common.ToolError(f"{path} has expired or is not valid yet: it is valid from {times}")
    return found


# store-poc


def store_poc(options: Namespace) -> int:
    """Store an owner certificate (POC) of another HSM on each HSM.

    It is in the POC-Pending state where a PIC depends on another one, until a PIC under it is stored. The certificate
    store gets it too.
    """
    poc = _load(options.file)
    if not poc.is_authority or not poc.self_signed:
        hint = "a PIC is stored by store-pic" if not poc.is_authority else ""
        raise common.ToolError(f"{options.file} is no owner certificate (POC)", hint)
    exports = Exports(yes=options.yes)
    waits = exports.replaces_owner(poc)
    failures = common.Failures(_TOOL)
    ready = []
    with contextlib.ExitStack() as sessions:
        for target in checked(identities.find(options.devices, identities.read_all()), failures, usable):
            if poc in (target.poc, target.pending_poc):
                print(f"{target.where}: has this POC already")
                continue
            with failures.of(target.where):
                session = log_in(target, sessions)
                if target.pending_poc is not None:
                    question = f"{target.where} already has a certificate in the POC-Pending state: replace it?"
                    go_on(question, yes=exports.yes)
                ready.append((target, session))
        for target, session in ready:
            with failures.of(target.where):
                session.create_object(owner_template(poc))
                identities.refresh(target, session)
                state = "established" if target.poc == poc else "POC-Pending until a PIC under it is stored"
                print(f"{target.where}: POC stored ({state})")
    if not waits and not failures.count:
        exports.save_owner(poc)
    return failures.exit_code


# store-pic


def store_pic(options: Namespace) -> int:
    """Store the identity certificate (PIC) that the CA has signed on the HSM whose it is.

    The PIK is not pending any more then, nor is the POC that signed the PIC. The certificate store gets the PIC too.
    """
    pic = _load(options.file)
    if pic.is_authority:
        raise common.ToolError(f"{options.file} is an owner certificate (POC), no PIC", "store-poc stores it")
    exports = Exports(yes=options.yes)
    target = identities.find_one(options.device, identities.read_all())
    with common.named(target.where), contextlib.ExitStack() as sessions:
        usable(target)
        issuer = _check_pic(pic, target, options.file)
        waits = issuer is not None and exports.replaces_owner(issuer)
        if target.pic != pic:
            session = log_in(target, sessions)
            if target.pic is not None:
                go_on(f"{target.where} already has a PIK/PIC: overwrite it?", yes=exports.yes)
            if issuer not in (None, target.poc) and "POK" in target.keys and "POK-Pending" not in target.keys:
                go_on(f"{target.where} is a CA itself: replace its POK and POC too?", yes=exports.yes)
            exports.may_replace(certificate_file(target.serial), target.pic)
            session.create_object(identity_template(pic.der))
            identities.refresh(target, session)
            print(f"{target.where}: PIC stored")
        else:
            exports.may_replace(certificate_file(target.serial), target.pic)
            print(f"{target.where}: has this PIC already")
        if issuer is not None and not waits:
            exports.save_owner(issuer)
        print(f"{target.where}: exported to {exports.save_pic(target)}")
    return common.OK


def _check_pic(pic: Certificate, target: Identity, path: str) -> Certificate | None:
    """Refuse a PIC that is not this HSM's; return the POC that signed it, None if it is self-signed."""
    if pic.serial != target.serial:
        raise common.ToolError(f"{path} is the PIC of HSM {pic.serial or '?'}")
    if pic.point not in (target.keys.get("PIK-Pending"), target.keys.get("PIK")):
        hint = f"`ctident gen-csr sn:{target.serial}` makes a request for a new PIK"
        raise common.ToolError(f"{path} does not match the PIK", hint)
    if pic.self_signed:
        return None
    for poc in (target.pending_poc, target.poc):
        if poc is not None and pic.signed_by(poc):
            return poc
    hint = "store the POC of its owner first, by `ctident store-poc`"
    raise common.ToolError(f"{path} is signed by an owner whose POC this HSM does not have", hint)


# fetch-certs


def fetch_certs(options: Namespace) -> int:
    """Copy the certificate chain of each HSM, its PIC and the POC above it, to the certificate store.

    No PIN is needed, and it can be done while secure messaging is in force. What comes over a network is proved by
    nothing but the fingerprints that are printed: compare them with those that the HSM's own machine prints. A PIC that
    is another one than the store holds is taken only after a question, and so is the POC that waits in the store for
    the present one's place; any other POC than the present one is refused.
    """
    tool = getattr(options, "tool", _TOOL)
    exports = Exports(yes=options.yes, tool=tool)
    failures = common.Failures(tool)
    for device in devices.select(options.devices, devices.connect()):
        found = identities.fetch(device)
        with failures.of(found.where):
            found.check_pic()
            pic = found.certificates["PIC"]
            if pic.serial != found.serial or not (pic.self_signed or pic.signed_by(found.poc)):
                raise common.ToolError("its PIC is not that of this HSM, or not signed by its POC", "see `ptkc doctor`")
            owner = None if pic.self_signed else found.poc
            if owner is not None:
                exports.replaces_owner(owner)
            print(f"{found.where}: PIC SHA-256 {pic.fingerprint}")
            if owner is not None:
                print(f"{found.where}: POC SHA-256 {owner.fingerprint}")
                exports.may_replace_owner(owner)
            else:
                exports.may_lack_owner(pic)
            exports.may_replace(certificate_file(found.serial), pic)
            if owner is not None:
                exports.save_owner(owner)
            print(f"{found.where}: exported to {exports.save_pic(found)}")
    return failures.exit_code

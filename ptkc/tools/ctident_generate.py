"""The commands of ctident that make keys: gen-owner, gen-key, gen-csr and gen-selfsigned.

Whatever can be refused without a PIN is refused before the first one is asked for. Then the Administrators log in, the
CA's first and each HSM's in turn, one login an HSM, and say whether a PIK and PIC may be overwritten. Then the HSMs
work. One that fails is named, and the others go on, unless all of them wait for it.
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ptkc.client.certificates import certificate_file, request_file
from ptkc.tools import common, identities, pins
from ptkc.tools.exports import Exports

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from ptkc.tools.certificate import Certificate
    from ptkc.tools.identities import Identity

__all__ = ["checked", "gen_csr", "gen_key", "gen_owner", "gen_selfsigned", "go_on", "log_in", "usable"]

_TOOL = "ctident"


# Shared with the other commands


def usable(identity: Identity) -> None:
    """Refuse an HSM without Administrator, or whose clock is off."""
    identity.check_ready()
    identity.check_clock()


def checked(
    targets: Sequence[Identity], failures: common.Failures, *checks: Callable[[Identity], None]
) -> list[Identity]:
    """Return the HSMs that pass all checks; of the others each says why not."""
    good = []
    for target in targets:
        with failures.of(target.where):
            for check in checks:
                check(target)
            good.append(target)
    return good


def log_in(identity: Identity, sessions: contextlib.ExitStack) -> Any:  # noqa: ANN401 - python-pkcs11's are untyped
    """Ask for the Admin PIN and return a read/write session of the Administrator, which `sessions` closes."""
    return sessions.enter_context(pins.log_in(identity.device.admin, pins.ADMIN, identity.serial))


def go_on(question: str, *, yes: bool) -> None:
    """Ask; ToolError unless the answer is yes."""
    if not common.confirm(question, yes=yes):
        raise common.ToolError("left as it is", "" if yes else "answer y, or give --yes")


def _may_overwrite(identity: Identity, exports: Exports) -> None:
    """Ask whether PIK and PIC, and the file of the PIC, may be overwritten; ToolError if not."""
    if identity.has_identity:
        go_on(f"{identity.where} already has a PIK/PIC: overwrite it?", yes=exports.yes)
    elif "PIK-Pending" in identity.keys:
        go_on(f"{identity.where} has a PIK in the PIK-Pending state: replace it?", yes=exports.yes)
    exports.may_replace(certificate_file(identity.serial), identity.pic)


# gen-owner


def gen_owner(options: Namespace) -> int:
    """Make an owner key (POK) and its certificate (POC) on the HSM that is to be the CA.

    The POC is in the POC-Pending state until gen-key has the POK sign this HSM's own PIC; what was established before
    stays in force until then. The POC is exported to the certificate store, as Owner_POC.crt, or as
    Owner_POC-pending.crt if there is one already.
    """
    from ptkc import vendor  # noqa: PLC0415 - help and wrong arguments need no library

    exports = Exports(yes=options.yes)
    ca = identities.find_one(options.ca, identities.read_all())
    with common.named(ca.where), contextlib.ExitStack() as sessions:
        usable(ca)
        name = exports.check_new_owner(ca)
        session = log_in(ca, sessions)
        if ca.pending_poc is not None:
            go_on(f"{ca.where} already has a certificate in the POC-Pending state: replace it?", yes=options.yes)
        vendor.generate_owner(session)
        identities.refresh(ca, session)
        poc = ca.certificates["POC-Pending"]
        path = exports.store.write(name, poc.der, replace=True)
    print(f"{ca.where}: made POK and POC (POC-Pending), exported to {path}")
    common.note(_TOOL, f"hint: `ctident gen-key sn:{ca.serial} <devices>`, {ca.serial} among them, establishes the POC")
    return common.OK


# gen-key


def gen_key(options: Namespace) -> int:
    """Make an identity key (PIK) on each HSM and have the POK of the CA sign its certificate (PIC).

    The PICs are exported to the certificate store. With the CA in the list, wherever it stands there, a pending POC is
    established first.
    """
    exports = Exports(yes=options.yes)
    fleet = identities.read_all()
    ca = identities.find_one(options.ca, fleet)
    targets = identities.find(options.devices, fleet)
    with common.named(ca.where):
        usable(ca)
        poc = _signing_owner(ca, own=ca in targets)
        establishes = poc == ca.pending_poc
        exports.replaces_owner(poc, former=ca.poc if establishes else None)
    targets.sort(key=lambda target: target is not ca and establishes)
    failures = common.Failures(_TOOL)
    targets = checked(targets, failures, usable)
    if not targets:
        return failures.exit_code
    with contextlib.ExitStack() as sessions:
        with common.named(ca.where):
            ca_session = log_in(ca, sessions)
            if establishes:  # the others wait for it: whatever stops the CA stops the command
                _may_overwrite(ca, exports)
            exports.may_replace_owner(poc)
        ready = [(ca, ca_session)] if establishes else []
        for target in targets[len(ready) :]:
            with failures.of(target.where):
                session = ca_session if target is ca else log_in(target, sessions)
                _may_change_owner(target, poc, exports)
                _may_overwrite(target, exports)
                ready.append((target, session))
        with common.progress("certifying", len(ready)) as step:
            for target, session in ready:
                first = establishes and target is ca
                with common.named(ca.where) if first else failures.of(target.where):
                    _certify(ca_session, target, session, poc, pending=first)
                    exports.save_owner(poc)
                    path = exports.save_pic(target)
                    print(f"{target.where}: PIK made, PIC signed by {poc.name}, exported to {path}")
                step()
    return failures.exit_code


def _signing_owner(ca: Identity, *, own: bool) -> Certificate:
    """Return the POC under which the CA signs: its pending one if its own PIC is to be signed; ToolError."""
    poc = ca.poc if "POK" in ca.keys else None
    pending = ca.pending_poc if "POK-Pending" in ca.keys else None
    if own and pending is not None:
        poc = pending
    if poc is None and pending is not None:
        hint = f"name it in the list too: `ctident gen-key sn:{ca.serial} sn:{ca.serial},…`"
        raise common.ToolError("its POC is pending: its POK must sign its own PIC first", hint)
    if poc is None:
        raise common.ToolError("it is no CA: it has no POK", f"`ctident gen-owner sn:{ca.serial}` makes one")
    if not poc.valid:
        hint = f"`ctident gen-owner sn:{ca.serial}` makes a new one"
        raise common.ToolError(f"its POC is valid from {poc.times} only", hint)
    return poc


def _may_change_owner(target: Identity, poc: Certificate, exports: Exports) -> None:
    """Ask whether a CA may become an HSM under another CA, and a pending owner be given up; ToolError if not."""
    if poc in (target.poc, target.pending_poc):
        return
    if "POK" in target.keys or "POK-Pending" in target.keys:
        go_on(f"{target.where} is a CA itself, its POK and POC go: make it one of {poc.name}?", yes=exports.yes)
    elif target.pending_poc is not None:
        go_on(f"{target.where} has another certificate in the POC-Pending state: replace it?", yes=exports.yes)


def _certify(ca_session: Any, target: Identity, session: Any, poc: Certificate, *, pending: bool) -> None:  # noqa: ANN401
    """Make a PIK on the target, have it request a certificate, the POK sign it, and the target store it as its PIC."""
    from ptkc.vendor import Attribute, Mechanism, ObjectClass, encode, generate_identity  # noqa: PLC0415

    if poc not in (target.poc, target.pending_poc):
        session.create_object(owner_template(poc))
    public, private = generate_identity(session)
    request = encode(session, Mechanism.ENCODE_PKCS_10, public, private)
    with contextlib.ExitStack() as transient:
        transient.callback(request.destroy)
        if session is not ca_session:
            attributes = {Attribute.CLASS: ObjectClass.CERTIFICATE_REQUEST, Attribute.VALUE: request[Attribute.VALUE]}
            request = ca_session.create_object(attributes)
            transient.callback(request.destroy)
        signing = {
            Attribute.CLASS: ObjectClass.PRIVATE_KEY,
            Attribute.LABEL: "POK-Pending" if pending else "POK",
            Attribute.HSM_OWNER_CERT: True,
        }
        (pok,) = list(ca_session.get_objects(signing))
        certificate = encode(ca_session, Mechanism.ENCODE_X_509, request, pok)
        transient.callback(certificate.destroy)
        session.create_object(identity_template(certificate[Attribute.VALUE]))
    identities.refresh(target, session)


def owner_template(poc: Certificate) -> dict[Any, Any]:
    """Return what C_CreateObject stores as POC."""
    from ptkc.vendor import Attribute  # noqa: PLC0415

    return {**_certificate_template(poc.der), Attribute.HSM_OWNER_CERT: True}


def identity_template(der: bytes, *, own: bool = True) -> dict[Any, Any]:
    """Return what C_CreateObject stores as PIC, or as the PIC of a trusted HSM."""
    from ptkc.vendor import Attribute  # noqa: PLC0415

    return {**_certificate_template(der), Attribute.LOCAL_IDENTITY_CERT: own}


def _certificate_template(der: bytes) -> dict[Any, Any]:
    from pkcs11 import CertificateType  # noqa: PLC0415

    from ptkc.vendor import Attribute, ObjectClass  # noqa: PLC0415

    return {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.TOKEN: True,
        Attribute.VALUE: der,
    }


# gen-csr and gen-selfsigned


def gen_csr(options: Namespace) -> int:
    """Make an identity key (PIK) on each HSM, and write a certificate signing request (CSR) to the certificate store.

    The PIK is in the PIK-Pending state until store-pic has stored the PIC that the CA has signed. A PIK and PIC that
    are there stay in force until then.
    """
    from ptkc.vendor import Attribute, Mechanism, encode, generate_identity  # noqa: PLC0415

    exports = Exports(yes=options.yes)

    def ask(target: Identity) -> None:
        if "PIK-Pending" in target.keys:
            go_on(f"{target.where} has a PIK in the PIK-Pending state: replace it?", yes=exports.yes)
        else:
            exports.may_replace(request_file(target.serial))

    def make(target: Identity, session: Any) -> str:  # noqa: ANN401
        public, private = generate_identity(session)
        request = encode(session, Mechanism.ENCODE_PKCS_10, public, private)
        path = exports.store.write(request_file(target.serial), request[Attribute.VALUE], replace=True)
        return f"PIK made (PIK-Pending), request written to {path}"

    return _each(options.devices, ask, make)


def gen_selfsigned(options: Namespace) -> int:
    """Make an identity key (PIK) and a self-signed certificate (PIC) on each HSM.

    The PICs are exported to the certificate store.
    """
    from ptkc.vendor import generate_identity  # noqa: PLC0415

    exports = Exports(yes=options.yes)

    def make(target: Identity, session: Any) -> str:  # noqa: ANN401
        generate_identity(session, self_sign=True)
        identities.refresh(target, session)
        return f"PIK and self-signed PIC made, exported to {exports.save_pic(target)}"

    return _each(options.devices, lambda target: _may_overwrite(target, exports), make)


def _each(text: str, ask: Callable[[Identity], None], make: Callable[[Identity, Any], str]) -> int:
    """Log in to each HSM and ask what is to be asked, then have each one work; print what it did."""
    failures = common.Failures(_TOOL)
    ready = []
    with contextlib.ExitStack() as sessions:
        for target in checked(identities.find(text, identities.read_all()), failures, usable):
            with failures.of(target.where):
                session = log_in(target, sessions)
                ask(target)
                ready.append((target, session))
        with common.progress("making keys", len(ready)) as step:
            for target, session in ready:
                with failures.of(target.where):
                    print(f"{target.where}: {make(target, session)}")
                step()
    return failures.exit_code

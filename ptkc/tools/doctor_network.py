"""What is wrong with network HSMs and secure messaging: the checks of `ptkc doctor` that are about them.

Each server of the list is asked which HSMs it offers, which takes no PIN and changes nothing. The certificates of the
store are read: which HSMs it holds, and whether they have expired.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ptkc.client.certificates import OWNER, CertificateStore, certificate_file
from ptkc.client.network import Server, Times
from ptkc.spec.errors import CryptokiError
from ptkc.tools import certificate, common
from ptkc.tools.findings import ERROR, FINE, NOTE, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ptkc.configuration import Configuration

__all__ = ["examine_certificates", "examine_servers"]

_CHECK = "network"
_STORE = "certificates"
_FETCH = "`ctident fetch-certs all` fetches it; compare the fingerprints"


def examine_servers(configuration: Configuration) -> Iterator[Finding]:
    """Ask each server for its HSMs."""
    times = Times(
        *(configuration.number(f"ET_HSM_NETCLIENT_{item}") for item in ("CONNECT_TIMEOUT", "READ_TIMEOUT", "HEARTBEAT"))
    )
    known = _held(configuration)
    for host, port in configuration.servers:
        server = Server(host, port, times)
        try:
            serials = server.serials()
        except CryptokiError as error:
            hint = "start it there (`ptkc serve`), or take it out of ET_HSM_NETCLIENT_SERVERLIST"
            yield Finding(ERROR, _CHECK, f"server {error.message}", hint)
            continue
        yield Finding(FINE, _CHECK, f"server {server} offers HSM {', '.join(serials) or 'none'}")
        if OWNER in known:
            continue
        for serial in serials:
            if certificate_file(serial) not in known:
                text = f"the certificate store holds no certificate of HSM {serial}, so no secure messaging with it"
                yield Finding(NOTE, _CHECK, text, _FETCH)


def examine_certificates(configuration: Configuration) -> Iterator[Finding]:
    """Read the certificates that decide which HSMs are believed."""
    directory = configuration.certificate_store
    for name in sorted(_held(configuration)):
        path = os.path.join(directory or "", name)
        try:
            found = certificate.load(CertificateStore(directory or "").read(name), path)
        except (OSError, ValueError, common.ToolError) as error:
            yield Finding(ERROR, _STORE, f"{path}: {common.reason(error)[0]}", "move it away")
            continue
        if found is not None and not found.valid:
            hint = "the HSM's Administrator makes a new one on its machine, then `ctident fetch-certs`"
            text = f"{path} is valid from {found.times}: secure messaging refuses it"
            yield Finding(WARNING, _STORE, text, hint)


def _held(configuration: Configuration) -> set[str]:
    """Return the names of the certificates in the store."""
    try:
        names = os.listdir(configuration.certificate_store or "")
    except OSError:
        return set()
    return {name for name in names if name == OWNER or (name.startswith("HSM_") and name.endswith(".crt"))}

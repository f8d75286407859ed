"""What ctident writes to the client's certificate store, and what it refuses to write over.

A client holds one owner's certificate (POC). A new one of the same CA waits beside it as `Owner_POC-pending.crt` until
its HSM has established it; any other different one is refused: it belongs into another store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptkc.client.certificates import OWNER, PENDING_OWNER, CertificateStore, certificate_file
from ptkc.configuration import Configuration
from ptkc.tools import certificate, common

if TYPE_CHECKING:
    from ptkc.tools.certificate import Certificate
    from ptkc.tools.identities import Identity

__all__ = ["Exports"]

_OTHER_STORE = "a client holds one POC: name another store by ET_PTKC_GENERAL_CERT_STORE, or move {} away for good"

_OTHER_NAME = "another store can be named by ET_PTKC_GENERAL_CERT_STORE"


class Exports:
    """The client's certificate store as ctident uses it."""

    def __init__(self, *, yes: bool = False, tool: str = "ctident") -> None:
        """Open the store of the configuration, and see that it can be written; `yes` answers all questions."""
        configuration = Configuration()
        directory = configuration.certificate_store
        if directory is None:
            text = "there is no certificate store: no home directory, or ET_PTKC_GENERAL_CERT_STORE is no path"
            raise common.ToolError(text, "set ET_PTKC_GENERAL_CERT_STORE")
        self.store = CertificateStore(directory)
        self.store.prepare()
        self.yes = yes
        self.tool = tool

    def certificate(self, name: str) -> Certificate | None:
        """Return the certificate in a file, None if there is no file; ToolError if it holds anything else."""
        try:
            der = self.store.read(name)
        except ValueError as error:
            raise common.ToolError(f"{self.store.path(name)}: {error}", "move the file away") from None
        return certificate.load(der, self.store.path(name))

    # Owner certificates

    def replaces_owner(self, poc: Certificate, former: Certificate | None = None) -> bool:
        """Return whether `poc` takes the place of the client's owner certificate; refuse an owner that is not its own.

        It may do so if it waited for that, or if the present one is the `former` one of the same CA.
        """
        known = self.certificate(OWNER)
        if known is None or known == poc:
            return False
        if poc == self.certificate(PENDING_OWNER) or known == former:
            return True
        path = self.store.path(OWNER)
        raise common.ToolError(f"{path} is another owner's ({known.name})", _OTHER_STORE.format(path))

    def may_replace_owner(self, poc: Certificate) -> None:
        """Ask whether `poc` may take the place of the client's owner certificate; ToolError if not."""
        known = self.certificate(OWNER)
        if known is not None and known != poc:
            question = f"{self.store.path(OWNER)} is that of {known.name}: replace it by that of {poc.name}?"
            if not common.confirm(question, yes=self.yes):
                raise common.ToolError("left as it is", _OTHER_NAME)

    def may_lack_owner(self, pic: Certificate) -> None:
        """Ask whether a PIC may be believed that no owner signed although this client knows one; ToolError if not.

        A store that holds this PIC already has been asked.
        """
        known = self.certificate(OWNER)
        path = self.store.path(certificate_file(pic.serial))
        if known is None or self.certificate(certificate_file(pic.serial)) == pic:
            return
        common.note(self.tool, f"HSM {pic.serial} signed its PIC itself, not the owner known here ({known.name})")
        if not common.confirm(f"Believe it and write {path}?", yes=self.yes):
            raise common.ToolError("its PIC is not believed", _OTHER_NAME)

    def save_owner(self, poc: Certificate) -> None:
        """Make `poc` the client's owner certificate; no copy of it waits any more. The checks came before."""
        if self.certificate(OWNER) != poc:
            self.store.write(OWNER, poc.der, replace=True)
        if self.certificate(PENDING_OWNER) == poc:
            self.store.remove(PENDING_OWNER)

    def check_new_owner(self, ca: Identity) -> str:
        """Return the name of the file that the pending POC to be made on `ca` goes to, or refuse."""
        known, waiting = self.certificate(OWNER), self.certificate(PENDING_OWNER)
        if known is None or known == ca.pending_poc:
            return OWNER
        if waiting is not None and waiting not in (ca.pending_poc, known):
            path = self.store.path(PENDING_OWNER)
            raise common.ToolError(f"{path} is another pending owner's ({waiting.name})", _OTHER_STORE.format(path))
        return PENDING_OWNER

    # Identity certificates and requests

    def may_replace(self, name: str, expected: Certificate | None = None) -> None:
        """Ask whether a file may be overwritten that holds anything but what is expected there; ToolError if not."""
        path = self.store.path(name)
        try:
            found = self.store.read(name)
        except ValueError:
            found = b""
        if found is None or (expected is not None and found == expected.der):
            return
        if expected is not None:
            common.note(self.tool, f"the file has SHA-256 {_fingerprint(found)}")
            common.note(self.tool, f"the HSM's has SHA-256 {expected.fingerprint}")
        if not common.confirm(f"{path} holds something different: overwrite it?", yes=self.yes):
            raise common.ToolError(f"{path} is left as it is", _OTHER_NAME)

    def save_pic(self, identity: Identity) -> str:
        """Write the PIC of an HSM, whatever the file held, and return the path; `may_replace` came before."""
        return self.store.write(certificate_file(identity.serial), identity.certificates["PIC"].der, replace=True)


def _fingerprint(der: bytes) -> str:
    """Return the fingerprint of what a file holds, which may be no certificate."""
    try:
        return certificate.Certificate(der).fingerprint
    except ValueError:
        return "none: it is no certificate of an HSM"

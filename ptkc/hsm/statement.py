"""What the HSM says of itself in secure messaging, and the key that proves it: identity key and certificates in force.

The HSM reads them without a login. Keys and certificates are kept until an identity object changes, flags and boot
number are those of the moment. To be imported after `sms.load`.
"""

from __future__ import annotations

from ptkc import mechanisms
from ptkc.objects.object import Object
from ptkc.sms.bodies import Statement
from ptkc.sms.handshake import Identity
from ptkc.spec.constants import CKA, CKO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.token.hsms import Hsm

__all__ = ["Presented"]


class Presented:
    """Gives the `Identity` of an HSM for each handshake and each question."""

    __slots__ = ("_chain", "_changes", "_hsm", "_sign")

    def __init__(self, hsm: Hsm) -> None:
        """Speak for `hsm`."""
        self._hsm = hsm
        self._changes: int | None = None
        self._chain: tuple[bytes, ...] = ()
        self._sign: Callable[[bytes], bytes] | None = None

    def identity(self) -> Identity:
        """Return statement and signer as they are now; an HSM without PIK and PIC in force has no chain."""
        hsm = self._hsm
        flags, boot = hsm.security_mode, hsm.boot
        if hsm.identity.changes != self._changes:
            self._read()
        return Identity(Statement(hsm.serial, flags, boot, self._chain, proven=False), self._sign)

    def _read(self) -> None:
        """Read key and certificates; a POC is shown if it signed the PIC."""
        mechanisms.load()
        from ptkc.hsm import identity  # noqa: PLC0415 - behind `load`
        from ptkc.mechanisms.identity import signer  # noqa: PLC0415

        state = identity.read(self._hsm)
        key = state.attributes(CKO.PRIVATE_KEY, identity.PIK)
        certificates = [state.attributes(CKO.CERTIFICATE, identity.PIC)]
        if state.is_under_owner:
            certificates.append(state.attributes(CKO.CERTIFICATE, identity.POC))
        if key is None or certificates[0] is None:
            self._chain, self._sign = (), None
        else:
            self._chain = tuple([found[CKA.VALUE] for found in certificates if found is not None])
            self._sign = signer(Object(key)).sign
        self._changes = state.changes

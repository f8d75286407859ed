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
from ptkc.token.identity import PIC, PIK, POC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.token.hsms import Hsm

__all__ = ["Presented"]


class Presented:
    """Gives the `Identity` of an HSM for each handshake and each question."""

    __slots__ = ("_hsm", "_known")

    def __init__(self, hsm: Hsm) -> None:
        """Speak for `hsm`."""
        self._hsm = hsm
        self._known: tuple[int, tuple[bytes, ...], Callable[[bytes], bytes] | None] = (-1, (), None)

    def identity(self) -> Identity:
        """Return statement and signer as they are now; an HSM without PIK and PIC in force has no chain."""
        hsm = self._hsm
        flags, boot = hsm.security_mode, hsm.boot
        known = self._known  # as a whole: other threads may be reading anew
        if hsm.identity.changes != known[0]:
            known = self._known = self._read()
        _, chain, sign = known
        return Identity(Statement(hsm.serial, flags, boot, chain, proven=False), sign)

    def _read(self) -> tuple[int, tuple[bytes, ...], Callable[[bytes], bytes] | None]:
        """Read how often the identity was changed, certificates and key; a POC is shown if it signed the PIC."""
        mechanisms.load()
        from ptkc.hsm import identity  # noqa: PLC0415 - behind `load`
        from ptkc.mechanisms.identity import signer  # noqa: PLC0415

        state = identity.read(self._hsm)
        key = state.attributes(CKO.PRIVATE_KEY, PIK)
        certificates = [state.attributes(CKO.CERTIFICATE, PIC)]
        if state.is_under_owner:
            certificates.append(state.attributes(CKO.CERTIFICATE, POC))
        if key is None or certificates[0] is None:
            return state.changes, (), None
        chain = tuple([found[CKA.VALUE] for found in certificates if found is not None])
        return state.changes, chain, signer(Object(key)).sign

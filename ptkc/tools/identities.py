"""The identities of the HSMs as they stand: certificates, keys, who trusts whom, and what a command must refuse.

All of this is public: it is read in sessions without a login, and where the Admin token lets none be opened, by
CT_FetchCertificate. The checks say why a command would be refused before a PIN is asked for; the HSM checks again.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ptkc.tools import common, devices
from ptkc.tools.certificate import CLOCK_TOLERANCE, Certificate, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptkc.vendor import Device

__all__ = ["NOT_INITIALISED", "NO_PIN", "READY", "Identity", "fetch", "find", "find_one", "read", "read_all", "refresh"]

READY, NO_PIN, NOT_INITIALISED = "ready", "no Admin PIN", "not initialised"


@dataclass
class Identity:
    """An HSM: state, clock, certificates by label, public keys as {label: point}, peers as {serial: PIC}.

    `problem` is why it cannot be asked for more, `hint` what to do about that.
    """

    device: Device
    state: str
    deviation: int | None = None
    certificates: dict[str, Certificate] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    peers: dict[str, Certificate] = field(default_factory=dict)
    problem: str = ""
    hint: str = ""

    @property
    def serial(self) -> str:
        """The HSM's serial number."""
        return self.device.serial

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"HSM {self.serial}"

    @property
    def poc(self) -> Certificate | None:
        """The established owner certificate."""
        return self.certificates.get("POC")

    @property
    def pending_poc(self) -> Certificate | None:
        """The owner certificate in the POC-Pending state."""
        return self.certificates.get("POC-Pending")

    @property
    def pic(self) -> Certificate | None:
        """The identity certificate in force."""
        return self.certificates.get("PIC")

    @property
    def has_identity(self) -> bool:
        """Whether there is a PIK or PIC that could be overwritten."""
        return self.pic is not None or "PIK" in self.keys

    def weakness_of(self, peer: Certificate) -> str:
        """Return why this HSM does not use a peer's certificate that it holds, "" if it does."""
        if self.pic is None:
            return "no own PIC"
        if peer.expired:
            return "expired"
        if not self.shares_owner(peer):
            return "other owner"
        issuers = () if self.pic.self_signed else (self.poc,)
        return "" if all(own is None or own.valid for own in (self.pic, *issuers)) else "own expired"

    def shares_owner(self, peer: Certificate) -> bool:
        """Whether a peer's PIC is of the same owner as ours: signed by our POC, or both signed by themselves."""
        if self.pic is None:
            return False
        return peer.self_signed if self.pic.self_signed else peer.signed_by(self.poc)

    def is_of_former_owner(self, fleet: Sequence[Identity], known: Certificate | None = None) -> bool:
        """Whether the owner that signed the PIC has another POC by now, as the CA shows, or the client's store."""
        if self.pic is None or self.pic.self_signed:
            return False
        poc = self.poc
        if poc is None or not self.pic.signed_by(poc):
            return True
        for ca in fleet:
            if ca.serial == poc.serial and "POK" in ca.keys:
                return ca.poc != poc
        return known is not None and known != poc and known.serial == poc.serial and known.begins > poc.begins

    # Checks, before a PIN is asked for

    def check_ready(self) -> None:
        """Refuse an HSM whose Admin token has no Administrator."""
        if self.problem:
            raise common.ToolError(self.problem, self.hint or "see `ptkc doctor`")
        if self.state != READY:
            message = "the Admin token is not initialised" if self.state == NOT_INITIALISED else "there is no Admin PIN"
            raise common.ToolError(message, f"`ctconf -a{self.device.number}` sets its PINs")

    def check_clock(self) -> None:
        """Refuse an HSM whose clock is off: certificates carry times."""
        if self.deviation is not None and abs(self.deviation) > CLOCK_TOLERANCE:
            way = "ahead of" if self.deviation > 0 else "behind"
            message = f"its clock is {abs(self.deviation)} seconds {way} the client's"
            raise common.ToolError(message, f"`ctconf -a{self.device.number} -t` sets it")

    def check_settled(self) -> None:
        """Refuse an HSM in the POC-Pending state where trust is concerned."""
        if self.pending_poc is None:
            return
        hint = f"`ctident gen-key sn:{self.serial} sn:{self.serial}` establishes it"
        if "POK-Pending" not in self.keys:
            hint = "`ctident store-pic` with a PIC that its owner signed establishes it"
        raise common.ToolError("it has a certificate in the POC-Pending state", hint)

    def check_pic(self) -> None:
        """Refuse an HSM without a valid PIC."""
        if self.pic is None:
            hint = "`ctident gen-key` or `ctident gen-selfsigned` makes one"
            if "PIK-Pending" in self.keys:
                hint = "its PIK is in the PIK-Pending state: `ctident store-pic` takes the signed PIC"
            raise common.ToolError("it has no PIC", hint)
        if not self.pic.valid:
            what = "has expired" if self.pic.expired else "is not valid yet"
            raise common.ToolError(f"its PIC {what}", "`ctident gen-key` or `ctident gen-selfsigned` makes a new one")


# Reading


def read_all() -> list[Identity]:
    """Load the library and read the identity of each HSM."""
    return [read(device) for device in devices.connect()]


def read(device: Device) -> Identity:
    """Read what an HSM shows without a login."""
    from pkcs11 import TokenFlag  # noqa: PLC0415 - loaded with the library

    flags = device.admin.flags
    state = NOT_INITIALISED
    if flags & TokenFlag.TOKEN_INITIALIZED:
        state = READY if flags & TokenFlag.USER_PIN_INITIALIZED else NO_PIN
    identity = Identity(device, state)
    try:
        session = device.admin.open()
    except RuntimeError as error:
        if not common.is_refusal(error):
            raise
        _fetch_into(identity)
        if state == READY:
            reason, identity.hint = common.reason(error)
            identity.problem = f"no session can be opened: {reason}"
        return identity
    try:
        refresh(identity, session)
        identity.deviation = _deviation(session)
    finally:
        session.close()
    return identity


def refresh(identity: Identity, session: Any) -> None:  # noqa: ANN401 - python-pkcs11's are untyped
    """Read certificates, keys and peers again, in a session that is there."""
    from ptkc.vendor import Attribute, Mechanism, ObjectClass  # noqa: PLC0415 - loaded with the library

    # Only the HSM sets these marks: an ordinary object with one of the labels is none of them.
    key, certificate = ({Attribute.CLASS: kind} for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.CERTIFICATE))
    owner, own, made_here = Attribute.HSM_OWNER_CERT, Attribute.LOCAL_IDENTITY_CERT, Attribute.KEY_GEN_MECHANISM
    identity.keys = {
        found[Attribute.LABEL]: _point(found[Attribute.EC_POINT])
        for mark in ({owner: True}, {made_here: Mechanism.GEN_PIK_ECC_P521})
        for found in session.get_objects({**key, **mark})
    }
    identity.certificates = {
        found[Attribute.LABEL]: Certificate(found[Attribute.VALUE])
        for mark in ({owner: True}, {own: True})
        for found in session.get_objects({**certificate, **mark})
    }
    identity.peers = {
        found[Attribute.LABEL].removeprefix("PIC "): Certificate(found[Attribute.VALUE])
        for found in session.get_objects({**certificate, own: False})
    }


def _point(value: bytes) -> bytes:
    """Return the point inside an EC_POINT, an OCTET STRING in DER, as certificates hold it."""
    from asn1crypto.core import OctetString  # noqa: PLC0415 - seldom needed

    return bytes(OctetString.load(value).native)


def fetch(device: Device) -> Identity:
    """Read the established certificates of an HSM without any session (CT_FetchCertificate)."""
    identity = Identity(device, READY)
    _fetch_into(identity)
    return identity


def _fetch_into(identity: Identity) -> None:
    from ptkc.vendor import Attribute, fetch_certificate  # noqa: PLC0415 - loaded with the library

    for label, kind in (("POC", Attribute.HSM_OWNER_CERT), ("PIC", Attribute.LOCAL_IDENTITY_CERT)):
        der = fetch_certificate(identity.device.number, kind)
        if der is not None:
            identity.certificates[label] = Certificate(der)
    if identity.pic is not None:
        identity.keys["PIK"] = identity.pic.point


def _deviation(session: Any) -> int | None:  # noqa: ANN401
    """Return how many seconds the HSM's clock is ahead of ours, None if it has none to look at."""
    from ptkc.vendor import Attribute, ObjectClass  # noqa: PLC0415 - loaded with the library

    for feature in session.get_objects({Attribute.CLASS: ObjectClass.HW_FEATURE, Attribute.HW_FEATURE_TYPE: _CLOCK}):
        text = bytes(feature[Attribute.VALUE])[:14].decode("ascii", "replace")
        try:
            time = dt.datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
        except ValueError:
            return None
        # Whole seconds are shown: half of one is lost on the average.
        seconds = (time - now()).total_seconds() + 0.5
        return 0 if abs(seconds) < 1 else round(seconds)
    return None


_CLOCK = 2  # CKH_CLOCK


# Choosing


def find(text: str, fleet: Sequence[Identity]) -> list[Identity]:
    """Return the identities of the HSMs that a list names."""
    return [_of(device, fleet) for device in devices.select(text, [identity.device for identity in fleet])]


def find_one(text: str, fleet: Sequence[Identity]) -> Identity:
    """Return the identity of the HSM that a number or `sn:<serial>` names."""
    return _of(devices.one(text, [identity.device for identity in fleet]), fleet)


def _of(device: Device, fleet: Sequence[Identity]) -> Identity:
    return next(identity for identity in fleet if identity.device is device)

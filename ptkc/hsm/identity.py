"""Who the HSM is: owner key and certificate, identity key and certificate, and the peers it trusts.

The HSM, not a tool, keeps the states. A label says what an object is (POK, POC, PIK, PIC, `PIC <serial>` of a peer) and
whether it is pending; every change is one transaction on what was read just before it, so that processes that change
the identity at once come one after the other, and a killed one has changed all or nothing. What certificates must be
is `mechanisms.identity`; who may call is the device's to check. The rules in words: docs/identity.md. To be imported
where it is needed, behind `mechanisms.load`: start-up must not load cryptography.
"""

from __future__ import annotations

from ptkc.mechanisms import MECHANISMS
from ptkc.mechanisms.certificates import read_certificate
from ptkc.mechanisms.identity import (
    CURVE_PARAMS,
    check_identity,
    check_owner,
    identity_certificate,
    is_signed_by,
    owner_certificate,
    serial_in,
    signer,
)
from ptkc.mechanisms.public_key_info import key_identifier
from ptkc.mechanisms.x509 import Certificate, certificate_attributes
from ptkc.objects import template as templates
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import GenPik
from ptkc.spec.values import FALSE, TRUE, Attributes, ulong
from ptkc.token.contents import ObjectChangedError
from ptkc.token.events import Event
from ptkc.token.identity import PEER, PIC, PIK, PIK_PENDING, POC, POC_PENDING, POK, POK_PENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.token.hsms import Hsm

__all__ = [
    "State", "generate_identity", "generate_owner", "is_in_use", "read", "remove", "store_identity", "store_owner",
    "trust", "trusted",
]  # fmt: skip

_CERTIFICATE, _PRIVATE, _PUBLIC = CKO.CERTIFICATE, CKO.PRIVATE_KEY, CKO.PUBLIC_KEY
_FIXED = {CKA.TOKEN: TRUE, CKA.MODIFIABLE: FALSE, CKA.COPYABLE: FALSE, CKA.DESTROYABLE: FALSE}
_PUBLIC_TEMPLATE = {
    **_FIXED, CKA.PRIVATE: FALSE, CKA.ENCRYPT: FALSE, CKA.WRAP: FALSE, CKA.ENCAPSULATE: FALSE,
    CKA.VERIFY_RECOVER: FALSE,
}  # fmt: skip
_PRIVATE_TEMPLATE = {
    **_FIXED, CKA.PRIVATE: TRUE, CKA.SENSITIVE: TRUE, CKA.EXTRACTABLE: FALSE, CKA.SIGN: FALSE, CKA.SIGN_RECOVER: FALSE,
    CKA.DECRYPT: FALSE, CKA.UNWRAP: FALSE, CKA.DERIVE: FALSE, CKA.DECAPSULATE: FALSE,
}  # fmt: skip

Step = tuple[list[int], list[Attributes], str]
"""A change: the records that go, the objects that come, and what the event log says of it."""


class State:
    """The identity objects as they were at one moment.

    `changes` counts what happened to them until then; `entries` has record and attributes by (class, label), `peers`
    those of the trusted peers' certificates by serial.
    """

    __slots__ = ("changes", "entries", "peers")

    def __init__(self, changes: int) -> None:
        """Begin without any object."""
        self.changes = changes
        self.entries: dict[tuple[int, bytes], tuple[int, Attributes]] = {}
        self.peers: dict[str, tuple[int, Attributes]] = {}

    def attributes(self, object_class: int, label: bytes) -> Attributes | None:
        """Return the attributes of an object, None if there is none."""
        entry = self.entries.get((object_class, label))
        return None if entry is None else entry[1]

    def certificate(self, label: bytes) -> Certificate | None:
        """Return a certificate taken apart, None if there is none."""
        attributes = self.attributes(_CERTIFICATE, label)
        return None if attributes is None else read_certificate(attributes[CKA.VALUE])

    def records(self, *labels: bytes) -> list[int]:
        """Return the records of all objects with these labels."""
        return [record for (_, label), (record, _) in self.entries.items() if label in labels]

    def renamed(self, before: bytes, after: bytes) -> list[Attributes]:
        """Return the objects with a label, as they are with another."""
        return [
            {**attributes, CKA.LABEL: after} for (_, label), (_, attributes) in self.entries.items() if label == before
        ]

    def key_label(self, public_key_info: bytes, *labels: bytes) -> bytes | None:
        """Return the label among these of the private key that belongs to a public one."""
        for label in labels:
            attributes = self.attributes(_PRIVATE, label)
            if attributes is not None and attributes[CKA.PUBLIC_KEY_INFO] == public_key_info:
                return label
        return None

    @property
    def is_under_owner(self) -> bool:
        """Whether the PIC in force is signed by the POC in force."""
        certificate, owner = self.certificate(PIC), self.certificate(POC)
        return certificate is not None and owner is not None and is_signed_by(certificate, owner)


def read(hsm: Hsm) -> State:
    """Return the identity objects as they are now."""
    identity = hsm.identity
    while True:
        state = State(identity.changes)
        for record in identity.find(()):
            loaded = identity.load(record)
            if loaded is None:
                continue
            attributes = loaded[0]
            label = attributes[CKA.LABEL]
            if label.startswith(PEER):
                state.peers[label[len(PEER) :].decode()] = record, attributes
            else:
                state.entries[int.from_bytes(attributes[CKA.CLASS], "little"), label] = record, attributes
        if identity.changes == state.changes:
            return state


def _change(hsm: Hsm, code: int, decide: Callable[[State], int | Step]) -> list[int]:
    """Change the identity as `decide` says of what it is now; return the records of what came, or of what stays.

    `decide` gives the record that stays, if there is nothing to do, or a step; it is asked again if another process
    changed anything meanwhile.
    """
    while True:
        state = read(hsm)
        decided = decide(state)
        if isinstance(decided, int):
            return [decided]
        go, come, said = decided
        try:
            return hsm.identity.exchange(go, come, since=state.changes, events=((code, said),))
        except ObjectChangedError:
            continue


# What is made here


def _key_pair(label: bytes, number: int, private_also: Attributes, marks: Attributes) -> tuple[Attributes, Attributes]:
    """Return a new key pair on P-521; `marks` are attributes that no template may say."""
    kind = ulong(CKK.EC)
    public = templates.prepare(
        templates.GENERATE, tuple({**_PUBLIC_TEMPLATE, CKA.EC_PARAMS: CURVE_PARAMS}.items()),
        {CKA.CLASS: ulong(_PUBLIC), CKA.KEY_TYPE: kind},
    )  # fmt: skip
    private = templates.prepare(
        templates.GENERATE, tuple({**_PRIVATE_TEMPLATE, **private_also}.items()),
        {CKA.CLASS: ulong(_PRIVATE), CKA.KEY_TYPE: kind},
    )  # fmt: skip
    produced = MECHANISMS[CKM.GEN_PIK_ECC_P521].generate_pair(GenPik(self_sign=False), public, private)
    public = templates.complete(templates.GENERATE, public, produced[0], number)
    private = templates.complete(templates.GENERATE, private, produced[1], number)
    named = {CKA.LABEL: label, CKA.ID: key_identifier(public[CKA.PUBLIC_KEY_INFO]), **marks}
    return {**public, **named}, {**private, **named}


def _certificate_object(certificate: Certificate, label: bytes, marks: Attributes) -> Attributes:
    """Return the object of an identity certificate."""
    template = {
        **_FIXED,
        **certificate_attributes(certificate),
        CKA.PRIVATE: FALSE,
        CKA.TRUSTED: TRUE,
        CKA.LABEL: label,
        CKA.ID: key_identifier(certificate.public_key_info),
    }
    return {**templates.create(tuple(template.items()), so=True), **marks}


def generate_owner(hsm: Hsm) -> list[int]:
    """Make a pending owner key with its self-signed certificate; return the records of public and private key."""
    mark = {CKA.HSM_OWNER_CERT: TRUE}
    public, private = _key_pair(POK_PENDING, CKM.EC_KEY_PAIR_GEN, {}, mark)
    value = owner_certificate(hsm.serial, signer(Object(private)), hsm.now())
    come = [public, private, _certificate_object(Certificate(value), POC_PENDING, mark)]
    return _change(
        hsm,
        Event.IDENTITY_REPLACED,
        lambda state: (state.records(POK_PENDING, POC_PENDING), come, POK_PENDING.decode()),
    )[:2]


def generate_identity(hsm: Hsm, *, self_sign: bool) -> list[int]:
    """Make an identity key: in force with a self-signed certificate, or pending; return the records of the pair."""
    label = PIK if self_sign else PIK_PENDING
    public, private = _key_pair(label, CKM.GEN_PIK_ECC_P521, {CKA.SIGN_LOCAL_CERT: TRUE}, {})
    come = [public, private]
    gone = [PIK_PENDING]
    if self_sign:
        key = signer(Object(private))
        value = identity_certificate(hsm.serial, key.public_key_info, key, None, hsm.now())
        come.append(_certificate_object(Certificate(value), PIC, {CKA.LOCAL_IDENTITY_CERT: TRUE}))
        gone += [PIK, PIC]
    return _change(hsm, Event.IDENTITY_REPLACED, lambda state: (state.records(*gone), come, label.decode()))[:2]


# What is brought from elsewhere


def store_owner(hsm: Hsm, value: bytes) -> int:
    """Take an owner certificate; return its record.

    The one in force, and a pending one whose key is here, stay as they are. It comes into force at once if no PIC
    depends on the present POC and the HSM is no owner itself, else it is pending. CKR_ATTRIBUTE_VALUE_INVALID for what
    is no certificate, CKR_CERT_NOT_VALIDATED for what is no owner certificate that is valid now.
    """
    certificate = read_certificate(value)
    check_owner(certificate, hsm.now())
    mark = {CKA.HSM_OWNER_CERT: TRUE}

    def decide(state: State) -> int | Step:
        at_once = (_PRIVATE, POK) not in state.entries and not state.is_under_owner
        for label in (POC, POC_PENDING):
            entry = state.entries.get((_CERTIFICATE, label))
            if entry is None or entry[1][CKA.VALUE] != value:
                continue
            if label == POC or not at_once or (_PRIVATE, POK_PENDING) in state.entries:
                return entry[0]
        label = POC if at_once else POC_PENDING
        gone = state.records(POC_PENDING, POK_PENDING, *((POC,) if at_once else ()))
        return gone, [_certificate_object(certificate, label, mark)], label.decode()

    return _change(hsm, Event.IDENTITY_REPLACED, decide)[0]


def store_identity(hsm: Hsm, value: bytes) -> int:
    """Take the identity certificate of this HSM; return its record.

    With it a pending identity key, and a pending owner that signed it, come into force. CKR_ATTRIBUTE_VALUE_INVALID for
    what is no certificate or another HSM's, CKR_KEY_HANDLE_INVALID if the key is not here, CKR_CERT_NOT_VALIDATED.
    """
    certificate = read_certificate(value)
    now = hsm.now()

    def decide(state: State) -> int | Step:
        key = state.key_label(certificate.public_key_info, PIK_PENDING, PIK)
        if key is None:
            raise CryptokiError(CKR.KEY_HANDLE_INVALID, "the certificate is not for the identity key of this HSM")
        if serial_in(certificate.subject) != hsm.serial:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "the certificate does not name the serial of this HSM")
        check_identity(certificate, now)
        for issuer in (POC_PENDING, POC):
            owner = state.certificate(issuer)
            if owner is not None and is_signed_by(certificate, owner):
                if not owner.is_valid(now):
                    raise CryptokiError(CKR.CERT_NOT_VALIDATED, "the owner certificate is not valid now")
                break
        else:
            issuer = PIC
            if not is_signed_by(certificate, certificate):
                raise CryptokiError(CKR.CERT_NOT_VALIDATED, "signed neither by an owner that is here nor by itself")
        gone, come = [PIC], [_certificate_object(certificate, PIC, {CKA.LOCAL_IDENTITY_CERT: TRUE})]
        if key == PIK_PENDING:
            gone += [PIK, PIK_PENDING]
            come += state.renamed(PIK_PENDING, PIK)
        if issuer == POC_PENDING:
            gone += [POC, POK, POC_PENDING, POK_PENDING]
            come += state.renamed(POC_PENDING, POC) + state.renamed(POK_PENDING, POK)
        return state.records(*gone), come, PIC.decode()

    return _change(hsm, Event.IDENTITY_REPLACED, decide)[0]


def trust(hsm: Hsm, value: bytes) -> int:
    """Take the identity certificate of a peer in place of an older one; return its record.

    CKR_ATTRIBUTE_VALUE_INVALID for what is no certificate of another HSM; CKR_CERT_NOT_VALIDATED if the HSM has no
    valid PIC, an owner is pending, or the peer's is not valid now or of another owner.
    """
    certificate = read_certificate(value)
    serial = serial_in(certificate.subject)
    if serial is None or serial == hsm.serial:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "the certificate names no other HSM's serial")
    now = hsm.now()

    def decide(state: State) -> int | Step:
        if (_CERTIFICATE, POC_PENDING) in state.entries:
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, "an owner certificate is pending on this HSM")
        reason = _why_not_trusted(state, certificate, now)
        if reason:
            raise CryptokiError(CKR.CERT_NOT_VALIDATED, reason)
        older = state.peers.get(serial)
        if older is not None and older[1][CKA.VALUE] == value:
            return older[0]
        come = _certificate_object(certificate, PEER + serial.encode(), {CKA.LOCAL_IDENTITY_CERT: FALSE})
        return [] if older is None else [older[0]], [{**come, CKA.DESTROYABLE: TRUE}], serial

    return _change(hsm, Event.PEER_TRUSTED, decide)[0]


def _why_not_trusted(state: State, certificate: Certificate, now: float) -> str | None:
    """Say why a peer's certificate is not in use, None if it is: both are valid and of the same owner."""
    own = state.certificate(PIC)
    if own is None or not own.is_valid(now):
        return "this HSM has no identity certificate that is valid now"
    owner = state.certificate(POC)
    if is_signed_by(own, own):
        if not is_signed_by(certificate, certificate):
            return "this HSM's identity certificate is self-signed, the peer's is not"
    elif owner is None or not owner.is_valid(now) or not is_signed_by(own, owner):
        return "the owner of this HSM is not valid now"
    elif not is_signed_by(certificate, owner):
        return "the peer's certificate is not signed by the owner of this HSM"
    try:
        check_identity(certificate, now)
    except CryptokiError as error:
        return error.message
    return None


def trusted(hsm: Hsm) -> dict[str, Attributes]:
    """Return the certificates of the peers that are in use now, by serial."""
    state = read(hsm)
    now = hsm.now()
    return {
        serial: attributes
        for serial, (_, attributes) in state.peers.items()
        if _why_not_trusted(state, read_certificate(attributes[CKA.VALUE]), now) is None
    }


def remove(hsm: Hsm, obj: Object) -> None:
    """Trust a peer no more; CKR_OBJECT_READ_ONLY for any other identity object, CKR_OBJECT_HANDLE_INVALID."""
    serial = obj.attributes[CKA.LABEL]
    if obj.object_class != _CERTIFICATE or not serial.startswith(PEER):
        raise CryptokiError(CKR.OBJECT_READ_ONLY, "identity objects are replaced, not destroyed")
    hsm.identity.exchange([obj.record or 0], [], events=((Event.PEER_REMOVED, serial[len(PEER) :].decode()),))


def is_in_use(hsm: Hsm, certificate: Object) -> bool:
    """Whether an identity certificate may vouch for others: the HSM's own in force, and those of trusted peers."""
    label = certificate.attributes[CKA.LABEL]
    if not label.startswith(PEER):
        return label in (POC, PIC)
    state, value = read(hsm), certificate.attributes[CKA.VALUE]
    _, peer = state.peers.get(label[len(PEER) :].decode(), (0, {}))
    return peer.get(CKA.VALUE) == value and _why_not_trusted(state, read_certificate(value), hsm.now()) is None

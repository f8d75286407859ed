"""Both ends of secure messaging for its tests: an HSM with fixed keys, clients, and channels joined by a wire.

Certificates and signatures are deterministic (RFC 6979), so that vectors come out the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import shake_256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ptkc.sms import handshake as handshakes
from ptkc.sms import statement as statements
from ptkc.sms.bodies import NEW, Statement
from ptkc.sms.channel import Channel
from ptkc.sms.conversation import Conversation
from ptkc.sms.handshake import Handshake, Identity, read_greeting
from ptkc.sms.protection import policy_of_flags
from ptkc.sms.state import CLIENT, HSM
from ptkc.sms.trust import Verifier

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
SERIAL, OTHER_SERIAL = "1234567", "7654321"
CURVE = ec.SECP521R1()
Key = ec.EllipticCurvePrivateKey
DAY = 86400
N, U = 0x80, 0x100  # Full Secure Messaging Encryption and Signing
SMALL_N, SMALL_U = 0x2, 0x4  # No Clear PINs, Auth Protection
FLAG_SETS = {"N": N, "U": U, "NU": N | U, "n": SMALL_N, "u": SMALL_U, "nu": SMALL_N | SMALL_U, "none": 0}


def stream(name: str, length: int) -> bytes:
    """Return bytes that only depend on the name."""
    return shake_256(name.encode()).digest(length)


def key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key on P-521 with this name."""
    return ec.derive_private_key(int.from_bytes(stream(f"key {name}", 64)), CURVE)


def sign(private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return a deterministic signature."""
    return private.sign(message, ec.ECDSA(SHA512(), deterministic_signing=True))


def certificate(
    serials: Iterable[str], private: Key, issuer: Key | None = None, *, ca: bool = False,
    days: tuple[int, int] = (-1, 365), name: str = "HSM", issuer_name: str | None = None, usage: str | None = "",
    digest: HashAlgorithm | None = None,
    extension: x509.ExtensionType | None = None,
) -> bytes:  # fmt: skip
    """Return a certificate (DER): a PIC, or a POC if it is a CA's; signed by itself without an issuer.

    `usage` is another key usage than it should have, None if there is to be none.
    """

    def named(common: str, numbers: Iterable[str]) -> x509.Name:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
        return x509.Name(attributes + [x509.NameAttribute(NameOID.SERIAL_NUMBER, number) for number in numbers])

    subject = named(name, serials)
    begin, end = (datetime.fromtimestamp(NOW + day * DAY, UTC) for day in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer_name is None else named(issuer_name, ()))
        .public_key(private.public_key())
        .serial_number(int.from_bytes(stream(f"number {name} {serials} {days}", 16)) | 1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage is not None:
        bits = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        bits[usage or ("key_cert_sign" if ca else "digital_signature")] = True
        builder = builder.add_extension(x509.KeyUsage(**bits), critical=True)
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    signing = issuer or private
    made = builder.sign(signing, digest or SHA512(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.DER)


PIK, POK = key("PIK"), key("POK")
SELF_SIGNED = certificate([SERIAL], PIK)
OWNER = certificate([], POK, ca=True, name="owner")
UNDER_OWNER = certificate([SERIAL], PIK, POK, issuer_name="owner")


def identity(
    flags: int = N | U, chain: tuple[bytes, ...] = (SELF_SIGNED,), boot: int = 3, serial: str = SERIAL,
    private: Key = PIK,
) -> Identity:  # fmt: skip
    """Return what an HSM is."""
    return Identity(Statement(serial, flags, boot, chain, proven=False), lambda message: sign(private, message))


def verifier(pinned: dict[str, bytes] | None = None, owner: bytes | None = None, now: float = NOW) -> Verifier:
    """Return what a client holds; without anything said, the HSM's PIC."""
    held = {SERIAL: SELF_SIGNED} if pinned is None and owner is None else pinned or {}
    return Verifier(held.get, owner, lambda: now)


def is_sensitive(payload: bytes) -> bool:
    """Whether a request of a test has something sensitive in it, or is none: requests are ASCII."""
    return payload.startswith(b"PIN") or not payload.isascii()


@contextmanager
def fixed(name: str) -> Iterator[None]:
    """Have keys and nonces of both ends depend on the name and on what was drawn before."""
    drawn: list[None] = []

    def _next(kind: str) -> str:
        drawn.append(None)
        return f"{name} {kind} {len(drawn)}"

    places = [(handshakes, "random_bytes"), (statements, "random_bytes"), (handshakes, "ephemeral")]
    before = [getattr(module, attribute) for module, attribute in places]
    replaced: list[Callable[..., Any]] = [lambda length: stream(_next("nonce"), length)] * 2
    replaced.append(lambda: key(_next("ephemeral")))
    for (module, attribute), value in zip(places, replaced, strict=True):
        setattr(module, attribute, value)
    try:
        yield
    finally:
        for (module, attribute), value in zip(places, before, strict=True):
            setattr(module, attribute, value)


def shake_hands(
    flags: int = N | U, policy: int = 0, secret: bytes | None = None, secrets: dict[bytes, bytes] | None = None,
    number: int = 9,
) -> tuple[Channel, Channel]:  # fmt: skip
    """Return the channel of the client and that of the HSM."""
    client = Handshake(SERIAL, policy, is_sensitive, secret)
    offer = read_greeting(client.frame).answer(identity(flags), number, is_sensitive)
    confirmation = client.answered(offer.frame, verifier())
    acceptance = offer.confirmed(confirmation.frame, (secrets or {}).get)
    return confirmation.accepted(acceptance.frame), acceptance.channel


class ChannelPair:
    """A client's and an HSM's channel as after a handshake, but at once and with known secrets, and what was sent."""

    def __init__(self, flags: int = N | U, policy: int = 0, number: int = 9, name: str = "pair") -> None:
        """Make both ends."""
        said = Statement(SERIAL, flags, 3, (SELF_SIGNED,), proven=True)
        ends = []
        for end in (CLIENT, HSM):
            conversation = Conversation(end, number, stream(f"{name} requests", 64), stream(f"{name} replies", 64))
            conversation.state = "open"
            wanted = policy | policy_of_flags(flags)
            ends.append(Channel(conversation, said, wanted, NEW, stream(f"{name} application", 32), is_sensitive))
        self.client, self.hsm = ends
        self.sent: list[bytes] = []

    def ask(self, payload: bytes, associated: bytes = b"") -> bytes:
        """Return the client's frame of a request."""
        self.sent.append(self.client.seal(payload, associated))
        return self.sent[-1]

    def reply(self, payload: bytes, associated: bytes = b"") -> bytes:
        """Return the HSM's frame of a reply."""
        self.sent.append(self.hsm.seal(payload, associated))
        return self.sent[-1]

    def exchange(self, payload: bytes, answer: bytes, associated: bytes = b"") -> tuple[Any, Any]:
        """Return what the HSM and then the client have received, over a wire that does nothing."""
        request = self.hsm.open(self.ask(payload, associated))
        return request, self.client.open(self.reply(answer))

    def skip(self, frames: int) -> None:
        """Have both directions begin with this counter, under the first keys."""
        for channel in (self.client, self.hsm):
            for direction in (channel._conversation._in, channel._conversation._out):
                direction.counter = direction.encrypted = frames


def flip(frame: bytes, place: int, bits: int = 1) -> bytes:
    """Return a frame with these bits of one byte flipped."""
    place %= len(frame)
    return frame[:place] + bytes([frame[place] ^ bits]) + frame[place + 1 :]

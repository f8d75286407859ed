"""Tickets: what one changes, for which key, when, and how often; and that nothing else is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from limited import Limited

from ptkc.hsm import tickets as presented
from ptkc.mechanisms import tickets
from ptkc.mechanisms.tickets import Ticket
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE, from_ulong, ulong

DAY = 86400.0
_OVER = datetime(2001, 1, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC)
SET = (CKM.SET_ATTRIBUTES, None)


class Issuer:
    """Somebody with a key and a certificate, who signs tickets."""

    def __init__(self, kind: str = "ecdsa") -> None:
        """Make both."""
        self.algorithm = f"sha512_{kind}" if kind == "ecdsa" else "sha256_rsa"
        self.key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(ec.SECP521R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, 2048)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
        # The certificate's own dates are over: they do not matter.
        builder = x509.CertificateBuilder(name, name, self.key.public_key(), 1, *_OVER)
        self.certificate = builder.sign(self.key, SHA512()).public_bytes(Encoding.DER)

    def sign(self, ticket: Ticket) -> bytes:
        """Return the ticket, signed as a token signs."""
        content = tickets.content(ticket)
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(content, padding.PKCS1v15(), SHA256())
        else:
            numbers = decode_dss_signature(self.key.sign(content, ec.ECDSA(SHA512())))
            signature = b"".join(number.to_bytes(66, "big") for number in numbers)
        return tickets.assemble(content, self.algorithm, signature)


ISSUER = Issuer()


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Limited]:
    """Return an HSM whose user is logged in."""
    with Limited(tmp_path) as limited:
        yield limited


@pytest.fixture
def key(hsm: Limited) -> int:
    """Return a key that may be used once, for which ISSUER issues tickets."""
    return hsm.aes(usage_limit=ulong(1), admin_cert=ISSUER.certificate)


def ticket_for(hsm: Limited, attributes: dict[int, bytes], /, **changed: object) -> Ticket:
    """Return a ticket for `key`, issued now by the HSM's clock and valid for a day."""
    now = hsm.hsm.now()
    ticket = Ticket(hsm.hsm.serial, "test", "limited", b"\1", "", tickets.stamp(now), now - DAY, now + DAY, attributes)
    return ticket._replace(**changed)


def present(hsm: Limited, key: int, ticket: bytes) -> None:
    """Present a ticket."""
    presented.present(hsm.device, hsm.session, key, SET, ticket)


def code(call: Callable[..., object], *arguments: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        call(*arguments)
    return refused.value.code


# What a ticket does


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("token", [TRUE, FALSE], ids=["token", "session"])
def test_a_ticket_changes_limit_and_dates(hsm: Limited, token: bytes, kind: str) -> None:
    """The key that was used up may be used again, as often as the ticket says, with its dates."""
    issuer = Issuer(kind)
    key = hsm.aes(token=token, usage_limit=ulong(1), admin_cert=issuer.certificate)
    hsm.use(key)
    changes = {CKA.USAGE_LIMIT: ulong(3), CKA.START_DATE: b"20200101", CKA.END_DATE: b"20991231"}
    ticket = ticket_for(hsm, changes)
    hsm.device.ct_present_ticket(hsm.session, key, SET, issuer.sign(ticket))
    hsm.use(key)
    hsm.use(key)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)
    assert changes == {kind: hsm.get(key, kind) for kind in changes}
    assert ticket.issued.encode() == hsm.get(key, CKA.TIME_STAMP)


def test_a_ticket_reaches_a_key_that_is_not_modifiable(hsm: Limited) -> None:
    """CKA_MODIFIABLE is for the user; who issues tickets was named by the key's maker."""
    key = hsm.aes(usage_limit=ulong(0), admin_cert=ISSUER.certificate, modifiable=FALSE)
    present(hsm, key, ISSUER.sign(ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(1)})))
    hsm.use(key)


def test_a_ticket_hands_over_to_another_issuer(hsm: Limited, key: int) -> None:
    """With another CKA_ADMIN_CERT the former issuer's tickets are CKR_SIGNATURE_INVALID, the new one's are not."""
    other = Issuer()
    now = hsm.hsm.now()
    present(hsm, key, ISSUER.sign(ticket_for(hsm, {CKA.ADMIN_CERT: other.certificate})))
    later = ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(9)}, issued=tickets.stamp(now + 1))
    assert CKR.SIGNATURE_INVALID == code(present, hsm, key, ISSUER.sign(later))
    present(hsm, key, other.sign(later))
    assert 9 == from_ulong(hsm.get(key, CKA.USAGE_LIMIT) or b"")


# What is refused


def test_a_ticket_is_good_once(hsm: Limited, key: int) -> None:
    """Again, or after a later one, it is CKR_ACTION_PROHIBITED."""
    now = hsm.hsm.now()
    first, second = (
        ISSUER.sign(ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(limit)}, issued=tickets.stamp(now + limit)))
        for limit in (2, 3)
    )
    present(hsm, key, second)
    assert CKR.ACTION_PROHIBITED == code(present, hsm, key, second)
    assert CKR.ACTION_PROHIBITED == code(present, hsm, key, first)
    assert 3 == from_ulong(hsm.get(key, CKA.USAGE_LIMIT) or b"")


@pytest.mark.parametrize("away", [-2 * DAY, 2 * DAY])
def test_a_ticket_is_good_for_its_time(hsm: Limited, key: int, away: float) -> None:
    """By the HSM's clock: before and after it is CKR_ACTION_PROHIBITED."""
    ticket = ISSUER.sign(ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(2)}))
    hsm.hsm.set_clock_offset(away)
    assert CKR.ACTION_PROHIBITED == code(present, hsm, key, ticket)
    hsm.hsm.set_clock_offset(0)
    present(hsm, key, ticket)


@pytest.mark.parametrize("changed", [{"hsm": "1"}, {"token": "other"}, {"object": "other"}, {"id": b"\2"}])
def test_a_ticket_is_good_for_its_key(hsm: Limited, key: int, changed: dict[str, object]) -> None:
    """Another serial number, token, label or key id: CKR_OBJECT_HANDLE_INVALID."""
    ticket = ISSUER.sign(ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(2)}, **changed))
    assert CKR.OBJECT_HANDLE_INVALID == code(present, hsm, key, ticket)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({CKA.USAGE_COUNT: ulong(0)}, CKR.ATTRIBUTE_READ_ONLY),
        ({CKA.EXTRACTABLE: TRUE}, CKR.ATTRIBUTE_READ_ONLY),
        ({1 << 70: b""}, CKR.ATTRIBUTE_READ_ONLY),
        ({CKA.USAGE_LIMIT: b"\1"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.END_DATE: b"20261301"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.ADMIN_CERT: b""}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({CKA.ADMIN_CERT: b"\x30\0"}, CKR.ATTRIBUTE_VALUE_INVALID),
    ],
)
def test_a_ticket_changes_nothing_else(hsm: Limited, key: int, attributes: dict[int, bytes], expected: int) -> None:
    """What no ticket changes, and values that are none: refused, and the key is as it was."""
    assert expected == code(present, hsm, key, ISSUER.sign(ticket_for(hsm, attributes)))
    assert (ulong(1), None) == (hsm.get(key, CKA.USAGE_LIMIT), hsm.get(key, CKA.TIME_STAMP))


def test_only_the_named_issuer_signs(hsm: Limited, key: int) -> None:
    """Another's ticket is CKR_SIGNATURE_INVALID; a key that names none takes none: CKR_KEY_FUNCTION_NOT_PERMITTED."""
    ticket = ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(2)})
    for other in (Issuer(), Issuer("rsa")):
        assert CKR.SIGNATURE_INVALID == code(present, hsm, key, other.sign(ticket))
    assert CKR.KEY_FUNCTION_NOT_PERMITTED == code(present, hsm, hsm.aes(), ISSUER.sign(ticket))
    hollow = hsm.aes(admin_cert=b"\x30\0")
    assert CKR.KEY_FUNCTION_NOT_PERMITTED == code(present, hsm, hollow, ISSUER.sign(ticket))


def test_a_certificate_of_a_version_that_there_is_not_is_none(hsm: Limited) -> None:
    """CKR_KEY_FUNCTION_NOT_PERMITTED, as for anything else that names no issuer."""
    odd = ISSUER.certificate.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
    key = hsm.aes(usage_limit=ulong(0), admin_cert=odd)
    ticket = ISSUER.sign(ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(1)}))
    assert CKR.KEY_FUNCTION_NOT_PERMITTED == code(present, hsm, key, ticket)


def test_who_presents_must_be_able_to_write(hsm: Limited, key: int) -> None:
    """A token key in a read-only session: CKR_SESSION_READ_ONLY; a key that is not seen: CKR_OBJECT_HANDLE_INVALID."""
    ticket = ISSUER.sign(ticket_for(hsm, {CKA.USAGE_LIMIT: ulong(2)}))
    assert CKR.SESSION_READ_ONLY == code(presented.present, hsm.device, hsm.read_only(), key, SET, ticket)
    hsm.device.logout(hsm.session)
    assert CKR.OBJECT_HANDLE_INVALID == code(present, hsm, key, ticket)


@pytest.mark.parametrize(
    ("mechanism", "expected"),
    [
        (None, CKR.ARGUMENTS_BAD),
        ((CKM.SHA256_RSA_PKCS, None), CKR.MECHANISM_INVALID),
        ((CKM.SET_ATTRIBUTES, b"x"), CKR.MECHANISM_PARAM_INVALID),
    ],
)
def test_a_ticket_has_one_mechanism(
    hsm: Limited, key: int, mechanism: tuple[int, object] | None, expected: int
) -> None:
    """CKM_SET_ATTRIBUTES without parameter."""
    assert expected == code(presented.present, hsm.device, hsm.session, key, mechanism, b"")


# The format


_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_TICKETS = st.builds(
    Ticket, _TEXT, _TEXT, _TEXT, st.binary(max_size=20), _TEXT,
    st.integers(0, 2**32).map(tickets.stamp), st.integers(0, 2**32).map(float), st.integers(0, 2**32).map(float),
    st.dictionaries(st.integers(0, 2**64), st.binary(max_size=20), max_size=4),
)  # fmt: skip

_SIGNED = ISSUER.sign(
    Ticket("1197", "token", "key", b"\1\2", "a message", tickets.stamp(0), 0.0, 1e9, {CKA.USAGE_LIMIT: ulong(5)})
)


@given(_TICKETS)
def test_what_is_written_is_read(ticket: Ticket) -> None:
    """Every ticket comes back from its bytes, believed or not."""
    signed = ISSUER.sign(ticket)
    assert ticket == tickets.read(signed) == tickets.verify(signed, ISSUER.certificate)


@given(st.integers(0, 10000), st.integers(0, 7))
def test_no_bit_of_a_ticket_may_change(place: int, bit: int) -> None:
    """CKR_DATA_INVALID or CKR_SIGNATURE_INVALID."""
    changed = bytearray(_SIGNED)
    changed[place % len(changed)] ^= 1 << bit
    assert code(tickets.verify, bytes(changed), ISSUER.certificate) in (CKR.DATA_INVALID, CKR.SIGNATURE_INVALID)


@given(st.binary(max_size=60) | st.integers(0, 300).map(lambda size: _SIGNED[:size]) | st.just(_SIGNED + b"\0"))
def test_other_bytes_are_no_ticket(data: bytes) -> None:
    """CKR_DATA_INVALID, whatever they are."""
    if data != _SIGNED:
        assert CKR.DATA_INVALID == code(tickets.read, data)


def test_a_certificate_of_another_kind_of_key_verifies_nothing() -> None:
    """Ed25519, for which tickets have no algorithm: CKR_SIGNATURE_INVALID."""
    private = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, *_OVER)
    certificate = builder.sign(private, None).public_bytes(Encoding.DER)
    assert CKR.SIGNATURE_INVALID == code(tickets.verify, _SIGNED, certificate)


def test_times_of_issue_sort_as_times_do() -> None:
    """Sixteen digits, to the hundredth of a second."""
    assert "1970010100000000" == tickets.stamp(0)
    assert "2009021323313050" == tickets.stamp(1234567890.509)
    times = [0, 0.01, 0.99, 1, 59, 60, 1e9, 1e9 + 0.01, 4e9]
    assert sorted(map(tickets.stamp, times)) == list(map(tickets.stamp, times))

"""Limits, tickets, backup files and shares through the shared object, over each transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pytest
from administration import Administration, administered
from conformance.cryptoki import expect
from conformance.parameters import Mechanism
from modules import Module
from test_tickets import Issuer

from ptkc.mechanisms import tickets
from ptkc.mechanisms.tickets import Ticket
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.values import ulong

VALUE = bytes(range(32))
SECRET = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: VALUE, CKA.EXTRACTABLE: True, CKA.SENSITIVE: False,
    CKA.ENCRYPT: True, CKA.LABEL: "secret", CKA.ID: b"\1",
}  # fmt: skip


@pytest.fixture(params=["direct", "encoded"])
def hsm(
    module: Module, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Administration]:
    """Give an HSM whose Admin token is initialised."""
    monkeypatch.setenv("ET_PTKC_SW_TRANSPORT", request.param)
    with administered(module, tmp_path) as administration:
        yield administration


def test_a_ticket_gives_a_key_another_use(hsm: Administration) -> None:
    """CKR_KEY_NOT_ACTIVE at the limit; CT_PresentTicket raises it."""
    session, issuer = hsm.user(), Issuer()
    key = session.create({**SECRET, CKA.TOKEN: True, CKA.USAGE_LIMIT: 1, CKA.ADMIN_CERT: issuer.certificate})
    ecb = Mechanism(CKM.AES_ECB)
    session.encrypt(ecb, key, bytes(16))
    expect(CKR.KEY_NOT_ACTIVE, session.encrypt, ecb, key, bytes(16))
    token = hsm.cryptoki.token(0)
    serial = bytes(token.serialNumber).decode().partition(":")[0]
    label = bytes(token.label).decode().rstrip()
    ticket = issuer.sign(
        Ticket(serial, label, "secret", b"\1", "", tickets.stamp(0), 0.0, 4e9, {CKA.USAGE_LIMIT: ulong(2)})
    )
    session.call("CT_PresentTicket", key, Mechanism(CKM.SET_ATTRIBUTES).pointer, ticket, len(ticket))
    session.encrypt(ecb, key, bytes(16))
    expect(CKR.KEY_NOT_ACTIVE, session.encrypt, ecb, key, bytes(16))
    assert (2, 2) == (session.number(key, CKA.USAGE_COUNT), session.number(key, CKA.USAGE_LIMIT))


def test_keys_come_back_from_a_file(hsm: Administration) -> None:
    """CKM_WRAPKEY_AES_KWP with further handles, and with the number of the key that is meant."""
    session = hsm.user()
    wrapper = session.create({**SECRET, CKA.WRAP: True, CKA.UNWRAP: True})
    keys = [session.create({**SECRET, CKA.LABEL: label}) for label in ("one", "two", "three")]
    file = session.wrap(Mechanism(CKM.WRAPKEY_AES_KWP, pack("2L", *keys[1:])), wrapper, keys[0])
    for number, label in enumerate((b"one", b"two", b"three")):
        key = session.unwrap(Mechanism(CKM.WRAPKEY_AES_KWP, pack("L", number)), wrapper, file, {})
        assert (VALUE, label) == (session.get(key, CKA.VALUE), session.get(key, CKA.LABEL))


def test_a_key_comes_back_from_its_shares(hsm: Administration) -> None:
    """CKM_SECRET_SHARE_WITH_ATTRIBUTES without a wrapping key; two of three shares."""
    session = hsm.user()
    shares = session.wrap(Mechanism(CKM.SECRET_SHARE_WITH_ATTRIBUTES, pack("2L", 2, 3)), 0, session.create(SECRET))
    size = len(shares) // 3
    recover = Mechanism(CKM.SECRET_RECOVER_WITH_ATTRIBUTES)
    key = session.unwrap(recover, 0, shares[size:], {CKA.LABEL: "again"})
    assert (VALUE, b"again") == (session.get(key, CKA.VALUE), session.get(key, CKA.LABEL))
    expect(CKR.WRAPPED_KEY_INVALID, session.unwrap, recover, 0, shares[:size], {})

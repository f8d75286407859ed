"""Slot numbers of a running application: what was another HSM's once never becomes this one's."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from conformance.cryptoki import Cryptoki, Refused
from lines import library
from machine import Machine
from modules import Module
from network import client, served
from processes import wait_for
from wire import Wire

from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.wire import prelude

_LATE, _THERE = "1000", "1001"


def _serials(cryptoki: Cryptoki) -> dict[int, str]:
    """Return the HSM's serial number by slot; nothing where the list grew between the two calls that ask for it."""
    try:
        slots = cryptoki.slots()
    except Refused as refused:
        assert CKR.BUFFER_TOO_SMALL == refused.rv  # noqa: PT017 - as `expect`, but it need not be refused
        return {}
    return {slot: bytes(cryptoki.token(slot).serialNumber)[:4].decode() for slot in slots}


def test_hsm_that_answers_late_pushes_no_other_one_to_other_numbers(module: Module, tmp_path: Path) -> None:
    """It is listed, but turned away at first: slot 0 stays the other one's, and so does what a PIN is sent to."""
    server = Machine(tmp_path / "server").add(_LATE, _THERE, initialise=False)

    def elsewhere(data: bytes) -> bytes:
        purpose, serial, group = prelude.read_request(data)
        return prelude.write_request(purpose, "9999", group) if serial == _LATE else data

    with served(server) as told, Wire(told.port) as wire:
        wire.preludes = elsewhere
        machine = client(tmp_path / "client", wire.port, HSM_NETCLIENT_CONNECT_TIMEOUT="5")
        with library(module, machine) as cryptoki:
            first = _serials(cryptoki)
            assert {0: _THERE, 1: _THERE} == first
            wire.preludes = bytes
            wait_for(lambda: len(_serials(cryptoki)) == 4, "the slots of an HSM that is there again")
            assert {**first, 2: _LATE, 3: _LATE} == _serials(cryptoki)


@pytest.mark.parametrize("remote", [False, True], ids=["in process", "TCP"])
def test_session_goes_on_where_its_application_adds_a_slot(module: Module, tmp_path: Path, *, remote: bool) -> None:
    """The Administrator's is with the Admin slot, which is the HSM's last, wherever that is now."""
    machine = Machine(tmp_path / "server").add(_THERE)
    with contextlib.ExitStack() as stack:
        if remote:
            machine = client(tmp_path / "client", stack.enter_context(served(machine)).port)
        cryptoki = stack.enter_context(library(module, machine))
        session = cryptoki.open(cryptoki.slots()[-1])
        session.login(f"admin-{_THERE}")
        session.create({CKA.CLASS: CKO.SLOT, CKA.TOKEN: True})
        assert 2 == session.info().slotID
        assert [0, 1, 2] == cryptoki.slots()
        assert 2 == session.info().slotID

"""What becomes of a network HSM's sessions when HSM, server or wire go away: the codes, and that it goes on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from conformance.cryptoki import Cryptoki, Refused, Session
from lines import ITEMS, library
from machine import Machine
from modules import Module
from network import LABEL, SERIAL, USER_PIN, client, served, set_flags
from processes import free_port, wait_for
from wire import Wire

from ptkc.spec.constants import CKR


def _code(session: Session) -> int:
    """Return the code of a call in a session."""
    try:
        session.info()
    except Refused as refused:
        return refused.rv
    return CKR.OK


def _shown(cryptoki: Cryptoki) -> list[int]:
    """Return the slots; none where the list grew between the two calls that ask for it."""
    try:
        return cryptoki.slots()
    except Refused as refused:
        assert CKR.BUFFER_TOO_SMALL == refused.rv  # noqa: PT017 - as `expect`, but it need not be refused
        return []


def _works(cryptoki: Cryptoki) -> bool:
    """Whether a new session can log in and be used."""
    session = cryptoki.open(cryptoki.find_slot(LABEL))
    session.login(USER_PIN)
    return 3 == session.state


@pytest.fixture(params=["0", "NU"])
def server(appliance: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    """Return a machine with an HSM, without flags and under `NU`."""
    machine = appliance.copy(tmp_path / "appliance")
    set_flags(machine, request.param)
    return machine


def test_sessions_end_with_a_restart_of_the_hsm(module: Module, server: Machine, tmp_path: Path) -> None:
    """CKR_DEVICE_RESET once, then CKR_SESSION_HANDLE_INVALID; new sessions are as before."""
    with served(server) as told:
        machine = client(tmp_path / "client", told.port, trusts=server, **ITEMS)
        with library(module, machine) as cryptoki:
            session = cryptoki.open(cryptoki.find_slot(LABEL))
            session.login(USER_PIN)
            server.tool("ptkc", "hsm", "restart", SERIAL)
            assert [CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID] == [_code(session), _code(session)]
            assert _works(cryptoki)


def test_nobody_without_a_session_notices_a_restart(module: Module, server: Machine, tmp_path: Path) -> None:
    """C_OpenSession is of the HSM as it is now, over whatever channel; and so are the calls in the new session."""
    with served(server) as told:
        machine = client(tmp_path / "client", told.port, trusts=server, **ITEMS)
        with library(module, machine) as cryptoki:
            slot = cryptoki.find_slot(LABEL)
            for _ in range(2):
                session = cryptoki.open(slot)
                session.login(USER_PIN)
                assert 3 == session.state
                session.close()
                server.tool("ptkc", "hsm", "restart", SERIAL)


def test_sessions_end_with_a_restart_of_the_server(module: Module, server: Machine, tmp_path: Path) -> None:
    """The same: it knows no application of before."""
    port = free_port()
    machine = client(tmp_path / "client", port, trusts=server, **ITEMS)
    with contextlib.ExitStack() as stack:
        with served(server, port=port):
            cryptoki = stack.enter_context(library(module, machine))
            session = cryptoki.open(cryptoki.find_slot(LABEL))
            session.login(USER_PIN)
        with served(server, port=port):
            assert [CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID] == [_code(session), _code(session)]
            assert _works(cryptoki)


def test_sessions_outlive_the_connection(module: Module, server: Machine, tmp_path: Path) -> None:
    """A wire that is cut between two calls is not noticed: the application goes on over another connection."""
    with served(server) as told, Wire(told.port) as wire:
        machine = client(tmp_path / "client", wire.port, trusts=server, **ITEMS)
        with library(module, machine) as cryptoki:
            session = cryptoki.open(cryptoki.find_slot(LABEL))
            session.login(USER_PIN)
            for _ in range(3):
                wire.cut()
                assert 3 == session.state


def test_a_tamper_ends_sessions_and_flags(module: Module, server: Machine, tmp_path: Path) -> None:
    """The token is gone with its PINs; what the client had demanded by then it goes on to demand."""
    with served(server) as told:
        machine = client(tmp_path / "client", told.port, trusts=server, **ITEMS)
        with library(module, machine) as cryptoki:
            session = cryptoki.open(cryptoki.find_slot(LABEL))
            session.login(USER_PIN)
            server.tool("ptkc", "hsm", "tamper", SERIAL, typed="y")
            assert [CKR.DEVICE_RESET, CKR.SESSION_HANDLE_INVALID] == [_code(session), _code(session)]
            with pytest.raises(LookupError):
                cryptoki.find_slot(LABEL)


def test_a_server_that_is_gone_is_a_removed_device(module: Module, server: Machine, tmp_path: Path) -> None:
    """CKR_DEVICE_REMOVED; its slots are away, and come back with it."""
    port = free_port()
    machine = client(tmp_path / "client", port, trusts=server, **{**ITEMS, "HSM_NETCLIENT_CONNECT_TIMEOUT": "1"})
    with contextlib.ExitStack() as stack:
        with served(server, port=port):
            cryptoki = stack.enter_context(library(module, machine))
            session = cryptoki.open(cryptoki.find_slot(LABEL))
        assert CKR.DEVICE_REMOVED == _code(session)
        assert [] == cryptoki.slots()
        with served(server, port=port):
            wait_for(lambda: _shown(cryptoki), "the slots of a server that is back")
            assert CKR.DEVICE_RESET == _code(session)
            assert _works(cryptoki)

"""Channels and sessions that end: what an application is told, and that nothing of it is forgotten too early."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conformance.cryptoki import NULL, Cryptoki, Refused, Session
from conformance.parameters import Mechanism
from lines import Line, library, line_under
from machine import Machine
from modules import Module
from network import LABEL, SERIAL, USER_PIN, reached, set_flags
from processes import free_port

from ptkc.spec.constants import CKA, CKH, CKM, CKO, CKR

_CHANNELS = {CKA.CLASS: CKO.HW_FEATURE, CKA.HW_FEATURE_TYPE: CKH.PTKC_CHANNEL}


def _code(call: Callable[..., object], *arguments: object) -> int:
    """Return the code of a call."""
    try:
        call(*arguments)
    except Refused as refused:
        return refused.rv
    return CKR.OK


# Channels that the Administrator ends


@pytest.fixture(params=["protected", "network"])
def protected(module: Module, appliance: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cryptoki]:
    """Return a library whose HSM wants everything protected, in this process and behind a server."""
    with reached(request.param, appliance, tmp_path) as machine, library(module, machine) as cryptoki:
        yield cryptoki


def _administrator(cryptoki: Cryptoki) -> Session:
    session = cryptoki.open(cryptoki.slots()[-1])
    session.login(f"admin-{SERIAL}")
    return session


_WITHOUT_A_SESSION: dict[str, Callable[[Cryptoki, int], object]] = {
    "C_GetTokenInfo": Cryptoki.token,
    "C_GetMechanismList": lambda cryptoki, slot: cryptoki.items("C_GetMechanismList", slot),
    "C_OpenSession": Cryptoki.open,
    "C_GetSlotList": lambda cryptoki, _: cryptoki.find_slot(LABEL),  # LookupError where the slots are away
}


@pytest.mark.parametrize("name", _WITHOUT_A_SESSION)
def test_channel_that_was_ended_costs_a_call_without_a_session_nothing(protected: Cryptoki, name: str) -> None:
    """The HSM proves the end in the place of a plain reply: the call goes on another connection."""
    slot = protected.find_slot(LABEL)
    session, administrator = protected.open(slot), _administrator(protected)
    session.login(USER_PIN)
    for _ in range(2):
        channels = administrator.find(_CHANNELS)
        administrator.destroy(*channels)
        assert (1, CKR.OK) == (len(channels), _code(_WITHOUT_A_SESSION[name], protected, slot))
        assert 3 == session.state


# Sessions that are closed while the HSM cannot be reached, or under new flags


@contextlib.contextmanager
def _away(line: Line) -> Iterator[None]:
    """Have nobody at the other end of a wire in the block."""
    there, line.wire.target = line.wire.target, free_port()
    line.wire.cut()
    yield
    line.wire.target = there


def _gone(*sessions: Session) -> bool:
    """Whether all of these are no more."""
    return {CKR.SESSION_HANDLE_INVALID} == {_code(session.info) for session in sessions}


@pytest.mark.parametrize("flags", ["0", "NU"])
def test_sessions_that_could_not_be_closed_are_open_still(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """CKR_DEVICE_REMOVED says that nothing was done: the handles stay, and when they are closed the login ends."""
    with line_under(module, appliance, tmp_path, flags) as line:
        cryptoki, slot = line.cryptoki, line.session.info().slotID
        sessions = [line.session, *(cryptoki.open(slot) for _ in range(2))]
        with _away(line):
            assert {CKR.DEVICE_REMOVED} == {_code(sessions[0].close), _code(cryptoki.close_all, slot)}
        assert [3, 3, 3] == [session.state for session in sessions]
        sessions[0].close()
        cryptoki.close_all(slot)
        assert _gone(*sessions)
        assert 2 == cryptoki.open(slot).state, "nobody is logged in any more"


def test_library_can_be_finalised_though_the_hsm_is_gone(module: Module, appliance: Machine, tmp_path: Path) -> None:
    """With sessions that nobody could close; what comes after it does not know them."""
    with line_under(module, appliance, tmp_path, "NU") as line, _away(line):
        assert CKR.DEVICE_REMOVED == _code(line.session.close)
        line.cryptoki.finalize()
        line.cryptoki.initialize()
        assert (True, []) == (_gone(line.session), line.cryptoki.slots())


@pytest.mark.parametrize("way", ["clear", "clear network"])
def test_all_sessions_are_closed_under_flags_that_came_meanwhile(
    module: Module, appliance: Machine, tmp_path: Path, way: str
) -> None:
    """C_CloseAllSessions goes on over a channel, as every other call does; it is no CKR_OK for nothing."""
    with contextlib.ExitStack() as stack:
        if way == "clear":
            machine = appliance.copy(tmp_path / "appliance")
        else:
            machine = stack.enter_context(reached(way, appliance, tmp_path))
        cryptoki = stack.enter_context(library(module, machine))
        slot = cryptoki.find_slot(LABEL)
        sessions = [cryptoki.open(slot) for _ in range(2)]
        sessions[0].login(USER_PIN)
        set_flags(Machine(tmp_path / "appliance"), "NU")
        cryptoki.close_all(slot)
        assert _gone(*sessions)
        assert 2 == cryptoki.open(slot).state


@pytest.mark.parametrize("flags", ["0", "NU"])
def test_refused_argument_says_why_its_operation_did_not_end(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """It is the session that the HSM still has; there again, a refused argument ends the operation."""
    with line_under(module, appliance, tmp_path, flags) as line:
        digest = line.session.call
        digest("C_DigestInit", Mechanism(CKM.SHA256).pointer)
        with _away(line):
            assert CKR.DEVICE_REMOVED == _code(digest, "C_DigestUpdate", NULL, 5)
        assert CKR.OK == _code(digest, "C_DigestUpdate", b"abc", 3)
        assert CKR.ARGUMENTS_BAD == _code(digest, "C_DigestUpdate", NULL, 5)
        assert CKR.OPERATION_NOT_INITIALIZED == _code(digest, "C_DigestUpdate", b"abc", 3)


def test_refused_argument_ends_its_operation_under_flags_that_came_meanwhile(
    module: Module, appliance: Machine, tmp_path: Path
) -> None:
    """CKR_ARGUMENTS_BAD, and the session is there: what ends the operation goes over a channel."""
    machine = appliance.copy(tmp_path / "appliance")
    with library(module, machine) as cryptoki:
        session = cryptoki.open(cryptoki.find_slot(LABEL))
        session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
        set_flags(machine, "NU")
        assert CKR.ARGUMENTS_BAD == _code(session.call, "C_DigestUpdate", NULL, 5)
        assert CKR.OPERATION_NOT_INITIALIZED == _code(session.call, "C_DigestUpdate", b"abc", 3)

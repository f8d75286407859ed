"""Channels and sessions that end: what an application is told, and that nothing of it is forgotten too early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conformance.cryptoki import Cryptoki, Refused, Session
from lines import library
from machine import Machine
from modules import Module
from network import LABEL, SERIAL, USER_PIN, reached

from ptkc.spec.constants import CKA, CKH, CKO, CKR

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

"""python-pkcs11 in this very process, on a token of the test module's own, once in each way to reach an HSM."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pkcs11
import pytest
from conformance.cryptoki import Cryptoki, Session
from modules import Module, clean_environment
from network import FLAGS_OF, initialised, reached
from tokens import Initialised, initialise

from ptkc.spec.constants import CKF

WAYS = ("direct", "encoded", "protected", "clear network", "network")
"""`direct` calls the device; `encoded` passes every command and reply through the codec; `protected` is in process
under `NU`, `network` over TCP under `NU`, `clear network` over TCP without any flag."""


@pytest.fixture(scope="module", params=WAYS)
def prepared(
    module: Module, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Initialised]:
    """Return an initialised token, and an environment in which it is reached in one of the ways."""
    way = request.param
    if way != WAYS[0] and not module.ours:
        pytest.skip("SoftHSM2 is reached in one way")
    top = tmp_path_factory.mktemp(way.replace(" ", "-"))
    if way in FLAGS_OF:
        with reached(way, request.getfixturevalue("appliance"), top) as machine:
            yield initialised(module, machine)
        return
    env = {**clean_environment(top), **module.settings(top)}
    if module.ours:
        env["ET_PTKC_SW_TRANSPORT"] = way
    yield initialise(module, env)


@pytest.fixture(scope="module")
def library(prepared: Initialised) -> Iterator[pkcs11.lib]:
    """Return the library, initialised in this process with the token's environment, finalised afterwards."""
    before = dict(os.environ)
    os.environ.update(prepared.env)
    loaded = pkcs11.lib(prepared.path)
    try:
        loaded.reinitialize()
        yield loaded
        loaded.finalize()
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@pytest.fixture
def slot_token(library: pkcs11.lib, prepared: Initialised) -> pkcs11.Token:
    """Return the token, found by its label."""
    return library.get_token(token_label=prepared.label)


@pytest.fixture
def session(slot_token: pkcs11.Token, prepared: Initialised) -> Iterator[pkcs11.Session]:
    """Return a read-write session in which the user is logged in."""
    with slot_token.open(rw=True, user_pin=prepared.pin) as opened:
        yield opened


@pytest.fixture
def functions(slot_token: pkcs11.Token, prepared: Initialised) -> Iterator[Session]:
    """Give a session of the C interface in which the user is logged in."""
    with slot_token.open(rw=True, user_pin=prepared.pin):
        session = Cryptoki(prepared.path).open(slot_token.slot.slot_id, CKF.SERIAL_SESSION | CKF.RW_SESSION)
        yield session
        session.close()

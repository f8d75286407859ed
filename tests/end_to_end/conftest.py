"""python-pkcs11 in this very process, on a token of the test module's own, once over each transport."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pkcs11
import pytest
from modules import Module, clean_environment
from tokens import Initialised, initialise

TRANSPORTS = ("direct", "encoded")
"""`direct` calls the device; `encoded` passes every command and reply through the codec."""


@pytest.fixture(scope="module", params=TRANSPORTS)
def prepared(module: Module, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Initialised:
    """Return an initialised token whose environment has one of the transports."""
    if request.param != TRANSPORTS[0] and not module.ours:
        pytest.skip("SoftHSM2 has one transport")
    top = tmp_path_factory.mktemp(request.param)
    env = {**clean_environment(top), **module.settings(top)}
    if module.ours:
        env["ET_PTKC_SW_TRANSPORT"] = request.param
    return initialise(module, env)


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

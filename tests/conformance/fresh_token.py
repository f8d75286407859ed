"""The token the suite works on: where its store is, its PINs, and how it is made."""

from __future__ import annotations

from pathlib import Path

from ptkc.spec.constants import CKF, CKU

from .cryptoki import Cryptoki

__all__ = ["LABEL", "SO_PIN", "USER_PIN", "loaded", "prepare", "store_environment"]

LABEL = "conformance"
SO_PIN = "so-pin-9876"
USER_PIN = "user-pin-1234"

_SOFTHSM = "directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"


def store_environment(directory: Path) -> dict[str, str]:
    """Return the environment that makes a module keep its tokens below `directory`: ptkc and SoftHSM are known."""
    tokens = directory / "tokens"
    tokens.mkdir(mode=0o700)
    settings = directory / "softhsm2.conf"
    settings.write_text(_SOFTHSM.format(tokens=tokens), encoding="utf-8")
    return {"SOFTHSM2_CONF": str(settings), "ET_PTKC_SW_DATAPATH": str(directory / "data")}


def prepare(cryptoki: Cryptoki, slot: int | None = None) -> int:
    """Initialise the token in `slot` (default: the first uninitialised one), label and PINs; return the slot."""
    if slot is None:
        slots = cryptoki.slots()
        slot = next(number for number in slots if not cryptoki.token(number).flags & CKF.TOKEN_INITIALIZED)
    cryptoki.init_token(slot, SO_PIN, LABEL)
    session = cryptoki.open(slot)
    session.login(SO_PIN, CKU.SO)
    session.init_pin(USER_PIN)
    session.close()
    return slot


def loaded(path: str) -> tuple[Cryptoki, int]:
    """Load and initialise the module in a child process: return it with the slot of the token `prepare` made."""
    cryptoki = Cryptoki(path)
    cryptoki.initialize()
    return cryptoki, cryptoki.find_slot(LABEL)

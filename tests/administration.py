"""An HSM of a test's own, reached through the shared object: its Admin token, its first user token, their roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conformance.cryptoki import Cryptoki, Session
from modules import Module

from ptkc.hsm.policy import mode_of
from ptkc.spec.constants import CKA, CKF, CKO, CKU

__all__ = ["ADMIN_PIN", "ASO_PIN", "SO_PIN", "USER_PIN", "Administration", "adapter", "administered"]

ASO_PIN, ADMIN_PIN, SO_PIN, USER_PIN = "aso-12345678", "admin-123456", "so-12345678", "user-123456"
_LABEL = "first"


class Administration:
    """A loaded module with one HSM: the Admin token is initialised, slot 0 is not."""

    def __init__(self, cryptoki: Cryptoki) -> None:
        """Initialise the Admin token: ASO, then Administrator."""
        self.cryptoki = cryptoki
        cryptoki.init_token(self.admin_slot, ASO_PIN, "")
        session = cryptoki.open(self.admin_slot)
        session.login(ASO_PIN, CKU.SO)
        session.init_pin(ADMIN_PIN)
        session.close()

    @property
    def admin_slot(self) -> int:
        """The Admin slot, which is the last."""
        slot: int = self.cryptoki.slots()[-1]
        assert self.cryptoki.token(slot).flags & CKF.ADMIN_TOKEN
        return slot

    def administrator(self) -> Session:
        """Return a read/write session, the Administrator logged in."""
        session = self.cryptoki.open(self.admin_slot)
        session.login(ADMIN_PIN)
        return session

    def security_officer(self) -> Session:
        """Return a session with slot 0, whose token is initialised if it was not, the SO logged in."""
        if not self.cryptoki.token(0).flags & CKF.TOKEN_INITIALIZED:
            self.cryptoki.init_token(0, SO_PIN, _LABEL)
        session = self.cryptoki.open(0)
        session.login(SO_PIN, CKU.SO)
        return session

    def user(self) -> Session:
        """Return a session with slot 0, the user logged in; the PINs are set if they were not."""
        if not self.cryptoki.token(0).flags & CKF.USER_PIN_INITIALIZED:
            session = self.security_officer()
            session.init_pin(USER_PIN)
            session.close()
        session = self.cryptoki.open(0)
        session.login(USER_PIN)
        return session

    def set_mode(self, letters: str) -> None:
        """Set the security flags, as `ctconf -f` does."""
        session = self.administrator()
        try:
            session.set(adapter(session), {CKA.SECURITY_MODE: mode_of(letters)})
        finally:
            session.close()


def adapter(session: Session) -> int:
    """Return the handle of the HSM's adapter object."""
    (handle,) = session.find({CKA.CLASS: CKO.ADAPTER})
    return handle


@contextmanager
def administered(module: Module, directory: Path) -> Iterator[Administration]:
    """Load the module on an empty data path below `directory`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in module.settings(directory).items():
            patch.setenv(name, value)
        cryptoki = Cryptoki(module.path)
        cryptoki.initialize()
        try:
            yield Administration(cryptoki)
        finally:
            cryptoki.finalize()

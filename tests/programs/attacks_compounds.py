"""Attacks on wrappings that are made of others: taken apart, and put together again in a way that opens them.

Each begins with a new token and the user logged in; tests/test_attacks.py tries each in a process of its own.
"""

from __future__ import annotations

from typing import Any

from conformance import keys
from conformance.cryptoki import Session, expect
from conformance.fresh_token import SO_PIN, USER_PIN
from conformance.parameters import Mechanism

from ptkc.mechanisms.portable import Reader
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR, CKU

__all__ = ["COMPOUND_ATTACKS"]

_KW, _KWP, _FILE = Mechanism(CKM.AES_KEY_WRAP), Mechanism(CKM.AES_KEY_WRAP_KWP), Mechanism(CKM.WRAPKEY_AES_KWP)
_AES = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
# What comes back from under a wrapping key, and opens what is under it itself.
_OPENER = {**_AES, CKA.UNWRAP: True, CKA.DECRYPT: True}


def _victim(session: Session, **more: Any) -> int:  # noqa: ANN401
    """Return a key that must stay secret: generated, private, sensitive, extractable."""
    return keys.generate_aes(session, EXTRACTABLE=True, **more)


def _trusted(session: Session, key: int) -> int:
    """Have the SO trust a public token object, as a wrapping key is; return it."""
    session.set(key, {CKA.LABEL: "trusted"})
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.set(*session.find({CKA.LABEL: "trusted"}), {CKA.TRUSTED: True})
    session.logout()
    session.login(USER_PIN)
    return session.find({CKA.LABEL: "trusted"})[0]


def a_backup_file_is_taken_apart(session: Session) -> None:
    """No part of a file of CKM_WRAPKEY_AES_KWP is unwrapped with the key that it is under, trusted or not."""
    uses = {CKA.VALUE_LEN: 32, CKA.TOKEN: True, CKA.PRIVATE: False, CKA.WRAP: True, CKA.UNWRAP: True}
    plain, other = (session.generate(Mechanism(CKM.AES_KEY_GEN), uses) for _ in range(2))
    for which in ("any", "trusted"):
        wrapping = _trusted(session, other) if which == "trusted" else plain
        file = session.wrap(_FILE, wrapping, _victim(session, WRAP_WITH_TRUSTED=which == "trusted"))
        reader = Reader(file[4:])
        records = Reader(reader.field()[4:])
        reader.take(4)
        mac_key, transport = reader.field(), reader.field()
        for part in (transport, mac_key, Reader(records.field()).field()):
            assert len(part) == 40
            for mechanism in (_KWP, _KW):
                expect(CKR.WRAPPED_KEY_INVALID, session.unwrap, mechanism, wrapping, part, _OPENER)
        assert session.flag(session.unwrap(_FILE, wrapping, file, _AES), CKA.SENSITIVE)


COMPOUND_ATTACKS: tuple[Any, ...] = (
    a_backup_file_is_taken_apart,
)  # fmt: skip

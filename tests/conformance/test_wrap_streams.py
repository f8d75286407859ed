"""Wrapping by a stream: two keys under one IV tell each other, so what the SO trusts makes its IVs itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKG, CKK, CKM, CKO, CKR, CKU

from .cryptoki import Cryptoki, Session, expect
from .fresh_token import SO_PIN, USER_PIN
from .keys import AES_KEY, aes
from .messages import Gcm
from .parameters import Mechanism, ccm, chacha20, chacha20_poly1305, ctr, gcm, ulong
from .test_wrap_generating import Wrap

_IV = b"an iv of sixteen"
_VICTIM = bytes(range(200, 232))
_STREAMS: dict[int, tuple[Mechanism, ...]] = {
    CKK.AES: (
        ctr(_IV), Mechanism(CKM.AES_OFB, _IV), Mechanism(CKM.AES_CFB1, _IV), Mechanism(CKM.AES_CFB8, _IV),
        Mechanism(CKM.AES_CFB64, _IV), Mechanism(CKM.AES_CFB128, _IV), gcm(_IV[:12]), ccm(32, _IV[:12]),
        Wrap("AES_GCM", generator=CKG.NO_GENERATE).mechanism, Wrap("AES_CCM", generator=CKG.NO_GENERATE).mechanism,
    ),
    CKK.CHACHA20: (chacha20(bytes(4), _IV[:12]), chacha20_poly1305(_IV[:12])),
}  # fmt: skip
_OTHERS = (
    Mechanism(CKM.AES_KEY_WRAP), Mechanism(CKM.AES_CBC_PAD, _IV), Wrap("AES_GCM", generator=CKG.GENERATE).mechanism,
)  # fmt: skip
pytestmark = pytest.mark.needs(CKM.AES_OFB, CKM.AES_CFB1, CKM.AES_CFB64, CKM.AES_GCM, CKM.AES_CCM, CKM.CHACHA20)


@pytest.fixture
def trusted(cryptoki: Cryptoki, changeable: int) -> Iterator[tuple[Session, dict[int, int]]]:
    """Give a session, and wrapping keys that the SO trusts, by their type."""
    session = cryptoki.open(changeable)
    session.login(USER_PIN)
    uses = dict.fromkeys((CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.UNWRAP, CKA.DERIVE), False)
    for kind in _STREAMS:
        session.create({
            CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.VALUE: AES_KEY, CKA.TOKEN: True, CKA.PRIVATE: False,
            CKA.SENSITIVE: True, CKA.WRAP: True, **uses,
        })  # fmt: skip
    session.logout()
    session.login(SO_PIN, CKU.SO)
    for kind in _STREAMS:
        session.set(session.find({CKA.KEY_TYPE: kind})[0], {CKA.TRUSTED: True})
    session.logout()
    session.login(USER_PIN)
    yield session, {kind: session.find({CKA.KEY_TYPE: kind})[0] for kind in _STREAMS}
    session.close()


def test_trusted_key_gives_no_stream_away(trusted: tuple[Session, dict[int, int]]) -> None:
    """Neither what is for trusted keys only is wrapped with the caller's IV, nor what would tell the stream."""
    session, wrapping = trusted
    given: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: _VICTIM}
    victim = session.create({**given, CKA.SENSITIVE: True, CKA.EXTRACTABLE: True, CKA.WRAP_WITH_TRUSTED: True})
    for target in (victim, aes(session, bytes(32))):
        for kind, mechanisms in _STREAMS.items():
            for mechanism in mechanisms:
                expect(CKR.MECHANISM_INVALID, session.wrap, mechanism, wrapping[kind], target)
        message = Gcm(_IV[:12])
        mechanism = Mechanism(CKM.AES_GCM, message.structure, message)
        expect(CKR.MECHANISM_INVALID, session.wrap_authenticated, mechanism, wrapping[CKK.AES], target)
        for mechanism in _OTHERS:
            session.wrap(mechanism, wrapping[CKK.AES], target)


@pytest.mark.parametrize(("kind", "place"), [(kind, at) for kind in _STREAMS for at in range(len(_STREAMS[kind]))])
def test_two_keys_under_one_iv_tell_each_other(session: Session, kind: int, place: int) -> None:
    """The attack: the wrapped known key tells the stream, or at least its beginning, and so the other one."""
    wrapping = session.create(
        {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.VALUE: AES_KEY, CKA.WRAP: True, CKA.ENCRYPT: False}
        | {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    )
    one, two = (session.wrap(_STREAMS[kind][place], wrapping, aes(session, value)) for value in (bytes(32), _VICTIM))
    assert _VICTIM[0] >> 7 == (one[0] ^ two[0]) >> 7


@pytest.mark.needs(CKM.AES_MAC_GENERAL)
def test_export_key_confirms_no_block(cryptoki: Cryptoki, changeable: int) -> None:
    """Attack: the check of MACs of one byte tells the cipher byte by byte, and so the stream of any IV."""
    session = cryptoki.open(changeable)
    session.login(SO_PIN, CKU.SO)
    exporting = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY, CKA.PRIVATE: False}
    expect(CKR.TEMPLATE_INCONSISTENT, session.create, {**exporting, CKA.EXPORT: True, CKA.VERIFY: True})
    key = session.create({**exporting, CKA.EXPORT: True, CKA.WRAP: True, CKA.TOKEN: True})
    session.logout()
    session.login(USER_PIN)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, "Verify", ulong(CKM.AES_MAC_GENERAL, 1), key)
    expect(CKR.MECHANISM_INVALID, session.wrap, ctr(_IV), key, aes(session, bytes(32)))
    session.wrap(_OTHERS[0], key, aes(session, bytes(32)))
    session.close()

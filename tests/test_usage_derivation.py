"""Limited keys that a derivation names besides its base key: what counts as a use of each, and what counts nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from limited import Limited

from ptkc.spec.constants import CKA, CKF, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Hkdf
from ptkc.spec.values import FALSE, TRUE, ulong

_SIZED = ((CKA.VALUE_LEN, ulong(32)),)
_RW = CKF.SERIAL_SESSION | CKF.RW_SESSION
_KEEPERS = pytest.mark.parametrize("token", [TRUE, FALSE], ids=["token", "session"])


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Limited]:
    """Return an HSM whose user is logged in."""
    with Limited(tmp_path) as limited:
        yield limited


def _mechanism(salt: int, number: int = CKM.SHA256) -> tuple[int, Hkdf]:
    """Return CKM_HKDF_DERIVE with a key for its salt."""
    return CKM.HKDF_DERIVE, Hkdf(True, True, number, CKF.HKDF_SALT_KEY, b"", salt, b"i")  # noqa: FBT003 - the layout's


def _refusal(code: int) -> pytest.RaisesExc[CryptokiError]:
    """Expect this code."""
    return pytest.raises(CryptokiError, check=lambda error: error.code == code)


@_KEEPERS
def test_a_refused_derivation_is_no_use_of_any_key(hsm: Limited, token: bytes) -> None:
    """Neither of its base key nor of a named one: a wrong parameter, a wrong template, or the other being used up."""
    limit = {"derive": TRUE, "token": token, "usage_limit": ulong(2)}
    base, salt = hsm.generic(bytes(32), **limit), hsm.generic(bytes(16), **limit)
    derive, session = hsm.device.derive_key, hsm.session
    with _refusal(CKR.MECHANISM_PARAM_INVALID):
        derive(session, _mechanism(salt, 12345), base, _SIZED)
    with _refusal(CKR.TEMPLATE_INCOMPLETE):
        derive(session, _mechanism(salt), base, ())
    assert [0, 0] == [hsm.count(base), hsm.count(salt)]
    for _ in range(2):
        derive(session, _mechanism(salt), base, _SIZED)
    assert [2, 2] == [hsm.count(base), hsm.count(salt)]
    other = hsm.generic(bytes(32), **limit)
    for keys in ((other, salt), (base, other)):
        with _refusal(CKR.KEY_NOT_ACTIVE):
            derive(session, _mechanism(keys[1]), keys[0], _SIZED)
    assert 0 == hsm.count(other)


@_KEEPERS
def test_a_key_that_is_named_as_well_is_used_once(hsm: Limited, token: bytes) -> None:
    """A derivation is one use of its base key, which may be its salt too."""
    base = hsm.generic(bytes(32), derive=TRUE, token=token, usage_limit=ulong(1))
    assert hsm.device.derive_key(hsm.session, _mechanism(base), base, _SIZED)[0]
    assert 1 == hsm.count(base)


@_KEEPERS
def test_threads_do_not_share_the_last_use_of_a_named_key(hsm: Limited, token: bytes) -> None:
    """Of derivations at the same time as many succeed as there are uses, and each is counted."""
    base = hsm.generic(bytes(32), derive=TRUE)
    salt = hsm.generic(bytes(16), derive=TRUE, token=token, usage_limit=ulong(5))
    sessions = [hsm.device.open_session(0, _RW) for _ in range(4)]
    outcomes: list[int] = []
    barrier = threading.Barrier(len(sessions))

    def work(session: int) -> None:
        barrier.wait()
        for _ in range(4):
            try:
                hsm.device.derive_key(session, _mechanism(salt), base, _SIZED)
            except CryptokiError as error:
                outcomes.append(error.code)
            else:
                outcomes.append(CKR.OK)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [CKR.OK] * 5 + [CKR.KEY_NOT_ACTIVE] * 11 == sorted(outcomes)
    assert 5 == hsm.count(salt)

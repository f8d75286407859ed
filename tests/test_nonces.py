"""The IVs that the HSM makes, where the C interface does not show it: a fork in the middle of making one."""

from __future__ import annotations

import os
import signal

from ptkc.mechanisms import nonces
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKG, CKK, CKO
from ptkc.spec.values import FALSE, ulong

_KEY = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.AES), CKA.TOKEN: FALSE, CKA.VALUE: bytes(range(16))}


def _made(key: Object) -> bytes:
    """Return the next IV of a counter."""
    return nonces.nonce(key, bytes(12), 32, CKG.GENERATE_COUNTER)


def test_child_of_a_fork_in_the_middle_of_making_an_iv_makes_its_own() -> None:
    """No lock that the parent holds keeps the child waiting, and the parent goes on counting."""
    key = Object(_KEY)
    assert [bytes(12), bytes(11) + b"\1"] == [_made(key), _made(key)]
    with nonces.own_lock():
        process = os.fork()
        if not process:
            signal.alarm(20)
            os._exit(_made(Object(_KEY)) != bytes(12))
    assert 0 == os.waitpid(process, 0)[1]
    assert bytes(11) + b"\2" == _made(key)

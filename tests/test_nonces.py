"""The IVs that the HSM makes, where the C interface does not show it: a fork in the middle of making one."""

from __future__ import annotations

import os
import signal

import pytest

from ptkc.mechanisms import nonces
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKG, CKK, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, ulong

_KEY = {CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.AES), CKA.TOKEN: FALSE, CKA.VALUE: bytes(range(16))}


def _made(key: Object, generator: int = CKG.GENERATE_COUNTER) -> bytes:
    """Return the next IV of a counter, or of another generator."""
    return nonces.nonce(key, bytes(12), 32, generator)


def _keys(first: int, count: int) -> list[Object]:
    """Return keys of different values, as often as one asks for them."""
    return [Object({**_KEY, CKA.VALUE: number.to_bytes(16, "big")}) for number in range(first, first + count)]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Remember nothing, and few keys; return how many."""
    monkeypatch.setattr(nonces, "_memories", {})
    monkeypatch.setattr(nonces, "_MOST_KEYS", 4)
    return 4


@pytest.mark.parametrize("generator", [CKG.GENERATE_COUNTER, CKG.GENERATE_COUNTER_XOR, CKG.GENERATE])
def test_counters_are_not_forgotten_however_many_keys_there_are(room: int, generator: int) -> None:
    """Further keys have no IVs of which a counter, or few random bits, are all that tells them apart."""
    fixed = 40 if generator == CKG.GENERATE else 32
    first = [nonces.nonce(key, bytes(12), fixed, generator) for key in _keys(0, room)]
    for key in _keys(room, 3):
        with pytest.raises(CryptokiError, check=lambda error: error.code == CKR.MECHANISM_PARAM_INVALID):
            nonces.nonce(key, bytes(12), fixed, generator)
        _made(key, CKG.GENERATE_RANDOM)
    again = [nonces.nonce(key, bytes(12), fixed, generator) for key in _keys(0, room)]
    assert all(one != other for one, other in zip(first, again, strict=True))


def test_random_ivs_are_made_for_any_number_of_keys(room: int) -> None:
    """What was made for the first of them may be forgotten, and neither takes nor loses the room of counters."""
    (counting,) = _keys(0, 1)
    assert bytes(12) == _made(counting)
    assert 3 * room == len({_made(key, CKG.GENERATE) for key in _keys(1, 3 * room)})
    assert bytes(11) + b"\1" == _made(*_keys(0, 1))


def test_copies_count_on_together_although_one_was_forgotten(room: int) -> None:
    """A key whose random IVs were forgotten goes on with the counter that a copy of it began meanwhile."""
    (key,) = _keys(0, 1)
    _made(key, CKG.GENERATE_RANDOM)
    for other in _keys(1, 2 * room):
        _made(other, CKG.GENERATE_RANDOM)
    assert bytes(12) == _made(*_keys(0, 1))
    assert bytes(11) + b"\1" == _made(key)


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

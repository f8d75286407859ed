"""Pseudo-random functions that key derivations name by the number of a MAC: HMAC with any hash, CMAC, XCBC-MAC.

The specification's tables in SP 800-108 and IKE; what a key of each must be is said here as well. IKE has functions of
AES that take keys of any length: RFC 4434, RFC 4615.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import cmac, hmac
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from ptkc.mechanisms.block_macs import xcbc
from ptkc.mechanisms.digests import HASHES
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError, name_of

__all__ = ["CMACS", "HMACS", "IKE_FUNCTIONS", "Prf", "check_work", "find_prf", "keyed_by"]

Keyed = Callable[[bytes], bytes]

_MOST_READ = 1 << 30  # bytes, some seconds: with more of them one could keep a served HSM busy for days


class Prf:
    """A pseudo-random function: `size` bytes come out; `key_types` are the keys it takes, the first by default."""

    __slots__ = ("_start", "key_types", "size")

    def __init__(self, size: int, key_types: tuple[int, ...], start: Callable[[bytes], Keyed]) -> None:
        """Keep what makes the function of the bytes of a key."""
        self.size = size
        self.key_types = key_types
        self._start = start

    def keyed(self, value: bytes) -> Keyed:
        """Return the function under the bytes of a key."""
        return self._start(value)

    def under(self, key: Object) -> Keyed:
        """Return the function under a key; CKR_KEY_TYPE_INCONSISTENT if it takes no such key."""
        if key.key_type not in self.key_types:
            raise CryptokiError(CKR.KEY_TYPE_INCONSISTENT, f"the function takes no {name_of(CKK, key.key_type)} key")
        return self._start(key.attributes[CKA.VALUE])


def keyed_by(begin: Callable[[], Any]) -> Keyed:
    """Return the function that a MAC is; `begin` begins it under the key, each time anew."""

    def keyed(data: bytes) -> bytes:
        running = begin()
        running.update(data)
        made: bytes = running.finalize()
        return made

    return keyed


def _hmac(algorithm: HashAlgorithm) -> Callable[[bytes], Keyed]:
    return lambda value: keyed_by(hmac.HMAC(value, algorithm).copy)


def _cmac(algorithm: Callable[[bytes], algorithms.AES | TripleDES]) -> Callable[[bytes], Keyed]:
    return lambda value: keyed_by(cmac.CMAC(algorithm(value)).copy)


def _triple_des(value: bytes) -> TripleDES:
    return TripleDES((value + value[:8])[:24])


HMACS = {
    getattr(CKM, f"{name}_HMAC"): Prf(
        algorithm.digest_size, (CKK.GENERIC_SECRET, getattr(CKK, f"{name}_HMAC"), CKK.HKDF), _hmac(algorithm)
    )
    for name, algorithm in HASHES.items()
}
"""HMAC by the number of its mechanism; keys of any length."""
CMACS = {
    CKM.AES_CMAC: Prf(16, (CKK.AES,), _cmac(algorithms.AES)),
    CKM.DES3_CMAC: Prf(8, (CKK.DES3, CKK.DES2), _cmac(_triple_des)),
}
"""CMAC by the number of its mechanism; keys of the cipher's lengths."""


def _ike_cmac(value: bytes) -> Keyed:
    """Return AES-CMAC-PRF-128 (RFC 4615)."""
    start = _cmac(algorithms.AES)
    return start(value if len(value) == _AES_KEY else start(bytes(_AES_KEY))(value))


def _xcbc(value: bytes) -> Keyed:
    """Return AES-XCBC-MAC-128 (RFC 3566) under a key of 16 bytes."""
    return keyed_by(xcbc(value))


def _ike_xcbc(value: bytes) -> Keyed:
    """Return AES-XCBC-PRF-128 (RFC 4434)."""
    return _xcbc(value.ljust(_AES_KEY, b"\0") if len(value) <= _AES_KEY else _xcbc(bytes(_AES_KEY))(value))


_AES_KEY = 16
IKE_FUNCTIONS = {
    **HMACS,
    CKM.AES_CMAC: Prf(16, (CKK.AES, CKK.GENERIC_SECRET), _ike_cmac),
    CKM.AES_XCBC_MAC: Prf(16, (CKK.AES, CKK.GENERIC_SECRET), _ike_xcbc),
}
"""The functions of IKE by the number of the MAC's mechanism; keys of any length."""


def find_prf(table: dict[int, Prf], number: int) -> Prf:
    """Return the function that a parameter names; CKR_MECHANISM_PARAM_INVALID."""
    prf = table.get(number)
    if prf is None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{name_of(CKM, number)} is none of the functions there are")
    return prf


def check_work(rounds: int, size: int) -> None:
    """Refuse to have a function read so many bytes so often: CKR_MECHANISM_PARAM_INVALID."""
    if rounds * size > _MOST_READ:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{size} bytes would be read {rounds} times")

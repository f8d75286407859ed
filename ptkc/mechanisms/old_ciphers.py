"""SEED and Blowfish (specification, "SEED" and "Blowfish"; RFC 4269).

For data that others encrypted: nothing new should use them. `cryptography` can be kept from having them
(CRYPTOGRAPHY_OPENSSL_NO_LEGACY), and then they are not offered. Blowfish has keys from 128 bits.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.decrepit.ciphers.algorithms import SEED as SEED_ALGORITHM
from cryptography.hazmat.decrepit.ciphers.algorithms import Blowfish
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from ptkc.mechanisms.block_ciphers import BlockCipher, mechanisms_of
from ptkc.mechanisms.mechanism import register

__all__ = ["BLOWFISH", "SEED"]

_ECB = modes.ECB()  # noqa: S305 - the standard's mechanism


def _seed(key: bytes, mode: str, iv: bytes) -> Cipher[Any]:  # noqa: ARG001 - an IV says that it is CBC
    """Return SEED under a key."""
    return Cipher(SEED_ALGORITHM(key), modes.CBC(iv) if iv else _ECB)


def _blowfish(key: bytes, mode: str, iv: bytes) -> Cipher[Any]:  # noqa: ARG001 - an IV says that it is CBC
    """Return Blowfish under a key."""
    return Cipher(Blowfish(key), modes.CBC(iv) if iv else _ECB)


SEED = BlockCipher("SEED", (16,), 16, _seed, "RFC 4269, RFC 4196 (cryptography_vectors: ciphers/SEED)")
BLOWFISH = BlockCipher(
    "BLOWFISH", range(16, 57), 8, _blowfish, "Schneier's, OpenSSL's (cryptography_vectors: ciphers/Blowfish)"
)

if backend.cipher_supported(SEED_ALGORITHM(bytes(16)), _ECB):
    register(*mechanisms_of(SEED))
if backend.cipher_supported(Blowfish(bytes(16)), _ECB):
    register(*mechanisms_of(BLOWFISH))

"""Camellia (specification, "CAMELLIA"; RFC 3713). Its counter mode is libcrypto's, the others are `cryptography`'s."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from ptkc.mechanisms.block_ciphers import BlockCipher, mechanisms_of
from ptkc.mechanisms.libcrypto import SystemCipher
from ptkc.mechanisms.mechanism import register

__all__ = ["CAMELLIA"]


def _cipher(key: bytes, mode: str, iv: bytes) -> Cipher[Any] | SystemCipher:
    """Return the cipher under a key."""
    if mode == "CTR":
        return SystemCipher(f"CAMELLIA-{8 * len(key)}-CTR", key, iv)
    return Cipher(Camellia(key), modes.CBC(iv) if iv else modes.ECB())  # noqa: S305 - the standard's mechanism


CAMELLIA = BlockCipher(
    "CAMELLIA", (16, 24, 32), 16, _cipher, "RFC 3713, RFC 5528 (cryptography_vectors: ciphers/Camellia), Wycheproof"
)

register(*mechanisms_of(CAMELLIA))

"""ARIA (specification, "ARIA"; RFC 5794): libcrypto's."""

from __future__ import annotations

from ptkc.mechanisms.block_ciphers import BlockCipher, mechanisms_of
from ptkc.mechanisms.libcrypto import SystemCipher
from ptkc.mechanisms.mechanism import register

__all__ = ["ARIA"]


def _cipher(key: bytes, mode: str, iv: bytes) -> SystemCipher:
    """Return the cipher under a key."""
    return SystemCipher(f"ARIA-{8 * len(key)}-{mode}", key, iv)


ARIA = BlockCipher("ARIA", (16, 24, 32), 16, _cipher, "RFC 5794, the NSRI's test vectors, Wycheproof")

register(*mechanisms_of(ARIA))

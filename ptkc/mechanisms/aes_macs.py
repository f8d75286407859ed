"""AES-MAC and AES-XCBC-MAC (specification, "AES"; FIPS 113, RFC 3566). CMAC and GMAC stand in `macs` and `aes_aead`.

XCBC-MAC is defined for keys of 128 bits.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import CipherContext, modes

from ptkc.mechanisms.aes import cipher
from ptkc.mechanisms.block_macs import BlockMac, XcbcMac, xcbc
from ptkc.mechanisms.macs import Mac
from ptkc.mechanisms.mechanism import register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM

__all__: list[str] = []

_BLOCK = 16
_FIRST = modes.CBC(bytes(_BLOCK))
_SOURCE = "NIST CAVP (cryptography_vectors: ciphers/AES/CBC), the last blocks"


def _encryptor(key: Object) -> CipherContext:
    """Return a fresh CBC with an IV of zeros."""
    return cipher(key, _FIRST).encryptor()


class _Xcbc(Mac):
    """CKM_AES_XCBC_MAC and CKM_AES_XCBC_MAC_96."""

    key_types = (CKK.AES,)
    sizes = (16, 16)
    source = "RFC 3566"

    def __init__(self, number: int, size: int) -> None:
        """Keep the length of the result in bytes."""
        self.type = number
        self.size = size

    def start(self, key: Object, parameter: None) -> XcbcMac:  # noqa: ARG002 - there is none
        """Return a fresh accumulator."""
        return xcbc(key.attributes[CKA.VALUE])()


register(
    BlockMac(CKM.AES_MAC, (CKK.AES,), (16, 32), _BLOCK, _encryptor, general=False, source=_SOURCE),
    BlockMac(CKM.AES_MAC_GENERAL, (CKK.AES,), (16, 32), _BLOCK, _encryptor, general=True, source=_SOURCE),
    _Xcbc(CKM.AES_XCBC_MAC, _BLOCK),
    _Xcbc(CKM.AES_XCBC_MAC_96, 12),
)

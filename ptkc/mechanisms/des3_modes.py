"""DES3 in further modes (OFB64, CFB8, CFB64) and as a MAC (FIPS 81, FIPS 113, SP 800-38B).

The numbers of the modes are those of DES; the specification gives them DES2 and DES3 keys as well, and these are the
ones that there are here ("DES and Triple length DES in OFB Mode"). CKM_DES_OFB8 has no library and no vectors.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import CipherContext, modes

from ptkc.mechanisms.block_macs import BlockMac
from ptkc.mechanisms.blocks import Stream
from ptkc.mechanisms.des3 import algorithm, cipher
from ptkc.mechanisms.macs import Mac
from ptkc.mechanisms.mechanism import Mechanism, Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM
from ptkc.spec.layouts import MAC_GENERAL
from ptkc.spec.parameters import IV8

__all__: list[str] = []

_BLOCK = 8
_KEY_TYPES = (CKK.DES2, CKK.DES3)
_SIZES = (16, 24)


class _StreamMechanism(Mechanism):
    """A mode that makes a stream of DES3; the parameter is the IV."""

    key_types = _KEY_TYPES
    sizes = _SIZES
    parameters = IV8

    def __init__(self, number: int, mode: Any, folder: str) -> None:  # noqa: ANN401 - classes of modes
        """Keep the mode, and the folder of its vectors."""
        self.type = number
        self.source = f"NIST CAVP (cryptography_vectors: ciphers/3DES/{folder})"
        self._mode = mode

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return Stream(cipher(key.attributes[CKA.VALUE], self._mode(parameter)).encryptor())

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        return Stream(cipher(key.attributes[CKA.VALUE], self._mode(parameter)).decryptor())


class _Cmac(Mac):
    """CKM_DES3_CMAC and CKM_DES3_CMAC_GENERAL."""

    key_types = _KEY_TYPES
    sizes = _SIZES
    size = _BLOCK
    source = "NIST SP 800-38B (cryptography_vectors: CMAC)"

    def __init__(self, number: int, *, general: bool) -> None:
        """Keep whether there is a parameter."""
        self.type = number
        self.parameters = MAC_GENERAL if general else None

    def start(self, key: Object, parameter: object) -> cmac.CMAC:  # noqa: ARG002 - concerns the length only
        """Return a fresh accumulator."""
        return cmac.CMAC(algorithm(key.attributes[CKA.VALUE]))


def _encryptor(key: Object) -> CipherContext:
    """Return a fresh CBC with an IV of zeros."""
    return cipher(key.attributes[CKA.VALUE], modes.CBC(bytes(_BLOCK))).encryptor()


def _mac(number: int, *, general: bool) -> BlockMac:
    """Return CKM_DES3_MAC or CKM_DES3_MAC_GENERAL."""
    source = "NIST CAVP (cryptography_vectors: ciphers/3DES/CBC), the last blocks"
    return BlockMac(number, _KEY_TYPES, _SIZES, _BLOCK, _encryptor, general=general, source=source)


register(
    _StreamMechanism(CKM.DES_OFB64, OFB, "OFB"),
    _StreamMechanism(CKM.DES_CFB64, CFB, "CFB"),
    _StreamMechanism(CKM.DES_CFB8, CFB8, "CFB"),
    _mac(CKM.DES3_MAC, general=False),
    _mac(CKM.DES3_MAC_GENERAL, general=True),
    _Cmac(CKM.DES3_CMAC, general=False),
    _Cmac(CKM.DES3_CMAC_GENERAL, general=True),
)

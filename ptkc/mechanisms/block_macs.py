"""MACs of block ciphers: CBC-MAC for any of them, as FIPS 113 has it for DES, and XCBC-MAC for AES (RFC 3566).

CBC-MAC fills the last block up with zero bytes, no data being one such block. It protects messages of one length only,
which is for its users to see to; CMAC does not have this flaw.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from ptkc.mechanisms.macs import Mac
from ptkc.objects.object import Object
from ptkc.spec.layouts import MAC_GENERAL

__all__ = ["BlockMac", "CbcMac", "XcbcMac", "xcbc"]

_AT_ONCE = 1 << 16
_AES_BLOCK = 16


class CbcMac:
    """Data goes in, the last block of its encryption in CBC mode comes out."""

    __slots__ = ("_block", "_encryptor", "_last", "_pending")

    def __init__(self, encryptor: CipherContext, block: int) -> None:
        """Take a fresh encryption in CBC mode with an IV of zeros, and its block's length in bytes."""
        self._encryptor = encryptor
        self._block = block
        self._pending = b""
        self._last = b""

    def update(self, data: bytes) -> None:
        """Take a further part: at least one byte is kept back, so that the end can tell the last block."""
        pending = self._pending + data
        whole = max(len(pending) - 1, 0) // self._block * self._block
        self._encrypt(memoryview(pending)[:whole])
        self._pending = pending[whole:]

    def finalize(self) -> bytes:
        """Return the last block."""
        self._encrypt(memoryview(self._final(self._pending)))
        return self._last

    def _final(self, rest: bytes) -> bytes:
        """Return the last block of the input; `rest` is not more than it."""
        return rest.ljust(self._block, b"\0")

    def _encrypt(self, blocks: memoryview) -> None:
        """Encrypt whole blocks."""
        for place in range(0, len(blocks), _AT_ONCE):
            self._last = self._encryptor.update(blocks[place : place + _AT_ONCE])[-self._block :]


class XcbcMac(CbcMac):
    """XCBC-MAC: the last block is masked, with one mask where it is whole and another where it is filled up."""

    __slots__ = ("_masks",)

    def __init__(self, encryptor: CipherContext, block: int, masks: tuple[bytes, bytes]) -> None:
        """Take an encryption under K1, and K2 and K3."""
        super().__init__(encryptor, block)
        self._masks = masks

    def _final(self, rest: bytes) -> bytes:
        """Return the last block of the input, masked."""
        whole, filled = self._masks
        mask, text = (whole, rest) if len(rest) == self._block else (filled, (rest + b"\x80").ljust(self._block, b"\0"))
        return (int.from_bytes(text, "big") ^ int.from_bytes(mask, "big")).to_bytes(self._block, "big")


def xcbc(value: bytes) -> Callable[[], XcbcMac]:
    """Return what begins an XCBC-MAC under an AES key of 16 bytes (RFC 3566), any number of times."""
    # K1, K2, K3 = 0x01…, 0x02…, 0x03… encrypted with K
    encryptor = Cipher(algorithms.AES(value), modes.ECB()).encryptor()  # noqa: S305 - the standard's own step
    first, *masks = (encryptor.update(bytes((number,)) * _AES_BLOCK) for number in (1, 2, 3))
    chained = Cipher(algorithms.AES(first), modes.CBC(bytes(_AES_BLOCK)))
    return lambda: XcbcMac(chained.encryptor(), _AES_BLOCK, (masks[0], masks[1]))


class BlockMac(Mac):
    """CKM_<cipher>_MAC, which gives half a block, or CKM_<cipher>_MAC_GENERAL, which gives up to a whole one."""

    def __init__(
        self,
        number: int,
        key_types: tuple[int, ...],
        sizes: tuple[int, int],
        block: int,
        encryptor: Callable[[Object], CipherContext],
        *,
        general: bool,
        source: str,
    ) -> None:
        """Keep the cipher: `encryptor` begins its CBC mode with an IV of zeros; `general` for the second mechanism."""
        self.type = number
        self.key_types = key_types
        self.sizes = sizes
        self.size = block if general else block // 2
        self.parameters = MAC_GENERAL if general else None
        self.source = source
        self._block = block
        self._encryptor = encryptor

    def start(self, key: Object, parameter: object) -> CbcMac:  # noqa: ARG002 - concerns the length only
        """Return a fresh accumulator."""
        return CbcMac(self._encryptor(key), self._block)

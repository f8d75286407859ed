"""AES in further modes: OFB, CFB with 1, 8, 64 and 128 bits, and CTS (SP 800-38A and its addendum).

Specification, "AES" and "AES CBC with CipherText Stealing".
CTS is CBC-CS1: the last blocks keep their order, and whole blocks are encrypted as in CBC. All of them wrap, as they
encrypt. CFB with 64 bits, which no library has, is made of blocks here.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives.ciphers import CipherContext, modes

from ptkc.mechanisms.aes import WrappingCipher, cipher
from ptkc.mechanisms.blocks import Stream
from ptkc.mechanisms.libcrypto import SystemCipher
from ptkc.mechanisms.mechanism import Operation, register
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.parameters import IV16

__all__: list[str] = []

_BLOCK = 16
_ECB = modes.ECB()  # noqa: S305 - what the others are built of
_CAVP = "NIST CAVP (cryptography_vectors: ciphers/AES/{})"


class _StreamMechanism(WrappingCipher):
    """A mode that makes a stream of AES; the parameter is the IV."""

    parameters = IV16
    streams = True

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return Stream(self.cipher(key, parameter).encryptor())

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        return Stream(self.cipher(key, parameter).decryptor())

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - of `cryptography` or ours
        """Return the cipher."""
        raise NotImplementedError


class _Ofb(_StreamMechanism):
    """CKM_AES_OFB."""

    source = _CAVP.format("OFB")

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - as above
        """Return the cipher."""
        return cipher(key, OFB(iv))


class _Cfb128(_StreamMechanism):
    """CKM_AES_CFB128."""

    source = _CAVP.format("CFB")

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - as above
        """Return the cipher."""
        return cipher(key, CFB(iv))


class _Cfb8(_StreamMechanism):
    """CKM_AES_CFB8."""

    source = _CAVP.format("CFB")

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - as above
        """Return the cipher."""
        return cipher(key, CFB8(iv))


class _Cfb1(_StreamMechanism):
    """CKM_AES_CFB1: bit by bit, the highest of a byte first."""

    source = _CAVP.format("CFB")

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - as above
        """Return the cipher."""
        value = key.attributes[CKA.VALUE]
        return SystemCipher(f"AES-{8 * len(value)}-CFB1", value, iv)


class _Cfb64(_StreamMechanism):
    """CKM_AES_CFB64."""

    source = "SP 800-38A 6.3 (no published vectors): held to AES_ECB, which has some"

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - as above
        """Return the cipher."""
        return _Feedback64(cipher(key, _ECB).encryptor(), iv)


class _Feedback64:
    """CFB with segments of 64 bits: each one is encrypted with the first half of an encrypted register."""

    __slots__ = ("_block", "_register")

    def __init__(self, block: CipherContext, iv: bytes) -> None:
        """Take the block cipher and the first register."""
        self._block = block
        self._register = iv

    def encryptor(self) -> _Feedback64Run:
        """Return a fresh encryption."""
        return _Feedback64Run(self._block, self._register, decrypt=False)

    def decryptor(self) -> _Feedback64Run:
        """Return a fresh decryption."""
        return _Feedback64Run(self._block, self._register, decrypt=True)


class _Feedback64Run:
    """One encryption or decryption of any number of bytes."""

    __slots__ = ("_block", "_decrypt", "_mask", "_register")

    def __init__(self, block: CipherContext, register: bytes, *, decrypt: bool) -> None:
        """Start with the first register."""
        self._block = block
        self._register = register
        self._decrypt = decrypt
        self._mask = b""

    def update(self, data: bytes) -> bytes:
        """Return as many bytes."""
        parts, place = [], 0
        while place < len(data):
            if not self._mask:
                # The first s bits of O_j = CIPH_K(I_j)
                self._mask = self._block.update(self._register)[:8]
            part = data[place : place + len(self._mask)]
            size = len(part)
            # C_j = P_j xor MSB_s(O_j), as far as there is a P_j already
            made = (int.from_bytes(part, "big") ^ int.from_bytes(self._mask[:size], "big")).to_bytes(size, "big")
            # I_j+1 = LSB_b-s(I_j) | C_j
            self._register = self._register[size:] + (part if self._decrypt else made)
            self._mask = self._mask[size:]
            parts.append(made)
            place += size
        return b"".join(parts)


class _Stealing(Operation):
    """CBC-CS1 (SP 800-38A, addendum): the last block before a partial one lends it what it lacks.

    What may belong to the last two blocks is kept back until the end. `error` is the code for less than a block.
    """

    __slots__ = ("_context", "_error", "_pending")

    def __init__(self, context: CipherContext, error: int) -> None:
        """Take a fresh CBC."""
        self._context = context
        self._error = error
        self._pending = b""

    def length(self, size: int) -> int:
        """Return as many bytes as go in."""
        return size

    def update_length(self, size: int) -> int:
        """Return how many bytes of whole blocks lie before the last two."""
        return max(len(self._pending) + size - _BLOCK - 1, 0) // _BLOCK * _BLOCK

    def update(self, data: bytes) -> bytes:
        """Return what lies before the last two blocks."""
        whole = self.update_length(len(data))
        pending = self._pending + data
        self._pending = pending[whole:]
        return self._context.update(memoryview(pending)[:whole])

    def finish_length(self) -> int:
        """Return the length of what was kept back."""
        return len(self._pending)

    def finish(self) -> bytes:
        """Return the last two blocks, of which one may be partial; CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE."""
        rest = self._pending
        if len(rest) < _BLOCK:
            raise CryptokiError(self._error, f"got {len(rest)} bytes, want 16 or more")
        if len(rest) % _BLOCK == 0:
            return self._context.update(rest)
        return self._steal(rest)

    def _steal(self, rest: bytes) -> bytes:
        """Return the result for a block and a partial one."""
        raise NotImplementedError

    def single(self, data: bytes) -> bytes:
        """Return the result for `data`; CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE."""
        return self.update(data) + self.finish()


class _StealingEncryption(_Stealing):
    """CBC-CS1-Encrypt."""

    __slots__ = ()

    def _steal(self, rest: bytes) -> bytes:
        """Return the last block but one, cut, and the last one."""
        made = self._context.update(rest.ljust(2 * _BLOCK, b"\0"))
        return made[: len(rest) - _BLOCK] + made[_BLOCK:]


class _StealingDecryption(_Stealing):
    """CBC-CS1-Decrypt."""

    __slots__ = ("_block",)

    def __init__(self, context: CipherContext, error: int, block: CipherContext) -> None:
        """Take the decryption of a single block besides."""
        super().__init__(context, error)
        self._block = block

    def _steal(self, rest: bytes) -> bytes:
        """Return the last block but one and the partial one."""
        size = len(rest) - _BLOCK
        cut, last = rest[:size], rest[size:]
        # Z* | Z** = CIPH^-1_K(C_n); C_n-1 = C*_n-1 | Z**; P*_n = C*_n-1 xor Z*
        opened = self._block.update(last)
        partial = (int.from_bytes(cut, "big") ^ int.from_bytes(opened[:size], "big")).to_bytes(size, "big")
        return self._context.update(cut + opened[size:]) + partial


class _Cts(WrappingCipher):
    """CKM_AES_CTS: CBC-CS1; the parameter is the IV. What is less than a block cannot be wrapped."""

    parameters = IV16
    source = "RFC 3962, with the last blocks in the order of CS1 (OpenSSL's test vectors)"

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return _StealingEncryption(cipher(key, modes.CBC(parameter)).encryptor(), CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        context, block = cipher(key, modes.CBC(parameter)).decryptor(), cipher(key, _ECB).decryptor()
        return _StealingDecryption(context, CKR.ENCRYPTED_DATA_LEN_RANGE, block)


register(
    _Ofb(CKM.AES_OFB),
    _Cfb1(CKM.AES_CFB1),
    _Cfb8(CKM.AES_CFB8),
    _Cfb64(CKM.AES_CFB64),
    _Cfb128(CKM.AES_CFB128),
    _Cts(CKM.AES_CTS),
)

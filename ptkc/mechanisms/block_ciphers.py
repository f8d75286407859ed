"""What every block cipher of the specification has beside AES and DES: Camellia, ARIA, SEED, Blowfish.

A `BlockCipher` says what there is to know of one; `mechanisms_of` makes its key type and its mechanisms: key
generation, ECB, CBC, CBC_PAD, CTR, MAC, MAC_GENERAL, as far as the standard has numbers for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher

from ptkc.mechanisms.block_macs import BlockMac
from ptkc.mechanisms.blocks import Blocks, Counting, PaddedDecryption, PaddedEncryption, PayloadCipher, counter_room
from ptkc.mechanisms.generic import FixedKeyGeneration, FixedKeyType, KeyGeneration, SecretKeyType
from ptkc.mechanisms.libcrypto import SystemCipher
from ptkc.mechanisms.mechanism import KeyType, Mechanism, Operation
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.layouts import CTR, Ctr
from ptkc.spec.parameters import IV8, IV16

__all__ = ["BlockCipher", "mechanisms_of"]

_IVS = {8: IV8, 16: IV16}


class BlockCipher(NamedTuple):
    """A block cipher: its name in CKM_ and CKK_, the lengths of its keys and of its block in bytes, and itself.

    `cipher(key, mode, iv)` returns it under a key; modes are "ECB", "CBC" and "CTR".
    """

    name: str
    lengths: range | tuple[int, ...]
    block: int
    cipher: Callable[[bytes, str, bytes], Cipher[Any] | SystemCipher]
    source: str


def _check_value(this: BlockCipher, value: bytes) -> bytes:
    """Return the first three bytes of an encrypted block of zeros."""
    return this.cipher(value, "ECB", b"").encryptor().update(bytes(this.block))[:3]


class _BlockCipherMechanism(PayloadCipher):
    """A mechanism of a block cipher."""

    mode = "CBC"

    def __init__(self, number: int, this: BlockCipher) -> None:
        """Keep the mechanism's number and the cipher."""
        self.type = number
        self.key_types = (getattr(CKK, this.name),)
        self.sizes = (this.lengths[0], this.lengths[-1])
        self.source = this.source
        self._this = this

    def cipher(self, key: Object, iv: bytes) -> Any:  # noqa: ANN401 - of `cryptography` or ours
        """Return the cipher in its mode."""
        return self._this.cipher(key.attributes[CKA.VALUE], self.mode, iv)


class _Ecb(_BlockCipherMechanism):
    """CKM_<cipher>_ECB."""

    mode = "ECB"

    @property
    def zero_padding(self) -> int:  # type: ignore[override]
        """Payloads are filled up to whole blocks."""
        return self._this.block

    def encrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start an encryption."""
        return Blocks(self.cipher(key, parameter or b"").encryptor(), self._this.block, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes | None) -> Operation:
        """Start a decryption."""
        return Blocks(self.cipher(key, parameter or b"").decryptor(), self._this.block, CKR.ENCRYPTED_DATA_LEN_RANGE)


class _Cbc(_Ecb):
    """CKM_<cipher>_CBC: the parameter is the IV."""

    mode = "CBC"

    def __init__(self, number: int, this: BlockCipher) -> None:
        """Keep the length of the IV besides."""
        super().__init__(number, this)
        self.parameters = _IVS[this.block]


class _CbcPad(_BlockCipherMechanism):
    """CKM_<cipher>_CBC_PAD: CBC with the padding of PKCS #7; the parameter is the IV."""

    def __init__(self, number: int, this: BlockCipher) -> None:
        """Keep the length of the IV besides."""
        super().__init__(number, this)
        self.parameters = _IVS[this.block]

    def encrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start an encryption."""
        return PaddedEncryption(self.cipher(key, parameter).encryptor(), self._this.block, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: bytes) -> Operation:
        """Start a decryption."""
        return PaddedDecryption(self.cipher(key, parameter), self._this.block)


class _Ctr(Mechanism):
    """CKM_<cipher>_CTR: the parameter is the counter block, and how many of its bits count. It does not wrap."""

    parameters = CTR

    def __init__(self, number: int, this: BlockCipher) -> None:
        """Keep the mechanism's number and the cipher."""
        self.type = number
        self.key_types = (getattr(CKK, this.name),)
        self.sizes = (this.lengths[0], this.lengths[-1])
        self.source = this.source
        self._this = this

    def encrypt(self, key: Object, parameter: Ctr) -> Operation:
        """Start an encryption; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Object, parameter: Ctr) -> Operation:
        """Start a decryption, which is the same; CKR_MECHANISM_PARAM_INVALID."""
        return self._start(key, parameter, CKR.ENCRYPTED_DATA_LEN_RANGE)

    def _start(self, key: Object, parameter: Ctr, error: int) -> Operation:
        """Return the stream."""
        room = counter_room(parameter, self._this.block)
        stream: Any = self._this.cipher(key.attributes[CKA.VALUE], "CTR", parameter.block).encryptor()
        return Counting(stream, room, error)


def _mac(number: int, this: BlockCipher, *, general: bool) -> Mechanism:
    """Return CKM_<cipher>_MAC or CKM_<cipher>_MAC_GENERAL."""

    def encryptor(key: Object) -> Any:  # noqa: ANN401 - of `cryptography` or ours
        return this.cipher(key.attributes[CKA.VALUE], "CBC", bytes(this.block)).encryptor()

    sizes = this.lengths[0], this.lengths[-1]
    source = f"{this.source}, the last blocks"
    return BlockMac(number, (getattr(CKK, this.name),), sizes, this.block, encryptor, general=general, source=source)


_MAKERS: dict[str, Callable[[int, BlockCipher], Mechanism]] = {
    "ECB": _Ecb,
    "CBC": _Cbc,
    "CBC_PAD": _CbcPad,
    "CTR": _Ctr,
    "MAC": lambda number, this: _mac(number, this, general=False),
    "MAC_GENERAL": lambda number, this: _mac(number, this, general=True),
}


def mechanisms_of(this: BlockCipher) -> list[Mechanism | KeyType]:
    """Return the key type and the mechanisms of a block cipher."""
    number, generation = getattr(CKK, this.name), getattr(CKM, f"{this.name}_KEY_GEN")
    made: list[Mechanism | KeyType]
    if len(this.lengths) == 1:
        fixed = FixedKeyType(number, this.lengths[0], lambda value: _check_value(this, value))
        made = [fixed, FixedKeyGeneration(generation, fixed, fixed.length)]
    else:
        key_type = SecretKeyType(number, this.lengths, lambda value: _check_value(this, value))
        sizes = this.lengths[0], this.lengths[-1]
        made = [key_type, KeyGeneration(generation, key_type, sizes, this.lengths)]
    for name, make in _MAKERS.items():
        mechanism = getattr(CKM, f"{this.name}_{name}", None)
        if mechanism is not None:
            made.append(make(mechanism, this))
    return made

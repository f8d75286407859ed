"""AES in ECB, CBC, CBC_PAD, CTR, OFB and CFB mode: known results, multi-part at odd splits, bad lengths, parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ptkc.spec.constants import CKM, CKR

from .binding import ffi
from .cryptoki import Session, expect
from .keys import AES_KEY, aes, generate_aes, generic
from .parameters import Mechanism, ctr

_IV = bytes(range(100, 116))
_DATA = bytes(range(256)) * 2
_SPLITS = [[512], [1] * 20 + [492], [15, 1, 17, 31, 448], [16] * 32, [0, 500, 0, 12]]


def _padded(data: bytes) -> bytes:
    """Return `data` with PKCS #7 padding."""
    padder = padding.PKCS7(128).padder()
    return padder.update(data) + padder.finalize()


class _Mode:
    """A mode of AES: the mechanism as the module wants it, and what `cryptography` makes of some data."""

    def __init__(self, kind: int, mechanism: Callable[[], Mechanism], mode: modes.Mode, *, pad: bool = False) -> None:
        self.kind, self.mechanism, self._mode, self._pad = kind, mechanism, mode, pad

    def known(self, data: bytes) -> bytes:
        """Encrypt `data` with `cryptography`."""
        encryptor = Cipher(algorithms.AES(AES_KEY), self._mode).encryptor()
        return encryptor.update(_padded(data) if self._pad else data) + encryptor.finalize()


_ECB = _Mode(CKM.AES_ECB, lambda: Mechanism(CKM.AES_ECB), modes.ECB())  # noqa: S305 (it is a mode to be tested)
_CBC = _Mode(CKM.AES_CBC, lambda: Mechanism(CKM.AES_CBC, _IV), modes.CBC(_IV))
_PAD = _Mode(CKM.AES_CBC_PAD, lambda: Mechanism(CKM.AES_CBC_PAD, _IV), modes.CBC(_IV), pad=True)
_CTR = _Mode(CKM.AES_CTR, lambda: ctr(_IV), modes.CTR(_IV))
_OFB = _Mode(CKM.AES_OFB, lambda: Mechanism(CKM.AES_OFB, _IV), OFB(_IV))
_CFB128 = _Mode(CKM.AES_CFB128, lambda: Mechanism(CKM.AES_CFB128, _IV), CFB(_IV))
_CFB8 = _Mode(CKM.AES_CFB8, lambda: Mechanism(CKM.AES_CFB8, _IV), CFB8(_IV))
_STREAMS = {"CTR": _CTR, "OFB": _OFB, "CFB128": _CFB128, "CFB8": _CFB8}
_NAMES = {"ECB": _ECB, "CBC": _CBC, "CBC_PAD": _PAD, **_STREAMS}


def _modes(*names: str) -> pytest.MarkDecorator:
    """Return the test parameter `mode`, for these modes."""
    rows = [pytest.param(_NAMES[name], id=name, marks=pytest.mark.needs(_NAMES[name].kind)) for name in names]
    return pytest.mark.parametrize("mode", rows)


_each_mode = _modes(*_NAMES)
_block_modes = _modes("ECB", "CBC")
_free_modes = _modes("CBC_PAD", *_STREAMS)


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key that encrypts and decrypts."""
    return aes(session, ENCRYPT=True, DECRYPT=True)


def _parts(data: bytes, sizes: list[int]) -> list[bytes]:
    """Split `data` into parts of these sizes, the rest at the end."""
    parts, start = [], 0
    for size in sizes:
        parts.append(data[start : start + size])
        start += size
    return [*parts, data[start:]] if start < len(data) else parts


@_each_mode
@pytest.mark.parametrize("length", [0, 16, 512])
def test_encryption_in_one_part_is_right(session: Session, key: int, mode: _Mode, length: int) -> None:
    """Both directions give what `cryptography` gives, for no data too."""
    data = _DATA[:length]
    known = mode.known(data)
    assert known == session.encrypt(mode.mechanism(), key, data)
    assert data == session.decrypt(mode.mechanism(), key, known)


@_free_modes
@pytest.mark.parametrize("length", [1, 15, 17, 100, 511])
def test_encryption_of_any_length_is_right(session: Session, key: int, mode: _Mode, length: int) -> None:
    """Padding and the modes that make a stream take data of any length."""
    data = _DATA[:length]
    known = mode.known(data)
    assert known == session.encrypt(mode.mechanism(), key, data)
    assert data == session.decrypt(mode.mechanism(), key, known)


@_each_mode
@pytest.mark.parametrize("sizes", _SPLITS, ids=lambda sizes: f"{len(sizes)}-parts")
def test_encryption_in_parts_is_right(session: Session, key: int, mode: _Mode, sizes: list[int]) -> None:
    """However the data is split, the result is the same."""
    known = mode.known(_DATA)
    assert known == session.cipher_parts("Encrypt", mode.mechanism(), key, _parts(_DATA, sizes))
    assert _DATA == session.cipher_parts("Decrypt", mode.mechanism(), key, _parts(known, sizes))


@_each_mode
def test_update_gives_as_much_as_it_can(session: Session, key: int, mode: _Mode) -> None:
    """17 bytes in give 16 out in a block mode, 17 in one that makes a stream (5.2)."""
    session.init("Encrypt", mode.mechanism(), key)
    expected = mode.known(_DATA)[: 17 if mode in _STREAMS.values() else 16]
    assert expected == session.output("C_EncryptUpdate", _DATA[:17], 17)


@_each_mode
def test_ciphertext_may_be_written_over_its_data(session: Session, key: int, mode: _Mode) -> None:
    """Data and result may be at the same place, in one part and in several (5.8, 5.10)."""
    known = mode.known(_DATA[:64])
    place, length = ffi.new("CK_BYTE[96]", _DATA[:64]), ffi.new("CK_ULONG *", 96)
    session.init("Encrypt", mode.mechanism(), key)
    session.call("C_Encrypt", place, 64, place, length)
    assert known == bytes(place[0 : length[0]])
    session.init("Decrypt", mode.mechanism(), key)
    session.call("C_Decrypt", place, len(known), place, length)
    assert _DATA[:64] == bytes(place[0 : length[0]])
    session.init("Encrypt", mode.mechanism(), key)
    length[0] = 96
    session.call("C_EncryptUpdate", place, 64, place, length)
    assert known[:64] == bytes(place[0:64])


@_modes("CBC_PAD")
def test_decrypting_update_keeps_the_last_block(session: Session, key: int, mode: _Mode) -> None:
    """Which block is the padding cannot be known before the end (5.2)."""
    known = mode.known(b"x" * 20)
    session.init("Decrypt", mode.mechanism(), key)
    assert b"" == session.output("C_DecryptUpdate", known[:16], 16)
    assert b"x" * 16 == session.output("C_DecryptUpdate", known[16:], 16)
    assert b"x" * 4 == session.output("C_DecryptFinal")


@_block_modes
@pytest.mark.parametrize("length", [1, 15, 17])
def test_data_that_is_no_number_of_blocks_is_refused(session: Session, key: int, mode: _Mode, length: int) -> None:
    """CKR_DATA_LEN_RANGE in one part and at the end of several; the operation is over."""
    session.init("Encrypt", mode.mechanism(), key)
    expect(CKR.DATA_LEN_RANGE, session.output, "C_Encrypt", _DATA[:length], length)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_Encrypt", _DATA, 16)
    expect(CKR.DATA_LEN_RANGE, session.cipher_parts, "Encrypt", mode.mechanism(), key, [_DATA[:length]])
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_EncryptFinal")


@_modes("ECB", "CBC", "CBC_PAD")
@pytest.mark.parametrize("length", [1, 15, 17])
def test_ciphertext_that_is_no_number_of_blocks_is_refused(
    session: Session, key: int, mode: _Mode, length: int
) -> None:
    """CKR_ENCRYPTED_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_INVALID, in one part and at the end of several."""
    codes = (CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID)
    expect(codes, session.decrypt, mode.mechanism(), key, _DATA[:length])
    expect(codes, session.cipher_parts, "Decrypt", mode.mechanism(), key, [_DATA[:length]])


@_modes("CBC_PAD")
@pytest.mark.parametrize("tail", [b"\0", b"\x11", b"\x03\x02"], ids=["zero", "too-large", "unequal"])
def test_wrong_padding_is_refused(session: Session, key: int, mode: _Mode, tail: bytes) -> None:
    """A last block without PKCS #7 padding is CKR_ENCRYPTED_DATA_INVALID."""
    wrong = _CBC.known(tail.rjust(16, b"x"))
    codes = (CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
    expect(codes, session.decrypt, mode.mechanism(), key, wrong)
    expect(codes, session.cipher_parts, "Decrypt", mode.mechanism(), key, [wrong])


@_modes("CBC", "CBC_PAD", *_STREAMS)
@pytest.mark.parametrize("parameter", [None, b"", bytes(15), bytes(17)], ids=["none", "empty", "short", "long"])
def test_parameter_of_the_wrong_length_is_refused(
    session: Session, key: int, mode: _Mode, parameter: bytes | None
) -> None:
    """An IV has 16 bytes, a counter has its structure: CKR_MECHANISM_PARAM_INVALID."""
    codes = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
    expect(codes, session.init, "Encrypt", Mechanism(mode.kind, parameter), key)


@_modes("ECB")
def test_parameter_where_none_belongs_is_refused(session: Session, key: int, mode: _Mode) -> None:
    """CKM_AES_ECB has no parameter: CKR_MECHANISM_PARAM_INVALID."""
    expect(CKR.MECHANISM_PARAM_INVALID, session.init, "Encrypt", Mechanism(mode.kind, _IV), key)


@_modes("CTR")
@pytest.mark.parametrize("bits", [0, 129, 2**40])
def test_counter_of_no_sensible_width_is_refused(session: Session, key: int, mode: _Mode, bits: int) -> None:
    """A counter has 1 to 128 bits: CKR_MECHANISM_PARAM_INVALID."""
    expect(CKR.MECHANISM_PARAM_INVALID, session.init, "Encrypt", ctr(_IV, bits), key)


@_modes("CTR")
def test_counter_goes_on_beyond_a_byte(session: Session, key: int, mode: _Mode) -> None:
    """The counter counts over its whole width."""
    block = bytes(12) + b"\0\0\xff\xff"
    encryptor = Cipher(algorithms.AES(AES_KEY), modes.CTR(block)).encryptor()
    assert encryptor.update(_DATA) == session.encrypt(ctr(block, 32), key, _DATA)
    assert mode.kind == CKM.AES_CTR


@_each_mode
@pytest.mark.needs(CKM.AES_KEY_GEN)
@pytest.mark.parametrize("length", [16, 24, 32])
def test_generated_key_goes_both_ways(session: Session, mode: _Mode, length: int) -> None:
    """A key of each size made by the token decrypts what it encrypted."""
    key = generate_aes(session, VALUE_LEN=length, ENCRYPT=True, DECRYPT=True)
    assert _DATA == session.decrypt(mode.mechanism(), key, session.encrypt(mode.mechanism(), key, _DATA))


@pytest.mark.needs(CKM.AES_CBC)
def test_key_of_another_type_is_refused(session: Session) -> None:
    """A generic secret is no AES key: CKR_KEY_TYPE_INCONSISTENT."""
    key = generic(session, AES_KEY, ENCRYPT=True)
    expect(CKR.KEY_TYPE_INCONSISTENT, session.init, "Encrypt", _CBC.mechanism(), key)


@pytest.mark.needs(CKM.AES_CBC)
def test_unknown_key_is_refused(session: Session) -> None:
    """A handle that is no object is CKR_KEY_HANDLE_INVALID."""
    codes = (CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID)
    expect(codes, session.init, "Encrypt", _CBC.mechanism(), 2**40 + 7)
    expect(codes, session.init, "Encrypt", _CBC.mechanism(), 0)


def test_unlisted_mechanism_is_refused(session: Session, key: int) -> None:
    """CKR_MECHANISM_INVALID for what the token does not list, and for what does not encrypt."""
    expect(CKR.MECHANISM_INVALID, session.init, "Encrypt", Mechanism(0x7FFF1234), key)
    expect(CKR.MECHANISM_INVALID, session.init, "Encrypt", Mechanism(CKM.AES_KEY_GEN), key)

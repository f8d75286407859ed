"""AES-GCM and AES-CCM: known results, several parts, wrong tags, bad parameters."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from ptkc.spec.constants import CKM, CKR

from .cryptoki import Session, expect
from .keys import AES_KEY, aes
from .parameters import Mechanism, ccm, gcm

_IV = bytes(range(50, 62))
_NONCE = bytes(range(50, 63))
_AAD = b"associated data"
_DATA = bytes(range(200))
_BROKEN = (CKR.ENCRYPTED_DATA_INVALID, CKR.AEAD_DECRYPT_FAILED)
_SHORT = (CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID)
_BAD = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
_needs_gcm = pytest.mark.needs(CKM.AES_GCM)
_needs_ccm = pytest.mark.needs(CKM.AES_CCM)


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key that encrypts and decrypts."""
    return aes(session, ENCRYPT=True, DECRYPT=True)


def _known_gcm(data: bytes, aad: bytes = _AAD) -> bytes:
    """Return ciphertext and tag as `cryptography` makes them."""
    return AESGCM(AES_KEY).encrypt(_IV, data, aad)


@_needs_gcm
@pytest.mark.parametrize("length", [0, 1, 16, 200])
@pytest.mark.parametrize("aad", [b"", _AAD], ids=["no-aad", "aad"])
def test_gcm_in_one_part_is_right(session: Session, key: int, length: int, aad: bytes) -> None:
    """Ciphertext and tag behind it, as `cryptography` makes them, and back."""
    data = _DATA[:length]
    known = _known_gcm(data, aad)
    assert known == session.encrypt(gcm(_IV, aad), key, data)
    assert data == session.decrypt(gcm(_IV, aad), key, known)


@_needs_gcm
@pytest.mark.parametrize("sizes", [[1, 199], [16] * 12 + [8], [0, 33, 167]], ids=["two", "blocks", "odd"])
def test_gcm_in_parts_is_right(session: Session, key: int, sizes: list[int]) -> None:
    """However the data is split, the result is the same."""
    known = _known_gcm(_DATA)
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    parts = [_DATA[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    assert known == session.cipher_parts("Encrypt", gcm(_IV, _AAD), key, parts)
    cut = [known[start : start + size] for start, size in zip(starts, sizes, strict=True)] + [known[len(_DATA) :]]
    assert _DATA == session.cipher_parts("Decrypt", gcm(_IV, _AAD), key, cut)


@_needs_gcm
@pytest.mark.parametrize("bits", [96, 104, 112, 120])
def test_gcm_tag_may_be_shorter(session: Session, key: int, bits: int) -> None:
    """A shorter tag is the beginning of the whole one."""
    known = _known_gcm(_DATA)[: len(_DATA) + bits // 8]
    assert known == session.encrypt(gcm(_IV, _AAD, bits), key, _DATA)
    assert _DATA == session.decrypt(gcm(_IV, _AAD, bits), key, known)


@_needs_gcm
@pytest.mark.parametrize("length", [1, 8, 16, 128])
def test_gcm_iv_may_have_another_length(session: Session, key: int, length: int) -> None:
    """An IV that is not 12 bytes long goes both ways."""
    mechanism = gcm(_DATA[:length], _AAD)
    assert _DATA == session.decrypt(mechanism, key, session.encrypt(mechanism, key, _DATA))


@_needs_gcm
@pytest.mark.parametrize("place", [0, 100, 200, 215])
def test_gcm_with_a_changed_byte_is_refused(session: Session, key: int, place: int) -> None:
    """A change in ciphertext or tag is refused, in one part or several, and shows no plaintext at the end."""
    known = bytearray(_known_gcm(_DATA))
    known[place] ^= 1
    expect(_BROKEN, session.decrypt, gcm(_IV, _AAD), key, bytes(known))
    expect(_BROKEN, session.cipher_parts, "Decrypt", gcm(_IV, _AAD), key, [bytes(known[:90]), bytes(known[90:])])
    expect(CKR.OPERATION_NOT_INITIALIZED, session.output, "C_DecryptFinal")


@_needs_gcm
def test_gcm_with_other_associated_data_is_refused(session: Session, key: int) -> None:
    """Other associated data or another IV is refused."""
    expect(_BROKEN, session.decrypt, gcm(_IV, b"other"), key, _known_gcm(_DATA))
    expect(_BROKEN, session.decrypt, gcm(bytes(12), _AAD), key, _known_gcm(_DATA))


@_needs_gcm
@pytest.mark.parametrize("length", [0, 15])
def test_gcm_ciphertext_without_a_tag_is_refused(session: Session, key: int, length: int) -> None:
    """Less than a tag cannot be decrypted."""
    expect(_SHORT, session.decrypt, gcm(_IV, _AAD), key, bytes(length))
    expect(_SHORT, session.cipher_parts, "Decrypt", gcm(_IV, _AAD), key, [bytes(length)])


@_needs_gcm
@pytest.mark.parametrize(
    "mechanism",
    [
        lambda: gcm(b"", _AAD),
        lambda: gcm(_IV, _AAD, 129),
        lambda: gcm(_IV, _AAD, 2**40),
        lambda: Mechanism(CKM.AES_GCM),
        lambda: Mechanism(CKM.AES_GCM, bytes(12)),
    ],
    ids=["no-iv", "long-tag", "absurd-tag", "no-parameter", "bare-iv"],
)
def test_gcm_with_a_bad_parameter_is_refused(session: Session, key: int, mechanism: object) -> None:
    """CKR_MECHANISM_PARAM_INVALID, before any data."""
    expect(_BAD, session.init, "Encrypt", mechanism(), key)  # type: ignore[operator]


@_needs_ccm
@pytest.mark.parametrize("length", [0, 1, 16, 200])
@pytest.mark.parametrize("aad", [b"", _AAD], ids=["no-aad", "aad"])
@pytest.mark.parametrize("mac", [4, 16])
def test_ccm_in_one_part_is_right(session: Session, key: int, length: int, aad: bytes, mac: int) -> None:
    """Ciphertext and code behind it, as `cryptography` makes them, and back."""
    data = _DATA[:length]
    known = AESCCM(AES_KEY, mac).encrypt(_NONCE, data, aad)
    assert known == session.encrypt(ccm(length, _NONCE, aad, mac), key, data)
    assert data == session.decrypt(ccm(length, _NONCE, aad, mac), key, known)


@_needs_ccm
@pytest.mark.parametrize("length", [7, 10, 13])
def test_ccm_nonce_may_have_another_length(session: Session, key: int, length: int) -> None:
    """7 to 13 bytes are a nonce."""
    known = AESCCM(AES_KEY, 16).encrypt(_NONCE[:length], _DATA, _AAD)
    assert known == session.encrypt(ccm(200, _NONCE[:length], _AAD), key, _DATA)


@_needs_ccm
def test_ccm_in_parts_is_right(session: Session, key: int) -> None:
    """However the data is split, the result is the same."""
    known = AESCCM(AES_KEY, 16).encrypt(_NONCE, _DATA, _AAD)
    parts = [_DATA[:1], _DATA[1:100], _DATA[100:]]
    assert known == session.cipher_parts("Encrypt", ccm(200, _NONCE, _AAD), key, parts)
    assert _DATA == session.cipher_parts("Decrypt", ccm(200, _NONCE, _AAD), key, [known[:77], known[77:]])


@_needs_ccm
def test_ccm_with_a_changed_byte_is_refused(session: Session, key: int) -> None:
    """A change in ciphertext or code is refused."""
    for place in (0, 215):
        known = bytearray(AESCCM(AES_KEY, 16).encrypt(_NONCE, _DATA, _AAD))
        known[place] ^= 1
        expect(_BROKEN, session.decrypt, ccm(200, _NONCE, _AAD), key, bytes(known))


@_needs_ccm
@pytest.mark.parametrize("length", [199, 201])
def test_ccm_with_other_data_than_announced_is_refused(session: Session, key: int, length: int) -> None:
    """The parameter's length is the data's: CKR_DATA_LEN_RANGE."""
    session.init("Encrypt", ccm(200, _NONCE, _AAD), key)
    expect((CKR.DATA_LEN_RANGE, CKR.MECHANISM_PARAM_INVALID), session.output, "C_Encrypt", bytes(length), length)


@_needs_ccm
@pytest.mark.parametrize(
    "mechanism",
    [
        lambda: ccm(200, bytes(6)),
        lambda: ccm(200, bytes(14)),
        lambda: ccm(200, _NONCE, mac=5),
        lambda: ccm(200, _NONCE, mac=18),
        lambda: ccm(2**17, _NONCE),
        lambda: Mechanism(CKM.AES_CCM),
    ],
    ids=["short-nonce", "long-nonce", "odd-mac", "long-mac", "too-much-data", "no-parameter"],
)
def test_ccm_with_a_bad_parameter_is_refused(session: Session, key: int, mechanism: object) -> None:
    """CKR_MECHANISM_PARAM_INVALID, before any data."""
    expect(_BAD, session.init, "Encrypt", mechanism(), key)  # type: ignore[operator]

"""Digests, MACs, secret keys and AES: what holds for any input, and what is refused with which code."""

from __future__ import annotations

from itertools import pairwise

import pytest
from drivers import MechanismDriver, secret
from hypothesis import given
from hypothesis import strategies as st

from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.generic import hash_check_value
from ptkc.mechanisms.mechanism import Operation
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ccm, Ctr, Gcm, MacGeneral
from ptkc.spec.parameters import MALFORMED
from ptkc.spec.values import Attributes, ulong

load()

DRIVER = MechanismDriver()
AES = secret(CKK.AES, bytes(range(32)))
GENERIC = secret(CKK.GENERIC_SECRET, b"any key")
IV = bytes(range(100, 116))
GCM = Gcm(IV[:12], 96, b"associated", 128)

_STREAMS: dict[int, object] = {
    CKM.AES_CBC_PAD: IV,
    CKM.AES_CTR: Ctr(128, IV),
    CKM.AES_GCM: GCM,
}
_BLOCKS: dict[int, object] = {CKM.AES_ECB: None, CKM.AES_CBC: IV}
_WRAPS: dict[int, object] = {
    **_BLOCKS,
    **_STREAMS,
    CKM.AES_CCM: Ccm(0, IV[:13], b"associated", 16),
    CKM.AES_KEY_WRAP: None,
    CKM.AES_KEY_WRAP_KWP: None,
}
_BY_MESSAGES = (CKM.AES_GCM, CKM.AES_CCM)
# Those that fill a payload up with zero bytes.
_ZERO_PADDED = (CKM.AES_ECB, CKM.AES_CBC, CKM.AES_KEY_WRAP)


def refusal(code: int) -> pytest.RaisesExc[CryptokiError]:
    """Expect this code."""
    return pytest.raises(CryptokiError, check=lambda error: error.code == code)


def split(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data cut at the places, as far as they lie in it."""
    cuts = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


_PLACES = st.lists(st.integers(0, 200), max_size=6)


# In parts as in one


@given(st.sampled_from(sorted(_STREAMS)), st.binary(max_size=200), _PLACES)
def test_a_cipher_gives_the_same_in_parts(mechanism: int, data: bytes, places: list[int]) -> None:
    """However the data is split, the parts together are the single-part result, and decrypt to the data."""
    parameter = _STREAMS[mechanism]
    sealed = DRIVER.encrypt(mechanism, parameter, AES, data)
    assert sealed == DRIVER.encrypt(mechanism, parameter, AES, split(data, places))
    assert data == DRIVER.decrypt(mechanism, parameter, AES, sealed)
    assert data == DRIVER.decrypt(mechanism, parameter, AES, split(sealed, places))


@given(st.sampled_from(sorted(_BLOCKS)), st.binary(max_size=12), _PLACES)
def test_blocks_give_the_same_in_parts(mechanism: int, data: bytes, places: list[int]) -> None:
    """However whole blocks are split, the parts together are the single-part result, and decrypt to the data."""
    parameter, data = _BLOCKS[mechanism], data * 16
    sealed = DRIVER.encrypt(mechanism, parameter, AES, data)
    assert sealed == DRIVER.encrypt(mechanism, parameter, AES, split(data, places))
    assert data == DRIVER.decrypt(mechanism, parameter, AES, split(sealed, places))


@given(st.binary(max_size=200), _PLACES)
def test_ccm_gives_the_same_in_parts(data: bytes, places: list[int]) -> None:
    """However the data is split, the parts together are the single-part result, and decrypt to the data."""
    parameter = Ccm(len(data), IV[:7], b"", 4)
    sealed = DRIVER.encrypt(CKM.AES_CCM, parameter, AES, data)
    assert sealed == DRIVER.encrypt(CKM.AES_CCM, parameter, AES, split(data, places))
    assert data == DRIVER.decrypt(CKM.AES_CCM, parameter, AES, split(sealed, places))


@given(st.binary(max_size=200), _PLACES)
def test_a_mac_is_the_same_in_parts(data: bytes, places: list[int]) -> None:
    """However the data is split, HMAC, CMAC and GMAC are those of the whole."""
    for mechanism, parameter, key in (
        (CKM.SHA256_HMAC, None, GENERIC),
        (CKM.AES_CMAC, None, AES),
        (CKM.AES_GMAC, GCM._replace(aad=b""), AES),
    ):
        mac = DRIVER.sign(mechanism, parameter, key, data)
        assert mac == DRIVER.sign(mechanism, parameter, key, split(data, places))
        DRIVER.verify(mechanism, parameter, key, split(data, places), mac)


def _begin(kind: str, mechanism: int, parameter: object) -> Operation:
    return getattr(MECHANISMS[mechanism], kind)(Object(AES), parameter)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("mechanism", "parameter"), [(CKM.AES_GCM, GCM), (CKM.AES_CCM, Ccm(64, IV[:12], b"", 16))])
def test_authenticated_decryption_gives_nothing_before_the_tag(mechanism: int, parameter: object) -> None:
    """C_DecryptUpdate of GCM and CCM gives no byte that the tag has not vouched for."""
    sealed = DRIVER.encrypt(mechanism, parameter, AES, bytes(64))
    operation = _begin("decrypt", mechanism, parameter)
    assert (0, b"") == (operation.update_length(80), operation.update(sealed))
    assert (64, bytes(64)) == (operation.finish_length(), operation.finish())


def test_a_cached_key_serves_many_operations_at_once() -> None:
    """Operations with one key object do not disturb each other."""
    key = Object(GENERIC)
    mechanism = MECHANISMS[CKM.SHA256_HMAC]
    first, second = mechanism.sign(key, None), mechanism.sign(key, None)  # type: ignore[attr-defined]
    first.update(b"a")
    second.update(b"b")
    assert DRIVER.sign(CKM.SHA256_HMAC, None, GENERIC, b"ac") == (first.update(b"c"), first.finish())[1]
    assert DRIVER.sign(CKM.SHA256_HMAC, None, GENERIC, b"b") == second.finish()


# Lengths


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("size", [1, 15, 17, 31])
@pytest.mark.parametrize("mechanism", _BLOCKS)
def test_blocks_that_are_not_whole_are_refused(mechanism: int, size: int, parts: bool) -> None:  # noqa: FBT001
    """ECB and CBC: CKR_DATA_LEN_RANGE to encrypt, CKR_ENCRYPTED_DATA_LEN_RANGE to decrypt."""
    data = split(bytes(size), [5]) if parts else bytes(size)
    with refusal(CKR.DATA_LEN_RANGE):
        DRIVER.encrypt(mechanism, _BLOCKS[mechanism], AES, data)
    with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
        DRIVER.decrypt(mechanism, _BLOCKS[mechanism], AES, data)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("size", [0, 1, 15, 17, 31])
def test_padded_blocks_that_are_not_whole_are_refused(size: int, parts: bool) -> None:  # noqa: FBT001
    """CBC_PAD cannot decrypt what is no whole block, or nothing: CKR_ENCRYPTED_DATA_LEN_RANGE."""
    data = split(bytes(size), [5]) if parts else bytes(size)
    with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
        DRIVER.decrypt(CKM.AES_CBC_PAD, IV, AES, data)


@pytest.mark.parametrize(
    "last",
    [bytes(16), b"\x11" * 16, b"x" * 15 + b"\x00", b"x" * 14 + b"\x01\x02", b"\x10" * 14 + b"\x0f\x10", b"\xff" * 16],
)
def test_any_wrong_padding_is_one_refusal(last: bytes) -> None:
    """Whatever is wrong with the padding is CKR_ENCRYPTED_DATA_INVALID, in one part and in several."""
    sealed = DRIVER.encrypt(CKM.AES_CBC, IV, AES, bytes(16) + last)
    for data in (sealed, split(sealed, [7, 16, 31])):
        with refusal(CKR.ENCRYPTED_DATA_INVALID):
            DRIVER.decrypt(CKM.AES_CBC_PAD, IV, AES, data)


@pytest.mark.parametrize("mechanism", [CKM.AES_GCM, CKM.AES_CCM])
def test_what_is_shorter_than_its_tag_is_refused(mechanism: int) -> None:
    """CKR_ENCRYPTED_DATA_LEN_RANGE, and the foretold length is not negative."""
    parameter = GCM if mechanism == CKM.AES_GCM else Ccm(0, IV[:12], b"", 16)
    for data in (b"", bytes(15), [bytes(7), bytes(8)], []):
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            DRIVER.decrypt(mechanism, parameter, AES, data)


@pytest.mark.parametrize("size", [0, 4, 6])
def test_ccm_keeps_to_the_length_in_its_parameter(size: int) -> None:
    """More or less data than ulDataLen is CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE."""
    parameter = Ccm(5, IV[:12], b"", 16)
    for data in (bytes(size), [bytes(size)]):
        with refusal(CKR.DATA_LEN_RANGE):
            DRIVER.encrypt(CKM.AES_CCM, parameter, AES, data)
    with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
        DRIVER.decrypt(CKM.AES_CCM, parameter, AES, bytes(size + 16))


@pytest.mark.parametrize(
    ("bits", "block", "blocks"),
    [
        (2, bytes(15) + b"\x01", 3),
        (1, bytes(16), 2),
        (8, b"\xff" * 16, 1),
        (12, b"\xff" * 14 + b"\xff\xfe", 2),
        (128, b"\xff" * 16, 1),
        (128, b"\xff" * 15 + b"\xfc", 4),
    ],
)
def test_a_counter_that_would_overflow_is_refused(bits: int, block: bytes, blocks: int) -> None:
    """As many blocks as the counter bits have left are encrypted; one byte more is refused."""
    parameter, data = Ctr(bits, block), bytes(16 * blocks)
    sealed = DRIVER.encrypt(CKM.AES_CTR, parameter, AES, data)
    number = int.from_bytes(block, "big")
    counters = b"".join((number + step).to_bytes(16, "big") for step in range(blocks))
    assert DRIVER.encrypt(CKM.AES_ECB, None, AES, counters) == sealed
    for longer in (data + b"\0", [data, b"\0"]):
        with refusal(CKR.DATA_LEN_RANGE):
            DRIVER.encrypt(CKM.AES_CTR, parameter, AES, longer)
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            DRIVER.decrypt(CKM.AES_CTR, parameter, AES, longer)


@pytest.mark.parametrize(
    ("mechanism", "good", "plain", "sealed"),
    [
        (CKM.AES_KEY_WRAP, 16, (0, 8, 15, 17, 2**16 + 8), (0, 8, 16, 23, 25, 2**16 + 16)),
        (CKM.AES_KEY_WRAP_KWP, 1, (0, 2**16 + 1), (0, 8, 15, 17, 2**16 + 16)),
    ],
)
def test_key_wrap_refuses_lengths_it_has_not(
    mechanism: int, good: int, plain: tuple[int, ...], sealed: tuple[int, ...]
) -> None:
    """CKR_DATA_LEN_RANGE to encrypt, CKR_ENCRYPTED_DATA_LEN_RANGE to decrypt, no parts."""
    assert not _begin("encrypt", mechanism, None).multi_part
    assert not _begin("decrypt", mechanism, None).multi_part
    DRIVER.encrypt(mechanism, None, AES, bytes(good))
    for size in plain:
        with refusal(CKR.DATA_LEN_RANGE):
            DRIVER.encrypt(mechanism, None, AES, bytes(size))
    for size in sealed:
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            DRIVER.decrypt(mechanism, None, AES, bytes(size))


# Parameters


@pytest.mark.parametrize(
    ("mechanism", "parameters"),
    [
        (CKM.AES_ECB, (IV, MALFORMED)),
        (CKM.AES_CBC, (None, IV[:15], IV + b"x", GCM)),
        (CKM.AES_CBC_PAD, (None, IV[:15], IV + b"x")),
        (CKM.AES_CTR, (None, MALFORMED, IV, Ctr(0, IV), Ctr(129, IV), Ctr(2**64 - 1, IV))),
        (
            CKM.AES_GCM,
            (
                *(None, MALFORMED, IV, GCM._replace(iv=b""), GCM._replace(iv=bytes(129))),
                *(GCM._replace(tag_bits=bits) for bits in (0, 8, 31, 33, 88, 127, 129, 136, 2**64 - 1)),
            ),
        ),
        (
            CKM.AES_CCM,
            (
                *(None, MALFORMED, Ccm(0, IV[:6], b"", 16), Ccm(0, IV[:14], b"", 16)),
                *(Ccm(2**16, IV[:13], b"", 16), Ccm(2**31, IV[:7], b"", 16), Ccm(2**64 - 1, IV[:7], b"", 16)),
                *(Ccm(0, IV[:12], b"", size) for size in (0, 2, 3, 5, 15, 17, 18, 2**64 - 1)),
            ),
        ),
        (CKM.AES_KEY_WRAP, (IV[:7], IV, IV[:4])),
        (CKM.AES_KEY_WRAP_KWP, (IV[:3], IV[:8])),
    ],
)
def test_a_wrong_parameter_of_a_cipher_is_refused(mechanism: int, parameters: tuple[object, ...]) -> None:
    """An absent, malformed or out-of-range parameter is CKR_MECHANISM_PARAM_INVALID at Init."""
    for parameter in parameters:
        for kind in ("encrypt", "decrypt"):
            with refusal(CKR.MECHANISM_PARAM_INVALID):
                DRIVER._begin(kind, mechanism, parameter, AES)


@pytest.mark.parametrize(
    ("mechanism", "parameters", "key"),
    [
        (CKM.SHA256_HMAC, (MacGeneral(32), b"x"), GENERIC),
        (CKM.SHA256_HMAC_GENERAL, (None, MALFORMED, MacGeneral(0), MacGeneral(33), MacGeneral(2**64 - 1)), GENERIC),
        (CKM.AES_CMAC, (MacGeneral(16),), AES),
        (CKM.AES_CMAC_GENERAL, (None, MacGeneral(0), MacGeneral(17)), AES),
        (CKM.AES_GMAC, (None, IV, GCM, GCM._replace(aad=b"", tag_bits=1), GCM._replace(aad=b"", iv=b"")), AES),
    ],
)
def test_a_wrong_parameter_of_a_mac_is_refused(mechanism: int, parameters: tuple[object, ...], key: Attributes) -> None:
    """An absent, malformed or out-of-range parameter is CKR_MECHANISM_PARAM_INVALID at Init."""
    for parameter in parameters:
        for kind in ("sign", "verify"):
            with refusal(CKR.MECHANISM_PARAM_INVALID):
                DRIVER._begin(kind, mechanism, parameter, key)


# Verification


@pytest.mark.parametrize(
    ("mechanism", "parameter", "key"),
    [
        (CKM.SHA512_HMAC, None, GENERIC),
        (CKM.SHA_1_HMAC_GENERAL, MacGeneral(7), GENERIC),
        (CKM.AES_CMAC, None, AES),
        (CKM.AES_CMAC_GENERAL, MacGeneral(1), AES),
        (CKM.AES_GMAC, GCM._replace(aad=b"", tag_bits=96), AES),
    ],
)
def test_a_wrong_mac_is_refused(mechanism: int, parameter: object, key: Attributes) -> None:
    """Any flipped bit is CKR_SIGNATURE_INVALID, any other length CKR_SIGNATURE_LEN_RANGE."""
    mac = DRIVER.sign(mechanism, parameter, key, b"data")
    for data in (b"data", [b"da", b"ta"]):
        for bit in (0, 8 * len(mac) - 1):
            wrong = (int.from_bytes(mac, "little") ^ 1 << bit).to_bytes(len(mac), "little")
            with refusal(CKR.SIGNATURE_INVALID):
                DRIVER.verify(mechanism, parameter, key, data, wrong)
        for wrong in (b"", mac[:-1], mac + b"\0"):
            with refusal(CKR.SIGNATURE_LEN_RANGE):
                DRIVER.verify(mechanism, parameter, key, data, wrong)


@pytest.mark.parametrize("tag_bits", [32, 64, 96, 104, 112, 120, 128])
def test_gcm_refuses_what_was_changed(tag_bits: int) -> None:
    """A changed byte of data, tag or associated data is CKR_ENCRYPTED_DATA_INVALID."""
    parameter = GCM._replace(tag_bits=tag_bits)
    sealed = DRIVER.encrypt(CKM.AES_GCM, parameter, AES, b"plaintext")
    changed = [sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :] for place in range(len(sealed))]
    for data in (*changed, *([item[:4], item[4:]] for item in changed)):
        with refusal(CKR.ENCRYPTED_DATA_INVALID):
            DRIVER.decrypt(CKM.AES_GCM, parameter, AES, data)
    with refusal(CKR.ENCRYPTED_DATA_INVALID):
        DRIVER.decrypt(CKM.AES_GCM, parameter._replace(aad=b"other"), AES, sealed)


# Keys


@pytest.mark.parametrize(
    ("mechanism", "lengths", "wrong"),
    [
        (CKM.AES_KEY_GEN, (16, 24, 32), (0, 1, 15, 17, 33, 2**64 - 1)),
        (CKM.GENERIC_SECRET_KEY_GEN, (1, 7, 65536), (0, 65537, 2**64 - 1)),
        (CKM.SHA3_384_KEY_GEN, (1, 48, 65536), (0, 65537, 2**64 - 1)),
    ],
)
def test_a_generated_key_has_the_length_asked_for(mechanism: int, lengths: tuple[int], wrong: tuple[int]) -> None:
    """CKA_VALUE_LEN decides; without it CKR_TEMPLATE_INCOMPLETE, an impossible one CKR_ATTRIBUTE_VALUE_INVALID."""
    generation = MECHANISMS[mechanism]
    for length in lengths:
        made = generation.generate(None, {CKA.VALUE_LEN: ulong(length)})  # type: ignore[attr-defined]
        assert (length, ulong(length)) == (len(made[CKA.VALUE]), made[CKA.VALUE_LEN])
        again = KEY_TYPES[generation.generates].check(CKO.SECRET_KEY, made)
        assert {**made, **again} == made
    for length in wrong:
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            generation.generate(None, {CKA.VALUE_LEN: ulong(length)})  # type: ignore[attr-defined]
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        generation.generate(None, {})  # type: ignore[attr-defined]


def test_the_check_value_is_the_specifications() -> None:
    """AES: three bytes of an encrypted block of zeros; others: three bytes of SHA-1 over the value."""
    aes = KEY_TYPES[CKK.AES].check(CKO.SECRET_KEY, AES)
    assert DRIVER.encrypt(CKM.AES_ECB, None, AES, bytes(16))[:3] == aes[CKA.CHECK_VALUE]
    generic = KEY_TYPES[CKK.GENERIC_SECRET].check(CKO.SECRET_KEY, GENERIC)
    assert DRIVER.digest(CKM.SHA_1, GENERIC[CKA.VALUE])[:3] == generic[CKA.CHECK_VALUE]


def test_a_check_value_in_the_template_must_be_right() -> None:
    """The right one is kept, a wrong one is CKR_ATTRIBUTE_VALUE_INVALID, an empty one asks for none."""
    key_type, value = KEY_TYPES[CKK.SHA256_HMAC], b"any key"
    right = {CKA.VALUE: value, CKA.CHECK_VALUE: hash_check_value(value)}
    assert hash_check_value(value) == key_type.check(CKO.SECRET_KEY, right)[CKA.CHECK_VALUE]
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        key_type.check(CKO.SECRET_KEY, {CKA.VALUE: value, CKA.CHECK_VALUE: b"abc"})
    assert {CKA.VALUE_LEN: ulong(7)} == key_type.check(CKO.SECRET_KEY, {CKA.VALUE: value, CKA.CHECK_VALUE: b""})


def test_a_created_key_must_be_possible() -> None:
    """A wrong length is CKR_ATTRIBUTE_VALUE_INVALID, no value CKR_TEMPLATE_INCOMPLETE, another class inconsistent."""
    aes, generic = KEY_TYPES[CKK.AES], KEY_TYPES[CKK.GENERIC_SECRET]
    for size in (0, 15, 17, 33, 64):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            aes.check(CKO.SECRET_KEY, {CKA.VALUE: bytes(size)})
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        generic.check(CKO.SECRET_KEY, {CKA.VALUE: b""})
    with refusal(CKR.TEMPLATE_INCOMPLETE):
        aes.check(CKO.SECRET_KEY, {})
    with refusal(CKR.TEMPLATE_INCONSISTENT):
        aes.check(CKO.PRIVATE_KEY, AES)


@pytest.mark.parametrize("key_type", [CKK.AES, CKK.GENERIC_SECRET, CKK.SHA256_HMAC])
@pytest.mark.parametrize("length", [16, 24, 32])
@pytest.mark.parametrize("mechanism", _WRAPS)
def test_a_wrapped_key_comes_back(mechanism: int, length: int, key_type: int) -> None:
    """Every wrapping mechanism wraps keys of any type and length, and unwraps them with CKA_VALUE_LEN."""
    value = bytes(range(1, length + 1))
    wrapped = DRIVER.wrap(mechanism, _WRAPS[mechanism], AES, secret(key_type, value))
    template = {CKA.KEY_TYPE: ulong(key_type), CKA.VALUE_LEN: ulong(length)}
    made = DRIVER.unwrap(mechanism, _WRAPS[mechanism], AES, wrapped, template)
    assert (value, ulong(length)) == (made[CKA.VALUE], made[CKA.VALUE_LEN])


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 17, 33])
@pytest.mark.parametrize("mechanism", _WRAPS)
def test_a_wrapped_secret_of_odd_length_comes_back(mechanism: int, length: int) -> None:
    """Zero padding is cut off by CKA_VALUE_LEN, and remains without it."""
    value = bytes(range(1, length + 1))
    wrapped = DRIVER.wrap(mechanism, _WRAPS[mechanism], AES, secret(CKK.GENERIC_SECRET, value))
    template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
    whole = DRIVER.unwrap(mechanism, _WRAPS[mechanism], AES, wrapped, template)[CKA.VALUE]
    assert value == (whole.rstrip(b"\0") if mechanism in _ZERO_PADDED else whole)
    template[CKA.VALUE_LEN] = ulong(length)
    assert value == DRIVER.unwrap(mechanism, _WRAPS[mechanism], AES, wrapped, template)[CKA.VALUE]


@pytest.mark.parametrize("mechanism", _WRAPS)
def test_unwrapping_cannot_shorten_a_key(mechanism: int) -> None:
    """CKA_VALUE_LEN that cuts off more than padding is CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE."""
    wrapped = DRIVER.wrap(mechanism, _WRAPS[mechanism], AES, secret(CKK.GENERIC_SECRET, b"k" * 32))
    template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
    for length, code in (
        (31, CKR.WRAPPED_KEY_INVALID),
        (16, CKR.WRAPPED_KEY_LEN_RANGE),
        (33, CKR.WRAPPED_KEY_LEN_RANGE),
        (0, CKR.WRAPPED_KEY_LEN_RANGE),
    ):
        with refusal(code):
            DRIVER.unwrap(mechanism, _WRAPS[mechanism], AES, wrapped, {**template, CKA.VALUE_LEN: ulong(length)})


@pytest.mark.parametrize("mechanism", set(_WRAPS) - set(_BLOCKS) - {CKM.AES_CTR})
def test_a_damaged_wrapped_key_is_refused(mechanism: int) -> None:
    """CKR_WRAPPED_KEY_INVALID where the mechanism can tell, CKR_WRAPPED_KEY_LEN_RANGE by the length alone."""
    wrapped = DRIVER.wrap(mechanism, _WRAPS[mechanism], AES, AES)
    template = {CKA.KEY_TYPE: ulong(CKK.AES)}
    with refusal(CKR.WRAPPED_KEY_INVALID):
        DRIVER.unwrap(mechanism, _WRAPS[mechanism], AES, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), template)
    for short in (b"", b"short"):
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            DRIVER.unwrap(mechanism, _WRAPS[mechanism], AES, short, template)


@pytest.mark.parametrize(
    ("mechanism", "default", "other"),
    [
        (CKM.AES_KEY_WRAP, bytes.fromhex("a6a6a6a6a6a6a6a6"), IV[:8]),
        (CKM.AES_KEY_WRAP_KWP, bytes.fromhex("a65959a6"), IV[:4]),
    ],
)
def test_key_wrap_takes_another_initial_value(mechanism: int, default: bytes, other: bytes) -> None:
    """The parameter is the initial value; without one it is that of SP 800-38F; unwrapping checks it."""
    assert DRIVER.wrap(mechanism, None, AES, AES) == DRIVER.wrap(mechanism, default, AES, AES)
    wrapped = DRIVER.wrap(mechanism, other, AES, AES)
    template = {CKA.KEY_TYPE: ulong(CKK.AES)}
    assert AES[CKA.VALUE] == DRIVER.unwrap(mechanism, other, AES, wrapped, template)[CKA.VALUE]
    with refusal(CKR.WRAPPED_KEY_INVALID):
        DRIVER.unwrap(mechanism, None, AES, wrapped, template)


def test_another_key_type_is_refused() -> None:
    """An AES key does no HMAC, a generic secret no AES, one hash's key no other's HMAC."""
    for kind, mechanism, key in (
        ("sign", CKM.SHA256_HMAC, AES),
        ("sign", CKM.SHA256_HMAC, secret(CKK.SHA384_HMAC, bytes(32))),
        ("sign", CKM.AES_CMAC, GENERIC),
        ("encrypt", CKM.AES_ECB, GENERIC),
    ):
        with refusal(CKR.KEY_TYPE_INCONSISTENT):
            DRIVER._begin(kind, mechanism, None, key)


@pytest.mark.parametrize(
    ("mechanisms", "flags"),
    [
        ((CKM.SHA_1, CKM.SHA512_256, CKM.SHA3_224), CKF.DIGEST),
        (
            (CKM.SHA_1_HMAC, CKM.SHA3_512_HMAC_GENERAL, CKM.AES_CMAC, CKM.AES_GMAC),
            CKF.SIGN | CKF.VERIFY | CKF.MESSAGE_SIGN | CKF.MESSAGE_VERIFY | CKF.MULTI_MESSAGE,
        ),
        ((CKM.AES_KEY_GEN, CKM.GENERIC_SECRET_KEY_GEN, CKM.SHA_1_KEY_GEN), CKF.GENERATE),
        (
            tuple(number for number in _WRAPS if number not in _BY_MESSAGES),
            CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP,
        ),
        (
            _BY_MESSAGES,
            CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP
            | CKF.MESSAGE_ENCRYPT | CKF.MESSAGE_DECRYPT | CKF.MULTI_MESSAGE,
        ),
    ],
)  # fmt: skip
def test_flags_are_those_of_the_specifications_tables(mechanisms: tuple[int, ...], flags: int) -> None:
    """A mechanism does what the specification's table marks, and nothing else."""
    assert [flags] * len(mechanisms) == [MECHANISMS[mechanism].flags for mechanism in mechanisms]

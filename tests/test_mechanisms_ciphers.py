"""Camellia, ARIA, SEED and Blowfish against the published vectors, and what is refused with which code.

Wycheproof's vectors of CBC with padding are run by `conformance.test_wycheproof`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cryptography_vectors
import pytest
from drivers import Driver, secret
from parts import both, refusal
from published import vectors

from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.layouts import Ctr, MacGeneral
from ptkc.spec.values import ulong

load()


class Known(NamedTuple):
    """A known answer: all in hexadecimal."""

    key: str
    iv: str
    plain: str
    encrypted: str


# RFC 5528, 4.1: counter mode, the counter has 32 bits.
_CAMELLIA_CTR = (
    Known(
        "AE6852F8121067CC4BF7A5765577F39E", "00000030000000000000000000000001",
        "53696E676C6520626C6F636B206D7367", "D09DC29A8214619A20877C76DB1F0B3F",
    ),
    Known(
        "7E24067817FAE0D743D6CE1F32539163", "006CB6DBC0543B59DA48D90B00000001",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "DBF3C78DC08396D4DA7C907765BBCB442B8E8E0F31F0DCA72C7417E35360E048",
    ),
    Known(
        "7691BE035E5020A8AC6E618529F9A0DC", "00E0017B27777F3F4A1786F000000001",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20212223",
        "B19D1FCDCB75EB882F849CE24D85CF739CE64B2B5C9D73F14F2D5D9DCE9889CDDF508696",
    ),
    Known(
        "16AF5B145FC9F579C175F93E3BFB0EED863D06CCFDB78515", "0000004836733C147D6D93CB00000001",
        "53696E676C6520626C6F636B206D7367", "2379399E8A8D2B2B16702FC78B9E9696",
    ),
    Known(
        "7C5CB2401B3DC33C19E7340819E0F69C678C3DB8E6F6A91A", "0096B03B020C6EADC2CB500D00000001",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "7DEF34F7A5D0E415674B7FFCAE67C75DD018B86FF23051E056392A99F35A4CED",
    ),
    Known(
        "02BF391EE8ECB159B959617B0965279BF59B60A786D3E0FE", "0007BDFD5CBD60278DCC091200000001",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20212223",
        "5710E556E1487A20B5AC0E73F19E4E7876F37FDC91B1EF4D4DADE8E666A64D0ED557AB57",
    ),
    Known(
        "776BEFF2851DB06F4C8A0542C8696F6C6A81AF1EEC96B4D37FC1D689E6C1C104", "00000060DB5672C97AA8F0B200000001",
        "53696E676C6520626C6F636B206D7367", "3401F9C8247EFFCEBD6994714C1BBB11",
    ),
    Known(
        "F6D66D6BD52D59BB0796365879EFF886C66DD51A5B6A99744B50590C87A23884", "00FAAC24C1585EF15A43D87500000001",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "D6C30392246F7808A83C2B22A8839E45E51CD48A1CDF406EBC9CC2D3AB834108",
    ),
    Known(
        "FF7A617CE69148E4F1726E2F43581DE2AA62D9F805532EDFF1EED687FB54153D", "001CC5B751A51D70A1C1114800000001",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20212223",
        "A4DA23FCE6A5FFAA6D64AE9A0652A42CD161A34B65F9679F75C01F101F71276F15EF0D8D",
    ),
)  # fmt: skip

# RFC 3713, appendix A.
_CAMELLIA_ECB = tuple(
    Known(key, "", "0123456789abcdeffedcba9876543210", encrypted)
    for key, encrypted in (
        ("0123456789abcdeffedcba9876543210", "67673138549669730857065648eabe43"),
        ("0123456789abcdeffedcba98765432100011223344556677", "b4993401b3e996f84ee5cee7d79b09b9"),
        ("0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff", "9acc237dff16d76c20ef7c919e3a7509"),
    )
)

# RFC 5794, appendix A, and the test vectors of the NSRI, which made ARIA.
_ARIA_KEY = "00112233445566778899aabbccddeeff"
_ARIA_IV = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_ARIA_TEXT = "".join(f"{one * 8}{other * 8}" for one in "12345" for other in "abcd")
_ARIA_ECB = (
    Known("000102030405060708090a0b0c0d0e0f", "", _ARIA_KEY, "d718fbd6ab644c739da95f3be6451778"),
    Known(
        "000102030405060708090a0b0c0d0e0f1011121314151617", "", _ARIA_KEY, "26449c1805dbe7aa25a468ce263a9e79"
    ),
    Known(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "", _ARIA_KEY,
        "f92bd7c79fb72e2f2b8f80c1972d24fc",
    ),
    Known(
        _ARIA_KEY, "", _ARIA_TEXT,
        "c6ecd08e22c30abdb215cf74e2075e6e29ccaac63448708d331b2f816c51b17d9e133d1528dbf0af5787c7f3a3f5c2bf"
        "6b6f345907a3055612ce072ff54de7d788424da6e8ccfe8172b391be499354165665ba7864917000a6eeb2ecb4a698ed"
        "fc7887e7f556377614ab0a282293e6d884dbb84206cdb16ed1754e77a1f243fd086953f752cc1e46c7c794ae85537dca"
        "ec8dd721f55c93b6edfe2adea43873e8",
    ),
)  # fmt: skip
_ARIA_CBC = (
    Known(
        _ARIA_KEY, _ARIA_IV, _ARIA_TEXT,
        "49d61860b14909109cef0d22a9268134fadf9fb23151e9645fba75018bdb1538b53334634bbf7d4cd4b5377033060c15"
        "5fe3948ca75de1031e1d85619e0ad61eb419a866b3c2dbfd10a4ed18b22149f75897f0b8668b0c1c542c687778835fb7"
        "cd46e45f85eaa7072437dd9fa6793d6f8d4ccefc4eb1ac641ac1bd30b18c6d64c49bca137eb21c2e04da62712ca2b4f5"
        "40c57112c38791852cfac7a5d19ed83a",
    ),
    Known(
        _ARIA_KEY + _ARIA_KEY[:16], _ARIA_IV, _ARIA_TEXT,
        "afe6cf23974b533c672a826264ea785f4e4f7f780dc7f3f1e0962b80902386d514e9c3e77259de92dd1102ffab086c1e"
        "a52a71260db5920a83295c25320e421147ca45d532f327b856ea947cd2196ae2e040826548b4c891b0ed0ca6e714dbc4"
        "631998d548110d666b3d54c2a091955c6f05beb4f62309368696c9791fc4c551564a2637f194346ec45fbca6c72a5b46"
        "12e208d531d6c34cc5c64eac6bd0cf8c",
    ),
    Known(
        _ARIA_KEY * 2, _ARIA_IV, _ARIA_TEXT,
        "523a8a806ae621f155fdd28dbc34e1ab7b9b42432ad8b2efb96e23b13f0a6e52f36185d50ad002c5f601bee5493f118b"
        "243ee2e313642bffc3902e7b2efd9a12fa682edd2d23c8b9c5f043c18b17c1ec4b5867918270fbec1027c19ed6af833d"
        "a5d620994668ca22f599791d292dd6273b2959082aafb7a996167cce1eec5f0cfd15f610d87e2dda9ba68ce1260ca54b"
        "222491418374294e7909b1e8551cd8de",
    ),
)  # fmt: skip


def _nist(path: str) -> tuple[Known, ...]:
    """Return the known answers of a file in NIST's form."""
    return tuple(Known(one["key"], one.get("iv", ""), one["plaintext"], one["ciphertext"]) for one in vectors(path))


def _ntt(bits: int) -> Iterator[Known]:
    """Yield every eighth of NTT's many known answers for Camellia, which stand in lines of K, P and C."""
    values = {}
    with cryptography_vectors.open_vector_file(f"ciphers/Camellia/camellia-{bits}-ecb.txt", "r") as file:
        for line in file:
            name, _, value = line.partition(":")
            values[name[:1]] = value.strip().replace(" ", "")
            if name[:1] == "C" and int(name.split(".")[1]) % 8 == 1:
                yield Known(values["K"], "", values["P"], values["C"])


_ECB = {
    "CAMELLIA": (*_CAMELLIA_ECB, *(known for bits in (128, 192, 256) for known in _ntt(bits))),
    "ARIA": _ARIA_ECB,
    "SEED": _nist("ciphers/SEED/rfc-4269.txt"),
}  # fmt: skip
_CBC = {
    "CAMELLIA": _nist("ciphers/Camellia/camellia-cbc.txt"),
    "ARIA": _ARIA_CBC,
    "SEED": _nist("ciphers/SEED/rfc-4196.txt"),
    "BLOWFISH": _nist("ciphers/Blowfish/bf-cbc.txt"),
}
_BLOCKS = {"CAMELLIA": 16, "ARIA": 16, "SEED": 16, "BLOWFISH": 8}
_LENGTHS = {"CAMELLIA": (16, 24, 32), "ARIA": (16, 24, 32), "SEED": (16,), "BLOWFISH": (16, 17, 56)}
_NAMES = tuple(_BLOCKS)
_WITH_MAC = ("CAMELLIA", "ARIA", "SEED")


def number(name: str, mode: str) -> int:
    """Return CKM_<name>_<mode>."""
    return int(getattr(CKM, f"{name}_{mode}"))


def key_of(name: str, value: bytes) -> dict[int, bytes]:
    """Return a key of the cipher."""
    return secret(getattr(CKK, name), value)


def check_both_ways(driver: Driver, name: str, mode: str, parameter: object, known: Known) -> None:
    """Encrypt and decrypt, in one part and in several."""
    key, mechanism = key_of(name, bytes.fromhex(known.key)), number(name, mode)
    plain, encrypted = bytes.fromhex(known.plain), bytes.fromhex(known.encrypted)
    for data in both(plain):
        assert encrypted == driver.encrypt(mechanism, parameter, key, data)
    for data in both(encrypted):
        assert plain == driver.decrypt(mechanism, parameter, key, data)


@pytest.mark.vectors(*(number(name, "ECB") for name in _ECB))
@pytest.mark.parametrize("name", _ECB)
def test_blocks_are_the_published_ones(driver: Driver, name: str) -> None:
    """ECB encrypts and decrypts the vectors."""
    for known in _ECB[name]:
        check_both_ways(driver, name, "ECB", None, known)


@pytest.mark.vectors(*(number(name, mode) for name in _CBC for mode in ("CBC", "CBC_PAD")))
@pytest.mark.parametrize("name", _CBC)
def test_chained_blocks_are_the_published_ones(driver: Driver, name: str) -> None:
    """CBC encrypts and decrypts the vectors; CBC_PAD adds a block of padding to them."""
    block = _BLOCKS[name]
    assert _CBC[name]
    for known in _CBC[name]:
        iv, key = bytes.fromhex(known.iv), key_of(name, bytes.fromhex(known.key))
        check_both_ways(driver, name, "CBC", iv, known)
        plain, encrypted = bytes.fromhex(known.plain), bytes.fromhex(known.encrypted)
        for data in both(plain):
            padded = driver.encrypt(number(name, "CBC_PAD"), iv, key, data)
            assert encrypted == padded[:-block]
            assert plain + bytes([block]) * block == driver.decrypt(number(name, "CBC"), iv, key, padded)
        for data in both(padded):
            assert plain == driver.decrypt(number(name, "CBC_PAD"), iv, key, data)


@pytest.mark.vectors(CKM.CAMELLIA_CTR)
@pytest.mark.parametrize("known", _CAMELLIA_CTR)
def test_counter_mode_of_camellia_is_that_of_rfc_5528(driver: Driver, known: Known) -> None:
    """CTR encrypts and decrypts the RFC's vectors."""
    check_both_ways(driver, "CAMELLIA", "CTR", Ctr(32, bytes.fromhex(known.iv)), known)


def test_a_counter_that_would_run_over_is_refused(driver: Driver) -> None:
    """As with AES: three blocks for two bits that begin with 1; a counter has 1 to 128 bits."""
    key, parameter = key_of("CAMELLIA", bytes(16)), Ctr(2, b"\1".rjust(16, b"\0"))
    for data in both(bytes(48)):
        assert 48 == len(driver.encrypt(CKM.CAMELLIA_CTR, parameter, key, data))
    for data in both(bytes(49)):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(CKM.CAMELLIA_CTR, parameter, key, data)
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            driver.decrypt(CKM.CAMELLIA_CTR, parameter, key, data)
    for bits in (0, 129):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.encrypt(CKM.CAMELLIA_CTR, Ctr(bits, bytes(16)), key, b"")


@pytest.mark.vectors(*(number(name, mode) for name in _WITH_MAC for mode in ("MAC", "MAC_GENERAL")))
@pytest.mark.parametrize("name", _WITH_MAC)
def test_the_mac_is_the_last_block_of_the_published_ones(driver: Driver, name: str) -> None:
    """MAC is half of CBC's last block, MAC_GENERAL as much of it as asked for, once the IV is in the first block."""
    for known in _CBC[name]:
        key, last = key_of(name, bytes.fromhex(known.key)), bytes.fromhex(known.encrypted)[-16:]
        plain = bytes.fromhex(known.plain)
        first = int(known.plain[:32], 16) ^ int(known.iv, 16)
        message = first.to_bytes(16, "big") + plain[16:]
        for data in both(message):
            assert last[:8] == driver.sign(number(name, "MAC"), None, key, data)
            assert last == driver.sign(number(name, "MAC_GENERAL"), MacGeneral(16), key, data)
            driver.verify(number(name, "MAC"), None, key, data, last[:8])
            driver.verify(number(name, "MAC_GENERAL"), MacGeneral(3), key, data, last[:3])
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(number(name, "MAC"), None, key, message[:-1], last[:8])


@pytest.mark.parametrize("name", _WITH_MAC)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17])
def test_a_partial_block_is_filled_up_with_zeros(driver: Driver, name: str, size: int) -> None:
    """No data is one block of zeros."""
    key, message = key_of(name, bytes(range(16))), bytes(range(1, size + 1))
    whole = message.ljust(max(size + -size % 16, 16), b"\0")
    encrypted = driver.encrypt(number(name, "CBC"), bytes(16), key, whole)
    for data in both(message):
        assert encrypted[-16:-8] == driver.sign(number(name, "MAC"), None, key, data)


@pytest.mark.parametrize("name", _NAMES)
def test_what_is_no_whole_block_is_refused(driver: Driver, name: str) -> None:
    """CKR_DATA_LEN_RANGE to encrypt, CKR_ENCRYPTED_DATA_LEN_RANGE to decrypt.

    Wrong padding is CKR_ENCRYPTED_DATA_INVALID.
    """
    key, block = key_of(name, bytes(range(16))), _BLOCKS[name]
    iv = bytes(block)
    for data in both(bytes(block + 1)):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(number(name, "CBC"), iv, key, data)
        for mode in ("CBC", "CBC_PAD"):
            with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
                driver.decrypt(number(name, mode), iv, key, data)
    wrong = driver.encrypt(number(name, "CBC"), iv, key, bytes(2 * block))
    for data in both(wrong):
        with refusal(CKR.ENCRYPTED_DATA_INVALID):
            driver.decrypt(number(name, "CBC_PAD"), iv, key, data)


@pytest.mark.parametrize("mode", ["CBC", "CBC_PAD"])
@pytest.mark.parametrize("name", _NAMES)
def test_the_iv_has_the_length_of_a_block(driver: Driver, name: str, mode: str) -> None:
    """CKR_MECHANISM_PARAM_INVALID for any other length, and without."""
    block = _BLOCKS[name]
    for parameter in (None, bytes(block - 1), bytes(block + 1), bytes(24 - block)):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.encrypt(number(name, mode), parameter, key_of(name, bytes(range(16))), b"")


@pytest.mark.parametrize("size", [1, 7, 16, 31])
@pytest.mark.parametrize("name", _NAMES)
def test_a_wrapped_key_comes_back(driver: Driver, name: str, size: int) -> None:
    """ECB and CBC fill a key up with zeros, CBC_PAD with its padding."""
    key, value, block = key_of(name, bytes(range(16))), bytes(range(1, size + 1)), _BLOCKS[name]
    target, kind = secret(CKK.GENERIC_SECRET, value), {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
    for mode in ("ECB", "CBC", "CBC_PAD"):
        if not hasattr(CKM, f"{name}_{mode}"):
            continue
        parameter = None if mode == "ECB" else bytes(block)
        wrapped = driver.wrap(number(name, mode), parameter, key, target)
        assert 0 == len(wrapped) % block
        length = {} if mode == "CBC_PAD" else {CKA.VALUE_LEN: ulong(size)}
        assert value == driver.unwrap(number(name, mode), parameter, key, wrapped, {**kind, **length})[CKA.VALUE]


@pytest.mark.parametrize("name", _NAMES)
def test_a_key_of_the_cipher_comes_back_from_an_aes_block(driver: Driver, name: str) -> None:
    """Keys of these types are wrapped and unwrapped as any, by their length where it is said."""
    aes = secret(CKK.AES, bytes(range(16)))
    for size in _LENGTHS[name]:
        key = key_of(name, bytes(range(1, size + 1)))
        wrapped = driver.wrap(CKM.AES_CBC_PAD, bytes(16), aes, key)
        template = {CKA.KEY_TYPE: key[CKA.KEY_TYPE]}
        assert key[CKA.VALUE] == driver.unwrap(CKM.AES_CBC_PAD, bytes(16), aes, wrapped, template)[CKA.VALUE]


@pytest.mark.parametrize("name", _NAMES)
def test_a_key_has_one_of_the_lengths_that_there_are(name: str) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID for others, to create or to generate them; generated ones have the right one."""
    key_type, generation = KEY_TYPES[getattr(CKK, name)], MECHANISMS[number(name, "KEY_GEN")]
    for size in _LENGTHS[name]:
        assert CKA.CHECK_VALUE in key_type.check(CKO.SECRET_KEY, key_of(name, bytes(range(size))))
        template = {} if name == "SEED" else {CKA.VALUE_LEN: ulong(size)}
        assert size == len(generation.generate(None, template)[CKA.VALUE])
    for size in (0, 15, 57):
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            key_type.check(CKO.SECRET_KEY, key_of(name, bytes(size)))
        with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
            generation.generate(None, {CKA.VALUE_LEN: ulong(size)})


def test_the_check_value_is_an_encrypted_block_of_zeros() -> None:
    """Three bytes of RFC 4269's block of zeros."""
    known = next(known for known in _ECB["SEED"] if not int(known.plain, 16))
    found = KEY_TYPES[CKK.SEED].check(CKO.SECRET_KEY, key_of("SEED", bytes.fromhex(known.key)))
    assert {CKA.CHECK_VALUE: bytes.fromhex(known.encrypted)[:3]} == found

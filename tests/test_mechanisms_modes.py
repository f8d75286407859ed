"""The further modes and MACs of AES and DES3 against the published vectors, and what is refused with which code."""

from __future__ import annotations

import pytest
from drivers import Driver, MechanismDriver, secret
from parts import both, refusal
from published import Vector, vectors

from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.des3 import odd_parity
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.layouts import MacGeneral
from ptkc.spec.values import Attributes, ulong

load()

_AES = "ciphers/AES"
_DES3 = "ciphers/3DES"
_SIZES = (128, 192, 256)
_GROUPS = ("GFSbox", "KeySbox", "MMT", "VarKey", "VarTxt")
_BYTES = {"OFB": CKM.AES_OFB, "CFB8": CKM.AES_CFB8, "CFB128": CKM.AES_CFB128}
_DES_GROUPS = ("MMT1", "MMT2", "MMT3", "invperm", "permop", "subtab", "varkey", "vartext")
_DES_MODES = {"OFB": CKM.DES_OFB64, "CFB64": CKM.DES_CFB64, "CFB8": CKM.DES_CFB8}
_STREAMS = (CKM.AES_OFB, CKM.AES_CFB1, CKM.AES_CFB8, CKM.AES_CFB64, CKM.AES_CFB128)
IV = bytes(range(16))
AES = secret(CKK.AES, bytes(range(32)))
XTS = secret(CKK.AES_XTS, bytes(range(64)))
DES3 = secret(CKK.DES3, odd_parity(bytes(range(24))))

# RFC 3962, appendix B, with the last blocks in the order of CS1, as OpenSSL's test vectors have them: the input, and
# the output where it is no whole number of blocks.
_CTS_KEY = "636869636b656e207465726979616b69"
_CTS_TEXT = (
    "4920776f756c64206c696b65207468652047656e6572616c20476175277320436869636b656e2c20706c656173652c20616e6420776f6e74"
    "6f6e20736f75702e"
)
_CTS = (
    (_CTS_KEY, bytes(16), 17, "97c6353568f2bf8cb4d8a580362da7ff7f"),
    (_CTS_KEY, bytes(16), 31, "97687268d6ecccc0c07b25e25ecfe5fc00783e0efdb2c1d445d4c8eff7ed22"),
    (_CTS_KEY, bytes(16), 32, "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8"),
    (
        _CTS_KEY, bytes(16), 47,
        "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5b3fffd940c16a18c1b5549d2f838029e",
    ),
    (
        _CTS_KEY, bytes(16), 64,
        "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a89dad8bbb96c4cdc03bc103e1a194bbd8"
        "4807efe836ee89a526730dbc2f7bc840",
    ),
    (
        _CTS_KEY, IV, 47,
        "5432a630742dee7beb70f9f1400ee6a0b557cfb581949a4bdf3bb67dedd472426da5c54a9990f5ae0b7825f51f0060",
    ),
    (_CTS_KEY + "636869636b656e20", IV, 17, "e9de1b402de8f79f947cc6b5880588d9b6"),
    (_CTS_KEY + "636869636b656e20", IV, 31, "e9de17d6248fb492bdea1fb2e09c8edea2b610546f3b1e1d231821e283e153"),
    (_CTS_KEY + "636869636b656e20", IV, 32, "e9de17d6248fb492bdea1fb2e09c8e8e31d005cc9fea948fed1ba6308dad9dd1"),
)  # fmt: skip

# RFC 3566, 4.6: the key is 00 01 02 … 0f, the message as many bytes that count up, or 1,000 of zero.
_XCBC = (
    (b"", "75f0251d528ac01c4573dfd584d79f29"),
    (bytes(range(3)), "5b376580ae2f19afe7219ceef172756f"),
    (bytes(range(16)), "d2a246fa349b68a79998a4394ff7a263"),
    (bytes(range(20)), "47f51b4564966215b8985c63055ed308"),
    (bytes(range(32)), "f54f0ec8d2b9f3d36807734bd5283fd4"),
    (bytes(range(34)), "becbb3bccdb518a30677d5481fb6b4d8"),
    (bytes(1000), "f0dafee895db30253761103b5d84528f"),
)


def aes(vector: Vector) -> Attributes:
    """Return the vector's AES key."""
    return secret(CKK.AES, bytes.fromhex(vector["key"]))


def des(vector: Vector) -> list[Attributes]:
    """Return the vector's key: of two parts as DES2 and as DES3, of three as DES3. Tests of one part say it thrice."""
    parts = [bytes.fromhex(vector.get(name, vector.get("keys", ""))) for name in ("key1", "key2", "key3")]
    found = [secret(CKK.DES3, b"".join(parts))]
    if parts[0] == parts[2]:
        found.append(secret(CKK.DES2, parts[0] + parts[1]))
    return found


def exclusive(one: bytes, other: bytes) -> bytes:
    """Return the exclusive or of the bytes, as many as `one` has."""
    return bytes(left ^ right for left, right in zip(one, other.ljust(len(one), b"\0"), strict=False))


def check_both_ways(driver: Driver, mechanism: int, iv: bytes, key: Attributes, plain: bytes, encrypted: bytes) -> None:
    """Encrypt and decrypt, in one part and in several."""
    for data in both(plain):
        assert encrypted == driver.encrypt(mechanism, iv, key, data)
    for data in both(encrypted):
        assert plain == driver.decrypt(mechanism, iv, key, data)


# Streams


@pytest.mark.vectors(*_BYTES.values())
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("mode", _BYTES)
def test_streams_are_those_of_nist(driver: Driver, mode: str, size: int) -> None:
    """OFB, CFB8 and CFB128 encrypt and decrypt NIST's vectors."""
    folder = mode[:3]
    for group in _GROUPS:
        for vector in vectors(f"{_AES}/{folder}/{mode}{group}{size}.rsp"):
            plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
            check_both_ways(driver, _BYTES[mode], bytes.fromhex(vector["iv"]), aes(vector), plain, encrypted)


@pytest.mark.vectors(CKM.AES_CFB1)
@pytest.mark.parametrize("size", _SIZES)
def test_single_bits_are_those_of_nist(driver: Driver, size: int) -> None:
    """CFB1 encrypts and decrypts NIST's vectors of up to ten bits; those that fill bytes up come behind them."""
    tested = 0
    for group in _GROUPS:
        for vector in vectors(f"{_AES}/CFB/CFB1{group}{size}.rsp"):
            bits, expected = vector["plaintext"], vector["ciphertext"]
            count = -len(bits) % 8 + len(bits)
            iv = bytes.fromhex(vector["iv"])
            for mechanism, given, wanted in ((driver.encrypt, bits, expected), (driver.decrypt, expected, bits)):
                data = int(given.ljust(count, "0"), 2).to_bytes(count // 8, "big")
                made = mechanism(CKM.AES_CFB1, iv, aes(vector), data)
                assert wanted == f"{int.from_bytes(made, 'big'):0{count}b}"[: len(bits)]
            tested += 1
    assert tested


def test_single_bits_are_those_of_sp_800_38a(driver: Driver) -> None:
    """CFB1 gives the 16 bits of SP 800-38A's example F.3.1, in one part and byte by byte."""
    key = secret(CKK.AES, bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    check_both_ways(driver, CKM.AES_CFB1, IV, key, bytes.fromhex("6bc1"), bytes.fromhex("68b3"))


@pytest.mark.vectors(CKM.AES_CFB64)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 40, 61])
def test_segments_of_64_bits_are_encrypted_as_sp_800_38a_says(driver: Driver, size: int) -> None:
    """CFB64 is made of AES_ECB, which has vectors, as SP 800-38A 6.3 says; nobody published vectors for it."""
    plain, encrypted, register = bytes(range(100, 100 + size)), b"", IV
    for place in range(0, size, 8):
        mask = driver.encrypt(CKM.AES_ECB, None, AES, register)[:8]
        segment = exclusive(plain[place : place + 8], mask)
        encrypted += segment
        register = register[8:] + segment
    check_both_ways(driver, CKM.AES_CFB64, IV, AES, plain, encrypted)


@pytest.mark.vectors(CKM.AES_CFB64)
@pytest.mark.parametrize("size", _SIZES)
def test_the_first_segment_of_64_bits_is_that_of_nist(driver: Driver, size: int) -> None:
    """The first segment of CFB64 is the beginning of NIST's CFB128."""
    for vector in vectors(f"{_AES}/CFB/CFB128VarKey{size}.rsp"):
        plain, encrypted = bytes.fromhex(vector["plaintext"])[:8], bytes.fromhex(vector["ciphertext"])[:8]
        check_both_ways(driver, CKM.AES_CFB64, bytes.fromhex(vector["iv"]), aes(vector), plain, encrypted)


@pytest.mark.vectors(*_DES_MODES.values())
@pytest.mark.parametrize("mode", _DES_MODES)
def test_streams_of_des3_are_those_of_nist(driver: Driver, mode: str) -> None:
    """OFB, CFB64 and CFB8 encrypt and decrypt NIST's vectors, with keys of two and of three parts."""
    tested = 0
    for group in _DES_GROUPS:
        for vector in vectors(f"{_DES3}/{mode[:3]}/T{mode}{group}.rsp"):
            plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
            for key in des(vector):
                check_both_ways(driver, _DES_MODES[mode], bytes.fromhex(vector["iv"]), key, plain, encrypted)
                tested += 1
    assert tested


@pytest.mark.parametrize("mechanism", [*_STREAMS, CKM.AES_CTS, *_DES_MODES.values()])
def test_the_iv_has_the_length_of_a_block(driver: Driver, mechanism: int) -> None:
    """CKR_MECHANISM_PARAM_INVALID for any other length, and without."""
    of_des = mechanism in _DES_MODES.values()
    key = DES3 if of_des else AES
    for parameter in (None, b"1", bytes(15), bytes(17), bytes(16 if of_des else 8)):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.encrypt(mechanism, parameter, key, bytes(16))


# Ciphertext stealing


@pytest.mark.vectors(CKM.AES_CTS)
@pytest.mark.parametrize(("key", "iv", "size", "expected"), _CTS)
def test_stolen_ciphertext_is_that_of_rfc_3962(driver: Driver, key: str, iv: bytes, size: int, expected: str) -> None:
    """CTS encrypts and decrypts the RFC's text in lengths around whole blocks."""
    attributes, plain = secret(CKK.AES, bytes.fromhex(key)), bytes.fromhex(_CTS_TEXT)[:size]
    check_both_ways(driver, CKM.AES_CTS, iv, attributes, plain, bytes.fromhex(expected))


@pytest.mark.vectors(CKM.AES_CTS)
@pytest.mark.parametrize("size", _SIZES)
def test_whole_blocks_steal_nothing(driver: Driver, size: int) -> None:
    """CTS of whole blocks is NIST's CBC, from one block on."""
    for vector in vectors(f"{_AES}/CBC/CBCMMT{size}.rsp"):
        plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
        check_both_ways(driver, CKM.AES_CTS, bytes.fromhex(vector["iv"]), aes(vector), plain, encrypted)


@pytest.mark.parametrize("size", range(16, 50))
def test_any_length_comes_back_as_long_as_it_was(driver: Driver, size: int) -> None:
    """CTS takes every length from one block on."""
    plain = bytes(range(size))
    encrypted = driver.encrypt(CKM.AES_CTS, IV, AES, plain)
    assert size == len(encrypted)
    check_both_ways(driver, CKM.AES_CTS, IV, AES, plain, encrypted)


@pytest.mark.parametrize(("mechanism", "key"), [(CKM.AES_CTS, AES), (CKM.AES_XTS, XTS)])
@pytest.mark.parametrize("size", [0, 1, 15])
def test_less_than_a_block_is_refused(driver: Driver, mechanism: int, key: Attributes, size: int) -> None:
    """CTS and XTS: CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_KEY_SIZE_RANGE, CKR_WRAPPED_KEY_LEN_RANGE."""
    for data in both(bytes(size)):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(mechanism, IV, key, data)
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            driver.decrypt(mechanism, IV, key, data)
    if size:
        with refusal(CKR.KEY_SIZE_RANGE):
            driver.wrap(mechanism, IV, key, secret(CKK.GENERIC_SECRET, bytes(size)))
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            driver.unwrap(mechanism, IV, key, bytes(size), {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)})


@pytest.mark.parametrize("mechanism", [*_STREAMS, CKM.AES_CTS])
@pytest.mark.parametrize("size", [16, 24, 32, 45])
def test_a_wrapped_key_comes_back(driver: Driver, mechanism: int, size: int) -> None:
    """What the specification's table says to wrap, wraps as it encrypts."""
    value = bytes(range(size))
    wrapped = driver.wrap(mechanism, IV, AES, secret(CKK.GENERIC_SECRET, value))
    assert driver.encrypt(mechanism, IV, AES, value) == wrapped
    unwrapped = driver.unwrap(mechanism, IV, AES, wrapped, {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)})
    assert value == unwrapped[CKA.VALUE]


# XTS


@pytest.mark.vectors(CKM.AES_XTS)
@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("folder", ["tweak-128hexstr", "tweak-dataunitseqno"])
def test_data_units_are_those_of_nist(driver: Driver, folder: str, size: int) -> None:
    """XTS encrypts and decrypts NIST's data units of whole bytes, with partial blocks."""
    tested = 0
    for vector in vectors(f"{_AES}/XTS/{folder}/XTSGenAES{size}.rsp"):
        if int(vector["dataunitlen"]) % 8:
            continue
        unit = bytes.fromhex(vector["i"]) if "i" in vector else int(vector["dataunitseqnumber"]).to_bytes(16, "little")
        key = secret(CKK.AES_XTS, bytes.fromhex(vector["key"]))
        plain, encrypted = bytes.fromhex(vector["pt"]), bytes.fromhex(vector["ct"])
        check_both_ways(driver, CKM.AES_XTS, unit, key, plain, encrypted)
        tested += 1
    assert tested


def test_more_than_a_data_unit_is_refused() -> None:
    """A data unit has no more than 2^20 blocks (SP 800-38E)."""
    driver, longest = MechanismDriver(), bytes(1 << 24)
    assert len(longest) == len(driver.encrypt(CKM.AES_XTS, IV, XTS, longest))
    for data in (longest + b"1", [longest, b"1"]):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(CKM.AES_XTS, IV, XTS, data)
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            driver.decrypt(CKM.AES_XTS, IV, XTS, data)


@pytest.mark.parametrize("size", [16, 24, 32, 45, 64])
def test_a_key_wrapped_with_a_double_key_comes_back(driver: Driver, size: int) -> None:
    """XTS wraps as it encrypts."""
    value = bytes(range(size))
    wrapped = driver.wrap(CKM.AES_XTS, IV, XTS, secret(CKK.GENERIC_SECRET, value))
    unwrapped = driver.unwrap(CKM.AES_XTS, IV, XTS, wrapped, {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)})
    assert value == unwrapped[CKA.VALUE]


@pytest.mark.parametrize("value", [bytes(32), b"k" * 64, bytes(range(48)), bytes(range(16))])
def test_a_double_key_has_two_different_halves(value: bytes) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID to create any other, CKR_WRAPPED_KEY_… to unwrap it."""
    key_type = KEY_TYPES[CKK.AES_XTS]
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        key_type.check(CKO.SECRET_KEY, secret(CKK.AES_XTS, value))
    with refusal(CKR.WRAPPED_KEY_INVALID if len(value) in (32, 64) else CKR.WRAPPED_KEY_LEN_RANGE):
        key_type.decode(value, {})


@pytest.mark.parametrize("size", [32, 64])
def test_a_generated_double_key_has_the_length_asked_for(size: int) -> None:
    """CKA_VALUE_LEN says which of the two there are."""
    made = MECHANISMS[CKM.AES_XTS_KEY_GEN].generate(None, {CKA.VALUE_LEN: ulong(size)})
    assert size == len(made[CKA.VALUE])
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        MECHANISMS[CKM.AES_XTS_KEY_GEN].generate(None, {CKA.VALUE_LEN: ulong(size - 1)})


# MACs


@pytest.mark.vectors(CKM.AES_XCBC_MAC, CKM.AES_XCBC_MAC_96)
@pytest.mark.parametrize(("message", "expected"), _XCBC)
def test_xcbc_mac_is_that_of_rfc_3566(driver: Driver, message: bytes, expected: str) -> None:
    """Both lengths equal the RFC's, and others are refused."""
    key, mac = secret(CKK.AES, bytes(range(16))), bytes.fromhex(expected)
    for mechanism, wanted in ((CKM.AES_XCBC_MAC, mac), (CKM.AES_XCBC_MAC_96, mac[:12])):
        for data in both(message):
            assert wanted == driver.sign(mechanism, None, key, data)
            driver.verify(mechanism, None, key, data, wanted)
        with refusal(CKR.SIGNATURE_INVALID):
            driver.verify(mechanism, None, key, message + b"1", wanted)
        with refusal(CKR.SIGNATURE_LEN_RANGE):
            driver.verify(mechanism, None, key, message, wanted[:-1])


@pytest.mark.parametrize("size", [24, 32])
def test_xcbc_mac_has_keys_of_128_bits(driver: Driver, size: int) -> None:
    """CKR_KEY_SIZE_RANGE for others."""
    with refusal(CKR.KEY_SIZE_RANGE):
        driver.sign(CKM.AES_XCBC_MAC, None, secret(CKK.AES, bytes(size)), b"")


def check_cbc_mac(driver: Driver, mechanisms: tuple[int, int], key: Attributes, vector: Vector, block: int) -> None:
    """Compare with a vector of CBC: its last block is the MAC, once the IV is in the first block."""
    plain, last = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])[-block:]
    message = exclusive(plain, bytes.fromhex(vector["iv"]))
    mac, general = mechanisms
    for data in both(message):
        assert last[: block // 2] == driver.sign(mac, None, key, data)
        assert last == driver.sign(general, MacGeneral(block), key, data)
        assert last[:1] == driver.sign(general, MacGeneral(1), key, data)
        driver.verify(mac, None, key, data, last[: block // 2])
        driver.verify(general, MacGeneral(block), key, data, last)


@pytest.mark.vectors(CKM.AES_MAC, CKM.AES_MAC_GENERAL)
@pytest.mark.parametrize("size", _SIZES)
def test_mac_of_aes_is_the_last_block_of_nist(driver: Driver, size: int) -> None:
    """AES-MAC is half of NIST's last block, AES-MAC-GENERAL as much of it as asked for."""
    for vector in vectors(f"{_AES}/CBC/CBCMMT{size}.rsp"):
        check_cbc_mac(driver, (CKM.AES_MAC, CKM.AES_MAC_GENERAL), aes(vector), vector, 16)


@pytest.mark.vectors(CKM.DES3_MAC, CKM.DES3_MAC_GENERAL)
@pytest.mark.parametrize("group", ["MMT2", "MMT3"])
def test_mac_of_des3_is_the_last_block_of_nist(driver: Driver, group: str) -> None:
    """DES3-MAC is half of NIST's last block, DES3-MAC-GENERAL as much of it as asked for."""
    for vector in vectors(f"{_DES3}/CBC/TCBC{group}.rsp"):
        for key in des(vector):
            check_cbc_mac(driver, (CKM.DES3_MAC, CKM.DES3_MAC_GENERAL), key, vector, 8)


@pytest.mark.vectors(CKM.DES3_MAC_GENERAL)
def test_mac_of_des_is_that_of_fips_113(driver: Driver) -> None:
    """FIPS 113's example for DES, which DES3 with three equal parts is; its last block is filled up with zeros."""
    key = secret(CKK.DES3, bytes.fromhex("0123456789abcdef") * 3)
    for data in both(b"7654321 Now is the time for "):
        assert "f1d30f6849312ca4" == driver.sign(CKM.DES3_MAC_GENERAL, MacGeneral(8), key, data).hex()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33])
def test_a_partial_block_is_filled_up_with_zeros(driver: Driver, size: int) -> None:
    """No data is one block of zeros."""
    message = bytes(range(1, size + 1))
    whole = message.ljust(max(size + -size % 16, 16), b"\0")
    for data in both(message):
        assert driver.encrypt(CKM.AES_CBC, bytes(16), AES, whole)[-16:-8] == driver.sign(CKM.AES_MAC, None, AES, data)


@pytest.mark.parametrize(
    ("mechanism", "key", "longest"),
    [
        (CKM.AES_MAC_GENERAL, AES, 16),
        (CKM.DES3_MAC_GENERAL, DES3, 8),
        (CKM.DES3_CMAC_GENERAL, DES3, 8),
    ],
)
def test_a_mac_has_one_byte_to_a_block(driver: Driver, mechanism: int, key: Attributes, longest: int) -> None:
    """CKR_MECHANISM_PARAM_INVALID for other lengths."""
    for size in (1, longest):
        assert size == len(driver.sign(mechanism, MacGeneral(size), key, b"data"))
    for size in (0, longest + 1, 2**63):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.sign(mechanism, MacGeneral(size), key, b"data")


@pytest.mark.vectors(CKM.DES3_CMAC, CKM.DES3_CMAC_GENERAL)
def test_cmac_of_des3_is_that_of_nist(driver: Driver) -> None:
    """CMAC and truncated CMAC equal SP 800-38B's examples, with keys of two and of three parts."""
    for vector in vectors("CMAC/nist-800-38b-3des.txt"):
        expected = bytes.fromhex(vector["output"])
        for key in des(vector):
            for data in both(bytes.fromhex(vector["message"])):
                assert expected == driver.sign(CKM.DES3_CMAC, None, key, data)
                assert expected[:5] == driver.sign(CKM.DES3_CMAC_GENERAL, MacGeneral(5), key, data)
                driver.verify(CKM.DES3_CMAC, None, key, data, expected)


# Key wrap


@pytest.mark.vectors(CKM.AES_KEY_WRAP_PAD)
@pytest.mark.parametrize("direction", ["AE", "AD"])
@pytest.mark.parametrize("size", _SIZES)
def test_key_wrap_pad_is_kwp_of_nist(driver: Driver, size: int, direction: str) -> None:
    """KEY_WRAP_PAD is KWP of SP 800-38F (RFC 5649), as SoftHSM has it."""
    for vector in vectors(f"keywrap/kwtestvectors/KWP_{direction}_{size}.txt"):
        key, wrapped = secret(CKK.AES, bytes.fromhex(vector["k"])), bytes.fromhex(vector["c"])
        template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
        if "fail" in vector:
            with refusal(CKR.WRAPPED_KEY_INVALID):
                driver.unwrap(CKM.AES_KEY_WRAP_PAD, None, key, wrapped, template)
            continue
        plain = bytes.fromhex(vector["p"])
        assert wrapped == driver.encrypt(CKM.AES_KEY_WRAP_PAD, None, key, plain)
        assert wrapped == driver.wrap(CKM.AES_KEY_WRAP_PAD, None, key, secret(CKK.GENERIC_SECRET, plain))
        assert plain == driver.unwrap(CKM.AES_KEY_WRAP_PAD, None, key, wrapped, template)[CKA.VALUE]


@pytest.mark.vectors(CKM.AES_KEY_WRAP_PKCS7)
@pytest.mark.parametrize("size", _SIZES)
def test_padded_key_wrap_is_kw_of_nist(driver: Driver, size: int) -> None:
    """KEY_WRAP_PKCS7 is KW, which has vectors, of the padded data; KW's vectors that end in a padding are its own."""
    template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
    for vector in vectors(f"keywrap/kwtestvectors/KW_AE_{size}.txt"):
        key, plain = secret(CKK.AES, bytes.fromhex(vector["k"])), bytes.fromhex(vector["p"])
        for cut in range(8):
            data = plain[: len(plain) - cut]
            count = 8 - len(data) % 8
            wrapped = driver.encrypt(CKM.AES_KEY_WRAP, None, key, data + bytes([count]) * count)
            assert wrapped == driver.encrypt(CKM.AES_KEY_WRAP_PKCS7, None, key, data)
            assert data == driver.decrypt(CKM.AES_KEY_WRAP_PKCS7, None, key, wrapped)
            assert wrapped == driver.wrap(CKM.AES_KEY_WRAP_PKCS7, None, key, secret(CKK.GENERIC_SECRET, data))
            assert data == driver.unwrap(CKM.AES_KEY_WRAP_PKCS7, None, key, wrapped, template)[CKA.VALUE]
            if int(vector["count"]) > 2:  # each takes a call of the C interface: the first ones are enough for that
                break


def test_a_padding_that_is_none_is_refused(driver: Driver) -> None:
    """CKR_ENCRYPTED_DATA_INVALID and CKR_WRAPPED_KEY_INVALID, as for a wrong check value."""
    template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
    for ending in (b"\0", b"\x09", b"\x01\x02", b"\x08" * 7):
        wrapped = driver.encrypt(CKM.AES_KEY_WRAP, None, AES, ending.rjust(16, b"k"))
        for broken in (wrapped, bytes([wrapped[0] ^ 1]) + wrapped[1:]):
            with refusal(CKR.ENCRYPTED_DATA_INVALID):
                driver.decrypt(CKM.AES_KEY_WRAP_PKCS7, None, AES, broken)
            with refusal(CKR.WRAPPED_KEY_INVALID):
                driver.unwrap(CKM.AES_KEY_WRAP_PKCS7, None, AES, broken, template)


@pytest.mark.parametrize("size", range(8))
def test_padded_key_wrap_takes_eight_bytes_or_more(driver: Driver, size: int) -> None:
    """W of SP 800-38F is not defined for a single semiblock."""
    with refusal(CKR.DATA_LEN_RANGE):
        driver.encrypt(CKM.AES_KEY_WRAP_PKCS7, None, AES, bytes(size))
    if size:
        with refusal(CKR.KEY_SIZE_RANGE):
            driver.wrap(CKM.AES_KEY_WRAP_PKCS7, None, AES, secret(CKK.GENERIC_SECRET, bytes(size)))


@pytest.mark.parametrize(("mechanism", "size"), [(CKM.AES_KEY_WRAP_PKCS7, 8), (CKM.AES_KEY_WRAP_PAD, 4)])
def test_another_initial_value_is_another_wrapping(driver: Driver, mechanism: int, size: int) -> None:
    """The parameter is the initial value, of this length."""
    wrapped = driver.encrypt(mechanism, bytes(size), AES, bytes(20))
    assert bytes(20) == driver.decrypt(mechanism, bytes(size), AES, wrapped)
    with refusal(CKR.ENCRYPTED_DATA_INVALID):
        driver.decrypt(mechanism, None, AES, wrapped)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        driver.encrypt(mechanism, bytes(size - 1), AES, bytes(20))

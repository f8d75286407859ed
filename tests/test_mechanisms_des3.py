"""DES2 and DES3: the published vectors, in one part and in several, and what holds for their keys."""

from __future__ import annotations

import pytest
from drivers import Data, Driver, MechanismDriver, secret
from published import Vector, vectors

from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.des3 import odd_parity
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, ulong

load()

IV = bytes(range(8))
DES2 = secret(CKK.DES2, odd_parity(bytes(range(16))))
DES3 = secret(CKK.DES3, odd_parity(bytes(range(24))))


def both(data: bytes) -> tuple[Data, Data]:
    """Return the data in one part, and in parts of three bytes, the first of them empty."""
    return data, [b"", *(data[place : place + 3] for place in range(0, len(data), 3))]


def refusal(code: int) -> pytest.RaisesExc[CryptokiError]:
    """Expect this code."""
    return pytest.raises(CryptokiError, check=lambda error: error.code == code)


def keys(vector: Vector) -> list[Attributes]:
    """Return the vector's key: of two parts as DES2 and as DES3, of three as DES3. Tests of one part say it thrice."""
    parts = [bytes.fromhex(vector.get(name, vector.get("keys", ""))) for name in ("key1", "key2", "key3")]
    found = [secret(CKK.DES3, b"".join(parts))]
    if parts[0] == parts[2]:
        found.append(secret(CKK.DES2, parts[0] + parts[1]))
    return found


@pytest.mark.vectors(CKM.DES3_ECB, CKM.DES3_CBC)
@pytest.mark.parametrize("group", ["MMT1", "MMT2", "MMT3", "invperm", "permop", "subtab", "varkey", "vartext"])
@pytest.mark.parametrize("mode", ["ECB", "CBC"])
def test_blocks_are_those_of_nist(driver: Driver, mode: str, group: str) -> None:
    """ECB and CBC encrypt and decrypt NIST's vectors, with keys of two and of three parts."""
    mechanism = {"ECB": CKM.DES3_ECB, "CBC": CKM.DES3_CBC}[mode]
    tested = 0
    for vector in vectors(f"ciphers/3DES/{mode}/T{mode}{group}.rsp"):
        parameter = bytes.fromhex(vector["iv"]) if mode == "CBC" else None
        plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
        for key in keys(vector):
            for data in both(plain):
                assert encrypted == driver.encrypt(mechanism, parameter, key, data)
            for data in both(encrypted):
                assert plain == driver.decrypt(mechanism, parameter, key, data)
            tested += 1
    assert tested


@pytest.mark.vectors(CKM.DES3_CBC_PAD)
@pytest.mark.parametrize("group", ["MMT2", "MMT3"])
def test_padded_blocks_begin_as_those_of_nist(driver: Driver, group: str) -> None:
    """CBC_PAD is CBC and one block of padding behind whole blocks, and gives the data back."""
    for vector in vectors(f"ciphers/3DES/CBC/TCBC{group}.rsp"):
        iv, plain = bytes.fromhex(vector["iv"]), bytes.fromhex(vector["plaintext"])
        for key in keys(vector):
            for data in both(plain):
                encrypted = driver.encrypt(CKM.DES3_CBC_PAD, iv, key, data)
                assert vector["ciphertext"] == encrypted[:-8].hex()
                assert plain + bytes([8]) * 8 == driver.decrypt(CKM.DES3_CBC, iv, key, encrypted)
            for data in both(encrypted):
                assert plain == driver.decrypt(CKM.DES3_CBC_PAD, iv, key, data)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 31])
def test_padded_data_comes_back(driver: Driver, size: int) -> None:
    """CBC_PAD takes any length."""
    encrypted = driver.encrypt(CKM.DES3_CBC_PAD, IV, DES3, bytes(size))
    assert size + 8 - size % 8 == len(encrypted)
    assert bytes(size) == driver.decrypt(CKM.DES3_CBC_PAD, IV, DES3, encrypted)


@pytest.mark.parametrize("mechanism", [CKM.DES3_ECB, CKM.DES3_CBC])
def test_what_is_no_whole_block_is_refused(driver: Driver, mechanism: int) -> None:
    """CKR_DATA_LEN_RANGE to encrypt, CKR_ENCRYPTED_DATA_LEN_RANGE to decrypt."""
    parameter = IV if mechanism == CKM.DES3_CBC else None
    for data in both(bytes(12)):
        with refusal(CKR.DATA_LEN_RANGE):
            driver.encrypt(mechanism, parameter, DES3, data)
        with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
            driver.decrypt(mechanism, parameter, DES3, data)


def test_wrong_padding_is_refused(driver: Driver) -> None:
    """CKR_ENCRYPTED_DATA_INVALID, and CKR_ENCRYPTED_DATA_LEN_RANGE for nothing."""
    with refusal(CKR.ENCRYPTED_DATA_INVALID):
        driver.decrypt(CKM.DES3_CBC_PAD, IV, DES3, driver.encrypt(CKM.DES3_CBC, IV, DES3, bytes(8)))
    with refusal(CKR.ENCRYPTED_DATA_LEN_RANGE):
        driver.decrypt(CKM.DES3_CBC_PAD, IV, DES3, b"")


@pytest.mark.parametrize("mechanism", [CKM.DES3_CBC, CKM.DES3_CBC_PAD])
def test_the_iv_has_eight_bytes(driver: Driver, mechanism: int) -> None:
    """CKR_MECHANISM_PARAM_INVALID for any other length, and without."""
    for parameter in (None, bytes(7), bytes(16)):
        with refusal(CKR.MECHANISM_PARAM_INVALID):
            driver.encrypt(mechanism, parameter, DES3, bytes(8))


@pytest.mark.parametrize("key", [DES2, DES3])
@pytest.mark.parametrize(("mechanism", "parameter"), [(CKM.DES3_ECB, None), (CKM.DES3_CBC, IV), (CKM.DES3_CBC_PAD, IV)])
def test_a_wrapped_key_comes_back(driver: Driver, mechanism: int, parameter: object, key: Attributes) -> None:
    """All modes wrap keys of either type, and unwrap them to their one length."""
    wrapped = driver.wrap(mechanism, parameter, DES3, key)
    template = {CKA.KEY_TYPE: key[CKA.KEY_TYPE]}
    assert key[CKA.VALUE] == driver.unwrap(mechanism, parameter, DES3, wrapped, template)[CKA.VALUE]


def test_a_key_comes_back_from_an_aes_block(driver: Driver) -> None:
    """AES-ECB fills 24 bytes up to 32, which unwrapping cuts off again."""
    aes = secret(CKK.AES, bytes(16))
    wrapped = driver.wrap(CKM.AES_ECB, None, aes, DES3)
    template = {CKA.KEY_TYPE: ulong(CKK.DES3)}
    assert 32 == len(wrapped)
    assert DES3[CKA.VALUE] == driver.unwrap(CKM.AES_ECB, None, aes, wrapped, template)[CKA.VALUE]


# Keys


def test_two_parts_are_three() -> None:
    """A DES2 key does what the DES3 key does whose third part is its first."""
    value = DES2[CKA.VALUE]
    three = secret(CKK.DES3, value + value[:8])
    driver = MechanismDriver()
    assert driver.encrypt(CKM.DES3_ECB, None, three, bytes(8)) == driver.encrypt(CKM.DES3_ECB, None, DES2, bytes(8))


@pytest.mark.parametrize(("number", "size"), [(CKM.DES2_KEY_GEN, 16), (CKM.DES3_KEY_GEN, 24)])
def test_generated_keys_have_odd_parity(number: int, size: int) -> None:
    """Each byte has, the length is that of the key type, and no CKA_VALUE_LEN is said."""
    made = MECHANISMS[number].generate(None, {})
    assert {CKA.VALUE, CKA.CHECK_VALUE} == made.keys()
    assert size == len(made[CKA.VALUE])
    assert {1} == {byte.bit_count() % 2 for byte in made[CKA.VALUE]}


def test_the_check_value_is_an_encrypted_block_of_zeros() -> None:
    """Three bytes of it, as NIST's first vector of a variable key has them."""
    vector = next(vectors("ciphers/3DES/ECB/TECBvarkey.rsp"))
    found = KEY_TYPES[CKK.DES3].check(CKO.SECRET_KEY, keys(vector)[0])
    assert {CKA.CHECK_VALUE: bytes.fromhex(vector["ciphertext"])[:3]} == found


@pytest.mark.parametrize("size", [0, 8, 16, 23, 25, 32])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID to create it, CKR_WRAPPED_KEY_LEN_RANGE to unwrap it."""
    with refusal(CKR.ATTRIBUTE_VALUE_INVALID):
        KEY_TYPES[CKK.DES3].check(CKO.SECRET_KEY, secret(CKK.DES3, bytes(size)))
    if size < 24:
        with refusal(CKR.WRAPPED_KEY_LEN_RANGE):
            KEY_TYPES[CKK.DES3].decode(bytes(size), {})

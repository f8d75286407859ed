"""Digests, MACs and AES against the published vectors, in one part and in several."""

from __future__ import annotations

import pytest
from drivers import Data, Driver, secret
from published import Vector, vectors

from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ccm, Ctr, Gcm, MacGeneral
from ptkc.spec.values import Attributes, ulong

_AES = "ciphers/AES"
_SIZES = (128, 192, 256)
_SHORT, _LONG = "ShortMsg", "LongMsg"
_DIGESTS = {
    CKM.SHA_1: "SHA1/SHA1",
    CKM.SHA224: "SHA2/SHA224",
    CKM.SHA256: "SHA2/SHA256",
    CKM.SHA384: "SHA2/SHA384",
    CKM.SHA512: "SHA2/SHA512",
    CKM.SHA512_224: "SHA2/SHA512_224",
    CKM.SHA512_256: "SHA2/SHA512_256",
    CKM.SHA3_224: "SHA3/SHA3_224",
    CKM.SHA3_256: "SHA3/SHA3_256",
    CKM.SHA3_384: "SHA3/SHA3_384",
    CKM.SHA3_512: "SHA3/SHA3_512",
}
_HMACS = {
    (CKM.SHA_1_HMAC, CKM.SHA_1_HMAC_GENERAL, CKK.SHA_1_HMAC): "rfc-2202-sha1",
    (CKM.SHA224_HMAC, CKM.SHA224_HMAC_GENERAL, CKK.SHA224_HMAC): "rfc-4231-sha224",
    (CKM.SHA256_HMAC, CKM.SHA256_HMAC_GENERAL, CKK.SHA256_HMAC): "rfc-4231-sha256",
    (CKM.SHA384_HMAC, CKM.SHA384_HMAC_GENERAL, CKK.SHA384_HMAC): "rfc-4231-sha384",
    (CKM.SHA512_HMAC, CKM.SHA512_HMAC_GENERAL, CKK.SHA512_HMAC): "rfc-4231-sha512",
}
# NIST's examples of HMAC-SHA3 (csrc.nist.gov, "Examples with Intermediate Values"): the key is 00 01 02 … of half the
# block's length, and the text says so.
_SHA3_TEXT = b"Sample message for keylen<blocklen"
_SHA3_HMACS = (
    (CKM.SHA3_224_HMAC, 28, "332cfd59347fdb8e576e77260be4aba2d6dc53117b3bfb52c6d18c04"),
    (CKM.SHA3_256_HMAC, 32, "4fe8e202c4f058e8dddc23d8c34e467343e23555e24fc2f025d598f558f67205"),
    (
        CKM.SHA3_384_HMAC, 48,
        "d588a3c51f3f2d906e8298c1199aa8ff6296218127f6b38a90b6afe2c5617725bc99987f79b22a557b6520db710b7f42",
    ),
    (
        CKM.SHA3_512_HMAC, 64,
        "4efd629d6c71bf86162658f29943b1c308ce27cdfa6db0d9c3ce81763f9cbce5"
        "f7ebe9868031db1a8f8eb7b6b95e5c5e3f657a8996c86a2f6527e307f0213196",
    ),
)  # fmt: skip


def both(data: bytes) -> tuple[Data, Data]:
    """Return the data in one part, and in parts of 1, 2, 3 … bytes, the first of them empty."""
    parts, place, size = [b""], 0, 1
    while place < len(data):
        parts.append(data[place : place + size])
        place += size
        size += 1
    return data, parts


def aes(vector: Vector, name: str = "key") -> Attributes:
    """Return the vector's AES key."""
    return secret(CKK.AES, bytes.fromhex(vector[name]))


def refusal(code: int) -> pytest.RaisesExc[CryptokiError]:
    """Expect this code."""
    return pytest.raises(CryptokiError, check=lambda error: error.code == code)


@pytest.mark.vectors(*_DIGESTS)
@pytest.mark.parametrize("length", [_SHORT, _LONG])
@pytest.mark.parametrize("mechanism", _DIGESTS)
def test_digests_are_those_of_nist(driver: Driver, mechanism: int, length: str) -> None:
    """Every digest equals NIST's, in one part and in several."""
    for vector in vectors(f"hashes/{_DIGESTS[mechanism]}{length}.rsp"):
        message = bytes.fromhex(vector["msg"])[: int(vector["len"]) // 8]
        for data in both(message):
            assert vector["md"] == driver.digest(mechanism, data).hex()


@pytest.mark.vectors(*(number for numbers in _HMACS for number in numbers[:2]))
@pytest.mark.parametrize(("mechanisms", "file"), _HMACS.items())
def test_hmacs_are_those_of_the_rfcs(driver: Driver, mechanisms: tuple[int, int, int], file: str) -> None:
    """Every HMAC and truncated HMAC equals RFC 2202's and 4231's, with a generic key and with one of the hash."""
    mechanism, general, key_type = mechanisms
    for vector in vectors(f"HMAC/{file}.txt"):
        expected = bytes.fromhex(vector["md"])
        half = MacGeneral(len(expected) // 2)
        for kind in (CKK.GENERIC_SECRET, key_type):
            key = secret(kind, bytes.fromhex(vector["key"]))
            for data in both(bytes.fromhex(vector["msg"])):
                assert expected == driver.sign(mechanism, None, key, data)
                assert expected[: half.length] == driver.sign(general, half, key, data)
                driver.verify(mechanism, None, key, data, expected)
                driver.verify(general, half, key, data, expected[: half.length])


@pytest.mark.vectors(*(row[0] for row in _SHA3_HMACS))
@pytest.mark.parametrize(("mechanism", "size", "expected"), _SHA3_HMACS)
def test_hmacs_with_sha3_are_those_of_nist(driver: Driver, mechanism: int, size: int, expected: str) -> None:
    """HMAC with SHA-3 equals NIST's examples."""
    key = secret(CKK.GENERIC_SECRET, bytes(range(size)))
    for data in both(_SHA3_TEXT):
        assert expected == driver.sign(mechanism, None, key, data).hex()


@pytest.mark.vectors(CKM.AES_ECB, CKM.AES_CBC)
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("group", ["GFSbox", "KeySbox", "MMT", "VarKey", "VarTxt"])
@pytest.mark.parametrize("mode", ["ECB", "CBC"])
def test_blocks_are_those_of_nist(driver: Driver, mode: str, group: str, size: int) -> None:
    """ECB and CBC encrypt and decrypt NIST's vectors."""
    mechanism = {"ECB": CKM.AES_ECB, "CBC": CKM.AES_CBC}[mode]
    for vector in vectors(f"{_AES}/{mode}/{mode}{group}{size}.rsp"):
        parameter = bytes.fromhex(vector["iv"]) if mode == "CBC" else None
        plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
        for data in both(plain):
            assert encrypted == driver.encrypt(mechanism, parameter, aes(vector), data)
        for data in both(encrypted):
            assert plain == driver.decrypt(mechanism, parameter, aes(vector), data)


@pytest.mark.vectors(CKM.AES_CBC_PAD)
@pytest.mark.parametrize("size", _SIZES)
def test_padded_blocks_begin_as_those_of_nist(driver: Driver, size: int) -> None:
    """CBC_PAD is CBC and one block of padding behind whole blocks, and gives the data back."""
    for vector in vectors(f"{_AES}/CBC/CBCMMT{size}.rsp"):
        iv, plain = bytes.fromhex(vector["iv"]), bytes.fromhex(vector["plaintext"])
        for data in both(plain):
            encrypted = driver.encrypt(CKM.AES_CBC_PAD, iv, aes(vector), data)
            assert vector["ciphertext"] == encrypted[:-16].hex()
            assert plain + bytes([16]) * 16 == driver.decrypt(CKM.AES_CBC, iv, aes(vector), encrypted)
        for data in both(encrypted):
            assert plain == driver.decrypt(CKM.AES_CBC_PAD, iv, aes(vector), data)


@pytest.mark.vectors(CKM.AES_CTR)
@pytest.mark.parametrize("size", _SIZES)
def test_counter_mode_is_that_of_rfc_3686(driver: Driver, size: int) -> None:
    """CTR encrypts and decrypts the RFC's vectors, whose counter has 32 bits."""
    for vector in vectors(f"{_AES}/CTR/aes-{size}-ctr.txt"):
        parameter = Ctr(32, bytes.fromhex(vector["iv"]))
        plain, encrypted = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
        for data in both(plain):
            assert encrypted == driver.encrypt(CKM.AES_CTR, parameter, aes(vector), data)
        for data in both(encrypted):
            assert plain == driver.decrypt(CKM.AES_CTR, parameter, aes(vector), data)


@pytest.mark.vectors(CKM.AES_GCM, CKM.AES_GMAC)
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("file", ["gcmEncryptExtIV", "gcmDecrypt"])
def test_gcm_is_that_of_nist(driver: Driver, file: str, size: int) -> None:
    """GCM seals and opens NIST's vectors with every length of IV and tag, and refuses those that NIST made wrong.

    GMAC is GCM without plaintext. IVs of one byte, too short for `cryptography`, go to libcrypto.
    """
    for vector in vectors(f"{_AES}/GCM/{file}{size}.rsp"):
        iv, aad = bytes.fromhex(vector["iv"]), bytes.fromhex(vector["aad"])
        parameter = Gcm(iv, 8 * len(iv), aad, int(vector["taglen"]))
        sealed = bytes.fromhex(vector["ct"] + vector["tag"])
        if "fail" in vector:
            for data in both(sealed):
                with refusal(CKR.ENCRYPTED_DATA_INVALID):
                    driver.decrypt(CKM.AES_GCM, parameter, aes(vector), data)
            continue
        plain = bytes.fromhex(vector["pt"])
        for data in both(plain):
            assert sealed == driver.encrypt(CKM.AES_GCM, parameter, aes(vector), data)
        for data in both(sealed):
            assert plain == driver.decrypt(CKM.AES_GCM, parameter, aes(vector), data)
        if not plain:
            mac = parameter._replace(aad=b"")
            for data in both(aad):
                assert vector["tag"] == driver.sign(CKM.AES_GMAC, mac, aes(vector), data).hex()
                driver.verify(CKM.AES_GMAC, mac, aes(vector), data, sealed)


@pytest.mark.vectors(CKM.AES_CCM)
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("file", ["VADT", "VNT", "VPT", "VTT", "DVPT"])
def test_ccm_is_that_of_nist(driver: Driver, file: str, size: int) -> None:
    """CCM seals and opens NIST's vectors with every length of nonce and MAC, and refuses those that NIST made wrong."""
    for vector in vectors(f"{_AES}/CCM/{file}{size}.rsp"):
        length = int(vector["plen"])
        aad = bytes.fromhex(vector["adata"])[: int(vector["alen"])]
        parameter = Ccm(length, bytes.fromhex(vector["nonce"]), aad, int(vector["tlen"]))
        sealed = bytes.fromhex(vector["ct"])
        if vector.get("result", "Pass").startswith("Fail"):
            for data in both(sealed):
                with refusal(CKR.ENCRYPTED_DATA_INVALID):
                    driver.decrypt(CKM.AES_CCM, parameter, aes(vector), data)
            continue
        plain = bytes.fromhex(vector["payload"])[:length]
        for data in both(plain):
            assert sealed == driver.encrypt(CKM.AES_CCM, parameter, aes(vector), data)
        for data in both(sealed):
            assert plain == driver.decrypt(CKM.AES_CCM, parameter, aes(vector), data)


@pytest.mark.vectors(CKM.AES_CMAC, CKM.AES_CMAC_GENERAL)
@pytest.mark.parametrize("size", _SIZES)
def test_cmac_is_that_of_nist(driver: Driver, size: int) -> None:
    """CMAC and truncated CMAC equal SP 800-38B's examples."""
    for vector in vectors(f"CMAC/nist-800-38b-aes{size}.txt"):
        expected = bytes.fromhex(vector["output"])
        for data in both(bytes.fromhex(vector["message"])):
            assert expected == driver.sign(CKM.AES_CMAC, None, aes(vector), data)
            assert expected[:5] == driver.sign(CKM.AES_CMAC_GENERAL, MacGeneral(5), aes(vector), data)
            driver.verify(CKM.AES_CMAC, None, aes(vector), data, expected)


@pytest.mark.vectors(CKM.AES_KEY_WRAP, CKM.AES_KEY_WRAP_KWP)
@pytest.mark.parametrize("direction", ["AE", "AD"])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("kind", ["KW", "KWP"])
def test_key_wrap_is_that_of_nist(driver: Driver, kind: str, size: int, direction: str) -> None:
    """Both key wraps equal SP 800-38F's vectors, as wrapping and as encryption, and refuse the wrong ones."""
    mechanism = {"KW": CKM.AES_KEY_WRAP, "KWP": CKM.AES_KEY_WRAP_KWP}[kind]
    for vector in vectors(f"keywrap/kwtestvectors/{kind}_{direction}_{size}.txt"):
        key, wrapped = aes(vector, "k"), bytes.fromhex(vector["c"])
        template = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET)}
        if "fail" in vector:
            with refusal(CKR.ENCRYPTED_DATA_INVALID):
                driver.decrypt(mechanism, None, key, wrapped)
            with refusal(CKR.WRAPPED_KEY_INVALID):
                driver.unwrap(mechanism, None, key, wrapped, template)
            continue
        plain = bytes.fromhex(vector["p"])
        assert wrapped == driver.encrypt(mechanism, None, key, plain)
        assert wrapped == driver.wrap(mechanism, None, key, secret(CKK.GENERIC_SECRET, plain))
        assert plain == driver.decrypt(mechanism, None, key, wrapped)
        assert plain == driver.unwrap(mechanism, None, key, wrapped, template)[CKA.VALUE]

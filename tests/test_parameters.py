"""The mechanism parameters: C structures in, values out, and values over the wire."""

# ruff: noqa: FBT003 - fields of structures

from __future__ import annotations

from struct import pack as c

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptkc.spec import layouts, parameters
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import (
    Ccm,
    CcmWrap,
    Ctr,
    Ecdh,
    Eddsa,
    Gcm,
    GcmWrap,
    GenPik,
    Hkdf,
    MacGeneral,
    MechanismAndObject,
    Oaep,
    Pss,
    Share,
    pack,
    parse,
    unpack,
)
from ptkc.spec.parameters import MALFORMED

_ULONGS = st.integers(0, 2**64 - 1)
_BLOB = st.binary(max_size=40)
_VALUES = st.one_of(
    st.tuples(st.just(CKM.AES_GCM), st.builds(Gcm, _BLOB, _ULONGS, _BLOB, _ULONGS)),
    st.tuples(st.just(CKM.AES_CCM), st.builds(Ccm, _ULONGS, _BLOB, _BLOB, _ULONGS)),
    st.tuples(st.just(CKM.AES_GCM), st.builds(GcmWrap, _BLOB, _ULONGS, _ULONGS, _BLOB, _ULONGS)),
    st.tuples(st.just(CKM.AES_CCM), st.builds(CcmWrap, _ULONGS, _BLOB, _ULONGS, _ULONGS, _BLOB, _ULONGS)),
    st.tuples(st.just(CKM.AES_CTR), st.builds(Ctr, _ULONGS, st.binary(min_size=16, max_size=16))),
    st.tuples(st.just(CKM.SHA3_256_HMAC_GENERAL), st.builds(MacGeneral, _ULONGS)),
    st.tuples(st.just(CKM.SHA256_RSA_PKCS_PSS), st.builds(Pss, _ULONGS, _ULONGS, _ULONGS)),
    st.tuples(st.just(CKM.RSA_PKCS_OAEP), st.builds(Oaep, _ULONGS, _ULONGS, _ULONGS, _BLOB)),
    st.tuples(st.just(CKM.ECDH1_DERIVE), st.builds(Ecdh, _ULONGS, _BLOB, _BLOB)),
    st.tuples(st.just(CKM.EDDSA), st.builds(Eddsa, st.booleans(), _BLOB)),
    st.tuples(
        st.just(CKM.HKDF_DERIVE),
        st.builds(Hkdf, st.booleans(), st.booleans(), _ULONGS, _ULONGS, _BLOB, _ULONGS, _BLOB),
    ),
    st.tuples(st.just(CKM.ENCODE_X_509), st.builds(MechanismAndObject, _ULONGS, _ULONGS)),
    st.tuples(st.just(CKM.GEN_PIK_ECC_P521), st.builds(GenPik, st.booleans())),
    st.tuples(st.just(CKM.SECRET_SHARE_WITH_ATTRIBUTES), st.builds(Share, _ULONGS, _ULONGS)),
    st.tuples(st.just(CKM.AES_CBC), st.binary(min_size=1)),
    st.tuples(st.sampled_from((CKM.AES_GCM, CKM.SHA256)), st.sampled_from((None, MALFORMED))),
)


class Memory(dict[int, bytes]):
    """An application's memory: byte strings by their address."""

    def read(self, address: int, length: int) -> bytes:
        """Return what is there; a wrong address is a KeyError, as it would be a crash."""
        found = self[address]
        assert length <= len(found)
        return found[:length]

    @staticmethod
    def expect(address: int, room: int) -> None:
        """Take note of nothing: `test_members` looks at what is written back."""


MEMORY = Memory({0x1000: b"initial-value", 0x2000: b"associated data", 0x3000: b"label"})


@pytest.mark.parametrize(
    ("mechanism", "raw", "expected"),
    [
        (
            CKM.AES_GCM,
            c("@PLLPLL", 0x1000, 12, 96, 0x2000, 15, 128),
            Gcm(b"initial-valu", 96, b"associated data", 128),
        ),
        (CKM.AES_GCM, c("@PLPLL", 0x1000, 12, 0, 0, 96), Gcm(b"initial-valu", 0, b"", 96)),
        (CKM.AES_GCM, c("@PLLLPLL", 0x1000, 12, 32, 1, 0, 0, 96), GcmWrap(b"initial-valu", 32, 1, b"", 96)),
        (CKM.AES_GMAC, c("@PLLPLL", 0, 0, 0, 0, 0, 128), Gcm(b"", 0, b"", 128)),
        (CKM.AES_CCM, c("@LPLPLL", 5, 0x1000, 13, 0x2000, 4, 8), Ccm(5, b"initial-value", b"asso", 8)),
        (CKM.AES_CCM, c("@LPLLLPLL", 0, 0x1000, 13, 8, 3, 0x2000, 4, 8), CcmWrap(0, b"initial-value", 8, 3, b"asso", 8)),  # noqa: E501
        (CKM.AES_CTR, c("@L16s", 32, b"0123456789abcdef"), Ctr(32, b"0123456789abcdef")),
        (CKM.AES_CMAC_GENERAL, c("@L", 8), MacGeneral(8)),
        (CKM.SHA_1_HMAC_GENERAL, c("@L", 8), MacGeneral(8)),
        (CKM.SHA512_256_HMAC_GENERAL, c("@L", 8), MacGeneral(8)),
        (CKM.RSA_PKCS_PSS, c("@LLL", CKM.SHA256, 2, 32), Pss(CKM.SHA256, 2, 32)),
        (CKM.SHA3_512_RSA_PKCS_PSS, c("@LLL", CKM.SHA3_512, 9, 64), Pss(CKM.SHA3_512, 9, 64)),
        (CKM.RSA_PKCS_OAEP, c("@LLLPL", CKM.SHA_1, 1, 1, 0x3000, 5), Oaep(CKM.SHA_1, 1, 1, b"label")),
        (CKM.RSA_PKCS_OAEP, c("@LLLPL", CKM.SHA_1, 1, 0, 0, 0), Oaep(CKM.SHA_1, 1, 0, b"")),
        (CKM.ECDH1_DERIVE, c("@LLPLP", 1, 0, 0, 5, 0x3000), Ecdh(1, b"", b"label")),
        (CKM.ECDH1_COFACTOR_DERIVE, c("@LLPLP", 2, 8, 0x1000, 5, 0x3000), Ecdh(2, b"initial-", b"label")),
        (CKM.EDDSA, c("@?LP", True, 5, 0x3000), Eddsa(ph=True, context=b"label")),
        (CKM.EDDSA, c("@?LP", False, 0, 0), Eddsa(ph=False, context=b"")),
        (
            CKM.HKDF_DERIVE,
            c("@??LLPLLPL", True, True, CKM.SHA256, 2, 0x1000, 13, 7, 0x3000, 5),
            Hkdf(True, True, CKM.SHA256, 2, b"initial-value", 7, b"label"),
        ),
        (CKM.ENCODE_X_509, c("@LL", CKM.ECDSA_SHA512, 7), MechanismAndObject(CKM.ECDSA_SHA512, 7)),
        (CKM.ENCODE_X_509_LOCAL_CERT, c("@LL", CKM.ECDSA_SHA512, 7), MechanismAndObject(CKM.ECDSA_SHA512, 7)),
        (CKM.ENCODE_PKCS_10, c("@LL", 1, 2**63), MechanismAndObject(1, 2**63)),
        (CKM.GEN_PIK_ECC_P521, b"\x01", GenPik(True)),
        (CKM.GEN_PIK_ECC_P521, b"\x00", GenPik(False)),
        (CKM.SECRET_SHARE_WITH_ATTRIBUTES, c("@LL", 2, 3), Share(2, 3)),
        (CKM.AES_CBC, b"0123456789abcdef", b"0123456789abcdef"),
        (CKM.AES_CBC, b"", None),
        (CKM.AES_GCM, b"", None),
        (CKM.SHA256, b"", None),
        (0x80000001, b"anything", b"anything"),
    ],
)
def test_a_structure_becomes_its_value(mechanism: int, raw: bytes, expected: object) -> None:
    """Each C structure is read in its native layout, and what its pointers name is copied."""
    value = parse(mechanism, raw, MEMORY)
    assert expected == value
    assert type(expected) is type(value)


@pytest.mark.parametrize(
    ("mechanism", "raw"),
    [
        (CKM.AES_GCM, c("@PLLPLL", 0, 12, 96, 0, 0, 128)),
        (CKM.AES_GCM, c("@PLLPLL", 0x1000, 12, 96, 0, 1, 128)),
        (CKM.AES_GCM, c("@PLLPLL", 0x1000, 2**31, 96, 0, 0, 128)),
        (CKM.AES_GCM, c("@PLLPLL", 0x1000, 2**64 - 1, 96, 0, 0, 128)),
        (CKM.AES_GCM, c("@PLLPLL", 0x1000, 12, 96, 0, 0, 128) + b"\0"),
        (CKM.AES_GCM, b"0123456789ab"),
        (CKM.AES_GCM, c("@PLLLPLL", 0, 12, 32, 1, 0, 0, 96)),
        (CKM.AES_GMAC, c("@PLLLPLL", 0x1000, 12, 32, 0, 0, 0, 96)),
        (CKM.AES_CTR, bytes(16)),
        (CKM.SHA256_HMAC_GENERAL, bytes(4)),
        (CKM.RSA_PKCS_PSS, bytes(23)),
        (CKM.EDDSA, c("@?LP", False, 5, 0)),
        (CKM.GEN_PIK_ECC_P521, bytes(8)),
        (CKM.ENCODE_X_509, bytes(8)),
        (CKM.SECRET_SHARE_WITH_ATTRIBUTES, bytes(17)),
    ],
)
def test_a_structure_that_cannot_be_right_is_malformed(mechanism: int, raw: bytes) -> None:
    """A wrong length, a NULL pointer with a length, an absurd length: MALFORMED, and nothing is read for it."""
    value = parse(mechanism, raw, MEMORY)
    assert MALFORMED is value
    assert not layouts.GCM.accepts(value)
    assert not parameters.IV16.accepts(value)


def test_a_layout_accepts_its_own_value_only() -> None:
    """A mechanism can ask whether what came is its parameter."""
    assert layouts.CTR.accepts(Ctr(1, bytes(16)))
    assert not layouts.CTR.accepts((1, bytes(16)))
    assert not layouts.CTR.accepts(bytes(24))
    assert parameters.IV16.accepts(bytes(16))
    assert not parameters.IV16.accepts(bytes(15))


@given(_VALUES)
def test_a_packed_value_comes_back(row: tuple[int, object]) -> None:
    """What is packed for the wire is unpacked to the same value of the same type."""
    mechanism, value = row
    back = unpack(mechanism, pack(mechanism, value))
    assert value == back
    assert type(value) is type(back)


@given(_VALUES, st.data())
def test_a_value_cut_short_or_longer_is_refused(row: tuple[int, object], data: st.DataObject) -> None:
    """Any other length than a structure's own is CKR_MECHANISM_PARAM_INVALID."""
    mechanism, value = row
    if not isinstance(value, tuple):
        return
    packed = pack(mechanism, value)
    kept = data.draw(st.integers(0, len(packed) - 1))
    for wrong in (packed[:kept], packed + b"\0"):
        with pytest.raises(CryptokiError, match="CKR_MECHANISM_PARAM_INVALID"):
            unpack(mechanism, wrong)


@given(st.sampled_from((CKM.AES_GCM, CKM.AES_CTR, CKM.EDDSA, CKM.RSA_PKCS_OAEP, CKM.SHA256, 2**63)), st.binary())
def test_any_bytes_are_a_parameter_or_refused(mechanism: int, data: bytes) -> None:
    """Hostile bytes are unpacked or CKR_MECHANISM_PARAM_INVALID, and what is unpacked packs to the same bytes."""
    try:
        packed = pack(mechanism, unpack(mechanism, data))
    except CryptokiError as error:
        packed = data if error.code == CKR.MECHANISM_PARAM_INVALID else b""
    assert data == packed


def test_vendor_numbers_have_names_that_the_standard_leaves_free() -> None:
    """Messages name the vendor's codes; what the standard calls the same is another number."""
    vendor = [CKR.CERT_NOT_VALIDATED, CKR.SECURITY_FLAGS_INCOMPATIBLE, CKR.VENDOR_TOKEN_NOT_INITIALIZED]
    names = ["CKR_CERT_NOT_VALIDATED", "CKR_SECURITY_FLAGS_INCOMPATIBLE", "CKR_VENDOR_TOKEN_NOT_INITIALIZED"]
    assert names == [name_of(CKR, code) for code in vendor]
    assert [0x208, 0x80000116] == [CKR.TOKEN_NOT_INITIALIZED, CKR.VENDOR_TOKEN_NOT_INITIALIZED]
    assert [0x637, 0x80000260] == [CKA.SEED, CKA.DSA_SEED]
    assert [0x1046, 0x80000125] == [CKM.ECDSA_SHA512, CKM.VENDOR_ECDSA_SHA512]

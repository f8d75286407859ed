"""Work that a caller can ask for by long data and long keys, or by huge numbers: refused before it is begun."""

from __future__ import annotations

import pytest
from asymmetric import refusal

from ptkc.mechanisms import MECHANISMS, load
from ptkc.mechanisms.dh import kdf_x9_42
from ptkc.mechanisms.ecdh import key_from_secret
from ptkc.spec.constants import CKA, CKD, CKK, CKM, CKP, CKR, CKZ
from ptkc.spec.layouts import DsaGeneration, Pbkdf2
from ptkc.spec.values import ulong

load()
pytestmark = pytest.mark.usefixtures("module_driver")

_LONGEST = 65536
_LONG = bytes(1 << 20)
_KEY = {CKA.KEY_TYPE: ulong(CKK.GENERIC_SECRET), CKA.VALUE_LEN: ulong(_LONGEST)}


def test_a_long_salt_is_not_read_for_each_block_of_a_long_key() -> None:
    """PBKDF2 reads the salt once a block: a salt as long is taken for a key of a few blocks."""
    parameter = Pbkdf2(CKZ.SALT_SPECIFIED, _LONG, 1, CKP.PKCS5_PBKD2_HMAC_SHA1, b"", b"password")
    maker = MECHANISMS[CKM.PKCS5_PBKD2]
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        maker.generate(parameter, _KEY)
    assert 64 == len(maker.generate(parameter, {**_KEY, CKA.VALUE_LEN: ulong(64)})[CKA.VALUE])


@pytest.mark.parametrize("kdf", [CKD.SHA1_KDF, CKD.SHA1_KDF_SP800, CKD.BLAKE2B_160_KDF])
def test_long_shared_data_are_not_read_for_each_block_of_a_long_key(kdf: int) -> None:
    """So do the functions of ECDH with the shared data."""
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        key_from_secret(kdf, _LONG, bytes(32), _LONGEST)
    assert 64 == len(key_from_secret(kdf, _LONG, bytes(32), 64))
    assert _LONGEST == len(key_from_secret(kdf, bytes(1024), bytes(32), _LONGEST))


def _other_info(length: int) -> bytes:
    """Return OtherInfo (RFC 2631 2.1.2) with so much partyAInfo."""
    info = bytes.fromhex("3013060b2a864886f70d0109100306040400000001")
    party = b"\xa0\x84" + (length + 6).to_bytes(4, "big") + b"\x04\x84" + length.to_bytes(4, "big") + bytes(length)
    content = info + party
    return b"\x30\x84" + len(content).to_bytes(4, "big") + content


@pytest.mark.parametrize("kdf", [CKD.SHA1_KDF_ASN1, CKD.SHA1_KDF_CONCATENATE])
def test_long_other_info_is_not_read_for_each_block_of_a_long_key(kdf: int) -> None:
    """And those of Diffie-Hellman with the other info."""
    other = _other_info(1 << 20)
    with refusal(CKR.MECHANISM_PARAM_INVALID):
        kdf_x9_42(kdf, other, bytes(128), _KEY)
    assert 64 == len(kdf_x9_42(kdf, other, bytes(128), {**_KEY, CKA.VALUE_LEN: ulong(64)}))


def test_a_huge_prime_is_not_worked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """CKM_DSA_FIPS_G_GEN looks at the sizes of the primes before libcrypto has them."""
    monkeypatch.setattr("ptkc.mechanisms.evp.generate_parameters", None)
    given = {CKA.PRIME: b"\xff" * 4096, CKA.SUBPRIME: b"\xff" * 32}
    parameter = DsaGeneration(CKM.SHA256, bytes(32), 1)
    for change in ({}, {CKA.PRIME: b"\xff" * 256, CKA.SUBPRIME: b"\xff" * 31}):
        with refusal(CKR.DOMAIN_PARAMS_INVALID):
            MECHANISMS[CKM.DSA_FIPS_G_GEN].generate(parameter, {**given, **change})

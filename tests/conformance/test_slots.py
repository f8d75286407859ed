"""C_GetSlotList, C_GetSlotInfo, C_GetMechanismList, C_GetMechanismInfo, C_WaitForSlotEvent."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKF, CKM, CKR

from .binding import ffi
from .cryptoki import NULL, Cryptoki, expect
from .parameters import needs

_NO_SLOT = 2**40 + 7


def test_slot_list_has_each_slot_once(cryptoki: Cryptoki) -> None:
    """No slot id comes twice, and the slots with a token are among all slots."""
    every = cryptoki.slots(present=False)
    assert len(set(every)) == len(every)
    assert set(cryptoki.slots(present=True)) <= set(every)


def test_slot_list_says_when_the_array_is_too_small(cryptoki: Cryptoki) -> None:
    """Too small an array is CKR_BUFFER_TOO_SMALL, with the number needed."""
    number = len(cryptoki.slots())
    count = ffi.new("CK_ULONG *", number - 1)
    expect(CKR.BUFFER_TOO_SMALL, cryptoki.call, "C_GetSlotList", 1, ffi.new("CK_ULONG[]", number), count)
    assert number == count[0]


def test_slot_list_without_a_count_is_refused(cryptoki: Cryptoki) -> None:
    """A NULL count is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_GetSlotList", 1, NULL, NULL)


def test_each_slot_describes_itself(cryptoki: Cryptoki) -> None:
    """C_GetSlotInfo knows each slot; its strings are padded with blanks; the token flag agrees with the list."""
    present = set(cryptoki.slots(present=True))
    for slot in cryptoki.slots(present=False):
        info = cryptoki.info("C_GetSlotInfo", "CK_SLOT_INFO", slot)
        assert b"\0" not in bytes(info.slotDescription) + bytes(info.manufacturerID)
        assert (slot in present) == bool(info.flags & CKF.TOKEN_PRESENT)


@pytest.mark.parametrize(
    ("name", "structure"),
    [("C_GetSlotInfo", "CK_SLOT_INFO"), ("C_GetTokenInfo", "CK_TOKEN_INFO")],
)
def test_unknown_slot_has_no_info(cryptoki: Cryptoki, name: str, structure: str) -> None:
    """A slot id that was never listed is CKR_SLOT_ID_INVALID."""
    expect(CKR.SLOT_ID_INVALID, cryptoki.info, name, structure, _NO_SLOT)


@pytest.mark.parametrize("name", ["C_GetSlotInfo", "C_GetTokenInfo"])
def test_slot_info_without_a_place_is_refused(cryptoki: Cryptoki, slot: int, name: str) -> None:
    """A NULL pointer for the result is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, name, slot, NULL)


def test_mechanism_list_has_each_mechanism_once(cryptoki: Cryptoki, slot: int) -> None:
    """The list is not empty and repeats nothing."""
    found = cryptoki.items("C_GetMechanismList", slot)
    assert found
    assert len(set(found)) == len(found)


def test_mechanism_list_says_when_the_array_is_too_small(cryptoki: Cryptoki, slot: int) -> None:
    """Too small an array is CKR_BUFFER_TOO_SMALL, with the number needed."""
    number = len(cryptoki.items("C_GetMechanismList", slot))
    count = ffi.new("CK_ULONG *", 1)
    expect(CKR.BUFFER_TOO_SMALL, cryptoki.call, "C_GetMechanismList", slot, ffi.new("CK_ULONG[]", number), count)
    assert number == count[0]


def test_mechanism_list_without_a_count_is_refused(cryptoki: Cryptoki, slot: int) -> None:
    """A NULL count is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_GetMechanismList", slot, NULL, NULL)


def test_mechanism_list_of_an_unknown_slot_is_refused(cryptoki: Cryptoki) -> None:
    """A slot id that was never listed is CKR_SLOT_ID_INVALID."""
    expect(CKR.SLOT_ID_INVALID, cryptoki.items, "C_GetMechanismList", _NO_SLOT)


def test_each_listed_mechanism_has_a_use(cryptoki: Cryptoki, slot: int) -> None:
    """C_GetMechanismInfo knows each listed mechanism: some operation, and key sizes that are a range."""
    useless = CKF.HW | CKF.EXTENSION
    for mechanism in cryptoki.items("C_GetMechanismList", slot):
        info = cryptoki.info("C_GetMechanismInfo", "CK_MECHANISM_INFO", slot, mechanism)
        assert info.flags & ~useless, f"mechanism {mechanism:#x} has no operation"
        assert info.ulMinKeySize <= info.ulMaxKeySize, f"mechanism {mechanism:#x} has no key size"


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        needs("SHA256", CKF.DIGEST),
        needs("AES_KEY_GEN", CKF.GENERATE),
        needs("AES_CBC", CKF.ENCRYPT | CKF.DECRYPT),
        needs("ECDSA", CKF.SIGN | CKF.VERIFY),
        needs("EC_KEY_PAIR_GEN", CKF.GENERATE_KEY_PAIR),
        needs("ECDH1_DERIVE", CKF.DERIVE),
        needs("AES_KEY_WRAP", CKF.WRAP | CKF.UNWRAP),
    ],
)
def test_mechanism_says_what_it_is_for(mechanisms: dict[int, int], name: str, flags: int) -> None:
    """A mechanism's flags name the operations it is known for."""
    assert flags == flags & mechanisms[getattr(CKM, name)]


@pytest.mark.needs(CKM.RSA_PKCS_KEY_PAIR_GEN)
def test_rsa_key_sizes_are_bits(cryptoki: Cryptoki, slot: int) -> None:
    """RSA sizes are numbers of bits of the modulus: 2048 is among them."""
    info = cryptoki.info("C_GetMechanismInfo", "CK_MECHANISM_INFO", slot, CKM.RSA_PKCS_KEY_PAIR_GEN)
    assert info.ulMinKeySize <= 2048 <= info.ulMaxKeySize


@pytest.mark.needs(CKM.AES_KEY_GEN)
def test_aes_key_sizes_are_bytes(cryptoki: Cryptoki, slot: int) -> None:
    """AES sizes are numbers of bytes: 16 to 32."""
    info = cryptoki.info("C_GetMechanismInfo", "CK_MECHANISM_INFO", slot, CKM.AES_KEY_GEN)
    assert (16, 32) == (info.ulMinKeySize, info.ulMaxKeySize)


def test_unlisted_mechanism_has_no_info(cryptoki: Cryptoki, slot: int) -> None:
    """A mechanism the token does not list is CKR_MECHANISM_INVALID."""
    expect(CKR.MECHANISM_INVALID, cryptoki.info, "C_GetMechanismInfo", "CK_MECHANISM_INFO", slot, 0x7FFF1234)


def test_mechanism_info_without_a_place_is_refused(cryptoki: Cryptoki, slot: int) -> None:
    """A NULL pointer for the result is CKR_ARGUMENTS_BAD."""
    mechanism = cryptoki.items("C_GetMechanismList", slot)[0]
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_GetMechanismInfo", slot, mechanism, NULL)


def test_no_slot_event_is_waiting(cryptoki: Cryptoki) -> None:
    """Without blocking and with no token moved, C_WaitForSlotEvent says CKR_NO_EVENT."""
    expect(CKR.NO_EVENT, cryptoki.call, "C_WaitForSlotEvent", CKF.DONT_BLOCK, ffi.new("CK_SLOT_ID *"), NULL)

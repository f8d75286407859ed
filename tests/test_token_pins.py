"""PIN records and the delays after wrong PINs."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.pins import check_new_pin, delay, open_pin, seal_pin, waiting

DEVICE = bytes(32)
KEY = bytes(range(32))


def test_a_pin_record_gives_the_token_key_for_the_right_pin_only() -> None:
    """A wrong PIN gives None."""
    record = seal_pin(DEVICE, b"holder", b"1234", KEY)
    assert KEY == open_pin(DEVICE, b"holder", b"1234", record)
    assert open_pin(DEVICE, b"holder", b"1235", record) is None
    assert open_pin(DEVICE, b"holder", b"", record) is None


def test_without_the_device_key_there_is_nothing_to_try_pins_on() -> None:
    """The outer layer refuses another device key, another holder, another record: CKR_DEVICE_ERROR."""
    record = seal_pin(DEVICE, b"holder", b"1234", KEY)
    for device, holder, stored in ((KEY, b"holder", record), (DEVICE, b"other", record), (DEVICE, b"holder", b"?")):
        with pytest.raises(CryptokiError) as refused:
            open_pin(device, holder, b"1234", stored)
        assert CKR.DEVICE_ERROR == refused.value.code


def test_equal_pins_give_different_records() -> None:
    """Salt and nonces are fresh."""
    assert seal_pin(DEVICE, b"h", b"1234", KEY) != seal_pin(DEVICE, b"h", b"1234", KEY)


@pytest.mark.parametrize("pin", [b"1234", b"x" * 32, "пинк".encode(), b"ab\0d"])
def test_pins_of_4_to_32_bytes_of_utf_8_can_be_set(pin: bytes) -> None:
    """Bytes count, as CK_ULONG ulPinLen does."""
    check_new_pin(pin)


@pytest.mark.parametrize(
    ("pin", "code"),
    [
        (b"", CKR.PIN_LEN_RANGE),
        (b"123", CKR.PIN_LEN_RANGE),
        (b"x" * 33, CKR.PIN_LEN_RANGE),
        (b"\xff234", CKR.PIN_INVALID),
    ],
)
def test_other_pins_cannot_be_set(pin: bytes, code: int) -> None:
    """CKR_PIN_LEN_RANGE and CKR_PIN_INVALID."""
    with pytest.raises(CryptokiError) as refused:
        check_new_pin(pin)
    assert code == refused.value.code


def test_delays_begin_with_the_third_failure_and_grow_by_five_seconds() -> None:
    """(n - 2) * 5 seconds, for ever: there is no permanent lock."""
    assert [0, 0, 0, 5000, 10000, 15000] == [delay(n) for n in range(6)]
    assert 490_000 == delay(100)


def test_a_delay_runs_by_the_clock_and_begins_anew_if_the_clock_went_back() -> None:
    """What is left of the delay after the failure at 1,000,000."""
    assert 5000 == waiting(3, 1_000_000, 1_000_000)
    assert 1 == waiting(3, 1_000_000, 1_004_999)
    assert 0 == waiting(3, 1_000_000, 1_005_000)
    assert 0 == waiting(2, 1_000_000, 1_000_000)
    assert 5000 == waiting(3, 1_000_000, 999_999)
    assert 5000 == waiting(3, 1_000_000, 1)

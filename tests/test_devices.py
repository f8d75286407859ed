"""Which HSMs arguments name: numbers, serial numbers, lists, and the forms that the vendor's pages print."""

import pytest

from ptkc.tools import common, devices


class _Device:
    """A device as the arguments see it."""

    def __init__(self, number, serial):
        self.number, self.serial = number, serial


FLEET = [_Device(0, "1197"), _Device(1, "1111"), _Device(2, "1310")]


def _serials(text):
    return [device.serial for device in devices.select(text, FLEET)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trust sn: 1197 sn:1111,sn:1310", ["trust", "sn:1197", "sn:1111,sn:1310"]),
        ("trust sn: 1111,1310 sn: 1197", ["trust", "sn:1111,sn:1310", "sn:1197"]),
        ("trust sn:1111, sn:1310 0", ["trust", "sn:1111,sn:1310", "0"]),
        ("trust sn:1111,sn: 1310 0", ["trust", "sn:1111,sn:1310", "0"]),
        ("trust 0, 1 all", ["trust", "0,1", "all"]),
        ("gen-key SN: 1197 all", ["gen-key", "sn:1197", "all"]),
        ("list sn:", ["list", "sn:"]),
        ("store-poc -p a, b", ["store-poc", "-p", "a,", "b"]),
    ],
)
def test_blanks_behind_sn_and_commas_do_no_harm(line, words):
    """`sn: 1197` is printed in two words."""
    assert words == devices.glued(line.split())


@pytest.mark.parametrize(
    ("text", "serials"),
    [
        ("all", ["1197", "1111", "1310"]),
        ("ALL", ["1197", "1111", "1310"]),
        ("0", ["1197"]),
        ("2,sn:1197,0", ["1310", "1197"]),
        ("sn:1111,SN:1310", ["1111", "1310"]),
        ("sn: 1111, 0", ["1111", "1197"]),
    ],
)
def test_list_names_hsms_in_its_order_and_none_twice(text, serials):
    """Numbers and serial numbers may be mixed."""
    assert serials == _serials(text)


@pytest.mark.parametrize("text", ["3", "sn:9999", "sn:", "", "0,", "0,,1", "1-2", "0x1", "sn:1111,1310", "all,0", "²"])
def test_what_is_not_there_is_refused_and_not_guessed(text):
    """There is no device `1310`: that is a serial number without `sn:`."""
    with pytest.raises(common.ToolError) as caught:
        _serials(text)
    assert caught.value.hint


def test_serial_number_without_sn_gets_a_hint():
    """The likeliest mistake."""
    with pytest.raises(common.ToolError) as caught:
        _serials("1310")
    assert "write sn:1310" == caught.value.hint


def test_serials_to_forget_need_not_be_there():
    """An HSM that is lost must be forgotten all the more."""
    assert ["9999", "1111"] == devices.serials("sn:9999,1,sn:1111", FLEET)
    with pytest.raises(common.ToolError):
        devices.serials("7", FLEET)

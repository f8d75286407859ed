"""`ptkc.vendor`'s library and devices: which HSMs there are, and the first PINs of an Admin token."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from processes import run

from ptkc import vendor
from ptkc.vendor import calls, devices, init_admin

HIDE = "ET_PTKC_GENERAL_HIDE_ADMIN_SLOT"
ASO_PIN, ADMIN_PIN = "aso-12345678", "admin-1234"

Load = Callable[[], Any]


def test_before_the_library_is_there_no_call_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs the shared object says that `lib` comes first."""
    monkeypatch.setattr(calls, "_loaded", [])
    with pytest.raises(pkcs11.PKCS11Error, match=r"call ptkc\.vendor\.lib\(\) first"):
        vendor.hsm_id_of_slot(0)


def test_without_a_path_it_is_this_packages_library(env: dict[str, str]) -> None:
    """`lib()` is the libptkc.so beside the package."""
    code = "from ptkc import vendor; print(vendor.lib().so)"
    beside = Path(vendor.__file__).resolve().parents[1] / "libptkc.so"
    assert str(beside) == run(sys.executable, "-c", code, env=env).strip()


@pytest.mark.parametrize("item", [None, "YES", "NO"])
def test_admin_slots_are_seen_whatever_applications_see(
    load: Load, item: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The item that hides Admin slots hides them from others only, and stays as it was."""
    if item:
        monkeypatch.setenv(HIDE, item)
    (device,) = devices(load())
    assert (2, 1) == (len(device.slots), len(device.user_slots))
    assert device.admin.flags & vendor.TokenFlag.ADMIN_TOKEN
    assert item == os.environ.get(HIDE)


def test_devices_are_there_before_anything_is_initialised(load: Load) -> None:
    """A new HSM has number, serial number, a user slot, and the Admin slot last; neither token is initialised."""
    (device,) = devices(load())
    assert 0 == device.number
    assert device.serial == device.admin.serial.decode()
    assert device.serial.isdigit()
    assert [*device.user_slots, device.admin_slot] == device.slots
    assert not any(slot.get_token().flags & pkcs11.TokenFlag.TOKEN_INITIALIZED for slot in device.slots)


def test_an_admin_token_gets_its_two_pins(load: Load) -> None:
    """`init_admin` sets the ASO's and the Administrator's PIN; the label names the serial number."""
    (hsm,) = devices(load())
    init_admin(hsm.admin_slot, ASO_PIN, ADMIN_PIN)
    assert f"AdminToken ({hsm.serial})" == hsm.admin.label
    with hsm.admin.open(rw=True, so_pin=ASO_PIN) as session:
        assert pkcs11.UserType.SO == session.user_type
    with hsm.admin.open(user_pin=ADMIN_PIN) as session:
        assert hsm.number == vendor.hsm_id(session)


def test_an_interrupted_initialisation_is_continued(load: Load) -> None:
    """Where only the ASO's PIN is set, `init_admin` sets the Administrator's."""
    (device,) = devices(load())
    with pytest.raises(pkcs11.PinLenRange):
        init_admin(device.admin_slot, ASO_PIN, "1")
    assert device.admin.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED
    init_admin(device.admin_slot, ASO_PIN, ADMIN_PIN)
    device.admin.open(user_pin=ADMIN_PIN).close()


def test_no_pin_is_in_what_an_exception_says(load: Load) -> None:
    """Neither text nor representation of a refusal has the PIN in it."""
    (device,) = devices(load())
    with pytest.raises(pkcs11.PKCS11Error) as raised:
        init_admin(device.admin_slot, "abc", "xyz")
    said = f"{raised.value} {raised.value!r} {vendor.describe(raised.value)}"
    assert "abc" not in said
    assert "xyz" not in said


@pytest.fixture
def three(env: dict[str, str], in_process: dict[str, str]) -> Callable[..., str]:
    """Put three HSMs below the data path; return what runs `ptkc hsm`."""

    def hardware(*words: str) -> str:
        return run(sys.executable, "-m", "ptkc.tools.ptkc", "hsm", *words, env={**env, **in_process})

    hardware("add", "1197", "1111", "1310")
    return hardware


def test_devices_are_numbered_and_keep_their_serials(three: Callable[..., str], load: Load) -> None:
    """One that is pulled out is left out at once; the numbers of the others shift at the next C_Initialize."""
    library = load()
    found = devices(library)
    assert [(0, "1197"), (1, "1111"), (2, "1310")] == [(device.number, device.serial) for device in found]
    assert [0, 0, 1, 1, 2, 2] == [vendor.hsm_id_of_slot(slot.slot_id) for device in found for slot in device.slots]
    three("remove", "1111", "--yes")
    assert ["1197", "1310"] == [device.serial for device in devices(library)]
    library.finalize()
    assert [(0, "1197"), (1, "1310")] == [(device.number, device.serial) for device in devices(load())]

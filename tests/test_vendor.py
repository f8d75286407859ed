"""python-pkcs11 with the vendor's extensions: names, attributes and exceptions.

What the pinned version of python-pkcs11 does inside is held to here, as far as `ptkc.vendor` depends on it.
"""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pkcs11
import pytest
from pkcs11.attributes import ATTRIBUTE_TYPES, AttributeMapper

from ptkc import vendor
from ptkc.objects import attributes as tables
from ptkc.objects.classes import CLASSES
from ptkc.spec.constants import CK, CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.values import TRUE, ulong
from ptkc.vendor import exceptions
from ptkc.vendor.exceptions import VendorError, code_of, describe, error_for

ENUMERATIONS = {"Attribute": CKA, "KeyType": CKK, "Mechanism": CKM, "ObjectClass": CKO}
_PACKAGE = Path(pkcs11.__file__).parent

_OWN = """
import json, pkcs11
names = ("Attribute", "KeyType", "Mechanism", "ObjectClass", "TokenFlag")
print(json.dumps({name: {member.name: int(member) for member in getattr(pkcs11, name)} for name in names}))
"""


def _constants(group: type) -> dict[str, int]:
    return {name: value for name, value in vars(group).items() if not name.startswith("_")}


def test_the_version_is_the_one_that_was_tried() -> None:
    """What is tested here is tested for python-pkcs11 0.10.1."""
    assert "0.10.1" == version("python-pkcs11")


# Names


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_every_constant_is_a_member_by_name_and_by_number(name: str) -> None:
    """Whatever the headers name, python-pkcs11's enumerations name too, and give for its number."""
    enumeration = getattr(pkcs11, name)
    assert getattr(vendor, name) is enumeration
    for constant, value in _constants(ENUMERATIONS[name]).items():
        member = getattr(enumeration, constant)
        assert (value, enumeration) == (int(member), type(member)), constant
        assert enumeration(value) is enumeration[constant] is member
        assert value == ENUMERATIONS[name].__dict__[enumeration(value).name.lstrip("_")]


def test_what_python_pkcs11_has_itself_stays_as_it_is() -> None:
    """The members that iteration gives are those of a python-pkcs11 that was never extended."""
    plain = subprocess.run([sys.executable, "-c", _OWN], capture_output=True, check=True, text=True)
    for name, members in json.loads(plain.stdout).items():
        enumeration = getattr(pkcs11, name)
        assert members == {member.name: int(member) for member in enumeration}
        assert {*members} == {member.name for member in map(enumeration, members.values())}


def test_a_pseudo_member_is_copied_and_pickled_as_itself() -> None:
    """Members are compared by identity: a copy is the member."""
    member = vendor.Mechanism.ENCODE_X_509
    assert copy.deepcopy(member) is member
    assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301 - our own
    assert "<Mechanism.ENCODE_X_509>" == repr(member)


def test_the_admin_tokens_flag_has_a_name() -> None:
    """CKF_ADMIN_TOKEN is a member of TokenFlag, alone and among others."""
    flag = vendor.TokenFlag.ADMIN_TOKEN
    assert (CKF.ADMIN_TOKEN, "ADMIN_TOKEN") == (int(flag), flag.name)
    assert pkcs11.TokenFlag(CKF.ADMIN_TOKEN | CKF.RNG) & flag
    assert not pkcs11.TokenFlag.RNG & flag


# Exceptions


def _mapped() -> dict[int, str]:
    """Return what python-pkcs11's compiled part raises for each code: the name of the class."""
    text = (_PACKAGE / "_pkcs11.pxd").read_text(encoding="utf-8")
    rows = re.findall(r"rv == CKR_(\w+):\s+exc = (\w+)\(", text)
    return {getattr(CKR, name): kind for name, kind in rows}


def test_codes_that_python_pkcs11_knows_are_its_own_exceptions() -> None:
    """A call past python-pkcs11 raises what the same refusal raises in it."""
    mapped = _mapped()
    assert 76 == len(mapped)
    for code, kind in mapped.items():
        if kind != "PKCS11Error":
            assert kind == type(error_for(code)).__name__
            assert code == code_of(error_for(code))


def test_every_other_code_has_an_exception_of_its_own() -> None:
    """It is named as the code, is a PKCS11Error, and says name and code."""
    known = {code for code, kind in _mapped().items() if kind != "PKCS11Error"}
    others = {name: code for name, code in _constants(CKR).items() if code not in known | {CKR.OK, CKR.VENDOR_DEFINED}}
    assert {"NOT_ADMIN_TOKEN", "CURVE_NOT_SUPPORTED", "SECURITY_FLAGS_INCOMPATIBLE"} < {*others}
    for name, code in others.items():
        error = error_for(code)
        assert isinstance(error, VendorError)
        assert (code, f"CKR_{name}") == (error.code, str(error).partition(":")[0])
        assert name.replace("_", "").lower() == type(error).__name__.lower()
        assert type(error) is getattr(vendor, type(error).__name__) is getattr(exceptions, type(error).__name__)


def test_python_pkcs11s_unmapped_error_is_the_codes_exception() -> None:
    """`PKCS11Error("Unmapped error code …")`, which its compiled part makes, is an object of the fitting class."""
    with pytest.raises(
        exceptions.NotAdminToken, match="CKR_NOT_ADMIN_TOKEN: this is for the Admin token only"
    ) as raised:
        raise pkcs11.PKCS11Error(f"Unmapped error code {hex(CKR.NOT_ADMIN_TOKEN)}")
    assert CKR.NOT_ADMIN_TOKEN == code_of(raised.value)


def test_other_messages_stay_as_they_are() -> None:
    """A code nobody knows, and what else python-pkcs11 says, is a plain PKCS11Error with its text."""
    for text in ("Unmapped error code 0x80009999", "OS exception while loading"):
        error = pkcs11.PKCS11Error(text)
        assert (pkcs11.PKCS11Error, text, text, None) == (type(error), str(error), describe(error), code_of(error))
    assert "Unmapped error code 0x80009999" == str(error_for(0x80009999))
    assert "" == str(pkcs11.PinIncorrect())


def test_an_exception_is_described_by_its_code() -> None:
    """`describe` names the code also where python-pkcs11 says nothing."""
    assert "CKR_PIN_INCORRECT" == describe(pkcs11.PinIncorrect())
    assert "CKR_ARGUMENTS_BAD: no such thing" == describe(pkcs11.ArgumentsBad("no such thing"))
    assert describe(error_for(CKR.KEY_NOT_ACTIVE)).startswith("CKR_KEY_NOT_ACTIVE: ")
    assert "NoSuchKey" == describe(pkcs11.NoSuchKey())


def test_a_name_that_is_no_code_cannot_be_imported() -> None:
    """A misspelled name fails where it is imported."""
    for module in (vendor, exceptions):
        with pytest.raises(AttributeError, match="NotAdministered"):
            _ = module.NotAdministered


# Attributes

_VALUES = {
    "CK_BBOOL": (True, TRUE),
    "CK_ULONG": (7, ulong(7)),
    "RFC2279 string": ("é", "é".encode()),
    "CK_DATE": (date(2026, 2, 28), b"20260228"),
    "CK_ULONG array": ([pkcs11.Mechanism.AES_GCM, vendor.Mechanism.AES_KWP], ulong(CKM.AES_GCM) + ulong(CKM.AES_KWP)),
}
_ENUMERATED = {CKA.CLASS, CKA.KEY_TYPE, CKA.CERTIFICATE_TYPE, CKA.KEY_GEN_MECHANISM}


def _rows() -> dict[int, tables.Row]:
    return {row.attribute: row for entry in CLASSES.values() for subtype in entry.types for row in entry.rows(subtype)}


@pytest.mark.parametrize("attribute", [number for number in _rows() if number not in _ENUMERATED])
def test_an_attribute_has_the_type_that_the_hsm_gives_it(attribute: int) -> None:
    """The device's attribute tables and python-pkcs11's handlers agree on each attribute."""
    row, mapper = _rows()[attribute], AttributeMapper()
    if row.kind is tables.TEMPLATE:
        with pytest.raises(NotImplementedError):
            mapper.unpack_attributes(attribute, b"")
        return
    numbers = "CK_ULONG" if row.kind.name.startswith("CK_") else ""  # the kinds that are enumerations
    value, packed = _VALUES.get(row.kind.name) or _VALUES.get(numbers, (b"\1\2", b"\1\2"))
    assert (packed, value) == (mapper.pack_attribute(attribute, value), mapper.unpack_attributes(attribute, packed))


def test_every_attribute_of_the_vendor_can_be_read() -> None:
    """python-pkcs11 has a handler for each of them."""
    assert all(number in ATTRIBUTE_TYPES for number in _constants(CKA).values() if number > CKA.VENDOR_DEFINED)


def test_no_date_and_no_origin_are_none() -> None:
    """An empty CK_DATE and CK_UNAVAILABLE_INFORMATION can be read, which python-pkcs11 itself fails at."""
    mapper = AttributeMapper()
    assert mapper.unpack_attributes(CKA.START_DATE, b"") is None
    assert b"" == mapper.pack_attribute(CKA.END_DATE, None)
    assert mapper.unpack_attributes(CKA.KEY_GEN_MECHANISM, ulong(CK.UNAVAILABLE_INFORMATION)) is None
    made = mapper.unpack_attributes(CKA.KEY_GEN_MECHANISM, ulong(CKM.GEN_PIK_ECC_P521))
    assert vendor.Mechanism.GEN_PIK_ECC_P521 is made

"""C_GetInfo, C_GetFunctionList, the interfaces of Cryptoki 3, and the two functions of a bygone parallel mode."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKR

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Session, expect


def test_info_names_a_known_version_of_cryptoki(cryptoki: Cryptoki) -> None:
    """The Cryptoki version is 2.x or 3.x and flags are zero (3.1)."""
    info = cryptoki.info("C_GetInfo", "CK_INFO")
    assert info.cryptokiVersion.major in {2, 3}
    assert 0 == info.flags


def test_info_strings_are_padded_with_blanks(cryptoki: Cryptoki) -> None:
    """Manufacturer and description fill their fields with blanks and have no null character."""
    info = cryptoki.info("C_GetInfo", "CK_INFO")
    for field in (info.manufacturerID, info.libraryDescription):
        assert b"\0" not in bytes(field)
        assert bytes(field).strip()


def test_info_without_a_place_is_refused(cryptoki: Cryptoki) -> None:
    """A NULL pointer for the result is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_GetInfo", NULL)


def test_function_list_is_version_2_40_or_older(cryptoki: Cryptoki) -> None:
    """C_GetFunctionList gives a list of Cryptoki 2; later lists come from C_GetInterface."""
    assert 2 == cryptoki.functions.list.version.major


def test_function_list_has_no_hole(cryptoki: Cryptoki) -> None:
    """Each function of the list is there, be it only to say CKR_FUNCTION_NOT_SUPPORTED."""
    assert [] == [name for name in cryptoki.functions.names if cryptoki.functions[name] == NULL]


def test_function_list_is_always_the_same(cryptoki: Cryptoki) -> None:
    """A second C_GetFunctionList gives the same pointer through the list itself."""
    pointer = ffi.new("CK_FUNCTION_LIST **")
    cryptoki.call("C_GetFunctionList", pointer)
    assert cryptoki.functions.list == pointer[0]


def test_function_list_without_a_place_is_refused(cryptoki: Cryptoki) -> None:
    """A NULL pointer for the list is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, "C_GetFunctionList", NULL)


@pytest.mark.parametrize("name", ["C_GetFunctionStatus", "C_CancelFunction"])
def test_legacy_function_says_not_parallel(session: Session, name: str) -> None:
    """The parallel functions only say CKR_FUNCTION_NOT_PARALLEL (5.20)."""
    expect(CKR.FUNCTION_NOT_PARALLEL, session.call, name)


@pytest.mark.needs_function("C_GetInterfaceList")
def test_interface_list_has_a_standard_interface(cryptoki: Cryptoki) -> None:
    """At least one interface is called "PKCS 11", and its list begins with a version."""
    found = cryptoki.items("C_GetInterfaceList", item="CK_INTERFACE")
    standard = [entry for entry in found if ffi.string(ffi.cast("char *", entry.pInterfaceName)) == b"PKCS 11"]
    versions = [ffi.cast("CK_VERSION *", entry.pFunctionList) for entry in standard]
    assert standard
    assert all(version.major in {2, 3} for version in versions)


@pytest.mark.needs_function("C_GetInterfaceList")
def test_interface_list_says_when_the_array_is_too_small(cryptoki: Cryptoki) -> None:
    """Too small an array is CKR_BUFFER_TOO_SMALL, with the number needed."""
    number = len(cryptoki.items("C_GetInterfaceList", item="CK_INTERFACE"))
    count = ffi.new("CK_ULONG *", number - 1)
    expect(CKR.BUFFER_TOO_SMALL, cryptoki.call, "C_GetInterfaceList", ffi.new("CK_INTERFACE[]", number), count)
    assert number == count[0]


@pytest.mark.needs_function("C_GetInterface")
@pytest.mark.parametrize("minor", [0, 2])
def test_interface_is_given_by_name_and_version(cryptoki: Cryptoki, minor: int) -> None:
    """The name "PKCS 11" with a version gives that version, if the interface list has it."""
    versions = {
        (version.major, version.minor)
        for entry in cryptoki.items("C_GetInterfaceList", item="CK_INTERFACE")
        for version in [ffi.cast("CK_VERSION *", entry.pFunctionList)]
    }
    found, wanted = ffi.new("CK_INTERFACE **"), ffi.new("CK_VERSION *", (3, minor))
    assert (3, minor) in versions
    cryptoki.call("C_GetInterface", b"PKCS 11", wanted, found, 0)
    version = ffi.cast("CK_VERSION *", found[0].pFunctionList)
    assert (3, minor) == (version.major, version.minor)


@pytest.mark.needs_function("C_GetInterface")
def test_interface_without_a_wish_is_some_interface(cryptoki: Cryptoki) -> None:
    """No name and no version gives the module's default."""
    found = ffi.new("CK_INTERFACE **")
    cryptoki.call("C_GetInterface", NULL, NULL, found, 0)
    assert found[0] != NULL


@pytest.mark.needs_function("C_GetInterface")
@pytest.mark.parametrize(("name", "version"), [(b"Vendor Nobody", None), (b"PKCS 11", (9, 9))])
def test_interface_that_is_not_there_is_refused(
    cryptoki: Cryptoki, name: bytes, version: tuple[int, int] | None
) -> None:
    """An unknown name or version is refused."""
    wanted = ffi.new("CK_VERSION *", version) if version else NULL
    codes = (CKR.ARGUMENTS_BAD, CKR.FUNCTION_FAILED, CKR.GENERAL_ERROR)
    expect(codes, cryptoki.call, "C_GetInterface", name, wanted, ffi.new("CK_INTERFACE **"), 0)


@pytest.mark.needs_function("C_GetInterface")
@pytest.mark.parametrize("name", ["C_GetInterface", "C_GetInterfaceList"])
def test_interface_functions_need_a_place(cryptoki: Cryptoki, name: str) -> None:
    """A NULL pointer for the result is CKR_ARGUMENTS_BAD."""
    arguments = (NULL, NULL, NULL, 0) if name == "C_GetInterface" else (NULL, NULL)
    expect(CKR.ARGUMENTS_BAD, cryptoki.call, name, *arguments)

"""C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Refused, Session, expect
from .keys import DATA, aes, certificate, private_rsa
from .parameters import Mechanism


@pytest.fixture
def objects(session: Session) -> dict[str, int]:
    """Six objects: three data objects (one a token object, one private), a certificate and two keys."""
    one = session.copy(aes(session), {CKA.LABEL: "one", CKA.ID: b"1"})
    two = session.copy(one, {CKA.LABEL: "two", CKA.ID: b"2"})
    session.destroy(*[key for key in session.find({CKA.CLASS: CKO.SECRET_KEY}) if key not in {one, two}])
    return {
        "data": session.create(DATA),
        "token": session.create(DATA | {CKA.TOKEN: True, CKA.LABEL: "two"}),
        "private": session.create(DATA | {CKA.PRIVATE: True, CKA.VALUE: b"other"}),
        "certificate": session.create(certificate(ID=b"1")),
        "one": one,
        "two": two,
    }


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ({}, "data token private certificate one two"),
        ({CKA.CLASS: CKO.DATA}, "data token private"),
        ({CKA.CLASS: CKO.DATA, CKA.TOKEN: True}, "token"),
        ({CKA.TOKEN: False}, "data private certificate one two"),
        ({CKA.PRIVATE: False, CKA.CLASS: CKO.DATA}, "data token"),
        ({CKA.LABEL: "two"}, "token two"),
        ({CKA.LABEL: "two", CKA.CLASS: CKO.SECRET_KEY}, "two"),
        ({CKA.ID: b"1"}, "certificate one"),
        ({CKA.KEY_TYPE: CKK.AES}, "one two"),
        ({CKA.KEY_TYPE: CKK.AES, CKA.ID: b"2"}, "two"),
        ({CKA.VALUE: b"other"}, "private"),
        ({CKA.LABEL: "tw"}, ""),
        ({CKA.LABEL: ""}, "certificate"),
        ({CKA.ID: b"1", CKA.LABEL: "two"}, ""),
        ({CKA.CLASS: CKO.PUBLIC_KEY}, ""),
    ],
    ids=lambda value: (value.replace(" ", "-") or "none") if isinstance(value, str) else "",
)
def test_search_finds_what_matches_all_attributes(
    session: Session, objects: dict[str, int], template: dict[int, object], names: str
) -> None:
    """An object matches if each attribute of the template is byte for byte the same (5.7)."""
    found = set(session.find(template))
    assert set(names.split()) == {name for name, handle in objects.items() if handle in found}


def test_key_is_found_by_the_numbers_that_it_was_made_with(session: Session) -> None:
    """A leading zero, as signed numbers have one, is no reason not to find it."""
    numbers = private_rsa(2048).public_key().public_numbers()
    modulus, exponent = b"\0" + numbers.n.to_bytes(256, "big"), b"\0" + numbers.e.to_bytes(3, "big")
    wanted = {CKA.MODULUS: modulus, CKA.PUBLIC_EXPONENT: exponent}
    key = session.create({CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.VERIFY: True, **wanted})
    assert [key] == session.find(wanted)


def test_search_gives_each_object_once(session: Session, objects: dict[str, int]) -> None:
    """No handle comes twice."""
    found = session.find({})
    assert set(objects.values()) <= set(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("maximum", [1, 2, 3, 100])
def test_search_goes_on_from_call_to_call(session: Session, maximum: int) -> None:
    """With any maximum all objects come in the end, and then none (5.7)."""
    handles = {session.create(DATA) for _ in range(7)}
    session.find_init(DATA)
    found: list[int] = []
    while part := session.find_next(maximum):
        assert len(part) <= maximum
        found += part
    assert [] == session.find_next(maximum)
    session.call("C_FindObjectsFinal")
    assert sorted(handles) == sorted(found)


def test_search_for_at_most_none_finds_none(session: Session) -> None:
    """A maximum of zero gives nothing and loses nothing."""
    handle = session.create(DATA)
    session.find_init(DATA)
    assert [] == session.find_next(0)
    assert [handle] == session.find_next(5)
    session.call("C_FindObjectsFinal")


def test_search_within_a_search_is_refused(session: Session) -> None:
    """A second C_FindObjectsInit is CKR_OPERATION_ACTIVE and leaves the first alone."""
    handle = session.create(DATA)
    session.find_init(DATA)
    expect(CKR.OPERATION_ACTIVE, session.find_init, {})
    assert [handle] == session.find_next(5)
    session.call("C_FindObjectsFinal")


def test_search_that_did_not_begin_is_refused(session: Session) -> None:
    """C_FindObjects and C_FindObjectsFinal without C_FindObjectsInit are CKR_OPERATION_NOT_INITIALIZED."""
    expect(CKR.OPERATION_NOT_INITIALIZED, session.find_next, 5)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_FindObjectsFinal")


def test_search_ends_with_final(session: Session) -> None:
    """After C_FindObjectsFinal, with objects left, the search is over and another can begin."""
    handles = [session.create(DATA) for _ in range(3)]
    session.find_init(DATA)
    session.find_next(1)
    session.call("C_FindObjectsFinal")
    expect(CKR.OPERATION_NOT_INITIALIZED, session.find_next, 5)
    assert sorted(handles) == sorted(session.find(DATA))


def test_searches_of_two_sessions_are_two(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """Each session has its own search."""
    handle, other = session.create(DATA), cryptoki.open(slot)
    session.find_init(DATA)
    assert [handle] == other.find(DATA)
    assert [handle] == session.find_next(5)
    session.call("C_FindObjectsFinal")
    other.close()


@pytest.mark.needs(CKM.SHA256)
def test_search_goes_beside_another_operation(session: Session) -> None:
    """A search may run while a digest is active, and the digest goes on."""
    handle = session.create(DATA)
    session.call("C_DigestInit", Mechanism(CKM.SHA256).pointer)
    assert [handle] == session.find(DATA)
    assert 32 == len(session.output("C_Digest", b"abc", 3))


def test_objects_destroyed_during_a_search_do_no_harm(session: Session) -> None:
    """Handles of destroyed objects may still come; the search ends all the same (5.7)."""
    handles = [session.create(DATA) for _ in range(4)]
    session.find_init(DATA)
    first = session.find_next(1)
    session.destroy(*handles)
    rest = session.find_next(100)
    assert set(first + rest) <= set(handles)
    assert [] == session.find_next(100)
    session.call("C_FindObjectsFinal")
    assert [] == session.find(DATA)


def test_objects_created_during_a_search_do_no_harm(session: Session) -> None:
    """Objects made meanwhile may or may not come (5.7)."""
    first = session.create(DATA)
    session.find_init(DATA)
    second = session.create(DATA)
    assert {first} <= set(session.find_next(100)) <= {first, second}
    session.call("C_FindObjectsFinal")


def test_sensitive_values_do_not_match(session: Session) -> None:
    """A search cannot be used to guess a sensitive value."""
    key = session.copy(aes(session, value=bytes(16)), {CKA.SENSITIVE: True})
    assert key not in session.find({CKA.VALUE: bytes(16)})


def test_search_for_an_unknown_attribute_finds_nothing_or_is_refused(session: Session) -> None:
    """An unknown attribute is CKR_ATTRIBUTE_TYPE_INVALID, or it matches no object (5.7)."""
    session.create(DATA)
    try:
        found = session.find({0x7FFF1234: b"x"})
    except Refused as refused:
        assert CKR.ATTRIBUTE_TYPE_INVALID == refused.rv  # noqa: PT017
    else:
        assert [] == found
    assert 1 == len(session.find(DATA))


def test_search_without_places_is_refused(session: Session) -> None:
    """NULL for the template, the handles or the count is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, session.call, "C_FindObjectsInit", NULL, 1)
    session.find_init({})
    expect(CKR.ARGUMENTS_BAD, session.call, "C_FindObjects", NULL, 1, ffi.new("CK_ULONG *"))


def test_search_with_many_objects_finds_the_one(session: Session) -> None:
    """Among 300 objects one label gives one handle."""
    handles = [session.create({CKA.CLASS: CKO.DATA, CKA.LABEL: f"number {number}"}) for number in range(300)]
    assert [handles[123]] == session.find({CKA.LABEL: "number 123"})
    assert set(handles) <= set(session.find({CKA.CLASS: CKO.DATA}))

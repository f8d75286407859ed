"""Searching: what matches, in which order, and that it does not depend on the number of objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hsm_directory import Place, aes_key, data_object
from hypothesis import given
from hypothesis import strategies as st

from ptkc.spec.constants import CKA, CKK, CKO
from ptkc.spec.values import FALSE, TRUE, Template, ulong
from ptkc.token import find
from ptkc.token.tokens import Token

SECRET = ulong(CKO.SECRET_KEY)


@pytest.fixture
def logged_in(tmp_path: Path) -> Iterator[tuple[Token, bytes]]:
    """Return a token and its key."""
    hsm, token, key = Place(tmp_path).initialised()
    yield token, key
    hsm.close()


def test_objects_are_found_by_any_attribute(logged_in: tuple[Token, bytes]) -> None:
    """Attributes with rows in the index, attributes without, alone and together."""
    token, key = logged_in
    one = token.add(aes_key(b"one", id=b"\1", sign=FALSE), key)
    two = token.add(aes_key(b"two", id=b"\2"), key)
    data = token.add(data_object(b"one", b"value"), None)
    expected: dict[Template, list[int]] = {
        (): [one, two, data],
        ((CKA.LABEL, b"one"),): [one, data],
        ((CKA.LABEL, b"one"), (CKA.CLASS, SECRET)): [one],
        ((CKA.CLASS, SECRET), (CKA.KEY_TYPE, ulong(CKK.AES))): [one, two],
        ((CKA.SIGN, TRUE),): [two],
        ((CKA.SIGN, TRUE), (CKA.ID, b"\1")): [],
        ((CKA.SIGN, FALSE), (CKA.ID, b"\1")): [one],
        ((CKA.VALUE, b"value"),): [data],
        ((CKA.LABEL, b"three"),): [],
        ((CKA.LABEL, b""),): [],
        ((CKA.MODULUS, b"1"),): [],
        ((CKA.LABEL, None),): [],
    }
    assert expected == {template: token.find(template, key) for template in expected}


def test_token_and_private_choose_among_objects(logged_in: tuple[Token, bytes]) -> None:
    """CKA_TOKEN is true for all, CKA_PRIVATE as the object was made."""
    token, key = logged_in
    private, public = token.add(aes_key(b"a"), key), token.add(data_object(b"a"), None)
    assert [private, public] == token.find(((CKA.TOKEN, TRUE),), key)
    assert [] == token.find(((CKA.TOKEN, FALSE),), key)
    assert [private] == token.find(((CKA.PRIVATE, TRUE),), key)
    assert [public] == token.find(((CKA.PRIVATE, FALSE), (CKA.LABEL, b"a")), key)
    assert [] == token.find(((CKA.PRIVATE, TRUE), (CKA.PRIVATE, FALSE)), key)


def test_private_objects_are_found_with_the_key_only(logged_in: tuple[Token, bytes]) -> None:
    """Nobody logged in sees public objects only."""
    token, key = logged_in
    token.add(aes_key(b"a"), key)
    public = token.add(data_object(b"a"), None)
    assert [public] == token.find((), None)
    assert [public] == token.find(((CKA.LABEL, b"a"),), None)
    assert [] == token.find(((CKA.PRIVATE, TRUE),), None)


@pytest.mark.parametrize("attribute", sorted(find._MATERIAL))
def test_key_material_never_matches(logged_in: tuple[Token, bytes], attribute: int) -> None:
    """Not even with the right value, which a search would otherwise confirm."""
    token, key = logged_in
    attributes = {**aes_key(b"a"), attribute: b"material"}
    token.add(attributes, key)
    assert [] == token.find(((attribute, b"material"),), key)


def test_what_is_found_follows_changes_and_removals(logged_in: tuple[Token, bytes]) -> None:
    """The index is part of the record's transaction."""
    token, key = logged_in
    attributes = aes_key(b"old", id=b"1")
    number = token.add(attributes, key)
    _, version = token.load(number, key) or ({}, 0)
    token.replace(number, version, {**attributes, CKA.LABEL: b"new", CKA.SIGN: FALSE}, key)
    assert [] == token.find(((CKA.LABEL, b"old"),), key)
    assert [] == token.find(((CKA.SIGN, TRUE),), key)
    assert [number] == token.find(((CKA.LABEL, b"new"), (CKA.SIGN, FALSE), (CKA.ID, b"1")), key)
    token.remove(number)
    assert [] == token.find(((CKA.ID, b"1"),), key)
    assert [] == token.find((), key)


def test_a_selective_attribute_decides_how_much_is_looked_at(
    logged_in: tuple[Token, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the class all objects share nor a label all share makes a search read them all."""
    token, key = logged_in
    token.add_many([aes_key(b"same", id=b"%d" % number) for number in range(700)], key)
    [expected] = token.find(((CKA.ID, b"500"),), key)
    rows: list[int] = []
    store = type(token._hsm.store)
    candidates = store.candidates

    def counted(self: object, terms: tuple[int, ...], limit: int) -> list[tuple[int, bytes]]:
        found = candidates(self, terms, limit)  # type: ignore[arg-type]
        rows.append(len(found))
        return found

    monkeypatch.setattr(store, "candidates", counted)
    for template in (
        ((CKA.CLASS, SECRET), (CKA.ID, b"500")),
        ((CKA.LABEL, b"same"), (CKA.CLASS, SECRET), (CKA.SIGN, TRUE), (CKA.ID, b"500")),
        ((CKA.CLASS, SECRET), (CKA.KEY_TYPE, ulong(CKK.AES)), (CKA.SUBJECT, b""), (CKA.ID, b"500")),
    ):
        token.find(template, key)
    assert [1, 1, 1] == rows

    [unique] = token.find(((CKA.ID, b"77"), (CKA.LABEL, b"same")), key)
    rows.clear()
    monkeypatch.setattr(find, "_rank", lambda row: -row[0])  # the worst order: the shared label comes first
    assert [expected] == token.find(((CKA.ID, b"500"), (CKA.LABEL, b"same")), key)
    assert [1] == rows
    monkeypatch.setattr(find, "_rank", lambda row: row[0])
    assert [unique] == token.find(((CKA.ID, b"77"), (CKA.LABEL, b"same")), key)
    assert [1, 64, 1] == rows


LABELS = [b"", b"a", b"b"]
TEMPLATES = st.lists(
    st.one_of(
        st.tuples(st.just(CKA.LABEL), st.sampled_from(LABELS)),
        st.tuples(st.just(CKA.ID), st.sampled_from([b"", b"\0", b"\1"])),
        st.tuples(st.just(CKA.CLASS), st.sampled_from([SECRET, ulong(CKO.DATA)])),
        st.tuples(st.sampled_from([CKA.SIGN, CKA.PRIVATE, CKA.TOKEN]), st.sampled_from([TRUE, FALSE])),
    ),
    max_size=4,
).map(tuple)


def test_a_search_gives_what_comparing_every_object_gives(tmp_path_factory: pytest.TempPathFactory) -> None:
    """For any template over a fixed mixture of objects, logged in or not."""
    hsm, token, key = Place(tmp_path_factory.mktemp("hsm")).initialised()
    mixture = [
        aes_key(label, id=identity, sign=sign)
        for label in LABELS for identity in (b"", b"\0", b"\1") for sign in (TRUE, FALSE)
    ] + [data_object(label) for label in LABELS]  # fmt: skip
    numbers = token.add_many(mixture, key)

    @given(TEMPLATES, st.booleans())
    def compare(template: Template, login: bool) -> None:  # noqa: FBT001
        expected = [
            number
            for number, attributes in zip(numbers, mixture, strict=True)
            if all(attributes.get(attribute) == value for attribute, value in template)
            and (login or attributes[CKA.PRIVATE] == FALSE)
        ]
        assert expected == token.find(template, key if login else None)

    compare()
    hsm.close()

"""Attributes of storage objects: what a template may say, what C_SetAttributeValue may change, unique ids."""

from __future__ import annotations

from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKO, CKR, CKU

from .cryptoki import NULL, Cryptoki, Refused, Session, expect
from .fresh_token import SO_PIN, USER_PIN
from .keys import DATA, aes, certificate

_REFUSALS = (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT)


def test_label_can_be_changed(session: Session) -> None:
    """CKA_LABEL may be changed after creation (4.4)."""
    handle = session.create(DATA)
    session.set(handle, {CKA.LABEL: "changed"})
    assert b"changed" == session.get(handle, CKA.LABEL)


@pytest.mark.parametrize("kind", ["TOKEN", "PRIVATE", "MODIFIABLE", "DESTROYABLE", "CLASS"])
def test_storage_attribute_cannot_be_changed(session: Session, kind: str) -> None:
    """Of the storage attributes only the label may be changed (4.4)."""
    handle = session.create(DATA)
    attribute = getattr(CKA, kind)
    value: Any = CKO.CERTIFICATE if kind == "CLASS" else not session.flag(handle, attribute)
    expect(_REFUSALS, session.set, handle, {attribute: value})


def test_copyable_cannot_become_true_again(session: Session) -> None:
    """CKA_COPYABLE is not set to true once it is false (4.4)."""
    handle = session.create(DATA | {CKA.COPYABLE: False})
    expect((*_REFUSALS, CKR.ACTION_PROHIBITED), session.set, handle, {CKA.COPYABLE: True})


def test_object_that_is_not_modifiable_keeps_its_label(session: Session) -> None:
    """CKA_MODIFIABLE false: CKR_ACTION_PROHIBITED (5.7)."""
    handle = session.create(DATA | {CKA.MODIFIABLE: False})
    expect(CKR.ACTION_PROHIBITED, session.set, handle, {CKA.LABEL: "changed"})
    assert b"a data object" == session.get(handle, CKA.LABEL)


def test_refused_change_changes_nothing(session: Session) -> None:
    """If one attribute of the template is refused, the others are not changed either."""
    handle = session.create(DATA)
    expect(_REFUSALS, session.set, handle, {CKA.LABEL: "changed", CKA.CLASS: CKO.CERTIFICATE})
    assert b"a data object" == session.get(handle, CKA.LABEL)


def test_private_object_of_a_public_template_stays_where_it_is(session: Session) -> None:
    """A data object is private only if asked for here: the template's value is what counts."""
    assert not session.flag(session.create(DATA), CKA.PRIVATE)
    assert session.flag(session.create(DATA | {CKA.PRIVATE: True}), CKA.PRIVATE)


def test_unique_id_is_given_to_each_object(session: Session) -> None:
    """Each object, a copy too, has a CKA_UNIQUE_ID of its own (4.3.2)."""
    first = session.create(DATA)
    handles = [first, session.create(DATA), session.copy(first, {})]
    ids = {session.get(handle, CKA.UNIQUE_ID) for handle in handles}
    assert 3 == len(ids)
    assert b"" not in ids


def test_unique_id_finds_its_object(session: Session) -> None:
    """A search for one CKA_UNIQUE_ID gives one object (5.7)."""
    handles = [session.create(DATA) for _ in range(3)]
    assert [handles[1]] == session.find({CKA.UNIQUE_ID: session.get(handles[1], CKA.UNIQUE_ID)})


def test_unique_id_cannot_be_chosen(session: Session) -> None:
    """A template with CKA_UNIQUE_ID is CKR_ATTRIBUTE_READ_ONLY: to create, copy or change (4.3.2)."""
    handle = session.create(DATA)
    expect(CKR.ATTRIBUTE_READ_ONLY, session.create, DATA | {CKA.UNIQUE_ID: "mine"})
    expect(CKR.ATTRIBUTE_READ_ONLY, session.copy, handle, {CKA.UNIQUE_ID: "mine"})
    expect(CKR.ATTRIBUTE_READ_ONLY, session.set, handle, {CKA.UNIQUE_ID: "mine"})


@pytest.mark.parametrize("kind", ["CLASS", "KEY_TYPE", "VALUE"])
def test_required_attribute_is_required(session: Session, kind: str) -> None:
    """A secret key without class, type or value is CKR_TEMPLATE_INCOMPLETE (footnote 1)."""
    template: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: 0x1F, CKA.VALUE: bytes(16)}
    del template[getattr(CKA, kind)]
    expect(CKR.TEMPLATE_INCOMPLETE, session.create, template)


@pytest.mark.parametrize("kind", ["CERTIFICATE_TYPE", "SUBJECT"])
def test_required_attribute_of_a_certificate_is_required(session: Session, kind: str) -> None:
    """A certificate without type or subject is CKR_TEMPLATE_INCOMPLETE (4.6)."""
    template = certificate()
    del template[getattr(CKA, kind)]
    expect(CKR.TEMPLATE_INCOMPLETE, session.create, template)


def test_certificate_without_value_and_url_is_incomplete(session: Session) -> None:
    """A certificate needs its value, or else a URL with the hashes of its keys (4.6.3)."""
    template = certificate()
    del template[CKA.VALUE]
    expect((CKR.TEMPLATE_INCOMPLETE, CKR.TEMPLATE_INCONSISTENT), session.create, template)


def test_empty_template_is_incomplete(session: Session) -> None:
    """No attribute at all is CKR_TEMPLATE_INCOMPLETE."""
    expect(CKR.TEMPLATE_INCOMPLETE, session.create, {})


def test_unknown_attribute_is_refused(session: Session) -> None:
    """An attribute neither Cryptoki nor the token knows is CKR_ATTRIBUTE_TYPE_INVALID (4.1.1)."""
    expect(CKR.ATTRIBUTE_TYPE_INVALID, session.create, DATA | {0x7FFF1234: b"x"})
    expect(CKR.ATTRIBUTE_TYPE_INVALID, session.set, session.create(DATA), {0x7FFF1234: b"x"})


def test_attribute_of_another_class_is_refused(session: Session) -> None:
    """A known attribute that a data object cannot have is refused (4.1.1)."""
    codes = (CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_TYPE_INVALID)
    expect(codes, session.create, DATA | {CKA.MODULUS_BITS: 2048})


@pytest.mark.parametrize(
    ("kind", "value"),
    [("TOKEN", b""), ("TOKEN", b"\0\0"), ("TOKEN", NULL), ("CLASS", b"\0"), ("CLASS", bytes(9)), ("CLASS", 0x7FFF1234)],
    ids=["no-flag", "long-flag", "null-flag", "short-number", "long-number", "unknown-class"],
)
def test_value_of_the_wrong_length_is_refused(session: Session, kind: str, value: Any) -> None:  # noqa: ANN401
    """A CK_BBOOL is one byte, a CK_ULONG is eight, a class is a known one: CKR_ATTRIBUTE_VALUE_INVALID."""
    template = DATA | {getattr(CKA, kind): None if value is NULL else value}
    expect((CKR.ATTRIBUTE_VALUE_INVALID, CKR.TEMPLATE_INCONSISTENT), session.create, template)


def test_flag_that_is_neither_true_nor_false_is_refused(session: Session) -> None:
    """A CK_BBOOL of 2 is CKR_ATTRIBUTE_VALUE_INVALID; it never comes back as 2."""
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, DATA | {CKA.COPYABLE: b"\2"})


def test_attribute_given_twice_with_two_values_is_refused(session: Session) -> None:
    """Two values for one attribute are CKR_TEMPLATE_INCONSISTENT (4.1.1)."""
    template = [*DATA.items(), (CKA.LABEL, "another")]
    expect(CKR.TEMPLATE_INCONSISTENT, session.create, template)


def test_attribute_given_twice_with_one_value_is_once_or_refused(session: Session) -> None:
    """The same value twice counts once, as 4.1.1 encourages, or is CKR_TEMPLATE_INCONSISTENT, as it allows."""
    template = [*DATA.items(), (CKA.LABEL, DATA[CKA.LABEL])]
    before = len(session.find(DATA))
    try:
        handle = session.create(template)
    except Refused as refused:
        assert CKR.TEMPLATE_INCONSISTENT == refused.rv  # noqa: PT017
        assert before == len(session.find(DATA))
    else:
        assert b"a data object" == session.get(handle, CKA.LABEL)


def test_refused_creation_makes_no_object(session: Session) -> None:
    """After a refused C_CreateObject nothing is there."""
    expect(CKR.ATTRIBUTE_TYPE_INVALID, session.create, DATA | {CKA.TOKEN: True, 0x7FFF1234: b"x"})
    assert [] == session.find(DATA)


def test_trusted_is_for_the_so(session: Session) -> None:
    """CKA_TRUSTED true is refused to the user (footnote 10)."""
    codes = (*_REFUSALS, CKR.USER_NOT_LOGGED_IN, CKR.ATTRIBUTE_VALUE_INVALID)
    expect(codes, session.create, certificate(TRUSTED=True))
    expect(codes, session.set, session.create(certificate()), {CKA.TRUSTED: True})
    expect(codes, session.set, aes(session, WRAP=True), {CKA.TRUSTED: True})


def test_trusted_certificate_is_made_by_the_so(cryptoki: Cryptoki, changeable: int) -> None:
    """The SO makes a public certificate with CKA_TRUSTED, and the user sees it (footnote 10)."""
    session = cryptoki.open(changeable)
    session.login(SO_PIN, CKU.SO)
    session.create(certificate(TOKEN=True, TRUSTED=True))
    session.logout()
    session.login(USER_PIN)
    assert session.flag(session.find(certificate())[0], CKA.TRUSTED)


def test_trusted_can_be_set_by_the_so(cryptoki: Cryptoki, changeable: int) -> None:
    """The SO sets CKA_TRUSTED on a public certificate that is there already (footnote 10)."""
    session = cryptoki.open(changeable)
    handle = session.create(certificate(TOKEN=True))
    session.login(SO_PIN, CKU.SO)
    session.set(handle, {CKA.TRUSTED: True})
    assert session.flag(handle, CKA.TRUSTED)

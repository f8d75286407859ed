"""C_CreateObject, C_CopyObject, C_DestroyObject, C_GetObjectSize: token and session objects, read-only sessions."""

from __future__ import annotations

from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKC, CKK, CKM, CKO, CKR

from .cryptoki import NULL, UNAVAILABLE, Cryptoki, Session, expect
from .fresh_token import USER_PIN
from .keys import DATA, certificate, generate_aes

_TOKEN = {CKA.TOKEN: True}
_NO_OBJECT = 2**40 + 7
_PRIME = (2**1024 - 105).to_bytes(128, "big")


def test_data_object_has_the_values_given(session: Session) -> None:
    """What the template said is what the object says."""
    given = {CKA.APPLICATION: b"an application", CKA.OBJECT_ID: b"\x06\x01\x2a", CKA.LABEL: b"label", CKA.VALUE: b"v"}
    handle = session.create(DATA | given)
    assert given == {kind: session.get(handle, kind) for kind in given}


def test_data_object_has_defaults(session: Session) -> None:
    """Without a word in the template: a session object, modifiable, copyable, destroyable, empty strings."""
    handle = session.create({CKA.CLASS: CKO.DATA})
    assert not session.flag(handle, CKA.TOKEN)
    assert all(session.flag(handle, kind) for kind in (CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE))
    assert {b""} == {session.get(handle, kind) for kind in (CKA.LABEL, CKA.APPLICATION, CKA.OBJECT_ID, CKA.VALUE)}


def test_token_object_outlives_its_session(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """A token object stays when the session that made it is closed; its handle too, while the application lives."""
    maker = cryptoki.open(slot)
    handle = maker.create(DATA | _TOKEN)
    maker.close()
    assert [handle] == session.find(DATA)
    assert b"value" == session.get(handle, CKA.VALUE)


def test_certificate_object_has_the_values_given(session: Session) -> None:
    """An X.509 certificate object with the attributes 4.6.3 names."""
    handle = session.create(certificate(ID=b"id", ISSUER=b"0\0", SERIAL_NUMBER=b"\x02\x01\x05"))
    assert CKC.X_509 == session.number(handle, CKA.CERTIFICATE_TYPE)
    assert (b"id", b"0\0", b"\x02\x01\x05") == tuple(
        session.get(handle, kind) for kind in (CKA.ID, CKA.ISSUER, CKA.SERIAL_NUMBER)
    )
    assert not session.flag(handle, CKA.TRUSTED)
    assert 0 == session.number(handle, CKA.CERTIFICATE_CATEGORY)


def test_domain_parameter_object_has_the_values_given(session: Session) -> None:
    """Diffie-Hellman domain parameters made by C_CreateObject are kept, and not local."""
    handle = session.create(
        {CKA.CLASS: CKO.DOMAIN_PARAMETERS, CKA.KEY_TYPE: CKK.DH, CKA.PRIME: _PRIME, CKA.BASE: b"\x02"}
    )
    assert (_PRIME, b"\x02") == (session.get(handle, CKA.PRIME), session.get(handle, CKA.BASE))
    assert not session.flag(handle, CKA.LOCAL)


def test_copy_has_the_values_of_its_original(session: Session) -> None:
    """A copy with an empty template differs in its handle only."""
    handle = session.create(DATA)
    copy = session.copy(handle, {})
    assert handle != copy
    assert (b"a data object", b"value") == (session.get(copy, CKA.LABEL), session.get(copy, CKA.VALUE))


def test_copy_takes_new_values_from_the_template(session: Session) -> None:
    """The copy gets the new label, the original keeps its own."""
    handle = session.create(DATA)
    copy = session.copy(handle, {CKA.LABEL: "copy"})
    assert (b"a data object", b"copy") == (session.get(handle, CKA.LABEL), session.get(copy, CKA.LABEL))


@pytest.mark.parametrize("kind", [CKA.TOKEN, CKA.PRIVATE], ids=["token", "private"])
def test_copy_can_become_a_token_or_private_object(session: Session, kind: int) -> None:
    """A copy may change CKA_TOKEN and CKA_PRIVATE (4.1.3)."""
    copy = session.copy(session.create(DATA), {kind: True})
    assert session.flag(copy, kind)
    assert b"value" == session.get(copy, CKA.VALUE)


def test_copy_can_lose_modifiable(session: Session) -> None:
    """A copy may be made unmodifiable (4.1.3)."""
    copy = session.copy(session.create(DATA), {CKA.MODIFIABLE: False})
    assert not session.flag(copy, CKA.MODIFIABLE)


def test_copy_of_what_is_not_copyable_is_refused(session: Session) -> None:
    """CKA_COPYABLE false: CKR_ACTION_PROHIBITED."""
    expect(CKR.ACTION_PROHIBITED, session.copy, session.create(DATA | {CKA.COPYABLE: False}), {})


def test_copy_cannot_change_the_class(session: Session) -> None:
    """The class is no modifiable attribute."""
    handle = session.create(DATA)
    expect((CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT), session.copy, handle, {CKA.CLASS: CKO.CERTIFICATE})


@pytest.mark.needs(CKM.AES_KEY_GEN)
def test_copied_key_keeps_its_history(session: Session) -> None:
    """A copy keeps local, mechanism and always-sensitive (5.7)."""
    kinds = (CKA.LOCAL, CKA.KEY_GEN_MECHANISM, CKA.ALWAYS_SENSITIVE)
    key = generate_aes(session, SENSITIVE=True, EXTRACTABLE=True)
    copy = session.copy(key, {CKA.EXTRACTABLE: False})
    assert [session.get(key, kind) for kind in kinds] == [session.get(copy, kind) for kind in kinds]
    assert session.flag(copy, CKA.LOCAL)


@pytest.mark.needs(CKM.AES_KEY_GEN)
def test_copied_key_that_was_extractable_has_been_extractable(session: Session) -> None:
    """Losing CKA_EXTRACTABLE in a copy does not make it never-extractable (5.7)."""
    copy = session.copy(generate_aes(session, EXTRACTABLE=True), {CKA.EXTRACTABLE: False})
    assert (False, False) == (session.flag(copy, CKA.EXTRACTABLE), session.flag(copy, CKA.NEVER_EXTRACTABLE))


@pytest.mark.needs(CKM.AES_KEY_GEN)
@pytest.mark.parametrize(("kind", "value"), [(CKA.SENSITIVE, False), (CKA.EXTRACTABLE, True)], ids=["plain", "loose"])
def test_copied_key_cannot_be_less_protected(session: Session, kind: int, value: bool) -> None:  # noqa: FBT001
    """A copy cannot become insensitive or extractable."""
    key = generate_aes(session, SENSITIVE=True, EXTRACTABLE=False)
    codes = (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT, CKR.ATTRIBUTE_VALUE_INVALID)
    expect(codes, session.copy, key, {kind: value})


def test_destroyed_object_is_no_object(session: Session) -> None:
    """After C_DestroyObject the handle is CKR_OBJECT_HANDLE_INVALID, to destroy it again too."""
    handle = session.create(DATA)
    session.destroy(handle)
    expect(CKR.OBJECT_HANDLE_INVALID, session.get, handle, CKA.LABEL)
    expect(CKR.OBJECT_HANDLE_INVALID, session.destroy, handle)


def test_object_that_is_not_destroyable_stays(session: Session) -> None:
    """CKA_DESTROYABLE false: CKR_ACTION_PROHIBITED."""
    handle = session.create(DATA | {CKA.DESTROYABLE: False})
    expect(CKR.ACTION_PROHIBITED, session.destroy, handle)
    assert b"value" == session.get(handle, CKA.VALUE)


def test_size_of_an_object_is_a_number(session: Session) -> None:
    """C_GetObjectSize gives at least the value's length, or says that it is unknown."""
    size = session.size(session.create(DATA | {CKA.VALUE: bytes(500)}))
    assert size >= 500 or size == UNAVAILABLE


@pytest.mark.parametrize("name", ["size", "destroy", "copy", "get", "set"])
def test_unknown_object_is_refused(session: Session, name: str) -> None:
    """A handle that was never given is CKR_OBJECT_HANDLE_INVALID."""
    more: dict[str, Any] = {"copy": {}, "get": CKA.LABEL, "set": {CKA.LABEL: "x"}}
    arguments = [more[name]] if name in more else []
    expect(CKR.OBJECT_HANDLE_INVALID, getattr(session, name), _NO_OBJECT, *arguments)


def test_object_without_a_place_for_the_handle_is_refused(session: Session) -> None:
    """A NULL pointer for the new handle is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, session.call, "C_CreateObject", NULL, 0, NULL)


def _read_only(cryptoki: Cryptoki, slot: int) -> Session:
    """Return a R/O user session beside no R/W one."""
    session = cryptoki.open_read_only(slot)
    session.login(USER_PIN)
    return session


def test_read_only_session_makes_and_destroys_session_objects(cryptoki: Cryptoki, alone: int) -> None:
    """Session objects are free in a R/O session: create, modify, copy, destroy."""
    session = _read_only(cryptoki, alone)
    handle = session.create(DATA)
    session.set(handle, {CKA.LABEL: "changed"})
    session.destroy(session.copy(handle, {}), handle)


def test_read_only_session_makes_no_token_objects(cryptoki: Cryptoki, alone: int) -> None:
    """A token object in a R/O session is CKR_SESSION_READ_ONLY: created or copied."""
    session = _read_only(cryptoki, alone)
    expect(CKR.SESSION_READ_ONLY, session.create, DATA | _TOKEN)
    expect(CKR.SESSION_READ_ONLY, session.copy, session.create(DATA), _TOKEN)


@pytest.mark.needs(CKM.AES_KEY_GEN)
def test_read_only_session_generates_no_token_keys(cryptoki: Cryptoki, alone: int) -> None:
    """A generated token key in a R/O session is CKR_SESSION_READ_ONLY; a session key is fine."""
    session = _read_only(cryptoki, alone)
    expect(CKR.SESSION_READ_ONLY, generate_aes, session, TOKEN=True)
    generate_aes(session)


def test_read_only_session_changes_no_token_objects(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """A token object cannot be changed or destroyed in a R/O session: CKR_SESSION_READ_ONLY."""
    handle = session.create(DATA | _TOKEN)
    reading = cryptoki.open_read_only(slot)
    expect(CKR.SESSION_READ_ONLY, reading.set, handle, {CKA.LABEL: "changed"})
    expect(CKR.SESSION_READ_ONLY, reading.destroy, handle)
    assert b"a data object" == reading.get(handle, CKA.LABEL)
    reading.close()

"""Identity objects: sealed apart, shown on the Admin token, there after a tamper; and exchanges of objects."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN, Place, aes_key, data_object

from ptkc.spec.constants import CKA, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import FALSE, TRUE
from ptkc.token.events import Event, unpack
from ptkc.token.hsms import Hsm
from ptkc.token.identity import AdminToken
from ptkc.token.store import IDENTITY, TOKEN_SHIFT
from ptkc.token.tokens import ObjectChangedError

VALUE = b"material of the identity key, 32"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty data path."""
    return Place(tmp_path)


@pytest.fixture
def hsm(place: Place) -> Iterator[Hsm]:
    """Return an HSM whose Admin token has both PINs."""
    hsm = place.open()
    admin = hsm.tokens[-1]
    admin.initialise(SO_PIN, b"")
    admin.init_user_pin(admin.login(CKU.SO, SO_PIN), USER_PIN)
    yield hsm
    hsm.close()


@pytest.fixture
def admin(hsm: Hsm) -> AdminToken:
    """Return the Admin token."""
    admin = hsm.tokens[-1]
    assert isinstance(admin, AdminToken)
    return admin


@pytest.fixture
def key(admin: AdminToken) -> bytes:
    """Return the Admin token's key."""
    return admin.login(CKU.USER, USER_PIN)


@pytest.fixture
def objects(hsm: Hsm) -> list[int]:
    """Return the numbers of a private key and a public object among the identity objects."""
    return hsm.identity.exchange([], [aes_key(b"PIK", value=VALUE), data_object(b"PIC")])


def refusal(function: object, *arguments: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        function(*arguments)  # type: ignore[operator]
    return refused.value.code


def test_identity_objects_are_read_without_a_login(hsm: Hsm, objects: list[int]) -> None:
    """By the HSM itself; their numbers tell them from any token's."""
    assert objects == hsm.identity.find(())
    assert objects[:1] == hsm.identity.find(((CKA.LABEL, b"PIK"),)) == hsm.identity.find(((CKA.PRIVATE, TRUE),))
    assert objects[1:] == hsm.identity.find(((CKA.PRIVATE, FALSE),))
    assert VALUE == hsm.identity.load(objects[0])[0][CKA.VALUE]  # type: ignore[index]
    assert {IDENTITY} == {number >> TOKEN_SHIFT for number in objects}


def test_the_admin_token_shows_them_as_its_own(admin: AdminToken, key: bytes, objects: list[int]) -> None:
    """Private ones to who is logged in; behind its own objects."""
    assert objects[1:] == admin.find((), None)
    assert admin.load(objects[0], None) is None
    assert b"PIC" == admin.load(objects[1], None)[0][CKA.LABEL]  # type: ignore[index]
    own = admin.add_many([data_object(b"PIK"), aes_key(b"PIK")], key)
    assert own + objects == admin.find((), key)
    assert [*own, objects[0]] == admin.find(((CKA.LABEL, b"PIK"),), key)
    assert VALUE == admin.load(objects[0], key)[0][CKA.VALUE]  # type: ignore[index]
    admin.forget_private()
    assert admin.load(objects[0], None) is None


def test_other_tokens_do_not_show_them(hsm: Hsm, objects: list[int]) -> None:
    """Nor destroy them."""
    token = hsm.tokens[0]
    assert [] == token.find((), None)
    assert token.load(objects[1], None) is None
    assert CKR.OBJECT_HANDLE_INVALID == refusal(token.remove, objects[1])
    assert CKR.OBJECT_HANDLE_INVALID == refusal(token.exchange, [objects[1]], [])


def test_they_survive_a_tamper_and_a_new_admin_token(
    hsm: Hsm, admin: AdminToken, key: bytes, objects: list[int]
) -> None:
    """What is the Admin token's own does not."""
    own = admin.add(data_object(b"a"), key)
    hsm.tamper("test")
    assert objects == hsm.identity.find(())
    assert VALUE == hsm.identity.load(objects[0])[0][CKA.VALUE]  # type: ignore[index]
    assert admin.load(own, None) is None
    admin.initialise(SO_PIN, b"")
    admin.reset(admin.login(CKU.SO, SO_PIN), SO_PIN, b"")
    assert objects == admin.find((), admin.login(CKU.SO, SO_PIN))


def test_the_aso_does_not_take_the_administrators_place(admin: AdminToken, key: bytes, objects: list[int]) -> None:
    """With an Administrator the Admin token is neither initialised anew nor reset: CKR_ACTION_PROHIBITED."""
    assert CKR.ACTION_PROHIBITED == refusal(admin.initialise, SO_PIN, b"")
    assert CKR.ACTION_PROHIBITED == refusal(admin.reset, admin.login(CKU.SO, SO_PIN), SO_PIN, b"")
    assert (objects, key) == (admin.find((), key), admin.login(CKU.USER, USER_PIN))


def test_others_see_a_change_at_their_next_call(place: Place, hsm: Hsm, admin: AdminToken, objects: list[int]) -> None:
    """Through the identity and through the Admin token."""
    other = place.open()
    assert objects == other.identity.find(())
    assert other.identity.load(objects[1]) is not None
    (new,) = hsm.identity.exchange(objects[1:], [data_object(b"PIC 2")])
    assert [objects[0], new] == other.identity.find(())
    assert other.identity.load(objects[1]) is None
    assert [new] == other.tokens[-1].find((), None)
    other.tokens[-1].remove(new)
    assert [] == admin.find((), None)
    other.close()


def test_they_are_sealed_under_the_identity_root(place: Place, hsm: Hsm, objects: list[int]) -> None:
    """Keys are unreadable in the store; nothing changed, moved or of another HSM is taken for one."""
    serial = hsm.serial
    hsm.close()
    path = os.path.join(place.data_path, serial, "store.db")
    raw = Path(path).read_bytes()
    assert VALUE not in raw
    assert b"PIK" not in raw
    assert b"PIC" in raw
    for change in ("x'00' || content", f"(SELECT content FROM object WHERE number = {objects[0]})", "zeroblob(80)"):
        with closing(sqlite3.connect(path)) as link, link:
            (kept,) = link.execute("SELECT content FROM object WHERE number = ?", (objects[1],)).fetchone()
            link.execute(f"UPDATE object SET content = CAST({change} AS BLOB) WHERE number = {objects[1]}")
        again = place.open()
        assert CKR.DEVICE_ERROR == refusal(again.identity.load, objects[1])
        again.close()
        with closing(sqlite3.connect(path)) as link, link:
            link.execute("UPDATE object SET content = ? WHERE number = ?", (kept, objects[1]))
    with closing(sqlite3.connect(path)) as link, link:
        link.execute("UPDATE object SET private = 1 - private")
    again = place.open()
    for number in objects:
        assert CKR.DEVICE_ERROR == refusal(again.identity.load, number)
    again.close()


def test_an_exchange_is_all_or_nothing(hsm: Hsm, objects: list[int]) -> None:
    """CKR_OBJECT_HANDLE_INVALID if one that is to go is gone: nothing goes, nothing comes, nothing is logged."""
    before = hsm.events()
    hsm.identity.remove(objects[1])
    with pytest.raises(CryptokiError) as refused:
        hsm.identity.exchange(objects, [data_object(b"x")], events=((Event.IDENTITY_REPLACED, "x"),))
    assert CKR.OBJECT_HANDLE_INVALID == refused.value.code
    assert objects[:1] == hsm.identity.find(())
    assert before == hsm.events()
    (new,) = hsm.identity.exchange(objects[:1], [data_object(b"x")], events=((Event.IDENTITY_REPLACED, "x"),))
    assert [new] == hsm.identity.find(())
    assert (Event.IDENTITY_REPLACED, "x") == unpack(hsm.events()[-1])[1::2]


def test_an_exchange_can_ask_that_nothing_was_changed_since(place: Place, hsm: Hsm, objects: list[int]) -> None:
    """What was decided on the objects as they were is not done to others."""
    changes = hsm.identity.changes
    other = place.open()
    other.identity.exchange([], [data_object(b"peer")])
    with pytest.raises(ObjectChangedError):
        hsm.identity.exchange(objects, [], since=changes)
    hsm.identity.exchange(objects, [], since=hsm.identity.changes)
    assert 1 == len(other.identity.find(()))
    other.close()


def test_numbers_are_not_given_twice(hsm: Hsm, objects: list[int]) -> None:
    """Not after an exchange, not after a tamper."""
    hsm.identity.exchange(objects, [])
    hsm.tamper("test")
    assert objects[-1] < hsm.identity.add(data_object(b"a"), None)


def test_what_of_the_identity_is_remembered_is_dropped_with_its_change(hsm: Hsm, objects: list[int]) -> None:
    """Loaded objects and searches, of this process's own changes too."""
    loaded = hsm.identity.load(objects[1])
    assert loaded is hsm.identity.load(objects[1])
    hsm.next_count()
    assert loaded is not None
    version = hsm.identity.replace(objects[1], loaded[1], data_object(b"other"), None)
    assert (data_object(b"other"), version) == hsm.identity.load(objects[1])
    assert objects[1:] == hsm.identity.find(((CKA.LABEL, b"other"),))


def test_a_reset_empties_a_token_and_gives_it_a_new_key(hsm: Hsm) -> None:
    """CT_ResetToken by the SO: objects and user PIN are gone, SO PIN and label are new."""
    token = hsm.tokens[0]
    assert CKR.TOKEN_NOT_INITIALIZED == refusal(token.reset, b"", SO_PIN, b"")
    token.initialise(SO_PIN, b"old")
    key = token.login(CKU.SO, SO_PIN)
    token.init_user_pin(key, USER_PIN)
    token.add_many([aes_key(b"a"), data_object(b"b")], key)
    assert CKR.PIN_LEN_RANGE == refusal(token.reset, key, b"123", b"new")
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.reset, bytes(32), b"new-so-pin", b"new")
    token.reset(key, b"new-so-pin", b"new".ljust(32))
    assert (b"new", True, False) == (token.label, token.initialised, token.user_pin_set)
    assert CKR.PIN_INCORRECT == refusal(token.login, CKU.SO, SO_PIN)
    again = token.login(CKU.SO, b"new-so-pin")
    assert key != again
    assert CKR.USER_NOT_LOGGED_IN == refusal(token.find, (), key)
    assert [] == token.find((), again)


def test_a_user_pin_is_replaced_only_where_that_is_wanted(hsm: Hsm) -> None:
    """CKR_PIN_ALREADY_INITIALIZED with `replace` false."""
    token = hsm.tokens[0]
    token.initialise(SO_PIN, b"")
    key = token.login(CKU.SO, SO_PIN)
    token.init_user_pin(key, USER_PIN, replace=False)
    assert CKR.PIN_ALREADY_INITIALIZED == refusal(token.init_user_pin, key, b"another", False)  # noqa: FBT003
    token.init_user_pin(key, b"another")
    token.login(CKU.USER, b"another")

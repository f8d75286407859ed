"""C_GetAttributeValue: the five cases of its algorithm (5.7), alone and mixed in one template."""

from __future__ import annotations

from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKM, CKR

from .binding import ffi
from .cryptoki import NULL, UNAVAILABLE, Refused, Session, expect
from .keys import AES_KEY, DATA, aes, import_ec, private_ec

_LABEL = b"a data object"


def _ask(session: Session, handle: int, *wishes: tuple[int, int | None]) -> tuple[int, list[Any]]:
    """Ask for (type, buffer size or None) pairs in one call: return the code, and (length, buffer) of each."""
    array = ffi.new("CK_ATTRIBUTE[]", len(wishes))
    buffers = [NULL if size is None else ffi.new("CK_BYTE[]", b"\xaa" * (size + 1)) for _, size in wishes]
    for item, (kind, size), buffer in zip(array, wishes, buffers, strict=True):
        item.type, item.pValue, item.ulValueLen = kind, buffer, size or 0
    try:
        session.call("C_GetAttributeValue", handle, array, len(wishes))
    except Refused as refused:
        code = refused.rv
    else:
        code = CKR.OK
    return code, [(int(item.ulValueLen), buffer) for item, buffer in zip(array, buffers, strict=True)]


@pytest.fixture
def data(session: Session) -> int:
    """Give a data object."""
    return session.create(DATA)


@pytest.fixture
def secret(session: Session) -> int:
    """Give a sensitive key with a label."""
    return session.copy(aes(session), {CKA.SENSITIVE: True, CKA.LABEL: "secret"})


def test_null_buffer_asks_for_the_length(session: Session, data: int) -> None:
    """Case 3: with pValue NULL the exact length comes back."""
    assert (CKR.OK, [(len(_LABEL), NULL), (1, NULL)]) == _ask(session, data, (CKA.LABEL, None), (CKA.TOKEN, None))


@pytest.mark.parametrize("spare", [0, 1, 100])
def test_large_buffer_gets_value_and_length(session: Session, data: int, spare: int) -> None:
    """Case 4: the value is copied, the length is the value's, what is behind stays untouched."""
    code, [(length, buffer)] = _ask(session, data, (CKA.LABEL, len(_LABEL) + spare))
    assert (CKR.OK, len(_LABEL)) == (code, length)
    assert _LABEL + b"\xaa" * (spare + 1) == bytes(buffer[0 : len(_LABEL) + spare + 1])


def test_small_buffer_gets_nothing(session: Session, data: int) -> None:
    """Case 5: CKR_BUFFER_TOO_SMALL, the length unavailable, the buffer untouched."""
    code, [(length, buffer)] = _ask(session, data, (CKA.LABEL, len(_LABEL) - 1))
    assert (CKR.BUFFER_TOO_SMALL, UNAVAILABLE) == (code, length)
    assert b"\xaa" * len(_LABEL) == bytes(buffer[0 : len(_LABEL)])


@pytest.mark.parametrize("size", [None, 100])
def test_attribute_the_object_lacks_is_unavailable(session: Session, data: int, size: int | None) -> None:
    """Case 2: CKR_ATTRIBUTE_TYPE_INVALID and no length, whether a buffer is there or not."""
    for kind in (CKA.MODULUS, 0x7FFF1234):
        code, [(length, _)] = _ask(session, data, (kind, size))
        assert (CKR.ATTRIBUTE_TYPE_INVALID, UNAVAILABLE) == (code, length)


@pytest.mark.parametrize("size", [None, 0, 100])
def test_sensitive_attribute_is_unavailable(session: Session, secret: int, size: int | None) -> None:
    """Case 1: CKR_ATTRIBUTE_SENSITIVE and no length, whether a buffer is there or not."""
    code, [(length, buffer)] = _ask(session, secret, (CKA.VALUE, size))
    assert (CKR.ATTRIBUTE_SENSITIVE, UNAVAILABLE) == (code, length)
    if size:
        assert AES_KEY[:8] not in bytes(buffer[0:size])


@pytest.mark.parametrize("order", [1, -1])
def test_sensitive_attribute_does_not_keep_others_from_coming(session: Session, secret: int, order: int) -> None:
    """The rest of the template is answered even so, in whatever order."""
    code, found = _ask(session, secret, *[(CKA.LABEL, 6), (CKA.VALUE, 32), (CKA.TOKEN, 1)][::order])
    label, value, token = found[::order]
    assert CKR.ATTRIBUTE_SENSITIVE == code
    assert [6, UNAVAILABLE, 1] == [label[0], value[0], token[0]]
    assert (b"secret", b"\0") == (bytes(label[1][0:6]), bytes(token[1][0:1]))


def test_three_troubles_at_once_are_each_answered(session: Session, secret: int) -> None:
    """Sensitive, invalid and too small in one template: one of the three codes, and what can be read is read."""
    wishes = [(CKA.VALUE, 32), (CKA.MODULUS, 32), (CKA.LABEL, 1), (CKA.KEY_TYPE, 8)]
    code, found = _ask(session, secret, *wishes)
    assert code in {CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID, CKR.BUFFER_TOO_SMALL}
    assert [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, 8] == [length for length, _ in found]


def test_one_attribute_may_be_asked_for_twice(session: Session, data: int) -> None:
    """Each item of the template is answered by itself."""
    code, [first, second] = _ask(session, data, (CKA.LABEL, None), (CKA.LABEL, 20))
    assert (CKR.OK, len(_LABEL), len(_LABEL)) == (code, first[0], second[0])
    assert _LABEL == bytes(second[1][0 : len(_LABEL)])


def test_empty_value_has_length_zero(session: Session) -> None:
    """An empty attribute is there, with no bytes."""
    handle = session.create(DATA | {CKA.LABEL: ""})
    assert (CKR.OK, [(0, NULL)]) == _ask(session, handle, (CKA.LABEL, None))
    assert b"" == session.get(handle, CKA.LABEL)


def test_private_value_of_an_ec_key_is_sensitive(session: Session) -> None:
    """A sensitive EC private key shows its curve and not its value."""
    _, private = import_ec(session, private_ec(), None, {CKA.SENSITIVE: True})
    code, [(curve, _), (value, _)] = _ask(session, private, (CKA.EC_PARAMS, 32), (CKA.VALUE, 32))
    assert (CKR.ATTRIBUTE_SENSITIVE, 10, UNAVAILABLE) == (code, curve, value)


@pytest.mark.needs(CKM.AES_KEY_GEN)
def test_large_value_comes_back_whole(session: Session) -> None:
    """100,000 bytes are kept and returned."""
    value = bytes(range(250)) * 400
    assert value == session.get(session.create(DATA | {CKA.VALUE: value}), CKA.VALUE)


def test_null_template_is_refused(session: Session, data: int) -> None:
    """A NULL template with a count is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, session.call, "C_GetAttributeValue", data, NULL, 1)


def test_nested_template_is_given_in_three_steps(session: Session) -> None:
    """An array attribute: its length, then the inner types and lengths, then the inner values (5.7)."""
    inner = {CKA.KEY_TYPE: 0x1F, CKA.LABEL: "inner"}
    key = session.copy(aes(session, WRAP=True), {})
    session.destroy(key)
    key = session.create({CKA.CLASS: 4, CKA.KEY_TYPE: 0x1F, CKA.VALUE: AES_KEY, CKA.WRAP_TEMPLATE: inner})
    outer = ffi.new("CK_ATTRIBUTE *", {"type": CKA.WRAP_TEMPLATE})
    session.call("C_GetAttributeValue", key, outer, 1)
    count = outer.ulValueLen // ffi.sizeof("CK_ATTRIBUTE")
    assert 2 == count
    items = ffi.new("CK_ATTRIBUTE[]", [{"type": UNAVAILABLE}] * count)
    outer.pValue = items
    session.call("C_GetAttributeValue", key, outer, 1)
    buffers = [ffi.new("CK_BYTE[]", item.ulValueLen) for item in items]
    for item, buffer in zip(items, buffers, strict=True):
        item.pValue = buffer
    session.call("C_GetAttributeValue", key, outer, 1)
    found = {item.type: bytes(buffer) for item, buffer in zip(items, buffers, strict=True)}
    assert {CKA.KEY_TYPE: (0x1F).to_bytes(8, "little"), CKA.LABEL: b"inner"} == found

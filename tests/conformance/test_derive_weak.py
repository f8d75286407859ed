"""C_DeriveKey by joining and cutting (6.43): mechanisms that our module shows only where its administrator lets it.

For a module with an Admin token the flag is set through C_SetAttributeValue, as any program can; others are taken as
they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR, CKU

from .binding import ffi
from .cryptoki import Cryptoki, Session, expect
from .parameters import Mechanism
from .skips import unavailable

_BASE, _MORE = bytes.fromhex("01234567"), bytes.fromhex("89abcdef")
_NEW: dict[int, Any] = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
_OPEN = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_MECHANISMS = (
    CKM.CONCATENATE_BASE_AND_KEY, CKM.CONCATENATE_BASE_AND_DATA, CKM.CONCATENATE_DATA_AND_BASE,
    CKM.EXTRACT_KEY_FROM_KEY, CKM.XOR_BASE_AND_DATA,
)  # fmt: skip
_ADMIN_PIN = "administrator"


def _administer(cryptoki: Cryptoki, mode: int) -> None:
    """Set CKA_SECURITY_MODE on the Admin token, which is initialised if it was not; nothing without one."""
    admin = [slot for slot in cryptoki.slots() if cryptoki.token(slot).flags & CKF.ADMIN_TOKEN]
    for slot in admin:
        if not cryptoki.token(slot).flags & CKF.USER_PIN_INITIALIZED:
            cryptoki.init_token(slot, _ADMIN_PIN, "")
            session = cryptoki.open(slot)
            session.login(_ADMIN_PIN, CKU.SO)
            session.init_pin(_ADMIN_PIN)
            session.close()
        session = cryptoki.open(slot)
        session.login(_ADMIN_PIN)
        (adapter,) = session.find({CKA.CLASS: CKO.ADAPTER})
        session.set(adapter, {CKA.SECURITY_MODE: mode})
        session.close()


@pytest.fixture
def weak(session: Session, slot: int) -> Iterator[Session]:
    """Give a session of a token that has the mechanisms; skipped where a module has none of them."""
    _administer(session.cryptoki, CKF.WEAK_PKCS11_MECHANISM)
    if not set(_MECHANISMS) <= set(session.cryptoki.items("C_GetMechanismList", slot)):
        unavailable("CKM_CONCATENATE_…", "CKM_EXTRACT_KEY_FROM_KEY")
    yield session
    _administer(session.cryptoki, 0)


def secret(session: Session, value: bytes, **usage: bool) -> int:
    """Return a generic secret that derives and can be read, but for what `usage` says."""
    given = {getattr(CKA, name): flag for name, flag in usage.items()}
    return session.create({**_NEW, CKA.DERIVE: True, **_OPEN, CKA.VALUE: value, **given})


def key_data(kind: int, data: bytes) -> Mechanism:
    """Return a mechanism with CK_KEY_DERIVATION_STRING_DATA."""
    memory = ffi.new("CK_BYTE[]", data or b"\0")
    packed = int(ffi.cast("uintptr_t", memory)).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    return Mechanism(kind, packed, memory)


def number(kind: int, value: int) -> Mechanism:
    """Return a mechanism with a CK_ULONG: a handle, or a bit."""
    return Mechanism(kind, ffi.new("CK_ULONG *", value))


def test_data_behind_the_key(weak: Session) -> None:
    """The specification's example."""
    new = weak.derive(key_data(CKM.CONCATENATE_BASE_AND_DATA, _MORE), secret(weak, _BASE), _NEW | _OPEN)
    assert (_BASE + _MORE, 8) == (weak.get(new, CKA.VALUE), weak.number(new, CKA.VALUE_LEN))


def test_data_before_the_key(weak: Session) -> None:
    """The specification's example, and a shorter key: its beginning."""
    mechanism = key_data(CKM.CONCATENATE_DATA_AND_BASE, _MORE)
    base = secret(weak, _BASE)
    assert _MORE + _BASE == weak.get(weak.derive(mechanism, base, _NEW | _OPEN), CKA.VALUE)
    shorter = weak.derive(mechanism, base, _NEW | _OPEN | {CKA.VALUE_LEN: 5})
    assert (_MORE + _BASE)[:5] == weak.get(shorter, CKA.VALUE)


def test_two_keys(weak: Session) -> None:
    """The specification's example; the type may be another's if the length fits."""
    mechanism = number(CKM.CONCATENATE_BASE_AND_KEY, secret(weak, _MORE))
    base = secret(weak, _BASE)
    assert _BASE + _MORE == weak.get(weak.derive(mechanism, base, _NEW | _OPEN), CKA.VALUE)
    aes = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 16, **_OPEN}
    mechanism = number(CKM.CONCATENATE_BASE_AND_KEY, secret(weak, bytes(12)))
    assert _BASE + bytes(12) == weak.get(weak.derive(mechanism, base, aes), CKA.VALUE)


def test_key_and_data_mixed(weak: Session) -> None:
    """The specification's example; as long as the shorter of both, and no longer."""
    base = secret(weak, _BASE)
    new = weak.derive(key_data(CKM.XOR_BASE_AND_DATA, _MORE), base, _NEW | _OPEN)
    assert bytes.fromhex("88888888") == weak.get(new, CKA.VALUE)
    shorter = weak.derive(key_data(CKM.XOR_BASE_AND_DATA, _MORE[:2] + b"more data"), base, _NEW | _OPEN)
    assert (4, bytes.fromhex("8888")) == (weak.number(shorter, CKA.VALUE_LEN), weak.get(shorter, CKA.VALUE)[:2])
    codes = (CKR.TEMPLATE_INCONSISTENT, CKR.KEY_SIZE_RANGE, CKR.ATTRIBUTE_VALUE_INVALID)
    three = _NEW | _OPEN | {CKA.VALUE_LEN: 3}
    expect(codes, weak.derive, key_data(CKM.XOR_BASE_AND_DATA, _MORE[:2]), base, three)
    expect((CKR.MECHANISM_PARAM_INVALID, *codes), weak.derive, key_data(CKM.XOR_BASE_AND_DATA, b""), base, _NEW | _OPEN)


def test_bits_of_a_key(weak: Session) -> None:
    """The specification's example: from bit 21 on, round the end."""
    base = secret(weak, bytes.fromhex("329f84a9"))
    new = weak.derive(number(CKM.EXTRACT_KEY_FROM_KEY, 21), base, _NEW | _OPEN | {CKA.VALUE_LEN: 2})
    assert bytes.fromhex("9526") == weak.get(new, CKA.VALUE)


def test_more_than_there_is_is_refused(weak: Session) -> None:
    """8 bytes make no key of 9, nor 4 one of 5; a bit behind the end is no bit."""
    codes = (CKR.TEMPLATE_INCONSISTENT, CKR.KEY_SIZE_RANGE, CKR.ATTRIBUTE_VALUE_INVALID)
    base = secret(weak, _BASE)
    nine = _NEW | _OPEN | {CKA.VALUE_LEN: 9}
    expect(codes, weak.derive, key_data(CKM.CONCATENATE_BASE_AND_DATA, _MORE), base, nine)
    expect(codes, weak.derive, number(CKM.EXTRACT_KEY_FROM_KEY, 0), base, _NEW | _OPEN | {CKA.VALUE_LEN: 5})
    two = _NEW | _OPEN | {CKA.VALUE_LEN: 2}
    expect(CKR.MECHANISM_PARAM_INVALID, weak.derive, number(CKM.EXTRACT_KEY_FROM_KEY, 32), base, two)
    expect(CKR.TEMPLATE_INCOMPLETE, weak.derive, number(CKM.EXTRACT_KEY_FROM_KEY, 0), base, _NEW | _OPEN)


def test_the_new_key_is_protected_as_its_bases_are(weak: Session) -> None:
    """A sensitive base makes a sensitive key, one that cannot be extracted one that cannot be, whichever it is."""
    closed = secret(weak, _BASE, SENSITIVE=True, EXTRACTABLE=False)
    free = secret(weak, _MORE)
    made = [
        weak.derive(key_data(CKM.CONCATENATE_BASE_AND_DATA, _MORE), closed, _NEW | _OPEN),
        weak.derive(number(CKM.CONCATENATE_BASE_AND_KEY, free), closed, _NEW | _OPEN),
        weak.derive(number(CKM.CONCATENATE_BASE_AND_KEY, closed), free, _NEW | _OPEN),
        weak.derive(number(CKM.EXTRACT_KEY_FROM_KEY, 0), closed, _NEW | _OPEN | {CKA.VALUE_LEN: 2}),
        weak.derive(key_data(CKM.XOR_BASE_AND_DATA, _MORE), closed, _NEW | _OPEN),
    ]
    assert [(True, False)] * 5 == [(weak.flag(key, CKA.SENSITIVE), weak.flag(key, CKA.EXTRACTABLE)) for key in made]
    for key in made:
        expect(CKR.ATTRIBUTE_SENSITIVE, weak.get, key, CKA.VALUE)


def test_the_other_key_must_derive_too(weak: Session) -> None:
    """CKA_DERIVE false on the second key is CKR_KEY_FUNCTION_NOT_PERMITTED; no key at all CKR_KEY_HANDLE_INVALID."""
    base = secret(weak, _BASE)
    other = secret(weak, _MORE, DERIVE=False)
    kind = CKM.CONCATENATE_BASE_AND_KEY
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, weak.derive, number(kind, other), base, _NEW)
    expect((CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID), weak.derive, number(kind, 2**40), base, _NEW)


def test_parameters_that_are_none(weak: Session) -> None:
    """No parameter, or a wrong one, is CKR_MECHANISM_PARAM_INVALID."""
    base = secret(weak, _BASE)
    for kind in _MECHANISMS:
        for mechanism in (Mechanism(kind), Mechanism(kind, bytes(3))):
            expect((CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD), weak.derive, mechanism, base, _NEW)


def test_sensitive_key_is_not_found_byte_by_byte(session: Session, slot: int) -> None:
    """Attack: a key of one byte of another, which is guessed. Without the flag our module has no such mechanism."""
    if not [each for each in session.cryptoki.slots() if session.cryptoki.token(each).flags & CKF.ADMIN_TOKEN]:
        unavailable("security flags")
    closed = secret(session, _BASE, SENSITIVE=True, EXTRACTABLE=False)
    offered = set(session.cryptoki.items("C_GetMechanismList", slot))
    assert set() == set(_MECHANISMS) & offered
    one = _NEW | _OPEN | {CKA.VALUE_LEN: 1}
    expect(CKR.MECHANISM_INVALID, session.derive, key_data(CKM.XOR_BASE_AND_DATA, b"x"), closed, one)
    expect(CKR.MECHANISM_INVALID, session.derive, number(CKM.EXTRACT_KEY_FROM_KEY, 0), closed, one)
    expect(CKR.MECHANISM_INVALID, session.derive, key_data(CKM.CONCATENATE_DATA_AND_BASE, b"x"), closed, _NEW | _OPEN)

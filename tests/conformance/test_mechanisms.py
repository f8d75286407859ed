"""Each listed mechanism does what its flags say, and nothing else: asked by Init without a parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR

from .binding import ffi
from .cryptoki import Refused, Session, Template, code_name
from .keys import AES_KEY, generic, import_ec, import_rsa, private_ec, private_rsa
from .parameters import Mechanism

_NAMES = {number: name for name, number in vars(CKM).items() if not name.startswith("_")}
_NEVER = (CKR.MECHANISM_INVALID, CKR.FUNCTION_NOT_SUPPORTED, CKR.GENERAL_ERROR)
_USES = {getattr(CKA, name): True for name in ("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE")}


@pytest.fixture
def keys(session: Session) -> list[int]:
    """Give a key of each common type, for all uses."""
    public = {CKA.ENCRYPT: True, CKA.VERIFY: True, CKA.WRAP: True}
    private = {CKA.DECRYPT: True, CKA.SIGN: True, CKA.UNWRAP: True, CKA.DERIVE: True}
    secret = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY, CKA.EXTRACTABLE: True, **_USES}
    return [
        session.create(secret),
        generic(session, AES_KEY, SIGN=True, VERIFY=True, DERIVE=True),
        *import_rsa(session, private_rsa(), public, private),
        *import_ec(session, private_ec(), {CKA.VERIFY: True}, {CKA.SIGN: True, CKA.DERIVE: True}),
    ]


def _init(name: str) -> Callable[[Session, Any, int], None]:
    """Return a call of C_`name`Init."""
    return lambda session, mechanism, key: session.init(name, mechanism, key)


def _digest(session: Session, mechanism: Mechanism, _: int) -> None:
    session.call("C_DigestInit", mechanism.pointer)


def _generate(session: Session, mechanism: Mechanism, _: int) -> None:
    session.generate(mechanism, {})


def _pair(session: Session, mechanism: Mechanism, _: int) -> None:
    session.generate_pair(mechanism, {}, {})


def _wrap(session: Session, mechanism: Mechanism, key: int) -> None:
    session.call("C_WrapKey", mechanism.pointer, key, key, ffi.NULL, ffi.new("CK_ULONG *"))


def _unwrap(session: Session, mechanism: Mechanism, key: int) -> None:
    session.unwrap(mechanism, key, bytes(8), {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES})


def _derive(session: Session, mechanism: Mechanism, key: int) -> None:
    template = Template({CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET})
    session.call("C_DeriveKey", mechanism.pointer, key, template.array, template.count, ffi.new("CK_ULONG *"))


_OPERATIONS: dict[str, tuple[int, Callable[[Session, Any, int], None]]] = {
    "encrypt": (CKF.ENCRYPT, _init("Encrypt")),
    "decrypt": (CKF.DECRYPT, _init("Decrypt")),
    "sign": (CKF.SIGN, _init("Sign")),
    "verify": (CKF.VERIFY, _init("Verify")),
    "digest": (CKF.DIGEST, _digest),
    "generate": (CKF.GENERATE, _generate),
    "generate-pair": (CKF.GENERATE_KEY_PAIR, _pair),
    "wrap": (CKF.WRAP, _wrap),
    "unwrap": (CKF.UNWRAP, _unwrap),
    "derive": (CKF.DERIVE, _derive),
}


def _answers(session: Session, call: Callable[[Session, Any, int], None], mechanism: int, keys: list[int]) -> set[int]:
    """Return the codes for this mechanism with each of the keys; an operation that began is thrown away."""
    codes = set()
    for key in keys:
        own = session.cryptoki.open(session.info().slotID)
        try:
            call(own, Mechanism(mechanism), key)
            codes.add(CKR.OK)
        except Refused as refused:
            codes.add(refused.rv)
        own.close()
    return codes


@pytest.mark.parametrize("name", _OPERATIONS)
def test_listed_mechanism_can_be_begun(
    session: Session, keys: list[int], mechanisms: dict[int, int], name: str
) -> None:
    """With its flag a mechanism is never unknown: it begins, or its parameter, key or template is refused."""
    flag, call = _OPERATIONS[name]
    wrong = {}
    for mechanism in [kind for kind, flags in mechanisms.items() if flags & flag]:
        codes = _answers(session, call, mechanism, keys)
        if codes & set(_NEVER):
            wrong[_NAMES.get(mechanism, hex(mechanism))] = sorted(code_name(code) for code in codes)
    assert {} == wrong


@pytest.mark.parametrize("name", _OPERATIONS)
def test_mechanism_without_the_flag_is_invalid(
    session: Session, keys: list[int], mechanisms: dict[int, int], name: str
) -> None:
    """Without its flag a mechanism is CKR_MECHANISM_INVALID for this operation, whatever the key."""
    flag, call = _OPERATIONS[name]
    wrong = {}
    for mechanism in [kind for kind, flags in mechanisms.items() if not flags & flag]:
        codes = _answers(session, call, mechanism, keys[:1])
        if codes != {CKR.MECHANISM_INVALID}:
            wrong[_NAMES.get(mechanism, hex(mechanism))] = sorted(code_name(code) for code in codes)
    assert {} == wrong

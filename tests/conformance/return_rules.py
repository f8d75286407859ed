"""How a right call becomes one that a code is for: one rule for each code, the same for all functions.

A rule takes a `Call` and changes it. The pairs that need more than an argument changed are in `return_cases`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptkc.spec.constants import CKA, CKM

from .binding import ffi
from .cryptoki import NULL, Session, Template
from .keys import aes, import_rsa, private_rsa
from .parameters import Mechanism
from .right_calls import Call, rsa_pair

__all__ = ["RULES", "usage_free"]

_NOBODY = 0x00FFFFFF
_UNKNOWN = Mechanism(0x7FFF0001)
_KEYS = ("key", "base_key", "public_key")
_UNWRAPPING = ("unwrapping_key", "private_key")
Rule = Callable[[Call], Any]


def _session(call: Call) -> None:
    call.change("session", _NOBODY)


def _null(call: Call) -> None:
    """Make a pointer NULL that must not be: of what comes out, else of what goes in."""
    for kind in ("buffer", "last_buffer", "list"):
        if name := call.field(kind):
            call.change(name, call.arguments[name][0], NULL)
            return
    if name := call.field("found"):
        call.change(name, call.arguments[name][0], 16, NULL)
    elif name := call.field("fill"):
        call.change(name, NULL, 32)
    elif name := call.field("bytes", "last", "template", "types", "secret"):
        call.change(name, NULL, 3)
    elif name := call.field("ulong_out", "session_info", "async_data", "name"):
        call.change(name, NULL)
    else:
        call.change(list(call.arguments)[-1], NULL)


def _other_session(call: Call) -> None:
    call.change("session", call.session.cryptoki.open(int(call.session.info().slotID)).handle)


def _mechanism(call: Call) -> None:
    call.change("mechanism", _UNKNOWN.pointer)


def _parameter(call: Call) -> None:
    if "parameter" in call.arguments:
        call.change("parameter", ffi.new("CK_BYTE[3]"), 3)
        return
    wrong = Mechanism(call.arguments["mechanism"][0].mechanism, b"\1\2\3")
    call.kept.append(wrong)
    call.change("mechanism", wrong.pointer)


def _named(*names: str, value: Callable[[Call], int]) -> Rule:
    def rule(call: Call) -> None:
        name = next(name for name in names if call.kinds.get(name) == "handle")
        call.arguments[name] = (value(call),)

    return rule


def _nobody(_: Call) -> int:
    return _NOBODY


def _is_rsa(call: Call) -> bool:
    return bool(call.arguments["mechanism"][0].mechanism == CKM.RSA_PKCS)


def _alien(call: Call) -> int:
    """Create a key of another type."""
    if _is_rsa(call) or call.arguments["mechanism"][0].mechanism in (CKM.ML_KEM, CKM.ECDH1_DERIVE):
        return aes(call.session)
    return rsa_pair(call.session)[0]


def usage_free(session: Session, *, private: bool | None = None) -> int:
    """Create an AES key, or half a pair of RSA keys, that may not be used for anything."""
    uses = ("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE")
    if private is None:
        return aes(session, **dict.fromkeys(uses, False))
    none = dict.fromkeys((CKA.ENCRYPT, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.WRAP), False)
    no = dict.fromkeys((CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.UNWRAP), False)
    return import_rsa(session, private_rsa(), none, no)[private]


def _useless(call: Call) -> int:
    return usage_free(call.session, private=call.function == "C_SignRecoverInit" if _is_rsa(call) else None)


def _room(call: Call) -> None:
    name = call.field("buffer", "last_buffer", "list")
    assert name
    call.change(name, call.arguments[name][0], ffi.new("CK_ULONG *", 0 if call.kinds[name] == "list" else 1))


def _template(change: Callable[[list[tuple[int, Any]]], list[tuple[int, Any]]]) -> Rule:
    def rule(call: Call) -> None:
        name = next(name for name in ("template", "public") if name in call.arguments)
        given = call.kept[0][name]
        template = Template(change(list(given.items())))
        call.kept.append(template)
        call.change(name, template.array, template.count)

    return rule


def _added(*entries: tuple[int, Any]) -> Rule:
    return _template(lambda given: [*given, *entries])


def _again(call: Call) -> None:
    call.run()


RULES: dict[str, Rule] = {
    "OK": lambda _: None,
    "SESSION_HANDLE_INVALID": _session,
    "ARGUMENTS_BAD": _null,
    "OPERATION_NOT_INITIALIZED": _other_session,
    "OPERATION_ACTIVE": _again,
    "MECHANISM_INVALID": _mechanism,
    "MECHANISM_PARAM_INVALID": _parameter,
    "KEY_HANDLE_INVALID": _named(*_KEYS, value=_nobody),
    "WRAPPING_KEY_HANDLE_INVALID": _named("wrapping_key", value=_nobody),
    "UNWRAPPING_KEY_HANDLE_INVALID": _named(*_UNWRAPPING, value=_nobody),
    "OBJECT_HANDLE_INVALID": _named("object", value=_nobody),
    "KEY_TYPE_INCONSISTENT": _named(*_KEYS, value=_alien),
    "WRAPPING_KEY_TYPE_INCONSISTENT": _named("wrapping_key", value=_alien),
    "UNWRAPPING_KEY_TYPE_INCONSISTENT": _named(*_UNWRAPPING, value=_alien),
    "KEY_FUNCTION_NOT_PERMITTED": _named(*_KEYS, value=_useless),
    "BUFFER_TOO_SMALL": _room,
    "ATTRIBUTE_TYPE_INVALID": _added((0x7FFF1234, b"x")),
    "ATTRIBUTE_VALUE_INVALID": _added((CKA.COPYABLE, b"\1\1")),
    "ATTRIBUTE_READ_ONLY": _added((CKA.UNIQUE_ID, b"mine")),
    "TEMPLATE_INCONSISTENT": _added((CKA.LABEL, "one"), (CKA.LABEL, "two")),
    "TEMPLATE_INCOMPLETE": _template(lambda given: given[:-1]),
}

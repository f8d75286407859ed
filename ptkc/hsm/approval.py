"""May this key do this with this mechanism? Every check that a mechanism's method relies on, and nowhere else.

Specification 5: the text of each Init function, the usage attributes CKA_ENCRYPT … CKA_DERIVE, CKA_ALLOWED_MECHANISMS;
and the security flags (`mode`), which hide mechanisms. An answer is kept with the object, which never changes, by the
flags that it was given under, so a second use of the key costs one look-up.
"""

from __future__ import annotations

from ptkc.hsm import policy
from ptkc.mechanisms import KEY_TYPES, MECHANISMS, load
from ptkc.mechanisms.deriving import Derivation
from ptkc.mechanisms.mechanism import KeyType, Mechanism
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKF, CKG, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import Attributes, unpack_ulongs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Check = Callable[["Mechanism", object], None]
    Method = Callable[..., Any]

__all__ = ["approve", "check_parameter", "is_allowed", "key_type_of", "mechanism_for"]

_SECRET = (CKO.SECRET_KEY, CKO.PRIVATE_KEY)
_PUBLIC = (CKO.SECRET_KEY, CKO.PUBLIC_KEY)
# What is done with a key: the attribute that must be true, the classes that can do it, and the codes that say that the
# key cannot or may not, and that it has the wrong size (C_WrapKey and C_UnwrapKey have codes of their own).
_KEY_CODES = (CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_SIZE_RANGE)
_USAGE: dict[str, tuple[int, tuple[int, ...], int, int]] = {
    "encrypt": (CKA.ENCRYPT, _PUBLIC, *_KEY_CODES),
    "decrypt": (CKA.DECRYPT, _SECRET, *_KEY_CODES),
    "sign": (CKA.SIGN, _SECRET, *_KEY_CODES),
    "sign_recover": (CKA.SIGN_RECOVER, _SECRET, *_KEY_CODES),
    "verify": (CKA.VERIFY, _PUBLIC, *_KEY_CODES),
    "verify_recover": (CKA.VERIFY_RECOVER, _PUBLIC, *_KEY_CODES),
    "verify_signature": (CKA.VERIFY, _PUBLIC, *_KEY_CODES),
    "message_encrypt": (CKA.ENCRYPT, _PUBLIC, *_KEY_CODES),
    "message_decrypt": (CKA.DECRYPT, _SECRET, *_KEY_CODES),
    "message_sign": (CKA.SIGN, _SECRET, *_KEY_CODES),
    "message_verify": (CKA.VERIFY, _PUBLIC, *_KEY_CODES),
    "wrap": (CKA.WRAP, _PUBLIC, CKR.WRAPPING_KEY_TYPE_INCONSISTENT, CKR.WRAPPING_KEY_SIZE_RANGE),
    "unwrap": (CKA.UNWRAP, _SECRET, CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR.UNWRAPPING_KEY_SIZE_RANGE),
    "wrap_generating": (CKA.WRAP, _PUBLIC, CKR.WRAPPING_KEY_TYPE_INCONSISTENT, CKR.WRAPPING_KEY_SIZE_RANGE),
    "wrap_authenticated": (CKA.WRAP, _PUBLIC, CKR.WRAPPING_KEY_TYPE_INCONSISTENT, CKR.WRAPPING_KEY_SIZE_RANGE),
    "unwrap_authenticated": (
        CKA.UNWRAP, _SECRET, CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR.UNWRAPPING_KEY_SIZE_RANGE,
    ),
    "derive": (CKA.DERIVE, _SECRET, *_KEY_CODES),
    "encapsulate": (CKA.ENCAPSULATE, (CKO.PUBLIC_KEY,), *_KEY_CODES),
    "decapsulate": (
        CKA.DECAPSULATE, (CKO.PRIVATE_KEY,), CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR.UNWRAPPING_KEY_SIZE_RANGE,
    ),
}
# What a mechanism can do by the method of another kind.
_METHODS = {"verify_signature": "verify", "message_sign": "sign", "message_verify": "verify"}
# C_WrapKey may only ask for the length, and a message is a use, not the Init before it: they count for themselves.
_COUNTING_THEMSELVES = (
    "wrap", "wrap_generating", "wrap_authenticated",
    "message_encrypt", "message_decrypt", "message_sign", "message_verify",
)  # fmt: skip
_WRAPPING = ("wrap", "wrap_generating", "wrap_authenticated")
# Whoever says which IV a stream is made of has two keys wrapped under the same one, and finds one by the other. So does
# who has a counter begin anew, with a session copy of the key in another process: hence IVs that begin at random, in as
# many bits as SP 800-38D 8.2.2 asks for.
_TRUSTED = (CKA.TRUSTED, CKA.EXPORT)
_AT_RANDOM = (CKG.GENERATE, CKG.GENERATE_RANDOM)
_RANDOM_BITS = 96


def mechanism_for(kind: str, number: int, mode: int) -> Mechanism:
    """Return the mechanism if it has `kind` (sign, generate …) and the flags offer it; CKR_MECHANISM_INVALID."""
    load()
    if not policy.is_offered(mode, number):
        raise CryptokiError(CKR.MECHANISM_INVALID, policy.explain(mode, number))
    mechanism = MECHANISMS.get(number)
    if mechanism is None or not hasattr(mechanism, kind):
        raise CryptokiError(CKR.MECHANISM_INVALID, f"{name_of(CKM, number)} cannot {kind}")
    return mechanism


def check_parameter(mechanism: Mechanism, parameter: object) -> None:
    """Refuse a parameter that does not fit the mechanism with CKR_MECHANISM_PARAM_INVALID."""
    if parameter is None:
        fits = mechanism.parameters is None or mechanism.optional
    else:
        fits = mechanism.parameters is not None and mechanism.parameters.accepts(parameter)
    if not fits:
        wanted = mechanism.parameters or "no parameter"
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{name_of(CKM, mechanism.type)} takes {wanted}")


def is_allowed(obj: Object, number: int) -> bool:
    """Whether CKA_ALLOWED_MECHANISMS has the mechanism, or is empty."""
    allowed = obj.attributes.get(CKA.ALLOWED_MECHANISMS)
    return not allowed or number in unpack_ulongs(allowed)


def approve(obj: Object, kind: str, number: int, mode: int) -> Method:
    """Return the method of a mechanism for `kind` with the key `obj`; it takes the key, the parameter and more."""
    approved: Method | None = obj.approved.get((kind, number, mode))
    if approved is not None:
        return approved
    name = _METHODS.get(kind, kind)
    mechanism = mechanism_for(name, number, mode)
    usage, classes, inconsistent, size_range = _USAGE[kind]
    if kind == "derive" and isinstance(mechanism, Derivation):
        classes = mechanism.bases
    has_type = obj.object_class != CKO.DATA
    if obj.object_class not in classes or (has_type and obj.key_type not in mechanism.key_types):
        key = f"a {name_of(CKO, obj.object_class)} of {name_of(CKK, obj.key_type)}"
        raise CryptokiError(inconsistent, f"{name_of(CKM, number)} cannot {kind} with {key}")
    if has_type:
        _check_use(obj, kind, mechanism, usage)
        size = KEY_TYPES[obj.key_type].size(obj.attributes) * mechanism.unit
        if not mechanism.sizes[0] <= size <= mechanism.sizes[1]:
            raise CryptokiError(size_range, f"a key of {size}, {name_of(CKM, number)} takes {mechanism.sizes}")
    run: Method = getattr(mechanism, name)
    if obj.spend is not None and kind not in _COUNTING_THEMSELVES:
        run = _counting(run, obj.spend)

    check = _CHECKS.get(kind, check_parameter)
    if mechanism.streams and kind in _WRAPPING and not mode & CKF.PURE_P11 and any(map(obj.is_true, _TRUSTED)):
        check = _with_own_iv(check)

    def method(key: Object, parameter: object, *rest: object) -> object:
        check(mechanism, parameter)
        return run(key, parameter, *rest)

    obj.approved[kind, number, mode] = method
    return method


def _check_unwrapping(mechanism: Mechanism, parameter: object) -> None:
    """Refuse, as `check_parameter`, what neither the mechanism takes nor its wrapping with a generated IV."""
    if not (mechanism.wrap_parameters and mechanism.wrap_parameters.accepts(parameter)):
        check_parameter(mechanism, parameter)


def _check_later(mechanism: Mechanism, parameter: object) -> None:  # noqa: ARG001 - as the others
    """Refuse any parameter: CKR_MECHANISM_PARAM_INVALID."""
    if parameter is not None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "each message has its parameter, the Init has none")


def _check_nothing(mechanism: Mechanism, parameter: object) -> None:
    """Leave a parameter that is that of a message to the cipher."""


def _with_own_iv(check: Check) -> Check:
    """Return a check that also refuses, with CKR_MECHANISM_INVALID, an IV that the caller knows beforehand."""

    def generated(mechanism: Mechanism, parameter: object) -> None:
        bits = _random_bits(parameter)
        if bits < _RANDOM_BITS:
            reason = f"{name_of(CKM, mechanism.type)} with a trusted key and {bits} random bits in the IV"
            raise CryptokiError(CKR.MECHANISM_INVALID, reason)
        check(mechanism, parameter)

    return generated


def _random_bits(parameter: Any) -> int:  # noqa: ANN401 - of any mechanism
    """Return how many bits of the IV are drawn at random; where there is a generator, IV and fixed bits precede it."""
    fields = getattr(parameter, "_fields", ())
    if "generator" not in fields:
        return 0
    place = fields.index("generator")
    iv, fixed, generator = parameter[place - 2 : place + 1]
    return 8 * len(iv) - fixed if generator in _AT_RANDOM else 0


_CHECKS: dict[str, Check] = {
    "unwrap": _check_unwrapping,
    **dict.fromkeys(("message_encrypt", "message_decrypt"), _check_later),
    **dict.fromkeys(("wrap_generating", "wrap_authenticated", "unwrap_authenticated"), _check_nothing),
}


def _check_use(obj: Object, kind: str, mechanism: Mechanism, usage: int) -> None:
    """Refuse what the key's attributes do not allow."""
    number = mechanism.type
    secretly = not isinstance(mechanism, Derivation) or mechanism.uses_secret
    if secretly and not obj.is_true(usage) and not _permitted_by_so(obj, kind, number):
        raise CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED, f"{name_of(CKA, usage)} is false")
    if not is_allowed(obj, number):
        raise CryptokiError(CKR.MECHANISM_INVALID, f"{name_of(CKM, number)} is not in CKA_ALLOWED_MECHANISMS")


def _counting(run: Method, spend: Callable[[], int | None]) -> Method:
    """Return `run` that has its use counted before it answers."""

    def counting(*arguments: object) -> object:
        result = run(*arguments)
        spend()
        return result

    return counting


def _permitted_by_so(obj: Object, kind: str, number: int) -> bool:
    """Whether the SO let the key do this: CKA_EXPORT wraps, CKA_IMPORT unwraps what carries its attributes.

    CKR_MECHANISM_INVALID for a CKA_IMPORT key with another mechanism; the one that it has is ours to choose.
    """
    if kind == "unwrap" and obj.is_true(CKA.IMPORT):
        if number != CKM.WRAPKEY_AES_KWP:
            raise CryptokiError(CKR.MECHANISM_INVALID, f"{name_of(CKM, number)} with a CKA_IMPORT key")
        return True
    return kind == "wrap" and obj.is_true(CKA.EXPORT)


def key_type_of(attributes: Attributes) -> KeyType:
    """Return the key type of a key's attributes; CKR_ATTRIBUTE_VALUE_INVALID where we have none of that number."""
    load()
    number = int.from_bytes(attributes[CKA.KEY_TYPE], "little")
    if number not in KEY_TYPES:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_KEY_TYPE {name_of(CKK, number)}")
    return KEY_TYPES[number]

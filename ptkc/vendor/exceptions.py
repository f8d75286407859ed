"""Exceptions for the return codes that python-pkcs11 does not know, the vendor's and newer standard ones.

python-pkcs11 raises `PKCS11Error("Unmapped error code 0x…")` for these. Once this module is imported each of them is a
class of its own, below `PKCS11Error`, whoever made the call: `except NotAdminToken` works around any method of
python-pkcs11. The classes are named as python-pkcs11 names its own: CKR_NOT_ADMIN_TOKEN is `NotAdminToken`.

The one thing changed in python-pkcs11 is `PKCS11Error.__new__`, which makes an object of the fitting class out of that
text; the place that chooses the class is C there, and closed.
"""

from __future__ import annotations

from typing import Any, Final

import pkcs11.exceptions as known
from pkcs11.exceptions import PKCS11Error

from ptkc.spec.constants import CKR

__all__ = ["VendorError", "code_of", "describe", "error_for"]

_UNMAPPED: Final = "Unmapped error code 0x"

# Where python-pkcs11's name is not CKR_*'s in other letters.
_SPELLED: Final = {
    "TOKEN_NOT_RECOGNIZED": known.TokenNotRecognised,
    "FUNCTION_CANCELED": known.FunctionCancelled,
    "USER_ANOTHER_ALREADY_LOGGED_IN": known.AnotherUserAlreadyLoggedIn,
}

# What the codes mean that an administrator meets.
_MEANINGS: Final = {
    "ACCESS_DENIED": "not with these security flags",
    "CERT_NOT_VALIDATED": "the certificate is not valid now, or not by the issuer that it must have",
    "CURVE_NOT_SUPPORTED": "this curve is not for that",
    "DEVICE_RESET": "the HSM was restarted",
    "EVENT_LOG_NOT_FULL": "the event log can be purged only when it is full",
    "KEY_FUNCTION_NOT_PERMITTED": "the key may not be used for that",
    "KEY_NOT_ACTIVE": "the key's usage limit or dates forbid its use now",
    "NOT_ADMIN_TOKEN": "this is for the Admin token only",
    "OBJECT_READ_ONLY": "the object cannot be destroyed",
    "OPERATION_NOT_PERMITTED": "the HSM does not permit that now",
    "PIN_ALREADY_INITIALIZED": "this PIN is set already, only its owner changes it",
    "SECURITY_FLAGS_INCOMPATIBLE": "the security flags do not go together, or need what is not there",
    "SO_NOT_LOGGED_IN": "the security officer must be logged in",
    "TOKEN_NOT_INITIALIZED": "the token is not initialised",
    "VENDOR_TOKEN_NOT_INITIALIZED": "the token is not initialised",
}


class VendorError(PKCS11Error):
    """A return code that python-pkcs11 has no exception for; `code` is the CK_RV."""

    code: int = CKR.GENERAL_ERROR

    def __init__(self, *_text: object) -> None:
        """Say the code's name, and what it means where that is known, whatever the caller says."""
        super().__init__(_text_of(self.code))


def _camel(name: str) -> str:
    """Return `NotAdminToken` for `NOT_ADMIN_TOKEN`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _classes() -> tuple[dict[int, type[PKCS11Error]], dict[str, type[PKCS11Error]]]:
    """Return the exception of each code, and those that are ours by their names."""
    by_letters = {name.lower(): value for name, value in vars(known).items() if isinstance(value, type)}
    by_code: dict[int, type[PKCS11Error]] = {}
    ours: dict[str, type[PKCS11Error]] = {}
    for name, code in vars(CKR).items():
        if name.startswith("_") or code in (CKR.OK, CKR.VENDOR_DEFINED):
            continue
        found = _SPELLED.get(name) or by_letters.get(name.replace("_", "").lower())
        if found is None:
            title = _camel(name)
            described = f"CKR_{name}: {_MEANINGS[name]}." if name in _MEANINGS else f"CKR_{name}."
            body = {"code": code, "__doc__": described, "__module__": __name__}
            found = ours[title] = type(title, (VendorError,), body)
        by_code[code] = found
    return by_code, ours


_BY_CODE, _OURS = _classes()
_CODES = {kind: code for code, kind in _BY_CODE.items()}
_NAMES = {code: name for name, code in vars(CKR).items() if not name.startswith("_")}


def __getattr__(name: str) -> type[PKCS11Error]:
    """Return the exception class of that name."""
    try:
        return _OURS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted([*__all__, *_OURS])


def error_for(code: int) -> PKCS11Error:
    """Return the exception of a CK_RV, python-pkcs11's own where it has one."""
    kind = _BY_CODE.get(code)
    return kind() if kind else PKCS11Error(f"{_UNMAPPED}{code:x}")


def code_of(error: BaseException) -> int | None:
    """Return the CK_RV that an exception stands for, None where it does not say."""
    return _CODES.get(type(error))  # type: ignore[arg-type]  # other classes are not in it


def describe(error: BaseException) -> str:
    """Return the name of an exception's code and what it says; most of python-pkcs11's say nothing themselves."""
    code = code_of(error)
    if code is None:
        return str(error) or type(error).__name__
    return _text_of(code, "" if isinstance(error, VendorError) else str(error))


def _text_of(code: int, said: str = "") -> str:
    """Return `CKR_NAME`, with what is said of it or what it means behind a colon."""
    name = _NAMES[code]
    return ": ".join(part for part in (f"CKR_{name}", said or _MEANINGS.get(name, "")) if part)


def _new(cls: type[PKCS11Error], *arguments: Any) -> PKCS11Error:  # noqa: ANN401 - as an exception takes
    """Make an exception; one for a code that python-pkcs11 does not know becomes an object of its own class."""
    if cls is PKCS11Error and len(arguments) == 1 and str(arguments[0]).startswith(_UNMAPPED):
        cls = _BY_CODE.get(int(str(arguments[0]).removeprefix(_UNMAPPED), 16), cls)
    made: PKCS11Error = RuntimeError.__new__(cls, *arguments)
    return made


PKCS11Error.__new__ = _new  # type: ignore[method-assign,assignment]

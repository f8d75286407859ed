"""Which return codes each C function may answer: the specification's lists, and what we answer beyond them."""

from __future__ import annotations

from pathlib import Path

from ptkc.spec.constants import CKR
from ptkc.wire.commands import BY_NAME

__all__ = ["ALLOWED", "NAMES", "unlisted"]

_TABLE = Path(__file__).parent / "return_codes.txt"

NAMES = {number: name for name, number in vars(CKR).items() if not name.startswith("_")}
"""The names of the codes, without CKR_."""

# Any function may answer these (5.1.1 to 5.1.3; CKR_ARGUMENTS_BAD is described as generic; a stub answers that it is
# one). Not among them, though the specification has them: what says that the module does not know what happened
# (CKR_GENERAL_ERROR, CKR_HOST_MEMORY, CKR_FUNCTION_FAILED) and that the token is broken (CKR_DEVICE_ERROR).
_ALWAYS = {"OK", "ARGUMENTS_BAD", "FUNCTION_NOT_SUPPORTED", "CRYPTOKI_NOT_INITIALIZED"}
_WITH_SESSION = {"SESSION_HANDLE_INVALID", "SESSION_CLOSED"}
_WITH_TOKEN = {"TOKEN_NOT_INITIALIZED"}

# What we answer beyond the lists, and why.
_OURS = {
    # Universal, and the only code for an interface that there is not.
    "C_GetInterface": {"FUNCTION_FAILED"},
    # No list has a code for a first PIN that cannot be set: these are C_InitPIN's.
    "C_InitToken": {"PIN_LEN_RANGE", "PIN_INVALID"},
    # 5.1.6 says it of any use of a key that its attributes do not allow; these lists lack it.
    **{
        name: {"KEY_FUNCTION_NOT_PERMITTED"}
        for name in (
            "C_WrapKey", "C_UnwrapKey", "C_WrapKeyAuthenticated", "C_UnwrapKeyAuthenticated",
            "C_DecapsulateKey",
        )
    },
    # The section on derivations by encryption says it of data that are too short for the key.
    "C_DeriveKey": {"KEY_FUNCTION_NOT_PERMITTED", "DATA_LEN_RANGE"},
    # 5.2 says it of every output buffer; the list of C_DecapsulateKey, which has none, has it instead.
    "C_EncapsulateKey": {"KEY_FUNCTION_NOT_PERMITTED", "BUFFER_TOO_SMALL"},
    # 4.9 says it of any call that uses a key with CKA_ALWAYS_AUTHENTICATE: C_DecryptUpdate and C_SignEncryptUpdate have
    # it, these lists lack it.
    **{name: {"USER_NOT_LOGGED_IN"} for name in ("C_DecryptDigestUpdate", "C_DecryptVerifyUpdate")},
    # What the text says of no operation, and the list lacks; C_AsyncComplete has no list but those of the functions.
    "C_AsyncGetID": {"OPERATION_NOT_INITIALIZED"},
    "C_AsyncComplete": {"OPERATION_NOT_INITIALIZED", "PENDING"},
    # The table leaves CKR_PENDING out everywhere: these two answer it.
    **{name: {"PENDING"} for name in ("C_GenerateKey", "C_GenerateKeyPair")},
    # One operation of a function can be pending in a session; and No Public Crypto wants a login.
    "C_AsyncJoin": {"OPERATION_ACTIVE", "USER_NOT_LOGGED_IN"},
}

# What the vendor's objects and mechanisms add to the standard's functions. Limits of keys: any use of them.
_VENDOR = {
    "C_InitToken": {"ACTION_PROHIBITED"},
    "C_CreateObject": {"NOT_ADMIN_TOKEN", "CERT_NOT_VALIDATED", "ET_NOT_ODD_PARITY", "KEY_HANDLE_INVALID"},
    "C_SetAttributeValue": {"EVENT_LOG_NOT_FULL", "FUNCTION_REJECTED", "SECURITY_FLAGS_INCOMPATIBLE"},
    "C_DestroyObject": {"OBJECT_READ_ONLY", "USER_NOT_LOGGED_IN"},
    "C_GenerateKeyPair": {"NOT_ADMIN_TOKEN"},
    "C_DeriveKey": {"CERT_NOT_VALIDATED", "SIGNATURE_INVALID"},
    "CT_ResetToken": {"ACTION_PROHIBITED"},
    "C_UnwrapKey": {"ET_NOT_ODD_PARITY"},
    "C_Verify": {"CERT_NOT_VALIDATED"},
    "C_VerifyInit": {"CERT_NOT_VALIDATED"},
    "C_SetOperationState": {"KEY_NOT_ACTIVE"},
}
_LIMITED = ("Encrypt", "Decrypt", "Sign", "Verify", "WrapKey", "UnwrapKey", "DeriveKey", "Message", "Encaps", "Decaps")


def _read() -> dict[str, set[str]]:
    """Return the codes by function."""
    table: dict[str, set[str]] = {}
    for line in _TABLE.read_text(encoding="ascii").replace("\n    ", " ").splitlines():
        if not line.startswith("#"):
            name, _, codes = line.partition(":")
            table[name] = set(codes.split()) | _ALWAYS | _WITH_TOKEN | _OURS.get(name, set()) | _VENDOR.get(name, set())
            if name.startswith(tuple(f"C_{use}" for use in _LIMITED)):
                table[name].add("KEY_NOT_ACTIVE")
            if BY_NAME[name].has_session:
                table[name] |= _WITH_SESSION
    table["C_AsyncComplete"] |= table["C_GenerateKey"] | table["C_GenerateKeyPair"]
    return table


ALLOWED = _read()


def unlisted(function: str, code: int, *, ending: bool = False) -> str | None:
    """Return the name of a code that the function must not answer, None for one that it may.

    `ending` says that another thread may have called C_Finalize: then CKR_DEVICE_REMOVED (5.1.2, 5.1.3) may be.
    """
    name = NAMES.get(code, hex(code))
    if name in ALLOWED[function] or (ending and name == "DEVICE_REMOVED"):
        return None
    return f"CKR_{name}"

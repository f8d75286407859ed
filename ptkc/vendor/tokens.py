"""Tokens and what is in them, by the vendor's CT_ functions and mechanisms.

Slots, sessions and objects are python-pkcs11's. PINs are str and go to the HSM in UTF-8; none is kept, and none is in
a message.
"""

# ruff: noqa: ANN401 - python-pkcs11 makes the classes of objects at run time

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pkcs11
from pkcs11.types import Slot

from ptkc.spec.constants import CKM
from ptkc.vendor.calls import call, ffi, filled, found, handle_of, mechanism, template
from ptkc.vendor.devices import padded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "back_up", "copy_object", "create_object", "initialise_token", "present_ticket", "recover_secret", "reset_token",
    "restore", "set_first_pin", "share_secret",
]  # fmt: skip

_LENGTH = struct.Struct(">I")  # before each share
_ULONG = struct.Struct("L")


def initialise_token(admin_session: pkcs11.Session, slot: Slot | int, pin: str, label: str) -> None:
    """Initialise the token in a slot that has none yet, as the Administrator: SO PIN and label (CT_InitToken)."""
    secret = pin.encode()
    number = slot if isinstance(slot, int) else slot.slot_id
    call("CT_InitToken", handle_of(admin_session), number, secret, len(secret), padded(label))


def set_first_pin(session: pkcs11.Session, user_type: int, pin: str) -> None:
    """Set the first PIN of a user (`pkcs11.UserType`) of the session's token, as its SO (CT_InitPIN)."""
    secret = pin.encode()
    call("CT_InitPIN", handle_of(session), int(user_type), secret, len(secret))


def reset_token(session: pkcs11.Session, pin: str, label: str) -> None:
    """Erase the session's token, which gets a new SO PIN and a label, as its SO (CT_ResetToken).

    The call closes the session: do not close it, and do not use it in a `with` statement.
    """
    secret = pin.encode()
    call("CT_ResetToken", handle_of(session), secret, len(secret), padded(label))


def create_object(session: pkcs11.Session, attributes: Mapping[int, bytes | list[tuple[int, bytes]]]) -> int:
    """Make an object of attributes as they are in memory, and return its handle (C_CreateObject).

    Values are bytes as Cryptoki has them (a CK_ULONG in the machine's order), or a list of (type, bytes) where the
    value is a template. python-pkcs11's `create_object` takes Python values, and no templates.
    """
    new = ffi.new("CK_ULONG *")
    values, kept = _raw(list(attributes.items()))
    call("C_CreateObject", handle_of(session), values, len(attributes), new)
    del kept  # what the pointers name lives until here
    return int(new[0])


def _raw(pairs: list[tuple[int, Any]]) -> tuple[Any, list[Any]]:
    """Return a CK_ATTRIBUTE array, and what must be kept alive as long as it."""
    rows, kept = [], []
    for number, value in pairs:
        if isinstance(value, list):
            nested, below = _raw(value)
            rows.append((number, nested, ffi.sizeof(nested)))
            kept += [nested, *below]
        else:
            kept.append(ffi.from_buffer("CK_BYTE[]", value))
            rows.append((number, kept[-1] if value else ffi.NULL, len(value)))
    return ffi.new("CK_ATTRIBUTE[]", rows), kept


def copy_object(
    destination: pkcs11.Session, source_session: pkcs11.Session, obj: Any, attributes: dict[Any, Any] | None = None
) -> Any:
    """Copy an object of one session's token to the other's, and return the copy (CT_CopyObject)."""
    new = ffi.new("CK_ULONG *")
    values, count = template(attributes or {})
    call("CT_CopyObject", handle_of(destination), handle_of(source_session), handle_of(obj), values, count, new)
    return found(destination, new[0])


def present_ticket(session: pkcs11.Session, obj: Any, ticket: bytes) -> None:
    """Have the HSM change an object's limits as a ticket says (CT_PresentTicket with CKM_SET_ATTRIBUTES)."""
    call("CT_PresentTicket", handle_of(session), handle_of(obj), mechanism(CKM.SET_ATTRIBUTES), ticket, len(ticket))


def share_secret(session: pkcs11.Session, key: Any, n: int, m: int) -> list[bytes]:
    """Split a key, with its attributes, into `m` shares of which any `n` make it again.

    The HSM splits keys that may be wrapped; 2 <= n <= m <= 64 (CKM_SECRET_SHARE_WITH_ATTRIBUTES).
    """
    how = mechanism(CKM.SECRET_SHARE_WITH_ATTRIBUTES, struct.pack("LL", n, m))
    joined = filled("C_WrapKey", handle_of(session), how, 0, handle_of(key))
    shares = []
    while joined:
        end = _LENGTH.size + _LENGTH.unpack_from(joined)[0]
        shares.append(joined[_LENGTH.size : end])
        joined = joined[end:]
    return shares


def recover_secret(session: pkcs11.Session, shares: list[bytes], attributes: dict[Any, Any] | None = None) -> Any:
    """Make a key again from shares of it, and return it; `attributes` overrule those that it had.

    `WrappedKeyInvalid` if a share is wrong, or they are too few (CKM_SECRET_RECOVER_WITH_ATTRIBUTES).
    """
    new = ffi.new("CK_ULONG *")
    values, count = template(attributes or {})
    joined = b"".join(_LENGTH.pack(len(share)) + share for share in shares)
    how = mechanism(CKM.SECRET_RECOVER_WITH_ATTRIBUTES)
    call("C_UnwrapKey", handle_of(session), how, 0, joined, len(joined), values, count, new)
    return found(session, new[0])


def back_up(session: pkcs11.Session, wrapping_key: Any, keys: list[Any]) -> bytes:
    """Return a file with keys and their attributes under an AES key (CKM_WRAPKEY_AES_KWP).

    The key may wrap, or is a CKA_EXPORT key, of which python-pkcs11 says that it cannot.
    """
    first, *others = map(handle_of, keys)
    how = mechanism(CKM.WRAPKEY_AES_KWP, b"".join(map(_ULONG.pack, others)))
    return filled("C_WrapKey", handle_of(session), how, handle_of(wrapping_key), first)


def restore(
    session: pkcs11.Session, unwrapping_key: Any, file: bytes, number: int = 0,
    attributes: dict[Any, Any] | None = None,
) -> Any:  # fmt: skip
    """Make one of the keys in such a file again, and return it; `attributes` say where it goes and what it is called.

    `WrappedKeyInvalid` if the file was changed, or is under another key.
    """
    new = ffi.new("CK_ULONG *")
    values, count = template(attributes or {})
    how = mechanism(CKM.WRAPKEY_AES_KWP, _ULONG.pack(number))
    call("C_UnwrapKey", handle_of(session), how, handle_of(unwrapping_key), file, len(file), values, count, new)
    return found(session, new[0])

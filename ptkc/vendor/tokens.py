"""Tokens and what is in them, by the vendor's CT_ functions and mechanisms.

Slots, sessions and objects are python-pkcs11's. PINs are str and go to the HSM in UTF-8; none is kept, and none is in
a message.
"""

# ruff: noqa: ANN401 - python-pkcs11 makes the classes of objects at run time

from __future__ import annotations

import struct
from typing import Any

import pkcs11
from pkcs11.types import Slot

from ptkc.spec.constants import CKM
from ptkc.vendor.calls import call, ffi, filled, found, handle_of, mechanism, template
from ptkc.vendor.devices import padded

__all__ = [
    "back_up", "copy_object", "initialise_token", "present_ticket", "recover_secret", "reset_token", "restore",
    "set_first_pin", "share_secret",
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

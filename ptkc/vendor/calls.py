"""The C calls that python-pkcs11 cannot express, made on the shared object that it has loaded.

Through cffi, with the handles of python-pkcs11's sessions and objects: CT_ functions, null key handles, C_DeriveKey of
what is no secret key. `loaded` names the shared object; every refusal is an exception as python-pkcs11 raises it.
Handles come back as python-pkcs11's own objects (`found`).
"""

from __future__ import annotations

import threading
from typing import Any

import pkcs11
from cffi import FFI

from ptkc.spec.constants import CKR
from ptkc.vendor.attributes import pack
from ptkc.vendor.exceptions import error_for

__all__ = ["call", "ffi", "filled", "found", "handle_of", "loaded", "mechanism", "template"]

ffi = FFI()
ffi.cdef(
    """
    typedef unsigned long CK_ULONG;
    typedef unsigned char CK_BYTE;
    typedef struct { CK_ULONG type; void *value; CK_ULONG length; } CK_ATTRIBUTE;
    typedef struct { CK_ULONG mechanism; void *parameter; CK_ULONG length; } CK_MECHANISM;
    typedef struct {
        CK_BYTE texts[96];
        CK_ULONG flags, most_sessions, sessions, most_writing, writing, longest_pin, shortest_pin, memory[4];
        CK_BYTE rest[20];
    } CK_TOKEN_INFO;
    CK_ULONG C_GetTokenInfo(CK_ULONG slot, CK_TOKEN_INFO *info);
    CK_ULONG C_CreateObject(CK_ULONG session, CK_ATTRIBUTE *template, CK_ULONG count, CK_ULONG *object);
    CK_ULONG C_InitToken(CK_ULONG slot, const CK_BYTE *pin, CK_ULONG length, const CK_BYTE *label);
    CK_ULONG C_GetAttributeValue(CK_ULONG session, CK_ULONG object, CK_ATTRIBUTE *template, CK_ULONG count);
    CK_ULONG C_VerifyInit(CK_ULONG session, CK_MECHANISM *mechanism, CK_ULONG key);
    CK_ULONG C_Verify(CK_ULONG session, const CK_BYTE *data, CK_ULONG length, const CK_BYTE *signature, CK_ULONG size);
    CK_ULONG C_WrapKey(CK_ULONG session, CK_MECHANISM *mechanism, CK_ULONG wrapping, CK_ULONG key, CK_BYTE *wrapped,
                       CK_ULONG *length);
    CK_ULONG C_UnwrapKey(CK_ULONG session, CK_MECHANISM *mechanism, CK_ULONG key, const CK_BYTE *wrapped,
                         CK_ULONG length, CK_ATTRIBUTE *template, CK_ULONG count, CK_ULONG *object);
    CK_ULONG C_DeriveKey(CK_ULONG session, CK_MECHANISM *mechanism, CK_ULONG base, CK_ATTRIBUTE *template,
                         CK_ULONG count, CK_ULONG *object);
    CK_ULONG CT_InitToken(CK_ULONG session, CK_ULONG slot, const CK_BYTE *pin, CK_ULONG length, const CK_BYTE *label);
    CK_ULONG CT_InitPIN(CK_ULONG session, CK_ULONG user, const CK_BYTE *pin, CK_ULONG length);
    CK_ULONG CT_ResetToken(CK_ULONG session, const CK_BYTE *pin, CK_ULONG length, const CK_BYTE *label);
    CK_ULONG CT_CopyObject(CK_ULONG destination, CK_ULONG source, CK_ULONG object, CK_ATTRIBUTE *template,
                           CK_ULONG count, CK_ULONG *copy);
    CK_ULONG CT_HsmIdFromSlotId(CK_ULONG slot, unsigned int *number);
    CK_ULONG CT_GetHSMId(CK_ULONG session, CK_ULONG *number);
    CK_ULONG CT_PresentTicket(CK_ULONG session, CK_ULONG object, CK_MECHANISM *mechanism, const CK_BYTE *ticket,
                              CK_ULONG length);
    CK_ULONG CT_FetchCertificate(unsigned int number, CK_ULONG type, CK_BYTE *certificate, CK_ULONG *length);
    """
)

_lock = threading.Lock()
_loaded: list[Any] = []


def loaded(path: str) -> None:
    """Make all calls on the shared object of this path, which python-pkcs11 has loaded."""
    with _lock:
        _loaded[:] = [ffi.dlopen(path)]


def call(function: str, *arguments: Any) -> None:  # noqa: ANN401 - C values
    """Call a function; anything but CKR_OK is raised."""
    if not _loaded:
        raise pkcs11.PKCS11Error("call ptkc.vendor.lib() first")
    code = getattr(_loaded[0], function)(*arguments)
    if code != CKR.OK:
        raise error_for(code)


def handle_of(session: Any) -> int:  # noqa: ANN401 - python-pkcs11's types do not show the handle
    """Return the handle of one of python-pkcs11's sessions or objects."""
    return int(session.handle)


def mechanism(kind: int, parameter: bytes | None = None) -> Any:  # noqa: ANN401 - a C structure
    """Return a CK_MECHANISM; it keeps its parameter alive by `ffi.gc`'s reference."""
    data = ffi.from_buffer("CK_BYTE[]", parameter) if parameter else ffi.NULL
    made = ffi.new("CK_MECHANISM *", (int(kind), data, len(parameter or b"")))
    return ffi.gc(made, lambda _made, _kept=data: None)


def template(attributes: dict[Any, Any]) -> tuple[Any, int]:
    """Return a template as CK_ATTRIBUTE array and count."""
    values = [(kind, ffi.new("CK_BYTE[]", value), len(value)) for kind, value in pack(attributes)]
    made = ffi.new("CK_ATTRIBUTE[]", values)
    return ffi.gc(made, lambda _made, _kept=values: None), len(values)


def filled(function: str, *arguments: Any) -> bytes:  # noqa: ANN401 - C values
    """Call a function whose last parameters are a buffer and its length, for the length and for the bytes."""
    length = ffi.new("CK_ULONG *")
    call(function, *arguments, ffi.NULL, length)
    room = ffi.new("CK_BYTE[]", max(length[0], 1))
    call(function, *arguments, room, length)
    return bytes(ffi.buffer(room, length[0]))


def found(session: pkcs11.Session, handle: int) -> Any:  # noqa: ANN401 - an object of python-pkcs11's classes
    """Return the object of a handle as python-pkcs11 makes it: by a search for its CKA_UNIQUE_ID.

    Only python-pkcs11's compiled part makes objects, and of what it found, made or copied itself. An unfinished
    search in the same session is in the way of this one (`OperationActive`), as of any other of python-pkcs11.
    """
    attribute = ffi.new("CK_ATTRIBUTE *", (int(pkcs11.Attribute.UNIQUE_ID), ffi.NULL, 0))
    call("C_GetAttributeValue", handle_of(session), handle, attribute, 1)
    room = ffi.new("CK_BYTE[]", max(attribute.length, 1))
    attribute.value = room
    call("C_GetAttributeValue", handle_of(session), handle, attribute, 1)
    unique = bytes(ffi.buffer(room, attribute.length)).decode()
    for made in list(session.get_objects({pkcs11.Attribute.UNIQUE_ID: unique})):
        return made
    raise pkcs11.ObjectHandleInvalid  # somebody destroyed it meanwhile

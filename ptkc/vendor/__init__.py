"""python-pkcs11 with the vendor's extensions: names, attributes, exceptions, and the calls it has no method for.

    from ptkc.vendor import Attribute, Mechanism, devices, generate_identity, lib

    for device in devices(lib()):
        with device.admin.open(rw=True, user_pin=pin) as session:
            public, private = generate_identity(session, self_sign=True)

Libraries, slots, tokens, sessions and objects are python-pkcs11's own. docs/python.md is the guide.
"""

from __future__ import annotations

from pkcs11.exceptions import PKCS11Error

from ptkc.vendor import exceptions
from ptkc.vendor.certificates import (
    decode_certificate,
    encode,
    encode_public_key,
    generate_identity,
    generate_owner,
    verify_certificate,
)
from ptkc.vendor.devices import (
    Device,
    devices,
    fetch_certificate,
    hsm_id,
    hsm_id_of_slot,
    init_admin,
    lib,
    pin_lengths,
)
from ptkc.vendor.exceptions import VendorError, code_of, describe
from ptkc.vendor.names import (
    Attribute,
    HardwareFeature,
    KeyType,
    Mechanism,
    ObjectClass,
    SecurityFlag,
    TokenFlag,
    TransportMode,
)
from ptkc.vendor.tokens import (
    back_up,
    copy_object,
    create_object,
    initialise_token,
    present_ticket,
    recover_secret,
    reset_token,
    restore,
    set_first_pin,
    share_secret,
)

__all__ = [
    "Attribute",
    "Device",
    "HardwareFeature",
    "KeyType",
    "Mechanism",
    "ObjectClass",
    "PKCS11Error",
    "SecurityFlag",
    "TokenFlag",
    "TransportMode",
    "VendorError",
    "back_up",
    "code_of",
    "copy_object",
    "create_object",
    "decode_certificate",
    "describe",
    "devices",
    "encode",
    "encode_public_key",
    "fetch_certificate",
    "generate_identity",
    "generate_owner",
    "hsm_id",
    "hsm_id_of_slot",
    "init_admin",
    "initialise_token",
    "lib",
    "pin_lengths",
    "present_ticket",
    "recover_secret",
    "reset_token",
    "restore",
    "set_first_pin",
    "share_secret",
    "verify_certificate",
]


def __getattr__(name: str) -> type[PKCS11Error]:
    """Return the exception class of that name, such as `NotAdminToken`."""
    return exceptions.__getattr__(name)

"""python-pkcs11's enumerations with the vendor's members, which it lacks, as pseudo-members.

Cryptoki's names without their prefix, from `ptkc.spec.constants`: `Mechanism.ENCODE_X_509`, `Attribute.HSM_OWNER_CERT`.
A pseudo-member is found by name and by value, is an instance of its enumeration, and python-pkcs11 takes and gives it
like its own; iteration over an enumeration still gives its own members only. These are python-pkcs11's own classes:
`ptkc.vendor.Mechanism is pkcs11.Mechanism`. No member of python-pkcs11 is changed.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

import pkcs11

from ptkc.spec.constants import CK, CKA, CKF, CKH, CKK, CKM, CKO

__all__ = [
    "Attribute", "HardwareFeature", "KeyType", "Mechanism", "ObjectClass", "SecurityFlag", "TokenFlag", "TransportMode",
]  # fmt: skip

if TYPE_CHECKING:
    # Type checkers know only the members that python-pkcs11 wrote down; ours come at run time. So here each enumeration
    # is an int with any member, that python-pkcs11's functions take for their own.
    class _AnyMember(type):
        def __getattr__(cls, name: str) -> Any: ...  # noqa: ANN401 - a member

        def __getitem__(cls, name: str) -> Any: ...  # noqa: ANN401

    class _Open(int, Any, metaclass=_AnyMember):  # type: ignore[misc]
        name: str
        value: int

    class Attribute(_Open):
        """CKA_*."""

    class KeyType(_Open):
        """CKK_*."""

    class Mechanism(_Open):
        """CKM_*."""

    class ObjectClass(_Open):
        """CKO_*."""

    class TokenFlag(_Open):
        """CKF_* of CK_TOKEN_INFO."""

else:
    from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, TokenFlag


class HardwareFeature(IntEnum):
    """CKH_*: what CKA_HW_FEATURE_TYPE of a CKO_HW_FEATURE object says, which python-pkcs11 has no names for."""

    MONOTONIC_COUNTER = CKH.MONOTONIC_COUNTER
    CLOCK = CKH.CLOCK
    USER_INTERFACE = CKH.USER_INTERFACE
    EVENT_LOG = CKH.EVENT_LOG
    CHANNEL = CKH.PTKC_CHANNEL


class SecurityFlag(IntFlag):
    """CKF_* of CKA_SECURITY_MODE of the CKO_ADAPTER object."""

    ENTRUST_READY = CKF.ENTRUST_READY
    NO_CLEAR_PINS = CKF.NO_CLEAR_PINS
    AUTH_PROTECTION = CKF.AUTH_PROTECTION
    NO_PUBLIC_CRYPTO = CKF.NO_PUBLIC_CRYPTO
    TAMPER_BEFORE_UPGRADE = CKF.TAMPER_BEFORE_UPGRADE
    INCREASED_SECURITY = CKF.INCREASED_SECURITY
    FIPS_ALGORITHMS = CKF.FIPS_ALGORITHMS
    FULL_SMS_ENC = CKF.FULL_SMS_ENC
    FULL_SMS_SIGN = CKF.FULL_SMS_SIGN
    PURE_P11 = CKF.PURE_P11
    DES_EVEN_PARITY_ALLOWED = CKF.DES_EVEN_PARITY_ALLOWED
    USER_ECC_DP_ALLOWED = CKF.USER_ECC_DP_ALLOWED
    RESTRICT_KEY_USAGE = CKF.RESTRICT_KEY_USAGE
    WEAK_PKCS11_MECHANISM = CKF.WEAK_PKCS11_MECHANISM
    PCI_HSM_AUDIT = CKF.PCI_HSM_AUDIT
    MODE_LOCKED = CKF.MODE_LOCKED


class TransportMode(IntEnum):
    """CK_*_TRANSPORT_MODE: CKA_TRANSPORT_MODE of the CKO_ADAPTER object."""

    NONE = CK.NO_TRANSPORT_MODE
    SINGLE = CK.SINGLE_TRANSPORT_MODE
    CONTINUOUS = CK.CONTINUOUS_TRANSPORT_MODE


def _add(enumeration: Any, name: str, value: int) -> None:  # noqa: ANN401 - an enumeration of python-pkcs11
    """Add a pseudo-member; a value that has a member already only gets a second name."""
    member = enumeration._value2member_map_.get(value)
    if member is None:
        member = int.__new__(enumeration, value)
        member._name_ = name
        member._value_ = value
        member.__objclass__ = enumeration
        enumeration._value2member_map_[value] = member
    # The attribute first: Enum refuses to set one whose name is a member's.
    setattr(enumeration, name, member)
    enumeration._member_map_[name] = member


def _extend(enumeration: Any, constants: type) -> None:  # noqa: ANN401 - an enumeration of python-pkcs11
    """Add what Cryptoki 3.2 and the vendor know and the enumeration lacks."""
    for name, value in vars(constants).items():
        if not name.startswith("_") and name not in enumeration._member_map_:
            _add(enumeration, name, value)


for _enumeration, _constants in (
    (pkcs11.Attribute, CKA),
    (pkcs11.KeyType, CKK),
    (pkcs11.Mechanism, CKM),
    (pkcs11.ObjectClass, CKO),
):
    _extend(_enumeration, _constants)


def _name_flag(name: str, value: int) -> None:
    """Name a bit of CK_TOKEN_INFO's flags; a flag enumeration makes its unnamed members itself."""
    member = pkcs11.TokenFlag(value)
    if not hasattr(pkcs11.TokenFlag, name):
        member._name_ = name
        setattr(pkcs11.TokenFlag, name, member)


_name_flag("ADMIN_TOKEN", CKF.ADMIN_TOKEN)
_name_flag("WLD_TOKEN", CKF.WLD_TOKEN)

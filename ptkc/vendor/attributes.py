"""How python-pkcs11 packs and unpacks the attributes that it has no handler for: the vendor's, and newer standard ones.

Added to `pkcs11.attributes.ATTRIBUTE_TYPES`, so that every session opened later reads and writes them: Python values
are bool, int, str, bytes, `datetime.date` or lists of `Mechanism`; what the vendor's tables have no row for is bytes.
Three handlers of python-pkcs11 are replaced, since they fail on values that Cryptoki allows: no date, and a key that
was generated elsewhere; both are None.
"""

from __future__ import annotations

import struct
from datetime import date, datetime
from typing import Any

from pkcs11.attributes import (
    ATTRIBUTE_TYPES,
    AttributeMapper,
    handle_bool,
    handle_bytes,
    handle_date,
    handle_str,
    handle_ulong,
)
from pkcs11.constants import DEFAULT

from ptkc.spec.constants import CK, CKA
from ptkc.vendor.names import Attribute, Mechanism

__all__ = ["pack"]

_BOOLS = (
    "SIGN_LOCAL_CERT EXPORT EXPORTABLE DELETABLE IMPORT PURGE EVENT_LOG_FULL TAMPER_CMD HALT_CMD "
    "RESCAN_PERIPHERALS_CMD RTC_AAC_ENABLED VERIFY_OS DELETE_FM LOCAL_IDENTITY_CERT HSM_OWNER_CERT HSM_ROOT_CERT "
    "HIFACE_MASTER AUDIT_KEY RESET_ON_INIT HAS_RESET"
)
_ULONGS = (
    "USAGE_COUNT USAGE_LIMIT KEY_SIZE RECORD_COUNT RECORD_NUMBER SECURITY_MODE TRANSPORT_MODE HW_STATUS FREE_MEM "
    "APPLICATION_COUNT RTC_AAC_GUARD_SECONDS RTC_AAC_GUARD_COUNT RTC_AAC_GUARD_DURATION PERFORMANCE_LEVEL SLOT_ID "
    "MAX_SESSIONS MIN_PIN_LEN MAX_PIN_FAIL FLAGS ROM_SPACE RAM_SPACE FM_STATUS FM_STARTUP_STATUS FM_ID SOM_MODE "
    "BIP32_CHILD_INDEX BIP32_CHILD_DEPTH DES_USAGE_COUNT CERTIFICATE_CATEGORY "
    "JAVA_MIDP_SECURITY_DOMAIN NAME_HASH_ALGORITHM HW_FEATURE_TYPE OBJECT_VALIDATION_FLAGS "
    "TRUST_SERVER_AUTH TRUST_CLIENT_AUTH TRUST_CODE_SIGNING TRUST_EMAIL_PROTECTION TRUST_IPSEC_IKE "
    "TRUST_TIME_STAMPING TRUST_OCSP_SIGNING "
    "PTKC_CHANNEL PTKC_PROTECTION PTKC_AGE PTKC_MESSAGES PTKC_ROLLOVERS"
)
_STRINGS = (
    "ISSUER_STR SUBJECT_STR BATCH DATE_OF_MANUFACTURE FW_VERSION HW_EXT_INFO_STR MANUFACTURER PINPAD_DESC TIME_STAMP "
    "CERTIFICATE_START_TIME CERTIFICATE_END_TIME PTKC_PEER"
)
_BYTES = "HASH_OF_CERTIFICATE PUBLIC_KEY_INFO PUBLIC_CRC64_VALUE AC_ISSUER OWNER ATTR_TYPES"


def _pack_date(value: date | None) -> bytes:
    return b"" if value is None else handle_date[0](value)


def _unpack_date(value: bytes) -> date | None:
    """Return the date, None for no date: an empty CK_DATE."""
    return datetime.strptime(value.decode("ascii"), "%Y%m%d").date() if value.strip(b"\0 ") else None  # noqa: DTZ007


def _unpack_origin(value: bytes) -> Any:  # noqa: ANN401 - a mechanism
    """Return the mechanism a key was made with, None for CK_UNAVAILABLE_INFORMATION."""
    number = handle_ulong[1](value)
    return None if number == CK.UNAVAILABLE_INFORMATION else Mechanism(number)


def _pack_mechanisms(value: Any) -> bytes:  # noqa: ANN401 - mechanisms
    return struct.pack(f"{len(value)}L", *value)


def _unpack_mechanisms(value: bytes) -> list[Any]:
    numbers = struct.unpack(f"{len(value) // struct.calcsize('L')}L", value)
    known = Mechanism._value2member_map_
    return [known.get(number, number) for number in numbers]


def _register() -> None:
    """Give each attribute of the tables, and each of the vendor's, that has none its handler."""
    rows = ((_BOOLS, handle_bool), (_ULONGS, handle_ulong), (_STRINGS, handle_str), (_BYTES, handle_bytes))
    for names, handler in rows:
        for name in names.split():
            ATTRIBUTE_TYPES.setdefault(Attribute[name], handler)
    ATTRIBUTE_TYPES.setdefault(Attribute.ALLOWED_MECHANISMS, (_pack_mechanisms, _unpack_mechanisms))
    for number in vars(CKA).values():
        if isinstance(number, int) and number >= CKA.VENDOR_DEFINED:
            ATTRIBUTE_TYPES.setdefault(Attribute(number), handle_bytes)
    ATTRIBUTE_TYPES[Attribute.START_DATE] = ATTRIBUTE_TYPES[Attribute.END_DATE] = (_pack_date, _unpack_date)
    ATTRIBUTE_TYPES[Attribute.KEY_GEN_MECHANISM] = (handle_ulong[0], _unpack_origin)


_register()


def pack(template: dict[Any, Any]) -> list[tuple[int, bytes]]:
    """Return a template as (attribute, bytes), packed as python-pkcs11 packs it, without what is `DEFAULT`."""
    mapper = AttributeMapper()
    return [(int(key), mapper.pack_attribute(key, value)) for key, value in template.items() if value is not DEFAULT]

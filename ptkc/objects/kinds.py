"""The data types of the attribute tables, and what a canonical value of each looks like (specification 3 and 4)."""

from __future__ import annotations

from ptkc.spec.values import FALSE, TRUE, ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BIGINT", "BOOL", "BYTES", "CATEGORY", "DATE", "DER", "SECURITY_DOMAIN", "STRING", "TEMPLATE", "TRUST", "ULONG",
    "ULONGS", "Kind",
]  # fmt: skip


class Kind:
    """A data type of the tables: its name, and `check`, whether bytes are a canonical value of it."""

    __slots__ = ("check", "name")

    def __init__(self, name: str, check: Callable[[bytes], bool]) -> None:
        """Keep both."""
        self.name = name
        self.check = check


_MONTHS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is_string(value: bytes) -> bool:
    """Whether it is UTF-8 (RFC 2279)."""
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_date(value: bytes) -> bool:
    """Whether it is empty or a CK_DATE: year, month and day in eight digits (specification 3.3)."""
    if len(value) != 8:  # noqa: PLR2004 - sizeof(CK_DATE)
        return not value
    if not value.isdigit():
        return False
    month = int(value[4:6])
    if not 1 <= month <= 12 or not 1 <= int(value[6:]) <= _MONTHS[month]:  # noqa: PLR2004 - months of a year
        return False
    year = int(value[:4])
    return value[4:] != b"0229" or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))


def _is_sequence(value: bytes) -> bool:
    """Whether it is one DER SEQUENCE, as far as its first bytes say: a certificate is read where it is used."""
    if len(value) < 2 or value[0] != 0x30:  # noqa: PLR2004 - tag and length
        return False
    size = value[1] & 0x7F if value[1] > 0x80 else 0  # noqa: PLR2004 - the long form of a length
    length = int.from_bytes(value[2 : 2 + size], "big") if size else value[1]
    return len(value) == 2 + size + length


def _one_of(name: str, count: int) -> Kind:
    """Return the kind of an enumeration that is numbered from 0."""
    return Kind(name, frozenset(map(ulong, range(count))).__contains__)


BOOL = Kind("CK_BBOOL", frozenset((FALSE, TRUE)).__contains__)
ULONG = Kind("CK_ULONG", lambda value: len(value) == 8)  # noqa: PLR2004 - the canonical length
BYTES = Kind("byte array", lambda _: True)
BIGINT = Kind("big integer", lambda _: True)
STRING = Kind("RFC2279 string", _is_string)
DATE = Kind("CK_DATE", _is_date)
ULONGS = Kind("CK_ULONG array", lambda value: len(value) % 8 == 0)
TEMPLATE = Kind("CK_ATTRIBUTE array", lambda _: True)  # its rows are checked by objects.plans
DER = Kind("DER SEQUENCE", _is_sequence)
CATEGORY = _one_of("CK_CERTIFICATE_CATEGORY", 4)
SECURITY_DOMAIN = _one_of("CK_JAVA_MIDP_SECURITY_DOMAIN", 4)
TRUST = _one_of("CK_TRUST", 5)

"""The kinds of values, and the tables as the specification has them."""

from __future__ import annotations

import pytest

from ptkc.objects import attributes as tables
from ptkc.objects.classes import CLASSES
from ptkc.objects.kinds import BIGINT, BOOL, BYTES, DATE, STRING, ULONG, ULONGS
from ptkc.spec.constants import CKA, CKC, CKK, CKO
from ptkc.spec.values import ulong

FOOTNOTES = {str(number) for number in range(1, 14)} | {"copy", "computed", "once"}

HMAC_KEYS = (
    CKK.SHA_1_HMAC, CKK.SHA224_HMAC, CKK.SHA256_HMAC, CKK.SHA384_HMAC, CKK.SHA512_HMAC, CKK.SHA512_224_HMAC,
    CKK.SHA512_256_HMAC, CKK.SHA3_224_HMAC, CKK.SHA3_256_HMAC, CKK.SHA3_384_HMAC, CKK.SHA3_512_HMAC,
)  # fmt: skip
CURVE_KEYS = (CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY)


def footnotes(table: tuple[tables.Row, ...]) -> dict[int, set[str]]:
    """Return the footnotes of a table by attribute."""
    return {row.attribute: set(row.footnotes) for row in table}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (BOOL, b"\x00"), (BOOL, b"\x01"),
        (ULONG, ulong(0)), (ULONG, b"\xff" * 8),
        (BYTES, b""), (BYTES, b"anything"), (BIGINT, b"\x00\x01"),
        (STRING, b""), (STRING, b"plain"), (STRING, "Schlüssel".encode()),
        (DATE, b""), (DATE, b"20261231"), (DATE, b"20240229"), (DATE, b"20000229"),
        (ULONGS, b""), (ULONGS, ulong(1) + ulong(2)),
    ],
)  # fmt: skip
def test_a_right_value_is_accepted(kind: tables.Kind, value: bytes) -> None:
    """Each kind accepts its canonical values."""
    assert kind.check(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (BOOL, b""), (BOOL, b"\x02"), (BOOL, b"\x01\x00"), (BOOL, b"\x01" * 8),
        (ULONG, b""), (ULONG, b"\x01"), (ULONG, b"\x00" * 7), (ULONG, b"\x00" * 16),
        (STRING, b"\xff\xfe"), (STRING, b"cut \xc3"),
        (DATE, b"2026"), (DATE, b"20261301"), (DATE, b"20260001"), (DATE, b"20260100"), (DATE, b"20260431"),
        (DATE, b"20250229"), (DATE, b"19000229"), (DATE, b"2026-1-1"), (DATE, b"\xb2" * 8), (DATE, b"00000000"),
        (ULONGS, b"\x00"), (ULONGS, b"\x00" * 12),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(kind: tables.Kind, value: bytes) -> None:
    """Wrong lengths, booleans that are neither, dates that do not exist, bytes that are no text."""
    assert not kind.check(value)


def test_every_footnote_is_known() -> None:
    """A mistyped footnote would be a rule that nobody reads."""
    used = {
        footnote
        for entry in CLASSES.values()
        for subtype in entry.types
        for row in entry.rows(subtype)
        for footnote in row.footnotes
    }
    assert used <= FOOTNOTES


def test_every_default_is_a_value_of_its_kind() -> None:
    """What the token fills in passes the check of what an application says."""
    wrong = [
        row.attribute
        for entry in CLASSES.values()
        for subtype in entry.types
        for row in entry.rows(subtype)
        if row.default is not None and not row.kind.check(row.default)
    ]
    assert [] == wrong


def test_no_object_has_an_attribute_twice() -> None:
    """The tables that make up an object do not overlap."""
    doubled = {}
    for number, entry in CLASSES.items():
        for subtype in entry.types:
            attributes = [row.attribute for row in entry.rows(subtype)]
            if len(set(attributes)) != len(attributes):
                doubled[number, subtype] = attributes
    assert {} == doubled


def test_the_classes_and_types_of_the_token() -> None:
    """Each class and type that the token keeps has its row."""
    expected: dict[int, set[int | None]] = {
        CKO.DATA: {None},
        CKO.CERTIFICATE: {CKC.X_509},
        CKO.PUBLIC_KEY: {CKK.RSA, *CURVE_KEYS},
        CKO.PRIVATE_KEY: {CKK.RSA, *CURVE_KEYS},
        CKO.SECRET_KEY: {CKK.AES, CKK.GENERIC_SECRET, *HMAC_KEYS},
        CKO.DOMAIN_PARAMETERS: {CKK.DSA, CKK.DH, CKK.X9_42_DH},
    }
    missing = {number: types - set(CLASSES[number].types) for number, types in expected.items()}
    assert {number: set() for number in expected} == missing


def test_the_footnotes_of_key_material() -> None:
    """Tables "RSA Private Key", "Elliptic Curve Private Key" and "AES Secret Key Object Attributes"."""
    secret = {"4", "6", "7"}
    assert {
        CKA.MODULUS: {"1", "4", "6"},
        CKA.PUBLIC_EXPONENT: {"1", "4", "6"},
        CKA.PRIVATE_EXPONENT: {"1"} | secret,
        CKA.PRIME_1: secret,
        CKA.PRIME_2: secret,
        CKA.EXPONENT_1: secret,
        CKA.EXPONENT_2: secret,
        CKA.COEFFICIENT: secret,
    } == footnotes(tables.RSA_PRIVATE_KEY)
    vendor = {CKA.KEY_SIZE: {"2", "4", "6"}}
    assert {CKA.EC_PARAMS: {"1", "4", "6"}, CKA.VALUE: {"1"} | secret, **vendor} == footnotes(tables.EC_PRIVATE_KEY)
    assert {CKA.VALUE: {"1"} | secret, CKA.VALUE_LEN: {"2", "3"}} == footnotes(tables.AES_SECRET_KEY)

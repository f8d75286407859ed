"""Which attribute tables make up an object: one row for each class, and one for each key or certificate type.

`find` is the way in. What is not here does not exist on the token: its class or type is CKR_ATTRIBUTE_VALUE_INVALID.
A later key type, certificate type or class is one more row.
"""

from __future__ import annotations

from ptkc.objects import attributes as tables
from ptkc.spec.constants import CKA, CKC, CKK, CKO, CKR, CKT
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.values import FALSE, TRUE, Attributes, from_ulong, ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ptkc.objects.attributes import Row

__all__ = ["CLASSES", "SUBTYPES", "ObjectClass", "check_trust", "find", "follow_certificate", "follow_lengths"]


class ObjectClass:
    """A class of objects.

    `subtype` is the attribute that says which of `types` it is, None where there is but one; `common` the tables of
    all of them, in the specification's order; `types` the further tables of each; `private` the default of CKA_PRIVATE
    as SoftHSM has it; `follow(rows, attributes)` checks what no footnote says and returns the attributes that follow
    from the others, when an object of the class is made from a template alone; `check(attributes)` is asked when it is
    changed.
    """

    __slots__ = ("check", "common", "follow", "private", "subtype", "types")

    def __init__(
        self,
        private: bytes,
        common: tuple[tuple[Row, ...], ...],
        subtype: int | None,
        types: dict[int | None, tuple[Row, ...]],
        follow: Callable[[tuple[Row, ...], Attributes], Attributes] | None = None,
        check: Callable[[Attributes], None] | None = None,
    ) -> None:
        """Keep the row."""
        self.check = check
        self.private = private
        self.common = (tables.COMMON, tables.STORAGE, *common)
        self.subtype = subtype
        self.types = types
        self.follow = follow

    def rows(self, subtype: int | None) -> tuple[Row, ...]:
        """Return all rows of an object of this class and `subtype`."""
        return tuple(row for table in self.common for row in table) + self.types[subtype]


def follow_certificate(_: tuple[Row, ...], attributes: Attributes) -> Attributes:
    """Check footnotes 2 to 4 of "X.509 Certificate Object Attributes" and compute the check value.

    CKR_TEMPLATE_INCONSISTENT if there is neither certificate nor URL, or a URL without both hashes. The check value is
    the first three bytes of the SHA-1 of CKA_VALUE; a certificate that is elsewhere has none.
    """
    from hashlib import sha1  # noqa: PLC0415 - loads libcrypto, which start-up must not

    value = attributes[CKA.VALUE]
    if attributes.get(CKA.URL):
        for hashed in (CKA.HASH_OF_SUBJECT_PUBLIC_KEY, CKA.HASH_OF_ISSUER_PUBLIC_KEY):
            if not attributes[hashed]:
                raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"CKA_URL is given, {name_of(CKA, hashed)} is not")
    elif not value:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_VALUE and CKA_URL are both empty")
    return {CKA.CHECK_VALUE: sha1(value, usedforsecurity=False).digest()[:3]} if value else {}


def check_trust(attributes: Attributes, code: int = CKR.TEMPLATE_INCONSISTENT) -> None:
    """Check footnote 2 of "Trust Object Attributes": what is trusted is known by the hash of the certificate."""
    if all(attributes[trust] in _NO_TRUST for trust in tables.TRUSTS):
        return
    for needed in (CKA.HASH_OF_CERTIFICATE, CKA.NAME_HASH_ALGORITHM):
        if not attributes.get(needed):
            raise CryptokiError(code, f"{name_of(CKA, needed)} is missing for what is trusted")


def follow_trust(_: tuple[Row, ...], attributes: Attributes) -> Attributes:
    """Check a new trust object, from which nothing follows: CKR_TEMPLATE_INCOMPLETE."""
    check_trust(attributes, CKR.TEMPLATE_INCOMPLETE)
    return {}


def follow_lengths(rows: tuple[Row, ...], attributes: Attributes) -> Attributes:
    """Return the lengths in bits of the big integers that rows measure (domain parameters)."""
    return {
        row.attribute: ulong(int.from_bytes(attributes[row.measures], "big").bit_length())
        for row in rows
        if row.measures is not None
    }


_NO_TRUST = (ulong(CKT.TRUST_UNKNOWN), ulong(CKT.NOT_TRUSTED))
_HMAC = (
    CKK.SHA_1_HMAC, CKK.SHA224_HMAC, CKK.SHA256_HMAC, CKK.SHA384_HMAC, CKK.SHA512_HMAC, CKK.SHA512_224_HMAC,
    CKK.SHA512_256_HMAC, CKK.SHA3_224_HMAC, CKK.SHA3_256_HMAC, CKK.SHA3_384_HMAC, CKK.SHA3_512_HMAC,
    CKK.BLAKE2B_160_HMAC, CKK.BLAKE2B_256_HMAC, CKK.BLAKE2B_384_HMAC, CKK.BLAKE2B_512_HMAC,
)  # fmt: skip
_CIPHERS = (CKK.AES_XTS, CKK.CAMELLIA, CKK.ARIA, CKK.BLOWFISH)

CLASSES = {
    CKO.DATA: ObjectClass(TRUE, (), None, {None: tables.DATA}),
    CKO.CERTIFICATE: ObjectClass(
        FALSE,
        (tables.CERTIFICATE,),
        CKA.CERTIFICATE_TYPE,
        {CKC.X_509: tables.X_509_CERTIFICATE, CKC.X_509_ATTR_CERT: tables.X_509_ATTRIBUTE_CERTIFICATE},
        follow_certificate,
    ),
    CKO.TRUST: ObjectClass(FALSE, (), None, {None: tables.TRUST}, follow_trust, check_trust),
    CKO.CERTIFICATE_REQUEST: ObjectClass(FALSE, (), None, {None: tables.CERTIFICATE_REQUEST}),
    CKO.PUBLIC_KEY: ObjectClass(
        FALSE,
        (tables.KEY, tables.PUBLIC_KEY),
        CKA.KEY_TYPE,
        {
            CKK.RSA: tables.RSA_PUBLIC_KEY,
            CKK.EC: tables.EC_PUBLIC_KEY,
            CKK.EC_EDWARDS: tables.EDWARDS_PUBLIC_KEY,
            CKK.EC_MONTGOMERY: tables.MONTGOMERY_PUBLIC_KEY,
            CKK.DSA: tables.DSA_PUBLIC_KEY,
            CKK.DH: tables.DH_PUBLIC_KEY,
            CKK.X9_42_DH: tables.X9_42_DH_PUBLIC_KEY,
            CKK.ML_DSA: tables.ML_DSA_PUBLIC_KEY,
            CKK.ML_KEM: tables.ML_KEM_PUBLIC_KEY,
            CKK.SLH_DSA: tables.SLH_DSA_PUBLIC_KEY,
        },
    ),
    CKO.PRIVATE_KEY: ObjectClass(
        TRUE,
        (tables.KEY, tables.PRIVATE_KEY),
        CKA.KEY_TYPE,
        {
            CKK.RSA: tables.RSA_PRIVATE_KEY,
            CKK.EC: tables.EC_PRIVATE_KEY,
            CKK.EC_EDWARDS: tables.EDWARDS_PRIVATE_KEY,
            CKK.EC_MONTGOMERY: tables.MONTGOMERY_PRIVATE_KEY,
            CKK.DSA: tables.DSA_PRIVATE_KEY,
            CKK.DH: tables.DH_PRIVATE_KEY,
            CKK.X9_42_DH: tables.X9_42_DH_PRIVATE_KEY,
            CKK.ML_DSA: tables.ML_DSA_PRIVATE_KEY,
            CKK.ML_KEM: tables.ML_KEM_PRIVATE_KEY,
            CKK.SLH_DSA: tables.SLH_DSA_PRIVATE_KEY,
        },
    ),
    CKO.SECRET_KEY: ObjectClass(
        TRUE,
        (tables.KEY, tables.SECRET_KEY),
        CKA.KEY_TYPE,
        {
            CKK.GENERIC_SECRET: tables.GENERIC_SECRET_KEY,
            CKK.HKDF: tables.GENERIC_SECRET_KEY,
            CKK.AES: tables.AES_SECRET_KEY,
            CKK.DES2: tables.DES_SECRET_KEY,
            CKK.DES3: tables.DES_SECRET_KEY,
            CKK.SEED: tables.SEED_SECRET_KEY,
            CKK.CHACHA20: tables.CHACHA20_SECRET_KEY,
            CKK.POLY1305: tables.CHACHA20_SECRET_KEY,
            **dict.fromkeys(_CIPHERS, tables.CIPHER_SECRET_KEY),
            **dict.fromkeys(_HMAC, tables.GENERIC_SECRET_KEY),
        },
    ),
    CKO.DOMAIN_PARAMETERS: ObjectClass(
        TRUE,
        (tables.DOMAIN_PARAMETERS,),
        CKA.KEY_TYPE,
        {
            CKK.DSA: tables.DSA_DOMAIN,
            CKK.DH: tables.DH_DOMAIN,
            CKK.X9_42_DH: tables.X9_42_DH_DOMAIN,
        },
        follow_lengths,
    ),
}

# Canonical class → the attribute that says which type of it; for the quick look before `find`.
SUBTYPES = {ulong(number): row.subtype for number, row in CLASSES.items() if row.subtype is not None}


def find(given: dict[int, bytes | None] | Attributes) -> tuple[ObjectClass, int | None]:
    """Return the class that attributes name, and the number of its type.

    CKR_TEMPLATE_INCOMPLETE if class or type is not said, CKR_ATTRIBUTE_VALUE_INVALID if it is not one of ours.
    """
    number = _number(given, CKA.CLASS)
    row = CLASSES.get(number)
    if row is None:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_CLASS is {name_of(CKO, number)}")
    if row.subtype is None:
        return row, None
    subtype = _number(given, row.subtype)
    if subtype not in row.types:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, row.subtype)} is {subtype:#x}")
    return row, subtype


def _number(given: dict[int, bytes | None] | Attributes, attribute: int) -> int:
    """Return the CK_ULONG that `attribute` must have."""
    if attribute not in given:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"{name_of(CKA, attribute)} is missing")
    value = given[attribute]
    if value is None or len(value) != 8:  # noqa: PLR2004 - the canonical length
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"{name_of(CKA, attribute)} has the wrong length")
    return from_ulong(value)

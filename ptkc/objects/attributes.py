"""The attribute tables of Cryptoki 3.2, in the order and under the titles of the specification.

A `Row` is one line of a table: attribute, kind of value, footnotes, default. Footnotes are the specification's numbers
("Common footnotes for object attribute tables") and two words for what it says in prose: `copy` may be changed in the
process of copying (4.1.3), `computed` must, where it is given, equal what the token computes. The default is what the
object has when nobody says otherwise, None for no attribute at all; where the specification leaves it to the token it
is what SoftHSM has. Only `objects.plans` reads footnotes.

The vendor's attributes stand at the end of each table and have no default: an object that nobody gave one has none.
Their third word is `once`: it may be set where the object has none, and then only a ticket changes it.
"""

from __future__ import annotations

from ptkc.objects import kinds
from ptkc.objects.kinds import BIGINT, BOOL, BYTES, DATE, STRING, TEMPLATE, ULONG, ULONGS
from ptkc.spec.constants import CKA, CKM, CKT
from ptkc.spec.values import FALSE, TRUE, UNAVAILABLE, ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ptkc.objects.kinds import Kind

__all__ = [
    "AES_SECRET_KEY", "CERTIFICATE", "CERTIFICATE_REQUEST", "CHACHA20_SECRET_KEY", "CIPHER_SECRET_KEY", "COMMON",
    "DATA", "DES_SECRET_KEY", "DH_DOMAIN", "DH_PRIVATE_KEY", "DH_PUBLIC_KEY", "DOMAIN_PARAMETERS", "DSA_DOMAIN",
    "DSA_PRIVATE_KEY", "DSA_PUBLIC_KEY", "EC_PRIVATE_KEY", "EC_PUBLIC_KEY", "EDWARDS_PRIVATE_KEY",
    "EDWARDS_PUBLIC_KEY", "GENERIC_SECRET_KEY", "KEY", "ML_DSA_PRIVATE_KEY", "ML_DSA_PUBLIC_KEY", "ML_KEM_PRIVATE_KEY",
    "ML_KEM_PUBLIC_KEY", "MONTGOMERY_PRIVATE_KEY", "MONTGOMERY_PUBLIC_KEY", "PRIVATE_KEY", "PUBLIC_KEY",
    "RSA_PRIVATE_KEY", "RSA_PUBLIC_KEY", "SECRET_KEY", "SLH_DSA_PRIVATE_KEY", "SLH_DSA_PUBLIC_KEY", "STORAGE", "TRUST",
    "TRUSTS", "X9_42_DH_DOMAIN", "X9_42_DH_PRIVATE_KEY", "X9_42_DH_PUBLIC_KEY", "X_509_ATTRIBUTE_CERTIFICATE",
    "X_509_CERTIFICATE", "Row",
]  # fmt: skip


class Row:
    """One line of an attribute table."""

    __slots__ = ("attribute", "default", "footnotes", "kind", "measures")

    def __init__(
        self,
        attribute: int,
        kind: Kind,
        footnotes: str = "",
        default: bytes | None = None,
        *,
        measures: int | None = None,
    ) -> None:
        """Keep the line; `measures` is the big integer whose length in bits the attribute is."""
        self.attribute = attribute
        self.kind = kind
        self.footnotes = frozenset(footnotes.split())
        self.default = default
        self.measures = measures


_NO_MECHANISM = ulong(UNAVAILABLE)

# Common Object Attributes
COMMON = (
    Row(CKA.CLASS, ULONG),
    Row(CKA.UNIQUE_ID, STRING, "2 4 6"),
)

# Common Storage Object Attributes. The default of CKA_PRIVATE depends on the class: `objects.classes`.
STORAGE = (
    Row(CKA.TOKEN, BOOL, "copy", FALSE),
    Row(CKA.PRIVATE, BOOL, "9 copy"),
    Row(CKA.MODIFIABLE, BOOL, "copy", TRUE),
    Row(CKA.LABEL, STRING, "8", b""),
    Row(CKA.COPYABLE, BOOL, "12 copy", TRUE),
    Row(CKA.DESTROYABLE, BOOL, "copy", TRUE),
    Row(CKA.DELETABLE, BOOL, "8 12"),
)

# Data Object Attributes
DATA = (
    Row(CKA.APPLICATION, STRING, "", b""),
    Row(CKA.OBJECT_ID, BYTES, "", b""),
    Row(CKA.VALUE, BYTES, "", b""),
)

# Common Certificate Object Attributes. Footnote 10 says who may set CKA_TRUSTED, and the SO must be able to, on what
# others made: hence 8 with it, here and on keys.
CERTIFICATE = (
    Row(CKA.CERTIFICATE_TYPE, ULONG, "1"),
    Row(CKA.TRUSTED, BOOL, "8 10", FALSE),
    Row(CKA.CERTIFICATE_CATEGORY, kinds.CATEGORY, "", ulong(0)),
    Row(CKA.CHECK_VALUE, BYTES, "computed"),
    Row(CKA.START_DATE, DATE, "", b""),
    Row(CKA.END_DATE, DATE, "", b""),
    Row(CKA.PUBLIC_KEY_INFO, BYTES, "", b""),
)

_CERTIFICATE_TEXTS = (
    Row(CKA.SUBJECT_STR, STRING),
    Row(CKA.ISSUER_STR, STRING),
    Row(CKA.SERIAL_NUMBER_INT, BIGINT),
    Row(CKA.CERTIFICATE_START_TIME, STRING),
    Row(CKA.CERTIFICATE_END_TIME, STRING),
)

# X.509 Certificate Object Attributes. Its footnotes 2 to 4 are `objects.classes.follow_certificate`.
X_509_CERTIFICATE = (
    Row(CKA.SUBJECT, BYTES, "1"),
    Row(CKA.ID, BYTES, "8", b""),
    Row(CKA.ISSUER, BYTES, "8", b""),
    Row(CKA.SERIAL_NUMBER, BYTES, "8", b""),
    Row(CKA.VALUE, BYTES, "1"),
    Row(CKA.URL, STRING, "", b""),
    Row(CKA.HASH_OF_SUBJECT_PUBLIC_KEY, BYTES, "", b""),
    Row(CKA.HASH_OF_ISSUER_PUBLIC_KEY, BYTES, "", b""),
    Row(CKA.JAVA_MIDP_SECURITY_DOMAIN, kinds.SECURITY_DOMAIN, "", ulong(0)),
    Row(CKA.NAME_HASH_ALGORITHM, ULONG, "", ulong(CKM.SHA_1)),
    *_CERTIFICATE_TEXTS,
)

# X.509 Attribute Certificate Object Attributes. WTLS certificates, the third type, there are none.
X_509_ATTRIBUTE_CERTIFICATE = (
    Row(CKA.OWNER, BYTES, "1"),
    Row(CKA.AC_ISSUER, BYTES, "8", b""),
    Row(CKA.SERIAL_NUMBER, BYTES, "8", b""),
    Row(CKA.ATTR_TYPES, BYTES, "8", b""),
    Row(CKA.VALUE, BYTES, "1"),
)

# Trust Object Attributes. Footnote 2 of the table is `objects.classes.check_trust`; 3 is the default. That its default
# of CKA_MODIFIABLE is CK_TRUE would mean nothing if nothing could be modified: hence 8, but for whose trust it is.
TRUSTS = (
    CKA.TRUST_SERVER_AUTH, CKA.TRUST_CLIENT_AUTH, CKA.TRUST_CODE_SIGNING, CKA.TRUST_EMAIL_PROTECTION,
    CKA.TRUST_IPSEC_IKE, CKA.TRUST_TIME_STAMPING, CKA.TRUST_OCSP_SIGNING,
)  # fmt: skip
TRUST = (
    Row(CKA.ISSUER, BYTES, "1"),
    Row(CKA.SERIAL_NUMBER, BYTES, "1"),
    Row(CKA.HASH_OF_CERTIFICATE, BYTES, "8", b""),
    Row(CKA.NAME_HASH_ALGORITHM, ULONG, "8"),
    *(Row(attribute, kinds.TRUST, "8", ulong(CKT.TRUST_UNKNOWN)) for attribute in TRUSTS),
)

# Certificate Request Object Attributes (the vendor's class, its table ours): all of it follows from CKA_VALUE.
CERTIFICATE_REQUEST = (
    Row(CKA.VALUE, BYTES, "1"),
    Row(CKA.SUBJECT, BYTES, "", b""),
    Row(CKA.SUBJECT_STR, STRING),
    Row(CKA.ID, BYTES, "8", b""),
    Row(CKA.KEY_TYPE, ULONG),
    Row(CKA.PUBLIC_KEY_INFO, BYTES, "", b""),
)

# Common Key Attributes
KEY = (
    Row(CKA.KEY_TYPE, ULONG, "1 5"),
    Row(CKA.ID, BYTES, "8", b""),
    Row(CKA.START_DATE, DATE, "8", b""),
    Row(CKA.END_DATE, DATE, "8", b""),
    Row(CKA.DERIVE, BOOL, "8", FALSE),
    Row(CKA.LOCAL, BOOL, "2 4 6", FALSE),
    Row(CKA.KEY_GEN_MECHANISM, ULONG, "2 4 6", _NO_MECHANISM),
    Row(CKA.ALLOWED_MECHANISMS, ULONGS, "", b""),
    Row(CKA.OBJECT_VALIDATION_FLAGS, ULONG, "4 6 9", ulong(0)),
    Row(CKA.USAGE_COUNT, ULONG, "8"),
    Row(CKA.USAGE_LIMIT, ULONG, "once"),
    Row(CKA.ADMIN_CERT, kinds.DER, "once"),
    Row(CKA.TIME_STAMP, STRING, "2 4 6"),
)

# Common Public Key Attributes. CKA_PUBLIC_CRC64_VALUE carries footnote 1, which no application that was written for
# an earlier version could meet: it may be given, and is then compared where the key type computes it.
PUBLIC_KEY = (
    Row(CKA.SUBJECT, BYTES, "8", b""),
    Row(CKA.ENCRYPT, BOOL, "8 9", TRUE),
    Row(CKA.VERIFY, BOOL, "8 9", TRUE),
    Row(CKA.VERIFY_RECOVER, BOOL, "8 9", TRUE),
    Row(CKA.WRAP, BOOL, "8 9", TRUE),
    Row(CKA.ENCAPSULATE, BOOL, "8 9", TRUE),
    Row(CKA.TRUSTED, BOOL, "8 10", FALSE),
    Row(CKA.WRAP_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.ENCAPSULATE_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.PUBLIC_KEY_INFO, BYTES, "computed", b""),
    Row(CKA.PUBLIC_CRC64_VALUE, BYTES, "4 13 computed"),
    Row(CKA.EXPORT, BOOL, "8 10"),
)

# Common Private Key Attributes. Footnotes 11 and 12 make read-only what could be changed before, hence 8 with them.
# Applications that never heard of CKA_DECAPSULATE forbid a key to decrypt, to unwrap or to derive by the attributes for
# these, and decapsulation is the same: so a key has it that can do nothing else, or that is said to (`objects.plans`).
PRIVATE_KEY = (
    Row(CKA.SUBJECT, BYTES, "8", b""),
    Row(CKA.SENSITIVE, BOOL, "8 9 11", TRUE),
    Row(CKA.DECRYPT, BOOL, "8 9", TRUE),
    Row(CKA.SIGN, BOOL, "8 9", TRUE),
    Row(CKA.SIGN_RECOVER, BOOL, "8 9", TRUE),
    Row(CKA.UNWRAP, BOOL, "8 9", TRUE),
    Row(CKA.DECAPSULATE, BOOL, "8 9", FALSE),
    Row(CKA.EXTRACTABLE, BOOL, "8 9 12", FALSE),
    Row(CKA.ALWAYS_SENSITIVE, BOOL, "2 4 6", FALSE),
    Row(CKA.NEVER_EXTRACTABLE, BOOL, "2 4 6", FALSE),
    Row(CKA.WRAP_WITH_TRUSTED, BOOL, "8 11", FALSE),
    Row(CKA.UNWRAP_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.DECAPSULATE_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.ALWAYS_AUTHENTICATE, BOOL, "", FALSE),
    Row(CKA.PUBLIC_KEY_INFO, BYTES, "8 computed", b""),
    Row(CKA.DERIVE_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.PUBLIC_CRC64_VALUE, BYTES, "4 13 computed"),
    Row(CKA.EXPORTABLE, BOOL),
    Row(CKA.IMPORT, BOOL, "8 10"),
    Row(CKA.SIGN_LOCAL_CERT, BOOL, "8"),
)

# Common Secret Key Attributes
SECRET_KEY = (
    Row(CKA.SENSITIVE, BOOL, "8 11", TRUE),
    Row(CKA.ENCRYPT, BOOL, "8 9", TRUE),
    Row(CKA.DECRYPT, BOOL, "8 9", TRUE),
    Row(CKA.SIGN, BOOL, "8 9", TRUE),
    Row(CKA.VERIFY, BOOL, "8 9", TRUE),
    Row(CKA.WRAP, BOOL, "8 9", TRUE),
    Row(CKA.UNWRAP, BOOL, "8 9", TRUE),
    Row(CKA.EXTRACTABLE, BOOL, "8 9 12", FALSE),
    Row(CKA.ALWAYS_SENSITIVE, BOOL, "2 4 6", FALSE),
    Row(CKA.NEVER_EXTRACTABLE, BOOL, "2 4 6", FALSE),
    Row(CKA.CHECK_VALUE, BYTES, "8 computed"),
    Row(CKA.WRAP_WITH_TRUSTED, BOOL, "8 11", FALSE),
    Row(CKA.TRUSTED, BOOL, "8 10", FALSE),
    Row(CKA.WRAP_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.UNWRAP_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.DERIVE_TEMPLATE, TEMPLATE, "", b""),
    Row(CKA.EXPORT, BOOL, "8 10"),
    Row(CKA.EXPORTABLE, BOOL),
    Row(CKA.IMPORT, BOOL, "8 10"),
)

# Common Domain Parameter Attributes
DOMAIN_PARAMETERS = (
    Row(CKA.KEY_TYPE, ULONG, "1"),
    Row(CKA.LOCAL, BOOL, "2 4", FALSE),
)

# RSA Public Key Object Attributes
RSA_PUBLIC_KEY = (
    Row(CKA.MODULUS, BIGINT, "1 4"),
    Row(CKA.MODULUS_BITS, ULONG, "2 3"),
    Row(CKA.PUBLIC_EXPONENT, BIGINT, "1"),
)

# RSA Private Key Object Attributes
RSA_PRIVATE_KEY = (
    Row(CKA.MODULUS, BIGINT, "1 4 6"),
    Row(CKA.PUBLIC_EXPONENT, BIGINT, "1 4 6"),
    Row(CKA.PRIVATE_EXPONENT, BIGINT, "1 4 6 7"),
    Row(CKA.PRIME_1, BIGINT, "4 6 7"),
    Row(CKA.PRIME_2, BIGINT, "4 6 7"),
    Row(CKA.EXPONENT_1, BIGINT, "4 6 7"),
    Row(CKA.EXPONENT_2, BIGINT, "4 6 7"),
    Row(CKA.COEFFICIENT, BIGINT, "4 6 7"),
)

# DSA Public Key Object Attributes
DSA_PUBLIC_KEY = (
    Row(CKA.PRIME, BIGINT, "1 3"),
    Row(CKA.SUBPRIME, BIGINT, "1 3"),
    Row(CKA.BASE, BIGINT, "1 3"),
    Row(CKA.VALUE, BIGINT, "1 4"),
)

# DSA Private Key Object Attributes
DSA_PRIVATE_KEY = (
    Row(CKA.PRIME, BIGINT, "1 4 6"),
    Row(CKA.SUBPRIME, BIGINT, "1 4 6"),
    Row(CKA.BASE, BIGINT, "1 4 6"),
    Row(CKA.VALUE, BIGINT, "1 4 6 7"),
)

# DSA Domain Parameter Object Attributes. The table lacks CKA_SUBPRIME_BITS, of which the text under it speaks.
DSA_DOMAIN = (
    Row(CKA.PRIME, BIGINT, "1 4"),
    Row(CKA.SUBPRIME, BIGINT, "1 4"),
    Row(CKA.BASE, BIGINT, "1 4"),
    Row(CKA.PRIME_BITS, ULONG, "2 3", measures=CKA.PRIME),
    Row(CKA.SUBPRIME_BITS, ULONG, "2", measures=CKA.SUBPRIME),
)

# Elliptic Curve Public Key Object Attributes
EC_PUBLIC_KEY = (
    Row(CKA.EC_PARAMS, BYTES, "1 3"),
    Row(CKA.EC_POINT, BYTES, "1 4"),
    Row(CKA.KEY_SIZE, ULONG, "2 4 6"),
)

# Elliptic Curve Private Key Object Attributes
EC_PRIVATE_KEY = (
    Row(CKA.EC_PARAMS, BYTES, "1 4 6"),
    Row(CKA.VALUE, BIGINT, "1 4 6 7"),
    Row(CKA.KEY_SIZE, ULONG, "2 4 6"),
)

# Edwards Elliptic Curve Public Key Object Attributes
EDWARDS_PUBLIC_KEY = EC_PUBLIC_KEY

# Edwards Elliptic Curve Private Key Object Attributes
EDWARDS_PRIVATE_KEY = EC_PRIVATE_KEY

# Montgomery Elliptic Curve Public Key Object Attributes
MONTGOMERY_PUBLIC_KEY = EC_PUBLIC_KEY

# Montgomery Elliptic Curve Private Key Object Attributes
MONTGOMERY_PRIVATE_KEY = EC_PRIVATE_KEY

# ML-DSA Public Key Object Attributes
ML_DSA_PUBLIC_KEY = (
    Row(CKA.PARAMETER_SET, ULONG, "1 3"),
    Row(CKA.VALUE, BYTES, "1 4"),
)

# ML-DSA Private Key Object Attributes. CKA_VALUE carries footnote 1; that one of the two is enough, the text says.
ML_DSA_PRIVATE_KEY = (
    Row(CKA.PARAMETER_SET, ULONG, "1 4 6"),
    Row(CKA.SEED, BYTES, "4 6 7"),
    Row(CKA.VALUE, BYTES, "4 6 7"),
)

# ML-KEM Public Key Object Attributes
ML_KEM_PUBLIC_KEY = ML_DSA_PUBLIC_KEY

# ML-KEM Private Key Object Attributes
ML_KEM_PRIVATE_KEY = ML_DSA_PRIVATE_KEY

# SLH-DSA Public Key Object Attributes
SLH_DSA_PUBLIC_KEY = ML_DSA_PUBLIC_KEY

# SLH-DSA Private Key Object Attributes
SLH_DSA_PRIVATE_KEY = (
    Row(CKA.PARAMETER_SET, ULONG, "1 4 6"),
    Row(CKA.VALUE, BYTES, "1 4 6 7"),
)

# Diffie-Hellman Public Key Object Attributes
DH_PUBLIC_KEY = (
    Row(CKA.PRIME, BIGINT, "1 3"),
    Row(CKA.BASE, BIGINT, "1 3"),
    Row(CKA.VALUE, BIGINT, "1 4"),
)

# X9.42 Diffie-Hellman Public Key Object Attributes
X9_42_DH_PUBLIC_KEY = (
    Row(CKA.PRIME, BIGINT, "1 3"),
    Row(CKA.BASE, BIGINT, "1 3"),
    Row(CKA.SUBPRIME, BIGINT, "1 3"),
    Row(CKA.VALUE, BIGINT, "1 4"),
)

# Diffie-Hellman Private Key Object Attributes
DH_PRIVATE_KEY = (
    Row(CKA.PRIME, BIGINT, "1 4 6"),
    Row(CKA.BASE, BIGINT, "1 4 6"),
    Row(CKA.VALUE, BIGINT, "1 4 6 7"),
    Row(CKA.VALUE_BITS, ULONG, "2"),
)

# X9.42 Diffie-Hellman Private Key Object Attributes
X9_42_DH_PRIVATE_KEY = (
    Row(CKA.PRIME, BIGINT, "1 4 6"),
    Row(CKA.BASE, BIGINT, "1 4 6"),
    Row(CKA.SUBPRIME, BIGINT, "1 4 6"),
    Row(CKA.VALUE, BIGINT, "1 4 6 7"),
)

# Diffie-Hellman Domain Parameter Object Attributes
DH_DOMAIN = (
    Row(CKA.PRIME, BIGINT, "1 4"),
    Row(CKA.BASE, BIGINT, "1 4"),
    Row(CKA.PRIME_BITS, ULONG, "2 3", measures=CKA.PRIME),
)

# X9.42 Diffie-Hellman Domain Parameters Object Attributes
X9_42_DH_DOMAIN = (
    Row(CKA.PRIME, BIGINT, "1 4"),
    Row(CKA.BASE, BIGINT, "1 4"),
    Row(CKA.SUBPRIME, BIGINT, "1 4"),
    Row(CKA.PRIME_BITS, ULONG, "2 3", measures=CKA.PRIME),
    Row(CKA.SUBPRIME_BITS, ULONG, "2 3", measures=CKA.SUBPRIME),
)

# Generic Secret Key Object Attributes; the keys of HMAC have the same.
GENERIC_SECRET_KEY = (
    Row(CKA.VALUE, BYTES, "1 4 6 7"),
    Row(CKA.VALUE_LEN, ULONG, "2 3"),
)

# AES Secret Key Object Attributes
AES_SECRET_KEY = (
    Row(CKA.VALUE, BYTES, "1 4 6 7"),
    Row(CKA.VALUE_LEN, ULONG, "2 3"),
)

# DES2 and DES3 Secret Key Object Attributes: their length is that of the key type.
DES_SECRET_KEY = (Row(CKA.VALUE, BYTES, "1 4 6 7"),)

# AES-XTS, Camellia, ARIA and Blowfish Secret Key Object Attributes
CIPHER_SECRET_KEY = AES_SECRET_KEY

# ChaCha20 and Poly1305 Secret Key Object Attributes. CKA_VALUE_LEN carries footnote 3; that there is one length only,
# the text says.
CHACHA20_SECRET_KEY = (
    Row(CKA.VALUE, BYTES, "1 4 6 7"),
    Row(CKA.VALUE_LEN, ULONG, "2"),
)

# SEED Secret Key Object Attributes
SEED_SECRET_KEY = DES_SECRET_KEY

"""Keys and domain parameters over finite fields: CKK_DH, CKK_X9_42_DH and CKK_DSA (specification 6.2, 6.4).

libcrypto does the arithmetic and the checks. Domain parameters are checked whole where a key is made of them or comes
in: primes, base, and the subgroup. A CKK_DH key has no CKA_SUBPRIME, so its prime must be a safe one, or that of a
group which libcrypto knows (RFC 2409, 3526, 5114, 7919): in any other group a peer could ask for the private value
modulo one small number after the other. Keys are wrapped as PKCS#8 (PKCS #3, X9.42 and RFC 3279 parameters).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ptkc.mechanisms import evp
from ptkc.mechanisms.der import BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, der, integer, oid
from ptkc.mechanisms.evp import Setting
from ptkc.mechanisms.mechanism import KeyType, Mechanism, register
from ptkc.mechanisms.private_key_info import check_public_key_info, trimmed
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong, ulong

__all__ = [
    "DH", "DSA", "NAMES", "X9_42_DH", "Field", "bits_of", "load_private", "public_value", "stripped",
]  # fmt: skip

_ZERO = der(INTEGER, b"\0")
NAMES = {CKA.PRIME: "p", CKA.SUBPRIME: "q", CKA.BASE: "g"}
"""What libcrypto calls the parts of domain parameters."""
_LONGEST_CHECKED = 4096
"""The longest prime that is checked, in bits, if it is of no known group: twice as long takes a minute."""
_LONG_GROUPS = ("ffdhe6144", "ffdhe8192", "modp_6144", "modp_8192")


class Field:
    """One kind of domain parameters.

    `key_type` CKK_*, `library` the name of libcrypto's type, `parts` the attributes in the order in which their
    numbers stand in an AlgorithmIdentifier, `algorithm` its identifier; `sizes` of the prime in bits, `subprimes` the
    sizes that CKA_SUBPRIME may have.
    """

    __slots__ = ("algorithm", "key_type", "library", "parts", "sizes", "subprimes")

    def __init__(
        self,
        key_type: int,
        library: str,
        algorithm: str,
        parts: tuple[int, ...],
        sizes: tuple[int, int],
        subprimes: range | tuple[int, ...] = (),
    ) -> None:
        """Keep the row."""
        self.key_type = key_type
        self.library = library
        self.algorithm = oid(algorithm)
        self.parts = parts
        self.sizes = sizes
        self.subprimes = subprimes

    def numbers(self, attributes: Attributes) -> tuple[bytes, ...]:
        """Return the domain parameters of a template or key, in the order of `parts`; CKR_TEMPLATE_INCOMPLETE."""
        missing = [f"{kind:#x}" for kind in self.parts if not attributes.get(kind)]
        if missing:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"attributes {missing} are missing")
        return tuple(stripped(attributes[kind]) for kind in self.parts)

    def named(self, numbers: tuple[bytes, ...]) -> Attributes:
        """Return the domain parameters as attributes."""
        return dict(zip(self.parts, numbers, strict=True))

    def settings(self, numbers: tuple[bytes, ...]) -> dict[str, Setting]:
        """Return the domain parameters by libcrypto's names."""
        return {NAMES[kind]: number for kind, number in self.named(numbers).items()}

    def check_sizes(self, attributes: Attributes) -> None:
        """Refuse primes of sizes that are not worked with; ValueError."""
        bits = bits_of(attributes[CKA.PRIME])
        if not self.sizes[0] <= bits <= self.sizes[1]:
            message = f"CKA_PRIME of {bits} bits, want {self.sizes}"
            raise ValueError(message)
        if CKA.SUBPRIME in attributes and bits_of(attributes[CKA.SUBPRIME]) not in self.subprimes:
            message = f"CKA_SUBPRIME of {bits_of(attributes[CKA.SUBPRIME])} bits"
            raise ValueError(message)

    def checked(self, attributes: Attributes) -> tuple[bytes, ...]:
        """Return the domain parameters, which are good; CKR_DOMAIN_PARAMS_INVALID."""
        numbers = self.numbers(attributes)
        try:
            _check(self, numbers)
        except ValueError as error:
            raise CryptokiError(CKR.DOMAIN_PARAMS_INVALID, str(error)) from None
        return numbers

    def scheme(self, numbers: tuple[bytes, ...]) -> bytes:
        """Return the AlgorithmIdentifier (DER)."""
        parameters = der(SEQUENCE, b"".join(map(integer, numbers)))
        return der(SEQUENCE, self.algorithm + parameters)

    def public_key_info(self, numbers: tuple[bytes, ...], value: bytes) -> bytes:
        """Return SubjectPublicKeyInfo (DER)."""
        return der(SEQUENCE, self.scheme(numbers) + der(BIT_STRING, b"\0" + integer(value)))

    def private_key_info(self, numbers: tuple[bytes, ...], value: bytes) -> bytes:
        """Return PrivateKeyInfo (DER)."""
        return der(SEQUENCE, _ZERO + self.scheme(numbers) + der(OCTET_STRING, integer(value)))


@lru_cache(maxsize=256)
def _check(field: Field, numbers: tuple[bytes, ...]) -> None:
    """Refuse domain parameters with ValueError; what was good once is not checked again, since that takes its time."""
    named = field.named(numbers)
    bits = bits_of(named[CKA.PRIME])
    field.check_sizes(named)
    if bits > _LONGEST_CHECKED and not _is_known(named):
        message = f"CKA_PRIME of {bits} bits is of no known group, and takes too long to be checked"
        raise ValueError(message)
    evp.check(evp.key_from(field.library, "d", field.settings(numbers)), "d")


def _is_known(named: Attributes) -> bool:
    """Whether a long prime is that of a group which libcrypto knows; all of these have the base 2."""
    known = (evp.key_from("DH", "d", {"group": name}) for name in _LONG_GROUPS)
    return named[CKA.BASE] == b"\2" and any(evp.number(group, "p") == named[CKA.PRIME] for group in known)


def stripped(number: bytes) -> bytes:
    """Return a big integer without leading zeros; zero as one byte."""
    return number.lstrip(b"\0") or b"\0"


def bits_of(number: bytes) -> int:
    """Return the length of a big integer in bits."""
    number = number.lstrip(b"\0")
    return 8 * len(number) - 8 + number[0].bit_length() if number else 0


DH = Field(CKK.DH, "DH", "1.2.840.113549.1.3.1", (CKA.PRIME, CKA.BASE), (512, 8192))
X9_42_DH = Field(
    CKK.X9_42_DH, "DHX", "1.2.840.10046.2.1", (CKA.PRIME, CKA.BASE, CKA.SUBPRIME), (1024, 8192), range(160, 8192)
)
# libcrypto checks DSA parameters as FIPS 186-4 says, which knows these sizes only.
DSA = Field(
    CKK.DSA, "DSA", "1.2.840.10040.4.1", (CKA.PRIME, CKA.SUBPRIME, CKA.BASE), (1024, 3072), (160, 224, 256)
)
_FIELDS = {field.key_type: field for field in (DH, X9_42_DH, DSA)}


def load_private(key: Object) -> Any:  # noqa: ANN401 - a pointer of cffi's
    """Return libcrypto's form of a private key object, made once."""
    private = key.cache.get("private")
    if private is None:
        field = _FIELDS[key.key_type]
        parts = field.settings(field.numbers(key.attributes))
        parts["priv"] = stripped(key.attributes[CKA.VALUE])
        private = key.cache["private"] = evp.key_from(field.library, "k", parts)
    return private


def public_value(field: Field, numbers: tuple[bytes, ...], value: bytes) -> Any:  # noqa: ANN401 - a pointer of cffi's
    """Return libcrypto's form of a public value; ValueError if it is 0, 1, p-1, not below p or in no subgroup."""
    if bits_of(value) > field.sizes[1]:
        message = "a public value longer than any prime"
        raise ValueError(message)
    public = evp.key_from(field.library, "p", {**field.settings(numbers), "pub": stripped(value)})
    evp.check(public, "p")
    return public


class FieldKey(KeyType):
    """CKK_DH, CKK_X9_42_DH or CKK_DSA."""

    def __init__(self, field: Field) -> None:
        """Keep the row."""
        self.type = field.key_type
        self._field = field

    def size(self, attributes: Attributes) -> int:
        """Return the length of the prime in bits."""
        return bits_of(attributes[CKA.PRIME])

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Check domain parameters and value; what follows: both as we keep them, CKA_PUBLIC_KEY_INFO, CKA_VALUE_BITS.

        CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID for a value that is none in the group.
        """
        field = self._field
        numbers = field.checked(attributes)
        value = attributes.get(CKA.VALUE, b"")
        if not 0 < bits_of(value) <= field.sizes[1]:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE of {bits_of(value)} bits")
        material = {**field.named(numbers), CKA.VALUE: stripped(value)}
        try:
            if object_class == CKO.PUBLIC_KEY:
                public_value(field, numbers, value)
                info = field.public_key_info(numbers, value)
                check_public_key_info(attributes, info)
                return {**material, CKA.PUBLIC_KEY_INFO: info}
            pair = evp.decode(field.library, field.private_key_info(numbers, value))
            evp.check(pair, "k")
            info = field.public_key_info(numbers, evp.number(pair, "pub"))
        except ValueError as error:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE: {error}") from None
        check_public_key_info(attributes, info)
        return {**material, CKA.PUBLIC_KEY_INFO: info, **self._follows(value)}

    def _follows(self, value: bytes) -> Attributes:
        """Return the attribute that the private keys of PKCS #3 have beyond the others."""
        return {CKA.VALUE_BITS: ulong(bits_of(value))} if self.type == CKK.DH else {}

    def encode(self, attributes: Attributes) -> bytes:
        """Return PrivateKeyInfo."""
        field = self._field
        return field.private_key_info(field.numbers(attributes), attributes[CKA.VALUE])

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return the material in a PrivateKeyInfo; CKR_WRAPPED_KEY_INVALID."""
        field = self._field
        try:
            pair = evp.decode(field.library, trimmed(payload))
            material = {kind: evp.number(pair, NAMES[kind]) for kind in field.parts}
            material[CKA.VALUE] = evp.number(pair, "priv")
            numbers = field.checked(material)
            evp.check(pair, "k")
            info = field.public_key_info(numbers, evp.number(pair, "pub"))
        except (ValueError, CryptokiError):
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the unwrapped bytes are no PrivateKeyInfo of a key") from None
        check_public_key_info(attributes, info)
        return {**material, CKA.PUBLIC_KEY_INFO: info, **self._follows(material[CKA.VALUE])}


class FieldKeyPairGeneration(Mechanism):
    """CKM_DH_PKCS_KEY_PAIR_GEN, CKM_X9_42_DH_KEY_PAIR_GEN or CKM_DSA_KEY_PAIR_GEN.

    It is the check of the domain parameters that may take long.
    """

    slow = True
    source = "none: the key is random"

    def __init__(self, number: int, field: Field) -> None:
        """Keep the mechanism's number and the row."""
        self.type = number
        self.generates = field.key_type
        self.sizes = field.sizes
        self._field = field

    def generate_pair(
        self,
        parameter: None,  # noqa: ARG002 - there is none
        public: Attributes,
        private: Attributes,
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair with the domain parameters of the public template.

        CKA_VALUE_BITS of the private one limits the private value (CKK_DH). CKR_DOMAIN_PARAMS_INVALID,
        CKR_ATTRIBUTE_VALUE_INVALID for a limit that is none.
        """
        field = self._field
        numbers = field.checked(public)
        limit = from_ulong(private[CKA.VALUE_BITS]) if CKA.VALUE_BITS in private else 0
        if CKA.VALUE_BITS in private and not _SHORTEST_VALUE <= limit < bits_of(public[CKA.PRIME]):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE_BITS {limit}")
        pair = _new_pair(evp.key_from(field.library, "d", field.settings(numbers)), limit)
        value, secret = evp.number(pair, "pub"), evp.number(pair, "priv")
        follows = {**field.named(numbers), CKA.PUBLIC_KEY_INFO: field.public_key_info(numbers, value)}
        material = {**follows, CKA.VALUE: secret}
        if field is DH:
            material[CKA.VALUE_BITS] = private.get(CKA.VALUE_BITS, ulong(bits_of(secret)))
        return {**follows, CKA.VALUE: value}, material


def _new_pair(group: Any, limit: int) -> Any:  # noqa: ANN401 - pointers of cffi's
    """Return a new key pair, its private value of at most `limit` bits if that is not 0.

    A limit beyond the group's order, which libcrypto refuses, limits nothing.
    """
    try:
        return evp.generate_key(group, {"priv_len": limit} if limit else {})
    except ValueError:
        pair = evp.generate_key(group, {})
        if bits_of(evp.number(pair, "priv")) > limit:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE_BITS {limit}") from None
        return pair


_SHORTEST_VALUE = 160
"""The least bits of a private value that one may ask for: half of them is what it is worth."""


register(
    *(FieldKey(field) for field in _FIELDS.values()),
    FieldKeyPairGeneration(CKM.DH_PKCS_KEY_PAIR_GEN, DH),
    FieldKeyPairGeneration(CKM.X9_42_DH_KEY_PAIR_GEN, X9_42_DH),
    FieldKeyPairGeneration(CKM.DSA_KEY_PAIR_GEN, DSA),
)

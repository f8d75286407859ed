"""RSA keys: generation, import, and their form in the library (specification 6.1.2 to 6.1.5).

A key that comes from outside is checked once, when the object is made: size, parities, and for a private key the
library's check of all its parts (primes, p·q = n, d·e ≡ 1). At use it is loaded without that check. Numbers are kept
without leading zeros: the halves of a pair know each other by their moduli. A private key may come without its primes:
they are found from n, e and d, or refused, in bounded time.
"""

from __future__ import annotations

from math import isqrt

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ptkc.mechanisms import libcrypto
from ptkc.mechanisms.mechanism import KeyType, Mechanism, register
from ptkc.mechanisms.private_key_info import check_public_key_info, parse
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong, ulong

__all__ = [
    "PRIVATE_PARTS", "SIZES", "generated", "generation_request", "load_private", "load_public", "private_attributes",
]  # fmt: skip

SIZES = (512, 16384)
"""The moduli that keys are used with, in bits."""

_GENERATED = (1024, 8192)
_DEFAULT_EXPONENT = 65537
_LIBRARY_EXPONENTS = (3, _DEFAULT_EXPONENT)
_SMALL_MODULUS, _LONGEST_EXPONENT = 3072, 64
"""libcrypto's OPENSSL_RSA_SMALL_MODULUS_BITS and OPENSSL_RSA_MAX_PUBEXP_BITS."""

PRIVATE_PARTS = (
    CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.PRIME_2, CKA.EXPONENT_1, CKA.EXPONENT_2,
    CKA.COEFFICIENT,
)  # fmt: skip
"""What an RSA private key consists of, in the order of PKCS #1's RSAPrivateKey."""


def _number(attributes: Attributes, kind: int) -> int:
    """Return a big integer attribute; CKR_TEMPLATE_INCOMPLETE without."""
    value = attributes.get(kind)
    if not value:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"attribute {kind:#x} is missing")
    return int.from_bytes(value, "big")


def _bytes(number: int) -> bytes:
    """Return a number as a big integer attribute."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _private_numbers(attributes: Attributes) -> rsa.RSAPrivateNumbers:
    """Return the numbers of complete private key material."""
    n, e, d, p, q, dp, dq, qi = [_number(attributes, kind) for kind in PRIVATE_PARTS]
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n))


def _public_key_info(public: rsa.RSAPublicKey) -> bytes:
    """Return SubjectPublicKeyInfo (DER)."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_private(key: Object) -> rsa.RSAPrivateKey:
    """Return the library's form of a private key object, made once."""
    private = key.cache.get("private")
    if private is None:
        numbers = _private_numbers(key.attributes)
        private = key.cache["private"] = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    return private  # type: ignore[return-value]


def load_public(key: Object) -> rsa.RSAPublicKey:
    """Return the library's form of a public key object, made once."""
    public = key.cache.get("public")
    if public is None:
        attributes = key.attributes
        numbers = rsa.RSAPublicNumbers(_number(attributes, CKA.PUBLIC_EXPONENT), _number(attributes, CKA.MODULUS))
        public = key.cache["public"] = numbers.public_key()
    return public  # type: ignore[return-value]


class RsaKey(KeyType):
    """CKK_RSA (specification 6.1.2, 6.1.3)."""

    type = CKK.RSA

    def size(self, attributes: Attributes) -> int:
        """Return the length of the modulus in bits."""
        return _number(attributes, CKA.MODULUS).bit_length()

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Check the numbers; what follows: all as we keep them, missing private parts, CKA_PUBLIC_KEY_INFO and size.

        CKR_ATTRIBUTE_VALUE_INVALID for a number that is impossible by itself, CKR_TEMPLATE_INCONSISTENT for numbers
        that do not belong together.
        """
        modulus, exponent = _number(attributes, CKA.MODULUS), _number(attributes, CKA.PUBLIC_EXPONENT)
        bits = modulus.bit_length()
        if not SIZES[0] <= bits <= SIZES[1] or not modulus & 1:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_MODULUS: {bits} bits, even or of an unusable size")
        if not 1 < exponent < modulus or not exponent & 1 or _is_unusable(bits, exponent):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_EXPONENT is even, 1 or too large")
        public = rsa.RSAPublicNumbers(exponent, modulus)
        info = _public_key_info(public.public_key())
        check_public_key_info(attributes, info)
        if object_class == CKO.PUBLIC_KEY:
            parts = {CKA.MODULUS: _bytes(modulus), CKA.PUBLIC_EXPONENT: _bytes(exponent)}
            return {**parts, CKA.MODULUS_BITS: ulong(bits), CKA.PUBLIC_KEY_INFO: info}
        return {**_checked_private(attributes, public), CKA.PUBLIC_KEY_INFO: info}

    def encode(self, attributes: Attributes) -> bytes:
        """Return PrivateKeyInfo with an RSAPrivateKey (PKCS #1)."""
        private = _private_numbers(attributes).private_key(unsafe_skip_rsa_key_validation=True)
        return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return the material in a PrivateKeyInfo."""
        private: rsa.RSAPrivateKey = parse(payload, rsa.RSAPrivateKey)  # type: ignore[type-abstract]
        info = _public_key_info(private.public_key())
        check_public_key_info(attributes, info)
        return {**private_attributes(private.private_numbers()), CKA.PUBLIC_KEY_INFO: info}


def _checked_private(attributes: Attributes, public: rsa.RSAPublicNumbers) -> Attributes:
    """Return all parts of a private key, of which the caller may have left some out, once they were checked."""
    given = {kind: _number(attributes, kind) for kind in PRIVATE_PARTS if attributes.get(kind)}
    if any(number > public.n for number in given.values()):
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "a part of the RSA private key is larger than CKA_MODULUS")
    try:
        numbers = _complete(given, public)
        numbers.private_key()
    except ValueError as error:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"not an RSA private key: {error}") from None
    parts = private_attributes(numbers)
    wrong = [f"{kind:#x}" for kind, number in given.items() if _bytes(number) != parts[kind]]
    if wrong:
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, f"attributes {wrong} are not those of the RSA private key")
    return parts


def _complete(given: dict[int, int], public: rsa.RSAPublicNumbers) -> rsa.RSAPrivateNumbers:
    """Return the numbers of a private key of which only n, e and d have to be there; ValueError if d is not theirs."""
    d = given.get(CKA.PRIVATE_EXPONENT)
    if d is None:
        raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_PRIVATE_EXPONENT is missing")
    if d >= public.n:
        message = "CKA_PRIVATE_EXPONENT is not below CKA_MODULUS"
        raise ValueError(message)
    p, q = given.get(CKA.PRIME_1), given.get(CKA.PRIME_2)
    if not p or not q:
        p, q = _primes(public.n, public.e, d)
    dp = given.get(CKA.EXPONENT_1) or rsa.rsa_crt_dmp1(d, p)
    dq = given.get(CKA.EXPONENT_2) or rsa.rsa_crt_dmq1(d, q)
    qi = given.get(CKA.COEFFICIENT) or rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public)


def _is_unusable(bits: int, exponent: int) -> bool:
    """Whether libcrypto refuses every use of a public key: it wants short exponents where the modulus is long."""
    return bits > _SMALL_MODULUS and exponent.bit_length() > _LONGEST_EXPONENT


def _primes(n: int, e: int, d: int) -> tuple[int, int]:
    """Return p and q of n = p·q with e·d = 1 modulo lcm(p-1, q-1); ValueError if there are none.

    With some j < e and g = gcd(p-1, q-1), e·d - 1 is j·(p-1)·(q-1)/g, so that g/j is nearly n/(e·d - 1): near enough
    to be one of its convergents if e is at most the fourth root of n. What the search by chance (Handbook of Applied
    Cryptography 8.2.2) would add are keys that nobody has, and minutes for numbers that are made to waste them.
    """
    multiple = e * d - 1
    above, below = n, multiple
    g, j, last_g, last_j = 1, 0, 0, 1
    while below and j <= e:
        whole, rest = divmod(above, below)
        above, below = below, rest
        g, j, last_g, last_j = whole * g + last_g, whole * j + last_j, g, j
        if not g or multiple * g % j:
            continue
        total = n - multiple * g // j + 1  # p + q
        root = isqrt(max(total * total - 4 * n, 0))  # p - q
        p = (total + root) // 2
        if 1 < p < n and n % p == 0:
            return p, n // p
    message = "d is not the private exponent of n and e, or e is too large to do without the primes"
    raise ValueError(message)


def _parts(numbers: rsa.RSAPrivateNumbers) -> tuple[int, ...]:
    """Return the numbers in the order of `PRIVATE_PARTS`."""
    public = numbers.public_numbers
    return (public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)


def private_attributes(numbers: rsa.RSAPrivateNumbers) -> Attributes:
    """Return all parts of a private key."""
    return dict(zip(PRIVATE_PARTS, map(_bytes, _parts(numbers)), strict=True))


def generated(numbers: rsa.RSAPrivateNumbers) -> tuple[Attributes, Attributes]:
    """Return what a new pair consists of, the public and the private key."""
    info = {CKA.PUBLIC_KEY_INFO: _public_key_info(numbers.public_numbers.public_key())}
    private = {**private_attributes(numbers), **info}
    return {kind: private[kind] for kind in (CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PUBLIC_KEY_INFO)}, private


def generation_request(public: Attributes, sizes: tuple[int, int]) -> tuple[int, int]:
    """Return CKA_MODULUS_BITS, of `sizes`, and CKA_PUBLIC_EXPONENT (65537 if it is not given).

    CKR_ATTRIBUTE_VALUE_INVALID for a size that is not made, CKR_TEMPLATE_INCONSISTENT for an impossible exponent.
    """
    bits = from_ulong(public[CKA.MODULUS_BITS])
    if not sizes[0] <= bits <= sizes[1]:
        raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_MODULUS_BITS {bits}, not in {sizes}")
    exponent = int.from_bytes(public.get(CKA.PUBLIC_EXPONENT) or _bytes(_DEFAULT_EXPONENT), "big")
    if not exponent & 1 or not 1 < exponent < 1 << (bits // 2) or _is_unusable(bits, exponent):
        raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_PUBLIC_EXPONENT is even, 1 or too large")
    return bits, exponent


class RsaKeyPairGeneration(Mechanism):
    """CKM_RSA_PKCS_KEY_PAIR_GEN (specification 6.1.4)."""

    type = CKM.RSA_PKCS_KEY_PAIR_GEN
    slow = True
    sizes = _GENERATED
    generates = CKK.RSA
    source = "none: the key is random"

    def generate_pair(
        self,
        parameter: None,  # noqa: ARG002 - there is none
        public: Attributes,
        private: Attributes,  # noqa: ARG002 - has nothing to say
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair of CKA_MODULUS_BITS with CKA_PUBLIC_EXPONENT (65537 if it is not given).

        CKR_ATTRIBUTE_VALUE_INVALID for a size that we do not make, CKR_TEMPLATE_INCONSISTENT for an exponent that
        cannot be one.
        """
        bits, exponent = generation_request(public, _GENERATED)
        if exponent in _LIBRARY_EXPONENTS:
            numbers = rsa.generate_private_key(exponent, bits).private_numbers()
        else:
            numbers = libcrypto.rsa_generate(bits, exponent)
        return generated(numbers)


register(RsaKey(), RsaKeyPairGeneration())

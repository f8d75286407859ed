"""RSA as ANSI X9.31 has it: CKM_RSA_X9_31, CKM_SHA1_RSA_X9_31, and keys of strong primes (specification 6.1.5, 6.1.15).

CKM_RSA_X9_31 is given the digest with the trailer behind it (for SHA-1 33 CC) and puts header and padding in front. Of
a signature and its complement to the modulus the smaller one is given; both verify, as NIST's vectors have it: whoever
keeps signatures apart by their bytes must know. The key pairs are those of FIPS 186-4 B.3.6, which libcrypto makes from
2048 bits on with public exponents longer than 16 bits: p-1, p+1, q-1 and q+1 have large prime factors, and the primes
are far apart.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature

from ptkc.mechanisms import libcrypto
from ptkc.mechanisms.digest_then import DigestThen, RawSignature
from ptkc.mechanisms.mechanism import Mechanism, Operation, Verification, register
from ptkc.mechanisms.rsa import generated, generation_request
from ptkc.mechanisms.rsa_operations import RsaSignature, RsaVerification
from ptkc.mechanisms.rsa_raw import libcrypto_key
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes

__all__: list[str] = []

_STEP = 32  # bytes: the modulus is a multiple of 256 bits
_OVERHEAD = 2
_TRAILERS = {CKM.SHA_1: b"\x33\xcc"}  # ISO/IEC 10118's number of the hash function, and CC


def _encapsulated(data: bytes, size: int) -> bytes:
    """Return 6B BB … BA and the data, `size` bytes; CKR_DATA_INVALID for data that cannot end a signed number.

    X9.31 tells a signature from its complement by the last digit, which is C.
    """
    if not data or data[-1] & 0x0F != 0x0C:  # noqa: PLR2004 - see above
        raise CryptokiError(CKR.DATA_INVALID, "the data do not end with the trailer's C")
    return b"\x6b" + b"\xbb" * (size - len(data) - _OVERHEAD) + b"\xba" + data


def _key(key: Object) -> tuple[object, int, int]:
    """Return libcrypto's form of a key, the length of its modulus in bytes, and the modulus; CKR_KEY_SIZE_RANGE."""
    pointer, size = libcrypto_key(key)
    modulus = int.from_bytes(key.attributes[CKA.MODULUS], "big")
    if size % _STEP or modulus.bit_length() != 8 * size:
        raise CryptokiError(CKR.KEY_SIZE_RANGE, f"a modulus of {modulus.bit_length()} bits, want a multiple of 256")
    return pointer, size, modulus


class RsaX931(RawSignature):
    """CKM_RSA_X9_31."""

    type = CKM.RSA_X9_31
    key_types = (CKK.RSA,)
    sizes = (1024, 16384)
    source = "NIST CAVP (cryptography_vectors: asymmetric/RSA/FIPS_186-2/SigGenRSA.rsp, SigVerRSA.rsp)"

    def sign(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_SignInit."""
        pointer, size, modulus = _key(key)

        def run(data: bytes) -> bytes:
            try:
                signature = libcrypto.rsa_raw(pointer, _encapsulated(data, size), private=True)
            except ValueError as error:
                raise CryptokiError(CKR.DATA_INVALID, str(error)) from None
            number = int.from_bytes(signature, "big")
            return min(number, modulus - number).to_bytes(size, "big")

        return RsaSignature(run, size, size - _OVERHEAD)

    def verify(self, key: Object, parameter: None) -> Verification:  # noqa: ARG002 - there is none
        """C_VerifyInit."""
        pointer, size, modulus = _key(key)

        def check(signature: bytes, data: bytes) -> None:
            expected = int.from_bytes(_encapsulated(data, size), "big")
            try:
                recovered = int.from_bytes(libcrypto.rsa_raw(pointer, signature, private=False), "big")
            except ValueError:
                raise InvalidSignature from None
            if expected not in (recovered, modulus - recovered):
                raise InvalidSignature

        return RsaVerification(check, size, size - _OVERHEAD)

    def sign_digest(self, key: Object, parameter: None, hash_type: int) -> Operation:
        """Return the signature of a digest, which gets its trailer."""
        signature = self.sign(key, parameter)
        trailer = _TRAILERS[hash_type]
        return RsaSignature(lambda digest: signature.single(digest + trailer), signature.length(0), _LONGEST_DIGEST)

    def verify_digest(self, key: Object, parameter: None, hash_type: int) -> Verification:
        """Return the verification over a digest, which gets its trailer."""
        verification = self.verify(key, parameter)
        size = libcrypto_key(key)[1]
        trailer = _TRAILERS[hash_type]
        return RsaVerification(
            lambda signature, digest: verification.single(digest + trailer, signature), size, _LONGEST_DIGEST
        )


_LONGEST_DIGEST = 64


class StrongKeyPairGeneration(Mechanism):
    """CKM_RSA_X9_31_KEY_PAIR_GEN, and the vendor's CKM_RSA_FIPS_186_4_PRIME_KEY_PAIR_GEN, which is the same."""

    generates = CKK.RSA
    slow = True
    sizes = (2048, 8192)
    source = "none: the key is random"

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number

    def generate_pair(
        self,
        parameter: None,  # noqa: ARG002 - there is none
        public: Attributes,
        private: Attributes,  # noqa: ARG002 - has nothing to say
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair of CKA_MODULUS_BITS, a multiple of 256, with CKA_PUBLIC_EXPONENT.

        CKR_ATTRIBUTE_VALUE_INVALID for a size that we do not make, CKR_TEMPLATE_INCONSISTENT for an exponent that
        cannot be one, or of 16 bits or less.
        """
        bits, exponent = generation_request(public, self.sizes)
        if bits % (8 * _STEP):
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_MODULUS_BITS {bits}, want a multiple of 256")
        if exponent.bit_length() <= _SHORTEST_EXPONENT:
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_PUBLIC_EXPONENT of 16 bits or less")
        return generated(libcrypto.rsa_generate(bits, exponent))


_SHORTEST_EXPONENT = 16
_X9_31 = RsaX931()

register(
    _X9_31,
    DigestThen(CKM.SHA1_RSA_X9_31, _X9_31, CKM.SHA_1),
    StrongKeyPairGeneration(CKM.RSA_X9_31_KEY_PAIR_GEN),
    StrongKeyPairGeneration(CKM.RSA_FIPS_186_4_PRIME_KEY_PAIR_GEN),
)

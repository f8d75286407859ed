"""CKM_RSA_PKCS and CKM_<hash>_RSA_PKCS: PKCS #1 v1.5 (specification 6.1.6, 6.1.16; RFC 8017 7.2 and 8.2).

CKM_RSA_PKCS signs whatever bytes it gets, a DigestInfo or anything else. A ciphertext with bad padding decrypts to
random bytes of a random length ("implicit rejection", done by the library), so that nobody can ask the token whether
padding is good; only what is no number below the modulus is CKR_ENCRYPTED_DATA_INVALID.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from ptkc.mechanisms.digest_then import DigestThen, RawSignature
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.mechanism import Operation, Verification, register
from ptkc.mechanisms.rsa import SIZES, load_private, load_public
from ptkc.mechanisms.rsa_operations import (
    RsaCipher,
    RsaDecryption,
    RsaEncryption,
    RsaRecovery,
    RsaSignature,
    RsaVerification,
)
from ptkc.objects.object import Object
from ptkc.spec.constants import CKK, CKM, CKR
from ptkc.spec.errors import CryptokiError

__all__ = ["RsaPkcs1"]

_PADDING = PKCS1v15()
_RAW = NoDigestInfo()
_PREHASHED = {number: Prehashed(algorithm) for number, algorithm in ALGORITHMS.items()}

# 0, block type, at least eight bytes of padding, 0.
_OVERHEAD = 11
# A DigestInfo is at most so much longer than its digest.
_DIGEST_INFO = 19


class RsaPkcs1(RsaCipher, RawSignature):
    """CKM_RSA_PKCS."""

    type = CKM.RSA_PKCS
    key_types = (CKK.RSA,)
    sizes = SIZES
    source = "NIST CAVP (cryptography_vectors: asymmetric/RSA/FIPS_186-2), RFC 8017 examples, Wycheproof"

    def sign(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_SignInit: any bytes, block type 01."""
        private = load_private(key)
        size = (private.key_size + 7) // 8
        sign = private.sign
        return RsaSignature(lambda data: sign(data, _PADDING, _RAW), size, size - _OVERHEAD)

    sign_recover = sign
    """C_SignRecoverInit: a signature of block type 01 carries its data."""

    def verify_recover(self, key: Object, parameter: None) -> Operation:  # noqa: ARG002 - there is none
        """C_VerifyRecoverInit: what block type 01 carries."""
        public = load_public(key)
        size = (public.key_size + 7) // 8
        recover = public.recover_data_from_signature
        return RsaRecovery(lambda signature: recover(signature, _PADDING, None), size, size - _OVERHEAD)

    def verify(self, key: Object, parameter: None) -> Verification:  # noqa: ARG002 - there is none
        """C_VerifyInit: any bytes, block type 01."""
        public = load_public(key)
        size = (public.key_size + 7) // 8

        def check(signature: bytes, data: bytes) -> None:
            # The library's `verify` does not know an empty input without digest; its `recover` does.
            if public.recover_data_from_signature(signature, _PADDING, None) != data:
                raise InvalidSignature

        return RsaVerification(check, size, size - _OVERHEAD)

    def sign_digest(self, key: Object, parameter: None, hash_type: int) -> Operation:  # noqa: ARG002 - there is none
        """Return the signature of a digest, in a DigestInfo."""
        private = load_private(key)
        size = (private.key_size + 7) // 8
        algorithm, longest = _PREHASHED[hash_type], _longest(size, ALGORITHMS[hash_type])
        sign = private.sign
        return RsaSignature(lambda digest: sign(digest, _PADDING, algorithm), size, longest)

    def verify_digest(self, key: Object, parameter: None, hash_type: int) -> Verification:  # noqa: ARG002 - there is none
        """Return the verification over a digest, in a DigestInfo."""
        public = load_public(key)
        size = (public.key_size + 7) // 8
        algorithm, longest = _PREHASHED[hash_type], _longest(size, ALGORITHMS[hash_type])
        verify = public.verify
        return RsaVerification(lambda signature, data: verify(signature, data, _PADDING, algorithm), size, longest)

    def encrypt(self, key: Object, parameter: None) -> RsaEncryption:  # noqa: ARG002 - there is none
        """C_EncryptInit: block type 02."""
        public = load_public(key)
        size = (public.key_size + 7) // 8
        return RsaEncryption(lambda data: public.encrypt(data, _PADDING), size, size - _OVERHEAD)

    def decrypt(self, key: Object, parameter: None) -> RsaDecryption:  # noqa: ARG002 - there is none
        """C_DecryptInit: block type 02."""
        private = load_private(key)
        size = (private.key_size + 7) // 8
        return RsaDecryption(lambda data: private.decrypt(data, _PADDING), size, size - _OVERHEAD)


def _longest(size: int, hashed: HashAlgorithm) -> int:
    """Return the length of the digest; CKR_KEY_SIZE_RANGE if a DigestInfo does not fit in a modulus of `size` bytes."""
    if size < hashed.digest_size + _DIGEST_INFO + _OVERHEAD:
        raise CryptokiError(CKR.KEY_SIZE_RANGE, f"a modulus of {size} bytes is too short for {hashed.name}")
    return hashed.digest_size


_PKCS1 = RsaPkcs1()

register(
    _PKCS1,
    DigestThen(CKM.SHA1_RSA_PKCS, _PKCS1, CKM.SHA_1),
    DigestThen(CKM.SHA224_RSA_PKCS, _PKCS1, CKM.SHA224),
    DigestThen(CKM.SHA256_RSA_PKCS, _PKCS1, CKM.SHA256),
    DigestThen(CKM.SHA384_RSA_PKCS, _PKCS1, CKM.SHA384),
    DigestThen(CKM.SHA512_RSA_PKCS, _PKCS1, CKM.SHA512),
    DigestThen(CKM.SHA3_224_RSA_PKCS, _PKCS1, CKM.SHA3_224),
    DigestThen(CKM.SHA3_256_RSA_PKCS, _PKCS1, CKM.SHA3_256),
    DigestThen(CKM.SHA3_384_RSA_PKCS, _PKCS1, CKM.SHA3_384),
    DigestThen(CKM.SHA3_512_RSA_PKCS, _PKCS1, CKM.SHA3_512),
)

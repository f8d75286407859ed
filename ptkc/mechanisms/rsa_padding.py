"""PSS and OAEP: CKM_RSA_PKCS_PSS, CKM_<hash>_RSA_PKCS_PSS, CKM_RSA_PKCS_OAEP (specification 6.1.8 to 6.1.11, 6.1.17).

Every hash function goes with every mask generation function. OAEP with a hash function that `cryptography` does not
take there goes to libcrypto. A ciphertext that does not decrypt is CKR_ENCRYPTED_DATA_INVALID, whatever was wrong.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PSS
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from ptkc.mechanisms.digest_then import DigestThen, RawSignature
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.libcrypto import rsa_oaep
from ptkc.mechanisms.mechanism import Operation, Verification, register
from ptkc.mechanisms.rsa import SIZES, load_private, load_public
from ptkc.mechanisms.rsa_operations import RsaCipher, RsaDecryption, RsaEncryption, RsaSignature, RsaVerification
from ptkc.mechanisms.rsa_raw import libcrypto_key
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKG, CKK, CKM, CKR, CKZ
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Oaep, Pss

__all__ = ["RsaOaep", "RsaPss"]

_MASKS: dict[int, HashAlgorithm] = {
    CKG.MGF1_SHA1: ALGORITHMS[CKM.SHA_1],
    CKG.MGF1_SHA224: ALGORITHMS[CKM.SHA224],
    CKG.MGF1_SHA256: ALGORITHMS[CKM.SHA256],
    CKG.MGF1_SHA384: ALGORITHMS[CKM.SHA384],
    CKG.MGF1_SHA512: ALGORITHMS[CKM.SHA512],
    CKG.MGF1_SHA3_224: ALGORITHMS[CKM.SHA3_224],
    CKG.MGF1_SHA3_256: ALGORITHMS[CKM.SHA3_256],
    CKG.MGF1_SHA3_384: ALGORITHMS[CKM.SHA3_384],
    CKG.MGF1_SHA3_512: ALGORITHMS[CKM.SHA3_512],
}

# Those that `cryptography` takes for OAEP.
_PLAIN = {ALGORITHMS[number].name for number in (CKM.SHA_1, CKM.SHA224, CKM.SHA256, CKM.SHA384, CKM.SHA512)}


def _functions(hash_type: int, mask: int) -> tuple[HashAlgorithm, HashAlgorithm]:
    """Return the hash function and that of the mask; CKR_MECHANISM_PARAM_INVALID for others than we know."""
    algorithm, masking = ALGORITHMS.get(hash_type), _MASKS.get(mask)
    if algorithm is None or masking is None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"hashAlg {hash_type:#x}, mgf {mask:#x}")
    return algorithm, masking


@lru_cache(maxsize=64)
def _pss(parameter: Pss, bits: int) -> tuple[PSS, Prehashed, int]:
    """Return padding, algorithm and length of the digest for a modulus of `bits`; CKR_MECHANISM_PARAM_INVALID."""
    algorithm, masking = _functions(parameter.hash, parameter.mgf)
    # RFC 8017 9.1.1: the message is a bit shorter than the modulus and has a salt, a digest and two bytes in it.
    longest = (bits - 1 + 7) // 8 - 2 - algorithm.digest_size
    if parameter.salt_len > longest:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"sLen {parameter.salt_len}, at most {longest}")
    return PSS(MGF1(masking), parameter.salt_len), Prehashed(algorithm), algorithm.digest_size


class RsaPss(RawSignature):
    """CKM_RSA_PKCS_PSS: the input is the digest."""

    type = CKM.RSA_PKCS_PSS
    key_types = (CKK.RSA,)
    sizes = SIZES
    parameters = layouts.PSS
    source = (
        "NIST CAVP (cryptography_vectors: asymmetric/RSA/FIPS_186-2), pkcs-1v2-1d2-vec, Wycheproof; "
        "with SHA-3 none is published"
    )

    def sign(self, key: Object, parameter: Pss) -> Operation:
        """C_SignInit."""
        private = load_private(key)
        bits = private.key_size
        padding, algorithm, length = _pss(parameter, bits)
        sign = private.sign
        return RsaSignature(lambda digest: sign(digest, padding, algorithm), (bits + 7) // 8, length, length)

    def verify(self, key: Object, parameter: Pss) -> Verification:
        """C_VerifyInit."""
        public = load_public(key)
        bits = public.key_size
        padding, algorithm, length = _pss(parameter, bits)
        verify = public.verify
        return RsaVerification(
            lambda signature, digest: verify(signature, digest, padding, algorithm), (bits + 7) // 8, length, length
        )

    def sign_digest(self, key: Object, parameter: Pss, hash_type: int) -> Operation:
        """Return the signature of a digest; CKR_MECHANISM_PARAM_INVALID if the parameter names another hash."""
        _check_hash(parameter, hash_type)
        return self.sign(key, parameter)

    def verify_digest(self, key: Object, parameter: Pss, hash_type: int) -> Verification:
        """Return the verification over a digest; CKR_MECHANISM_PARAM_INVALID if the parameter names another hash."""
        _check_hash(parameter, hash_type)
        return self.verify(key, parameter)


def _check_hash(parameter: Pss, hash_type: int) -> None:
    """Refuse a parameter whose hash is not the mechanism's."""
    if parameter.hash != hash_type:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"hashAlg {parameter.hash:#x} is not the mechanism's")


class RsaOaep(RsaCipher):
    """CKM_RSA_PKCS_OAEP."""

    type = CKM.RSA_PKCS_OAEP
    key_types = (CKK.RSA,)
    sizes = SIZES
    parameters = layouts.OAEP
    source = "pkcs-1v2-1d2-vec (cryptography_vectors: asymmetric/RSA), Wycheproof"

    def encrypt(self, key: Object, parameter: Oaep) -> RsaEncryption:
        """C_EncryptInit."""
        hash_function, masking, label = _oaep(parameter)
        names = (hash_function.name, masking.name)
        public = load_public(key)
        size, longest = _room(public.key_size, hash_function)
        if _PLAIN.issuperset(names):
            padding = OAEP(MGF1(masking), hash_function, label)
            return RsaEncryption(lambda data: public.encrypt(data, padding), size, longest)
        pointer = libcrypto_key(key)[0]
        return RsaEncryption(lambda data: rsa_oaep(pointer, data, names, label, size=size, encrypt=True), size, longest)

    def decrypt(self, key: Object, parameter: Oaep) -> RsaDecryption:
        """C_DecryptInit."""
        hash_function, masking, label = _oaep(parameter)
        names = (hash_function.name, masking.name)
        private = load_private(key)
        size, longest = _room(private.key_size, hash_function)
        if _PLAIN.issuperset(names):
            padding = OAEP(MGF1(masking), hash_function, label)
            return RsaDecryption(lambda data: private.decrypt(data, padding), size, longest)
        pointer = libcrypto_key(key)[0]
        return RsaDecryption(
            lambda data: rsa_oaep(pointer, data, names, label, size=size, encrypt=False), size, longest
        )


def _oaep(parameter: Oaep) -> tuple[HashAlgorithm, HashAlgorithm, bytes]:
    """Return hash function, that of the mask, and the label; CKR_MECHANISM_PARAM_INVALID."""
    # 0 without a label is what pkcs11-tool and others say for "no label".
    if parameter.source != CKZ.DATA_SPECIFIED and (parameter.source or parameter.label):
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"source {parameter.source:#x} is not CKZ_DATA_SPECIFIED")
    return (*_functions(parameter.hash, parameter.mgf), parameter.label)


def _room(bits: int, hash_function: HashAlgorithm) -> tuple[int, int]:
    """Return the length of the modulus and of the longest plaintext (RFC 8017 7.1.1); CKR_KEY_SIZE_RANGE."""
    size = (bits + 7) // 8
    longest = size - 2 - 2 * hash_function.digest_size
    if longest < 0:
        raise CryptokiError(CKR.KEY_SIZE_RANGE, f"a modulus of {size} bytes is too short for {hash_function.name}")
    return size, longest


_PSS = RsaPss()

register(
    _PSS,
    DigestThen(CKM.SHA1_RSA_PKCS_PSS, _PSS, CKM.SHA_1),
    DigestThen(CKM.SHA224_RSA_PKCS_PSS, _PSS, CKM.SHA224),
    DigestThen(CKM.SHA256_RSA_PKCS_PSS, _PSS, CKM.SHA256),
    DigestThen(CKM.SHA384_RSA_PKCS_PSS, _PSS, CKM.SHA384),
    DigestThen(CKM.SHA512_RSA_PKCS_PSS, _PSS, CKM.SHA512),
    DigestThen(CKM.SHA3_224_RSA_PKCS_PSS, _PSS, CKM.SHA3_224),
    DigestThen(CKM.SHA3_256_RSA_PKCS_PSS, _PSS, CKM.SHA3_256),
    DigestThen(CKM.SHA3_384_RSA_PKCS_PSS, _PSS, CKM.SHA3_384),
    DigestThen(CKM.SHA3_512_RSA_PKCS_PSS, _PSS, CKM.SHA3_512),
    RsaOaep(),
)

"""ML-KEM: keys, encapsulation and decapsulation (specification 6.66; FIPS 203).

A private key of ML-KEM-768 or -1024 is its seed (CKA_SEED), which `cryptography` loads, or its expanded form
(CKA_VALUE), which `pqcrypto` decapsulates with; all of ML-KEM-512, which has no seeds there, is done by `pqcrypto` and
not offered without it. Of a seed and an expanded key only what a library can tell to be one key is kept. The shared
secret becomes the new key, or its beginning does. A ciphertext that nobody encapsulated gives another key and no error
(FIPS 203 6.3).
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem

from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import Mechanism, register
from ptkc.mechanisms.parameter_sets import ParameterSet, ParameterSetKey, ParameterSetPair
from ptkc.mechanisms.pqcrypto_library import find
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKK, CKM, CKP, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes

__all__: list[str] = []

_SEED, _SECRET, _HASH = 64, 32, 32


class _Library:
    """What makes and loads the keys of a set: classes of `cryptography` by seed, of `pqcrypto` by expanded key."""

    __slots__ = ("expanded", "private", "public")

    def __init__(self, private: Any, public: Any, expanded: Any) -> None:  # noqa: ANN401 - None where there is none
        """Keep them."""
        self.private = private
        self.public = public
        self.expanded = expanded

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Return the ciphertext and the shared secret; ValueError for what is no public key (FIPS 203 7.2)."""
        if self.public is None:
            ciphertext, secret = self.expanded.encaps(public)
        else:
            secret, ciphertext = self.public.from_public_bytes(public).encapsulate()
        return bytes(ciphertext), bytes(secret)


def _set(number: int, name: str, arc: int, sizes: tuple[int, int, int], classes: tuple[Any, Any]) -> ParameterSet:
    """Return a row; `sizes` are public key, expanded private key and ciphertext (FIPS 203, table 3)."""
    public, private, ciphertext = sizes
    library = _Library(*classes, find(name.replace("ML-KEM-", "MlKem")))
    return ParameterSet(number, name, (4, arc), (public, private, _SEED, ciphertext), library)


_ALL = (
    _set(CKP.ML_KEM_512, "ML-KEM-512", 1, (800, 1632, 768), (None, None)),
    _set(CKP.ML_KEM_768, "ML-KEM-768", 2, (1184, 2400, 1088), (mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey)),
    _set(CKP.ML_KEM_1024, "ML-KEM-1024", 3, (1568, 3168, 1568), (mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey)),
)
_SETS = tuple(row for row in _ALL if row.library.public is not None or row.library.expanded is not None)
_SIZES = (_SETS[0].public_size, _SETS[-1].public_size)


class MlKemKey(ParameterSetKey):
    """CKK_ML_KEM."""

    def check_public(self, row: ParameterSet, value: bytes) -> None:
        """Refuse an encapsulation key that is none (FIPS 203 7.2)."""
        row.library.encapsulate(value)

    def examined(self, row: ParameterSet, seed: bytes, value: bytes) -> tuple[bytes, Attributes]:
        """Return the public key of a seed, of an expanded key, or of both, and what is kept.

        Of both, all that an expanded key has are compared: its public key with the seed's, its last part with the
        seed's (FIPS 203, algorithm 16), and the rest by decapsulating. Where there is no library that makes keys of
        the seed, that is not kept; where there is none that decapsulates with the expanded key, that one is not.
        """
        library: _Library = row.library
        if not value and library.private is None:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, f"CKA_VALUE is missing: {row.name} is not made of a seed")
        if not seed and library.expanded is None:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_SEED is missing: a key is kept as its seed")
        found: set[bytes] = set()
        kept = {}
        if value:
            found.add(_checked_public(row, value))
            if library.expanded is not None:
                kept[CKA.VALUE] = value
        if seed and library.private is not None:
            found.add(library.private.from_seed_bytes(seed).public_key().public_bytes_raw())
            kept[CKA.SEED] = seed
        if len(found) > 1 or (seed and value and value[-_SECRET:] != seed[-_SECRET:]):
            raise ValueError("CKA_VALUE and CKA_SEED are of different keys")
        return found.pop(), kept


def _checked_public(row: ParameterSet, value: bytes) -> bytes:
    """Return the public key in an expanded one: dk, ek, H(ek), z; ValueError if they do not belong together."""
    public, digest = value[-row.public_size - 2 * _HASH : -2 * _HASH], value[-2 * _HASH : -_HASH]
    sha3 = hashes.Hash(hashes.SHA3_256())
    sha3.update(public)
    if sha3.finalize() != digest:
        raise ValueError("the hash of the public key in CKA_VALUE is wrong")
    if row.library.expanded is not None:
        ciphertext, secret = row.library.encapsulate(public)
        if row.library.expanded.decaps(value, ciphertext) != secret:
            raise ValueError("CKA_VALUE does not decapsulate what was encapsulated with its public key")
    return public


ML_KEM = MlKemKey(CKK.ML_KEM, _SETS)


def _made(row: ParameterSet) -> tuple[bytes, Attributes]:
    """Return a new public key and its seed, or the expanded key where the library has no seeds."""
    library: _Library = row.library
    if library.private is None:
        value, secret = map(bytes, library.expanded.keygen())
        return value, {CKA.VALUE: secret}
    made = library.private.generate()
    return made.public_key().public_bytes_raw(), {CKA.SEED: made.private_bytes_raw()}


class MlKem(Mechanism):
    """CKM_ML_KEM."""

    type = CKM.ML_KEM
    key_types = (CKK.ML_KEM,)
    sizes = _SIZES
    source = "NIST KAT (cryptography_vectors: asymmetric/MLKEM), ACVP, Wycheproof"

    def encapsulated_length(self, key: Object, parameter: None) -> int:  # noqa: ARG002 - there is none
        """Return the length of the ciphertext."""
        return ML_KEM.find(key.attributes).result_size

    def encapsulate(self, key: Object, parameter: None, attributes: Attributes) -> tuple[bytes, bytes]:  # noqa: ARG002
        """Return the ciphertext and what becomes the new key; the codes of `derived_length`."""
        length = derived_length(attributes, _SECRET)
        library: _Library = ML_KEM.find(key.attributes).library
        ciphertext, secret = library.encapsulate(key.attributes[CKA.VALUE])
        return ciphertext, secret[:length]

    def decapsulate(self, key: Object, parameter: None, ciphertext: bytes, attributes: Attributes) -> bytes:  # noqa: ARG002
        """Return what becomes the new key; CKR_WRAPPED_KEY_LEN_RANGE for a ciphertext of another length.

        CKR_PARAMETER_SET_NOT_SUPPORTED for an expanded key without the library that decapsulates with it.
        """
        length = derived_length(attributes, _SECRET)
        row = ML_KEM.find(key.attributes)
        if len(ciphertext) != row.result_size:
            raise CryptokiError(CKR.WRAPPED_KEY_LEN_RANGE, f"{len(ciphertext)} bytes, want {row.result_size}")
        seed = key.attributes.get(CKA.SEED)
        if not seed or row.library.private is None:
            if row.library.expanded is None:
                raise CryptokiError(CKR.PARAMETER_SET_NOT_SUPPORTED, "an expanded key, which no library here loads")
            return bytes(row.library.expanded.decaps(key.attributes[CKA.VALUE], ciphertext))[:length]
        private: Any = key.cache.get("ml_kem")
        if private is None:
            private = key.cache["ml_kem"] = row.library.private.from_seed_bytes(seed)
        return private.decapsulate(ciphertext)[:length]  # type: ignore[no-any-return]


register(ML_KEM, ParameterSetPair(CKM.ML_KEM_KEY_PAIR_GEN, ML_KEM, _made), MlKem())

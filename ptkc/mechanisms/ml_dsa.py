"""ML-DSA and HashML-DSA: keys and signatures (specification 6.67; FIPS 204).

A private key is its seed (CKA_SEED). `cryptography` neither gives nor takes the expanded key, so nobody could say that
one is the seed's: a CKA_VALUE along with the seed is not kept, and without a seed it is CKR_TEMPLATE_INCOMPLETE. What
is signed goes through the message representative mu = SHAKE256(tr, M'), in which pure and pre-hashed messages differ.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mldsa

from ptkc.mechanisms.mechanism import Mechanism, Operation, Verification, register
from ptkc.mechanisms.parameter_sets import ParameterSet, ParameterSetKey, ParameterSetPair
from ptkc.mechanisms.pqc_signing import PREHASHES, Prehash, context_of
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKP, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import HashSignContext, SignContext
from ptkc.spec.values import Attributes

__all__ = ["ML_DSA", "MlDsa"]

_SEED = 32
_TR = slice(64, 128)
"""Where an expanded key has the hash of the public key (FIPS 204, algorithm 24: rho, K, tr, …)."""
_RHO = 32


def _set(number: int, name: str, arc: int, sizes: tuple[int, int, int], classes: tuple[Any, Any]) -> ParameterSet:
    """Return a row; `sizes` are public key, expanded private key and signature (FIPS 204, table 2)."""
    public, private, signature = sizes
    return ParameterSet(number, name, (3, arc), (public, private, _SEED, signature), classes)


_SETS = (
    _set(CKP.ML_DSA_44, "ML-DSA-44", 17, (1312, 2560, 2420), (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey)),
    _set(CKP.ML_DSA_65, "ML-DSA-65", 18, (1952, 4032, 3309), (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey)),
    _set(CKP.ML_DSA_87, "ML-DSA-87", 19, (2592, 4896, 4627), (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey)),
)
_SIZES = (_SETS[0].public_size, _SETS[-1].public_size)


def _shake(size: int, *parts: bytes) -> hashes.Hash:
    """Return SHAKE256 with these parts in it."""
    shake = hashes.Hash(hashes.SHAKE256(size))
    for part in parts:
        shake.update(part)
    return shake


class MlDsaKey(ParameterSetKey):
    """CKK_ML_DSA."""

    def check_public(self, row: ParameterSet, value: bytes) -> None:
        """Refuse what the library does not load."""
        row.library[1].from_public_bytes(value)

    def examined(self, row: ParameterSet, seed: bytes, value: bytes) -> tuple[bytes, Attributes]:
        """Return the public key that a seed makes, and the seed; what an expanded key says of it must be the same."""
        if not seed:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_SEED is missing: a key is kept as its seed")
        public: bytes = row.library[0].from_seed_bytes(seed).public_key().public_bytes_raw()
        if value and (value[:_RHO], value[_TR]) != (public[:_RHO], _shake(64, public).finalize()):
            raise ValueError("CKA_VALUE and CKA_SEED are of different keys")
        return public, {CKA.SEED: seed}


ML_DSA = MlDsaKey(CKK.ML_DSA, _SETS)
"""The key type."""


class _Key:
    """What signing or verifying needs of a key object, made once: the library's key, tr, and the signature's length."""

    __slots__ = ("library", "size", "tr")

    def __init__(self, key: Object, *, private: bool) -> None:
        """Load it."""
        row = ML_DSA.find(key.attributes)
        self.size = row.result_size
        if private:
            self.library: Any = row.library[0].from_seed_bytes(key.attributes[CKA.SEED])
            public = self.library.public_key().public_bytes_raw()
        else:
            public = key.attributes[CKA.VALUE]
            self.library = row.library[1].from_public_bytes(public)
        self.tr = _shake(64, public).finalize()


def _load(key: Object, *, private: bool) -> _Key:
    """Return what is kept of a key object."""
    loaded: Any = key.cache.get("ml_dsa")
    if loaded is None:
        loaded = key.cache["ml_dsa"] = _Key(key, private=private)
    return loaded  # type: ignore[no-any-return]


def _made(row: ParameterSet) -> tuple[bytes, Attributes]:
    """Return a new public key and its seed."""
    made = row.library[0].generate()
    return made.public_key().public_bytes_raw(), {CKA.SEED: made.private_bytes_raw()}


class _Pure:
    """The message representative of a message as it is (FIPS 204, algorithms 2 and 3)."""

    __slots__ = ("_shake",)

    def __init__(self, tr: bytes, context: bytes) -> None:
        """Start without a message."""
        self._shake = _shake(64, tr, b"\0", bytes((len(context),)), context)

    def update(self, data: bytes) -> None:
        """Take a further part."""
        self._shake.update(data)

    def finalize(self) -> bytes:
        """Return mu."""
        return self._shake.finalize()


class _Hashed:
    """The message representative of the digest of a message (FIPS 204, algorithms 4 and 5)."""

    __slots__ = ("_context", "_digest", "_prehash", "_tr")

    def __init__(self, tr: bytes, context: bytes, prehash: Prehash) -> None:
        """Start without a message."""
        self._tr = tr
        self._context = context
        self._prehash = prehash
        self._digest = hashes.Hash(prehash.algorithm)

    def update(self, data: bytes) -> None:
        """Take a further part."""
        self._digest.update(data)

    def finalize(self) -> bytes:
        """Return mu."""
        return _of_digest(self._tr, self._context, self._prehash, self._digest.finalize())


class _Given:
    """The message representative of a digest that the caller made."""

    __slots__ = ("_context", "_digest", "_prehash", "_tr")

    def __init__(self, tr: bytes, context: bytes, prehash: Prehash) -> None:
        """Start without a digest."""
        self._tr = tr
        self._context = context
        self._prehash = prehash
        self._digest = b""

    def update(self, data: bytes) -> None:
        """Take the digest; CKR_DATA_LEN_RANGE if it is none of the hash function."""
        size = self._prehash.algorithm.digest_size
        if len(data) != size:
            raise CryptokiError(CKR.DATA_LEN_RANGE, f"{len(data)} bytes, a digest has {size}")
        self._digest = data

    def finalize(self) -> bytes:
        """Return mu."""
        return _of_digest(self._tr, self._context, self._prehash, self._digest)


def _of_digest(tr: bytes, context: bytes, prehash: Prehash, digest: bytes) -> bytes:
    """Return mu of a digest."""
    return _shake(64, tr, b"\1", bytes((len(context),)), context, prehash.oid, digest).finalize()


class _Signature(Operation):
    """A signature of the representative that all parts make."""

    __slots__ = ("_key", "_message", "multi_part")

    def __init__(self, key: _Key, message: Any, *, multi_part: bool) -> None:  # noqa: ANN401 - see above
        """Start without any data."""
        self._key = key
        self._message = message
        self.multi_part = multi_part

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return the length of the signature."""
        return self._key.size

    def update(self, data: bytes) -> bytes:
        """Take a further part."""
        self._message.update(data)
        return b""

    def finish(self) -> bytes:
        """Return the signature."""
        return self._key.library.sign_mu(self._message.finalize())  # type: ignore[no-any-return]


class _Verification(Verification):
    """A verification over the representative that all parts make."""

    __slots__ = ("_key", "_message", "multi_part")

    def __init__(self, key: _Key, message: Any, *, multi_part: bool) -> None:  # noqa: ANN401 - see above
        """Start without any data."""
        self._key = key
        self._message = message
        self.multi_part = multi_part

    def update(self, data: bytes) -> None:
        """Take a further part."""
        self._message.update(data)

    def finish(self, signature: bytes) -> None:
        """Check the signature."""
        if len(signature) != self._key.size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(signature)} bytes, want {self._key.size}")
        try:
            self._key.library.verify_mu(signature, self._message.finalize())
        except InvalidSignature:
            raise CryptokiError(CKR.SIGNATURE_INVALID) from None


class MlDsa(Mechanism):
    """CKM_ML_DSA, or with a hash function one of CKM_HASH_ML_DSA_<hash>."""

    key_types = (CKK.ML_DSA,)
    sizes = _SIZES
    parameters = layouts.SIGN_CONTEXT
    optional = True

    def __init__(self, number: int, prehash: Prehash | None = None) -> None:
        """Keep the mechanism's number and the hash function."""
        self.type = number
        self._prehash = prehash
        self.source = "NIST ACVP" if prehash else "NIST KAT (cryptography_vectors: asymmetric/MLDSA), ACVP, Wycheproof"

    def _message(self, tr: bytes, parameter: SignContext | None, *, signing: bool) -> Any:  # noqa: ANN401 - see above
        """Return what takes the message; CKR_MECHANISM_PARAM_INVALID."""
        context = b"" if parameter is None else context_of(parameter.hedge, parameter.context, signing=signing)
        return _Pure(tr, context) if self._prehash is None else _Hashed(tr, context, self._prehash)

    def sign(self, key: Object, parameter: SignContext | None) -> Operation:
        """C_SignInit."""
        loaded = _load(key, private=True)
        return _Signature(loaded, self._message(loaded.tr, parameter, signing=True), multi_part=True)

    def verify(self, key: Object, parameter: SignContext | None) -> Verification:
        """C_VerifyInit."""
        loaded = _load(key, private=False)
        return _Verification(loaded, self._message(loaded.tr, parameter, signing=False), multi_part=True)


_BY_HASH = {
    getattr(CKM, name): prehash for name, prehash in PREHASHES.items() if not name.startswith("SHAKE")
}  # there is no CKM_ number for a digest of an extendable function


class HashMlDsa(Mechanism):
    """CKM_HASH_ML_DSA: the caller made the digest, and says with which hash function."""

    type = CKM.HASH_ML_DSA
    key_types = (CKK.ML_DSA,)
    sizes = _SIZES
    parameters = layouts.HASH_SIGN_CONTEXT
    source = "NIST ACVP"

    def _message(self, tr: bytes, parameter: HashSignContext, *, signing: bool) -> _Given:
        """Return what takes the digest; CKR_MECHANISM_PARAM_INVALID."""
        prehash = _BY_HASH.get(parameter.hash)
        if prehash is None:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"hash {parameter.hash:#x}")
        return _Given(tr, context_of(parameter.hedge, parameter.context, signing=signing), prehash)

    def sign(self, key: Object, parameter: HashSignContext) -> Operation:
        """C_SignInit."""
        loaded = _load(key, private=True)
        return _Signature(loaded, self._message(loaded.tr, parameter, signing=True), multi_part=False)

    def verify(self, key: Object, parameter: HashSignContext) -> Verification:
        """C_VerifyInit."""
        loaded = _load(key, private=False)
        return _Verification(loaded, self._message(loaded.tr, parameter, signing=False), multi_part=False)


register(
    ML_DSA,
    ParameterSetPair(CKM.ML_DSA_KEY_PAIR_GEN, ML_DSA, _made),
    MlDsa(CKM.ML_DSA),
    HashMlDsa(),
    *(
        MlDsa(getattr(CKM, f"HASH_ML_DSA_{name}"), prehash)
        for name, prehash in PREHASHES.items()
        if hasattr(CKM, f"HASH_ML_DSA_{name}")
    ),
)

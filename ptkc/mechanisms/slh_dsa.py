"""SLH-DSA and HashSLH-DSA: keys and signatures (specification 6.68; FIPS 205), by the package `pqcrypto`.

Without the package nothing of this is offered. A message is kept whole, since it is read twice. CKM_HASH_SLH_DSA, which
takes a digest that the caller made, is not there: the package makes the digest itself. A private key has its public key
in it, so nothing else is to be checked of it.
"""

from __future__ import annotations

from collections.abc import Callable

from ptkc.mechanisms.mechanism import Mechanism, Operation, Verification, register
from ptkc.mechanisms.parameter_sets import ParameterSet, ParameterSetKey, ParameterSetPair
from ptkc.mechanisms.parts import Parts
from ptkc.mechanisms.pqc_signing import PREHASHES, context_of
from ptkc.mechanisms.pqcrypto_library import InvalidSignatureError, find, hash_algorithm
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKP, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import SignContext
from ptkc.spec.values import Attributes

__all__: list[str] = []

# FIPS 205, table 2: security parameter n in bytes by strength, and the length of a signature by its name.
_SIGNATURES = {"128s": 7856, "128f": 17088, "192s": 16224, "192f": 35664, "256s": 29792, "256f": 49856}
_NAMES = (*(f"SHA2_{name}" for name in _SIGNATURES), *(f"SHAKE_{name}" for name in _SIGNATURES))
_FIRST_ARC = 20
"""The sets' identifiers end in this number and those that follow (RFC 9909 3)."""


def _set(place: int, name: str) -> ParameterSet:
    """Return a row."""
    n = int(name[-4:-1]) // 8
    number = getattr(CKP, f"SLH_DSA_{name.upper()}")
    sizes = (2 * n, 4 * n, 0, _SIGNATURES[name[-4:]])
    library = find(f"SlhDsa{name.capitalize()}")
    return ParameterSet(number, f"SLH-DSA-{name.replace('_', '-')}", (3, _FIRST_ARC + place), sizes, library)


_SETS = tuple(_set(place, name) for place, name in enumerate(_NAMES))
_SIZES = (min(row.public_size for row in _SETS), max(row.public_size for row in _SETS))


class SlhDsaKey(ParameterSetKey):
    """CKK_SLH_DSA."""

    def check_public(self, row: ParameterSet, value: bytes) -> None:
        """Accept any bytes of the right length: a seed and a root, which are random."""

    def examined(self, row: ParameterSet, seed: bytes, value: bytes) -> tuple[bytes, Attributes]:  # noqa: ARG002 - no seed
        """Return the second half of a private key: SK.seed, SK.prf, PK.seed, PK.root; and all of it."""
        if not value:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE is missing")
        return value[-row.public_size :], {CKA.VALUE: value}


SLH_DSA = SlhDsaKey(CKK.SLH_DSA, _SETS)


def _made(row: ParameterSet) -> tuple[bytes, Attributes]:
    """Return a new public key and its private key."""
    value, secret = row.library.keygen()
    return value, {CKA.VALUE: secret}


class _Signature(Operation):
    """A signature over all parts."""

    __slots__ = ("_parts", "_sign", "_size")

    def __init__(self, sign: Callable[[bytes], bytes], size: int) -> None:
        """Start without any data."""
        self._sign = sign
        self._size = size
        self._parts = Parts()

    def length(self, size: int) -> int:  # noqa: ARG002 - the same for all
        """Return the length of the signature."""
        return self._size

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def update(self, data: bytes) -> bytes:
        """Keep a further part."""
        self._parts.add(data)
        return b""

    def finish(self) -> bytes:
        """Return the signature."""
        return self._sign(self._parts.join())


class _Verification(Verification):
    """A verification over all parts."""

    __slots__ = ("_parts", "_size", "_verify")

    def __init__(self, verify: Callable[[bytes, bytes], None], size: int) -> None:
        """Start without any data."""
        self._verify = verify
        self._size = size
        self._parts = Parts()

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def update(self, data: bytes) -> None:
        """Keep a further part."""
        self._parts.add(data)

    def finish(self, signature: bytes) -> None:
        """Check the signature."""
        if len(signature) != self._size:
            raise CryptokiError(CKR.SIGNATURE_LEN_RANGE, f"{len(signature)} bytes, want {self._size}")
        try:
            self._verify(self._parts.join(), signature)
        except (InvalidSignatureError, ValueError):
            raise CryptokiError(CKR.SIGNATURE_INVALID) from None


class SlhDsa(Mechanism):
    """CKM_SLH_DSA, or with a hash function one of CKM_HASH_SLH_DSA_<hash>."""

    key_types = (CKK.SLH_DSA,)
    sizes = _SIZES
    parameters = layouts.SIGN_CONTEXT
    optional = True
    source = "NIST ACVP"

    def __init__(self, number: int, prehash: str = "") -> None:
        """Keep the mechanism's number and the name of the hash function."""
        self.type = number
        self._hash = hash_algorithm(prehash) if prehash else None

    def sign(self, key: Object, parameter: SignContext | None) -> Operation:
        """C_SignInit."""
        row = SLH_DSA.find(key.attributes)
        context = b"" if parameter is None else context_of(parameter.hedge, parameter.context, signing=True)
        secret, sign, prehash = key.attributes[CKA.VALUE], row.library.sign, self._hash
        return _Signature(lambda data: sign(secret, data, context, prehash), row.result_size)

    def verify(self, key: Object, parameter: SignContext | None) -> Verification:
        """C_VerifyInit."""
        row = SLH_DSA.find(key.attributes)
        context = b"" if parameter is None else context_of(parameter.hedge, parameter.context, signing=False)
        public, verify, prehash = key.attributes[CKA.VALUE], row.library.verify, self._hash
        return _Verification(lambda data, signature: verify(public, data, signature, context, prehash), row.result_size)


if _SETS[0].library is not None:
    register(
        SLH_DSA,
        ParameterSetPair(CKM.SLH_DSA_KEY_PAIR_GEN, SLH_DSA, _made),
        SlhDsa(CKM.SLH_DSA),
        *(
            SlhDsa(getattr(CKM, f"HASH_SLH_DSA_{name}"), name)
            for name in PREHASHES
            if hasattr(CKM, f"HASH_SLH_DSA_{name}")
        ),
    )

"""Keys that name a CKA_PARAMETER_SET: how those of ML-KEM, ML-DSA and SLH-DSA are written and checked.

A public key is CKA_VALUE; a private key CKA_SEED, CKA_VALUE or both, as its family wants: what of both it cannot hold
against the other is not kept. SubjectPublicKeyInfo is fixed bytes and the key. PrivateKeyInfo holds a CHOICE of the
seed, the expanded key or both for ML-KEM and ML-DSA (RFC 9935, 9881), and the bare key for SLH-DSA (RFC 9909). Nothing
here knows an algorithm: what bytes mean, the family says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptkc.mechanisms.der import BIT_STRING, OCTET_STRING, SEQUENCE, der, oid
from ptkc.mechanisms.mechanism import KEY_TYPES, KeyType, Mechanism
from ptkc.mechanisms.private_key_info import check_public_key_info, trimmed
from ptkc.spec.constants import CKA, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import Attributes, from_ulong, ulong

__all__ = ["ParameterSet", "ParameterSetKey", "ParameterSetPair", "public_material"]

_SEED = 0x80
"""The tag of the seed in the CHOICE: [0] IMPLICIT."""
_ARC = "2.16.840.1.101.3.4"
"""NIST's arc for algorithms."""


class ParameterSet:
    """One set: `number` (CKP_*), `name`, and the lengths in bytes of the two keys, the seed and the result.

    `seed_size` is 0 where a key is never made of a seed; `result_size` is that of a signature or a ciphertext;
    `library` is what makes and loads its keys, as its family knows it.
    """

    __slots__ = (
        "algorithm", "library", "name", "number", "private_size", "public_size", "public_start", "result_size",
        "seed_size",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        name: str,
        arcs: tuple[int, int],
        sizes: tuple[int, int, int, int],
        library: Any,  # noqa: ANN401
    ) -> None:
        """Read a row: `arcs` end the object identifier, `sizes` are public, private, seed and result."""
        self.number = number
        self.name = name
        self.public_size, self.private_size, self.seed_size, self.result_size = sizes
        self.library = library
        self.algorithm = der(SEQUENCE, oid(f"{_ARC}.{arcs[0]}.{arcs[1]}"))
        whole = der(SEQUENCE, self.algorithm + der(BIT_STRING, bytes(1 + self.public_size)))
        self.public_start = whole[: -self.public_size]

    def public_key_info(self, public: bytes) -> bytes:
        """Return SubjectPublicKeyInfo (DER)."""
        return self.public_start + public

    def private_key_info(self, content: bytes) -> bytes:
        """Return PrivateKeyInfo (DER) with this content in its OCTET STRING."""
        return der(SEQUENCE, b"\x02\x01\x00" + self.algorithm + der(OCTET_STRING, content))


class ParameterSetKey(KeyType):
    """A key type whose keys name one of `sets`.

    A family says what no encoding does: `check_public`, whether bytes are a public key (ValueError), and `examined`,
    what private material is (ValueError for what is none, CKR_TEMPLATE_INCOMPLETE where too little is given).
    """

    def __init__(self, number: int, sets: tuple[ParameterSet, ...]) -> None:
        """Keep the CKK_ number and the sets there are."""
        self.type = number
        self.sets = {row.number: row for row in sets}
        self._by_algorithm = {row.algorithm: row for row in sets}

    def check_public(self, row: ParameterSet, value: bytes) -> None:
        """Refuse bytes that are no public key of the set: ValueError."""
        raise NotImplementedError

    def examined(self, row: ParameterSet, seed: bytes, value: bytes) -> tuple[bytes, Attributes]:
        """Return the public key of private material, and what is kept of that: CKA_SEED, CKA_VALUE; ValueError.

        What is given has the right length, what is not is empty.
        """
        raise NotImplementedError

    def find(self, attributes: Attributes) -> ParameterSet:
        """Return the set that CKA_PARAMETER_SET names: CKR_TEMPLATE_INCOMPLETE, CKR_PARAMETER_SET_NOT_SUPPORTED."""
        given = attributes.get(CKA.PARAMETER_SET)
        if given is None:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_PARAMETER_SET is missing")
        row = self.sets.get(from_ulong(given))
        if row is None:
            raise CryptokiError(CKR.PARAMETER_SET_NOT_SUPPORTED, f"CKA_PARAMETER_SET {from_ulong(given):#x}")
        return row

    def size(self, attributes: Attributes) -> int:
        """Return the length of the public key in bytes."""
        return self.find(attributes).public_size

    def check(self, object_class: int, attributes: Attributes) -> Attributes:
        """Check lengths and what the library finds wrong; return CKA_PUBLIC_KEY_INFO, and empty what is not kept."""
        if object_class not in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "CKA_KEY_TYPE is a key pair's, CKA_CLASS is not")
        row = self.find(attributes)
        produced: Attributes = {}
        try:
            if object_class == CKO.PUBLIC_KEY:
                public = attributes[CKA.VALUE]
                _check_size("CKA_VALUE", public, row.public_size)
                self.check_public(row, public)
            else:
                public, kept = self._private(row, attributes.get(CKA.SEED, b""), attributes.get(CKA.VALUE, b""))
                produced = {kind: kept.get(kind, b"") for kind in (CKA.SEED, CKA.VALUE) if kind in attributes}
        except ValueError as error:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"not a key of {row.name}: {error}") from None
        info = row.public_key_info(public)
        check_public_key_info(attributes, info)
        return {**produced, CKA.PUBLIC_KEY_INFO: info}

    def _private(self, row: ParameterSet, seed: bytes, value: bytes) -> tuple[bytes, Attributes]:
        """Return the public key of private material, and what is kept of that; ValueError, CKR_TEMPLATE_INCOMPLETE."""
        if not seed and not value:
            raise CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE and CKA_SEED are missing")
        if seed:
            _check_size("CKA_SEED", seed, row.seed_size)
        if value:
            _check_size("CKA_VALUE", value, row.private_size)
        return self.examined(row, seed, value)

    def encode(self, attributes: Attributes) -> bytes:
        """Return PrivateKeyInfo: of the seed where there is one, from which all else follows, else of the key."""
        row = self.find(attributes)
        seed = attributes.get(CKA.SEED)
        if seed:
            return row.private_key_info(der(_SEED, seed))
        value = attributes[CKA.VALUE]
        return row.private_key_info(der(OCTET_STRING, value) if row.seed_size else value)

    def decode(self, payload: bytes, attributes: Attributes) -> Attributes:
        """Return the material in a PrivateKeyInfo; CKR_WRAPPED_KEY_INVALID."""
        from ptkc.mechanisms import private_key_choice  # noqa: PLC0415 - asn1crypto, at the first need

        try:
            algorithm, content = private_key_choice.parse(trimmed(payload))
            row = self._by_algorithm[algorithm]
            seed, value = private_key_choice.choose(content) if row.seed_size else (b"", content)
            public, kept = self._private(row, seed, value)
        except KeyError:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, "the wrapped key is of another type, or of no set") from None
        except ValueError as error:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, f"the unwrapped bytes are no key: {error}") from None
        except CryptokiError as error:
            raise CryptokiError(CKR.WRAPPED_KEY_INVALID, error.message) from None
        info = row.public_key_info(public)
        check_public_key_info(attributes, info)
        return {CKA.PARAMETER_SET: ulong(row.number), **kept, CKA.PUBLIC_KEY_INFO: info}


class ParameterSetPair(Mechanism):
    """CKM_*_KEY_PAIR_GEN of a family."""

    source = "none: the key is random"

    def __init__(
        self, number: int, family: ParameterSetKey, make: Callable[[ParameterSet], tuple[bytes, Attributes]]
    ) -> None:
        """Keep number and family; `make` gives for one of its sets a new public key and the private material."""
        self.type = number
        self.generates = family.type
        lengths = [row.public_size for row in family.sets.values()]
        self.sizes = min(lengths), max(lengths)
        self._family = family
        self._make = make

    def generate_pair(
        self,
        parameter: None,  # noqa: ARG002 - there is none
        public: Attributes,
        private: Attributes,  # noqa: ARG002 - has nothing to say
    ) -> tuple[Attributes, Attributes]:
        """Make a key pair of the CKA_PARAMETER_SET in the public template; CKR_PARAMETER_SET_NOT_SUPPORTED."""
        row = self._family.find(public)
        value, material = self._make(row)
        follows = {CKA.PUBLIC_KEY_INFO: row.public_key_info(value)}
        return {CKA.VALUE: value, **follows}, {CKA.PARAMETER_SET: public[CKA.PARAMETER_SET], **material, **follows}


def public_material(info: bytes) -> Attributes:
    """Return CKA_KEY_TYPE and the material of a SubjectPublicKeyInfo (DER), nothing if it is of none of our sets."""
    for key_type in KEY_TYPES.values():
        for row in key_type.sets.values() if isinstance(key_type, ParameterSetKey) else ():
            if info.startswith(row.public_start) and len(info) == len(row.public_start) + row.public_size:
                value = info[len(row.public_start) :]
                return {CKA.KEY_TYPE: ulong(key_type.type), CKA.PARAMETER_SET: ulong(row.number), CKA.VALUE: value}
    return {}


def _check_size(name: str, value: bytes, size: int) -> None:
    """Refuse another length than a set has; ValueError."""
    if len(value) != size:
        raise ValueError(f"{name} of {len(value)} bytes, want {size}")

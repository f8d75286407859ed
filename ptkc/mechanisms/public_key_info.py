"""SubjectPublicKeyInfo of every kind of key that we have, as attributes (RFC 5280 4.1.2.7, RFC 3279, 5480, 8410)."""

from __future__ import annotations

from asn1crypto import core, keys

from ptkc.mechanisms import asn1
from ptkc.mechanisms.parameter_sets import public_material
from ptkc.spec.constants import CKA, CKK
from ptkc.spec.values import Attributes, ulong

__all__ = ["big", "key_identifier", "key_material"]

_OWN_CURVES = {
    "ed25519": CKK.EC_EDWARDS,
    "ed448": CKK.EC_EDWARDS,
    "x25519": CKK.EC_MONTGOMERY,
    "x448": CKK.EC_MONTGOMERY,
}


def key_identifier(public_key_info: bytes) -> bytes:
    """Return the SHA-1 of the key without its algorithm (RFC 5280 4.2.1.2, the first method); ValueError."""
    identifier: bytes = asn1.load(keys.PublicKeyInfo, public_key_info).sha1
    return identifier


def key_material(public_key_info: bytes) -> Attributes:
    """Return CKA_KEY_TYPE and the material of a SubjectPublicKeyInfo; ValueError for keys that we do not have."""
    material = public_material(public_key_info) or _finite_field_material(public_key_info)
    if material:
        return material
    info = asn1.load(keys.PublicKeyInfo, public_key_info)
    algorithm, key = info["algorithm"], info["public_key"]
    name, parameters = algorithm["algorithm"].native, algorithm["parameters"].dump()
    if name == "rsa":
        numbers = (key.parsed[field].native for field in ("modulus", "public_exponent"))
        modulus, exponent = map(big, numbers)
        return {CKA.KEY_TYPE: ulong(CKK.RSA), CKA.MODULUS: modulus, CKA.PUBLIC_EXPONENT: exponent}
    point = core.OctetString(bytes(key)).dump()
    if name == "ec" and parameters:
        return {CKA.KEY_TYPE: ulong(CKK.EC), CKA.EC_PARAMS: parameters, CKA.EC_POINT: point}
    if name in _OWN_CURVES and not parameters:
        curve = algorithm["algorithm"].dump()
        return {CKA.KEY_TYPE: ulong(_OWN_CURVES[name]), CKA.EC_PARAMS: curve, CKA.EC_POINT: point}
    raise ValueError(f"no key that we know: {name}")


class _Domain(core.SequenceOf):  # type: ignore[misc]
    """Dss-Parms, DHParameter, DomainParameters."""

    _child_spec = core.Integer


class _FiniteFieldAlgorithm(core.Sequence):  # type: ignore[misc]
    """AlgorithmIdentifier with whatever parameters."""

    _fields = [  # noqa: RUF012 - asn1crypto's way
        ("algorithm", core.ObjectIdentifier),
        ("parameters", core.Any, {"optional": True}),
    ]


class _FiniteFieldKey(core.Sequence):  # type: ignore[misc]
    """SubjectPublicKeyInfo with whatever key."""

    _fields = [("algorithm", _FiniteFieldAlgorithm), ("key", core.OctetBitString)]  # noqa: RUF012


# Identifier of the algorithm: the type of the key, and what its parameters begin with (RFC 3279 2.3.2, 2.3.3, PKCS #3).
_FINITE_FIELDS = {
    "1.2.840.10040.4.1": (CKK.DSA, (CKA.PRIME, CKA.SUBPRIME, CKA.BASE)),
    "1.2.840.113549.1.3.1": (CKK.DH, (CKA.PRIME, CKA.BASE)),
    "1.2.840.10046.2.1": (CKK.X9_42_DH, (CKA.PRIME, CKA.BASE, CKA.SUBPRIME)),
}


def _finite_field_material(public_key_info: bytes) -> Attributes:
    """Return CKA_KEY_TYPE and the material of a key of DSA or Diffie-Hellman, nothing of any other."""
    info = asn1.load(_FiniteFieldKey, public_key_info)
    row = _FINITE_FIELDS.get(info["algorithm"]["algorithm"].dotted)
    if row is None:
        return {}
    key_type, kinds = row
    domain = asn1.load(_Domain, info["algorithm"]["parameters"].dump()).native
    value = asn1.load(core.Integer, info["key"].native).native
    numbers = dict(zip(kinds, domain, strict=False))
    if len(numbers) < len(kinds):
        raise ValueError("domain parameters are missing")
    material = {kind: big(number) for kind, number in numbers.items()}
    return {CKA.KEY_TYPE: ulong(key_type), CKA.VALUE: big(value), **material}


def big(number: int) -> bytes:
    """Return a big integer as attributes have it; ValueError for what is not positive."""
    if number <= 0:
        raise ValueError("a number that is not positive")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")

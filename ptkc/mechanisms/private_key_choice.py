"""PrivateKeyInfo as RFC 9881, 9909 and 9935 have it, read: which algorithm, and the seed, the expanded key or both."""

# ruff: noqa: RUF012 - asn1crypto changes the lists of a class in place
# mypy: disable-error-code="misc"
from __future__ import annotations

from asn1crypto.core import Any as AnyValue
from asn1crypto.core import Choice, Integer, ObjectIdentifier, OctetString, Sequence, SetOf

from ptkc.mechanisms import asn1

__all__ = ["choose", "parse"]


class _Algorithm(Sequence):
    """AlgorithmIdentifier without parameters."""

    _fields = [("algorithm", ObjectIdentifier)]


class _Attributes(SetOf):
    """Attributes, which nothing of ours reads."""

    _child_spec = AnyValue


class _PrivateKeyInfo(Sequence):
    """RFC 5208 5."""

    _fields = [
        ("version", Integer),
        ("algorithm", _Algorithm),
        ("private_key", OctetString),
        ("attributes", _Attributes, {"implicit": 0, "optional": True}),
    ]


class _Both(Sequence):
    """The seed and the expanded key."""

    _fields = [("seed", OctetString), ("expanded", OctetString)]


class _Choice(Choice):
    """ML-DSA-PrivateKey of RFC 9881 6, ML-KEM-PrivateKey of RFC 9935 6."""

    _alternatives = [("seed", OctetString, {"implicit": 0}), ("expanded", OctetString), ("both", _Both)]


def parse(info: bytes) -> tuple[bytes, bytes]:
    """Return the AlgorithmIdentifier (DER) and the content of a PrivateKeyInfo (DER); ValueError."""
    found = asn1.load(_PrivateKeyInfo, info)
    if found["version"].native != 0:
        raise ValueError("a PrivateKeyInfo of another version than 0")
    return found["algorithm"].dump(), found["private_key"].native


def choose(content: bytes) -> tuple[bytes, bytes]:
    """Return the seed and the expanded key, empty for the one that is not there; ValueError."""
    found = asn1.load(_Choice, content)
    chosen = found.chosen
    if found.name == "both":
        return chosen["seed"].native, chosen["expanded"].native
    return (chosen.native, b"") if found.name == "seed" else (b"", chosen.native)

"""ASN.1 by `asn1crypto`, held to DER: one encoding of a value is read, any other is a `ValueError`.

`asn1crypto` takes BER as well and reads nothing before it is asked for. What comes from outside is bounded first, and
written anew after it was read; only the same bytes again were DER.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asn1crypto import parser

__all__ = ["LONGEST", "each", "load"]

LONGEST = 1 << 16
"""Bytes of the longest value that is read."""


def load(kind: Any, value: bytes) -> Any:  # noqa: ANN401 - asn1crypto has no types
    """Return the one value of an asn1crypto class that `value` is the DER of; ValueError."""
    if len(value) > LONGEST:
        raise ValueError(f"{len(value)} bytes, want at most {LONGEST}")
    try:
        found = kind.load(value, strict=True)
        same = found.dump(force=True) == value
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from None
    if not same:
        raise ValueError(f"a {kind.__name__} that is not in DER")
    return found


def each(values: bytes) -> Iterator[bytes]:
    """Yield the values that `values` is a run of, each with tag and length; ValueError."""
    if len(values) > LONGEST:
        raise ValueError(f"{len(values)} bytes, want at most {LONGEST}")
    while values:
        length = parser.peek(values)
        yield values[:length]
        values = values[length:]

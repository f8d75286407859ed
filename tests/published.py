"""Published test vectors in the format of NIST's CAVP files, from the package `cryptography_vectors`."""

from __future__ import annotations

from collections.abc import Iterator

import cryptography_vectors

__all__ = ["Vector", "vectors"]

Vector = dict[str, str]

_RESULTS = {"ct", "c", "ciphertext", "md", "output", "tag"}


def vectors(path: str) -> Iterator[Vector]:
    """Yield the vectors of a file: names in lower case, values as they stand, "fail" where the file says FAIL.

    What stands in brackets, or in a block without a result, holds for the vectors below it.
    """
    shared: Vector = {}
    block: Vector = {}
    with cryptography_vectors.open_vector_file(path, "r") as file:
        for line in (*file, ""):
            text = line.strip()
            if text.startswith("["):
                _read(text.strip("[]"), shared)
            elif text and not text.startswith("#"):
                _read(text, block)
            elif not text and block:
                if _RESULTS & block.keys():
                    yield {**shared, **block}
                else:
                    shared |= block
                block = {}


def _read(text: str, values: Vector) -> None:
    """Add `name = value, name = value` to the values; a lone word is a name without a value."""
    for part in text.split(","):
        name, _, value = part.partition("=")
        values[name.strip().lower()] = value.strip()

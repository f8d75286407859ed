"""Bytes that are nearly right: what a parser is fed with where no coverage guides the chance."""

from __future__ import annotations

from random import Random

__all__ = ["mutated"]

_WORDS = (0, 1, 2, 7, 0x7F, 0x80, 0x81, 0x82, 0xFF)
_WIDE = (0, 1, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


def mutated(chance: Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds, changed in one to four places: bits, numbers, lengths, parts of itself or of others."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(8)
        if kind == 0:
            del data[place:]
        elif kind == 1:
            data[place:place] = chance.randbytes(chance.choice((1, 1, 8, 40)))
        elif kind == 2:
            del data[place : place + chance.choice((1, 2, 8))]
        elif kind == 3:
            wide = chance.choice(_WIDE).to_bytes(8, chance.choice(("little", "big")))
            data[place : place + 8] = wide
        elif kind == 4:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[place:] = other[start : start + 200]
        elif place < len(data):
            data[place] = chance.choice((*_WORDS, data[place] ^ (1 << chance.randrange(8)), chance.randrange(256)))
    return bytes(data)

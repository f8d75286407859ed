"""C_GenerateRandom and C_SeedRandom."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKR

from .cryptoki import NULL, Session, expect


@pytest.mark.parametrize("length", [1, 16, 1000, 100_000])
def test_random_bytes_fill_the_buffer(session: Session, length: int) -> None:
    """As many bytes as asked for, and not twice the same."""
    first, second = session.random(length), session.random(length)
    assert length == len(first) == len(second)
    assert length < 16 or first != second


def test_random_bytes_look_random(session: Session) -> None:
    """Each value of a byte comes within 100,000 of them."""
    assert 256 == len(set(session.random(100_000)))


def test_no_random_bytes_are_no_trouble(session: Session) -> None:
    """A length of zero is CKR_OK."""
    session.call("C_GenerateRandom", b"x", 0)


def test_random_bytes_need_a_place(session: Session) -> None:
    """A NULL buffer is CKR_ARGUMENTS_BAD."""
    expect(CKR.ARGUMENTS_BAD, session.call, "C_GenerateRandom", NULL, 16)


def test_seed_is_taken_or_not_supported(session: Session) -> None:
    """A seed is mixed in, or the token says that it takes none; random bytes come either way."""
    code = session.cryptoki.functions["C_SeedRandom"](session.handle, b"seed", 4)
    assert code in {CKR.OK, CKR.RANDOM_SEED_NOT_SUPPORTED}
    assert 16 == len(session.random(16))

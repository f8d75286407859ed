"""Random values described as Hypothesis describes them, but each drawn independently of all others.

Hypothesis repeats and mutates what it has drawn before, which makes long sequences of calls shallow: most of their
arguments are the simplest ones, or the same as in the call before. Here every draw is fresh, and the same seed gives
the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from random import Random
from typing import Any

__all__ = ["Strategy", "binary", "composite", "integers", "just", "lists", "none", "one_of", "sampled_from", "tuples"]


class Strategy:
    """What values are drawn from."""

    def __init__(self, draw: Callable[[Random], Any]) -> None:
        """Keep what makes a value of a source of chance."""
        self.draw = draw

    def map(self, function: Callable[[Any], Any]) -> Strategy:
        """Return the strategy of what `function` makes of a value."""
        return Strategy(lambda chance: function(self.draw(chance)))

    def flatmap(self, function: Callable[[Any], Strategy]) -> Strategy:
        """Return the strategy that draws again, from what `function` makes of a value."""
        return Strategy(lambda chance: function(self.draw(chance)).draw(chance))


def just(value: object) -> Strategy:
    """Return the strategy of one value."""
    return Strategy(lambda _: value)


def none() -> Strategy:
    """Return the strategy of None."""
    return just(None)


def sampled_from(values: Sequence[Any]) -> Strategy:
    """Return the strategy of some values, each as likely."""
    return Strategy(lambda chance: chance.choice(values))


def one_of(*several: Strategy) -> Strategy:
    """Return the strategy that chooses a strategy, each as likely."""
    return Strategy(lambda chance: chance.choice(several).draw(chance))


def integers(least: int, most: int) -> Strategy:
    """Return the strategy of the numbers from `least` to `most`."""
    return Strategy(lambda chance: chance.randint(least, most))


def binary(min_size: int = 0, max_size: int = 64) -> Strategy:
    """Return the strategy of bytes."""
    return Strategy(lambda chance: chance.randbytes(chance.randint(min_size, max_size)))


def tuples(*parts: Strategy) -> Strategy:
    """Return the strategy of a value of each."""
    return Strategy(lambda chance: tuple([part.draw(chance) for part in parts]))


def lists(part: Strategy, min_size: int = 0, max_size: int = 8) -> Strategy:
    """Return the strategy of lists."""
    return Strategy(lambda chance: [part.draw(chance) for _ in range(chance.randint(min_size, max_size))])


def composite(function: Callable[[Callable[[Strategy], Any]], Any]) -> Callable[[], Strategy]:
    """Return the strategy that a function of `draw` describes."""

    @wraps(function)
    def make() -> Strategy:
        return Strategy(lambda chance: function(lambda strategy: strategy.draw(chance)))

    return make

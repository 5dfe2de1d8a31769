"""Tasks with numbers, as tokens: what transformers are trained on whose answers are right or wrong, nothing between.

The tasks are those of Qiu et al., "Dissecting multiplication in transformers" (arXiv 2407.15360), and, with one format
for all, of Yang et al., "Number Cookbook" (ICLR 2025, arXiv 2411.03766). Both operands and the answer are of fixed
lengths, their lowest digits first, in which order a carry is known where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.ops.arrays import Array

WORDS = "0123456789+*md="
"""A token is a place in this text."""
_MIXER = np.uint64(0x9E3779B97F4A7C15)
"""The odd number next to 2^64 by the golden ratio: Knuth, The Art of Computer Programming, volume 3, section 6.4."""
_TOP_BITS, _HELD_OUT = np.uint64(56), 26
"""A problem whose mixed number has upper eight bits below 26, which are a tenth of all, is held out."""


@dataclass(frozen=True)
class Task:
    """One kind of problem.

    Attributes
    ----------
    symbol : str
        Between the operands.
    digits : (int, int, int)
        Of the operands and of the answer.
    answer : callable
        From the operands, arrays of int64.
    second : int, optional
        The second operand is below it, where it is not a number of that many digits.
    """

    symbol: str
    digits: tuple[int, int, int]
    answer: Callable[[Array, Array], Array]
    second: int = 0

    @property
    def prompt(self) -> int:
        """How many tokens come before the answer."""
        return self.digits[0] + self.digits[1] + 2

    def problems(self, count: int, seed: int, *, held_out: bool, short: float = 0.0) -> Array:
        """Random problems with their answers, shape (count, tokens).

        Parameters
        ----------
        count, seed : int
        held_out : bool
            Only problems that are held out, a tenth of all; otherwise none of them.
        short : float
            The share of operands that have any number of digits with equal probability, for training.
        """
        random = np.random.default_rng(seed)
        limits = (10 ** self.digits[0], self.second or 10 ** self.digits[1])
        pairs = np.empty((0, 2), np.int64)
        while len(pairs) < count:
            drawn = np.stack([random.integers(0, limit, 2 * count) for limit in limits], axis=1)
            lengths = np.stack([10 ** random.integers(1, digits + 1, 2 * count) for digits in self.digits[:2]], axis=1)
            fewer = random.random(drawn.shape) < short
            drawn = np.where(fewer & (lengths < limits), drawn % lengths, drawn)
            pairs = np.concatenate([pairs, drawn[self._held_out(drawn) == held_out]])
        return self.tokens(pairs[:count, 0], pairs[:count, 1])

    def tokens(self, first: Array, second: Array) -> Array:
        """Problems with their answers, shape (problems, tokens)."""
        numbers = (first, second, self.answer(first, second))
        parts = [
            number[:, None] // 10 ** np.arange(count) % 10 for number, count in zip(numbers, self.digits, strict=True)
        ]
        marks = [np.full((len(first), 1), WORDS.index(symbol)) for symbol in (self.symbol, "=")]
        return np.concatenate([parts[0], marks[0], parts[1], marks[1], parts[2]], axis=1)

    def _held_out(self, pairs: Array) -> Array:
        numbers = (pairs[:, 0] * 10 ** self.digits[1] + pairs[:, 1]).astype(np.uint64)
        held_out: Array = (numbers * _MIXER) >> _TOP_BITS < _HELD_OUT
        return held_out

    def correct(self, logits: Callable[[Array], Any], problems: Array) -> float:
        """The share of problems whose every digit of the answer has the largest score, those before it given."""
        scores = np.asarray(logits(problems[:, :-1]))[:, self.prompt - 1 :]
        return float((scores.argmax(-1) == problems[:, self.prompt :]).all(axis=1).mean())


TASKS = {
    "add": Task("+", (5, 5, 6), np.add),
    "multiply": Task("*", (4, 1, 5), np.multiply),
    "max": Task("m", (5, 5, 6), np.maximum),
    "digit": Task("d", (5, 5, 6), lambda number, place: number // 10**place % 10, second=5),
}
"""5-digit addition, 4 x 1-digit multiplication, the larger of two numbers, and the digit at a place, 0 the lowest."""

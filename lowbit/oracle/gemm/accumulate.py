"""One dot product in one accumulator, step by step: what :class:`lowbit.policy.accumulator.Accumulator` means.

A step is an addition whose exact result is fitted into a register: the cut of a term, the addition of a term, of two
partial sums, of a spilled sum, of the correction for zero points, of the bias. Each has a time: the index k of the
last product that has been taken in when it happens. A tree adds two sums as soon as both are there; lanes are added
when their chunk of products is complete; the correction and the bias come at k = K. A bias that the accumulator
starts from is fitted before the first product, at k = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lowbit.oracle.fixed_point.gemmlowp import saturate, wrap
from lowbit.policy.accumulator import Accumulator


class Accumulation(NamedTuple):
    """The result, and what overflowed on the way."""

    value: int
    overflows: int  # how many steps overflowed
    first: int | None  # the smallest time k of a step that overflowed


def fit(exact: int, width: int, overflow: str) -> int:
    """An exact sum in a two's complement register of ``width`` bits."""
    return saturate(exact, width) if overflow == "saturate" else wrap(exact, width)


@dataclass
class _Log:
    """Fits sums into registers and remembers which did not fit."""

    overflows: int = 0
    first: int | None = None

    def step(self, exact: int, width: int, overflow: str, time: int) -> int:
        value = fit(exact, width, overflow)
        if value != exact:
            self.overflows += 1
            self.first = time if self.first is None else min(self.first, time)
        return value


class _Term(NamedTuple):
    """A term or a partial sum, and when it is there."""

    value: int
    time: int


def accumulate(
    products: Sequence[int], accumulator: Accumulator, *, bias: int = 0, correction: int = 0
) -> Accumulation:
    """Accumulate exact products.

    ``products``: in the order of k. ``accumulator``: its axes ``dropped_bits``, ``operands`` and ``zero_points``
    concern operands, not products: see :func:`lowbit.oracle.gemm.gemm.dot`. ``correction``: what compensates for zero
    points, added in one step after the products.
    """
    log = _Log()
    own, result = (accumulator.width, accumulator.overflow), (accumulator.result_width, accumulator.result_overflow)
    start = log.step(bias, *result, 0) if accumulator.bias == "preloaded" else 0
    chunk = accumulator.spill_every or max(len(products), 1)
    wide = start
    for first in range(0, len(products), chunk):
        terms = _terms(products, first, min(first + chunk, len(products)), accumulator, log)
        last = terms[-1].time
        if accumulator.reduction == "widening":
            sums = _lanes(terms, 0, accumulator, log)
            for lane in sums:
                wide = log.step(wide + lane, *result, last)
            continue
        narrow = _sum(terms, 0 if accumulator.spill_every else start, accumulator, log)
        wide = log.step(wide + narrow, *result, last) if accumulator.spill_every else narrow
    if not accumulator.spill_every and not products:
        wide = log.step(start, *own, 0)
    if correction:
        wide = log.step(wide + correction, *result, len(products))
    if accumulator.bias == "added":
        wide = log.step(wide + bias, *result, len(products))
    return Accumulation(wide, log.overflows, log.first)


def _terms(products: Sequence[int], first: int, stop: int, accumulator: Accumulator, log: _Log) -> list[_Term]:
    """The exact sums of ``combine`` neighbouring products, cut to their width where they have one."""
    terms = []
    for begin in range(first, stop, accumulator.combine):
        end = min(begin + accumulator.combine, stop)
        value = sum(products[begin:end])
        if accumulator.combine_width:
            value = log.step(value, accumulator.combine_width, accumulator.combine_overflow, end - 1)
        terms.append(_Term(value, end - 1))
    return terms


def _sum(terms: list[_Term], start: int, accumulator: Accumulator, log: _Log) -> int:
    """The terms of a chunk in the accumulator, in its order."""
    if accumulator.order == "pairwise":
        return _tree([_fitted(term, accumulator, log) for term in terms], accumulator, log)
    if accumulator.order == "lanes":
        sums = [_Term(value, terms[-1].time) for value in _lanes(terms, start, accumulator, log)]
        return _reduce(sums, accumulator, log)
    if accumulator.order == "blocked":
        size = accumulator.block // accumulator.combine
        blocks = [terms[begin : begin + size] for begin in range(0, len(terms), size)]
        terms = [_Term(_sequential(block, 0, accumulator, log), block[-1].time) for block in blocks]
    return _sequential(terms, start, accumulator, log)


def _sequential(terms: list[_Term], start: int, accumulator: Accumulator, log: _Log) -> int:
    total = start
    for term in terms:
        total = log.step(total + term.value, accumulator.width, accumulator.overflow, term.time)
    return total


def _fitted(term: _Term, accumulator: Accumulator, log: _Log) -> _Term:
    """A leaf of a tree lies in a register of the accumulator's width."""
    return _Term(log.step(term.value, accumulator.width, accumulator.overflow, term.time), term.time)


def _pairs(sums: list[_Term], accumulator: Accumulator, log: _Log) -> list[_Term]:
    """One level of a tree; an odd one passes up."""
    level = []
    for index in range(0, len(sums) - 1, 2):
        left, right = sums[index], sums[index + 1]
        value = log.step(left.value + right.value, accumulator.width, accumulator.overflow, right.time)
        level.append(_Term(value, right.time))
    return level + sums[len(sums) // 2 * 2 :]


def _tree(sums: list[_Term], accumulator: Accumulator, log: _Log) -> int:
    while len(sums) > 1:
        sums = _pairs(sums, accumulator, log)
    return sums[0].value


def _lanes(terms: list[_Term], start: int, accumulator: Accumulator, log: _Log) -> list[int]:
    """The sum of each lane; lane 0 begins at ``start``. A single register is one lane."""
    count = accumulator.lanes or 1
    return [_sequential(terms[lane::count], start if lane == 0 else 0, accumulator, log) for lane in range(count)]


def _reduce(sums: list[_Term], accumulator: Accumulator, log: _Log) -> int:
    if accumulator.reduction == "adjacent":
        return _tree(sums, accumulator, log)
    if accumulator.reduction == "sequential":
        return _sequential(sums[1:], sums[0].value, accumulator, log)
    while len(sums) > 1:
        half = -(-len(sums) // 2)
        upper = sums[half:] + [_Term(0, 0)] * (2 * half - len(sums))
        sums = [
            _Term(log.step(low.value + high.value, accumulator.width, accumulator.overflow, low.time), low.time)
            for low, high in zip(sums[:half], upper, strict=True)
        ]
    return sums[0].value

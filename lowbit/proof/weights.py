"""The tight bound of each column of a weight matrix: what the worst activations can do to an accumulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.gemm.operands import checked_bias, integer_operand
from lowbit.ops.types import Array, Codes, RangeLike
from lowbit.policy.accumulator import Accumulator, get_accumulator
from lowbit.proof.ranges import code_range, multiplied, whole_zero_point
from lowbit.proof.span import Span, of_bits

_WIDEST = of_bits(64)
_LARGEST_WEIGHT = 1 << 15
REGISTERS = ("term", "accumulator", "result")


@dataclass(frozen=True, eq=False)
class WeightBounds:
    """The answer of :func:`prove_weights`; every array has one entry a column.

    Attributes
    ----------
    safe : ndarray of bool
        No activations make any step of this column overflow.
    bounds : dict of str to (lowest, highest)
        For each register that is there ("term", "accumulator", "result") the lowest and the highest exact value that
        any step puts into it: both are reached by some activations.
    widths : dict of str to ndarray
        Bits that the register would need.
    worst_low, worst_high : ndarray, shape (k, n)
        Activation codes, a column of them for each column of weights, that make every partial sum as low or as high
        as it can be. A column that is not safe overflows under one of them, or under one of ``corrected``.
    corrected_low, corrected_high : ndarray, shape (k, n)
        The same for the sums after the correction for zero points; equal to the former where there is none.
    """

    safe: npt.NDArray[np.bool_]
    bounds: dict[str, tuple[Array, Array]]
    widths: dict[str, Array]
    worst_low: Array
    worst_high: Array
    corrected_low: Array
    corrected_high: Array


@dataclass
class _Interval:
    """Lowest and highest value of a sum in each column."""

    low: Array
    high: Array

    def __add__(self, other: _Interval) -> _Interval:
        return _Interval(self.low + other.low, self.high + other.high)


@dataclass
class _Extremes:
    """The extremes of each register over all steps so far."""

    columns: int
    found: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def step(self, register: str, value: _Interval) -> _Interval:
        low, high = self.found.get(register, (value.low, value.high))
        self.found[register] = np.minimum(low, value.low), np.maximum(high, value.high)
        return value


def prove_weights(
    weights: Codes,
    accumulator: Accumulator | str = "int32",
    *,
    activations: RangeLike = "int8",
    activation_zero_point: int = 0,
    weight_zero_point: int = 0,
    bias: Codes | None = None,
) -> WeightBounds:
    """Bound every partial sum of ``activations @ weights`` for each column, exactly, in the accumulator's order.

    Parameters
    ----------
    weights : array_like, shape (k, n)
        Codes: int8, uint8, int16 or ml_dtypes' small integers.
    accumulator : Accumulator or str
    activations : str, Format, dtype, int or (int, int)
        The codes that activations may have: an integer format, or the lowest and the highest code.
    activation_zero_point, weight_zero_point : int
    bias : int or array_like, shape (n,), optional

    Returns
    -------
    WeightBounds

    Raises
    ------
    InputError
        The weights are not a matrix of integers, the range is not one, or a zero point is not an integer.
    PolicyError
        The accumulator is unknown.

    Notes
    -----
    Each activation enters one product, so a sum over any set of k is largest where each of its products is: one row
    of activations makes every partial sum as high as it can be, whatever the order, and another one as low. The
    bounds are those of the worst prefix, of the worst lane, of the worst node of a tree.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.array([[127, 3], [127, -5], [127, 7]], np.int8)
    >>> proof = prove_weights(weights, "int16", activations="uint8")
    >>> proof.safe.tolist(), proof.widths["accumulator"].tolist()
    ([False, True], [18, 13])
    """
    chosen = get_accumulator(accumulator)
    codes = integer_operand(weights, "weights").codes
    if codes.ndim != 2:
        raise InputError(f"weights have shape {codes.shape}: one matrix (k, n) is bounded at a time")
    span = code_range(activations, "activations")
    if not _WIDEST.holds(span):
        raise InputError(f"activations = {activations!r} are beyond 64 bits", hint="'uint8', or (-127, 127)")
    zeros = (
        whole_zero_point(activation_zero_point, "activation_zero_point"),
        whole_zero_point(weight_zero_point, "weight_zero_point"),
    )
    start = checked_bias(bias, codes.shape[1])
    numbers = _numbers(codes, span, zeros, start)
    start = start.astype(numbers.dtype)
    raw, worst = _products(numbers, span, *multiplied(chosen, *zeros), chosen.dropped_bits)
    whole, corrected = _products(numbers, span, *zeros, chosen.dropped_bits)
    extremes = _Extremes(codes.shape[1])
    offset = _Interval(start, start)
    _accumulate(raw, chosen, offset, extremes)
    total = _Interval(whole.low.sum(axis=0), whole.high.sum(axis=0))
    if chosen.bias == "preloaded":
        extremes.step("result", total + offset)
    else:
        extremes.step("result", extremes.step("result", total) + offset)
    return _answer(chosen, extremes, worst, corrected)


def _numbers(codes: Array, span: Span, zeros: tuple[int, int], bias: Array) -> Array:
    """The weights in a dtype whose sums are exact: int64, or Python integers where even that could overflow."""
    activation = max(abs(end) for end in span) + abs(zeros[0])
    total = activation * (_LARGEST_WEIGHT + abs(zeros[1])) * codes.shape[0]
    total += max((abs(number) for number in bias.tolist()), default=0)
    return codes.astype(np.int64 if max(total, activation) < 1 << 62 and abs(zeros[1]) < 1 << 62 else object)


def _products(codes: Array, span: Span, a_zero: int, b_zero: int, dropped: int) -> tuple[_Interval, _Interval]:
    """Lowest and highest product of each weight, and the activation codes that make them."""
    factors = (codes - b_zero) >> dropped
    low, high = (((end - a_zero) >> dropped) for end in span)
    at_low, at_high = factors * low, factors * high
    upward = at_high >= at_low
    products = _Interval(np.minimum(at_low, at_high), np.maximum(at_low, at_high))
    return products, _Interval(np.where(upward, span.low, span.high), np.where(upward, span.high, span.low))


def _accumulate(products: _Interval, accumulator: Accumulator, bias: _Interval, extremes: _Extremes) -> None:
    """Every step of the products, as ``lowbit.Accumulator`` orders them."""
    count = products.low.shape[0]
    zero = _Interval(bias.low * 0, bias.low * 0)
    start = extremes.step("result", bias) if accumulator.bias == "preloaded" else zero
    chunk = accumulator.spill_every or max(count, 1)
    wide = start
    for first in range(0, count, chunk):
        stop = min(first + chunk, count)
        terms = list(_terms(products, first, stop, accumulator, extremes))
        if accumulator.reduction == "widening":
            for lane in _lanes(terms, zero, accumulator, extremes):
                wide = extremes.step("result", wide + lane)
            continue
        narrow = _sum(terms, zero if accumulator.spill_every else start, accumulator, extremes)
        wide = extremes.step("result", wide + narrow) if accumulator.spill_every else narrow


def _terms(
    products: _Interval, first: int, stop: int, accumulator: Accumulator, extremes: _Extremes
) -> Iterator[_Interval]:
    for begin in range(first, stop, accumulator.combine):
        part = slice(begin, min(begin + accumulator.combine, stop))
        term = _Interval(products.low[part].sum(axis=0), products.high[part].sum(axis=0))
        yield extremes.step("term", term) if accumulator.combine_width else term


def _sum(terms: list[_Interval], start: _Interval, accumulator: Accumulator, extremes: _Extremes) -> _Interval:
    if accumulator.order == "pairwise":
        return _tree([extremes.step("accumulator", term) for term in terms], extremes)
    if accumulator.order == "lanes":
        return _reduced(_lanes(terms, start, accumulator, extremes), accumulator, extremes)
    if accumulator.order == "blocked":
        zero, size = _Interval(start.low * 0, start.low * 0), accumulator.block // accumulator.combine
        blocks = range(0, len(terms), size)
        terms = [_sequential(terms[begin : begin + size], zero, extremes) for begin in blocks]
    return _sequential(terms, start, extremes)


def _sequential(terms: list[_Interval], start: _Interval, extremes: _Extremes) -> _Interval:
    total = start
    for term in terms:
        total = extremes.step("accumulator", total + term)
    return total


def _lanes(terms: list[_Interval], start: _Interval, accumulator: Accumulator, extremes: _Extremes) -> list[_Interval]:
    zero, count = _Interval(start.low * 0, start.low * 0), accumulator.lanes
    return [_sequential(terms[lane::count], start if lane == 0 else zero, extremes) for lane in range(count)]


def _tree(sums: list[_Interval], extremes: _Extremes) -> _Interval:
    while len(sums) > 1:
        pairs = [extremes.step("accumulator", left + right) for left, right in zip(sums[::2], sums[1::2], strict=False)]
        sums = pairs + sums[2 * len(pairs) :]
    return sums[0]


def _reduced(sums: list[_Interval], accumulator: Accumulator, extremes: _Extremes) -> _Interval:
    if accumulator.reduction == "adjacent":
        return _tree(sums, extremes)
    if accumulator.reduction == "sequential":
        return _sequential(sums[1:], sums[0], extremes)
    while len(sums) > 1:
        half = (len(sums) + 1) // 2
        folded = [extremes.step("accumulator", low + high) for low, high in zip(sums, sums[half:], strict=False)]
        sums = folded + sums[len(folded) : half]
    return sums[0]


def _answer(accumulator: Accumulator, extremes: _Extremes, worst: _Interval, corrected: _Interval) -> WeightBounds:
    widths = {
        "term": accumulator.combine_width,
        "accumulator": accumulator.width,
        "result": accumulator.result_width,
    }
    bounds = {name: extremes.found[name] for name in REGISTERS if name in extremes.found}
    safe = np.ones(extremes.columns, dtype=np.bool_)
    for name, (low, high) in bounds.items():
        fits = of_bits(widths[name])
        safe &= np.asarray((low >= fits.low) & (high <= fits.high), dtype=np.bool_)
    needed = {name: _bits(low, high) for name, (low, high) in bounds.items()}
    codes = (worst.low, worst.high, corrected.low, corrected.high)
    return WeightBounds(safe, bounds, needed, *(array.astype(np.int64) for array in codes))


def _bits(low: Array, high: Array) -> Array:
    """Bits of the narrowest two's complement register that holds both."""
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    needed = [1 + max(int(a if a >= 0 else ~a).bit_length(), int(b if b >= 0 else ~b).bit_length()) for a, b in pairs]
    return np.array(needed, dtype=np.int64)

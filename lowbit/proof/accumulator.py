"""How many products an accumulator can take without any chance of an overflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.ops.types import RangeLike
from lowbit.policy.accumulator import Accumulator, get_accumulator
from lowbit.proof.ranges import Corner, code_range, corners, multiplied, whole_zero_point
from lowbit.proof.span import Span, of_bits

UNLIMITED = 1 << 80
"""Products that no machine performs: an accumulator that takes that many takes any number."""


class Witness(NamedTuple):
    """Operands that overflow: K products of the same two codes."""

    k: int  # how many
    # a, b: the code of every element of the row and of the column
    a: int
    b: int
    bias: int


@dataclass(frozen=True)
class SafeLength:
    """The answer of :func:`largest_safe_k`.

    Attributes
    ----------
    k : int or None
        The largest K such that no product of at most K terms can overflow anywhere; None if every K is safe.
    register : str
        What overflows first beyond it: "term", "accumulator" or "result"; "" if nothing does.
    value : int
        The exact value that would have to fit that register.
    width : int
        Bits of that register.
    witness : Witness or None
        Operands of K + 1 products that overflow.
    """

    k: int | None
    register: str
    value: int
    width: int
    witness: Witness | None


class _Sum(NamedTuple):
    """A register that holds that many products between ``low`` and ``high``, and a start between those of ``start``."""

    register: str
    width: int
    products: int
    low: Corner
    high: Corner
    start: Span

    def extremes(self) -> Iterator[tuple[int, Corner, int]]:
        """The values that may not fit: (value, the products that make it, the start)."""
        yield self.products * self.high.product + self.start.high, self.high, self.start.high
        yield self.products * self.low.product + self.start.low, self.low, self.start.low

    def overflow(self) -> tuple[int, Corner, int] | None:
        """One of them that does not fit, if there is one."""
        fits = of_bits(self.width)
        return next((extreme for extreme in self.extremes() if not fits.low <= extreme[0] <= fits.high), None)


def largest_safe_k(
    accumulator: Accumulator | str,
    a: RangeLike = "int8",
    b: RangeLike = "int8",
    *,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    bias: RangeLike = 0,
) -> SafeLength:
    """The largest K for which an accumulator cannot overflow, whatever the operands.

    Parameters
    ----------
    accumulator : Accumulator or str
    a, b : str, Format, dtype, int or (int, int)
        The codes that the operands may have: an integer format, or the lowest and the highest code.
    a_zero_point, b_zero_point : int
    bias : int or (int, int)
        The biases that may occur, lowest and highest.

    Returns
    -------
    SafeLength

    Raises
    ------
    InputError
        A range is not one of integers, a zero point is not an integer, or a bias alone does not fit.
    PolicyError
        The accumulator is unknown.

    Notes
    -----
    Every register holds a sum of products of distinct k, and each of these takes its extreme on its own, so the sum's
    extremes are the count times those of one product: the bound is exact, and :class:`SafeLength` has operands that
    overflow at K + 1. Source: Das et al. 2018 (arXiv:1802.00930) derive chain lengths in the same way for symmetric
    mantissas.

    Examples
    --------
    >>> largest_safe_k("int32", "uint8", "int8").k  # (2^31) / (255 * 128)
    65793
    >>> largest_safe_k("x86_vpmaddubsw", "uint8", "int8").k  # 2 * 255 * 127 > 2^15 - 1
    1
    >>> largest_safe_k("x86_vpmaddubsw", "uint8", (-64, 64)).k  # seven-bit weights never saturate a pair
    131586
    """
    chosen = get_accumulator(accumulator)
    ranges = code_range(a, "a"), code_range(b, "b")
    start = code_range(bias, "bias")
    if not of_bits(chosen.result_width).holds(start):
        raise InputError(f"bias = {bias!r} does not fit the {chosen.result_width} bits of the result")
    zeros = whole_zero_point(a_zero_point, "a_zero_point"), whole_zero_point(b_zero_point, "b_zero_point")

    def failure(products: int) -> tuple[_Sum, tuple[int, Corner, int]] | None:
        for register in _registers(chosen, products, ranges, zeros, start):
            extreme = register.overflow()
            if extreme is not None:
                return register, extreme
        return None

    if failure(UNLIMITED) is None:
        return SafeLength(None, "", 0, chosen.result_width, None)
    low, high = 0, UNLIMITED
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if failure(middle) else (middle, high)
    found = failure(high)
    if found is None:
        raise AssertionError("the search keeps `high` at a length that overflows")
    register, (value, corner, offset) = found
    return SafeLength(low, register.register, value, register.width, Witness(high, corner.a, corner.b, offset))


def _registers(
    accumulator: Accumulator, products: int, ranges: tuple[Span, Span], zeros: tuple[int, int], bias: Span
) -> Iterator[_Sum]:
    """The fullest state of each register that ``products`` products pass through."""
    none = Span(0, 0)
    preloaded = accumulator.bias == "preloaded"
    raw = corners(*ranges, *multiplied(accumulator, *zeros), accumulator.dropped_bits)
    if accumulator.combine_width:
        yield _Sum("term", accumulator.combine_width, min(products, accumulator.combine), *raw, none)
    chunk = min(products, accumulator.spill_every or products)
    lane = _longest_lane(accumulator, chunk)
    spills = accumulator.spill_every > 0
    yield _Sum("accumulator", accumulator.width, lane, *raw, bias if preloaded and not spills else none)
    if spills:
        yield _Sum("result", accumulator.spill_width, products, *raw, bias if preloaded else none)
    whole = corners(*ranges, *zeros, accumulator.dropped_bits)
    for start in (none, bias):  # before and after the bias
        yield _Sum("result", accumulator.result_width, products, *whole, start)


def _longest_lane(accumulator: Accumulator, chunk: int) -> int:
    """Products in the fullest register of the accumulator's width: all, unless lanes are only ever widened."""
    if accumulator.reduction != "widening":
        return chunk
    row = accumulator.lanes * accumulator.combine
    return chunk // row * accumulator.combine + min(chunk % row, accumulator.combine)

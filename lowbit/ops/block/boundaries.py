"""binary32 into blocks of elements of at most 4 bits: by the boundaries between the elements, without a division."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.exact import from_fraction
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block import quotients
from lowbit.ops.block.runs import Runs
from lowbit.ops.block.scales import Coarse, Fine
from lowbit.ops.cast.cast import decode
from lowbit.ops.cast.cast import encode as encode_values
from lowbit.ops.cast.exact import encode_exact
from lowbit.policy.block import BlockPolicy
from lowbit.policy.cast import Policy

BITS = 4
EXACT_ERRORS = 2.0**31
"""Magnitudes up to which binary32 tells the errors of the highest elements apart, under any scale of a value or 224."""
BINARY32_BITS, BINARY64_BITS = 24, 53
"""A product of a boundary and the scales with that many bits is exact in binary64."""


class Magnitudes(NamedTuple):
    """Where magnitudes begin to be rounded to the next element: the numbers, and whether a tie stays below.

    A row each for numbers without and with a sign. ``steps``: these are numbers that quotients in binary32 reach.
    """

    numbers: npt.NDArray[np.float64]
    beyond: npt.NDArray[np.int32]
    sign_bit: np.int32
    steps: bool

    @property
    def mirrored(self) -> bool:
        """Whether ties of both signs go to the same magnitude."""
        return bool((self.beyond[0] == self.beyond[1]).all() and (self.numbers[0] == self.numbers[1]).all())


class Numbers(NamedTuple):
    """The same for numbers of both signs, from the lowest element on.

    ``of_zero`` replaces the boundaries where a scale is 0, ``steps`` leads from each code to the next.
    """

    numbers: npt.NDArray[np.float64]
    beyond: npt.NDArray[np.int32]
    of_zero: npt.NDArray[np.float32]
    steps: npt.NDArray[np.int32]
    first: int


Boundaries = Magnitudes | Numbers


def of_least_errors(fmt: BlockFormat, policy: BlockPolicy) -> tuple[BlockPolicy, float]:
    """A policy whose quotients have the same codes, and up to which magnitude; another policy itself.

    Beside a middle the difference of a value and a product is exact, as neither is more than twice the other.
    """
    if policy.rounding_steps != "least_error":
        return policy, np.inf
    alike = fmt.element.id == "ggml_e2m1" and policy.element == "ocp_sat:rounding=nearest_zero"
    return policy.choose(rounding_steps="none"), EXACT_ERRORS if alike else 0


def least_errors(values: Array, scales: Array, element: Scalar) -> Array:
    """The first of the elements whose product with the scale has the least difference from a value, in binary32."""
    elements = np.asarray(decode(np.array(element.codes, element.code_dtype), element, dtype=np.float32))
    best = np.full(values.shape, elements[0])
    least = np.abs(elements[0] * scales - values)
    for number in elements[1:]:
        error = np.abs(number * scales - values)
        less = error < least
        best, least = np.where(less, number, best), np.where(less, error, least)
    return best


@lru_cache(maxsize=64)
def boundaries(fmt: BlockFormat, policy: BlockPolicy) -> Boundaries | None:
    """The boundaries of the elements of a format; None where another path encodes them."""
    finest, *coarser = fmt.scales[1:] if fmt.by_sign else fmt.scales
    # a quotient by a power of two is exact in binary32, or far below the smallest element
    powers = finest.format.precision == 1 and not coarser and policy.quotient_scale == "stored"
    in_steps = policy.arithmetic == "binary32" and not powers
    if policy.arithmetic == "bfloat16" or policy.search != "none" or finest.role not in {"multiply", "by_sign"}:
        return None
    if policy.quotient_bins != "none" or policy.quotient_format or any(field.role != "multiply" for field in coarser):
        return None
    if in_steps:
        return of_steps(fmt, policy)
    if policy.zero_scale != "zero":
        return None
    bits = BINARY64_BITS - sum(field.format.precision for field in (finest, *coarser))
    found = _of_element(fmt.number, policy.policy("element", fmt.number), bits)
    return None if fmt.by_sign and isinstance(found, Numbers) else found


@lru_cache(maxsize=64)
def of_steps(fmt: BlockFormat, policy: BlockPolicy) -> Magnitudes | None:
    """Instead of boundaries the least numbers of binary32 behind them, which quotients in binary32 reach or not."""
    if policy.arithmetic != "binary32" or policy.quotient_steps == "reciprocal_exact":
        return None
    found = _of_element(fmt.number, policy.policy("element", fmt.number), BINARY32_BITS)
    if not isinstance(found, Magnitudes):
        return None
    numbers = found.numbers.astype(np.float32)
    numbers = np.where(found.beyond == 1, np.nextafter(numbers, np.float32(np.inf)), numbers)
    return found._replace(numbers=numbers.astype(np.float64), steps=True)


def _of_element(element: Scalar, policy: Policy, most_bits: int) -> Boundaries | None:
    nearest = policy.rounding.startswith("nearest_") and policy.overflow == "saturate"
    usual = nearest and (policy.flush_results, policy.flush_inputs, policy.via) == ("never", "never", "")
    if element.bits > BITS or element.has_nan or element.has_infinity or not usual or policy.defects:
        return None
    mirrored = not element.listed and not element.wraps and element.negative_zero
    if mirrored and policy.negative_zero == "keep":
        return _magnitudes(element, policy, most_bits)
    signs = [int(encode_values(np.float32(zero), element, policy=policy)) for zero in (0.0, -0.0)]
    if not element.signed or element.negative_zero or signs[0] != signs[1]:
        return None
    return _numbers(element, policy, most_bits)


def _magnitudes(element: Scalar, policy: Policy, most_bits: int) -> Magnitudes | None:
    from lowbit.kernels.block.fast_boundaries import BOUNDARIES

    codes = list(range(element.largest_code() + 1))
    positive = _between(codes, element, policy, most_bits, BOUNDARIES)
    negative = _between([code | element.sign_bit for code in codes], element, policy, most_bits, BOUNDARIES)
    if positive is None or negative is None:
        return None
    numbers, beyond = np.abs([positive[0], negative[0]]), np.stack([positive[1], negative[1]])
    return Magnitudes(numbers, beyond, np.int32(element.sign_bit), steps=False)


def _numbers(element: Scalar, policy: Policy, most_bits: int) -> Numbers | None:
    from lowbit.kernels.block.fast_boundaries import SIGNED_BOUNDARIES

    codes = [element.from_ordinal(ordinal) for ordinal in element.ordinals]
    found = _between(codes, element, policy, most_bits, SIGNED_BOUNDARIES)
    if found is None:
        return None
    zero = codes.index(int(encode_values(np.float32(0), element, policy=policy)))
    of_zero = np.where(np.arange(SIGNED_BOUNDARIES) < zero, -np.inf, np.inf).astype(np.float32)
    steps = np.zeros(SIGNED_BOUNDARIES, np.int32)
    steps[: len(codes) - 1] = np.diff(codes)
    return Numbers(*found, of_zero, steps, codes[0])


def _between(
    codes: list[int], element: Scalar, policy: Policy, most_bits: int, size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]] | None:
    """The middles between codes in their order, and which of them are rounded down; None where one is too wide."""
    numbers, beyond = np.full(size, np.inf), np.ones(size, np.int32)
    for place, pair in enumerate(pairwise(codes)):
        middle = sum((element.decode(code).fraction() for code in pair), Fraction(0)) / 2
        exact = from_fraction(middle).reduced()
        if abs(exact.significand).bit_length() > most_bits:
            return None
        code = int(encode_exact(exact.kind, exact.significand, exact.exponent, element, policy=policy))
        numbers[place], beyond[place] = float(middle), int(code == pair[0])
    return numbers, beyond


def encode(way: Boundaries, runs: Runs, fine: list[Fine], above: Coarse | None, policy: BlockPolicy) -> Array | None:
    """The codes; None where a scale is not a number."""
    from lowbit.kernels.block import fast_boundaries as fast

    if isinstance(way, Magnitudes) and way.steps:
        divisors = quotients.ordinary(fine, above, policy)
        if divisors is None:
            return None
        kernels = (fast.encode_quotients, fast.encode_quotients_by_sign)
        if divisors[0].multiplies:
            kernels = (fast.encode_products, fast.encode_products_by_sign)
        return _encoded(way, runs, fine, [each.numbers for each in divisors], kernels)
    totals = [part.numbers if above is None else part.numbers * above.scale for part in fine]
    if not all(np.isfinite(total).all() for total in totals):
        return None
    if isinstance(way, Numbers):
        return _encoded(way, runs, fine, totals, (fast.encode_signed, fast.encode_signed))
    coded = _coded(way, runs, fine, totals)
    return _encoded(way, runs, fine, totals, (fast.encode, fast.encode_by_sign)) if coded is None else coded


def _encoded(way: Boundaries, runs: Runs, fine: list[Fine], totals: list[Array], kernels: tuple[Any, Any]) -> Array:
    """By a kernel for scales of all numbers, or the one for scales or boundaries of each sign."""
    each = [runs.each(part.each(total)).astype(np.float64) for part, total in zip(fine, totals, strict=True)]
    by_sign, parameters = len(each) > 1, tuple(way)
    if isinstance(way, Magnitudes):
        parameters = way[:-1]
        by_sign = by_sign or not way.mirrored
    each = each * 2 if by_sign and len(each) == 1 else each
    codes = np.empty(runs.words.shape, np.uint8)
    kernel = kernels[by_sign]
    runs.in_chunks(lambda part: kernel(runs.words[part], *(total[part] for total in each), *parameters, codes[part]))
    return codes


def _coded(way: Magnitudes, runs: Runs, fine: list[Fine], totals: list[Array]) -> Array | None:
    """Where few scales occur, in vector registers; None elsewhere."""
    from lowbit.kernels.block.simd_reached import LANES, encode_coded

    if not fine[0].coded or len(fine) > 1 or runs.length % LANES or not way.mirrored:
        return None
    codes = np.empty(runs.words.shape, np.uint8)
    flat, of_runs, scales = runs.words.reshape(-1), codes.reshape(-1), runs.each(fine[0].codes)
    parameters = way.numbers[0], way.beyond[0], way.sign_bit

    def coded(part: slice) -> None:
        places = slice(part.start * runs.length, part.stop * runs.length)
        encode_coded(flat[places], runs.length, scales[part], totals[0], *parameters, of_runs[places])

    runs.in_chunks(coded)
    return codes

"""binary32 into blocks of elements of at most 4 bits: by the boundaries between the elements, without a division."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.exact import from_fraction
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block.runs import Runs
from lowbit.ops.block.scales import Coarse, Fine
from lowbit.ops.cast.cast import encode as encode_values
from lowbit.ops.cast.exact import encode_exact
from lowbit.policy.block import BlockPolicy
from lowbit.policy.cast import Policy

BITS = 4
BINARY64_BITS = 53
"""A product of a boundary and the scales with that many bits is exact in binary64."""


class Magnitudes(NamedTuple):
    """Where magnitudes begin to be rounded to the next element: the numbers, and whether a tie stays below."""

    numbers: npt.NDArray[np.float64]
    beyond: npt.NDArray[np.int32]
    sign_bit: np.int32


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


@lru_cache(maxsize=64)
def boundaries(fmt: BlockFormat, policy: BlockPolicy) -> Boundaries | None:
    """The boundaries of the elements of a format; None where another path encodes them."""
    finest, *coarser = fmt.scales[1:] if fmt.by_sign else fmt.scales
    # a quotient by a power of two is exact in binary32, or far below the smallest element
    bins = policy.quotient_bins != "none"
    powers = policy.arithmetic == "binary32" and finest.format.precision == 1 and not coarser and not bins
    if not (policy.arithmetic == "exact" or (powers and policy.quotient_scale == "stored")):
        return None
    if (
        policy.zero_scale != "zero"
        or policy.search != "none"
        or policy.quotient_format
        or finest.role not in {"multiply", "by_sign"}
    ):
        return None
    if any(field.role != "multiply" for field in coarser):
        return None
    bits = BINARY64_BITS - sum(field.format.precision for field in (finest, *coarser))
    found = _of_element(fmt.element, policy.policy("element", fmt.element), bits)
    return None if fmt.by_sign and isinstance(found, Numbers) else found


def _of_element(element: Scalar, policy: Policy, most_bits: int) -> Boundaries | None:
    nearest = policy.rounding.startswith("nearest_") and policy.overflow == "saturate"
    usual = nearest and (policy.flush_results, policy.flush_inputs, policy.via) == ("never", "never", "")
    if element.bits > BITS or element.has_nan or element.has_infinity or not usual or policy.defects:
        return None
    mirrored = not element.listed and not element.wraps and element.negative_zero
    if mirrored and policy.negative_zero == "keep" and policy.rounding[8:] not in {"up", "down"}:
        return _magnitudes(element, policy, most_bits)
    signs = [int(encode_values(np.float32(zero), element, policy=policy)) for zero in (0.0, -0.0)]
    if not element.signed or element.negative_zero or signs[0] != signs[1]:
        return None
    return _numbers(element, policy, most_bits)


def _magnitudes(element: Scalar, policy: Policy, most_bits: int) -> Magnitudes | None:
    from lowbit.kernels.block.fast_boundaries import BOUNDARIES

    codes = list(range(element.largest_code() + 1))
    found = _between(codes, element, policy, most_bits, BOUNDARIES)
    return None if found is None else Magnitudes(*found, np.int32(element.sign_bit))


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


def encode(way: Boundaries, runs: Runs, fine: list[Fine], above: Coarse | None) -> Array | None:
    """The codes; None where a scale is not a number."""
    from lowbit.kernels.block import fast_boundaries as fast
    from lowbit.kernels.block.simd_reached import LANES, encode_coded

    totals = [part.numbers if above is None else part.numbers * above.scale for part in fine]
    if not all(np.isfinite(total).all() for total in totals):
        return None
    codes = np.empty(runs.words.shape, np.uint8)
    signed = isinstance(way, Numbers)
    if fine[0].coded and not signed and len(fine) == 1 and runs.length % LANES == 0:
        flat, of_runs, scales = runs.words.reshape(-1), codes.reshape(-1), runs.each(fine[0].codes)

        def coded(part: slice) -> None:
            places = slice(part.start * runs.length, part.stop * runs.length)
            encode_coded(flat[places], runs.length, scales[part], totals[0], *way, of_runs[places])

        runs.in_chunks(coded)
        return codes
    kernel = fast.encode_signed if signed else fast.encode_by_sign if len(fine) > 1 else fast.encode
    each = [runs.each(part.each(total)).astype(np.float64) for part, total in zip(fine, totals, strict=True)]
    runs.in_chunks(lambda part: kernel(runs.words[part], *(total[part] for total in each), *way, codes[part]))
    return codes

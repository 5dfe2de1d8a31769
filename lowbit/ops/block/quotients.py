"""binary32 into blocks by one binary32 step an element: the path for steps in binary32, and for exact ones that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import Array
from lowbit.ops.block.runs import Runs
from lowbit.ops.block.scales import Coarse, Fine, Steps
from lowbit.ops.cast import intervals
from lowbit.ops.cast.binary32 import rounding_kernel
from lowbit.ops.cast.cast import encode as encode_values
from lowbit.ops.cast.paths import Cast
from lowbit.policy.block import BlockPolicy
from lowbit.policy.cast import Policy

BINARY32_BITS = 24
RECIPROCALS = {"reciprocal", "reciprocal_exact"}

USUAL = 2.0**-100, 2.0**100
USUAL_EXPONENT = 20
"""Products of such scales and numbers between 2^-20 and 2^20 are normal in binary32."""

Encode = Callable[[Array, Array, Array, Array], None]
"""``encode(words, scales, others, codes)`` for some blocks, a row each.

``others``: zero points, or the scales of numbers with a sign.
"""


class Lanes(NamedTuple):
    """How an element is encoded: after a division by its scale, and after a multiplication by a factor."""

    divide: Encode
    multiply: Encode
    dtype: str


class Divisor(NamedTuple):
    """What the values of each block are divided by, or else multiplied by, and where that is 0 as a divisor."""

    numbers: Array
    nothing: Array
    multiplies: bool


@lru_cache(maxsize=64)
def lanes(fmt: BlockFormat, policy: BlockPolicy) -> Lanes | None:
    """How elements are encoded; None where another path does it."""
    factors = fmt.of_role("multiply", "divide")
    exact = len(factors) == 1 and factors[0].role == "multiply" and fits(factors[0].format, fmt.number)
    held = policy.arithmetic == "binary32" or (policy.arithmetic == "exact" and exact and not fmt.number.listed)
    if not held or fmt.of_role("exponent"):
        return None
    if (
        policy.quotient_steps == "reciprocal_exact"
        or policy.quotient_bins != "none"
        or policy.quotient_format
        or fmt.number.bits > 8
        or not (fmt.number.signed or fmt.affine)
    ):
        return None
    return _of_element(fmt.number, policy.policy("element", fmt.number), by_sign=fmt.by_sign)


def fits(scale: Scalar, element: Scalar) -> bool:
    """Whether every product of a usual scale and a place where rounding changes is a normal binary32 number."""
    reach = max(element.max_exponent, 1 - element.smallest_exponent) <= USUAL_EXPONENT
    return reach and scale.precision + max(element.precision, element.bits) + 2 <= BINARY32_BITS


@lru_cache(maxsize=64)
def _of_element(element: Scalar, policy: Policy, *, by_sign: bool) -> Lanes | None:
    cast = Cast(scalar_format("float32"), element, policy)
    if policy.via or (policy.defects and not element.listed):
        return None
    if element.listed or by_sign:
        return _listed(cast, by_sign=by_sign)
    return _integers(element, policy) if element.wraps else _floats(cast) or _listed(cast, by_sign=False)


def _listed(cast: Cast, *, by_sign: bool) -> Lanes | None:
    """By intervals, which are known for any element of few bits."""
    from lowbit.kernels.block import fast_quotients as fast

    if cast.policy.defects:
        target, policy = cast.target, cast.policy
        tables = intervals.tables_with_defects(
            cast, lambda bits: np.asarray(encode_values(bits.view(np.float32), target, policy=policy))
        )
    else:
        tables = intervals.tables(cast)
    if tables is None:
        return None

    def way(kernel: Any) -> Encode:
        return lambda words, scales, _, codes: kernel(words, scales, *tables, codes)

    def by_signs(kernel: Any) -> Encode:
        return lambda words, scales, others, codes: kernel(words, scales, others, *tables, codes)

    if by_sign:
        return Lanes(by_signs(fast.quotients_by_sign), by_signs(fast.products_by_sign), cast.target.code_dtype)
    return Lanes(way(fast.listed_quotients), way(fast.listed_products), cast.target.code_dtype)


def _integers(element: Scalar, policy: Policy) -> Lanes | None:
    from lowbit.kernels.block import fast_quotients as fast

    usual = policy.rounding, policy.overflow, policy.infinity, policy.flush_results, policy.flush_inputs
    if element.smallest_exponent or usual != ("nearest_even", "saturate", "saturate", "never", "never"):
        return None
    ends = element.codes[0], element.codes[-1]

    def way(kernel: Any) -> Encode:
        return lambda words, scales, zeros, codes: kernel(words, scales, zeros, *ends, codes.view(np.uint8))

    return Lanes(way(fast.integer_quotients), way(fast.integer_products), element.code_dtype)


def _floats(cast: Cast) -> Lanes | None:
    from lowbit.kernels.block import fast_quotients as fast
    from lowbit.kernels.cast import fast_binary32

    kernels = {
        fast_binary32.encode_symmetric: (fast.symmetric_quotients, fast.symmetric_products),
        fast_binary32.encode_signed: (fast.signed_quotients, fast.signed_products),
    }
    rounding = rounding_kernel(cast)
    pair = None if rounding is None else kernels.get(rounding[0])
    if rounding is None or pair is None:
        return None
    parameters = rounding[1]

    def way(kernel: Any) -> Encode:
        return lambda words, scales, _, codes: kernel(words, scales, parameters, codes)

    return Lanes(way(pair[0]), way(pair[1]), cast.target.code_dtype)


def divisor(scale: Array, above: tuple[Array, Array] | None, policy: BlockPolicy) -> Divisor:
    """What values are divided by or multiplied by, from the finest scale, and the one above and its reciprocal."""
    steps, total = Steps(policy), scale
    if policy.quotient_steps == "multiply_by_ratio" and not steps.exact:
        numerator = steps.dtype(1) if above is None else above[1]
        return Divisor(steps.divide(numerator, scale), scale == 0, multiplies=True)
    if above is not None:
        upper, reciprocal = above
        by_ratio = policy.quotient_steps == "divide_by_ratio" and not steps.exact
        total = steps.divide(scale, reciprocal) if by_ratio else steps.multiply(scale, upper)
    if policy.quotient_steps in RECIPROCALS and not steps.exact:
        return Divisor(steps.limited(steps.divide(steps.dtype(1), total)), total == 0, multiplies=True)
    return Divisor(total, total == 0, multiplies=False)


def is_usual(scales: Array) -> Array:
    """Whether scales are neither so small nor so large that binary32 has other numbers near."""
    return np.asarray((scales >= USUAL[0]) & (scales <= USUAL[1]))


def encode(
    way: Lanes, runs: Runs, fine: list[Fine], above: Coarse | None, policy: BlockPolicy, zeros: Array | None = None
) -> Array | None:
    """The codes, of integers after a zero point is added; None where a scale is not an ordinary number."""
    divisors = ordinary(fine, above, policy)
    if divisors is None:
        return None
    scales, *others = (
        runs.each(part.each(each.numbers.astype(np.float32))) for part, each in zip(fine, divisors, strict=True)
    )
    shifts = np.zeros(scales.size, np.int32) if zeros is None else runs.each(zeros.astype(np.int32))
    beside = others[0] if others else shifts
    codes = np.empty(runs.words.shape, way.dtype)
    run = way.multiply if divisors[0].multiplies else way.divide
    runs.in_chunks(lambda part: run(runs.words[part], scales[part], beside[part], codes[part]))
    return codes


def ordinary(fine: Sequence[Fine], above: Coarse | None, policy: BlockPolicy) -> list[Divisor] | None:
    """What values are divided or multiplied by, where a kernel may do all of it; a divisor of 0 is infinite."""
    found = [_ordinary(part, above, policy) for part in fine]
    held = [each for each in found if each is not None]
    return held if len(held) == len(found) else None


def _ordinary(fine: Fine, above: Coarse | None, policy: BlockPolicy) -> Divisor | None:
    pair = None if above is None else (above.scale, above.reciprocal)
    numbers, nothing, multiplies = divisor(fine.numbers, pair, policy)
    if policy.arithmetic == "exact" and not (nothing | is_usual(numbers)).all():
        return None
    if nothing.any():
        if policy.zero_scale in {"infinite", "lowest"} or (policy.zero_scale == "largest" and not multiplies):
            return None
        instead = np.finfo(np.float32).max if policy.zero_scale == "largest" else 0 if multiplies else np.inf
        numbers = np.where(nothing, numbers.dtype.type(instead), numbers)
    return None if np.isnan(numbers).any() else Divisor(numbers, nothing, multiplies)

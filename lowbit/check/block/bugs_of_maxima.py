"""Bugs on the way from the largest magnitude of a block to its scale, and of blocks that have nothing but zeros."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lowbit.check.block.bug import BlockBug, after, by_scales_of, codes_by, finest
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.cast.cast import encode
from lowbit.vectors.case import Array

if TYPE_CHECKING:
    from lowbit.check.block.rules import BlockRule, Parts

LEAST = (1e-4, 1e-5, 1e-6, 2.0**-23, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20, 1e-30, 1e-37, 2.0**-126)
"""What kernels keep a divisor from 0 with."""
OF_LOGARITHMS = {"floor": (np.floor, False), "ceil": (np.ceil, False), "rceil": (np.ceil, True)}
"""Scale rule -> how the logarithm is made whole, and whether it is that of amax over the largest element."""


def bugs_of_maxima(fmt: BlockFormat) -> list[BlockBug]:
    """Those that a format can have."""
    if is_affine(fmt):
        return []
    powers = fmt.scales[0].format.id == "float8_e8m0fnu"
    signs = fmt.element.dimension == 1 and _zeros(fmt.number)[0] != _zeros(fmt.number)[1]
    zeros = _OF_ZEROS if signs else ()
    return [*zeros, *([_OF_LOGARITHM] if powers else ()), *_OF_LEAST]


def _maxima(values: Array, rule: BlockRule) -> Array:
    return np.asarray(reduced(np.abs(values), finest(rule)[0]))


def _by_logarithm(values: Array, rule: BlockRule) -> Parts:
    """Powers of two from the logarithm of a maximum in binary32, which beside a power of two is a whole number."""
    parts = rule.parts(values)
    if rule.policy.scale_rule not in OF_LOGARITHMS:
        return parts
    (field, *_), element = finest(rule), rule.format.number
    whole, over_largest = OF_LOGARITHMS[rule.policy.scale_rule]
    amax = _maxima(values, rule).astype(np.float32)
    with np.errstate(all="ignore"):
        size = amax / np.float32(float(element.max.fraction())) if over_largest else amax
        power = whole(np.log2(size.astype(np.float64)).astype(np.float32)).astype(np.float64)
        scales = np.ldexp(1.0, np.nan_to_num(power - (0 if over_largest else element.max_exponent)).astype(int))
    codes = np.asarray(encode(scales, field.format, policy="ocp_sat"))
    parts[field.name] = np.where(np.isfinite(amax) & (size > 0), codes, parts[field.name])
    return parts | {"codes": codes_by(values, parts, rule)}


def _at_least(values: Array, rule: BlockRule, *, least: float, of_scale: bool) -> Array:
    """Blocks of small values replaced by ones of the least maximum."""
    limit = np.float32(least * float(rule.format.number.max.fraction()) if of_scale else least)
    small = spread(_maxima(values, rule) < limit, finest(rule)[0], values.shape)
    return np.where(small, limit, values)


def _least(least: float) -> list[BlockBug]:
    what = {False: "the maximum of a block", True: "the maximum over the largest element"}
    return [
        BlockBug(
            f"least_{'scale' if of_scale else 'maximum'}_{least:.9g}",
            f"raises {words} to {least:.9g} where it is less",
            by_scales_of(partial(_at_least, least=least, of_scale=of_scale)),
        )
        for of_scale, words in what.items()
    ]


def _zeros(element: Scalar) -> tuple[int, int]:
    """The codes of 0 and -0."""
    positive, negative = encode(np.array([0.0, -0.0]), element, policy="ocp_sat").tolist()
    return positive, negative


def _zero_codes(place: int, which: Callable[[Array, BlockRule], Array]) -> BlockBug:
    def change(parts: Parts, values: Array, rule: BlockRule) -> Parts:
        code = parts["codes"].dtype.type(_zeros(rule.format.scalar_element)[place])
        return {"codes": np.where(which(values, rule), code, parts["codes"])}

    of_blocks = which is _in_blocks_of_zeros
    return BlockBug(
        f"zeros_{place}{'_of_blocks' if of_blocks else ''}",
        f"codes every 0 and -0{' of a block of zeros' if of_blocks else ''} as {('0', '-0')[place]}",
        after(change),
    )


def _in_blocks_of_zeros(values: Array, rule: BlockRule) -> Array:
    return np.broadcast_to(spread(_maxima(values, rule) == 0, finest(rule)[0], values.shape), values.shape)


def _zero(values: Array, rule: BlockRule) -> Array:
    del rule
    return np.asarray(values == 0)


_OF_ZEROS = tuple(_zero_codes(place, which) for which in (_in_blocks_of_zeros, _zero) for place in (0, 1))
_OF_LOGARITHM = BlockBug(
    "logarithm",
    "takes the power of a scale from log2 in binary32, which is rounded to a whole number beside powers of two",
    _by_logarithm,
)
_OF_LEAST = tuple(bug for least in LEAST for bug in _least(least))

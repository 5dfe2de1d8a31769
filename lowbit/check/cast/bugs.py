"""Bugs of conversions that are no policy: each acts like the right conversion of other inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.input_classes import Inputs, decode_inputs
from lowbit.check.operation import Bug
from lowbit.exact import floor_log2
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.policy.cast import Policy

Codes = NDArray[Any]


@dataclass(frozen=True)
class CastBug(Bug):
    """A bug that acts like the right conversion of other inputs, from floats to floats.

    Attributes
    ----------
    rewrite : callable
        (inputs, source, target) -> the source codes that the kernel behaves as if it had been given.
    """

    rewrite: Callable[[Inputs, FloatFormat, FloatFormat], Codes]

    def run(self, codes: Codes, source: Scalar, target: Scalar, convert: Callable[[Codes], Codes]) -> Codes:
        """What comes out, by what a right conversion gives."""
        if not isinstance(source, FloatFormat) or not isinstance(target, FloatFormat):
            return convert(codes)
        return convert(self.rewrite(decode_inputs(codes, source), source, target))


def early_overflow(inputs: Inputs, source: FloatFormat, target: FloatFormat) -> Codes:
    """What is above the largest value counts as huge."""
    return _where_above_max(inputs, source, target, source.max_code, next_binade=False)


def late_overflow(inputs: Inputs, source: FloatFormat, target: FloatFormat) -> Codes:
    """Only the next value that the format lacks counts as overflow."""
    return _where_above_max(inputs, source, target, _source_magnitude(source, target), next_binade=True)


def lost_sticky(inputs: Inputs, source: FloatFormat, target: FloatFormat) -> Codes:
    """Only one bit below the result is looked at when rounding."""
    ulp = np.maximum(inputs.leading - target.mantissa_bits, target.smallest_exponent)
    source_ulp = np.maximum(inputs.leading - source.mantissa_bits, source.smallest_exponent)
    dropped = np.clip(ulp - 1 - source_ulp, 0, source.mantissa_bits + 1)
    codes = inputs.codes.astype(np.uint64)
    shift = dropped.astype(np.uint64)
    cut = (codes >> shift) << shift
    vanished = np.asarray(dropped > source.mantissa_bits)
    cut[vanished] = codes[vanished] & np.uint64(source.sign_bit)
    return np.where(inputs.kind == 0, cut, codes).astype(inputs.codes.dtype)


def _source_magnitude(source: FloatFormat, target: FloatFormat) -> int:
    """The source code of the target's largest value, or of the largest source value below it."""
    from lowbit.oracle.cast.project import project

    return project(target.max, source, Policy(rounding="toward_zero", overflow="saturate")).code


def _where_above_max(
    inputs: Inputs, source: FloatFormat, target: FloatFormat, replacement: int, *, next_binade: bool
) -> Codes:
    magnitude = inputs.codes & ((1 << source.magnitude_bits) - 1)
    top = _source_magnitude(source, target)
    above = (magnitude > top) & (inputs.kind == 0)
    if next_binade:
        one = source.mantissa_bits - target.mantissa_bits
        step = 1 << max(one, 0)
        above &= (magnitude < top + step) & (inputs.leading == floor_log2(target.max))
    return np.where(above, replacement | (inputs.codes & source.sign_bit), inputs.codes).astype(inputs.codes.dtype)


CAST_BUGS = (
    CastBug("early_overflow", "decides overflow before rounding", early_overflow),
    CastBug("late_overflow", "decides overflow one half ulp too late", late_overflow),
    CastBug("lost_sticky", "loses the sticky bit (looks at one discarded bit only)", lost_sticky),
)
"""The likeliest first."""

"""Activations and normalisations of one row, the scheme's own oracle in the middle."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.gemmlowp import wrap
from lowbit.oracle.layers.requantize import Rescaling
from lowbit.oracle.nonlinear.steps import Steps


def scheme_row(row: list[int], call: Parameters) -> list[int]:
    """What a scheme makes of a row of codes."""
    return call.oracle(row, Steps(call.widths))


def activation(row: list[int], call: Parameters, zero_point: int, output: Rescaling | None) -> list[int]:
    """The results less their zero point, requantised; as they are without a Rescaling."""
    results = scheme_row(row, call)
    return results if output is None else [output(code - zero_point) for code in results]


def silu(row: list[int], call: Parameters, zero_points: tuple[int, int], output: Rescaling) -> list[int]:
    """Codes times their logistic function; the zero points are those of the codes and of the function's results."""
    pairs = zip(row, scheme_row(row, call), strict=True)
    return [output((code - zero_points[0]) * (share - zero_points[1])) for code, share in pairs]


def norm(row: list[int], call: Parameters, bias: Sequence[int], output: Rescaling | None) -> list[int]:
    """The normalised row plus a bias, requantised with a multiplier a channel."""
    sums = [wrap(code + start, 32) for code, start in zip(scheme_row(row, call), bias, strict=True)]
    return sums if output is None else [output(total, channel) for channel, total in enumerate(sums)]

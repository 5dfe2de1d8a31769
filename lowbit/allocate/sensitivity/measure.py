"""What each format would do to one layer: errors and bits, worked out in pieces so that a layer of any size fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import frexp, fsum, ldexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.sensitivity.stored_weights import rows_and_columns, stored_format, stored_weights
from lowbit.entropy.rans import saved_bits
from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers.method import Method

SCORES = {
    "relative_error": "squared error of the weights over their power: 1 / SQNR",
    "squared_error": "squared error of the weights",
    "hessian": "HAWQ: average Hessian trace (--traces) times squared error",
    "output_error": "squared error of the layer's output over its power, for the inputs of --inputs or --calibrate",
}
"""What a layer's loss may be."""

INPUTS = "--inputs FILE, or --calibrate TEXT of `lowbit sensitivity`"

SMALL_PEAK = 2.0**-400
"""Weights that are all smaller are multiplied by a power of two before they are squared: squares could underflow."""


@dataclass(frozen=True)
class Errors:
    """What storing a layer in a format does to it.

    Attributes
    ----------
    squared, power : float
        ``‖W - Q(W)‖²`` and ``‖W‖²``.
    output, output_power : float or None
        The same of the layer's output, where its inputs are known.
    bits : int
        Of codes and scales together.
    entropy_bits : int
        The same with the codes in a stream of :func:`lowbit.entropy.rans_encode`, where that is shorter.
    exponent : int
        The four sums are in units of ``2**exponent``; 0 but for a layer whose weights are all below 2^-400.
    """

    squared: float
    power: float
    output: float | None
    output_power: float | None
    bits: int
    entropy_bits: int
    exponent: int = 0

    def in_units_of(self, exponent: int) -> Errors:
        """The same with its sums in units of ``2**exponent``; they may underflow to 0."""
        if exponent == self.exponent:
            return self
        sums = [
            None if value is None else ldexp(value, self.exponent - exponent)
            for value in (self.squared, self.power, self.output, self.output_power)
        ]
        return Errors(sums[0] or 0.0, sums[1] or 0.0, sums[2], sums[3], self.bits, self.entropy_bits, exponent)

    def loss(self, score: str, trace: float | None = None) -> float:
        """The loss by one of ``SCORES``."""
        if score == "squared_error":
            return self.in_units_of(0).squared
        if score == "relative_error":
            return self.squared / self.power if self.power else 0.0
        if score == "hessian":
            if trace is None:
                raise InputError("the score `hessian` needs the layer's Hessian trace")
            return trace * self.in_units_of(0).squared
        if score == "output_error":
            if self.output is None or self.output_power is None:
                raise InputError("the score `output_error` needs the layer's inputs", hint=INPUTS)
            return self.output / self.output_power if self.output_power else 0.0
        raise InputError(f"score {score!r} is unknown", hint=f"one of {', '.join(SCORES)}")


def measure(weights: NDArray[Any], fmt: FormatLike, moment: NDArray[np.float64] | None = None) -> Errors:
    """Quantise a layer as :func:`lowbit.quantize` does, and measure.

    Parameters
    ----------
    weights : numpy.ndarray, shape (outputs, ...)
    fmt : str or Format
        A block format, such as ``"int4.g128"``, ``"mxfp4"`` or ``"nvfp4"``; a scalar one has groups of 128 and float16
        scales. Blocks lie along all axes but the first; a last one may be shorter.
    moment : numpy.ndarray, shape (inputs, inputs), optional
        ``XᵀX`` of the layer's inputs.

    Raises
    ------
    InputError
        A weight is not finite, or the second moment does not fit.
    """
    stored = stored_format(fmt)
    codes: list[NDArray[Any]] = []

    def parts() -> Iterator[tuple[NDArray[Any], NDArray[np.float64]]]:
        for part, tensor in stored_weights(weights, stored):
            codes.append(tensor.codes)
            yield part, dequantize(tensor, dtype=np.float64)

    errors = _errors(weights, parts(), stored.bits_of(rows_and_columns(weights.shape)), moment)
    every = np.concatenate([part.reshape(-1) for part in codes])
    return replace(errors, entropy_bits=errors.bits - saved_bits(every, stored.element.bits))


def measure_method(
    weights: NDArray[Any],
    fmt: FormatLike,
    method: Method,
    activations: NDArray[Any] | None = None,
    moment: NDArray[np.float64] | None = None,
) -> Errors:
    """The same by a published quantiser, which may look at rows of the layer's inputs.

    Raises InputError: the method cannot use the format, or lacks activations.
    """
    matrix = np.asarray(weights).reshape(rows_and_columns(weights.shape))
    result = method.quantize(matrix, activations, to=stored_format(fmt))
    bits = int(result.bits_per_weight * matrix.size)
    errors = _errors(weights, [(matrix, result.dequantize(dtype=np.float64))], bits, moment)
    return replace(errors, entropy_bits=bits - result.saved_by_coding)


def _errors(
    weights: NDArray[Any],
    parts: Iterable[tuple[NDArray[Any], NDArray[np.float64]]],
    bits: int,
    moment: NDArray[np.float64] | None,
) -> Errors:
    """Of weights and the values that stand for them, some rows after the other."""
    _, columns = rows_and_columns(weights.shape)
    if moment is not None and moment.shape != (columns, columns):
        raise InputError(
            f"weights of shape {weights.shape} have {columns} inputs, the second moment is of {moment.shape}"
        )
    exponent = _exponent(weights)
    sums: dict[str, list[float]] = {"squared": [], "power": [], "output": [], "output_power": []}
    for part, values in parts:
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            wide = part.astype(np.float64)
            difference = wide - values
            if exponent:  # exact, both being far below 1
                wide, difference = np.ldexp(wide, -exponent), np.ldexp(difference, -exponent)
            sums["squared"].append(float(np.sum(difference**2)))
            sums["power"].append(float(np.sum(wide**2)))
            if moment is not None:
                sums["output"].append(float(np.sum((difference @ moment) * difference)))
                sums["output_power"].append(float(np.sum((wide @ moment) * wide)))
    totals = {name: _total(name, terms) if terms else None for name, terms in sums.items()}
    return Errors(
        totals["squared"] or 0.0,
        totals["power"] or 0.0,
        totals["output"],
        totals["output_power"],
        bits,
        bits,
        2 * exponent,
    )


def _total(name: str, parts: list[float]) -> float:
    if not np.isfinite(parts).all():
        what = "the layer's output" if name.startswith("output") else "the weights"
        raise InputError(f"squares of {what} are beyond binary64", hint="divide the weights or the inputs by a number")
    return fsum(parts)


def _exponent(weights: NDArray[Any]) -> int:
    """The exponent of the largest magnitude where squares could underflow, which only binary64 allows; else 0."""
    if not weights.size or weights.dtype.itemsize < np.dtype(np.float64).itemsize:
        return 0
    peak = max(float(weights.max()), -float(weights.min()))
    return frexp(peak)[1] if 0 < peak < SMALL_PEAK else 0

"""Layer normalisations: a scheme's normalised row, a bias in its units, requantised with gamma in the multipliers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step
from lowbit.layers.nonlinear import Nonlinearity, check_normalised
from lowbit.layers.requantize import Output, Rescale, finished, finished_bounds
from lowbit.ops.types import Array
from lowbit.policy.requantize import RequantizeScheme

I_BERT_BITS = 30
"""|centred| <= floor(sqrt(sum of squares)) <= deviation, and results are centred * (2^31 / deviation) / 2."""


@dataclass(frozen=True, eq=False)
class Norm(Layer):
    """LayerNorm or RMSNorm along the last axis.

    Attributes
    ----------
    input : Quantity
    function : Nonlinearity
        A scheme of ``layernorm`` or ``rmsnorm``; gamma and beta are not among its options.
    length : int
        Of the axis.
    output : Rescale or Quantity
        Of the normalised numbers plus the bias: with gamma in it, one multiplier a channel.
    bias : ndarray of int32, shape (length,), optional
        ``beta / gamma`` in units of the normalised numbers.
    """

    operation = "norm"
    input: Quantity
    function: Nonlinearity
    length: int
    output: Output
    bias: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = self.function.function
        self.require(kind in ("layernorm", "rmsnorm"), f"function = {kind!r} is not a normalisation")
        self.require(
            not {"gamma", "beta"} & set(self.function.options),
            "gamma and beta are in the multipliers of output and in bias",
        )
        check_normalised(self, self.output, self.length)
        self.function.trial(self.input, self.length)
        if self.bias is not None:
            self.check_parameter("bias", "int32", (self.length,))

    @classmethod
    def from_affine(
        cls,
        input: Quantity,
        function: Nonlinearity,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike | None,
        scheme: str | RequantizeScheme,
        result: Quantity,
    ) -> Norm:
        """The layer of real gamma and beta.

        The bias is ``beta / gamma`` in units of the normalised number, rounded to nearest; where gamma is 0, beta is
        lost, as in the schemes' sources, which divide by gamma.

        Raises
        ------
        InputError
            A multiplier is beyond what ``scheme`` takes, or a bias beyond 32 bits.
        """
        factors = np.asarray(gamma, np.float64)
        unit = np.asarray(function.trial(input, factors.size).scale, np.float64)
        output = Rescale.from_scale(factors * unit / result.scale, scheme, result)
        if beta is None:
            return cls(input, function, factors.size, output)
        safe = np.where(factors == 0, 1, factors)
        ratios = np.where(factors == 0, 0, np.asarray(beta, np.float64) / safe)
        return cls(input, function, factors.size, output, np.rint(ratios / unit).astype(np.int64))

    def channels(self, *given: int | None) -> int:
        self.require_channels(given[0], self.length)
        return self.length

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        fits = array.shape[-1:] == (self.length,)
        self.require(fits, f"input has shape {array.shape}, not (..., {self.length})")
        normalised, declared = self.function.answer(array, self.input).codes, self.function.declared(self.input)
        yield Step("normalised", normalised, declared.bits, declared.signed)
        sums = normalised.astype(np.int32)
        yield from finished(self.output, sums if self.bias is None else sums + self.bias)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        declared = self.function.declared(self.input)
        squares = self._squares(ranges[0])
        if squares is not None:
            yield squares
        largest = self._largest() if squares is None or squares.culprit is None else None
        found = Interval.of(declared.low, declared.high) if largest is None else Interval.of(-largest, largest)
        yield Bound("normalised", *found, declared.bits, declared.signed)
        start = 0 if self.bias is None else self.bias.astype(np.int64)
        yield from finished_bounds(self.output, Interval(found.low + start, found.high + start))

    def _squares(self, codes: Interval) -> Bound | None:
        """The sum of squares of I-BERT's and I-ViT's distances from the rounded mean.

        It is largest where half of the codes are the lowest and half the highest; a rounded mean adds a quarter each.
        """
        if self.function.scheme not in ("ibert", "ivit"):
            return None
        step = self.function.parameters(self.input).widths["sum_of_squares"]
        largest = self.length * (int(codes.high.max() - codes.low.min()) ** 2 + 1) // 4
        return Bound("sum of squares", *Interval.of(0, largest), step.bits, step.signed)

    def _largest(self) -> int | None:
        """The largest magnitude of a normalised number; None if only the declared width bounds it."""
        kind, scheme, variant = self.function.function, self.function.scheme, self.function.variant
        if scheme in ("lowbit", "exact"):
            # A code's distance over the deviation is at most sqrt(length - 1), a code over the root mean square at
            # most sqrt(length); the next whole number covers what the root and the reciprocal are off.
            one = round(1 / float(np.min(np.asarray(self.function.trial(self.input, self.length).scale))))
            return (isqrt(self.length - (kind == "layernorm")) + 1) * one
        if scheme in ("ibert", "ivit") and variant != "tvm" and not self.function.options:
            return 1 << I_BERT_BITS
        return None

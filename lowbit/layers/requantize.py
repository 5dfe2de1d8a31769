"""Requantisation between layers: a scheme with its multipliers, and the layer that is nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.layers.fields import Fields
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step
from lowbit.ops.requantize.prepared import PreparedRequantization
from lowbit.ops.requantize.requantize import quantize_multiplier, requantize
from lowbit.ops.types import Array, ScaleLike
from lowbit.policy.requantize import HIGH_SHIFT, RequantizeScheme, get_requantize_scheme


@dataclass(frozen=True, eq=False)
class Rescale(Fields):
    """How accumulators become codes of another scale: a scheme, its multipliers and what the result means.

    Attributes
    ----------
    scheme : str or RequantizeScheme
        ``lowbit.REQUANTIZE_SCHEMES`` lists the names.
    multiplier, shift : ndarray of int64, shape (1,) or (channels,)
        In the scheme's own convention, as :func:`lowbit.quantize_multiplier` gives them. A negative multiplier stands
        for a negative scale (that of I-BERT's GELU, a normalisation's gamma): the accumulators change their sign first,
        unless the scheme takes such multipliers.
    result : Quantity
        Its zero point is that of the scheme.
    minimum, maximum : int, optional
        The range that results are clamped to, in codes (an activation's).

    Raises
    ------
    InputError
        A multiplier or shift is out of the scheme's range, or there are not as many of one as of the other.
    PolicyError
        The scheme is unknown.
    """

    scheme: str | RequantizeScheme
    multiplier: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]
    result: Quantity
    minimum: int | None = None
    maximum: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("multiplier", "shift"):
            array = np.asarray(getattr(self, name))
            if array.dtype.kind not in "iu" or array.ndim > 1:
                raise InputError(f"{name} has dtype {array.dtype} and shape {array.shape}: integers, one a channel")
            object.__setattr__(self, name, np.atleast_1d(array).astype(np.int64))
        requantize(np.zeros(self.multiplier.size, np.int32), **self._options)  # says what is wrong

    @classmethod
    def from_scale(
        cls,
        scale: ScaleLike,
        scheme: str | RequantizeScheme,
        result: Quantity,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> Rescale:
        """The multipliers that a scheme's product derives from the factor from an accumulator to a code.

        Parameters
        ----------
        scale : float or array of float, shape (channels,)
            What one unit of an accumulator is worth, divided by ``result.scale``. One of several may be 0.
        scheme, result, minimum, maximum
            As the attributes.

        Raises
        ------
        InputError
            A scale is infinite or NaN, or beyond what the scheme can express, or all are zero.
        """
        factors = np.atleast_1d(np.asarray(scale, np.float64))
        sizes = np.abs(factors)
        multiplier, shift = quantize_multiplier(np.where(sizes > 0, sizes, sizes.max()), scheme=scheme)
        return cls(scheme, np.sign(factors).astype(np.int64) * multiplier, shift, result, minimum, maximum)

    @cached_property
    def signs(self) -> npt.NDArray[np.int64] | None:
        """What accumulators are multiplied by first, 1 or -1 for each channel; None if there is nothing to do."""
        native = get_requantize_scheme(self.scheme).signed_multiplier or (self.multiplier >= 0).all()
        return None if native else np.where(self.multiplier < 0, -1, 1).astype(np.int64)

    @cached_property
    def _options(self) -> dict[str, Any]:
        rules = get_requantize_scheme(self.scheme)
        sizes = self.multiplier if self.signs is None else np.abs(self.multiplier)
        integers = {"multiplier": sizes, "shift": self.shift}
        with np.errstate(over="ignore"):  # requantize refuses an infinite scale, and such a shift
            real = {"scale": np.ldexp(sizes.astype(np.float64), -self.shift)}
        return {
            "scheme": rules,
            **(real if rules.takes_scale else integers),
            "zero_point": self.result.zero_point,
            "result": self.result.format,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }

    def __call__(self, accumulators: Array) -> Array:
        """The codes of accumulators whose channels are along the last axis."""
        signed = accumulators if self.signs is None else _signed(accumulators, self.signs)
        if self._prepared is not None and signed.dtype == np.int32:
            return self._prepared(signed)
        return requantize(signed, **self._options)

    @cached_property
    def _prepared(self) -> PreparedRequantization | None:
        """For schemes that take every int32 accumulator as it is."""
        return None if self._options["scheme"].bounded else PreparedRequantization(**self._options)

    def check_channels(self, channels: int, what: str) -> None:
        """Raise an InputError unless there is one multiplier, or one for each of that many channels."""
        if self.multiplier.size not in (1, channels):
            raise InputError(f"{what}: {self.multiplier.size} multipliers for {channels} channels")

    def steps(self, accumulators: Array) -> Iterator[Step]:
        """The requantised accumulators."""
        yield Step.of("requantised", self(accumulators), self.result.scalar)

    def bounds(self, accumulators: Interval) -> Iterator[Bound]:
        """What the scheme takes, and where the codes lie.

        Every step of a scheme is monotone unless it wraps, so the ends of an interval become the ends of the result if
        nothing wraps there.
        """
        rules = get_requantize_scheme(self.scheme)
        ends = [end * (1 if self.signs is None else self.signs) for end in accumulators]
        shape = np.broadcast_shapes(ends[0].shape, self.shift.shape)
        low, high = (np.broadcast_to(end, shape) for end in (np.minimum(*ends), np.maximum(*ends)))
        taken = rules.accumulator_range(int(self.shift.min() if rules.shift == "right" else self.shift.max()))
        if taken[1] < (1 << 31) - 1:
            yield Bound("accumulator that the scheme takes", low, high, taken[1].bit_length() + 1)
        left = np.maximum(HIGH_SHIFT - np.array([rules.right_shift(int(shift)) for shift in self.shift]), 0)
        if rules.high_half != "none" and left.any():
            yield Bound("accumulator shifted left", low << left, high << left, 32)
        limited = np.stack([np.clip(end, *taken) for end in (low, high)])
        codes, counts = requantize(limited, **self._options, return_counts=True)
        wraps = rules.overflow == "wrap" and counts["saturated"]
        if wraps or ("wrap32" in (rules.narrowing, rules.left_shift) and counts["wrapped"]):
            yield Bound.of("requantised", self.result.interval, self.result.scalar)
        else:
            yield Bound.of("requantised", Interval.of(codes.min(axis=0), codes.max(axis=0)), self.result.scalar)


def _signed(accumulators: Array, signs: npt.NDArray[np.int64]) -> Array:
    """Accumulators with the signs of their channels: -(-2^31) needs more than 32 bits."""
    narrow = accumulators.dtype == np.int32 and (not accumulators.size or accumulators.min() > -(1 << 31))
    return np.asarray(accumulators * (signs.astype(np.int32) if narrow else signs))


Output = Rescale | Quantity
"""How a layer's accumulators leave it: requantised, or as they are, int32 numbers of a scale."""


def finished(output: Output, accumulators: Array) -> Iterator[Step]:
    """The steps from int32 accumulators, channels last, to the result."""
    yield Step("accumulator", accumulators, 32)
    if isinstance(output, Rescale):
        yield from output.steps(accumulators)


def finished_bounds(output: Output, accumulators: Interval) -> Iterator[Bound]:
    """The bounds from accumulators to the result."""
    yield Bound("accumulator", *accumulators, 32)
    if isinstance(output, Rescale):
        yield from output.bounds(accumulators)


def check_output(output: Output, channels: int, what: str) -> None:
    """Raise an InputError unless accumulators of that many channels can leave a layer so."""
    if isinstance(output, Rescale):
        output.check_channels(channels, what)
    elif (output.format, output.zero_point) != ("int32", 0):
        raise InputError(
            f"{what}: accumulators leave as int32 with zero point 0, not {output.format} with {output.zero_point}",
            hint="a Rescale makes codes of another format",
        )


@dataclass(frozen=True, eq=False)
class Requantize(Layer):
    """Codes of one scale to codes of another.

    Attributes
    ----------
    input : Quantity
    rescale : Rescale
        Of the codes less the input's zero point; one multiplier, or one a channel along the last axis.
    """

    operation = "requantize"
    input: Quantity
    rescale: Rescale

    @property
    def result(self) -> Quantity:
        return self.rescale.result

    def channels(self, *given: int | None) -> int | None:
        if self.rescale.multiplier.size == 1:
            return given[0]
        self.require_channels(given[0], self.rescale.multiplier.size)
        return self.rescale.multiplier.size

    def steps(self, *codes: Array) -> Iterator[Step]:
        return finished(self.rescale, centred(codes[0], self.input.zero_point))

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        return finished_bounds(self.rescale, ranges[0].less(self.input.zero_point))


def centred(codes: Array, zero_point: int) -> npt.NDArray[np.int32]:
    """Codes less their zero point, as int32."""
    wide: npt.NDArray[np.int32] = codes.astype(np.int32, copy=False)
    return wide - np.int32(zero_point) if zero_point else wide

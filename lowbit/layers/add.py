"""Sums and products of two edges with scales of their own: residual connections, gates, tables of positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.layers.fields import Fields
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step, is_integer
from lowbit.layers.requantize import Rescale, centred, finished, finished_bounds
from lowbit.ops.types import Array
from lowbit.policy.quantized_add import LEFT_SHIFTS, derive_addition
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme

INT32 = Quantity("int32", 1.0)
WIDEST_OPERAND = 16
LARGEST_OPERAND = 1 << WIDEST_OPERAND
"""Less its zero point."""


@dataclass(frozen=True, eq=False)
class Sum(Fields):
    """How two operands of scales of their own become one sum: two multipliers, or three.

    Attributes
    ----------
    left, right : Rescale
        Of an operand less its zero point, shifted to the left; to int32.
    output : Rescale or Quantity
        What follows the sum: a third multiplier (TensorFlow Lite), or the zero point and the clamp alone (HAWQ-V3's
        residual, whose operands are rescaled straight to the result).
    left_shift : int
    minimum, maximum : int, optional
        The range that results are clamped to, in codes, where ``output`` is a Quantity.
    """

    left: Rescale
    right: Rescale
    output: Rescale | Quantity
    left_shift: int = 0
    minimum: int | None = None
    maximum: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_integer(self.left_shift, 0, 31):
            raise InputError(f"left_shift = {self.left_shift!r}: an integer from 0 to 31")
        codes = self.result.scalar.codes
        for name in ("minimum", "maximum"):
            end = getattr(self, name)
            if end is not None and not is_integer(end, codes[0], codes[-1]):
                raise InputError(f"{name} = {end!r} is outside {codes[0]} to {codes[-1]}")

    @classmethod
    def from_scales(
        cls,
        left: Quantity,
        right: Quantity,
        scheme: str | RequantizeScheme,
        result: Quantity,
        *,
        dyadic: bool = False,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> Sum:
        """The multipliers that a scheme's product derives from three scales.

        Parameters
        ----------
        left, right, result : Quantity
        scheme : str or RequantizeScheme
            One with a shift to the left (``"tflite_double"``, ``"tflm"``, ...) adds as TensorFlow Lite does, any other
            (``"hawq"``, ``"tosa_single_48"``) as HAWQ-V3: each operand is rescaled straight to the result.
        dyadic : bool
            As HAWQ-V3 with such a scheme, too: ``"single_even"`` gives HAWQ-V3's codes without a binary64 product.
        minimum, maximum : int, optional
            The range of the result, in codes.

        Raises
        ------
        InputError
            The ratio of two scales is beyond what the scheme takes.

        Notes
        -----
        Source: as for ``lowbit.policy.quantized_add.derive_addition``.
        """
        rules = get_requantize_scheme(scheme)
        if rules.shift == "left" and not dyadic:
            bits = max(quantity.scalar.container_bits for quantity in (left, right))
            if bits not in LEFT_SHIFTS:
                raise InputError(f"operands of {bits} bits: TensorFlow Lite's addition takes 8 or 16")
            found = derive_addition(scheme, left.scale, right.scale, result.scale, bits)
            a, b = (Rescale(scheme, *_columns(pair), INT32) for pair in (found.a, found.b))
            last = Rescale(scheme, *_columns(found.result or (0, 0)), result, minimum, maximum)
            return cls(a, b, last, found.left_shift)
        a, b = (Rescale.from_scale(edge.scale / result.scale, scheme, INT32) for edge in (left, right))
        return cls(a, b, result, 0, minimum, maximum)

    @property
    def result(self) -> Quantity:
        """What the sum's codes mean."""
        return self.output.result if isinstance(self.output, Rescale) else self.output

    def steps(self, operands: tuple[Quantity, Quantity], left: Array, right: Array) -> Iterator[Step]:
        """From two operands' codes to those of the sum."""
        parts = [
            rescale(centred(codes, quantity.zero_point) << self.left_shift)
            for rescale, quantity, codes in zip((self.left, self.right), operands, (left, right), strict=True)
        ]
        yield Step("left", parts[0], 32)
        yield Step("right", parts[1], 32)
        total = parts[0] + parts[1]
        if isinstance(self.output, Rescale):
            yield from finished(self.output, total)
            return
        yield Step("accumulator", total, 32)
        fmt = self.output.scalar
        wide = total if self._narrow else total.astype(np.int64)
        codes = wide + self.output.zero_point if self.output.zero_point else wide
        yield Step.of("requantised", np.clip(codes, *self._range).astype(fmt.code_dtype), fmt)

    @cached_property
    def _narrow(self) -> bool:
        """Whether no sum of operands of 16 bits with its zero point needs more than 32 bits."""
        every = Interval.of(-LARGEST_OPERAND << self.left_shift, LARGEST_OPERAND << self.left_shift)
        ends = [bound for rescale in (self.left, self.right) for bound in rescale.bounds(every)]
        return all(max(-int(bound.low.min()), int(bound.high.max())) < 1 << 29 for bound in ends)

    @property
    def _range(self) -> tuple[int, int]:
        ends = self.result.scalar.codes
        low = ends[0] if self.minimum is None else self.minimum
        return low, ends[-1] if self.maximum is None else self.maximum

    def bounds(self, operands: tuple[Quantity, Quantity], left: Interval, right: Interval) -> Iterator[Bound]:
        """The bounds of each of the steps."""
        parts = []
        for label, rescale, quantity, codes in zip(
            ("left", "right"), (self.left, self.right), operands, (left, right), strict=True
        ):
            less = codes.less(quantity.zero_point)
            shifted = Interval(less.low << self.left_shift, less.high << self.left_shift)
            yield Bound(f"{label} operand", *shifted, 32)
            *_, last = rescale.bounds(shifted)
            parts.append(last.interval)
            yield Bound(label, *last.interval, 32)
        total = Interval(parts[0].low + parts[1].low, parts[0].high + parts[1].high)
        if isinstance(self.output, Rescale):
            yield from finished_bounds(self.output, total)
            return
        yield Bound("accumulator", *total, 32)
        ends = (np.clip(end + self.output.zero_point, *self._range) for end in total)
        yield Bound.of("requantised", Interval(*ends), self.output.scalar)


def _columns(pair: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A multiplier and a shift as arrays."""
    return np.array(pair[:1], np.int64), np.array(pair[1:], np.int64)


class _OfTwo(Layer):
    """Layers of two operands whose shapes broadcast."""

    left: Quantity
    right: Quantity

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        return (self.left, self.right)

    def channels(self, *given: int | None) -> int | None:
        left, right = given
        if left in (None, 1) or right in (None, 1):  # which broadcast
            return right if left in (None, 1) and right != 1 else left
        self.require(left == right, f"inputs have {left} and {right} channels along their last axes")
        return left

    def _check_shapes(self, left: Array, right: Array) -> None:
        try:
            np.broadcast_shapes(left.shape, right.shape)
        except ValueError as error:
            raise InputError(f"{self.operation}: inputs of shapes {left.shape} and {right.shape} differ") from error


@dataclass(frozen=True, eq=False)
class Add(_OfTwo):
    """The sum of two edges.

    Attributes
    ----------
    left, right : Quantity
        Of at most 16 bits.
    sum : Sum
    """

    operation = "add"
    left: Quantity
    right: Quantity
    sum: Sum

    def __post_init__(self) -> None:
        super().__post_init__()
        for quantity in self.inputs:
            self.require(quantity.scalar.bits <= WIDEST_OPERAND, f"an operand of {quantity.format}, more than 16 bits")

    @property
    def result(self) -> Quantity:
        return self.sum.result

    def steps(self, *codes: Array) -> Iterator[Step]:
        self._check_shapes(*codes)
        return self.sum.steps((self.left, self.right), *codes)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        return self.sum.bounds((self.left, self.right), *ranges)


@dataclass(frozen=True, eq=False)
class Multiply(_OfTwo):
    """The product of two edges, place by place: the gate of a SwiGLU.

    Attributes
    ----------
    left, right : Quantity
        Of at most 16 bits, less their zero points too; the products have 32 bits.
    rescale : Rescale
        Of the product of the codes less their zero points.
    """

    operation = "multiply"
    left: Quantity
    right: Quantity
    rescale: Rescale

    def __post_init__(self) -> None:
        super().__post_init__()
        for quantity in self.inputs:
            low, high = (end - quantity.zero_point for end in quantity.interval)
            fits = max(-int(low), int(high)) <= 1 << (WIDEST_OPERAND - 1)
            self.require(fits, f"an operand of {quantity.format} less its zero point is beyond 16 bits")

    @property
    def result(self) -> Quantity:
        return self.rescale.result

    def steps(self, *codes: Array) -> Iterator[Step]:
        self._check_shapes(*codes)
        left, right = (centred(array, edge.zero_point) for array, edge in zip(codes, self.inputs, strict=True))
        product: npt.NDArray[np.int32] = left * right
        return finished(self.rescale, product)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        return finished_bounds(self.rescale, products_of(*(
            codes.less(edge.zero_point) for codes, edge in zip(ranges, self.inputs, strict=True)
        )))  # fmt: skip


def products_of(left: Interval, right: Interval) -> Interval:
    """Where products lie: at a corner."""
    corners = [a * b for a in left for b in right]
    return Interval(np.minimum.reduce(np.broadcast_arrays(*corners)), np.maximum.reduce(np.broadcast_arrays(*corners)))

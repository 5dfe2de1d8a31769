"""What an integer-only layer is: codes in, codes out, and every intermediate with its declared width.

A layer is a frozen dataclass of integer parameters. Nothing between its input and output codes is a floating-point
number: scales are facts beside the codes, which no layer computes with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, LowbitError
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.layers.fields import Fields
from lowbit.ops.arrays import check_range, code_space
from lowbit.ops.types import Array
from lowbit.policy.multiplier import positive_scale
from lowbit.printable import counted


@dataclass(frozen=True)
class Quantity:
    """What the codes of an edge mean: the real value is ``(code - zero_point) * scale``.

    Attributes
    ----------
    format : str
        An integer format of at most 32 bits: ``int8``, ``uint8``, ``int4``, ``int16``, ``int32``, ...
    scale : float
        Positive.
    zero_point : int
        A code of the format.

    Raises
    ------
    InputError
        The format is not such a one, the scale not positive and finite, or the zero point not a code.
    """

    format: str
    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        positive_scale(self.scale)
        fmt = self.scalar
        if not is_integer(self.zero_point, fmt.codes[0], fmt.codes[-1]):
            raise InputError(
                f"zero_point = {self.zero_point!r} is not a code of {fmt.id}: {fmt.codes[0]} to {fmt.codes[-1]}"
            )

    @property
    def scalar(self) -> Scalar:
        """The format itself."""
        fmt = scalar_format(self.format)
        if fmt.kind != "integer" or fmt.bits > 32:
            raise InputError(f"format = {self.format!r} is not an integer format of at most 32 bits")
        return fmt

    @property
    def interval(self) -> Interval:
        """All the codes."""
        return Interval.of(self.scalar.codes[0], self.scalar.codes[-1])

    def check(self, codes: Any, what: str) -> None:
        """Raise an InputError that begins with ``what`` unless an array holds codes of the format."""
        space = code_space(self.scalar)
        if not isinstance(codes, np.ndarray) or codes.dtype != space.dtype:
            found = f"dtype {codes.dtype}" if isinstance(codes, np.ndarray) else f"type {type(codes).__name__}"
            raise InputError(f"{what} has {found}: it takes an array of {space.dtype}, codes of {self.format}")
        if not space.whole:
            try:
                check_range(codes, space.low, space.high, self.format)
            except InputError as error:
                raise InputError(f"{what}: {error.message}") from error


class Interval(NamedTuple):
    """Where codes lie: one interval for all, or one for each place along the last axis."""

    low: npt.NDArray[np.int64]  # shape () or (channels,)
    high: npt.NDArray[np.int64]  # likewise

    @classmethod
    def of(cls, low: Any, high: Any) -> Interval:
        """An interval of integers or arrays of them."""
        return cls(np.asarray(low, np.int64), np.asarray(high, np.int64))

    def whole(self) -> Interval:
        """One interval for all places."""
        return Interval.of(self.low.min(), self.high.max())

    def less(self, zero_point: int) -> Interval:
        """The codes less a zero point."""
        return Interval(self.low - zero_point, self.high - zero_point)


class Step(NamedTuple):
    """An intermediate of a call."""

    label: str
    codes: Array
    bits: int  # the declared width
    signed: bool = True

    @classmethod
    def of(cls, label: str, codes: Array, fmt: Scalar) -> Step:
        """Codes of a format."""
        return cls(label, codes, fmt.bits, fmt.signed)


class Bound(NamedTuple):
    """Where an intermediate lies for any input."""

    label: str
    low: npt.NDArray[np.int64]  # shape () or (channels,)
    high: npt.NDArray[np.int64]  # likewise
    bits: int  # the declared width
    signed: bool = True

    @classmethod
    def of(cls, label: str, codes: Interval, fmt: Scalar) -> Bound:
        """Codes of a format."""
        return cls(label, *codes, fmt.bits, fmt.signed)

    @property
    def interval(self) -> Interval:
        """The same without the width."""
        return Interval(self.low, self.high)

    @property
    def culprit(self) -> int | None:
        """A value that leaves the width, the farthest one; None if there is none."""
        lowest = -(1 << (self.bits - 1)) if self.signed else 0
        highest = (1 << (self.bits - self.signed)) - 1
        low, high = int(self.low.min()), int(self.high.max())
        if high > highest:
            return high
        return low if low < lowest else None


class Layer(Fields, ABC):
    """Base class of the kinds of layers.

    A kind says its ``operation``, ``intermediates`` and ``bounds``, its ``inputs`` and its ``result``.
    """

    operation: ClassVar[str]
    """The kind's name, under which files of models have it."""

    input: Quantity
    output: Any

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """What the codes of each input mean."""
        return (self.input,)

    @property
    def result(self) -> Quantity:
        """What the codes of the result mean: that of ``output``, or it itself where it is a Quantity."""
        return self.output if isinstance(self.output, Quantity) else self.output.result

    @abstractmethod
    def steps(self, *codes: Array) -> Iterator[Step]:
        """Every intermediate of a call whose inputs have been checked; the last one is the result."""

    @abstractmethod
    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        """Where every intermediate lies if the inputs lie in these intervals; the last one is the result."""

    def channels(self, *given: int | None) -> int | None:
        """The length of the result's last axis, from those of the inputs; None where it is not known.

        Raises InputError: an input has another length than the layer's parameters are made for.
        """
        return given[0]

    def require_channels(self, given: int | None, wanted: int) -> None:
        """Raise an InputError unless an input's last axis has a length, or is not known."""
        if given not in (None, wanted):
            self.require(False, f"input has {counted(given, 'channel')} along its last axis, not {wanted}")

    def intermediates(self, *codes: Array) -> Iterator[Step]:
        """Every intermediate of a call, with its label and its declared width; the last one is the result.

        Raises
        ------
        InputError
            There are too few or too many inputs, or one has a wrong dtype, shape or code.
        """
        self.check(*codes)
        return self.steps(*codes)

    def check(self, *codes: Array) -> None:
        """Raise an InputError where the inputs' number, dtypes or codes are wrong."""
        inputs = self.inputs
        if len(codes) != len(inputs):
            raise InputError(f"{self.operation} takes {len(inputs)} inputs, not {len(codes)}")
        for place, (array, quantity) in enumerate(zip(codes, inputs, strict=True)):
            quantity.check(array, f"{self.operation}: input {place}" if len(inputs) > 1 else f"{self.operation}: input")

    def __call__(self, *codes: Array) -> Array:
        """The result's codes.

        Raises
        ------
        InputError
            As for ``intermediates``.
        """
        (last,) = deque(self.intermediates(*codes), maxlen=1)
        return last.codes

    def check_parameter(self, name: str, format: str, shape: tuple[int | None, ...]) -> None:
        """Replace a parameter by what :func:`checked_parameter` makes of it, which may raise an InputError."""
        array = checked_parameter(getattr(self, name), f"{self.operation}: {name}", format, shape)
        object.__setattr__(self, name, array)

    def require(self, condition: bool, what: str, hint: str = "") -> None:
        """Raise an InputError that names the kind of the layer unless a condition holds."""
        if not condition:
            raise InputError(f"{self.operation}: {what}", hint=hint)


def is_integer(value: Any, low: int, high: int) -> bool:
    """Whether a value is an integer, NumPy's included, from ``low`` to ``high``."""
    return isinstance(value, int | np.integer) and low <= int(value) <= high


def checked_parameter(values: Any, what: str, format: str, shape: tuple[int | None, ...]) -> Array:
    """A parameter as a C-contiguous array of a format's dtype; None in ``shape`` is any length.

    Raises InputError: it is not an array of integers, has another shape, is empty, or has a value that is not a code.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} has dtype {array.dtype}: it takes integers, codes of {format}")
    if array.ndim != len(shape) or any(want not in (None, have) for have, want in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(f"{what} has shape {array.shape}, not ({wanted})")
    if not array.size:
        raise InputError(f"{what} has shape {array.shape}: it is empty")
    fmt = scalar_format(format)
    if fmt.kind != "integer":
        raise InputError(f"{what} has the format {fmt.id}, which is not one of integers")
    try:
        check_range(array, fmt.codes[0], fmt.codes[-1], format)
    except LowbitError as error:
        raise InputError(f"{what}: {error.message}") from error
    return np.ascontiguousarray(array, fmt.code_dtype)

"""Inputs of a conversion under one policy: what the bugs of conversions compute their results from."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.input_classes import Inputs, decode_inputs
from lowbit.check.cast.rules import reference
from lowbit.exact import FINITE, NAN
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.policy.cast import Policy

Codes = NDArray[Any]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

BINARY64_BITS = 53


class View:
    """Inputs, decoded in the ways that bugs look at them."""

    def __init__(self, codes: Codes, source: Scalar, target: Scalar) -> None:
        self.codes, self.source, self.target = codes, source, target

    def take(self, rows: NDArray[np.intp]) -> View:
        """Some of the inputs."""
        return View(self.codes[rows], self.source, self.target)

    @cached_property
    def inputs(self) -> Inputs:
        """Kind, sign, and exponent of the leading bit."""
        return decode_inputs(self.codes, self.source)

    @property
    def finite(self) -> Mask:
        """Which inputs are numbers."""
        return np.asarray(self.inputs.kind == FINITE)

    @property
    def nan(self) -> Mask:
        """Which inputs are NaNs."""
        return np.asarray(self.inputs.kind == NAN)

    @property
    def infinite(self) -> Mask:
        """Which inputs are infinities."""
        return ~self.finite & ~self.nan

    @cached_property
    def values(self) -> Values:
        """The inputs in binary64, which holds those of at most 53 bits; 0 where they are NaNs."""
        from lowbit.ops.cast.exact import decode_exact

        kind, significand, exponent = decode_exact(self.codes, self.source)
        magnitudes = np.ldexp(np.abs(significand.astype(np.float64)), exponent.astype(np.int32))
        values = np.where(kind == FINITE, magnitudes, np.where(kind == NAN, 0.0, np.inf))
        return np.copysign(values, np.where(self.inputs.negative, -1.0, 1.0))

    @property
    def held_by_binary64(self) -> bool:
        """Whether ``values`` are exact."""
        return self.source.precision <= BINARY64_BITS

    @property
    def floats(self) -> bool:
        """Whether source and target are both described by fields of sign, exponent and mantissa."""
        return isinstance(self.source, FloatFormat) and isinstance(self.target, FloatFormat)

    def mantissa(self, fmt: Scalar) -> int:
        """The mantissa bits of one of the formats, which is a float."""
        assert isinstance(fmt, FloatFormat)
        return fmt.mantissa_bits


class Conversion:
    """Inputs and a policy."""

    def __init__(self, view: View, policy: Policy) -> None:
        self.view, self.policy = view, policy

    def of_codes(self, codes: Codes, **changes: Any) -> Codes:
        """The results of other codes, under a policy that is changed on some axes."""
        policy = self.policy.choose(**changes) if changes else self.policy
        return reference(codes.astype(self.view.codes.dtype, copy=False), self.view.source, self.view.target, policy)

    def of_values(self, values: Values, target: Scalar | None = None, **changes: Any) -> Codes:
        """The results of binary64 values."""
        policy = self.policy.choose(**changes) if changes else self.policy
        codes = np.ascontiguousarray(values).view(np.uint64)
        return reference(codes, scalar_format("float64"), target or self.view.target, policy)

    def right(self, **changes: Any) -> Codes:
        """The results of the inputs."""
        return self.of_codes(self.view.codes, **changes) if changes else self._right.copy()

    @cached_property
    def _right(self) -> Codes:
        return self.of_codes(self.view.codes)

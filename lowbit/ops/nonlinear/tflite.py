"""What the runners of TFLite's schemes share: which codes they take, given multipliers, and where the product stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lowbit.errors import InputError, IntermediateOverflowError, LowbitError
from lowbit.nonlinear.tflite_parameters import QuantizedMultiplier
from lowbit.ops.arrays import check_range
from lowbit.ops.nonlinear.dispatch import Integers, Request, plain, require_rows, require_whole
from lowbit.ops.types import Array

LONGEST_ROW = 1 << 24


def require_rows_of_codes(request: Request) -> None:
    """Rows of the scheme's codes, of a length that means anything."""
    require_codes(request)
    require_rows(request.rows, LONGEST_ROW, "and no accumulator of these schemes means anything by then")


def require_codes(request: Request) -> None:
    """The codes must be of the scheme's own type."""
    limits = np.iinfo(request.call.scheme.codes)
    check_range(request.rows, int(limits.min), int(limits.max), request.scheme)


def zero_point_of(request: Request) -> int:
    """The zero point of the codes; 0 if the caller does not say."""
    return require_whole("zero_point", request.options.get("zero_point", 0), -128, 127)


def vector(request: Request, multiplier: int, shift: int, *more: int) -> Integers:
    """The constants of a kernel: a multiplier, its shift, which build, and what else it takes."""
    return np.array([multiplier, shift, request.variant == "single_rounding", *more], np.int64)


def require_multiplier(request: Request) -> QuantizedMultiplier | None:
    """``multiplier`` and ``shift`` as the caller gives them, instead of a scale.

    Raises InputError: only one of them is given, or a scale beside them, or a value is out of range.
    """
    names = [name for name in ("multiplier", "shift") if name in request.options]
    if not names:
        return None
    if len(names) == 1 or request.call.scale is not None or "beta" in request.options:
        raise InputError(
            "a multiplier needs a shift, and no scale or beta beside it",
            hint="scale=0.001, or multiplier=1 << 30, shift=1: the factor is multiplier * 2**(shift - 31)",
        )
    multiplier = require_whole("multiplier", request.options["multiplier"], 0, (1 << 31) - 1)
    return QuantizedMultiplier(multiplier, require_whole("shift", request.options["shift"], -31, 30))


def plain_or_end(request: Request, kernel: Callable[..., None], *constants: Any) -> Array:
    """By the plain kernel; where nothing traps, an overflow means that the product itself does not get further."""
    try:
        return plain(request, kernel, *constants)
    except IntermediateOverflowError as error:
        if request.overflow == "trap":
            raise
        raise _process_end(error) from error


def _process_end(error: IntermediateOverflowError) -> LowbitError:
    reason = {
        "exponent": f"the shift by {error.value} is outside 0..31 and TFLite ends its process (TFLITE_CHECK)",
        "sum": f"the int32 sum of the exponentials has wrapped to {error.value}, and the next shift count is negative",
    }.get(error.name, str(error))
    return InputError(
        f"row {error.row:,}: {reason}",
        hint="the row has too many codes near its maximum; overflow='saturate' computes on, 'trap' names the overflow",
    )

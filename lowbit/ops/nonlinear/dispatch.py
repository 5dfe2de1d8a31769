"""What all integer-only nonlinearities share: the checks, the rows, the kernels' blocks, traps and threads.

A scheme's *runner* is the function of its record's ``home`` in this folder, ``run(request) -> Answer``: rows of codes
in, rows of codes of the same shape out. It is imported when it is first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.scheme import Parameters, get_scheme, resolve, unknown
from lowbit.nonlinear.widths import OVERFLOWS, Widths
from lowbit.ops.arrays import as_array, check_out, is_whole
from lowbit.ops.chunks import in_chunks
from lowbit.ops.types import Array

Integers = npt.NDArray[np.int64]
MODES = {"wrap": 0, "saturate": 1, "trap": 2}
"""What the kernels call the overflow choices."""

_BLOCK = 1 << 15
"""Elements that a thread takes at a time: the int64 copies of a block stay in the cache."""

prepared = lru_cache(maxsize=64)
"""Keeps what a scale needs for the calls that follow: constants and tables."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a runner is asked for."""

    rows: Array  # integer codes, two-dimensional, C-contiguous: the operation runs along the last axis
    # The scheme, and what is given beside the codes; only the scale and the options are not checked yet.
    call: Parameters
    overflow: str  # one of "wrap", "saturate", "trap"
    threads: int = 1

    @property
    def operation(self) -> str:
        """The operation."""
        return self.call.scheme.operation

    @property
    def scheme(self) -> str:
        """The scheme's id."""
        return self.call.scheme.id

    @property
    def variant(self) -> str:
        """The variant."""
        return self.call.variant

    @property
    def bits(self) -> int:
        """The width of the result."""
        return self.call.result_bits

    @property
    def options(self) -> Mapping[str, Any]:
        """The scheme's own keyword arguments that were given."""
        return self.call.options

    @cached_property
    def scale(self) -> float:
        """The scale as a binary32 number; it must be positive and finite."""
        return scale32(self.call.scale)

    @property
    def mode(self) -> int:
        """What the kernels call the overflow choice."""
        return MODES[self.overflow]


class Answer(NamedTuple):
    """What a runner returns: codes of the shape of ``rows``, and what one unit of them is worth.

    The scale is a number, an array with one entry an element of a row, or None where the scheme has none. Codes are
    worth ``(codes - zero_point) * scale``, or ``2.0**-codes`` if they are ``exponents``.
    """

    codes: Array
    scale: Any
    zero_point: int = 0
    exponents: bool = False

    def values(self, title: str) -> npt.NDArray[np.float64]:
        """What the codes are worth."""
        if self.exponents:
            return 2.0 ** -self.codes.astype(np.float64)
        if self.scale is None:
            hint = "the scales are in its multiplier: leave return_values out"
            raise InputError(f"{title} does not say what its results are worth", hint=hint)
        return (self.codes.astype(np.float64) - self.zero_point) * np.asarray(self.scale, np.float64)


def dispatch(  # noqa: PLR0913, PLR0917 (the public functions' keyword arguments, in their order)
    operation: str,
    codes: Any,
    scheme: Any,
    variant: Any,
    scale: Any,
    overflow: Any,
    axis: Any,
    bits: Any,
    returns: tuple[bool, bool],
    out: Any,
    threads: Any,
    options: Mapping[str, Any],
) -> Any:
    """Run a scheme over codes of any shape, along an axis; ``returns``: whether to add the scale, and the values."""
    record = get_scheme(operation, scheme)
    call = Parameters(record, record.variant_named(variant), _number(scale), record.checked_bits(bits), options)
    if not isinstance(overflow, str) or overflow not in OVERFLOWS:
        raise unknown("overflow", overflow, OVERFLOWS)
    for name in options:
        if name not in record.options:
            raise unknown(f"argument of {operation} under scheme {scheme!r}", name, record.options)
    require_whole("threads", threads, 1, 1 << 16)
    array = integer_codes(codes)
    moved = _along_last(array, axis)
    length = moved.shape[-1] if moved.ndim else 1
    rows = np.ascontiguousarray(moved).reshape(math.prod(moved.shape[:-1]), length)
    answer = resolve("ops", record.home)(Request(rows, call, overflow, int(threads)))

    def shaped(rows: Array) -> Array:
        back = rows.reshape(moved.shape)
        return back if moved is array else np.moveaxis(back, -1, axis)

    more = [answer.scale] if returns[0] else []
    more += [shaped(answer.values(record.title))[()]] if returns[1] else []
    result = _into(out, shaped(answer.codes))
    return (result, *more) if more else result


def _number(scale: Any) -> Any:
    return scale.item() if isinstance(scale, np.ndarray) and scale.size == 1 else scale


def require_whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number within limits, as an int."""
    if not is_whole(value) or not low <= value <= high:
        raise InputError(f"{name} = {value!r} is not a whole number from {low} to {high}")
    return int(value)


def integer_codes(codes: Any) -> Array:
    """Codes as an array of NumPy integers of at most 64 bits, ml_dtypes integers included."""
    array = as_array(codes, "codes")
    if array.dtype.kind in "iu" and array.dtype.itemsize <= 8:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.name in ("int4", "uint4", "int2", "uint2"):
        return array.astype(np.int8)
    raise InputError(
        f"codes of dtype {array.dtype} are not integers",
        hint="codes are np.round(values / scale) in an integer dtype; give that scale as scale=",
    )


def _along_last(array: Array, axis: Any) -> Array:
    if array.ndim == 0:
        return array
    if not isinstance(axis, int | np.integer) or not -array.ndim <= axis < array.ndim:
        raise InputError(f"axis = {axis!r} is not an axis of codes of shape {array.shape}")
    return array if axis in (-1, array.ndim - 1) else np.moveaxis(array, axis, -1)


def _into(out: Any, result: Array) -> Any:
    if out is None:
        return result[()]
    check_out(out, result.shape, result.dtype)
    out[...] = result
    return out


def require_rows(rows: Array, longest: int, why: str, bits: int = 32) -> None:
    """Rows must have an element, and at most that many; and codes of at most that many bits, as below."""
    if rows.shape[1] == 0:
        raise InputError("the rows are empty: there is nothing to reduce over", hint="give rows of at least one code")
    if rows.shape[1] > longest:
        raise InputError(f"rows of {rows.shape[1]:,} codes are longer than {longest:,}, {why}")
    require_code_range(rows, bits)


def require_code_range(rows: Array, bits: int = 32) -> None:
    """Codes must be signed integers of at most that many bits; narrow dtypes are by themselves."""
    if code_bits(rows) > bits and rows.size:
        low, high = int(rows.min()), int(rows.max())
        if low < -(1 << (bits - 1)) or high >= 1 << (bits - 1):
            culprit = low if low < -(1 << (bits - 1)) else high
            raise InputError(f"the code {culprit:,} does not fit int{bits}")


def require_not_positive(rows: Array) -> None:
    """The exponentials are made for differences from a maximum."""
    if rows.size and rows.max() > 0:
        raise InputError(
            f"the code {int(rows.max()):,} is positive", hint="subtract the maximum first, as softmax does"
        )


def code_bits(rows: Array) -> int:
    """Width of signed integers that hold every code of the dtype."""
    return int(rows.dtype.itemsize * 8 + (rows.dtype.kind == "u"))


@lru_cache(maxsize=256)
def limits_of(widths: Widths) -> Integers:
    """The smallest and largest value of each intermediate, a row each."""
    return np.array(widths.limits(), dtype=np.int64).reshape(-1, 2)


def no_trap() -> Integers:
    """Where a kernel notes its first overflow."""
    return np.full(5, -1, dtype=np.int64)


def plain(request: Request, kernel: Callable[..., None], *constants: Any) -> Array:
    """Run a plain int64 kernel ``(rows, *constants, limits, mode, out, trap)`` over all rows, block by block.

    Raises InputError: a divisor is 0; IntermediateOverflowError: the first overflow, where overflows trap.
    """
    rows, widths = request.rows, request.call.widths
    limits, mode = limits_of(widths), request.mode
    out = np.empty(rows.shape, dtype=request.call.result_type)
    per_block = max(1, _BLOCK // max(rows.shape[1], 1))
    traps: dict[int, Integers] = {}

    def block(start: int, stop: int) -> None:
        trap = no_trap()
        part = rows[start:stop].astype(np.int64)
        answers = np.empty(part.shape, dtype=np.int64)
        kernel(part, *constants, limits, mode, answers, trap)
        out[start:stop] = answers.astype(out.dtype)
        if trap[0] >= 0:
            traps[start] = trap

    in_chunks(block, rows.shape[0], request.threads, per_block)
    if traps:
        start = min(traps)
        row, _, place, value, _ = traps[start].tolist()
        if value:
            raise_trap(widths, rows, start, traps[start].tolist())
        # 0 fits every width: a divisor. Whether something wrapped before it, a run that stops there says.
        trap, part = no_trap(), rows[start + row :][:1].astype(np.int64)
        kernel(part, *constants, limits, MODES["trap"], np.empty_like(part), trap)
        _raise_zero(widths.steps[place].name, start + row, has_wrapped=mode == MODES["wrap"] and bool(trap[3]))
    return out


def _raise_zero(name: str, row: int, has_wrapped: bool) -> NoReturn:
    if has_wrapped:
        raise InputError(
            f"row {row:,}: {name} is 0 after an intermediate has wrapped, and the scheme divides by it",
            hint="overflow='trap' names the first overflow, and 'saturate' avoids it",
        )
    raise InputError(
        f"row {row:,}: {name} is 0, and the scheme divides by it",
        hint="the scheme has no result for such a row; a variance is 0 where all codes are equal",
    )


def raise_trap(widths: Widths, rows: Array, start: int, trap: list[int]) -> None:
    """Raise the overflow that a kernel noted in a block which begins at row ``start``."""
    row, element, place, value, left = trap
    row, value = row + start, value << max(left, 0)
    step = widths.steps[place]
    kind = "signed" if step.signed else "unsigned"
    where = f"row {row:,}"
    if element >= 0:
        where += f", element {element:,} (code {int(rows[row, element])})"
    raise IntermediateOverflowError(
        f"{widths.operation} under {widths.scheme}{f', variant {widths.variant}' if widths.variant else ''}: {where}: "
        f"the intermediate {step.name!r} is {value:,} and does not fit {step.bits} bits ({kind}, "
        f"{step.low:,} to {step.high:,})",
        row=row,
        element=element,
        name=step.name,
        value=value,
        bits=step.bits,
        hint="a larger scale or shorter rows keep it in range; overflow='wrap' or 'saturate' compute on",
    )


def fast(request: Request, rows: Array, kernel: Callable[..., None], *constants: Any) -> Array:
    """Run a row kernel ``(rows, *constants, out)`` that cannot trap, block by block."""
    return _by_blocks(request, rows, lambda part, out: kernel(part, *constants, out))


def fast_or_none(request: Request, rows: Array, kernel: Callable[..., None], *constants: Any) -> Array | None:
    """The same of a kernel ``(rows, *constants, out, status)``; None where it gave up a row: the plain one says why."""
    gave_up = []

    def block(part: Array, out: Array) -> None:
        status = no_trap()
        kernel(part, *constants, out, status)
        if status[0] >= 0:
            gave_up.append(status)

    codes = _by_blocks(request, rows, block)
    return None if gave_up else codes


def _by_blocks(request: Request, rows: Array, run: Callable[[Array, Array], None]) -> Array:
    out = np.empty(rows.shape, dtype=request.call.result_type)
    written = out.view(np.uint8) if out.itemsize == 1 else out  # look-ups write bytes
    per_block = max(1, 4 * _BLOCK // max(rows.shape[1], 1))
    in_chunks(lambda i, j: run(rows[i:j], written[i:j]), rows.shape[0], request.threads, per_block)
    return out

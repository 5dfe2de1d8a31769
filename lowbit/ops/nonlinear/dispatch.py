"""What all integer-only nonlinearities share: the checks, the rows, the schemes' runners, traps and threads.

A scheme is a module, its *runner*, that is imported when it is first asked for. It has

- ``VARIANTS``: names of its variants, the default first (``("",)`` where there is only one);
- ``OPTIONS``: names of the further keyword arguments that it takes;
- ``run(request) -> Answer``: rows of codes in, rows of codes of the same shape out.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.widths import OVERFLOWS, Widths
from lowbit.ops.arrays import as_array, check_out
from lowbit.ops.chunks import in_chunks

Array = npt.NDArray[Any]
MODES = {"wrap": 0, "saturate": 1, "trap": 2}
"""What the kernels call the overflow choices."""

_BLOCK = 1 << 15
"""Elements that a thread takes at a time: the int64 copies of a block stay in the cache."""


class Request(NamedTuple):
    """What a runner is asked for.

    Attributes
    ----------
    rows : ndarray
        Integer codes, two-dimensional, C-contiguous: the operation runs along the last axis.
    scale : Any
        What one unit of a code is worth; None if the caller gave none.
    variant : str
        One of the runner's ``VARIANTS``.
    overflow : str
        "wrap", "saturate" or "trap".
    bits : int or None
        Width of the result, None for the scheme's own.
    threads : int
    options : mapping
        The scheme's own keyword arguments, those of ``OPTIONS`` that were given.
    operation, scheme : str
        What was asked for: one runner may serve several.
    """

    rows: Array
    scale: Any
    variant: str
    overflow: str
    bits: int | None
    threads: int
    options: Mapping[str, Any]
    operation: str = ""
    scheme: str = ""


class Answer(NamedTuple):
    """What a runner returns: codes of the shape of ``rows``, and what one unit of them is worth.

    The scale is a number, an array with one entry an element of a row, or None where the scheme has none.
    """

    codes: Array
    scale: Any


def dispatch(  # noqa: PLR0913 (the public functions' keyword arguments)
    operation: str,
    runners: Mapping[str, str],
    codes: Any,
    *,
    scheme: Any,
    variant: Any,
    scale: Any,
    overflow: Any,
    axis: Any,
    bits: int | None,
    return_scale: bool,
    out: Any,
    threads: Any,
    options: Mapping[str, Any],
) -> Any:
    """Run a scheme over codes of any shape, along an axis."""
    if not isinstance(scheme, str) or scheme.lower() not in runners:
        raise unknown(f"{operation} scheme", scheme, runners)
    runner = importlib.import_module(runners[scheme.lower()])
    chosen = runner.VARIANTS[0] if variant is None else variant
    if chosen not in runner.VARIANTS:
        raise unknown(f"variant of {operation} scheme {scheme!r}", chosen, runner.VARIANTS)
    if not isinstance(overflow, str) or overflow not in OVERFLOWS:
        raise unknown("overflow", overflow, OVERFLOWS)
    for name in options:
        if name not in runner.OPTIONS:
            raise unknown(f"argument of {operation} under scheme {scheme!r}", name, runner.OPTIONS)
    require_whole("threads", threads, 1, 1 << 16)
    array = integer_codes(codes)
    moved = _along_last(array, axis)
    length = moved.shape[-1] if moved.ndim else 1
    rows = np.ascontiguousarray(moved).reshape(math.prod(moved.shape[:-1]), length)
    answer = runner.run(Request(rows, scale, chosen, overflow, bits, int(threads), options, operation, scheme.lower()))
    shaped = answer.codes.reshape(moved.shape)
    result = np.moveaxis(shaped, -1, axis) if array.ndim else shaped
    made = _into(out, result)
    return (made, answer.scale) if return_scale else made


def unknown(what: str, value: Any, known: Any) -> InputError:
    """The error for a name that is not in a closed set."""
    names = sorted(str(name) for name in known if name)
    near = get_close_matches(str(value).lower(), names, 1)
    did = f"did you mean {near[0]!r}? " if near else ""
    listed = f"one of: {', '.join(names)}" if names else "it takes none"
    return InputError(f"unknown {what}: {value!r}", hint=f"{did}{listed}")


def require_whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number within limits, as an int."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
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
        f"codes of dtype {array.dtype} are no integers",
        hint="quantise the values first, as in lowbit.quantize_linear, and give their scale as scale=",
    )


def _along_last(array: Array, axis: Any) -> Array:
    if array.ndim == 0:
        return array.reshape(())
    if not isinstance(axis, int | np.integer) or not -array.ndim <= axis < array.ndim:
        raise InputError(f"axis = {axis!r} is no axis of codes of shape {array.shape}")
    return np.moveaxis(array, axis, -1)


def _into(out: Any, result: Array) -> Any:
    if out is None:
        return result[()]
    check_out(out, result.shape, result.dtype)
    out[...] = result
    return out


def binary32_scale(scale: Any, name: str = "scale") -> float:
    """The scale as the binary32 number that a framework holds; it must be positive and finite."""
    if scale is None:
        raise InputError(f"{name} is missing", hint=f"{name}=0.05, say: what one unit of a code is worth")
    try:
        value = np.float64(np.asarray(scale).item())
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} = {scale!r} is not one number") from error
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.float32(value))
    if not 0 < rounded < np.inf:
        raise InputError(
            f"{name} = {scale!r} is not a positive, finite binary32 number",
            hint="a scale is the real value of one unit of a code, such as 0.05",
        )
    return rounded


def require_rows(rows: Array, longest: int, why: str) -> None:
    """Rows must have an element, and at most so many."""
    if rows.shape[1] == 0:
        raise InputError("the rows are empty: there is nothing to reduce over", hint="give rows of at least one code")
    if rows.shape[1] > longest:
        raise InputError(f"rows of {rows.shape[1]:,} codes are longer than {longest:,}, {why}")


def require_code_range(rows: Array, bits: int = 32) -> None:
    """Codes must be signed integers of at most so many bits; narrow dtypes are by themselves."""
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


def limits_of(widths: Widths) -> npt.NDArray[np.int64]:
    """The smallest and largest value of each intermediate, a row each."""
    return np.array(widths.limits(), dtype=np.int64).reshape(-1, 2)


def smallest_dtype(low: int, high: int) -> np.dtype[Any]:
    """The smallest NumPy integer that holds the range, signed unless it starts at 0 and does not fit otherwise."""
    names = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")
    order = names if low == 0 else tuple(name for name in names if name.startswith("int"))
    for name in order:
        info = np.iinfo(name)
        if info.min <= low and high <= info.max:
            return np.dtype(name)
    return np.dtype(np.int64)


Plain = Callable[[Array, Array, npt.NDArray[np.int64]], None]
"""A plain kernel over a block: (int64 rows, int64 out, trap) with all else bound."""


def run_plain(request: Request, widths: Widths, dtype: Any, kernel: Plain) -> Array:
    """Run a plain int64 kernel over all rows, block by block, and raise the first trap there is."""
    rows = request.rows
    out = np.empty(rows.shape, dtype=dtype)
    per_block = max(1, _BLOCK // max(rows.shape[1], 1))
    traps: dict[int, npt.NDArray[np.int64]] = {}

    def block(start: int, stop: int) -> None:
        trap = np.full(4, -1, dtype=np.int64)
        part = rows[start:stop].astype(np.int64)
        answers = np.empty(part.shape, dtype=np.int64)
        kernel(part, answers, trap)
        out[start:stop] = answers.astype(dtype)
        if trap[0] >= 0:
            traps[start] = trap

    in_chunks(block, rows.shape[0], request.threads, per_block)
    if traps:
        start = min(traps)
        row, _, place, value = traps[start].tolist()
        if value == 0 and request.overflow != "trap":
            raise InputError(
                f"row {start + row:,}: {widths.steps[place].name} is 0 (or wrapped to 0), and the scheme divides by it",
                hint="where it wrapped, overflow='trap' names the first overflow and 'saturate' avoids it",
            )
        raise_trap(widths, rows, start, traps[start].tolist())
    return out


def raise_trap(widths: Widths, rows: Array, start: int, trap: list[int]) -> None:
    """Raise the overflow that a kernel found in a block which begins at row ``start``."""
    row, element, place, value = trap
    row += start
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


def run_fast(request: Request, dtype: Any, kernel: Callable[[Array, Array], None]) -> Array:
    """Run a row kernel ``(rows, out)`` that cannot trap, block by block."""
    rows = request.rows
    out = np.empty(rows.shape, dtype=dtype)
    per_block = max(1, 4 * _BLOCK // max(rows.shape[1], 1))
    in_chunks(lambda i, j: kernel(rows[i:j], out[i:j]), rows.shape[0], request.threads, per_block)
    return out

"""Runs a requantisation over an array: which kernel, in chunks, with one scale or one a channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import Scalar
from lowbit.kernels.requantize import layout as at
from lowbit.ops.arrays import Array
from lowbit.ops.chunks import in_chunks
from lowbit.ops.requantize.lowering import Range, lower_constants, lower_parameters
from lowbit.ops.requantize.paths import fast_scalar
from lowbit.policy.requantize import RequantizeScheme

Call = Callable[..., None]
"""``call(accumulators, out)``, flags after them where they are wanted."""
CHUNK = 1 << 16
FEW_COLUMNS = 512
"""Rows of fewer columns are laid side by side, with their parameters repeated, so that a loop has a length."""
LONG_RUN = 512
"""So many accumulators of one channel in a row are a call of their own."""
BINARY_PRECISION = 53
LARGEST_SUM = 1 << 51
"""Above, the nearest integer of a binary64 sum is not exact, and its low bits mean nothing."""


class Multipliers(NamedTuple):
    """One entry a channel: integers in the scheme's convention, and the scale where that is what is multiplied."""

    multiplier: Array
    shift: Array
    scale: Array | None


class Task(NamedTuple):
    """What is to be done, whatever the shape."""

    scheme: RequantizeScheme
    multipliers: Multipliers
    within: Range
    target: Scalar


class Lowered(NamedTuple):
    """What kernels take: one column of parameters for each of theirs, and the name of the fast scalar, or ""."""

    scalar: str
    parameters: Array
    scales: Array
    reals: Array
    vector: Array
    zero_point: int

    def columns(self, index: Array | slice) -> Lowered:
        """The parameters of some channels, as often as the index names them."""
        return self._replace(
            parameters=np.ascontiguousarray(self.parameters[:, index]), scales=np.ascontiguousarray(self.scales[index])
        )


def lower(task: Task) -> Lowered:
    """Parameters, constants and the fast scalar; "" for the plain kernels."""
    scheme, multipliers, within, target = task
    parameters = lower_parameters(scheme, multipliers.multiplier, multipliers.shift)
    scalar = fast_scalar(scheme, parameters, target)
    real = np.float32 if scheme.product == "binary32" else np.float64
    scales = np.zeros(multipliers.multiplier.size) if multipliers.scale is None else multipliers.scale
    if scalar == "product53_even":
        scales = np.ldexp(1.0, -parameters[at.RIGHT])
    added_later = 0 if scheme.zero_point == "before_rounding" else within.zero_point
    reals = np.array([within.low - added_later, within.high - added_later, within.zero_point], dtype=real)
    vector = lower_constants(scheme, within, target)
    return Lowered(scalar, parameters, scales.astype(real), reals, vector, within.zero_point)


def requantize_array(
    task: Task, accumulators: Array, axis: int, out: Array, *, flags: Array | None = None, threads: int = 1
) -> None:
    """Requantise C-contiguous int32 or int64 accumulators into a C-contiguous ``out`` that shares no memory.

    Flags, where they are wanted, are one uint8 an accumulator; the plain kernels make them.
    """
    if accumulators.size == 0:
        return
    lowered = lower(task)
    channels = task.multipliers.multiplier.size
    arrays = [accumulators, out] if flags is None else [accumulators, out, flags]
    for (source, *results), columns in _pieces(arrays, axis, channels):
        part = lowered if columns is None else lowered.columns(columns)
        call = None if flags is not None else fast_call(part, source.ndim, source.dtype, out.dtype)
        call = call or plain_call(part, task.scheme)
        rows = max(CHUNK // max(source[:1].size, 1), 1)

        def step(i: int, j: int, call: Call = call, source: Array = source, results: list[Array] = results) -> None:
            call(source[i:j], *(result[i:j] for result in results))

        in_chunks(step, len(source), threads, rows)


def _pieces(arrays: list[Array], axis: int, channels: int) -> Iterator[tuple[list[Array], Any]]:
    """Parts of arrays of one shape, flat or in rows, and the channel of each column; None for one channel."""
    shape = arrays[0].shape
    if channels == 1:
        yield [array.reshape(-1) for array in arrays], None
        return
    inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    if inner >= LONG_RUN:
        blocks = [array.reshape(-1, channels, inner) for array in arrays]
        for outer in range(len(blocks[0])):
            for channel in range(channels):
                yield [block[outer, channel] for block in blocks], slice(channel, channel + 1)
        return
    index = np.repeat(np.arange(channels), inner)
    rows = [array.reshape(-1, index.size) for array in arrays]
    copies = min(max(FEW_COLUMNS // max(index.size, 1), 1), max(len(rows[0]), 1))
    whole = len(rows[0]) // copies * copies
    yield [row[:whole].reshape(-1, index.size * copies) for row in rows], np.tile(index, copies)
    if whole < len(rows[0]):
        yield [row[whole:] for row in rows], index


def fast_call(lowered: Lowered, dimensions: int, source: Any, target: Any) -> Call | None:
    """The fast loop over flat accumulators or over rows of them; None where there is none."""
    scalar, parameters, scales, reals, vector, _ = lowered
    wide = source == np.int64
    if not scalar or (wide and scalar != "single"):
        return None
    from lowbit.kernels.requantize import fast_requantize as fast

    byte = target.itemsize == 1 and not wide
    loop = (fast.flat if dimensions == 1 else fast.rows)(getattr(fast, scalar), (wide, byte))
    run = lambda accumulators, out: loop(accumulators, parameters, scales, reals, vector, out)  # noqa: E731
    return _into(run, np.dtype(np.int8 if byte else np.int32))


def _into(run: Call, dtype: np.dtype[Any]) -> Call:
    """The loop, its results in an array of another dtype."""

    def call(accumulators: Array, out: Array) -> None:
        if out.dtype.itemsize == dtype.itemsize:
            run(accumulators, out.view(dtype))
            return
        results = np.empty(out.shape, dtype=dtype)
        run(accumulators, results)
        np.copyto(out, results, casting="unsafe")

    return call


def plain_call(lowered: Lowered, scheme: RequantizeScheme) -> Call:
    """The plain kernels over flat accumulators or over rows of them."""

    def call(accumulators: Array, out: Array, flags: Array | None = None) -> None:
        rows = accumulators.reshape(-1, lowered.parameters.shape[1])
        if scheme.zero_point == "before_rounding":
            codes, raised = _by_sums(lowered, scheme, rows)
        else:
            codes, raised = _by_integers(lowered, scheme, rows)
        np.copyto(out, codes.reshape(out.shape), casting="unsafe")
        if flags is not None:
            flags[...] = raised.reshape(out.shape)

    return call


def _by_integers(lowered: Lowered, scheme: RequantizeScheme, rows: Array) -> tuple[Array, Array]:
    """Codes and flags of the plain kernels."""
    from lowbit.kernels.requantize import requantize as plain

    parameters = lowered.parameters[: at.PARAMETERS].copy()
    codes, flags = np.empty(rows.shape, dtype=np.int64), np.empty(rows.shape, dtype=np.uint8)
    if scheme.takes_scale:
        fraction, exponent = np.frexp(lowered.scales.astype(np.float64))
        parameters[at.MULTIPLIER] = np.ldexp(fraction, BINARY_PRECISION).astype(np.int64)
        parameters[at.RIGHT] = BINARY_PRECISION - exponent
        plain.requantize_binary(rows.astype(np.int64), parameters, lowered.vector, codes, flags)
    else:
        plain.requantize_integer(rows.astype(np.int64), parameters, lowered.vector, codes, flags)
    return codes, flags


def nearest_integers(numbers: Array, tie: str) -> npt.NDArray[np.int64]:
    """Floating-point numbers within ``LARGEST_SUM``, rounded as a scheme's ``tie`` says: every step is exact."""
    whole = np.floor(numbers)
    rest = numbers - whole
    upward = {"up": True, "up_binary32": True, "away": numbers > 0, "even": whole % 2 == 1}[tie]
    return np.asarray(whole + ((rest > 0.5) | ((rest == 0.5) & upward)), dtype=np.int64)


def _by_sums(lowered: Lowered, scheme: RequantizeScheme, rows: Array) -> tuple[Array, Array]:
    """Codes and flags where the zero point joins the product before it is rounded: NumPy's arithmetic is IEEE's."""
    real = lowered.scales.dtype.type
    with np.errstate(over="ignore"):  # an infinite sum is far beyond every range
        sums = rows.astype(real) * lowered.scales + real(lowered.zero_point)
    sums = np.clip(sums, -LARGEST_SUM, LARGEST_SUM)
    if scheme.tie == "up_binary32":
        sums = np.floor(sums + real(0.5))
    total = nearest_integers(sums, scheme.tie)
    low, high, mask = (int(lowered.vector[place]) for place in (at.LOW, at.HIGH, at.WRAP_MASK))
    codes = ((total - low) & mask) + low if mask else np.clip(total, low, high)
    return codes, np.where(codes != total, at.FLAG_SATURATED, 0)

"""What the runners of TFLite's schemes share: which codes they take, given multipliers, and where the product stops."""

from __future__ import annotations

import numpy as np

from lowbit.errors import InputError, IntermediateOverflowError, LowbitError
from lowbit.nonlinear.tflite import QuantizedMultiplier
from lowbit.ops.arrays import check_range
from lowbit.ops.cast.paths import FAST_CHUNK
from lowbit.ops.chunks import in_chunks
from lowbit.ops.nonlinear.dispatch import Array, Request, require_whole, unknown

LONGEST_ROW = 1 << 24
WHY_LONGEST = "and no accumulator of these schemes means anything by then"


def require_codes(rows: Array, bits: int, scheme: str) -> None:
    """The codes must be signed integers of that width."""
    half = 1 << (bits - 1)
    check_range(rows, -half, half - 1, scheme)


def require_multiplier(request: Request) -> QuantizedMultiplier | None:
    """``multiplier`` and ``shift`` as the caller gives them, instead of a scale.

    Raises
    ------
    InputError
        Only one of them is given, or a scale beside them, or a value is out of range.
    """
    given = [name for name in ("multiplier", "shift") if name in request.options]
    if not given:
        return None
    if len(given) == 1 or request.scale is not None or "beta" in request.options:
        raise InputError(
            "a multiplier needs a shift, and no scale or beta beside it",
            hint="scale=0.001, or multiplier=1 << 30, shift=1: the factor is multiplier * 2**(shift - 31)",
        )
    multiplier = require_whole("multiplier", request.options["multiplier"], 0, (1 << 31) - 1)
    return QuantizedMultiplier(multiplier, require_whole("shift", request.options["shift"], -31, 30))


def process_end(error: IntermediateOverflowError, request: Request) -> LowbitError:
    """The error to raise: a trap as it is; where nothing traps, that the product itself does not get further."""
    if request.overflow == "trap":
        return error
    reason = {
        "exponent": f"the shift by {error.value} is outside 0..31 and TFLite ends its process (TFLITE_CHECK)",
        "sum": f"the int32 sum of the exponentials has wrapped to {error.value}, and the next shift count is negative",
    }.get(error.name, str(error))
    return InputError(
        f"row {error.row:,}: {reason}",
        hint="the row has too many codes near its maximum; overflow='saturate' computes on, 'trap' names the overflow",
    )


def require_softmax_bits(request: Request) -> int:
    """8 or 16 bits for the result of int8 codes; 8 if the caller does not say."""
    bits = 8 if request.bits is None else request.bits
    if bits not in (8, 16):
        raise unknown(f"bits of {request.scheme}'s softmax", bits, (8, 16))
    return require_whole("bits", bits, 8, 16)


def require_result_bits(request: Request, bits: int) -> None:
    """The scheme's results have one width, which the caller may repeat."""
    if request.bits is not None and request.bits != bits:
        raise InputError(f"bits = {request.bits!r}: the scheme {request.scheme} has results of {bits} bits")


def by_table(request: Request, table: Array) -> Array:
    """The entry of each code; the table's first belongs to the lowest code of its dtype."""
    from lowbit.kernels.cast.gather import gather

    bits = f"u{table.dtype.itemsize}"
    entries = np.ascontiguousarray(np.roll(table, -(table.size // 2))).view(bits)  # by bits: 0, 1, ..., -2, -1
    codes = request.rows.astype(table.dtype, copy=False).reshape(-1).view(bits)
    out = np.empty(codes.size, dtype=bits)
    in_chunks(lambda i, j: gather(codes[i:j], entries, out[i:j]), codes.size, request.threads, FAST_CHUNK)
    return out.view(table.dtype).reshape(request.rows.shape)

"""Look-up tables of 256 or 513 entries, as TensorFlow Lite and TOSA read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import unknown
from lowbit.ops.arrays import check_range
from lowbit.ops.chunks import in_chunks
from lowbit.ops.nonlinear.dispatch import integer_codes, require_whole
from lowbit.ops.types import Array, Codes, Results

SCHEMES = {
    "tosa": "int16 codes give int32 with 7 more fraction bits, not rounded",
    "tflite": "int16 codes give int16, rounded half up",
}
SHORT, LONG = 256, 513
HIGHEST_INT16 = (1 << 15) - 1


def table_lookup(codes: Codes, table: Codes, *, scheme: str = "tosa", threads: int = 1) -> Results:
    """Look codes up in a table: one entry a code for int8, linear interpolation between two for int16.

    Parameters
    ----------
    codes : array_like of int
        int8 codes with a table of 256 entries, int16 codes with one of 513.
    table : array_like of int
        The first entry belongs to the lowest code, -128 or -32768; then one a code, or one every 128 codes.
        256 entries are int8, 513 are int16.
    scheme : {"tosa", "tflite"}
        They differ for int16: TOSA's TABLE returns int32 with 7 more fraction bits, TFLite's LUTLookup rounds those
        away, half up.
    threads : int
        How many threads share the work.

    Returns
    -------
    ndarray or scalar
        int8, int32 (tosa) or int16 (tflite).

    Raises
    ------
    InputError
        The table has another length, or an entry or a code is out of range, or under TOSA two neighbouring entries
        are further apart than int16 (the specification requires it).

    Notes
    -----
    Source: TOSA specification 1.0, operator TABLE; tensorflow/tflite-micro,
    ``tensorflow/lite/kernels/internal/common.h``, ``LUTLookup``.

    Examples
    --------
    >>> ramp = [128 * i - 32768 for i in range(512)] + [32767]
    >>> table_lookup([-32768, 5], ramp).tolist()
    [-4194304, 640]
    >>> table_lookup([-32768, 5], ramp, scheme="tflite").tolist()
    [-32768, 5]
    """
    from lowbit.kernels.fixed_point.table import interpolate_each, interpolate_rounded_each, look_up_each

    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise unknown("scheme of table_lookup", scheme, SCHEMES)
    require_whole("threads", threads, 1, 1 << 16)
    entries = _entries(table, scheme)
    bits = 8 if entries.size == SHORT else 16
    array = integer_codes(codes)
    half = 1 << (bits - 1)
    check_range(array, -half, half - 1, f"a table of {entries.size} entries")
    flat = np.ascontiguousarray(array, dtype=np.int64).reshape(-1)
    out = np.empty(flat.size, dtype=np.int64)
    kernel, dtype = (interpolate_each, "int32") if scheme == "tosa" else (interpolate_rounded_each, "int16")
    if bits == 8:
        kernel, dtype = look_up_each, "int8"
    in_chunks(lambda i, j: kernel(flat[i:j], entries, out[i:j]), flat.size, threads, 1 << 14)
    return out.astype(dtype).reshape(array.shape)[()]


def _entries(table: Any, scheme: str) -> Array:
    """The table's entries as int64."""
    entries = integer_codes(table).astype(np.int64).reshape(-1)
    if entries.size not in (SHORT, LONG):
        raise InputError(
            f"the table has {entries.size} entries",
            hint=f"{SHORT} entries for int8 codes, {LONG} for int16 codes (one every 128 codes, and one more)",
        )
    half = 1 << (7 if entries.size == SHORT else 15)
    check_range(entries, -half, half - 1, f"the int{8 if entries.size == SHORT else 16} entries of a table")
    slopes = np.diff(entries)
    steep = (slopes > HIGHEST_INT16) | (slopes < -HIGHEST_INT16 - 1)
    if scheme == "tosa" and entries.size == LONG and steep.any():
        place = int(steep.argmax())
        raise InputError(
            f"entries {place} and {place + 1} of the table are {abs(int(slopes[place])):,} apart",
            hint="TOSA's TABLE requires slopes that fit int16",
        )
    return entries

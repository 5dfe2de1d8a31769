"""How codes of a format become values of a dtype: decided once a pair of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InexactError, InputError
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.ops.arrays import scalar_format
from lowbit.ops.cast.binary32 import Runner, fast_decoder, is_binary32
from lowbit.ops.cast.conversion import cast_codes, conversion, conversion_tables, in_chunks, look_up
from lowbit.ops.cast.paths import FAST_CHUNK
from lowbit.ops.cast.tables import registers_available
from lowbit.policy.cast import PRESETS

Array = npt.NDArray[Any]
Run = Callable[[Array, int, Array | None], Array]


class Decoding(NamedTuple):
    """``run(codes, threads, out)`` gives the values of flat codes in ``dtype``, of native byte order.

    They go into the flat array ``out`` if there is one.
    """

    dtype: np.dtype[Any]
    run: Run


@lru_cache(maxsize=256)
def decoding(source: Scalar, requested: np.dtype[Any]) -> Decoding:
    """How codes of a format become values of a dtype, of either byte order.

    Raises
    ------
    InputError
        The dtype is no float.
    InexactError
        The dtype cannot hold every value of the format.
    """
    dtype = requested.newbyteorder("=")
    target = scalar_format(dtype)
    if not isinstance(target, FloatFormat):
        raise InputError(f"dtype {dtype} is not a float", hint="dtype=numpy.float64, or decode_exact for integers")
    _require_exact(source, target)
    return Decoding(dtype, _decoder(source, target, dtype))


def _decoder(source: Scalar, target: FloatFormat, dtype: np.dtype[Any]) -> Run:
    fast = fast_decoder(source) if is_binary32(target) and not registers_available() else None
    if fast is not None:
        return lambda codes, threads, out: _in_lanes(fast, codes, threads, out)
    if source.bits <= 8:
        table = conversion_tables(source, target, PRESETS["ieee"], False).codes
        return lambda codes, threads, out: look_up(table, codes, threads, out).view(dtype)
    way = conversion(source, target, PRESETS["ieee"])

    def cast(codes: Array, threads: int, out: Array | None) -> Array:
        bits = None if out is None else out.view(way.code_dtype)
        return cast_codes(way, codes, None, False, threads, bits).codes.view(dtype)

    return cast


def _in_lanes(fast: Runner, codes: Array, threads: int, out: Array | None) -> Array:
    values = np.empty(codes.size, dtype=np.float32) if out is None else out
    in_chunks(lambda i, j: fast(codes[i:j], values[i:j]), codes.size, threads, FAST_CHUNK)
    return values


def _require_exact(source: Scalar, target: FloatFormat) -> None:
    """Whether the target holds every value of the source, infinities and NaN included."""
    largest = max(source.max.reduced(), source.min.reduced(), key=lambda value: abs(value.fraction()))
    precise = _precision(source) <= target.precision
    wide = abs(largest.fraction()) <= target.max.fraction()
    smallest = source.smallest.reduced()
    fine = smallest.exponent >= target.smallest_exponent
    special = isinstance(source, FixedFormat) or (
        (source.infinity is None or target.infinity is not None) and (not source.has_nan or target.has_nan)
    )
    if precise and wide and fine and special:
        return
    raise InexactError(
        f"{target.id} cannot hold every value of {source.id}",
        hint="decode with dtype=numpy.float64, or decode_exact(codes, fmt) for integers that hold everything",
    )


def _precision(fmt: Scalar) -> int:
    return fmt.precision if isinstance(fmt, FloatFormat) else fmt.bits - int(fmt.signed)

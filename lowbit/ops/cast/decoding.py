"""Which dtypes hold every value of a format, and the cast that decodes to one: decided once a pair of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lowbit.errors import InexactError, InputError
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import scalar_format
from lowbit.ops.cast.conversion import Step, conversion


class Decoding(NamedTuple):
    """A dtype of native byte order, and the only step of the cast to the format whose codes are its bits."""

    dtype: np.dtype[Any]
    step: Step


@lru_cache(maxsize=256)
def decoding(source: Scalar, requested: np.dtype[Any]) -> Decoding:
    """How codes of a format become values of a dtype, of either byte order.

    Raises InputError: the dtype is not a float; InexactError: the dtype cannot hold every value of the format.
    """
    dtype = requested.newbyteorder("=")
    target = scalar_format(dtype)
    if target.wraps:
        raise InputError(f"dtype {dtype} is not a float", hint="dtype=numpy.float64, or decode_exact for integers")
    _require_exact(source, target)
    return Decoding(dtype, conversion(source, target, "ieee").steps[0])


def _require_exact(source: Scalar, target: Scalar) -> None:
    """Whether the target holds every value of the source, infinities and NaN included."""
    largest = max(abs(end.fraction()) for end in (source.max, source.min))
    numbers = source.precision <= target.precision and largest <= target.max.fraction()
    fine = source.smallest_exponent >= target.smallest_exponent
    specials = (target.has_infinity or not source.has_infinity) and (target.has_nan or not source.has_nan)
    if not (numbers and fine and specials):
        raise InexactError(
            f"{target.id} cannot hold every value of {source.id}",
            hint="decode with dtype=numpy.float64, or decode_exact(codes, fmt) for integers that hold everything",
        )

"""Strategies for codes and values of a format. They shrink to small exact values: 0, 1, 2, 1/2, 3, ..."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from hypothesis.strategies import SearchStrategy

from lowbit.dyadic import FINITE, NAN
from lowbit.errors import InputError
from lowbit.oracle.decode import decode
from lowbit.spec import FixedFormat, Scalar
from lowbit.testing.places import WHOLE_BITS, as_float, fits_float, overflow_values, scalar, simple_codes, tie_values

Array = np.ndarray[Any, Any]


def codes(fmt: Any, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[int]:
    """Codes of a format; shrinks to the simplest value.

    Parameters
    ----------
    fmt : Format, str or dtype
    nan, infinity : bool
        Whether codes of NaNs and infinities come too.
    """
    target = scalar(fmt)
    simple = [code for code in simple_codes(target) if _is_wanted(target, code, nan, infinity)]
    choice = st.sampled_from(simple)
    if target.bits <= WHOLE_BITS:
        return choice
    return choice | _any_code(target).filter(lambda code: _is_wanted(target, code, nan, infinity))


def _any_code(fmt: Scalar) -> SearchStrategy[int]:
    if isinstance(fmt, FixedFormat):
        return st.integers(fmt.min_code, fmt.max_code)
    return st.integers(0, (1 << fmt.bits) - 1)


def _is_wanted(fmt: Scalar, code: int, nan: bool, infinity: bool) -> bool:
    if nan and infinity:
        return True
    kind = decode(code, fmt).kind
    return kind == FINITE or (nan if kind == NAN else infinity)


def ties(fmt: Any) -> SearchStrategy[float]:
    """Python floats half way between two neighbouring values of a format; shrinks to the simplest tie.

    Raises
    ------
    InputError
        The format is so fine or so wide that binary64 holds none of its ties.
    """
    target = scalar(fmt)
    return st.sampled_from(_required(tie_values(target), target, "ties"))


def near_overflow(fmt: Any) -> SearchStrategy[float]:
    """Python floats around the ends of a format's range: the largest value, its tie and beside it, and beyond."""
    target = scalar(fmt)
    return st.sampled_from(_required(overflow_values(target), target, "values near overflow"))


def _required(found: tuple[float, ...], fmt: Scalar, what: str) -> tuple[float, ...]:
    if not found:
        raise InputError(f"binary64 holds no {what} of {fmt.id}")
    return found


def values(fmt: Any, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[float]:
    """Python floats that matter for encoding into a format: its own values, ties, overflow, and any others."""
    target = scalar(fmt)
    own = codes(target, nan=nan, infinity=infinity).map(lambda code: decode(code, target))
    exact = own.filter(lambda value: value.kind != FINITE or fits_float(value)).map(as_float)
    others = st.floats(allow_nan=nan, allow_infinity=infinity)
    special = [st.sampled_from(found) for found in (tie_values(target), overflow_values(target)) if found]
    return st.one_of(exact, *special, others)


def code_arrays(fmt: Any, shape: Any, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[Array]:
    """Arrays of codes in the format's code dtype; shrinks to zeros and few different elements.

    ``shape`` is a shape, a length, or a strategy of shapes.
    """
    target = scalar(fmt)
    return arrays_of.arrays(np.dtype(target.code_dtype), shape, elements=codes(target, nan=nan, infinity=infinity))


def value_arrays(
    fmt: Any, shape: Any, *, dtype: Any = np.float32, elements: SearchStrategy[float] | None = None
) -> SearchStrategy[Array]:
    """Float arrays to be encoded into a format.

    Parameters
    ----------
    fmt : Format, str or dtype
    shape : int, tuple or strategy
    dtype : dtype
        ``numpy.float16``, ``float32`` or ``float64``; what it cannot hold is rounded to it.
    elements : strategy, optional
        ``values(fmt)`` by default; ``ties(fmt)`` or ``near_overflow(fmt)`` for arrays of those alone.
    """
    kind = np.dtype(dtype)
    drawn = values(fmt) if elements is None else elements

    def cast(array: Array) -> Array:
        with np.errstate(all="ignore"):
            return array.astype(kind)

    return arrays_of.arrays(np.float64, shape, elements=drawn).map(cast)

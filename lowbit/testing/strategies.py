"""Strategies for codes and values of a format. They shrink to small exact values: 0, 1, 2, 1/2, 3, ..."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from hypothesis.strategies import SearchStrategy

from lowbit.errors import InputError
from lowbit.exact import FINITE, Exact, finite
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.testing.places import as_float, fits_float, midpoint, overflow_values, scalar
from lowbit.testing.warm_up import warmed

Array = np.ndarray[Any, Any]
UNLIMITED = 1 << 20
BINARY64_REACH = 900
"""Ties are drawn with exponents of at most this magnitude, which binary64 holds with room for the mantissa."""


def codes(fmt: Any, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[int]:
    """Codes of a format; shrinks to the code of 0, then of 1, 2, 3/2, 1/2, ...

    Parameters
    ----------
    fmt : Format, str or dtype
    nan, infinity : bool
        Whether codes of NaNs and infinities come too.
    """
    target = scalar(fmt)
    return warmed(_codes(target, nan, infinity), target)


def _codes(target: Scalar, nan: bool, infinity: bool) -> SearchStrategy[int]:
    if isinstance(target, FixedFormat):
        return _fixed_codes(target)
    classes = finite_classes(target)
    classes += ["infinity"] if infinity and target.infinity is not None else []
    classes += ["nan"] if nan and target.has_nan else []
    return _float_codes(target, tuple(classes))


@st.composite
def _fixed_codes(draw: Any, fmt: FixedFormat) -> int:
    """Whole part and fraction apart, so that both shrink to zero."""
    shift = max(fmt.fraction_bits, 0)
    whole = draw(st.integers(fmt.min_code >> shift, fmt.max_code >> shift))
    code = (whole << shift) + draw(_leading_bits_first(shift))
    return int(min(max(code, fmt.min_code), fmt.max_code))


@st.composite
def _float_codes(draw: Any, fmt: FloatFormat, classes: tuple[str, ...], reach: int = UNLIMITED) -> int:
    """Each class takes the same four draws: Hypothesis calls fewer draws simpler, and 0 must be simpler than NaN."""
    kind = draw(st.sampled_from(classes))
    sign = fmt.sign_bit if fmt.signed and draw(st.booleans()) else 0
    offset, mantissa = draw(_exponent_offsets(fmt, reach)), draw(_leading_bits_first(fmt.mantissa_bits))
    if kind == "nan":
        return _nan_code(fmt, sign, mantissa)
    if kind == "infinity":
        assert fmt.infinity is not None
        return sign | fmt.infinity
    magnitude_code = _magnitude_code(fmt, kind, offset, mantissa)
    return magnitude_code if magnitude_code == 0 and not fmt.negative_zero else sign | magnitude_code


def _nan_code(fmt: FloatFormat, sign: int, mantissa: int) -> int:
    if fmt.nan_at_negative_zero:
        return fmt.sign_bit
    assert fmt.nan is not None
    return sign | min(fmt.nan + mantissa, (1 << fmt.magnitude_bits) - 1)


def finite_classes(fmt: FloatFormat) -> list[str]:
    """Those of zero, normal and subnormal that the format has, the simplest first."""
    classes = ["zero"] if fmt.zero else []
    classes += ["normal"] if fmt.min_normal_code <= fmt.max_code else []
    return classes + (["subnormal"] if fmt.min_normal_code > 1 else [])


def _magnitude_code(fmt: FloatFormat, kind: str, offset: int, mantissa: int) -> int:
    """A finite magnitude code of a class."""
    if kind == "zero":
        return 0
    if kind == "subnormal":
        return min(max(mantissa, 1), fmt.max_code)
    return min((_field_of_one(fmt) + offset << fmt.mantissa_bits) + mantissa, fmt.max_code)


def _field_of_one(fmt: FloatFormat) -> int:
    """The exponent field of 1, or the nearest normal one."""
    return min(max(fmt.bias, fmt.min_normal_code >> fmt.mantissa_bits), fmt.max_code >> fmt.mantissa_bits)


@lru_cache(maxsize=256)
def _exponent_offsets(fmt: FloatFormat, reach: int) -> SearchStrategy[int]:
    """Exponents relative to that of 1, to which they shrink."""
    one, width = _field_of_one(fmt), fmt.mantissa_bits
    low, high = min(fmt.min_normal_code >> width, one), fmt.max_code >> width
    return st.integers(max(low - one, -reach), min(high - one, reach))


@lru_cache(maxsize=64)
def _leading_bits_first(width: int) -> SearchStrategy[int]:
    """Fields of so many bits, drawn back to front: 1 is the leading bit, which gives halves before small fractions."""

    def reversed_bits(drawn: int) -> int:
        return int(f"{drawn:0{width}b}"[::-1], 2) if width else 0

    return st.integers(0, (1 << width) - 1).map(reversed_bits)


@lru_cache(maxsize=256)
def ties(fmt: Any) -> SearchStrategy[float]:
    """Python floats half way between two neighbouring values of a format; shrinks to a tie near 1.

    The midpoint above the largest value, which decides overflow, is one of them.

    Raises
    ------
    InputError
        The format is so fine that binary64 does not hold its ties.
    """
    target = scalar(fmt)
    if not has_ties(target):
        raise InputError(f"binary64 holds no ties of {target.id}", hint="a format of at most 51 mantissa bits")
    return warmed(_ties(target).filter(fits_float).map(as_float), target)


def has_ties(fmt: Scalar) -> bool:
    """Whether binary64 holds the midpoints of a format."""
    return (fmt.mantissa_bits + 2 if isinstance(fmt, FloatFormat) else fmt.bits + 1) <= 53


@st.composite
def _ties(draw: Any, fmt: Scalar) -> Exact:
    if isinstance(fmt, FixedFormat):
        code = draw(_fixed_codes(fmt))
        return _tie_beside(fmt, code, negative=code < 0)
    kinds = sorted(finite_classes(fmt), key=("normal", "subnormal", "zero").index)
    code = draw(_float_codes(fmt, tuple(kinds), BINARY64_REACH))
    return _tie_beside(fmt, code & ~fmt.sign_bit, negative=bool(code & fmt.sign_bit))


def _tie_beside(fmt: Scalar, code: int, *, negative: bool) -> Exact:
    value = midpoint(fmt, abs(code))
    return finite(-value.significand if negative else value.significand, value.exponent)


def near_overflow(fmt: Any) -> SearchStrategy[float]:
    """Python floats around the ends of a format's range: the largest value, its tie and beside it, and beyond.

    Raises
    ------
    InputError
        The range of the format is wider than that of binary64.
    """
    target = scalar(fmt)
    found = overflow_values(target)
    if not found:
        raise InputError(f"binary64 holds no values near the overflow of {target.id}")
    return warmed(st.sampled_from(found), target)


def values(fmt: Any, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[float]:
    """Python floats that matter for encoding into a format: its own values, ties, overflow, and any others.

    Each of the four kinds shrinks within itself: an overflow to the largest value, say, and the others to near 1.
    """
    target = scalar(fmt)
    others = st.floats(allow_nan=nan, allow_infinity=infinity)
    return warmed(_values(target, _codes(target, nan, infinity), others), target)


@st.composite
def _values(draw: Any, fmt: Scalar, own: SearchStrategy[int], others: SearchStrategy[float]) -> float:
    """A value of the format is drawn in any case, so that nothing else is simpler than it."""
    kinds = ["exact", *(["tie"] if has_ties(fmt) else []), *(["overflow"] if overflow_values(fmt) else []), "other"]
    kind = draw(st.sampled_from(kinds))
    value = decode(draw(own), fmt)
    if kind == "tie":
        return float(draw(ties(fmt)))
    if kind == "overflow":
        return float(draw(st.sampled_from(overflow_values(fmt))))
    if kind == "other" or (value.kind == FINITE and not fits_float(value)):
        return float(draw(others))
    return as_float(value)


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

"""Strategies for codes and values of a format. They shrink to small exact values: 0, 1, 2, 1/2, 3, ..."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from hypothesis.strategies import SearchStrategy

from lowbit.errors import InputError
from lowbit.exact import FINITE, Exact
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import Array, FormatLike
from lowbit.oracle.cast.decode import decode
from lowbit.testing.places import as_float, fits_float, midpoint, overflow_values, simplicity
from lowbit.testing.warm_up import warmed

Shape = int | tuple[int, ...] | SearchStrategy[tuple[int, ...]]
UNLIMITED = 1 << 20
BINARY64_REACH = 900
"""Ties are drawn with exponents of at most this magnitude, which binary64 holds with room for the mantissa."""


def codes(fmt: FormatLike, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[int]:
    """Codes of a format; shrinks to the code of 0, then of 1, 2, 3/2, 1/2, ...

    Parameters
    ----------
    fmt : Format, str or dtype
    nan, infinity : bool
        Whether codes of NaNs and infinities come too.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(codes("float8_e4m3fn"), lambda code: 3 < code < 10)
    4
    """
    target = scalar_format(fmt)
    return warmed(_codes(target, nan, infinity), target)


def _codes(target: Scalar, nan: bool, infinity: bool) -> SearchStrategy[int]:
    if target.wraps:
        return _fixed_codes(target)
    if target.listed:
        return st.sampled_from(_listed_codes(target, nan, infinity))
    classes = finite_classes(target)
    classes += ["infinity"] if infinity and target.has_infinity else []
    classes += ["nan"] if nan and target.has_nan else []
    return _float_codes(target, tuple(classes))


def _listed_codes(fmt: Scalar, nan: bool, infinity: bool) -> list[int]:
    """The codes of a format that is known by the list of its values, the simplest value first."""
    kinds = {"nan": nan, "infinity": infinity}
    codes = [code for code in fmt.codes if kinds.get(fmt.classify(code), True)]
    return sorted(codes, key=lambda code: simplicity(fmt.decode(code)))


@st.composite
def _fixed_codes(draw: Any, fmt: Scalar) -> int:
    """Whole part and fraction apart, so that both shrink to zero."""
    shift, low, high = max(-fmt.smallest_exponent, 0), fmt.codes[0], fmt.codes[-1]
    whole = draw(st.integers(low >> shift, high >> shift))
    code = (whole << shift) + draw(_leading_bits_first(shift))
    return int(min(max(code, low), high))


@st.composite
def _float_codes(draw: Any, fmt: Scalar, classes: tuple[str, ...], reach: int = UNLIMITED) -> int:
    """Each class takes the same four draws: Hypothesis calls fewer draws simpler, and 0 must be simpler than NaN."""
    kind = draw(st.sampled_from(classes))
    sign = fmt.sign_bit if fmt.signed and draw(st.booleans()) else 0
    offset, mantissa = draw(_exponent_offsets(fmt, reach)), draw(_leading_bits_first(fmt.precision - 1))
    if kind == "nan":
        low, high = fmt.nan_ranges[0]
        return sign | min(low + int(mantissa), high)
    if kind == "infinity":
        return sign | fmt.infinities[0]
    magnitude_code = _magnitude_code(fmt, kind, offset, mantissa)
    return magnitude_code if magnitude_code == 0 and not fmt.negative_zero else sign | magnitude_code


def finite_classes(fmt: Scalar) -> list[str]:
    """Those of zero, normal and subnormal that the format has, the simplest first."""
    classes = ["zero"] if fmt.zero else []
    classes += ["normal"] if fmt.min_normal_code <= fmt.largest_code() else []
    return classes + (["subnormal"] if fmt.min_normal_code > 1 else [])


def _magnitude_code(fmt: Scalar, kind: str, offset: int, mantissa: int) -> int:
    """A finite magnitude code of a class."""
    if kind == "zero":
        return 0
    if kind == "subnormal":
        return min(max(mantissa, 1), fmt.largest_code())
    return min((_field_of_one(fmt) + offset << fmt.precision - 1) + mantissa, fmt.largest_code())


def _field_of_one(fmt: Scalar) -> int:
    """The exponent field of 1, or the nearest normal one."""
    width = fmt.precision - 1
    return min(max(fmt.parameters["bias"], fmt.min_normal_code >> width), fmt.largest_code() >> width)


@lru_cache(maxsize=256)
def _exponent_offsets(fmt: Scalar, reach: int) -> SearchStrategy[int]:
    """Exponents relative to that of 1, to which they shrink."""
    one, width = _field_of_one(fmt), fmt.precision - 1
    low, high = min(fmt.min_normal_code >> width, one), fmt.largest_code() >> width
    return st.integers(max(low - one, -reach), min(high - one, reach))


@lru_cache(maxsize=64)
def _leading_bits_first(width: int) -> SearchStrategy[int]:
    """Fields of ``width`` bits, drawn back to front: 1 is the leading bit, so halves come before small fractions."""

    def reversed_bits(drawn: int) -> int:
        return int(f"{drawn:0{width}b}"[::-1], 2) if width else 0

    return st.integers(0, (1 << width) - 1).map(reversed_bits)


@lru_cache(maxsize=256)
def ties(fmt: FormatLike) -> SearchStrategy[float]:
    """Python floats half way between two neighbouring values of a format; shrinks to a tie near 1.

    The midpoint above the largest value, which decides overflow, is one of them.

    Raises
    ------
    InputError
        The format is so fine that binary64 does not hold its ties.
    """
    target = scalar_format(fmt)
    if not has_ties(target):
        raise InputError(f"binary64 holds no ties of {target.id}", hint="a format of at most 51 mantissa bits")
    return warmed(_ties(target).filter(fits_float).map(as_float), target)


def has_ties(fmt: Scalar) -> bool:
    """Whether binary64 holds the midpoints of a format."""
    return fmt.precision + int(fmt.signed_codes) + 1 <= 53


@st.composite
def _ties(draw: Any, fmt: Scalar) -> Exact:
    if fmt.wraps or fmt.listed:
        codes = _codes(fmt, nan=False, infinity=False)
    else:
        kinds = sorted(finite_classes(fmt), key=("normal", "subnormal", "zero").index)
        codes = _float_codes(fmt, tuple(kinds), BINARY64_REACH)
    code = draw(codes)
    return midpoint(fmt, fmt.ordinal(code) or 0, -1 if fmt.decode(code).negative else 1)


def near_overflow(fmt: FormatLike) -> SearchStrategy[float]:
    """Python floats around the ends of a format's range: the largest value, its tie and beside it, and beyond.

    Raises
    ------
    InputError
        The range of the format is wider than that of binary64.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(near_overflow("float8_e4m3fn"), lambda value: value > 448)
    480.0
    """
    target = scalar_format(fmt)
    found = overflow_values(target)
    if not found:
        raise InputError(f"binary64 holds no values near the overflow of {target.id}")
    return warmed(st.sampled_from(found), target)


def values(fmt: FormatLike, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[float]:
    """Python floats that matter for encoding into a format: its own values, ties, overflow, and any others.

    Each of the four kinds shrinks within itself: an overflow to the largest value, say, and the others to near 1.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(values("int4"), lambda value: value < 0)
    -1.0
    """
    target = scalar_format(fmt)
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


def code_arrays(fmt: FormatLike, shape: Shape, *, nan: bool = True, infinity: bool = True) -> SearchStrategy[Array]:
    """Arrays of codes in the format's code dtype; shrinks to zeros and few different elements.

    ``shape`` is a shape, a length, or a strategy of shapes.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(code_arrays("int4", 2), lambda _: True).tolist()
    [0, 0]
    """
    target = scalar_format(fmt)
    return arrays_of.arrays(np.dtype(target.code_dtype), shape, elements=codes(target, nan=nan, infinity=infinity))


def value_arrays(
    fmt: FormatLike, shape: Shape, *, dtype: npt.DTypeLike = np.float32, elements: SearchStrategy[float] | None = None
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

    Examples
    --------
    >>> from hypothesis import find
    >>> find(value_arrays("float8_e4m3fn", 2), lambda _: True).tolist()
    [0.0, 0.0]
    """
    kind = np.dtype(dtype)
    drawn = values(fmt) if elements is None else elements

    def cast(array: Array) -> Array:
        with np.errstate(all="ignore"):
            return array.astype(kind)

    return arrays_of.arrays(np.float64, shape, elements=drawn).map(cast)

"""Which fast scalar computes a scheme: one ordered list, of which the first that applies is taken.

Each scalar of ``kernels/requantize/fast_requantize.py`` assumes what its condition says; where none applies, the plain
kernels compute. The order is binary arithmetic first, then integers: special products, two roundings, one rounding;
and of two that both apply the one with fewer instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from lowbit.format.scalar import Scalar
from lowbit.kernels.requantize import layout as at
from lowbit.ops.arrays import Array
from lowbit.policy.requantize import RequantizeScheme


class Setting(NamedTuple):
    """What a path depends on: fields of the scheme, the result format, and the shifts of the channels."""

    takes_scale: bool
    product: str
    tie: str
    high_half: str
    pre_shift: str
    left_shift: str
    bounded: bool
    zero_point: str
    narrowing: str
    overflow: str
    accumulator_bits: int
    bits: int
    signed: bool
    shifts_left: bool
    """Whether some channel does."""
    shifts_right: bool
    """Whether every channel does."""
    drops_half: bool
    """Whether every channel shifts by more than ``DROPPED`` bits to the right."""


DROPPED = 32
_OF_SCHEME: Callable[[RequantizeScheme], Any] = attrgetter(*Setting._fields[: Setting._fields.index("bits")])


def _small(s: Setting) -> bool:
    """Whether no sum of 31 bits and a zero point wraps, and binary32 holds the range."""
    return s.bits <= 16


def _int32(s: Setting) -> bool:
    """Whether int32 holds the results."""
    return s.bits < 32 or s.signed


def _clamps(s: Setting) -> bool:
    return s.overflow == "saturate" and _int32(s)


def _zero_follows(s: Setting) -> bool:
    return s.zero_point in ("after_rounding", "after_clamp")


def _binary_sum(s: Setting) -> bool:
    """Whether the zero point joins a binary product before it is rounded."""
    return s.takes_scale and s.narrowing == "exact" and _int32(s) and s.zero_point == "before_rounding"


def _binary32_sum(s: Setting) -> bool:
    return _binary_sum(s) and (s.product, s.tie) == ("binary32", "up_binary32") and _small(s) and _clamps(s)


def _binary(s: Setting) -> bool:
    """Whether a binary product is rounded, clamped to a range that its arithmetic holds, and the zero point added."""
    held = _small(s) or (s.product != "binary32" and s.bits < 32)
    return s.takes_scale and s.narrowing == "exact" and s.overflow == "saturate" and _zero_follows(s) and held


def _sixteen_bits(s: Setting) -> bool:
    usual = (s.product, s.tie, s.narrowing, s.zero_point) == ("exact", "up", "saturate16", "after_rounding")
    return s.pre_shift != "none" and usual and _clamps(s)


def _product53(s: Setting) -> bool:
    plain = s.pre_shift == s.high_half == "none" and s.narrowing == "exact" and _zero_follows(s)
    return (s.product, s.tie) == ("binary53", "even") and plain and _clamps(s)


def _double(s: Setting) -> bool:
    """Whether the product is cut off at 2^31 before the second rounding, and no shift to the left loses bits unseen."""
    two = s.product == "exact" and s.high_half != "none" and s.pre_shift == "none"
    usual = s.tie in ("up", "away") and s.zero_point != "before_product" and not s.narrowing.startswith("saturate")
    return two and usual and (s.left_shift == "wrap32" or s.bounded or not s.shifts_left) and _clamps(s)


def _double_right(s: Setting) -> bool:
    return _double(s) and s.shifts_right and not s.shifts_left and (_small(s) or s.narrowing == "exact")


def _single(s: Setting) -> bool:
    """Whether an exact product is rounded once."""
    narrowed_twice = s.narrowing.startswith("saturate") and s.zero_point == "after_rounding"
    one = s.product == "exact" and s.pre_shift == s.high_half == "none"
    return one and not narrowed_twice and _clamps(s)


def _single_in_64_bits(s: Setting) -> bool:
    """Whether one rounding needs no narrowing: the result is exact, or short as the product is shifted far enough."""
    short = s.narrowing == "exact" or (s.narrowing == "wrap32" and s.drops_half and _small(s))
    usual = s.zero_point != "before_product" and s.accumulator_bits == 32 and s.shifts_right
    return short and usual and _single(s)


PATHS: tuple[tuple[str, Callable[[Setting], bool]], ...] = (
    ("binary64_sum", lambda s: _binary_sum(s) and (s.product, s.tie) == ("binary64", "even")),
    ("binary32_sum", _binary32_sum),
    ("binary32_even", lambda s: _binary(s) and (s.product, s.tie) == ("binary32", "even")),
    ("binary32_floor_half", lambda s: _binary(s) and (s.product, s.tie) == ("binary32", "up_binary32")),
    ("binary64_even", lambda s: _binary(s) and (s.product, s.tie) == ("binary64", "even")),
    ("binary64_away", lambda s: _binary(s) and (s.product, s.tie) == ("binary64", "away")),
    ("sixteen_bits", _sixteen_bits),
    ("product53_even", _product53),
    ("double_right", _double_right),
    ("double", _double),
    ("single_up", lambda s: _single_in_64_bits(s) and s.tie == "up"),
    ("single_away", lambda s: _single_in_64_bits(s) and s.tie == "away"),
    ("single_even", lambda s: _single_in_64_bits(s) and s.tie == "even"),
    ("single", _single),
)
"""The name of a scalar, and when it computes what is asked."""


def fast_scalar(scheme: RequantizeScheme, rows: Array, target: Scalar) -> str:
    """The first scalar that applies to lowered parameters, "" where only the plain kernels do."""
    if rows.shape[1] == 1:  # NumPy's reductions cost more than all the rest here
        left, right = rows.item(at.LEFT, 0), rows.item(at.RIGHT, 0)
    else:
        left, right = int(rows[at.LEFT].max()), int(rows[at.RIGHT].min())
    shifts = left > 0, right > 0, right > DROPPED
    return _first(Setting._make((*_OF_SCHEME(scheme), target.bits, target.signed, *shifts)))


@lru_cache(maxsize=256)
def _first(setting: Setting) -> str:
    return next((name for name, applies in PATHS if applies(setting)), "")

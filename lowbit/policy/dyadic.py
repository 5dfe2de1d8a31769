"""Exact dyadic numbers: a multiplier over a power of two. Standard library only."""

from __future__ import annotations

import contextlib
import operator
from dataclasses import dataclass
from fractions import Fraction

from lowbit.errors import InputError
from lowbit.exact import Exact, finite, floor_log2
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme

SMALLEST_BINARY64_EXPONENT = -1074  # of a subnormal number
LARGEST_BINARY64_EXPONENT = 1023


@dataclass(frozen=True)
class Dyadic:
    """The exact number ``multiplier * 2**-shift``, the scale of integer-only inference (HAWQ-V3, section 3.1).

    Sums, differences and products of dyadic numbers and integers are exact; comparisons compare the numbers. Integers
    are Python's or NumPy's. ``float`` rounds to nearest, ties to even.

    Attributes
    ----------
    multiplier, shift : int

    Raises
    ------
    InputError
        A part or an operand is not an integer, or ``float`` is asked of a number beyond binary64.

    Examples
    --------
    >>> Dyadic(3, 2) + 1
    Dyadic(multiplier=7, shift=2)
    >>> Dyadic.from_float(0.3, scheme="xnnpack_rndnu")
    Dyadic(multiplier=10066330, shift=25)
    """

    multiplier: int
    shift: int

    def __post_init__(self) -> None:
        for name in ("multiplier", "shift"):
            value: object = getattr(self, name)
            whole = _whole(value)
            if whole is None:
                raise InputError(f"{name} = {value!r} is not an integer")
            object.__setattr__(self, name, whole)

    @classmethod
    def from_float(cls, scale: float, *, scheme: RequantizeScheme | str = "tosa_single") -> Dyadic:
        """The dyadic number that a scheme's product takes for a scale.

        Raises
        ------
        InputError
            As for :func:`derive_multiplier`.
        """
        scheme = get_requantize_scheme(scheme)
        multiplier, shift = derive_multiplier(scale, scheme)
        return cls(multiplier, shift if scheme.takes_scale else scheme.right_shift(shift))

    @property
    def fraction(self) -> Fraction:
        """The number as a fraction."""
        return Fraction(self.multiplier) / Fraction(2) ** self.shift

    @property
    def exact(self) -> Exact:
        """The number as an exact value, the form that formats encode and decode."""
        return finite(self.multiplier, -self.shift)

    def reduced(self) -> Dyadic:
        """The same number with an odd multiplier, or zero."""
        if self.multiplier == 0:
            return Dyadic(0, 0)
        twos = (self.multiplier & -self.multiplier).bit_length() - 1
        return Dyadic(self.multiplier >> twos, self.shift - twos)

    def __mul__(self, other: Dyadic | int) -> Dyadic:
        other = _dyadic(other)
        return Dyadic(self.multiplier * other.multiplier, self.shift + other.shift)

    def __add__(self, other: Dyadic | int) -> Dyadic:
        other = _dyadic(other)
        shift = max(self.shift, other.shift)
        total = (self.multiplier << (shift - self.shift)) + (other.multiplier << (shift - other.shift))
        return Dyadic(total, shift)

    def __bool__(self) -> bool:
        return self.multiplier != 0

    def __abs__(self) -> Dyadic:
        return Dyadic(abs(self.multiplier), self.shift)

    def __neg__(self) -> Dyadic:
        return Dyadic(-self.multiplier, self.shift)

    def __sub__(self, other: Dyadic | int) -> Dyadic:
        return self + -_dyadic(other)

    def __rsub__(self, other: int) -> Dyadic:
        return _dyadic(other) - self

    __rmul__ = __mul__
    __radd__ = __add__

    def __eq__(self, other: object) -> bool:
        whole = _whole(other)
        if whole is not None:
            return self.fraction == whole
        return self.fraction == other.fraction if isinstance(other, Dyadic) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.fraction)

    def __lt__(self, other: Dyadic | int) -> bool:
        return self.fraction < _dyadic(other).fraction

    def __le__(self, other: Dyadic | int) -> bool:
        return self.fraction <= _dyadic(other).fraction

    def __gt__(self, other: Dyadic | int) -> bool:
        return self.fraction > _dyadic(other).fraction

    def __ge__(self, other: Dyadic | int) -> bool:
        return self.fraction >= _dyadic(other).fraction

    def __float__(self) -> float:
        leading = floor_log2(self.exact) if self.multiplier else 0
        if leading < SMALLEST_BINARY64_EXPONENT - 1:
            return -0.0 if self.multiplier < 0 else 0.0
        if leading <= LARGEST_BINARY64_EXPONENT:
            with contextlib.suppress(OverflowError):  # of a number that rounds to 2^1024
                return float(self.fraction)
        raise InputError(f"a number of about 2^{leading} is beyond binary64", hint="its attribute fraction is exact")


def _whole(value: object) -> int | None:
    """A Python or NumPy integer as an int; None for anything else, truth values included."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _dyadic(value: Dyadic | int) -> Dyadic:
    if isinstance(value, Dyadic):
        return value
    whole = _whole(value)
    if whole is None:
        raise InputError(f"{value!r} is neither a Dyadic nor an integer", hint="Dyadic(multiplier, shift), say")
    return Dyadic(whole, 0)

"""The shift that makes a result, and the ways to round it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lowbit.check.nonlinear.mutant import Bug, Change, Mutant, mutant
from lowbit.nonlinear.binary32 import binary32
from lowbit.nonlinear.ibert import gelu_constants
from lowbit.vectors.nonlinear.rule import Nonlinearity
from lowbit.vectors.nonlinear.twin import twin


@dataclass(frozen=True)
class LastShift:
    """The shift that makes a result: which intermediate is shifted into which, by how much, and what is added."""

    before: str
    after: str
    shift: Callable[[Mutant], int]
    offset: int = 0
    limits: tuple[int, int] | None = None
    signed_by_code: bool = False
    """Whether what is shifted first gets the sign of the code."""


def last_shift(made: Nonlinearity) -> LastShift | None:
    """The last rounding of a scheme, where it is a shift."""
    widths = twin(made).widths
    bits = widths.steps[-1].bits
    scheme = made.scheme
    if made.operation == "softmax":
        if scheme in ("ivit", "ibert") and made.variant != ("paper" if scheme == "ibert" else ""):
            width = bits if made.bits is None else made.bits
            return LastShift("product", "result", lambda _: 32 - width)
        if scheme == "tflite_int8":
            low = -(1 << (bits - 1))
            return LastShift("probability", "result", lambda m: m.last["exponent"], low, (low, -low - 1))
        if scheme.endswith("int16"):
            limits = None if scheme == "cmsis_int16" else (0, 32767)
            return LastShift("product", "result", lambda m: m.last["sum"].bit_length() - 1, 0, limits)
        if scheme == "lowbit":
            top = (1 << (bits - 1)) - 1
            return LastShift(
                "product", "result", lambda m: 61 + m.last["sum"].bit_length() - 31 - (bits - 1), 0, (0, top)
            )
    if (made.operation, scheme) == ("gelu", "ivit"):
        return LastShift("product", "sigmoid", lambda _: 24)
    if (made.operation, scheme) == ("gelu", "ibert"):
        shift = gelu_constants(binary32(float(made.scale or 0)), made.variant).shift
        return LastShift("polynomial", "erf", lambda _: shift, signed_by_code=True) if shift else None
    if made.operation == "layernorm" and scheme in ("ivit", "ibert"):
        return LastShift("product", "result", lambda _: 1)
    if scheme == "tflite_int8" and made.operation in ("logistic", "tanh"):
        places, offset = (23, -128) if made.operation == "logistic" else (24, 0)
        return LastShift("function", "result", lambda _: places, offset, (-128, 127))
    return None


def _half_even(value: int, shift: int) -> int:
    down, rest = value >> shift, value & ((1 << shift) - 1)
    return down + (2 * rest > 1 << shift or (2 * rest == 1 << shift and down % 2 == 1))


ROUNDINGS: Mapping[str, tuple[str, Callable[[int, int], int]]] = {
    "floor": ("down (a plain shift)", lambda value, shift: value >> shift),
    "half_up": ("half up", lambda value, shift: (value + (1 << shift >> 1)) >> shift),
    "away": (
        "half away from zero",
        lambda value, shift: (1 if value >= 0 else -1) * ((abs(value) + (1 << shift >> 1)) >> shift),
    ),
    "toward_zero": ("toward zero", lambda value, shift: (1 if value >= 0 else -1) * (abs(value) >> shift)),
    "even": ("half to even", _half_even),
    "up": ("up", lambda value, shift: -(-value >> shift)),
}


def rounding_bugs(made: Nonlinearity) -> Iterator[Bug]:
    """The last shift with every rounding, saturating and wrapping."""
    found = last_shift(made)
    if found is None:
        return

    def change(rounding: Callable[[int, int], int], wrap: bool) -> Change:
        def rounded(value: int, m: Mutant) -> int:
            before = m.last.pop(found.before, None)
            if before is None:  # a code so far below the maximum that nothing is shifted
                return value
            if found.signed_by_code:
                before *= (m.code > 0) - (m.code < 0)
            new = rounding(before, max(0, found.shift(m))) + found.offset
            if found.limits is None or wrap:
                return new
            return min(max(new, found.limits[0]), found.limits[1])

        return rounded

    for name, (words, rounding) in ROUNDINGS.items():
        yield mutant(name, f"rounds {found.after} {words}", {found.after: change(rounding, wrap=False)})
    if found.limits is not None:
        for name, (words, rounding) in ROUNDINGS.items():
            text = f"wraps {found.after} instead of saturating it, and rounds it {words}"
            yield mutant(f"{name}_wrapped", text, {found.after: change(rounding, wrap=True)})

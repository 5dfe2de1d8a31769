"""The shift that makes a result, and the ways to round it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from lowbit.check.nonlinear.mutant import Bug, Change, Mutant, mutant
from lowbit.vectors.nonlinear.rule import Nonlinearity


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
    last = made.record.last_rounding(made.parameters)
    if last is None:
        return

    def change(rounding: Callable[[int, int], int], wrap: bool) -> Change:
        def rounded(value: int, m: Mutant) -> int:
            before = m.last.pop(last.before, None)
            if before is None:  # a code so far below the maximum that nothing is shifted
                return value
            if last.signed_by_code:
                before *= (m.code > 0) - (m.code < 0)
            new = rounding(before, max(0, last.count(m.last))) + last.offset
            if last.limits is None or wrap:
                return new
            return min(max(new, last.limits[0]), last.limits[1])

        return rounded

    for name, (words, rounding) in ROUNDINGS.items():
        yield mutant(name, f"rounds {last.after} {words}", {last.after: change(rounding, wrap=False)})
    if last.limits is not None:
        for name, (words, rounding) in ROUNDINGS.items():
            text = f"wraps {last.after} instead of saturating it, and rounds it {words}"
            yield mutant(f"{name}_wrapped", text, {last.after: change(rounding, wrap=True)})

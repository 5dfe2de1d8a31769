"""How numbers are shown on their way to a code: rounding with its neighbours, scales that are powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lowbit.cli.bits import painted
from lowbit.cli.terminal import Terminal
from lowbit.exact import FINITE, Exact, floor_log2, format_decimal, format_exact, format_value, from_fraction
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.oracle.block.encode import levels
from lowbit.oracle.block.explain import ScaleStep
from lowbit.oracle.cast.explain import Explanation
from lowbit.policy.block import RATIO_RULES, BlockPolicy

DIGITS = (6, 9, 17)
"""Significant digits: as many as are needed."""

Row = tuple[str, str, str]
"""A name, a value or a rule, and what is to be said of it."""


def rounding_rows(fmt: Scalar, trace: Explanation) -> list[Row]:
    """The neighbours of what is rounded and the midpoint between them; nothing where it is one of them."""
    upper = ("above", trace.upper, trace.upper_code)
    lower = ("below", trace.lower, trace.lower_code)
    if trace.lower is None or trace.upper is None or trace.lower_code != trace.upper_code:
        return [_neighbour(fmt, upper), *_midpoint(trace), _neighbour(fmt, lower)]
    return []


def write_rows_of_trace(page: Terminal, rows: Sequence[Row], indent: str = "") -> None:
    """Rows in columns; those without a value are left out."""
    width = max((len(text) for _, text, more in rows if more), default=0)
    for name, text, more in rows:
        if text:
            page.write(f"{indent}{page.paint(name.ljust(10), 'cyan')}{text.ljust(width)}  {more}")


def code_and_bits(fmt: Scalar, code: int, page: Terminal | None = None) -> str:
    """A code in hexadecimal and in bits."""
    bits = fmt.split(code) if page is None else painted(code, fmt, page)
    return f"{fmt.hexadecimal(code)}  {bits}"


def _neighbour(fmt: Scalar, neighbour: tuple[str, Exact | None, int | None]) -> Row:
    """A row of the trace; empty where there is no neighbour on that side."""
    name, value, code = neighbour
    if value is None or code is None:
        return name, "", ""
    return name, format_value(value), code_and_bits(fmt, code)


def _midpoint(trace: Explanation) -> list[Row]:
    if trace.midpoint is None:
        return []
    difference = trace.rounded_from.fraction() - trace.midpoint.fraction()
    side = f"the value lies {'above' if difference > 0 else 'below'}" if difference else "exactly here: a tie"
    return [("midpoint", format_value(trace.midpoint), side)]


def is_power(step: ScaleStep) -> bool:
    """Whether a rule gives a power of two: not for a block of zeros, or with NaN or infinity."""
    return step.compared.kind == FINITE and step.compared.significand != 0


def power_rows(step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy, largest: str) -> tuple[list[Row], str]:
    """The rows between the maximum and the scale, and the scale as a power; ``largest``: the largest element."""
    rule, value, rows = policy.scale_rule, step.compared, list[Row]()
    coarser, ratio = levels(fmt)[1], rule in RATIO_RULES
    if ratio or coarser:
        steps = "" if policy.arithmetic == "exact" else f", each step in {policy.arithmetic}"
        over = "".join(f" {'*' if field.role == 'divide' else '/'} {field.name}" for field in coarser)
        rows.append(("ratio", short(value), "maximum" + f" / {largest}" * ratio + over + steps))
    if rule == "even":
        bits = fmt.number.precision
        value = _rounded(value, bits)
        rows.append(("rounded", short(value), f"to {bits} bit{'s' * (bits != 1)}, a tie to even"))
    power, low, high = _exponent(value, rule)
    closed = "< {} <=" if rule in ("ceil", "rceil") else "<= {} <"
    rows.append(("exponent", str(power), f"{low[1]} {closed.format(_between(value, low[0], high[0]))} {high[1]}"))
    if ratio:
        return rows, f"2^{power}"
    own = fmt.number.max_exponent
    rows.append(("element", str(own), f"2^{own} <= {format_decimal(fmt.number.max)} < 2^{own + 1}, the largest one"))
    terms = f"{power} - {own}" + f" - {fmt.headroom}" * bool(fmt.headroom)
    if rule == "tosa":
        quotient = from_fraction(value.fraction() / Fraction(2) ** (power - own))
        more = step.unrounded.fraction() > Fraction(2) ** (power - own - fmt.headroom)
        side = f"rounded beyond {largest}: one more" if more else f"not rounded beyond {largest}"
        rows.append(("quotient", short(quotient), f"{short(value)} / 2^({power} - {own}), {side}"))
        terms += " + 1" * more
    return rows, f"2^({terms})"


def _rounded(value: Exact, bits: int) -> Exact:
    unit = Fraction(2) ** (floor_log2(value) - bits + 1)
    return from_fraction(round(value.fraction() / unit) * unit)


Bound = tuple[Fraction, str]
"""A number, and how it is written."""


def _exponent(value: Exact, rule: str) -> tuple[int, Bound, Bound]:
    """The exponent that the rule gives a number, and the ends of the numbers that it gives it to."""
    power = floor_log2(value)
    above = value.fraction() / Fraction(2) ** power
    if rule in ("ceil", "rceil"):
        power += above > 1
        return power, (Fraction(2) ** (power - 1), f"2^{power - 1}"), (Fraction(2) ** power, f"2^{power}")
    if rule == "nearest":
        power += above >= Fraction(3, 2)
        unit = Fraction(2) ** power
        return power, (unit * 3 / 4, f"3/4 * 2^{power}"), (unit * 3 / 2, f"3/2 * 2^{power}")
    return power, (Fraction(2) ** power, f"2^{power}"), (Fraction(2) ** (power + 1), f"2^{power + 1}")


def _between(value: Exact, low: Fraction, high: Fraction) -> str:
    """A number in as many digits as show on which side of two others it lies."""
    for text in (format_decimal(value, digits=digits) for digits in DIGITS):
        if "*" not in text and _sides(Fraction(text.lstrip("~")), low, high) == _sides(value.fraction(), low, high):
            return text
    return format_exact(value)


def _sides(number: Fraction, *others: Fraction) -> list[int]:
    return [(number > other) - (number < other) for other in others]


def short(value: Exact) -> str:
    """A number in six digits."""
    return format_decimal(value, digits=DIGITS[0])

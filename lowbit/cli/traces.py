"""How the rounding of one number is shown: neighbours, midpoint, rule, result."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.cli.bits import painted
from lowbit.cli.terminal import Terminal
from lowbit.exact import Exact, format_value
from lowbit.format.protocol import Scalar
from lowbit.oracle.cast.explain import Explanation

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

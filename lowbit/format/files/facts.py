"""The figures of a format that its source prints (``[facts]``), checked against those that its fields imply."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from lowbit.errors import FormatError
from lowbit.exact import Exact, format_exact, parse_exact
from lowbit.format.files.formula import evaluate
from lowbit.format.protocol import Element

NONE = "none"
"""How a file says that there is no such value: no infinity, no subnormal number."""


MEANINGS: Mapping[str, str] = {
    "max": "largest finite value",
    "min": "lowest finite value",
    "min_normal": "smallest positive normal value",
    "max_subnormal": "largest subnormal value",
    "min_subnormal": "smallest positive subnormal value",
    "smallest": "smallest positive value",
    "max_exponent": "exponent of the largest finite value (emax)",
    "min_exponent": "exponent of the smallest normal value (emin)",
    "precision": "significant bits of a normal value",
    "nan_codes": "number of NaN codes",
    "infinity_codes": "number of codes of infinities",
    "finite_values": "number of distinct finite values (-0 and +0 are one)",
    "vectors": "number of vectors",
    "dimension": "numbers of a vector",
}
"""Every fact that a file may state."""


def derive(fmt: Element) -> dict[str, str]:
    """Every figure of :data:`MEANINGS` that applies to a format, from its fields, printed exactly."""
    return {name: _print(figure) for name, figure in fmt.figures.items()}


def check_facts(fmt: Element, facts: Mapping[str, str]) -> None:
    """Raise FormatError for the first fact that does not follow from the fields of the format."""
    derived = derive(fmt)
    for name, text in facts.items():
        if name not in derived:
            raise FormatError(
                f"facts.{name} is not a figure of a {fmt.kind} format", hint=f"known are {', '.join(derived)}"
            )
        if parse_fact(text, f"facts.{name}") != parse_fact(derived[name], name):
            raise FormatError(
                f"facts.{name} = {text!r}, but the fields of {fmt.id!r} give {derived[name]}",
                hint="either the fact is copied wrongly or a field (bits, bias, specials) is",
            )


def parse_fact(text: str, where: str) -> Fraction | None:
    """The value of a fact: any notation of ``parse_exact``, a formula, or ``none``."""
    if text == NONE:
        return None
    try:
        return parse_exact(text).fraction()
    except ValueError:
        pass
    try:
        return evaluate(text)
    except FormatError as error:
        raise FormatError(
            f"{where} = {text!r} is not an exact number",
            hint="write 448, 2^-9, 7/4*2^8, (2 - 2^-10) * 2^15, or none",
        ) from error


def _print(figure: Exact | int | None) -> str:
    if figure is None:
        return NONE
    return format_exact(figure) if isinstance(figure, Exact) else str(figure)

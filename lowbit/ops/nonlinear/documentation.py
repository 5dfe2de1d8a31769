"""The docstrings of the public functions: what they share is told here once, and written into each of them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TypeVar

from lowbit.nonlinear.scheme import OPERATIONS, schemes
from lowbit.ops.docstrings import docstring_of, entries_of, listed, sections_of

Function = TypeVar("Function", bound=Callable[..., object])

SHARED = {
    "codes": """\
codes : array_like of int
    Quantised inputs of any shape and any integer dtype that the scheme takes; int8 takes the fast path.""",
    "variant": """\
variant : str, optional
    Where a paper and its codes, or the builds of a product, differ: see the scheme. The default is the first.""",
    "scale": """\
scale : float
    The real value of one unit of a code, for the schemes that depend on it.""",
    "overflow": """\
overflow : {"wrap", "saturate", "trap"}
    What an intermediate beyond its declared width becomes; "trap" raises an error that names the first one.""",
    "axis": """\
axis : int
    The axis that is normalised.""",
    "bits": """\
bits : int, optional
    Width of the result, where the scheme leaves a choice.""",
    "return_scale": """\
return_scale : bool
    Also return the real value of one unit of the result.""",
    "return_values": """\
return_values : bool
    Also return what the results are worth, zero point and scale applied.""",
    "out": """\
out : ndarray, optional
    Where the result goes: of its dtype and shape.""",
    "threads": """\
threads : int
    How many threads share the work; the bits are the same for any number.""",
    "options": """\
**options
    Further arguments of the scheme.""",
    "raises": """\
InputError
    An unknown scheme, variant or option; codes that the scheme does not take; empty or too long rows; a scale that
    is zero, negative, NaN or out of the scheme's range.
IntermediateOverflowError
    Under ``overflow="trap"``: the first intermediate that does not fit its declared width.""",
}
"""What a parameter is where a function does not say it itself, and what all raise."""


def documented(function: Function) -> Function:
    """Add to the docstring of an operation what it shares with others: parameters, its schemes, what it raises."""
    if function.__doc__ is not None:  # it is under python -OO
        summary, sections = sections_of(function.__doc__)
        told = entries_of(sections.pop("Parameters", ""))
        texts = {"scheme": _schemes(function.__name__), **SHARED, **told}
        parameters = "\n".join(texts[name] for name in signature(function).parameters)
        sections = {"Parameters": parameters, "Returns": sections.pop("Returns"), "Raises": texts["raises"], **sections}
        function.__doc__ = docstring_of(summary, sections)
    return function


def _schemes(operation: str) -> str:
    lines = []
    for record in schemes(operation).values():
        names = [f'"{variant}"' for variant in record.variants if variant]
        variants = f" (variants {', '.join(names)})" if names else ""
        default = ", the default" if record.id == OPERATIONS[operation].scheme else ""
        lines.append(f'"{record.id}"{default}: {record.summary}{variants}.')
    return f"scheme : str\n{listed(lines)}"

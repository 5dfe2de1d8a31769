"""The docstrings of the public functions: what they share is told here once, and written into each of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import fill, indent
from typing import TypeVar

from lowbit.nonlinear.scheme import OPERATIONS, schemes

Function = TypeVar("Function", bound=Callable[..., object])
WIDTH = 112

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
"""A line ``{name}`` of a docstring becomes this."""


def documented(function: Function) -> Function:
    """Write what all share into the docstring of an operation, and its schemes with what they are."""
    if function.__doc__ is not None:  # it is under python -OO
        texts = {"scheme": _schemes(function.__name__), **SHARED}
        function.__doc__ = re.sub(
            r"^( *)\{(\w+)\}$", lambda line: indent(texts[line[2]], line[1]), function.__doc__, flags=re.MULTILINE
        )
    return function


def _schemes(operation: str) -> str:
    lines = ["scheme : str"]
    for record in schemes(operation).values():
        names = [f'"{variant}"' for variant in record.variants if variant]
        variants = f" (variants {', '.join(names)})" if names else ""
        default = ", the default" if record.id == OPERATIONS[operation].scheme else ""
        text = f'- "{record.id}"{default}: {record.summary}{variants}.'
        lines.append(indent(fill(text, WIDTH, subsequent_indent="  "), "    "))
    return "\n".join(lines)

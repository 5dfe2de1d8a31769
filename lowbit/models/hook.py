"""The hook of a forward pass: every operation goes through it, so that one source serves float and quantised runs.

A forward calls ``apply(kind, name, function, *inputs)`` where it computes: what sort of operation, the name that its
parameters and its result have in the model, the function of the inputs, and these. An array that one call has returned
goes unchanged into the next ones, so what lies between is known; operations inside ``function`` are its own parts.
Options of an operation that its parameters do not tell, strides say, are keywords of a ``functools.partial``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Apply = Callable[..., Any]


def plainly(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
    """The operation as it is."""
    del kind, name
    return function(*inputs)

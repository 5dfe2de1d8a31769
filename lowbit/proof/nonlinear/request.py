"""Checks of what an audit is asked for."""

from __future__ import annotations

from dataclasses import replace

from lowbit.errors import InputError
from lowbit.nonlinear.binary32 import binary32
from lowbit.proof.nonlinear.span import Span, of_bits
from lowbit.proof.nonlinear.subject import Request

MOST_CODES = 1 << 17
"""Input ranges up to this size are gone through code by code."""


def chosen_variant(request: Request, variants: tuple[str, ...]) -> str:
    """The variant, or the scheme's default."""
    if not request.variant:
        return variants[0]
    if request.variant not in variants:
        raise InputError(
            f"{request.operation} under {request.scheme} has no variant {request.variant!r}",
            hint=f"one of: {', '.join(variants)}",
        )
    return request.variant


def code_span(request: Request, bits: int, *, fixed: bool = False) -> Span:
    """The input codes: those given, or all of the scheme's signed input type.

    Parameters
    ----------
    fixed : bool
        Whether the scheme takes this type only.
    """
    own = of_bits(bits)
    if request.inputs is None:
        return own
    if fixed and not own.holds(request.inputs):
        raise InputError(f"{request.scheme} takes int{bits} codes, not {request.inputs}")
    if request.inputs.size > MOST_CODES:
        raise InputError(
            f"inputs from {request.inputs} are more than {MOST_CODES:,} codes, which are gone through one by one"
        )
    return request.inputs


def positive_scale(request: Request) -> float:
    """The scale as binary32."""
    if request.scale is None:
        raise InputError(f"{request.operation} under {request.scheme} depends on the scale", hint="scale=0.05, say")
    try:
        value = float(request.scale)
    except (TypeError, ValueError) as error:
        raise InputError(f"scale = {request.scale!r} is not a number") from error
    if not 0 < value < float("inf") or not 0 < (rounded := binary32(value)) < float("inf"):
        raise InputError(f"scale = {request.scale!r} is not a positive, finite binary32 number")
    return rounded


def refuse_options(request: Request, *known: str) -> None:
    """Options that the scheme does not have are errors."""
    for name in request.options:
        if name not in known:
            listed = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InputError(f"{request.operation} under {request.scheme} has no option {name!r}", hint=listed)


def negative_codes(request: Request) -> Span:
    """Codes of an exponential, which must not be positive: those given, or from -255, int8's widest difference."""
    inputs = request.inputs or Span(-255, 0)
    if inputs.high > 0:
        raise InputError(f"inputs from {inputs}: {request.operation} takes codes that are not positive")
    return code_span(replace(request, inputs=inputs), 8)


def whole_option(request: Request, name: str, low: int, high: int, default: int) -> int:
    """An integer option within limits."""
    value = request.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name} = {value!r} is not a whole number from {low} to {high}")
    return value

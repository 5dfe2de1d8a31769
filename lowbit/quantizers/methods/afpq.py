"""AFPQ: floating-point elements with a scale for each sign, alone or inside GPTQ and AWQ."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.quantizers.method import Method, methods
from lowbit.quantizers.weight import QuantizedWeight

INSIDE = {"alone": "round_to_nearest", "gptq": "gptq", "awq": "awq"}


def afpq(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "float4_e2m1fn.g128.by_sign",
    variant: str = "alone",
    **options: Any,
) -> QuantizedWeight:
    """Quantise with a scale for the positive and one for the negative weights of each block.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        For "gptq" and "awq".
    to : str or BlockFormat
        A format with scales by sign.
    **options
        What the method inside takes.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        The format has one scale for both signs.

    Notes
    -----
    Source: Zhang et al., "AFPQ", ACL Findings 2024 (arXiv 2311.01792); zhangsichengsjtu/AFPQ at 55498d2.

    Examples
    --------
    >>> afpq([[6.0, 1.0, -0.3, -0.1]], to="float4_e2m1fn.channel.by_sign").dequantize()[0, :2].tolist()
    [6.0, 1.0]
    """
    fmt = block_format_of(to)
    if not fmt.by_sign:
        raise InputError(f"{fmt.id} has one scale for both signs", hint=f"{fmt.id}.by_sign, for example")
    result: QuantizedWeight = methods()[INSIDE[variant]].quantize(weights, activations, to=fmt, **options)
    return result


METHOD = Method(
    name="afpq",
    quantize=afpq,
    title="a scale for each sign",
    source="Zhang et al., ACL Findings 2024 (arXiv 2311.01792); zhangsichengsjtu/AFPQ 55498d2",
    variants={"alone": "round to nearest", "gptq": "with error feedback", "awq": "with scaled inputs"},
    needs_activations=False,
    to="float4_e2m1fn.g128.by_sign",
)

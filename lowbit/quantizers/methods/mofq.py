"""MoFQ: of some formats of equal size, the one with the smallest error, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.round_to_nearest import round_to_nearest
from lowbit.quantizers.weight import QuantizedWeight


def mofq(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike | Sequence[FormatLike] = ("int4.g32", "float4_e2m1fn.g32"),
    variant: str = "tensor",
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Round to nearest in each format, and keep the one with the smallest squared error.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        For the variant "output".
    to : sequence of str or BlockFormat
        In order of preference: the first of equal ones is kept.

    Returns
    -------
    QuantizedWeight
        ``report["errors"]`` has the relative error of each format.

    Raises
    ------
    InputError
        There are no formats, or activations are missing.

    Notes
    -----
    Source: Zhang et al., "Integer or Floating Point? New Outlooks for Low-Bit Quantization on Large Language Models"
    (arXiv 2305.12356), section 4: the format of each layer is the one with the smaller error at equal bits.

    Examples
    --------
    >>> mofq([[1.0, 0.5, 4.0, 6.0]], to=["int4.channel", "float4_e2m1fn.channel"]).tensor.format.element.id
    'float4_e2m1fn'
    """
    choices = [to] if isinstance(to, str) or not isinstance(to, Sequence) else list(to)
    if not choices:
        raise InputError("mofq has no formats to choose from", hint='to=("int4.g32", "float4_e2m1fn.g32")')
    if variant == "output" and activations is None:
        raise InputError("the variant 'output' needs activations", hint="rows that go into the layer")
    results = {block_format_of(fmt).id: round_to_nearest(weights, to=fmt, policy=policy) for fmt in choices}
    rows = activations if variant == "output" else None
    errors = {name: result.error(weights, rows) for name, result in results.items()}
    best = results[min(errors, key=errors.__getitem__)]
    return QuantizedWeight(best.tensor, report={"errors": errors})


METHOD = Method(
    name="mofq",
    quantize=mofq,
    title="the better of an integer and a floating-point format, layer by layer",
    source="Zhang et al. (arXiv 2305.12356)",
    variants={"tensor": "by the error of the weights", "output": "by the error of the outputs"},
    needs_activations=False,
    to="int4.g32, float4_e2m1fn.g32",
    report={"errors": "the relative error of each format"},
)

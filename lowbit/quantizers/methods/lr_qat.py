"""LR-QAT: a low-rank adapter inside the rounding, so that it merges into the codes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.protocol import Scalar
from lowbit.format.types import FormatLike
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import adapter_product, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight

Singles = npt.NDArray[np.float32]

FLOATS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
STORED_BITS = 8
"""Of the fixed-point form of frozen weights: as many before the point as a code has, the others behind it."""


def lr_qat(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: FormatLike = "int4.channel",
    variant: str = "fixed_point",
    adapter: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    alpha: float | None = None,
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Freeze weights over their scale in a shorter form, add an adapter, and round the sum to codes.

    Parameters
    ----------
    to : str or BlockFormat
        Integers of 2 to 7 bits and one scale a block, without zero points.

    Returns
    -------
    QuantizedWeight
        The merged codes.

    Raises
    ------
    InputError
        The format has other elements or scales, or the adapter's shapes do not fit.

    Notes
    -----
    ``scale * clip(rint(form(W / scale) + alpha / rank A B))``: what training computes forward is what is merged, bit
    for bit. Fixed point rounds twice: without an adapter, codes differ from those of round to nearest on 1/32 of evenly
    spread weights with Q4.4. The official merge takes int8 before it clips, and wraps beyond 127, where forward
    does not. Source: Bondarenko et al., "Low-Rank Quantization-Aware Training for LLMs" (arXiv 2406.06385), section 4;
    Qualcomm-AI-research/lr-qat at 8795afe, quantization/hijacker.py.

    Examples
    --------
    >>> lr_qat([[7.0, 1.48, -1.48, 0.6]]).tensor.codes.tolist()
    [[7, 2, -2, 1]]
    >>> lr_qat([[7.0, 1.48, -1.48, 0.6]], adapter=([[1.0]], [[-3.0, 0.0, 0.0, 0.5]])).tensor.codes.tolist()
    [[4, 2, -2, 1]]
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    bits = fmt.element.bits
    if [field.role for field in fmt.scales] != ["multiply"] or not fmt.element.wraps or bits >= STORED_BITS:
        raise InputError(
            f"lr_qat works on integers of 2 to 7 bits with one scale, not on {fmt.id}", hint="int4.channel"
        )
    tensor, field = nearest(matrix, fmt, policy), fmt.scales[0]
    scale = spread(field_values(tensor.scale_codes(field.name), field), field, matrix.shape)
    ratio = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale != 0).astype(np.float32)
    added = adapter_product(adapter, matrix.shape, alpha).astype(np.float32)
    codes = rounded(frozen(ratio, variant, fmt.number), added, variant, fmt.number)
    scales = {field.name: tensor.scale_codes(field.name)}
    return QuantizedWeight(BlockTensor.trusted(fmt, 1, codes.astype(tensor.codes.dtype), scales))


def frozen(ratio: Singles, variant: str, element: Scalar) -> Singles:
    """Weights over their scale as the variant stores them, back in binary32: the paper's downcasting operator."""
    if variant in FLOATS:
        return ratio.astype(FLOATS[variant]).astype(np.float32)
    inside = np.clip(ratio, element.codes[0], element.codes[-1])
    steps = np.float32(1 << (STORED_BITS - element.bits if variant == "fixed_point" else 0))
    stored: Singles = np.rint(inside * steps) / steps
    return stored


def rounded(stored: Singles, added: Singles, variant: str, element: Scalar) -> Singles:
    """The codes of the sum, as whole numbers: forward multiplies them by the scale, merging stores them."""
    total = stored + np.rint(added) if variant == "integer" else np.rint(stored + added)
    codes: Singles = np.clip(total, element.codes[0], element.codes[-1])
    return codes


METHOD = Method(
    name="lr_qat",
    quantize=lr_qat,
    title="a low-rank adapter inside the rounding",
    source="Bondarenko et al. (arXiv 2406.06385); Qualcomm-AI-research/lr-qat 8795afe",
    variants={
        "fixed_point": "frozen weights have 8 bits, of which the code's stand before the point: Q4.4 for int4",
        "float16": "frozen weights in binary16",
        "bfloat16": "frozen weights in bfloat16",
        "float32": "frozen weights in binary32",
        "integer": "frozen weights are codes, and the adapter is rounded itself",
    },
    needs_activations=False,
    to="int4.channel",
    own={"alpha": Option("the adapter counts alpha over its rank times, once without", Numbers(), optional=True)},
    layer_alone="no adapter is given and nothing is trained: what shows is the rounding of the weights alone",
)

"""LR-QAT: a low-rank adapter inside the rounding, so that it merges into the codes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.format.types import FormatLike
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.scales import field_values
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import Doubles, activation_rows, adapter_product, weight_format, weight_matrix
from lowbit.quantizers.learned.adapters import LEARNED, Rounded, fresh, given, learn_adapter, rates
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight

Singles = npt.NDArray[np.float32]

FLOATS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
STORED_BITS = 8
"""Of the fixed-point form of frozen weights: as many before the point as a code has, the others behind it."""


def lr_qat(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.channel",
    variant: str = "fixed_point",
    adapter: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    alpha: float | None = None,
    policy: BlockPolicy | str | None = None,
    rank: int = 4,
    rate: float = 0.01,
    steps: int = 0,
    batch: int = 64,
    seed: int = 0,
) -> QuantizedWeight:
    """Freeze weights over their scale in a shorter form, add an adapter, and round the sum to codes.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        What the adapter and the scales are learned from, where there are steps.
    to : str or BlockFormat
        Integers of 2 to 7 bits and one scale a block, without zero points.

    Returns
    -------
    QuantizedWeight
        The merged codes. Where something was learned, ``report`` has it.

    Raises
    ------
    InputError
        The format has other elements or scales, the adapter's shapes do not fit, or there are steps and no activations.

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
        what = f"lr_qat works on integers of 2 to 7 bits with one scale, not on {fmt.id}"
        raise InputError(what, hint="int4.channel")
    product = adapter_product(adapter, matrix.shape)
    parts = given(adapter) if adapter is not None else fresh(matrix.shape, rank, seed)
    share = 1.0 if alpha is None else alpha / parts["left"].shape[1]
    rounding = frozen_layer(matrix, fmt, variant, policy, share)
    if not steps:
        return QuantizedWeight(rounding.tensor((share * product).astype(np.float32)))
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    result = learn_adapter(rounding, parts, Layer.of(matrix, rows), Settings(steps, seed, rates(rounding, rate)), batch)
    return QuantizedWeight(rounding.merged(result.learned), report=report_of(result))


def frozen_layer(
    matrix: Doubles, fmt: BlockFormat, variant: str, policy: BlockPolicy | str | None = None, share: float = 1.0
) -> Rounded:
    """A layer's weights as the variant freezes them, with what is learned beside them."""
    tensor, field = nearest(matrix, fmt, policy), fmt.scales[0]
    scale = spread(field_values(tensor.scale_codes(field.name), field), field, matrix.shape)
    ratio = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale != 0).astype(np.float32)
    return Rounded(tensor, frozen(ratio, variant, fmt.number), share, alone=variant == "integer")


def frozen(ratio: Singles, variant: str, element: Scalar) -> Singles:
    """Weights over their scale as the variant stores them, back in binary32: the paper's downcasting operator."""
    if variant in FLOATS:
        return ratio.astype(FLOATS[variant]).astype(np.float32)
    inside = np.clip(ratio, element.codes[0], element.codes[-1])
    steps = np.float32(1 << (STORED_BITS - element.bits if variant == "fixed_point" else 0))
    stored: Singles = np.rint(inside * steps) / steps
    return stored


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
    own={
        "alpha": Option("the adapter counts alpha over its rank times, once without", Numbers(), optional=True),
        **LEARNED,
    },
    report=REPORT,
    layer_alone="without steps=200, say, nothing is trained: what shows is the rounding of the weights alone",
)

"""Round to nearest: the baseline of every other method, with four ways to the range of a block."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import fitted
from lowbit.quantizers.inputs import weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import RANGES
from lowbit.quantizers.weight import QuantizedWeight


def round_to_nearest(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: FormatLike = "int4.g128",
    variant: str = "range",
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Every weight to the nearest value that the scale of its block allows.

    Parameters
    ----------
    to : str or BlockFormat
        ``"int4.g128"``: absmax; ``"int4.g128.asymmetric"``: minmax.
    variant : str
        "range": one call of ``lowbit.quantize``; "mse" and "norm_2.4": the range of each block is the one of 1, 0.99,
        ..., 0.21 times its own with the smallest sum of ``|error|^2`` or ``|error|^2.4``; "llm_compressor": the latter
        of 1, 0.99, ..., 0.81, in a search that ends after five in a row of which no block gains.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        A weight is not finite, or blocks do not divide the inputs.
    PolicyError
        The variant or the policy is unknown.

    Notes
    -----
    The range is symmetric where the format is. Errors are compared in binary64, in llm-compressor in the dtype of the
    weights. Sources: IST-DASLab/gptq 2d65066, quant.py (``mse=True``: 80 steps, norm 2.4); vllm-project/llm-compressor
    ab1ba3e, observers/mse.py (``observer="mse"``, of weights seen once).

    Examples
    --------
    >>> result = round_to_nearest([[0.7, -0.1, 0.35, 0.2]], to="int4.channel")
    >>> result.tensor.codes.tolist(), float(result.bits_per_weight)
    ([[7, -1, 4, 2]], 8.0)
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    return QuantizedWeight(fitted(matrix, fmt, variant, policy))


METHOD = Method(
    name="round_to_nearest",
    quantize=round_to_nearest,
    title="every weight to the nearest value under the scale of its block",
    source="the baseline of every paper; ranges: IST-DASLab/gptq 2d65066; vllm-project/llm-compressor ab1ba3e",
    variants=RANGES,
    needs_activations=False,
    to="int4.g128",
)

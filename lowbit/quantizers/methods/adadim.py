"""AdaDim: blocks along the inputs or along the outputs, whichever has the smaller error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.metrics import relative_squared_error
from lowbit.ops.block.quantize import quantize
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.inputs import activation_rows, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.objective import OutputError, scaled_gram
from lowbit.quantizers.weight import QuantizedWeight

AXES = {"outputs": 1, "inputs": 0}
"""Whose channel a block lies in -> the axis of the blocks."""


def adadim(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.g128.asymmetric",
    variant: str = "adaptive",
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Round to nearest with blocks inside an output channel or inside an input channel.

    Outliers of activations stand in few inputs: blocks inside an input channel keep them from the others.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs)
        For the error of the outputs; without them "adaptive" takes the error of the weights.

    Returns
    -------
    QuantizedWeight
        ``tensor.axis`` is the choice, ``report["errors"]`` the relative errors of both.

    Raises
    ------
    InputError
        Blocks do not divide the axis.

    Notes
    -----
    Source: Heo et al., "Rethinking Channel Dimensions to Isolate Outliers for Low-bit Weight Quantization of Large
    Language Models", ICLR 2024 (arXiv 2309.15531); johnheo/adadim-llm at 49ee38e.

    Examples
    --------
    >>> adadim([[9.0, 0.1], [9.0, -0.1]], to="int4.g2").tensor.axis
    0
    """
    matrix = weight_matrix(weights)
    results = {}
    for name in AXES if variant == "adaptive" else (variant,):
        fmt = weight_format(to, matrix.shape[AXES[name]], METHOD.name)
        results[name] = QuantizedWeight(quantize(matrix.astype("float32"), fmt, axis=AXES[name], policy=policy))
    values = {name: result.dequantize(dtype=np.float64) for name, result in results.items()}
    if activations is None:
        errors = {name: relative_squared_error(matrix, array) for name, array in values.items()}
    else:
        error = OutputError(scaled_gram(activation_rows(activations, matrix.shape[1], METHOD.name), activations).gram)
        errors = {name: error.relative(matrix, array) for name, array in values.items()}
    best = results[min(errors, key=errors.__getitem__)]
    return QuantizedWeight(best.tensor, report={"errors": errors})


METHOD = Method(
    name="adadim",
    quantize=adadim,
    title="blocks along the inputs or the outputs, by the smaller error",
    source="Heo et al., ICLR 2024 (arXiv 2309.15531); johnheo/adadim-llm 49ee38e",
    variants={
        "adaptive": "the better of both, outputs first",
        "outputs": "blocks inside an output channel (per-OC)",
        "inputs": "blocks inside an input channel (per-IC)",
    },
    needs_activations=False,
    to="int4.g128.asymmetric",
    report={"errors": "the relative error of blocks along each axis"},
)

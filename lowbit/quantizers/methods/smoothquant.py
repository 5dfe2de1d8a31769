"""SmoothQuant: what is hard to quantise moves from the activations into the weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.transform import Diagonal
from lowbit.quantizers.weight import QuantizedWeight

SMALLEST = 1e-5


def smoothquant(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int8.channel",
    variant: str = "paper",
    strength: float = 0.5,
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Scale inputs by ``max|x|^strength / max|w|^(1 - strength)`` and round to nearest.

    Parameters
    ----------
    weights : array_like, shape (outputs, inputs)
        Those of layers that read the same activations one below the other.

    Returns
    -------
    QuantizedWeight
        ``transform.scale`` multiplies the weights and divides the activations.

    Raises
    ------
    InputError
        The strength is not from 0 to 1, or shapes do not fit.

    Notes
    -----
    The scale is at least 1e-5, and so is the largest weight; in llm-compressor the scale of an input whose weights are
    all 0 is that of its activations. Beside the paper's its scales are 2^(2 strength - 1) times as large for inputs of
    both signs alike, 2^(strength - 1) times for inputs of one sign, as after a ReLU. Source: Xiao et al.,
    "SmoothQuant", ICML 2023 (arXiv 2211.10438), equation 4; mit-han-lab/smoothquant c61476d, smooth.py;
    vllm-project/llm-compressor 056daee, modifiers/smoothquant/base.py.

    Examples
    --------
    >>> result = smoothquant([[0.5, 0.25]], [[16.0, 1.0]], to="int8.channel", variant="power_of_two")
    >>> result.transform.scale.tolist()
    [4.0, 2.0]
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    if variant == "llm_compressor":
        span, largest = np.ptp(rows, axis=0), 2 * np.abs(matrix).max(axis=0)
    else:
        span, largest = np.abs(rows).max(axis=0), np.maximum(np.abs(matrix).max(axis=0), SMALLEST)
    scale: Doubles = np.where(largest > 0, span**strength / np.where(largest > 0, largest, 1) ** (1 - strength), span)
    scale = np.maximum(scale, SMALLEST)
    if variant == "power_of_two":
        scale = np.exp2(np.rint(np.log2(scale)))
    return QuantizedWeight(nearest(matrix * scale, fmt, policy), transform=Diagonal(scale))


METHOD = Method(
    name="smoothquant",
    quantize=smoothquant,
    title="outliers of activations moved into the weights",
    source="Xiao et al., ICML 2023 (arXiv 2211.10438); mit-han-lab/smoothquant c61476d",
    variants={
        "paper": "the largest magnitudes of activations and weights",
        "llm_compressor": "the span of the activations, and twice the largest weight",
        "power_of_two": "the paper's scale, its logarithm rounded to nearest even: no product changes",
    },
    needs_activations=True,
    joint=True,
    to="int8.channel",
    own={
        "strength": Option(
            "from 0 to 1, how much of the outliers of activations goes into the weights: 0.5 is usual", Numbers(0, 1)
        )
    },
    layer_alone="activations, which it makes easier to quantise, are not quantised: what shows is what that "
    "costs the weights",
)

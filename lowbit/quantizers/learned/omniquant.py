"""OmniQuant: the share of each block's range that its scale is made from is learned, not searched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.quantizers.inputs import activation_rows, weight_format, weight_matrix
from lowbit.quantizers.learned.clips import SIDES, LearnedClip
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.learned.settings import BATCH, STEPS
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight


def omniquant(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.g128.asymmetric",
    variant: str = "paper",  # noqa: ARG001 - all methods are called alike
    steps: int = 100,
    batch: int = 256,
    rate: float = 0.05,
    seed: int = 0,
) -> QuantizedWeight:
    """Learn how much of its range each block keeps, by the error of the layer's outputs, and round to nearest.

    Parameters
    ----------
    to : str or BlockFormat
        Integers with a scale, and a zero point or none.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        The format is another, what is learned diverges, or autograd is not installed.

    Notes
    -----
    Before the first step a block keeps 0.98201 of its range. Straight-through slopes, AdamW without decay, in binary32.
    The rate is five times that of the official code, which takes 2,560 steps of 2,048 rows.
    :mod:`lowbit.models.training.omniquant` learns the clips of a whole block of a model by the block's own outputs,
    and equivalent transformations with them. Source: Shao et al., "OmniQuant", ICLR 2024 (arXiv 2308.13137),
    section 3.2; OpenGVLab/OmniQuant 95fae1b, quantize/quantizer.py and quantize/omniquant.py.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> weights, rows = random.normal(size=(8, 32)), random.normal(size=(64, 32))
    >>> result = omniquant(weights, rows, to="int2.channel.asymmetric", steps=20)
    >>> result.report["after"] < result.report["before"]
    True
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    clip = LearnedClip(weight_format(to, matrix.shape[1], METHOD.name))
    single, settings = matrix.astype(np.float32), Settings(steps, seed, dict.fromkeys(SIDES, rate))
    result = Layer.of(matrix, rows).learn(
        lambda learned: clip.values(single, learned), clip.start(single), settings, batch=batch
    )
    return QuantizedWeight(clip.tensor(single, result.learned), report=report_of(result))


METHOD = Method(
    name="omniquant",
    quantize=omniquant,
    title="the range of each block learned on the output error",
    source="Shao et al., ICLR 2024 (arXiv 2308.13137); OpenGVLab/OmniQuant 95fae1b",
    variants={"paper": "the shares of both sides of each block's range are learned, as logistic functions"},
    needs_activations=True,
    to="int4.g128.asymmetric",
    own={
        "steps": STEPS,
        "batch": BATCH,
        "rate": Option("what AdamW moves the argument of a logistic function by in a step, about", Numbers(0)),
    },
    report=REPORT,
    layer_alone="the clips are learned by the outputs of the layer, not of its block, and nothing is transformed",
)

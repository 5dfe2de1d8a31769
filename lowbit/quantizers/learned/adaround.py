"""AdaRound: each weight goes to the value below or above it, learned; on the grid of any format, small floats first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import activation_rows, weight_format, weight_matrix
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.learned.settings import BATCH, STEPS
from lowbit.quantizers.learned.soft_rounding import Neighbours, power, share, soft_rounded, undecided
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.llm_fp4 import llm_fp4
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight

WARM_UP = 0.2
"""The share of the steps before the penalty begins: that of the paper's authors' code (AIMET) and of BRECQ's."""


def adaround(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "float4.channel",
    variant: str = "rectified_sigmoid",  # noqa: ARG001 - all methods are called alike
    rate: float = 0.2,
    penalty: float = 3.0,
    steps: int = 300,
    batch: int = 64,
    seed: int = 0,
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Learn whether each weight goes to the value of the grid below it or above it, so that the layer's outputs stay.

    Parameters
    ----------
    to : str or BlockFormat
        ``"float4.channel"``, ``"float6.tensor"``: floats of 3 to 8 bits, whose exponent bits and bias are searched
        first for the least error of the weights; or any format with elements of at most 8 bits, under the scales of
        round to nearest.

    Returns
    -------
    QuantizedWeight
        ``report["after"]`` is of the weights as they are returned, each one of its two neighbours.

    Raises
    ------
    InputError
        Elements have more than 8 bits; learning diverges.

    Notes
    -----
    ``lower + step clamp(1.2 sigmoid(v) - 0.1, 0, 1)``, where the step of each element is the distance of its two
    neighbours: ``2^(e - M)`` on the grid of a float. After a fifth of the steps ``1 - |2 share - 1|^b`` is added to
    the loss, b falling from 20 to 2. Source: Nagel et al., "Up or Down?", ICML 2020 (arXiv 2004.10568), section 3.3;
    Chen et al., "Low-Bitwidth Floating Point Quantization for Efficient High-Quality Diffusion Models"
    (arXiv 2408.06995), which has it on the grids of floats. The rates are this project's, for hundreds of steps in
    place of ten thousand.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> layer, rows = random.normal(size=(4, 16)), random.normal(size=(60, 4)) @ random.normal(size=(4, 16))
    >>> result = adaround(layer, rows)
    >>> result.report["after"] < 0.8 * result.report["before"]
    True
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    nearest_values = _start(matrix, to, policy)
    near = Neighbours.of(matrix, nearest_values)
    lower = near.values(near.lower).astype(np.float32)
    gaps = (near.values(near.upper) - lower).astype(np.float32)
    before, start = QuantizedWeight(nearest_values).error(matrix, rows), near.start(matrix)

    def stored(raw: Array) -> QuantizedWeight:
        return QuantizedWeight(nearest_values if np.array_equal(raw, start) else near.decided(raw))

    def cost(learned: Mapping[str, Any], step: int) -> Any:
        sharpness = power(step, steps, int(WARM_UP * steps))
        return 0.0 if sharpness is None else penalty * before * undecided(learned["raw"], sharpness)

    result = Layer.of(matrix, rows).learn(
        lambda learned: soft_rounded(lower, gaps, learned["raw"]),
        {"raw": start},
        Settings(steps, seed, {"raw": rate}),
        batch=batch,
        penalty=cost,
        error=lambda learned: stored(learned["raw"]).error(matrix, rows),
    )
    decided, shares, report = stored(result.learned["raw"]), share(result.learned["raw"]), report_of(result)
    report["undecided"] = float(((shares > 0) & (shares < 1)).mean())
    return replace(decided, report=report)


def _start(matrix: npt.NDArray[np.float64], to: FormatLike, policy: BlockPolicy | str | None) -> BlockTensor:
    """The scales: of a small float whose encoding is searched, or those of round to nearest."""
    if isinstance(to, str) and to.startswith("float") and "_" not in to:
        tensor = llm_fp4(matrix, to=to, variant="diffusion").tensor
        assert isinstance(tensor, BlockTensor)
        return tensor
    return nearest(matrix, weight_format(to, matrix.shape[1], METHOD.name), policy)


METHOD = Method(
    name="adaround",
    quantize=adaround,
    title="rounding down or up on any grid, learned from the layer's outputs",
    source="Nagel et al., ICML 2020 (arXiv 2004.10568); Chen et al. (arXiv 2408.06995)",
    variants={"rectified_sigmoid": "how far up a weight goes is a sigmoid that is stretched and clamped"},
    needs_activations=True,
    to="float4.channel",
    own={
        "rate": Option("of the numbers that the sigmoid is taken of", Numbers(0)),
        "penalty": Option("what a weight that is not decided costs, in shares of the first error", Numbers(0)),
        "steps": STEPS,
        "batch": BATCH,
    },
    report=REPORT | {"undecided": "the share of weights that lay between its two values after the last step"},
)

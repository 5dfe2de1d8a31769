"""AdaQuant: weights, the ranges of their blocks and the bias, learned from a layer's outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.integers import Integers
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.learned.settings import BATCH, STEPS
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Option
from lowbit.quantizers.weight import QuantizedWeight

WEIGHT_STEPS, SHARE = 1 / 20, 1e-3
"""Of variant "relative": a step of Adam moves weights by so much of the grid's mean step, ranges by so much of their
mean, the bias by so much of the outputs."""
RATES = {
    "official": {"weight": 1e-5, "range": 1e-3, "lowest": 1e-3, "bias": 1e-3},
    "arguments": {"weight": 1e-5, "range": 1e-4, "lowest": 1e-4, "bias": 1e-4},
}


def adaquant(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.channel.asymmetric",
    variant: str = "relative",
    bias: str = "none",
    relu: bool = False,
    steps: int = 200,
    batch: int = 50,
    seed: int = 0,
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Learn weights, the ranges of their blocks and a bias, so that the layer's outputs stay.

    Parameters
    ----------
    to : str or BlockFormat
        Integers with one scale a block, with or without a zero point.

    Returns
    -------
    QuantizedWeight
        ``report["bias"]``, shape (outputs,), is what to add to the layer's bias; ``dequantize`` and ``error`` are of
        the weights alone. ``lowbit quantize`` adds it to the bias in the file.

    Raises
    ------
    InputError
        The format has other elements or scales; learning diverges.

    Notes
    -----
    Adam moves weights, each block's range and lowest value, and the bias down the squared error of the outputs for 50
    rows a step. Numbers that are clamped pass no slope on, as the code clamps before it rounds. The code's rates of
    inputs' ranges are not here: activations are as they are. With integers as they are the best bias is the mean error
    of the outputs. Source: Hubara et al., "Accurate Post Training Quantization with Small Calibration Sets", ICML 2021
    (arXiv 2006.10518), section 3; itayhubara/CalibTIP 8bffbe4, utils/adaquant.py and models/modules/quantize.py. Its
    integer program is :func:`lowbit.allocate.calibtip`, its tuning of batch norms
    :func:`lowbit.layers.folding.match_statistics`.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> layer, rows = random.normal(size=(4, 16)), random.normal(size=(60, 4)) @ random.normal(size=(4, 16))
    >>> result = adaquant(layer, rows)
    >>> result.report["after"] < 0.7 * result.report["before"], result.report["seed"]
    (True, 0)
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    integers, layer = Integers.of(matrix, fmt, policy, METHOD.name), Layer.of(matrix, rows)
    start = dict(integers.start)
    if bias == "learned":
        start["bias"] = np.zeros(len(matrix), np.float32)
    rates = RATES.get(variant) or _relative(integers, layer)
    rates = {name: rates[name] for name in start}
    settings = Settings(steps, seed, rates, schedule="cosine" if variant == "relative" else "constant")
    result = layer.learn(integers.values, start, settings, batch=batch, relu=relu, after=integers.kept)
    tensor = integers.tensor(result.learned)
    report = report_of(result)
    report["bias"] = result.learned.get("bias", np.zeros(len(matrix), np.float32))
    if bias == "mean":
        report["bias"] = mean_error(matrix, np.asarray(integers.values(result.learned), np.float64), rows)
    return QuantizedWeight(tensor, report=report)


def mean_error(weights: Doubles, values: Doubles, rows: Doubles) -> Doubles:
    """The bias that is best for quantised weights: the mean of what their outputs lack."""
    result: Doubles = (weights - values) @ rows.mean(axis=0)
    return result


def _relative(integers: Integers, layer: Layer) -> dict[str, float]:
    """Rates for a matrix of any size."""
    mean = float(integers.start["range"].mean())
    outputs = float(np.sqrt(np.mean(layer.outputs.astype(np.float64) ** 2)))
    rates = {"weight": WEIGHT_STEPS * mean / integers.steps, "bias": SHARE * outputs}
    return rates | dict.fromkeys(("range", "lowest"), SHARE * mean)


METHOD = Method(
    name="adaquant",
    quantize=adaquant,
    title="weights, ranges and a bias, learned from the layer's outputs",
    source="Hubara et al., ICML 2021 (arXiv 2006.10518); itayhubara/CalibTIP 8bffbe4",
    variants={
        "relative": "rates are shares of the grid's steps, of ranges and of outputs, and fall to 0",
        "official": "the rates that the code uses: 1e-5 for weights, 1e-3 for ranges, lowest values and the bias",
        "arguments": "the rates that the code is called with, and does not use: 1e-5, and 1e-4 for the others",
    },
    needs_activations=True,
    to="int4.channel.asymmetric",
    own={
        "bias": Option(
            "what is added to the outputs",
            choices={
                "none": "nothing, the layer keeps its bias",
                "learned": "a bias that is learned with the weights",
                "mean": "after the last step the mean error of the outputs, which is best for the integers",
            },
        ),
        "relu": Option("whether negative outputs count as 0, for layers before a ReLU", flag=True),
        "steps": STEPS,
        "batch": BATCH,
    },
    report=REPORT | {"bias": "what to add to the layer's bias"},
)

"""VQ4DiT: which of the two nearest vectors of a table stands for a few weights is learned from outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.metrics import relative_squared_error
from lowbit.ops.arrays import Array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.inputs import activation_rows, weight_matrix
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.learned.optimizers import Arrays, RMSprop
from lowbit.quantizers.learned.settings import BATCH, STEPS
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.vector_quantization import vector_quantization
from lowbit.quantizers.weight import QuantizedWeight, VectorTable

RATES = {"ratio": 0.1, "table": 1e-4, "bias": 1e-4}
"""The code moves a logit for each of two candidates by 0.05: what they differ in moves by twice as much."""
OPTIMIZER = RMSprop(alpha=0.9)
SURE, FROZEN = 0.99, 1e4
"""The share from which on a candidate is chosen for good, and the logit that it then has; a layer whose choices are
made to the same share takes the others as they stand, and its table is learned from there on."""
CERTAIN = 80.0
"""A logit from which on the logistic function is 1, and has no slope."""
PERIOD, MOST = 50, 1000.0
"""Steps of a trajectory, after which the least doubt so far is forgotten, and what it then is."""
VARIANTS = {
    "official": "doubt about the choices counts in the steps where it has not fallen below what it was before",
    "paper": "doubt about the choices counts in every step, as much as the outputs' error",
}


@dataclass(frozen=True, eq=False)
class Candidates:
    """Vectors of weights as mixtures of two vectors of a table.

    Attributes
    ----------
    places : ndarray of int, shape (vectors, 2)
        The candidates, the nearest first.
    shape : pair of int
        (outputs, inputs) of the weights.
    """

    places: Array
    shape: tuple[int, ...]

    @classmethod
    def of(cls, nearest: QuantizedWeight) -> tuple[Candidates, Arrays]:
        """Those of a result of :func:`lowbit.quantizers.vector_quantization`, and what is learned of them.

        Returns
        -------
        candidates : Candidates
        start : dict of str to ndarray
            ``ratio``, shape (vectors,): the logit of the nearest one's share, which is ``d2 / (d1 + d2)`` with the
            distances; ``table``, shape (count, length).
        """
        tensor, report = nearest.tensor, nearest.report
        assert isinstance(tensor, VectorTable)
        places = report["candidates"].reshape(report["ratios"].size, -1)[:, [0, -1]]
        share = np.clip(report["ratios"].ravel(), 1e-7, 1 - 1e-7)
        ratio = np.log(share / (1 - share)).astype(np.float32)
        return cls(places, tensor.shape), frozen({"ratio": ratio, "table": tensor.table})

    def values(self, ratio: Any, table: Any) -> Any:
        """The weights, shape (outputs, inputs). The table passes a slope on where all choices are made."""
        numbers = differentiable()
        if not settled(numbers.detached(ratio)):
            table = numbers.detached(table)
        share = shares(ratio)[:, None]
        mixed = share * table[self.places[:, 0]] + (1 - share) * table[self.places[:, 1]]
        return numbers.namespace.reshape(mixed, self.shape)

    def chosen(self, ratio: Array, table: Array) -> VectorTable:
        """The candidates with the larger shares."""
        codes = np.where(ratio >= 0, self.places[:, 0], self.places[:, 1])
        grid = (self.shape[0], self.shape[1] // table.shape[1])
        return VectorTable(codes.reshape(grid).astype(np.uint16), table)


def shares(ratio: Any) -> Any:
    """What the nearest candidates count in their mixtures."""
    names = differentiable().namespace
    return (1 + names.tanh(names.clip(ratio, -CERTAIN, CERTAIN) / 2)) / 2


def settled(ratio: Array) -> bool:
    """Whether every choice is made for good."""
    return bool((np.abs(ratio) >= FROZEN).all())


def doubt(ratios: Mapping[str, Any]) -> Any:
    """How far choices are from being made: the mean of twice ``share (1 - share)``, of those that are open.

    Parameters
    ----------
    ratios : mapping of str to array
        Of several layers, each of which counts once; those whose choices are made do not count.
    """
    total, layers = 0.0, 0
    for ratio in ratios.values():
        share = shares(ratio)
        count = int((np.abs(differentiable().detached(ratio)) < FROZEN).sum())
        if count:
            total, layers = total + 2 * (share * (1 - share)).sum() / count, layers + 1
    return total / max(layers, 1)


def frozen(learned: Arrays) -> Arrays:
    """Make choices for good that are all but made: of ``ratio``, and of all whose names end in ``.ratio``."""
    result = dict(learned)
    for name, ratio in ratios_of(learned).items():
        share = shares(ratio)
        sure = np.maximum(share, 1 - share) > SURE
        sure |= sure.mean() > SURE
        result[name] = np.where(sure, np.where(ratio >= 0, FROZEN, -FROZEN), ratio).astype(ratio.dtype)
    return result


def ratios_of(learned: Mapping[str, Any]) -> dict[str, Any]:
    """What is learned of the choices."""
    return {name: array for name, array in learned.items() if name == "ratio" or name.endswith(".ratio")}


@dataclass(frozen=True)
class Doubt:
    """How doubt about the choices counts.

    Attributes
    ----------
    start : dict of str to ndarray
        What is learned, and ``watch``, which is not: the step, the least doubt up to it since its trajectory began, and
        whether doubt counts in it.
    penalty, after : callable
        For :func:`lowbit.quantizers.learned.descent.descend`.
    """

    start: Arrays
    penalty: Callable[[Mapping[str, Any], int], Any]
    after: Callable[[Arrays], Arrays]


def watched(start: Arrays, variant: str) -> Doubt:
    """Doubt about the choices that are learned, by one of ``VARIANTS``."""
    require_choice("variant", variant, VARIANTS)

    def penalty(learned: Mapping[str, Any], _: int) -> Any:
        return doubt(ratios_of(learned)) if variant == "paper" or learned["watch"][2] else 0.0

    def after(learned: Arrays) -> Arrays:
        kept = frozen(learned)
        step, least = kept["watch"][0] + 1, kept["watch"][1]
        least, now = (MOST if step % PERIOD == 0 else least), float(doubt(ratios_of(kept)))
        kept["watch"] = np.array([step, min(least, now), now > least])
        return kept

    return Doubt({**start, "watch": np.array([0.0, float(doubt(ratios_of(start))), 0.0])}, penalty, after)


def vq4dit(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: str = "table8.vector4",
    variant: str = "official",
    steps: int = 300,
    batch: int = 64,
    seed: int = 0,
    iterations: int = 100,
) -> QuantizedWeight:
    """Choose between the two nearest vectors of a table by the error of the layer's outputs.

    Parameters
    ----------
    to : str
        ``"table8.vector4"``: codes of eight bits for four weights each, two bits a weight.

    Returns
    -------
    QuantizedWeight
        With the codes that were chosen.

    Raises
    ------
    InputError
        ``to`` is not such a table, or its vectors do not divide the inputs; learning diverges.

    Notes
    -----
    The table is :func:`vector_quantization`'s, variant "official". Each vector of weights begins as a mixture of its
    two candidates; RMSprop moves their shares down the squared error of the outputs and the doubt ``2 r (1 - r)``; a
    candidate of more than 0.99 is chosen for good, and the table is learned once all are. The paper learns from the
    outputs of a model's blocks, for noise alone: ``lowbit.models.training.vq4dit.choose``. Here it is the
    outputs of one layer, over their mean square. Source: Deng et al., "VQ4DiT" (arXiv 2408.17131);
    dengjuncan/VQ4DiT 104c62c, CompressedLinear.py, gaussian_diffusion.py (the loss) and sample_quant.py (the rates).

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> layer, rows = random.normal(size=(16, 32)), random.normal(size=(200, 8)) @ random.normal(size=(8, 32))
    >>> result = vq4dit(layer, rows, to="table4.vector4")
    >>> result.report["after"] < 0.8 * result.report["nearest"]
    True
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    nearest = vector_quantization(matrix, to=to, variant="official", seed=seed, iterations=iterations)
    candidates, start = Candidates.of(nearest)
    watch = watched(start, variant)
    layer = Layer.of(matrix, rows)

    def stored(learned: Arrays) -> QuantizedWeight:
        return QuantizedWeight(candidates.chosen(learned["ratio"], learned["table"]))

    result = layer.learn(
        lambda learned: candidates.values(learned["ratio"], learned["table"]),
        watch.start,
        Settings(steps, seed, {name: RATES[name] for name in start}, OPTIMIZER),
        batch=batch,
        penalty=watch.penalty,
        after=watch.after,
        error=lambda learned: stored(learned).error(matrix, rows),
    )
    mixed = np.asarray(candidates.values(start["ratio"], start["table"]))
    own = {
        "before": relative_squared_error(layer.outputs, layer.rows @ mixed.T),
        "nearest": result.before,
        "frozen": float((np.abs(result.learned["ratio"]) >= FROZEN).mean()),
    }
    return replace(stored(result.learned), report=report_of(result) | own)


METHOD = Method(
    name="vq4dit",
    quantize=vq4dit,
    title="a code for a few weights, chosen among the two nearest vectors of a table by the layer's outputs",
    source="Deng et al. (arXiv 2408.17131); dengjuncan/VQ4DiT 104c62c",
    variants=VARIANTS,
    needs_activations=True,
    to="table8.vector4",
    own={"steps": STEPS, "batch": BATCH},
    layer_alone="the paper learns from what the blocks of a diffusion transformer make of noise; here it is the "
    "layer's own outputs",
    report=REPORT
    | {
        "before": "the squared error of the outputs over the squared outputs, of the mixtures that it starts from",
        "after": "the same of the vectors that were chosen",
        "nearest": "the same of the nearest vectors",
        "frozen": "the share of the choices that were made for good before the last step",
    },
)

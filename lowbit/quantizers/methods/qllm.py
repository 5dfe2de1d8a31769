"""QLLM: inputs of large activations in several parts, and inputs that are alike in one, so that none is an outlier."""

from __future__ import annotations

from collections.abc import Iterator
from math import frexp, ldexp

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.metrics import relative_squared_error
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.transform import Reassembly
from lowbit.quantizers.weight import QuantizedWeight

Counts = npt.NDArray[np.int64]


def qllm(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.channel.asymmetric",
    variant: str = "paper",
    activations_to: FormatLike = "int4.channel.asymmetric",
    ratio: float = 0.1,
    steps: int = 100,
    assemble: bool = True,
    powers_of_two: bool = False,
) -> QuantizedWeight:
    """Take inputs of large activations apart and join others, as far as quantised outputs gain, and round to nearest.

    Parameters
    ----------
    to, activations_to : str or BlockFormat
        What weights are brought into, and what rows of activations will be.

    Returns
    -------
    QuantizedWeight
        ``transform`` takes activations apart; ``report["threshold"]``, ``report["errors"]``: the squared error of the
        outputs over the squared outputs, with both sides quantised, for each threshold that was tried.

    Raises
    ------
    InputError
        A number is out of its range, or shapes do not fit.

    Notes
    -----
    Input j comes in ``ceil(max |x_j| / threshold)`` parts. Inputs at even places are joined with the nearest of those
    at odd places, the nearest pairs first, and never with parts of another. The low-rank weights that the paper learns
    after that are not here. Source: Liu et al., "QLLM", ICLR 2024 (arXiv 2310.08041), section 4.1; ziplab/QLLM 653a329,
    reassembly/cr_module.py, whose search joins before it takes apart, and whose result is the other way round, as here.

    Examples
    --------
    >>> rows = np.array([[8.0, 1.0, 0.5, -1.0], [-6.0, 0.5, 1.0, 0.9]])
    >>> result = qllm(np.eye(4), rows, ratio=1, assemble=False)
    >>> result.transform.parts.tolist()
    [4, 1, 1, 1]
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    fmt, row_format = (weight_format(name, matrix.shape[1], METHOD.name) for name in (to, activations_to))
    exponent = frexp(float(np.abs(rows).max()))[1]
    rows = np.ldexp(rows, -exponent)  # so that all are far within binary32, in which they are rounded
    outputs, errors, results = rows @ matrix.T, [], []
    for threshold, parts in _divisions(np.abs(rows).max(axis=0), steps, ratio, powers_of_two=powers_of_two):
        change = _reassembly(rows, matrix, parts, variant if assemble else None)
        if change is None:
            continue
        turned = weight_matrix(change.weights(matrix))
        tensor = nearest(turned, weight_format(fmt, turned.shape[1], METHOD.name))
        coded = dequantize(nearest(change.activations(rows), row_format), dtype=np.float64)
        errors.append(relative_squared_error(outputs, coded @ dequantize(tensor, dtype=np.float64).T))
        results.append((ldexp(threshold, exponent), tensor, change))
    threshold, tensor, change = results[int(np.argmin(errors))]
    tried = dict(zip((result[0] for result in results), errors, strict=True))
    report = {"threshold": threshold, "errors": tried}
    return QuantizedWeight(tensor, transform=change, report=report)


def _divisions(largest: Doubles, steps: int, ratio: float, *, powers_of_two: bool) -> Iterator[tuple[float, Counts]]:
    """Thresholds, and into how many parts each input goes, where that is another number than before."""
    before = np.zeros(largest.size, np.int64)
    for threshold in np.linspace(largest.max(), largest.min(), steps, endpoint=False).tolist():
        parts = np.ones(largest.size, np.int64)
        if threshold > 0:
            parts = np.maximum(np.ceil(largest / threshold), 1).astype(np.int64)
        if powers_of_two:
            parts = 1 << np.frexp(parts - 0.5)[1].astype(np.int64)
        if parts.sum() - parts.size > ratio * parts.size:
            return
        if not np.array_equal(parts, before):
            yield threshold, parts
        before = parts


def _reassembly(rows: Doubles, matrix: Doubles, parts: Counts, variant: str | None) -> Reassembly | None:
    """Inputs in so many parts, and as many joined as this adds, or none; None where there are too few to join."""
    origins = np.repeat(np.arange(parts.size), parts)
    columns, extra = np.arange(origins.size), origins.size - parts.size
    if extra and variant is not None:
        apart, alone = (rows / parts)[:, origins], parts[origins] == 1
        scores = _squared_distances(apart) * _likeness(matrix[:, origins], variant)
        scores[~alone[::2]] = np.inf
        scores[:, ~alone[1::2]] = np.inf
        mates = scores.argmin(axis=1)
        first = np.argsort(scores.min(axis=1), kind="stable")[:extra]
        if len(first) < extra or not np.isfinite(scores[first, mates[first]]).all():
            return None
        columns[2 * first] = 2 * mates[first] + 1
    return Reassembly(parts, np.unique(columns, return_inverse=True)[1])


def _likeness(weights: Doubles, variant: str) -> Doubles:
    """What the squared distances of activations are multiplied with, for each even place and each odd one."""
    if variant == "paper":
        return _squared_distances(weights)
    sums = weights.sum(axis=0)
    result: Doubles = (sums[::2, None] + sums[None, 1::2]) ** 2
    return result


def _squared_distances(matrix: Doubles) -> Doubles:
    """Of the columns at even places from those at odd places."""
    even, odd = matrix[:, ::2], matrix[:, 1::2]
    squares = (even * even).sum(axis=0)[:, None] + (odd * odd).sum(axis=0)
    result: Doubles = np.maximum(squares - 2 * even.T @ odd, 0)
    return result


MOST_STEPS = 10_000

METHOD = Method(
    name="qllm",
    quantize=qllm,
    title="inputs of large activations in several parts, inputs that are alike in one",
    source="Liu et al., ICLR 2024 (arXiv 2310.08041); ziplab/QLLM 653a329",
    variants={
        "paper": "inputs are alike where joining them changes the outputs least: |x_i - x_j| |w_i - w_j| / 2",
        "official": "inputs are alike by |x_i - x_j| |sum of w_i + sum of w_j|, with sums over the outputs",
    },
    needs_activations=True,
    to="int4.channel.asymmetric",
    own={
        "activations_to": Option("the format that rows of activations are brought into"),
        "ratio": Option("the share of the inputs that taking inputs apart adds at most; 0.1 is usual", Numbers(0, 1)),
        "steps": Option(
            "thresholds that are tried, from the largest activation down; 100 is usual",
            Numbers(1, MOST_STEPS, whole=True),
        ),
        "assemble": Option("whether as many inputs are joined as are added: the layer keeps its shape", flag=True),
        "powers_of_two": Option("whether inputs come in 1, 2, 4, ... parts, which changes no product", flag=True),
    },
    report={
        "threshold": "the magnitude beyond which inputs are taken apart that was best",
        "errors": "the squared error of the outputs over the squared outputs, for each threshold that was tried",
    },
    layer_alone="what it chooses is for quantised activations, and they are not quantised: what shows is what that "
    "costs the weights",
)

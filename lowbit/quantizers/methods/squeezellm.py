"""SqueezeLLM: a table of values for each output, weighted by how much the loss minds, and outliers kept apart."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.quantizers.clusters import best_clusters, lloyd, nearest_places
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight, RowTables, Sparse

SHARE = Numbers(0, 1, excluded=1)
SEARCHES = {"exact": best_clusters, "lloyd": lloyd}


def squeezellm(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: str = "table4.channel",
    variant: str = "exact",
    sensitivity: npt.ArrayLike | None = None,
    outliers: float = 0.0045,
    sensitive: float = 0.0005,
) -> QuantizedWeight:
    """Give each output a table of its own, the one with the least error in the weights that matter.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        Where there is no sensitivity: the mean square of each input stands for it, the diagonal of GPTQ's Hessian.
    to : str
        "table3.channel": a table of eight values an output; 1 to 8 bits.
    sensitivity : array_like, shape (outputs, inputs), optional
        The Fisher information: the sum over samples of the squared gradient. All ones without either.
    outliers, sensitive : float
        The shares of weights that are kept apart, in binary16 if it holds them all as normal numbers, else in binary32:
        the largest magnitudes, and the largest sensitivities.

    Returns
    -------
    QuantizedWeight
        ``tensor`` holds codes and tables, ``sparse`` what is added to them.

    Raises
    ------
    InputError
        Shapes do not fit, a share is not from 0 to 1, or a sensitivity is negative.

    Notes
    -----
    A weight that is kept apart counts nothing for the table; its code is that of the value nearest to 0, which is taken
    off what is stored for it. The official code finds tables by scikit-learn's k-means, with errors above the best
    ones. Source: Kim et al., "SqueezeLLM", ICML 2024 (arXiv 2306.07629), sections 4.1 and 4.2;
    SqueezeAILab/SqueezeLLM a5fd71f.

    Examples
    --------
    >>> result = squeezellm([[1.0, 1.1, 5.0, 5.2]], to="table1.channel", outliers=0, sensitive=0)
    >>> result.tensor.tables.round(3).tolist(), result.tensor.codes.tolist()
    ([[1.0499999523162842, 5.099999904632568]], [[0, 0, 1, 1]])
    """
    count = 1 << _bits(to)
    matrix = weight_matrix(weights)
    fisher = _sensitivity(matrix, activations, sensitivity)
    apart = _kept_apart(matrix, fisher, outliers, sensitive)
    shares = np.where(apart, 0, fisher)
    shares[~shares.any(axis=1)] = 1
    codes, tables = np.empty(matrix.shape, np.uint8), np.empty((len(matrix), count), np.float32)
    for row, (values, weight) in enumerate(zip(np.where(apart, 0, matrix), shares, strict=True)):
        table, places = SEARCHES[variant](values, weight, count)
        tables[row] = table
        codes[row] = np.where(apart[row], nearest_places(np.zeros(1), np.sort(table)), places)
    tensor = RowTables(codes, tables)
    if not apart.any():
        return QuantizedWeight(tensor)
    return QuantizedWeight(tensor, sparse=Sparse.narrow(apart, matrix - tensor.values(), replaces=False))


def _bits(to: object) -> int:
    match = re.fullmatch(r"table([1-8])\.channel", to) if isinstance(to, str) else None
    if match is None:
        raise InputError(
            f"squeezellm gives each output a table, and {to!r} does not say of how many bits", hint="table4.channel"
        )
    return int(match.group(1))


def _sensitivity(matrix: Doubles, activations: npt.ArrayLike | None, sensitivity: npt.ArrayLike | None) -> Doubles:
    if sensitivity is not None:
        fisher = weight_matrix(sensitivity, "sensitivity")
        if fisher.shape != matrix.shape or (fisher < 0).any():
            raise InputError(
                f"sensitivity has the shape {fisher.shape}, weights {matrix.shape}: equal ones, from 0 on",
                hint="the sum over samples of the squared gradient of each weight",
            )
        return fisher / fisher.max() if fisher.any() else np.ones_like(matrix)
    if activations is None:
        return np.ones_like(matrix)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    squares = ((rows / (np.abs(rows).max() or 1)) ** 2).mean(axis=0)
    return np.broadcast_to(squares, matrix.shape).copy()


def _kept_apart(matrix: Doubles, fisher: Doubles, outliers: float, sensitive: float) -> npt.NDArray[np.bool_]:
    """The most sensitive weights, and then the largest of the others."""
    apart = np.zeros(matrix.shape, bool)
    for numbers, share in ((fisher, sensitive), (np.abs(matrix), outliers)):
        count = round(share * matrix.size)
        if count:
            left = np.where(apart, -1.0, numbers).ravel()
            apart.ravel()[np.argpartition(left, -count)[-count:]] = True
    return apart


METHOD = Method(
    name="squeezellm",
    quantize=squeezellm,
    title="a table of values for each output, and outliers kept apart",
    source="Kim et al., ICML 2024 (arXiv 2306.07629); SqueezeAILab/SqueezeLLM a5fd71f",
    variants={"exact": "the best table, by dynamic programming", "lloyd": "Lloyd's iteration from even steps"},
    needs_activations=False,
    to="table4.channel",
    own={
        "sensitivity": Option("how much the loss minds an error of each weight: the sum of squared gradients"),
        "outliers": Option("the share of the largest weights, which are kept apart; 0.0045 is usual", SHARE),
        "sensitive": Option("the share of the most sensitive weights, which are kept apart; 0.0005 is usual", SHARE),
    },
)

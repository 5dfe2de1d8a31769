"""CrossQuant: activations over a step that is a power of their row's largest magnitude times one of their column's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.metrics import quantization_kernel, relative_squared_error
from lowbit.ops.requantize.arguments import whole
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.transform import Diagonal
from lowbit.quantizers.weight import QuantizedWeight

BITS = (2, 8)


class CrossCodes(NamedTuple):
    """Activations as codes, each worth ``code * rows * columns``.

    Attributes
    ----------
    codes : ndarray of int8, shape (rows, inputs)
    rows : ndarray of float64, shape (rows,)
        ``max|row|^alpha / (2^(bits - 1) - 1)``.
    columns : ndarray of float64, shape (inputs,)
        ``max|column|^(1 - alpha)``.
    """

    codes: npt.NDArray[np.int8]
    rows: Doubles
    columns: Doubles

    def dequantize(self) -> Doubles:
        """What the codes stand for, in binary64."""
        return self.codes * (self.rows[:, None] * self.columns)


def cross_quantize(
    activations: npt.ArrayLike, *, bits: int = 8, alpha: float = 0.15, columns: npt.ArrayLike | None = None
) -> CrossCodes:
    """Quantise activations by steps ``max|row|^alpha max|column|^(1 - alpha) / (2^(bits - 1) - 1)``.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs)
    bits : int
        2 to 8.
    alpha : float
        From 0, a step for each column, to 1, a step for each row.
    columns : array_like, shape (inputs,), optional
        The largest magnitude of each column, from other rows: codes beyond the largest are clipped then. Those of the
        activations' own never are, as no magnitude is above the smaller of the two maxima.

    Returns
    -------
    CrossCodes

    Raises
    ------
    InputError
        Activations are not finite, or bits, alpha or columns are out of range.

    Examples
    --------
    >>> cross_quantize([[100.0, 1.0], [50.0, -2.0]], alpha=0.5).codes.tolist()
    [[127, 9], [90, -25]]
    """
    top = (1 << whole(bits, "bits", *BITS) - 1) - 1
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha = {alpha!r} is not from 0 to 1", hint="0.15, as in the paper")
    rows = activation_rows(activations, np.shape(activations)[-1] if np.ndim(activations) else 0, METHOD.name)
    largest = np.abs(rows).max(axis=0) if columns is None else activation_rows([columns], rows.shape[1], "columns")[0]
    if (largest < 0).any():
        raise InputError("columns has a number below 0: it holds the largest magnitude of each column")
    across, down = np.abs(rows).max(axis=1) ** alpha / top, largest ** (1 - alpha)
    step = across[:, None] * down
    codes = np.clip(np.rint(np.divide(rows, step, out=np.zeros_like(rows), where=step > 0)), -top, top)
    return CrossCodes(codes.astype(np.int8), across, down)


def crossquant(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int8.channel",
    variant: str = "paper",
    alpha: float = 0.15,
    bits: int = 8,
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Round weights to nearest, for activations that :func:`cross_quantize` quantises.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        As :func:`cross_quantize`.

    Notes
    -----
    The paper argues by the quantisation kernel, the activations that become zero. Where channels have outliers it
    shrinks with alpha to the end, but the error, where rows are uneven too, does not: the kernel does not tell which
    alpha is best. With alpha = 1 it is the usual step of a row.
    Source: Liu et al., "CrossQuant" (arXiv 2410.07505), section 4; there is no official code.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[100.0, 0.2], [90.0, -0.3]])
    >>> [crossquant(np.eye(2), rows, alpha=alpha).report["kernel"] for alpha in (1.0, 0.15)]
    [0.5, 0.0]
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    coded = cross_quantize(rows, bits=bits, alpha=alpha)
    transform = Diagonal(np.where(coded.columns > 0, coded.columns, 1)) if variant == "folded" else None
    tensor = nearest(matrix if transform is None else transform.weights(matrix), fmt, policy)
    result = QuantizedWeight(tensor, transform=transform)
    outputs = coded.dequantize() @ result.dequantize(dtype=np.float64).T
    report = {
        "kernel": quantization_kernel(coded.codes),
        "output_error": relative_squared_error(rows @ matrix.T, outputs),
    }
    return QuantizedWeight(tensor, transform=transform, report=report)


METHOD = Method(
    name="crossquant",
    quantize=crossquant,
    title="steps of activations from their row and their column",
    source="Liu et al. (arXiv 2410.07505)",
    variants={
        "paper": "weights as they are, the columns' share of a step is found anew in every batch",
        "folded": "that share is the calibration's and goes into the weights, which alone leaves a product of integers",
    },
    needs_activations=True,
    to="int8.channel",
    own={
        "alpha": Option("the share of the row's largest magnitude in a step; 0.15 in the paper", Numbers(0, 1)),
        "bits": Option("of a code of the activations", Numbers(*BITS, whole=True)),
    },
    report={
        "kernel": "the share of the activations that become zero",
        "output_error": "the relative squared error of the outputs with weights and activations quantised",
    },
    layer_alone="activations, which it is for, are not quantised: the weights are round_to_nearest's, with the "
    "columns' share of the steps in them in the variant folded",
)

"""Hadamard rotations (QuaRot): outliers of weights and activations spread over all inputs before another method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.quantizers.hessian import hessian_matrix
from lowbit.quantizers.inputs import activation_rows, weight_matrix
from lowbit.quantizers.method import Method, methods
from lowbit.quantizers.transform import hadamard
from lowbit.quantizers.weight import QuantizedWeight

INSIDE = {"round_to_nearest": "rounded to nearest", "gptq": "with error feedback"}


def quarot(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.g128",
    variant: str = "round_to_nearest",
    seed: int = 0,
    **options: Any,
) -> QuantizedWeight:
    """Turn the inputs by a Hadamard matrix with random signs, and quantise the turned weights.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        For "gptq"; they are turned as well.
    **options
        What that method takes. An order by activations would be a second transform: ``order="static"`` needs none.

    Returns
    -------
    QuantizedWeight
        ``transform.activations`` turns the layer's input, which costs log2 of the block a number where no other layer
        can take it over.

    Raises
    ------
    InputError
        As the method inside.

    Notes
    -----
    The matrix has blocks of the largest power of two that divides the inputs, and is orthogonal: in exact arithmetic no
    product changes. Source: Ashkboos et al., "QuaRot", NeurIPS 2024 (arXiv 2404.00456), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> layer = np.zeros((1, 64))
    >>> layer[0, 0] = 1.0
    >>> result = quarot(layer, to="int4.channel")
    >>> bool(np.abs(result.dequantize() - layer).max() < 1e-3)
    True
    """
    matrix = weight_matrix(weights)
    turn = hadamard(matrix.shape[1], seed=seed)
    if options.get("hessian") is not None:
        options["hessian"] = turn.weights(turn.weights(hessian_matrix(options["hessian"], matrix.shape[1])).T)
    inside = methods()[variant]
    rows = None if activations is None else activation_rows(activations, matrix.shape[1], METHOD.name)
    if rows is not None and inside.needs_activations:
        rows = turn.activations(rows)
    result: QuantizedWeight = inside.quantize(turn.weights(matrix), rows, to=to, **options)
    if result.transform is not None:
        raise InputError("quarot holds one transform, its own", hint='order="static" or "none"')
    return replace(result, transform=turn)


METHOD = Method(
    name="quarot",
    quantize=quarot,
    title="inputs turned by a Hadamard matrix first",
    source="Ashkboos et al., NeurIPS 2024 (arXiv 2404.00456)",
    variants=INSIDE,
    needs_activations=False,
    to="int4.g128",
    layer_alone="activations, which it turns too so that they are easier to quantise, are not quantised: what shows "
    "is what the weights gain",
)

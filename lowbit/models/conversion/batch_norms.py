"""Batch norms become part of the convolutions before them, with statistics of the quantised convolutions if asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.errors import InputError
from lowbit.layers.folding import fold_batch_norm, match_statistics
from lowbit.models.conversion.calibration import Forward, Operation
from lowbit.models.functions import Parameters
from lowbit.ops.block.dequantize import dequantize

if TYPE_CHECKING:
    from lowbit.models.conversion.state import Conversion


def fold_norm(parameters: dict[str, Any], name: str, norm: Operation) -> None:
    """Put a batch norm into the weight and the bias of the convolution before it; the norm is the identity then."""
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (np.asarray(parameters[f"{norm.name}.{part}"], np.float64) for part in parts)
    epsilon = norm.options["epsilon"]
    parameters[f"{name}.weight"], parameters[f"{name}.bias"] = fold_batch_norm(
        parameters[f"{name}.weight"],
        parameters.get(f"{name}.bias"),
        mean=mean,
        variance=variance,
        gamma=gamma,
        beta=beta,
        epsilon=epsilon,
    )
    one = np.ones_like(variance)
    identity = {"weight": one, "bias": 0 * one, "running_mean": 0 * one, "running_var": one - epsilon}
    parameters |= {f"{norm.name}.{part}": array for part, array in identity.items()}


def one_batch(batches: list[Any]) -> list[Any]:
    """All of the calibration at once: statistics of its results are those of all of it.

    Raises InputError: the shapes of its batches differ.
    """
    shapes = {np.shape(batch)[1:] for batch in batches}
    if len(shapes) > 1:
        what = " and ".join(map(str, sorted(shapes)))
        raise InputError(f"batches of the calibration have items of different shapes: {what}", hint="one shape for all")
    return [np.concatenate(batches)] if batches else []


def match_norms(conversion: Conversion, forward: Callable[[Parameters], Forward], batch: Any) -> None:
    """Give batch norms of quantised convolutions the statistics with which their results vary as the float ones do.

    The first convolution comes first: those after it see what its quantised weights and its new statistics give. The
    batch is the one whose float results the recorder still has. Source: as for
    :func:`lowbit.layers.folding.match_statistics`.
    """
    parameters, wanted = conversion.parameters, dict(conversion.recorder.results.values())
    convs = [one for one in conversion.recorder.operations.values() if one.kind == "conv"]
    norms = {norm: one.name for one in convs for norm in conversion.fused(one) if norm.kind == "batchnorm"}
    for norm, conv in norms.items():
        fold_norm(parameters, conv, norm)
    names, coarse = {norm.name: conv for norm, conv in norms.items()}, dict(parameters)
    for weight in (f"{conv}.weight" for conv in norms.values()):
        tensor = conversion.rounded(weight, parameters[weight])
        coarse[weight] = dequantize(tensor, dtype=np.float64).reshape(parameters[weight].shape)

    def match(_: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        result = function(*inputs)
        if name not in names:
            return result
        conv = names[name]
        factors, shifts = match_statistics(np.ones(result.shape[-1]), None, result, wanted[name])
        conversion.factors[f"{conv}.weight"] = factors
        parameters[f"{conv}.bias"] = parameters[f"{conv}.bias"] * factors + shifts
        return result * factors + shifts

    if norms:
        forward(coarse)(batch, match)

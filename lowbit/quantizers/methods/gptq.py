"""GPTQ: round to nearest with error feedback through the inverse Hessian of the layer's outputs."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.quantizers.clip import fitted
from lowbit.quantizers.hessian import REPORT, prepared
from lowbit.quantizers.inputs import weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option, ordered
from lowbit.quantizers.solver import COLUMNS, error_feedback
from lowbit.quantizers.transform import Permutation
from lowbit.quantizers.weight import QuantizedWeight


def gptq(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.g128",
    variant: str = "paper",
    order: str = "none",
    damping: float = 0.01,
    columns: int = COLUMNS,
    ranges: str = "range",
    hessian: npt.ArrayLike | None = None,
    policy: BlockPolicy | str | None = None,
    threads: int = 1,
) -> QuantizedWeight:
    """Quantise a layer so that its outputs change as little as rounding column after column can achieve.

    Parameters
    ----------
    to : str or BlockFormat
        Elements of at most 8 bits.
    columns : int
        Columns of a step; the codes do not depend on it but for the rounding of binary64 (and in "official").
    policy : BlockPolicy or str, optional
        How scales are made. Elements go to the nearest level, a tie to the even code.

    Returns
    -------
    QuantizedWeight
        ``report["tie_margin"]`` is the smallest distance of a weight from a tie over the distance of the two levels:
        sums in another order may change a code only where they move a weight by more than that.

    Raises
    ------
    InputError
        Weights or activations are not finite, shapes do not fit, or the Hessian is singular.
    PolicyError
        A choice is unknown.

    Notes
    -----
    With ``H = X^T X + damping * mean(diag)`` and the upper Cholesky factor U of its inverse, column j becomes nearest,
    and ``(w - q) / U[j, j] * U[j, j+1:]`` is taken off the columns after it. An input that is always zero has 1 in the
    Hessian and weights 0. Source: Frantar et al., "GPTQ", ICLR 2023 (arXiv 2210.17323), Algorithm 1; IST-DASLab/gptq
    at 2d65066, gptq.py.

    Examples
    --------
    >>> import numpy as np
    >>> layer, rows = np.eye(2, 4) + 0.2, np.random.default_rng(0).normal(size=(64, 4))
    >>> gptq(layer, rows, to="int4.channel").tensor.codes.tolist()
    [[7, 1, 1, 1], [1, 7, 1, 1]]
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    _require_nearest(fmt, policy)
    layer = prepared(matrix, activations, hessian, ordered=order != "none", damping=damping, method=METHOD.name)
    tensor, margin = error_feedback(
        layer.weights[:, layer.order] if order == "activation" else layer.weights,
        layer.factor,
        lambda part: fitted(part, fmt, ranges, policy),
        fmt,
        columns=columns,
        stale=variant == "official",
        order=layer.order if order == "static" else None,
        threads=threads,
    )
    report = {"tie_margin": margin, "dead_inputs": layer.dead}
    return QuantizedWeight(tensor, transform=Permutation(layer.order) if order == "activation" else None, report=report)


def _require_nearest(fmt: BlockFormat, policy: BlockPolicy | str | None) -> None:
    """Refuse elements that are rounded otherwise: error feedback takes the nearest level."""
    rounding = (
        get_block_policy(fmt.default_policy if policy is None else policy).policy("element", fmt.element).rounding
    )
    if not rounding.startswith("nearest_"):
        raise InputError(
            f"the policy rounds elements by {rounding}, and error feedback takes the nearest level",
            hint="round_to_nearest follows any policy",
        )


METHOD = Method(
    name="gptq",
    quantize=gptq,
    title="rounding errors spread over the inputs that are left, through the inverse Hessian",
    source="Frantar et al., ICLR 2023 (arXiv 2210.17323); IST-DASLab/gptq 2d65066",
    variants={
        "paper": "scales of a group from weights with all errors so far",
        "official": "scales of a group from weights without the errors of the same 128 columns, which matters for "
        "groups shorter than 128",
    },
    needs_activations=True,
    to="int4.g128",
    own={
        "columns": Option("columns whose errors are spread over the rest at once", Numbers(1, whole=True)),
        "order": ordered("none", "activation", "static"),
    },
    report=REPORT,
)

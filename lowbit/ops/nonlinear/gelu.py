"""GELU over integer codes, under the published integer-only schemes."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results, ScaleLike


@documented
def gelu(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Codes,
    *,
    scheme: str = "ivit",
    variant: str | None = None,
    scale: ScaleLike | None = None,
    overflow: str = "wrap",
    axis: int = -1,
    bits: int | None = None,
    return_scale: bool = False,
    return_values: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: npt.ArrayLike,
) -> Results:
    """GELU of integer codes, bit for bit as a published integer-only scheme computes it.

    Parameters
    ----------
    axis : int
        ShiftGELU is not elementwise: it depends on the maximum along this axis. The other schemes ignore it.
    return_scale : bool
        Also return the real value of one unit of the result; it is negative under i-GELU.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; products that a requantisation follows, int32 as a rule.
    scale : float, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, section 3; I-BERT, arXiv 2101.01321, section 3, and their public code.

    Examples
    --------
    >>> gelu([[10, 0, -10]], scale=0.1).tolist()
    [[1050, 0, -210]]
    """
    returns = (return_scale, return_values)
    return dispatch("gelu", codes, scheme, variant, scale, overflow, axis, bits, returns, out, threads, options)

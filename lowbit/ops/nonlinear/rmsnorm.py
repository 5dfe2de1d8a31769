"""RMSNorm over integer codes."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results, ScaleLike


@documented
def rmsnorm(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Codes,
    *,
    scheme: str = "lowbit",
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
    """RMSNorm of integer codes: each over the root of the mean square of its row, bit for bit as a scheme computes it.

    Parameters
    ----------
    codes : array_like of int
        Quantised inputs of any shape, of at most 16 bits; int8 and int16 take the fast path.
    scale : float, optional
        The real value of one unit of a code; no RMSNorm depends on it.
    return_scale : bool
        Also return the real value of one unit of the result: under "lowbit" gamma is in it, so it is an array along
        the axis.
    **options
        ``gamma`` and ``beta``, array_like of float of the length of the axis (1 and 0 if not given), and further
        arguments of the scheme: ``rounding`` of "exact".

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; int32 as a rule, for a requantisation that follows.
    scale : float or ndarray of float32, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467, without an epsilon.

    Examples
    --------
    >>> rmsnorm([[3, 4, 0, 0]], scheme="exact", bits=16).tolist()
    [[1229, 1638, 0, 0]]
    """
    returns = (return_scale, return_values)
    return dispatch("rmsnorm", codes, scheme, variant, scale, overflow, axis, bits, returns, out, threads, options)

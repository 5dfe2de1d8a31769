"""LayerNorm over integer codes, under the published integer-only schemes."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results, ScaleLike


@documented
def layernorm(  # noqa: PLR0913 (all but one are keyword-only options)
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
    """LayerNorm of integer codes, bit for bit as a published integer-only scheme computes it.

    Parameters
    ----------
    codes : array_like of int
        Quantised inputs of any shape; int8 and int16 take the fast path.
    scale : float, optional
        The real value of one unit of a code; no LayerNorm depends on it.
    return_scale : bool
        Also return the real value of one unit of the result: gamma is in it, so it is an array along the axis. None
        under "tflite_int16", whose multiplier and shift have the scales in them.
    **options
        ``gamma`` and ``beta``, array_like of float of the length of the axis (1 and 0 if not given), and further
        arguments of the scheme. TFLite's takes ``weights`` (int16), ``biases`` (int32), ``multiplier``, ``shift`` and
        ``variance_limit`` instead.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; int32 as a rule, for a requantisation that follows.
    scale : ndarray of float32 or None, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, section 3; I-BERT, arXiv 2101.01321, section 3; FQ-ViT, arXiv 2111.13824, and
    their public code.

    Examples
    --------
    >>> layernorm([[300, 0, -300]], scheme="ivit").tolist()
    [[759722850, 0, -759722850]]
    """
    returns = (return_scale, return_values)
    return dispatch("layernorm", codes, scheme, variant, scale, overflow, axis, bits, returns, out, threads, options)

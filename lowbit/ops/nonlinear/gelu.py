"""GELU over integer codes, under the published integer-only schemes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.ops.nonlinear.dispatch import Array, dispatch

GELU_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "ivit": "lowbit.ops.nonlinear.gelu_ivit",
        "ibert": "lowbit.ops.nonlinear.gelu_ibert",
        "lowbit": "lowbit.ops.nonlinear.gelu_lowbit",
    }
)
"""Scheme -> the module that runs it, imported when it is first asked for (dispatch.py says what it holds)."""


def gelu(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Any,
    *,
    scheme: str = "ivit",
    variant: str | None = None,
    scale: Any = None,
    overflow: str = "wrap",
    axis: int = -1,
    bits: int | None = None,
    return_scale: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: Any,
) -> Any:
    """GELU of integer codes, bit for bit as a published integer-only scheme computes it.

    Parameters
    ----------
    codes : array_like of int
        Quantised inputs of any shape and any integer dtype; int8 takes the fast path.
    scheme : str
        "ivit" (ShiftGELU), "ibert" (i-GELU) or "lowbit" (this library's own).
    variant : str, optional
        Where a paper and its codes differ: see the scheme. The default is the code's arithmetic in exact integers.
    scale : float
        The real value of one unit of a code.
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes; "trap" raises an error that names the first one.
    axis : int
        ShiftGELU is not elementwise: it depends on the maximum along this axis. The other schemes ignore it.
    bits : int, optional
        Width, where the scheme leaves a choice.
    return_scale : bool
        Also return the real value of one unit of the result; it is negative under "ibert".
    out : ndarray, optional
        Where the result goes: of its dtype and shape.
    threads : int
        How many threads share the rows; the bits are the same for any number.
    **options
        Further arguments of the scheme.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; products that a requantisation follows, int32 as a rule.
    scale : float, if ``return_scale``

    Raises
    ------
    InputError
        An unknown scheme, variant or option; a scale that is zero, negative, NaN or too small; empty rows.
    IntermediateOverflowError
        Under ``overflow="trap"``: the first intermediate that does not fit its declared width.

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, section 3; I-BERT, arXiv 2101.01321, section 3, and their public code.

    Examples
    --------
    >>> gelu([[10, 0, -10]], scale=0.1).tolist()
    [[1050, 0, -210]]
    """
    return dispatch(
        "gelu",
        GELU_SCHEMES,
        codes,
        scheme=scheme,
        variant=variant,
        scale=scale,
        overflow=overflow,
        axis=axis,
        bits=bits,
        return_scale=return_scale,
        out=out,
        threads=threads,
        options=options,
    )

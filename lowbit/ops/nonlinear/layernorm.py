"""LayerNorm over integer codes, under the published integer-only schemes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.ops.nonlinear.dispatch import Array, dispatch

LAYERNORM_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "ivit": "lowbit.ops.nonlinear.layernorm_ivit",
        "ibert": "lowbit.ops.nonlinear.layernorm_ibert",
        "fqvit": "lowbit.ops.nonlinear.layernorm_fqvit",
        "lowbit": "lowbit.ops.nonlinear.layernorm_lowbit",
        "tflite_int16": "lowbit.ops.nonlinear.tflite_layernorm",
    }
)
"""Scheme -> the module that runs it, imported when it is first asked for (dispatch.py says what it holds)."""


def layernorm(  # noqa: PLR0913 (all but one are keyword-only options)
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
    """LayerNorm of integer codes, bit for bit as a published integer-only scheme computes it.

    Parameters
    ----------
    codes : array_like of int
        Quantised inputs of any shape; int8 and int16 take the fast path.
    scheme : str
        "ivit" and "ibert" (I-LayerNorm), "fqvit" (power-of-two factors) or "lowbit" (this library's own), and those of
        the TFLite family; ``lowbit.ops.nonlinear.layernorm.LAYERNORM_SCHEMES`` lists them.
    variant : str, optional
        Where a paper and its codes differ: see the scheme. The default is the code's arithmetic in exact integers.
    scale : float, optional
        The real value of one unit of a code; LayerNorm does not depend on it, except under "fqvit".
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes; "trap" raises an error that names the first one.
    axis : int
        The axis that is normalised.
    bits : int, optional
        Width of the result, where the scheme leaves a choice.
    return_scale : bool
        Also return the real value of one unit of the result: gamma is in it, so it is an array along the axis. None
        under "tflite_int16", whose multiplier and shift have the scales in them.
    out : ndarray, optional
        Where the result goes: of its dtype and shape.
    threads : int
        How many threads share the rows; the bits are the same for any number.
    **options
        ``gamma`` and ``beta``, array_like of float of the length of the axis (1 and 0 if not given), and further
        arguments of the scheme. TFLite's takes ``weights`` (int16), ``biases`` (int32), ``multiplier``, ``shift`` and
        ``variance_limit`` instead.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; int32 as a rule, for a requantisation that follows.
    scale : ndarray of float32 or None, if ``return_scale``

    Raises
    ------
    InputError
        An unknown scheme, variant or option; gamma with a zero; empty or too long rows.
    IntermediateOverflowError
        Under ``overflow="trap"``: the first intermediate that does not fit its declared width.

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, section 3; I-BERT, arXiv 2101.01321, section 3; FQ-ViT, arXiv 2111.13824, and
    their public code.

    Examples
    --------
    >>> layernorm([[300, 0, -300]], scheme="ivit").tolist()
    [[759722850, 0, -759722850]]
    """
    return dispatch(
        "layernorm",
        LAYERNORM_SCHEMES,
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

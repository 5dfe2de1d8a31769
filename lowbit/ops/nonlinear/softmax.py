"""softmax over integer codes, under the published integer-only schemes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.ops.nonlinear.dispatch import Array, dispatch

SOFTMAX_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "ivit": "lowbit.ops.nonlinear.softmax_ivit",
        "ibert": "lowbit.ops.nonlinear.softmax_ibert",
        "fqvit": "lowbit.ops.nonlinear.softmax_fqvit",
        "lowbit": "lowbit.ops.nonlinear.softmax_lowbit",
        "tflite_int8": "lowbit.ops.nonlinear.tflite_softmax",
        "tflite_int16": "lowbit.ops.nonlinear.tflite_softmax_int16",
        "litert_int8": "lowbit.ops.nonlinear.litert_softmax",
        "litert_int16": "lowbit.ops.nonlinear.tflite_softmax_int16",
        "cmsis_int16": "lowbit.ops.nonlinear.tflite_softmax_int16",
    }
)
"""Scheme -> the module that runs it, imported when it is first asked for (dispatch.py says what it holds)."""


def softmax(  # noqa: PLR0913 (all but one are keyword-only options)
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
    """Softmax of integer codes, bit for bit as a published integer-only scheme computes it.

    Parameters
    ----------
    codes : array_like of int
        Quantised inputs of any shape and any integer dtype; int8 takes the fast path.
    scheme : str
        "ivit" (Shiftmax), "ibert" (i-softmax), "fqvit" (log-int-softmax), "lowbit" (this library's own), "tflite_int8"
        and "litert_int8" (to 8 or 16 ``bits``), "tflite_int16", "litert_int16" or "cmsis_int16".
    variant : str, optional
        Where a paper and its codes differ: see the scheme. The default is the code's arithmetic in exact integers.
    scale : float
        The real value of one unit of a code.
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes; "trap" raises an error that names the first one.
    axis : int
        The axis that is normalised.
    bits : int, optional
        Width of the result, where the scheme leaves a choice.
    return_scale : bool
        Also return the real value of one unit of the result; see ``codes`` for its zero point. None
        under "fqvit", where code k stands for 2**-k.
    out : ndarray, optional
        Where the result goes: of its dtype and shape.
    threads : int
        How many threads share the rows; the bits are the same for any number.
    **options
        Further arguments of the scheme. TFLite's take ``beta``; its int16 ones also ``multiplier`` and ``shift`` (left)
        in place of ``scale``.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; the smallest dtype that holds the declared result width. The zero point is 0, but
        the lowest code under "tflite_int8" and "litert_int8", which return 1/256 from -128 or 1/65536 from -32768.
    scale : float or None, if ``return_scale``

    Raises
    ------
    InputError
        An unknown scheme, variant or option; a scale that is zero, negative, NaN or too small; empty or too long rows.
    IntermediateOverflowError
        Under ``overflow="trap"``: the first intermediate that does not fit its declared width.

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, section 3; I-BERT, arXiv 2101.01321, section 3; FQ-ViT, arXiv 2111.13824, and
    their public code; tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/softmax.h``.
    docs/explanation/nonlinearities.md and tflite-nonlinearities.md say where they differ.

    Examples
    --------
    >>> softmax([[10, 0, -10]], scale=0.1).tolist()
    [[21140, 8456, 3171]]
    """
    return dispatch(
        "softmax",
        SOFTMAX_SCHEMES,
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

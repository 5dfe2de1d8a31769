"""L2 normalisation over integer codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.ops.nonlinear.dispatch import Array, dispatch

L2NORM_SCHEMES: Mapping[str, str] = MappingProxyType({"tflite_int8": "lowbit.ops.nonlinear.tflite_l2norm"})
"""Scheme -> the module that runs it, imported when it is first asked for (dispatch.py says what it holds)."""


def l2norm(
    codes: Any,
    *,
    scheme: str = "tflite_int8",
    variant: str | None = None,
    overflow: str = "wrap",
    axis: int = -1,
    return_scale: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: Any,
) -> Any:
    """Rows of integer codes over the square root of the sum of their squares, bit for bit as TFLite computes it.

    Parameters
    ----------
    codes : array_like of int
        int8 codes of any shape.
    scheme : {"tflite_int8"}
        TFLite's int8 kernel. The scale of the codes does not matter, their ``zero_point`` does.
    variant : {"double_rounding", "single_rounding"}, optional
        Which of TFLite's builds.
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes: the int32 sum of squares is the one that can overflow,
        from 33,026 codes that are 255 from the zero point.
    axis : int
        The axis that is normalised.
    return_scale : bool
        Also return the real value of one unit of the result, 1/128.
    out : ndarray, optional
        Where the result goes: of its dtype and shape.
    threads : int
        How many threads share the rows; the bits are the same for any number.
    **options
        ``zero_point``, int8, 0 if not given.

    Returns
    -------
    codes : int8 ndarray
        In 1/128; +1 is limited to 127.
    scale : float, if ``return_scale``

    Raises
    ------
    InputError
        Codes beyond int8, empty rows, an unknown scheme or option.
    IntermediateOverflowError
        Under ``overflow="trap"``: the first intermediate that does not fit its declared width.

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/l2normalization.h``.

    Examples
    --------
    >>> l2norm([[3, 4], [-30, 40]]).tolist()
    [[77, 102], [-77, 102]]
    """
    return dispatch(
        "l2norm",
        L2NORM_SCHEMES,
        codes,
        scheme=scheme,
        variant=variant,
        scale=None,
        overflow=overflow,
        axis=axis,
        bits=None,
        return_scale=return_scale,
        out=out,
        threads=threads,
        options=options,
    )

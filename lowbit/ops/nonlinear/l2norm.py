"""L2 normalisation over integer codes."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results


@documented
def l2norm(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Codes,
    *,
    scheme: str = "tflite_int8",
    variant: str | None = None,
    overflow: str = "wrap",
    axis: int = -1,
    return_scale: bool = False,
    return_values: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: npt.ArrayLike,
) -> Results:
    """Rows of integer codes over the square root of the sum of their squares, bit for bit as TFLite computes it.

    Parameters
    ----------
    codes : array_like of int
        int8 codes of any shape.
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes: the int32 sum of squares is the one that can overflow,
        from 33,026 codes that are 255 from the zero point.
    return_scale : bool
        Also return the real value of one unit of the result, 1/128.
    **options
        ``zero_point``, int8, 0 if not given.

    Returns
    -------
    codes : int8 ndarray
        In 1/128; +1 is limited to 127.
    scale : float, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/l2normalization.h``.

    Examples
    --------
    >>> l2norm([[3, 4], [-30, 40]]).tolist()
    [[77, 102], [-77, 102]]
    """
    returns = (return_scale, return_values)
    return dispatch("l2norm", codes, scheme, variant, None, overflow, axis, None, returns, out, threads, options)

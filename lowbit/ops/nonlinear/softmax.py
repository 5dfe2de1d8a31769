"""softmax over integer codes, under the published integer-only schemes."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results, ScaleLike


@documented
def softmax(  # noqa: PLR0913 (all but one are keyword-only options)
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
    """Softmax of integer codes, bit for bit as a published integer-only scheme computes it.

    Parameters
    ----------
    return_scale : bool
        Also return the real value of one unit of the result; see ``codes`` for its zero point, which
        ``return_values`` applies. None under "fqvit", where code k stands for 2**-k.
    **options
        Further arguments of the scheme. TFLite's take ``beta``; its int16 ones also ``multiplier`` and ``shift`` (left)
        in place of ``scale``.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``; the smallest dtype that holds the declared result width. The zero point is 0, but
        the lowest code under "tflite_int8" and "litert_int8", which return 1/256 from -128 or 1/65536 from -32768.
    scale : float or None, if ``return_scale``
    values : ndarray of float64, if ``return_values``

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
    returns = (return_scale, return_values)
    return dispatch("softmax", codes, scheme, variant, scale, overflow, axis, bits, returns, out, threads, options)

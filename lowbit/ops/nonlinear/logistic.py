"""logistic over integer codes, under the published integer-only schemes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.ops.nonlinear.dispatch import Array, dispatch

LOGISTIC_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "tflite_int8": "lowbit.ops.nonlinear.tflite_sigmoid_int8",
        "tflite_int16": "lowbit.ops.nonlinear.tflite_sigmoid_int16",
        "litert_int8": "lowbit.ops.nonlinear.litert_sigmoid",
        "litert_int16": "lowbit.ops.nonlinear.tflite_sigmoid_int16",
        "gemmlowp": "lowbit.ops.nonlinear.gemmlowp_sigmoid",
        "tosa": "lowbit.ops.nonlinear.tosa_sigmoid",
    }
)
"""Scheme -> the module that runs it, imported when it is first asked for (dispatch.py says what it holds)."""


def logistic(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Any,
    *,
    scheme: str = "tflite_int8",
    variant: str | None = None,
    scale: Any = None,
    overflow: str = "wrap",
    bits: int | None = None,
    return_scale: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: Any,
) -> Any:
    """Compute the logistic function 1 / (1 + exp(-x)) of integer codes, bit for bit as an integer-only scheme does.

    Parameters
    ----------
    codes : array_like of int
        Of any shape.
    scheme : str
        - "tflite_int8": TFLite Micro's int8 kernel; ``zero_point`` is that of the codes.
        - "litert_int8": LiteRT's table of 256 entries, built in binary32 for the scale and ``zero_point``.
        - "tflite_int16": TFLite's int16 reference kernel and TFLite Micro: a table of the sigmoid, interpolated.
        - "litert_int16": LiteRT's optimised kernel, which at some power-of-two scales takes gemmlowp's functions.
        - "gemmlowp": gemmlowp's function of a fixed-point number of ``bits`` bits (32 or 16), ``integer_bits`` of
          them before the point beside the sign.
        - "tosa": TOSA's TABLE with the table of 513 entries that the specification gives for this function; int16
          codes in, int32 with 22 fraction bits out.
    variant : {"double_rounding", "single_rounding"}, optional
        Which of TFLite's builds (tflite_int8).
    scale : float
        The real value of one unit of a code (TFLite's schemes).
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes; "trap" raises an error that names the first one.
    bits : int, optional
        Width of the result, where the scheme leaves a choice.
    return_scale : bool
        Also return the real value of one unit of the result.
    out : ndarray, optional
        Where the result goes: of its dtype and shape.
    threads : int
        How many threads share the work; the bits are the same for any number.
    **options
        Further arguments of the scheme.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``: int8 in 1/256 from -128 (the int8 schemes), int16 in 1/32768 (the int16 schemes),
        int32 or int16 in Q0 (gemmlowp), int32 (tosa).
    scale : float, if ``return_scale``

    Raises
    ------
    InputError
        An unknown scheme, variant or option; a scale that is zero, negative, NaN or out of the scheme's range.
    IntermediateOverflowError
        Under ``overflow="trap"``: the first intermediate that does not fit its declared width.

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h``; gemmlowp,
    ``fixedpoint/fixedpoint.h``; TOSA specification 1.0, operator TABLE.

    Examples
    --------
    >>> logistic([-128, -20, 0, 20, 127], scale=0.05).tolist()
    [-128, -59, 0, 59, 127]
    """
    return dispatch(
        "logistic",
        LOGISTIC_SCHEMES,
        codes,
        scheme=scheme,
        variant=variant,
        scale=scale,
        overflow=overflow,
        axis=-1,
        bits=bits,
        return_scale=return_scale,
        out=out,
        threads=threads,
        options=options,
    )

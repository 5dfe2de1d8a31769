"""The multipliers of a sum of two quantised tensors: what each product derives from three scales.

Standard library only. An :class:`Addition` says all: both operands are shifted left, rescaled, added and rescaled
(TFLite), or multiplied by integers that share one shift, added and shifted (QNNPACK, XNNPACK), or rescaled each
straight to the result (HAWQ-V3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lowbit.errors import InputError, PolicyError
from lowbit.policy.choices import require_choice
from lowbit.policy.multiplier import binary32_scale, derive_multiplier, round_to_binary32
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme

SHARED_SHIFT = {"xnnpack_add": (20, "up", -10), "qnnpack_add": (21, "away", -14)}
"""Name -> bits below the larger multiplier's leading one, ties, exponent of the smallest ratio of scales."""

WIDEST_SHARED = 8
"""Bits of the operands that these two take (qs8, qu8)."""

LARGEST_RATIO_EXPONENT = 8
LEFT_SHIFTS = {8: 20, 16: 15}
"""TFLite's ``left_shift`` by the width of the operands."""


@dataclass(frozen=True)
class Addition:
    """How two quantised tensors are added."""

    scheme: RequantizeScheme  # how ``result`` is applied
    operands: RequantizeScheme  # how ``a`` and ``b`` are applied
    left_shift: int  # both operands, less their zero points, are shifted left by this much first
    # a, b: multiplier and shift of each operand; with ``shared`` the shift is that of ``result``
    a: tuple[int, int]
    b: tuple[int, int]
    result: tuple[int, int] | None  # multiplier and shift of the sum; None where the sum is the result
    shared: bool  # whether operands are multiplied exactly, and only the sum is rounded


def derive_addition(
    scheme: RequantizeScheme | str, a_scale: float, b_scale: float, result_scale: float, bits: int
) -> Addition:
    """The integers of an addition.

    Parameters
    ----------
    scheme : RequantizeScheme or str
        ``"xnnpack_add"``, ``"qnnpack_add"``; ``"litert_optimized_add"`` (int8 in LiteRT 2.3.0's AVX2 code, a model
        fitted to its answers: the operands' products are cut off where the reference rounds them); a dyadic scheme
        (``"hawq"``); or a scheme of 31-bit multipliers with a left shift (``"tflite_double"``, ``"tflm"``, ...), which
        stands for TFLite's addition.
    a_scale, b_scale, result_scale : float
        Positive, rounded to binary32.
    bits : int
        Width of the operands, 8 or 16.

    Raises
    ------
    InputError
        A scale is zero, negative or NaN, or the ratio of two is beyond what the product takes.
    PolicyError
        The scheme adds nothing.

    Notes
    -----
    Source: ``CalculateOpDataAdd`` in tensorflow/lite/micro/kernels/add_common.cc; XNNPACK src/microparams-init.c,
    ``xnn_init_qs8_add_minmax_scalar_params``; QNNPACK src/qnnpack/requantization.h,
    ``qnnp_compute_add_quantization_params``; HAWQ utils/quantization_utils/quant_utils.py, ``fixedpoint_fn``, case 1.
    """
    named = {"a_scale": a_scale, "b_scale": b_scale, "result_scale": result_scale}
    scales = [binary32_scale(scale, name) for name, scale in named.items()]
    if isinstance(scheme, str) and scheme.lower() in SHARED_SHIFT:
        if bits != WIDEST_SHARED:
            raise InputError(
                f"operands of {bits} bits: {scheme.lower()} takes {WIDEST_SHARED}, so that its sums fit 32 bits",
                hint="scheme='tflm' or 'hawq'",
            )
        return _shared(scheme.lower(), scales[0], scales[1], scales[2])
    if isinstance(scheme, str) and scheme.lower() == "litert_optimized_add":
        return _tflite(get_requantize_scheme("tflite_double"), get_requantize_scheme("double_down_up"), scales, bits)
    if isinstance(scheme, str) and scheme.lower().endswith("_add"):
        require_choice("scheme", scheme.lower(), dict.fromkeys((*SHARED_SHIFT, "litert_optimized_add")))
    found = get_requantize_scheme(scheme)
    plain = (found.narrowing, found.overflow, found.zero_point) == ("exact", "saturate", "after_rounding")
    if found.product == "binary53" and plain:
        ratios = [scale / scales[2] for scale in scales[:2]]
        a, b = (derive_multiplier(ratio, found) for ratio in ratios)
        return Addition(found, found, 0, a, b, None, False)
    if found.takes_scale or found.shift != "left" or found.accumulator_bits != 32 or found.pre_shift != "none":
        raise PolicyError(
            f"scheme {found.name!r} has no addition of quantised tensors",
            hint="a scheme like tflite_double, xnnpack_add, qnnpack_add or hawq",
        )
    return _tflite(found, found, scales, bits)


def _tflite(scheme: RequantizeScheme, operands: RequantizeScheme, scales: list[float], bits: int) -> Addition:
    a, b, result = scales
    if bits not in LEFT_SHIFTS:
        raise InputError(f"operands of {bits} bits: TFLite's addition takes 8 or 16")
    left = LEFT_SHIFTS[bits]
    twice = 2 * max(a, b)
    back = twice / (math.ldexp(1.0, left) * result)
    if back >= 1:
        raise InputError(f"the operands' scales are more than 2^{left - 1} times the result's")
    return Addition(
        scheme,
        operands,
        left,
        derive_multiplier(a / twice, scheme),
        derive_multiplier(b / twice, scheme),
        derive_multiplier(back, scheme),
        False,
    )


def _shared(name: str, a: float, b: float, result: float) -> Addition:
    bits, tie, smallest = SHARED_SHIFT[name]
    ratios = [round_to_binary32(scale / result) for scale in (a, b)]
    for ratio in ratios:
        if not math.ldexp(1.0, smallest) <= ratio < math.ldexp(1.0, LARGEST_RATIO_EXPONENT):
            raise InputError(
                f"the ratio {ratio!r} of an operand's scale to the result's is outside 2^{smallest} to "
                f"2^{LARGEST_RATIO_EXPONENT}, which {name} takes"
            )
    shift = bits - (math.frexp(max(ratios))[1] - 1)
    # lrintf: ties to even; the scaled ratio has 24 significant bits, exact in binary64
    multipliers = [round(math.ldexp(ratio, shift)) for ratio in ratios]
    base = get_requantize_scheme("multiplier24_up" if tie == "up" else "multiplier24_away")
    scheme = base.choose(zero_point="after_rounding", name=name)
    return Addition(scheme, scheme, 0, (multipliers[0], shift), (multipliers[1], shift), (1, shift), True)

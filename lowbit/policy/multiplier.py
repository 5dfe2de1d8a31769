"""From scales to (multiplier, shift) as each product derives them. Standard library only.

A scale is a binary64 number (of binary32 scales, :func:`effective_scale` makes one as the product does). What the
products compute with ``frexp`` is computed here in integers, so it is exact wherever it runs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import partial

from lowbit.errors import InputError
from lowbit.policy.requantize import LONGEST_SHIFT, RequantizeScheme, get_requantize_scheme

BINARY64_PRECISION = 53
BINARY32_PRECISION = 24
SMALLEST_BINARY32_EXPONENT = -126  # of a normal number


def derive_multiplier(scale: float, scheme: RequantizeScheme | str) -> tuple[int, int]:
    """The multiplier and the shift, in the scheme's own convention, that its product derives from a scale.

    Parameters
    ----------
    scale : float
        The whole factor from accumulator to result, positive.
    scheme : RequantizeScheme or str

    Returns
    -------
    multiplier, shift : int
        For a scheme that takes the scale itself, its significand and the right shift that makes it the scale.

    Raises
    ------
    InputError
        The scale is zero, negative, infinite or NaN, or beyond what the scheme can express.

    Notes
    -----
    Source: ``QuantizeMultiplier`` in tensorflow/lite/kernels/internal/quantization_util.cc; ``batch_frexp`` in HAWQ
    and I-ViT; ``computeMultiplierAndShift`` in MLIR's Tosa/Utils/QuantUtils.cpp; XNNPACK src/microparams-init.c;
    FBGEMM src/QuantUtils.cc.

    Examples
    --------
    >>> derive_multiplier(0.5, "tflite_double")
    (1073741824, 0)
    >>> derive_multiplier(0.5, "tosa_single")
    (1073741824, 31)
    """
    scheme = get_requantize_scheme(scheme)
    multiplier, right = _RULES[scheme.derivation](positive_scale(scale))
    if scheme.takes_scale:
        return multiplier, right
    shift = scheme.point - right if scheme.shift == "left" else right - scheme.point
    low, high = scheme.shift_range
    if not low <= shift <= high:
        raise InputError(
            f"scale = {scale!r} needs a shift of {shift}, and the scheme {scheme.name or scheme.derivation!r} takes "
            f"{low} to {high}",
            hint="scale the accumulator's operands, or choose a scheme of wider range",
        )
    return multiplier, shift


def positive_scale(scale: object, name: str = "scale") -> float:
    """The scale as a binary64 number; ``name`` is what messages call it.

    Raises InputError: it is not a number, or zero, negative, infinite or NaN.
    """
    if isinstance(scale, str | bytes):
        raise InputError(f"{name} = {scale!r} is not a number")
    try:
        number = float(scale)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} = {scale!r} is not a number") from error
    if not 0 < number < math.inf:
        what = "zero" if number == 0 else "not a number" if math.isnan(number) else f"{number!r}"
        raise InputError(f"{name} is {what}", hint="a scale is a positive, finite number")
    return number


def round_to_binary32(value: float) -> float:
    """A binary64 number rounded to binary32, ties to even, as a C conversion does; beyond its range infinity."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def binary32_scale(scale: object, name: str = "scale") -> float:
    """The scale as a binary32 number, positive and finite there too.

    Raises InputError: as for :func:`positive_scale`, or it is zero or infinite in binary32.
    """
    number = positive_scale(scale, name)
    rounded = round_to_binary32(number)
    if not 0 < rounded < math.inf:
        raise InputError(
            f"{name} is {'zero' if rounded == 0 else 'infinite'} in binary32: {number!r}",
            hint="binary32 scales are 1.4e-45 to 3.4e38",
        )
    return rounded


def effective_scale(a_scale: float, b_scale: float, result_scale: float, *, scheme: RequantizeScheme | str) -> float:
    """The factor from an accumulator to a code of the result, computed in the precision that the product computes in.

    Parameters
    ----------
    a_scale, b_scale, result_scale : float
        Of the operands, inputs and weights say, and of the result. Positive; rounded to binary32 first, since every
        product keeps them so.
    scheme : RequantizeScheme or str
        Its ``scale_product`` decides.

    Returns
    -------
    scale : float

    Raises
    ------
    InputError
        A scale is zero, negative, infinite or NaN, in binary32 too.

    Examples
    --------
    >>> effective_scale(0.1, 0.2, 0.3, scheme="tflite_double") == effective_scale(0.1, 0.2, 0.3, scheme="hawq")
    False
    """
    rule = get_requantize_scheme(scheme).scale_product
    named = {"a_scale": a_scale, "b_scale": b_scale, "result_scale": result_scale}
    left, right, below = (binary32_scale(scale, name) for name, scale in named.items())
    product = left * right  # exact: 24 bits times 24 bits
    if rule == "float64":
        return positive_scale(product / below)
    product = positive_scale(round_to_binary32(product))
    # The quotient of binary32 numbers survives the detour by binary64: 53 >= 2 * 24 + 2 bits.
    quotient = product / below
    return positive_scale(quotient if rule == "float32_product" else round_to_binary32(quotient))


def significand(scale: float, bits: int) -> tuple[int, int]:
    """(multiplier, s) with scale = q * 2**s, q in [1/2, 1), and multiplier = q * 2**bits rounded half away.

    A multiplier that becomes 2**bits is halved, and s is one more.
    """
    fraction, exponent = math.frexp(scale)
    whole = int(math.ldexp(fraction, BINARY64_PRECISION))
    drop = BINARY64_PRECISION - bits
    multiplier = (whole + (1 << (drop - 1))) >> drop
    if multiplier == 1 << bits:
        return multiplier >> 1, exponent + 1
    return multiplier, exponent


def _quantize_multiplier(scale: float) -> tuple[int, int]:
    multiplier, shift = significand(scale, 31)
    return (0, 31) if shift < -31 else (multiplier, 31 - shift)


def _quantize_multiplier_limited(scale: float) -> tuple[int, int]:
    multiplier, right = _quantize_multiplier(scale)
    return (multiplier, right) if right >= 1 else ((1 << 31) - 1, 1)


def _nearest(bits: int, scale: float) -> tuple[int, int]:
    multiplier, shift = significand(scale, bits)
    return multiplier, bits - shift


def _tosa(bits: int, scale: float) -> tuple[int, int]:
    multiplier, right = _nearest(bits, scale)
    if right > LONGEST_SHIFT:
        return multiplier >> min(31, right - LONGEST_SHIFT), LONGEST_SHIFT
    return multiplier, right


def _binary32(bits: int, scale: float) -> tuple[int, int]:
    """The 24 significant bits of the binary32 scale, as a multiplier of ``bits`` bits."""
    number = binary32_scale(scale)
    if number < math.ldexp(1.0, SMALLEST_BINARY32_EXPONENT):
        raise InputError(f"scale = {scale!r} is subnormal in binary32, and the multiplier comes from its bits")
    multiplier, right = _nearest(min(bits, BINARY32_PRECISION), number)
    more = max(bits - BINARY32_PRECISION, 0)
    return multiplier << more, right + more


def _itself(precision: int, scale: float) -> tuple[int, int]:
    fraction, exponent = math.frexp(binary32_scale(scale) if precision == BINARY32_PRECISION else scale)
    return int(math.ldexp(fraction, precision)), precision - exponent


_RULES: dict[str, Callable[[float], tuple[int, int]]] = {
    "quantize_multiplier": _quantize_multiplier,
    "quantize_multiplier_limited": _quantize_multiplier_limited,
    "frexp_31": partial(_nearest, 31),
    # batch_frexp keeps 2^31 as it is: twice the multiplier and one more shift, the same products
    "batch_frexp": partial(_nearest, 31),
    "tosa_32": partial(_tosa, 31),
    "tosa_16": partial(_tosa, 15),
    "binary32_24": partial(_binary32, 24),
    "binary32_31": partial(_binary32, 31),
    "binary32_15": partial(_binary32, 15),
    "nearest_15": partial(_nearest, 15),
    "binary32": partial(_itself, BINARY32_PRECISION),
    "binary64": partial(_itself, BINARY64_PRECISION),
}

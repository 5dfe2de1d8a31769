"""Which casts the 32-bit lanes of ``kernels/fast_binary32.py`` take, and their parameters.

The final codes come from the same lowered vector that the general kernel takes, so the two cannot disagree on a
policy; only rounding to nearest without flushing is done anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.dyadic import floor_log2
from lowbit.kernels import layout as at
from lowbit.lowering import Vector, lower
from lowbit.policy import PRESETS, Policy
from lowbit.registry import get_format
from lowbit.spec import FloatFormat, Scalar

BINARY32_BIAS = 127
BINARY32_MANTISSA_BITS = 23
_SMALLEST_NORMAL_EXPONENT = 1 - BINARY32_BIAS
_NEVER = (1 << 31) - 1

Runner = Callable[[npt.NDArray[Any], npt.NDArray[Any]], None]


def is_binary32(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary32, under whatever name."""
    return _is_ieee(fmt, 32, BINARY32_MANTISSA_BITS)


def is_binary64(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary64, under whatever name."""
    return _is_ieee(fmt, 64, 52)


def _is_ieee(fmt: Scalar, bits: int, mantissa_bits: int) -> bool:
    if not isinstance(fmt, FloatFormat) or (fmt.bits, fmt.mantissa_bits) != (bits, mantissa_bits):
        return False
    return fmt.ieee_like and fmt.signed and fmt.bias == (1 << (fmt.exponent_bits - 1)) - 1


@lru_cache(maxsize=1024)
def fast_runner(source: Scalar, target: Scalar, policy: Policy) -> Runner | None:
    """A function (binary32 bits as uint32, out as uint8) that makes the cast, or None where the general kernel must."""
    if not is_binary32(source) or not isinstance(target, FloatFormat) or target.bits > 8:
        return None
    if policy.rounding != "nearest_even" or (policy.flush_results, policy.flush_inputs) != ("never", "never"):
        return None
    vector = lower(source, target, policy)
    if not target.subnormals:
        if target.mantissa_bits or target.bias != BINARY32_BIAS or target.signed:
            return None
        # below 2**-127 a value may round up to it or underflow: one code serves both, or the general kernel decides
        return _powers_of_two(target, vector) if vector[at.UNDERFLOW] == 0 else None
    scale_exponent = -target.smallest_exponent
    min_normal_exponent = target.smallest_exponent + target.mantissa_bits
    ties_up = bool(vector[at.ROUND_ODD] == 0)
    if min_normal_exponent < _SMALLEST_NORMAL_EXPONENT or not -126 <= scale_exponent <= BINARY32_BIAS or ties_up:
        return None
    return _with_subnormals(target, vector, min_normal_exponent, np.float32(2.0**scale_exponent))


def _with_subnormals(target: FloatFormat, vector: Vector, min_normal_exponent: int, unit: np.float32) -> Runner:
    from lowbit.kernels import fast_binary32 as fast

    shift = BINARY32_MANTISSA_BITS - target.mantissa_bits
    min_normal = (min_normal_exponent + BINARY32_BIAS) << BINARY32_MANTISSA_BITS
    parameters = _common(vector, target, shift)
    parameters[fast.OFFSET] = (min_normal >> shift) - (1 << target.mantissa_bits)
    parameters[fast.MIN_NORMAL] = min_normal
    parameters[fast.SIGN] = target.sign_bit
    parameters[fast.ZERO_SIGN] = int(vector[at.ZERO + 1])
    parameters[fast.PAYLOAD_MASK] = int(vector[at.PAYLOAD_MASK])
    parameters[fast.NEGATIVE_FROM] = _NEVER if target.signed else 1
    lowered = _frozen(parameters)

    def run(bits: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        fast.encode_with_subnormals(bits.view(np.int32), bits.view(np.float32), unit, lowered, out)

    return run


def _powers_of_two(target: FloatFormat, vector: Vector) -> Runner:
    from lowbit.kernels import fast_binary32 as fast

    parameters = _common(vector, target, BINARY32_MANTISSA_BITS)
    even = bool(vector[at.ROUND_ODD])
    midpoint = 3 << (BINARY32_MANTISSA_BITS - 2)  # 3/2 * 2**-127 as a subnormal binary32 number
    parameters[fast.LOWEST_TIE] = midpoint if even else midpoint - 1
    parameters[fast.ZERO] = int(vector[at.ZERO_INPUT])
    parameters[fast.ZERO_FLIP] = int(vector[at.ZERO_INPUT] ^ vector[at.ZERO_INPUT + 1])
    lowered = _frozen(parameters)

    def run(bits: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        fast.encode_powers_of_two(bits.view(np.int32), lowered, out)

    return run


def _common(vector: Vector, target: FloatFormat, shift: int) -> list[int]:
    from lowbit.kernels import fast_binary32 as fast

    even = bool(vector[at.ROUND_ODD])
    parameters = [0] * fast.SIZE
    parameters[fast.SHIFT] = shift
    parameters[fast.HALF] = (1 << (shift - 1)) - int(even)
    parameters[fast.ODD] = int(even)
    parameters[fast.MAX_CODE] = target.max_code
    parameters[fast.NEGATIVE] = int(vector[at.NEGATIVE])
    parameters[fast.SIGN_MASK] = 0 if vector[at.SOURCE_DROP_SIGN] else -1
    pairs = ((fast.OVERFLOW, at.OVERFLOW), (fast.INFINITE, at.INFINITY), (fast.NAN, at.NAN))
    for place, pair in pairs:
        parameters[place] = int(vector[pair])
        parameters[place + 1] = int(vector[pair] ^ vector[pair + 1])
    return parameters


def _frozen(parameters: list[int]) -> Vector:
    lowered = np.array(parameters, dtype=np.int64)
    lowered.setflags(write=False)
    return lowered


@lru_cache(maxsize=1024)
def fast_decoder(source: Scalar) -> Runner | None:
    """A function (uint8 codes, binary32 out) that decodes in 32-bit lanes, or None where a table must."""
    if not isinstance(source, FloatFormat) or source.bits > 8:
        return None
    binary32 = get_format("float32")
    lowest, highest = source.smallest_exponent, floor_log2(source.max)
    if not source.subnormals and (source.mantissa_bits or source.bias != BINARY32_BIAS):
        return None
    if source.subnormals and (lowest < _SMALLEST_NORMAL_EXPONENT or highest > BINARY32_BIAS):
        return None
    from lowbit.kernels import fast_decode as fast

    vector = lower(source, binary32, PRESETS["ieee"])
    parameters = [0] * fast.SIZE
    parameters[fast.SHIFT] = BINARY32_MANTISSA_BITS - source.mantissa_bits
    parameters[fast.REBIAS] = (BINARY32_BIAS - source.bias) << BINARY32_MANTISSA_BITS
    parameters[fast.MIN_NORMAL] = max(source.min_normal_code, 1)
    parameters[fast.LOWEST] = 0 if source.zero else 1 << (BINARY32_MANTISSA_BITS - 1)
    parameters[fast.MAX_CODE] = source.max_code
    parameters[fast.MAGNITUDE] = (1 << source.magnitude_bits) - 1
    parameters[fast.INFINITE] = -1 if source.infinity is None else source.infinity
    parameters[fast.NAN] = int(vector[at.NAN])
    parameters[fast.NAN_FLIP] = int(vector[at.NAN] ^ vector[at.NAN + 1])
    parameters[fast.PAYLOAD_MASK] = int(vector[at.PAYLOAD_MASK])
    parameters[fast.SIGN_SHIFT] = source.bits - 1
    parameters[fast.SIGN_MASK] = -1 if source.signed else 0
    parameters[fast.ZERO_NAN] = source.sign_bit if source.nan_at_negative_zero else 0
    lowered = _frozen([entry - (1 << 32) if entry >= 1 << 31 else entry for entry in parameters])
    unit = np.float32(2.0**lowest)
    return lambda codes, out: fast.decode(codes, unit, lowered, out)

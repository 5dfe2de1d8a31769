"""Which casts the 32-bit lanes of ``kernels/cast/fast_binary32.py`` take, and their parameters.

The final codes come from the same lowered vector that the general kernel takes, so the two cannot disagree on a
policy; only rounding to nearest without flushing is done anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.exact import floor_log2
from lowbit.format.registry import get_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.lowering import Vector, lower
from lowbit.policy.cast import PRESETS, Policy

BINARY32_BIAS = 127
BINARY32_MANTISSA_BITS = 23
_SMALLEST_NORMAL_EXPONENT = 1 - BINARY32_BIAS
_HIGHEST_EXPONENT = BINARY32_BIAS - BINARY32_MANTISSA_BITS - 2  # the anchor beyond the top is still finite
_NEVER = (1 << 31) - 1

Runner = Callable[[npt.NDArray[Any], npt.NDArray[Any]], None]


def is_binary32(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary32, under whatever name."""
    return _is_ieee(fmt, 32, BINARY32_MANTISSA_BITS)


def is_binary64(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary64, under whatever name."""
    return _is_ieee(fmt, 64, 52)


def is_binary16(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary16, under whatever name."""
    return _is_ieee(fmt, 16, 10)


def is_bfloat16(fmt: Scalar) -> bool:
    """Whether a format is bfloat16, under whatever name."""
    return _is_ieee(fmt, 16, 7)


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
    if any(vector[at.OVERFLOW + sign] != vector[at.INFINITY + sign] for sign in (0, 1)):
        return None
    if not target.subnormals:
        if target.mantissa_bits or target.bias != BINARY32_BIAS or target.signed or vector[at.UNDERFLOW] != 0:
            return None
        # below 2**-127 a value may round up to it or underflow: one code serves both
        return _powers_of_two(target, vector)
    top = floor_log2(target.max)
    lowest = target.smallest_exponent + target.mantissa_bits
    tied_up = not target.mantissa_bits and not vector[at.ROUND_ODD]
    # the kernel that keeps payloads gives -0 its own code
    lost_payload = bool(vector[at.PAYLOAD_MASK]) and (not target.signed or vector[at.ZERO + 1] != target.sign_bit)
    if lowest < _SMALLEST_NORMAL_EXPONENT or top > _HIGHEST_EXPONENT or tied_up or lost_payload:
        return None
    return _with_subnormals(target, vector, lowest, top)


def _with_subnormals(target: FloatFormat, vector: Vector, min_normal_exponent: int, top_exponent: int) -> Runner:
    from lowbit.kernels.cast import fast_binary32 as fast

    shift = BINARY32_MANTISSA_BITS - target.mantissa_bits
    parameters = _common(vector, target, shift)
    parameters[fast.MIN_NORMAL] = _power_of_two(min_normal_exponent)
    parameters[fast.TO_ANCHOR] = shift << BINARY32_MANTISSA_BITS
    parameters[fast.FIRST_ANCHOR] = _power_of_two(min_normal_exponent + shift)
    parameters[fast.BEYOND] = _power_of_two(top_exponent + 2)
    lowered = _frozen(parameters)
    return _compiled(_kernel(target, vector), lowered)


def _kernel(target: FloatFormat, vector: Vector) -> Any:
    """The kernel with the fewest instructions that the policy allows."""
    from lowbit.kernels.cast import fast_binary32 as fast

    sign, overflow, nan = target.sign_bit, _codes(vector, at.OVERFLOW), _codes(vector, at.NAN)
    if not target.mantissa_bits:
        return fast.encode_without_mantissa
    if target.signed and vector[at.ZERO + 1] == 0 and overflow == nan == (sign, sign):
        return fast.encode_nan_beyond
    if not target.signed or vector[at.ZERO + 1] != sign:
        return fast.encode_any_sign
    if vector[at.PAYLOAD_MASK]:
        return fast.encode_signed_with_payload
    alike = all(negative == positive | sign and positive < sign for positive, negative in (overflow, nan))
    return fast.encode_symmetric if alike and overflow[0] <= target.max_code + 1 else fast.encode_signed


def _codes(vector: Vector, place: int) -> tuple[int, int]:
    return int(vector[place]), int(vector[place + 1])


def _power_of_two(exponent: int) -> int:
    """The bits of 2**exponent in binary32."""
    return (exponent + BINARY32_BIAS) << BINARY32_MANTISSA_BITS


def _powers_of_two(target: FloatFormat, vector: Vector) -> Runner:
    from lowbit.kernels.cast import fast_binary32 as fast

    parameters = _common(vector, target, BINARY32_MANTISSA_BITS)
    even = bool(vector[at.ROUND_ODD])
    midpoint = 3 << (BINARY32_MANTISSA_BITS - 2)  # 3/2 * 2**-127 as a subnormal binary32 number
    parameters[fast.LOWEST_TIE] = midpoint if even else midpoint - 1
    parameters[fast.HALF] = (1 << (BINARY32_MANTISSA_BITS - 1)) - int(even)
    parameters[fast.ODD] = int(even)
    # the sign is compared as 0 or -1: nothing is above -2, so no input counts as negative
    parameters[fast.NEGATIVE_ABOVE] = -2 if vector[at.SOURCE_DROP_SIGN] else -1
    lowered = _frozen(parameters)
    beyond = target.max_code + 1
    unsigned = bool(vector[at.SOURCE_DROP_SIGN]) and vector[at.ZERO_INPUT] == 0
    nan_beyond = vector[at.OVERFLOW] == vector[at.NAN] == beyond
    return _compiled(fast.encode_exponent if unsigned and nan_beyond else fast.encode_exponent_any_sign, lowered)


def _compiled(kernel: Any, lowered: npt.NDArray[np.int32]) -> Runner:
    from lowbit.kernels._jit import entry
    from lowbit.kernels.lib.types import array_type

    encode = entry(kernel, array_type("int32"), array_type("int32"), array_type("uint8"))
    return lambda bits, out: encode(bits, lowered, out)


def _common(vector: Vector, target: FloatFormat, shift: int) -> list[int]:
    """Parameters that all kernels share; where the sign is dropped, nothing depends on it."""
    from lowbit.kernels.cast import fast_binary32 as fast

    signs = 0 if vector[at.SOURCE_DROP_SIGN] else 1
    parameters = [0] * fast.SIZE
    parameters[fast.SHIFT] = shift
    parameters[fast.MAX_CODE] = target.max_code
    parameters[fast.SIGN] = target.sign_bit
    parameters[fast.PAYLOAD_MASK] = int(vector[at.PAYLOAD_MASK])
    parameters[fast.NEGATIVE] = int(vector[at.NEGATIVE])
    parameters[fast.NEGATIVE_ABOVE] = 0 if signs and not target.signed else _NEVER
    zero = at.ZERO if target.zero else at.ZERO_INPUT
    pairs = ((fast.OVERFLOW, at.OVERFLOW), (fast.NAN, at.NAN), (fast.ZERO, zero))
    for place, pair in pairs:
        parameters[place] = int(vector[pair])
        parameters[place + 1] = int(vector[pair] ^ vector[pair + signs])
    return parameters


def _frozen(parameters: list[int]) -> npt.NDArray[np.int32]:
    """The parameters as int32: one 64-bit number among them would widen the lanes."""
    lowered = np.array(parameters, dtype=np.int64).astype(np.int32)
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
    from lowbit.kernels.cast import fast_decode as fast

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
    lowered, unit = _frozen(parameters), np.float32(2.0**lowest)
    return lambda codes, out: fast.decode(codes, unit, lowered, out)

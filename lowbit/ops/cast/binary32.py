"""Casts from binary32 to nearest (``fast_binary32.py``), and exactly into it (``fast_decode.py``), in 32-bit lanes.

The final codes come from the same lowered vector that the general kernel takes, so the two cannot disagree on a
policy; only rounding to nearest without flushing is done anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import Array
from lowbit.ops.cast import tables
from lowbit.ops.cast.lowering import Vector, lower
from lowbit.policy.cast import CAST_PRESETS

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast

BINARY32_BIAS = 127
BINARY32_MANTISSA_BITS = 23
_SMALLEST_NORMAL_EXPONENT = 1 - BINARY32_BIAS
_HIGHEST_EXPONENT = BINARY32_BIAS - BINARY32_MANTISSA_BITS - 2  # the anchor beyond the top is still finite
_NEVER = (1 << 31) - 1

Lanes = Callable[[Array, Array], None]
"""``lanes(codes, out)``: a kernel with its parameters."""


def is_binary32(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary32, under whatever name."""
    return _is_ieee(fmt, 32, 24)


def is_binary64(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary64, under whatever name."""
    return _is_ieee(fmt, 64, 53)


def is_binary16(fmt: Scalar) -> bool:
    """Whether a format is IEEE 754 binary16, under whatever name."""
    return _is_ieee(fmt, 16, 11)


def is_bfloat16(fmt: Scalar) -> bool:
    """Whether a format is bfloat16, under whatever name."""
    return _is_ieee(fmt, 16, 8)


def _is_ieee(fmt: Scalar, bits: int, precision: int) -> bool:
    """IEEE 754-2019 3.6: the exponent field has what sign and trailing significand leave, the bias is half of it."""
    bias = (1 << (bits - precision - 1)) - 1
    return fmt.bits == bits and fmt.ieee_like and fmt.signed and fmt.smallest_exponent == 2 - bias - precision


def encodes(cast: Cast) -> Lanes | None:
    """The lanes for binary32 codes into a float of at most 8 bits; None where rounding or flushing is another."""
    kernel = rounding_kernel(cast)
    return None if kernel is None else _compiled(*kernel)


def rounding_kernel(cast: Cast) -> tuple[Any, npt.NDArray[np.int32]] | None:
    """The kernel of such lanes and its parameters."""
    source, target, policy = cast[:3]
    if cast.flags or target.bits > 8 or target.wraps or not is_binary32(source):
        return None
    if policy.rounding != "nearest_even" or (policy.flush_results, policy.flush_inputs) != ("never", "never"):
        return None
    vector = lower(source, target, policy)
    if any(vector[at.OVERFLOW + sign] != vector[at.INFINITY + sign] for sign in (0, 1)):
        return None
    if not target.subnormals:
        exponents_alone = target.precision == 1 and target.smallest_exponent == -BINARY32_BIAS
        # below 2**-127 a value may round up to it or underflow: one code serves both
        usual = exponents_alone and not target.signed and vector[at.UNDERFLOW] == 0
        return _powers_of_two(target, vector) if usual else None
    top, lowest = target.max_exponent, target.smallest_exponent + target.precision - 1
    tied_up = target.precision == 1 and not vector[at.ROUND_ODD]
    # the kernel that keeps payloads gives -0 its own code
    lost_payload = bool(vector[at.PAYLOAD_MASK]) and (not target.signed or vector[at.ZERO + 1] != target.sign_bit)
    if lowest < _SMALLEST_NORMAL_EXPONENT or top > _HIGHEST_EXPONENT or tied_up or lost_payload:
        return None
    return _with_subnormals(target, vector, lowest, top)


def run(lanes: Lanes, codes: Array, out: Array, *_: object) -> None:
    """Run the lanes on codes as they are."""
    lanes(codes, out)


def _with_subnormals(
    target: Scalar, vector: Vector, min_normal_exponent: int, top_exponent: int
) -> tuple[Any, npt.NDArray[np.int32]]:
    from lowbit.kernels.cast import fast_binary32 as fast

    shift = BINARY32_MANTISSA_BITS + 1 - target.precision
    parameters = _common(vector, target, shift)
    parameters[fast.MIN_NORMAL] = _power_of_two(min_normal_exponent)
    parameters[fast.TO_ANCHOR] = shift << BINARY32_MANTISSA_BITS
    parameters[fast.FIRST_ANCHOR] = _power_of_two(min_normal_exponent + shift)
    parameters[fast.BEYOND] = _power_of_two(top_exponent + 2)
    return _kernel(target, vector), _frozen(parameters)


def _kernel(target: Scalar, vector: Vector) -> Any:
    """The kernel with the fewest instructions that the policy allows."""
    from lowbit.kernels.cast import fast_binary32 as fast

    sign, overflow, nan = target.sign_bit, _codes(vector, at.OVERFLOW), _codes(vector, at.NAN)
    if target.precision == 1:
        return fast.encode_without_mantissa
    if target.signed and vector[at.ZERO + 1] == 0 and overflow == nan == (sign, sign):
        return fast.encode_nan_beyond
    if not target.signed or vector[at.ZERO + 1] != sign:
        return fast.encode_any_sign
    if vector[at.PAYLOAD_MASK]:
        return fast.encode_signed_with_payload
    alike = all(negative == positive | sign and positive < sign for positive, negative in (overflow, nan))
    return fast.encode_symmetric if alike and overflow[0] <= target.largest_code() + 1 else fast.encode_signed


def _codes(vector: Vector, place: int) -> tuple[int, int]:
    return int(vector[place]), int(vector[place + 1])


def _power_of_two(exponent: int) -> int:
    """The bits of 2**exponent in binary32."""
    return (exponent + BINARY32_BIAS) << BINARY32_MANTISSA_BITS


def _powers_of_two(target: Scalar, vector: Vector) -> tuple[Any, npt.NDArray[np.int32]]:
    from lowbit.kernels.cast import fast_binary32 as fast

    parameters = _common(vector, target, BINARY32_MANTISSA_BITS)
    even = bool(vector[at.ROUND_ODD])
    midpoint = 3 << (BINARY32_MANTISSA_BITS - 2)  # 3/2 * 2**-127 as a subnormal binary32 number
    parameters[fast.LOWEST_TIE] = midpoint if even else midpoint - 1
    parameters[fast.HALF] = (1 << (BINARY32_MANTISSA_BITS - 1)) - int(even)
    parameters[fast.ODD] = int(even)
    # the sign is compared as 0 or -1: nothing is above -2, so no input counts as negative
    parameters[fast.NEGATIVE_ABOVE] = -2 if vector[at.SOURCE_DROP_SIGN] else -1
    beyond = target.largest_code() + 1
    unsigned = bool(vector[at.SOURCE_DROP_SIGN]) and vector[at.ZERO_INPUT] == 0
    nan_beyond = vector[at.OVERFLOW] == vector[at.NAN] == beyond
    kernel = fast.encode_exponent if unsigned and nan_beyond else fast.encode_exponent_any_sign
    return kernel, _frozen(parameters)


def _compiled(kernel: Any, lowered: npt.NDArray[np.int32]) -> Lanes:
    from lowbit.kernels._jit import array_type, entry

    encode = entry(kernel, array_type("int32"), array_type("int32"), array_type("uint8"))
    return lambda bits, out: encode(bits, lowered, out)


def _common(vector: Vector, target: Scalar, shift: int) -> list[int]:
    """Parameters that all kernels share; where the sign is dropped, nothing depends on it."""
    from lowbit.kernels.cast import fast_binary32 as fast

    signs = 0 if vector[at.SOURCE_DROP_SIGN] else 1
    parameters = [0] * fast.SIZE
    parameters[fast.SHIFT] = shift
    parameters[fast.MAX_CODE] = target.largest_code()
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


def decodes(cast: Cast) -> Lanes | None:
    """The lanes from a float of at most 8 bits to binary32, where they beat a table: its values as they are."""
    source, target, policy = cast[:3]
    exact = source.bits <= 8 and is_binary32(target) and not policy.differences(CAST_PRESETS["ieee"])
    if cast.flags or not exact or source.wraps or source.listed or tables.registers_available():
        return None
    lowest, highest = source.smallest_exponent, source.max_exponent
    if not source.subnormals and (source.precision > 1 or lowest != -BINARY32_BIAS):
        return None
    if source.subnormals and (lowest < _SMALLEST_NORMAL_EXPONENT or highest > BINARY32_BIAS):
        return None
    from lowbit.kernels.cast import fast_decode as fast

    vector = lower(source, target, policy)
    infinity, mantissa_bits = source.infinity_code(), source.precision - 1
    parameters = [0] * fast.SIZE
    parameters[fast.SHIFT] = BINARY32_MANTISSA_BITS - mantissa_bits
    # a field of 0 with a hidden bit would be worth 2**(1 - bias), as smallest_exponent says where there are subnormals
    bias = int(source.subnormals) - lowest - mantissa_bits
    parameters[fast.REBIAS] = (BINARY32_BIAS - bias) << BINARY32_MANTISSA_BITS
    parameters[fast.MIN_NORMAL] = max(source.min_normal_code, 1)
    parameters[fast.LOWEST] = 0 if source.zero else 1 << (BINARY32_MANTISSA_BITS - 1)
    parameters[fast.MAX_CODE] = source.largest_code()
    parameters[fast.MAGNITUDE] = (1 << source.magnitude_bits) - 1
    parameters[fast.INFINITE] = -1 if infinity is None else infinity
    parameters[fast.NAN] = int(vector[at.NAN])
    parameters[fast.NAN_FLIP] = int(vector[at.NAN] ^ vector[at.NAN + 1])
    parameters[fast.PAYLOAD_MASK] = int(vector[at.PAYLOAD_MASK])
    parameters[fast.SIGN_SHIFT] = source.bits - 1
    parameters[fast.SIGN_MASK] = -1 if source.signed else 0
    parameters[fast.ZERO_NAN] = source.sign_bit if source.ordinal(source.sign_bit) is None else 0
    lowered, unit = _frozen(parameters), np.float32(2.0**lowest)
    return lambda codes, out: fast.decode(codes, unit, lowered, out.view(np.float32))

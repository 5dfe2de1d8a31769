"""binary32 into blocks under scales that are powers of two: the path for MX."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import LowbitError
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import Array
from lowbit.ops.block.scales import bump
from lowbit.ops.cast.binary32 import rounding_kernel
from lowbit.ops.cast.cast import encode
from lowbit.ops.cast.paths import Cast
from lowbit.ops.chunks import in_chunks
from lowbit.policy.block import POWER_RULES, BlockPolicy

MANTISSA_BITS = 23
NEVER = 1 << MANTISSA_BITS
SMALLEST_ELEMENT = -100
"""The exponent of the smallest element: what is subnormal in binary32 is then rounded to zero."""
CHUNK = 1 << 18
"""Values that one thread works on at once."""


class Lanes(NamedTuple):
    """A kernel and its parameters: the scale rule, and how an element is rounded."""

    kernel: Any
    rule: npt.NDArray[np.int32]
    rounding: npt.NDArray[np.int32]


@lru_cache(maxsize=64)
def lanes(fmt: BlockFormat, policy: BlockPolicy) -> Lanes | None:
    """How values are brought into a format under a policy; None where another path does it."""
    field, *others = fmt.scales
    element, scale = fmt.number, field.format
    plain = policy.arithmetic == "exact" and not policy.quotient_format
    usual = plain and policy.scale_rule in POWER_RULES and policy.nan == "propagate"
    one_axis = len(field.block) == 1 and field.block[0] > 0 and not others and field.role == "multiply"
    if not (usual and one_axis and scale.id == "float8_e8m0fnu" and policy.infinity in {"propagate", "nan"}):
        return None
    if element.listed or element.wraps or element.smallest_exponent < SMALLEST_ELEMENT:
        return None
    rounding = rounding_kernel(Cast(scalar_format("float32"), element, policy.policy("element", element)))
    kernel = None if rounding is None else _in_blocks(rounding[0])
    if rounding is None or kernel is None or not _alike(rounding[1], element):
        return None
    try:
        rule = _rule(element, scale, policy)
    except LowbitError:  # the policy of the scale refuses what the other path then says
        return None
    return Lanes(kernel, rule, rounding[1])


def _in_blocks(kernel: Any) -> Any:
    """The kernel for blocks whose elements are rounded as this one does; None where there is none."""
    from lowbit.kernels.block import fast_power_of_two as fast
    from lowbit.kernels.cast import fast_binary32

    kernels = {
        fast_binary32.encode_symmetric: fast.symmetric_blocks,
        fast_binary32.encode_signed: fast.signed_blocks,
    }
    return kernels.get(kernel)


def _alike(rounding: npt.NDArray[np.int32], element: Scalar) -> bool:
    """Whether what overflows has the same magnitude for both signs: the largest, or the code behind it."""
    from lowbit.kernels.cast import fast_binary32 as at

    flipped = rounding[at.OVERFLOW_FLIP] == element.sign_bit
    return bool(flipped and rounding[at.OVERFLOW] <= element.largest_code() + 1)


def _rule(element: Scalar, scale: Scalar, policy: BlockPolicy) -> npt.NDArray[np.int32]:
    """The parameters of the scale: exponents add, and the mantissa decides about one more."""
    from lowbit.kernels.block import fast_power_of_two as fast

    offset, mantissa = -int(element.max_exponent), NEVER
    maximum = float(element.max.fraction()) / 2.0**element.max_exponent  # from 1 to 2
    if policy.scale_rule == "rceil":
        mantissa = int((maximum - 1) * NEVER) + 1
    elif policy.scale_rule == "nearest":
        offset, middle = (offset, 1.5 * maximum) if maximum < 4 / 3 else (offset - 1, 0.75 * maximum)
        mantissa = int(np.ceil((middle - 1) * NEVER))
    elif policy.scale_rule != "floor":
        mantissa = int(np.ceil((2 * bump(policy.scale_rule, element) - 1) * NEVER))
    of_scale = policy.policy("scale", scale)
    specials = {fast.BELOW: 2.0**-400, fast.BEYOND: 2.0**400, fast.NAN: np.nan}
    specials[fast.INFINITE] = np.inf if policy.infinity == "propagate" else np.nan
    specials[fast.ZERO] = 1.0 if policy.zero_block == "one" else 0.0
    rule = np.zeros(fast.SIZE_OF_RULE, np.int32)
    rule[fast.OFFSET], rule[fast.BUMP] = offset, mantissa
    for place, value in specials.items():
        rule[place] = int(encode(value, scale, policy=of_scale))
    rule.setflags(write=False)
    return rule


def quantize(way: Lanes, values: Array, length: int, threads: int) -> tuple[Array, Array]:
    """Codes and scales of binary32 values in blocks of a length, which divides the last axis."""
    grid = (*values.shape[:-1], values.shape[-1] // length)
    scales = np.empty(grid, np.uint8)
    places = scales.reshape(-1)
    blocks = np.ascontiguousarray(values).view(np.int32).reshape(places.size, length)
    codes = np.empty(blocks.shape, np.uint8)

    def part(start: int, stop: int) -> None:
        way.kernel(blocks[start:stop], way.rule, way.rounding, codes[start:stop], places[start:stop])

    in_chunks(part, places.size, threads, max(1, CHUNK // length))
    return codes.reshape(values.shape), scales

"""The scales of many blocks: in a format of 8 bits they rise with amax in few steps, which are found once.

Where a step lies is computed in binary64 and then looked for among the binary32 numbers beside, by the rule itself. The
answers on both sides of every step have to join without a gap; if they do not, nothing is said here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.ops.arrays import Array
from lowbit.ops.block.scales import Coarse, Fine, Steps, bump, field_values, fine_scales, largest_element
from lowbit.ops.cast.intervals import look_up, narrowest
from lowbit.policy.block import POWER_RULES, BlockPolicy

MANY = 1 << 16
"""Blocks for which the steps pay."""

REACH = 12
"""Binary32 numbers to either side of where a step is expected: four rounded steps err by fewer."""


def many_fine_scales(
    amax: npt.NDArray[np.float32],
    field: ScaleField,
    fmt: BlockFormat,
    above: Coarse | None,
    policy: BlockPolicy,
    shape: Shape,
    factor: float = 1,
    most: float | None = None,
) -> Fine:
    """What ``fine_scales`` says, of the largest magnitudes in binary32; the scale above is that of the whole tensor.

    ``most``: the largest magnitude of a tensor that these are a part of; the steps serve all of its parts.
    """
    dtype = Steps(policy).dtype
    steps = None
    narrow = field.format.bits <= 8 and not field.format.signed_codes and field.role != "exponent"
    if (most is not None or amax.size >= MANY) and narrow and policy.quotient_scale == "stored":
        steps = _steps(field, fmt, above, policy, shape, factor, float(amax.max()) if most is None else most)
    if steps is None:
        return fine_scales(amax.astype(dtype), field, fmt, above, policy, shape, factor)
    codes = look_up(steps, amax.reshape(-1).view(np.int32)).reshape(amax.shape)
    every = np.arange(1 << field.format.bits, dtype=codes.dtype)
    values = np.where((every < codes.min()) | (every > codes.max()), 1, field_values(every, field))
    return Fine(field, codes, values.astype(dtype), coded=True)


@lru_cache(maxsize=8)
def _steps(
    field: ScaleField,
    fmt: BlockFormat,
    above: Coarse | None,
    policy: BlockPolicy,
    shape: Shape,
    factor: float,
    most: float,
) -> Any:
    """Where codes change, up to a largest magnitude; None where the answers about these places do not join."""
    words = _words(field, fmt, above, policy, np.float32(most), factor)
    sample = np.unique(np.clip(words[:, None] + np.arange(-REACH, REACH + 1), 1, words[-1]))
    sample = np.concatenate([[0], sample]).astype(np.uint32)
    values = sample.view(np.float32).astype(Steps(policy).dtype)
    with np.errstate(all="ignore"):
        found = fine_scales(values, field, fmt, above, policy, shape, factor)
    return narrowest(sample, found.codes) if _joined(sample, found.codes) else None


def _words(
    field: ScaleField, fmt: BlockFormat, above: Coarse | None, policy: BlockPolicy, most: np.float32, factor: float
) -> npt.NDArray[np.int64]:
    """About where the steps lie, as binary32 words; the last is that of ``most``."""
    element, rule = fmt.number, policy.scale_rule
    values = field_values(np.arange(field.format.largest_code() + 1, dtype=field.format.code_dtype), field)
    maximum = largest_element(field, fmt, policy)
    if rule not in POWER_RULES:
        places = (values[:-1] + values[1:]) / 2 * maximum
    elif rule in {"rceil", "nearest"}:
        places = values * maximum * 2 * bump(rule, element)
    else:
        places = values * 2.0 ** (element.max_exponent + fmt.headroom + 1) * min(bump(rule, element), 1)
    if above is not None:
        places = places / above.reciprocal if above.divides else places * above.scale
    places = places / factor
    return np.append(np.minimum(places, most), most).astype(np.float32).view(np.int32).astype(np.int64)


def _joined(words: Array, codes: Array) -> bool:
    """Whether the answer is the same on both sides of every gap between the words."""
    return not ((np.diff(words.astype(np.int64)) > 1) & (codes[1:] != codes[:-1])).any()

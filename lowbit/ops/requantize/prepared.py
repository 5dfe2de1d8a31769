"""A requantisation that runs many times: what does not depend on the accumulators is checked and lowered once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.ops.requantize.arguments import checked_multipliers, checked_range, checked_result
from lowbit.ops.requantize.run import CHUNK, FEW_COLUMNS, Lowered, Task, fast_call, lower, plain_call
from lowbit.ops.types import Array
from lowbit.policy.requantize import get_requantize_scheme


class PreparedRequantization:
    """``requantize`` of int32 accumulators whose channels are along the last axis.

    Parameters
    ----------
    scheme, multiplier, shift, scale, zero_point, result, minimum, maximum
        As for :func:`lowbit.requantize`. The scheme takes every int32 accumulator (``bounded`` is False).

    Raises
    ------
    InputError, PolicyError
        As for :func:`lowbit.requantize`.
    """

    def __init__(
        self,
        *,
        scheme: Any,
        multiplier: Any = None,
        shift: Any = None,
        scale: Any = None,
        zero_point: int = 0,
        result: Any = "int8",
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> None:
        rules, target = get_requantize_scheme(scheme), checked_result(result)
        multipliers = checked_multipliers(rules, multiplier, shift, scale)
        task = Task(rules, multipliers, checked_range(rules, target, zero_point, minimum, maximum), target)
        self.dtype, self._channels = np.dtype(target.code_dtype), multipliers.multiplier.size
        self._task, lowered = task, lower(task)
        copies = max(FEW_COLUMNS // self._channels, 1) if self._channels > 1 else 1
        index = np.arange(self._channels)
        self._parts = [
            (self._channels * count, self._call(lowered.columns(np.tile(index, count))))
            for count in sorted({1, copies}, reverse=True)
        ]

    def _call(self, lowered: Lowered) -> Any:
        dimensions = 2 if self._channels > 1 else 1
        fast = fast_call(lowered, dimensions, np.dtype(np.int32), self.dtype)
        return fast or plain_call(lowered, self._task.scheme)

    def __call__(self, accumulators: npt.NDArray[np.int32]) -> Array:
        """The codes, in an array of the shape of ``accumulators``; its last axis has the channels, if there are any."""
        source = np.ascontiguousarray(accumulators).reshape(-1)
        out = np.empty(source.size, self.dtype)
        start = 0
        for width, call in self._parts:
            rows = max(CHUNK // width, 1) * width
            whole = source.size - (source.size - start) % width
            for first in range(start, whole, rows):
                last = min(first + rows, whole)
                if self._channels == 1:
                    call(source[first:last], out[first:last])
                else:
                    call(source[first:last].reshape(-1, width), out[first:last].reshape(-1, width))
            start = whole
        return out.reshape(accumulators.shape)

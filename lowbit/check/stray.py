"""Answers that cannot be results: bits set beside the code, or an integer out of the range of its format.

They fit the container (``uint8_t`` for 4 bits, say), so a device can give them; each counts as a difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.prototype import Prototype
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import from_patterns
from lowbit.vectors.case import Case


def is_code(code: int, fmt: Scalar) -> bool:
    """Whether a number is a code of the format."""
    return code in fmt.codes


def stray_rows(codes: NDArray[Any], fmt: Scalar) -> NDArray[np.bool_]:
    """Which elements are not codes of the format."""
    low, high = fmt.codes[0], fmt.codes[-1]
    container = np.iinfo(fmt.code_dtype)
    if codes.dtype == fmt.code_dtype and (low, high) == (container.min, container.max):
        return np.zeros(codes.shape, dtype=bool)
    return np.asarray((codes < low) | (codes > high))


def without_stray_bits(codes: NDArray[Any], fmt: Scalar) -> NDArray[Any]:
    """The codes that the low bits alone would be."""
    patterns = codes.astype(np.int64)
    return from_patterns(patterns & np.int64((1 << fmt.bits) - 1) if fmt.bits < 64 else patterns, fmt)


def output_numbers(prototype: Prototype, cases: Sequence[Case]) -> NDArray[np.uint8]:
    """Which of a kernel's results each answer to some cases belongs to."""
    counts = [[math.prod(case.shape_of(output.name)) for output in prototype.outputs] for case in cases]
    numbers = np.tile(np.arange(len(prototype.outputs), dtype=np.uint8), len(cases))
    return np.repeat(numbers, np.array(counts, np.intp).reshape(-1))


def stray_answers(got: NDArray[Any], prototype: Prototype, cases: Sequence[Case]) -> NDArray[np.bool_]:
    """Which of all answers to some cases are not codes of their format."""
    if len(prototype.outputs) == 1:
        return stray_rows(got, prototype.result)
    return _by_output(stray_rows, got, prototype, output_numbers(prototype, cases)).astype(bool)


def low_bits(got: NDArray[Any], prototype: Prototype, numbers: NDArray[np.uint8]) -> NDArray[Any]:
    """The codes that the low bits alone would be, of answers that belong to these results."""
    return _by_output(without_stray_bits, got, prototype, numbers)


def _by_output(
    function: Callable[[NDArray[Any], Scalar], NDArray[Any]],
    got: NDArray[Any],
    prototype: Prototype,
    numbers: NDArray[np.uint8],
) -> NDArray[Any]:
    results = np.zeros(got.shape, np.int64)
    for number, output in enumerate(prototype.outputs):
        assert output.format is not None
        results[numbers == number] = function(got[numbers == number], output.format)
    return results

"""``assert_bits_equal``: equal codes, or a failure that explains the first differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from lowbit.check.report.cast import describe_code, explain_mismatch
from lowbit.errors import InputError
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import FormatLike, is_nan
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.cast import Policy, get_policy
from lowbit.testing.block_assertions import assert_tensors_equal

SHOWN = 3
"""So many differences are explained; the rest is counted."""


def assert_bits_equal(
    actual: npt.ArrayLike | BlockTensor,
    expected: npt.ArrayLike | BlockTensor,
    fmt: FormatLike | None = None,
    *,
    source: FormatLike | None = None,
    inputs: npt.ArrayLike | None = None,
    policy: Policy | str | None = None,
    nan: str = "exact",
) -> None:
    """Assert that two arrays hold the same codes of a format, or two block tensors the same codes and scales.

    Parameters
    ----------
    actual, expected : array, or BlockTensor
        Codes, or arrays of the format's own dtype (ml_dtypes, NumPy floats); or tensors in a block format.
    fmt : Format, str or dtype, optional
        The format of arrays; block tensors have their own.
    source : Format, str or dtype, optional
        The format of the inputs; without it the dtype of ``inputs`` says it.
    inputs : array, optional
        What was converted, so that a failure can explain the arithmetic: codes of ``source`` or an array of its dtype;
        of block tensors the values, which are shown.
    policy : Policy or str, optional
        The policy that is explained; the format's default without it.
    nan : {"exact", "any"}
        Whether NaNs must be the same code or may be any NaN.

    Raises
    ------
    AssertionError
        The shapes or the codes differ. The message shows the first differences as bits and exact values, with both
        neighbours and the rule that decides where ``inputs`` are given.
    InputError
        An argument is wrong in itself: a float array that is not of the format, say.

    Examples
    --------
    >>> assert_bits_equal([0x38, 0x7E], [0x38, 0x7E], "float8_e4m3fn")
    """
    __tracebackhide__ = True
    if nan not in {"exact", "any"}:
        raise InputError(f"nan = {nan!r} is unknown", hint="'exact' or 'any'")
    if isinstance(actual, BlockTensor) and isinstance(expected, BlockTensor):
        assert_tensors_equal(actual, expected, inputs, nan)
        return
    if isinstance(actual, BlockTensor) or isinstance(expected, BlockTensor):
        raise InputError(
            "a block tensor is compared with a block tensor", hint="lowbit.BlockTensor(...) of your arrays"
        )
    if fmt is None:
        raise InputError("the format of the codes is not given", hint="fmt='float8_e4m3fn', say")
    target = scalar_format(fmt)
    left, right = _codes(actual, target, "actual"), _codes(expected, target, "expected")
    if left.shape != right.shape:
        raise AssertionError(f"actual has shape {left.shape}, expected has shape {right.shape}")
    different = left != right
    if nan == "any" and different.any():
        different &= ~(is_nan(left, target) & is_nan(right, target))
    if different.any():
        explained = _Explainer(target, source, inputs, policy, left.shape)
        raise AssertionError(explained.message(left, right, different))


class _Explainer:
    """Writes the message of a failure."""

    def __init__(self, target: Scalar, source: Any, inputs: Any, policy: Policy | str | None, shape: Any) -> None:
        self.target = target
        self.policy = get_policy(policy or target.default_policy, target)
        self.source: Scalar | None = None
        self.inputs: NDArray[Any] | None = None
        if inputs is not None:
            array = np.asarray(inputs)
            if source is None and array.dtype.kind in "iu":
                raise InputError("inputs are codes, but their format is not given", hint="source='float32', say")
            self.source = scalar_format(array.dtype if source is None else source)
            self.inputs = _codes(array, self.source, "inputs")
            if self.inputs.shape != shape:
                raise InputError(f"inputs have shape {self.inputs.shape}, the codes {shape}")

    def message(self, actual: NDArray[Any], expected: NDArray[Any], different: NDArray[np.bool_]) -> str:
        """The count of differences, then the first ones explained."""
        positions = np.argwhere(different)
        count = f"{len(positions)} of {different.size} codes of {self.target.id} differ"
        policy = self.policy.name or "a policy of its own"
        parts = [f"{count} (policy {policy})" if self.inputs is not None else count]
        for row in positions[:SHOWN]:
            index = tuple(int(step) for step in row)
            parts.append(f"at {_place(index)}:\n{self._explain(actual, expected, index)}")
        if len(positions) > SHOWN:
            parts.append(f"... and {len(positions) - SHOWN} more")
        return "\n\n".join(parts)

    def _explain(self, actual: NDArray[Any], expected: NDArray[Any], index: tuple[int, ...]) -> str:
        got, right = int(actual[index]), int(expected[index])
        if self.source is None or self.inputs is None:
            return f"expected  {describe_code(right, self.target)}\ngot       {describe_code(got, self.target)}"
        return explain_mismatch(self.source, self.target, self.policy, int(self.inputs[index]), right, got)


def _place(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else "the only element"


def _codes(array: Any, fmt: Scalar, what: str) -> NDArray[Any]:
    """Codes as int64 (uint64 for 64-bit patterns): integers as they are, other dtypes by their bits."""
    given = np.asarray(array)
    if given.dtype.kind not in "iu":
        own = scalar_format(given.dtype)
        if own != fmt:
            raise InputError(f"{what} is an array of {own.id}, not of {fmt.id}", hint="pass its codes, or another fmt")
        if fmt.wraps:  # ml_dtypes integers
            return given.astype(np.int64)
        given = given.view(f"u{given.dtype.itemsize}")
    if fmt.bits == 64 and fmt.code_dtype == "uint64":
        return given.astype(np.uint64)
    return given.astype(np.int64)

"""What a kernel that multiplies, adds a bias and requantises may do: the sums by one rule, the codes by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import numpy as np

from lowbit.check.gemm.bugs import gemm_bugs
from lowbit.check.gemm.problem import Matrix, wrapped
from lowbit.check.gemm.rules import GemmRule
from lowbit.check.operation import UNDEFINED, Bug, Rule
from lowbit.check.requantize.code_bugs import RequantizeBug
from lowbit.check.requantize.rules import RequantizeRule, converted
from lowbit.errors import InputError
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import FixedFormat
from lowbit.ops.requantize.requantize import requantize
from lowbit.policy.accumulator import Accumulator
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Array, Case
from lowbit.vectors.gemm.values import Operands

EXACT = GemmRule(Accumulator(width=64), 64)
NOT_THERE = ("b_zero", "zeros_", "both_zero", "zero_product")
"""Bugs of matrix products with a zero point of ``b`` begin so."""
NARROW = tuple((width, overflow) for width in (16, 24, 8) for overflow in ("wrap", "saturate"))
PARAMETERS = ("multiplier", "shift", "scale")


def as_given(case: Case) -> Case:
    """The case that the kernel was given."""
    return case


@dataclass(frozen=True)
class LinearBug(Bug):
    """A bug of the sums or the parameters of columns, which may come on top of any scheme."""

    rewrite: Callable[[Case], Case] = as_given  # the case that the kernel computes instead
    product: GemmRule = EXACT
    bias_later: bool = False  # whether the bias is added to the scaled numbers
    any_scheme: bool = True


@dataclass(frozen=True)
class LinearRule(Rule):
    """A scheme for the sums of a case, which are exact, and perhaps a bug on the way."""

    scheme: RequantizeScheme
    asked: RequantizeScheme
    result: FixedFormat
    bug: LinearBug | RequantizeBug | None = None

    def run(self, case: Case) -> Array:
        """The results of a case; ``UNDEFINED`` in columns for whose scale the scheme has none."""
        if not isinstance(self.bug, LinearBug):
            rule = RequantizeRule(self.scheme, self.asked, self.result, self.bug)
            return codes_of_columns(self.exact_columns(case), rule)
        rule = RequantizeRule(self.scheme, self.asked, self.result)
        taken = self.bug.rewrite(case)
        sums = self.sums(taken)
        if not self.bug.bias_later:
            return codes_of_columns(columns_of(taken, with_bias(taken, sums)), rule)
        wide = replace(rule, result=cast("FixedFormat", scalar_format("int32")))
        plain = [replace(column, scalars={**column.scalars, "zero_point": 0}) for column in columns_of(taken, sums)]
        scaled = codes_of_columns(plain, wide)
        codes = scaled + taken.arrays["bias"].astype(np.int64) + int(taken.scalars["zero_point"])
        return np.where(scaled == UNDEFINED, UNDEFINED, np.clip(codes, self.result.min_code, self.result.max_code))

    def sums(self, case: Case) -> Matrix:
        """The sums of products, a row for each row of ``a`` and a column for each column of ``b``."""
        product = self.bug.product if isinstance(self.bug, LinearBug) else EXACT
        return product.run(case)

    def exact_columns(self, case: Case) -> list[Case]:
        """The columns of a case with exact sums, which all schemes ask for in turn."""
        return _exact_columns(case)


def codes_of_columns(columns: list[Case], rule: RequantizeRule) -> Array:
    """The codes of columns: at once where there is no bug and the scheme takes all of their scales."""
    if rule.bug is None:
        try:
            given = [converted(rule.scheme, rule.asked, column.scalars) for column in columns]
            codes = requantize(
                np.stack([column.arrays["accumulators"] for column in columns], axis=1),
                scheme=rule.scheme,
                zero_point=int(columns[0].scalars["zero_point"]),
                result=rule.result.id,
                **{name: np.array([scale[name] for scale in given]) for name in given[0]},  # type: ignore[arg-type]
            )
            return np.asarray(codes).astype(np.int64)
        except InputError:
            pass
    return np.stack([rule.run(column) for column in columns], axis=1)


def with_bias(case: Case, sums: Matrix) -> Matrix:
    """The int32 accumulators of sums."""
    return wrapped(sums + case.arrays["bias"].astype(np.int64), 32)


def columns_of(case: Case, sums: Matrix) -> list[Case]:
    """Each column as a requantisation of its accumulators."""
    rows = len(sums)
    names = [name for name in PARAMETERS if name in case.arrays]
    return [
        Case(
            case.flag,
            {"accumulators": np.ascontiguousarray(sums[:, column]).astype(np.int32)},
            {"n": rows},
            (rows,),
            {
                **{name: case.arrays[name][column].item() for name in names},
                "zero_point": int(case.scalars["zero_point"]),
            },
        )
        for column in range(sums.shape[1])
    ]


@lru_cache(maxsize=512)
def _exact_columns(case: Case) -> list[Case]:
    return columns_of(case, with_bias(case, EXACT.run(case)))


def linear_bugs(operands: Operands) -> Iterator[LinearBug]:
    """Every bug beside those of requantisations, the likeliest first."""
    yield LinearBug("no_bias", "ignores the bias", _bias(lambda bias: bias * 0))
    yield LinearBug("bias_negated", "subtracts the bias instead of adding it", _bias(lambda bias: -bias))
    yield LinearBug("bias_twice", "adds the bias twice", _bias(lambda bias: 2 * bias))
    yield LinearBug("bias_later", "adds the bias to the scaled numbers, not to the accumulators", bias_later=True)
    yield LinearBug("bias_first", "adds the bias of the first column to all", _bias(lambda bias: bias[:1] + 0 * bias))
    yield LinearBug("bias_next", "adds the bias of the next column", _bias(lambda bias: np.roll(bias, -1)))
    for bits in (8, 16, 24):
        cut = _bias(lambda bias, bits=bits: wrapped(bias.astype(np.int64), bits))  # type: ignore[misc]
        yield LinearBug(f"bias_{bits}", f"wraps the bias to {bits} bits", cut)
    for name in PARAMETERS:
        yield LinearBug(f"{name}_first", f"uses the {name} of the first column for all", _first(name))
    both = ("multiplier", "shift")
    yield LinearBug("scales_first", "uses the multiplier and the shift of the first column for all", _first(*both))
    yield LinearBug("scales_next", "uses the multiplier and the shift of the next column", _next(*PARAMETERS))
    yield LinearBug("zero_points_swapped", "swaps the zero points of a and of the result", _swapped)
    for width, overflow in NARROW:
        rule = GemmRule(Accumulator(width=width, overflow=overflow), 64)
        how = "wrapping" if overflow == "wrap" else "saturating at each product"
        yield LinearBug(f"accumulator_{width}_{overflow}", f"accumulates in {width} bits, {how}", product=rule)
    for bug in gemm_bugs(replace(operands, zero_points=True)):
        if operands.zero_points or not bug.name.startswith(NOT_THERE):
            rule = GemmRule(Accumulator(width=64), 64, bug)
            yield LinearBug(bug.name, bug.words, product=rule, any_scheme=False)


def _bias(change: Callable[[Array], Array]) -> Callable[[Case], Case]:
    def rewrite(case: Case) -> Case:
        return replace(case, arrays={**case.arrays, "bias": change(case.arrays["bias"].astype(np.int64))})

    return rewrite


def _moved(names: tuple[str, ...], change: Callable[[Array], Array]) -> Callable[[Case], Case]:
    def rewrite(case: Case) -> Case:
        own = {name: change(case.arrays[name]) for name in names if name in case.arrays}
        return replace(case, arrays={**case.arrays, **own})

    return rewrite


def _first(*names: str) -> Callable[[Case], Case]:
    return _moved(names, lambda values: np.repeat(values[:1], len(values)))


def _next(*names: str) -> Callable[[Case], Case]:
    return _moved(names, lambda values: np.roll(values, -1))


def _swapped(case: Case) -> Case:
    zero, result = case.scalars["a_zero_point"], case.scalars["zero_point"]
    return replace(case, scalars={**case.scalars, "a_zero_point": result, "zero_point": zero})

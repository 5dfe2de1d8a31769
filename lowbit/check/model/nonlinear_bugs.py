"""Nonlinearities that are computed otherwise: other schemes, and the causes of ``lowbit check softmax``, ..."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lowbit.check.model.hypothesis import LayerBug, Path, altered, parts, same_but, where
from lowbit.check.model.rescale_bugs import factors_of
from lowbit.check.nonlinear.bugs import nonlinear_bugs
from lowbit.check.nonlinear.mutant import Bug
from lowbit.check.nonlinear.rules import candidates
from lowbit.errors import InputError
from lowbit.format.registry import integer_format
from lowbit.layers import Layer, Nonlinearity, Quantity, Rescale
from lowbit.ops.nonlinear.dispatch import Answer
from lowbit.ops.types import Array
from lowbit.vectors.case import Case
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.nonlinear import rule

OF_ANOTHER = "computes the {} of {{}}"


@dataclass(frozen=True, eq=False)
class OtherNonlinearity(Nonlinearity):
    """A nonlinearity with a cause of ``lowbit check``, or another one in its place."""

    other: rule.Nonlinearity | None = None
    cause: Bug | None = None

    def answer(self, codes: Array, input: Quantity) -> Answer:
        """The results, with what one unit of the right ones is worth."""
        own, taken = super().answer(codes, input), self.operand(codes, input)
        rows = np.ascontiguousarray(taken).reshape(-1, taken.shape[-1])
        other = self.other or rule_of(self, input)
        if self.cause is None:
            results = other.run(rows)
        else:
            target = rule.integer_format(own.codes.dtype.name)
            results = self.cause.run(other, target, Case(RANDOM, {"codes": rows}, {}, rows.shape))
        return own._replace(codes=results.reshape(codes.shape).astype(own.codes.dtype))


def rule_of(function: Nonlinearity, input: Quantity) -> rule.Nonlinearity:
    """A layer's nonlinearity as ``lowbit check`` has it."""
    parameters = function.parameters(input)
    options = tuple(parameters.options.items())
    return rule.Nonlinearity(
        function.function, function.scheme, parameters.variant, parameters.scale, function.bits, options
    )


def function_bugs(layer: Layer) -> Iterator[LayerBug]:
    """Every hypothesis on the nonlinearities of a layer, the likely ones first."""
    for path, value in parts(layer):
        if isinstance(value, Nonlinearity):
            source = layer.scores.result if path == ("softmax",) else layer.inputs[0]  # type: ignore[attr-defined]
            yield from _scheme_bugs(layer, path, value, source)
            taken = integer_format(source.scalar)
            for cause in nonlinear_bugs(rule_of(value, source), taken):
                change: Any = lambda one, cause=cause: same_but(one, OtherNonlinearity, cause=cause)  # noqa: E731
                yield altered(layer, path, change, f"{cause.words} ({value.function}){where(path)}")


def _scheme_bugs(layer: Layer, path: Path, value: Nonlinearity, source: Quantity) -> Iterator[LayerBug]:
    """Other schemes, variants and options, with the layer's multipliers, and with those that their units ask for."""
    asked = rule_of(value, source)
    target = rule.integer_format(value.trial(source, 8).codes.dtype.name)
    words = OF_ANOTHER.format(value.function)
    every = candidates(asked, integer_format(source.scalar), target)
    every += [replace(other, bits=asked.bits) for other in every]
    for other in dict.fromkeys(every):
        if other == asked:
            continue
        change: Any = lambda one, other=other: same_but(one, OtherNonlinearity, other=other)  # noqa: E731
        remote = other.overflow != "wrap"
        kept = f"{words} with the multipliers of {value.scheme}"
        yield altered(layer, path, change, kept, name=other.label, remote=remote)
        if not remote:
            yield _with_own_units(layer, path, value, other, source, words)


def _with_own_units(
    layer: Layer, path: Path, value: Nonlinearity, other: rule.Nonlinearity, source: Quantity, words: str
) -> LayerBug:
    def steps(*codes: Array) -> Any:
        options = {key: option for key, option in other.options if key != "zero_point"}
        function = Nonlinearity(value.function, other.scheme, other.variant, other.bits, options)  # type: ignore[arg-type]
        length = codes[0].shape[-1]
        ratio = _unit(function, source, length) / _unit(value, source, length)
        changed: Any = replace(layer, **{path[0]: function})  # type: ignore[type-var]
        for field, output in parts(changed):
            if field in (("output",), ("rescale",)) and isinstance(output, Rescale):
                changed = replace(changed, **{field[0]: _rescaled(output, ratio)})
            if field == ("bias",) and output is not None:
                changed = replace(changed, bias=np.rint(output / ratio).astype(np.int32))
        return changed.steps(*codes)

    return LayerBug(words, steps, name=other.label)


def _unit(function: Nonlinearity, source: Quantity, length: int) -> float:
    """What one unit of a result is worth, the same for every element of a row."""
    units = np.unique(np.asarray(function.trial(source, length).scale, np.float64))
    if units.size != 1:
        raise InputError(f"{function.record.title} has units of its own for each element")
    return float(units[0])


def _rescaled(output: Rescale, ratio: float) -> Rescale:
    """The multipliers of accumulators of another unit."""
    ends = {"minimum": output.minimum, "maximum": output.maximum}
    return Rescale.from_scale(factors_of(output) * ratio, output.scheme, output.result, **ends)

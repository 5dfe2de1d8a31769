"""Requantisations that are computed otherwise, wherever a layer has one: the causes of ``lowbit check requantize``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ldexp
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.check.model.hypothesis import LayerBug, Path, altered, parts, same_but, where
from lowbit.check.operation import UNDEFINED
from lowbit.check.requantize.bugs import REQUANTIZE_BUGS
from lowbit.check.requantize.linear_rules import codes_of_columns
from lowbit.check.requantize.rules import RequantizeRule, schemes
from lowbit.errors import InputError
from lowbit.format.registry import integer_format
from lowbit.layers import Layer, Rescale
from lowbit.ops.types import Array
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme, get_requantize_scheme
from lowbit.vectors.case import Case
from lowbit.vectors.flags.cast import RANDOM

REQUANTISES = "requantises by {}"


@dataclass(frozen=True, eq=False)
class OtherRescale(Rescale):
    """A requantisation by a rule of ``lowbit check requantize``."""

    rule: RequantizeRule | None = None

    def __call__(self, accumulators: Array) -> Array:
        """The codes.

        Raises InputError: the rule does not have a result for an accumulator.
        """
        assert self.rule is not None
        signed = accumulators if self.signs is None else accumulators * self.signs
        flat = signed.reshape(-1, self.multiplier.size)
        codes = codes_of_columns([self._column(flat, place) for place in range(flat.shape[1])], self.rule)
        if (codes == UNDEFINED).any():
            raise InputError("the rule does not have a result for an accumulator")
        return np.ascontiguousarray(limited(codes.reshape(accumulators.shape), self))

    def _column(self, flat: Array, place: int) -> Case:
        multiplier, shift = abs(int(self.multiplier[place])), int(self.shift[place])
        real = get_requantize_scheme(self.scheme).takes_scale
        scale = {"scale": ldexp(multiplier, -shift)} if real else {"multiplier": multiplier, "shift": shift}
        column = np.ascontiguousarray(flat[:, place])
        zero_point = {"zero_point": self.result.zero_point}
        return Case(RANDOM, {"accumulators": column}, {"n": len(column)}, column.shape, {**scale, **zero_point})


def limited(codes: Array, value: Rescale) -> Array:
    """Codes within the range of a requantisation's results."""
    fmt = value.result.scalar
    low = fmt.codes[0] if value.minimum is None else value.minimum
    high = fmt.codes[-1] if value.maximum is None else value.maximum
    return np.clip(codes, low, high).astype(fmt.code_dtype)


def rescale_bugs(layer: Layer) -> Iterator[LayerBug]:
    """Every hypothesis on the requantisations of a layer, the likely ones first."""
    for path, value in parts(layer):
        if isinstance(value, Rescale):
            yield from _parameter_bugs(layer, path, value)
            yield from _scheme_bugs(layer, path, value)
            yield from _cause_bugs(layer, path, value)


def factors_of(value: Rescale) -> npt.NDArray[np.float64]:
    """What accumulators are multiplied by, a number for each multiplier."""
    scheme = get_requantize_scheme(value.scheme)
    right = [shift if scheme.takes_scale else scheme.right_shift(shift) for shift in value.shift.tolist()]
    factors: npt.NDArray[np.float64] = np.ldexp(value.multiplier.astype(np.float64), -np.array(right))
    return factors


def _parameter_bugs(layer: Layer, path: Path, value: Rescale) -> Iterator[LayerBug]:
    place, right = where(path), get_requantize_scheme(value.scheme).shift != "left"

    def bug(words: str, change: Callable[[Rescale], Rescale]) -> LayerBug:
        return altered(layer, path, change, f"{words}{place}")

    if value.minimum is not None or value.maximum is not None:
        free: Any = {"minimum": None, "maximum": None}
        yield bug("does not limit its results to its range", lambda one: replace(one, **free))
    if value.multiplier.size > 1:
        moves: dict[str, Callable[[Array], Array]] = {
            "takes the first channel's multiplier for all channels": lambda array: array[:1],
            "takes the channels' multipliers in the other order": lambda array: array[::-1].copy(),
            "takes the next channel's multiplier": lambda array: np.roll(array, -1),
            "takes the channel's multiplier before": lambda array: np.roll(array, 1),
        }
        for words, order in moves.items():
            yield bug(words, partial(_moved, order=order))
        yield bug("takes the first channel's shift for all channels", lambda one: replace(one, shift=_first(one.shift)))
        words = "takes the first channel's multiplier with each channel's own shift"
        yield bug(words, lambda one: replace(one, multiplier=_first(one.multiplier)))
    for step, size in ((1, "large"), (-1, "small")):
        yield bug(f"takes multipliers one too {size}", partial(_off_by, multiplier=step))
    for step, count in ((1, "many"), (-1, "few")):
        yield bug(f"shifts right by a place too {count}", partial(_off_by, shift=step if right else -step))


def _moved(value: Rescale, order: Callable[[Array], Array]) -> Rescale:
    return replace(value, multiplier=order(value.multiplier), shift=order(value.shift))


def _off_by(value: Rescale, multiplier: int = 0, shift: int = 0) -> Rescale:
    return replace(value, multiplier=value.multiplier + multiplier, shift=value.shift + shift)


def _first(array: Array) -> Array:
    return np.repeat(array[:1], array.size)


def _scheme_bugs(layer: Layer, path: Path, value: Rescale) -> Iterator[LayerBug]:
    own = get_requantize_scheme(value.scheme)
    for scheme in schemes(own):
        named = scheme.name in REQUANTIZE_SCHEMES
        if scheme != own:
            changes = scheme.differences(own)
            but = " and ".join(f"{axis} {getattr(scheme, axis)}" for axis in changes)
            name = scheme.name if named else f"{own.name} but for {but}"
            remote = not named and len(changes) > 1
            yield _by_rule(layer, path, value, scheme, f"{REQUANTISES}{where(path)}", name=name, remote=remote)


def _cause_bugs(layer: Layer, path: Path, value: Rescale) -> Iterator[LayerBug]:
    own = get_requantize_scheme(value.scheme)
    for cause in REQUANTIZE_BUGS:
        yield _by_rule(layer, path, value, own, f"{cause.words}{where(path)}", cause)


def _by_rule(
    layer: Layer, path: Path, value: Rescale, scheme: RequantizeScheme, words: str, cause: Any = None, **options: Any
) -> LayerBug:
    asked = get_requantize_scheme(value.scheme)
    rule = RequantizeRule(scheme, asked, integer_format(value.result.scalar), cause)
    return altered(layer, path, lambda one: same_but(one, OtherRescale, rule=rule), words, **options)

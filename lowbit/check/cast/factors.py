"""A set of policies as independent factors, so that millions of combinations stay a handful of short lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

Choice = tuple[Any, ...]
Assignment = dict[str, Any]


@dataclass(frozen=True)
class Factor:
    """The combinations that are left of some axes, whatever the other axes are."""

    axes: tuple[str, ...]
    choices: tuple[Choice, ...]  # one value an axis, in the order of ``axes``


@dataclass
class Survivors:
    """Which combinations of axis values are still possible; an axis in no factor is undecided and does not matter."""

    factors: list[Factor] = field(default_factory=list)

    def candidates(self, axes: tuple[str, ...], values: Mapping[str, tuple[Any, ...]]) -> Iterator[Assignment]:
        """Every possible assignment of the axes (and of those that are tied to them)."""
        touched = [factor for factor in self.factors if set(factor.axes) & set(axes)]
        known = {axis for factor in touched for axis in factor.axes}
        free = [Factor((axis,), tuple((value,) for value in values[axis])) for axis in axes if axis not in known]
        parts = [*touched, *free]
        for combination in product(*(part.choices for part in parts)):
            yield {
                axis: value
                for part, choice in zip(parts, combination, strict=True)
                for axis, value in zip(part.axes, choice, strict=True)
            }

    def keep(self, kept: list[Assignment]) -> None:
        """Replace what the assignments speak of by the assignments."""
        if not kept or not kept[0]:
            return
        axes = tuple(kept[0])
        rest = [factor for factor in self.factors if not set(factor.axes) & set(axes)]
        self.factors = rest + _split(Factor(axes, tuple(tuple(item[axis] for axis in axes) for item in kept)))

    def values(self, axis: str) -> tuple[Any, ...]:
        """The values that are left on one axis; empty where nothing was learnt of it."""
        for factor in self.factors:
            if axis in factor.axes:
                place = factor.axes.index(axis)
                return tuple(dict.fromkeys(choice[place] for choice in factor.choices))
        return ()

    def assignments(self) -> Iterator[Assignment]:
        """All combinations that are left."""
        return self.candidates(tuple(axis for factor in self.factors for axis in factor.axes), {})

    def nearest(self, distance: Callable[[tuple[str, ...], Choice], int]) -> Survivors:
        """Of each factor, the choices whose distance is least."""
        factors = []
        for factor in self.factors:
            distances = [distance(factor.axes, choice) for choice in factor.choices]
            least = min(distances)
            kept = [choice for choice, far in zip(factor.choices, distances, strict=True) if far == least]
            factors.append(Factor(factor.axes, tuple(kept)))
        return Survivors(factors)


def _split(factor: Factor) -> list[Factor]:
    """Take out every axis whose values do not depend on the others."""
    parts: list[Factor] = []
    axes, choices = list(factor.axes), list(dict.fromkeys(factor.choices))
    for axis in factor.axes:
        if len(axes) == 1:
            break
        place = axes.index(axis)
        own = list(dict.fromkeys(choice[place] for choice in choices))
        rest = list(dict.fromkeys(choice[:place] + choice[place + 1 :] for choice in choices))
        if len(own) * len(rest) == len(choices):
            parts.append(Factor((axis,), tuple((value,) for value in own)))
            axes.remove(axis)
            choices = rest
    return [*parts, Factor(tuple(axes), tuple(choices))]

"""The settings of what is learned: which values each may have, checked here for all methods and trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lowbit.errors import InputError
from lowbit.printable import excerpt
from lowbit.quantizers.options import Numbers, Option

STEPS = Option("steps of the optimiser; 0 leaves where it starts", Numbers(0, 1_000_000, whole=True))
BATCH = Option("rows of activations that a step sees, drawn without putting back", Numbers(1, whole=True))
RATE = Option("what the optimiser moves a parameter by in a step, about", Numbers(0))
MOMENT = Option("the share of a mean of gradients that the one before has", Numbers(0, 1, excluded=1))
SETTINGS: Mapping[str, Option] = {
    "steps": STEPS,
    "seed": Option("what random numbers start from, for what is learned to be repeatable", Numbers(0, whole=True)),
    "batch": BATCH,
    "warm_up": Option("steps in which the rate rises", Numbers(0, whole=True)),
    "longest": Option("the length that gradients are shortened to", Numbers(0, excluded=0, infinite=True)),
    "every": Option("steps between two writings", Numbers(1, whole=True)),
    "until": Option("the step to stop at, all told", Numbers(0, whole=True), optional=True),
    **dict.fromkeys(("rate", "clip_rate", "factor_rate", "range_rate", "zero_rate"), RATE),
    "activations": Option("bits of what goes into linear layers", Numbers(2, 16, whole=True), optional=True),
    "weights": Option("bits of weights", Numbers(2, 16, whole=True)),
    **dict.fromkeys(("bits", "input_bits"), Option("of weights, of what goes into layers", Numbers(2, 8, whole=True))),
    "rank": Option("of the matrices that are added", Numbers(1, whole=True)),
    "alpha": Option("what their product counts, over the rank", Numbers()),
    "strength": Option("the power of the activations in SmoothQuant's factors", Numbers(0, 1)),
    "length": Option("blocks of a part", Numbers(1, whole=True)),
    "rounds": Option("how often modules look at one another", Numbers(1, whole=True)),
    "forced": Option("the share of the steps with teacher forcing", Numbers(0, infinite=True)),
    "epsilon": Option("what a root is divided with, too", Numbers(0, excluded=0)),
    "decay": Option("the share of a parameter that a step of rate 1 takes away", Numbers(0)),
}
"""By their names, in every method and training."""


def checked(**settings: Any) -> dict[str, Any]:
    """Settings of ``SETTINGS``, numbers as Python has them.

    Raises InputError: a value is of another type or out of range; the error has its name and what is allowed.
    """
    return {name: SETTINGS[name].checked(name, value) for name, value in settings.items()}


def checked_rates(rates: Any) -> dict[str, float]:
    """Rates by how parameters' names end.

    Raises InputError: it is not a mapping of such, or a rate is below 0 or not finite.
    """
    if not isinstance(rates, Mapping) or not all(isinstance(name, str) for name in rates):
        what = f"rates = {excerpt(repr(rates), quoted=False)} is not a mapping from ends of names to rates"
        raise InputError(what, hint='{".weight": 1e-3, ".bias": 1e-2}; {"": 1e-3} for all parameters')
    return {name: RATE.checked(f"the rate {name!r}", value) for name, value in rates.items()}


def require_named(rates: Mapping[str, float], names: Iterable[str]) -> None:
    """Refuse rates that are of no parameter: InputError."""
    known = list(names)
    for end in rates:
        if not any(name.endswith(end) for name in known):
            of = f"of {', '.join(known[:4])}{' and others' * (len(known) > 4)}" if known else "as there are none"
            raise InputError(f"the rate {end!r} is of no parameter: no name ends so, {of}", hint='"" for all of them')

"""The options of quantisers: what each is and which values it may have; ``Method`` checks them, for all methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.policy.choices import require_choice
from lowbit.printable import excerpt


@dataclass(frozen=True)
class Numbers:
    """The numbers from ``low`` to ``high``, without ``excluded``.

    ``whole``: integers only; ``infinite``: infinity is one of them.
    """

    low: float = -inf
    high: float = inf
    excluded: float = inf
    whole: bool = False
    infinite: bool = False

    def __str__(self) -> str:
        if self.low == -inf:
            return "a finite number"
        above = self.excluded == self.low
        below = f"{' below' * (self.excluded == self.high)} {self.high}"
        end = f" {'and up to' if above else 'to'}{below}" if self.high < inf else " on" * (not above)
        return f"a {'whole ' * self.whole}number {'above' if above else 'from'} {self.low}{end}"

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them; booleans are not numbers."""
        if self.infinite and isinstance(value, float) and value == inf:
            return True
        return _is_number(value, whole=self.whole) and bool(self.low <= value <= self.high and value != self.excluded)


@dataclass(frozen=True)
class Option:
    """A keyword argument of some methods.

    Attributes
    ----------
    meaning : str
        What it is, in a line.
    numbers : Numbers, optional
        The values that it may have; with ``several`` also a sequence of them.
    optional : bool
        Whether it may be None.
    choices : mapping of str to str
        The words that it may be, with the meaning of each.
    flag : bool
        Whether it is True or False.

    Options with none of these are arrays, formats and policies: what they are made of checks them.
    """

    meaning: str
    numbers: Numbers | None = None
    several: bool = False
    optional: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    flag: bool = False

    def checked(self, name: str, value: Any) -> Any:
        """The value, numbers as Python has them.

        Raises
        ------
        InputError
            It is of another type, or out of range.
        PolicyError
            It is not one of the choices.
        """
        if self.choices:
            require_choice(name, value, self.choices)
        if self.flag and not isinstance(value, bool | np.bool_):
            raise InputError(f"{name} = {_shown(value)} is not True or False", hint=self.meaning)
        if self.numbers is None or (self.optional and value is None):
            return value
        values = list(value) if self.several and _is_sequence(value) else [value]
        wrong = [one for one in values if not self.numbers.holds(one)] or ([value] if not values else [])
        if wrong:
            raise InputError(f"{name} = {_shown(wrong[0])} is not {self.numbers}", hint=self.meaning)
        plain = [int(one) if self.numbers.whole else float(one) for one in values]
        return plain if self.several else plain[0]

    def read(self, name: str, text: str) -> Any:
        """The value that a text of the command line says: a choice, true or false, a number, several with + between.

        Raises
        ------
        InputError
            It is out of range, or the option is an array, a format or a policy.
        PolicyError
            It is not one of the choices.
        """
        if self.flag:
            return self.checked(name, {"true": True, "false": False}.get(text.lower(), text))
        if self.numbers is not None:
            words = text.split("+") if self.several else [text]
            values = [_read_number(word) for word in words]
            return self.checked(
                name, None if self.optional and text == "none" else values if self.several else values[0]
            )
        if not self.choices:
            raise InputError(
                f"{name} is not a word or a number: {self.meaning}", hint="lowbit.quantizers takes it in Python"
            )
        return self.checked(name, text)


def _read_number(text: str) -> Any:
    """The number of a text, or the text."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) > 0


def _is_number(value: Any, *, whole: bool) -> bool:
    """Whether it is an integer, or a real number that binary64 holds."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral if whole else Real):
        return False
    try:
        return whole or isfinite(value)
    except OverflowError:
        return False


def _shown(value: Any) -> str:
    return excerpt(repr(value), quoted=False)


ORDERS = {
    "none": "their own",
    "activation": "inputs of large activations first, and groups of neighbours in that order: a permutation is stored",
    "static": "inputs of large activations first, with groups and scales of the weights as they are",
}


def ordered(*names: str) -> Option:
    """The order in which error feedback takes the inputs, of those that a method has."""
    return Option("in which order the inputs are rounded", choices={name: ORDERS[name] for name in names})


RANGES = {
    "range": "the whole range of a block",
    "mse": "the range that makes the squared error the smallest",
    "norm_2.4": "the range that makes the sum of |error|^2.4 the smallest",
    "llm_compressor": "the same of fewer ranges, as its MSE observer searches",
}
"""What the scale of a block is made from."""

OPTIONS: Mapping[str, Option] = {
    "to": Option("the format that the weights are brought into"),
    "variant": Option("which of the ways that the paper and the official code have"),
    "ranges": Option("what the scale of a block is made from", choices=RANGES),
    "policy": Option("how lowbit.quantize makes scales and codes: a block policy or its name"),
    "threads": Option("threads that work at once; results are the same for every number", Numbers(1, whole=True)),
    "hessian": Option("X^T X of the activations X, or a multiple of it, in their place"),
    "seed": Option("what random numbers start from: those of rotations, first tables", Numbers(0, whole=True)),
    "iterations": Option("how often the steps of the search are repeated, at most", Numbers(0, whole=True)),
    "damping": Option("the share of the mean of the Hessian's diagonal that is added to it; 0.01 is usual", Numbers(0)),
    "adapter": Option("two factors whose product is added: (outputs, rank) and (rank, inputs)"),
}
"""The keyword arguments that several methods have; a method's own are in its record."""

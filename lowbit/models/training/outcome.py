"""What learning made of the layers of a file: biases that are written beside the codes, and what a user is told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lowbit.errors import InputError
from lowbit.files.safetensors import TensorFile
from lowbit.ops.arrays import Array
from lowbit.printable import counted, excerpt

Learned = tuple[float, float, str]
"""Of a layer: its error before and after, and which of the two was kept."""


def bias_of(file: TensorFile, name: str) -> str | None:
    """The bias of a layer by the name of its weights, ``x.weight`` and ``x.bias``; None if the file has none."""
    place = f"{name.removesuffix('weight')}bias"
    fits = name.endswith(".weight") and place in file.entries
    return place if fits and file.entries[place].shape == file.entries[name].shape[:1] else None


def with_biases(file: TensorFile, biases: Mapping[str, Array]) -> dict[str, Array]:
    """The biases of a file with what was learned added to them, in their dtypes; those of the layers that have one.

    Raises InputError: one of them is beyond its dtype.
    """
    result = {}
    for name, learned in biases.items():
        place = bias_of(file, name)
        if place is None:
            continue
        stored = file.tensor(place)
        with np.errstate(over="ignore"):
            values = (stored.astype(np.float64) + learned).astype(stored.dtype)
        if not np.isfinite(values.astype(np.float64)).all():
            raise InputError(f"{excerpt(place)} is beyond {stored.dtype} with what was learned", hint="bias=none")
        result[place] = values
    return result


def notes_on_biases(method: str, file: TensorFile, biases: Mapping[str, Array]) -> tuple[str, ...]:
    """Where biases that a method learned are."""
    there = sum(bias_of(file, name) is not None for name in biases)
    lost = [name for name in biases if bias_of(file, name) is None]
    notes = []
    if there:
        notes.append(
            f"{method}: the biases that it learned are added to those of {counted(there, 'layer')} in the file"
        )
    if lost:
        which = f"of {counted(len(lost), 'layer')}, {excerpt(lost[0], quoted=False)} for one"
        what = f"the file has no place for the biases that it learned {which}, on which the weights rely"
        notes.append(f"{method}: {what}; bias=none learns none")
    return tuple(notes)


def notes_on_learning(method: str, learned: Mapping[str, Learned | None], of_what: str = "") -> tuple[str, ...]:
    """Layers that learning made worse, and those that stay as they began; ``of_what``: whose errors, if not theirs."""
    known = {name: one for name, one in learned.items() if one is not None}
    still = sum(kept == "start" for _, _, kept in known.values())
    worse = [after / before for before, after, _ in known.values() if after > before > 0]
    of, notes = f"of {counted(len(known), 'tensor')}{of_what}", list[str]()
    if still:
        notes.append(
            f"{method}: {still} {of} stay as they began, as learning made their errors larger; a lower rate, say"
        )
    if worse:
        notes.append(f"{method}: learning made the errors of {len(worse)} {of} larger, {max(worse):.3g} times at most")
    return tuple(notes)

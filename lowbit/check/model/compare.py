"""A kernel library's dump of a model beside the model: the first layer that differs, and what it does instead.

Each layer is computed from what the library itself handed to it, where the dump has that, so a layer is wrong only if
its own arithmetic is: what an earlier one spoilt does not count against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from lowbit.check.model.bugs import explain
from lowbit.errors import InputError
from lowbit.layers import Step
from lowbit.models.graph import IntegerModel
from lowbit.ops.types import Array
from lowbit.printable import excerpt

CODES = "a dump has codes: integers, not the values that they are worth"
EXPLAINED = 5
"""Layers whose differences are explained: what every layer has in common is known after as many."""


@dataclass(frozen=True)
class LayerDifference:
    """A layer whose codes differ from what the model makes of the same inputs.

    Attributes
    ----------
    layer, operation : str
    label : str
        The intermediate that differs: the first one of the layer that the dump has.
    differences, total : int
        How many codes differ, of how many.
    index : tuple of int
        Where the first one is.
    expected, got : int
        There.
    largest : int
        The largest difference.
    claims : tuple of str
        What the kernel does instead: each explains every code that it gave for the layer, and the codes do not tell
        several apart. None: not known, or not looked for after the first ``EXPLAINED`` layers.
    unseen : tuple of str
        Layers before it that the dump does not have: one of them may be the wrong one.
    """

    layer: str
    operation: str
    label: str
    differences: int
    total: int
    index: tuple[int, ...]
    expected: int
    got: int
    largest: int
    claims: tuple[str, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class ModelComparison:
    """A library's dump, compared.

    Attributes
    ----------
    compared : int
        Layers that the dump has.
    layers : int
        Layers of the model.
    differences : tuple of LayerDifference
        In the order of the model.
    """

    compared: int
    layers: int
    differences: tuple[LayerDifference, ...]

    @property
    def first(self) -> LayerDifference | None:
        """The first layer that differs."""
        return self.differences[0] if self.differences else None


def compare_model(
    model: IntegerModel, codes: Array | Mapping[str, Array], dump: Mapping[str, Array]
) -> ModelComparison:
    """Compare a dump with a model.

    Parameters
    ----------
    model : IntegerModel
    codes : ndarray or mapping of str to ndarray
        What the library was given.
    dump : mapping of str to ndarray
        Codes of layers by their names, in the format of the layer or wider; of an intermediate of one,
        ``layer:label``, ``fc:accumulator`` say.

    Raises
    ------
    InputError
        A name is not that of a layer or of an intermediate, or an array has another shape or is not of integers.
    """
    steps: dict[str, list[Step]] = {name: [] for name in model.nodes}
    model.run(codes, lambda name, step: steps[name].append(step))
    _check(dump, steps)
    values = dict(codes) if isinstance(codes, Mapping) else dict.fromkeys(model.inputs, codes)
    differences: list[LayerDifference] = []
    unseen: dict[str, tuple[str, ...]] = dict.fromkeys(values, ())
    for name, node in model.nodes.items():
        inputs = tuple(values[source] for source in node.inputs)
        own = list(node.layer.intermediates(*inputs))
        before = tuple(dict.fromkeys(one for source in node.inputs for one in unseen[source]))
        explained = len(differences) < EXPLAINED
        difference = _difference(name, node.layer, inputs, own, dump, before, explained=explained)
        differences += [difference] if difference else []
        values[name] = _narrow(dump[name], own[-1].codes) if name in dump else own[-1].codes
        unseen[name] = () if name in dump else (*before, name)
    compared = sum(name in dump for name in model.nodes)
    return ModelComparison(compared, len(model.nodes), tuple(differences))


def _check(dump: Mapping[str, Array], steps: Mapping[str, list[Step]]) -> None:
    known = {key: step for name, own in steps.items() for step in own for key in (f"{name}:{step.label}",)}
    known |= {name: own[-1] for name, own in steps.items()}
    for name, array in dump.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise InputError(
                f"{excerpt(name)} is not a layer of the model",
                hint=f"did you mean {near[0]!r}?" if near else f"the layers are {', '.join(steps)}",
            )
        if array.dtype.kind in "fc" and np.isnan(array).any():
            place = tuple(int(index) for index in np.argwhere(np.isnan(array))[0])
            raise InputError(f"layer {name!r} has a NaN at {list(place)} in the dump", hint=CODES)
        if array.dtype.kind not in "iu" or array.shape != known[name].codes.shape:
            shape = known[name].codes.shape
            raise InputError(
                f"layer {name!r} is {array.dtype} of shape {array.shape} in the dump, not integers of shape {shape}",
                hint=CODES if array.dtype.kind not in "iu" else "",
            )
    for name, own in steps.items():
        last = f"{name}:{own[-1].label}"
        if name in dump and last in dump and not np.array_equal(dump[name], dump[last]):
            raise InputError(
                f"{name!r} and {last!r} are one thing, and differ in the dump",
                hint="the results of the layer are under both names, or under one of them",
            )
    if not dump:
        raise InputError("the dump does not have a layer of the model", hint=f"the layers are {', '.join(steps)}")


def _difference(
    name: str,
    layer: Any,
    inputs: tuple[Array, ...],
    own: list[Step],
    dump: Mapping[str, Array],
    unseen: tuple[str, ...],
    *,
    explained: bool,
) -> LayerDifference | None:
    """The first intermediate, or the result, that differs."""
    pairs = [(step, dump[f"{name}:{step.label}"]) for step in own if f"{name}:{step.label}" in dump]
    pairs += [(own[-1], dump[name])] if name in dump else []
    for step, got in pairs:
        wrong = step.codes != got
        if wrong.any():
            index = tuple(int(place) for place in np.argwhere(wrong)[0])
            largest = int(np.abs(step.codes.astype(np.int64) - got.astype(np.int64)).max())
            answers = {step.label: got for step, got in pairs}
            claims = tuple(explain(layer, inputs, answers, dump.get(name))) if explained else ()
            counts = (int(wrong.sum()), wrong.size, index, int(step.codes[index]), int(got[index]))
            return LayerDifference(name, layer.operation, step.label, *counts, largest, claims, unseen)
    return None


def _narrow(array: Array, like: Array) -> Array:
    """Codes of a dump in the dtype of the layer; values beyond it are limited, since the next layer takes codes."""
    ends = np.iinfo(like.dtype)
    return np.ascontiguousarray(np.clip(array, ends.min, ends.max), like.dtype)

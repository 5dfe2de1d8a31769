"""What a kernel library makes of a model: a C or a Python function that takes the inputs and returns layers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from lowbit.dut.kinds import KINDS, Question
from lowbit.dut.prototype import INPUT, OUTPUT, SIZE, Parameter, Prototype, codes_of
from lowbit.errors import InputError
from lowbit.files.arrays import UNNAMED, read_arrays
from lowbit.layers import Step
from lowbit.models.graph import IntegerModel
from lowbit.ops.types import Array
from lowbit.printable import excerpt
from lowbit.vectors.case import Case
from lowbit.vectors.flags.cast import RANDOM

ITEMS = "items"
"""The size that a C function is told: the length of the first axis of the first input."""
LISTED = 5
"""Missing layers that a message names."""


def prototype_of(model: IntegerModel, layers: Sequence[str]) -> Prototype:
    """A function of the inputs that returns the results of layers."""
    inputs = (codes_of(INPUT, name, quantity.scalar) for name, quantity in model.inputs.items())
    outputs = (codes_of(OUTPUT, name, model.quantity(name).scalar) for name in layers)
    return Prototype((*inputs, *outputs, Parameter(SIZE, ITEMS)))


def require_layers(names: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise an InputError that lists the layers that are not there: ``of the model``, ``in dump.npz``."""
    missing = [excerpt(name) for name in names if name not in known]
    if missing:
        what = ", ".join(missing[:LISTED]) + (f", and {len(missing) - LISTED} more" if len(missing) > LISTED else "")
        are = "is not a layer" if len(missing) == 1 else "are not layers"
        raise InputError(f"{what} {are} {where}", hint=f"there are {', '.join(known)}")


def dump_of(
    kind: str, device: str, model: IntegerModel, codes: Mapping[str, Array], layers: Sequence[str], timeout: float
) -> dict[str, Array]:
    """What a kernel returns for the results of layers, by their names.

    Parameters
    ----------
    kind : str
        One of ``lowbit.dut.kinds.KINDS``: ``results`` are a file with an array for each layer.
    device : str
    model : IntegerModel
    codes : mapping of str to ndarray
    layers : sequence of str
        Those that a function returns, in this order.
    timeout : float
        Seconds.

    Raises
    ------
    InputError
        There is no such layer, or the file cannot be read.
    DeviceError
        The function crashed, hung, or returned something else.
    """
    if kind == "results":
        arrays = read_arrays(device)
        return {model.outputs[0] if name == UNNAMED else name: array for name, array in arrays.items()}
    require_layers(layers, model.nodes, "of the model")
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, step: Step) -> None:
        shapes[name] = step.codes.shape

    model.run(codes, note)
    prototype = prototype_of(model, layers)
    arrays = {name: codes[name] for name in model.inputs}
    sizes = {ITEMS: len(next(iter(arrays.values())))}
    counts = [math.prod(shapes[name]) for name in layers]
    several = {name: shapes[name] for name in layers} if len(layers) > 1 else {}
    case = Case(RANDOM, arrays, sizes, (sum(counts),) if several else shapes[layers[0]], shapes=several)
    with KINDS[kind].make(device, Question(prototype, [case], timeout)) as kernel:
        kernel.open()
        answer = np.asarray(kernel.run(case)).reshape(-1)
    ends = pairwise(accumulate(counts, initial=0))
    return {name: answer[i:j].reshape(shapes[name]) for name, (i, j) in zip(layers, ends, strict=True)}

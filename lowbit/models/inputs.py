"""What goes into an integer model: codes as they are, values that become codes, and where a batch is padded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lowbit.errors import InputError
from lowbit.files.arrays import UNNAMED
from lowbit.layers import Attention, Quantity
from lowbit.models.conversion.calibration import quantized
from lowbit.models.graph import IntegerModel, Node
from lowbit.ops.arrays import Array, check_range
from lowbit.printable import excerpt

MASK = Quantity("uint8", 1.0)
"""1 for a token, 0 for padding."""


def input_codes(model: IntegerModel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Codes for each input of a model.

    Parameters
    ----------
    model : IntegerModel
    arrays : mapping of str to ndarray
        By the names of the inputs; an array without a name is that of the only one. Integers are codes, and floats are
        values, which become the nearest codes.

    Raises
    ------
    InputError
        An input is missing or unknown, an integer is not a code of its format, or a value is NaN.
    """
    if UNNAMED in arrays and len(model.inputs) == 1:
        arrays = dict.fromkeys(model.inputs, arrays[UNNAMED])
    codes = {}
    for name in dict.fromkeys((*model.inputs, *arrays)):
        if name not in model.inputs or name not in arrays:
            what = "is not an input of the model" if name in arrays else "is missing"
            raise InputError(f"input {excerpt(name or 'without a name')} {what}", hint=", ".join(model.inputs))
        array, quantity = arrays[name], model.inputs[name]
        fmt = quantity.scalar
        if array.dtype.kind == "f":
            if np.isnan(array).any():
                raise InputError(f"input {excerpt(name)} has a NaN")
            codes[name] = quantized(array.astype(np.float64), quantity)
            continue
        if array.dtype.kind not in "iu":
            raise InputError(f"input {excerpt(name)} has dtype {array.dtype}: codes are integers, values are floats")
        try:
            check_range(array, fmt.codes[0], fmt.codes[-1], fmt.id)
        except InputError as error:
            raise InputError(f"input {excerpt(name)}: {error.message}") from error
        codes[name] = np.ascontiguousarray(array, fmt.code_dtype)
    return codes


def with_padding(model: IntegerModel, name: str = "mask") -> IntegerModel:
    """The model with one more input, by which every attention knows the padding of its keys.

    Parameters
    ----------
    model : IntegerModel
    name : str
        Of the input: uint8 of shape (..., tokens), 0 where there is no token. Results at tokens are then those of the
        sequence without padding, which must follow the tokens where places have embeddings.

    Raises
    ------
    InputError
        The model has no attention, one that has a mask, or something of that name.
    """
    attentions = [node.layer for node in model.nodes.values() if isinstance(node.layer, Attention)]
    if not attentions:
        raise InputError("the model has no attention")
    if any(layer.mask is not None for layer in attentions):
        raise InputError("the model has an attention with a mask already")
    nodes = {
        key: Node(replace(node.layer, mask=MASK), (*node.inputs, name)) if isinstance(node.layer, Attention) else node
        for key, node in model.nodes.items()
    }
    if name in model.inputs:
        raise InputError(f"the model has an input {name!r} already")
    return IntegerModel(nodes, {**model.inputs, name: MASK}, model.outputs, model.facts)

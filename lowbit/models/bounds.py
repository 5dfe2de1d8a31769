"""Where every intermediate of an integer model lies, whatever codes go in: intervals from node to node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lowbit.errors import InputError, LowbitError
from lowbit.layers.layer import Bound, Interval
from lowbit.models.graph import IntegerModel


class LayerBound(NamedTuple):
    """An intermediate of a layer and where it lies."""

    layer: str  # the node's name
    bound: Bound


def bounds_of(model: IntegerModel, inputs: Mapping[str, Interval] | None = None) -> Iterator[LayerBound]:
    """The bounds of every intermediate of every layer, in the order in which they arise.

    Parameters
    ----------
    model : IntegerModel
    inputs : mapping of str to Interval, optional
        Where codes of an input lie; all codes of its format if it is not there.

    Raises
    ------
    InputError
        A layer cannot be bounded; the message names it. Or an input is not one of the model's.

    Notes
    -----
    What can leave its width can then be anything: the layers after it are bounded by the format of their inputs.
    """
    for name in inputs or {}:
        if name not in model.inputs:
            raise InputError(f"{name!r} is not an input of the model", hint=", ".join(model.inputs))
    intervals = {name: quantity.interval for name, quantity in model.inputs.items()} | dict(inputs or {})
    for name, node in model.nodes.items():
        overflows = False
        last = intervals[name] = node.layer.result.interval
        try:
            for bound in node.layer.bounds(*(intervals[source] for source in node.inputs)):
                overflows |= bound.culprit is not None
                last = bound.interval
                yield LayerBound(name, bound)
        except LowbitError as error:
            raise InputError(f"layer {name!r}: {error.message}", hint=error.hint) from error
        if not overflows:
            intervals[name] = last


def require_bounded(model: IntegerModel, inputs: Mapping[str, Interval] | None = None) -> None:
    """Raise an InputError that names the first layer of which an intermediate can leave its width, and its range."""
    for name, bound in bounds_of(model, inputs):
        if bound.culprit is not None:
            width = f"{bound.bits} bits, {'signed' if bound.signed else 'unsigned'}"
            low, high = int(bound.low.min()), int(bound.high.max())
            needed = max(low if low >= 0 else ~low, high).bit_length() + bound.signed
            sources = ", ".join(f"{source} ({model.quantity(source).format})" for source in model.nodes[name].inputs)
            raise InputError(
                f"layer {name!r}: {bound.label} can be {bound.culprit:,}, and has {width}: bounds are {low:,} to "
                f"{high:,}, {needed} bits",
                hint=f"a narrower format of {sources}, smaller weights, or input codes of which less is said to come: "
                "`lowbit prove model MODEL --input-range LOW:HIGH` shows all the layers",
            )

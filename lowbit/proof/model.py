"""Can an integer model overflow? Its layers one after the other, with their real weights, for any input codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lowbit.errors import InputError
from lowbit.layers.layer import Interval
from lowbit.models.bounds import LayerBound, bounds_of
from lowbit.models.graph import IntegerModel
from lowbit.proof.functions import FunctionProof, audits_of

ATTAINED = ("linear", "conv")
"""Kinds whose accumulators reach their bounds if their inputs reach any codes."""


@dataclass(frozen=True)
class ModelProof:
    """The answer of :func:`prove_model`.

    Attributes
    ----------
    bounds : tuple of LayerBound
        Of every intermediate of every layer, in order.
    functions : tuple of FunctionProof
        Of the nonlinearities inside of layers, whose own intermediates are audited.
    first : LayerBound or None
        The first intermediate of a layer that can leave its width; None if none can.
    verdict : str
        "proved": none can, for any input, inside of nonlinearities too. "refuted": ``first`` does, for some input.
        "open": its bound does, which takes the codes of a layer's inputs for independent of each other, and these come
        from layers before it; or an audit of a nonlinearity leaves a width for some row of codes.
    """

    bounds: tuple[LayerBound, ...]
    functions: tuple[FunctionProof, ...]
    first: LayerBound | None
    verdict: str

    @property
    def culprit(self) -> str:
        """The first layer, in the order of the model, of which something is not proved; empty if all is."""
        layers = [found.layer for found in self.functions if found.verdict != "proved"]
        layers += [self.first.layer] if self.first else []
        order = list(dict.fromkeys(name for name, _ in self.bounds))
        return min(layers, key=order.index, default="")

    def as_dict(self) -> dict[str, Any]:
        """The same as plain numbers and texts."""
        rows = [
            {
                "layer": name,
                "intermediate": bound.label,
                "low": int(bound.low.min()),
                "high": int(bound.high.max()),
                "bits": bound.bits,
                "signed": bound.signed,
                "fits": bound.culprit is None,
            }
            for name, bound in self.bounds
        ]
        functions = [found._asdict() for found in self.functions]
        return {"verdict": self.verdict, "first": self.culprit, "bounds": rows, "functions": functions}


def prove_model(model: IntegerModel, *, inputs: Mapping[str, tuple[int, int]] | None = None) -> ModelProof:
    """Bound every accumulator and every intermediate of an integer model, with its real weights.

    Parameters
    ----------
    model : IntegerModel
    inputs : mapping of str to (int, int), optional
        The lowest and the highest code of an input; all codes of its format if it is not there.

    Returns
    -------
    ModelProof

    Raises
    ------
    InputError
        A layer cannot be bounded; the message names it. Or a range of ``inputs`` is empty, or has what is not a code.

    Notes
    -----
    Intervals, one a channel where there are channels. Each product of a linear layer takes its extremes at the ends
    of its interval on its own, so that the bounds of its sums are reached, in whatever order they are made.

    Examples
    --------
    >>> import numpy as np
    >>> from lowbit.layers import Linear, Quantity
    >>> from lowbit.models.graph import IntegerModel, Node
    >>> image = Quantity("int8", 0.1)
    >>> layer = Linear(image, np.full((2, 3), 100, np.int8), Quantity("int32", 0.001))
    >>> proof = prove_model(IntegerModel({"layer": Node(layer, ("image",))}, {"image": image}, ("layer",)))
    >>> proof.verdict, int(proof.bounds[-1].bound.high.max())
    ('proved', 38100)
    """
    spans = {name: _span(model, name, *ends) for name, ends in (inputs or {}).items()}
    bounds = tuple(bounds_of(model, spans))
    functions = tuple(audits_of(model, _edges(model, spans, bounds)))
    first = next((found for found in bounds if found.bound.culprit is not None), None)
    if first is None:
        proved = all(found.verdict == "proved" for found in functions)
        return ModelProof(bounds, functions, None, "proved" if proved else "open")
    node = model.nodes[first.layer]
    reached = node.layer.operation in ATTAINED and all(source in model.inputs for source in node.inputs)
    return ModelProof(bounds, functions, first, "refuted" if reached else "open")


def _span(model: IntegerModel, name: str, low: int, high: int) -> Interval:
    """The interval of an input, of codes that it has."""
    if name not in model.inputs:
        raise InputError(f"{name!r} is not an input of the model", hint=", ".join(model.inputs))
    quantity = model.inputs[name]
    lowest, highest = (int(end) for end in quantity.interval)
    if not lowest <= low <= high <= highest:
        what = "is an empty range" if low > high else f"has codes that {quantity.format} does not have"
        raise InputError(f"input {name!r} from {low:,} to {high:,} {what}", hint=f"from {lowest:,} to {highest:,}")
    return Interval.of(low, high)


def _edges(model: IntegerModel, spans: Mapping[str, Interval], bounds: Iterable[LayerBound]) -> dict[str, Interval]:
    """Where the codes of each edge lie: of a layer's result, its last bound, or all codes if something overflows."""
    edges = {name: quantity.interval for name, quantity in model.inputs.items()} | dict(spans)
    overflowing = set()
    for name, bound in bounds:
        if bound.culprit is not None:
            overflowing.add(name)
        edges[name] = model.nodes[name].layer.result.interval if name in overflowing else bound.interval
    return edges

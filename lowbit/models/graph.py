"""Integer models: layers in an order, what goes into each, and what comes out; codes in, codes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lowbit.errors import InputError, LowbitError
from lowbit.layers.layer import Layer, Quantity, Step
from lowbit.ops.types import Array
from lowbit.printable import excerpt

Trace = Callable[[str, Step], None]
"""Takes the name of a node and an intermediate of it: its label, codes and declared width."""


@dataclass(frozen=True)
class Node:
    """A layer, and the names of what goes into it: inputs of the model or earlier nodes."""

    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A network in which nothing floats between input codes and output codes.

    Attributes
    ----------
    nodes : mapping of str to Node
        In the order in which they run.
    inputs : mapping of str to Quantity
    outputs : tuple of str
        Names of nodes.
    facts : mapping of str to object
        What is known of it beside its arithmetic, as JSON has it: where its weights came from, labels of classes.

    Raises
    ------
    InputError
        A node needs what is not there before it, or takes other codes than it is given, or other channels where the
        parameters of layers say how many there are; the message names the node.
    """

    nodes: Mapping[str, Node]
    inputs: Mapping[str, Quantity]
    outputs: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = dict(self.inputs)
        channels: dict[str, int | None] = dict.fromkeys(known)
        for name, node in self.nodes.items():
            if name in known:
                raise InputError(f"layer {name!r}: an input of the model has that name")
            _check_inputs(name, node, known)
            known[name] = node.layer.result
            with _named(name):
                channels[name] = node.layer.channels(*(channels[source] for source in node.inputs))
        for name in self.outputs:
            if name not in self.nodes:
                raise InputError(f"the output {excerpt(name)} is not a layer of the model")
        if not self.outputs:
            raise InputError("the model has no output")

    def quantity(self, name: str) -> Quantity:
        """What the codes of an input or of a node's result mean."""
        return self.inputs[name] if name in self.inputs else self.nodes[name].layer.result

    def run(self, codes: Array | Mapping[str, Array], trace: Trace | None = None) -> Any:
        """The output codes.

        Parameters
        ----------
        codes : ndarray or mapping of str to ndarray
            Of the only input, or of each by its name.
        trace : callable, optional
            Sees every intermediate of every layer.

        Returns
        -------
        codes : ndarray, or dict of str to ndarray
            The latter where there is more than one output.

        Raises
        ------
        InputError
            An input is missing, unknown, or not codes of its format, or shapes do not meet; the message names the
            layer.
        """
        values = self._checked(codes)
        for name, node in self.nodes.items():
            values[name] = _result(name, node.layer, [values[source] for source in node.inputs], trace)
        results = {name: values[name] for name in self.outputs}
        return results[self.outputs[0]] if len(results) == 1 else results

    def _checked(self, codes: Array | Mapping[str, Array]) -> dict[str, Array]:
        if not isinstance(codes, Mapping):
            if len(self.inputs) != 1:
                raise InputError(f"the model has the inputs {', '.join(self.inputs)}, and one array is given")
            codes = dict.fromkeys(self.inputs, codes)
        for name in dict.fromkeys((*self.inputs, *codes)):
            if name not in codes or name not in self.inputs:
                what = "is missing" if name in self.inputs else "is not an input of the model"
                raise InputError(f"input {excerpt(str(name))} {what}", hint=", ".join(self.inputs))
            self.inputs[name].check(codes[name], f"input {name!r}")
        return dict(codes)


def _check_inputs(name: str, node: Node, known: Mapping[str, Quantity]) -> None:
    wanted = node.layer.inputs
    if len(wanted) != len(node.inputs):
        raise InputError(f"layer {name!r}: {node.layer.operation} takes {len(wanted)} inputs, not {len(node.inputs)}")
    for source, quantity in zip(node.inputs, wanted, strict=True):
        if source not in known:
            raise InputError(f"layer {name!r} takes {excerpt(source)}, which is not there before it")
        if known[source] != quantity:
            raise InputError(f"layer {name!r} takes {quantity}, and {source!r} gives {known[source]}")


def _result(name: str, layer: Layer, codes: list[Array], trace: Trace | None) -> Array:
    with _named(name):
        if trace is None:
            return layer(*codes)
        for step in layer.intermediates(*codes):
            trace(name, step)
        return step.codes


@contextmanager
def _named(name: str) -> Iterator[None]:
    """An error of a layer with the layer's name before it."""
    try:
        yield
    except LowbitError as error:
        raise InputError(f"layer {name!r}: {error.message}", hint=error.hint) from error

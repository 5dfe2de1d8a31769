"""A conversion under way: what the layers so far give, and what the next one is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, LowbitError
from lowbit.format.registry import block_format_of
from lowbit.layers import Layer, Nonlinearity, Quantity, Requantize, Rescale
from lowbit.models.conversion.batch_norms import fold_norm
from lowbit.models.conversion.calibration import Operation, Recorder, quantity_of
from lowbit.models.conversion.preset import ConversionPreset
from lowbit.models.graph import Node
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.multiplier import effective_scale
from lowbit.quantizers.clip import SEARCHES
from lowbit.quantizers.methods.smoothquant import smoothquant

Doubles = npt.NDArray[np.float64]
NARROW = 8
"""Wider codes have no zero point: norms and products of 16 bits take them as they are."""
LARGEST_BIAS = (1 << 31) - 1


@dataclass
class Conversion:
    """A conversion under way.

    Attributes
    ----------
    preset : ConversionPreset
    parameters : dict of str to ndarray
        Weights become what their codes are worth once there are codes.
    recorder : Recorder
    weights : mapping of str to str
        Block formats where they are not the preset's.
    edges : dict of str to Quantity
        What the codes of each operation's result mean, so far.
    nodes, inputs : dict
        Of the model, so far.
    nodes_of : dict of str to str
        The node or input that has the codes of an operation's result.
    tensors : dict of str to BlockTensor
        Weights as they are rounded.
    factors : dict of str to ndarray
        What the scales of a weight are multiplied by, a number an output.
    units : dict of str to ndarray
        By the name of a layer of products, what a unit of its accumulators is worth, an output each.
    smooth : dict of str to tuple
        As in :class:`Converted`.
    smoothed : dict of str to ndarray
        Nodes whose codes times their scale must be multiplied by these to be values.
    rewired : dict of str to tuple
        Where a layer takes its inputs from, if not from where its operation does.
    """

    preset: ConversionPreset
    parameters: dict[str, Any]
    recorder: Recorder
    weights: Mapping[str, str]
    edges: dict[str, Quantity] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, Quantity] = field(default_factory=dict)
    nodes_of: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, BlockTensor] = field(default_factory=dict)
    factors: dict[str, Doubles] = field(default_factory=dict)
    units: dict[str, Doubles] = field(default_factory=dict)
    smooth: dict[str, tuple[Doubles, Quantity]] = field(default_factory=dict)
    smoothed: dict[str, Doubles] = field(default_factory=dict)
    rewired: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def take_input(self, name: str) -> None:
        """An input of the model: codes of values, or the numbers of rows of a table."""
        if name in self.recorder.values:
            rules = self.preset
            values = self.recorder.values[name]
            self.edges[name] = values.range(name, "minmax", rules.format_of("input", []), symmetric=rules.symmetric)
        self.inputs[name] = self.edges.get(name, Quantity("int32", 1.0))
        self.nodes_of[name] = name

    def take(self, operation: Operation) -> None:
        """A layer for an operation, or none where the one before does its work."""
        from lowbit.models.conversion.layers import BUILDERS

        name, kind = operation.name, operation.kind
        try:
            if kind not in BUILDERS:
                raise InputError(f"operations of the kind {kind!r} have no integer layer", hint=", ".join(BUILDERS))
            layer = BUILDERS[kind](self, operation)
        except LowbitError as error:
            raise type(error)(f"layer {name!r}: {error.message}", hint=error.hint) from error
        if layer is not None:
            self.add(name, layer, *self.rewired.get(name, operation.inputs))
            self.nodes_of |= dict.fromkeys((one.name for one in self.fused(operation)), name)

    def add(self, name: str, layer: Layer, *inputs: str) -> None:
        """A node, which takes the results of operations or inputs of these names."""
        self.nodes[name] = Node(layer, tuple(self.nodes_of[source] for source in inputs))
        self.nodes_of[name] = name

    def before(self, operation: Operation, name: str, layer: Layer) -> None:
        """A node of its own ahead of an operation's layer, which takes its result then."""
        self.add(name, layer, *self.rewired.get(operation.name, operation.inputs))
        self.rewired[operation.name] = (name,)

    def quantity(self, name: str) -> Quantity:
        """What the codes that an operation takes from another mean."""
        source = self.nodes_of[name]
        return self.inputs[source] if source in self.inputs else self.nodes[source].layer.result

    def fused(self, operation: Operation) -> list[Operation]:
        """Operations after one that its layer does, too: the batch norm of a convolution, the ReLU of a sum."""
        chain: list[Operation] = []
        follows = {"conv": ("batchnorm", "relu"), "batchnorm": ("relu",)}
        while True:
            last = chain[-1] if chain else operation
            kinds = follows.get(last.kind, ("relu",) if last.kind in ("linear", "add") else ())
            after = [one for one in self.recorder.operations.values() if last.name in one.inputs]
            if len(after) != 1 or after[0].kind not in kinds:
                return chain
            chain.append(after[0])

    def is_fused(self, name: str) -> bool:
        """Whether the layer of an earlier operation does an operation, too."""
        return name in self.nodes_of

    def edge(self, operation: Operation) -> Quantity:
        """Scale and zero point of a layer's result, by its range; noted, for the twin."""
        last = [operation, *self.fused(operation)][-1]
        element = self.preset.format_of(last.kind if last.kind == "relu" else operation.kind, self.consumers(last.name))
        return self.part(last.name, element)

    def part(self, name: str, element: str) -> Quantity:
        """The same for what a layer has inside, in a format."""
        values, wide = self.recorder.values[name], Quantity(element, 1.0).scalar.bits > NARROW
        self.edges[name] = values.range(name, self.preset.range, element, symmetric=self.preset.symmetric or wide)
        return self.edges[name]

    def consumers(self, name: str) -> list[str]:
        """The kinds of the operations that take a result."""
        return self.recorder.consumers(name)

    def minimum(self, operation: Operation, result: Quantity) -> int | None:
        """The lowest code that a ReLU after an operation leaves; None where there is none."""
        return result.zero_point if any(one.kind == "relu" for one in self.fused(operation)) else None

    def nonlinearity(self, kind: str, function: str = "") -> Nonlinearity:
        """The preset's scheme of a kind of operation, which computes a function of that name or another."""
        options = dict(self.preset.scheme_of(kind))
        known = {name: options.pop(name) for name in ("scheme", "variant", "bits") if name in options}
        return Nonlinearity(function or kind, **known, options=options)

    def rescale(self, scale: Any, result: Quantity, minimum: int | None = None) -> Rescale:
        """From accumulators, one unit of which is worth ``scale``, to codes."""
        factors = np.asarray(scale, np.float64) / result.scale
        return Rescale.from_scale(factors, self.preset.requantize, result, minimum=minimum)

    def smoothing(self, source: str) -> tuple[Doubles, Quantity] | None:
        """What the channels of a result are divided by for the linear layers that take it, and its codes then.

        None where the preset does not smooth, or an input of the model is taken. Source: Xiao et al., "SmoothQuant",
        ICML 2023 (arXiv 2211.10438), equation 4; the division is in the multipliers of a requantisation.
        """
        takers = [
            one.name for one in self.recorder.operations.values() if source in one.inputs and one.kind == "linear"
        ]
        if self.preset.smooth is None or source in self.inputs:
            return None
        if takers[0] not in self.smooth:
            weights = np.concatenate([np.asarray(self.parameters[f"{name}.weight"], np.float64) for name in takers])
            values = self.recorder.values[source]
            largest = np.maximum(-values.lows, values.highs)
            method = smoothquant(weights, largest[None], to=self.preset.weights, strength=self.preset.smooth)
            scale = np.asarray(method.transform.scale, np.float64)  # type: ignore[union-attr]
            ends = float((values.lows / scale).min()), float((values.highs / scale).max())
            element = self.preset.format_of("smooth", [self.recorder.operations[source].kind])
            quantity = quantity_of(*ends, element, symmetric=True)
            self.smooth |= dict.fromkeys(takers, (scale, quantity))
        return self.smooth[takers[0]]

    def take_smoothed(self, operation: Operation) -> None:
        """Let a linear layer take the smoothed codes of its input: a node makes them where the source does not."""
        source = operation.inputs[0]
        smoothing = self.smoothing(source)
        if smoothing is None or source in self.smoothed:
            return
        name, (scale, quantity) = f"{source}.smooth", smoothing
        if name not in self.nodes:
            given = self.quantity(source)
            self.add(name, Requantize(given, self.rescale(given.scale / scale, quantity)), source)
            self.smoothed[name] = scale
        self.rewired[operation.name] = (name,)

    def weight(self, name: str) -> tuple[Array, Doubles, str]:
        """The codes of a weight, a row an output, their scales, and the format of a code.

        Raises InputError: the format does not have one scale an output and nothing else.
        """
        scale, _ = self.smooth.get(name.removesuffix(".weight"), (np.ones(1), None))
        matrix = np.asarray(self.parameters[name], np.float64) * scale
        tensor, factors = self.rounded(name, matrix), self.factors.get(name, np.ones(len(matrix)))
        scales = tensor.scales.get("block")
        if set(tensor.scales) != {"block"} or scales is None or scales.shape != (len(matrix), 1):
            what = f"weights in {tensor.format.id} do not have one scale an output"
            raise InputError(what, hint="int8.channel and int4.channel do")
        worth = dequantize(tensor, dtype=np.float64) * factors[:, None]
        self.parameters[name] = worth.reshape(matrix.shape) / scale
        codes = tensor.codes.reshape(matrix.shape)
        return codes, scales[:, 0].astype(np.float64) * factors, tensor.format.element.id

    def rounded(self, name: str, matrix: Doubles) -> BlockTensor:
        """A weight in the format of its name, the inputs of an output in a row, within the preset's ranges."""
        if name not in self.tensors:
            to, rows = self.weights.get(name, self.preset.weights), matrix.reshape(len(matrix), -1)
            search = SEARCHES.get(self.preset.weight_range)
            self.tensors[name] = quantize(rows, to) if search is None else search.quantized(rows, block_format_of(to))
        return self.tensors[name]

    def products(self, operation: Operation) -> dict[str, Any]:
        """What a layer of products is: codes, bias in units of the accumulator, and the requantisation."""
        name, result = operation.name, self.edge(operation)
        given = self.quantity(self.rewired.get(name, operation.inputs)[0])
        for norm in self.fused(operation):
            if norm.kind == "batchnorm":
                fold_norm(self.parameters, name, norm)
        codes, scales, element = self.weight(f"{name}.weight")
        scheme = self.preset.requantize
        factors = [effective_scale(given.scale, scale, result.scale, scheme=scheme) for scale in scales.tolist()]
        output = Rescale.from_scale(np.array(factors), scheme, result, minimum=self.minimum(operation, result))
        self.units[name] = given.scale * scales
        bias = self.bias(f"{name}.bias", self.units[name])
        return {"input": given, "weight": codes, "output": output, "bias": bias, "weight_format": element}

    def bias(self, name: str, units: Doubles) -> Array | None:
        """A bias in units of the accumulator; None where there is none.

        Raises InputError: it does not fit 32 bits.
        """
        if name not in self.parameters:
            return None
        codes = np.rint(np.asarray(self.parameters[name], np.float64) / units)
        if np.abs(codes).max() > LARGEST_BIAS:
            place = int(np.abs(codes).argmax())
            raise InputError(f"the bias of output {place} is {codes[place]:.0f} in units of the accumulator")
        self.parameters[name] = codes * units
        return codes.astype(np.int32)

"""Linear layers, convolutions and requantisations as ONNX operators of integers, which give a scheme's own codes.

ONNX's QLinear operators leave rounding to the runtime, and ONNX Runtime's multiply in binary32. Its operators of int64
are exact: a shift to the right that rounds is a floor division here, and one more where the rest asks for it.

Source: ONNX operators MatMulInteger, ConvInteger, MatMul, Mod, Div, Clip and Cast, opset 21. Div cuts off, so the rest,
which Mod gives with the sign of the divisor, is taken off first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.files.onnx_model import ELEMENT_TYPES, node, tensor
from lowbit.layers.conv import Conv
from lowbit.layers.linear import Linear
from lowbit.layers.requantize import Rescale
from lowbit.policy.requantize import HIGH_SHIFT, UPPER_BITS, UPPER_DROPPED, RequantizeScheme, get_requantize_scheme

BYTES = ("int8", "uint8")
"""Types of codes that QLinear operators take and give, and that MatMulInteger and ConvInteger take."""

Shifts = npt.NDArray[np.int64]

Products = Linear | Conv
"""Layers that an ONNX model can have."""


@dataclass
class GraphParts:
    """What a graph is made of, as bytes."""

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)


class LayerGraph:
    """The nodes and constants of one layer; all their names begin with the layer's."""

    def __init__(self, parts: GraphParts, name: str, sentence: str) -> None:
        self.parts, self.name, self.sentence = parts, name, sentence
        self.steps = 0

    def constant(self, role: str, array: npt.ArrayLike, dtype: str = "") -> str:
        """Add a constant; its name."""
        values = np.asarray(array, dtype or None)
        name, kind = f"{self.name}:{role}", values.dtype
        content = values.astype(kind.newbyteorder("<")).tobytes()
        self.parts.constants.append(tensor(name, kind.name, values.shape, content))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; the name of its output."""
        self.parts.nodes.append(node(operator, inputs, [output], attributes, f"{output}:{operator}", self.sentence))
        return output

    def step(self, operator: str, *inputs: str | npt.ArrayLike, **attributes: Any) -> str:
        """Add a node whose output only this layer reads; inputs that are not names are constants, int64 numbers."""
        self.steps += 1
        own = f"step {self.steps}"
        names = [
            one if isinstance(one, str) else self.constant(f"{own}, {place}", one, "int64")
            for place, one in enumerate(inputs)
        ]
        return self.node(operator, names, f"{self.name}:{own}", **attributes)

    def cast(self, values: str, dtype: str) -> str:
        """The same numbers in another type, modulo 2^bits."""
        return self.step("Cast", values, to=ELEMENT_TYPES[dtype])


def accumulators(graph: LayerGraph, layer: Products, source: str, last: str) -> None:
    """Exact int32 sums with the bias in them, channels last, under the name ``last``."""
    sums = f"{graph.name}:product"
    if isinstance(layer, Conv):
        _convolved(graph, layer, source, sums if layer.bias is not None else last)
    elif layer.input.scalar.code_dtype in BYTES:
        zero = graph.constant("x zero point", layer.input.zero_point, layer.input.scalar.code_dtype)
        weight = graph.constant("weight", np.ascontiguousarray(layer.weight.T))
        zeros = graph.constant("w zero point", layer.weight_zero_point, "int8")
        graph.node("MatMulInteger", [source, weight, zero, zeros], sums if layer.bias is not None else last)
    else:
        zero = graph.constant("x zero point", layer.input.zero_point, "int32")
        centred = graph.step("Sub", graph.cast(source, "int32"), zero)
        zeros_of_rows = np.reshape(layer.weight_zero_point, (-1, 1)).astype(np.int32)
        weight = graph.constant("weight", np.ascontiguousarray((layer.weight - zeros_of_rows).T))
        graph.node("MatMul", [centred, weight], sums if layer.bias is not None else last)
    if layer.bias is not None:
        graph.node("Add", [sums, graph.constant("bias", layer.bias)], last)


def _convolved(graph: LayerGraph, layer: Conv, source: str, last: str) -> None:
    """ONNX has the channels first; what lies outside of an image is the zero point."""
    images = graph.step("Transpose", source, perm=[0, 3, 1, 2])
    weight = graph.constant("weight", np.ascontiguousarray(np.moveaxis(layer.weight, 3, 1)))
    zero = graph.constant("x zero point", layer.input.zero_point, layer.input.scalar.code_dtype)
    (top, bottom), (left, right) = layer.padding
    window = {"strides": list(layer.stride), "pads": [top, left, bottom, right], "group": layer.groups}
    graph.node("Transpose", [graph.step("ConvInteger", images, weight, zero, **window)], last, perm=[0, 2, 3, 1])


def reason_against(layer: Products) -> str:
    """Why operators of integers cannot give a layer's codes; empty if they can."""
    if isinstance(layer, Conv) and layer.input.scalar.code_dtype not in BYTES:
        return f"ConvInteger does not take {layer.input.format}"
    if not isinstance(layer.output, Rescale):
        return ""
    rules = get_requantize_scheme(layer.output.scheme)
    exact = rules.product == "exact" and rules.pre_shift == "none" and rules.overflow == "saturate"
    return "" if exact else f"{_named(rules)} is not written in integers"


def _named(rules: RequantizeScheme) -> str:
    return f"scheme {rules.name}" if rules.name else "its scheme"


def requantized(graph: LayerGraph, rescale: Rescale, sums: str, last: str) -> None:
    """The codes of int32 sums, channels last, under the name ``last``: the steps of ``lowbit/oracle/requantize``."""
    rules, fmt = get_requantize_scheme(rescale.scheme), rescale.result.scalar
    numbers = graph.cast(sums, "int64")
    if rescale.signs is not None:
        numbers = graph.step("Mul", numbers, rescale.signs)
    if rules.zero_point == "before_product":
        numbers = graph.step("Sub", numbers, rescale.result.zero_point)
    numbers = narrowed(graph, _product(graph, rescale, rules, numbers), rules)
    if rules.zero_point != "before_product":
        numbers = graph.step("Add", numbers, rescale.result.zero_point)
    if rules.zero_point == "after_rounding":
        numbers = narrowed(graph, numbers, rules)
    low = fmt.codes[0] if rescale.minimum is None else rescale.minimum
    high = fmt.codes[-1] if rescale.maximum is None else rescale.maximum
    graph.node("Cast", [graph.step("Clip", numbers, low, high)], last, to=ELEMENT_TYPES[fmt.code_dtype])


def _product(graph: LayerGraph, rescale: Rescale, rules: RequantizeScheme, numbers: str) -> str:
    """Accumulators times their multipliers, shifted to the right and rounded, once or twice."""
    multipliers = rescale.multiplier if rescale.signs is None else np.abs(rescale.multiplier)
    rights: Shifts = np.array([rules.right_shift(int(shift)) for shift in rescale.shift], np.int64)
    if rules.multiplier_use == "upper_15":
        upper = (multipliers + (1 << (UPPER_DROPPED - 1))) >> UPPER_DROPPED
        multipliers, rights = np.minimum(upper, (1 << UPPER_BITS) - 1), rights - UPPER_DROPPED
    if rules.high_half == "none":
        return rounded(graph, graph.step("Mul", numbers, multipliers), rights, rules.tie)
    left = np.maximum(HIGH_SHIFT - rights, 0)
    if left.any():
        numbers = graph.step("Mul", numbers, np.int64(1) << left)
    if rules.left_shift == "wrap32":
        numbers = graph.cast(graph.cast(numbers, "int32"), "int64")
    high = rounded(graph, graph.step("Mul", numbers, multipliers), np.array([HIGH_SHIFT]), rules.high_half)
    return rounded(graph, high, np.maximum(rights - HIGH_SHIFT, 0), rules.tie)


def rounded(graph: LayerGraph, numbers: str, rights: Shifts, tie: str) -> str:
    """int64 numbers shifted to the right: the floor, and one more where ``2 * rest + up > divisor``.

    ``up`` is 1 where a tie goes to the larger neighbour, else 0.
    """
    if not rights.any():
        return numbers
    divisors = graph.constant(f"divisors after step {graph.steps}", np.int64(1) << rights)
    rest = graph.step("Mod", numbers, divisors)
    floor = graph.step("Div", graph.step("Sub", numbers, rest), divisors)
    if tie == "down":
        return floor
    twice = graph.step("Add", rest, rest)
    if tie == "up":
        twice = graph.step("Add", twice, 1)
    elif tie == "away":
        twice = graph.step("Add", twice, graph.cast(graph.step("Greater", numbers, 0), "int64"))
    else:
        twice = graph.step("Add", twice, graph.step("Mod", floor, 2))
    return graph.step("Add", floor, graph.cast(graph.step("Greater", twice, divisors), "int64"))


def narrowed(graph: LayerGraph, numbers: str, rules: RequantizeScheme) -> str:
    """The numbers in the width that the scheme keeps before it clamps."""
    if rules.narrowing == "wrap32":
        return graph.cast(graph.cast(numbers, "int32"), "int64")
    if rules.narrowing.startswith("saturate"):
        half = 1 << (int(rules.narrowing.removeprefix("saturate")) - 1)
        return graph.step("Clip", numbers, -half, half - 1)
    return numbers

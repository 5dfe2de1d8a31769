"""The linear layers and convolutions of an integer model as an ONNX model with QLinear operators.

Layers of other kinds have no QLinear operator: the graph has an input where one of them feeds a layer that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.files.onnx_model import ELEMENT_TYPES, Value, graph_model, node, tensor
from lowbit.layers.conv import Conv
from lowbit.layers.layer import Layer, Quantity
from lowbit.layers.linear import Linear
from lowbit.layers.requantize import Rescale
from lowbit.models.graph import IntegerModel, Node
from lowbit.ops.types import Array
from lowbit.policy.requantize import get_requantize_scheme

OPSET, IR_VERSION = 21, 10
RUNTIME = "onnxruntime"
"""The requantisation scheme that ONNX Runtime's QLinear operators follow."""
BYTES = ("int8", "uint8")
"""Types of codes that its QLinear operators take and give."""


@dataclass(frozen=True)
class OnnxExport:
    """The answer of :func:`onnx_export`.

    Attributes
    ----------
    content : bytes
        The model. Its outputs are the results of the layers, under their names; its inputs are inputs of the integer
        model and results of layers that it does not have. Codes of linear layers are matrices (rows, width), those of
        convolutions images (batch, height, width, channels). The accumulators of a linear layer whose codes may differ,
        or are not of 8 bits, are an output, too, ``NAME:accumulator``, and always the same.
    layers : dict of str to str
        Each linear layer and convolution, and a sentence that says where ONNX Runtime's codes may differ; empty where
        they are the same.
    left_out : dict of str to str
        Those that are not in the model, and why.
    """

    content: bytes
    layers: dict[str, str]
    left_out: dict[str, str]


def onnx_export(model: IntegerModel) -> OnnxExport:
    """Write the linear layers and convolutions of an integer model as ONNX.

    Raises
    ------
    InputError
        The model has no layer that an ONNX model can have.

    Notes
    -----
    Source: ONNX operators QLinearMatMul, QLinearConv and MatMulInteger, opset 21. A QLinear operator multiplies by
    x_scale * w_scale / y_scale in binary32; here w_scale is the layer's factor from an accumulator to a code and the
    others are 1, so that nothing is rounded before that product.

    ``mnist_vit`` under "ivit", its 1,000 held-out images, ONNX Runtime 1.32: the accumulators of all 26 linear layers
    are the same; 65 of the 87.8 million codes of the 16 layers with results of 8 bits differ, by one.
    """
    found = {name: one for name, one in model.nodes.items() if isinstance(one.layer, Linear | Conv)}
    left_out = {name: reason for name, one in found.items() if (reason := _reason(one.layer))}
    kept = {name: one for name, one in found.items() if name not in left_out}
    sentences = {name: _sentence(one.layer) for name, one in kept.items()}
    summed = {name: one for name, one in found.items() if sentences.get(name, "x") and _has_accumulators(one.layer)}
    if not kept and not summed:
        raise InputError("the model has no linear layer or convolution that an ONNX model can have", hint=str(left_out))
    parts = _Parts()
    for name, one in kept.items():
        _LayerWriter(parts, name, sentences[name]).write(one)
    for name, one in summed.items():
        _LayerWriter(parts, f"{name}:accumulator", "").accumulators(one.layer, one.inputs[0])
    inputs = _inputs(model, [*kept.values(), *summed.values()], kept)
    outputs: list[Value] = [(name, one.layer.result.scalar.code_dtype, _axes(one.layer)) for name, one in kept.items()]
    outputs += [(f"{name}:accumulator", "int32", _axes(one.layer)) for name, one in summed.items()]
    content = graph_model(
        "layers", parts.nodes, inputs, outputs, opset=OPSET, ir_version=IR_VERSION, constants=parts.constants
    )
    return OnnxExport(content, sentences, left_out)


def _has_accumulators(layer: Layer) -> bool:
    """Whether MatMulInteger gives what is requantised."""
    return isinstance(layer, Linear) and layer.input.scalar.code_dtype in BYTES


def _reason(layer: Layer) -> str:
    """Why an ONNX model cannot have a layer; empty if it can."""
    assert isinstance(layer, Linear | Conv)
    if layer.input.scalar.code_dtype not in BYTES:
        return f"QLinear operators of ONNX Runtime do not take {layer.input.format}"
    if not isinstance(layer.output, Rescale):
        return "" if isinstance(layer, Linear) else "ONNX Runtime has no ConvInteger of signed codes"
    if layer.result.format not in BYTES:
        return f"QLinear operators of ONNX Runtime do not give {layer.result.format}"
    if (layer.output.multiplier < 0).any():
        return "a QLinear operator's scales are positive"
    return ""


def _sentence(layer: Layer) -> str:
    """Where ONNX Runtime's rounding is not the scheme's; empty where it is."""
    assert isinstance(layer, Linear | Conv)
    if not isinstance(layer.output, Rescale):
        return ""
    rules, runtime = get_requantize_scheme(layer.output.scheme), get_requantize_scheme(RUNTIME)
    if not rules.differences(runtime):
        return ""
    named = f"scheme {rules.name}" if rules.name else "a scheme of its own"
    return (
        f"requantised under {named}; ONNX Runtime multiplies by the nearest binary32 scale and rounds to nearest even, "
        "so single codes may differ by one"
    )


def _inputs(model: IntegerModel, nodes: Iterable[Node], kept: Collection[str]) -> list[Value]:
    """What the graph is given: the edges into its layers that none of them makes."""
    values: dict[str, Value] = {}
    for one in nodes:
        source = one.inputs[0]
        if source not in kept:
            layer = one.layer
            dtype = model.quantity(source).scalar.code_dtype
            values[source] = (source, dtype, (*_axes(layer)[:-1], _width(layer)))
    return list(values.values())


def _width(layer: Layer) -> int:
    """The channels of what goes into a layer."""
    assert isinstance(layer, Linear | Conv)
    return int(layer.weight.shape[-1]) * (layer.groups if isinstance(layer, Conv) else 1)


def _axes(layer: Layer) -> tuple[str | int, ...]:
    """The axes of a layer's result; height and width have names of their own in each edge."""
    assert isinstance(layer, Linear | Conv)
    return ("rows" if isinstance(layer, Linear) else "batch", *[""] * (layer.weight.ndim - 2), len(layer.weight))


def scales_of(rescale: Rescale) -> npt.NDArray[np.float32]:
    """The factors from accumulators to codes, as binary32 numbers."""
    rules = get_requantize_scheme(rescale.scheme)
    rights = [int(shift) if rules.takes_scale else rules.right_shift(int(shift)) for shift in rescale.shift]
    factors: npt.NDArray[np.float32] = np.ldexp(rescale.multiplier.astype(np.float64), -np.array(rights)).astype(
        np.float32
    )
    return factors if factors.size > 1 else factors.reshape(())


@dataclass
class _Parts:
    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)


class _LayerWriter:
    """Writes the nodes and constants of one layer."""

    def __init__(self, parts: _Parts, name: str, sentence: str) -> None:
        self.parts, self.name, self.sentence = parts, name, sentence

    def write(self, one: Node) -> None:
        """All of it."""
        layer, source = one.layer, one.inputs[0]
        assert isinstance(layer, Linear | Conv)
        if isinstance(layer, Conv):
            self._convolution(layer, source)
        elif not isinstance(layer.output, Rescale):
            self.accumulators(layer, source)
        elif layer.bias is None:
            self._product(layer, source, layer.output)
        else:
            self._product_with_bias(layer, source, layer.output)

    def _constant(self, role: str, array: npt.ArrayLike, dtype: str = "") -> str:
        values = np.asarray(array, dtype or None)
        name, kind = f"{self.name}:{role}", values.dtype
        content = values.astype(kind.newbyteorder("<")).tobytes()
        self.parts.constants.append(tensor(name, kind.name, values.shape, content))
        return name

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.parts.nodes.append(node(operator, inputs, [output], attributes, f"{output}:{operator}", self.sentence))
        return output

    def _edge(self, role: str, quantity: Quantity) -> list[str]:
        """The names of a scale of 1 and of a zero point."""
        zero = self._constant(f"{role} zero point", quantity.zero_point, quantity.scalar.code_dtype)
        return [self._constant(f"{role} scale", 1, "float32"), zero]

    def _quantized(
        self, operator: str, inputs: list[str], layer: Linear | Conv, last: str, bias: Sequence[str] = (), **window: Any
    ) -> str:
        """The operator, whose results have the type of the codes it takes, moved to the layer's own, and the clamp."""
        rescale, source = layer.output, layer.input.scalar.code_dtype
        assert isinstance(rescale, Rescale)
        target, clamp = rescale.result.scalar.code_dtype, _clamp(rescale)
        moved = int(np.iinfo(source).min) - int(np.iinfo(target).min)
        zero = self._constant("y zero point", rescale.result.zero_point + moved, source)
        stages: list[tuple[str, list[str], dict[str, Any]]] = [
            (operator, [*inputs, self._constant("y scale", 1, "float32"), zero, *bias], window)
        ]
        if moved:
            stages += [
                ("Cast", [], {"to": ELEMENT_TYPES["int32"]}),
                ("Sub", [self._constant("moved", moved, "int32")], {}),
                ("Cast", [], {"to": ELEMENT_TYPES[target]}),
            ]
        if clamp is not None:
            ends = zip(("low", "high"), clamp, strict=True)
            stages.append(("Clip", [self._constant(role, end, target) for role, end in ends], {}))
        made = ""
        for place, (name, more, attributes) in enumerate(stages):
            output = last if place == len(stages) - 1 else f"{self.name}:stage {place}"
            made = self._node(name, [made, *more] if made else more, output, **attributes)
        return made

    def _product(self, layer: Linear, source: str, rescale: Rescale) -> None:
        factors, zeros = np.broadcast_arrays(scales_of(rescale), layer.weight_zero_point)
        inputs = [source, *self._edge("x", layer.input), self._constant("weight", np.ascontiguousarray(layer.weight.T))]
        inputs += [self._constant("w scale", factors), self._constant("w zero point", zeros, "int8")]
        self._quantized("QLinearMatMul", inputs, layer, self.name)

    def accumulators(self, layer: Layer, source: str) -> None:
        """Exact sums, with the bias in their units."""
        assert isinstance(layer, Linear)
        zero = self._constant("x zero point", layer.input.zero_point, layer.input.scalar.code_dtype)
        weight = self._constant("weight", np.ascontiguousarray(layer.weight.T))
        zeros = self._constant("w zero point", layer.weight_zero_point, "int8")
        made = self.name if layer.bias is None else f"{self.name}:product"
        self._node("MatMulInteger", [source, weight, zero, zeros], made)
        if layer.bias is not None:
            self._node("Add", [made, self._constant("bias", layer.bias)], self.name)

    def _product_with_bias(self, layer: Linear, source: str, rescale: Rescale) -> None:
        """As a convolution of images of one place: QLinearMatMul takes no bias."""
        outputs, width = layer.weight.shape
        image = self._constant("image", [-1, width, 1, 1], "int64")
        images = self._node("Reshape", [source, image], f"{self.name}:images")
        weight = layer.weight.reshape(outputs, width, 1, 1)
        made = self._convolved(images, weight, layer, rescale, np.asarray(layer.weight_zero_point))
        self._node("Reshape", [made, self._constant("rows", [-1, outputs], "int64")], self.name)

    def _convolution(self, layer: Conv, source: str) -> None:
        """ONNX has the channels first."""
        assert isinstance(layer.output, Rescale)
        images = self._node("Transpose", [source], f"{self.name}:images", perm=[0, 3, 1, 2])
        weight = np.ascontiguousarray(np.moveaxis(layer.weight, 3, 1))
        (top, bottom), (left, right) = layer.padding
        window = {"strides": list(layer.stride), "pads": [top, left, bottom, right], "group": layer.groups}
        made = self._convolved(images, weight, layer, layer.output, np.zeros((), np.int8), **window)
        self._node("Transpose", [made], self.name, perm=[0, 2, 3, 1])

    def _convolved(
        self, images: str, weight: Array, layer: Linear | Conv, rescale: Rescale, zero_points: Array, **window: Any
    ) -> str:
        factors, zeros = np.broadcast_arrays(scales_of(rescale), zero_points)
        inputs = [images, *self._edge("x", layer.input), self._constant("weight", weight)]
        inputs += [self._constant("w scale", factors), self._constant("w zero point", zeros, "int8")]
        bias = [] if layer.bias is None else [self._constant("bias", layer.bias)]
        return self._quantized("QLinearConv", inputs, layer, f"{self.name}:results", bias, **window)


def _clamp(rescale: Rescale) -> tuple[int, int] | None:
    """The range of the results, in codes; None where it is the type's."""
    dtype = np.iinfo(rescale.result.scalar.code_dtype)
    low = dtype.min if rescale.minimum is None else rescale.minimum
    high = dtype.max if rescale.maximum is None else rescale.maximum
    return None if (low, high) == (dtype.min, dtype.max) else (low, high)

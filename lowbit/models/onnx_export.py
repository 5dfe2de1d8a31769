"""The linear layers and convolutions of an integer model as an ONNX model with QLinear operators, or those of integers.

Layers of other kinds are not written: the graph has an input where one of them feeds a layer that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.files.onnx_model import ELEMENT_TYPES, Value, graph_model
from lowbit.layers.conv import Conv
from lowbit.layers.layer import Quantity
from lowbit.layers.linear import Linear
from lowbit.layers.requantize import Rescale
from lowbit.models.graph import IntegerModel
from lowbit.models.onnx_integers import (
    BYTES,
    GraphParts,
    LayerGraph,
    Products,
    accumulators,
    reason_against,
    requantized,
)
from lowbit.ops.types import Array
from lowbit.policy.requantize import get_requantize_scheme
from lowbit.printable import excerpt

OPSET, IR_VERSION = 21, 10
RUNTIME = "onnxruntime"
"""The requantisation scheme that ONNX Runtime's QLinear operators follow."""
EXACT, QLINEAR, INTEGERS = "exact", "qlinear", "integers"
OPERATORS = (EXACT, QLINEAR)
"""What layers are written with: ``exact`` takes QLinear operators where their codes are the scheme's own."""


@dataclass(frozen=True)
class OnnxExport:
    """The answer of :func:`onnx_export`.

    Attributes
    ----------
    content : bytes
        The model. Its outputs are the results of the layers, under their names; its inputs are inputs of the integer
        model and results of layers that it does not have. Codes of linear layers are matrices (rows, width), those of
        convolutions images (batch, height, width, channels). The accumulators of a linear layer that is left out, or
        whose codes may differ, are an output, too, ``NAME:accumulator``, and always the same.
    layers : dict of str to str
        Each linear layer and convolution, and a sentence that says where ONNX Runtime's codes may differ; empty where
        they are the same.
    operators : dict of str to str
        Each of them, and what it is written with: ``qlinear`` or ``integers``.
    left_out : dict of str to str
        Those that are not in the model, and why.
    """

    content: bytes
    layers: dict[str, str]
    operators: dict[str, str]
    left_out: dict[str, str]


def onnx_export(model: IntegerModel, *, operators: str = EXACT) -> OnnxExport:
    """Write the linear layers and convolutions of an integer model as ONNX.

    Parameters
    ----------
    model : IntegerModel
    operators : {"exact", "qlinear"}
        ``"exact"``: QLinear operators where ONNX Runtime's rounding is the scheme's, and operators of integers, which
        give the scheme's codes, elsewhere. ``"qlinear"``: QLinear operators wherever there are such, which runtimes
        know better, though single codes may differ by one.

    Raises
    ------
    InputError
        The model has no layer that an ONNX model can have, or ``operators`` is unknown.

    Notes
    -----
    Source: ONNX operators QLinearMatMul, QLinearConv and MatMulInteger, opset 21. A QLinear operator multiplies by
    x_scale * w_scale / y_scale in binary32; here w_scale is the layer's factor from an accumulator to a code and the
    others are 1, so that nothing is rounded before that product.

    ``mnist_vit`` under "ivit", its 1,000 held-out images, ONNX Runtime 1.32: all 116 million codes of its 26 linear
    layers are the same. By QLinear operators, 77 of the 87.8 million codes of the 16 layers with results of 8 bits
    differ by one: the exact product is within 2^-23 of its size from a tie, and rounds to the tie itself in binary32.
    """
    if operators not in OPERATORS:
        raise InputError(f"operators = {excerpt(str(operators))}: one of {', '.join(OPERATORS)}")
    layers = {name: one.layer for name, one in model.nodes.items() if isinstance(one.layer, Linear | Conv)}
    sources = {name: model.nodes[name].inputs[0] for name in layers}
    written = {name: _written(layer, operators) for name, layer in layers.items()}
    left_out = {name: _reasons(layers[name], operators) for name, by in written.items() if not by}
    kept = {name: layer for name, layer in layers.items() if written[name]}
    sentences = {name: _sentence(layer, written[name]) for name, layer in kept.items()}
    summed = {name: one for name, one in layers.items() if sentences.get(name, "x") and isinstance(one, Linear)}
    if not kept and not summed:
        raise InputError("the model has no linear layer or convolution that an ONNX model can have", hint=str(left_out))
    parts = GraphParts()
    for name, layer in kept.items():
        graph = LayerGraph(parts, name, sentences[name] or _how(layer, written[name]))
        if written[name] == INTEGERS:
            _write_integers(graph, layer, sources[name])
        else:
            _QLinearWriter(graph).write(layer, sources[name])
    for name, layer in summed.items():
        label = f"{name}:accumulator"
        accumulators(LayerGraph(parts, label, ""), layer, sources[name], label)
    outside = {sources[name]: layer for name, layer in [*kept.items(), *summed.items()] if sources[name] not in kept}
    inputs = [_input(model, source, layer) for source, layer in outside.items()]
    outputs: list[Value] = [(name, layer.result.scalar.code_dtype, _axes(layer)) for name, layer in kept.items()]
    outputs += [(f"{name}:accumulator", "int32", _axes(layer)) for name, layer in summed.items()]
    content = graph_model(
        "layers", parts.nodes, inputs, outputs, opset=OPSET, ir_version=IR_VERSION, constants=parts.constants
    )
    return OnnxExport(content, sentences, {name: written[name] for name in kept}, left_out)


def _written(layer: Products, operators: str) -> str:
    """What a layer is written with; empty if an ONNX model cannot have it."""
    by_qlinear = isinstance(layer.output, Rescale) and not _reason(layer)
    if by_qlinear and (operators == QLINEAR or _rounds_alike(layer)):
        return QLINEAR
    plain = not isinstance(layer.output, Rescale)
    if (operators == EXACT or plain) and not reason_against(layer):
        return INTEGERS
    return QLINEAR if by_qlinear else ""


def _reason(layer: Products) -> str:
    """Why QLinear operators cannot give a layer's codes; empty if they can."""
    if layer.input.scalar.code_dtype not in BYTES:
        return f"QLinear operators of ONNX Runtime do not take {layer.input.format}"
    if layer.result.format not in BYTES:
        return f"QLinear operators of ONNX Runtime do not give {layer.result.format}"
    if isinstance(layer.output, Rescale) and (layer.output.multiplier < 0).any():
        return "a QLinear operator's scales are positive"
    return ""


def _reasons(layer: Products, operators: str) -> str:
    """Why an ONNX model cannot have a layer."""
    both = _reason(layer), reason_against(layer) if operators == EXACT else ""
    return "; ".join(reason for reason in both if reason)


def _rounds_alike(layer: Products) -> bool:
    """Whether ONNX Runtime's rounding is the scheme's."""
    assert isinstance(layer.output, Rescale)
    return not get_requantize_scheme(layer.output.scheme).differences(get_requantize_scheme(RUNTIME))


def _sentence(layer: Products, written: str) -> str:
    """Where ONNX Runtime's rounding is not the scheme's; empty where the codes are the same."""
    if written == INTEGERS or _rounds_alike(layer):
        return ""
    assert isinstance(layer.output, Rescale)
    return (
        f"requantised under {_scheme(layer.output)}; ONNX Runtime multiplies by the nearest binary32 scale and rounds "
        "to nearest even, so single codes may differ by one"
    )


def _how(layer: Products, written: str) -> str:
    """What the nodes of a layer are documented with whose codes are the same."""
    if written == QLINEAR or not isinstance(layer.output, Rescale):
        return ""
    return f"requantised under {_scheme(layer.output)} by operators of integers, which give its codes"


def _scheme(rescale: Rescale) -> str:
    rules = get_requantize_scheme(rescale.scheme)
    return f"scheme {rules.name}" if rules.name else "a scheme of its own"


def _write_integers(graph: LayerGraph, layer: Products, source: str) -> None:
    """A layer by operators of integers."""
    if not isinstance(layer.output, Rescale):
        accumulators(graph, layer, source, graph.name)
        return
    accumulators(graph, layer, source, f"{graph.name}:sums")
    requantized(graph, layer.output, f"{graph.name}:sums", graph.name)


def _input(model: IntegerModel, source: str, layer: Products) -> Value:
    """What the graph is given for a layer: an edge that none of its layers makes."""
    channels = int(layer.weight.shape[-1]) * (layer.groups if isinstance(layer, Conv) else 1)
    return source, model.quantity(source).scalar.code_dtype, (*_axes(layer)[:-1], channels)


def _axes(layer: Products) -> tuple[str | int, ...]:
    """The axes of a layer's result; height and width have names of their own in each edge."""
    return ("rows" if isinstance(layer, Linear) else "batch", *[""] * (layer.weight.ndim - 2), len(layer.weight))


def scales_of(rescale: Rescale) -> npt.NDArray[np.float32]:
    """The factors from accumulators to codes, as binary32 numbers."""
    rules = get_requantize_scheme(rescale.scheme)
    rights = [int(shift) if rules.takes_scale else rules.right_shift(int(shift)) for shift in rescale.shift]
    factors: npt.NDArray[np.float32] = np.ldexp(rescale.multiplier.astype(np.float64), -np.array(rights)).astype(
        np.float32
    )
    return factors if factors.size > 1 else factors.reshape(())


class _QLinearWriter:
    """Writes a layer with a QLinear operator."""

    def __init__(self, graph: LayerGraph) -> None:
        self.name, self._constant, self._node = graph.name, graph.constant, graph.node

    def write(self, layer: Products, source: str) -> None:
        """All of it."""
        assert isinstance(layer.output, Rescale)
        if isinstance(layer, Conv):
            self._convolution(layer, source)
        elif layer.bias is None:
            self._product(layer, source, layer.output)
        else:
            self._product_with_bias(layer, source, layer.output)

    def _edge(self, role: str, quantity: Quantity) -> list[str]:
        """The names of a scale of 1 and of a zero point."""
        zero = self._constant(f"{role} zero point", quantity.zero_point, quantity.scalar.code_dtype)
        return [self._constant(f"{role} scale", 1, "float32"), zero]

    def _quantized(
        self, operator: str, inputs: list[str], layer: Products, last: str, bias: Sequence[str] = (), **window: Any
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
        self, images: str, weight: Array, layer: Products, rescale: Rescale, zero_points: Array, **window: Any
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

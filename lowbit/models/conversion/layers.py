"""The integer layer of each kind of operation of a float forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lowbit.errors import InputError
from lowbit.layers import (
    Activation,
    Add,
    Attention,
    AveragePool,
    Conv,
    Embedding,
    Layer,
    Linear,
    Multiply,
    Norm,
    Positions,
    Quantity,
    Requantize,
    Reshape,
    Rotary,
    Silu,
    Sum,
    Table,
)
from lowbit.layers.attention import ONE
from lowbit.models.conversion.calibration import Operation, Values, quantized
from lowbit.models.conversion.state import Conversion
from lowbit.ops.arrays import Array


def linear(conversion: Conversion, operation: Operation) -> Layer:
    """Codes of weights per output, bias in accumulator units."""
    conversion.take_smoothed(operation)
    return Linear(**conversion.products(operation))


def conv(conversion: Conversion, operation: Operation) -> Layer:
    """The same for windows, with the batch norm that follows in the weights."""
    stride, padding = (operation.options[name] for name in ("stride", "padding"))
    around = ((padding, padding), (padding, padding))
    return Conv(**conversion.products(operation), stride=(stride, stride), padding=around)


def embedding(conversion: Conversion, operation: Operation) -> Layer | None:
    """The table's codes; none for positions, which the sum after them has."""
    if operation.name in conversion.recorder.positions:
        return None
    entries = conversion.edge(operation)
    return Embedding(
        quantized(_table(conversion, operation), entries), entries, conversion.quantity(operation.inputs[0])
    )


def _table(conversion: Conversion, operation: Operation) -> Array:
    """Every row of an embedding."""
    rows: Array = operation.function(np.arange(len(conversion.parameters[f"{operation.name}.weight"])))
    return rows


def add(conversion: Conversion, operation: Operation) -> Layer:
    """Two edges, each with a multiplier of its own; or one and a row for each position."""
    result, scheme = conversion.edge(operation), conversion.preset.requantize
    places = [name for name in operation.inputs if name in conversion.recorder.positions]
    if places:
        (source,) = (name for name in operation.inputs if name not in places)
        conversion.rewired[operation.name] = (conversion.nodes_of[source],)
        given, table = conversion.quantity(source), _table(conversion, conversion.recorder.operations[places[0]])
        entries = Values.of(table).range(places[0], "minmax", result.format, symmetric=True)
        conversion.edges[places[0]] = entries
        total = Sum.from_scales(given, entries, scheme, result, dyadic=True)
        return Positions(given, quantized(table, entries), entries, total)
    left, right = map(conversion.quantity, operation.inputs)
    total = Sum.from_scales(left, right, scheme, result, dyadic=True, minimum=conversion.minimum(operation, result))
    return Add(left, right, total)


def multiply(conversion: Conversion, operation: Operation) -> Layer:
    """A product place by place, rescaled."""
    left, right = map(conversion.quantity, operation.inputs)
    return Multiply(left, right, conversion.rescale(left.scale * right.scale, conversion.edge(operation)))


def relu(conversion: Conversion, operation: Operation) -> Layer | None:
    """The lower end of the range of the layer before; a requantisation where that has other consumers, too."""
    if conversion.is_fused(operation.name):
        return None
    given, result = conversion.quantity(operation.inputs[0]), conversion.edge(operation)
    return Requantize(given, conversion.rescale(given.scale, result, minimum=result.zero_point))


def batchnorm(conversion: Conversion, operation: Operation) -> None:
    """Nothing: it is in the weights of the convolution before.

    Raises InputError: there is none.
    """
    if not conversion.is_fused(operation.name):
        raise InputError("a batch norm is folded into the convolution before it, and it does not follow one alone")


def mean(conversion: Conversion, operation: Operation) -> Layer:
    """An average over the pixels of an image, or over the tokens of a sequence.

    Raises InputError: it is over other axes.
    """
    axes, source = np.atleast_1d(operation.options["axis"]).tolist(), operation.inputs[0]
    given, result, lengths = conversion.quantity(source), conversion.edge(operation), conversion.recorder.shapes[source]
    name, size = operation.name, lengths[-3:-1]
    if axes == [-2]:
        size = (lengths[-2], 1)
        conversion.before(operation, f"{name}.column", Reshape(given, 2, (*size, lengths[-1])))
    elif sorted(axes) != [-3, -2]:
        raise InputError(f"a mean is over the axes -3 and -2 of images or -2 of tokens, not {axes}")
    average = AveragePool(given, conversion.rescale(given.scale / (size[0] * size[1]), result), (size[0], size[1]))
    conversion.before(operation, f"{name}.average", average)
    return Reshape(result, 3, lengths[-1:])


def layernorm(conversion: Conversion, operation: Operation) -> Layer:
    """Rows normalised by the preset's scheme; gamma in the multipliers, beta in the bias.

    Where linear layers alone take the result, what smooths their inputs is in gamma and beta, too.
    """
    name, given = operation.name, conversion.quantity(operation.inputs[0])
    gamma = np.asarray(conversion.parameters[f"{name}.weight"], np.float64)
    beta = np.asarray(conversion.parameters.get(f"{name}.bias", np.zeros_like(gamma)), np.float64)
    smoothing = conversion.smoothing(name) if set(conversion.consumers(name)) == {"linear"} else None
    if smoothing is None:
        result = conversion.edge(operation)
    else:
        conversion.smoothed[name], result = smoothing
        gamma, beta = gamma / smoothing[0], beta / smoothing[0]
    # A normalised number is at most the root of the length: channels whose codes are 0 for any row have no multiplier.
    live = np.abs(gamma) * gamma.size**0.5 + np.abs(beta) >= result.scale / 2
    function = conversion.nonlinearity(operation.kind)
    return Norm.from_affine(given, function, gamma * live, beta * live, conversion.preset.requantize, result)


def gelu(conversion: Conversion, operation: Operation) -> Layer:
    """The preset's scheme, or a table of the float function."""
    given, result = conversion.quantity(operation.inputs[0]), conversion.edge(operation)
    if conversion.preset.scheme_of(operation.kind)["scheme"] == "table":
        return Table.from_function(operation.function, given, result)
    return Activation.from_scales(given, conversion.nonlinearity("gelu"), conversion.preset.requantize, result)


def silu(conversion: Conversion, operation: Operation) -> Layer:
    """The codes times the preset's logistic function of them, or a table."""
    given, result = conversion.quantity(operation.inputs[0]), conversion.edge(operation)
    if conversion.preset.scheme_of(operation.kind)["scheme"] == "table":
        return Table.from_function(operation.function, given, result)
    logistic = conversion.nonlinearity("silu", "logistic")
    return Silu.from_scales(given, logistic, conversion.preset.requantize, result)


def attention(conversion: Conversion, operation: Operation) -> Layer:
    """Products of codes, with the preset's softmax between them; rotary embeddings are layers before it."""
    name, heads = operation.name, operation.options["heads"]
    size = conversion.recorder.shapes[operation.inputs[0]][-1] // heads
    if operation.options["rotary"] is not None:
        _rotary(conversion, operation)
    sources = conversion.rewired.get(name, operation.inputs)
    query, key, value = map(conversion.quantity, sources)
    keys = conversion.recorder.shapes[operation.inputs[1]][-1] // size
    scores = conversion.part(f"{name}.scores", conversion.preset.format_of("scores", []))
    softmax = conversion.nonlinearity("softmax")
    answer = softmax.trial(scores, 8)
    unit = float(answer.scale)
    conversion.edges[f"{name}.softmax"] = Quantity(answer.codes.dtype.name, unit, answer.zero_point)
    return Attention(
        query,
        key,
        value,
        heads,
        size,
        conversion.rescale(query.scale * key.scale / size**0.5, scores),
        softmax,
        conversion.rescale(unit * value.scale, conversion.edge(operation)),
        keys,
        operation.options["causal"],
    )


def _rotary(conversion: Conversion, operation: Operation) -> None:
    """Layers that turn queries and keys."""
    tables = operation.options["rotary"]
    half = tables[0].shape[-1] // 2
    cosines, sines = (np.rint(table[:, :half] * ONE).astype(np.int16) for table in tables)
    turned = []
    for part, source in zip(("query", "key"), operation.inputs, strict=False):
        name = f"{operation.name}.{part}"
        result = conversion.part(name, conversion.preset.format_of("rotary", []))
        given = conversion.quantity(source)
        layer = Rotary.from_tables(given, (cosines, sines), conversion.preset.requantize, result)
        conversion.add(name, layer, source)
        turned.append(name)
    conversion.rewired[operation.name] = (*turned, operation.inputs[2])


BUILDERS: Mapping[str, Callable[[Conversion, Operation], Layer | None]] = {
    function.__name__: function for function in (linear, conv, embedding, add, multiply, relu, batchnorm, mean)
} | {"layernorm": layernorm, "rmsnorm": layernorm, "gelu": gelu, "silu": silu, "attention": attention}
"""Kind of operation -> what makes its layer; None where its layer is the one before."""

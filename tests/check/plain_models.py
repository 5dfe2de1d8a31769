"""Whole integer models in plain NumPy, a function an operation, with steps that faults replace: a library under test.

Sums, shifts and roundings are written out here, so that what is compared with the models is not their own code. Of the
nonlinearities I-ViT's are, too; others are asked for from the public functions, as somebody's right ones.
"""

import numpy as np

import lowbit
from lowbit.layers import Rescale


def even(product, right):
    down, rest, half = product >> right, product & ((1 << right) - 1), 1 << (right - 1)
    return down + ((rest > half) | ((rest == half) & (down % 2 == 1)))


def up(product, right):
    return (product + (1 << (right - 1))) >> right


def away(product, right):
    return np.sign(product) * up(np.abs(product), right)


def truncated(product, right):
    return np.sign(product) * (np.abs(product) >> right)


def down(product, right):
    return product >> right


def twice(product, right):
    """The high half rounded up, and then the rest of the shift away from zero."""
    return away(up(product, 31), right - 31)


def wrapped(values, bits):
    return (values + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


ROUNDINGS = {"single_even": even, "tosa_single": up}
LEFT = {"single_even": True, "tosa_single": False}


class Library:
    """A model's layers; ``faults``: node -> step -> a function in the place of the step."""

    def __init__(self, model, faults=None):
        self.model, self.faults, self.own = model, faults or {}, {}

    def __call__(self, codes):
        """The result of every layer, by its name."""
        values = {next(iter(self.model.inputs)): codes}
        for name, node in self.model.nodes.items():
            self.own = self.faults.get(name, {})
            inputs = [values[source].astype(np.int64) for source in node.inputs]
            result = getattr(self, node.layer.operation)(node.layer, *inputs)
            values[name] = self.step("result", result).astype(node.layer.result.scalar.code_dtype)
        return {name: values[name] for name in self.model.nodes}

    def step(self, name, value, *context):
        return self.own[name](value, *context) if name in self.own else value

    def rescale(self, sums, rescale: Rescale, place=""):
        """Accumulators as codes; ``place`` stands before the names of the steps."""
        left = LEFT[rescale.scheme]
        shift = np.broadcast_to(31 - rescale.shift if left else rescale.shift, rescale.multiplier.shape)
        multiplier = self.step(f"{place}multiplier", rescale.multiplier)
        shift = self.step(f"{place}shift", shift)
        rounding = self.own.get(f"{place}rounding", ROUNDINGS[rescale.scheme])
        scaled = self.step(f"{place}scaled", rounding(sums * multiplier, shift))
        codes = scaled + self.step(f"{place}zero point", rescale.result.zero_point)
        ends = rescale.result.scalar.codes
        low = ends[0] if rescale.minimum is None else rescale.minimum
        high = ends[-1] if rescale.maximum is None else rescale.maximum
        return self.step(f"{place}clamped", np.clip(codes, low, high), codes)

    def linear(self, layer, codes):
        weight = self.step("weight", layer.weight.astype(np.int64))
        centred = codes - self.step("input zero", layer.input.zero_point)
        bias = self.step("bias", 0 if layer.bias is None else layer.bias.astype(np.int64))
        sums = self.step("sums", centred @ weight.T)
        return self.rescale(self.step("accumulator", sums + bias, sums), layer.output)

    def conv(self, layer, codes):
        outputs, rows, columns, _ = layer.weight.shape
        padding, stride = self.step("padding", layer.padding), self.step("stride", layer.stride)
        outside = self.step("outside", layer.input.zero_point)
        padded = np.pad(codes, ((0, 0), *padding, (0, 0)), constant_values=outside)
        height = (codes.shape[1] + sum(layer.padding[0]) - rows) // layer.stride[0] + 1
        width = (codes.shape[2] + sum(layer.padding[1]) - columns) // layer.stride[1] + 1
        weight = self.step("weight", layer.weight.astype(np.int64))
        sums = np.zeros((len(codes), height, width, outputs), np.int64)
        for row, column in np.ndindex(rows, columns):
            part = padded[:, row :: stride[0], column :: stride[1]][:, :height, :width]
            sums += (part - self.step("input zero", layer.input.zero_point)) @ weight[:, row, column].T
        bias = self.step("bias", layer.bias.astype(np.int64))
        return self.rescale(self.step("accumulator", sums + bias, sums), layer.output)

    def requantize(self, layer, codes):
        return self.rescale(codes - self.step("input zero", layer.input.zero_point), layer.rescale)

    def add(self, layer, left, right):
        zeros = layer.left.zero_point, layer.right.zero_point
        left, right = self.step("operands", (left, right))
        parts = self.step("parts", (layer.sum.left, layer.sum.right))
        sums = self.rescale(left - zeros[0], parts[0], "left ") + self.rescale(right - zeros[1], parts[1], "right ")
        result, ends = layer.sum.result, layer.sum.result.scalar.codes
        return np.clip(self.step("sum", sums) + result.zero_point, ends[0], ends[-1])

    def positions(self, layer, codes):
        rows = self.step("table", layer.table.astype(np.int64))[: codes.shape[-2]]
        return self.add_rows(layer, codes, rows)

    def add_rows(self, layer, codes, rows):
        sums = self.rescale(codes - layer.input.zero_point, layer.sum.left, "left ")
        sums = sums + self.rescale(rows - layer.entries.zero_point, layer.sum.right, "right ")
        ends = layer.sum.result.scalar.codes
        return np.clip(sums + layer.sum.result.zero_point, ends[0], ends[-1])

    def multiply(self, layer, left, right):
        left, right = left - self.step("left zero", layer.left.zero_point), right - layer.right.zero_point
        return self.rescale(left * right, layer.rescale)

    def embedding(self, layer, codes):
        return layer.table[self.step("index", codes)]

    def table(self, layer, codes):
        return self.step("entries", layer.table)[self.step("place", codes - layer.input.scalar.codes[0])]

    def reshape(self, layer, codes):
        return codes.reshape(*codes.shape[: codes.ndim - layer.axes], *layer.shape)

    def average_pool(self, layer, codes):
        assert codes.shape[1:3] == tuple(layer.size)
        sums = (codes - layer.input.zero_point).sum(axis=(1, 2), keepdims=True)
        return self.rescale(sums, layer.division)

    def norm(self, layer, codes):
        if layer.function.scheme == "ivit":
            normalised = self.layernorm(codes)
        else:
            normalised = self.step("normalised", lowbit.rmsnorm(codes.astype(np.int16), scheme="lowbit"), codes)
        bias = self.step("bias", 0 if layer.bias is None else layer.bias.astype(np.int64))
        return self.rescale(normalised.astype(np.int64) + bias, layer.output)

    def layernorm(self, codes):
        """I-ViT's I-LayerNorm."""
        length = codes.shape[-1]
        total = codes.sum(axis=-1, keepdims=True)
        mean = self.step("mean", np.rint(total / length).astype(np.int64), total, length)
        centred = codes - mean
        squares = self.step("squares", (centred**2).sum(axis=-1, keepdims=True))
        root = np.full_like(squares, 1 << 16)
        for _ in range(self.step("iterations", 10)):
            root = np.maximum((root + squares // root) // 2, 1)
        root = self.step("root", root)
        return self.step("normalised", centred * (((1 << 31) - 1) // root) // 2, codes)

    def exponential(self, codes, unit, shift):
        """I-ViT's ShiftExp, in units of scale / 2^shift."""
        scaled = np.maximum(codes + (codes >> 1) - (codes >> 4), shift * unit)
        quotient = scaled // unit
        return ((scaled - unit * quotient - 2 * unit) << (shift - quotient)) >> 1

    def softmax(self, codes, scale, bits):
        """I-ViT's Shiftmax."""
        unit = int(np.floor(np.float32(-1) / np.float32(scale)))
        maximum = self.step("maximum", codes.max(axis=-1, keepdims=True), codes)
        exponentials = self.exponential(codes - maximum, unit, self.step("exponent", 15))
        total = np.minimum(exponentials.sum(axis=-1, keepdims=True), (1 << 31) - 1)
        factor = self.step("numerator", (1 << 31) - 1) // total
        return exponentials * factor >> (31 - bits + 1)

    def activation(self, layer, codes):
        """I-ViT's ShiftGELU, requantised."""
        unit = int(np.floor(np.float32(-1) / np.float32(np.float32(layer.input.scale) * np.float32(1.702))))
        maximum = codes.max(axis=-1, keepdims=True)
        exponentials = self.exponential(codes - maximum, unit, 23)
        limit = (1 << 31) - 1
        most = np.minimum(exponentials + np.minimum(self.exponential(-maximum, unit, 23), limit), limit)
        sigmoid = exponentials * (limit // most) >> self.step("sigmoid", 24)
        return self.rescale(self.step("gelu", codes * sigmoid, codes, layer), layer.output)

    def rotary(self, layer, codes):
        tables = self.step("tables", (layer.cosines, layer.sines))
        cosines, sines = (table[: codes.shape[-2], None].astype(np.int64) for table in tables)
        half = cosines.shape[-1]
        centred = codes - self.step("input zero", layer.input.zero_point)
        parts = centred.reshape(*codes.shape[:-1], -1, 2 * half)
        pairs = self.own.get("pairs", lambda array: (array[..., :half], array[..., half:]))
        first, second = pairs(parts)
        turned = first * cosines - second * sines, second * cosines + first * sines
        joined = self.own.get("joined", lambda pair: np.concatenate(pair, axis=-1))(turned)
        return self.rescale(joined.reshape(codes.shape), layer.output)

    def attention(self, layer, queries, keys, values):
        heads, size, shared = layer.heads, layer.size, layer.key_value_heads or layer.heads
        edges = (layer.query, layer.key, layer.value)
        parts = [array - edge.zero_point for array, edge in zip((queries, keys, values), edges, strict=True)]
        q, k, v = (part.reshape(*part.shape[:-1], -1, size).swapaxes(-3, -2) for part in parts)
        of_head = self.step("heads", np.arange(heads) // (heads // shared), shared)
        k, v = k[..., of_head, :, :], v[..., of_head, :, :]
        scores = self.rescale(self.step("scores", q @ k.swapaxes(-1, -2), size), layer.scores, "scores ")
        probabilities = self.step("probabilities", self.probabilities(layer, scores), scores, layer)
        joined = (probabilities @ v).swapaxes(-3, -2)
        return self.rescale(self.step("joined", joined).reshape(queries.shape), layer.output)

    def probabilities(self, layer, scores):
        scale, bits = layer.scores.result.scale, layer.softmax.bits
        if layer.softmax.scheme == "ivit":
            return self.softmax(scores, scale, bits)
        found = np.zeros(scores.shape, np.int64)
        for position in range(scores.shape[-2]):
            seen = self.step("seen", position + 1)
            row = scores[..., position, :seen].astype(np.int16)
            found[..., position, :seen] = self.own.get("softmax", exact_softmax)(row, scale, bits)
        return found


def exact_softmax(codes, scale, bits):
    return lowbit.softmax(codes, scheme="exact", scale=scale, bits=bits)

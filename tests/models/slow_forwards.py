"""The forwards once more, in loops over images, tokens, heads and channels; convolutions by SciPy."""

import math

import numpy as np
from scipy.signal import correlate2d

PROJECTIONS = ("query", "key", "value")


def dense(parameters, name, vector):
    weight = parameters[f"{name}.weight"]
    bias = parameters.get(f"{name}.bias", np.zeros(len(weight)))
    return [sum(w * x for w, x in zip(row, vector, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def layernorm(parameters, name, vector, epsilon):
    mean = sum(vector) / len(vector)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in vector) / len(vector) + epsilon)
    pairs = zip(vector, parameters[f"{name}.weight"], parameters[f"{name}.bias"], strict=True)
    return [(x - mean) / deviation * w + b for x, w, b in pairs]


def rmsnorm(parameters, name, vector, epsilon):
    root = math.sqrt(sum(x * x for x in vector) / len(vector) + epsilon)
    return [x / root * w for x, w in zip(vector, parameters[f"{name}.weight"], strict=True)]


def attention(queries, keys, values, size, *, causal):
    """Of one head each; lists of vectors of all heads, in which groups of queries share a key."""
    heads, groups = len(queries[0]) // size, len(queries[0]) // len(keys[0])
    rows = []
    for place, query in enumerate(queries):
        row = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            shared = slice(head // groups * size, (head // groups + 1) * size)
            seen = range(place + 1) if causal else range(len(keys))
            powers = [math.exp(float(np.dot(query[own], keys[other][shared])) / math.sqrt(size)) for other in seen]
            columns = [
                sum(power * values[other][channel] for power, other in zip(powers, seen, strict=True))
                for channel in range(shared.start, shared.stop)
            ]
            row += [column / sum(powers) for column in columns]
        rows.append(row)
    return rows


def vit(parameters, image, *, layers, heads, patch):
    side = len(image) // patch
    tokens = []
    for place in range(side * side):
        top, left = patch * (place // side), patch * (place % side)
        pixels = [image[top + row][left + column] for row in range(patch) for column in range(patch)]
        tokens.append(np.add(dense(parameters, "patches", pixels), parameters["positions.weight"][place]))
    for number in range(layers):
        block = f"blocks.{number}"
        inside = [layernorm(parameters, f"{block}.attention.norm", token, 1e-6) for token in tokens]
        parts = [[dense(parameters, f"{block}.attention.{part}", token) for token in inside] for part in PROJECTIONS]
        mixed = attention(*parts, len(tokens[0]) // heads, causal=False)
        tokens = [
            np.add(token, dense(parameters, f"{block}.attention.output", row))
            for token, row in zip(tokens, mixed, strict=True)
        ]
        for place, token in enumerate(tokens):
            middle = dense(parameters, f"{block}.mlp.up", layernorm(parameters, f"{block}.mlp.norm", token, 1e-6))
            middle = [x * math.erfc(-x / math.sqrt(2)) / 2 for x in middle]
            tokens[place] = np.add(token, dense(parameters, f"{block}.mlp.down", middle))
    tokens = [layernorm(parameters, "norm", token, 1e-6) for token in tokens]
    return dense(parameters, "head", [sum(channel) / len(tokens) for channel in zip(*tokens, strict=True)])


def dit(parameters, image, time, label, *, layers, heads, patch):
    """adaLN-Zero: a norm without weights, by 1 + scale, plus shift; what a block adds, by a gate."""

    def silu(vector):
        return [x / (1 + math.exp(-x)) for x in vector]

    def modulated(token, shift, scale):
        ones = {"norm.weight": np.ones(len(token)), "norm.bias": np.zeros(len(token))}
        plain = layernorm(ones, "norm", token, 1e-6)
        return [x * (1 + own) + other for x, own, other in zip(plain, scale, shift, strict=True)]

    def added(token, gate, values):
        return [x + own * value for x, own, value in zip(token, gate, values, strict=True)]

    waves, width, side = (
        parameters["time.first.weight"].shape[1],
        len(parameters["patches.weight"]),
        len(image) // patch,
    )
    angles = [time * 10000 ** (-number / (waves // 2)) for number in range(waves // 2)]
    told = dense(parameters, "time.first", [*map(math.cos, angles), *map(math.sin, angles)])
    told = np.add(dense(parameters, "time.second", silu(told)), parameters["labels.weight"][label])
    condition = silu(told)
    tokens = []
    for row in range(side):
        for column in range(side):
            pixels = [image[patch * row + down][patch * column + on] for down in range(patch) for on in range(patch)]
            place = []
            for number in (column, row):
                angles = [number * 10000 ** (-wave / (width // 4)) for wave in range(width // 4)]
                place += [*map(math.sin, angles), *map(math.cos, angles)]
            tokens.append(np.add(dense(parameters, "patches", pixels), place))
    for number in range(layers):
        block = f"blocks.{number}"
        parts = np.split(np.array(dense(parameters, f"{block}.condition", condition)), 6)
        inside = [modulated(token, *parts[:2]) for token in tokens]
        mixed = attention(
            *([dense(parameters, f"{block}.attention.{part}", token) for token in inside] for part in PROJECTIONS),
            width // heads,
            causal=False,
        )
        outside = [dense(parameters, f"{block}.attention.output", row) for row in mixed]
        tokens = [added(token, parts[2], row) for token, row in zip(tokens, outside, strict=True)]
        for place, token in enumerate(tokens):
            middle = dense(parameters, f"{block}.mlp.up", modulated(token, *parts[3:5]))
            middle = [x * math.erfc(-x / math.sqrt(2)) / 2 for x in middle]
            tokens[place] = added(token, parts[5], dense(parameters, f"{block}.mlp.down", middle))
    parts = np.split(np.array(dense(parameters, "condition", condition)), 2)
    result = np.zeros((side * patch, side * patch))
    for place, token in enumerate(tokens):
        top, left = patch * (place // side), patch * (place % side)
        pixels = dense(parameters, "head", modulated(token, *parts))
        result[top : top + patch, left : left + patch] = np.reshape(pixels, (patch, patch))
    return result


def resnet(parameters, image, *, strides):
    def conv(name, channels, stride):
        weight = parameters[f"{name}.conv.weight"]
        padding = weight.shape[1] // 2
        results = []
        for number, kernel in enumerate(weight):
            total = sum(
                correlate2d(np.pad(channel, padding), kernel[:, :, part], "valid")[::stride, ::stride]
                for part, channel in enumerate(channels)
            )
            scale, shift, mean, variance = (
                parameters[f"{name}.norm.{part}"][number] for part in ("weight", "bias", "running_mean", "running_var")
            )
            results.append((total - mean) * (scale / math.sqrt(variance + 1e-5)) + shift)
        return results

    def relu(channels):
        return [np.where(channel > 0, channel, 0) for channel in channels]

    hidden = relu(conv("stem", [image], strides[0]))
    for number, stride in enumerate(strides[1:]):
        block = f"blocks.{number}"
        inside = conv(f"{block}.second", relu(conv(f"{block}.first", hidden, stride)), 1)
        if f"{block}.downsample.conv.weight" in parameters:
            hidden = conv(f"{block}.downsample", hidden, stride)
        hidden = relu([one + other for one, other in zip(inside, hidden, strict=True)])
    return dense(parameters, "head", [channel.sum() / channel.size for channel in hidden])


def llama(parameters, tokens, *, layers, heads, base):
    def turned(vectors, size):
        """Each pair of channels as a complex number, by the angle of its place."""
        results = []
        for place, vector in enumerate(vectors):
            row = np.array(vector).reshape(-1, 2, size // 2)
            angles = np.array([place * base ** (-2 * channel / size) for channel in range(size // 2)])
            pairs = (row[:, 0] + 1j * row[:, 1]) * np.exp(1j * angles)
            results.append(np.stack([pairs.real, pairs.imag], axis=1).reshape(-1))
        return results

    states = [parameters["embed_tokens.weight"][token] for token in tokens]
    size = len(states[0]) // heads
    for number in range(layers):
        name = f"layers.{number}"
        inside = [rmsnorm(parameters, f"{name}.input_layernorm", state, 1e-5) for state in states]
        query, key, value = (
            [dense(parameters, f"{name}.self_attn.{part}_proj", row) for row in inside] for part in "qkv"
        )
        mixed = attention(turned(query, size), turned(key, size), value, size, causal=True)
        for place, row in enumerate(mixed):
            state = np.add(states[place], dense(parameters, f"{name}.self_attn.o_proj", row))
            inside = rmsnorm(parameters, f"{name}.post_attention_layernorm", state, 1e-5)
            gates, ups = (dense(parameters, f"{name}.mlp.{part}_proj", inside) for part in ("gate", "up"))
            middle = [gate / (1 + math.exp(-gate)) * up for gate, up in zip(gates, ups, strict=True)]
            states[place] = np.add(state, dense(parameters, f"{name}.mlp.down_proj", middle))
    last = "lm_head" if "lm_head.weight" in parameters else "embed_tokens"
    return [dense(parameters, last, rmsnorm(parameters, "norm", state, 1e-5)) for state in states]

"""Methods that learn one linear layer, on a block of all-MiniLM-L6-v2: sentences of Python's documentation."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np

from bench.learned import Row, System
from bench.quantizer_figures import Layers
from bench.quantizer_table import sentences
from lowbit import decode, gemm
from lowbit.format.registry import block_format_of
from lowbit.models.packages import minilm
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.adaquant import mean_error
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.integers import Integers
from lowbit.quantizers.learned.layer import Layer
from lowbit.quantizers.learned.soft_rounding import Neighbours

BLOCK = "layer.1."


@cache
def layers() -> Layers:
    """The six linear layers of a block: weights, activations of the calibration, of the held-out sentences."""
    model = minilm()
    names = [name for name in model.encoder.linears() if BLOCK in name]
    calibration, held_out = (model.inputs(texts, names) for texts in sentences())
    return [(model.parameters[name].astype(np.float32), calibration[name], held_out[name]) for name in names]


def adaquant(seeds: tuple[int, ...]) -> list[Row]:
    """Held-out errors of the layers' outputs over those of round to nearest; a learned bias beside the mean error."""
    to, rows = "int4.channel.asymmetric", []
    for seed in seeds:
        ratios = []
        for weights, activations, held_out in layers():
            nearest = METHODS["round_to_nearest"].quantize(weights, to=to).error(weights, held_out)
            result = METHODS["adaquant"].quantize(weights, activations, to=to, seed=seed)
            ratios.append(result.error(weights, held_out) / nearest)
        measured = {"mean": float(np.mean(ratios)), "least": min(ratios), "most": max(ratios)}
        claim = f"held-out output error over round to nearest's, 4 bits, 6 layers, seed {seed}"
        rows.append(Row(claim, "mean <= 0.75", measured, measured["mean"] <= 0.75))
    return [*rows, _bias(seeds[0])]


def _bias(seed: int) -> Row:
    """Integers stay as round to nearest has them, the bias alone is learned: beside the mean error of the outputs."""
    weights, activations, _ = layers()[0]
    matrix = weights.astype(np.float64)
    integers = Integers.of(matrix, block_format_of("int4.channel"), None, "adaquant")
    settings = Settings(500, seed, {"bias": 1e-2}, schedule="cosine")
    start = integers.start | {"bias": np.zeros(len(matrix), np.float32)}
    learned = Layer.of(matrix, activations).learn(integers.values, start, settings, batch=len(activations)).learned
    mean = mean_error(matrix, integers.values(learned).astype(np.float64), activations)
    most = float(np.abs(learned["bias"] - mean).max() / np.abs(mean).max())
    claim = "integers fixed: the learned bias less the mean output error, over the largest"
    return Row(claim, "equal to 1e-3", {"difference": most}, most <= 1e-3)


def adaround(seeds: tuple[int, ...]) -> list[Row]:
    """Held-out errors of the outputs over the nearest values', floats of four bits whose encoding is searched."""
    rows = []
    for seed in seeds:
        ratios, beside = [], 0
        for weights, activations, held_out in layers():
            start, result = (
                METHODS["adaround"].quantize(weights, activations, seed=seed, **options)
                for options in ({"steps": 0}, {})
            )
            ratios.append(result.error(weights, held_out) / start.error(weights, held_out))
            near = Neighbours.of(weights.astype(np.float64), result.tensor)
            values = result.dequantize(dtype=np.float64)
            beside += int(((values != near.values(near.lower)) & (values != near.values(near.upper))).sum())
        measured = {"mean": float(np.mean(ratios)), "most": max(ratios), "not a neighbour": beside}
        claim = f"held-out output error over the nearest values', float4.channel searched, 6 layers, seed {seed}"
        rows.append(
            Row(claim, "mean <= 0.90, every value a neighbour", measured, measured["mean"] <= 0.9 and not beside)
        )
    return rows


def nupes(seeds: tuple[int, ...]) -> list[Row]:
    """Held-out errors with a learned exponent and weights over the searched one's, and squares of integers."""
    rows = []
    for seed in seeds:
        ratios, powers = [], []
        for weights, activations, held_out in layers()[:4]:
            start, result = (
                METHODS["nupes"].quantize(weights, activations, seed=seed, steps=steps) for steps in (0, 200)
            )
            ratios.append(result.error(weights, held_out) / start.error(weights, held_out))
            powers.append(result.report["exponent"] - start.report["exponent"])
        measured = {"mean": float(np.mean(ratios)), "most": max(ratios), "exponents moved by": float(np.ptp(powers))}
        claim = f"held-out output error over the searched exponent's, int4.channel, 4 layers of attention, seed {seed}"
        rows.append(Row(claim, "every one <= 1", measured, measured["most"] <= 1))
    return [*rows, _squares(seeds[0])]


def _squares(seed: int) -> Row:
    """Exponent 1/2 on both sides: one product of integers beside exact sums of what the formats' values stand for."""
    weights, activations, _ = layers()[0]
    coded = METHODS["nupes"].quantize(weights, activations, exponent=0.5, steps=50, seed=seed).tensor
    tensors = METHODS["nupes"].quantize(activations[:64], exponent=0.5).tensor, coded
    squares, fractions = [], []
    for tensor in tensors:
        signed = tensor.codes.astype(np.int64) - 16 * (tensor.codes > 7)
        squares.append((signed * np.abs(signed)).astype(np.int8))
        values = decode(tensor.codes, tensor.format.element, dtype=np.float64)
        fractions.append(
            np.array([Fraction(value).limit_denominator(49) for value in values.flat]).reshape(values.shape)
        )
    sums = gemm(squares[0][:8], np.ascontiguousarray(squares[1].T))
    exact = fractions[0][:8] @ fractions[1].T * 49 * 49
    differ = int((sums.astype(object) != exact).sum())
    claim = "exponent 1/2, learned weights: sums of squares of codes by lowbit.gemm beside exact sums of the values"
    return Row(claim, "bit-exact", {"differ": differ, "of": sums.size}, not differ)


SYSTEMS = {
    "adaquant": System(adaquant, (0, 1, 2)),
    "adaround": System(adaround, (0, 1)),
    "nupes": System(nupes, (0,)),
}

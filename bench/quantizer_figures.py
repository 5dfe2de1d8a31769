"""What quantisers promise beside the error of a layer's outputs: ``python -m bench.quantizer_table`` prints it too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bench.attention_blocks import attention_errors
from lowbit import testing
from lowbit.metrics import relative_squared_error
from lowbit.models.packages import minilm
from lowbit.quantizers import METHODS

Values = dict[str, float]
Layers = list[tuple[Any, Any, Any]]
"""Weights, activations of the calibration, and of the held-out sentences."""

ALPHAS = (1.0, 0.5, 0.25, 0.15, 0.0)


class Figure(NamedTuple):
    """Some numbers of a method, what is asked of them in words, and whether they reach it."""

    name: str
    asked: str
    measure: Callable[[Layers], Values]
    reached: Callable[[Values], bool]

    def line(self, values: Values) -> str:
        """As the table prints it."""
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        return f"{self.name}: {numbers}; asked: {self.asked}{'' if self.reached(values) else '  NOT REACHED'}"


def crossquant(_: Layers) -> Values:
    """The kernel and the relative error of the outputs, in thousandths, for some alphas.

    Of ``activations("outlier_channels", 512, 1024, outliers=6)``, each row times 2 to half of
    ``activations("gaussian", 512, 1, seed=1)``, in 4 bits; weights in 8. And how many codes would be clipped.
    """
    sizes = np.exp2(testing.activations("gaussian", 512, 1, seed=1) / 2)
    rows = sizes * testing.activations("outlier_channels", 512, 1024, outliers=6).astype(np.float64)
    weights, values, clipped = testing.activations("gaussian", 256, 1024, seed=1), {}, 0
    for alpha in ALPHAS:
        report = METHODS["crossquant"].quantize(weights, rows, alpha=alpha, bits=4).report
        values[f"kernel at {alpha:g}"] = report["kernel"]
        values[f"error at {alpha:g}"] = 1e3 * report["output_error"]
        magnitudes = np.abs(rows)
        step = magnitudes.max(axis=1, keepdims=True) ** alpha * magnitudes.max(axis=0) ** (1 - alpha) / 7
        clipped += int((np.rint(magnitudes / step) > 7).sum())
    return {**values, "clipped": clipped}


def crossquant_reached(values: Values) -> bool:
    """Nothing is clipped, the kernel falls all the way, and the error rises at the end."""
    kernels, errors = ([values[f"{name} at {alpha:g}"] for alpha in ALPHAS] for name in ("kernel", "error"))
    return values["clipped"] == 0 and kernels == sorted(kernels, reverse=True) and min(errors) < errors[-1] < errors[0]


def intlora(layers: Layers) -> Values:
    """The means over the layers of the share of zero codes, and the largest error of the identity elsewhere."""
    values, identity = {}, 0.0
    for bits in (8, 4):
        fmt = f"int{bits}.channel.asymmetric.float32"
        reports = [METHODS["intlora"].quantize(weights, to=fmt, variant="shift").report for weights, _, _ in layers]
        values[f"zero codes at {bits} bits"] = float(np.mean([report["zero_codes"] for report in reports]))
        identity = max(identity, *(report["identity_error"] for report in reports))
    return {**values, "identity": identity}


def lr_qat(_: Layers) -> Values:
    """The share of evenly spread weights whose code fixed point changes."""
    weights = np.append((np.arange(-7 << 16, 7 << 16) + 0.5) / (1 << 16), 7)[None]
    once, twice = (
        METHODS["lr_qat"].quantize(weights, variant=variant).tensor.codes for variant in ("float32", "fixed_point")
    )
    return {"share": float((once != twice)[0, :-1].mean())}


def smoothquant(layers: Layers) -> Values:
    """How many products of a weight and an activation differ, of all of the first eight outputs of each layer."""
    differ = 0
    for weights, activations, _ in layers:
        scale = METHODS["smoothquant"].quantize(weights, activations, variant="power_of_two").transform
        rows, few = activations[:64, None, :].astype(np.float64), weights[None, :8].astype(np.float64)
        differ += int((scale.activations(rows) * scale.weights(few) != rows * few).sum())
    return {"products that differ": differ}


def vector_quantization(_: Layers) -> Values:
    """The mean relative squared error of the six query projections, beside that of integers of two bits."""
    model = minilm()
    queries = [model.parameters[name] for name in model.encoder.linears() if "query" in name]
    methods = {"table8.vector4": "vector_quantization", "int2.g128.asymmetric": "round_to_nearest"}
    return {
        to: float(np.mean([METHODS[name].quantize(weights, to=to).error(weights) for weights in queries]))
        for to, name in methods.items()
    }


def pvq(_: Layers) -> Values:
    """The relative squared error of ``activations("gaussian", 1024, 1024)``, with gains of 32 and of four bits."""
    normal, values = testing.activations("gaussian", 1024, 1024), {}
    for bits in (32, 4):
        result = METHODS["pvq"].quantize(normal, to=f"pulses32.vector16.gain{bits}", rotate=False)
        values[f"error, gains of {bits} bits"] = result.error(normal)
        values[f"bits with gains of {bits}"] = float(result.bits_per_weight)
    return {**values, "bits of an index": result.report["index_bits"]}


def qllm(_: Layers) -> Values:
    """How many times smaller the error of the outputs is with inputs in parts, and joined: 8-bit weights, 4-bit rows.

    Weights: ``activations("gaussian", 256, 256, seed=1)``, activations: ``activations("outlier_channels", 512, 256)``.
    """
    weights = testing.activations("gaussian", 256, 256, seed=1)
    rows = testing.activations("outlier_channels", 512, 256)
    ways = ({"ratio": 0}, {"ratio": 0.2, "assemble": False}, {"ratio": 0.2})
    reports = [METHODS["qllm"].quantize(weights, rows, to="int8.channel", **options).report for options in ways]
    plain, apart, joined = (min(report["errors"].values()) for report in reports)
    return {"error": plain, "times smaller in parts": plain / apart, "and joined": plain / joined}


def nsnquant(_: Layers) -> Values:
    """Errors of ``activations("biased_keys", 1024, 128)`` over what is left of the keys without their bias."""
    keys, normal = (testing.activations(kind, 1024, 128).astype(np.float64) for kind in ("biased_keys", "gaussian"))
    plain = np.abs(keys).mean(axis=0) < 8
    rest = normal * np.median(keys[:, plain] / normal[:, plain], axis=1, keepdims=True)
    values = {}
    for bits, to in ((1, "table8.vector8"), (2, "table8.vector8.signs")):
        for variant in METHODS["nsnquant"].variants:
            got = METHODS["nsnquant"].quantize(keys, to=to, variant=variant).dequantize(dtype=np.float64)
            values[f"{bits} bit {variant}"] = float(np.sqrt(relative_squared_error(rest, rest + got - keys)))
    return values


def aptq(_: Layers) -> Values:
    """Errors of the outputs of attention blocks, in thousandths, with query, key and value quantised."""
    return attention_errors()


FIGURES = (
    Figure(
        "crossquant, 4 bits, by alpha",
        "nothing clipped, the kernel falls with 1 - alpha, the error does not",
        crossquant,
        crossquant_reached,
    ),
    Figure(
        "aptq, attention blocks",
        "below gptq",
        aptq,
        lambda values: all(values[f"aptq {to}"] < values[f"gptq {to}"] for to in ("int4.g128", "int3.g128")),
    ),
    Figure(
        "intlora",
        "identity 1e-15 but at zero codes, at least 13.5 % of them with 4 bits",
        intlora,
        lambda values: values["identity"] <= 1e-15 and values["zero codes at 4 bits"] >= 0.135,
    ),
    Figure("lr_qat Q4.4", "1/32 = 0.03125", lr_qat, lambda values: values["share"] == 1 / 32),
    Figure("smoothquant power_of_two", "0", smoothquant, lambda values: values["products that differ"] == 0),
    Figure(
        "pvq",
        "0.0140 at 3.20 bits with gains that are not quantised",
        pvq,
        lambda values: values["error, gains of 32 bits"] <= 0.01405 and values["bits of an index"] <= 3.205,
    ),
    Figure("qllm", ">= 5 times smaller", qllm, lambda values: values["times smaller in parts"] >= 5),
    Figure(
        "nsnquant",
        "shifted <= 0.60 at 1 bit, <= 0.33 at 2",
        nsnquant,
        lambda values: values["1 bit shifted"] <= 0.60 and values["2 bit shifted"] <= 0.33,
    ),
    Figure(
        "vector_quantization",
        "0.10, against 0.27 of int2.g128.asymmetric",
        vector_quantization,
        lambda values: values["table8.vector4"] <= 0.10 < values["int2.g128.asymmetric"],
    ),
)

"""Training in low-bit formats beside float32's: FP4, DFP-16, and activations of four bits that are regularised.

The loss of every run, as means of equal parts of its steps, goes to ``bench/curves``, and ``python -m
bench.training_pages`` draws them. Digits: 1,797 images, as many as the usual set of 8 x 8 digits has, and Adam's usual
rate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.learned import Row, System
from lowbit import largest_safe_k
from lowbit.files.whole import whole_file
from lowbit.models.characters import CHARACTERS, tokens, topics
from lowbit.models.hook import Apply, plainly
from lowbit.models.llama import Llama
from lowbit.models.training.digits import Perceptron, digits
from lowbit.models.training.dynamic import DynamicTraining, longest_chain
from lowbit.models.training.fp4 import BFLOAT16, MS_AMP, PAPER, Float4Training
from lowbit.models.training.linears import Product, cross_entropy, with_product
from lowbit.models.training.regularization import ENDS, Activations, first_ranges, rounded_weights
from lowbit.quantizers.learned.descent import Descent, Settings, descend
from lowbit.quantizers.learned.float4 import mean_slope
from lowbit.quantizers.learned.gradients import differentiable

CURVES = Path(__file__).with_name("curves")
POINTS = 50
"""Of a curve."""

IMAGES, BATCH, RATE = 1797, 128, 1e-3
OUTLIERS_STAY = 0.97
"""Two of 96 channels are planted outliers: the largest 2 % of a token's numbers are cut."""
DIGIT_STEPS, DYNAMIC_STEPS = 2500, 600

WIDTH, MIDDLE, LAYERS, HEADS, SEQUENCES, LENGTH = 96, 256, 2, 4, 8, 64
CHARACTER_RATE, ENDS_RATE = 3e-3, 3e-2
CHARACTER_STEPS, KURTOSIS = 300, 0.01


def keep(system: str, runs: Mapping[str, Any]) -> None:
    """Write the losses of a system's runs, each (seeds, steps), as means over seeds and over parts of the steps."""
    curves = {}
    for name, losses in runs.items():
        mean = np.mean(losses, axis=0)
        curves[name] = [float(f"{part.mean():.4g}") for part in np.array_split(mean, POINTS)]
    steps = max(np.shape(losses)[1] for losses in runs.values())
    with whole_file(CURVES / f"{system}.json") as file:
        file.write((json.dumps({"steps": steps, "curves": curves}, indent=1) + "\n").encode())


def hook(parameters: Mapping[str, Any], product: Product | None, left_out: tuple[str, ...] = ()) -> Apply:
    """What stands around the operations: linear layers by a product, or as they are."""
    return plainly if product is None else with_product(parameters, product, left_out=left_out)


@cache
def images() -> tuple[Any, Any]:
    """Those of training, with mean 0 and deviation 1, and their labels."""
    every, labels = digits(held_out=False)
    order = np.random.default_rng(7).permutation(len(every))[:IMAGES]
    chosen = every[order]
    return (chosen - chosen.mean()) / chosen.std(), labels[order]


def trained_on_digits(product: Product | None, seed: int, steps: int, model: Perceptron) -> tuple[float, Descent]:
    """The loss over all images after training, and the training."""
    inputs, labels = images()

    def loss(parameters: Any, _step: int, random: np.random.Generator) -> Any:
        batch = random.choice(IMAGES, BATCH, replace=False)
        return cross_entropy(model.logits(parameters, inputs[batch], hook(parameters, product)), labels[batch])

    settings = Settings(steps, seed, {".weight": RATE, ".bias": RATE}, schedule="cosine")
    result = descend(loss, model.initial(seed), settings)
    scores = model.logits(result.parameters, inputs, hook(result.parameters, product))
    return float(cross_entropy(scores, labels)), result


def digit_runs(
    system: str, products: Mapping[str, Product | None], seeds: tuple[int, ...], steps: int, **model: Any
) -> dict[str, list[float]]:
    """The final losses of some ways to multiply, each with all seeds."""
    perceptron = Perceptron(namespace=differentiable().namespace, **model)
    finals: dict[str, list[float]] = {}
    curves: dict[str, list[Any]] = {}
    for name, product in products.items():
        for seed in seeds:
            final, result = trained_on_digits(product, seed, steps, perceptron)
            finals.setdefault(name, []).append(final)
            curves.setdefault(name, []).append(result.losses)
    keep(system, curves)
    return finals


def fp4_digits(seeds: tuple[int, ...]) -> list[Row]:
    """Outlier channels that are planted: what clamp, compensation and estimator do to the final loss."""
    rule = partial(Float4Training, over="row")
    cut, mended = {"share": OUTLIERS_STAY}, {"share": OUTLIERS_STAY, "compensation": "weights"}
    estimated: dict[str, Any] = {"estimator": "differentiable"}
    products = {
        "float32": None,
        "FP4": rule().product,
        "clamp": rule(**cut).product,
        "clamp, compensation": rule(**mended).product,
        "estimator": rule(**estimated).product,
        "estimator / 0.593": rule(**estimated, gain="one").product,
        "clamp, compensation, estimator": rule(**mended, **estimated).product,
        "MS-AMP, clamp at 0.97": MS_AMP.choose(**cut).product,
    }
    finals = digit_runs("fp4_digits", products, seeds, DIGIT_STEPS)
    means = {name: float(np.mean(losses)) for name, losses in finals.items()}
    ratio = means["clamp, compensation"] / means["FP4"]
    excess = (means["clamp, compensation"] - means["float32"]) / (means["FP4"] - means["float32"])
    return [
        Row(
            "digits with planted outliers of 25: final loss of clamp and compensation over plain FP4's",
            "<= 0.25",
            {"ratio": ratio, "ratio of what is above float32": excess},
            ratio <= 0.25,
        ),
        Row("final losses", "reported", means, met=True),
        Row(
            "the estimator's effect: final loss with it over without it",
            "reported, in either direction",
            {
                "plain": means["estimator"] / means["FP4"],
                "plain, mean slope 1": means["estimator / 0.593"] / means["FP4"],
                "with clamp and compensation": means["clamp, compensation, estimator"] / means["clamp, compensation"],
                "its mean slope": mean_slope(),
            },
            met=True,
        ),
    ]


def dfp16(seeds: tuple[int, ...]) -> list[Row]:
    """Integers in all three products of a layer: final loss and chains."""
    products: dict[str, Product | None] = {"float32": None, "DFP-16": DynamicTraining().product}
    finals = digit_runs("dfp16", products, seeds, DYNAMIC_STEPS, outliers=0)
    mean, spread = float(np.mean(finals["float32"])), float(np.std(finals["float32"], ddof=1))
    apart = (float(np.mean(finals["DFP-16"])) - mean) / spread
    chains = {}
    for bits in (16, 15, 14, 13, 12):
        limit = (1 << (bits - 1)) - 1
        chains[f"{bits} bits"] = float(largest_safe_k("int32", (-limit, limit), (-limit, limit)).k or 0)
    return [
        Row(
            "digits: mean final loss, less that of float32, in standard deviations of float32's seeds",
            "within 2",
            {"deviations": apart, "DFP-16": float(np.mean(finals["DFP-16"])), "float32": mean, "deviation": spread},
            abs(apart) <= 2,
        ),
        Row(
            "products that int32 takes without overflow, by proof",
            "2, 8, 32, 128, 512 for 16 to 12 bits",
            chains,
            list(chains.values()) == [longest_chain(bits) for bits in (16, 15, 14, 13, 12)] == [2, 8, 32, 128, 512],
        ),
    ]


@cache
def text(*, held_out: bool) -> Any:
    """The characters of Python's help, as tokens."""
    return tokens(topics(held_out=held_out))


def llama(namespace: Any = np) -> Llama:
    """The character model with two of its four layers, and keys for each head."""
    return Llama(layers=LAYERS, heads=HEADS, namespace=namespace)


def first_characters(seed: int) -> dict[str, Any]:
    """Parameters before training: normal weights of variance 1 / inputs, norms of 1, a table of deviation 0.02."""
    random, parameters = np.random.default_rng(seed), {}
    for name, shape in llama().shapes(len(CHARACTERS), WIDTH, MIDDLE, HEADS, tied=True).items():
        deviation = 0.02 if name.startswith("embed") else shape[-1] ** -0.5
        values = np.ones(shape) if len(shape) == 1 else random.normal(size=shape) * deviation
        parameters[name] = values.astype(np.float32)
    return parameters


def linears() -> list[str]:
    """The linear layers within blocks; the last layer stays as it is, as in the papers."""
    return [name.removesuffix(".weight") for name in first_characters(0) if name.endswith("_proj.weight")]


def trained_on_text(loss: Callable[..., Any], parameters: Mapping[str, Any], seed: int, steps: int) -> Descent:
    """``loss(parameters, pieces)``: of sequences with the characters that follow them."""
    whole = text(held_out=False)

    def of_step(parameters: Any, _step: int, random: np.random.Generator) -> Any:
        starts = random.integers(0, len(whole) - LENGTH - 1, SEQUENCES)
        return loss(parameters, np.stack([whole[start : start + LENGTH + 1] for start in starts]))

    rates = {"": CHARACTER_RATE}
    if any(name.endswith(ENDS) for name in parameters):
        rates[ENDS] = ENDS_RATE
    return descend(
        of_step, parameters, Settings(steps, seed, rates, schedule="cosine", warm_up=steps // 20, longest=1.0)
    )


def held_out() -> Any:
    """Sequences that no run has seen, each with the characters that follow."""
    whole = text(held_out=True)
    return np.stack([whole[start : start + LENGTH + 1] for start in range(0, len(whole) - LENGTH, LENGTH)])


LEFT_OUT = ("lm_head",)


def fp4_characters(seeds: tuple[int, ...]) -> list[Row]:
    """The character Llama from its first step on: loss on held-out text beside bfloat16's."""
    products: dict[str, Product] = {
        "bfloat16": BFLOAT16,
        "FP4": Float4Training().product,
        "clamp, compensation": PAPER.choose(estimator="straight_through").product,
        "clamp, compensation, estimator": PAPER.product,
    }
    losses: dict[str, list[float]] = {name: [] for name in products}
    curves: dict[str, list[Any]] = {name: [] for name in products}
    model, pieces = llama(differentiable().namespace), held_out()
    for name, product in products.items():

        def loss(parameters: Any, pieces: Any, product: Product = product) -> Any:
            apply = hook(parameters, product, LEFT_OUT)
            return cross_entropy(model.logits(parameters, pieces[:, :-1], apply), pieces[:, 1:])

        for seed in seeds:
            result = trained_on_text(loss, first_characters(seed), seed, CHARACTER_STEPS)
            losses[name].append(float(loss(result.parameters, pieces)))
            curves[name].append(result.losses)
    keep("fp4_characters", curves)
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    percent = {name: 100 * (value / means["bfloat16"] - 1) for name, value in means.items() if name != "bfloat16"}
    reached = percent["clamp, compensation, estimator"]
    return [
        Row(
            "character model: validation loss of FP4 as the paper has it above bfloat16's, in percent",
            "<= 3",
            {"percent": reached},
            reached <= 3,
        ),
        Row("validation losses, nats a character", "reported", means, met=True),
        Row("above bfloat16's, in percent", "reported, in either direction", percent, met=True),
    ]


class Run(dict[str, Any]):
    """How a model is trained: ``bits`` of its activations, whether ranges are ``learned``, the ``penalty``."""


RUNS = {
    "float32": Run(bits=0, learned=False, penalty=0.0),
    "QAT": Run(bits=4, learned=False, penalty=0.0),
    "QAT, learned ranges": Run(bits=4, learned=True, penalty=0.0),
    "QAT, learned ranges, kurtosis": Run(bits=4, learned=True, penalty=KURTOSIS),
}


def activation_run(run: Run, seed: int) -> tuple[dict[str, float], Descent]:
    """What a run gives on held-out text: losses with its own weights and rounded ones, kurtosis, outlier ratio."""
    model = llama(differentiable().namespace)

    def loss(parameters: Any, pieces: Any) -> Any:
        own = Activations(parameters, bits=run["bits"], left_out=LEFT_OUT)
        cost = cross_entropy(model.logits(parameters, pieces[:, :-1], own.hook()), pieces[:, 1:])
        return cost + run["penalty"] * own.penalty() if run["penalty"] else cost

    first = first_characters(seed) | (first_ranges(linears()) if run["learned"] else {})
    result = trained_on_text(loss, first, seed, CHARACTER_STEPS)
    pieces, values = held_out(), {}
    rounded = rounded_weights(result.parameters, linears())
    for words, parameters, bits in (("own", result.parameters, run["bits"]), ("W4A4", rounded, 4)):
        seen = Activations(parameters, bits=bits, left_out=LEFT_OUT)
        values[words] = float(cross_entropy(llama().logits(parameters, pieces[:, :-1], seen.hook()), pieces[:, 1:]))
        if words == "own":
            values |= {"kurtosis": float(seen.penalty()), "outlier ratio": max(seen.ratios.values())}
    return values, result


def activation_regularisation(seeds: tuple[int, ...]) -> list[Row]:
    """Activations of four bits from the first step on, weights rounded to four at the end."""
    values: dict[str, list[dict[str, float]]] = {}
    curves: dict[str, list[Any]] = {}
    for name, run in RUNS.items():
        for seed in seeds:
            one, result = activation_run(run, seed)
            values.setdefault(name, []).append(one)
            curves.setdefault(name, []).append(result.losses)
    keep("activation_regularisation", curves)
    means = {name: {key: float(np.mean([one[key] for one in own])) for key in own[0]} for name, own in values.items()}
    plain, ranges, whole = (means[name]["W4A4"] for name in list(RUNS)[1:])
    base = means["float32"]["own"]
    closed = (plain - whole) / (plain - base)
    beside = (ranges - whole) / (ranges - base)
    own = means["QAT, learned ranges, kurtosis"]
    return [
        Row(
            "character model, W4A4: share of the gap between QAT with ranges of the extremes and float32 that learned "
            "ranges and kurtosis close",
            ">= 0.20",
            {"share": closed},
            closed >= 0.20,
        ),
        Row(
            "the same of the gap between QAT with learned ranges and float32: what the penalty alone closes",
            ">= 0.20",
            {"share": beside},
            beside >= 0.20,
        ),
        Row(
            "validation losses, nats a character: W4A4 after each training, and float32's own",
            "reported",
            {"float32, not rounded": base, **{name: one["W4A4"] for name, one in means.items()}},
            met=True,
        ),
        Row(
            "the largest channel over the median one of the layers' inputs, before and after",
            "reported",
            {"float32": means["float32"]["outlier ratio"], "regularised": own["outlier ratio"]},
            met=True,
        ),
        Row(
            "mean kurtosis of the layers' outputs, before and after",
            "reported",
            {"float32": means["float32"]["kurtosis"], "regularised": own["kurtosis"]},
            met=True,
        ),
    ]


SYSTEMS = {
    "fp4_digits": System(fp4_digits, (0, 1, 2)),
    "fp4_characters": System(fp4_characters, (0,)),
    "dfp16": System(dfp16, (0, 1, 2, 3, 4)),
    "activation_regularisation": System(activation_regularisation, (0,)),
}

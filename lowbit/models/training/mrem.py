"""MREM: a few blocks in a row learn together, one module after the other; :mod:`.teacher_forcing` has all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lowbit.models.training.blocks import Blocks, Part
from lowbit.ops.arrays import Array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.estimators import fake_quantize
from lowbit.quantizers.learned.optimizers import SCHEDULES, Arrays
from lowbit.quantizers.learned.reconstruction import reconstruct
from lowbit.quantizers.learned.settings import checked, checked_rates

RATES = {"": 1e-4, ".scale": 1e-4, ".step": 1e-3}
WEIGHT, INPUT = ".scale", ".step"
"""What follows the name of a linear layer's weight in the names of its steps: that of each row, and its inputs'."""


@dataclass(frozen=True)
class Plan:
    """How modules are quantised and learned.

    Attributes
    ----------
    steps, seed : int
    bits, input_bits : int
        Of the weights, symmetric (two bits are -1, 0 and 1), and of what goes into linear layers.
    batch : int
        Samples of a step.
    rates : mapping of str to float
        Of Adam, by how names end: ".scale" are the steps of weights, ".step" those of inputs, "" is all else.
    schedule : str
        One of :data:`lowbit.quantizers.learned.optimizers.SCHEDULES`.
    """

    steps: int
    seed: int
    bits: int = 2
    input_bits: int = 8
    batch: int = 4
    rates: Mapping[str, float] = field(default_factory=lambda: dict(RATES))
    schedule: str = "linear"

    def __post_init__(self) -> None:
        checked(**{name: getattr(self, name) for name in ("steps", "seed", "bits", "input_bits", "batch")})
        require_choice("schedule", self.schedule, SCHEDULES)
        checked_rates(self.rates)

    @property
    def top(self) -> int:
        """The largest code of a weight."""
        return (1 << self.bits - 1) - 1

    @property
    def most(self) -> int:
        """That of an input."""
        return (1 << self.input_bits - 1) - 1

    @property
    def settings(self) -> Settings:
        """Of the descent of a module."""
        return Settings(self.steps, self.seed, self.rates, schedule=self.schedule)


@dataclass(frozen=True, eq=False)
class Module:
    """Blocks in a row as they are after quantisation.

    Attributes
    ----------
    part : Part
    learned : dict of str to ndarray
        Weights, biases, norms, and the steps of the linear layers that are quantised.
    plan : Plan
    """

    part: Part
    learned: Arrays
    plan: Plan

    def __call__(self, hidden: Any) -> Array:
        """What they make of states."""
        return np.asarray(quantised(self.part, self.learned, hidden, self.plan))


def quantised(
    part: Part,
    learned: Mapping[str, Any],
    hidden: Any,
    plan: Plan,
    seen: dict[str, tuple[Any, Any]] | None = None,
) -> Any:
    """A part's forward pass with the linear layers quantised whose steps are among the learned.

    Numbers in range pass slopes on, and so do the steps: Esser et al., "Learned step size quantization" (arXiv
    1902.08153). ``seen`` is given what goes into each linear layer and what comes out, by the name of its weight, in
    the order of the pass.
    """
    weights = {name: _weight(learned, name, plan) for name in part.linears if f"{name}{WEIGHT}" in learned}

    def apply(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if kind != "linear":
            return function(*inputs)
        result = function(_input(learned, f"{name}.weight", inputs[0], plan))
        if seen is not None:
            seen[f"{name}.weight"] = (inputs[0], result)
        return result

    return part.forward({**learned, **weights}, hidden, apply)


def _weight(learned: Mapping[str, Any], name: str, plan: Plan) -> Any:
    return fake_quantize(learned[name], learned[f"{name}{WEIGHT}"], low=-plan.top, high=plan.top, estimator="lsq")


def _input(learned: Mapping[str, Any], name: str, values: Any, plan: Plan) -> Any:
    """What goes into a layer, quantised where it has a step."""
    step, most = learned.get(f"{name}{INPUT}"), plan.most
    return values if step is None else fake_quantize(values, step, low=-most - 1, high=most, estimator="lsq")


def start_of(part: Part, plan: Plan) -> Arrays:
    """What is learned of a part, where it begins: its parameters, and steps of ``2 mean(|x|) / sqrt(largest code)``."""
    means: dict[str, list[float]] = {name: [] for name in part.linears}
    for sample in part.float_inputs:
        for name, (values, _) in _linear_layers(part, {}, sample, plan).items():
            means[name].append(float(np.abs(values).mean()))
    start = dict(part.parameters)
    for name in part.linears:
        weight = part.parameters[name]
        mean = np.abs(weight).mean(axis=1, keepdims=True)
        steps = 2 * np.where(mean > 0, mean, 1) / np.sqrt(plan.top)  # any step but 0 has zeros as they are
        start[f"{name}{WEIGHT}"] = steps.astype(weight.dtype)
        start[f"{name}{INPUT}"] = np.asarray(2 * (np.mean(means[name]) or 1) / np.sqrt(plan.most), weight.dtype)
    return start


def _linear_layers(part: Part, learned: Mapping[str, Any], hidden: Any, plan: Plan) -> dict[str, tuple[Array, Array]]:
    seen: dict[str, tuple[Array, Array]] = {}
    quantised(part, learned, hidden, plan, seen)
    return seen


def sequential(blocks: Blocks, plan: Plan, *, length: int = 1) -> list[Module]:
    """MREM-S: modules are learned one after the other, from what the quantised ones before make of the samples.

    Parameters
    ----------
    blocks : Blocks
    plan : Plan
    length : int
        Blocks of a module.

    Raises
    ------
    InputError
        Learning diverges.

    Notes
    -----
    A module's parameters are learned from the squared error of its outputs beside the float module's, by Adam. Source:
    Bai et al., "Towards efficient post-training quantization of pre-trained language models", NeurIPS 2022 (arXiv
    2109.15082); there is no public code. The paper has four modules, weights of two or four bits, inputs of eight.
    """
    modules: list[Module] = []

    def quantise(part: Part) -> Module:
        def forward(learned: Mapping[str, Any], hidden: Any) -> Any:
            return quantised(part, learned, hidden, plan)

        start = start_of(part, plan)
        result = reconstruct(forward, start, part.inputs, part.targets, plan.settings, batch=plan.batch)
        modules.append(Module(part, result.learned, plan))
        return modules[-1]

    for _ in blocks.walk(quantise, length=length):
        pass
    return modules


def layer_wise(blocks: Blocks, plan: Plan) -> list[Module]:
    """What the paper compares with: each linear layer is learned by itself, with as many steps as a module is.

    Its inputs come from the quantised layers before, its targets are the float layer's outputs. Biases are learned with
    the weights; norms stay.
    """
    modules: list[Module] = []

    def quantise(part: Part) -> Module:
        start, learned = start_of(part, plan), dict(part.parameters)
        wanted = [_linear_layers(part, {}, sample, plan) for sample in part.float_inputs]
        for name in wanted[0]:
            given = [_linear_layers(part, learned, sample, plan)[name][0] for sample in part.inputs]
            bias = f"{name.removesuffix('.weight')}.bias"
            own = {key: start[key] for key in (name, bias, f"{name}{WEIGHT}", f"{name}{INPUT}") if key in start}

            def forward(own: Mapping[str, Any], values: Any, name: str = name, bias: str = bias) -> Any:
                result = _input(own, name, values, plan) @ _weight(own, name, plan).T
                return result + own[bias] if bias in own else result

            targets = [every[name][1] for every in wanted]
            learned |= reconstruct(forward, own, given, targets, plan.settings, batch=plan.batch).learned
        modules.append(Module(part, learned, plan))
        return modules[-1]

    for _ in blocks.walk(quantise):
        pass
    return modules


def through(modules: Sequence[Module], inputs: Sequence[Array]) -> list[Array]:
    """What modules one after the other make of samples."""
    states = list(inputs)
    for module in modules:
        states = [module(one) for one in states]
    return states


def end_error(modules: Sequence[Module], blocks: Blocks) -> float:
    """The squared error of the last states beside the float blocks', over the square of these.

    ``blocks``: with the samples that it is measured on.
    """
    wrong = whole = 0.0
    for sample in blocks.inputs:
        own = target = sample
        for module in modules:
            own, target = module(own), np.asarray(module.part.forward({}, target))
        wrong += float(((own.astype(np.float64) - target) ** 2).sum())
        whole += float((target.astype(np.float64) ** 2).sum())
    return wrong / whole

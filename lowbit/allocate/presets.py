"""Published formulations of bit allocation, by name, and the instances that were published with one of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Any

import numpy as np

from lowbit.allocate import checks
from lowbit.allocate.amounts import Amount, amount
from lowbit.allocate.problem import Problem
from lowbit.errors import AllocationError

EXAMPLES = ("hawq_v3_resnet18", "hawq_v3_resnet50")
"""Instances that come with lowbit (``lowbit/allocate/data``)."""

LEAST_DEGRADATION = 1e-6
"""CalibTIP: a layer at fewer bits loses at least this much."""

FULL_BITS = 32
"""CalibTIP: the compression is a share of the size in binary32."""

BITS_PER_BYTE = 8


def hawq_v3(  # noqa: PLR0913 (the facts of the formulation)
    layers: Sequence[str],
    traces: Sequence[Any],
    errors: Mapping[int, Sequence[Any]],
    parameters: Sequence[int],
    *,
    macs: Sequence[int] | None = None,
    latencies: Mapping[int, Sequence[Any]] | None = None,
    ties: Iterable[Iterable[int | str]] = (),
    limits: Mapping[str, Amount] | None = None,
    name: str = "",
) -> Problem:
    """HAWQ-V3's integer linear program.

    Minimise the sum of ``trace * error`` over the layers, at one choice of bits a layer for weights and activations
    alike, within any of the budgets ``bytes`` (bits / 8 a parameter), ``bops`` (bits squared a multiplication) and
    ``latency``.

    Parameters
    ----------
    layers : sequence of str
    traces : sequence of numbers
        The average Hessian trace of each layer.
    errors : mapping of int to sequence of numbers
        Bits -> squared norm of the weights' quantisation error of each layer.
    parameters, macs : sequence of int
    latencies : mapping of int to sequence of numbers
        Bits -> latency of each layer.
    ties : iterable
        Layers with the same bits: a down-sampling convolution and the main branch that it is added to.
    limits : mapping
        Budget -> limit; ``Problem.between`` gives the limits of the paper, a share of the way from the smallest to the
        largest.

    Source: Z. Yao et al., "HAWQ-V3: dyadic neural network quantization", ICML 2021, section 3.4;
    https://github.com/Zhen-Dong/HAWQ, ILP.ipynb.
    """
    widths = sorted(errors)
    trace = np.array([float(value) for value in traces])
    columns = {"losses": [trace * np.array([float(error) for error in errors[bits]]) for bits in widths]}
    costs: dict[str, list[list[Any]]] = {
        "bytes": [[Fraction(int(count) * bits, BITS_PER_BYTE) for bits in widths] for count in parameters]
    }
    if macs is not None:
        costs["bops"] = [[int(count) * bits**2 for bits in widths] for count in macs]
    if latencies is not None:
        if sorted(latencies) != widths:
            raise AllocationError(f"latencies are for {sorted(latencies)} bits, errors for {widths}")
        exact = {bits: [amount(value, where="latency") for value in latencies[bits]] for bits in widths}
        costs["latency"] = [list(row) for row in zip(*(exact[bits] for bits in widths), strict=True)]
    return Problem.from_arrays(
        np.stack(columns["losses"], axis=1),
        [f"int{bits}" for bits in widths],
        costs=costs,
        limits=limits,
        layers=layers,
        ties=ties,
        name=name,
    )


def calibtip(
    layers: Sequence[str],
    parameters: Sequence[int],
    losses: Mapping[int, Sequence[float]],
    *,
    base_loss: float,
    compression: Amount,
    base_bits: int = 8,
    power: int = 1,
    name: str = "",
) -> Problem:
    """CalibTIP's integer program.

    Minimise the sum of the degradations, each ``max(loss with the layer at these bits - base_loss, 1e-6)`` and 0 at
    ``base_bits``, such that the size is at most ``compression`` times that in 32 bits.

    Parameters
    ----------
    layers : sequence of str
    parameters : sequence of int
        Or multiplications, with ``power=2`` for bit operations.
    losses : mapping of int to sequence of float
        Bits -> the network's loss with only this layer at these bits.
    base_loss : float
        The loss with all layers at ``base_bits``.
    compression : number
        The published runs sweep 0.13, 0.14, ... 0.24.

    Source: I. Hubara et al., "Accurate post training quantization with small calibration sets", ICML 2021, section 4;
    https://github.com/papers-submission/CalibTIP, mpip_compression_pytorch_multi.py.
    """
    if base_bits in losses:
        raise AllocationError(f"losses at {base_bits} bits are given, which is the base", hint="leave them out")
    widths = [*sorted(losses), base_bits]
    rows = [
        [max(float(losses[bits][layer]) - base_loss, LEAST_DEGRADATION) for bits in widths[:-1]] + [0.0]
        for layer in range(len(layers))
    ]
    costs = [[int(count) * bits**power for bits in widths] for count in parameters]
    share = amount(compression, where="compression") * FULL_BITS / base_bits
    whole = sum(int(count) for count in parameters) * base_bits**power
    return Problem.from_arrays(
        rows,
        [f"int{bits}" for bits in widths],
        costs={"bits": costs},
        limits={"bits": share * whole},
        layers=layers,
        name=name,
    )


def example_data(name: str) -> dict[str, Any]:
    """The file of an example, its decimals exact."""
    checks.check_known([name], dict.fromkeys(EXAMPLES), "example")
    text = files("lowbit.allocate").joinpath(f"data/{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)


def example(name: str) -> Problem:
    """An instance that comes with lowbit, without limits: one of ``EXAMPLES``."""
    data = example_data(name)
    return hawq_v3(
        data["layers"],
        data["traces"],
        {int(bits): row for bits, row in data["errors"].items()},
        data["parameters"],
        macs=data["macs"],
        latencies={int(bits): row for bits, row in data["latencies"].items()},
        ties=data["ties"],
        name=data["name"],
    )

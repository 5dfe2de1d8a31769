"""Published formulations of bit allocation, by name, and the instances that were published with one of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate import checks
from lowbit.allocate.amounts import Amount, amount
from lowbit.allocate.arguments import finite_number, listed, named, row, table, whole_number
from lowbit.allocate.problem import Problem
from lowbit.errors import AllocationError

EXAMPLES = ("hawq_v3_resnet18", "hawq_v3_resnet50")
"""Instances that come with lowbit (``lowbit/allocate/data``)."""

LEAST_DEGRADATION = 1e-6
"""CalibTIP: a layer at fewer bits loses at least this much."""

FULL_BITS = 32
"""CalibTIP: the compression is a share of the size in binary32."""

BITS_PER_BYTE = 8

MOST_BITS = 64
"""No published run has a layer at more than 32 bits."""

MOST_POWER = 4
"""CalibTIP: 1 counts bits, 2 bit operations; sizes of 64 bits to the fourth still stand for something."""


def hawq_v3(  # noqa: PLR0913 (the facts of the formulation)
    layers: Sequence[str],
    traces: Sequence[float] | NDArray[Any],
    errors: Mapping[int, Sequence[float] | NDArray[Any]],
    parameters: Sequence[int],
    *,
    macs: Sequence[int] | None = None,
    latencies: Mapping[int, Sequence[Amount]] | None = None,
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

    Examples
    --------
    >>> hawq_v3(["a"], [2.0], {4: [0.5], 8: [0.1]}, [100]).layers
    ('a',)
    """
    names = listed(layers, "layers", '["conv1", "conv2"]')
    widths = _widths(errors, "errors")
    trace = np.array([finite_number(value, "traces") for value in row(traces, "traces", len(names))])
    losses = [
        [
            finite_number(error, f"errors at {bits} bits")
            for error in row(errors[bits], f"errors at {bits} bits", len(names))
        ]
        for bits in widths
    ]
    costs: dict[str, list[list[Any]]] = {
        "bytes": [
            [Fraction(count * bits, BITS_PER_BYTE) for bits in widths]
            for count in _counts(parameters, "parameters", len(names))
        ]
    }
    if macs is not None:
        costs["bops"] = [[count * bits**2 for bits in widths] for count in _counts(macs, "macs", len(names))]
    if latencies is not None:
        if _widths(latencies, "latencies") != widths:
            raise AllocationError(f"latencies are for {sorted(latencies)} bits, errors for {widths}")
        rows = [row(latencies[bits], f"latencies at {bits} bits", len(names)) for bits in widths]
        exact = [[amount(value, where="latency") for value in values] for values in rows]
        costs["latency"] = [list(column) for column in zip(*exact, strict=True)]
    with np.errstate(over="ignore"):  # what overflows is refused as a loss that is not finite
        products = np.array(losses) * trace
    return Problem.from_arrays(
        products.T,
        [f"int{bits}" for bits in widths],
        costs=costs,
        limits=limits,
        layers=names,
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

    Examples
    --------
    >>> calibtip(["a", "b"], [10, 10], {4: [0.5, 0.2]}, base_loss=1.0, compression=0.8).layers
    ('a', 'b')
    """
    names = listed(layers, "layers", '["conv1", "conv2"]')
    base_bits = whole_number(base_bits, "base_bits", least=1, most=MOST_BITS)
    power = whole_number(power, "power", least=1, most=MOST_POWER)
    base_loss = finite_number(base_loss, "base_loss")
    widths = [*_widths(losses, "losses"), base_bits]
    if base_bits in widths[:-1]:
        raise AllocationError(f"losses at {base_bits} bits are given, which is the base", hint="leave them out")
    measured = [row(losses[bits], f"losses at {bits} bits", len(names)) for bits in widths[:-1]]
    rows = [
        [_degradation(values[layer], base_loss, bits) for values, bits in zip(measured, widths, strict=False)] + [0.0]
        for layer in range(len(names))
    ]
    counts = _counts(parameters, "parameters", len(names))
    costs = [[count * bits**power for bits in widths] for count in counts]
    share = amount(compression, where="compression") * FULL_BITS / base_bits
    whole = sum(counts) * base_bits**power
    return Problem.from_arrays(
        rows,
        [f"int{bits}" for bits in widths],
        costs={"bits": costs},
        limits={"bits": share * whole},
        layers=names,
        name=name,
    )


def _widths(given: Mapping[int, Any], what: str) -> list[int]:
    """The bits for which there are numbers, in order."""
    given = table(given, what, "{4: [0.5, 0.25], 8: [0.1, 0.2]}")
    if not given:
        raise AllocationError(f"{what}: there are none", hint=f"{what}={{4: [...], 8: [...]}}, one number a layer")
    return sorted(whole_number(bits, f"bits of {what}", least=1, most=MOST_BITS) for bits in given)


def _counts(values: Any, what: str, layers: int) -> list[int]:
    return [whole_number(value, what, least=0) for value in row(values, what, layers)]


def _degradation(loss: Any, base_loss: float, bits: int) -> float:
    return max(finite_number(loss, f"losses at {bits} bits") - base_loss, LEAST_DEGRADATION)


def example_data(name: str) -> dict[str, Any]:
    """The file of an example, its decimals exact."""
    checks.check_known([named(name, "example")], dict.fromkeys(EXAMPLES), "example")
    text = files("lowbit.allocate").joinpath(f"data/{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)


def example(name: str) -> Problem:
    """An instance that comes with lowbit, without limits: one of ``EXAMPLES``.

    Examples
    --------
    >>> len(example("hawq_v3_resnet18").layers)
    19
    """
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

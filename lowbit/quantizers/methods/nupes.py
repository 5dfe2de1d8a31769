"""PowerQuant and NUPES: even steps on an axis that is raised to a power, the power searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.build import MAX_POWER, power_format
from lowbit.format.types import FormatLike
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.clip import block_length, nearest
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.learned.power_grid import PowerGrid
from lowbit.quantizers.learned.settings import BATCH, STEPS
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.solver import with_codes
from lowbit.quantizers.weight import QuantizedWeight

POWER_RATE, DIGITS = 2e-3, 4
"""Adam's for the exponent, and the decimal places of a learned one."""
COARSE = tuple(round(step / 20, 2) for step in range(4, 25))
FINE = tuple(step / 100 for step in range(-4, 5))


def nupes(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.channel",
    variant: str = "nearest",
    exponent: float | Sequence[float] | None = None,
    rate: float = 0.02,
    steps: int = 0,
    batch: int = 64,
    seed: int = 0,
) -> QuantizedWeight:
    """Round to nearest on a power grid, of all exponents the one with the smallest squared error; or learn both.

    Parameters
    ----------
    activations : array_like, optional
        What weights and the exponent are learned from, where there are steps: the search needs no data.
    to : str or BlockFormat
        Integers of 2 to 8 bits and one scale a block: how many bits, and the blocks.
    exponent : float or sequence of float, optional
        This one, or the best of these; by default hundredths around the best of 0.2, 0.25, ..., 1.2. Where there are
        steps, one alone stays, and others are learned from the best on.

    Returns
    -------
    QuantizedWeight
        ``report["exponent"]``, and ``report["errors"]``: the squared error over the squared weights for each that was
        tried. With 1/2 values are squares of integers times the scale: products need integers only.

    Raises
    ------
    InputError
        The format has other elements than integers, or a zero point, or there are steps and no activations.

    Notes
    -----
    Powers are the only continuous automorphisms of positive numbers under multiplication. Source: Yvinec et al.,
    "PowerQuant", ICLR 2023 (arXiv 2301.09858), equations 2 to 5; "NUPES" (arXiv 2308.05600), whose
    gradients move weights over the whole grid and its exponent: with steps, codes are those of variant "paper" for the
    learned weights, and what was searched is kept where its outputs are nearer.

    Examples
    --------
    >>> nupes([[1.0, 0.25, 0.04, -0.01]], to="int4.channel", exponent=0.5).tensor.codes.tolist()
    [[7, 3, 1, 0]]
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    bits = fmt.element.bits
    if not fmt.element.wraps or not fmt.element.signed or [field.role for field in fmt.scales] != ["multiply"]:
        raise InputError(f"nupes replaces integers by a power grid, which {fmt.id} does not have", hint="int4.channel")
    tried: dict[float, tuple[float, BlockTensor]] = {}

    def error(power: float) -> float:
        if power not in tried:
            tensor = _on_grid(matrix, _grid(fmt, bits, power), power, variant)
            tried[power] = (float(((matrix - dequantize(tensor, dtype=np.float64)) ** 2).sum()), tensor)
        return tried[power][0]

    if exponent is None:
        middle = min(COARSE, key=error)
        best = min((round(middle + step, 2) for step in FINE), key=error)
    else:
        best = min([exponent] if isinstance(exponent, int | float) else exponent, key=error)
    whole = float((matrix**2).sum()) or 1.0
    errors = {power: square / whole for power, (square, _) in sorted(tried.items())}
    searched = QuantizedWeight(tried[best][1], report={"exponent": best, "errors": errors})
    if not steps:
        return searched
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    moves = exponent is None or (not isinstance(exponent, int | float) and len(exponent) > 1)
    return _learned(matrix, rows, fmt, searched, rate, Settings(steps, seed, {}, schedule="cosine"), batch, moves=moves)


def _learned(
    matrix: Doubles,
    rows: Doubles,
    fmt: BlockFormat,
    searched: QuantizedWeight,
    rate: float,
    settings: Settings,
    batch: int,
    *,
    moves: bool,
) -> QuantizedWeight:
    """Weights over the whole grid, and its exponent where it moves, from the layer's outputs."""
    length = block_length(fmt, matrix.shape[1])
    blocks = np.abs(matrix.reshape(len(matrix), -1, length)).astype(np.float32)
    largest = blocks.max(axis=2 if fmt.block else None, keepdims=True)
    largest = np.where(largest > 0, largest, np.float32(1))
    grid = PowerGrid(largest, blocks.shape, (1 << fmt.element.bits - 1) - 1)
    start = {"weight": matrix.astype(np.float32), "power": np.array([searched.report["exponent"]], np.float32)}
    rates = {"weight": rate * float(largest.mean()) / grid.steps, "power": POWER_RATE if moves else 0.0}
    layer = Layer.of(matrix, rows)
    result = layer.learn(grid.values, start, replace(settings, rates=rates), batch=batch, after=grid.kept)
    power = round(float(result.learned["power"][0]), DIGITS) if moves else searched.report["exponent"]
    tensor = _on_grid(matrix, _grid(fmt, fmt.element.bits, power), power, "paper", result.learned["weight"])
    learned, before = QuantizedWeight(tensor), searched.error(matrix, rows)
    after = learned.error(matrix, rows)
    report = {**searched.report, **report_of(result), "exponent": power, "before": before, "after": after}
    best = learned
    if result.kept == "start" or not after <= before:  # stricter than other methods: the start is a search
        best, report = searched, report | {"exponent": searched.report["exponent"], "after": before, "kept": "start"}
    return replace(best, report=report)


def _grid(fmt: BlockFormat, bits: int, power: float) -> BlockFormat:
    field = fmt.scales[0]
    block: int | str = "tensor" if not field.block else field.block[0] or "channel"
    return block_format(power_format(bits, power), block=block, scale=field.format)


def _on_grid(
    matrix: Doubles, fmt: BlockFormat, power: float, variant: str, moved: npt.ArrayLike | None = None
) -> BlockTensor:
    """A matrix on a grid; or what it was ``moved`` to, under its own scales."""
    tensor = nearest(matrix, fmt)
    if variant == "nearest":
        return tensor
    largest = (1 << fmt.element.bits - 1) - 1
    ones = with_codes(tensor, np.full_like(tensor.codes, largest))
    matrix = matrix if moved is None else np.asarray(moved, np.float64)
    share = np.abs(matrix) / np.maximum(dequantize(ones, dtype=np.float64), np.finfo(np.float64).tiny)
    steps = np.rint(np.minimum(share, 1) ** power * largest) * np.sign(matrix)
    codes = steps.astype(np.int64) & ((1 << fmt.element.bits) - 1)
    return with_codes(tensor, codes.astype(tensor.codes.dtype))


METHOD = Method(
    name="nupes",
    quantize=nupes,
    title="a power grid, its exponent searched",
    source="Yvinec et al., ICLR 2023 (arXiv 2301.09858); NUPES (arXiv 2308.05600)",
    variants={"nearest": "the code whose value is nearest", "paper": "the code rint(sign(x) |x / scale|^a m)"},
    needs_activations=False,
    to="int4.channel",
    own={
        "exponent": Option(
            "the power of the grid, or some of which the best is taken; 0.5 makes values squares of integers",
            Numbers(0, MAX_POWER, excluded=0),
            several=True,
            optional=True,
        ),
        "rate": Option("Adam's, for the weights: in steps of the grid, were it even", Numbers(0)),
        "steps": STEPS,
        "batch": BATCH,
    },
    report=REPORT
    | {
        "exponent": "the power that was best",
        "errors": "the squared error under each power that was tried, over the squared weights",
    },
)

"""decoupleQ: integers and scales are found in turns, each the best for the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.types import FormatLike
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.clip import block_length, clipped, nearest, search_clip
from lowbit.quantizers.hessian import REPORT
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.objective import OutputError, inverse_factor
from lowbit.quantizers.solver import error_feedback
from lowbit.quantizers.weight import QuantizedWeight

SHARES = tuple(1 - step / 40 for step in range(33))
SCALE = "float32"


class State(NamedTuple):
    """Integers (outputs, inputs), and a factor and an offset for each block (outputs, blocks), in binary32."""

    integers: Doubles
    scale: Doubles
    offset: Doubles

    def values(self) -> Doubles:
        length = self.integers.shape[1] // self.scale.shape[1]
        return self.integers * np.repeat(self.scale, length, axis=1) + np.repeat(self.offset, length, axis=1)

    def better(self, other: State, rows: npt.NDArray[np.bool_]) -> State:
        """The state with some rows of another."""
        return State(*(np.where(rows[:, None], new, old) for new, old in zip(other, self, strict=True)))


def decoupleq(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int2.channel",
    variant: str = "paper",
    iterations: int = 4,
    damping: float = 0.01,
    threads: int = 1,
) -> QuantizedWeight:
    """Minimise the output error over integers and over scales and offsets, in turns.

    Parameters
    ----------
    to : str or BlockFormat
        Integers of 2 to 8 bits, and the blocks: each gets a factor and an offset in float32, whatever its scales are.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        Elements are not integers, or as for :func:`lowbit.quantizers.gptq`.

    Notes
    -----
    ``W ~ s q + z`` with q in -2^(b-1) to 2^(b-1) - 1. It ends after a round in which no row got better, and starts
    from the clip of each block that makes its own part of the error the smallest. For given integers the best scales
    and offsets solve a linear system of two unknowns a block; a row keeps its old ones where the binary32 numbers are
    not better. A factor may be negative.
    Source: Guo et al., "decoupleQ" (arXiv 2404.12759), section 3; bytedance/decoupleQ 252939b.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(1).normal(size=(32, 4))
    >>> losses = decoupleq([[0.9, -0.4, 0.2, -1.3]], rows, to="int2.channel").report["losses"]
    >>> losses[-1] < losses[0]
    True
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    element = fmt.element
    if not element.wraps or not element.signed or not 2 <= element.bits <= 8:
        raise InputError(f"decoupleq finds integers of 2 to 8 bits, not {element.id}", hint="int2.channel")
    error = OutputError.of(rows, activations)
    error.gram[np.diag_indices_from(error.gram)] += damping * float(np.mean(np.diag(error.gram)))
    whole = error.total(matrix) or 1.0
    order = np.arange(matrix.shape[1])
    if variant == "activation_order":
        order = np.argsort(-np.diag(error.gram), kind="stable")
    factor = inverse_factor(error.gram[np.ix_(order, order)], 0.0)
    length = block_length(fmt, matrix.shape[1])
    block = length if length < matrix.shape[1] else "channel"
    target = block_format(f"int{element.bits}", block=block, scale=SCALE, offset=True)
    state = _start(matrix, target, error, length)
    losses = error.of_rows(matrix - state.values())
    history, nearest_tie = [float(losses.sum()) / whole], 1.0
    for _ in range(iterations):
        before = losses
        for step in ("scales", "integers"):
            if step == "scales":
                proposal = _scales(matrix, state, error)
            else:
                proposal, margin = _integers(matrix, state, factor, order, target, threads)
                nearest_tie = min(nearest_tie, margin)
            now = error.of_rows(matrix - proposal.values())
            state, losses = state.better(proposal, now < losses), np.minimum(now, losses)
        history.append(float(losses.sum()) / whole)
        if np.array_equal(losses, before):
            break
    tensor = _tensor(state, target)
    return QuantizedWeight(tensor, report={"losses": history, "tie_margin": nearest_tie})


def _start(matrix: Doubles, target: BlockFormat, error: OutputError, length: int) -> State:
    """Even steps over the range of each block, clipped; as an asymmetric integer format has them."""
    bits, name = target.element.bits, f"g{length}"
    fmt = weight_format(f"uint{bits}.{name}.asymmetric.{SCALE}", matrix.shape[1], METHOD.name)
    shares = search_clip(matrix, fmt, SHARES, lambda errors: error.of_groups(errors, length))
    tensor = nearest(clipped(matrix, shares, length), fmt)
    scale = tensor.scales["block"].astype(np.float64)
    zero = tensor.scale_codes("zero_point").astype(np.float64)
    half = 1 << bits - 1
    return State(tensor.codes.astype(np.float64) - half, scale, _binary32(scale * (half - zero)))


def _scales(matrix: Doubles, state: State, error: OutputError) -> State:
    """The factors and offsets with the least error for these integers, a linear system a row."""
    outputs, inputs = matrix.shape
    blocks = state.scale.shape[1]
    starts = np.arange(0, inputs, inputs // blocks)
    system = np.empty((outputs, 2 * blocks, 2 * blocks))
    system[:, blocks:, blocks:] = np.add.reduceat(np.add.reduceat(error.gram, starts, axis=0), starts, axis=1)
    for block, part in enumerate(np.split(np.arange(inputs), blocks)):
        products = state.integers[:, part] @ error.gram[part]
        system[:, block, :blocks] = np.add.reduceat(products * state.integers, starts, axis=1)
        system[:, block, blocks:] = np.add.reduceat(products, starts, axis=1)
    system[:, blocks:, :blocks] = system[:, :blocks, blocks:].swapaxes(1, 2)
    aims = matrix @ error.gram
    sums = [np.add.reduceat(part, starts, axis=1) for part in (aims * state.integers, aims)]
    pairs = zip(system, np.concatenate(sums, axis=1), strict=True)
    solution = np.array([np.linalg.lstsq(left, right, rcond=None)[0] for left, right in pairs])
    return State(state.integers, _binary32(solution[:, :blocks]), _binary32(solution[:, blocks:]))


def _integers(
    matrix: Doubles,
    state: State,
    factor: Doubles,
    order: npt.NDArray[np.int64],
    target: BlockFormat,
    threads: int,
) -> tuple[State, float]:
    """The integers that error feedback finds for these factors and offsets, and how near a tie one was."""
    # s q + z = -s (-1 - q) + (z - s): a negative factor is a positive one with the integers in the other order
    negative = state.scale < 0
    positive = State(state.integers, np.abs(state.scale), np.where(negative, state.offset - state.scale, state.offset))
    tensor, margin = error_feedback(
        matrix, factor, lambda _part: _tensor(positive, target), target, order=order, threads=threads
    )
    integers = tensor.codes.astype(np.float64)
    flipped = np.repeat(negative, matrix.shape[1] // state.scale.shape[1], axis=1)
    return State(np.where(flipped, -1 - integers, integers), state.scale, state.offset), margin


def _binary32(values: Doubles) -> Doubles:
    return values.astype(np.float32).astype(np.float64)


def _tensor(state: State, target: BlockFormat) -> BlockTensor:
    scales = {"block": state.scale.astype(np.float32), "offset": state.offset.astype(np.float32)}
    codes = state.integers.astype(target.element.code_dtype)
    return BlockTensor(target, state.integers.shape, 1, codes, scales)


METHOD = Method(
    name="decoupleq",
    quantize=decoupleq,
    title="integers and scales in turns, each the best for the other",
    source="Guo et al. (arXiv 2404.12759); bytedance/decoupleQ 252939b",
    variants={
        "paper": "error feedback in the order of the inputs",
        "activation_order": "error feedback with inputs of large activations first (the official code)",
    },
    needs_activations=True,
    to="int2.channel",
    report={
        "losses": "the relative error of the outputs at the start and after each round, under the damped Hessian: "
        "it never rises",
        "tie_margin": REPORT["tie_margin"],
    },
)

"""Searches for scales: which formats have one and by which importance; and that of two scales, Four over Six."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.boundaries import of_steps
from lowbit.ops.block.ggml_searches import FIRST_ONLY, ROW_SEARCHES, SEARCHES, Floats
from lowbit.ops.block.quotients import ordinary
from lowbit.ops.block.runs import Runs
from lowbit.ops.block.scales import Coarse, Fine, Steps
from lowbit.ops.block.values import plain_values
from lowbit.ops.cast.cast import decode, encode
from lowbit.policy.block import BlockPolicy

FOUR_OVER_SIX = 1.5
"""The largest value of a block becomes 4 where it would have become 6, the largest element of E2M1."""

Candidate = tuple[Fine, Array]
"""A scale, and the quotients by it."""


def usual_policy(fmt: BlockFormat, importance: Any) -> str:
    """The policy of a format for which none is named."""
    return "ggml_search" if importance is not None and fmt.id in ROW_SEARCHES else fmt.default_policy


def weighs(fmt: BlockFormat, policy: BlockPolicy) -> bool:
    """Whether quantising into a format looks at the importance of columns."""
    return policy.search == "ggml" and fmt.id in {**SEARCHES, **ROW_SEARCHES} and fmt.id != "ggml_q8_k"


def checked_importance(importance: Any, fmt: BlockFormat, policy: BlockPolicy, length: int) -> Floats | None:
    """The importance of the columns in binary32, for a policy and a format that it is for; None where there is none.

    Raises InputError.
    """
    searched = {**SEARCHES, **({} if importance is None else ROW_SEARCHES)}
    if policy.of_ggml and (fmt.id not in searched or (policy.search == FIRST_ONLY and fmt.id != "ggml_iq4_nl")):
        known = "ggml_iq4_nl" if policy.search == FIRST_ONLY else ", ".join(searched)
        raise InputError(f"{fmt.id}: search = {policy.search!r} is not for this format", hint=f"one of {known}")
    if importance is None:
        return None
    if not weighs(fmt, policy):
        what = f"{fmt.id}: importance is for ggml's K-quants, IQ4, and Q4_0 to Q5_1 under policies with search = 'ggml'"
        raise InputError(what, hint="importance=None, or the format ggml_q4_k, say")
    weights = plain_values(importance).astype(np.float32)
    if weights.shape != (length,):
        what = f"importance has the shape {weights.shape}, but an axis of {length} has ({length},)"
        raise InputError(what, hint="one number a column")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        place = int(np.argmin(np.isfinite(weights) & (weights >= 0)))
        raise InputError(f"importance[{place}] = {weights[place]} is not a weight", hint="finite numbers from 0 on")
    return weights


def require_searchable(fmt: BlockFormat, shape: Shape, policy: BlockPolicy) -> None:
    """Refuse a search in a format that has no scale above, or whose blocks are not whole ones along one axis.

    Raises InputError.
    """
    if policy.of_ggml:
        return  # which has a list of its own: see checked_importance
    finest, *coarser = fmt.scales
    usual = not fmt.by_sign and len(fmt.block) == 1 and coarser and coarser[0].role == "multiply"
    if policy.search != "none" and not (usual and shape[-1] % finest.extents(shape)[-1] == 0):
        what = f"search = {policy.search!r} is for whole blocks along one axis with a scale above"
        raise InputError(f"{what}, not for {fmt.id}", hint="nvfp4, for example")
    if policy.search != "none" and policy.policy("element", fmt.number).stochastic:
        raise InputError(f"search = {policy.search!r} compares what random bits decide", hint="search='none'")


def better(
    values: Array, fmt: BlockFormat, above: Coarse, policy: BlockPolicy, first: Candidate, second: Candidate
) -> Candidate:
    """The second candidate for the blocks where its error is smaller, the first for the others."""
    errors = [_error(values, fmt, above, policy, candidate) for candidate in (first, second)]
    taken = errors[1] < errors[0]
    field = first[0].field
    codes = np.where(taken, second[0].codes, first[0].codes)
    used = np.where(taken, second[0].used, first[0].used)
    quotients = np.where(spread(taken, field, values.shape), second[1], first[1])
    return Fine(field, codes, used), quotients


def faster(runs: Runs, fmt: BlockFormat, above: Coarse, policy: BlockPolicy, pair: tuple[Fine, Fine]) -> Fine | None:
    """The better of two scales for each block, by a kernel; None where there is none, or a scale is not a number."""
    from lowbit.kernels.block import simd_search as kernels
    from lowbit.kernels.block.simd_reached import LANES, ROW

    way = of_steps(fmt, policy)
    divisors = [each for part in pair if (each := ordinary(part, above, policy)) is not None]
    if way is None or not way.mirrored or runs.length % LANES or len(divisors) < len(pair):
        return None
    kernel = kernels.compare_products if divisors[0].multiplies else kernels.compare_quotients
    used = [part.used for part in pair]
    scales = np.stack([runs.each(part) for part in used]).astype(np.float32, copy=False)
    narrow = [each.numbers.astype(np.float32) for each in divisors]
    numbers = np.stack([runs.each(part.each(each)) for part, each in zip(pair, narrow, strict=True)])
    values = np.zeros(ROW, np.float32)
    values[: fmt.number.largest_code() + 1] = decode(range(fmt.number.largest_code() + 1), fmt.number)
    constant = way.numbers[0], way.beyond[0], values, np.float32(above.amax), np.float32(above.maximum)
    squared, flat = policy.search == "four_over_six_squared", runs.words.reshape(-1)
    taken = np.empty(len(runs.words), np.bool_)

    def part(inside: slice) -> None:
        places = slice(inside.start * runs.length, inside.stop * runs.length)
        of_blocks = numbers[:, inside], scales[:, inside]
        kernel(flat[places], runs.length, *map(np.ascontiguousarray, of_blocks), *constant, squared, taken[inside])

    runs.in_chunks(part)
    second = taken.reshape(pair[0].codes.shape)
    codes = np.where(second, pair[1].codes, pair[0].codes)
    return Fine(pair[0].field, codes, np.where(second, used[1], used[0]))


def _error(values: Array, fmt: BlockFormat, above: Coarse, policy: BlockPolicy, candidate: Candidate) -> Array:
    """The errors of each block, its elements added one after the other."""
    steps, (fine, quotients) = Steps(policy), candidate
    codes = encode(quotients, fmt.number, policy=policy.policy("element", fmt.number))
    elements = np.asarray(decode(codes, fmt.number)).astype(steps.dtype)
    scaled = steps.multiply(elements, spread(fine.used, fine.field, values.shape))
    amax = spread(above.amax, above.field, values.shape)
    worth = steps.divide(steps.multiply(scaled, amax), above.maximum)
    differences = steps.rounded(np.subtract(worth, values, dtype=steps.dtype))
    squared = policy.search == "four_over_six_squared"
    parts = steps.multiply(differences, differences) if squared else np.abs(differences)
    length = fine.field.extents(values.shape)[-1]
    blocks = parts.reshape(*fine.codes.shape, length)
    total = np.zeros(fine.codes.shape, steps.dtype)
    for place in range(blocks.shape[-1]):
        total = steps.rounded(np.add(total, blocks[..., place], dtype=steps.dtype))
    return total

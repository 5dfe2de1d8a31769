"""Which policies make which formats, the searches of ggml among them; and the search of two scales, Four over Six."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.ops.arrays import Array
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.blocks import levels, spread
from lowbit.ops.block.boundaries import of_steps
from lowbit.ops.block.ggml_searches import FIRST_ONLY, ROW_SEARCHES, SEARCHES, Floats
from lowbit.ops.block.nested import nested_formats, require_unrounded
from lowbit.ops.block.quotients import ordinary
from lowbit.ops.block.runs import Runs
from lowbit.ops.block.scales import Coarse, Fine, Steps
from lowbit.ops.block.values import plain_values
from lowbit.ops.cast.cast import decode, encode
from lowbit.ops.pack.structs import STRUCTS
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy

FOUR_OVER_SIX = 1.5
"""The largest value of a block becomes 4 where it would have become 6, the largest element of E2M1."""

SHORTER = ("ggml_q8_0", 32)
"""A format of ggml with shorter blocks than the K-quants, and their length."""
LISTED = 12
"""As many policies as a hint names."""

Candidate = tuple[Fine, Array]
"""A scale, and the quotients by it."""


def usual_policy(fmt: BlockFormat, importance: Any) -> str:
    """The policy of a format for which none is named."""
    return "ggml_search" if importance is not None and fmt.id in ROW_SEARCHES else fmt.default_policy


def weighs(fmt: BlockFormat, policy: BlockPolicy) -> bool:
    """Whether quantising into a format looks at the importance of columns."""
    return policy.search == "ggml" and fmt.id in {**SEARCHES, **ROW_SEARCHES} and fmt.id != "ggml_q8_k"


def checked_importance(importance: Any, length: int) -> Floats | None:
    """The importance of the columns in binary32; None where there is none.

    Raises InputError.
    """
    if importance is None:
        return None
    weights = plain_values(importance).astype(np.float32)
    if weights.shape != (length,):
        what = f"importance has the shape {weights.shape}, but an axis of {length} has ({length},)"
        raise InputError(what, hint="one number a column")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        place = int(np.argmin(np.isfinite(weights) & (weights >= 0)))
        raise InputError(f"importance[{place}] = {weights[place]} is not a weight", hint="finite numbers from 0 on")
    return weights


def require_policy(fmt: BlockFormat, shape: Shape, policy: BlockPolicy, *, weighed: bool = False) -> None:
    """Refuse a policy that does not make a format; ``weighed``: by importance.

    Raises InputError; where the policy is a preset, the hint has those that make the format.
    """
    try:
        _require_policy(fmt, shape, policy, weighed)
    except InputError as error:
        makers = [name for name in BLOCK_PRESETS if _is_made_by(name, fmt, shape, weighed)] if policy.name else []
        if not makers:
            raise
        makers.sort(key=lambda name: name != fmt.default_policy)
        others = ", ".join(makers) if len(makers) <= LISTED else f"{makers[0]}, or others of `lowbit list policies`"
        what = f"block policy {policy.name!r} is not for {fmt.id}: {error.message.removeprefix(f'{fmt.id}: ')}"
        raise InputError(what, hint=f"policies for it: {others}") from error


def require_blocks(fmt: BlockFormat, shape: Shape, policy: BlockPolicy) -> None:
    """Refuse a shape, its block axis last, that whole blocks do not fill, nor a shorter last one may: InputError."""
    try:
        fmt.check_shape(shape, short=policy.tail == "short" and not policy.of_ggml)
    except InputError as error:
        if fmt.id not in STRUCTS:
            raise
        length, block, (other, few) = shape[-1], fmt.block[0], SHORTER
        smaller = f", or take {other}, whose blocks have {few}" * (few < block and not length % few)
        hint = f"ggml has whole blocks alone: pad the axis to {-(-length // block) * block}{smaller}"
        raise InputError(error.message, hint=hint) from error


def _require_policy(fmt: BlockFormat, shape: Shape, policy: BlockPolicy, weighed: bool) -> None:
    if policy.of_ggml or weighed:
        searched = {**SEARCHES, **(ROW_SEARCHES if weighed else {})}
        if policy.of_ggml and (fmt.id not in searched or (policy.search == FIRST_ONLY and fmt.id != "ggml_iq4_nl")):
            known = "ggml_iq4_nl" if policy.search == FIRST_ONLY else ", ".join(searched)
            alone = " without importance" * (fmt.id in ROW_SEARCHES and policy.search != FIRST_ONLY)
            what = f"{fmt.id}: search = {policy.search!r} is not for this format{alone}"
            raise InputError(what, hint=f"one of {known}")
        if weighed and not weighs(fmt, policy):
            those = "ggml's K-quants, IQ4, and Q4_0 to Q5_1 under policies with search = 'ggml'"
            hint = "importance=None, or the format ggml_q4_k, say"
            raise InputError(f"{fmt.id}: importance is for {those}", hint=hint)
        return
    if fmt.nested:
        require_unrounded(fmt, policy)
        fmt = nested_formats(fmt).outer
    policy.require_held(fmt)
    require_searchable(fmt, shape, policy)
    if not is_affine(fmt.without_sums):
        levels(fmt)


def _is_made_by(name: str, fmt: BlockFormat, shape: Shape, weighed: bool) -> bool:
    try:
        _require_policy(fmt, shape, BLOCK_PRESETS[name], weighed)
    except InputError:
        return False
    return True


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
    quotients = np.where(spread(taken, first[0].field, values.shape), second[1], first[1])
    return _chosen(taken, first[0], second[0]), quotients


def _chosen(taken: Array, first: Fine, second: Fine) -> Fine:
    """Of two scales the second for the blocks where it is taken."""
    return Fine(first.field, np.where(taken, second.codes, first.codes), np.where(taken, second.used, first.used))


def faster(runs: Runs, fmt: BlockFormat, above: Coarse, policy: BlockPolicy, pair: tuple[Fine, Fine]) -> Fine | None:
    """The better of two scales for each block, by a kernel; None where there is none, or a scale is not a number."""
    from lowbit.kernels.block import simd_search as kernels
    from lowbit.kernels.block.simd_reached import LANES, ROW

    way = of_steps(fmt, policy)
    divisors = ordinary(pair, above, policy)
    if way is None or divisors is None or not way.mirrored or runs.length % LANES:
        return None
    kernel = kernels.compare_products if divisors[0].multiplies else kernels.compare_quotients
    scales = np.stack([runs.each(part.used) for part in pair]).astype(np.float32, copy=False)
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
    return _chosen(taken.reshape(pair[0].codes.shape), *pair)


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

"""quantize: values into the codes and scales of a block format, bit for bit."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.format.registry import block_format_of, scalar_format
from lowbit.format.types import FormatLike
from lowbit.ops.arithmetic.exact_rounding import product_over
from lowbit.ops.arrays import Array, checked_threads
from lowbit.ops.block import boundaries, exponents, fused, power_of_two, quotients
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.affine import quantize as affine_quantize
from lowbit.ops.block.blocks import levels, reduced, spread
from lowbit.ops.block.ggml_searches import quantize as quantize_by_search
from lowbit.ops.block.linear import cut_sums
from lowbit.ops.block.nested import quantize_nested
from lowbit.ops.block.runs import Runs, divides
from lowbit.ops.block.scales import (
    PLAIN_BITS,
    Coarse,
    Fine,
    Parts,
    Steps,
    coarse_scales,
    fine_scales,
    in_binary32,
    magnitudes,
    of_sign,
    scale_of_tensor,
    statistics,
)
from lowbit.ops.block.search import (
    FOUR_OVER_SIX,
    better,
    checked_importance,
    faster,
    require_blocks,
    require_policy,
    require_searchable,
    usual_policy,
)
from lowbit.ops.block.stairs import many_fine_scales
from lowbit.ops.block.tensor import BlockTensor, axis_last, checked_axis, moved_back, moved_last
from lowbit.ops.block.values import plain_values
from lowbit.ops.block.vectors import exact_quotients, vector_codes
from lowbit.ops.cast.cast import decode, encode
from lowbit.ops.cast.random_bits import checked_random
from lowbit.policy.block import BlockPolicy, get_block_policy, spelled


def quantize(
    values: npt.ArrayLike,
    fmt: FormatLike,
    *,
    axis: int = -1,
    policy: BlockPolicy | str | None = None,
    random_bits: npt.ArrayLike | None = None,
    importance: npt.ArrayLike | None = None,
    threads: int = 1,
) -> BlockTensor:
    """Bring values into a block format: scales from the largest magnitudes of the blocks, then every element.

    Parameters
    ----------
    values : array_like
        Floats, integers, or an ml_dtypes array, of at least as many axes as the blocks have.
    fmt : str or BlockFormat
        ``"mxfp4"``, ``"nvfp4"``, ``"int4.g128"``, or what ``lowbit.block_format`` returns.
    axis : int
        The axis that the blocks lie along. Blocks of two axes have their columns along it, and their rows along the
        last of the other axes.
    policy : BlockPolicy or str, optional
        How scales and elements are made; by default the format's own ``default_policy``.
    random_bits : array_like of int, optional
        For elements that are rounded stochastically, ``element = "ocp_sat:rounding=stochastic_a:random_bits=8"`` say: R
        for each value, as in ``lowbit.encode``.
    importance : array_like, shape (length of the axis,), optional
        For the K-quants and IQ4 of ggml, and Q4_0 to Q5_1, which are searched by it under "ggml_search": how much the
        squared errors of a column count, llama.cpp's importance matrix, the mean squares of the inputs say. Not
        negative; rounded to binary32.
    threads : int
        How many threads share the encoding of the elements; the bits are the same for any number.

    Returns
    -------
    BlockTensor

    Raises
    ------
    InputError
        The blocks do not divide the axis and the policy says ``tail = "error"``, the axis is not one of the array, or a
        policy refuses a value or a scale, or random bits are out of their range, or importance is not for it.
    PolicyError
        The policy is unknown; random bits are missing, or not used.

    Notes
    -----
    With ``arithmetic = "exact"``, the default of most formats, a scale and an element are rounded once each: the scale
    is amax over the largest element and over the stored scale above it, the element the value over the stored scales.
    Source: OCP MX v1.0 clause 6.3; docs/explanation/block-formats.md.

    Examples
    --------
    >>> tensor = quantize([[1.0, -2.0, 3.0, 6.0] * 8], "mxfp4")
    >>> tensor.codes[0, :4].tolist(), tensor.scales["block"].tolist()
    ([2, 12, 5, 7], [[127]])
    """
    target = block_format_of(fmt)
    chosen = get_block_policy(usual_policy(target, importance) if policy is None else policy)
    numbers = plain_values(values)
    place = checked_axis(axis, numbers.shape, target)
    shape = axis_last(numbers.shape, place)
    require_blocks(target, shape, chosen)
    require_policy(target, shape, chosen, weighed=importance is not None)
    checked_threads(threads)
    if chosen.of_ggml or importance is not None:
        weights = checked_importance(importance, shape[-1])
        codes, parts = quantize_by_search(moved_last(numbers, place), target, chosen, weights, threads)
        fields_back = {name: moved_back(array, place) for name, array in parts.items()}
        return BlockTensor.trusted(target, place, moved_back(codes, place), fields_back)
    if target.nested:
        own = partial(quantize, numbers, axis=place, policy=chosen, random_bits=random_bits, threads=threads)
        return quantize_nested(target, chosen, place, own)
    random = checked_random(random_bits, chosen.policy("element", target.number), numbers.shape)
    draws = None if random is None else random.reshape(numbers.shape)
    whole, target = target, target.without_sums
    plain = numbers.dtype == np.float32 and not whole.sums and not _by_steps(chosen)
    way = power_of_two.lanes(target, chosen) if plain else None
    if way is not None and shape[-1] % target.block[0] == 0:
        field = target.scales[0]
        codes, scale = power_of_two.quantize(way, moved_last(numbers, place), field.block[0], threads)
        return BlockTensor.trusted(target, place, moved_back(codes, place), {field.name: moved_back(scale, place)})
    moved = moved_last(numbers, place)
    fields: list[Fine | Coarse]
    with np.errstate(all="ignore"):
        if target.element.dimension > 1:
            fields, codes = _vectors(moved, target, chosen)
        elif is_affine(target):
            of_blocks, codes = affine_quantize(
                moved, target, chosen, threads, None if draws is None else moved_last(draws, place)
            )
            fields = [*of_blocks]
        else:
            fields, codes = (
                fused.faster(moved, target, chosen, threads)
                or _by_runs(moved, target, chosen, threads)
                or exponents.faster(moved, target, chosen, threads)
                or _by_quotients(moved, target, chosen, place)
            )
    if codes.dtype.kind == "f":
        element = chosen.policy("element", target.number)
        codes = encode(codes, target.number, policy=element, random_bits=draws, threads=threads)
    else:
        codes = np.moveaxis(codes, -1, place)
    scales = {part.field.name: moved_back(part.codes, place) for part in fields}
    if whole.sums:
        scales |= _sums(moved_last(codes, place), whole, fields, chosen, place)
    return BlockTensor.trusted(whole, place, np.ascontiguousarray(codes), scales)


def _sums(
    codes: Array, fmt: BlockFormat, parts: list[Fine | Coarse], policy: BlockPolicy, axis: int
) -> dict[str, Array]:
    """The sums of codes, the axis of the blocks last, times the scale that values are divided by where a field says."""
    used, steps, sums = {part.field.name: part.used for part in parts if isinstance(part, Fine)}, Steps(policy), {}
    for field in fmt.sums:
        total = reduced(codes.astype(np.int64), field, np.add).astype(steps.dtype)
        if field.of:
            with np.errstate(over="ignore"):  # a sum beyond binary32 is infinite, as its format then says
                total = steps.multiply(total, used[field.of].astype(steps.dtype))
        target = field.format
        rounding = policy.policy("scale", target) if field.of else spelled(target.default_policy, target)
        sums[field.name] = moved_back(np.asarray(encode(total, target, policy=rounding)), axis)
    return sums


def is_made(fmt: BlockFormat) -> bool:
    """Whether values are brought into a format by its default policy."""
    try:
        quantize(np.zeros(tuple(length or 1 for length in fmt.block) or (1,), np.float32), fmt)
    except InputError:
        return False
    return True


def quantize_part(values: Array, fmt: BlockFormat, policy: BlockPolicy, amax: float) -> BlockTensor | None:
    """Some rows of a finite binary32 tensor, the axis of the blocks last, with the tensor's largest magnitude.

    None where they are to be quantised together with a number of that magnitude. The policy holds the format.
    """
    if fmt.nested or fmt.affine or fmt.element.dimension > 1 or values.dtype != np.float32:
        return None
    finest, coarser = levels(fmt)
    if not coarser or not all(field.block for field in finest):
        return None
    with np.errstate(all="ignore"):
        parts = _by_runs(values, fmt, policy, 1, amax)
    if parts is None:
        return None
    fields, codes = parts
    return BlockTensor.trusted(fmt, values.ndim - 1, codes, {part.field.name: part.codes for part in fields})


def _by_runs(
    values: Array, fmt: BlockFormat, policy: BlockPolicy, threads: int, amax: float | None = None
) -> Parts | None:
    """Scales and codes of finite values by a kernel; None where they are to be made from quotients.

    ``amax``: the largest magnitude of the tensor that the values are a part of.
    """
    policy, most = boundaries.of_least_errors(fmt, policy)
    first = boundaries.boundaries(fmt, policy) if fmt.by_sign else None
    way = first or quotients.lanes(fmt, policy) or boundaries.boundaries(fmt, policy)
    finest, coarser = levels(fmt)
    if (
        _by_steps(policy)
        or way is None
        or values.dtype != np.float32
        or not values.size
        or any(field.block for field in coarser)
    ):
        return None
    if policy.search != "none" and not coarser:
        return None
    if not divides(finest[0], values.shape):
        return None
    runs = Runs(values, finest[0], threads)
    maxima = runs.maxima(by_sign=fmt.by_sign)
    top = max(float(each.max()) for each in maxima)
    if not np.isfinite(top) or top > most:
        return None
    above = [scale_of_tensor(top if amax is None else amax, field, fmt, finest[0], policy) for field in coarser]
    upper = above[0] if above else None
    pairs = zip(finest, maxima, strict=True)
    fine = [many_fine_scales(each, field, fmt, upper, policy, values.shape, most=amax) for field, each in pairs]
    if policy.search != "none" and isinstance(way, quotients.Lanes) and upper is not None:
        require_searchable(fmt, values.shape, policy)
        larger = many_fine_scales(maxima[0], finest[0], fmt, upper, policy, values.shape, FOUR_OVER_SIX, amax)
        better_scale = faster(runs, fmt, upper, policy, (fine[0], larger))
        if better_scale is None:
            return None
        fine = [better_scale]
    if isinstance(way, quotients.Lanes):
        codes = quotients.encode(way, runs, fine, upper, policy)
    else:
        codes = boundaries.encode(way, runs, fine, upper, policy)
    return None if codes is None else ([*fine, *above], codes.view(fmt.number.code_dtype).reshape(values.shape))


def _by_steps(policy: BlockPolicy) -> bool:
    """Whether scales or elements are made by steps that no kernel of these has."""
    steps = policy.quotient_steps in {"maximum_over_amax", "sign"} or policy.rounding_steps != "none"
    return steps or policy.scale_rule in {"signed_amax", "amax", "mean", "floor_log2"}


def _vectors(values: Array, fmt: BlockFormat, policy: BlockPolicy) -> Parts:
    """Scales as for numbers of the vectors, and the codes of the nearest vectors."""
    scales, quotients = _by_quotients(values, fmt.of_components, policy, -1, exactly=True)
    exactly = exact_quotients(values, quotients, scales, policy)
    rounded = values.dtype == np.float64 and any(isinstance(part, Coarse) and part.divides for part in scales)
    return scales, vector_codes(quotients, fmt, policy, exactly, to_odd=not rounded)  # a product is rounded to nearest


def _by_quotients(values: Array, fmt: BlockFormat, policy: BlockPolicy, axis: int, *, exactly: bool = False) -> Parts:
    """Scales, and the quotients of the values with the axis of the blocks where it was; ``exactly``: always to odd."""
    finest, coarser = levels(fmt)
    require_searchable(fmt, values.shape, policy)
    entered = Steps(policy).enter(values)
    sizes = magnitudes(entered, policy)
    above = [coarse_scales(reduced(sizes, field), field, fmt, finest[0], policy) for field in coarser]
    upper = above[0] if above else None
    fine = []
    for field in finest:
        own = np.where(of_sign(entered, field), sizes, 0) if fmt.by_sign else sizes
        amax = statistics(own, entered, field, policy)
        fine.append(fine_scales(amax, field, fmt, upper, policy, values.shape))
    stochastic = policy.policy("element", fmt.number).stochastic
    plain = not exactly and values.dtype == np.float32 and not stochastic and _rounded_suffices(fine, upper, fmt.number)
    quotients = _quotients(entered, fine, upper, policy, fmt.number, plain=plain)
    if policy.search != "none":
        assert upper is not None
        amax = reduced(sizes, finest[0])
        larger = fine_scales(amax, finest[0], fmt, upper, policy, values.shape, FOUR_OVER_SIX)
        others = _quotients(entered, [larger], upper, policy, fmt.number, plain=False)
        fine[0], quotients = better(entered, fmt, upper, policy, (fine[0], quotients), (larger, others))
    lower, quotients = exponents.lowered(quotients, fmt)
    return [*fine, *above, *lower], np.moveaxis(quotients, -1, axis)


BINS = 1 << 16


def _quotients(
    values: Array, fine: list[Fine], above: Coarse | None, policy: BlockPolicy, element: Scalar, *, plain: bool
) -> Array:
    """Every value over its scales."""
    steps, shape, lowest = Steps(policy), values.shape, float(element.min.fraction())
    if policy.quotient_steps == "sign" and policy.rounding_steps != "least_error":
        return _refined(np.where(values >= 0, steps.dtype(1), steps.dtype(-1)), None, lowest, policy)
    scale = spread(fine[0].used, fine[0].field, shape)
    if len(fine) > 1:
        scale = np.where(np.signbit(values) & ~np.isnan(values), spread(fine[1].used, fine[1].field, shape), scale)
    if policy.rounding_steps == "least_error":
        total = scale if above is None else steps.multiply(scale, spread(above.scale, above.field, shape))
        return boundaries.least_errors(values, total, element)
    over, pair = values, None
    if above is not None:
        upper, reciprocal = (spread(numbers, above.field, shape) for numbers in (above.scale, above.reciprocal))
        divides = steps.exact and above.divides
        over, pair = (over * reciprocal, None) if divides else (over, (upper, reciprocal))
    numbers, nothing, multiplies = quotients.divisor(scale, pair, policy)
    if fine[0].factors is not None:
        numbers, multiplies = spread(fine[0].factors, fine[0].field, shape), True
    if multiplies and policy.quotient_steps == "reciprocal_exact":
        result = np.multiply(over, numbers, dtype=np.float64)
    elif multiplies:
        result = steps.multiply(over, numbers)
    elif steps.exact and above is not None and above.divides and not in_binary32(values):
        result = product_over(values, spread(above.reciprocal, above.field, shape), numbers)
    elif steps.exact and plain:
        result = np.asarray(over / numbers)
    else:
        result = steps.divide(over, numbers)
    if policy.zero_scale != "infinite" and fine[0].factors is None and nothing.any():
        limit = steps.largest if policy.zero_scale == "largest" else 0
        instead = steps.multiply(over, steps.dtype(limit)) if policy.zero_scale != "lowest" else steps.dtype(-np.inf)
        result = np.where(np.broadcast_to(nothing, shape), instead, result)
    factors = (over, np.where(nothing, steps.dtype(0), numbers)) if multiplies else None
    result = _refined(result, factors, lowest, policy)
    absent = np.isnan(result)
    if absent.any():  # processors differ in the sign of a NaN that no operand had
        result[absent] = np.where(np.isnan(values), np.copysign(np.nan, values), np.nan)[absent]
    return result


def _refined(result: Array, factors: tuple[Array, Array] | None, lowest: float, policy: BlockPolicy) -> Array:
    """Quotients after the steps between them and the elements; ``factors``: whose products they are, if of any."""
    if policy.rounding_steps != "none":
        result = cut_sums(result, factors, lowest, policy)
    if policy.quotient_bins != "none":
        result = middles_of_bins(result)
    return _intermediate(result, policy) if policy.quotient_format else result


def middles_of_bins(quotients: Array) -> Array:
    """The middles of the bins that binary32 quotients are in, in steps of binary32 (bitsandbytes, csrc/cpu_ops.cpp)."""
    one, half, last = np.float32(1), np.float32(0.5), np.float32(BINS - 1)
    places = np.floor((np.clip(quotients, -one, one) + one) * half * last + half)
    return np.asarray(-one + places * np.float32(2) / last)


def _intermediate(quotients: Array, policy: BlockPolicy) -> Array:
    """Quotients that are rounded to the intermediate format of a policy; a NaN stays one."""
    name, spelling = policy.intermediate
    fmt = scalar_format(name)
    codes = encode(quotients, fmt, policy=spelled(spelling or fmt.default_policy, fmt))
    values = np.asarray(decode(codes, fmt, dtype=np.float64)).astype(quotients.dtype)
    return np.where(np.isnan(quotients), quotients, values)


def _rounded_suffices(fine: list[Fine], above: Coarse | None, element: Scalar) -> bool:
    """Whether a rounded quotient of a binary32 number is as good as an exact one."""
    bits = element.precision + 1 + fine[0].field.format.precision
    bits += 0 if above is None else above.field.format.precision
    return bits <= PLAIN_BITS

"""The searches of ggml-quants.c for the scales of a block, step by step in binary32.

Of https://github.com/ggml-org/ggml at d99724f; each function names the one that it is after. ``x`` are the values of a
block and ``w`` their weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.oracle.arithmetic.binary32 import Binary32

Numbers = Sequence[Binary32]

ZERO, ONE = Binary32(0), Binary32(1)
SMALLEST = Binary32(1e-15)
"""GROUP_MAX_EPS."""
MAGIC = Binary32(12582912)
"""3 * 2^22: in binary32, what is added to it and is below 2^22 is rounded to an integer."""
TENTH = Binary32(0.1)


def nearest_int(value: Binary32) -> int:
    """The low 23 bits of ``value + 3 * 2^22``, less 2^22."""
    return ((value + MAGIC).word & 0x7FFFFF) - 0x400000


def limited(code: int, lowest: int, highest: int) -> int:
    """The code, or the nearer of two ends."""
    return max(lowest, min(highest, code))


def first_peak(x: Numbers) -> Binary32:
    """The first number of the largest magnitude."""
    peak = ZERO
    for number in x:
        if abs(number) > abs(peak):
            peak = number
    return peak


def in_order(numbers: Numbers) -> Binary32:
    """The sum, one after the other."""
    total = ZERO
    for number in numbers:
        total = total + number
    return total


def affine(
    x: Numbers, w: Numbers, most: int, trials: tuple[float, float, int], *, absolute: bool
) -> tuple[Binary32, Binary32, list[int]]:
    """Scale, minimum and codes (``make_qkx2_quants``; with weights of importance ``make_qkx3_quants``)."""
    first, step, count = Binary32(trials[0]), Binary32(trials[1]), trials[2]
    low, high = min(x), max(x)
    low = ZERO if low > 0 else low  # a first -0 stays one, where the minimum is stored as it is
    if high == low:
        return ZERO, -low, [0] * len(x)

    def codes_by(inverse: Binary32) -> list[int]:
        return [limited(nearest_int(inverse * (number - low)), 0, most) for number in x]

    def error_of(codes: list[int], scale: Binary32, minimum: Binary32) -> Binary32:
        error = ZERO
        for number, weight, code in zip(x, w, codes, strict=True):
            off = scale * code + minimum - number
            error = error + weight * (abs(off) if absolute else off * off)
        return error

    sum_w, sum_x = in_order(w), in_order([weight * number for weight, number in zip(w, x, strict=True)])
    inverse = Binary32(most) / (high - low)
    scale, codes = ONE / inverse, codes_by(inverse)
    error = error_of(codes, scale, low)
    for trial in range(count + 1):
        tried = codes_by((first + step * trial + most) / (high - low))
        sum_l = sum_l2 = sum_xl = ZERO
        for number, weight, code in zip(x, w, tried, strict=True):
            sum_l = sum_l + weight * code
            sum_l2 = sum_l2 + weight * code * code
            sum_xl = sum_xl + weight * code * number
        determinant = sum_w * sum_l2 - sum_l * sum_l
        if determinant > 0:
            tried_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
            minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
            if minimum > 0:
                tried_scale, minimum = sum_xl / sum_l2, ZERO
            tried_error = error_of(tried, tried_scale, minimum)
            if tried_error < error:
                error, scale, low, codes = tried_error, tried_scale, minimum, tried
    return scale, -low, codes


def sums_by(x: Numbers, w: Numbers, codes: Sequence[int]) -> tuple[Binary32, Binary32]:
    """The sums of w x l and w l^2."""
    sum_xl = sum_l2 = ZERO
    for number, weight, code in zip(x, w, codes, strict=True):
        sum_xl = sum_xl + weight * number * code
        sum_l2 = sum_l2 + weight * code * code
    return sum_xl, sum_l2


def symmetric(x: Numbers, w: Numbers, half: int) -> tuple[Binary32, list[int]]:
    """Scale and codes (``make_qx_quants`` with rmse_type 1)."""
    peak = first_peak(x)
    if abs(peak) < SMALLEST:
        return ZERO, [-half] * len(x)

    def codes_by(numerator: Binary32) -> list[int]:
        inverse = numerator / peak
        return [limited(nearest_int(inverse * number), -half, half - 1) for number in x]

    codes = codes_by(Binary32(-half))
    sum_xl, sum_l2 = sums_by(x, w, codes)
    scale = sum_xl / sum_l2 if sum_l2 else ZERO
    best = scale * sum_xl
    for trial in (*range(-9, 0), *range(1, 10)):
        tried = codes_by(-(TENTH * trial + half))
        sum_xl, sum_l2 = sums_by(x, w, tried)
        if sum_l2 > 0 and sum_xl * sum_xl > best * sum_l2:
            codes, scale = tried, sum_xl / sum_l2
            best = scale * sum_xl
    return scale, codes


def by_moves(x: Numbers, half: int) -> tuple[Binary32, list[int]]:
    """Scale and codes (``make_q3_quants``)."""
    peak = first_peak(x)
    if abs(peak) < SMALLEST:
        return ZERO, [-half] * len(x)
    w = [number * number for number in x]
    inverse = Binary32(-half) / peak
    codes = [limited(nearest_int(inverse * number), -half, half - 1) for number in x]
    sum_xl, sum_l2 = sums_by(x, w, codes)
    for _ in range(5):
        before = list(codes)
        for place, (number, weight) in enumerate(zip(x, w, strict=True)):
            other_xl = sum_xl - weight * number * codes[place]
            if not other_xl > 0:
                continue
            other_l2 = sum_l2 - weight * codes[place] * codes[place]
            moved = limited(nearest_int(number * other_l2 / other_xl), -half, half - 1)
            if moved == codes[place]:
                continue
            other_xl = other_xl + weight * number * moved
            other_l2 = other_l2 + weight * moved * moved
            if other_l2 > 0 and other_xl * other_xl * sum_l2 > sum_xl * sum_xl * other_l2:
                codes[place], sum_xl, sum_l2 = moved, other_xl, other_l2
        if codes == before:
            break
    return (sum_xl / sum_l2 if sum_l2 > 0 else ZERO), codes


def factor(x: Numbers, w: Numbers, most: int) -> tuple[Binary32, list[int]]:
    """The factor of scales and their codes, which are kept in 8 bits (``make_qp_quants``)."""
    peak = ZERO
    for number in x:
        peak = max(number, peak)
    if peak < SMALLEST:
        return ZERO, [0] * len(x)
    inverse = _inverse_factor(x, w, most, peak)
    whole = [min(most, nearest_int(inverse * number)) for number in x]
    sum_xl, sum_l2 = sums_by(x, w, whole)
    codes = [code & 0xFF for code in whole]
    for _ in range(5):
        change = False
        for place, (number, weight) in enumerate(zip(x, w, strict=True)):
            other_xl = sum_xl - weight * number * codes[place]
            other_l2 = sum_l2 - weight * codes[place] * codes[place]
            moved = min(most, nearest_int(number * other_l2 / other_xl))
            if not (other_xl > 0 and other_l2 > 0) or moved == codes[place]:
                continue
            other_xl = other_xl + weight * number * moved
            other_l2 = other_l2 + weight * moved * moved
            if other_xl * other_xl * sum_l2 > sum_xl * sum_xl * other_l2:
                codes[place], sum_xl, sum_l2, change = moved & 0xFF, other_xl, other_l2, True
        if not change:
            break
    return (sum_xl / sum_l2 if sum_l2 > 0 else ZERO), codes


def _inverse_factor(x: Numbers, w: Numbers, most: int, peak: Binary32) -> Binary32:
    """Of nine, the one of the smallest error; the first one's codes are kept in 8 bits already."""

    def error_of(scale: Binary32, codes: Sequence[int]) -> Binary32:
        error = ZERO
        for number, weight, code in zip(x, w, codes, strict=True):
            off = number - scale * code
            error = error + weight * off * off
        return error

    inverse = Binary32(most) / peak
    least = error_of(ONE / inverse, [nearest_int(inverse * number) & 0xFF for number in x])
    for trial in (*range(-4, 0), *range(1, 5)):
        tried = (TENTH * trial + most) / peak
        error = error_of(ONE / tried, [min(most, nearest_int(tried * number)) for number in x])
        if error < least:
            least, inverse = error, tried
    return inverse


def nearest_element(number: Binary32, table: Sequence[int]) -> int:
    """The place of the element that is nearest (``best_index_int8``), for NaN the last one."""
    if number <= table[0]:
        return 0
    above = next((place for place, element in enumerate(table) if number < element), None)
    if above is None:
        return len(table) - 1
    return above - 1 if number - table[above - 1] < Binary32(table[above]) - number else above


def from_table(x: Numbers, w: Numbers, table: Sequence[int], tries: int) -> tuple[Binary32, Binary32]:
    """The scale, and the inverse of the first trial (``quantize_row_iq4_nl_impl``).

    The value of the largest magnitude becomes minus the first element in the first trial or, where that is the only one
    (``tries`` is 0, and ggml's ``ntry`` -1), the first element.
    """
    peak = first_peak(x)
    if abs(peak) < SMALLEST:
        return ZERO, ZERO

    def sums(inverse: Binary32) -> tuple[Binary32, Binary32]:
        sum_xl = sum_l2 = ZERO
        for number, weight in zip(x, w, strict=True):
            element = table[nearest_element(inverse * number, table)]
            sum_xl = sum_xl + weight * element * number
            sum_l2 = sum_l2 + weight * element * element
        return sum_xl, sum_l2

    first = ONE / (peak / (-table[0] if tries else table[0]))
    sum_xl, sum_l2 = sums(first)
    scale = sum_xl / sum_l2 if sum_l2 > 0 else ZERO
    best = scale * sum_xl
    for trial in range(-tries, tries + 1) if tries else ():
        sum_xl, sum_l2 = sums(Binary32(trial + table[0]) / peak)
        if sum_l2 > 0 and sum_xl * sum_xl > best * sum_l2:
            scale = sum_xl / sum_l2
            best = scale * sum_xl
    return scale, first

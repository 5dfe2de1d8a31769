"""The operands of integer GEMM as tiles read them: panels packed, rows copied, terms summed, all in scratch memory.

With operands a' and b' as the instruction reads them and p, q their zero points, the product is
sum a' b' - q sum a' - p sum b' + k p q. Each block of k has its part of the sums: a term of the row and a term of the
column, which the tile adds; k p q and the bias are in the column's term of the first block. All of it is modulo 2**32.
Addresses and distances are in bytes.
"""

import numpy as np

from lowbit.kernels._jit import scalar

MOST_ROWS = 4096
"""Rows between two passes over the right operand; their terms are kept."""

MOST_COLUMNS = 4096

RIGHT_BYTES = 1 << 19
"""Packed right operand that is kept, half of a second-level cache of 1 MiB."""

MOST_K_BYTES = 2048
"""Bytes of k in a block. Every further block reads and writes the results once more, so that blocks are long, although
panels stay in a first-level cache of 32 KiB only below 512 bytes of k."""

MOST_K_BYTES_COPIED = 1024
"""The same where the left operand is copied, for the copy shares the second-level cache."""

LEFT_BYTES = 3 << 17
"""Left operand that stays in the second-level cache, beside the packed right one, while panels change."""

LEFT_ROWS = 192
"""Rows of the left operand that are copied at a time: a multiple of panels and of tiles."""

LEFT_SPACING = 64
"""Added to the distance of copied rows, lest they fall into the same lines of the cache."""


# Scratch memory, in 32-bit words.
ROW_TERMS = 0
COLUMN_TERMS = ROW_TERMS + MOST_ROWS + LEFT_ROWS
FLIPS = COLUMN_TERMS + MOST_COLUMNS + 64
RIGHT = FLIPS + 16
LEFT = RIGHT + RIGHT_BYTES // 4
SCRATCH_WORDS = LEFT + LEFT_ROWS * (MOST_K_BYTES_COPIED + 2 * LEFT_SPACING) // 4


@scalar
def address(array):
    """Where an array begins."""
    return np.int64(array.ctypes.data)


@scalar
def units_of_panel(shape, column, groups):
    """Into how many units the packing of a panel divides: groups of k, or squares of words if k is contiguous."""
    element, lanes, panel = shape
    return groups if column == element else panel // lanes * ((groups + lanes - 1) // lanes)


@scalar
def pack_units(interleave, transpose, shape, right, k, columns, flip, panel_at, begin, end):
    """Pack some of the units of a panel, of which ``columns`` and those behind them are left."""
    element, lanes, panel = shape
    address, row, column = right
    per_group = 4 // element
    if column == element:
        for g in range(begin, end):
            top = g * per_group
            interleave(address + top * row, row, k - top, columns, flip, panel_at + g * panel * 4)
        return
    squares = ((k * element + 3) // 4 + lanes - 1) // lanes
    for unit in range(begin, end):
        j, g = unit // squares * lanes, unit % squares * lanes
        source, target = address + j * column + 4 * g, panel_at + (g * panel + j) * 4
        transpose(source, column, columns - j, k * element - 4 * g, flip, target)


@scalar
def copy_rows(interleave, copy, shape, left, rows, k, flip, target):
    """Copy rows of the left operand for tiles to read: where they are then, the distances of rows and of groups."""
    element, _, panel = shape
    address, row, column = left
    if column == element:
        distance = (k * element + 63) // 64 * 64 + LEFT_SPACING
        for i in range(rows):
            copy(address + i * row, k * element, flip, target + i * distance)
        return target, distance, np.int64(4)
    per_group = 4 // element
    for g in range((k * element + 3) // 4):
        top = g * per_group
        for i in range(0, rows, panel):
            source = address + i * element + top * column
            interleave(source, column, k - top, rows - i, flip, target + (g * LEFT_ROWS + i) * 4)
    return target, np.int64(4), np.int64(4 * LEFT_ROWS)


@scalar
def sum_rows(kit, left, rows, groups, factor, scratch, first):
    """The terms of rows, the ``first`` of the block and on: a factor times their sums.

    Rows that are not in one piece are summed by registers, with some of those behind them; their turn comes after.
    """
    _, row_sum, left_sums, _, _, _, _ = kit
    at, distance, step = left
    target = address(scratch) + 4 * (ROW_TERMS + first)
    if step == 4:
        for i in range(rows):
            row_sum(at + i * distance, groups, target + 4 * i)
    else:
        left_sums(at, step, groups, target)
    for i in range(ROW_TERMS + first, ROW_TERMS + first + rows):
        scratch[i] = np.int32(factor * scratch[i])


@scalar
def start_columns(right_sums, shape, panel_at, j, columns, groups, terms, scratch):
    """The terms of a panel's columns, the j-th and on: a constant, the bias, and a factor times their sums.

    The sums are given or found in the panel; before blocks of k other than the first, ``begin`` is negative.
    """
    _, lanes, panel = shape
    constant, factor, bias, sums, begin = terms
    target = COLUMN_TERMS + j
    for x in range(target, target + panel):
        scratch[x] = np.int32(0)
    if factor != 0 and sums.size == 0:
        for x in range(0, panel, lanes):
            right_sums(panel_at + 4 * x, 4 * panel, groups, address(scratch) + 4 * (target + x))
        for x in range(target, target + panel):
            scratch[x] = np.int32(factor * scratch[x])
    if begin < 0:
        return
    for x in range(min(panel, columns - j)):
        term = scratch[target + x] + constant
        if sums.size > 0:
            term += factor * sums[begin + j + x]
        if bias.size > 0:
            term += bias[begin + j + x]
        scratch[target + x] = np.int32(term)

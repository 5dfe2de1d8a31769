"""The loops around the tile of integer GEMM: which blocks are packed, where they stay, and what is added to them.

Blocks of k outside, so that sums of rows serve a block at a time; then blocks of columns of the right operand, packed
to stay in the second-level cache; then rows, of which a tile's worth stays in the first-level cache while it meets all
packed panels (Goto and van de Geijn, ACM TOMS 34.3, 2008). The left operand is read where it lies if k is contiguous
in it, and copied into scratch memory otherwise.

With operands a' and b' as the instruction reads them and p, q their zero points, each block of k contributes
sum a' b' - q sum a' - p sum b' + k p q: a term of the row and a term of the column, which the tile starts from.
All of it is modulo 2**32. Addresses and distances are in bytes.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import scalar

MOST_ROWS = 4096
"""Rows between two passes over the right operand; their terms are kept."""

MOST_COLUMNS = 4096

RIGHT_BYTES = 1 << 19
"""Packed right operand that is kept, half of a second-level cache of 1 MiB."""

MOST_K_BYTES = 2048
"""Bytes of k in a block: six rows of them leave room in a first-level cache of 32 KiB."""

MOST_K_BYTES_COPIED = 1024
"""The same where the left operand is copied, for the copy shares the second-level cache."""

LEFT_ROWS = 192
"""Rows of the left operand that are copied at a time: a multiple of panels and of tiles."""

LEFT_SPACING = 64
"""Added to the distance of copied rows, lest they fall into the same lines of the cache."""


# Scratch memory, in 32-bit words.
ROW_TERMS = 0
COLUMN_TERMS = ROW_TERMS + MOST_ROWS + LEFT_ROWS
RIGHT = COLUMN_TERMS + MOST_COLUMNS + 64
LEFT = RIGHT + RIGHT_BYTES // 4
SCRATCH_WORDS = LEFT + LEFT_ROWS * (MOST_K_BYTES_COPIED + 2 * LEFT_SPACING) // 4


@scalar
def address(array):
    """Where an array begins."""
    return np.int64(array.ctypes.data)


@scalar
def pack_panels(interleave, transpose, shape, right, k, columns, flip, panels, panel_bytes):
    """Pack columns of the right operand, all of k; rows are read from left to right, as memory likes it."""
    element, lanes, panel = shape
    address, row, column = right
    per_group = 4 // element
    groups = (k * element + 3) // 4
    if column == element:
        for g in range(groups):
            top = g * per_group
            for j in range(0, columns, panel):
                source, target = address + top * row + j * element, panels + j // panel * panel_bytes + g * panel * 4
                interleave(source, row, k - top, columns - j, flip, target)
        return
    for j in range(0, columns, lanes):
        target = panels + j // panel * panel_bytes + j % panel * 4
        for g in range(0, groups, lanes):
            source = address + j * column + 4 * g
            transpose(source, column, columns - j, k * element - 4 * g, flip, target + g * panel * 4)


@scalar
def copy_rows(interleave, copy, shape, left, rows, k, flip, target):
    """Copy rows of the left operand so that tiles can read it; the new distances of rows and of groups."""
    element, _, panel = shape
    address, row, column = left
    if column == element:
        distance = (k * element + 63) // 64 * 64 + LEFT_SPACING
        for i in range(rows):
            copy(address + i * row, k * element, flip, target + i * distance)
        return distance, 4
    per_group = 4 // element
    for g in range((k * element + 3) // 4):
        top = g * per_group
        for i in range(0, rows, panel):
            source = address + i * element + top * column
            interleave(source, column, k - top, rows - i, flip, target + (g * LEFT_ROWS + i) * 4)
    return 4, 4 * LEFT_ROWS


@scalar
def sum_rows(row_sum, left_sums, shape, at, distance, step, rows, groups, factor, base, scratch, first):
    """The terms of rows from ``first`` on: a factor times their sums."""
    target = base + 4 * (ROW_TERMS + first)
    if step == 4:
        for i in range(rows):
            row_sum(at + i * distance, groups, target + 4 * i)
    else:
        for i in range(0, rows, shape[1]):
            left_sums(at + i * distance, step, groups, target + 4 * i)
    for i in range(ROW_TERMS + first, ROW_TERMS + first + rows):
        scratch[i] = np.int32(factor * scratch[i])


@scalar
def start_columns(right_sums, shape, panels, panel_bytes, columns, groups, terms, base, scratch):
    """The terms of columns: a constant, the bias, and a factor times their sums, given or found from the panels."""
    _, lanes, panel = shape
    constant, factor, bias, sums, begin = terms
    for j in range(COLUMN_TERMS, COLUMN_TERMS + columns + panel):
        scratch[j] = np.int32(0)
    if factor != 0 and sums.size == 0:
        for j in range(0, columns, lanes):
            source = panels + j // panel * panel_bytes + j % panel * 4
            right_sums(source, 4 * panel, groups, base + 4 * (COLUMN_TERMS + j))
        for j in range(COLUMN_TERMS, COLUMN_TERMS + columns):
            scratch[j] = np.int32(factor * scratch[j])
    if begin < 0:
        return
    if sums.size > 0:
        for j in range(columns):
            scratch[COLUMN_TERMS + j] = np.int32(factor * sums[begin + j])
    for j in range(columns):
        scratch[COLUMN_TERMS + j] = np.int32(scratch[COLUMN_TERMS + j] + constant)
    if bias.size > 0:
        for j in range(columns):
            scratch[COLUMN_TERMS + j] = np.int32(scratch[COLUMN_TERMS + j] + bias[begin + j])


@scalar
def multiply_rows(tile, shape, tile_rows, left, rows, panels, panel_bytes, columns, groups, out, terms, accumulate):
    """Rows that are in place times packed panels."""
    _, lanes, panel = shape
    address, distance, step = left
    out_at, out_row = out
    row_terms, column_terms = terms
    for i in range(0, rows, tile_rows):
        height = min(tile_rows, rows - i)
        for j in range(0, columns, panel):
            width = min(panel, columns - j)
            vectors = (width + lanes - 1) // lanes
            mask = (1 << (width - lanes * (vectors - 1))) - 1
            tile(
                height,
                vectors,
                address + i * distance,
                distance,
                step,
                panels + j // panel * panel_bytes,
                groups,
                out_at + i * out_row + 4 * j,
                out_row,
                row_terms + 4 * i,
                column_terms + 4 * j,
                accumulate,
                mask,
            )


@scalar
def block_of_k(most, k, element):
    """Elements of k in a block: as even as can be, in whole groups, at most ``most`` bytes."""
    blocks = (k * element + most - 1) // most
    per_group = 4 // element
    return ((k + blocks - 1) // blocks + per_group - 1) // per_group * per_group


@scalar
def place_panels(kit, shape, b, offsets, depth, columns, flip, packed, target):
    """Where the panels of a block are, and the distance from one to the next: packed before, or now."""
    element, _, panel = shape
    at, row, column, packed_bytes = b
    inner, first = offsets
    if packed:
        return at + first // panel * packed_bytes + inner * element * panel, packed_bytes
    panel_bytes = (depth * element + 3) // 4 * 4 * panel
    right = (at + inner * row + first * column, row, column)
    pack_panels(kit[4], kit[5], shape, right, depth, columns, flip, target, panel_bytes)
    return target, panel_bytes


@scalar
def multiply_chunks(kit, shape, tile_rows, left, rows, depth, flip, right, out, factor, accumulate, base, scratch):
    """All rows times the packed panels, chunk by chunk: copied if need be, their terms found, multiplied."""
    tile, row_sum, left_sums, _, interleave, _, copy = kit
    left_at, row, column = left
    panels, panel_bytes, columns = right
    out_at, out_row = out
    groups = (depth * shape[0] + 3) // 4
    in_place = reads_in_place(column, depth, flip, shape[0])
    for i in range(0, rows, LEFT_ROWS):
        height = min(LEFT_ROWS, rows - i)
        at, distance, step = left_at + i * row, row, np.int64(4)
        if not in_place:
            target = base + 4 * LEFT
            distance, step = copy_rows(interleave, copy, shape, (at, row, column), height, depth, flip, target)
            at = target
        if factor != 0:
            sum_rows(row_sum, left_sums, shape, at, distance, step, height, groups, factor, base, scratch, i)
        terms = (base + 4 * (ROW_TERMS + i), base + 4 * COLUMN_TERMS)
        source, place = (at, distance, step), (out_at + i * out_row, out_row)
        multiply_rows(
            tile, shape, tile_rows, source, height, panels, panel_bytes, columns, groups, place, terms, accumulate
        )


@scalar
def reads_in_place(column, depth, flip, element):
    """Whether tiles can read the left operand where it is: k contiguous, in whole groups, nothing to flip."""
    return column == element and flip == 0 and (depth * element) % 4 == 0


@scalar
def multiply(kit, shape, tile_rows, a, b, c, bias, sums, scratch, numbers):
    """The product of ``a`` (m, k) and ``b`` (k, n), or of ``a`` and panels of ``b`` packed before.

    Parameters
    ----------
    kit : tuple
        tile, row_sum, left_sums, right_sums, interleave, transpose, copy.
    shape : tuple
        Bytes of an element, lanes of a register, columns of a panel.
    tile_rows : int
    a, b : 2-D arrays
        One of the axes of each is contiguous.
    c : (m, n) int32 array
        Its rows are contiguous.
    bias, sums : int32 arrays
        To be added to each column, and sums of columns of panels packed before; or empty.
    scratch : int32 array of ``SCRATCH_WORDS``
    numbers : tuple
        Zero points of a and b as the instruction reads them, bits to flip in a and in b, whether b is packed.
    """
    element, _, panel = shape
    a_zero, b_zero, a_flip, b_flip, packed = numbers
    m, k, n = a.shape[0], a.shape[1], c.shape[1]
    a_at, c_at, base = address(a), address(c), address(scratch)
    a_row, a_column = a.strides
    c_row = c.strides[0]
    most = MOST_K_BYTES if reads_in_place(a_column, k, a_flip, element) else MOST_K_BYTES_COPIED
    block = block_of_k(most, k, element)
    whole = (address(b), b.strides[0], b.strides[1], (k * element + 3) // 4 * 4 * panel)
    for top in range(0, m, MOST_ROWS):
        rows = min(MOST_ROWS, m - top)
        for i in range(ROW_TERMS, ROW_TERMS + rows):
            scratch[i] = np.int32(0)
        for inner in range(0, k, block):
            depth = min(block, k - inner)
            groups = (depth * element + 3) // 4
            width = min(MOST_COLUMNS, RIGHT_BYTES // (groups * 4 * panel) * panel)
            for first in range(0, n, width):
                columns = min(width, n - first)
                panels, panel_bytes = place_panels(
                    kit, shape, whole, (inner, first), depth, columns, b_flip, packed, base + 4 * RIGHT
                )
                terms = (k * a_zero * b_zero, -a_zero, bias, sums, first if inner == 0 else -1)
                start_columns(kit[3], shape, panels, panel_bytes, columns, groups, terms, base, scratch)
                left = (a_at + top * a_row + inner * a_column, a_row, a_column)
                right = (panels, panel_bytes, columns)
                out = (c_at + top * c_row + 4 * first, c_row)
                factor = -b_zero if first == 0 else 0
                multiply_chunks(
                    kit, shape, tile_rows, left, rows, depth, a_flip, right, out, factor, inner, base, scratch
                )

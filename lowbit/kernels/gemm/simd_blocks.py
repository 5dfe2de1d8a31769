"""The loops around the tiles of integer GEMM: which blocks are packed when, and where they stay.

Blocks of rows outside, as many as there is memory for their terms; in them blocks of k, so that sums of rows serve a
block at a time; then blocks of columns of the right operand and groups of rows of the left one, which stay in the
second-level cache together; then panels, each of which stays in the first-level cache, if it fits, while all rows of
the group meet it (after Goto and van de Geijn, ACM TOMS 34.3, 2008).

Tiles leave most of the processor idle, so those of one panel pack the next one in their loops, and rows are summed just
before their first tile. The left operand is read where it lies if k is contiguous in it and makes whole groups, and
nothing is to be flipped; it is copied otherwise. Addresses and distances are in bytes.
"""

import numpy as np

from lowbit.kernels._jit import part, scalar
from lowbit.kernels.gemm.simd_operands import (
    COLUMN_TERMS,
    FLIPS,
    LEFT,
    LEFT_BYTES,
    LEFT_ROWS,
    MOST_COLUMNS,
    MOST_K_BYTES,
    MOST_K_BYTES_COPIED,
    MOST_ROWS,
    RIGHT,
    RIGHT_BYTES,
    ROW_TERMS,
    address,
    copy_rows,
    pack_units,
    start_columns,
    sum_rows,
    units_of_panel,
)
from lowbit.kernels.gemm.simd_tile import PACK_AFTER, UNROLLED


@part
def multiply_group(kit, shape, tile_rows, left, rows, right, depth, source, out, terms, scratch):
    """A group of rows that are in place times panels, which the first group packs.

    Parameters
    ----------
    kit, shape, tile_rows, scratch
        As for :func:`multiply`.
    left : tuple
        Where the rows begin, the distances of rows and of groups of k.
    rows : int
    right : tuple
        Where the panels begin, the distance from one to the next, how many columns they have.
    depth : int
        Elements of k in the block.
    source : tuple
        Where the right operand begins, its distances of rows and columns, bits to flip, whether to pack it.
    out : tuple
        Where the result begins, the distance of its rows, whether to add to what is there.
    terms : tuple
        Where the terms of the rows and of the columns are, or 0 if there are none; which row of the block is the first;
        the factor of rows' sums, 0 if they are known or not needed; what ``start_columns`` makes the others of.
    """
    tiles, _, _, right_sums, interleave, transpose, _ = kit
    element, lanes, panel = shape
    left_at, distance, step = left
    panels, panel_bytes, columns = right
    source_at, source_row, source_column, flip, packs = source
    out_at, out_row, accumulate = out
    row_terms, column_terms, first, factor, of_columns = terms
    groups = (depth * element + 3) // 4
    units = units_of_panel(shape, source_column, groups) if packs else 0
    whole = depth // 4 if packs and element == source_column == 1 and step == 4 else 0
    share = min((whole * tile_rows + rows - 1) // rows, turns_to_pack(groups))
    packed = 0
    for j in range(0, columns, panel):
        width = min(panel, columns - j)
        vectors = (width + lanes - 1) // lanes
        mask = (1 << (width - lanes * (vectors - 1))) - 1
        at = panels + j // panel * panel_bytes
        here = (source_at + j * source_column, source_row, source_column)
        pack_units(interleave, transpose, shape, here, depth, width, flip, at, packed, units)
        packed = 0
        if column_terms and first == 0:
            start_columns(right_sums, shape, at, j, columns, groups, of_columns, scratch)
        ahead = source_at + (j + panel) * source_column
        left_to_pack = whole if j + 2 * panel <= columns else 0
        i = 0
        while i < rows:
            height, count = next_tiles(tile_rows, rows - i)
            if factor != 0 and j == 0:
                count = 1
                sum_rows(kit, (left_at + i * distance, distance, step), height, groups, factor, scratch, first + i)
            tiles(
                height,
                vectors,
                count,
                left_at + i * distance,
                distance,
                step,
                at,
                groups,
                out_at + i * out_row + 4 * j,
                out_row,
                row_terms + 4 * i if row_terms else 0,
                column_terms + 4 * j if column_terms else 0,
                accumulate,
                mask,
                ahead + 4 * packed * source_row,
                source_row,
                address(scratch) + 4 * FLIPS,
                at + panel_bytes + 4 * packed * panel,
                left_to_pack - packed,
                share,
            )
            if height == tile_rows:
                packed = min(packed + count * share, left_to_pack)
            i += height * count


@scalar
def turns_to_pack(groups):
    """In how many turns of its loop a tile may pack."""
    turns = groups // UNROLLED
    return turns - turns // PACK_AFTER


@scalar
def next_tiles(most, rows):
    """The height of the next tiles and how many there are: the last two share what is left.

    Small ones would keep the multiplier waiting.
    """
    if rows > most + most // 2:
        rest = rows % most
        return most, rows // most - (1 if 0 < rest <= most // 2 else 0)
    return ((rows + 1) // 2 if rows > most else rows), 1


@scalar
def block_of_k(most, k, element):
    """Elements of k in a block: as even as can be, in whole groups, at most ``most`` bytes."""
    blocks = (k * element + most - 1) // most
    per_group = 4 // element
    return ((k + blocks - 1) // blocks + per_group - 1) // per_group * per_group


@scalar
def rows_of_group(most, rows, tile_rows):
    """Rows in a group: as even as can be, in whole tiles, about ``most``."""
    parts = (rows + most - 1) // most
    return ((rows + parts - 1) // parts + tile_rows - 1) // tile_rows * tile_rows


@scalar
def reads_in_place(column, depth, flip, element):
    """Whether tiles can read the left operand where it is: k contiguous, in whole groups, nothing to flip."""
    return column == element and flip == 0 and (depth * element) % 4 == 0


@part
def multiply(kit, shape, tile_rows, a, b, c, bias, sums, scratch, numbers):
    """The product of ``a`` (m, k) and ``b`` (k, n), or of ``a`` and panels of ``b`` packed before.

    Parameters
    ----------
    kit : tuple
        tiles, row_sum, left_sums, right_sums, interleave, transpose, copy.
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
    a_at, b_at, c_at, base = address(a), address(b), address(c), address(scratch)
    a_row, a_column = a.strides
    b_row, b_column = b.strides
    c_row = c.strides[0]
    for i in range(FLIPS, FLIPS + 16):
        scratch[i] = np.int32(b_flip * 0x01010101)
    in_place = reads_in_place(a_column, k, a_flip, element)
    block = block_of_k(MOST_K_BYTES if in_place else MOST_K_BYTES_COPIED, k, element)
    for top in range(0, m, MOST_ROWS):
        rows = min(MOST_ROWS, m - top)
        for inner in range(0, k, block):
            depth = min(block, k - inner)
            group_bytes = (depth * element + 3) // 4 * 4
            most_rows = max(LEFT_BYTES // group_bytes, LEFT_ROWS) if in_place else LEFT_ROWS
            together = rows_of_group(most_rows, rows, tile_rows)
            width = min(MOST_COLUMNS, RIGHT_BYTES // (group_bytes * panel) * panel)
            for first in range(0, n, width):
                columns = min(width, n - first)
                if packed:
                    right = (b_at + first // panel * b_row + inner * element * panel, b_row, columns)
                else:
                    right = (base + 4 * RIGHT, group_bytes * panel, columns)
                of_columns = (k * a_zero * b_zero, -a_zero, bias, sums, first if inner == 0 else -1)
                for i in range(0, rows, together):
                    height = min(together, rows - i)
                    left = (a_at + (top + i) * a_row + inner * a_column, a_row, a_column)
                    if in_place:
                        left = (left[0], a_row, np.int64(4))
                    else:
                        left = copy_rows(kit[4], kit[6], shape, left, height, depth, a_flip, base + 4 * LEFT)
                    packs = not packed and i == 0
                    source = (b_at + inner * b_row + first * b_column, b_row, b_column, b_flip, packs)
                    out = (c_at + (top + i) * c_row + 4 * first, c_row, inner)
                    row_terms = base + 4 * (ROW_TERMS + i) if b_zero != 0 else 0
                    column_terms = base + 4 * COLUMN_TERMS if a_zero != 0 or bias.size > 0 else 0
                    terms = (row_terms, column_terms, i, -b_zero if first == 0 else 0, of_columns)
                    multiply_group(kit, shape, tile_rows, left, height, right, depth, source, out, terms, scratch)

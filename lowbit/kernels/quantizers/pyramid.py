"""Vectors of integers whose magnitudes add up to a number of pulses, and their places in two orders.

``table[n, k]`` is Opus' U(n, k): U(0, 0) = 1, 0 where n or k alone is 0, else ``U(n - 1, k) + U(n, k - 1) +
U(n - 1, k - 1)``. There are ``U(n, k) + U(n, k + 1)`` vectors of n numbers and k pulses; ``U(n, k + 1) - U(n, k)`` of
them begin with 0, ``U(n, k - m + 1) - U(n, k - m)`` with m > 0, and as many with -m. Both kernels run on Python
integers as they are, for tables beyond 64 bits.
"""

from lowbit.kernels._jit import kernel


@kernel
def indices_of(vectors, table, opus, indices):
    """How many vectors come before each: those that have an earlier number at the first place where they differ."""
    rows, length = vectors.shape
    for row in range(rows):
        index = 0
        left = 0
        for place in range(length - 1, -1, -1):
            own, size, after = vectors[row, place], length - place, left
            left = after + abs(own)
            if opus:  # left, ..., 1, 0, -left, ..., -1
                index += table[size, after]
                if own < 0:
                    index += table[size, left + 1]
            elif own != 0:  # 0, 1, -1, 2, -2, ...
                index += table[size, left + 1] + table[size, left] - 2 * table[size, after + 1]
                if own < 0:
                    index += table[size, after + 1] - table[size, after]
        indices[row] = index


@kernel
def vectors_of(indices, table, opus, pulses, vectors):
    """The inverse: number after number, of as many pulses as leave the vectors before it behind."""
    rows, length = vectors.shape
    for row in range(rows):
        index, left = indices[row], pulses
        for place in range(length):
            size, after, negative = length - place, left, False
            zeros = table[size, left + 1] - table[size, left]
            if opus:
                negative = index >= table[size, left + 1]
                if negative:
                    index -= table[size, left + 1]
                while table[size, after] > index:
                    after -= 1
                index -= table[size, after]
            elif index >= zeros:
                index -= zeros
                after -= 1
                while after > 0 and 2 * (table[size, left] - table[size, after]) <= index:
                    after -= 1
                index -= 2 * (table[size, left] - table[size, after + 1])
                own = table[size, after + 1] - table[size, after]
                negative = index >= own
                if negative:
                    index -= own
            vectors[row, place] = after - left if negative else left - after
            left = after

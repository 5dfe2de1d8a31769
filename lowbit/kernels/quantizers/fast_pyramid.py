"""The vector of pulses nearest in direction, in binary64: an exception to the int64 rule.

Source: Fischer, "A Pyramid Vector Quantizer", IEEE Transactions on Information Theory 32 (1986), section V, with the
greedy end of Opus (RFC 6716, section 5.3.8.1).
"""

import numpy as np

from lowbit.kernels._jit import kernel


@kernel
def nearest_pulses(values, pulses, vectors):
    """Magnitudes scaled to a sum of ``pulses`` and cut to integers; each pulse left goes where the cosine rises most.

    The floors of the shares never exceed ``pulses``: they are at most the sum of shares, which rounding moves by less
    than one. The first of equal places takes a pulse, and all of them where every value is zero.
    """
    rows, length = values.shape
    share, odd, score = np.empty(length), np.empty(length), np.empty(length)
    for row in range(rows):
        total = 0.0
        for place in range(length):
            total += abs(values[row, place])
        chosen, product, square = 0.0, 0.0, 0.0
        for place in range(length):
            share[place] = abs(values[row, place]) / total * pulses if total > 0 else 0.0
            own = np.floor(share[place])
            odd[place] = 2 * own + 1  # what a further pulse adds to its square
            chosen += own
            product += share[place] * own
            square += own * own
        left = pulses - np.int64(chosen)
        if total == 0:
            odd[0], left = 2 * pulses + 1, 0
        for _ in range(left):
            for place in range(length):  # apart from the search, so that it is vectorised
                score[place] = (product + share[place]) * (product + share[place]) / (square + odd[place])
            best = 0
            for place in range(1, length):
                if score[place] > score[best]:
                    best = place
            product += share[best]
            square += odd[best]
            odd[best] += 2
        for place in range(length):
            own = np.int64(odd[place]) >> 1
            vectors[row, place] = -own if values[row, place] < 0 else own

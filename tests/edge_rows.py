"""Blocks of the edges of binary32."""

import numpy as np

LARGEST = np.finfo(np.float32).max


def edge_rows(length, seed):
    """Blocks of the edges of binary32.

    Beside its largest number, a range beyond it, values of any size, tiny ones down to the last subnormal number,
    powers of two, zeros of both signs beside values of one sign, NaNs and infinities in any place.
    """
    drawn, count = np.random.default_rng(seed), 32
    normal, place = drawn.normal(size=(16, count, length)), drawn.integers(0, length, (2, count))
    signs, at = drawn.choice([-1, 0, 1], (count, length)), np.arange(count)
    kinds = {
        "one number": normal[0],
        "any numbers": normal[1],
        "beyond": drawn.uniform(-1, 1, (count, length)) * LARGEST,
        "largest": drawn.choice([LARGEST, -LARGEST, np.nextafter(LARGEST, np.float32(0)), 0, 1], (count, length)),
        "any size": normal[2] * np.exp2(drawn.integers(-126, 125, (count, 1))),
        "any sizes": normal[3] * np.exp2(drawn.integers(-140, 125, (count, length))),
        "powers": signs * np.exp2(drawn.integers(-4, 4, (count, length)) + drawn.integers(-120, 123, (count, 1))),
        "tiny": normal[4] * np.exp2(drawn.integers(-149, -118, (count, 1))),
        "tiny powers": signs * np.exp2(drawn.integers(0, 3, (count, length)) + drawn.integers(-149, -118, (count, 1))),
        "zeros": np.where(normal[5] < 0, -0.0, 0.0),
        "from zero on": np.where(normal[6] < 0, -0.0, np.abs(normal[7])),
        "up to zero": np.where(normal[8] < 0, -0.0, -np.abs(normal[9])),
        "one special": normal[10],
        "two specials": normal[11],
        "specials": np.where(normal[12] < 0, normal[13], drawn.choice([np.nan, np.inf, -np.inf], (count, length))),
        "NaNs alone": np.where(normal[14] < 0, np.nan, 0.0),
    }
    kinds["one number"][at, place[0]] = drawn.choice([LARGEST, -LARGEST], count)
    kinds["any numbers"][at[:, None], drawn.integers(0, length, (count, 4))] = LARGEST
    kinds["any numbers"][at, place[1]] = -LARGEST
    for name in ("one special", "two specials"):
        kinds[name][at, place[0]] = np.repeat([np.nan, np.inf, -np.inf, -np.nan], count // 4)
    kinds["two specials"][at, place[1]] = np.resize([np.nan, np.inf, -np.inf], count)
    return np.clip(np.concatenate(list(kinds.values())), -np.inf, np.inf).astype(np.float32)

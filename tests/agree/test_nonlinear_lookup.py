"""The look-ups and norm passes in vector registers equal their plain loops, at every length around a register."""

from __future__ import annotations

import numpy as np
import pytest

from lowbit.kernels._jit import kernel
from lowbit.kernels.nonlinear import fast_lookup, fast_norm, simd_lookup, simd_norm

LENGTHS = [1, 2, 63, 64, 65, 127, 128, 129, 197, 1024]
AVX512 = pytest.mark.skipif(not simd_lookup.is_available(), reason="this processor has no AVX-512 VBMI")


def all_look_ups(home):
    """One kernel that calls every look-up of a module."""
    maximum, total, multiply = home.row_maximum, home.distance_sum, home.multiply_by_entry
    to_bytes, to_words, to_doubles = home.distance_bytes, home.distance_words, home.distance_doubles

    @kernel
    def run(codes, planes, small, middle, large, product):
        top = maximum(codes)
        to_bytes(codes, top, planes, small)
        to_words(codes, top, planes, middle)
        to_doubles(codes, top, planes, large)
        multiply(codes, planes[0], product)
        return top, total(codes, top, planes)

    return run


@AVX512
def test_look_ups():
    planes = np.random.default_rng(0).integers(0, 256, (4, 256)).astype(np.uint8)
    loop, registers = all_look_ups(fast_lookup), all_look_ups(simd_lookup)
    for length in LENGTHS:
        codes = np.random.default_rng(length).integers(-128, 128, length).astype(np.int8)
        answers = []
        for run in (loop, registers):
            outs = [np.full(length + 1, -7).astype(dtype) for dtype in (np.uint8, np.int16, np.int32, np.int32)]
            answers.append((run(codes, planes, *(out[:length] for out in outs)), [out.tolist() for out in outs]))
            assert all(out[-1] == np.array(-7).astype(out.dtype) for out in outs), "written past the end"
        assert answers[0] == answers[1], length


def both_passes(home):
    """One kernel that calls both passes of a module."""
    sums, write = home.sums, home.write_centred

    @kernel
    def run(codes, mean, factor, shift, bias, out):
        write(codes, mean, factor, shift, bias, out)
        return sums(codes)

    return run


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_norm_passes(dtype):
    loop, registers = both_passes(fast_norm), both_passes(simd_norm)
    for length in LENGTHS:
        rng = np.random.default_rng(length)
        codes = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, length).astype(dtype)
        bias = rng.integers(-1000, 1000, length).astype(np.int32)
        answers = []
        for run in (loop, registers):
            out = np.zeros(length + 1, np.int32)
            for shift in (0, 1):
                totals = run(codes, int(codes.mean()), 12345, shift, bias, out[:length])
                answers.append((tuple(totals), out.tolist()))
        assert answers[:2] == answers[2:], length

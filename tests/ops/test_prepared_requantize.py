"""A prepared requantisation gives what requantize gives, whatever the number of rows and channels."""

import numpy as np
import pytest

import lowbit
from lowbit.ops.requantize.prepared import PreparedRequantization

SCHEMES = sorted(name for name, scheme in lowbit.REQUANTIZE_SCHEMES.items() if not scheme.bounded)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_as_requantize(scheme):
    rng = np.random.default_rng(1)
    accumulators = rng.integers(-(1 << 31), 1 << 31, 2000 * 5, dtype=np.int32)
    accumulators[::2] >>= 18
    for channels, shape in ((1, (2000, 5)), (5, (2000, 5)), (5, (3, 5)), (5, (0, 5)), (1, ())):
        options = {"scheme": scheme, "scale": 2.0**-11 * rng.uniform(0.5, 1, channels), "zero_point": 3}
        part = accumulators[: int(np.prod(shape))].reshape(shape)
        codes = PreparedRequantization(**options)(part)
        wanted = lowbit.requantize(part, **options)
        assert np.array_equal(codes, wanted)
        assert (codes.dtype, codes.shape) == (wanted.dtype, part.shape)


@pytest.mark.parametrize("result", ["int8", "uint8", "int16", "int4", "int32"])
def test_more_than_a_chunk_and_strides(result):
    accumulators = np.arange(-70_000, 70_000, dtype=np.int32).reshape(7, -1).T
    options = {"scheme": "tflite_double", "scale": 0.01, "result": result}
    assert np.array_equal(PreparedRequantization(**options)(accumulators), lowbit.requantize(accumulators, **options))

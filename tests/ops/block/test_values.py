"""Values as block formats take them."""

import ml_dtypes
import numpy as np
import pytest

from lowbit.ops.block.values import plain_values


@pytest.mark.parametrize(("dtype", "fraction"), [(np.float16, 10), (ml_dtypes.bfloat16, 7)])
def test_every_code_of_16_bits_is_widened_exactly(dtype, fraction):
    codes = np.arange(1 << 16, dtype=np.uint16)
    finite = codes[(codes & 0x7FFF) < 0x8000 - (1 << fraction)]
    for some in (codes, finite, finite[::3], finite[-4:].reshape(2, 2).T):
        wide = plain_values(some.view(dtype))
        with np.errstate(invalid="ignore"):
            expected = some.view(dtype).astype(np.float64)
        assert (wide.dtype, wide.shape) == (np.float32, some.shape)
        assert np.array_equal(wide, expected, equal_nan=True)
        assert np.array_equal(np.signbit(wide), np.signbit(expected))

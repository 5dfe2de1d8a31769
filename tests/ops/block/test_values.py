"""Values as block formats take them."""

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import InputError
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


def test_integers_are_values_where_a_float_holds_them():
    for numbers, dtype in (([1, -2, 1 << 24], np.float32), ([1 << 24, (1 << 53) - 1], np.float64)):
        for given in (numbers, np.array(numbers, np.int64), np.array(numbers, object).astype(">i8")):
            wide = plain_values(given)
            assert wide.dtype == dtype
            assert wide.tolist() == numbers
    with pytest.raises(InputError, match="do not fit binary64"):
        plain_values([(1 << 53) + 1])

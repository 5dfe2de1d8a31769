"""The decorators of kernels."""

import numpy as np
import pytest

from lowbit.kernels._jit import routine, scalar


@pytest.mark.parametrize("decorator", [scalar, routine])
def test_a_function_is_compiled_once_for_all_constants(decorator):
    @decorator
    def shifted(value, count):
        return value << count

    @routine  # not a kernel, which the next run would find compiled
    def run(out):
        out[0] = shifted(out[0], 1) + shifted(3, 2) + shifted(value=out[1], count=4)

    out = np.array([1, 5])
    run(out)
    assert out[0] == 2 + 12 + 80
    assert len(shifted.signatures) == 1

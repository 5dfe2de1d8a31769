"""The decorators of kernels."""

import numpy as np

from lowbit.kernels._jit import kernel, scalar


def test_a_scalar_is_compiled_once_for_all_constants(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWBIT_CACHE_DIR", str(tmp_path))  # what an earlier run compiled would not be compiled again

    @scalar
    def shifted(value, count):
        return value << count

    @kernel
    def run(out):
        out[0] = shifted(out[0], 1) + shifted(3, 2) + shifted(value=out[1], count=4)

    out = np.array([1, 5])
    run(out)
    assert out[0] == 2 + 12 + 80
    assert len(shifted.signatures) == 1
